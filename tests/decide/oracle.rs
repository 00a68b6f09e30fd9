//! Two things the properties lean on, written apart from the planner and the checker: what a step leaves behind, and what the
//! version skew policy says of a state.

use std::collections::BTreeSet;

use semver::Version;
use windlass::decide::action::Action;
use windlass::decide::plan::{Placed, Plan};
use windlass::facts::{MachineFacts, Seen};
use windlass::inventory::Role;

use super::cluster::Cluster;

/// Changes the facts as the step would change the cluster.
pub(crate) fn apply(cluster: &mut Cluster, plan: &Plan, placed: &Placed<'_>) {
    let Some(node) = placed.node else { return };
    match &placed.step.action {
        Action::InstallPackages(install) => {
            for package in &install.packages {
                let facts = cluster.machine(node).packages.get_mut(&package.name).expect("it is known");
                facts.installed = Some(package.version.clone());
            }
        }
        Action::SwapEtcd(swap) => cluster.set_etcd(node, &swap.to),
        Action::KubeadmApply(apply) => {
            cluster.set_api_server(node, &apply.to);
            cluster.set_cluster(&apply.to);
        }
        Action::KubeadmNode(upgrade) if upgrade.control_plane => cluster.set_api_server(node, &upgrade.to),
        Action::RestartKubelet(restart) => cluster.set_kubelet(node, &restart.to),
        Action::Cordon(_) => {
            let node = cluster.kube_node(node);
            if !node.unschedulable {
                (node.unschedulable, node.cordoned_by) = (true, Some(plan.id.0.clone()));
            }
        }
        Action::Uncordon(_) => {
            let node = cluster.kube_node(node);
            if node.cordoned_by.as_ref() == Some(&plan.id.0) {
                (node.unschedulable, node.cordoned_by) = (false, None);
            }
        }
        _ => {}
    }
}

fn minors<'a>(versions: impl Iterator<Item = &'a Version>) -> BTreeSet<u64> {
    versions.map(|version| version.minor).collect()
}

fn spread(minors: &BTreeSet<u64>) -> u64 {
    minors.last().zip(minors.first()).map_or(0, |(newest, oldest)| newest - oldest)
}

/// What of this state the policy does not support, in words: kubernetes.io/releases/version-skew-policy, and etcd's own
/// one minor at a time.
pub(crate) fn unsupported(cluster: &Cluster) -> Vec<String> {
    let machines: Vec<&MachineFacts> = cluster.facts.nodes.iter().filter_map(|node| node.machine.known()).collect();
    let servers = machines.iter().filter_map(|machine| machine.api_server.known()?.as_ref());
    let servers = minors(servers);
    let mut wrong = Vec::new();
    if spread(&servers) > 1 {
        wrong.push(format!("API servers at minors {servers:?}"));
    }
    if let Seen::Known(api) = &cluster.facts.api {
        for node in &api.nodes {
            let Seen::Known(kubelet) = &node.kubelet else { continue };
            if servers.first().is_some_and(|server| kubelet.minor > *server) {
                wrong.push(format!("kubelet of {} at {kubelet}, API servers at minors {servers:?}", node.name));
            }
            if servers.last().is_some_and(|server| kubelet.minor + 2 < *server) {
                wrong.push(format!("kubelet of {} at {kubelet} is too old for minors {servers:?}", node.name));
            }
        }
    }
    if let Seen::Known(etcd) = &cluster.facts.etcd {
        let members = minors(etcd.members.iter().filter_map(|member| member.status.known()).map(|s| &s.version));
        if spread(&members) > 1 {
            wrong.push(format!("etcd members at minors {members:?}"));
        }
    }
    wrong
}

/// Whether the step takes something away from a node that is not drained: a kubelet that changes minor below its pods.
pub(crate) fn undrained(cluster: &Cluster, placed: &Placed<'_>) -> Option<String> {
    let (Some(node), Action::RestartKubelet(restart)) = (placed.node, &placed.step.action) else { return None };
    let mut cluster = cluster.clone();
    let running = cluster.machine(node).kubelet_running.known().cloned().flatten()?;
    (running.minor != restart.to.minor && !cluster.kube_node(node).unschedulable)
        .then(|| format!("{node} is schedulable while its kubelet goes from {running} to {}", restart.to))
}

/// Whether every other member is at work while the step restarts one; on the word of the plan alone.
pub(crate) fn members_at_once(cluster: &Cluster, plan: &Plan) -> usize {
    let etcd: BTreeSet<_> = cluster.names(Role::Etcd).into_iter().collect();
    let swaps = |lane: &&windlass::decide::plan::Lane| {
        lane.node.as_ref().is_some_and(|node| etcd.contains(node))
            && plan.steps(lane).iter().any(|step| matches!(step.action, Action::SwapEtcd(_)))
    };
    let waves = plan.stages.iter().flat_map(|stage| &stage.waves);
    waves.map(|wave| wave.lanes.iter().filter(swaps).count()).max().unwrap_or(0)
}
