//! The members that are restored, as their machines' own configuration tells them: etcd may be dead.

use std::collections::BTreeSet;

use semver::Version;

use super::Wanted;
use crate::decide::finding::{Finding, Rule};
use crate::decide::target::minor;
use crate::facts::version::parse_version;
use crate::facts::{EtcdProcess, EtcdTool, MachineFacts, Seen};
use crate::inventory::{Node, Topology};

/// A member to be.
pub(super) struct Member<'a> {
    pub(super) node: &'a Node,
    pub(super) machine: &'a MachineFacts,
    pub(super) name: String,
    pub(super) peer_urls: Vec<String>,
    pub(super) data_dir: String,
    pub(super) wal_dir: Option<String>,
    pub(super) tool: &'a EtcdTool,
}

/// The members, and what is wrong with them.
pub(super) fn of(wanted: Wanted<'_>) -> (Vec<Member<'_>>, Vec<Finding>) {
    let (mut members, mut findings) = (Vec::new(), Vec::new());
    for node in wanted.with_role(wanted.inventory.etcd_role()) {
        let Some(machine) = wanted.facts.machine(&node.name) else { continue };
        match member(wanted, node, machine) {
            Ok(member) => members.push(member),
            Err(why) => findings.extend(why.into_iter().map(|why| Finding::refusal(Rule::Unseen, &node.name, why))),
        }
    }
    findings.extend(twice(&members));
    findings.extend(apart(&members));
    (members, findings)
}

fn member<'a>(wanted: Wanted<'a>, node: &'a Node, machine: &'a MachineFacts) -> Result<Member<'a>, Vec<String>> {
    let process = match &machine.etcd {
        Seen::Known(Some(process)) => process,
        Seen::Known(None) => {
            let what = match wanted.inventory.etcd.topology {
                Topology::External => format!("service {}", wanted.inventory.etcd.service),
                Topology::Stacked => "manifest of etcd".to_owned(),
            };
            return Err(vec![format!("has no {what}")]);
        }
        Seen::Unknown(why) => return Err(vec![format!("its etcd could not be seen: {why}")]),
    };
    let mut why = Vec::new();
    let mut text = |seen: &Seen<String>, what: &str| match seen {
        Seen::Known(text) => text.clone(),
        Seen::Unknown(reason) => {
            why.push(format!("its etcd's {what} is not known: {reason}"));
            String::new()
        }
    };
    let (name, data_dir) = (text(&process.name, "name"), text(&process.data_dir, "data directory"));
    let setting = |name: &str| process.settings.get(name).filter(|text| !text.is_empty());
    let peer_urls: Vec<String> = setting("initial-advertise-peer-urls")
        .map_or_else(Vec::new, |urls| urls.split(',').map(|url| url.trim().to_owned()).collect());
    if peer_urls.is_empty() {
        why.push("its etcd's configuration does not say its peer URLs (initial-advertise-peer-urls)".to_owned());
    }
    let tool = match &machine.etcd_tool {
        Seen::Known(tool) => {
            why.extend(misfit(wanted, machine, process, tool));
            Some(tool)
        }
        Seen::Unknown(reason) => {
            why.push(format!("nothing is there that restores a snapshot: {reason}"));
            None
        }
    };
    match tool {
        Some(tool) if why.is_empty() => {
            let wal_dir = setting("wal-dir").cloned();
            Ok(Member { node, machine, name, peer_urls, data_dir, wal_dir, tool })
        }
        _ => Err(why),
    }
}

/// Data are made for the release that will run on them.
fn misfit(wanted: Wanted<'_>, machine: &MachineFacts, process: &EtcdProcess, tool: &EtcdTool) -> Option<String> {
    let installed = || {
        let package = machine.packages.get(&wanted.inventory.etcd.package)?;
        parse_version(package.installed.as_deref()?)
    };
    let runs: Version = process.server_version.known().cloned().or_else(installed)?;
    (minor(&runs) != minor(&tool.version)).then(|| {
        let tool_is = tool.image.as_deref().unwrap_or(&tool.path);
        format!("{tool_is} is of {}, and the etcd that will run is {runs}", tool.version)
    })
}

/// Names and addresses that two members have.
fn twice(members: &[Member<'_>]) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let words = members
        .iter()
        .flat_map(|member| std::iter::once(&member.name).chain(&member.peer_urls).map(move |word| (member, word)));
    let again = words.filter(|(_, word)| !seen.insert((*word).clone()));
    let finding = |(member, word): (&Member<'_>, &String)| {
        Finding::refusal(Rule::EtcdTopology, &member.node.name, format!("another member is configured as {word} too"))
    };
    again.map(finding).collect()
}

/// Members of different minors, whose tools make different data.
fn apart(members: &[Member<'_>]) -> Option<Finding> {
    let minors: BTreeSet<String> = members.iter().map(|member| minor(&member.tool.version)).collect();
    (minors.len() > 1).then(|| {
        let minors: Vec<String> = minors.into_iter().collect();
        let detail = format!("members are of {}: bring them to one first", crate::text::list(&minors, "and"));
        Finding::refusal(Rule::EtcdSpread, "etcd", detail)
    })
}
