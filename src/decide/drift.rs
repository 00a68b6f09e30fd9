//! Drift: what is not as the plan left it. Versions, membership, topology and configuration count; leaders, raft indexes
//! and times do not.

use std::collections::{BTreeMap, BTreeSet};

use super::action::Action;
use super::plan::{NodeChange, Placed, Plan, step_id};
use super::planner::machine_baseline;
use crate::facts::{EtcdMember, Facts, Seen, begun_version};
use crate::inventory::{Inventory, NodeName, Topology};

/// How far a step has come, as far as the journal can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Never started.
    Untouched,
    /// Started, and not known to have ended well.
    InDoubt,
    /// Ended well.
    Finished,
}

/// Everything that differs from what the plan and its progress so far make one expect, in words.
pub fn drift(plan: &Plan, inventory: &Inventory, facts: &Facts, progress: &dyn Fn(&str) -> Progress) -> Vec<String> {
    let mut drift = Vec::new();
    machines(plan, inventory, facts, progress, &mut drift);
    api_servers(plan, facts, progress, &mut drift);
    if plan.task.is_upgrade() && plan.baseline.stacked != (inventory.etcd.topology == Topology::Stacked) {
        drift.push("etcd is stacked in the plan or in the inventory, but not in both".to_owned());
    }
    // A restore goes back to the nodes and members of another time, and a bootstrap makes them.
    if plan.task.begin().is_some() || plan.task.nodes().is_some() {
        occupied(plan, facts, progress, &mut drift);
    }
    if let Some(change) = plan.task.nodes() {
        nodes_that_come_and_go(plan, change, facts, progress, &mut drift);
    }
    if plan.task.is_upgrade() {
        kube_nodes(plan, facts, &mut drift);
    }
    if plan.task.restore().is_none() && plan.task.begin().is_none() {
        etcd_members(plan, facts, progress, &mut drift);
    }
    drift
}

fn machines(
    plan: &Plan,
    inventory: &Inventory,
    facts: &Facts,
    progress: &dyn Fn(&str) -> Progress,
    drift: &mut Vec<String>,
) {
    let expected = expected_packages(plan, progress);
    for (name, before) in &plan.baseline.machines {
        let Some(node) = inventory.node(name) else {
            drift.push(format!("{name} is not in the inventory any more"));
            continue;
        };
        let Some(machine) = facts.machine(name) else { continue };
        let now = machine_baseline(node, machine);
        if before.roles != now.roles {
            drift.push(format!("{name} has other roles in the inventory than in the plan"));
        }
        if before.machine_id.is_some() && before.machine_id != now.machine_id {
            drift.push(format!("{name} is another machine than the one that was planned for (its machine id changed)"));
        }
        let written = writes_config(plan, name, progress);
        if !written
            && before.etcd_config.is_some()
            && now.etcd_config.is_some()
            && before.etcd_config != now.etcd_config
        {
            drift.push(format!("etcd's configuration on {name} was changed"));
        }
        for (package, version) in &before.packages {
            let installed = now.packages.get(package);
            let expected = expected.get(&(name.clone(), package.clone())).cloned();
            let allowed = expected.unwrap_or_else(|| BTreeSet::from([version.clone()]));
            // Both versions are allowed while a step is in doubt, and so is everything in between.
            let now = |installed: &String| {
                if allowed.len() > 1 { begun_version(installed).to_owned() } else { installed.clone() }
            };
            if !installed.map(now).is_some_and(|installed| allowed.contains(&installed)) {
                let allowed: Vec<String> = allowed.into_iter().collect();
                drift.push(format!(
                    "{package} on {name} is {}, not {} as planned",
                    installed.map_or("not installed", String::as_str),
                    allowed.join(" or ")
                ));
            }
        }
    }
}

/// Machines that no step has touched yet, and that have something of a cluster since the plan was made.
fn occupied(plan: &Plan, facts: &Facts, progress: &dyn Fn(&str) -> Progress, drift: &mut Vec<String>) {
    let begun: BTreeSet<&NodeName> = plan
        .placed()
        .filter(|placed| !placed.step.action.prepares() && progress(&placed.id()) != Progress::Untouched)
        .filter_map(|placed| placed.node)
        .collect();
    let joins =
        |name: &&NodeName| plan.task.nodes().is_none_or(|change| change.joins.iter().any(|it| it.node == **name));
    for name in plan.baseline.machines.keys().filter(|name| !begun.contains(name)).filter(joins) {
        let Some(Seen::Known(ground)) = facts.machine(name).map(|machine| &machine.ground) else { continue };
        if let Some(first) = ground.remains.first() {
            drift.push(format!("{name} was free, and has something of a cluster now: {first}"));
        }
    }
}

