//! The rules: pure functions from what is seen and wanted to findings. All are reported, never only the first.

mod balancers;
mod etcd;
mod kubernetes;
mod machines;
mod one_by_one;
mod stacked;

use std::collections::BTreeSet;

use super::finding::{Finding, Rule, Severity};
use super::target::Target;
use crate::facts::{Facts, MachineFacts, NodeFacts, Seen};
use crate::inventory::{Inventory, Node, NodeName, Role};

pub(super) use balancers::balancers;
pub use etcd::health as etcd_health;
pub(super) use etcd::{differing, processes};
pub use kubernetes::oldest_api_server;
pub(super) use machines::{clock, database};
pub(super) use one_by_one::one_by_one;
pub(super) use stacked::brought;

/// What the rules judge.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The cluster's inventory.
    pub inventory: &'a Inventory,
    /// What was seen.
    pub facts: &'a Facts,
    /// What is wanted.
    pub target: &'a Target,
}

/// Everything that the rules find, gravest first, each once.
pub fn findings(case: Case<'_>) -> Vec<Finding> {
    let mut all = BTreeSet::new();
    all.extend(machines::findings(case));
    if case.target.kubernetes.is_some() {
        all.extend(kubernetes::findings(case));
        all.extend(balancers::findings(case));
    }
    all.extend(etcd::findings(case));
    all.into_iter().collect()
}

/// What of a cluster needs attention by itself: nothing is to be raised. Of etcd's members, when their list was seen.
pub(in crate::decide) fn standing(case: Case<'_>) -> Vec<Finding> {
    let mut found = machines::standing(case);
    found.extend(balancers::findings(case));
    found.extend(kubernetes::standing(case));
    found.extend(case.facts.etcd.known().into_iter().flat_map(|etcd| etcd::standing(case, etcd)));
    found
}

/// Whether findings forbid the plan.
pub fn forbid(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity != Severity::Warning)
}

impl<'a> Case<'a> {
    /// The nodes that take part: all but those left out.
    pub fn nodes(&self) -> impl Iterator<Item = &'a Node> + use<'a> {
        let target = self.target;
        self.inventory.nodes.iter().filter(move |node| !target.leave_out.contains(&node.name))
    }

    /// The nodes that take part and have `role`.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = &'a Node> + use<'a> {
        self.nodes().filter(move |node| node.roles.contains(&role))
    }

    /// Whether this node has a part in what is wanted.
    pub fn concerned(&self, node: &Node) -> bool {
        (self.target.kubernetes.is_some() && node.is_kube())
            || node.roles.contains(&Role::Etcd)
            || node.roles.contains(&Role::ControlPlane)
    }

    /// What was seen of a machine.
    pub fn machine(&self, name: &NodeName) -> Option<&'a MachineFacts> {
        self.facts.machine(name)
    }

    /// The facts of the nodes that take part.
    fn seen_nodes(&self) -> impl Iterator<Item = (&'a Node, &'a MachineFacts)> + use<'a> {
        let case = *self;
        self.nodes().filter_map(move |node| case.machine(&node.name).map(|machine| (node, machine)))
    }

    /// The facts of a node, reached or not.
    fn node_facts(&self, name: &NodeName) -> Option<&'a NodeFacts> {
        self.facts.nodes.iter().find(|node| &node.name == name)
    }
}

/// A refusal for something that the plan stands on and that was not seen.
pub(super) fn unseen(subject: impl std::fmt::Display, what: &str, why: &str) -> Finding {
    Finding::refusal(Rule::Unseen, subject, format!("{what} could not be seen: {why}"))
}

/// The value, or the finding that it was not seen.
fn needed<'a, T>(seen: &'a Seen<T>, subject: impl std::fmt::Display, what: &str) -> Result<&'a T, Finding> {
    match seen {
        Seen::Known(value) => Ok(value),
        Seen::Unknown(why) => Err(unseen(subject, what, why)),
    }
}
