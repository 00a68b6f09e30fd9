//! Jobs that run here with `sh`, against programs of the test's own that note how they were called.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Script, own_text};

/// A folder of programs; each notes its words in `calls` and then does what its text says.
pub(super) struct Fakes(tempfile::TempDir);

impl Fakes {
    pub(super) fn new(programs: &[(&str, &str)]) -> Self {
        let fakes = Self(tempfile::tempdir().expect("a folder"));
        for (name, text) in programs {
            let path = fakes.0.path().join(name);
            let text = format!("#!/bin/sh\necho \"{name} $*\" >>\"$FAKES/calls\"\n{text}\n");
            std::fs::write(&path, text).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
        }
        fakes
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn job(&self, script: Script, args: &[&str]) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", own_text(script), "windlass"]).args(args);
        shell.env("PATH", format!("{}:/usr/bin:/bin", self.path().display())).env("FAKES", self.path());
        shell.env("WINDLASS_DIR", self.path().join("windlass")).env("WINDLASS_FROM", self.path().join("from"));
        shell.env("WINDLASS_APT_ARCHIVES", self.path().join("archives"));
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        shell
    }

    /// Exit status and complaints.
    pub(super) fn run(&self, script: Script, args: &[&str]) -> (i32, String) {
        let output = self.job(script, args).output().expect("sh runs");
        (output.status.code().expect("no signal"), String::from_utf8(output.stderr).expect("text"))
    }

    /// The calls of a program, in order.
    pub(super) fn calls(&self, of: &str) -> Vec<String> {
        let calls = std::fs::read_to_string(self.path().join("calls")).unwrap_or_default();
        calls.lines().filter(|line| line.starts_with(of)).map(str::to_owned).collect()
    }
}

const NOTHING: &str = "";

/// etcdctl as 3.6 has it: `is leader` is not the fifth column any more. `own` and `others` are what the statuses of these
/// addresses say; `others` may change with the calls.
pub(super) fn etcdctl(own: &str, others: &str) -> String {
    format!(
        r#"case "$*" in
            *health*) exit 0 ;;
            *own*-w\ json*) {own} ;;
            *-w\ json*) {others} ;;
            *other*status*) echo 'https://other:2379, 2a, 3.6.11, 3.6.0, 20 kB, 16 kB, 20%, 2.1 GB, false, false, 2, 9, 9, , , false' ;;
        esac"#
    )
}

