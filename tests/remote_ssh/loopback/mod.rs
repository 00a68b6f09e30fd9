//! A cluster on loopback: real etcd, the real scripts and the real door over SSH; each machine is an address of this one and a
//! folder. Its systemd is a script of the test's own (`systemctl`, `systemd-run`), which starts etcd from the machine's
//! environment file. Paths on a machine are those below `machine`, led to the machine's own folder on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use windlass::facts::{EtcdFacts, MemberStatus, Seen};
use windlass::inventory::{Address, Inventory, Node, NodeName, Role};
use windlass::observe;
use windlass::remote::ssh::Fleet;
use windlass::remote::{
    Call, HashKv, MemberList, Output, Remote, RemoteError, SnapshotContents, SnapshotWanted, scripts,
};

use crate::ports::free_port;
use crate::server::{Server, name, run};

/// What every script on a node looks for programs in.
const NODE_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The etcd that is in the path: Debian's packages carry its version and a `-4`.
pub(crate) struct Loopback {
    server: Server,
    fleet: Fleet,
    pub(crate) inventory: Inventory,
    /// Machines that do not answer.
    away: Mutex<BTreeSet<NodeName>>,
    /// The jobs that were started, as `NAME MACHINE`.
    pub(crate) jobs: Mutex<Vec<String>>,
    port: u16,
    peer_port: u16,
}

impl Drop for Loopback {
    fn drop(&mut self) {
        for node in self.inventory.etcd_nodes() {
            let _ = self.systemctl(&node.name, &["stop", "etcd"]);
        }
    }
}

impl Loopback {
    /// `machines` machines of etcd, of which the first `members` are members, and one control plane.
    pub(crate) fn start(machines: u8, members: u8) -> Self {
        let server = Server::start_for(usize::from(machines) + 2);
        let mut inventory = server.inventory();
        let node = |name: &str, number: u8, role| Node {
            name: NodeName::new(name).expect("a name"),
            address: Address::new(format!("127.0.0.{number}")).expect("an address"),
            roles: BTreeSet::from([role]),
            labels: BTreeMap::new(),
        };
        // Nobody listens at 127.0.0.1: the door tries that first on every machine.
        inventory.nodes = (1..=machines).map(|number| node(&format!("etcd{number}"), number + 1, Role::Etcd)).collect();
        inventory.nodes.push(node("cp1", machines + 2, Role::ControlPlane));
        let machine = server.base().join("machine");
        inventory.etcd.ca = machine.join("pki/ca.crt");
        inventory.etcd.cert = machine.join("pki/client.crt");
        inventory.etcd.key = machine.join("pki/client.key");
        inventory.etcd.env_file = machine.join("etc/etcd.env");
        inventory.etcd.client_port = free_port();
        let fleet = Fleet::new(&inventory, server.base()).expect("a fleet");
        let port = inventory.etcd.client_port;
        let peer_port = free_port();
        let (away, jobs) = (Mutex::default(), Mutex::default());
        let loopback = Self { server, fleet, inventory, away, jobs, port, peer_port };
        loopback.programs();
        loopback.certificates();
        let first: Vec<u8> = (1..=members).collect();
        let listed: Vec<String> =
            first.iter().map(|number| format!("etcd{number}={}", loopback.peer_url(*number))).collect();
        for number in first {
            loopback.environment(number, &listed.join(","));
            assert!(loopback.systemctl(&name(&format!("etcd{number}")), &["start", "etcd"]));
        }
        loopback
    }

    pub(crate) fn base(&self) -> &Utf8Path {
        self.server.base()
    }

    /// A machine's own folder.
    pub(crate) fn folder(&self, node: &NodeName) -> Utf8PathBuf {
        self.base().join(node.as_str())
    }

    pub(crate) fn peer_url(&self, number: u8) -> String {
        format!("https://127.0.0.{}:{}", number + 1, self.peer_port)
    }

    pub(crate) fn client_url(&self, number: u8) -> String {
        format!("https://127.0.0.{}:{}", number + 1, self.port)
    }

