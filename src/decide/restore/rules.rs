//! What forbids a restore, and what has to be known before it.

use super::members::Member;
use super::{Wanted, bump};
use crate::decide::actions::renew::{API_SERVER, ETCD};
use crate::decide::finding::{Finding, Rule};
use crate::facts::{Disk, MachineFacts, Seen};
use crate::inventory::{Node, Role, Topology};
use crate::text;

/// What a member writes at once beside the database: its write-ahead log, in files of 64 MB, two of them.
const ROOM_FOR_LOG: u64 = 128 << 20;

pub(super) fn findings(wanted: Wanted<'_>, members: &[Member<'_>]) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(unreached(wanted));
    found.extend(fenced(wanted));
    if wanted.snapshot.registry_keys == 0 {
        let detail = "has no keys below /registry: it is not of a Kubernetes cluster";
        found.push(Finding::refusal(Rule::Unseen, "the snapshot", detail));
    }
    for (role, what) in [(Role::ControlPlane, "control plane"), (wanted.inventory.etcd_role(), "member of etcd")] {
        if wanted.with_role(role).next().is_none() {
            found.push(Finding::refusal(Rule::EtcdQuorum, "cluster", format!("no {what} is left")));
        }
    }
    found.extend(lockable(wanted));
    for node in wanted.with_role(Role::ControlPlane) {
        found.extend(wanted.facts.machine(&node.name).and_then(|machine| plane(wanted, node, machine)));
    }
    found.extend(members.iter().filter_map(|member| room(wanted, member)));
    found.extend(watchers(members));
    found.extend(strangers(wanted));
    found.extend(lost(wanted));
    found.extend(strange(wanted));
    found
}

/// Every machine that could act on the former data has to be in hand.
fn unreached(wanted: Wanted<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for facts in &wanted.facts.nodes {
        let Seen::Unknown(why) = &facts.machine else { continue };
        let Some(node) = wanted.inventory.node(&facts.name) else { continue };
        if wanted.fenced.contains(&node.name) {
            continue;
        }
        let (member, plane) =
            (node.roles.contains(&wanted.inventory.etcd_role()), node.roles.contains(&Role::ControlPlane));
        if member || plane {
            let what = match (member, plane) {
                (true, true) => "a member of etcd and an API server",
                (true, false) => "a member of etcd",
                _ => "an API server",
            };
            let detail = format!(
                "{why}: {what} of before on it could go on as a second living cluster; bring it back, or cut it off \
                 (power or network) and say --fenced {}",
                node.name
            );
            found.push(Finding::unreachable(&node.name, detail));
        } else {
            let detail = format!("{why}: restart its kubelet, kube-proxy and CNI by hand once it is back");
            found.push(Finding::warning(Rule::LeftOut, &node.name, detail));
        }
    }
    found
}

/// A machine is fenced when it does not answer: who answers can act.
fn fenced(wanted: Wanted<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for name in wanted.fenced {
        match wanted.inventory.node(name) {
            None => {
                let detail = "is said to be fenced, and is not in the inventory";
                found.push(Finding::refusal(Rule::NodeUnknown, name, detail));
            }
            Some(_) if wanted.facts.machine(name).is_some() => {
                let detail = "is said to be fenced, and answers: cut it off, or let it take part";
                found.push(Finding::refusal(Rule::Fenced, name, detail));
            }
            Some(node) if node.roles.contains(&Role::Etcd) || node.roles.contains(&Role::ControlPlane) => {
                let detail = "takes no part, by your word that it cannot act any more; before it comes back, its etcd data and \
                              its static pods have to go";
                found.push(Finding::warning(Rule::Fenced, name, detail));
            }
            Some(_) => {}
        }
    }
    found
}

/// The lock is held by a majority of the inventory's control planes.
fn lockable(wanted: Wanted<'_>) -> Option<Finding> {
    let all = wanted.inventory.with_role(Role::ControlPlane).count();
    let left =
        all - wanted.inventory.with_role(Role::ControlPlane).filter(|node| wanted.fenced.contains(&node.name)).count();
    (left <= all / 2).then(|| {
        let detail = format!(
            "{left} of {all} control planes are left, and the lock needs a majority: take those that are gone for good out of \
             the inventory"
        );
        Finding::refusal(Rule::Fenced, "control planes", detail)
    })
}