/// The versions that each package of each machine may have now.
fn expected_packages(
    plan: &Plan,
    progress: &dyn Fn(&str) -> Progress,
) -> BTreeMap<(NodeName, String), BTreeSet<String>> {
    let mut expected: BTreeMap<(NodeName, String), BTreeSet<String>> = BTreeMap::new();
    for placed in plan.placed() {
        let (packages, from) = match &placed.step.action {
            Action::InstallPackages(install) => (&install.packages, &install.from),
            Action::SwapEtcd(swap) => (&swap.packages, &swap.from),
            _ => continue,
        };
        let Some(node) = placed.node else { continue };
        let progress = progress(&step_id(&placed.stage.name, placed.node, &placed.step.name));
        for package in packages {
            let before = from.get(&package.name).cloned();
            let after = Some(package.version.clone());
            let allowed: Vec<Option<String>> = match progress {
                Progress::Untouched => vec![before],
                Progress::InDoubt => vec![before, after],
                Progress::Finished => vec![after],
            };
            let key = (node.clone(), package.name.clone());
            expected.insert(key, allowed.into_iter().flatten().collect());
        }
    }
    expected
}

/// API servers that were raised and went back: a kubelet that is raised next would be newer than they are (law 5). One that
/// does not answer is waited for elsewhere.
fn api_servers(plan: &Plan, facts: &Facts, progress: &dyn Fn(&str) -> Progress, drift: &mut Vec<String>) {
    for placed in plan.placed() {
        let to = match &placed.step.action {
            Action::KubeadmApply(apply) => &apply.to,
            Action::KubeadmNode(node) if node.control_plane => &node.to,
            Action::KubeadmInit(init) => &init.to,
            Action::KubeadmJoin(join) if join.newcomer.is_control_plane() => &join.to,
            _ => continue,
        };
        let Some(name) = placed.node.filter(|_| progress(&placed.id()) == Progress::Finished) else { continue };
        if let Some(Seen::Known(Some(version))) = facts.machine(name).map(|machine| &machine.api_server)
            && version != to
        {
            drift.push(format!("the API server on {name} answers as v{version}; it was raised to v{to}"));
        }
    }
}

fn kube_nodes(plan: &Plan, facts: &Facts, drift: &mut Vec<String>) {
    let Seen::Known(api) = &facts.api else { return };
    for name in &plan.baseline.kube_nodes {
        if !api.nodes.iter().any(|node| &node.name == name) {
            drift.push(format!("node {name} is not in the cluster any more"));
        }
    }
    for node in &api.nodes {
        if !plan.baseline.kube_nodes.contains(&node.name) {
            drift.push(format!("node {} joined the cluster", node.name));
        }
    }
}

/// Nodes that came or went besides: those of the plan may be there or not while their step is in doubt.
fn nodes_that_come_and_go(
    plan: &Plan,
    change: &NodeChange,
    facts: &Facts,
    progress: &dyn Fn(&str) -> Progress,
    drift: &mut Vec<String>,
) {
    let Seen::Known(api) = &facts.api else { return };
    let deleted = |name: &str| {
        let of = |action: &Action| matches!(action, Action::DeleteNode(it) if it.node.as_str() == name);
        plan.placed().find(|placed| of(&placed.step.action)).map(|placed| progress(&placed.id()))
    };
    let joined = |name: &str| {
        let of = |placed: &Placed<'_>| {
            matches!(placed.step.action, Action::KubeadmJoin(_))
                && placed.node.is_some_and(|node| node.as_str() == name)
        };
        plan.placed().find(of).map(|placed| progress(&placed.id()))
    };
    let there = |name: &str| api.nodes.iter().any(|node| node.name == name);
    for name in plan.baseline.kube_nodes.iter().filter(|name| !there(name)) {
        if matches!(deleted(name), None | Some(Progress::Untouched)) {
            drift.push(format!("node {name} is not in the cluster any more"));
        }
    }
    for node in api.nodes.iter().filter(|node| !plan.baseline.kube_nodes.contains(&node.name)) {
        if matches!(joined(&node.name), None | Some(Progress::Untouched)) {
            drift.push(format!("node {} joined the cluster", node.name));
        }
    }
    let gone = change.leaves.iter().filter(|it| deleted(it.node.as_str()) == Some(Progress::Finished));
    for departure in gone.filter(|it| there(it.node.as_str()) && joined(it.node.as_str()).is_none()) {
        drift.push(format!("node {} was deleted and is there", departure.node));
    }
    let arrived = change.joins.iter().filter(|it| joined(it.node.as_str()) == Some(Progress::Finished));
    for arrival in arrived.filter(|it| !there(it.node.as_str())) {
        drift.push(format!("node {} joined and is not in the cluster any more", arrival.node));
    }
}

