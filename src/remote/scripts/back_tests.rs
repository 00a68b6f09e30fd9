//! What going back stands on, run here with `sh`: archives, kept packages, their restoration, and the end of all of it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Script;
use super::job_tests::{Fakes, GUARD, etcdctl, says};

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, text).expect("written");
}

/// The names below a folder, sorted; none when it is not there.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

// ---- archives ----

/// A node's files, and programs that tell of its packages.
fn node() -> Fakes {
    let fakes = Fakes::new(&[
        ("dpkg-query", "echo 'hi  kubelet 1.20.2-00'"),
        ("apt-mark", "echo kubelet"),
        ("crictl", "echo 'k8s.gcr.io/pause 3.2'"),
    ]);
    let from = fakes.path().join("from");
    for (path, text) in [
        ("etc/kubernetes/pki/ca.key", "secret"),
        ("etc/kubernetes/tmp/kubeadm-backup-etcd/db", "large"),
        ("var/lib/kubelet/config.yaml", "kind: KubeletConfiguration"),
        ("var/lib/kubelet/pki/other", "not asked for"),
        ("etc/systemd/system/etcd.service.d/10.conf", "[Service]"),
        ("etc/default/etcd", "ETCD_NAME=a"),
        ("srv/etcd.env", "ETCD_NAME=b"),
    ] {
        write(&from.join(path), text);
    }
    fakes
}

fn archived(fakes: &Fakes) -> PathBuf {
    fakes.path().join("windlass/archives/0a1b")
}

fn files_in(tar: &Path) -> Vec<String> {
    let output = std::process::Command::new("tar").arg("-tzf").arg(tar).output().expect("tar runs");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().filter(|line| !line.ends_with('/')).map(str::to_owned).collect()
}

#[test]
fn an_archive_holds_what_going_back_needs_and_is_roots_alone() {
    let fakes = node();
    assert_eq!(fakes.run(Script::Archive, &["0a1b", "etcd", "/srv/etcd.env"]), (0, String::new()));
    let folder = archived(&fakes);
    assert_eq!(names(&folder), ["node.list", "node.tar.gz"]);
    let mut files = files_in(&folder.join("node.tar.gz"));
    files.sort();
    assert_eq!(
        files,
        [
            "etc/default/etcd",
            "etc/kubernetes/pki/ca.key",
            "etc/systemd/system/etcd.service.d/10.conf",
            "srv/etcd.env",
            "var/lib/kubelet/config.yaml"
        ]
    );
    let list = std::fs::read_to_string(folder.join("node.list")).expect("the list");
    for line in ["hi  kubelet 1.20.2-00", "# held\nkubelet\n", "k8s.gcr.io/pause 3.2", "etc/kubernetes/pki/ca.key"] {
        assert!(list.contains(line), "{line}: {list}");
    }
    assert!(!list.contains("secret"));
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let modes = (mode(&folder), mode(&folder.join("node.tar.gz")), mode(&folder.join("node.list")));
    assert_eq!(modes, (0o700, 0o600, 0o600));
}

#[test]
fn a_path_that_reads_like_an_option_is_a_path() {
    let fakes = node();
    write(&fakes.path().join("from/--checkpoint=1"), "a file");
    assert_eq!(fakes.run(Script::Archive, &["0a1b", "-", "/--checkpoint=1"]), (0, String::new()));
    let files = files_in(&archived(&fakes).join("node.tar.gz"));
    assert!(files.contains(&"--checkpoint=1".to_owned()), "{files:?}");
}

#[test]
fn an_archive_that_stands_is_never_overwritten() {
    let fakes = node();
    let tar = archived(&fakes).join("node.tar.gz");
    assert_eq!(fakes.run(Script::Archive, &["0a1b", "-", "-"]).0, 0);
    let first = std::fs::read(&tar).expect("the archive");
    write(&fakes.path().join("from/etc/kubernetes/pki/ca.key"), "another");
    assert_eq!(fakes.run(Script::Archive, &["0a1b", "-", "-"]).0, 0);
    assert_eq!(std::fs::read(&tar).expect("the archive"), first);
}

#[test]
fn an_archive_that_could_not_be_written_leaves_nothing_under_its_name() {
    // A full disk, for tar and for the file beside it; a killed try's rest is in the way of nobody.
    for (program, text) in [("tar", "echo half >\"$2\"; exit 2"), ("sync", "exit 1"), ("dpkg-query", "exit 2")] {
        let fakes = node();
        let broken = Fakes::new(&[(program, text)]);
        write(&archived(&fakes).join("node.tar.gz.new"), "of a try that was killed");
        let path = format!("{}:{}:/usr/bin:/bin", broken.path().display(), fakes.path().display());
        let output = fakes.job(Script::Archive, &["0a1b", "-", "-"]).env("PATH", path).output().expect("sh runs");
        assert_eq!(output.status.code(), Some(1), "{program}");
        assert_eq!(names(&archived(&fakes)), [""; 0], "{program}");
        assert_eq!(fakes.run(Script::Archive, &["0a1b", "-", "-"]), (0, String::new()), "{program}");
    }
}

