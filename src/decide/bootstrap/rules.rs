//! What forbids a cluster to begin on these machines, and what is to be known about it.

use std::collections::BTreeMap;

use super::{Files, RUNTIMES, Wanted, balancer, is_member, members};
use crate::decide::check::capacity;
use crate::decide::finding::{Finding, Rule};
use crate::decide::planner::packages::{KUBERNETES, afresh, whatever};
use crate::decide::rules::{Case, clock};
use crate::decide::target::Target;
use crate::facts::ground::{Ground, Reached};
use crate::facts::{KubeNode, MachineFacts, PackageManager, Seen};
use crate::inventory::{Node, Role, Topology, is_program};
use crate::text::list;

/// Memory below which kubeadm refuses a control plane, in bytes (kubeadm's preflight check `Mem`).
const LEAST_MEMORY: u64 = 1700 << 20;
/// Processors below which kubeadm refuses a control plane (kubeadm's preflight check `NumCPU`).
const LEAST_CORES: u64 = 2;

/// Ports that have to be free where there is to be something that listens there.
const MEMBER_PORTS: [u16; 2] = [2379, 2380];
const PLANE_PORTS: [u16; 3] = [6443, 10257, 10259];
const NODE_PORTS: [u16; 1] = [10250];

/// Whether this cluster stands already: its API knows every one of its nodes.
pub(super) fn stands(wanted: Wanted<'_>) -> bool {
    let Some(api) = wanted.facts.api.known() else { return false };
    let known = |node: &Node| api.nodes.iter().any(|known| known.name == node.name.as_str());
    wanted.inventory.nodes.iter().filter(|node| node.is_kube()).all(known)
}

/// What of a cluster that stands is not as it is wanted: a bootstrap neither raises nor heals it.
pub(super) fn of_another_version(wanted: Wanted<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let servers = wanted.inventory.with_role(Role::ControlPlane).filter_map(|node| {
        let version = wanted.facts.machine(&node.name)?.api_server.known()?.as_ref()?;
        (version != wanted.kubernetes).then(|| (node, version.clone()))
    });
    for (node, version) in servers {
        let detail = format!(
            "runs Kubernetes {version} already: `windlass upgrade plan` raises a cluster, and nothing lowers it"
        );
        found.push(Finding::refusal(Rule::Occupied, &node.name, detail));
    }
    let unready = |node: &&KubeNode| !node.ready();
    for node in wanted.facts.api.known().into_iter().flat_map(|api| &api.nodes).filter(unready) {
        let detail = "is not Ready; this cluster stands, and a bootstrap heals nothing: see `windlass check`";
        found.push(Finding::refusal(Rule::NodeNotReady, &node.name, detail));
    }
    found
}

/// Something that is wrong with the operator's configuration of kubeadm.
pub(in crate::decide) fn configuration(detail: String) -> Finding {
    Finding::refusal(Rule::Configuration, "kubeadm", detail)
}

/// Everything else.
pub(super) fn findings(wanted: Wanted<'_>) -> Vec<Finding> {
    let mut found = whole(wanted);
    found.extend(alike(wanted));
    found.extend(adrift(wanted));
    found.extend(reached(wanted));
    found.extend(capacity::machines(Case {
        inventory: wanted.inventory,
        facts: wanted.facts,
        target: &Target::default(),
    }));
    for node in &wanted.inventory.nodes {
        let facts = wanted.facts.nodes.iter().find(|facts| facts.name == node.name).map(|facts| &facts.machine);
        match facts {
            Some(Seen::Known(machine)) => found.extend(of_machine(wanted, node, machine)),
            Some(Seen::Unknown(why)) => found.push(Finding::unreachable(&node.name, why.clone())),
            None => found.push(Finding::unreachable(&node.name, "was not looked at")),
        }
    }
    found
}