    fn programs(&self) {
        let bin = self.base().join("fakes");
        std::fs::create_dir(&bin).expect("a folder");
        let version = Command::new("etcd").arg("--version").output().expect("etcd runs").stdout;
        let version = String::from_utf8_lossy(&version);
        let version = version.lines().next().and_then(|line| line.strip_prefix("etcd Version: ")).expect("a version");
        let dpkg = format!("echo 'package etcd-server hold installed {version}-4'\n");
        for (program, text) in [
            ("systemctl", include_str!("systemctl.sh")),
            ("systemd-run", include_str!("systemd-run.sh")),
            ("dpkg-query", dpkg.as_str()),
            ("apt-mark", "exit 0\n"),
        ] {
            let path = bin.join(program);
            std::fs::write(&path, format!("#!/bin/sh\n{text}")).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
        }
    }

    /// Makes `NAME.crt` and `NAME.key` of an authority.
    pub(crate) fn authority(&self, name: &str) {
        let curve = "ec -pkeyopt ec_paramgen_curve:P-256";
        let made = format!(
            "openssl req -x509 -newkey {curve} -nodes -keyout {name}.key -out {name}.crt -days 90 -subj /CN={name}"
        );
        Self::shell(self.base(), &made);
    }

    /// One CA; for every machine of etcd a server's and a peer's certificate of its own, and the client's.
    fn certificates(&self) {
        self.authority("ca");
        for (number, node) in (2..).zip(self.inventory.with_role(Role::Etcd)) {
            let pki = self.folder(&node.name).join("pki");
            std::fs::create_dir_all(&pki).expect("a folder");
            std::fs::create_dir_all(self.folder(&node.name).join("etc")).expect("a folder");
            for certificate in ["server", "peer", "client"] {
                // Whoever dials on loopback does so from 127.0.0.1, and etcd holds that against the certificate.
                self.certificate(&pki, certificate, &format!("IP:127.0.0.{number},IP:127.0.0.1"));
            }
            std::fs::copy(self.base().join("ca.crt"), pki.join("ca.crt")).expect("copied");
        }
        // The door reads what lies on the machine at the inventory's path.
        let first = self.folder(&name("etcd1")).join("pki");
        run(Command::new("cp").args(["-r", first.as_str()]).arg(self.machine("pki")));
    }

    fn machine(&self, file: &str) -> Utf8PathBuf {
        let machine = self.base().join("machine");
        std::fs::create_dir_all(&machine).expect("a folder");
        machine.join(file)
    }

    /// Makes `NAME.crt` and `NAME.key` in `pki`, for these addresses.
    pub(crate) fn certificate(&self, pki: &Utf8Path, name: &str, names: &str) {
        let ca = self.base().join("ca");
        let script = format!(
            "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}
             printf 'subjectAltName={names}\\nextendedKeyUsage=serverAuth,clientAuth\\n' >{name}.ext
             openssl x509 -req -in {name}.csr -CA {ca}.crt -CAkey {ca}.key -CAcreateserial -days 90 -extfile {name}.ext -out {name}.crt"
        );
        Self::shell(pki, &script);
    }

    fn shell(folder: &Utf8Path, script: &str) {
        let made = Command::new("sh").args(["-ec", script]).current_dir(folder).output().expect("sh runs");
        assert!(made.status.success(), "{made:?}");
    }

