//! How etcd is, as a person reads it at a glance, and as a program does.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::table;
use crate::decide::finding::Finding;
use crate::decide::quorum::Count;
use crate::facts::health::EtcdHealth;
use crate::facts::{EtcdFacts, EtcdMember, MemberStatus, Seen};
use crate::text;

/// etcd as text: a table of the members, what they are together, what needs attention.
pub fn etcd(cluster: &str, seen: &EtcdHealth, findings: &[Finding]) -> String {
    let mut out = match &seen.etcd {
        Seen::Known(etcd) => whole(cluster, seen, etcd),
        Seen::Unknown(_) => alone(cluster, seen),
    };
    if !findings.is_empty() {
        // Writing to a String does not fail.
        let _ = write!(out, "\nWhat needs attention\n{}", attention(findings));
    }
    text::printable(&out)
}

fn whole(cluster: &str, seen: &EtcdHealth, etcd: &EtcdFacts) -> String {
    let mut out = format!("etcd of cluster {cluster}: {}\n\n", text::count(etcd.members.len(), "member"));
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(etcd.members.iter().map(|member| row(seen, etcd, member)));
    out += &table(&rows);
    let alarms: Vec<String> =
        etcd.alarms.iter().map(|alarm| format!("{} on {:x}", alarm.kind, alarm.member_id)).collect();
    let alarms = if alarms.is_empty() { "none".to_owned() } else { alarms.join(", ") };
    let _ = writeln!(out, "\n  quorum   {}", quorum(etcd));
    let _ = writeln!(out, "  data     {}", data(seen));
    let _ = writeln!(out, "  alarms   {alarms}");
    out
}

const HEAD: [&str; 10] =
    ["MEMBER", "MACHINE", "ID", "VERSION", "ROLE", "BEHIND", "SIZE", "IN USE", "OF QUOTA", "DISK FREE"];

fn row(seen: &EtcdHealth, etcd: &EtcdFacts, member: &EtcdMember) -> [String; 10] {
    let node = member.node.as_ref();
    let nothing = || "-".to_owned();
    let status = member.status.known();
    let told = |tell: &dyn Fn(&MemberStatus) -> String| status.map_or_else(nothing, tell);
    [
        if member.name.is_empty() { nothing() } else { member.name.clone() },
        node.map_or_else(nothing, ToString::to_string),
        format!("{:x}", member.id),
        told(&|status| status.version.to_string()),
        role(member).to_owned(),
        told(&|status| behind(etcd, status).to_string()),
        told(&|status| text::bytes(status.db_size)),
        told(&|status| text::bytes(status.db_in_use)),
        told(&|status| node.and_then(|node| seen.quota(node)).map_or_else(nothing, |quota| of_quota(status, quota))),
        node.and_then(|node| seen.room(node)).map_or_else(nothing, |disk| text::bytes(disk.free_bytes)),
    ]
}

fn behind(etcd: &EtcdFacts, status: &MemberStatus) -> u64 {
    etcd.log_end().saturating_sub(status.raft_applied)
}

fn of_quota(status: &MemberStatus, quota: u64) -> String {
    match quota {
        0 => "-".to_owned(),
        u64::MAX => "no quota".to_owned(),
        quota => format!("{} % of {}", u128::from(status.db_size) * 100 / u128::from(quota), text::bytes(quota)),
    }
}

fn role(member: &EtcdMember) -> &'static str {
    match &member.status {
        Seen::Unknown(_) if member.name.is_empty() => "never started",
        Seen::Unknown(_) => "no answer",
        Seen::Known(_) if member.learner => "learner",
        Seen::Known(_) if member.leads() => "leader",
        Seen::Known(_) => "follower",
    }
}

/// How many healthy voters there are, and how many of them may fail.
fn quorum(etcd: &EtcdFacts) -> String {
    let now = Count::of(etcd);
    let spare = match now.healthy.checked_sub(now.quorum()) {
        None => "there is none".to_owned(),
        Some(0) => "none of them may fail".to_owned(),
        Some(spare) => format!("{spare} of them may fail"),
    };
    let voters = text::count(now.voters, "voting member");
    format!("{} of {voters} healthy, {} make a quorum: {spare}", now.healthy, now.quorum())
}

