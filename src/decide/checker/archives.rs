//! Law 2, for nodes: what going back by hand needs of a node is archived before anything on the node is changed.

use std::collections::BTreeSet;

use super::{Breach, raises_kubelet, touches_etcd, touches_kubernetes};
use crate::decide::action::Action;
use crate::decide::plan::{Law, Plan, Step};
use crate::inventory::NodeName;

pub(super) fn check(plan: &Plan) -> Vec<Breach> {
    let mut archived: BTreeSet<&NodeName> = BTreeSet::new();
    let mut told: BTreeSet<&NodeName> = BTreeSet::new();
    let mut breaches = Vec::new();
    for placed in plan.placed() {
        let Some(node) = placed.node else { continue };
        if matches!(placed.step.action, Action::ArchiveNode(_)) {
            archived.insert(node);
        } else if changes(placed.step) && !archived.contains(node) && told.insert(node) {
            let detail = "the node is changed before its configuration is archived";
            breaches.push(Breach::new(Law::SnapshotFirst, placed.id(), detail));
        }
    }
    breaches
}

/// Whether a step changes its node, or what the cluster does with it.
fn changes(step: &Step) -> bool {
    let other = matches!(&step.action, Action::InstallPackages(_))
        || matches!(&step.action, Action::RunCommand(run) if !run.on_control)
        || matches!(&step.action, Action::RenewCertificates(_))
        || matches!(&step.action, Action::StopStaticPods(_) | Action::StopEtcd(_) | Action::RestoreMember(_));
    other || touches_etcd(step) || touches_kubernetes(step) || raises_kubelet(step)
}