    /// The environment file of a machine that is set up by hand, as Debian's package is.
    fn environment(&self, number: u8, members: &str) {
        let node = name(&format!("etcd{number}"));
        let (folder, client, peer) = (self.folder(&node), self.client_url(number), self.peer_url(number));
        let text = format!(
            "ETCD_NAME=\"{node}\"\nETCD_DATA_DIR=\"{folder}/data\"\nETCD_LISTEN_PEER_URLS=\"{peer}\"\nETCD_LISTEN_CLIENT_URLS=\"{client}\"\n\
             ETCD_INITIAL_ADVERTISE_PEER_URLS=\"{peer}\"\nETCD_ADVERTISE_CLIENT_URLS=\"{client}\"\nETCD_INITIAL_CLUSTER=\"{members}\"\n\
             ETCD_INITIAL_CLUSTER_STATE=\"new\"\nETCD_INITIAL_CLUSTER_TOKEN=\"loopback\"\nETCD_TRUSTED_CA_FILE=\"{folder}/pki/ca.crt\"\n\
             ETCD_CERT_FILE=\"{folder}/pki/server.crt\"\nETCD_KEY_FILE=\"{folder}/pki/server.key\"\nETCD_CLIENT_CERT_AUTH=\"true\"\n\
             ETCD_PEER_TRUSTED_CA_FILE=\"{folder}/pki/ca.crt\"\nETCD_PEER_CERT_FILE=\"{folder}/pki/peer.crt\"\n\
             ETCD_PEER_KEY_FILE=\"{folder}/pki/peer.key\"\nETCD_PEER_CLIENT_CERT_AUTH=\"true\"\nETCD_HEARTBEAT_INTERVAL=\"250\"\n\
             ETCD_ELECTION_TIMEOUT=\"2500\"\nETCD_LOG_LEVEL=\"warn\"\n"
        );
        std::fs::write(folder.join("etc/etcd.env"), text).expect("written");
    }

