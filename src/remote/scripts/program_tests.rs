//! etcd's programs from an archive, put in the place of others and back, run here with `sh`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use sha2::Digest as _;

use super::Script;
use super::job_tests::{Fakes, GUARD, etcdctl, says};
use crate::text::hex;

const NAME: &str = "packages/0a1b/0123456789abcdef.tar.gz";

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
        std::fs::create_dir_all(fakes.path().join("windlass/packages/0a1b")).expect("made");
        let mut node = Self { fakes, sha256: String::new() };
        node.pack(&["etcd-v3.6.12-linux-amd64"]);
        node
    }

    /// Makes the archive anew of what tar is told.
    fn pack(&mut self, words: &[&str]) {
        let archive = self.fakes.path().join("windlass").join(NAME);
        let mut tar = Command::new("tar");
        tar.arg("-P").arg("-C").arg(self.fakes.path()).arg("-czf").arg(&archive).args(words);
        assert!(tar.status().expect("tar runs").success());
        self.sha256 = hex(&sha2::Sha256::digest(std::fs::read(archive).expect("it is there")));
    }

    /// Runs a program of etcd's, here: what systemd would tell of.
    fn starts(&self, program: &Path) -> Child {
        // Not by us: whoever forks meanwhile would have it open for writing, and it could not be run.
        assert!(Command::new("cp").arg("/bin/sleep").arg(program).status().expect("cp runs").success());
        let child = Command::new(program).arg("60").spawn().expect("it runs");
        let systemctl = format!("#!/bin/sh\necho \"systemctl $*\" >>\"$FAKES/calls\"\necho {}\n", child.id());
        std::fs::write(self.fakes.path().join("systemctl"), systemctl).expect("written");
        child
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
    let left = |folder: &str| {
        let names = std::fs::read_dir(node.fakes.path().join(folder)).expect("a folder");
        let mut names: Vec<String> =
            names.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
        names.sort();
        names
    };
    assert_eq!(left("windlass/packages/0a1b"), ["0123456789abcdef.tar.gz", "programs"], "what was unpacked is gone");
    assert_eq!(left("bin"), ["etcd", "etcdctl", "etcdutl"]);

    assert_eq!(node.restore(), (0, String::new()));
    assert_eq!(node.versions(), BEFORE, "the first ones, not what the second try found; and no other");
    assert_eq!(left("bin"), ["etcd", "etcdctl"]);
}

/// What was never replaced is not put back, whatever lies there.
#[test]
fn what_was_not_kept_is_not_put_back() {
    let node = Node::new(42);
    let (status, said) = node.restore();
    assert!(status == 77 && said.contains("they were not kept"), "{status} {said}");
    assert!(node.fakes.calls("systemctl restart").is_empty());
}

#[test]
fn a_member_is_restarted_unless_it_runs_on_the_new_program() {
    let node = Node::new(42);
    let mut runs = node.starts(&node.bin("etcd"));
    assert_eq!(node.install(&node.sha256, "3.6.12"), (0, String::new()));
    let restarts = ["systemctl reset-failed etcd", "systemctl restart etcd"];
    let calls = |node: &Node| node.fakes.calls("systemctl re");
    assert_eq!(calls(&node), restarts, "what it runs is not there any more");
    runs.kill().and_then(|()| runs.wait()).expect("it is gone");

    let node = Node::new(42);
    std::os::unix::fs::symlink(node.bin("etcd-3.5.21"), node.bin("linked")).expect("linked");
    std::fs::remove_file(node.bin("etcd")).expect("removed");
    std::fs::rename(node.bin("linked"), node.bin("etcd")).expect("renamed");
    let mut runs = node.starts(&node.bin("etcd-3.5.21"));
    assert_eq!(node.install(&node.sha256, "3.6.12"), (0, String::new()));
    assert_eq!(calls(&node), restarts, "a link was in its place: what it led to is still there");
    runs.kill().and_then(|()| runs.wait()).expect("it is gone");
}

#[test]
fn a_service_that_runs_another_program_is_refused() {
    let node = Node::new(42);
    let mut runs = node.starts(&node.fakes.path().join("etcd"));
    let (status, said) = node.install(&node.sha256, "3.6.12");
    assert!(status == 75 && said.contains("etcd runs ") && said.contains(", not "), "{status} {said}");
    assert_eq!(node.versions(), BEFORE);
    assert!(node.fakes.calls("systemctl re").is_empty());
    runs.kill().and_then(|()| runs.wait()).expect("it is gone");
}

