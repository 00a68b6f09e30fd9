//! What the planners for etcd have to know of members that are static pods of kubeadm's: what of a machine is archived, and
//! where the programs come from that speak to etcd there.

use super::actions::archive::ArchiveNode;
use super::actions::fetch_tool::{FetchTool, Purpose};
use super::actions::renew::ETCD;
use super::finding::{Finding, Rule};
use crate::facts::{Facts, Seen};
use crate::inventory::{Inventory, NodeName, Topology};

/// The archive of a member's machine. A stacked member has nothing outside of /etc/kubernetes, which is archived anyway.
pub(super) fn archive(inventory: &Inventory) -> ArchiveNode {
    let etcd = &inventory.etcd;
    match etcd.topology {
        Topology::External => {
            ArchiveNode { service: Some(etcd.service.clone()), paths: vec![etcd.env_file.to_string()] }
        }
        Topology::Stacked => ArchiveNode { service: None, paths: Vec::new() },
    }
}

/// How a job on this machine gets an etcdctl; nothing where packages of etcd have put one.
pub(super) fn etcdctl(inventory: &Inventory, facts: &Facts, node: &NodeName) -> Result<Option<FetchTool>, Finding> {
    if inventory.etcd.topology == Topology::External {
        return Ok(None);
    }
    let refuse = |detail: String| Err(Finding::refusal(Rule::Unseen, node, detail));
    match facts.machine(node).map(|machine| &machine.static_pods) {
        Some(Seen::Known(pods)) => match pods.get(ETCD) {
            Some(image) => Ok(Some(FetchTool { image: image.clone(), purpose: Purpose::Ask })),
            None => refuse(format!("has no manifest of {ETCD}, whose image has the programs that speak to it")),
        },
        Some(Seen::Unknown(why)) => refuse(format!("its static pods could not be seen: {why}")),
        None => refuse("was not looked at".to_owned()),
    }
}