/// What the inventory and the wish have to say together.
fn whole(wanted: Wanted<'_>) -> Vec<Finding> {
    let Wanted { inventory, etcd, authority, .. } = wanted;
    let mut found = Vec::new();
    if inventory.api.endpoint.is_none() {
        let detail = "the inventory names no [api] endpoint: the address of a load balancer, or of a name that can lead to one \
                      later. It is in every certificate and kubeconfig, and hard to change afterwards";
        found.push(Finding::refusal(Rule::Configuration, "API", detail));
    }
    let external = inventory.etcd.topology == Topology::External;
    let refuse = |rule, detail: &str| Finding::refusal(rule, "etcd", detail);
    match (external, etcd) {
        (true, None) => found.push(refuse(Rule::Configuration, "say which version it begins with: --etcd VERSION")),
        (false, Some(_)) => found.push(refuse(
            Rule::EtcdTopology,
            "is stacked: kubeadm chooses its version (etcd.local.imageTag of its configuration), leave --etcd out",
        )),
        _ => {}
    }
    match (external, authority) {
        (true, None) => found.push(refuse(
            Rule::Certificate,
            "its certificates are signed here: name its authority with --ca-cert and --ca-key (`windlass certs authority` makes \
             one)",
        )),
        (false, Some(_)) => {
            found.push(refuse(Rule::Certificate, "is stacked: kubeadm makes its authority, leave --ca-cert and --ca-key out"));
        }
        _ => {}
    }
    found.extend(secret(wanted.files));
    let order = |node: &Node| Some(members::order(inventory, authority?, node)?.files());
    let doubled = inventory.nodes.iter().filter_map(order).find_map(|mut files| {
        files.sort();
        files.iter().zip(files.iter().skip(1)).find(|(one, other)| one == other).map(|(one, _)| one.clone())
    });
    if let Some(path) = doubled {
        let detail =
            format!("{path} would be the file of two certificates: its folder gets server.crt and peer.crt as well");
        found.push(refuse(Rule::Certificate, &detail));
    }
    if external && is_program(&inventory.etcd.package) {
        let detail =
            "is to be a program, and here it is installed from a package: name one in the inventory ([etcd] package)";
        found.push(refuse(Rule::NotInstalled, detail));
    }
    if !inventory.ssh.strict_host_keys {
        let detail =
            "the inventory switches strict host keys off: anybody between here and the nodes can take their place";
        found.push(Finding::warning(Rule::HostKeys, "inventory", detail));
    }
    found
}

/// A secret in the operator's configuration of containerd.
pub(in crate::decide) fn secret(files: &Files) -> Option<Finding> {
    let line = files.containerd.as_deref().and_then(secret_line)?;
    let detail = format!(
        "line {line} of its configuration has a password, which would be in the plan and in process lists: put it in a file of \
         the machines (certs.d, or an image credential provider)"
    );
    Some(Finding::refusal(Rule::Configuration, "containerd", detail))
}

/// The number of a line that has a secret of a registry's.
fn secret_line(configuration: &str) -> Option<usize> {
    const KEYS: [&str; 4] = ["password", "auth", "identitytoken", "username"];
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().trim_matches('"').to_ascii_lowercase();
    let secret = |line: &str| line.contains('=') && KEYS.contains(&key(line).as_str());
    configuration.lines().position(secret).map(|at| at + 1)
}

/// Machines that were copied from one image and still take themselves for the same (kubeadm's documentation, "Verify the MAC
/// address and product_uuid are unique for every node").
pub(in crate::decide) fn alike(wanted: Wanted<'_>) -> Vec<Finding> {
    let machines = || {
        let nodes = wanted.inventory.nodes.iter();
        nodes.filter_map(|node| Some((node.name.as_str(), wanted.facts.machine(&node.name)?)))
    };
    let mut found = Vec::new();
    let mut by_id: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, machine) in machines() {
        let id = machine.machine_id.known().map_or("", String::as_str);
        by_id.entry(id).or_default().push(name);
    }
    for (id, names) in &by_id {
        let detail = match (*id, names.len()) {
            ("", _) => "have no /etc/machine-id: `systemd-machine-id-setup` makes one",
            (_, 1) => continue,
            _ => {
                "have the same /etc/machine-id: `rm /etc/machine-id && systemd-machine-id-setup` on all of them but one"
            }
        };
        found.push(Finding::refusal(Rule::Alike, list(&own(names), "and"), detail));
    }
    let mut by_uuid: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, machine) in machines() {
        let Some(uuid) = machine.ground.known().and_then(|ground| ground.product_uuid.as_deref()) else { continue };
        by_uuid.entry(uuid).or_default().push(name);
    }
    for names in by_uuid.values().filter(|names| names.len() > 1) {
        let detail = "have the same product_uuid: clouds' controllers and some storage tell nodes apart by it";
        found.push(Finding::warning(Rule::Alike, list(&own(names), "and"), detail));
    }
    found
}

