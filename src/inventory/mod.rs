//! An inventory: the machines of one cluster and how to reach them. TOML in, [`Inventory`] out.
//!
//! Pure: it is given text and returns a value or every complaint about the text at once. It reads no file and asks no node.

mod names;
mod read;
mod resolve;
mod rules;
mod words;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

pub use names::{Address, NameError, NodeName, UserName};
pub use words::{
    check_endpoint, check_etcd, check_jump, check_label, check_node_path, check_package, check_preflight, check_slug,
    check_unit, check_url, is_program,
};

use crate::document::{Complaints, Parsed};

/// The format number of inventories that this Windlass reads.
pub const FORMAT: u32 = 1;

/// Reads an inventory, or complains of all that is wrong with it. Paths stay as they are written; see
/// [`Inventory::resolved_against`].
pub fn parse(text: &str) -> Result<Parsed<Inventory>, Complaints> {
    read::inventory(text)
}

/// The file that reads as `inventory`: what is as usual is left out.
pub fn write(inventory: &Inventory) -> String {
    write::inventory(inventory)
}

/// One cluster: its machines, their roles, and how to reach them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// The cluster's name, used in messages, files and the journal's folder.
    pub name: String,
    /// How machines are reached.
    pub ssh: Ssh,
    /// Where the API is, and who looks at it.
    pub api: Api,
    /// What load balancers of the inventory's own have to know.
    pub load_balancer: LoadBalancer,
    /// Where etcd lives and how its clients prove who they are.
    pub etcd: Etcd,
    /// What kubeadm has to be told about this cluster.
    pub kubeadm: Kubeadm,
    /// What the cluster begins with.
    pub bootstrap: Bootstrap,
    /// The machines, in the order in which they are worked on.
    pub nodes: Vec<Node>,
}

/// How machines are reached over SSH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssh {
    /// User to log in as.
    pub user: Option<UserName>,
    /// Port of sshd, 22 unless said otherwise.
    pub port: u16,
    /// Private key file; absolute, or relative to the inventory's folder.
    pub identity: Option<Utf8PathBuf>,
    /// An ssh_config of the operator's that is included; absolute, or relative to the inventory's folder.
    pub config: Option<Utf8PathBuf>,
    /// Known hosts file; absolute, or relative to the inventory's folder. The user's own when absent.
    pub known_hosts: Option<Utf8PathBuf>,
    /// A machine to jump through: `[user@]host[:port]`.
    pub jump: Option<String>,
    /// How long a connection may take to come up.
    pub connect_timeout: Duration,
    /// How often a silent connection is asked whether it still lives; three unanswered end it.
    pub keepalive: Duration,
    /// Whether root's rights are taken with `sudo -n` (`false`: the user is root already).
    pub sudo: bool,
    /// Whether an unknown or changed host key ends the connection. Off only by the inventory's own word, with a warning.
    pub strict_host_keys: bool,
}

impl Default for Ssh {
    fn default() -> Self {
        Self {
            user: None,
            port: 22,
            identity: None,
            config: None,
            known_hosts: None,
            jump: None,
            // A connection takes 0.2 s within one building; the rest is room for a bastion far away and a busy machine.
            connect_timeout: Duration::from_secs(10),
            // Three unanswered end a connection: a node that is gone is known to be after a quarter of a minute.
            keepalive: Duration::from_secs(5),
            sudo: true,
            strict_host_keys: true,
        }
    }
}

/// Where kubeadm keeps the administrator's kubeconfig on a control plane.
pub const ADMIN_KUBECONFIG: &str = "/etc/kubernetes/admin.conf";

/// Where the API is, and who looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// `host:port` that clients of the cluster use (usually a load balancer), when it is given.
    pub endpoint: Option<String>,
    /// The kubeconfig that looks at the API, a path on every control plane. What changes the cluster uses
    /// [`ADMIN_KUBECONFIG`].
    pub kubeconfig: Utf8PathBuf,
}

impl Default for Api {
    fn default() -> Self {
        Self { endpoint: None, kubeconfig: ADMIN_KUBECONFIG.into() }
    }
}

/// What the machines with [`Role::LoadBalancer`] have to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadBalancer {
    /// VRRP's number of the two, 1 to 255: another pair on the same network has another.
    pub router_id: u8,
}

impl Default for LoadBalancer {
    /// As keepalived's own example has it.
    fn default() -> Self {
        Self { router_id: 51 }
    }
}

/// Where etcd lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// On machines of its own, as a systemd service.
    External,
    /// On the control-plane nodes, as static pods made by kubeadm.
    Stacked,
}

