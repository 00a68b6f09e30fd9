//! The inventory's file, key by key. What one key says is checked here; what keys say together, in [`super::rules`].
//!
//! Asks for every key of a table before giving up on it, so that all complaints come at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use camino::Utf8PathBuf;

use super::names::{Address, NameError, NodeName, UserName};
use super::{
    Api, Bootstrap, CLIENT_PORT, Etcd, FORMAT, Inventory, Kubeadm, LoadBalancer, Node, Role, STACKED_PEMS, Ssh,
    Topology, rules, words,
};
use crate::document::{self, At, Complaint, Complaints, Parsed, Table, Value};

pub(super) fn inventory(text: &str) -> Result<Parsed<Inventory>, Complaints> {
    document::read(text, FORMAT, |table| {
        let name = table.need("name", "the cluster's name", |v| word(v, "a cluster name", words::check_slug));
        let ssh = table.get("ssh", |v| v.table(ssh)).unwrap_or_default();
        let (endpoint, api) = table.get("api", |v| v.table(api)).unwrap_or_default();
        let load_balancer = table.get("load_balancer", |v| v.table(load_balancer)).unwrap_or_default();
        let etcd = table.need("etcd", "a table `[etcd]` with the topology of etcd", |v| v.table(etcd));
        let kubeadm = table.get("kubeadm", |v| v.table(kubeadm)).unwrap_or_default();
        let bootstrap = table.get("bootstrap", |v| v.table(bootstrap)).unwrap_or_default();
        let nodes = table.need("node", "a table `[[node]]` for each machine", nodes);

        let (topology, etcd) = etcd.unwrap_or_default();
        if let Some(nodes) = &nodes {
            rules::check(table, nodes, topology.as_ref());
            rules::load_balancers(table, nodes, endpoint.as_ref());
        }
        let nodes = nodes?.into_iter().map(NodeDraft::finish).collect::<Option<_>>()?;
        Some(Inventory { name: name?, ssh, api, load_balancer, etcd: etcd?, kubeadm, bootstrap, nodes })
    })
}

fn ssh(table: &mut Table<'_>) -> Ssh {
    let usual = Ssh::default();
    // Below a second a busy machine counts as gone; above, an operator would think that Windlass hangs.
    let connect = Duration::from_secs(1)..=Duration::from_secs(120);
    let keepalive = Duration::from_secs(1)..=Duration::from_secs(60);
    Ssh {
        user: table.get("user", |v| v.checked("a user name", UserName::new)),
        port: table.get("port", Value::port).unwrap_or(usual.port),
        identity: table.get("identity", ssh_path),
        config: table.get("config", ssh_path),
        known_hosts: table.get("known_hosts", ssh_path),
        jump: table.get("jump", |v| word(v, "a jump host ([user@]host[:port])", words::check_jump)),
        connect_timeout: table.get("connect_timeout", |v| v.duration(connect)).unwrap_or(usual.connect_timeout),
        keepalive: table.get("keepalive", |v| v.duration(keepalive)).unwrap_or(usual.keepalive),
        sudo: table.get("sudo", Value::boolean).unwrap_or(usual.sudo),
        strict_host_keys: table.get("strict_host_keys", strict_host_keys).unwrap_or(usual.strict_host_keys),
    }
}

fn strict_host_keys(value: &Value<'_>) -> Option<bool> {
    let strict = value.boolean()?;
    if !strict {
        value.complain(
            Complaint::warning(value.span(), "host keys are not checked")
                .expected("whoever answers at a node's address is given root's commands")
                .hint("collect the keys with `ssh-keyscan`, compare them, and name the file in `known_hosts`"),
        );
    }
    Some(strict)
}

/// The endpoint is handed out beside it: rules about it point there.
fn api(table: &mut Table<'_>) -> (Option<At<String>>, Api) {
    let endpoint = table.get("endpoint", |v| v.at(|v| word(v, "an endpoint (host:port)", words::check_endpoint)));
    let kubeconfig = table.get("kubeconfig", node_path).unwrap_or_else(|| Api::default().kubeconfig);
    let api = Api { endpoint: endpoint.as_ref().map(|at| at.value.clone()), kubeconfig };
    (endpoint, api)
}

fn load_balancer(table: &mut Table<'_>) -> LoadBalancer {
    let number = table.get("router_id", |v| v.integer(1..=255));
    let router_id = number.and_then(|number| u8::try_from(number).ok());
    LoadBalancer { router_id: router_id.unwrap_or(LoadBalancer::default().router_id) }
}

/// Etcd's topology is handed out beside it: rules about it hold also when the rest could not be read.
fn etcd(table: &mut Table<'_>) -> (Option<At<Topology>>, Option<Etcd>) {
    let topology = table.need("topology", "\"external\" or \"stacked\"", |v| v.at(|v| v.word(&Topology::WORDS)));
    let external = topology.as_ref().map(|at| at.value) == Some(Topology::External);
    if topology.is_some() && !external {
        rules::external_only(table, &["service", "package", "env_file"]);
    }
    let [ca, cert, key] = certificates(table, external);
    let package = table
        .get("package", |v| word(v, "a package, or the path of a program", words::check_etcd))
        .unwrap_or_else(|| "etcd-server".to_owned());
    // Only Debian's etcd-server is known to come without its client.
    let usual_client = (external && package == "etcd-server").then(|| "etcd-client".to_owned());
    let service = table.get("service", |v| word(v, "a systemd unit", words::check_unit));
    let client_package = table.get("client_package", self::package).or(usual_client);
    let env_file = table.get("env_file", node_path).unwrap_or_else(|| "/etc/default/etcd".into());
    let client_port = table.get("client_port", Value::port).unwrap_or(CLIENT_PORT);
    let finish = || {
        let topology = topology.as_ref()?.value;
        let service = service.unwrap_or_else(|| "etcd".to_owned());
        Some(Etcd {
            topology,
            service,
            package,
            client_package,
            ca: ca?,
            cert: cert?,
            key: key?,
            env_file,
            client_port,
        })
    };
    let etcd = finish();
    (topology, etcd)
}

