//! Rules of etcd: versions go by one minor, and only a whole cluster is touched. They hold also when only Kubernetes is
//! raised, because every rung begins with a snapshot of a healthy etcd and every kubeadm step leans on it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use semver::Version;

use super::{Case, needed, unseen};
use crate::decide::finding::{Finding, Rule};
use crate::decide::quorum::Count;
use crate::decide::target::{Target, Way, minors_apart};
use crate::facts::health::{EtcdHealth, Hashes};
use crate::facts::{EtcdFacts, EtcdProcess, FORMAT, Facts, MemberStatus, Seen};
use crate::inventory::{Inventory, NodeName, Topology};

pub(super) fn findings(case: Case<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    match needed(&case.facts.etcd, "etcd", "etcd") {
        Err(finding) => found.push(finding),
        Ok(etcd) => {
            found.extend(standing(case, etcd));
            if stacked(case) {
                found.extend(case.target.kubernetes.iter().flat_map(|to| super::stacked::findings(case, etcd, to)));
            } else if let Some(to) = &case.target.etcd {
                found.extend(ways(etcd, to));
                found.extend(users(etcd, to));
                found.extend(few(case, etcd).filter(|_| !idle(etcd, to)));
            }
        }
    }
    found.extend(topology(case));
    if let Some(to) = case.target.etcd.as_ref().filter(|_| !stacked(case)) {
        found.extend(releases(to));
        found.extend(processes(case).filter_map(|(node, process)| v2_data(node, process, to)));
        found.extend(processes(case).filter_map(|(node, process)| removed(node, process, to, &[])));
    }
    found
}

fn stacked(case: Case<'_>) -> bool {
    case.inventory.etcd.topology == Topology::Stacked
}

/// What holds whatever is asked for.
pub(super) fn standing(case: Case<'_>, etcd: &EtcdFacts) -> Vec<Finding> {
    let mut found = members(etcd);
    found.extend(quorum(etcd));
    found.extend(alarms(etcd));
    found.extend(spread(etcd));
    found.extend(size(case, etcd));
    found.extend(strangers(case, etcd));
    found
}

/// What of etcd needs attention, by itself: no upgrade is asked for.
pub fn health(inventory: &Inventory, seen: &EtcdHealth) -> Vec<Finding> {
    let facts = Facts {
        format: FORMAT,
        taken_at: Timestamp::UNIX_EPOCH,
        cluster: inventory.name.clone(),
        nodes: seen.machines.clone(),
        api: Seen::Unknown("not asked".to_owned()),
        etcd: seen.etcd.clone(),
        operator_disk: Seen::Unknown("not asked".to_owned()),
    };
    let case = Case { inventory, facts: &facts, target: &Target::default() };
    let mut found = BTreeSet::new();
    match &seen.etcd {
        Seen::Known(etcd) => {
            found.extend(standing(case, etcd));
            found.extend(differing(&seen.hashes));
        }
        Seen::Unknown(why) => {
            found.insert(unseen("etcd", "its member list", why));
            found.extend(seen.answers.iter().filter_map(|(node, answer)| silent(node, answer)));
        }
    }
    found.into_iter().collect()
}

/// Members that hold different data at one revision.
pub(in crate::decide) fn differing(hashes: &Seen<Hashes>) -> Option<Finding> {
    let detail = match hashes {
        Seen::Known(hashes) if hashes.equal() => return None,
        Seen::Known(hashes) => format!("{}: replace the members that are wrong", hashes.differ()),
        Seen::Unknown(why) => return Some(unseen("etcd", "whether its members' data agree", why)),
    };
    Some(Finding::refusal(Rule::EtcdCorrupt, "etcd", detail))
}

/// Why a machine's member is of no use, when there is not even a list of members.
fn silent(node: &NodeName, answer: &Seen<MemberStatus>) -> Option<Finding> {
    let detail = match answer {
        Seen::Unknown(why) => format!("its member does not answer: {why}"),
        Seen::Known(MemberStatus { leader: 0, .. }) => "its member knows no leader".to_owned(),
        Seen::Known(MemberStatus { healthy: Seen::Unknown(why), .. }) => format!("its member is not healthy: {why}"),
        Seen::Known(_) => return None,
    };
    Some(Finding::refusal(Rule::EtcdUnhealthy, node, detail))
}

