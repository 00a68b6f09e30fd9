//! etcd's programs from an archive, put in the place of others and back, run here with `sh`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::Digest as _;

use super::Script;
use super::job_tests::{Fakes, GUARD, etcdctl, says};
use crate::text::hex;

const NAME: &str = "0123456789abcdef.tar.gz";

/// A program that tells its version, as etcd's do.
fn program(path: &Path, version: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, format!("#!/bin/sh\necho 'etcd Version: {version}'\n")).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("executable");
}

/// A node with etcd and etcdctl 3.5.21, and an archive of 3.6.12 that also has etcdutl.
struct Node {
    fakes: Fakes,
    sha256: String,
}

impl Node {
    fn new(leader: u64) -> Self {
        let fakes = Fakes::new(&[
            ("etcdctl", &etcdctl(&says(41, leader), &says(42, leader))),
            ("systemctl", "echo 0"),
            ("curl", "echo '{\"etcdserver\":\"3.6.12\",\"etcdcluster\":\"3.5.0\"}'"),
            ("chown", ""),
        ]);
        for name in ["etcd", "etcdctl"] {
            program(&fakes.path().join("bin").join(name), "3.5.21");
        }
        for name in ["etcd", "etcdctl", "etcdutl", "else"] {
            program(&fakes.path().join("etcd-v3.6.12-linux-amd64").join(name), "3.6.12");
        }
        let folder = fakes.path().join("windlass/etcd");
        std::fs::create_dir_all(&folder).expect("made");
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(fakes.path()).arg("-czf").arg(folder.join(NAME)).arg("etcd-v3.6.12-linux-amd64");
        assert!(tar.status().expect("tar runs").success());
        let sha256 = hex(&sha2::Sha256::digest(std::fs::read(folder.join(NAME)).expect("it is there")));
        Self { fakes, sha256 }
    }

    fn bin(&self, name: &str) -> PathBuf {
        self.fakes.path().join("bin").join(name)
    }

    fn install(&self, sha256: &str, version: &str) -> (i32, String) {
        let etcd = self.bin("etcd");
        let args = ["0a1b", GUARD, NAME, sha256, version, etcd.to_str().expect("a path")];
        self.fakes.run(Script::InstallPrograms, &args)
    }

    fn restore(&self) -> (i32, String) {
        let etcd = self.bin("etcd");
        self.fakes.run(Script::RestorePrograms, &["0a1b", GUARD, "3.5", etcd.to_str().expect("a path")])
    }

    /// What each program of etcd's says of itself.
    fn versions(&self) -> Vec<String> {
        let version = |name: &str| {
            let output = Command::new(self.bin(name)).output().ok()?;
            Some(format!("{name} {}", String::from_utf8_lossy(&output.stdout).trim().rsplit(' ').next()?))
        };
        ["etcd", "etcdctl", "etcdutl", "else"].into_iter().filter_map(version).collect()
    }
}

const BEFORE: [&str; 2] = ["etcd 3.5.21", "etcdctl 3.5.21"];
const AFTER: [&str; 3] = ["etcd 3.6.12", "etcdctl 3.6.12", "etcdutl 3.6.12"];

#[test]
fn programs_are_put_in_place_and_the_former_ones_are_kept_once() {
    let node = Node::new(42);
    for _ in 0..2 {
        assert_eq!(node.install(&node.sha256, "3.6.12"), (0, String::new()));
        assert_eq!(node.versions(), AFTER);
    }
    assert_eq!(node.fakes.calls("systemctl restart"), ["systemctl restart etcd"; 2], "it did not run");
    let mode = std::fs::metadata(node.bin("etcd")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    let left = std::fs::read_dir(node.fakes.path().join("windlass/etcd")).expect("a folder").count();
    assert_eq!(left, 1, "what was unpacked is gone");

    assert_eq!(node.restore(), (0, String::new()));
    assert_eq!(node.versions()[..2], BEFORE, "the first ones, not what the second try found");
}

#[test]
fn another_archive_another_version_and_a_leader_are_refused_before_anything_is_changed() {
    let node = Node::new(42);
    let other = "0".repeat(64);
    for (sha256, version, why) in [
        (other.as_str(), "3.6.12", "has another SHA-256"),
        (node.sha256.as_str(), "3.6.11", "holds etcd 3.6.12, not 3.6.11"),
    ] {
        let (status, said) = node.install(sha256, version);
        assert!(status == 75 && said.contains(why), "{status} {said}");
    }
    let led = Node::new(41);
    let (status, said) = led.install(&led.sha256, "3.6.12");
    assert!(status == 75 && said.contains("this member leads etcd"), "{status} {said}");
    for node in [node, led] {
        assert_eq!(node.versions(), BEFORE);
        assert!(node.fakes.calls("systemctl").is_empty());
    }
}

/// An archive's names may lead anywhere: only its programs' bytes are taken.
#[test]
fn a_link_in_an_archive_leads_nowhere() {
    let node = Node::new(42);
    let folder = node.fakes.path().join("etcd-v3.6.12-linux-amd64");
    std::fs::remove_file(folder.join("etcdctl")).expect("removed");
    std::os::unix::fs::symlink("/etc/passwd", folder.join("etcdctl")).expect("linked");
    let tar = node.fakes.path().join("windlass/etcd").join(NAME);
    let mut made = Command::new("tar");
    made.arg("-C").arg(node.fakes.path()).arg("-czf").arg(&tar).arg("etcd-v3.6.12-linux-amd64");
    assert!(made.status().expect("tar runs").success());
    let sha256 = hex(&sha2::Sha256::digest(std::fs::read(&tar).expect("it is there")));
    let (status, said) = node.install(&sha256, "3.6.12");
    assert!(status == 75 && said.contains("etcdctl in the archive is empty, or no file"), "{status} {said}");
    assert_eq!(node.versions(), BEFORE);
}

#[test]
fn former_programs_come_back_only_while_the_others_report_the_old_cluster_version() {
    let node = Node::new(42);
    assert_eq!(node.install(&node.sha256, "3.6.12").0, 0);
    let risen = node.fakes.path().join("curl");
    std::fs::write(&risen, "#!/bin/sh\necho '{\"etcdserver\":\"3.6.12\",\"etcdcluster\":\"3.6.0\"}'\n")
        .expect("written");
    let (status, said) = node.restore();
    assert!(status == 75 && said.contains("reports cluster version 3.6, not 3.5"), "{status} {said}");
    assert_eq!(node.versions(), AFTER);
}

#[test]
fn an_archive_is_downloaded_once_and_kept_only_when_it_is_the_one() {
    let fakes = Fakes::new(&[("curl", "while [ \"$1\" != -o ]; do shift; done; printf archive >\"$2\"")]);
    let sha256 = hex(&sha2::Sha256::digest(b"archive"));
    let kept = fakes.path().join("windlass/etcd").join(NAME);
    let (status, said) = fakes.run(Script::FetchArchive, &[NAME, &"0".repeat(64), "https://example.org/etcd.tar.gz"]);
    assert!(status == 75 && said.contains(&format!("has the SHA-256 {sha256}")), "{status} {said}");
    assert_eq!(std::fs::read_dir(kept.parent().expect("a folder")).expect("it is there").count(), 0);
    for _ in 0..2 {
        let fetched = fakes.run(Script::FetchArchive, &[NAME, &sha256, "https://example.org/etcd.tar.gz"]);
        assert_eq!(fetched, (0, String::new()));
        assert_eq!(std::fs::read(&kept).expect("it is there"), b"archive");
    }
    assert_eq!(fakes.calls("curl").len(), 2, "the second time it was there");
}