pub(super) fn says(member: u64, leader: u64) -> String {
    format!(r#"echo '[{{"Status":{{"header":{{"member_id":{member},"raft_term":2}},"leader":{leader}}}}}]'"#)
}

pub(super) const GUARD: &str = "etcd;etcd;/ca;/cert;/key;https://own:2379;https://other:2379";

fn install(etcdctl: &str, apt_get: &str) -> Fakes {
    Fakes::new(&[
        ("etcdctl", etcdctl),
        ("apt-get", apt_get),
        ("apt-mark", NOTHING),
        ("dpkg", NOTHING),
        ("systemctl", "echo 0"),
    ])
}

#[test]
fn the_guard_lets_a_follower_go() {
    let fakes = install(&etcdctl(&says(41, 42), &says(42, 42)), NOTHING);
    assert_eq!(fakes.run(Script::InstallPackages, &[GUARD, "etcd-server", "etcd-server=3.6.12"]), (0, String::new()));
    assert_eq!(fakes.calls("apt-mark"), ["apt-mark unhold -- etcd-server", "apt-mark hold -- etcd-server"]);
    assert_eq!(fakes.calls("systemctl restart"), ["systemctl restart etcd"], "it did not run");
}

#[test]
fn the_guard_refuses_while_this_member_leads_or_may_lead() {
    let table = [
        (says(41, 41), says(42, 41), "this member leads etcd"),
        // It does not answer itself, and leads all the same.
        ("exit 1".to_owned(), says(42, 41), "this member leads etcd"),
        (says(41, 42), "exit 1".to_owned(), "does not tell its status"),
        (says(41, 42), "echo rubbish".to_owned(), "do not agree on a leader"),
        (says(41, 42), says(42, 0).replace(r#","leader":0"#, ""), "do not agree on a leader"),
        (says(42, 42), says(42, 42), "lead to this member"),
    ];
    for (own, others, why) in table {
        let fakes = install(&etcdctl(&own, &others), NOTHING);
        let (status, said) = fakes.run(Script::InstallPackages, &[GUARD, "-", "etcd-server=3.6.12"]);
        assert!(status == 75 && said.contains(why), "{why}: {status} {said}");
        assert!(fakes.calls("apt-get").is_empty(), "{why}: {:?}", fakes.calls(""));
    }
}

/// Another user of dpkg may be waited for; meanwhile the leader may have changed.
#[test]
fn the_guard_looks_again_just_before_the_installation() {
    let led = format!(r#"if grep -q download-only "$FAKES/calls"; then {}; else {}; fi"#, says(42, 41), says(42, 42));
    let fakes = install(&etcdctl(&says(41, 42), &led), NOTHING);
    let (status, said) = fakes.run(Script::InstallPackages, &[GUARD, "-", "etcd-server=3.6.12"]);
    assert!(status == 75 && said.contains("this member leads etcd"), "{status} {said}");
    let calls = fakes.calls("apt-get");
    assert!(calls.last().is_some_and(|call| call.contains("--download-only")), "{calls:?}");
}

/// A power loss after the last package was configured leaves nothing half done, and dpkg's journal not merged: apt goes on only
/// after `dpkg --configure -a`, as the lab has shown.
#[test]
fn what_dpkg_was_at_when_the_power_failed_is_finished_first() {
    let configured = "dpkg --force-confold --configure -a";
    let table = [("", "", false), ("0003", "", true), ("tmp.i", "", false), ("", "etcd-server", true)];
    for (journal, half_done, finished) in table {
        let dpkg = format!("[ \"$1\" != --audit ] || echo '{half_done}'");
        let fakes = Fakes::new(&[("apt-get", NOTHING), ("apt-mark", NOTHING), ("dpkg", &dpkg)]);
        let updates = fakes.path().join("dpkg-admin/updates");
        std::fs::create_dir_all(&updates).expect("a folder");
        if !journal.is_empty() {
            std::fs::write(updates.join(journal), "").expect("written");
        }
        let mut job = fakes.job(Script::InstallPackages, &["-", "-", "kubeadm=1.21.14-00"]);
        assert!(job.env("DPKG_ADMINDIR", fakes.path().join("dpkg-admin")).status().expect("sh runs").success());
        assert_eq!(fakes.calls("dpkg").iter().any(|call| call == configured), finished, "{journal:?} {half_done:?}");
        let order = fakes.calls("");
        let at = |what: &str| order.iter().position(|call| call.starts_with(what));
        assert!(!finished || at(configured) < at("apt-get"), "{order:?}");
    }
}

#[test]
fn a_guard_of_another_shape_is_refused() {
    let fakes = install(&etcdctl(&says(41, 42), &says(42, 42)), NOTHING);
    for guard in ["etcd;etcd;/ca;/cert;/key;https://a;-;https://b", "etcd;etcd"] {
        assert_eq!(fakes.run(Script::InstallPackages, &[guard, "-", "etcd-server=3.6.12"]).0, 75, "{guard}");
    }
}

#[test]
fn a_hold_is_put_back_after_a_failure_and_after_a_signal() {
    let fakes = install(NOTHING, r#"case "$*" in *-s\ -y*) ;; *) exit 100 ;; esac"#);
    assert_eq!(fakes.run(Script::InstallPackages, &["-", "kubelet,kubectl", "kubelet=1"]).0, 100);
    assert_eq!(fakes.calls("apt-mark").last().map(String::as_str), Some("apt-mark hold -- kubelet kubectl"));

    // As systemd does when the machine is shut down; $PPID is the job's shell.
    let fakes = install(NOTHING, r#"case "$*" in *-s\ -y*) ;; *) kill -TERM $PPID ;; esac"#);
    assert_eq!(fakes.run(Script::InstallPackages, &["-", "kubelet", "kubelet=1"]).0, 143);
    assert_eq!(fakes.calls("apt-mark").last().map(String::as_str), Some("apt-mark hold -- kubelet"));
}

#[test]
fn a_hold_is_never_shell_text() {
    let fakes = install(NOTHING, NOTHING);
    fakes.run(Script::InstallPackages, &["-", "x; touch $FAKES/read-as-code,*", "kubelet=1"]);
    assert!(!fakes.path().join("read-as-code").exists());
    assert_eq!(fakes.calls("apt-mark unhold"), ["apt-mark unhold -- x; touch $FAKES/read-as-code *"]);
}

#[test]
fn an_image_that_reads_like_an_option_is_not_pulled() {
    let kubeadm = r#"case "$*" in *list*) echo '--config=/tmp/x/pause:3.2' ;; esac"#;
    let fakes = Fakes::new(&[
        ("kubeadm", kubeadm),
        ("kubectl", NOTHING),
        ("crictl", NOTHING),
        ("dpkg-query", "printf 1.21.14-00"),
    ]);
    let (status, said) = fakes.run(Script::PullImages, &["v1.21.14", "1.21.14-00", "all", "-", "-", "-"]);
    assert_eq!((status, said.as_str()), (1, "not an image: --config=/tmp/x/pause:3.2\n"));
    assert!(fakes.calls("crictl").is_empty());
}

#[test]
fn leadership_is_moved_whatever_columns_etcdctl_prints() {
    let own = format!(r#"if grep -q move-leader "$FAKES/calls"; then {}; else {}; fi"#, says(41, 42), says(41, 41));
    let fakes = Fakes::new(&[("etcdctl", &etcdctl(&own, &says(42, 41)))]);
    let args = ["/ca", "/cert", "/key", "https://own:2379", "https://other:2379"];
    assert_eq!(fakes.run(Script::MoveLeader, &args), (0, String::new()));
    let moved: Vec<String> = fakes.calls("etcdctl").into_iter().filter(|call| call.contains("move-leader")).collect();
    assert_eq!(moved, ["etcdctl --endpoints=https://own:2379 move-leader 2a"]);

    let silent = Fakes::new(&[("etcdctl", "exit 1")]);
    assert_eq!(silent.run(Script::MoveLeader, &args).0, 1, "who does not tell may lead");
}