/// The processes of etcd that were seen, by their machines.
pub(in crate::decide) fn processes(case: Case<'_>) -> impl Iterator<Item = (&NodeName, &EtcdProcess)> {
    case.inventory.etcd_nodes().filter_map(move |node| {
        let process = case.machine(&node.name)?.etcd.known()?.as_ref()?;
        Some((&node.name, process))
    })
}

fn members(etcd: &EtcdFacts) -> Vec<Finding> {
    let mut found = Vec::new();
    for member in &etcd.members {
        if member.learner {
            let detail = "is a learner: promote or remove it first";
            found.push(Finding::refusal(Rule::EtcdLearner, &member.name, detail));
        }
        if member.name.is_empty() {
            let detail = format!("{:x} was added and never started: start or remove it first", member.id);
            found.push(Finding::refusal(Rule::EtcdUnhealthy, "member", detail));
        } else if let Some(why) = member.unhealthy() {
            found.push(Finding::refusal(Rule::EtcdUnhealthy, &member.name, why));
        }
    }
    let ahead = etcd.log_end();
    for member in &etcd.members {
        let Seen::Known(status) = &member.status else { continue };
        let behind = ahead.saturating_sub(status.raft_applied);
        if behind > LAG_WORTH_SAYING {
            let detail = format!("is {behind} entries behind the leader");
            found.push(Finding::warning(Rule::EtcdLag, &member.name, detail));
        }
    }
    found
}

/// Members are asked one after another while writes go on: a busy cluster shows some lag that is none.
const LAG_WORTH_SAYING: u64 = 5000;

fn quorum(etcd: &EtcdFacts) -> Option<Finding> {
    let now = Count::of(etcd);
    (!now.holds()).then(|| {
        let detail = format!("{} of {} members are healthy; {} make a quorum", now.healthy, now.voters, now.quorum());
        Finding::refusal(Rule::EtcdQuorum, "etcd", detail)
    })
}

fn alarms(etcd: &EtcdFacts) -> Vec<Finding> {
    let name = |id: u64| etcd.members.iter().find(|m| m.id == id).map_or_else(|| format!("{id:x}"), |m| m.name.clone());
    let alarm = |alarm: &crate::facts::Alarm| {
        let advice = match alarm.kind.as_str() {
            "NOSPACE" => "compact, defragment one member at a time, then `etcdctl alarm disarm`",
            "CORRUPT" => "replace this member before anything else",
            _ => "clear it first",
        };
        let detail = format!("has raised alarm {}: {advice}", alarm.kind);
        Finding::refusal(Rule::EtcdAlarm, name(alarm.member_id), detail)
    };
    etcd.alarms.iter().map(alarm).collect()
}

pub(super) fn versions(etcd: &EtcdFacts) -> impl Iterator<Item = (&str, &Version)> {
    etcd.members.iter().filter_map(|m| m.status.known().map(|status| (m.name.as_str(), &status.version)))
}

fn spread(etcd: &EtcdFacts) -> Option<Finding> {
    let (oldest, newest) = (versions(etcd).min_by_key(|(_, v)| *v)?, versions(etcd).max_by_key(|(_, v)| *v)?);
    minors_apart(oldest.1, newest.1).is_none_or(|apart| apart > 1).then(|| {
        let detail = format!(
            "members are more than one minor apart: {} at {}, {} at {}",
            oldest.0, oldest.1, newest.0, newest.1
        );
        Finding::refusal(Rule::EtcdSpread, "etcd", detail)
    })
}

fn ways(etcd: &EtcdFacts, to: &Version) -> Vec<Finding> {
    let way = |(name, from): (&str, &Version)| match Way::between(from, to) {
        Way::Minor => floor(from, to).map(|floor| {
            let detail =
                format!("is at {from}; before etcd {}.{} it has to be at {floor} or later", to.major, to.minor);
            Finding::refusal(Rule::EtcdRelease, name, detail)
        }),
        _ => unraisable(name, from, to),
    };
    versions(etcd).filter_map(way).collect()
}

/// Why a member can never be raised like this. etcd does not refuse a skipped minor itself: its smallest cluster version is 3.0
/// in every release up to 3.7.
pub(super) fn unraisable(name: &str, from: &Version, to: &Version) -> Option<Finding> {
    match Way::between(from, to) {
        Way::Same | Way::Patch | Way::Minor => None,
        Way::Down => {
            let detail = format!("is at {from}, newer than {to}; etcd does not go back this way");
            Some(Finding::refusal(Rule::EtcdDowngrade, name, detail))
        }
        Way::Skip => {
            let detail = format!(
                "is at {from}; {to} would skip a minor, and no minor may be skipped: raise to {}.{} first",
                from.major,
                from.minor + 1
            );
            Some(Finding::refusal(Rule::EtcdSkip, name, detail))
        }
    }
}

