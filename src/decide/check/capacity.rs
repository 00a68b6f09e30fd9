//! Whether the machines are large enough for the cluster, and enough is left when one of them is lost.
//!
//! etcd: etcd.io, hardware. Control planes: kubernetes.io, considerations for large clusters. Figures are for what a cluster
//! of this size wants, not for what it starts on.

use crate::decide::finding::{Finding, Rule};
use crate::decide::rules::Case;
use crate::facts::load::NodeLoad;
use crate::facts::measured::Size;
use crate::facts::{MachineFacts, Seen};
use crate::inventory::{Node, Role};
use crate::text::{bytes, count};

const GIB: u64 = 1 << 30;
/// Machines tell a little less than what was bought: firmware and kernel keep some.
const OF_WHAT_WAS_BOUGHT: (u64, u64) = (15, 16);

/// What a machine of etcd wants, by the nodes of the cluster that are fewer than this: cores, memory, room for its data.
const ETCD: [(usize, u64, u64, u64); 4] = [
    (200, 2, 8 * GIB, 20 * GIB),
    (250, 4, 16 * GIB, 20 * GIB),
    (1000, 8, 32 * GIB, 40 * GIB),
    (usize::MAX, 16, 64 * GIB, 80 * GIB),
];
/// What a control plane wants, likewise: cores, memory.
const CONTROL_PLANE: [(usize, u64, u64); 4] =
    [(100, 4, 16 * GIB), (250, 8, 30 * GIB), (500, 16, 60 * GIB), (usize::MAX, 32, 120 * GIB)];
/// From so many pods on, three members are said to be few.
const PODS_FOR_FIVE_MEMBERS: u64 = 1000;
/// A node is said to be nearly full from so many percent of its pods on.
const FULL_PERCENT: u64 = 90;

pub(super) fn findings(case: Case<'_>, load: &Seen<Vec<NodeLoad>>) -> Vec<Finding> {
    let mut found = machines(case);
    found.extend(servers(case));
    match load {
        Seen::Known(load) => {
            found.extend(members(case, load));
            found.extend(load.iter().filter_map(full));
            found.extend(largest(case, load));
        }
        // That the API does not answer is said already.
        Seen::Unknown(_) if case.facts.api.known().is_none() => {}
        Seen::Unknown(why) => {
            let detail = format!("how full the nodes are could not be seen: {why}");
            found.push(Finding::warning(Rule::Capacity, "nodes", detail));
        }
    }
    found
}

/// Machines that are smaller than a cluster of this many nodes wants them; before there is one, of those that it will have.
pub(in crate::decide) fn machines(case: Case<'_>) -> Vec<Finding> {
    let planned = || case.inventory.nodes.iter().filter(|node| node.is_kube()).count();
    let nodes = case.facts.api.known().map_or_else(planned, |api| api.nodes.len());
    let etcd = ETCD.iter().find(|row| nodes < row.0).unwrap_or(&ETCD[3]);
    let plane = CONTROL_PLANE.iter().find(|row| nodes < row.0).unwrap_or(&CONTROL_PLANE[3]);
    let mut found = Vec::new();
    for node in &case.inventory.nodes {
        let Some(machine) = case.machine(&node.name) else { continue };
        let size = match &machine.measured.size {
            Seen::Known(size) => size,
            Seen::Unknown(why) => {
                let detail = format!("its cores and memory could not be seen: {why}");
                found.push(Finding::warning(Rule::Capacity, &node.name, detail));
                continue;
            }
        };
        let member = case.inventory.etcd_nodes().any(|etcd| etcd.name == node.name);
        if node.roles.contains(&Role::ControlPlane) {
            found.extend(small(node, *size, "a control plane", nodes, (plane.1, plane.2)));
        }
        if member {
            found.extend(small(node, *size, "etcd", nodes, (etcd.1, etcd.2)));
            found.extend(disk_of_data(case, node, machine, (nodes, etcd.3)));
        }
    }
    found
}

/// The disk of a member's data is as large as the cluster wants it, and what the database may still grow by is free.
fn disk_of_data(case: Case<'_>, node: &Node, machine: &MachineFacts, wants: (usize, u64)) -> Vec<Finding> {
    let Some((path, disk)) = machine.data_disk() else { return Vec::new() };
    let mut found = Vec::new();
    let (nodes, wanted) = wants;
    if disk.total_bytes < wanted / OF_WHAT_WAS_BOUGHT.1 * OF_WHAT_WAS_BOUGHT.0 {
        let (has, nodes, wants) = (bytes(disk.total_bytes), count(nodes, "node"), bytes(wanted));
        let detail = format!("etcd's data are on a disk of {has} ({path}); for {nodes} it wants {wants}");
        found.push(Finding::warning(Rule::Capacity, &node.name, detail));
    }
    let quota =
        machine.etcd.known().and_then(|etcd| etcd.as_ref()?.quota_bytes.known()).filter(|quota| **quota != u64::MAX);
    let members = case.facts.etcd.known().map_or(&[][..], |etcd| &etcd.members);
    let own =
        members.iter().find(|member| member.node.as_ref() == Some(&node.name)).and_then(|member| member.status.known());
    if let (Some(quota), Some(own)) = (quota, own)
        && let grows = quota.saturating_sub(own.db_size)
        && disk.free_bytes < grows
    {
        let (free, grows) = (bytes(disk.free_bytes), bytes(grows));
        let detail = format!("etcd's database may still grow by {grows}, and its disk ({path}) has {free} free");
        found.push(Finding::warning(Rule::Capacity, &node.name, detail));
    }
    found
}

