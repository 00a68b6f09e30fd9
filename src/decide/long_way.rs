//! The long way back: from which step on there is no other one, and what it needs.

use super::action::Action;
use super::actions::packages::Pinned;
use super::plan::{Placed, Plan, Raise};
use super::target::minor;
use crate::facts::Kept;
use crate::inventory::NodeName;

/// Whether only the long way is left once this step is through: kubeadm has raised the cluster by a minor, or the last
/// member of etcd runs a new one, upon which the cluster version rises.
pub fn is_final(plan: &Plan, placed: &Placed<'_>) -> bool {
    let by_minor = |raise: &Option<Raise>| raise.as_ref().is_some_and(|raise| minor(&raise.from) != minor(&raise.to));
    match &placed.step.action {
        Action::KubeadmApply(_) => by_minor(&plan.kubernetes),
        Action::SwapEtcd(_) => {
            let last = plan.placed().filter(|other| matches!(other.step.action, Action::SwapEtcd(_))).last();
            by_minor(&plan.etcd) && last.is_some_and(|last| last.id() == placed.id())
        }
        _ => false,
    }
}

/// The nodes that keep something for it: those that are archived.
pub fn nodes(plan: &Plan) -> Vec<&NodeName> {
    let archives = plan.placed().filter(|placed| matches!(placed.step.action, Action::ArchiveNode(_)));
    archives.filter_map(|placed| placed.node).collect()
}

/// The former packages that the plan promises to keep on a node.
pub fn packages<'a>(plan: &'a Plan, node: &NodeName) -> Vec<&'a Pinned> {
    let fetched = plan.placed().filter(|placed| placed.node == Some(node)).filter_map(|placed| {
        if let Action::FetchPackages(fetch) = &placed.step.action { Some(&fetch.former) } else { None }
    });
    fetched.flatten().collect()
}

/// What is missing of what a node has to keep, in words. `archive` is what the journal has of it: size and SHA-256.
pub fn missing(plan: &Plan, node: &NodeName, archive: Option<&(u64, String)>, kept: &Kept) -> Vec<String> {
    let mut missing = Vec::new();
    match (archive, kept.archives.get(&plan.id.0)) {
        (_, None) => missing.push(format!("{node} has no archive of this run")),
        (Some((_, sha256)), Some(found)) if *sha256 != found.sha256 => {
            missing.push(format!(
                "the archive on {node} is not the one that was written: its SHA-256 is {}",
                found.sha256
            ));
        }
        _ => {}
    }
    let gone = packages(plan, node).into_iter().filter(|p| !kept.has_package(&plan.id.0, &p.name, &p.version));
    missing.extend(gone.map(|package| format!("{node} does not keep {} any more", package.spec())));
    missing
}