/// The release that a member has to be at before the next minor: 3.5.32 before 3.6 (etcd.io upgrade_3_6), 3.6.11 before
/// 3.7 (etcd.io upgrade_3_7).
fn floor(from: &Version, to: &Version) -> Option<Version> {
    let floor = match (to.major, to.minor) {
        (3, 6) => Version::new(3, 5, 32),
        (3, 7) => Version::new(3, 6, 11),
        _ => return None,
    };
    (from < &floor).then_some(floor)
}

/// 3.4 and 3.5 write users down differently: a member of the one does not apply what the other has logged of them, so that
/// etcd with auth cannot be raised member by member there (etcd.io upgrade_3_5).
pub(super) fn users(etcd: &EtcdFacts, to: &Version) -> Option<Finding> {
    let crosses = |(_, from): (&str, &Version)| Way::between(from, to) == Way::Minor;
    if (to.major, to.minor) != (3, 5) || !versions(etcd).any(crosses) {
        return None;
    }
    match etcd.auth {
        Seen::Known(false) => None,
        Seen::Known(true) => {
            let detail = "asks for users of its own (auth is enabled), and members of 3.4 and 3.5 cannot read each other's \
                          log of that: run `etcdctl auth disable` first, and enable it again after";
            Some(Finding::refusal(Rule::EtcdRelease, "etcd", detail))
        }
        Seen::Unknown(ref why) => Some(unseen("etcd", "whether it asks for users of its own", why)),
    }
}

/// 3.5.0 to 3.5.2 can lose consistency when killed under load (etcd-io/etcd#13766).
pub(super) fn releases(to: &Version) -> Option<Finding> {
    (to >= &Version::new(3, 5, 0) && to <= &Version::new(3, 5, 2)).then(|| {
        let detail =
            format!("{to} can corrupt its data when it is killed under load (etcd-io/etcd#13766): use 3.5.3 or later");
        Finding::refusal(Rule::EtcdRelease, "etcd", detail)
    })
}

/// 3.6 has no v2 API any more, and 3.4 and 3.5 serve it only when they are told to.
pub(super) fn v2_data(node: &NodeName, process: &EtcdProcess, to: &Version) -> Option<Finding> {
    let target = format!("etcd {}.{}", to.major, to.minor);
    let refuse = |detail: String| Some(Finding::refusal(Rule::EtcdV2Data, node, detail));
    let gone = (to.major, to.minor) >= (3, 6);
    let asked_for = process.settings.get("enable-v2").is_some_and(|set| set == "true");
    match (&process.v2_keys, &process.enable_v2) {
        (Seen::Known(true), _) if gone => {
            refuse(format!("holds data of the v2 API, which {target} cannot serve: move off it first"))
        }
        (Seen::Known(true), _) if (to.major, to.minor) >= (3, 4) && !asked_for => refuse(format!(
            "holds data of the v2 API, which {target} does not serve by itself: move off it first, or set ETCD_ENABLE_V2=true"
        )),
        (_, Seen::Known(true)) if gone => {
            refuse(format!("runs with --enable-v2, which {target} cannot serve: move off it first"))
        }
        // What was written while the API was on is there still, and nobody lists it.
        (Seen::Unknown(_), _) if gone => {
            let detail = format!(
                "whether it ever held data of the v2 API cannot be seen, and {target} does not start on them: look with `etcdutl check \
                 v2store --data-dir DIR` first"
            );
            Some(Finding::warning(Rule::EtcdV2Data, node, detail))
        }
        _ => None,
    }
}

