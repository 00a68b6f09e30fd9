//! [`Here`]: this machine alone, as an etcd or control-plane node, without SSH and without an inventory.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::mpsc::Sender;
use zeroize::Zeroizing;

use super::etcd::{EtcdDoor, Way};
use super::{
    Call, HashKv, MemberList, Output, Remote, RemoteError, Secret, SnapshotContents, SnapshotWanted, Streams, Turns,
    scripts, ssh,
};
use crate::facts::MemberStatus;
use crate::inventory::{
    Address, Api, Bootstrap, CLIENT_PORT, Etcd, Inventory, Kubeadm, LoadBalancer, Node, NodeName, Role, STACKED_PEMS,
    Ssh, Topology,
};

/// Where a service's settings are: Debian, RHEL, etcdadm.
const ENVIRONMENTS: [&str; 3] = ["/etc/default/etcd", "/etc/etcd/etcd.conf", "/etc/etcd/etcd.env"];

/// Where etcd is looked for first; then at what `ETCDCTL_ENDPOINTS` says.
const LOOPBACK: &str = "127.0.0.1";

/// How long a script may take here.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// This machine.
pub struct Here {
    inventory: Inventory,
    node: NodeName,
    door: EtcdDoor,
}

/// Why this machine is not known to run etcd.
#[derive(Debug, thiserror::Error)]
#[error("no etcd of this machine is known: neither {} nor ETCD_TRUSTED_CA_FILE in {} is there", STACKED_PEMS[0], ENVIRONMENTS.join(" or "))]
pub struct NotHere;

impl Here {
    /// This machine, with the etcd that it is found to run: what `ETCDCTL_CACERT`, `ETCDCTL_CERT`, `ETCDCTL_KEY` and
    /// `ETCDCTL_ENDPOINTS` say, as for `etcdctl`; else kubeadm's; else what etcd's own environment file says.
    pub fn find() -> Result<Self, NotHere> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let etcd = told(variable).or_else(stacked).or_else(service).ok_or(NotHere)?;
        let address =
            variable("ETCDCTL_ENDPOINTS").and_then(|urls| host_of(&urls)).unwrap_or_else(|| LOOPBACK.to_owned());
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let named = NodeName::new(host.trim().to_lowercase()).or_else(|_| NodeName::new("localhost"));
        let (Ok(node), Ok(address)) = (named, Address::new(address)) else { return Err(NotHere) };
        let role = match etcd.topology {
            Topology::External => Role::Etcd,
            Topology::Stacked => Role::ControlPlane,
        };
        let machine = Node { name: node.clone(), address, roles: BTreeSet::from([role]), labels: BTreeMap::new() };
        let door = EtcdDoor::new(&machine, Utf8PathBuf::new());
        let inventory = Inventory {
            name: String::new(),
            ssh: Ssh::default(),
            api: Api::default(),
            load_balancer: LoadBalancer::default(),
            etcd,
            kubeadm: Kubeadm::default(),
            bootstrap: Bootstrap::default(),
            nodes: vec![machine],
        };
        Ok(Self { inventory, node, door })
    }

    /// Gives the cluster its name.
    pub fn call_cluster(&mut self, name: String) {
        self.inventory.name = name;
    }

    /// This machine's name.
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// An inventory of this machine alone.
    pub fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    async fn run(&self, command: &mut Command, script: Option<&str>) -> Result<std::process::Output, RemoteError> {
        let not_started =
            |cause: std::io::Error| RemoteError::NotStarted { node: self.node.clone(), cause: Box::new(cause) };
        if script.is_some() {
            command.stdin(Stdio::piped());
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(not_started)?;
        let running = async {
            if let (Some(script), Some(mut stdin)) = (script, child.stdin.take()) {
                // A shell that ended early says so by its status.
                let _ = stdin.write_all(script.as_bytes()).await;
            }
            child.wait_with_output().await
        };
        let in_doubt =
            |cause: Box<dyn std::error::Error + Send + Sync>| RemoteError::InDoubt { node: self.node.clone(), cause };
        match tokio::time::timeout(CALL_LIMIT, running).await {
            Ok(output) => output.map_err(|error| in_doubt(error.into())),
            Err(late) => Err(in_doubt(late.into())),
        }
    }

    async fn script(&self, call: &Call) -> Result<std::process::Output, RemoteError> {
        let text = scripts::text(call);
        self.run(Command::new("sh").args(["-s", "--"]).args(&call.args), Some(&text)).await
    }
}

