//! A plan as a person reads it before saying yes: from, to, what happens on which node in what order, what is skipped and
//! why, what will be away and for how long, and what cannot be taken back.

use std::fmt::Write as _;

use crate::decide::action::Action;
use crate::decide::plan::{Lane, Plan, Raise, Stage, Task, Wave};
use crate::inventory::NodeName;
use crate::text;

/// The plan as text.
pub fn plan(plan: &Plan) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write!(out, "{}", head(plan));
    if plan.is_empty() {
        let _ = writeln!(out, "\nNothing to do: everything is at its target.");
    } else {
        let _ = write!(out, "\n{}", stages(plan));
    }
    let _ = write!(out, "{}{}{}{}", away(plan), skipped(plan), findings(plan), super::back::going_back(plan));
    // Names and words of it came from the cluster, or from a file: none of them may hide another.
    text::printable(&out)
}

fn head(plan: &Plan) -> String {
    let mut out = format!("Plan {} for cluster {}\n\n", plan.id, plan.cluster);
    if let Some(words) = plan.task.words() {
        let about = match &plan.task {
            Task::Bootstrap(_) => "makes",
            Task::Nodes(_) => "nodes",
            _ => "etcd",
        };
        let _ = writeln!(out, "  {about:<11} {words}");
    }
    for (what, raise) in [("Kubernetes", &plan.kubernetes), ("etcd", &plan.etcd)] {
        if let Some(Raise { from, to }) = raise {
            let _ = if from == to && !plan.is_empty() && what == "Kubernetes" {
                writeln!(out, "  {what:<11} {from} (the API servers are there already)")
            } else if from == to {
                writeln!(out, "  {what:<11} {from} (is there already)")
            } else {
                writeln!(out, "  {what:<11} {from} -> {to}")
            };
        }
    }
    if plan.baseline.stacked && plan.kubernetes.is_some() && !plan.is_empty() {
        let _ = writeln!(out, "  {:<11} stacked: kubeadm raises each member with its control plane", "etcd");
    }
    let made = plan.made_at.strftime("%Y-%m-%d %H:%M:%S UTC");
    let _ = writeln!(out, "  {:<11} {}", "machines", plan.baseline.machines.len());
    let _ = writeln!(out, "  {:<11} {made}, by windlass {}", "seen", plan.windlass);
    if !plan.is_empty() {
        let _ = writeln!(out, "  {:<11} about {}", "takes", text::seconds(estimate(plan)));
    }
    out
}

/// The sum over waves of their slowest lane, in seconds.
fn estimate(plan: &Plan) -> u64 {
    let lane = |lane: &Lane| plan.steps(lane).iter().map(|step| step.action.estimate()).sum::<u64>();
    let wave = |wave: &Wave| wave.lanes.iter().map(lane).max().unwrap_or(0);
    plan.stages.iter().flat_map(|stage| &stage.waves).map(wave).sum()
}

fn stages(plan: &Plan) -> String {
    let mut out = String::new();
    let mut number = 0;
    for stage in &plan.stages {
        for (waves, steps) in alike(plan, stage) {
            number += 1;
            let _ = writeln!(out, "{number:>3}. {:<24} {}", stage.name, order(&waves));
            for line in steps {
                let _ = writeln!(out, "       {line}");
            }
        }
    }
    out
}

/// Waves of a stage that read the same, together: their nodes, and the steps in words.
fn alike<'a>(plan: &Plan, stage: &'a Stage) -> Vec<(Vec<&'a Wave>, Vec<String>)> {
    let mut groups: Vec<(Vec<&Wave>, Vec<String>)> = Vec::new();
    for wave in &stage.waves {
        let mut steps: Vec<String> = Vec::new();
        for lane in &wave.lanes {
            for step in plan.steps(lane) {
                let line = format!("{:<18} {}", step.name, step.action.describe());
                if !steps.contains(&line) {
                    steps.push(line);
                }
            }
        }
        match groups.last_mut() {
            Some((waves, known)) if *known == steps => waves.push(wave),
            _ => groups.push((vec![wave], steps)),
        }
    }
    groups
}

/// Who, in what order: `etcd1, then etcd2, then etcd3`, `cp1, cp2 and cp3 at the same time`.
fn order(waves: &[&Wave]) -> String {
    let parts: Vec<String> = waves.iter().map(|wave| together(&wave.lanes)).collect();
    parts.join(", then ")
}

fn together(lanes: &[Lane]) -> String {
    let names: Vec<&str> =
        lanes.iter().map(|lane| lane.node.as_ref().map_or("(the cluster)", NodeName::as_str)).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} and {last} at the same time", rest.join(", ")),
    }
}

fn away(plan: &Plan) -> String {
    let drains = plan.placed().any(|placed| matches!(placed.step.action, Action::Drain(_)));
    if plan.outages.is_empty() && !drains {
        return String::new();
    }
    let mut out = "\nWhat will be away\n".to_owned();
    for outage in &plan.outages {
        let accepted = if outage.needs_consent { " (accepted by you)" } else { "" };
        let _ = writeln!(out, "  up to {}: {}{accepted}", text::seconds(outage.seconds), outage.what);
    }
    if drains {
        let _ = writeln!(out, "  pods of each drained node, as their disruption budgets and grace periods allow");
    }
    out
}

fn skipped(plan: &Plan) -> String {
    let mut out = String::new();
    if !plan.skipped.is_empty() {
        out.push_str("\nWhat is skipped\n");
    }
    for alike in plan.skipped.chunk_by(|one, other| (&one.stage, &one.why) == (&other.stage, &other.why)) {
        let subjects: Vec<&str> = alike.iter().map(|skipped| skipped.subject.as_str()).collect();
        let _ = writeln!(out, "  {:<24} {} ({})", alike[0].stage, subjects.join(", "), alike[0].why);
    }
    out
}

fn findings(plan: &Plan) -> String {
    if plan.findings.is_empty() {
        return String::new();
    }
    format!("\nWhat to know\n{}", super::findings(&plan.findings))
}
