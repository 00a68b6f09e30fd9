//! The ways back as the plan tells them, before anything starts: which Windlass goes by itself, which kubeadm goes, from
//! where on there is only the long way, and what that needs.

use std::fmt::Write as _;

use crate::decide::action::{Action, Site};
use crate::decide::long_way;
use crate::decide::plan::{Placed, Plan};
use crate::decide::target::minor;
use crate::text;

/// A heading with the lines below it: a step's stage and name, and words.
type Group = (&'static str, fn(&Plan, &Placed<'_>) -> Option<String>);

const GROUPS: [Group; 5] = [
    ("by itself, when the step fails", by_itself),
    ("not at all, when the step fails", not_kept),
    ("by kubeadm, when its step fails", by_kubeadm),
    ("the long way only, once the step is through", long),
    ("by hand", by_hand),
];

/// The ways back of a plan.
pub(super) fn going_back(plan: &Plan) -> String {
    let mut out = String::new();
    for (heading, words) in GROUPS {
        let mut lines: Vec<String> = Vec::new();
        for placed in plan.placed() {
            let Some(words) = words(plan, &placed) else { continue };
            let line = format!("    {:<34} {words}", format!("{}/{}", placed.stage.name, placed.step.name));
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        if !lines.is_empty() {
            // Writing to a String does not fail.
            let _ = writeln!(out, "  {heading}\n{}", lines.join("\n"));
        }
    }
    if plan.placed().any(|placed| long_way::is_final(plan, &placed)) {
        let nodes = text::count(long_way::nodes(plan).len(), "node");
        let _ = writeln!(
            out,
            "  what the long way needs, seen to be there before the first such step\n    \
             the last snapshot's copy, archives of {nodes} in /var/lib/windlass/archives, former packages in \
             /var/lib/windlass/packages"
        );
    }
    if out.is_empty() { out } else { format!("\nHow to go back\n{out}") }
}

fn by_itself(plan: &Plan, placed: &Placed<'_>) -> Option<String> {
    let action = &placed.step.action;
    let own = action.way_back(Site { run: &plan.id, node: placed.node }).is_some();
    (own || (plan.task.is_upgrade() && matches!(action, Action::AwaitEtcd(_)))).then(|| action.undo())
}

fn not_kept(plan: &Plan, placed: &Placed<'_>) -> Option<String> {
    let action = &placed.step.action;
    let packages = matches!(action, Action::InstallPackages(_) | Action::SwapEtcd(_));
    // What is installed where nothing was is no loss.
    let replaces = packages && plan.task.begin().is_none() && plan.task.nodes().is_none();
    (replaces && by_itself(plan, placed).is_none()).then(|| action.undo())
}

fn by_kubeadm(_: &Plan, placed: &Placed<'_>) -> Option<String> {
    match &placed.step.action {
        Action::KubeadmApply(_) => Some(placed.step.action.undo()),
        Action::KubeadmNode(node) if node.control_plane => Some(placed.step.action.undo()),
        _ => None,
    }
}

fn by_hand(_: &Plan, placed: &Placed<'_>) -> Option<String> {
    let action = &placed.step.action;
    let by_hand = matches!(
        action,
        Action::RestoreMember(_)
            | Action::StopStaticPods(_)
            | Action::PrepareMachine(_)
            | Action::SetUpRuntime(_)
            | Action::FormMember(_)
            | Action::KubeadmInit(_)
            | Action::ApplyManifest(_)
            | Action::KubeadmJoin(_)
            | Action::LeaveCluster(_)
            | Action::DeleteNode(_)
    );
    by_hand.then(|| action.undo())
}

fn long(plan: &Plan, placed: &Placed<'_>) -> Option<String> {
    match &placed.step.action {
        Action::KubeadmApply(_) if long_way::is_final(plan, placed) => {
            Some("a minor of Kubernetes goes back only by restoring etcd, configuration and packages".to_owned())
        }
        // A patch leaves the cluster version as it is.
        Action::AwaitClusterVersion(_) => {
            let by_minor = plan.etcd.as_ref().is_some_and(|etcd| minor(&etcd.from) != minor(&etcd.to));
            by_minor.then(|| placed.step.action.undo())
        }
        _ => None,
    }
}
