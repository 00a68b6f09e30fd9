//! The copies that control planes keep of a run's plan and journal, and which of them to go on from.
//!
//! A copy may lag, because its machine was away; the journal on the machine of whoever holds the lock is the whole one. Of
//! several the newest history counts: the one that knows the highest token, and of that the longest. Others have to be a
//! beginning of it, or be of an older token: what such a one has beyond, a replaced operator wrote alone.

use std::collections::BTreeMap;

use super::{Event, Record, read};
use crate::decide::plan::Plan;
use crate::facts::copies::RunCopy;
use crate::inventory::NodeName;

/// A run that can be gone on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its plan, whole and as it was made.
    pub plan: Plan,
    /// Its journal's whole lines.
    pub journal: String,
    /// The same, read.
    pub records: Vec<Record>,
    /// Where that journal was found.
    pub from: NodeName,
    /// What is to be said of the copies on other machines.
    pub notes: Vec<String>,
}

/// A run of which no copy can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the copies of run {run} cannot be used")]
pub struct Unusable {
    /// The run.
    pub run: String,
    /// Why, machine by machine.
    pub why: Vec<String>,
}

/// One copy that could be read.
struct Good<'a> {
    node: &'a NodeName,
    plan: Plan,
    whole: &'a str,
    records: Vec<Record>,
}

impl Good<'_> {
    /// The highest token that its history knows.
    fn token(&self) -> u64 {
        let token = |record: &Record| match record.event {
            Event::Locked { token, .. } => Some(token),
            _ => None,
        };
        self.records.iter().filter_map(token).max().unwrap_or(0)
    }
}

/// Every run that is there, by its id, with the copy to go on from.
pub fn choose(copies: &[RunCopy]) -> BTreeMap<String, Result<Found, Unusable>> {
    let mut runs: BTreeMap<String, Vec<&RunCopy>> = BTreeMap::new();
    // Where there is no journal, nothing was begun: the plan comes first.
    for copy in copies.iter().filter(|copy| !copy.journal.is_empty()) {
        runs.entry(copy.run.clone()).or_default().push(copy);
    }
    runs.into_iter().map(|(run, copies)| (run.clone(), best(run, &copies))).collect()
}

fn best(run: String, copies: &[&RunCopy]) -> Result<Found, Unusable> {
    let (mut good, mut notes) = (Vec::new(), Vec::new());
    for copy in copies {
        match look_into(copy) {
            Ok(copy) => good.push(copy),
            Err(why) => notes.push(format!("{}: {why}", copy.node)),
        }
    }
    good.sort_by_key(|copy| std::cmp::Reverse((copy.token(), copy.whole.len())));
    let mut good = good.into_iter();
    let Some(newest) = good.next() else { return Err(Unusable { run, why: notes }) };
    for other in good {
        if newest.whole.starts_with(other.whole) {
            let behind = newest.records.len() - other.records.len();
            if behind > 0 {
                notes.push(format!("the copy on {} lags by {}", other.node, crate::text::count(behind, "record")));
            }
        } else if other.token() < newest.token() {
            notes.push(format!("the copy on {} is what a replaced operator wrote alone; it is left aside", other.node));
        } else {
            let (one, two) = (newest.node, other.node);
            return Err(Unusable { run, why: vec![format!("{one} and {two} tell different histories of it")] });
        }
    }
    Ok(Found {
        from: newest.node.clone(),
        journal: newest.whole.to_owned(),
        plan: newest.plan,
        records: newest.records,
        notes,
    })
}

fn look_into(copy: &RunCopy) -> Result<Good<'_>, String> {
    if copy.plan.is_empty() {
        return Err("the plan is not there".to_owned());
    }
    let plan = Plan::from_json(&copy.plan).map_err(|error| format!("its plan: {error}"))?;
    if plan.id.0 != copy.run {
        return Err(format!("it has plan {} where run {} should be", plan.id, copy.run));
    }
    let (records, whole) = read(&copy.journal).map_err(|error| format!("its journal: {error}"))?;
    match records.first().map(|record| &record.event) {
        Some(Event::Opened { run, .. }) if *run == plan.id => {}
        Some(Event::Opened { run, .. }) => return Err(format!("it has the journal of run {run}")),
        // Reading takes nothing else for a first line.
        _ => return Err("its journal has no whole line".to_owned()),
    }
    Ok(Good { node: &copy.node, plan, whole: &copy.journal[..whole], records })
}

/// How the journal on the operator's own machine stands to a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// It is the same, or a beginning of it (as no journal is): the copy takes its place.
    Behind,
    /// It has more: the copy is a beginning of it.
    Ahead,
    /// Neither is a beginning of the other.
    Differs,
}

/// Holds the operator's own journal against a copy; both as text, whole lines count.
pub fn compare(own: &str, copy: &str) -> Own {
    let whole = |text: &str| text.rfind('\n').map_or(0, |at| at + 1);
    let (own, copy) = (&own[..whole(own)], &copy[..whole(copy)]);
    if copy.starts_with(own) {
        Own::Behind
    } else if own.starts_with(copy) {
        Own::Ahead
    } else {
        Own::Differs
    }
}
