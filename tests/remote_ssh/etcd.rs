//! Etcd over the connection: TLS, a restart, a member that hangs.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use windlass::facts::Seen;
use windlass::remote::Remote;
use windlass::remote::ssh::Fleet;

use crate::ports::free_port;
use crate::server::{Server, eventually, name, run};

/// An etcd whose certificate holds only the address 127.0.0.1.
pub(crate) struct Member {
    etcd: Child,
    pub(crate) port: u16,
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.etcd.kill();
        let _ = self.etcd.wait();
    }
}

impl Member {
    /// Makes the certificates `ca.crt`, `node.crt` and `node.key` in `folder`.
    pub(crate) fn certificates(folder: &Utf8Path) {
        let script = "
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=ca
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout node.key -out node.csr -subj /CN=node
            echo subjectAltName=IP:127.0.0.1 >ext
            openssl x509 -req -in node.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out node.crt";
        let made = Command::new("sh").args(["-ec", script]).current_dir(folder).output().expect("sh runs");
        assert!(made.status.success(), "{made:?}");
    }

    pub(crate) fn start(folder: &Utf8Path, port: u16) -> Self {
        let url = format!("https://127.0.0.1:{port}");
        let peer = format!("http://127.0.0.1:{}", free_port());
        let etcd = Command::new("etcd")
            .args(["--name", "one", "--data-dir", folder.join("data").as_str(), "--client-cert-auth"])
            .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("one={peer}"), "--trusted-ca-file", folder.join("ca.crt").as_str()])
            .args(["--cert-file", folder.join("node.crt").as_str(), "--key-file", folder.join("node.key").as_str()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd starts");
        assert!(eventually(|| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()));
        Self { etcd, port }
    }
}

fn with_etcd(server: &Server, port: u16) -> Fleet {
    let mut inventory = server.inventory();
    inventory.etcd.ca = server.base().join("ca.crt");
    inventory.etcd.cert = server.base().join("node.crt");
    inventory.etcd.key = server.base().join("node.key");
    inventory.etcd.client_port = port;
    Fleet::new(&inventory, server.base()).expect("a fleet")
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn etcd_is_asked_through_the_connection_and_again_after_its_restart() {
    let server = Server::start();
    Member::certificates(server.base());
    let member = Member::start(server.base(), free_port());
    let port = member.port;
    let fleet = with_etcd(&server, port);
    let here = name("here");
    let members = fleet.etcd_members(&here).await.expect("members");
    assert_eq!((members.members.len(), members.members[0].name.as_str()), (1, "one"));
    let status = fleet.etcd_status(&here).await.expect("a status");
    assert_eq!((status.member_id, status.leader), (members.members[0].id, members.members[0].id));
    assert!(status.healthy.known().is_some(), "{status:?}");
    fleet.etcd_hash(&here, status.revision).await.expect("a hash");

    drop(member);
    let error = fleet.etcd_status(&here).await.expect_err("it is down").to_string();
    eprintln!("{error}");
    assert!(error.contains("nobody listens there"), "{error}");
    let _member = Member::start(server.base(), port);
    assert!(fleet.etcd_status(&here).await.is_ok(), "a new connection is made");

    let into = server.base().join("snapshot.db");
    let wanted = windlass::remote::SnapshotWanted { members: Vec::new(), revision: 0 };
    // Nothing was ever put: no revision of any key.
    let error = fleet.etcd_snapshot(&here, &into, &wanted).await.expect_err("an empty etcd").to_string();
    assert!(error.contains("no revision") && !into.exists(), "{error}");
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn users_of_etcds_own_are_noticed() {
    let server = Server::start();
    Member::certificates(server.base());
    let member = Member::start(server.base(), free_port());
    let fleet = with_etcd(&server, member.port);
    let here = name("here");
    assert_eq!(fleet.etcd_members(&here).await.expect("members").auth, Seen::Known(false));

    // The certificate's own name becomes a user, who may do everything: backups go on.
    for words in ["user add root:secret", "user add node:secret", "user grant-role node root", "auth enable"] {
        run(Command::new("etcdctl").args(words.split(' ')).env("ETCDCTL_API", "3").envs([
            ("ETCDCTL_ENDPOINTS", format!("https://127.0.0.1:{}", member.port)),
            ("ETCDCTL_CACERT", server.base().join("ca.crt").to_string()),
            ("ETCDCTL_CERT", server.base().join("node.crt").to_string()),
            ("ETCDCTL_KEY", server.base().join("node.key").to_string()),
        ]));
    }
    assert_eq!(fleet.etcd_members(&here).await.expect("members").auth, Seen::Known(true));
    let status = fleet.etcd_status(&here).await.expect("a status");
    assert!(status.healthy.known().is_some(), "{status:?}");
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn a_stopped_etcd_is_given_up_soon() {
    let server = Server::start();
    Member::certificates(server.base());
    let member = Member::start(server.base(), free_port());
    let fleet = with_etcd(&server, member.port);
    fleet.etcd_members(&name("here")).await.expect("members");
    run(Command::new("kill").args(["-STOP", &member.etcd.id().to_string()]));
    let since = Instant::now();
    let error = fleet.etcd_members(&name("here")).await.expect_err("it hangs");
    eprintln!("given up after {:?}: {error}", since.elapsed());
    // One question's 5 s, then a handshake's.
    assert!(since.elapsed() < Duration::from_secs(12), "{error}");
}

#[tokio::test]
#[ignore = "needs sshd and etcd on this machine"]
async fn an_identity_that_is_not_there_is_told() {
    let server = Server::start();
    let error = server.fleet().etcd_status(&name("here")).await.expect_err("no etcd");
    assert!(error.to_string().contains("certificates could not be read"), "{error}");
}