fn external([ca, cert, key]: [Utf8PathBuf; 3], client_port: u16) -> Etcd {
    Etcd { topology: Topology::External, ca, cert, key, client_port, ..Etcd::stacked() }
}

/// As `etcdctl` is told by its environment.
fn told(variable: impl Fn(&str) -> Option<String>) -> Option<Etcd> {
    let path = |name: &str| variable(name).map(Utf8PathBuf::from);
    let pems = [path("ETCDCTL_CACERT")?, path("ETCDCTL_CERT")?, path("ETCDCTL_KEY")?];
    let port = variable("ETCDCTL_ENDPOINTS").and_then(|urls| port_of(&urls));
    Some(external(pems, port.unwrap_or(CLIENT_PORT)))
}

fn stacked() -> Option<Etcd> {
    let etcd = Etcd::stacked();
    etcd.cert.is_file().then_some(etcd)
}

fn service() -> Option<Etcd> {
    ENVIRONMENTS.iter().find_map(|file| of_environment(&std::fs::read_to_string(file).ok()?))
}

/// What an environment file of etcd's says.
fn of_environment(text: &str) -> Option<Etcd> {
    let value = |name: &str| {
        let line = |line: &str| line.trim().strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
        let found = text.lines().rev().find_map(line)?;
        let found = found.trim().trim_matches(['"', '\'']).to_owned();
        (!found.is_empty()).then_some(found)
    };
    let path = |name: &str| value(name).map(Utf8PathBuf::from);
    let pems = [path("ETCD_TRUSTED_CA_FILE")?, path("ETCD_CERT_FILE")?, path("ETCD_KEY_FILE")?];
    let port = value("ETCD_LISTEN_CLIENT_URLS").and_then(|urls| port_of(&urls));
    Some(external(pems, port.unwrap_or(CLIENT_PORT)))
}

/// The port of the first of several URLs.
fn port_of(urls: &str) -> Option<u16> {
    urls.split(',').next()?.trim().trim_end_matches('/').rsplit_once(':')?.1.parse().ok()
}

/// The host of the first of several URLs.
fn host_of(urls: &str) -> Option<String> {
    let url = urls.split(',').next()?.trim();
    let host = url.rsplit_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/').rsplit_once(':')?.0;
    Some(host.trim_matches(['[', ']']).to_owned())
}

