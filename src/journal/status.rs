//! How far a run has come, by its records: what another operator wants to know before going on with it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Attempt, Event, GivenUp, History, Proven, Record, Standing};
use crate::decide::drift::Progress;
use crate::decide::plan::Plan;
use crate::inventory::NodeName;

/// How far a run has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Who had the lock last, `user@host`.
    pub operator: Option<String>,
    /// The token that was taken and not given back.
    pub token: Option<u64>,
    /// When the run was begun, and when its last record was written.
    pub times: Option<(Timestamp, Timestamp)>,
    /// Steps that ended well, of all that the plan has.
    pub steps: (usize, usize),
    /// The first stage with a step that has not.
    pub stage: Option<String>,
    /// Steps that were begun and are not known to have ended, with their last try.
    pub in_hand: Vec<(String, Attempt)>,
    /// What went wrong last and was not put right since: when, in which step, why.
    pub wrong: Option<(Timestamp, String, String)>,
    /// Snapshots of etcd, the oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Machines that were not reached when the lock was taken over, nor since.
    pub unfenced: Vec<NodeName>,
    /// Whether the plan is carried out.
    pub completed: bool,
    /// How far it is given up, if it is.
    pub given_up: Option<GivenUp>,
}

/// Where a snapshot is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// When it stood.
    pub at: Timestamp,
    /// Its file on the machine of the operator who took it.
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its revision.
    pub revision: u64,
    /// The member's machine that it was taken from.
    pub from: NodeName,
    /// The control plane that holds a copy.
    pub copy: Option<NodeName>,
    /// Its proof, where it has one.
    pub proven: Option<Proven>,
}

impl Snapshot {
    /// Where its copy is on that control plane. Snapshots are named by Windlass itself, below a folder of this name.
    pub fn copy_path(&self) -> String {
        let name = self.file.rsplit('/').next().unwrap_or(&self.file).to_lowercase();
        format!("/var/lib/windlass/snapshots/{name}")
    }
}

impl Status {
    /// How far the run of `plan` has come by these records.
    pub fn of(plan: &Plan, records: &[Record]) -> Self {
        let history = History::of(records);
        let done = |step: &str| history.progress(step) == Progress::Finished;
        let ids: Vec<(&str, String)> = plan.placed().map(|placed| (placed.stage.name.as_str(), placed.id())).collect();
        let finished = ids.iter().filter(|(_, id)| done(id)).count();
        let open = ids.iter().find(|(_, id)| !done(id)).map(|(stage, _)| (*stage).to_owned());
        let in_hand = |(step, standing): (&String, &Standing)| match standing {
            Standing::InDoubt(attempt) => Some((step.clone(), attempt.clone())),
            Standing::Failed(_) | Standing::Finished => None,
        };
        let mut status = Self {
            operator: None,
            token: history.token,
            times: history.opened.zip(history.last),
            steps: (finished, ids.len()),
            stage: if history.completed { None } else { open },
            in_hand: history.steps.iter().filter_map(in_hand).collect(),
            wrong: None,
            snapshots: Vec::new(),
            unfenced: history.unfenced.clone(),
            completed: history.completed,
            given_up: history.given_up,
        };
        let mut wrong = BTreeMap::new();
        for record in records {
            status.add(record, &mut wrong);
        }
        status.wrong = wrong.into_iter().map(|(step, (at, why))| (at, step, why)).max_by_key(|(at, ..)| *at);
        status
    }

    fn add(&mut self, record: &Record, wrong: &mut BTreeMap<String, (Timestamp, String)>) {
        match &record.event {
            Event::Locked { holder, .. } => self.operator = Some(holder.clone()),
            Event::Failed { step, why, .. } => {
                wrong.insert(step.clone(), (record.at, why.clone()));
            }
            Event::Finished { step, .. } => {
                wrong.remove(step);
            }
            Event::Snapshot { file, bytes, revision, from, copy, proven, .. } => self.snapshots.push(Snapshot {
                at: record.at,
                file: file.clone(),
                bytes: *bytes,
                revision: *revision,
                from: from.clone(),
                copy: copy.clone(),
                proven: proven.clone(),
            }),
            Event::Completed => wrong.clear(),
            Event::Opened { .. }
            | Event::Archived { .. }
            | Event::Undoing { .. }
            | Event::Undone { .. }
            | Event::Aborting
            | Event::Aborted
            | Event::Freed { .. }
            | Event::TookOver { .. }
            | Event::Fenced { .. }
            | Event::Started { .. }
            | Event::Released { .. } => {}
        }
    }
}
