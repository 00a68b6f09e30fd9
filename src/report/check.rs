//! How a cluster is, as a person reads it at a glance, and as a program does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use semver::Version;
use serde_json::{Value, json};

use super::named;
use crate::decide::check::Checked;
use crate::decide::finding::{Finding, Rule, Severity};
use crate::facts::{Certificate, Facts, Seen};
use crate::text::{self, count};

/// The check as text: what the cluster is, then what needs attention.
pub fn check(checked: Checked<'_>, findings: &[Finding]) -> String {
    let facts = checked.facts;
    let mut out = format!("cluster {}: {}\n\n", facts.cluster, count(facts.nodes.len(), "machine"));
    for (what, said) in [
        ("Kubernetes", kubernetes(facts)),
        ("etcd", etcd(facts)),
        ("certificates", certificates(facts)),
        ("backups", backups(checked)),
    ] {
        // Writing to a String does not fail.
        let _ = writeln!(out, "  {what:<12}  {said}");
    }
    if findings.is_empty() {
        out += "\nNothing needs attention.\n";
    } else {
        let _ = write!(out, "\nWhat needs attention\n{}", attention(findings));
    }
    text::printable(&out)
}

fn kubernetes(facts: &Facts) -> String {
    let Seen::Known(api) = &facts.api else { return "its API does not answer".to_owned() };
    let machines = facts.nodes.iter().filter_map(|node| node.machine.known());
    let servers = machines.filter_map(|machine| machine.api_server.known()?.clone());
    let kubelets = api.nodes.iter().filter_map(|node| node.kubelet.known().cloned());
    let ready = api.nodes.iter().filter(|node| node.ready()).count();
    format!(
        "API servers {}; kubelets {}; {ready} of {} Ready",
        versions(servers),
        versions(kubelets),
        count(api.nodes.len(), "node")
    )
}

fn etcd(facts: &Facts) -> String {
    let Seen::Known(etcd) = &facts.etcd else { return "no member gives the list of members".to_owned() };
    let statuses: Vec<_> = etcd.members.iter().filter_map(|member| member.status.known()).collect();
    let largest = statuses.iter().map(|status| status.db_size).max().unwrap_or(0);
    let healthy = etcd.members.iter().filter(|member| member.unhealthy().is_none()).count();
    format!(
        "{}; {healthy} of {} healthy; the largest database has {}",
        versions(statuses.iter().map(|status| status.version.clone())),
        count(etcd.members.len(), "member"),
        text::bytes(largest)
    )
}

/// `1.20.2 (3)`, or `1.20.2 (1) and 1.21.14 (2)`.
fn versions(all: impl Iterator<Item = Version>) -> String {
    let mut times: BTreeMap<Version, usize> = BTreeMap::new();
    for version in all {
        *times.entry(version).or_default() += 1;
    }
    let each: Vec<String> = times.iter().map(|(version, times)| format!("{version} ({times})")).collect();
    if each.is_empty() { "unknown".to_owned() } else { text::list(&each, "and") }
}

fn certificates(facts: &Facts) -> String {
    let of = |node: &crate::facts::NodeFacts| {
        let certificates = node.machine.known()?.certificates.known()?;
        let first: &Certificate = certificates.iter().min_by_key(|certificate| certificate.not_after)?;
        Some((first.not_after, first.path.clone(), node.name.clone()))
    };
    match facts.nodes.iter().filter_map(of).min() {
        None => "none were seen".to_owned(),
        Some((end, path, node)) => {
            let days = (end.as_second() - facts.taken_at.as_second()) / 86400;
            let when = if days < 0 { format!("{} days ago", -days) } else { format!("in {days} days") };
            format!("the first to end is {path} on {node}, {when}")
        }
    }
}

fn backups(checked: Checked<'_>) -> String {
    let now = checked.facts.taken_at.as_second();
    let each = checked.backups.iter().map(|newest| match &newest.taken {
        Seen::Known(Some(taken)) => {
            let age = u64::try_from(now - taken.as_second()).unwrap_or(0);
            format!("{}: the newest is {} old", newest.destination, text::age(age))
        }
        Seen::Known(None) => format!("{}: none", newest.destination),
        Seen::Unknown(_) => format!("{}: not listed", newest.destination),
    });
    let each: Vec<String> = each.collect();
    if each.is_empty() { "not looked at".to_owned() } else { each.join("; ") }
}

/// Findings that are alike stand on one line.
fn attention(findings: &[Finding]) -> String {
    let mut alike: BTreeMap<(Severity, Rule, &str), BTreeSet<&str>> = BTreeMap::new();
    for finding in findings {
        alike.entry((finding.severity, finding.rule, &finding.detail)).or_default().insert(&finding.subject);
    }
    let mut out = String::new();
    for ((severity, rule, detail), subjects) in alike {
        let mark = match severity {
            Severity::Unreachable => "unreachable",
            Severity::Refusal => "critical",
            Severity::Warning => "warning",
        };
        let _ = writeln!(out, "  {mark:<11}  {}: {detail} [{rule}]", named(&subjects));
    }
    out
}

/// The check as JSON, format 1.
pub fn check_json(checked: Checked<'_>, findings: &[Finding]) -> Value {
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    json!({
        "format": 1,
        "cluster": checked.facts.cluster,
        "taken_at": checked.facts.taken_at,
        "critical": of(Severity::Refusal),
        "unreachable": of(Severity::Unreachable),
        "warnings": of(Severity::Warning),
        "backups": checked.backups.iter().map(|newest| match &newest.taken {
            Seen::Known(taken) => json!({ "destination": newest.destination, "newest": taken }),
            Seen::Unknown(why) => json!({ "destination": newest.destination, "not_listed": why }),
        }).collect::<Vec<_>>(),
        "findings": findings,
    })
}
