//! What the cluster is like when it is planned for.

use std::collections::BTreeMap;

use crate::decide::plan::{Baseline, MachineBaseline};
use crate::decide::rules::Case;
use crate::facts::{EtcdFacts, Facts, MachineFacts, Seen};
use crate::inventory::{Inventory, Node, Role, Topology};

/// The baseline of a case: its machines that take part, Node objects, etcd members.
pub(super) fn of(case: Case<'_>) -> Baseline {
    let machines = case
        .nodes()
        .filter_map(|node| case.machine(&node.name).map(|machine| (node.name.clone(), machine_baseline(node, machine))))
        .collect();
    let kube_nodes = case.facts.api.known().map_or_else(Vec::new, |api| {
        let mut names: Vec<String> = api.nodes.iter().map(|node| node.name.clone()).collect();
        names.sort();
        names
    });
    let etcd = case.facts.etcd.known();
    Baseline {
        machines,
        kube_nodes,
        etcd_members: etcd
            .map_or_else(BTreeMap::new, |etcd| etcd.members.iter().map(|m| (m.id, m.name.clone())).collect()),
        etcd_cluster: etcd.map_or(0, |etcd| etcd.cluster_id),
        stacked: case.inventory.etcd.topology == Topology::Stacked,
    }
}

/// The baseline of a plan for etcd alone: its machines, and the control planes, as far as they answer.
pub(crate) fn of_etcd(inventory: &Inventory, facts: &Facts, etcd: &EtcdFacts) -> Baseline {
    let takes_part = |node: &&Node| node.roles.contains(&Role::Etcd) || node.roles.contains(&Role::ControlPlane);
    let machines = inventory.nodes.iter().filter(takes_part).filter_map(|node| {
        facts.machine(&node.name).map(|machine| (node.name.clone(), machine_baseline(node, machine)))
    });
    Baseline {
        machines: machines.collect(),
        kube_nodes: Vec::new(),
        etcd_members: etcd.members.iter().map(|member| (member.id, member.called())).collect(),
        etcd_cluster: etcd.cluster_id,
        stacked: inventory.etcd.topology == Topology::Stacked,
    }
}

/// The baseline of one machine.
pub(crate) fn machine_baseline(node: &Node, machine: &MachineFacts) -> MachineBaseline {
    let installed = |(name, package): (&String, &crate::facts::PackageFacts)| {
        package.installed.as_ref().map(|version| (name.clone(), version.clone()))
    };
    let etcd_config = match &machine.etcd {
        Seen::Known(Some(process)) => process.config_digest.known().cloned(),
        _ => None,
    };
    MachineBaseline {
        roles: node.roles.iter().copied().collect(),
        machine_id: machine.machine_id.known().cloned(),
        packages: machine.packages.iter().filter_map(installed).collect(),
        etcd_config,
    }
}