fn data(seen: &EtcdHealth) -> String {
    match &seen.hashes {
        Seen::Known(hashes) if hashes.equal() => {
            format!("equal on {} at revision {}", text::count(hashes.of.len(), "member"), hashes.revision)
        }
        Seen::Known(hashes) => hashes.differ(),
        Seen::Unknown(why) => format!("not compared: {why}"),
    }
}

/// Without a member list: what each machine's member says of itself.
fn alone(cluster: &str, seen: &EtcdHealth) -> String {
    let mut out = format!("etcd of cluster {cluster}: no member gives the list of members\n\n");
    let mut rows = vec![["MACHINE", "ID", "VERSION", "LEADER", "TERM", "REVISION"].map(str::to_owned)];
    for (node, answer) in &seen.answers {
        let told = |tell: &dyn Fn(&MemberStatus) -> String| answer.known().map_or_else(|| "-".to_owned(), tell);
        rows.push([
            node.to_string(),
            told(&|status| format!("{:x}", status.member_id)),
            told(&|status| status.version.to_string()),
            told(&|status| if status.leader == 0 { "none".to_owned() } else { format!("{:x}", status.leader) }),
            told(&|status| status.raft_term.to_string()),
            told(&|status| status.revision.to_string()),
        ]);
    }
    out += &table(&rows);
    out
}

fn attention(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.subject.len()).max().unwrap_or(0);
    let line = |finding: &Finding| format!("  {:<width$}  {} [{}]\n", finding.subject, finding.detail, finding.rule);
    findings.iter().map(line).collect()
}

/// etcd as JSON, format 1. Ids are hexadecimal text: many readers of JSON cannot hold them as numbers.
pub fn etcd_json(cluster: &str, seen: &EtcdHealth, findings: &[Finding]) -> Value {
    let etcd = seen.etcd.known();
    let member = |member: &EtcdMember| member_json(seen, etcd, member);
    json!({
        "format": 1,
        "cluster": cluster,
        "cluster_id": etcd.map(|etcd| format!("{:x}", etcd.cluster_id)),
        "members": etcd.map(|etcd| etcd.members.iter().map(member).collect::<Vec<_>>()),
        "no_list": match &seen.etcd { Seen::Unknown(why) => Some(why), Seen::Known(_) => None },
        "answers": seen.answers.iter().map(|(node, answer)| match answer {
            Seen::Known(status) => json!({ "machine": node, "id": format!("{:x}", status.member_id) }),
            Seen::Unknown(why) => json!({ "machine": node, "no_answer": why }),
        }).collect::<Vec<_>>(),
        "quorum": etcd.map(Count::of).map(|now| {
            json!({ "voters": now.voters, "healthy": now.healthy, "needed": now.quorum() })
        }),
        "hashes": match &seen.hashes {
            Seen::Known(hashes) => json!({ "revision": hashes.revision, "equal": hashes.equal(), "of": hashes.of }),
            Seen::Unknown(why) => json!({ "not_compared": why }),
        },
        "alarms": etcd.map(|etcd| etcd.alarms.iter().map(|alarm| json!({
            "member": format!("{:x}", alarm.member_id),
            "kind": alarm.kind,
        })).collect::<Vec<_>>()),
        "well": findings.is_empty() && etcd.is_some(),
        "findings": findings,
    })
}

fn member_json(seen: &EtcdHealth, etcd: Option<&EtcdFacts>, member: &EtcdMember) -> Value {
    let node = member.node.as_ref();
    let status = member.status.known();
    json!({
        "name": member.name,
        "id": format!("{:x}", member.id),
        "machine": node,
        "peer_urls": member.peer_urls,
        "client_urls": member.client_urls,
        "role": role(member),
        "unhealthy": member.unhealthy(),
        "version": status.map(|status| status.version.to_string()),
        "term": status.map(|status| status.raft_term),
        "revision": status.map(|status| status.revision),
        "entries_behind": etcd.zip(status).map(|(etcd, status)| behind(etcd, status)),
        "size_bytes": status.map(|status| status.db_size),
        "in_use_bytes": status.map(|status| status.db_in_use),
        "quota_bytes": node.and_then(|node| seen.quota(node)).filter(|quota| *quota != u64::MAX),
        "disk_free_bytes": node.and_then(|node| seen.room(node)).map(|disk| disk.free_bytes),
        "errors": status.map(|status| &status.errors),
    })
}

#[cfg(test)]
#[path = "etcd_tests.rs"]
mod tests;
