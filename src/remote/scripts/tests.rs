//! The scripts run here with `sh` against a folder of the test's own: what they refuse, what they store, and who wins.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::*;

const ALL: [Script; 68] = [
    Script::Probe,
    Script::Api,
    Script::UnitStatus,
    Script::UnitWait,
    Script::UnitStart,
    Script::LockTake,
    Script::LockReplace,
    Script::LockRelease,
    Script::TokenRaise,
    Script::PutFile,
    Script::CopyAppend,
    Script::CopyRead,
    Script::EtcdIdentity,
    Script::EtcdService,
    Script::PkiRead,
    Script::ForgetRun,
    Script::Archive,
    Script::FetchPackages,
    Script::FetchArchive,
    Script::InstallPrograms,
    Script::RestorePrograms,
    Script::FetchTool,
    Script::PullImages,
    Script::InstallPackages,
    Script::RestorePackages,
    Script::MoveLeader,
    Script::MemberReady,
    Script::PlaceCertificates,
    Script::RenewCertificates,
    Script::RestoreCertificates,
    Script::MemberAdd,
    Script::MemberJoin,
    Script::MemberKubeadm,
    Script::MemberPromote,
    Script::MemberRemove,
    Script::MemberRetire,
    Script::MemberConfig,
    Script::ProveSnapshot,
    Script::Defrag,
    Script::KubeadmPlan,
    Script::KubeadmApply,
    Script::KubeadmNode,
    Script::Cordon,
    Script::Drain,
    Script::Uncordon,
    Script::KubeletRestart,
    Script::StopStaticPods,
    Script::StartStaticPods,
    Script::StopEtcd,
    Script::RestoreMember,
    Script::StartEtcd,
    Script::RestartContainers,
    Script::ForgetData,
    Script::Introduce,
    Script::PrepareMachine,
    Script::SetUpRuntime,
    Script::MemberForm,
    Script::KubeadmInit,
    Script::KubeadmJoin,
    Script::ApplyManifest,
    Script::RevokeTokens,
    Script::SetUpBalancer,
    Script::HandOver,
    Script::DrainServer,
    Script::ReturnServer,
    Script::LeaveCluster,
    Script::DeleteNode,
    Script::Run,
];

pub(super) fn call(script: Script, args: &[&str]) -> Call {
    Call { script, args: args.iter().map(|arg| (*arg).to_owned()).collect() }
}

