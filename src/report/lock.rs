//! The lock as a person reads it, and as a program does.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::facts::Seen;
use crate::facts::lock::{Holder, LockFacts};
use crate::inventory::NodeName;
use crate::text;

/// The lock as text.
pub fn lock(cluster: &str, seen: &LockFacts) -> String {
    let planes = seen.control_planes().count();
    let mut out = format!("lock of cluster {cluster}\n");
    // Writing to a String does not fail.
    for (holder, on) in seen.holders() {
        let Holder { run, operator, machine, since, token } = holder;
        let machine = machine.map_or_else(String::new, |machine| format!(" (machine {machine})"));
        let _ = writeln!(out, "  held by      {operator}{machine}, for run {run}");
        let _ = writeln!(out, "  since        {since}, token {token}");
        let _ = writeln!(out, "  on           {} ({} of {planes} control planes)", names(&on), on.len());
    }
    for (node, words) in seen.unreadable() {
        let _ = writeln!(out, "  unreadable   the lock file on {node}: {words}");
    }
    if seen.holders().is_empty() && seen.unreadable().is_empty() {
        let who = if seen.majority_answers() { "nobody" } else { "not known: too few control planes answer" };
        let _ = writeln!(out, "  held by      {who}");
    }
    let _ = write!(out, "{}{}{}", tokens(seen), running(seen), silent(seen));
    // Lock files and answers come from other machines.
    text::printable(&out)
}

fn names(nodes: &[NodeName]) -> String {
    let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
    text::list(&names, "and")
}

/// The token that machines have seen; those that have seen another are named.
fn tokens(seen: &LockFacts) -> String {
    let highest = seen.highest_token();
    let known = seen.machines.iter().filter_map(|machine| Some((&machine.node, seen.token_of(&machine.node)?)));
    let lower: Vec<String> =
        known.filter(|(_, token)| *token < highest).map(|(node, token)| format!("{node} {token}")).collect();
    if lower.is_empty() {
        format!("  token        {highest} on every machine that answers\n")
    } else {
        format!("  token        {highest}; lower on {}\n", text::list(&lower, "and"))
    }
}

fn running(seen: &LockFacts) -> String {
    let running = seen.running();
    if running.is_empty() {
        return "  running      nothing\n".to_owned();
    }
    let mut out = String::new();
    for (node, unit) in running {
        let _ = writeln!(out, "  running      {} on {node}, since {}", unit.name(), unit.since);
    }
    out
}

fn silent(seen: &LockFacts) -> String {
    let mut out = String::new();
    for (node, why) in seen.silent() {
        let _ = writeln!(out, "  no answer    {node}: {why}");
    }
    out
}

/// The lock as JSON, format 1.
pub fn lock_json(cluster: &str, seen: &LockFacts) -> Value {
    let holders = seen.holders().into_iter().map(|(holder, on)| json!({ "holder": holder, "on": on }));
    let machine = |machine: &crate::facts::lock::LockOn| match &machine.seen {
        Seen::Unknown(why) => json!({ "node": machine.node, "no_answer": why }),
        Seen::Known(own) => json!({
            "node": machine.node,
            "control_plane": machine.control_plane,
            "token": own.token,
            "lock": own.lock.as_ref().map(|lock| match lock {
                Ok(holder) => json!(holder),
                Err(words) => json!({ "unreadable": words }),
            }),
            "running": own.units,
        }),
    };
    json!({
        "format": 1,
        "cluster": cluster,
        "holders": holders.collect::<Vec<_>>(),
        "majority_answers": seen.majority_answers(),
        "highest_token": seen.highest_token(),
        "machines": seen.machines.iter().map(machine).collect::<Vec<_>>(),
    })
}
