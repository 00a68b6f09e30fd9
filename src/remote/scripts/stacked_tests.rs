//! The jobs on stacked members: programs out of their image, their data, and their manifests when they leave.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Script;
use super::job_tests::Fakes;
use super::restore_tests::{Machine, RUN, names};

const IMAGE: &str = "k8s.gcr.io/etcd:3.5.16-0";

/// A containerd whose image has what lies in the folder `image`: it is mounted by copying it.
const CTR: &str = r#"for target; do :; done
    case "$*" in
        *'images mount'*) mkdir -p "$target" && cp -a "$FAKES/image/." "$target" ;;
        *'images unmount'*) rm -rf "$target/usr" ;;
    esac"#;

/// A program of etcd's: its help, and a restore that leaves a database.
fn program(help: &str) -> String {
    format!(
        r#"#!/bin/sh
case "$*" in
    *--help*) echo "{help}" ;;
    *'snapshot restore'*)
        while [ "$#" -gt 0 ]; do [ "$1" != --data-dir ] || data=$2; shift; done
        mkdir -p "$data/member/snap" && echo new >"$data/member/snap/db" ;;
esac
"#
    )
}

fn executable(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("executable");
}

/// A node whose member is dead; its image has these programs, each with what its help says of a restore.
fn node(programs: &[(&str, &str)], ctr: &str) -> Fakes {
    let containerd = r#"echo '  snapshotter = "native"'"#;
    let fakes = Fakes::new(&[("pgrep", "exit 1"), ("containerd", containerd), ("ctr", ctr)]);
    for (name, help) in programs {
        executable(&fakes.path().join("image/usr/local/bin").join(name), &program(help));
    }
    fakes
}

fn tools(fakes: &Fakes) -> PathBuf {
    fakes.path().join("windlass/runs").join(RUN).join("tools")
}

const RESTORES: &str = "--initial-cluster-token";
const RAISES: &str = "--initial-cluster-token --bump-revision";

#[test]
fn what_restores_comes_out_of_the_image_and_the_image_is_let_go() {
    let fakes = node(&[("etcdctl", RESTORES), ("etcdutl", RAISES)], CTR);
    assert_eq!(fakes.run(Script::FetchTool, &[RUN, IMAGE, "raise"]), (0, String::new()));
    assert_eq!(names(tools(&fakes)), ["etcdctl", "etcdutl", "restorer"]);
    assert_eq!(fs::read_link(tools(&fakes).join("restorer")).expect("a link"), Path::new("etcdutl"));
    let mode = |name: &str| fs::metadata(tools(&fakes).join(name)).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode("."), mode("etcdctl")), (0o700, 0o700));
    let image = format!("{}.image", tools(&fakes).display());
    let own = "ctr -n k8s.io images";
    let (mount, unmount) = (
        format!("{own} mount --snapshotter native {IMAGE} {image}"),
        format!("{own} unmount --snapshotter native --rm {image}"),
    );
    assert_eq!(fakes.calls("ctr"), [unmount.clone(), mount, unmount]);
    assert!(!Path::new(&image).exists());
    // Once is enough.
    assert_eq!(fakes.run(Script::FetchTool, &[RUN, IMAGE, "raise"]), (0, String::new()));
    assert_eq!(fakes.calls("ctr").len(), 3);
}

#[test]
fn what_does_not_serve_is_refused_and_not_kept() {
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let table: [Row<'_>; 3] = [
        (&[("etcdctl", RESTORES)], "raise", "cannot raise revisions, as the plan says"),
        (&[("etcdctl", "snapshot save")], "restore", "restores a snapshot on this node"),
        (&[], "restore", "has no /usr/local/bin/etcdctl"),
    ];
    for (programs, purpose, why) in table {
        let fakes = node(programs, CTR);
        fs::create_dir_all(fakes.path().join("image/usr")).expect("a folder");
        let (status, said) = fakes.run(Script::FetchTool, &[RUN, IMAGE, purpose]);
        assert!(status == 75 && said.contains(why), "{why}: {status} {said}");
        assert!(!tools(&fakes).exists());
    }
    let fakes = node(&[], "exit 1");
    assert_eq!(fakes.run(Script::FetchTool, &[RUN, IMAGE, "restore"]).0, 1);
}

