//! The seam against a real sshd on loopback: what is certain after each way a connection can fail, and how soon.
//!
//! Each test starts an sshd of its own, with a throw-away host key, as whoever runs the tests. `make test-lab`
//! runs them, with the lab's etcd in the path, where there is an sshd; it says so where there is none.

mod backup;
mod etcd;
mod loopback;
mod members;
mod operators;
#[path = "../ports/mod.rs"]
mod ports;
mod proving;
#[path = "../stores/s3.rs"]
#[expect(dead_code, reason = "another test's server, of which not all is needed here")]
mod s3;
mod secrets;
mod server;

use std::process::Command;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use windlass::inventory::{Address, Inventory};
use windlass::remote::ssh::{Fleet, Reason, SshTrouble};
use windlass::remote::{Call, Remote, RemoteError, Script};

use self::server::{Server, call, eventually, name, run, status_call};

/// A call that never ends: it reads from a pipe that nobody writes to.
fn endless_call(server: &Server) -> Call {
    let pipe = server.folder.path().join("pipe");
    run(Command::new("mkfifo").arg(&pipe));
    let pipe = pipe.to_str().expect("a path").to_owned();
    call(Script::EtcdIdentity, &[&pipe, &pipe, &pipe])
}

/// The reason of a failure before the start.
fn not_started(result: Result<windlass::remote::Output, RemoteError>) -> SshTrouble {
    match result {
        Err(RemoteError::NotStarted { cause, .. }) => {
            cause.downcast_ref::<SshTrouble>().expect("ssh's trouble").clone()
        }
        other => panic!("expected NotStarted, got {other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn a_script_answers() {
    let server = Server::start();
    let fleet = server.fleet();
    let here = name("here");
    let answer = fleet.call(&here, &status_call()).await.expect("an answer");
    assert_eq!((answer.status, answer.stdout.as_str()), (0, "state never\nsize 0\n"));
    let taken = fleet.call(&here, &call(Script::LockTake, &["1", "{\"a\": \"it's $HOME\"}", "me"])).await;
    assert_eq!(taken.expect("an answer").status, 0);
    let kept = std::fs::read_to_string(server.folder.path().join("node/lock")).expect("a lock");
    assert_eq!(kept, "{\"a\": \"it's $HOME\"}\n");
    assert_eq!(fleet.timings().so_far()[0].calls, 2);
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn a_file_is_sent() {
    let server = Server::start();
    let file = server.base().join("known_hosts");
    let size = std::fs::metadata(&file).expect("a file").len().to_string();
    let sum = Command::new("sha256sum").arg(&file).output().expect("sha256sum runs").stdout;
    let sum = String::from_utf8(sum).expect("text");
    let put = call(Script::PutFile, &["3", "files/a-b.txt", &sum[..64], &size]);
    let answer = server.fleet().send(&name("here"), &put, &file).await.expect("an answer");
    assert_eq!(answer.status, 0, "{answer:?}");
    let there = std::fs::read(server.folder.path().join("node/files/a-b.txt")).expect("the file");
    assert_eq!(there, std::fs::read(&file).expect("the file"));
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn host_keys_are_checked() {
    let server = Server::start();
    std::fs::write(server.folder.path().join("known_hosts"), "").expect("written");
    let unknown = not_started(server.fleet().call(&name("here"), &status_call()).await);
    assert_eq!(unknown.reason, Reason::HostKeyUnknown, "{unknown:?}");
    server.knows("known_hosts", "other_host");
    let changed = not_started(server.fleet().call(&name("here"), &status_call()).await);
    assert_eq!(changed.reason, Reason::HostKeyChanged, "{changed:?}");
    assert!(changed.words.contains("known_hosts:1"), "{changed:?}");

    let mut lax = server.inventory();
    lax.ssh.strict_host_keys = false;
    let fleet = Fleet::new(&lax, server.base()).expect("a fleet");
    assert_eq!(fleet.call(&name("here"), &status_call()).await.expect("an answer").status, 0);
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn why_a_node_cannot_be_reached_is_told() {
    let server = Server::start();
    let reason = async |change: &dyn Fn(&mut Inventory)| {
        let mut inventory = server.inventory();
        change(&mut inventory);
        let fleet = Fleet::new(&inventory, server.base()).expect("a fleet");
        let trouble = not_started(fleet.call(&name("here"), &status_call()).await);
        eprintln!("{trouble:?}");
        trouble.reason
    };
    assert_eq!(reason(&|i| i.ssh.identity = Some("other_user".into())).await, Reason::PermissionDenied);
    assert_eq!(reason(&|i| i.ssh.port = 1).await, Reason::Refused);
    let nowhere = Address::new("no-such-host.invalid").expect("an address");
    assert_eq!(reason(&|i| i.nodes[0].address = nowhere.clone()).await, Reason::Unresolved);
    // TEST-NET-1 (RFC 5737): no host has it. Where even its packets are refused, that is told instead.
    let silent = Address::new("192.0.2.1").expect("an address");
    let silence = reason(&|i| i.nodes[0].address = silent.clone()).await;
    assert!(matches!(silence, Reason::TimedOut | Reason::NoRoute | Reason::Refused), "{silence:?}");
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn a_server_that_hangs_in_a_call_leaves_it_in_doubt_soon() {
    let server = Server::start();
    let fleet = server.fleet();
    assert_eq!(fleet.call(&name("here"), &status_call()).await.expect("an answer").status, 0);
    let endless = endless_call(&server);
    let since = Instant::now();
    let hang = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.signal("STOP");
    };
    let here = name("here");
    let (result, ()) = tokio::join!(fleet.call(&here, &endless), hang);
    let took = since.elapsed();
    eprintln!("noticed after {took:?}: {result:?}");
    assert!(matches!(result, Err(RemoteError::InDoubt { .. })), "{result:?}");
    // Keepalive 1 s: three unanswered, and the one before; and time to start processes.
    assert!(took < Duration::from_secs(7), "{took:?}");
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn a_server_that_hangs_before_a_call_leaves_it_not_started() {
    let server = Server::start();
    let fleet = server.fleet();
    assert_eq!(fleet.call(&name("here"), &status_call()).await.expect("an answer").status, 0);
    server.signal("STOP");
    let _ = Command::new("kill").args(["-STOP", &server.sshd.id().to_string()]).status();
    let since = Instant::now();
    let trouble = not_started(fleet.call(&name("here"), &status_call()).await);
    let took = since.elapsed();
    let _ = Command::new("kill").args(["-CONT", &server.sshd.id().to_string()]).status();
    eprintln!("noticed after {took:?}: {trouble:?}");
    // As above, and then one new connection's 2 s.
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn a_lost_session_is_opened_again() {
    let server = Server::start();
    let fleet = server.fleet();
    assert_eq!(fleet.call(&name("here"), &status_call()).await.expect("an answer").status, 0);
    server.signal("KILL");
    assert_eq!(fleet.call(&name("here"), &status_call()).await.expect("an answer").status, 0);
    fleet.close().await;
    assert_eq!(fleet.call(&name("here"), &status_call()).await.expect("an answer").status, 0);
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn a_connection_cut_in_a_call_leaves_it_in_doubt() {
    let server = Server::start();
    let fleet = server.fleet();
    // A busy machine takes a while to connect; what is cut is the call.
    assert_eq!(fleet.call(&name("here"), &status_call()).await.expect("an answer").status, 0);
    let endless = endless_call(&server);
    let cut = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.signal("KILL");
    };
    let here = name("here");
    let (result, ()) = tokio::join!(fleet.call(&here, &endless), cut);
    assert!(matches!(result, Err(RemoteError::InDoubt { .. })), "{result:?}");
    eprintln!("{result:?}");
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn no_folder_nor_process_is_left_behind() {
    let server = Server::start();
    let fleet = server.fleet();
    assert_eq!(fleet.call(&name("here"), &status_call()).await.expect("an answer").status, 0);
    let shown = format!("{fleet:?}");
    let folder = shown.split('"').find(|part| part.contains("/wl-")).map(Utf8PathBuf::from).expect("its folder");
    assert!(folder.exists());
    drop(fleet);
    assert!(eventually(|| !folder.exists()));
    let masters = || {
        let listed = Command::new("ps").args(["ax", "-o", "args="]).output().expect("ps runs");
        String::from_utf8_lossy(&listed.stdout).contains(folder.as_str())
    };
    assert!(eventually(|| !masters()));
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn a_jump_is_made_under_the_same_rules() {
    let server = Server::start();
    let mut inventory = server.inventory();
    inventory.ssh.jump = Some(format!("localhost:{}", server.port));
    let fleet = Fleet::new(&inventory, server.base()).expect("a fleet");
    assert_eq!(fleet.call(&name("here"), &status_call()).await.expect("an answer").status, 0);
    drop(fleet);
    server.knows("known_hosts", "other_host");
    let fleet = Fleet::new(&inventory, server.base()).expect("a fleet");
    assert_eq!(not_started(fleet.call(&name("here"), &status_call()).await).reason, Reason::Jump);
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn root_is_asked_for_once_and_its_refusal_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start();
    let mut inventory = server.inventory();
    inventory.ssh.sudo = true;
    let sudo = server.folder.path().join("bin/sudo");
    std::fs::create_dir(server.folder.path().join("bin")).expect("a folder");
    let becomes = |script: &str| {
        std::fs::write(&sudo, format!("#!/bin/sh\necho \"$*\" >>{}.log\n{script}\n", sudo.display())).expect("written");
        std::fs::set_permissions(&sudo, std::fs::Permissions::from_mode(0o755)).expect("it may run");
    };
    becomes("echo 'sudo: a password is required' >&2; exit 1");
    let fleet = Fleet::new(&inventory, server.base()).expect("a fleet");
    let refused = not_started(fleet.call(&name("here"), &status_call()).await);
    assert_eq!(refused, SshTrouble::new(Reason::NoSudo, "sudo: a password is required"));

    becomes("shift 2; exec \"$@\"");
    for _ in 0..2 {
        assert_eq!(fleet.call(&name("here"), &status_call()).await.expect("an answer").status, 0);
    }
    let asked = std::fs::read_to_string(server.folder.path().join("bin/sudo.log")).expect("a log");
    let call = "-n -- sh -s -- run unit";
    let lines: Vec<&str> = asked.lines().collect();
    assert_eq!(lines, ["-n -- sh -c :", "-n -- sh -c :", call, call]);
}
