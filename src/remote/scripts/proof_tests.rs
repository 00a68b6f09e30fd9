//! The job that proves a snapshot, run here with `sh` against programs of the test's own. Real ones are in
//! `tests/remote_ssh`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use super::Script;
use super::job_tests::Fakes;
use super::tests::call;
use crate::facts::proof::{Said, parse};
use crate::text::hex;

/// etcd that runs until it is ended, and notes its environment.
const ETCD: &str = r#"case $* in --version) echo "etcd Version: 3.4.23" ;; *) env >"$(dirname "$0")/environment"; exec sleep 60 ;; esac"#;
/// etcdctl of a throw-away etcd.
const ETCDCTL: &str = r#"case $* in
*restore\ --help*) echo "--initial-cluster-token" ;;
*restore*) mkdir data ;;
*hashkv\ --rev=9*) echo '[{"Endpoint":"x","HashKV":{"header":{"member_id":2,"revision":9},"hash":77,"compact_revision":3}}]' ;;
*get*limit*) echo '{"header":{"cluster_id":1,"revision":9},"kvs":[{"key":"LyI=","mod_revision":3}],"more":true,"count":12}' ;;
*get*) ;;
*) exit 1 ;;
esac"#;

struct Machine(Fakes);

impl Machine {
    fn new(etcd: &str, etcdctl: &str) -> Self {
        // Programs run with an empty environment: what they note is where they are.
        let machine = Self(Fakes::new(&[("etcd", ""), ("etcdctl", ""), ("etcdutl", "")]));
        for (name, text) in [("etcd", etcd), ("etcdctl", etcdctl), ("etcdutl", "exit 1")] {
            fs::write(machine.0.path().join(name), format!("#!/bin/sh\n{text}\n")).expect("written");
        }
        fs::create_dir_all(machine.place()).expect("a folder");
        fs::write(machine.place().join("snapshot.db"), "snapshot").expect("written");
        machine
    }

    fn place(&self) -> PathBuf {
        self.0.path().join("windlass/proofs")
    }

    fn prove(&self, sha256: &str, minor: &str) -> (i32, String, String) {
        Self::outcome(self.0.job(Script::ProveSnapshot, &["snapshot.db", sha256, "9", minor, "installed"]))
    }

    /// With the programs of a member whose container has `root`.
    fn prove_stacked(&self) -> (i32, String, String) {
        let args = ["snapshot.db", &sha256(), "9", "3.4", "member"];
        let text = super::own_text(Script::ProveSnapshot)
            .replace("/proc/$pid/", "$FAKES/")
            .replace("/etc/kubernetes/manifests", "$FAKES");
        let mut job = self.0.job(Script::ProveSnapshot, &args);
        let known: Vec<_> =
            job.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
        job = Command::new("sh");
        job.args(["-c", &text, "windlass"]).args(args).stdin(Stdio::null()).stderr(Stdio::piped());
        job.envs(known.into_iter().filter_map(|(name, value)| Some((name, value?))));
        Self::outcome(job)
    }

    fn outcome(mut job: Command) -> (i32, String, String) {
        job.env("ETCD_DATA_DIR", "/var/lib/etcd").stdout(Stdio::piped());
        let output = job.output().expect("sh runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
    }

    /// What is left of it, besides its lock.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.place()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        entries.map(|name| name.to_string_lossy().into_owned()).filter(|name| name != ".lock").collect()
    }
}

fn sha256() -> String {
    hex(&Sha256::digest(b"snapshot"))
}

#[test]
fn a_snapshot_is_proven_and_nothing_is_left_of_it() {
    let machine = Machine::new(ETCD, ETCDCTL);
    let (status, printed, said) = machine.prove(&sha256(), "3.4");
    assert_eq!(status, 0, "{said}");
    let wanted = Said { revision: 9, keys: 12, hash_kv: 77, compact_revision: 3 };
    assert_eq!(parse(&printed), Ok((semver::Version::new(3, 4, 23), wanted)));
    assert_eq!(machine.left(), [""; 0]);
    let environment = fs::read_to_string(machine.0.path().join("environment")).expect("it ran");
    assert!(!environment.contains("ETCD_DATA_DIR") && environment.contains("GOMAXPROCS=1"), "{environment}");
}

#[test]
fn a_stacked_members_own_programs_prove_and_are_gone_afterwards() {
    let machine = Machine::new(ETCD, ETCDCTL);
    let fakes = machine.0.path();
    let bin = fakes.join("root/usr/local/bin");
    fs::create_dir_all(&bin).expect("a folder");
    for name in ["etcd", "etcdctl"] {
        fs::rename(fakes.join(name), bin.join(name)).expect("moved");
    }
    fs::remove_file(fakes.join("etcdutl")).expect("removed");
    let pgrep = |text: &str| fs::write(fakes.join("pgrep"), format!("#!/bin/sh\n{text}\n")).expect("written");
    pgrep("exit 1");
    fs::set_permissions(fakes.join("pgrep"), fs::Permissions::from_mode(0o755)).expect("executable");
    let (status, _, said) = machine.prove_stacked();
    assert!(status == 75 && said.contains("its etcd does not run, and only its container has"), "{status} {said}");
    assert_eq!(machine.left(), [""; 0]);

    fs::write(machine.place().join("snapshot.db"), "snapshot").expect("written");
    pgrep("echo 7");
    // Another that is called alike.
    fs::create_dir_all(fakes.join("fd")).expect("a folder");
    fs::create_dir_all(fakes.join("data/member/snap")).expect("a folder");
    fs::write(fakes.join("data/member/snap/db"), "").expect("written");
    fs::write(fakes.join("etcd.yaml"), format!("    - --data-dir={}\n", fakes.join("data").display()))
        .expect("written");
    let (status, _, said) = machine.prove_stacked();
    assert!(status == 75 && said.contains("its etcd does not run, and only its container has"), "{status} {said}");

    fs::write(machine.place().join("snapshot.db"), "snapshot").expect("written");
    std::os::unix::fs::symlink(fakes.join("data/member/snap/db"), fakes.join("fd/9")).expect("linked");
    let (status, printed, said) = machine.prove_stacked();
    assert_eq!((status, said.as_str()), (0, ""));
    assert_eq!(parse(&printed).expect("a proof").1.keys, 12);
    assert_eq!(machine.left(), [""; 0]);
}

