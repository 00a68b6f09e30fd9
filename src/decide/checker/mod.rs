//! The checker: holds any plan, also one read from a file, against the laws. It is written apart from the planners, shares
//! nothing with them but the plan's types, and knows nothing of facts: what a plan claims has to be enough.

mod archives;
mod bootstrap;
mod members;
mod nodes;
mod order;
mod pairs;
mod renewal;
mod restore;

use super::action::Action;
use super::actions::packages::Pinned;
use super::finding::{Finding, Rule};
use super::plan::{Law, Placed, Plan, Step};
use super::target::Way;
use crate::facts::version::parse_version;
use crate::inventory::{NodeName, Role};
use crate::text::count;

/// A law that a plan would break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which law.
    pub law: Law,
    /// Where, as a step's id or `plan`.
    pub at: String,
    /// In words.
    pub detail: String,
}

impl Breach {
    fn new(law: Law, at: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { law, at: at.into(), detail: detail.into() }
    }

    /// The breach as a finding that refuses the plan.
    pub fn into_finding(self) -> Finding {
        let number = Law::ALL.iter().position(|law| *law == self.law).map_or(0, |at| at + 1);
        Finding::refusal(Rule::Law, self.at, format!("breaks law {number}: {}", self.detail))
    }
}

/// Every law that the plan would break. Laws 7 and 8 have no switch in a plan: no action can bypass a budget, and the
/// engine journals every act.
pub fn check(plan: &Plan) -> Vec<Breach> {
    let mut breaches = Vec::new();
    if plan.laws != Law::ALL {
        breaches.push(Breach::new(Law::NoSkip, "plan", "it does not name all the laws"));
    }
    breaches.extend(bootstrap::check(plan));
    breaches.extend(nodes::check(plan));
    breaches.extend(renewal::check(plan));
    if plan.task.begin().is_some() || plan.task.nodes().is_some() || plan.task.renewal().is_some() {
        return breaches;
    }
    breaches.extend(no_skip(plan));
    breaches.extend(archives::check(plan));
    breaches.extend(order::check(plan));
    breaches.extend(pairs::check(plan));
    breaches.extend(outage(plan));
    breaches.extend(restore::check(plan));
    breaches.extend(members::check(plan));
    breaches
}

/// A step with its wave's position: what has a lower one has ended when it begins.
type At<'a> = (usize, Placed<'a>);

/// Every step, in the plan's order.
fn steps(plan: &Plan) -> Vec<At<'_>> {
    let mut steps = Vec::new();
    let waves = plan.stages.iter().flat_map(|stage| stage.waves.iter().map(move |wave| (stage, wave)));
    for (at, (stage, wave)) in waves.enumerate() {
        for lane in &wave.lanes {
            let placed = plan.steps(lane).iter().map(|step| Placed { stage, node: lane.node.as_ref(), step });
            steps.extend(placed.map(|placed| (at, placed)));
        }
    }
    steps
}

/// Law 1, from the plan's own words: from, to, and what each step would install.
fn no_skip(plan: &Plan) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (what, raise) in [("Kubernetes", &plan.kubernetes), ("etcd", &plan.etcd)] {
        let Some(raise) = raise else { continue };
        if !matches!(Way::between(&raise.from, &raise.to), Way::Same | Way::Patch | Way::Minor) {
            let detail = format!("{what} would go from {} to {}", raise.from, raise.to);
            breaches.push(Breach::new(Law::NoSkip, "plan", detail));
        }
    }
    for placed in plan.placed() {
        let (to, raise) = match &placed.step.action {
            Action::KubeadmApply(apply) => (Some(&apply.to), &plan.kubernetes),
            Action::KubeadmNode(node) => (Some(&node.to), &plan.kubernetes),
            Action::RestartKubelet(restart) => (Some(&restart.to), &plan.kubernetes),
            Action::InstallPackages(_) => (None, &plan.kubernetes),
            Action::SwapEtcd(swap) => (Some(&swap.to), &plan.etcd),
            _ => continue,
        };
        let planned = raise.as_ref().map(|raise| &raise.to);
        if let Some(to) = to.filter(|to| Some(*to) != planned) {
            let detail = format!("it would raise to {to}, which is not what the plan says");
            breaches.push(Breach::new(Law::NoSkip, placed.id(), detail));
        }
        let etcd = matches!(placed.step.action, Action::SwapEtcd(_));
        for package in packages(placed.step).iter().filter(|package| is_kubernetes(&package.name) == etcd) {
            let what = if etcd { "etcd" } else { "Kubernetes" };
            let detail = format!("it would install {}, which is not of {what}", package.spec());
            breaches.push(Breach::new(Law::NoSkip, placed.id(), detail));
        }
        for package in
            packages(placed.step).iter().filter(|package| parse_version(&package.version).as_ref() != planned)
        {
            let detail = format!("it would install {}, which is not what the plan says", package.spec());
            breaches.push(Breach::new(Law::NoSkip, placed.id(), detail));
        }
    }
    breaches
}