#[test]
fn of_a_machine_that_is_new_the_list_of_its_packages_is_kept() {
    let fakes = node();
    std::fs::remove_dir_all(fakes.path().join("from")).expect("removed");
    std::fs::create_dir(fakes.path().join("from")).expect("a folder");
    assert_eq!(fakes.run(Script::Archive, &["0a1b", "-", "/srv/etcd.env"]), (0, String::new()));
    assert_eq!(files_in(&archived(&fakes).join("node.tar.gz")), [""; 0]);
    let list = std::fs::read_to_string(archived(&fakes).join("node.list")).expect("a list");
    assert!(list.contains("hi  kubelet 1.20.2-00"), "{list}");
}

// ---- packages ----

/// apt-get that downloads into its cache, and `download`s into the folder it is called in.
const APT: &str = r#"case "$*" in
    *--download-only*) echo new >"$FAKES/archives/kubelet_1.21.14-00_amd64.deb" ;;
    download*) echo old >"kubelet_1%3a1.20.2-00_amd64.deb" ;;
esac"#;

fn packages(fakes: &Fakes) -> PathBuf {
    fakes.path().join("windlass/packages/0a1b")
}

#[test]
fn new_and_former_packages_are_kept() {
    let fakes = Fakes::new(&[("apt-get", APT)]);
    std::fs::create_dir(fakes.path().join("archives")).expect("made");
    let args = ["0a1b", "kubelet=1:1.20.2-00", "kubelet=1.21.14-00"];
    assert_eq!(fakes.run(Script::FetchPackages, &args), (0, String::new()));
    let kept = names(&packages(&fakes));
    assert_eq!(kept, ["kubelet_1%3a1.20.2-00_amd64.deb", "kubelet_1.21.14-00_amd64.deb"]);
    let downloads = fakes.calls("apt-get download");
    assert_eq!(downloads, ["apt-get download -q -o APT::Sandbox::User=root -- kubelet=1:1.20.2-00"]);
    assert_eq!(fakes.run(Script::FetchPackages, &args).0, 0);
    assert_eq!(fakes.calls("apt-get download").len(), 1, "what is kept is not fetched again");
}

#[test]
fn a_former_package_in_the_cache_is_taken_from_there() {
    let fakes = Fakes::new(&[("apt-get", "")]);
    write(&fakes.path().join("archives/kubelet_1.20.2-00_amd64.deb"), "old");
    assert_eq!(fakes.run(Script::FetchPackages, &["0a1b", "kubelet=1.20.2-00", "kubelet=1.21.14-00"]).0, 0);
    assert_eq!(names(&packages(&fakes)), ["kubelet_1.20.2-00_amd64.deb"]);
    assert!(fakes.calls("apt-get download").is_empty());
}

#[test]
fn a_former_package_that_cannot_be_had_or_kept_is_a_failure() {
    let fakes = Fakes::new(&[("apt-get", "")]);
    let args = ["0a1b", "kubelet=1.20.2-00", "kubelet=1.21.14-00"];
    let (status, said) = fakes.run(Script::FetchPackages, &args);
    assert_eq!((status, said.as_str()), (1, "kubelet=1.20.2-00 could not be had\n"));
    let full = Fakes::new(&[("apt-get", ""), ("cp", "echo half >\"$2\"; exit 1")]);
    write(&full.path().join("archives/kubelet_1.20.2-00_amd64.deb"), "old");
    assert_eq!(full.run(Script::FetchPackages, &args).0, 1);
    assert_eq!(names(&packages(&full)), [""; 0], "nothing half");
}

// ---- going back ----

