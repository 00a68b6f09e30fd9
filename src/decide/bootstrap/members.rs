//! Members of an external etcd that begins: their settings and certificates.

use std::collections::BTreeMap;

use super::is_member;
use super::kubeadm::{EXTERNAL_PEMS, client_url, peer_url};
use crate::decide::actions::bootstrap::FormMember;
use crate::decide::actions::certificates::{Authority, Certificate, Order, Usage};
use crate::inventory::{Inventory, Node, Role, Topology};

/// Where its data go: where Debian's package keeps its own, whose user may write there.
const DATA_DIR: &str = "/var/lib/etcd/default";

/// The files of a member's own certificates, in the folder of those for its clients: certificate and key.
fn pair(inventory: &Inventory, name: &str) -> [String; 2] {
    let folder = inventory.etcd.cert.parent().map_or("/etc/etcd/pki", |folder| folder.as_str());
    [format!("{folder}/{name}.crt"), format!("{folder}/{name}.key")]
}

/// How a machine becomes a member.
pub(super) fn form(inventory: &Inventory, node: &Node) -> FormMember {
    let (etcd, times) = (&inventory.etcd, &inventory.bootstrap);
    let [server, server_key] = pair(inventory, "server");
    let [peer, peer_key] = pair(inventory, "peer");
    let own = client_url(etcd, node);
    let members: Vec<String> = inventory.etcd_nodes().map(|node| format!("{}={}", node.name, peer_url(node))).collect();
    let settings = [
        ("NAME", node.name.to_string()),
        ("DATA_DIR", DATA_DIR.to_owned()),
        ("LISTEN_PEER_URLS", peer_url(node)),
        ("LISTEN_CLIENT_URLS", format!("https://127.0.0.1:{},{own}", etcd.client_port)),
        ("INITIAL_ADVERTISE_PEER_URLS", peer_url(node)),
        ("ADVERTISE_CLIENT_URLS", own),
        ("INITIAL_CLUSTER", members.join(",")),
        ("INITIAL_CLUSTER_STATE", "new".to_owned()),
        // Another one whenever a cluster begins: members of an earlier one on these machines are never taken for its own.
        ("INITIAL_CLUSTER_TOKEN", format!("{}-@RUN@", inventory.name)),
        ("TRUSTED_CA_FILE", etcd.ca.to_string()),
        ("CERT_FILE", server),
        ("KEY_FILE", server_key),
        ("CLIENT_CERT_AUTH", "true".to_owned()),
        ("PEER_TRUSTED_CA_FILE", etcd.ca.to_string()),
        ("PEER_CERT_FILE", peer),
        ("PEER_KEY_FILE", peer_key),
        ("PEER_CLIENT_CERT_AUTH", "true".to_owned()),
        ("HEARTBEAT_INTERVAL", times.heartbeat_ms.to_string()),
        ("ELECTION_TIMEOUT", times.election_ms.to_string()),
    ];
    let settings: BTreeMap<String, String> =
        settings.into_iter().map(|(name, value)| (format!("ETCD_{name}"), value)).collect();
    FormMember {
        service: etcd.service.clone(),
        env_file: etcd.env_file.to_string(),
        data_dir: DATA_DIR.to_owned(),
        settings,
    }
}

/// The certificates that a machine needs for an external etcd: a member its own and those of clients beside it, a control
/// plane its API server's. Nothing for a worker.
pub(super) fn order(inventory: &Inventory, authority: &Authority, node: &Node) -> Option<Order> {
    let etcd = &inventory.etcd;
    let mut order = Order { authority: authority.clone(), authorities: Vec::new(), certificates: Vec::new() };
    let mut hosts = vec![node.address.as_str().to_owned(), node.name.to_string()];
    hosts.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    hosts.dedup();
    let mut add = |name: &str, usage: Usage, hosts: &[String], [certificate, key]: [String; 2]| {
        let name = name.to_owned();
        order.certificates.push(Certificate {
            name,
            organization: None,
            hosts: hosts.to_vec(),
            usage,
            certificate,
            key,
        });
    };
    let (member, plane) = (is_member(inventory, node), node.roles.contains(&Role::ControlPlane));
    if member {
        add(node.name.as_str(), Usage::Member, &hosts, pair(inventory, "server"));
        add(node.name.as_str(), Usage::Member, &hosts, pair(inventory, "peer"));
        add(&format!("{}-client", node.name), Usage::Client, &[], [etcd.cert.to_string(), etcd.key.to_string()]);
    }
    let [ca, cert, key] = EXTERNAL_PEMS.map(str::to_owned);
    if plane && node.is_kube() && etcd.topology == Topology::External {
        add("kube-apiserver-etcd-client", Usage::Client, &[], [cert, key]);
        order.authorities.push(ca);
    }
    if member {
        order.authorities.push(etcd.ca.to_string());
    }
    order.authorities.dedup();
    (!order.certificates.is_empty()).then_some(order)
}