/// The packages that a step installs: Kubernetes' own, or etcd's.
fn packages(step: &Step) -> &[Pinned] {
    match &step.action {
        Action::InstallPackages(install) => &install.packages,
        Action::SwapEtcd(swap) => &swap.packages,
        _ => &[],
    }
}

/// Law 3, small clusters: an outage is named and accepted, or there is no plan.
fn outage(plan: &Plan) -> Option<Breach> {
    let members = plan.baseline.etcd_members.len();
    let stops = plan.placed().any(|placed| {
        matches!(placed.step.action, Action::SwapEtcd(_)) || restarts_stacked(plan, placed.node, placed.step)
    });
    let few = stops && members < 3;
    (few && !(plan.outage_accepted && plan.outages.iter().any(|outage| outage.needs_consent))).then(|| {
        let detail = format!(
            "etcd with {} cannot be raised without an outage, and nobody accepted one",
            count(members, "member")
        );
        Breach::new(Law::OneMemberAtATime, "plan", detail)
    })
}

/// Whether a step works on etcd's members.
fn touches_etcd(step: &Step) -> bool {
    matches!(step.action, Action::SwapEtcd(_) | Action::MoveLeader(_) | Action::DefragMember(_))
        || changes_members(&step.action)
}

/// Whether a step works on Kubernetes.
fn touches_kubernetes(step: &Step) -> bool {
    match &step.action {
        Action::KubeadmPlan(_)
        | Action::KubeadmApply(_)
        | Action::KubeadmNode(_)
        | Action::Cordon(_)
        | Action::Drain(_)
        | Action::Uncordon(_)
        | Action::RestartKubelet(_) => true,
        Action::InstallPackages(install) => install.packages.iter().any(|package| is_kubernetes(&package.name)),
        _ => false,
    }
}

fn is_kubernetes(package: &str) -> bool {
    matches!(package, "kubeadm" | "kubelet" | "kubectl")
}

/// Whether a step brings a new kubelet, and so may change its minor.
fn raises_kubelet(step: &Step) -> bool {
    match &step.action {
        Action::RestartKubelet(_) => true,
        Action::InstallPackages(install) => install.packages.iter().any(|package| package.name == "kubelet"),
        _ => false,
    }
}

/// Whether a step raises an API server.
fn raises_server(step: &Step) -> bool {
    match &step.action {
        Action::KubeadmApply(_) => true,
        Action::KubeadmNode(node) => node.control_plane,
        _ => false,
    }
}

/// The roles that the plan's baseline gives a node.
fn roles<'a>(plan: &'a Plan, node: &NodeName) -> &'a [Role] {
    plan.baseline.machines.get(node).map_or(&[], |machine| &machine.roles)
}

/// Whether a step restarts, or may restart, the stacked member on its node.
fn restarts_stacked(plan: &Plan, node: Option<&NodeName>, step: &Step) -> bool {
    let plane = node.is_some_and(|node| roles(plan, node).contains(&Role::ControlPlane));
    plan.baseline.stacked && plane && (raises_server(step) || raises_kubelet(step))
}

fn is_control_plane(plan: &Plan, placed: &Placed<'_>) -> bool {
    placed.node.is_some_and(|node| roles(plan, node).contains(&Role::ControlPlane))
}

/// Whether an action changes etcd's members, or what a machine keeps of them.
fn changes_members(action: &Action) -> bool {
    matches!(
        action,
        Action::RemoveMember(_)
            | Action::SendCertificates(_)
            | Action::PlaceCertificates(_)
            | Action::AddMember(_)
            | Action::JoinMember(_)
            | Action::KubeadmMember(_)
            | Action::PromoteMember(_)
            | Action::RetireMember(_)
            | Action::WriteMembers(_)
    )
}