/// Runs a script as the seam does, by stdin; or, with `input`, in the command line.
pub(super) fn run(root: &Path, call: &Call, input: Option<&[u8]>) -> Output {
    let text = text(call);
    let mut shell = Command::new("sh");
    match input {
        None => shell.args(["-s", "--"]),
        Some(_) => shell.args(["-c", &text, "windlass"]),
    };
    shell.args(&call.args).env("WINDLASS_ROOT", root);
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = shell.spawn().expect("sh runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    // A script that refuses need not read all.
    let _ = stdin.write_all(input.unwrap_or(text.as_bytes()));
    drop(stdin);
    child.wait_with_output().expect("sh ends")
}

pub(super) fn status(root: &Path, script: Script, args: &[&str]) -> (i32, String) {
    let output = run(root, &call(script, args), None);
    let status = output.status.code().expect("no signal");
    assert!(
        matches!(status, 0 | 3 | 4 | 9) || !output.stderr.is_empty(),
        "{script:?} {args:?}: a refusal without words"
    );
    (status, String::from_utf8(output.stdout).expect("text"))
}

pub(super) fn took(token: &str, owner: &str) -> [String; 3] {
    [token.to_owned(), format!("{{\"holder\":\"{owner}\"}}"), owner.to_owned()]
}

pub(super) fn take(root: &Path, token: &str, owner: &str) -> (i32, String) {
    let [token, holder, owner] = took(token, owner);
    status(root, Script::LockTake, &[&token, &holder, &owner])
}

fn stored(root: &Path) -> String {
    std::fs::read_to_string(root.join("token")).unwrap_or_default().trim().to_owned()
}

pub(super) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn every_script_is_one_that_a_shell_can_read() {
    for script in ALL {
        for job in JOBS {
            let call = call(script, &["1", "run", "unit", name(job)]);
            let mut shell = Command::new("sh").arg("-n").stdin(Stdio::piped()).spawn().expect("sh runs");
            let mut stdin = shell.stdin.take().expect("a pipe");
            stdin.write_all(text(&call).as_bytes()).expect("written");
            drop(stdin);
            assert!(shell.wait().expect("sh ends").success(), "{script:?} {job:?}");
        }
    }
}

/// A script that is cut off anywhere before its last line has run nothing: only that line calls `main`.
#[test]
fn the_last_line_is_what_runs() {
    for script in ALL {
        let text = text(&call(script, &["1", "run", "unit", "drain"])).into_owned();
        let lines: Vec<&str> = text.trim_end().lines().collect();
        let runs = lines.iter().filter(|line| line.starts_with("main \"$@\"")).count();
        let jobs = usize::from(script == Script::UnitStart);
        assert_eq!(runs, 1 + jobs, "{script:?}");
        let wanted = if script == Script::PutFile { "main \"$@\"" } else { "main \"$@\" </dev/null" };
        assert_eq!(lines.last(), Some(&wanted), "{script:?}");
    }
}

#[test]
fn a_job_travels_inside_unit_start() {
    let start = text(&call(Script::UnitStart, &["1", "run", "unit", "kubelet-restart"]));
    assert!(start.contains(own_text(Script::KubeletRestart).trim_end()) && !start.contains("@JOB@"));
    let unknown = text(&call(Script::UnitStart, &["1", "run", "unit", "probe"]));
    assert!(unknown.contains(NO_JOB));
}

#[test]
fn names_are_their_files_and_serde_names() {
    for script in ALL {
        let written = serde_json::to_string(&script).expect("it is written");
        assert_eq!(written, format!("\"{}\"", name(script)));
    }
}

#[test]
fn a_lock_is_one_holders() {
    let root = folder();
    let root = root.path();
    assert_eq!(take(root, "5", "anna").0, 0);
    assert_eq!(take(root, "6", "berta"), (3, "{\"holder\":\"anna\"}\n".to_owned()));
    assert_eq!(stored(root), "5");
    assert_eq!(take(root, "5", "anna"), (4, "5\n".to_owned()), "an equal token is refused");
    assert_eq!(take(root, "7", "anna").0, 0, "its holder may take it again");
    assert_eq!(status(root, Script::LockRelease, &["5"]), (3, "7\n".to_owned()));
    assert_eq!(status(root, Script::LockRelease, &["7"]).0, 0);
    assert_eq!(status(root, Script::LockRelease, &["5"]).0, 0, "it is gone already");
    assert_eq!(status(root, Script::TokenRaise, &["6"]), (3, "7\n".to_owned()));
    assert_eq!(status(root, Script::TokenRaise, &["9"]).0, 0);
    assert_eq!(status(root, Script::TokenRaise, &["8"]), (3, "9\n".to_owned()));
    assert_eq!(take(root, "9", "berta"), (4, "9\n".to_owned()), "tokens only rise");
    assert_eq!(take(root, "10", "berta").0, 0);
}

#[test]
fn of_fifty_takers_one_wins() {
    let root = folder();
    let statuses: Vec<i32> = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..50)
            .map(|number| {
                let root = root.path();
                scope.spawn(move || take(root, "1", &format!("taker-{number}")).0)
            })
            .collect();
        takers.into_iter().map(|taker| taker.join().expect("it ends")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 0).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 0 | 3)), "{statuses:?}");
}

#[test]
fn what_is_no_token_is_refused() {
    let root = folder();
    for token in ["", "x", "-1", "1 2", "1;2", "9999999999999999999"] {
        assert_eq!(take(root.path(), token, "anna").0, 2, "{token}");
    }
    assert_eq!(take(root.path(), "999999999999999999", "anna").0, 0);
}

#[test]
fn a_broken_token_store_is_not_taken_for_zero() {
    let root = folder();
    for token in ["rubbish\n", "\n", "-1\n", "99999999999999999999\n"] {
        std::fs::write(root.path().join("token"), token).expect("written");
        assert_eq!(take(root.path(), "1", "anna").0, 6, "{token}");
        assert_eq!(status(root.path(), Script::UnitStart, &["1", "run", "unit", "run", "true"]).0, 6, "{token}");
        assert_eq!(std::fs::read_to_string(root.path().join("token")).expect("it is there"), token);
    }
}

#[test]
fn an_owner_cannot_forge_a_second_line() {
    let root = folder();
    assert_eq!(take(root.path(), "1", "anna\nberta").0, 2);
}

/// Here no systemd runs, or not for us: so far, and no further, the start of a unit can be seen.
#[test]
fn a_unit_is_not_started_under_an_old_token_nor_twice() {
    let root = folder();
    let root = root.path();
    assert_eq!(take(root, "5", "anna").0, 0);
    let start = |token: &str| status(root, Script::UnitStart, &[token, "run", "unit", "run", "true"]);
    assert_eq!(start("4"), (3, "5\n".to_owned()));
    assert!(!root.join("runs").exists());
    let unit = root.join("runs/run/unit");
    std::fs::create_dir_all(&unit).expect("a folder");
    std::fs::write(unit.join("started"), "boot\n1\n").expect("written");
    assert_eq!(start("5").0, 4);
    assert_eq!(start("6").0, 4);
    assert_eq!(stored(root), "6", "a higher token is stored whatever comes of it");
}