/// Etcd does not start with a flag that it does not know: 3.6 has dropped the v2 API's and the proxy's (etcd.io upgrade_3_6),
/// 3.7 every experimental one (etcd.io upgrade_3_7). Of a variable that it does not know it only warns. Who starts it may take
/// some out by itself.
pub(super) fn removed(node: &NodeName, process: &EtcdProcess, to: &Version, taken_out: &[&str]) -> Option<Finding> {
    let release = |version: &Version| (version.major, version.minor);
    if process.server_version.known().is_some_and(|from| release(from) >= release(to)) {
        return None;
    }
    let gone = |flag: &str| match release(to) {
        (3, 6) => flag == "enable-v2" || flag == "experimental-enable-v2v3" || flag.starts_with("proxy"),
        (3, 7) => flag.starts_with("experimental-"),
        _ => false,
    };
    let stays = |flag: &&String| gone(flag) && !taken_out.contains(&flag.as_str());
    let flags: Vec<String> = process.flags.iter().filter(stays).map(|flag| format!("--{flag}")).collect();
    (!flags.is_empty()).then(|| {
        let detail = format!(
            "is started with {}, which etcd {}.{} does not know: it would not start; take that out first",
            crate::text::list(&flags, "and"),
            to.major,
            to.minor
        );
        Finding::refusal(Rule::EtcdRelease, node, detail)
    })
}

/// A database that is nearly full raises NOSPACE in the middle of things.
fn size(case: Case<'_>, etcd: &EtcdFacts) -> Vec<Finding> {
    let quota = |node: &NodeName| -> Option<u64> {
        case.machine(node)?.etcd.known()?.as_ref()?.quota_bytes.known().copied().filter(|quota| *quota > 0)
    };
    let near = |member: &crate::facts::EtcdMember| {
        let (status, quota) = (member.status.known()?, quota(member.node.as_ref()?)?);
        (status.db_size > quota / 5 * 4).then(|| {
            let detail = format!(
                "its database takes {} of {} allowed",
                crate::text::bytes(status.db_size),
                crate::text::bytes(quota)
            );
            Finding::warning(Rule::EtcdQuota, &member.name, detail)
        })
    };
    etcd.members.iter().filter_map(near).collect()
}

/// Every member runs on a machine of the inventory, and every etcd machine of the inventory is a member.
fn strangers(case: Case<'_>, etcd: &EtcdFacts) -> Vec<Finding> {
    let mut found = Vec::new();
    for member in etcd.members.iter().filter(|member| member.node.is_none() && member.status.known().is_some()) {
        let detail =
            format!("is a member of etcd ({}), but on no machine of the inventory", member.client_urls.join(", "));
        found.push(Finding::refusal(Rule::NodeUnknown, &member.name, detail));
    }
    for node in case.inventory.etcd_nodes() {
        if !etcd.members.iter().any(|member| member.node.as_ref() == Some(&node.name)) {
            let reached = case.machine(&node.name).is_some();
            if reached {
                let detail = "is an etcd machine of the inventory, but no member of the cluster answers from it";
                found.push(Finding::refusal(Rule::NodeUnknown, &node.name, detail));
            }
        }
    }
    found
}

/// A stacked etcd has no target of its own; and kubeadm, which raises it, has to take it for one.
fn topology(case: Case<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut refuse = |detail: &str| found.push(Finding::refusal(Rule::EtcdTopology, "etcd", detail));
    if stacked(case) && case.target.etcd.is_some() {
        refuse(
            "is stacked on the control planes, where kubeadm raises it together with Kubernetes: leave --etcd-to away, and raise \
             Kubernetes with --to",
        );
    }
    let kubeadm = case.facts.api.known().and_then(|api| api.kubeadm.known());
    match kubeadm.map(|config| config.external_etcd) {
        Some(true) if stacked(case) => refuse("is stacked by the inventory's word, and external by kubeadm-config's"),
        Some(false) if !stacked(case) && case.target.kubernetes.is_some() => {
            refuse("is external by the inventory's word, and stacked by kubeadm-config's: kubeadm would raise it, too");
        }
        _ => {}
    }
    found
}

/// Whether every member is at `to` already.
fn idle(etcd: &EtcdFacts, to: &Version) -> bool {
    etcd.members.iter().all(|member| member.status.known().is_some_and(|status| &status.version == to))
}

/// An etcd that is away while one of its members is.
pub(super) fn few(case: Case<'_>, etcd: &EtcdFacts) -> Option<Finding> {
    let voters = etcd.members.iter().filter(|member| !member.learner).count();
    (voters < 3).then(|| {
        let detail = format!(
            "with {}, etcd and with it the API are away while a member restarts, about 10 s each time",
            crate::text::count(voters, "voting member")
        );
        if case.target.accept_outage {
            Finding::warning(Rule::Outage, "etcd", format!("{detail} (accepted)"))
        } else {
            Finding::refusal(Rule::Outage, "etcd", format!("{detail}: accept it with --accept-outage"))
        }
    })
}