fn text(output: &std::process::Output) -> Output {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // A signal has no status; shells say 128 for that.
    Output { status: output.status.code().unwrap_or(128), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

#[async_trait]
impl Remote for Here {
    async fn call(&self, _: &NodeName, call: &Call) -> Result<Output, RemoteError> {
        self.script(call).await.map(|output| text(&output))
    }

    async fn send(&self, _: &NodeName, call: &Call, from: &Utf8Path) -> Result<Output, RemoteError> {
        let file =
            std::fs::File::open(from).map_err(|cause| RemoteError::Local { what: format!("read {from}"), cause })?;
        let script = scripts::text(call);
        let mut command = Command::new("sh");
        command.args(["-c", &script, "windlass"]).args(&call.args).stdin(file);
        self.run(&mut command, None).await.map(|output| text(&output))
    }

    async fn run_here(&self, argv: &[String], limit: Duration) -> Result<Output, RemoteError> {
        ssh::run_here(argv, limit).await
    }

    async fn etcd_members(&self, _: &NodeName) -> Result<MemberList, RemoteError> {
        self.door.members(Way::Here, &self.inventory.etcd).await
    }

    async fn etcd_status(&self, _: &NodeName) -> Result<MemberStatus, RemoteError> {
        self.door.status(Way::Here, &self.inventory.etcd).await
    }

    async fn etcd_hash(&self, _: &NodeName, revision: u64) -> Result<HashKv, RemoteError> {
        self.door.hash(Way::Here, &self.inventory.etcd, revision).await
    }

    async fn etcd_snapshot(
        &self,
        _: &NodeName,
        into: &Utf8Path,
        wanted: &SnapshotWanted,
    ) -> Result<SnapshotContents, RemoteError> {
        self.door.snapshot(Way::Here, &self.inventory.etcd, into, wanted).await
    }
}

#[async_trait]
impl Turns for Here {
    async fn etcd_cluster_id(&self, _: &NodeName) -> Result<u64, RemoteError> {
        self.door.cluster_id(Way::Here, &self.inventory.etcd).await
    }

    async fn etcd_take_turn(&self, _: &NodeName, time: Duration) -> Result<bool, RemoteError> {
        self.door.take_turn(Way::Here, &self.inventory.etcd, time).await
    }

    async fn etcd_keep_turn(&self, _: &NodeName) -> Result<bool, RemoteError> {
        self.door.keep_turn(Way::Here, &self.inventory.etcd).await
    }

    async fn etcd_end_turn(&self, _: &NodeName) -> Result<(), RemoteError> {
        self.door.end_turn(Way::Here, &self.inventory.etcd).await
    }
}

#[async_trait]
impl Streams for Here {
    async fn etcd_stream(&self, _: &NodeName, into: &Sender<Vec<u8>>) -> Result<(), RemoteError> {
        self.door.stream(Way::Here, &self.inventory.etcd, into).await
    }

    async fn kube_system_uid(&self, _: &NodeName) -> Result<Option<String>, RemoteError> {
        self.door.kube_system_uid(Way::Here, &self.inventory.etcd).await
    }

    async fn secret(&self, _: &NodeName, call: &Call) -> Result<Secret, RemoteError> {
        let mut output = self.script(call).await?;
        let bytes = Zeroizing::new(std::mem::take(&mut output.stdout));
        let Output { status, stderr, .. } = text(&output);
        Ok(Secret { status, bytes, complaint: stderr })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_file_says_where_etcd_is() {
        let text = "# ETCD_CERT_FILE=/no\nETCD_NAME=a\nETCD_TRUSTED_CA_FILE=\"/pki/ca.crt\"\nETCD_CERT_FILE=/pki/s.crt\n\
                    ETCD_KEY_FILE='/pki/s.key'\nETCD_LISTEN_CLIENT_URLS=https://127.0.0.1:4001,https://10.0.0.1:2379\n";
        let found = of_environment(text).expect("it says");
        assert_eq!([found.ca, found.cert, found.key], ["/pki/ca.crt", "/pki/s.crt", "/pki/s.key"]);
        assert_eq!(found.client_port, 4001);
        assert_eq!(of_environment("ETCD_NAME=a\n"), None, "no TLS, no way in");
    }

    #[test]
    fn what_etcdctl_is_told_is_taken() {
        let variable = |name: &str| match name {
            "ETCDCTL_CACERT" => Some("/ca".to_owned()),
            "ETCDCTL_CERT" => Some("/cert".to_owned()),
            "ETCDCTL_KEY" => Some("/key".to_owned()),
            "ETCDCTL_ENDPOINTS" => Some("https://127.0.0.1:4001".to_owned()),
            _ => None,
        };
        assert_eq!(told(variable).map(|etcd| (etcd.key, etcd.client_port)), Some(("/key".into(), 4001)));
        assert_eq!(told(|_| None), None);
        assert_eq!(host_of("https://10.0.0.1:2379,https://10.0.0.2:2379").as_deref(), Some("10.0.0.1"));
        assert_eq!(host_of("[::1]:2379/").as_deref(), Some("::1"));
    }
}