/// Static pods are stopped and started by the kubelet, from manifests.
fn plane(wanted: Wanted<'_>, node: &Node, machine: &MachineFacts) -> Option<Finding> {
    let refusal = |detail: String| Some(Finding::refusal(Rule::Unseen, &node.name, detail));
    match &machine.kubelet_running {
        Seen::Known(Some(_)) => {}
        Seen::Known(None) => {
            return refusal("no kubelet runs: nobody would stop its API server, nor start it again".to_owned());
        }
        Seen::Unknown(why) => return refusal(format!("its kubelet could not be seen: {why}")),
    }
    let member = wanted.inventory.etcd.topology == Topology::Stacked;
    match &machine.static_pods {
        Seen::Known(pods) => {
            let needed = [Some(API_SERVER), member.then_some(ETCD)];
            let missing = needed.into_iter().flatten().find(|pod| !pods.contains_key(*pod))?;
            refusal(format!("has no manifest of {missing}: it may lie where an earlier run put it"))
        }
        Seen::Unknown(why) => refusal(format!("its static pods could not be seen: {why}")),
    }
}

/// Former and new data lie side by side.
fn room(wanted: Wanted<'_>, member: &Member<'_>) -> Option<Finding> {
    let below = |path: &str| member.data_dir.starts_with(path);
    let disks = member.machine.disks.iter().filter(|(path, _)| below(path));
    let (path, Disk { free_bytes: free, .. }) = disks.max_by_key(|(path, _)| path.len())?;
    let needed = wanted.snapshot.bytes * 2 + ROOM_FOR_LOG;
    (*free < needed).then(|| {
        let (free, needed) = (text::bytes(*free), text::bytes(needed));
        let detail = format!("{path} has {free} free; the new data beside the former ones need {needed}");
        Finding::refusal(Rule::NoRoom, &member.node.name, detail)
    })
}

/// Where revisions go back, watches of before wait for what was, and miss what comes.
fn watchers(members: &[Member<'_>]) -> Option<Finding> {
    let member = members.iter().find(|member| !member.tool.bumps).filter(|_| bump(members).is_none())?;
    let detail = format!(
        "etcd {} cannot raise revisions in a restore (3.4.27, 3.5.10 and later can): watches that were opened before would miss \
         changes without a word. That is why control planes, kubelets, kube-proxy and CNI are all restarted; restart by hand \
         whatever else watches the API (operators, ingress controllers)",
        member.tool.version
    );
    Some(Finding::warning(Rule::Watches, "etcd", detail))
}

/// Other members than those that answer: the cluster was restored or its members replaced since, or it is another one.
fn strange(wanted: Wanted<'_>) -> Option<Finding> {
    let known = &wanted.snapshot.members;
    let all_known = wanted.facts.etcd.known()?.members.iter().all(|member| known.contains(&member.id));
    let uid = wanted.snapshot.kube_system_uid.as_deref().unwrap_or("one that cannot be read");
    (!all_known).then(|| {
        let detail = format!(
            "it knows other members than those that answer: it is from before a restore or a change of members, or of another \
             cluster; its namespace kube-system has uid {uid}, which `kubectl get namespace kube-system -o \
             jsonpath={{.metadata.uid}}` has to print as well"
        );
        Finding::warning(Rule::Foreign, "the snapshot", detail)
    })
}

/// A member on no machine of the inventory is in nobody's hand: it would go on beside the restored ones. Which one it is cannot
/// be told of members that do not answer, but that there are more of them than machines can.
fn strangers(wanted: Wanted<'_>) -> Option<Finding> {
    let etcd = wanted.facts.etcd.known()?;
    let nowhere: Vec<_> = etcd.members.iter().filter(|member| member.node.is_none()).collect();
    let free = wanted
        .inventory
        .etcd_nodes()
        .filter(|node| !etcd.members.iter().any(|member| member.node.as_ref() == Some(&node.name)));
    (nowhere.len() > free.count()).then(|| {
        let named: Vec<String> = nowhere
            .iter()
            .map(|member| format!("{} ({})", member.called(), text::list(&member.peer_urls, "and")))
            .collect();
        let detail = format!(
            "lists more members than the inventory has machines for: {}; enter each machine there, and cut it off and say \
             --fenced where it is to take no part",
            text::list(&named, "and")
        );
        Finding::refusal(Rule::NodeUnknown, "etcd", detail)
    })
}

/// What the restore takes away.
fn lost(wanted: Wanted<'_>) -> Option<Finding> {
    let etcd = wanted.facts.etcd.known()?;
    let statuses = etcd.members.iter().filter_map(|member| member.status.known());
    let now = statuses.map(|status| status.revision).max()?;
    let detail = match now.checked_sub(wanted.snapshot.revision) {
        Some(0) => "answers, and is at the snapshot's own revision".to_owned(),
        Some(more) => {
            format!("answers, and is {} past the snapshot: that will be gone", text::count(as_count(more), "revision"))
        }
        None => "answers, at a revision before the snapshot's".to_owned(),
    };
    Some(Finding::warning(Rule::Lost, "etcd", detail))
}

fn as_count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
