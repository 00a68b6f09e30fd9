//! The end of a run as text: what is where after it was given up and which ways lead on; what was taken away.

use std::fmt::Write as _;

use crate::decide::long_way;
use crate::decide::plan::{Plan, RunId};
use crate::engine::Finish;
use crate::facts::{Facts, MachineFacts, Seen};
use crate::inventory::NodeName;
use crate::text;

/// What a run that was given up has left: each node, what is not as one would wish, and the ways on. `snapshot` is the
/// last one with its copy, `finish` the command that takes away what is kept.
pub fn abort(
    plan: &Plan,
    facts: &Facts,
    stays: &[String],
    snapshot: Option<&(String, u64, Option<NodeName>)>,
    finish: &str,
) -> String {
    let mut out = format!("plan {} is aborted\n\nWhat is where\n", plan.id);
    // Writing to a String does not fail.
    for node in facts.nodes.iter().filter(|node| plan.baseline.machines.contains_key(&node.name)) {
        let _ = match &node.machine {
            Seen::Known(machine) => writeln!(out, "  {:<12} {}", node.name, versions(facts, &node.name, machine)),
            Seen::Unknown(why) => writeln!(out, "  {:<12} could not be seen: {why}", node.name),
        };
    }
    if !stays.is_empty() {
        let _ = writeln!(out, "\nWhat to see to\n  {}", stays.join("\n  "));
    }
    let _ = write!(out, "\nWays on\n{}", ways(plan, snapshot, finish));
    text::printable(&out)
}

/// Versions of what runs on a machine, and whether it is cordoned.
fn versions(facts: &Facts, name: &NodeName, machine: &MachineFacts) -> String {
    let mut parts = Vec::new();
    if let Seen::Known(Some(process)) = &machine.etcd {
        parts.push(match &process.server_version {
            Seen::Known(version) => format!("etcd {version}"),
            Seen::Unknown(_) => "etcd does not answer".to_owned(),
        });
    }
    match &machine.api_server {
        Seen::Known(Some(version)) => parts.push(format!("API server {version}")),
        Seen::Known(None) => {}
        Seen::Unknown(why) => parts.push(format!("its API server does not answer: {why}")),
    }
    if let Seen::Known(Some(version)) = &machine.kubelet_running {
        parts.push(format!("kubelet {version}"));
    }
    if let Some(kubeadm) = machine.packages.get("kubeadm").and_then(|package| package.installed.as_ref()) {
        parts.push(format!("package kubeadm {kubeadm}"));
    }
    let node = facts.api.known().and_then(|api| api.nodes.iter().find(|node| node.name == name.as_str()));
    if let Some(node) = node {
        parts.push(if node.ready() { "Ready" } else { "not Ready" }.to_owned());
        if node.unschedulable {
            parts.push("cordoned".to_owned());
        }
    }
    parts.join(", ")
}

fn ways(plan: &Plan, snapshot: Option<&(String, u64, Option<NodeName>)>, finish: &str) -> String {
    let to = |option: &str, raise: &Option<crate::decide::plan::Raise>| {
        raise.as_ref().map_or_else(String::new, |raise| format!(" {option} {}", raise.to))
    };
    let (kubernetes, etcd) = (to("--to", &plan.kubernetes), to("--etcd-to", &plan.etcd));
    let mut out = format!(
        "  forward, with a new plan: windlass upgrade plan -i {}{kubernetes}{etcd} --out plan.json\n",
        plan.sources.inventory
    );
    if let Some((file, _, copy)) = snapshot {
        let copy = copy.as_ref().map_or_else(String::new, |node| format!(" (its copy is on {node})"));
        let _ = writeln!(out, "  back, by hand, as the README says: with snapshot {file}{copy},");
        let _ = writeln!(out, "    archives in /var/lib/windlass/archives/{}", plan.id);
        let _ = writeln!(out, "    and former packages in /var/lib/windlass/packages/{} on each node", plan.id);
    }
    let kept = text::count(long_way::nodes(plan).len(), "machine");
    let _ = writeln!(out, "  when what {kept} keep for that is not needed any more: {finish}");
    out
}

/// What was taken away from each node.
pub fn finish(run: &RunId, freed: &[Finish]) -> String {
    let bytes = |finish: &Finish| finish.archive + finish.packages + finish.units + finish.data;
    let total: u64 = freed.iter().map(bytes).sum();
    if total == 0 {
        return format!("no node keeps anything of plan {run} any more; snapshots stay where they are\n");
    }
    let mut out = String::new();
    for finish in freed.iter().filter(|finish| bytes(finish) > 0) {
        let Finish { node, archive, packages, units, data } = finish;
        let (archive, packages, units) = (text::bytes(*archive), text::bytes(*packages), text::bytes(*units));
        let data = if *data > 0 { format!(", former data {}", text::bytes(*data)) } else { String::new() };
        let _ = writeln!(out, "  {node:<12} archive {archive}, packages {packages}, logs {units}{data}");
    }
    format!("{out}{} taken away of plan {run}; snapshots stay where they are\n", text::bytes(total))
}