/// Machines whose clocks nobody keeps.
fn adrift(wanted: Wanted<'_>) -> Option<Finding> {
    let ground = |node: &&Node| Some(wanted.facts.machine(&node.name)?.ground.known()?.synchronised == Some(false));
    let names: Vec<String> = wanted
        .inventory
        .nodes
        .iter()
        .filter(|node| ground(node) == Some(true))
        .map(|node| node.name.to_string())
        .collect();
    let detail = "nobody keeps the clock there (timedatectl): etcd's leases and all certificates go by it";
    (!names.is_empty()).then(|| Finding::warning(Rule::ClockSkew, list(&names, "and"), detail))
}

/// Who is where the API will be, as the machines see it: nobody yet but a load balancer that waits.
fn reached(wanted: Wanted<'_>) -> Vec<Finding> {
    let mut by: BTreeMap<Reached, Vec<String>> = BTreeMap::new();
    for node in wanted.inventory.nodes.iter().filter(|node| node.is_kube()) {
        let ground = wanted.facts.machine(&node.name).and_then(|machine| machine.ground.known());
        let Some(reached) = ground.and_then(|ground| ground.endpoint) else { continue };
        by.entry(reached).or_default().push(node.name.to_string());
    }
    let ours = wanted.inventory.with_role(Role::LoadBalancer).next().is_some();
    let endpoint = wanted.inventory.api.endpoint.as_deref().unwrap_or_default();
    let finding = |(reached, names): (Reached, Vec<String>)| {
        let subject = list(&names, "and");
        let refusal = |rule, detail: String| Some(Finding::refusal(rule, &subject, detail));
        match reached {
            Reached::Answered => refusal(
                Rule::Occupied,
                format!("see a server answer at {endpoint} already: another cluster's API, or something else"),
            ),
            Reached::Accepted if ours => refusal(
                Rule::Occupied,
                format!("see somebody listen at {endpoint}, whose address the load balancers will have"),
            ),
            Reached::Unresolved => refusal(
                Rule::Configuration,
                format!("cannot resolve {endpoint}, where every node will look for the API"),
            ),
            Reached::Silent if !ours => {
                let detail =
                    format!("get no answer from {endpoint}: is the load balancer there, and may they reach it?");
                Some(Finding::warning(Rule::Configuration, &subject, detail))
            }
            Reached::Silent | Reached::Refused | Reached::Accepted => None,
        }
    };
    by.into_iter().filter_map(finding).collect()
}

fn own(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Whether a machine can become a node: it is free, large enough, and everything that it gets can be had.
pub(in crate::decide) fn of_machine(wanted: Wanted<'_>, node: &Node, machine: &MachineFacts) -> Vec<Finding> {
    let mut found = packages(wanted, node, machine);
    found.extend(clock(node, machine));
    let serves = node.roles.contains(&Role::ControlPlane) || node.roles.contains(&Role::Etcd);
    if node.address.as_str().parse::<std::net::Ipv6Addr>().is_ok() {
        let detail = "has an IPv6 address: a cluster of such machines has not been tried, and is not begun";
        found.push(Finding::refusal(Rule::Configuration, &node.name, detail));
    } else if serves && node.address.as_str().parse::<std::net::IpAddr>().is_err() {
        let detail =
            "give its IP address in the inventory: etcd and API servers listen at it, and say it in certificates";
        found.push(Finding::refusal(Rule::Configuration, &node.name, detail));
    }
    match &machine.ground {
        Seen::Known(ground) => found.extend(of_ground(wanted, node, ground)),
        Seen::Unknown(why) => {
            let detail = format!("whether it is free could not be seen: {why}");
            found.push(Finding::refusal(Rule::Unseen, &node.name, detail));
        }
    }
    found.extend(size(wanted, node, machine));
    found
}

/// It belongs to no cluster, and nobody listens where somebody will.
fn of_ground(wanted: Wanted<'_>, node: &Node, ground: &Ground) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(first) = ground.remains.first() {
        let more = ground.remains.len() - 1;
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let detail = format!(
            "has something of a cluster already: {first}{more}. A bootstrap takes nothing away that it did not begin: go on with \
             its own plan, or see to the machine yourself (`kubeadm reset`)"
        );
        found.push(Finding::refusal(Rule::Occupied, &node.name, detail));
        return found;
    }
    let plane = node.roles.contains(&Role::ControlPlane);
    let member = is_member(wanted.inventory, node) || plane && wanted.inventory.etcd.topology == Topology::Stacked;
    let served = [balancer::endpoint(wanted.inventory).1];
    let serves = node.roles.contains(&Role::LoadBalancer);
    let needed = [
        (serves, &served[..]),
        (member, &MEMBER_PORTS[..]),
        (plane, &PLANE_PORTS[..]),
        (node.is_kube(), &NODE_PORTS[..]),
    ];
    let needed = needed.into_iter().filter(|(needed, _)| *needed).flat_map(|(_, ports)| ports);
    let busy: Vec<String> = needed.filter(|port| ground.listening.contains(port)).map(ToString::to_string).collect();
    if !busy.is_empty() {
        let detail = format!("somebody listens on {} there already", list(&busy, "and"));
        found.push(Finding::refusal(Rule::Occupied, &node.name, detail));
    }
    found
}