#[test]
fn names_lead_nowhere_else() {
    let root = folder();
    for name in ["", "..", ".", "a/b", "a b", "A", "-a", "a..b", "$(id)"] {
        assert_eq!(status(root.path(), Script::UnitStatus, &[name, "unit"]).0, 2, "{name}");
        assert_eq!(status(root.path(), Script::UnitStart, &["1", "run", name, "run", "true"]).0, 2, "{name}");
    }
}

#[test]
fn a_unit_that_ended_is_read_from_its_files() {
    let root = folder();
    let unit = root.path().join("runs/run/unit");
    std::fs::create_dir_all(&unit).expect("a folder");
    assert_eq!(status(root.path(), Script::UnitStatus, &["run", "unit"]), (0, "state never\nsize 0\n".to_owned()));
    for (file, text) in [("started", "boot\n1\n"), ("rc", "7\n"), ("log", "0123456789")] {
        std::fs::write(unit.join(file), text).expect("written");
    }
    let told = "state exited\nrc 7\nsize 10\n".to_owned();
    assert_eq!(status(root.path(), Script::UnitStatus, &["run", "unit"]), (0, told.clone()));
    let waited = status(root.path(), Script::UnitWait, &["run", "unit", "5", "4"]);
    assert_eq!(waited, (0, format!("{told}next 10\nlog\n456789")));
    let beyond = status(root.path(), Script::UnitWait, &["run", "unit", "5", "11"]);
    assert_eq!(beyond, (0, format!("{told}next 11\nlog\n")));
}

#[test]
fn a_file_is_kept_only_when_it_is_what_was_announced() {
    use sha2::Digest;
    let root = folder();
    let root = root.path();
    let bytes = b"an image list\n";
    let sum = crate::text::hex(&sha2::Sha256::digest(bytes));
    let put = |token: &str, name: &str, size: &str, input: &[u8]| {
        let output = run(root, &call(Script::PutFile, &[token, name, &sum, size]), Some(input));
        output.status.code().expect("no signal")
    };
    assert_eq!(put("1", "files/list", "14", bytes), 0);
    assert_eq!(std::fs::read(root.join("files/list")).expect("the file"), bytes);
    assert_eq!(put("1", "files/cut", "14", &bytes[..13]), 8);
    assert_eq!(put("1", "files/other", "14", b"an image lisp\n"), 8);
    assert_eq!(put("0", "files/old", "14", bytes), 3);
    for name in ["../x", "/etc/x", "a/../x", "token", "lock", "runs/a/b/rc", ".flock", "a/", "a b", ""] {
        assert_eq!(put("1", name, "14", bytes), 2, "{name}");
    }
    let kept: Vec<_> = std::fs::read_dir(root.join("files")).expect("a folder").collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
}

/// A systemd of the test's own: it runs the unit at once, and keeps the words that it was given.
#[test]
fn a_unit_leaves_nothing_open_nor_told() {
    use std::os::unix::fs::PermissionsExt;
    let (root, fakes) = (folder(), folder());
    let root = root.path().join("windlass");
    let fake = |name: &str, text: &str| {
        let path = fakes.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it may run");
    };
    let at = fakes.path().display();
    fake("systemctl", "echo systemd 252");
    fake("systemd-run", &format!("echo \"$*\" >{at}/words; while [ \"$1\" != -- ]; do shift; done; shift; \"$@\""));
    let start = call(Script::UnitStart, &["1", "run", "unit", "run", "sh", "-c", "echo out; umask", "a;b $HOME 'c'"]);
    let script = text(&start).replace("PATH=/usr/local/sbin", &format!("PATH={at}:/usr/local/sbin"));
    let mut shell = Command::new("sh")
        .args(["-s", "--"])
        .args(&start.args)
        .env("WINDLASS_ROOT", &root)
        .env("CLOUD_PASSWORD", "secret-of-the-environment")
        .stdin(Stdio::piped())
        .spawn()
        .expect("sh runs");
    shell.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("written");
    assert!(shell.wait().expect("sh ends").success());

    let unit = root.join("runs/run/unit");
    let read = |path: &Path| std::fs::read_to_string(path).expect("text");
    assert_eq!((read(&unit.join("log")), read(&unit.join("rc"))), ("out\n0022\n".to_owned(), "0\n".to_owned()));
    let words = read(&fakes.path().join("words"));
    assert!(
        !words.contains("HOME") && words.trim_end().ends_with(&format!("-- /bin/sh {}", unit.join("wrap").display())),
        "{words}"
    );
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            assert_eq!(mode(&entry), 0o600, "{}", entry.display());
            assert!(!read(&entry).contains("secret-of-the-environment"), "{}", entry.display());
        }
    }
}

