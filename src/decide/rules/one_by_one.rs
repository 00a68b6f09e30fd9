//! What forbids to work on etcd's members one after another, whatever is done to them.

use crate::decide::finding::{Finding, Rule};
use crate::facts::{EtcdFacts, Facts, Seen};
use crate::inventory::Inventory;

/// Machines that are away or taken, learners, members that are not well or on no machine. `meanwhile` says what nobody does
/// while another run is under way.
pub(in crate::decide) fn one_by_one(
    inventory: &Inventory,
    facts: &Facts,
    etcd: &EtcdFacts,
    meanwhile: &str,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let role = inventory.etcd_role();
    for node in &facts.nodes {
        let member = inventory.node(&node.name).is_some_and(|node| node.roles.contains(&role));
        match &node.machine {
            Seen::Unknown(why) if member => found.push(Finding::unreachable(&node.name, why.clone())),
            Seen::Known(machine) if machine.lock.is_some() => {
                let detail = format!("holds the lock of a run: {meanwhile} meanwhile; `windlass lock show` says whose");
                found.push(Finding::refusal(Rule::EtcdMembers, &node.name, detail));
            }
            _ => {}
        }
    }
    for member in &etcd.members {
        let name = member.called();
        if member.learner {
            found.push(Finding::refusal(Rule::EtcdLearner, &name, "is a learner: promote or remove it first"));
        }
        if let Some(why) = member.unhealthy() {
            found.push(Finding::refusal(Rule::EtcdUnhealthy, &name, why));
        } else if member.node.is_none() {
            let detail = "is a member of etcd, but on no machine of the inventory";
            found.push(Finding::refusal(Rule::NodeUnknown, &name, detail));
        }
    }
    found
}