/// What proves to etcd who its client is: key, what it holds, and where kubeadm keeps it for a stacked etcd.
const CERTIFICATES: [(&str, &str, &str); 3] = [
    ("ca", "the path of etcd's CA certificate on its nodes", STACKED_PEMS[0]),
    ("cert", "the path of a client certificate on etcd's nodes", STACKED_PEMS[1]),
    ("key", "the path of a client key on etcd's nodes", STACKED_PEMS[2]),
];

fn certificates(table: &mut Table<'_>, external: bool) -> [Option<Utf8PathBuf>; 3] {
    CERTIFICATES.map(|(key, what, stacked)| {
        if external {
            table.need(key, what, node_path)
        } else {
            Some(table.get(key, node_path).unwrap_or_else(|| stacked.into()))
        }
    })
}

fn kubeadm(table: &mut Table<'_>) -> Kubeadm {
    let errors = table.get("ignore_preflight_errors", |v| {
        v.each("an array of names of checks, as [\"Swap\"]", |v| word(v, "a check to ignore", words::check_preflight))
    });
    Kubeadm { ignore_preflight_errors: errors.unwrap_or_default() }
}

fn bootstrap(table: &mut Table<'_>) -> Bootstrap {
    let usual = Bootstrap::default();
    // etcd's tuning guide: an election timeout of 50 s at most, and ten times the heartbeat.
    let heartbeat = table.get("heartbeat_ms", |v| v.at(|v| v.integer(10..=5000)));
    let election = table.get("election_ms", |v| v.at(|v| v.integer(50..=50_000)));
    let ms = |given: &Option<At<u64>>, usual: u64| given.as_ref().map_or(usual, |given| given.value);
    let (heartbeat_ms, election_ms) = (ms(&heartbeat, usual.heartbeat_ms), ms(&election, usual.election_ms));
    if let Some(last) = election.or(heartbeat).filter(|_| election_ms < heartbeat_ms * 5) {
        table.complain(
            Complaint::error(last.span, "etcd does not start with this")
                .expected(format!(
                    "an election of {election_ms} ms is less than five times a heartbeat of {heartbeat_ms} ms"
                ))
                .hint("ten times are usual"),
        );
    }
    Bootstrap {
        kubeadm: table.get("kubeadm", own_path),
        containerd: table.get("containerd", own_path),
        manifests: table.get("manifests", |v| v.each("an array of files", own_path)).unwrap_or_default(),
        heartbeat_ms,
        election_ms,
    }
}

fn nodes(value: &Value<'_>) -> Option<Vec<NodeDraft>> {
    value.some("a table `[[node]]` for each machine", |v| v.table(node))
}

/// A node as far as it could be read, with the places that rules point at.
pub(super) struct NodeDraft {
    pub(super) span: Range<usize>,
    pub(super) name: Option<At<NodeName>>,
    pub(super) address: Option<At<Address>>,
    pub(super) roles: Option<At<BTreeSet<Role>>>,
    labels: BTreeMap<String, String>,
}

impl NodeDraft {
    /// Whether it has `role`; a node whose roles could not be read has none.
    pub(super) fn is(&self, role: Role) -> bool {
        self.roles.as_ref().is_some_and(|roles| roles.value.contains(&role))
    }

    fn finish(self) -> Option<Node> {
        let (name, address, roles) = (self.name?.value, self.address?.value, self.roles?.value);
        Some(Node { name, address, roles, labels: self.labels })
    }
}

fn node(table: &mut Table<'_>) -> NodeDraft {
    NodeDraft {
        span: table.span(),
        name: table.need("name", "the node's name in Kubernetes", |v| v.at(|v| v.checked("a node name", node_name))),
        address: table.need("address", "what SSH connects to", |v| v.at(|v| v.checked("an address", Address::new))),
        roles: table.need("roles", "some of: etcd, control-plane, worker, load-balancer", |v| v.at(roles)),
        labels: table.get("labels", |v| v.texts("a label", words::check_label)).unwrap_or_default(),
    }
}

fn roles(value: &Value<'_>) -> Option<BTreeSet<Role>> {
    let roles =
        value.some("an array with some of: etcd, control-plane, worker, load-balancer", |v| v.word(&Role::WORDS))?;
    Some(roles.into_iter().collect())
}

fn node_name(word: &str) -> Result<NodeName, NameError> {
    match word {
        "control" => Err(NameError::Reserved("it means the operator's machine")),
        "cluster" => Err(NameError::Reserved("it means the cluster as a whole")),
        _ => NodeName::new(word),
    }
}

fn package(value: &Value<'_>) -> Option<String> {
    word(value, "a package", words::check_package)
}

fn ssh_path(value: &Value<'_>) -> Option<Utf8PathBuf> {
    word(value, "a path for ssh", words::check_ssh_path).map(Into::into)
}

fn own_path(value: &Value<'_>) -> Option<Utf8PathBuf> {
    word(value, "a path", words::check_own_path).map(Into::into)
}

fn node_path(value: &Value<'_>) -> Option<Utf8PathBuf> {
    word(value, "a path on a node", words::check_node_path).map(Into::into)
}

/// A text that `check` lets pass as it is.
fn word(value: &Value<'_>, what: &str, check: fn(&str) -> Result<(), NameError>) -> Option<String> {
    value.checked(what, |written| check(written).map(|()| written.to_owned()))
}