#[test]
fn what_is_kept_is_roots_alone() {
    use std::os::unix::fs::PermissionsExt;
    let root = folder();
    let root = root.path().join("windlass");
    assert_eq!(take(&root, "1", "anna").0, 0);
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&root), mode(&root.join("lock")), mode(&root.join("token"))), (0o700, 0o600, 0o600));
}

#[test]
fn an_identity_that_cannot_be_read_is_told() {
    let root = folder();
    let (code, _) = status(root.path(), Script::EtcdIdentity, &["/nowhere/ca", "/nowhere/cert", "/nowhere/key"]);
    assert_eq!(code, 6);
}

#[test]
fn a_run_that_is_over_is_forgotten_and_snapshots_stay() {
    let root = folder();
    let root = root.path();
    for file in [
        "archives/0a1b/node.tar.gz",
        "packages/0a1b/a.deb",
        "runs/0a1b/u.1/log",
        "snapshots/lab.db",
        "snapshots/restore-1f.db",
    ] {
        std::fs::create_dir_all(root.join(file).parent().expect("a folder")).expect("made");
        std::fs::write(root.join(file), "some").expect("written");
    }
    for (kind, run) in [("archives", "other"), ("packages", "other"), ("runs", "other")] {
        std::fs::create_dir_all(root.join(kind).join(run)).expect("made");
    }
    assert_eq!(take(root, "5", "anna").0, 0);
    assert_eq!(status(root, Script::ForgetRun, &["4", "0a1b"]), (3, "5\n".to_owned()));
    assert!(root.join("archives/0a1b/node.tar.gz").exists(), "an old token takes nothing away");
    let (code, told) = status(root, Script::ForgetRun, &["5", "0a1b"]);
    let words: Vec<&str> = told.split_whitespace().step_by(2).collect();
    assert_eq!((code, words), (0, vec!["archive", "packages", "units"]), "{told}");
    assert!(told.split_whitespace().skip(1).step_by(2).all(|bytes| bytes.parse::<u64>().expect("bytes") > 0), "{told}");
    for kind in ["archives", "packages", "runs"] {
        let left: Vec<_> =
            std::fs::read_dir(root.join(kind)).expect("it stays").map(|e| e.expect("one").file_name()).collect();
        assert_eq!(left, ["other"], "{kind}");
    }
    assert!(root.join("snapshots/lab.db").exists() && root.join("snapshots/restore-1f.db").exists());
    let again = "archive 0\npackages 0\nunits 0\n".to_owned();
    assert_eq!(status(root, Script::ForgetRun, &["5", "0a1b"]), (0, again));
    for name in ["", "..", "a/b"] {
        assert_eq!(status(root, Script::ForgetRun, &["5", name]).0, 2, "{name}");
        assert_eq!(status(root, Script::ForgetRun, &["5", "0a1b", name]).0, 2, "{name}");
    }
    // The one that a restore was made from goes.
    assert_eq!(status(root, Script::ForgetRun, &["5", "0a1b", "restore-1f.db"]).0, 0);
    assert!(root.join("snapshots/lab.db").exists() && !root.join("snapshots/restore-1f.db").exists());
}

#[test]
fn what_a_snapshot_does_not_bring_back_is_read_where_the_machine_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    write("etc/default/etcd", "ETCD_NAME=a\nETCD_TRUSTED_CA_FILE=\"/srv/etcd/tls/root.crt\"\n");
    write("srv/etcd/tls/root.crt", "authority");
    write("srv/etcd/tls/root.key", "secret");
    write("srv/etcd/tls/server.key", "a member's own");
    write("etc/systemd/system/etcd.service.d/10-flags.conf", "[Service]");
    write("var/lib/kubelet/config.yaml", "kind: KubeletConfiguration");
    let mut shell = Command::new("sh");
    shell.args(["-c", own_text(Script::PkiRead), "windlass", "/etc/kubernetes/admin.conf", "/etc/default/etcd"]);
    let output = shell.env("WINDLASS_FILES", folder.path()).output().expect("sh runs");
    assert!(output.status.success(), "{output:?}");
    let at = output.stdout.windows(5).position(|window| window == b"\ntar\n").expect("a tar");
    let mut archive = tar::Archive::new(&output.stdout[at + 5..]);
    let path = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        entry.expect("an entry").path().expect("a path").to_string_lossy().into_owned()
    };
    let mut files: Vec<String> = archive.entries().expect("entries").map(path).collect();
    files.sort();
    let wanted = [
        "etc/default/etcd",
        "etc/systemd/system/etcd.service.d/10-flags.conf",
        "srv/etcd/tls/root.crt",
        "srv/etcd/tls/root.key",
        "var/lib/kubelet/config.yaml",
    ];
    assert_eq!(files, wanted);
}
