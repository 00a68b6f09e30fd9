//! An inventory of a cluster that has none yet, from what its API and its machines of etcd say of themselves. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::found::{FoundCluster, FoundEtcd};
use crate::inventory::{
    Address, Api, Bootstrap, CLIENT_PORT, Etcd, Inventory, Kubeadm, LoadBalancer, Node, NodeName, Role, Ssh, Topology,
    check_endpoint, check_etcd, check_node_path, check_package, check_slug, check_unit,
};
use crate::text;

/// What was found, and what the operator has said.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The cluster.
    pub cluster: &'a FoundCluster,
    /// Each machine of an external etcd, by the address that it was reached at.
    pub etcd: &'a [(Address, FoundEtcd)],
    /// How machines are reached.
    pub ssh: &'a Ssh,
    /// What to call it, in place of kubeadm's name for it.
    pub name: Option<&'a str>,
}

/// Makes the inventory. Fails with every reason why there is none: each is something to be put right, or written by hand.
pub fn inventory(found: Found<'_>) -> Result<Inventory, Vec<String>> {
    let mut why = Vec::new();
    let name = found.name.unwrap_or(&found.cluster.name);
    if let Err(error) = check_slug(name) {
        why.push(format!(
            "the cluster's name {} cannot be its name here ({error}): give another one",
            text::quoted(name)
        ));
    }
    let nodes = nodes(found, &mut why);
    let etcd = match found.cluster.etcd {
        None => Some(Etcd::stacked()),
        Some(_) => external(found.etcd, &mut why),
    };
    let endpoint = endpoint(&found.cluster.endpoint, &mut why);
    match etcd {
        Some(etcd) if why.is_empty() => Ok(Inventory {
            name: name.to_owned(),
            ssh: found.ssh.clone(),
            api: Api { endpoint, ..Api::default() },
            load_balancer: LoadBalancer::default(),
            etcd,
            kubeadm: Kubeadm::default(),
            bootstrap: Bootstrap::default(),
            nodes,
        }),
        _ => Err(why),
    }
}

/// The hosts of an external etcd's client URLs, as kubeadm was told them.
pub fn etcd_hosts(cluster: &FoundCluster) -> Result<Vec<Address>, String> {
    let host = |url: &String| {
        let rest = url.rsplit_once("://").map_or(url.as_str(), |(_, rest)| rest).trim_end_matches('/');
        let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host).trim_matches(['[', ']']);
        Address::new(host).map_err(|error| format!("etcd's endpoint {} has no host: {error}", text::quoted(url)))
    };
    let hosts: Vec<Address> = cluster.etcd.iter().flatten().map(host).collect::<Result<_, _>>()?;
    let mut seen = BTreeSet::new();
    Ok(hosts.into_iter().filter(|host| seen.insert(host.clone())).collect())
}

/// kubeadm takes 6443 where the endpoint has no port.
fn endpoint(told: &str, why: &mut Vec<String>) -> Option<String> {
    if told.is_empty() {
        return None;
    }
    let with_port = if check_endpoint(told).is_ok() { told.to_owned() } else { format!("{told}:6443") };
    if let Err(error) = check_endpoint(&with_port) {
        why.push(format!("kubeadm's controlPlaneEndpoint {} is none: {error}", text::quoted(told)));
        return None;
    }
    Some(with_port)
}

/// Machines of etcd alone first: they are raised first. Then control planes, then workers.
fn nodes(found: Found<'_>, why: &mut Vec<String>) -> Vec<Node> {
    let mut nodes = Vec::new();
    for node in &found.cluster.nodes {
        let role = if node.control_plane { Role::ControlPlane } else { Role::Worker };
        nodes.extend(machine(&node.name, &node.address, role, why));
    }
    if !nodes.iter().any(|node| node.roles.contains(&Role::ControlPlane)) {
        why.push(
            "no node is labelled as a control plane (node-role.kubernetes.io/control-plane or …/master)".to_owned(),
        );
    }
    for (address, etcd) in found.etcd {
        let host = etcd.host.to_lowercase();
        let there = |node: &&mut Node| node.address == *address || node.name.as_str() == host;
        match nodes.iter_mut().find(there) {
            Some(node) => {
                node.roles.insert(Role::Etcd);
            }
            None => nodes.extend(machine(&host, address.as_str(), Role::Etcd, why)),
        }
    }
    nodes.sort_by_key(|node| match () {
        () if node.roles.contains(&Role::ControlPlane) => 1,
        () if node.roles.contains(&Role::Etcd) => 0,
        () => 2,
    });
    nodes
}

