//! The seam against a real sshd on loopback: what is certain after each way a connection can fail, and how soon.
//!
//! Each test starts an sshd of its own, with a throw-away host key, as whoever runs the tests. Where there is no sshd, the
//! tests say so and pass.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use windlass::inventory::{Address, Etcd, Inventory, Kubeadm, Node, NodeName, Role, Ssh, Topology};
use windlass::remote::ssh::{Fleet, Reason, SshTrouble};
use windlass::remote::{Call, Remote, RemoteError, Script};

const SSHD: &str = "/usr/sbin/sshd";

struct Server {
    sshd: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal("CONT");
        self.signal("KILL");
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

impl Server {
    /// A server that is ready; none when this machine has no sshd.
    fn start() -> Option<Self> {
        if !Path::new(SSHD).exists() {
            eprintln!("no {SSHD} here: not tested");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("sshd-").tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        for key in ["host", "other_host", "user", "other_user"] {
            let file = folder.path().join(key);
            run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file));
        }
        let at = folder.path().display();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {at}/host\nAuthorizedKeysFile {at}/user.pub\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nSetEnv WINDLASS_ROOT={at}/node\n"
        );
        std::fs::write(folder.path().join("sshd_config"), config).expect("written");
        // What Debian's unit makes before it starts sshd; only root's sshd wants it.
        let _ = std::fs::create_dir_all("/run/sshd");
        let sshd = Command::new(SSHD)
            .args(["-D", "-E"])
            .arg(folder.path().join("log"))
            .arg("-f")
            .arg(folder.path().join("sshd_config"))
            .stdin(Stdio::null())
            .spawn()
            .expect("sshd starts");
        let server = Self { sshd, port, folder };
        server.knows("known_hosts", "host");
        let ready = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(eventually(ready), "sshd listens: {:?}", std::fs::read_to_string(server.folder.path().join("log")));
        Some(server)
    }

    /// Writes a known_hosts file with the public key `key`.
    fn knows(&self, file: &str, key: &str) {
        let public = std::fs::read_to_string(self.folder.path().join(format!("{key}.pub"))).expect("a key");
        let line = format!("[127.0.0.1]:{} {public}", self.port);
        std::fs::write(self.folder.path().join(file), line).expect("written");
    }

    fn inventory(&self) -> Inventory {
        Inventory {
            name: "loopback".to_owned(),
            ssh: Ssh {
                user: None,
                port: self.port,
                identity: Some("user".into()),
                config: None,
                known_hosts: Some("known_hosts".into()),
                jump: None,
                connect_timeout: Duration::from_secs(2),
                keepalive: Duration::from_secs(1),
                sudo: false,
                strict_host_keys: true,
            },
            api_endpoint: None,
            etcd: Etcd {
                topology: Topology::External,
                service: "etcd".to_owned(),
                package: "etcd-server".to_owned(),
                client_package: None,
                ca: "/nowhere/ca".into(),
                cert: "/nowhere/cert".into(),
                key: "/nowhere/key".into(),
                env_file: "/etc/default/etcd".into(),
                client_port: 2379,
            },
            kubeadm: Kubeadm::default(),
            nodes: vec![Node {
                name: name("here"),
                address: Address::new("127.0.0.1").expect("an address"),
                roles: BTreeSet::from([Role::Worker]),
                labels: BTreeMap::new(),
            }],
        }
    }

    fn base(&self) -> &Utf8Path {
        Utf8Path::from_path(self.folder.path()).expect("a path in UTF-8")
    }

    fn fleet(&self) -> Fleet {
        Fleet::new(&self.inventory(), self.base()).expect("a fleet")
    }

    /// Signals the processes that serve connections, not the one that listens.
    fn signal(&self, signal: &str) {
        let mut parents = vec![self.sshd.id().to_string()];
        while let Some(parent) = parents.pop() {
            let listed = Command::new("ps").args(["--ppid", &parent, "-o", "pid=,comm="]).output().expect("ps runs");
            for line in String::from_utf8_lossy(&listed.stdout).lines().filter(|line| line.contains("sshd")) {
                let pid = line.split_whitespace().next().unwrap_or_default().to_owned();
                let _ = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
                parents.push(pid);
            }
        }
    }
}

fn run(command: &mut Command) {
    assert!(command.status().expect("it runs").success(), "{command:?}");
}

fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    // Five seconds: a loaded machine starts a process within one.
    (0..100).any(|_| {
        let now = holds();
        if !now {
            std::thread::sleep(Duration::from_millis(50));
        }
        now
    })
}

fn name(word: &str) -> NodeName {
    NodeName::new(word).expect("a node name")
}

fn call(script: Script, args: &[&str]) -> Call {
    Call { script, args: args.iter().map(|arg| (*arg).to_owned()).collect() }
}

fn status_call() -> Call {
    call(Script::UnitStatus, &["run", "unit"])
}

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
async fn a_script_answers() {
    let Some(server) = Server::start() else { return };
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
async fn a_file_is_sent() {
    let Some(server) = Server::start() else { return };
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
async fn host_keys_are_checked() {
    let Some(server) = Server::start() else { return };
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
async fn why_a_node_cannot_be_reached_is_told() {
    let Some(server) = Server::start() else { return };
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
async fn a_server_that_hangs_in_a_call_leaves_it_in_doubt_soon() {
    let Some(server) = Server::start() else { return };
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
async fn a_server_that_hangs_before_a_call_leaves_it_not_started() {
    let Some(server) = Server::start() else { return };
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
async fn a_lost_session_is_opened_again() {
    let Some(server) = Server::start() else { return };
    let fleet = server.fleet();
    assert_eq!(fleet.call(&name("here"), &status_call()).await.expect("an answer").status, 0);
    server.signal("KILL");
    assert_eq!(fleet.call(&name("here"), &status_call()).await.expect("an answer").status, 0);
    fleet.close().await;
    assert_eq!(fleet.call(&name("here"), &status_call()).await.expect("an answer").status, 0);
}

#[tokio::test]
async fn a_connection_cut_in_a_call_leaves_it_in_doubt() {
    let Some(server) = Server::start() else { return };
    let fleet = server.fleet();
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
async fn no_folder_nor_process_is_left_behind() {
    let Some(server) = Server::start() else { return };
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
async fn an_etcd_that_is_not_there_is_told() {
    let Some(server) = Server::start() else { return };
    let fleet = server.fleet();
    let error = fleet.etcd_status(&name("here")).await.expect_err("no etcd");
    assert!(error.to_string().contains("certificates could not be read"), "{error}");
}