/// Whether a step of the plan has, or may have, written etcd's configuration on the node.
fn writes_config(plan: &Plan, node: &NodeName, progress: &dyn Fn(&str) -> Progress) -> bool {
    plan.placed().any(|placed| {
        let writes = matches!(
            placed.step.action,
            Action::WriteMembers(_)
                | Action::JoinMember(_)
                | Action::KubeadmMember(_)
                | Action::FormMember(_)
                | Action::SettleMember(_)
        );
        // kubeadm writes a stacked member's manifest anew.
        (writes || placed.step.action.stacked_brings().is_some())
            && placed.node == Some(node)
            && progress(&placed.id()) != Progress::Untouched
    })
}

fn etcd_members(plan: &Plan, facts: &Facts, progress: &dyn Fn(&str) -> Progress, drift: &mut Vec<String>) {
    let Seen::Known(etcd) = &facts.etcd else { return };
    if etcd.cluster_id != plan.baseline.etcd_cluster {
        drift.push("this is another etcd cluster than the one that was planned for".to_owned());
        return;
    }
    let changes: Vec<(Progress, &Action)> =
        plan.placed().map(|placed| (progress(&placed.id()), &placed.step.action)).collect();
    // By a control plane that joins with it, or by itself.
    let additions: Vec<(Progress, &str)> = plan
        .placed()
        .filter_map(|placed| {
            Some((progress(&placed.id()), adds(&placed.step.action).or_else(|| joins(plan, &placed))?))
        })
        .collect();
    let removal = |id: u64| {
        let of = |action: &Action| matches!(action, Action::RemoveMember(remove) if remove.member == id);
        changes.iter().find(|(_, action)| of(action)).map_or(Progress::Untouched, |(progress, _)| *progress)
    };
    for (id, name) in &plan.baseline.etcd_members {
        let there = etcd.members.iter().any(|member| member.id == *id);
        match removal(*id) {
            Progress::Untouched if !there => drift.push(format!("etcd member {name} ({id:x}) was removed")),
            Progress::Finished if there => drift.push(format!("etcd member {name} ({id:x}) was removed and is there")),
            _ => {}
        }
    }
    let added = |member: &EtcdMember| {
        additions.iter().any(|(progress, url)| *progress != Progress::Untouched && member.peer_urls == [*url])
    };
    let unplanned = |member: &&EtcdMember| !plan.baseline.etcd_members.contains_key(&member.id) && !added(member);
    for member in etcd.members.iter().filter(unplanned) {
        let name = if member.name.is_empty() { "without a name yet" } else { &member.name };
        drift.push(format!("etcd member {name} ({:x}, {}) was added", member.id, member.peer_urls.join(", ")));
    }
    for (_, url) in additions.iter().filter(|(progress, _)| *progress == Progress::Finished) {
        if !etcd.members.iter().any(|member| member.peer_urls == [*url]) {
            drift.push(format!("an etcd member with {url} was added and is not there"));
        }
    }
}

/// The peer URL of the member that a control plane joins with.
fn joins<'a>(plan: &'a Plan, placed: &Placed<'_>) -> Option<&'a str> {
    let arrivals = &plan.task.nodes().filter(|_| matches!(placed.step.action, Action::KubeadmJoin(_)))?.joins;
    arrivals.iter().find(|it| Some(&it.node) == placed.node)?.peer_url.as_deref()
}

/// The peer URL of the member that an action puts on etcd's list.
fn adds(action: &Action) -> Option<&str> {
    match action {
        Action::AddMember(add) => Some(&add.peer_url),
        Action::KubeadmMember(add) => Some(&add.peer_url),
        _ => None,
    }
}