    /// The machine's own systemd.
    pub(crate) fn systemctl(&self, node: &NodeName, words: &[&str]) -> bool {
        let mut systemctl = Command::new(self.base().join("fakes/systemctl"));
        let status = systemctl.args(words).envs(self.environment_of(node)).stdin(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// The member's process is killed where it is.
    pub(crate) fn kill_member(&self, node: &NodeName) {
        assert!(self.systemctl(node, &["kill", "etcd"]));
    }

    /// The machine answers nobody any more, and its member is gone with it.
    pub(crate) fn lose(&self, node: &NodeName) {
        self.kill_member(node);
        self.away.lock().expect("nobody panics").insert(node.clone());
    }

    fn environment_of(&self, node: &NodeName) -> Vec<(&'static str, String)> {
        let folder = self.folder(node);
        vec![
            ("WINDLASS_ROOT", folder.join("windlass").to_string()),
            ("NODE_DIR", folder.to_string()),
            ("PATH", format!("{}/fakes:{}", self.base(), std::env::var("PATH").unwrap_or_default())),
        ]
    }

    /// A script of the project's, run here as if it were there.
    async fn run_script(&self, node: &NodeName, call: &Call, input: Option<&Utf8Path>) -> Result<Output, RemoteError> {
        if self.away.lock().expect("nobody panics").contains(node) {
            return Err(RemoteError::NotStarted { node: node.clone(), cause: "the machine is away".into() });
        }
        if let (windlass::remote::Script::UnitStart, Some(job)) = (call.script, call.args.get(3)) {
            self.jobs.lock().expect("nobody panics").push(format!("{job} {node}"));
        }
        let (machine, folder) = (self.base().join("machine").to_string(), self.folder(node).to_string());
        let environment = self.environment_of(node);
        let path = &environment[2].1;
        let text = scripts::text(call).replace(NODE_PATH, &format!("PATH={path}"));
        let mut shell = tokio::process::Command::new("sh");
        // With an input the script itself cannot come in by that way.
        shell.args(["-c", &text, "sh"]).args(call.args.iter().map(|arg| arg.replace(&machine, &folder)));
        shell.envs(environment).stdin(match input {
            None => Stdio::null(),
            Some(path) => std::fs::File::open(path).expect("a file").into(),
        });
        let output = shell.output().await.expect("sh runs");
        let said = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).replace(&folder, &machine);
        Ok(Output {
            status: output.status.code().unwrap_or(255),
            stdout: said(output.stdout),
            stderr: said(output.stderr),
        })
    }

    fn reached(&self, node: &NodeName) -> Result<(), RemoteError> {
        if self.away.lock().expect("nobody panics").contains(node) {
            return Err(RemoteError::NotStarted { node: node.clone(), cause: "the machine is away".into() });
        }
        Ok(())
    }

    /// etcd as it is now.
    pub(crate) async fn etcd(&self) -> EtcdFacts {
        match observe::etcd(self, &self.inventory).await {
            Seen::Known(etcd) => etcd,
            Seen::Unknown(why) => panic!("{why}"),
        }
    }

    /// Waits until etcd is as wanted, half a minute at most.
    pub(crate) async fn until(&self, wanted: impl Fn(&EtcdFacts) -> bool) {
        for _ in 0..60 {
            if let Seen::Known(etcd) = observe::etcd(self, &self.inventory).await
                && wanted(&etcd)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let logs: Vec<String> = self
            .inventory
            .with_role(Role::Etcd)
            .map(|node| std::fs::read_to_string(self.folder(&node.name).join("etcd.log")).unwrap_or_default())
            .collect();
        let etcd = observe::etcd(self, &self.inventory).await;
        panic!("etcd did not come to be as wanted: {etcd:?}\n{}", logs.join("\n"));
    }

    /// A client of the members' own protocol, with the client's certificate.
    pub(crate) async fn client(&self, urls: &[String]) -> Result<etcd_client::Client, etcd_client::Error> {
        let pem = |file: &str| std::fs::read(self.machine(&format!("pki/{file}"))).expect("a file");
        let tls = etcd_client::TlsOptions::new()
            .ca_certificate(etcd_client::Certificate::from_pem(pem("ca.crt")))
            .identity(etcd_client::Identity::from_pem(pem("client.crt"), pem("client.key")));
        let options = etcd_client::ConnectOptions::new()
            .with_tls(tls)
            .with_connect_timeout(Duration::from_secs(1))
            .with_timeout(Duration::from_secs(2));
        etcd_client::Client::connect(urls, Some(options)).await
    }

    /// The machine's file below its own folder.
    pub(crate) fn read(&self, node: &NodeName, file: &str) -> String {
        std::fs::read_to_string(self.folder(node).join(file)).unwrap_or_default()
    }

    pub(crate) fn exists(&self, node: &NodeName, file: &str) -> bool {
        Path::new(self.folder(node).join(file).as_str()).exists()
    }

    /// A place for journal and snapshots.
    pub(crate) fn state(&self) -> Utf8PathBuf {
        let state = self.base().join("state");
        std::fs::create_dir_all(&state).expect("a folder");
        state
    }
}

#[async_trait]
impl Remote for Loopback {
    async fn call(&self, node: &NodeName, call: &Call) -> Result<Output, RemoteError> {
        self.run_script(node, call, None).await
    }

    async fn send(&self, node: &NodeName, call: &Call, from: &Utf8Path) -> Result<Output, RemoteError> {
        self.run_script(node, call, Some(from)).await
    }

    async fn run_here(&self, argv: &[String], limit: Duration) -> Result<Output, RemoteError> {
        self.fleet.run_here(argv, limit).await
    }

    async fn etcd_members(&self, node: &NodeName) -> Result<MemberList, RemoteError> {
        self.reached(node)?;
        self.fleet.etcd_members(node).await
    }

    async fn etcd_status(&self, node: &NodeName) -> Result<MemberStatus, RemoteError> {
        self.reached(node)?;
        self.fleet.etcd_status(node).await
    }

    async fn etcd_hash(&self, node: &NodeName, revision: u64) -> Result<HashKv, RemoteError> {
        self.reached(node)?;
        self.fleet.etcd_hash(node, revision).await
    }

    async fn etcd_snapshot(
        &self,
        node: &NodeName,
        into: &Utf8Path,
        wanted: &SnapshotWanted,
    ) -> Result<SnapshotContents, RemoteError> {
        self.reached(node)?;
        self.fleet.etcd_snapshot(node, into, wanted).await
    }
}