fn small(node: &Node, size: Size, what: &str, nodes: usize, wants: (u64, u64)) -> Option<Finding> {
    let (cores, memory) = wants;
    let enough = memory / OF_WHAT_WAS_BOUGHT.1 * OF_WHAT_WAS_BOUGHT.0;
    (size.cores < cores || size.memory_bytes < enough).then(|| {
        let detail = format!(
            "has {} and {}; {what} of a cluster of {} wants {} and {}",
            cores_of(size.cores),
            bytes(size.memory_bytes),
            count(nodes, "node"),
            cores_of(cores),
            bytes(memory)
        );
        Finding::warning(Rule::Capacity, &node.name, detail)
    })
}

fn cores_of(cores: u64) -> String {
    count(usize::try_from(cores).unwrap_or(usize::MAX), "core")
}

/// What readers ask now fits into the API servers also with one of them gone.
fn servers(case: Case<'_>) -> Option<Finding> {
    let told =
        case.inventory.with_role(Role::ControlPlane).filter_map(|node| case.machine(&node.name)?.measured.api.known());
    let told: Vec<_> = told.collect();
    // Of those that did not answer nobody knows what they have to do.
    if told.len() < case.inventory.with_role(Role::ControlPlane).count() {
        return None;
    }
    let (asked, largest) = (told.iter().map(|api| api.in_flight).sum::<u64>(), told.iter().map(|api| api.limit).max()?);
    let left = told.iter().map(|api| api.limit).sum::<u64>() - largest;
    (told.len() > 1 && asked > left).then(|| {
        let detail = format!("have {asked} requests in flight; with one of them gone, the others take {left} at once");
        Finding::warning(Rule::Capacity, "API servers", detail)
    })
}

fn members(case: Case<'_>, load: &[NodeLoad]) -> Option<Finding> {
    let pods: u64 = load.iter().map(|node| node.pods).sum();
    let voters = case.facts.etcd.known()?.voters().count();
    (pods >= PODS_FOR_FIVE_MEMBERS && voters < 5).then(|| {
        let detail = format!(
            "has {} for {pods} pods; from {PODS_FOR_FIVE_MEMBERS} on, five are worth having",
            count(voters, "member")
        );
        Finding::warning(Rule::Capacity, "etcd", detail)
    })
}

fn full(node: &NodeLoad) -> Option<Finding> {
    (node.pods > 0 && node.pods * 100 >= node.pods_allocatable * FULL_PERCENT).then(|| {
        let detail = format!("has {} pods of the {} that it may have", node.pods, node.pods_allocatable);
        Finding::warning(Rule::Capacity, &node.name, detail)
    })
}

/// The pods of the node that has most of them to give away fit on the others of its kind.
fn largest(case: Case<'_>, load: &[NodeLoad]) -> Option<Finding> {
    let takes = |node: &&NodeLoad| {
        let known = case.facts.api.known().and_then(|api| api.nodes.iter().find(|known| known.name == node.name));
        let plane = case
            .inventory
            .nodes
            .iter()
            .any(|of| of.name.as_str() == node.name && of.roles.contains(&Role::ControlPlane));
        !plane && known.is_none_or(|known| known.ready() && !known.unschedulable)
    };
    let workers: Vec<&NodeLoad> = load.iter().filter(takes).collect();
    let lost = workers.iter().max_by_key(|node| node.movable_bytes).filter(|node| node.movable_pods > 0)?;
    let others: Vec<&NodeLoad> = workers.iter().filter(|node| node.name != lost.name).copied().collect();
    homeless(lost, &others).map(|detail| Finding::warning(Rule::Capacity, &lost.name, detail))
}

/// In words, that not all pods of `lost` would run on the others.
pub(in crate::decide) fn homeless(lost: &NodeLoad, others: &[&NodeLoad]) -> Option<String> {
    let memory: u64 = others.iter().map(|node| node.allocatable_bytes.saturating_sub(node.requested_bytes)).sum();
    let pods: u64 = others.iter().map(|node| node.pods_allocatable.saturating_sub(node.pods)).sum();
    (memory < lost.movable_bytes || pods < lost.movable_pods).then(|| {
        format!(
            "its {} ask for {} of memory; the other workers have {} and {pods} places left: not all of them would run without it",
            count(usize::try_from(lost.movable_pods).unwrap_or(usize::MAX), "pod"),
            bytes(lost.movable_bytes),
            bytes(memory)
        )
    })
}
