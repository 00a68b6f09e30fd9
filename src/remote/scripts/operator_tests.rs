//! What keeps operators apart and lets one go on for another: the lock that is replaced, and the copies of a run.

use std::path::Path;

use super::tests::{call, folder, status, take, took};
use super::{Script, text};

fn replace(root: &Path, token: &str, owner: &str, seen: &str) -> (i32, String) {
    let [token, holder, owner] = took(token, owner);
    status(root, Script::LockReplace, &[&token, &holder, &owner, seen])
}

#[test]
fn a_lock_is_replaced_only_while_it_is_the_one_that_was_seen() {
    let root = folder();
    let root = root.path();
    assert_eq!(take(root, "5", "anna").0, 0);
    assert_eq!(replace(root, "7", "berta", "4"), (4, "5\n".to_owned()), "anna took it since");
    assert_eq!(replace(root, "5", "berta", "5").0, 2, "a token that does not rise fences nobody");
    assert_eq!(replace(root, "7", "berta", "5").0, 0);
    assert_eq!(
        replace(root, "7", "clara", "5"),
        (4, "7\n".to_owned()),
        "of two who saw the same, the second is refused"
    );
    assert_eq!(take(root, "8", "anna"), (3, "{\"holder\":\"berta\"}\n".to_owned()));
    assert_eq!(
        status(root, Script::LockRelease, &["5"]),
        (3, "7\n".to_owned()),
        "the former holder gives nothing back"
    );
    assert_eq!(status(root, Script::UnitStart, &["5", "run", "unit", "run", "true"]), (3, "7\n".to_owned()));
    assert_eq!(take(root, "8", "berta").0, 0, "it is berta's now");
    assert_eq!(status(root, Script::LockRelease, &["8"]).0, 0);
    assert_eq!(replace(root, "9", "clara", "8").0, 0, "where nobody holds it, it is simply taken");
}

#[test]
fn of_fifty_who_replace_the_same_holder_one_wins() {
    let root = folder();
    assert_eq!(take(root.path(), "1", "anna").0, 0);
    let statuses: Vec<i32> = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..50)
            .map(|number| {
                let root = root.path();
                scope.spawn(move || replace(root, "2", &format!("taker-{number}"), "1").0)
            })
            .collect();
        takers.into_iter().map(|taker| taker.join().expect("it ends")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 0).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 0 | 4)), "{statuses:?}");
}

fn append(root: &Path, token: &str, offset: usize, text: &str) -> (i32, String) {
    status(root, Script::CopyAppend, &[token, "run", "journal", &offset.to_string(), text])
}

fn copied(root: &Path) -> String {
    std::fs::read_to_string(root.join("copies/run/journal")).expect("a copy")
}

#[test]
fn a_copy_grows_by_pieces_and_any_piece_may_come_twice() {
    use std::os::unix::fs::PermissionsExt;
    let root = folder();
    let root = root.path();
    assert_eq!(append(root, "3", 0, "one it's $HOME é\n").0, 0);
    assert_eq!(append(root, "3", 18, "two\n").0, 0);
    let whole = "one it's $HOME é\ntwo\n";
    assert_eq!(copied(root), whole);
    assert_eq!(append(root, "3", 18, "two\n").0, 0);
    assert_eq!(append(root, "3", 0, "one it's $HOME é\n").0, 0);
    assert_eq!((append(root, "3", 22, "").0, append(root, "3", 0, "").0), (0, 0));
    assert_eq!(copied(root), whole);
    assert_eq!(append(root, "3", 23, "four\n"), (9, "22\n".to_owned()), "a gap");
    std::fs::write(root.join("copies/run/journal"), format!("{whole}th")).expect("written");
    assert_eq!(append(root, "3", 22, "three\n").0, 0, "the half that a crash left is completed");
    assert_eq!(append(root, "3", 18, "two\nthree\nfour\n").0, 0);
    assert_eq!(copied(root), format!("{whole}three\nfour\n"));
    assert_eq!(append(root, "2", 33, "five\n"), (3, "3\n".to_owned()), "under an old token");
    assert_eq!(copied(root), format!("{whole}three\nfour\n"));
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&root.join("copies/run")), mode(&root.join("copies/run/journal"))), (0o700, 0o600));
    let kept: Vec<_> = std::fs::read_dir(root.join("copies/run")).expect("a folder").collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
}