/// As kubeadm will see it, unless it was told not to look.
fn size(wanted: Wanted<'_>, node: &Node, machine: &MachineFacts) -> Vec<Finding> {
    let Some(size) = machine.measured.size.known().filter(|_| node.roles.contains(&Role::ControlPlane)) else {
        return Vec::new();
    };
    let ignored = |check: &str| wanted.inventory.kubeadm.ignore_preflight_errors.iter().any(|known| known == check);
    let mut found = Vec::new();
    if size.cores < LEAST_CORES && !ignored("NumCPU") {
        let detail = format!("has {} processor: kubeadm wants {LEAST_CORES} on a control plane", size.cores);
        found.push(Finding::refusal(Rule::Capacity, &node.name, detail));
    }
    if size.memory_bytes < LEAST_MEMORY && !ignored("Mem") {
        let mib = size.memory_bytes >> 20;
        let detail = format!("has {mib} MiB of memory: kubeadm wants {} on a control plane", LEAST_MEMORY >> 20);
        found.push(Finding::refusal(Rule::Capacity, &node.name, detail));
    }
    found
}

/// Everything that it gets can be had there.
fn packages(wanted: Wanted<'_>, node: &Node, machine: &MachineFacts) -> Vec<Finding> {
    match &machine.package_manager {
        Seen::Known(PackageManager::Apt) => {}
        Seen::Known(other) => {
            let detail = format!("is managed by {}, which this Windlass cannot drive yet: only apt", other.word());
            return vec![Finding::refusal(Rule::PackageManager, &node.name, detail)];
        }
        Seen::Unknown(why) => {
            let detail = format!("its package manager could not be seen: {why}");
            return vec![Finding::refusal(Rule::Unseen, &node.name, detail)];
        }
    }
    let mut missing: Vec<String> = Vec::new();
    if node.is_kube() {
        for name in KUBERNETES {
            missing.extend(afresh(name, machine, wanted.kubernetes).err().map(|why| format!("{name}: {why}")));
        }
        if RUNTIMES.iter().all(|name| whatever(name, machine).is_none()) {
            missing.push(format!("neither {} is to be had", RUNTIMES.join(" nor ")));
        }
    }
    if node.roles.contains(&Role::LoadBalancer) {
        let absent = balancer::packages(wanted.inventory).filter(|name| whatever(name, machine).is_none());
        missing.extend(absent.map(|name| format!("{name} is not to be had")));
    }
    if let Some(version) = wanted.etcd.filter(|_| is_member(wanted.inventory, node)) {
        let etcd = &wanted.inventory.etcd;
        for name in std::iter::once(&etcd.package).chain(&etcd.client_package) {
            missing.extend(afresh(name, machine, version).err().map(|why| format!("{name}: {why}")));
        }
    }
    missing.into_iter().map(|detail| Finding::refusal(Rule::TargetMissing, &node.name, detail)).collect()
}
