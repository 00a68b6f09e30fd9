//! What must stay where it is: keys, and the operator's environment. Windlass looks at a machine as it does for a plan, with
//! everything logged, and meanwhile every process is watched.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use data_encoding::BASE64;

use crate::etcd::Member;
use crate::ports::free_port;
use crate::server::Server;

/// In the operator's environment, as a cloud's password might be.
const ENVIRONMENT: &str = "windlass-test-secret-3f9d1c";

/// An inventory of a control plane and a member, which are both this machine.
fn inventory(server: &Server, member: &Member) -> String {
    let at = server.base();
    format!(
        "format = 1\nname = \"loopback\"\n\
         [ssh]\nport = {}\nidentity = \"user\"\nknown_hosts = \"known_hosts\"\nconnect_timeout = \"5s\"\nsudo = false\n\
         [etcd]\ntopology = \"external\"\nca = \"{at}/ca.crt\"\ncert = \"{at}/node.crt\"\nkey = \"{at}/node.key\"\nclient_port = {}\n\
         [[node]]\nname = \"cp1\"\naddress = \"localhost\"\nroles = [\"control-plane\"]\n\
         [[node]]\nname = \"etcd1\"\naddress = \"127.0.0.1\"\nroles = [\"etcd\"]\n",
        server.port, member.port
    )
}

fn plan(server: &Server) -> Command {
    let mut windlass = Command::new(env!("CARGO_BIN_EXE_windlass"));
    windlass
        .args(["upgrade", "plan", "-i", "inventory.toml", "--to", "1.21.14", "--save-facts", "facts.json"])
        .args(["--out", "plan.json", "--state", "state", "--record", "recording"])
        .current_dir(server.base())
        .env("WINDLASS_LOG", "trace")
        .env("CLOUD_PASSWORD", ENVIRONMENT)
        .stdin(Stdio::null());
    windlass
}

/// The secrets, each in the ways it could be written.
fn secrets(server: &Server) -> Vec<(&'static str, Vec<u8>)> {
    let body = |file: &str| -> String {
        let text = std::fs::read_to_string(server.base().join(file)).expect("a key");
        text.lines().filter(|line| !line.starts_with("---")).collect()
    };
    let (etcd, ssh) = (body("node.key"), body("user"));
    let der = BASE64.decode(etcd.as_bytes()).expect("PEM");
    // In the middle of PKCS #8 for P-256 stands the secret number itself; at the end of it, the public point.
    let middle = &der[40..52];
    let numbers: Vec<String> = middle.iter().map(ToString::to_string).collect();
    vec![
        ("etcd's key", etcd.as_bytes()[50..90].to_vec()),
        ("etcd's key in numbers", numbers.join(", ").into_bytes()),
        ("etcd's key in hexadecimal", data_encoding::HEXLOWER.encode(middle).into_bytes()),
        ("etcd's key as it is", middle.to_vec()),
        // An unencrypted OpenSSH key: the secret half is in the last third.
        ("the key of SSH", ssh.as_bytes()[ssh.len() - 120..ssh.len() - 80].to_vec()),
        ("the operator's environment", ENVIRONMENT.as_bytes().to_vec()),
    ]
}

fn holds(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}

/// Which secrets stand in the command line of any process, or in the environment of one on the node's side.
fn told_by_processes(secrets: &[(&'static str, Vec<u8>)]) -> Vec<String> {
    let mut told = Vec::new();
    for process in std::fs::read_dir("/proc").expect("a /proc").flatten() {
        let read = |file: &str| std::fs::read(process.path().join(file)).unwrap_or_default();
        let words = read("cmdline");
        // sshd gives this to every session; who has it is on the node.
        let environment = Some(read("environ")).filter(|all| holds(all, b"WINDLASS_ROOT=")).unwrap_or_default();
        for (what, secret) in secrets {
            if holds(&words, secret) || holds(&environment, secret) {
                told.push(format!("{what}: {}", String::from_utf8_lossy(&words).replace('\0', " ")));
            }
        }
    }
    told
}

/// Runs it and watches the processes meanwhile; also says how often they were looked at.
fn watched(mut command: Command, secrets: &[(&'static str, Vec<u8>)]) -> (Output, Vec<String>, usize) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let (mut told, mut looks) = (Vec::new(), 0);
            while !over.load(Ordering::SeqCst) {
                told.extend(told_by_processes(secrets));
                looks += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            (told, looks)
        });
        let output = command.output().expect("windlass runs");
        over.store(true, Ordering::SeqCst);
        let (told, looks) = watching.join().expect("it ends");
        (output, told, looks)
    })
}

/// Every file and folder below, with its mode.
fn modes(folder: &Path) -> Vec<(String, bool, u32)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let data = entry.metadata().expect("it is there");
        found.push((entry.path().display().to_string(), data.is_dir(), data.permissions().mode() & 0o777));
        if data.is_dir() {
            found.extend(modes(&entry.path()));
        }
    }
    found
}