#[test]
fn an_etcdctl_that_is_installed_is_enough_to_ask() {
    let fakes = Fakes::new(&[("etcdctl", ""), ("ctr", "")]);
    assert_eq!(fakes.run(Script::FetchTool, &[RUN, IMAGE, "ask"]), (0, String::new()));
    assert_eq!(fakes.calls("ctr"), [""; 0]);
}

/// A stacked member with data and a snapshot, and a program that was fetched for the run.
fn member() -> (Machine, PathBuf, String) {
    let machine = Machine::new(&[]);
    let data = machine.path("var/lib/etcd");
    fs::create_dir_all(data.join("member/snap")).expect("a folder");
    fs::write(data.join("member/snap/db"), "former").expect("written");
    let windlass = machine.fakes.path().join("windlass");
    executable(&windlass.join("runs").join(RUN).join("tools/restorer"), &program(RESTORES));
    fs::create_dir_all(windlass.join("snapshots")).expect("a folder");
    fs::write(windlass.join("snapshots/restore.db"), "").expect("written");
    // Of nothing.
    let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    (machine, data, sha256.to_owned())
}

fn restore(machine: &Machine, data: &Path, sha256: &str) -> (i32, String) {
    let (peer, data) = ("https://10.0.0.1:2380", data.display().to_string());
    let cluster = format!("cp1={peer}");
    let args = [RUN, "-", &data, "-", "restore.db", sha256, "tools/restorer", "-", "cp1", peer, &cluster];
    machine.fakes.run(Script::RestoreMember, &args)
}

#[test]
fn a_stacked_members_data_are_replaced_without_a_word_to_systemd() {
    let (machine, data, sha256) = member();
    assert_eq!(restore(&machine, &data, &sha256), (0, String::new()));
    assert_eq!(names(data.clone()), ["member", &format!("member.before-{RUN}")]);
    assert_eq!(fs::read_to_string(data.join("member/snap/db")).expect("it is there"), "new\n");
    assert_eq!(machine.fakes.calls("systemctl"), [""; 0]);
}

#[test]
fn nothing_is_replaced_below_a_member_that_runs() {
    let (mut machine, data, sha256) = member();
    let open = File::open(data.join("member/snap/db")).expect("it is there");
    open.lock().expect("it is free");
    let (status, said) = restore(&machine, &data, &sha256);
    assert!(status == 75 && said.contains("somebody works on"), "{status} {said}");
    drop(open);
    machine.container("c1", "etcd", "60");
    assert_eq!(restore(&machine, &data, &sha256), (75, "refused: etcd runs\n".to_owned()));
    assert_eq!(names(data), ["member"]);
}

const ETCDCTL: &str = r#"case "$*" in *'member list'*) echo "a, started, cp1, https://10.0.0.1:2380, , false" ;; esac"#;

#[test]
fn a_member_that_left_has_its_manifest_and_its_data_put_aside() {
    let machine =
        Machine::with(&["etcd", "kube-apiserver"], &[("etcdctl", ETCDCTL), ("systemctl", "exit 1"), ("crictl", "")]);
    let data = machine.path("var/lib/etcd");
    fs::create_dir_all(data.join("member")).expect("a folder");
    let retire = |id: &str| {
        let args = ["/ca", "/cert", "/key", "https://10.0.0.1:2379", id, "-", data.to_str().expect("a path"), RUN];
        machine.fakes.run(Script::MemberRetire, &args)
    };
    assert_eq!(retire("a"), (75, "refused: it is still a member\n".to_owned()));
    assert_eq!(machine.manifests(), ["etcd.yaml", "kube-apiserver.yaml"]);
    for _ in 0..2 {
        assert_eq!(retire("1f"), (0, String::new()));
        assert_eq!(machine.manifests(), ["kube-apiserver.yaml"]);
        assert_eq!(names(machine.path(&format!("etc/kubernetes/windlass-{RUN}"))), ["etcd.yaml"]);
        assert_eq!(names(data.clone()), [format!("member.before-{RUN}")]);
    }
}