#[test]
fn another_history_is_set_aside_and_not_lost() {
    let root = folder();
    let root = root.path();
    assert_eq!(append(root, "3", 0, "one\ntwo\nlost\n").0, 0);
    assert_eq!(append(root, "5", 0, "one\n").0, 0);
    assert_eq!(append(root, "5", 4, "two\n").0, 0);
    assert_eq!(copied(root), "one\ntwo\nlost\n", "so far it is the same history");
    assert_eq!(append(root, "5", 8, "other\n").0, 0);
    assert_eq!(append(root, "5", 14, "more\n").0, 0);
    assert_eq!(copied(root), "one\ntwo\nother\nmore\n");
    let aside = std::fs::read_to_string(root.join("copies/run/journal.before-5")).expect("set aside");
    assert_eq!(aside, "one\ntwo\nlost\n");
}

#[test]
fn copies_are_read_by_run_and_name() {
    let root = folder();
    let root = root.path();
    assert_eq!(status(root, Script::CopyRead, &[]), (0, String::new()));
    assert_eq!(status(root, Script::CopyRead, &["run", "journal"]).0, 4);
    for run in ["b2", "a1"] {
        assert_eq!(status(root, Script::CopyAppend, &["1", run, "plan.json", "0", "{\"a\": 1}\n"]).0, 0);
    }
    assert_eq!(status(root, Script::CopyRead, &[]), (0, "a1\nb2\n".to_owned()));
    assert_eq!(status(root, Script::CopyRead, &["a1", "plan.json"]), (0, "{\"a\": 1}\n".to_owned()));
    for words in [&["..", "journal"][..], &["a1", "../../token"], &["a1", "token"], &["a1"], &["a/b", "journal"]] {
        assert_eq!(status(root, Script::CopyRead, words).0, 2, "{words:?}");
    }
    for words in [["1", "..", "journal", "0", "x"], ["1", "a1", "token", "0", "x"], ["1", "a1", "journal", "-1", "x"]] {
        assert_eq!(status(root, Script::CopyAppend, &words).0, 2, "{words:?}");
    }
}

/// What the probe tells of Windlass's own; systemd is a program of the test's.
#[test]
fn units_that_run_are_told_with_their_start() {
    use std::os::unix::fs::PermissionsExt;
    let (root, bin) = (folder(), folder());
    let root = root.path();
    let systemctl = bin.path().join("systemctl");
    let says = "case \"$*\" in *lost.1.service*) echo LoadState=not-found ;; *over.1*) echo SubState=exited ;; \
                *mute.1*) exit 1 ;; *) echo SubState=running ;; esac";
    std::fs::write(&systemctl, format!("#!/bin/sh\n{says}\n")).expect("written");
    std::fs::set_permissions(&systemctl, std::fs::Permissions::from_mode(0o755)).expect("executable");
    assert_eq!(take(root, "5", "anna").0, 0);
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot id");
    let unit = |run: &str, name: &str, started: &str| {
        let folder = root.join("runs").join(run).join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("started"), started).expect("written");
        folder
    };
    for name in ["ended.1", "running.1", "lost.1", "over.1", "mute.1"] {
        unit("r1", name, &format!("{boot}1800000000\n"));
    }
    std::fs::write(root.join("runs/r1/ended.1/rc"), "0\n").expect("written");
    unit("r2", "running.2", &format!("{boot}1800000001\n"));
    unit("r2", "before-the-boot.1", "another-boot\n1800000000\n");
    unit("r2", "torn.1", "");
    let probe = call(Script::Probe, &["windlass", "-"]);
    let text = text(&probe).replacen("PATH=", &format!("PATH={}:", bin.path().display()), 1);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &text, "windlass"]).args(&probe.args).env("WINDLASS_ROOT", root);
    let output = shell.output().expect("sh runs");
    let told = String::from_utf8(output.stdout).expect("text");
    let machine = crate::facts::probe::parse(&told).expect("an answer");
    assert_eq!((machine.token, machine.lock.as_deref()), (5, Some("{\"holder\":\"anna\"}")));
    let units: Vec<String> = machine.units.iter().map(|unit| format!("{} {}", unit.name(), unit.since)).collect();
    let wanted = [
        "windlass-r1-mute.1 2027-01-15T08:00:00Z",
        "windlass-r1-running.1 2027-01-15T08:00:00Z",
        "windlass-r2-running.2 2027-01-15T08:00:01Z",
    ];
    assert_eq!(units, wanted);
}