fn machine(name: &str, address: &str, role: Role, why: &mut Vec<String>) -> Option<Node> {
    let named = NodeName::new(name).map_err(|error| format!("a machine is called {}: {error}", text::quoted(name)));
    let placed = Address::new(address).map_err(|error| format!("{name} has no address to be reached at: {error}"));
    match (named, placed) {
        (Ok(name), Ok(address)) => Some(Node { name, address, roles: BTreeSet::from([role]), labels: BTreeMap::new() }),
        (named, placed) => {
            why.extend(named.err().into_iter().chain(placed.err()));
            None
        }
    }
}

/// What all machines of etcd have in common: an inventory has one word for all of them.
fn external(machines: &[(Address, FoundEtcd)], why: &mut Vec<String>) -> Option<Etcd> {
    let told: Vec<&FoundEtcd> = machines.iter().map(|(_, etcd)| etcd).collect();
    if let Some(file) = told.iter().find_map(|etcd| etcd.config_file.as_deref()) {
        why.push(format!("etcd is set by {}, which is not read: write its table `[etcd]` by hand", text::quoted(file)));
        return None;
    }
    let service = common(&told, "systemd unit", |etcd| etcd.service.clone(), why);
    let package =
        common(&told, "package", |etcd| Some(etcd.package.clone().unwrap_or_else(|| etcd.program.clone())), why);
    let ca = common(&told, "CA of its clients (trusted-ca-file)", |etcd| etcd.ca.clone(), why);
    let port = common(&told, "port for clients", |etcd| Some(etcd.client_port.unwrap_or(CLIENT_PORT)), why);
    // Of certificates it is enough that one pair is on all of them.
    let everywhere = |pair: &&(String, String)| told.iter().all(|etcd| etcd.clients.contains(*pair));
    let client = told.first().and_then(|etcd| etcd.clients.iter().find(everywhere));
    if client.is_none() {
        why.push("no certificate of a client and its key are at the same paths on all machines of etcd".to_owned());
    }
    let (service, package, ca, client_port) = (service?, package?, ca?, port?);
    let (cert, key) = client?.clone();
    let clients = |etcd: &FoundEtcd| etcd.client_package.clone().filter(|client| *client != package);
    let same = told.windows(2).all(|two| clients(two[0]) == clients(two[1]));
    let client_package = told.first().copied().and_then(clients).filter(|_| same && !package.starts_with('/'));
    let env_file = told.iter().find_map(|etcd| etcd.env_file.clone()).unwrap_or_else(|| "/etc/default/etcd".to_owned());
    let checks = [
        check_unit(&service).err(),
        check_etcd(&package).err(),
        client_package.as_deref().and_then(|package| check_package(package).err()),
    ];
    why.extend(
        checks.into_iter().flatten().map(|error| format!("what etcd says of itself cannot be written: {error}")),
    );
    let paths = [&ca, &cert, &key, &env_file];
    why.extend(
        paths.iter().filter_map(|path| check_node_path(path).err()).map(|error| format!("a path of etcd's: {error}")),
    );
    Some(Etcd {
        topology: Topology::External,
        service,
        package,
        client_package,
        ca: ca.into(),
        cert: cert.into(),
        key: key.into(),
        env_file: env_file.into(),
        client_port,
    })
}

/// What all of them say; else why it is not one thing.
fn common<T: Ord + Clone + ToString>(
    told: &[&FoundEtcd],
    what: &str,
    of: impl Fn(&FoundEtcd) -> Option<T>,
    why: &mut Vec<String>,
) -> Option<T> {
    let mut values: Vec<(String, Option<T>)> = told.iter().map(|etcd| (etcd.host.clone(), of(etcd))).collect();
    values.dedup_by(|one, other| one.1 == other.1);
    match values.as_slice() {
        [(_, Some(value))] => Some(value.clone()),
        [] => None,
        [(_, None)] => {
            why.push(format!("etcd tells no {what}"));
            None
        }
        several => {
            let said = several.iter().map(|(host, value)| {
                format!("{} on {host}", value.as_ref().map_or_else(|| "none".to_owned(), T::to_string))
            });
            why.push(format!("machines of etcd differ in their {what}: {}", said.collect::<Vec<_>>().join(", ")));
            None
        }
    }
}

#[cfg(test)]
#[path = "discover_tests.rs"]
mod tests;