/// Etcd: topology, packages, certificate paths on the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etcd {
    /// External or stacked.
    pub topology: Topology,
    /// The systemd unit (external only).
    pub service: String,
    /// The package that carries the server (external only); or the path of its program, where it is no package.
    pub package: String,
    /// The package that carries `etcdctl`, when it is another one.
    pub client_package: Option<String>,
    /// CA certificate of the server, a path on the etcd node.
    pub ca: Utf8PathBuf,
    /// Client certificate, a path on the etcd node.
    pub cert: Utf8PathBuf,
    /// Client key, a path on the etcd node. Read into memory only.
    pub key: Utf8PathBuf,
    /// The service's environment file, a path on the etcd node (external only).
    pub env_file: Utf8PathBuf,
    /// TCP port of etcd's client listener.
    pub client_port: u16,
}

/// Where kubeadm keeps what etcd's own health check uses: CA, certificate, key.
pub const STACKED_PEMS: [&str; 3] = [
    "/etc/kubernetes/pki/etcd/ca.crt",
    "/etc/kubernetes/pki/etcd/healthcheck-client.crt",
    "/etc/kubernetes/pki/etcd/healthcheck-client.key",
];

/// Etcd's own client port.
pub const CLIENT_PORT: u16 = 2379;

impl Etcd {
    /// As kubeadm makes it; what is an external one's alone is Debian's.
    pub fn stacked() -> Self {
        let [ca, cert, key] = STACKED_PEMS.map(Utf8PathBuf::from);
        Self {
            topology: Topology::Stacked,
            service: "etcd".to_owned(),
            package: "etcd-server".to_owned(),
            client_package: None,
            ca,
            cert,
            key,
            env_file: "/etc/default/etcd".into(),
            client_port: CLIENT_PORT,
        }
    }
}

/// What kubeadm has to be told about this cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kubeadm {
    /// Names for `--ignore-preflight-errors`; `all` is refused.
    pub ignore_preflight_errors: Vec<String>,
}

/// What a cluster begins with, and what a machine that joins it later gets as well. Files are the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// kubeadm's configuration: what it leaves out is filled in. Absolute, or relative to the inventory's folder.
    pub kubeadm: Option<Utf8PathBuf>,
    /// containerd's configuration; its own with systemd's cgroups when there is none.
    pub containerd: Option<Utf8PathBuf>,
    /// Manifests that are applied once the first API server answers, in this order: the network's first of all.
    pub manifests: Vec<Utf8PathBuf>,
    /// How often etcd's leader is heard of, in milliseconds.
    pub heartbeat_ms: u64,
    /// After how long without a word another leader is elected, in milliseconds.
    pub election_ms: u64,
}

impl Default for Bootstrap {
    /// etcd's own times: for members within one building (etcd's tuning guide).
    fn default() -> Self {
        Self { kubeadm: None, containerd: None, manifests: Vec::new(), heartbeat_ms: 100, election_ms: 1000 }
    }
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name, also its name as a Kubernetes node.
    pub name: NodeName,
    /// Host name or IP address that SSH connects to.
    pub address: Address,
    /// What it does; never empty.
    pub roles: BTreeSet<Role>,
    /// Labels for a playbook's `select`.
    pub labels: BTreeMap<String, String>,
}

impl Node {
    /// Whether it is, or becomes, a node of Kubernetes.
    pub fn is_kube(&self) -> bool {
        self.roles.contains(&Role::ControlPlane) || self.roles.contains(&Role::Worker)
    }
}

/// What a machine does in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// An external etcd member.
    Etcd,
    /// Runs an API server.
    ControlPlane,
    /// Runs workloads.
    Worker,
    /// Leads clients to the API servers that are ready.
    LoadBalancer,
}

impl Topology {
    /// Each with the word used in files.
    pub const WORDS: [(&'static str, Self); 2] = [("external", Self::External), ("stacked", Self::Stacked)];
}

impl Role {
    /// Each with the word used in files.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("etcd", Self::Etcd),
        ("control-plane", Self::ControlPlane),
        ("worker", Self::Worker),
        ("load-balancer", Self::LoadBalancer),
    ];

    /// The word used in files and text.
    pub fn word(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ControlPlane => "control-plane",
            Self::Worker => "worker",
            Self::LoadBalancer => "load-balancer",
        }
    }
}

impl Inventory {
    /// The nodes with `role`, in inventory order.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.roles.contains(&role))
    }

    /// The node called `name`.
    pub fn node(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.iter().find(|node| &node.name == name)
    }

    /// The role of the nodes that run an etcd member: etcd when external, control planes when stacked.
    pub fn etcd_role(&self) -> Role {
        match self.etcd.topology {
            Topology::External => Role::Etcd,
            Topology::Stacked => Role::ControlPlane,
        }
    }

    /// The nodes that run an etcd member.
    pub fn etcd_nodes(&self) -> impl Iterator<Item = &Node> {
        self.with_role(self.etcd_role())
    }
}