/// dpkg that knows kubelet or etcd-server at `version`; curl that tells `cluster` as the others' cluster version.
fn restoring(version: &str, cluster: &str, pid: &str) -> Fakes {
    let curl = format!(r#"echo '{{"etcdserver":"3.5.16","etcdcluster":"{cluster}"}}'"#);
    let fakes = Fakes::new(&[
        ("apt-get", ""),
        ("apt-mark", ""),
        ("dpkg", ""),
        ("dpkg-query", &format!("printf 'installed={version}'")),
        ("systemctl", &format!("echo {pid}")),
        ("curl", &curl),
        ("etcdctl", &etcdctl(&says(41, 42), &says(42, 42))),
    ]);
    for file in ["kubelet_1.20.2-00_amd64.deb", "etcd-server_3.4.23-4+b4_amd64.deb"] {
        write(&fakes.path().join("windlass/packages/0a1b").join(file), "old");
    }
    fakes
}

fn installs(fakes: &Fakes) -> Vec<String> {
    fakes
        .calls("apt-get install -q")
        .iter()
        .map(|call| call.replace(fakes.path().to_str().expect("text"), ""))
        .collect()
}

#[test]
fn a_former_package_is_installed_from_its_file_and_held_again() {
    let fakes = restoring("1.21.14-00", "", "0");
    let args = ["0a1b", "-", "kubelet", "-", "kubelet=1.20.2-00"];
    assert_eq!(fakes.run(Script::RestorePackages, &args), (0, String::new()));
    let call = "apt-get install -q -y --allow-downgrades --no-install-recommends -o DPkg::Lock::Timeout=60 \
                -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -- \
                /windlass/packages/0a1b/kubelet_1.20.2-00_amd64.deb";
    assert_eq!(installs(&fakes), [call]);
    assert_eq!(fakes.calls("apt-mark"), ["apt-mark unhold -- kubelet", "apt-mark hold -- kubelet"]);
}

#[test]
fn what_is_as_before_only_gets_its_hold_back() {
    let fakes = restoring("1.20.2-00", "", "0");
    assert_eq!(fakes.run(Script::RestorePackages, &["0a1b", "-", "kubelet", "-", "kubelet=1.20.2-00"]).0, 0);
    assert!(installs(&fakes).is_empty());
    assert_eq!(fakes.calls("apt-mark").last().map(String::as_str), Some("apt-mark hold -- kubelet"));
}

#[test]
fn what_was_not_kept_is_not_restored() {
    let fakes = restoring("1.21.14-00", "", "0");
    let (status, said) = fakes.run(Script::RestorePackages, &["0a1b", "-", "kubelet", "-", "kubelet=1.19.1-00"]);
    assert!(status == 77 && said.starts_with("kubelet=1.19.1-00 was not kept"), "{status} {said}");
    assert!(fakes.calls("apt-").is_empty());
}

#[test]
fn packages_that_are_not_named_stay_as_they_are() {
    let fakes = restoring("1.21.14-00", "", "0");
    std::fs::write(
        fakes.path().join("apt-get"),
        "#!/bin/sh\necho \"apt-get $*\" >>\"$FAKES/calls\"\ncase \"$*\" in *-s\\ -y*) echo 'Inst containerd (1)' ;; esac\n",
    )
    .expect("written");
    let (status, said) = fakes.run(Script::RestorePackages, &["0a1b", "-", "-", "-", "kubelet=1.20.2-00"]);
    assert!(status == 76 && said.contains("containerd"), "{status} {said}");
    assert!(installs(&fakes).is_empty());
}

const ETCD: [&str; 5] = ["0a1b", GUARD, "etcd-server", "3.4", "etcd-server=3.4.23-4+b4"];

#[test]
fn a_member_gets_its_former_binary_while_the_others_report_the_old_cluster_version() {
    let fakes = restoring("3.5.16-4", "3.4.0", "0");
    assert_eq!(fakes.run(Script::RestorePackages, &ETCD), (0, String::new()));
    assert_eq!(installs(&fakes).len(), 1);
    assert_eq!(fakes.calls("systemctl restart"), ["systemctl restart etcd"], "it did not run");
    assert!(fakes.calls("etcdctl").is_empty(), "a member that does not run is not stopped by this");
}

#[test]
fn a_member_keeps_its_binary_when_the_cluster_version_has_risen_or_is_not_known() {
    for (cluster, says) in [("3.5.0", "reports cluster version 3.5, not 3.4"), ("", "reports cluster version none")] {
        let fakes = restoring("3.5.16-4", cluster, "0");
        let (status, said) = fakes.run(Script::RestorePackages, &ETCD);
        assert!(status == 75 && said.contains(says), "{status} {said}");
        assert!(fakes.calls("apt-").is_empty());
    }
    let alone = GUARD.replace("https://other:2379", "-");
    let fakes = restoring("3.5.16-4", "3.4.0", "0");
    let (status, said) = fakes.run(Script::RestorePackages, &["0a1b", &alone, "-", "3.4", ETCD[4]]);
    assert!(status == 75 && said.contains("no other member"), "{status} {said}");
    let patch = restoring("3.5.16-4", "3.5.0", "0");
    assert_eq!(patch.run(Script::RestorePackages, &["0a1b", &alone, "-", "-", ETCD[4]]).0, 0, "a patch asks nobody");
}

/// Law 3 holds on the way back too.
#[test]
fn a_member_that_runs_and_leads_is_not_stopped_to_go_back() {
    let fakes = restoring("3.5.16-4", "3.4.0", "1");
    let led = etcdctl(&says(41, 41), &says(42, 41));
    std::fs::write(fakes.path().join("etcdctl"), format!("#!/bin/sh\n{led}\n")).expect("written");
    let (status, said) = fakes.run(Script::RestorePackages, &ETCD);
    assert!(status == 75 && said.contains("this member leads etcd"), "{status} {said}");
    assert!(fakes.calls("apt-").is_empty());
}
