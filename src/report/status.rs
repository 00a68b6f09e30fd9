//! How far a run has come, as a person reads it and as a program does.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::decide::plan::{Plan, Raise};
use crate::facts::lock::LockFacts;
use crate::inventory::NodeName;
use crate::journal::GivenUp;
use crate::journal::status::{Snapshot, Status};
use crate::text;

/// A run, with what was found about it.
#[derive(Clone, Debug)]
pub struct RunView {
    /// Its plan.
    pub plan: Plan,
    /// How far it has come.
    pub status: Status,
    /// Where that is known from, in words.
    pub source: String,
    /// What is to be said of the copies.
    pub notes: Vec<String>,
    /// Steps that were begun and are not known to have ended.
    pub in_hand: Vec<InHand>,
    /// Snapshots whose file is on this machine, by position.
    pub here: Vec<bool>,
    /// The exact next command; nothing when the run is through.
    pub next: Option<String>,
}

/// A step in hand.
#[derive(Clone, Debug)]
pub struct InHand {
    /// The step.
    pub step: String,
    /// Its unit's name on its machine; nothing when it acts from the operator's machine.
    pub unit: Option<(String, NodeName)>,
    /// What that does, in words.
    pub state: String,
}

/// Runs and the lock as text.
pub fn status(cluster: &str, lock: &LockFacts, runs: &[RunView]) -> String {
    let mut out = String::new();
    for run in runs {
        // Writing to a String does not fail.
        let _ = writeln!(out, "{}", one(run));
    }
    if runs.is_empty() {
        let _ = write!(out, "no run is known of cluster {cluster}\n\n");
    }
    let _ = write!(out, "{}", super::lock(cluster, lock));
    for run in runs {
        if let Some(next) = &run.next {
            let _ = write!(out, "\nTo go on with run {}: {next}\n", run.plan.id);
        }
    }
    // Reasons and names come from other machines.
    text::printable(&out)
}

fn one(run: &RunView) -> String {
    let RunView { plan, status, .. } = run;
    let mut out = format!("run {} of cluster {}: {}\n", plan.id, plan.cluster, raises(plan));
    let mut line = |what: &str, words: &str| {
        let _ = writeln!(out, "  {what:<12} {words}");
    };
    line("known from", &run.source);
    for note in &run.notes {
        line("", note);
    }
    if let Some(operator) = &status.operator {
        line("operator", operator);
    }
    if let Some((opened, last)) = status.times {
        line("begun", &format!("{}, last record {}", moment(opened), moment(last)));
    }
    let (done, all) = status.steps;
    let stage = status.stage.as_ref().map_or_else(String::new, |stage| format!(", at stage {stage}"));
    let through = match (status.completed, status.given_up) {
        (true, _) => "; it is carried out",
        (false, Some(GivenUp::Through)) => "; it was aborted",
        (false, Some(GivenUp::Begun)) => "; it is being aborted",
        (false, None) => "",
    };
    line("done", &format!("{done} of {}{stage}{through}", text::count(all, "step")));
    for InHand { step, unit, state } in &run.in_hand {
        let unit = unit.as_ref().map_or_else(String::new, |(name, on)| format!("{name} on {on}: "));
        line("in hand", &format!("{step}: {unit}{state}"));
    }
    if let Some((at, step, why)) = &status.wrong {
        line("went wrong", &format!("{step}: {why} ({})", moment(*at)));
    }
    for (snapshot, here) in status.snapshots.iter().zip(&run.here) {
        line("snapshot", &place(snapshot, *here));
    }
    for node in &status.unfenced {
        line("not fenced", node.as_str());
    }
    out
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn raises(plan: &Plan) -> String {
    if let Some(words) = plan.task.words() {
        return words;
    }
    let raise = |what: &str, raise: &Option<Raise>| {
        raise.as_ref().map(
            |Raise { from, to }| if from == to { format!("{what} {to}") } else { format!("{what} {from} -> {to}") },
        )
    };
    let raises = [raise("Kubernetes", &plan.kubernetes), raise("etcd", &plan.etcd)];
    raises.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Where a snapshot is.
fn place(snapshot: &Snapshot, here: bool) -> String {
    let Snapshot { at, file, bytes, revision, from, copy, proven } = snapshot;
    let copy = copy.as_ref().map_or_else(String::new, |node| format!("; copy on {node}: {}", snapshot.copy_path()));
    let here = if here { "on this machine" } else { "on the machine of whoever took it" };
    let proven = proven.as_ref().map_or_else(String::new, |proven| format!(", proven on {}", proven.on));
    let what = format!("{}, revision {revision}, from {from}{proven}", text::bytes(*bytes));
    format!("{} ({what}) {here}: {file}{copy}", moment(*at))
}

/// The same as JSON, format 1.
pub fn status_json(cluster: &str, lock: &LockFacts, runs: &[RunView]) -> Value {
    let snapshot = |(snapshot, here): (&Snapshot, &bool)| {
        json!({
            "at": snapshot.at, "file": snapshot.file, "on_this_machine": here, "bytes": snapshot.bytes,
            "revision": snapshot.revision, "from": snapshot.from, "proven": snapshot.proven,
            "copy": snapshot.copy.as_ref().map(|node| json!({ "node": node, "path": snapshot.copy_path() })),
        })
    };
    let in_hand = |InHand { step, unit, state }: &InHand| {
        let unit = unit.as_ref().map(|(name, on)| json!({ "name": name, "on": on }));
        json!({ "step": step, "unit": unit, "state": state })
    };
    let run = |run: &RunView| {
        let status = &run.status;
        let wrong = status.wrong.as_ref().map(|(at, step, why)| json!({ "at": at, "step": step, "why": why }));
        json!({
            "run": run.plan.id,
            "known_from": run.source,
            "notes": run.notes,
            "operator": status.operator,
            "token": status.token,
            "begun": status.times.map(|(opened, _)| opened),
            "last_record": status.times.map(|(_, last)| last),
            "steps": { "done": status.steps.0, "all": status.steps.1 },
            "stage": status.stage,
            "in_hand": run.in_hand.iter().map(in_hand).collect::<Vec<_>>(),
            "went_wrong": wrong,
            "snapshots": status.snapshots.iter().zip(&run.here).map(snapshot).collect::<Vec<_>>(),
            "not_fenced": status.unfenced,
            "completed": status.completed,
            "aborted": status.given_up == Some(GivenUp::Through),
            "next": run.next,
        })
    };
    json!({
        "format": 1,
        "cluster": cluster,
        "lock": super::lock_json(cluster, lock),
        "runs": runs.iter().map(run).collect::<Vec<_>>(),
    })
}
