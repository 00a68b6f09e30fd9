//! What the planners for etcd have to know of members that are static pods of kubeadm's: what of a machine is archived, and
//! where the programs come from that speak to etcd there.

use std::collections::BTreeMap;

use semver::Version;

use super::actions::archive::ArchiveNode;
use super::actions::fetch_tool::{FetchTool, Purpose};
use super::actions::renew::ETCD;
use super::finding::{Finding, Rule};
use super::target::minor;
use crate::facts::{EtcdFacts, Facts, Seen};
use crate::inventory::{Inventory, NodeName, Topology};
use crate::text::list;

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

/// In words, that the members run releases of two minors, when they do: where each is.
pub(crate) fn apart(etcd: &EtcdFacts) -> Option<String> {
    let mut at: BTreeMap<&Version, Vec<&str>> = BTreeMap::new();
    for member in &etcd.members {
        at.entry(&member.status.known()?.version).or_default().push(&member.name);
    }
    let (oldest, newest) = (at.keys().next()?, at.keys().next_back()?);
    (minor(oldest) != minor(newest)).then(|| {
        let at = at.iter().rev().map(|(version, names)| format!("{version} on {}", list(names, "and")));
        let at: Vec<String> = at.collect();
        format!("etcd is at {}: its members go on together, and kubeadm brings the others along", list(&at, "and"))
    })
}

/// How a job on this machine gets an etcdctl; nothing where packages of etcd have put one.
pub(super) fn etcdctl(inventory: &Inventory, facts: &Facts, node: &NodeName) -> Result<Option<FetchTool>, Finding> {
    if inventory.etcd.topology == Topology::External {
        return Ok(None);
    }
    member_image(facts, node).map(|image| Some(FetchTool { image: image.to_owned(), purpose: Purpose::Ask }))
}

/// The image that the manifest of the machine's member names.
pub(super) fn member_image<'a>(facts: &'a Facts, node: &NodeName) -> Result<&'a str, Finding> {
    let refuse = |detail: String| Err(Finding::refusal(Rule::Unseen, node, detail));
    match facts.machine(node).map(|machine| &machine.static_pods) {
        Some(Seen::Known(pods)) => match pods.get(ETCD) {
            Some(image) => Ok(image),
            None => refuse(format!("has no manifest of {ETCD}, whose image has the programs that speak to it")),
        },
        Some(Seen::Unknown(why)) => refuse(format!("its static pods could not be seen: {why}")),
        None => refuse("was not looked at".to_owned()),
    }
}