/// No room beside the programs, say: those that run stay.
#[test]
fn what_cannot_be_put_beside_changes_nothing() {
    let node = Node::new(42);
    let chown = "#!/bin/sh\ncase $* in *etcd.windlass*) [ \"${2##*/}\" != .etcd.windlass ] ;; esac\n";
    std::fs::write(node.fakes.path().join("chown"), chown).expect("written");
    assert_eq!(node.install(&node.sha256, "3.6.12").0, 1);
    assert_eq!(node.versions(), BEFORE, "not even the tools");
    assert_eq!(std::fs::read_dir(node.bin("")).expect("a folder").count(), 2, "nothing is left beside");
    assert!(node.fakes.calls("systemctl re").is_empty());
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
fn names_and_links_in_an_archive_lead_nowhere() {
    let mut node = Node::new(42);
    let folder = node.fakes.path().join("etcd-v3.6.12-linux-amd64");
    for (made, why) in [("a link", true), ("a hard link", true), ("up and away", false)] {
        std::fs::remove_file(folder.join("etcdctl")).expect("removed");
        match made {
            "a link" => std::os::unix::fs::symlink("/etc/passwd", folder.join("etcdctl")).expect("linked"),
            "a hard link" => std::fs::hard_link(folder.join("else"), folder.join("etcdctl")).expect("linked"),
            _ => program(&node.fakes.path().join("etcdctl-away"), "9.9.9"),
        }
        if made == "a hard link" {
            node.pack(&["etcd-v3.6.12-linux-amd64/else", "etcd-v3.6.12-linux-amd64"]);
        } else {
            let renamed = "--transform=s,etcdctl-away,../../../../bin/etcdctl,S";
            let away = if made == "a link" { "etcd-v3.6.12-linux-amd64" } else { "etcdctl-away" };
            node.pack(&[renamed, "etcd-v3.6.12-linux-amd64/etcd", away]);
        }
        let (status, said) = node.install(&node.sha256, "3.6.12");
        if why {
            assert!(status == 75 && said.contains("etcdctl in the archive is empty, or no file"), "{status} {said}");
            assert_eq!(node.versions(), BEFORE, "{made}");
        } else {
            assert_eq!((status, node.versions()), (0, vec!["etcd 3.6.12".to_owned(), BEFORE[1].to_owned()]), "{said}");
        }
    }
}

/// It tells its version where it is unpacked, or it is not put in place.
#[test]
fn a_program_that_does_not_start_is_refused() {
    let mut node = Node::new(42);
    let etcd = node.fakes.path().join("etcd-v3.6.12-linux-amd64/etcd");
    std::fs::write(&etcd, "\u{7f}ELF of another machine").expect("written");
    node.pack(&["etcd-v3.6.12-linux-amd64"]);
    let (status, said) = node.install(&node.sha256, "3.6.12");
    assert!(status == 75 && said.contains("holds etcd that does not run here, not 3.6.12"), "{status} {said}");
    std::fs::remove_file(&etcd).expect("removed");
    node.pack(&["etcd-v3.6.12-linux-amd64"]);
    assert_eq!(node.install(&node.sha256, "3.6.12").0, 75);
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
    let kept = fakes.path().join("windlass").join(NAME);
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

/// Words of the address are one word of curl's, which is told that it is the address.
#[test]
fn an_address_is_neither_an_option_nor_code() {
    let fakes = Fakes::new(&[("curl", "for word; do echo \"curl-word $word\" >>\"$FAKES/calls\"; done; exit 3")]);
    let url = "-K/etc/passwd $(touch \"$FAKES/read-as-code\") https://a/{x,y}";
    assert_eq!(fakes.run(Script::FetchArchive, &[NAME, &"0".repeat(64), url]), (3, String::new()));
    let words = fakes.calls("curl-word");
    assert_eq!(words[words.len() - 2..], ["curl-word --url".to_owned(), format!("curl-word {url}")]);
    for word in ["--globoff", "=http,https"] {
        assert!(words.iter().any(|known| known == &format!("curl-word {word}")), "{words:?}");
    }
    assert!(!fakes.path().join("read-as-code").exists());
}