#[test]
fn what_does_not_fit_is_refused_with_words() {
    let machine = |etcd: &str, etcdctl: &str| Machine::new(etcd, etcdctl);
    let other = machine(ETCD, ETCDCTL);
    let (status, _, said) = other.prove(&"00".repeat(32), "3.4");
    assert!(status == 75 && said.contains("refused: snapshot.db has another SHA-256"), "{status} {said}");
    assert_eq!(other.left(), [""; 0]);
    let (status, _, said) = machine(ETCD, ETCDCTL).prove(&sha256(), "3.5");
    assert!(status == 75 && said.contains("refused: it is of etcd 3.5, and here is 3.4.23"), "{status} {said}");
    let (status, _, said) = machine("exit 127", ETCDCTL).prove(&sha256(), "3.4");
    assert!(status == 75 && said.contains("and here is none"), "{status} {said}");
    let (status, _, said) = machine(ETCD, "exit 1").prove(&sha256(), "3.4");
    assert!(status == 75 && said.contains("neither etcdutl nor an etcdctl that restores"), "{status} {said}");
}

#[test]
fn what_does_not_come_to_life_says_why() {
    let broken = ETCDCTL.replace("mkdir data", "echo 'Error: expected sha256 [1], got [2]' >&2; exit 1");
    let machine = Machine::new(ETCD, &broken);
    let (status, printed, said) = machine.prove(&sha256(), "3.4");
    assert_eq!((status, printed.as_str()), (1, ""));
    assert!(said.contains("it could not be restored: Error: expected sha256 [1], got [2]"), "{said}");
    assert_eq!(machine.left(), [""; 0]);

    let dies = ETCD.replace("exec sleep 60", "echo 'panic: no such bucket'; exit 2");
    let machine = Machine::new(&dies, &ETCDCTL.replace("*get*) ;;", ""));
    let (status, _, said) = machine.prove(&sha256(), "3.4");
    assert!(status == 1 && said.contains("etcd did not start on it: panic: no such bucket"), "{status} {said}");
    assert_eq!(machine.left(), [""; 0]);
}

#[test]
fn what_an_earlier_try_left_is_gone() {
    let machine = Machine::new(ETCD, ETCDCTL);
    let at = machine.place().join("at");
    fs::create_dir_all(at.join("data")).expect("a folder");
    fs::write(at.join("data/member"), "former").expect("written");
    // A process of that name in that folder, as an etcd whose job was killed; and one that is somebody else's.
    let named = machine.0.path().join("named");
    fs::create_dir(&named).expect("a folder");
    fs::copy("/bin/sleep", named.join("etcd")).expect("copied");
    let mut left = Command::new(named.join("etcd")).arg("60").current_dir(&at).spawn().expect("it runs");
    let mut other = Command::new("sleep").arg("60").current_dir(&at).spawn().expect("it runs");
    let (status, _, said) = machine.prove(&sha256(), "3.4");
    let (ended, lives) = (left.wait().expect("it ended"), other.try_wait().expect("a state").is_none());
    other.kill().and_then(|()| other.wait()).expect("ended");
    assert_eq!((status, ended.code(), lives), (0, None, true), "{said}");
    assert_eq!(machine.left(), [""; 0]);
}

#[test]
fn two_proofs_are_not_at_work_at_the_same_time() {
    let machine = Machine::new(ETCD, ETCDCTL);
    let lock = fs::File::create(machine.place().join(".lock")).expect("a file");
    let mut holds =
        Command::new("flock").arg(machine.place().join(".lock")).args(["sleep", "2"]).spawn().expect("runs");
    drop(lock);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let (status, _, said) = machine.prove(&sha256(), "3.4");
    let waited = holds.try_wait().expect("a state").is_some();
    holds.wait().expect("it ends");
    assert_eq!((status, waited), (0, true), "{said}");
}

/// Limits are for the throw-away etcd alone: kubeadm and dpkg are never ended by one.
#[test]
fn only_a_proof_is_bounded_by_systemd() {
    let words = |job: &str| {
        let fakes = Fakes::new(&[("systemctl", "echo systemd 252"), ("systemd-run", "")]);
        let start = call(Script::UnitStart, &["1", "run", "unit", job]);
        let path = format!("PATH={}:/usr/local/sbin", fakes.path().display());
        let script = super::text(&start).replacen("PATH=/usr/local/sbin", &path, 1);
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, "windlass"]).args(&start.args).env("FAKES", fakes.path());
        let started = shell.env("WINDLASS_ROOT", fakes.path().join("windlass")).status().expect("sh runs");
        assert!(started.success(), "{job}");
        fakes.calls("systemd-run").concat()
    };
    let proof = words("prove-snapshot");
    for word in ["CPUWeight=10", "IOWeight=10", "MemoryMax=50%", "RuntimeMaxSec=3600"] {
        assert!(proof.contains(word) && !words("kubeadm-apply").contains(word), "{word}: {proof}");
    }
}