#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn looking_at_machines_tells_no_secret() {
    let server = Server::start();
    Member::certificates(server.base());
    let member = Member::start(server.base(), free_port());
    let secrets = secrets(&server);
    std::fs::write(server.base().join("inventory.toml"), inventory(&server, &member)).expect("written");
    let (output, told, looks) = watched(plan(&server), &secrets);
    let log = String::from_utf8_lossy(&output.stderr);
    eprintln!("{} bytes of log, processes looked at {looks} times", output.stderr.len());
    assert!(looks > 20, "the processes were hardly looked at");
    assert!(told.is_empty(), "{told:?}");

    // It did look: etcd was asked with the key, and everything that can be logged was.
    let facts = std::fs::read_to_string(server.base().join("facts.json")).expect("facts");
    let facts_read = windlass::facts::from_json(&facts).expect("facts");
    assert!(facts_read.etcd.known().is_some_and(|etcd| etcd.members.len() == 1), "{facts}");
    assert!(log.contains("TRACE") && log.contains("DEBUG"), "{log}");
    let recording = std::fs::read(server.base().join("recording")).expect("a recording");
    assert!(holds(&recording, b"etcd-members"), "etcd was asked on the record");
    let places = [("log", &output.stderr), ("output", &output.stdout), ("recording", &recording)];
    for (what, secret) in &secrets {
        for (place, bytes) in places {
            assert!(!holds(bytes, secret), "{what} is in the {place}");
        }
        assert!(!holds(facts.as_bytes(), secret), "{what} is in the facts");
    }
    for file in ["facts.json", "recording"] {
        let mode = std::fs::metadata(server.base().join(file)).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file} has mode {mode:o}");
    }
    assert!(!server.base().join("plan.json").exists(), "there is no cluster to plan for");
    assert!(!server.base().join("node").exists(), "looking leaves nothing on the machine");
}

#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn a_changed_host_key_is_refused_and_nothing_is_run() {
    let server = Server::start();
    Member::certificates(server.base());
    let member = Member::start(server.base(), free_port());
    std::fs::write(server.base().join("inventory.toml"), inventory(&server, &member)).expect("written");
    server.knows("known_hosts", "other_host");
    let output = plan(&server).env_remove("WINDLASS_LOG").output().expect("windlass runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprintln!("{out}{err}");
    // What could not be seen is a reason, too; what is sure is that there is no plan.
    assert_eq!(output.status.code(), Some(11), "{out}{err}");
    for node in ["cp1", "etcd1"] {
        let why =
            format!("could not reach {node}: the host key is not the one that is known; Offending ED25519 key in");
        assert!(out.contains(&why), "{why}\n{out}{err}");
    }
    assert!(err.ends_with("hint: nothing was changed on any node\n"), "{err}");
    let log = std::fs::read_to_string(server.base().join("log")).expect("sshd's log");
    assert!(!log.contains("Accepted"), "somebody logged in: {log}");
}

#[test]
#[ignore = "needs sshd and etcd on this machine"]
fn what_is_kept_on_a_machine_is_closed_to_others() {
    use windlass::remote::{Remote as _, Script};

    use crate::server::{call, name, run};
    let server = Server::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let fleet = server.fleet();
        let here = name("here");
        let taken = call(Script::LockTake, &["1", "{}", "me"]);
        assert_eq!(fleet.call(&here, &taken).await.expect("an answer").status, 0);
        let file = server.base().join("known_hosts");
        let bytes = std::fs::read(&file).expect("a file");
        let sum = windlass::decide::plan::digest(&bytes);
        let put = call(Script::PutFile, &["1", "snapshots/a.db", &sum, &bytes.len().to_string()]);
        assert_eq!(fleet.send(&here, &put, &file).await.expect("an answer").status, 0);
        // What ssh and Windlass keep on this side while they work.
        let folder = format!("{fleet:?}").split('"').find(|part| part.contains("/wl-")).expect("its folder").to_owned();
        assert_eq!(std::fs::metadata(&folder).expect("it is there").permissions().mode() & 0o777, 0o700);
        assert_eq!(
            std::fs::metadata(format!("{folder}/config")).expect("it is there").permissions().mode() & 0o777,
            0o600
        );
    });
    run(Command::new("chmod").arg("700").arg(server.folder.path()));
    let kept = modes(&server.folder.path().join("node"));
    assert!(kept.iter().any(|(path, ..)| path.ends_with("snapshots/a.db")), "{kept:?}");
    for (path, folder, mode) in kept {
        assert_eq!(mode, if folder { 0o700 } else { 0o600 }, "{path} has mode {mode:o}");
    }
}
