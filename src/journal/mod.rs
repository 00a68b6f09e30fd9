//! The journal of a run: one JSON record a line, sealed to the one before it, on disk before the act that it announces.
//! Records and their replay are pure; [`store`] is the disk.

pub mod copies;
mod reading;
mod seal;
pub mod status;
pub mod store;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decide::drift::Progress;
use crate::decide::plan::RunId;
use crate::inventory::NodeName;

pub use reading::{JournalError, read};

/// The format number of journals that this Windlass writes and reads.
pub const FORMAT: u32 = 2;

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// When, by the operator's clock.
    pub at: Timestamp,
    /// What.
    pub event: Event,
    /// Joins it to the record before it; see [`Record::line`]. The last field, also on its line.
    pub seal: String,
}

/// What happened, or is about to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// First line: whose journal this is.
    Opened {
        /// [`FORMAT`].
        format: u32,
        /// The plan.
        run: RunId,
        /// The Windlass that writes.
        windlass: String,
    },
    /// The lock was taken.
    Locked {
        /// With this token.
        token: u64,
        /// By whom.
        holder: String,
    },
    /// It was taken over: somebody else held it.
    TookOver {
        /// The new token.
        token: u64,
        /// Who held it, with the run and since when, in words.
        from: String,
        /// Machines that could not be reached and do not refuse the former token yet.
        unfenced: Vec<NodeName>,
    },
    /// A machine that could not be reached when the lock was taken over refuses the former token from now on.
    Fenced {
        /// The machine.
        on: NodeName,
    },
    /// A step is about to act.
    Started {
        /// Its id.
        step: String,
        /// Which try, from 1.
        attempt: u32,
        /// The machine its unit runs on; `None` when it acts from the operator's machine.
        on: Option<NodeName>,
        /// The unit's name within the run.
        unit: Option<String>,
    },
    /// A step has ended well.
    Finished {
        /// Its id.
        step: String,
        /// How.
        how: How,
        /// How long it took, in milliseconds; with interruptions, since the last resume.
        millis: u64,
    },
    /// A step has ended badly.
    Failed {
        /// Its id.
        step: String,
        /// Why.
        why: String,
        /// Whether it may still have an effect: its unit runs on, or nobody knows.
        in_doubt: bool,
    },
    /// A snapshot stands.
    Snapshot {
        /// Its file on the operator's machine.
        file: String,
        /// Its size in bytes.
        bytes: u64,
        /// Its SHA-256, hex.
        sha256: String,
        /// Its revision.
        revision: u64,
        /// Live keys below `/registry`.
        registry_keys: u64,
        /// The member's machine it was taken from.
        from: NodeName,
        /// The control plane that holds a copy.
        copy: Option<NodeName>,
        /// Its proof, where it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proven: Option<Proven>,
    },
    /// A node's configuration is archived on it.
    Archived {
        /// The node.
        node: NodeName,
        /// Its file there.
        file: String,
        /// Its size in bytes.
        bytes: u64,
        /// Its SHA-256, hex.
        sha256: String,
    },
    /// A try of a step is about to be taken back.
    Undoing {
        /// The step's id.
        step: String,
        /// Which try.
        attempt: u32,
        /// The machine.
        on: NodeName,
        /// The unit's name within the run.
        unit: String,
    },
    /// What came of taking a try back. The step counts as failed; the same command tries it again.
    Undone {
        /// The step's id.
        step: String,
        /// Which try.
        attempt: u32,
        /// What came of it.
        how: Back,
    },
    /// The run is about to be given up: it is not gone on with any more.
    Aborting,
    /// The run was given up, and left in a supported state.
    Aborted,
    /// What was kept on a node for going back was taken away.
    Freed {
        /// The node.
        node: NodeName,
        /// Bytes that it took.
        bytes: u64,
    },
    /// The lock was given back.
    Released {
        /// Its token.
        token: u64,
    },
    /// The run is through.
    Completed,
}

/// A throw-away etcd came to life on a snapshot, and had what it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proven {
    /// The machine that it ran on.
    pub on: NodeName,
    /// How long it took, in milliseconds, with sending it there.
    pub millis: u64,
    /// Members whose HashKV at the snapshot's revision is that of the throw-away etcd.
    pub members: usize,
}

/// How a step ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It acted.
    Acted,
    /// It was so already; nothing was done.
    FoundDone,
    /// It only waited.
    Waited,
    /// Its unit, started earlier, was found and waited for.
    Attached,
}

/// What came of taking a try back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Back {
    /// Everything is as it was before the try.
    Restored,
    /// The try had changed nothing.
    Unchanged,
    /// It could not be taken back, because…
    Not(String),
}

/// Where a step stands by its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Started, not known to have ended.
    InDoubt(Attempt),
    /// Ended badly and for sure.
    Failed(Attempt),
    /// Ended well.
    Finished,
}

/// One try of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which try, from 1.
    pub number: u32,
    /// The machine its unit runs on.
    pub on: Option<NodeName>,
    /// The unit's name within the run.
    pub unit: Option<String>,
}

/// A try that is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// Which try.
    pub attempt: u32,
    /// The machine and the unit, while it is not known to have ended.
    pub under_way: Option<(NodeName, String)>,
}

/// How far a run was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// It was begun.
    Begun,
    /// It is through.
    Through,
}

/// What the records of a run add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The run, once a journal was opened.
    pub run: Option<RunId>,
    /// When the journal was opened; no two journals were at the same nanosecond.
    pub opened: Option<Timestamp>,
    /// Steps that were touched.
    pub steps: BTreeMap<String, Standing>,
    /// The last attempt of each step that acted.
    pub attempts: BTreeMap<String, u32>,
    /// Steps whose last record says that they ended badly and for sure.
    pub ended_badly: BTreeSet<String>,
    /// The tries that are, or were, taken back: the last one of each step.
    pub undos: BTreeMap<String, Undo>,
    /// Archives by node: size in bytes and SHA-256.
    pub archives: BTreeMap<NodeName, (u64, String)>,
    /// The last good snapshot: its file, its size in bytes, and the control plane that holds a copy.
    pub snapshot: Option<(String, u64, Option<NodeName>)>,
    /// Whether the run was, or is being, given up.
    pub given_up: Option<GivenUp>,
    /// When the last record was written.
    pub last: Option<Timestamp>,
    /// Whether the run is through.
    pub completed: bool,
    /// When the last good snapshot was taken.
    pub last_snapshot: Option<Timestamp>,
    /// The last token that was taken and not given back.
    pub token: Option<u64>,
    /// Machines that could not be reached when the lock was taken over, nor since.
    pub unfenced: Vec<NodeName>,
    /// The last record's seal, which the next one's comes behind.
    pub seal: String,
}

impl Record {
    /// A record behind the one with the seal `former` (nothing for the first), and its line in the file.
    pub fn line(at: Timestamp, event: Event, former: &str) -> Result<(Self, String), serde_json::Error> {
        let mut record = Self { at, event, seal: String::new() };
        let line = seal::sealed(former, &mut record)?;
        Ok((record, line))
    }
}

impl History {
    /// What these records add up to.
    pub fn of(records: &[Record]) -> Self {
        let mut history = Self::default();
        for record in records {
            history.add(record);
        }
        history
    }

    /// One more record.
    pub fn add(&mut self, record: &Record) {
        self.last = Some(record.at);
        self.seal.clone_from(&record.seal);
        match &record.event {
            Event::Opened { run, .. } => {
                self.run = Some(run.clone());
                self.opened = Some(record.at);
            }
            Event::Locked { token, .. } => self.token = Some(*token),
            Event::TookOver { unfenced, .. } => self.unfenced.clone_from(unfenced),
            Event::Fenced { on } => self.unfenced.retain(|node| node != on),
            Event::Released { .. } => self.token = None,
            Event::Started { step, attempt, on, unit } => {
                self.ended_badly.remove(step);
                self.attempts.insert(step.clone(), *attempt);
                let attempt = Attempt { number: *attempt, on: on.clone(), unit: unit.clone() };
                self.steps.insert(step.clone(), Standing::InDoubt(attempt));
            }
            Event::Finished { step, .. } => {
                self.ended_badly.remove(step);
                self.steps.insert(step.clone(), Standing::Finished);
            }
            Event::Failed { step, in_doubt: false, .. } => {
                self.ended_badly.insert(step.clone());
                if let Some(Standing::InDoubt(attempt)) = self.steps.get(step).cloned() {
                    self.steps.insert(step.clone(), Standing::Failed(attempt));
                }
            }
            Event::Failed { .. } | Event::Freed { .. } => {}
            Event::Snapshot { file, bytes, copy, .. } => {
                self.last_snapshot = Some(record.at);
                self.snapshot = Some((file.clone(), *bytes, copy.clone()));
            }
            Event::Archived { node, bytes, sha256, .. } => {
                self.archives.insert(node.clone(), (*bytes, sha256.clone()));
            }
            Event::Undoing { step, attempt, on, unit } => {
                let under_way = Some((on.clone(), unit.clone()));
                self.undos.insert(step.clone(), Undo { attempt: *attempt, under_way });
                self.taken_back(step, *attempt);
            }
            Event::Undone { step, attempt, .. } => {
                self.undos.insert(step.clone(), Undo { attempt: *attempt, under_way: None });
                self.taken_back(step, *attempt);
            }
            Event::Aborting => self.given_up = self.given_up.or(Some(GivenUp::Begun)),
            Event::Aborted => self.given_up = Some(GivenUp::Through),
            Event::Completed => self.completed = true,
        }
    }

    /// A step that is taken back is not finished any more, whatever comes of it.
    fn taken_back(&mut self, step: &str, attempt: u32) {
        let failed = Standing::Failed(Attempt { number: attempt, on: None, unit: None });
        self.steps.insert(step.to_owned(), failed);
    }

    /// How far a step has come.
    pub fn progress(&self, step: &str) -> Progress {
        match self.steps.get(step) {
            None => Progress::Untouched,
            Some(Standing::Finished) => Progress::Finished,
            Some(_) => Progress::InDoubt,
        }
    }

    /// Whether anything was begun.
    pub fn begun(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Whether how some step ended is not known.
    pub fn in_doubt(&self) -> bool {
        self.steps.values().any(|standing| matches!(standing, Standing::InDoubt(_)))
    }

    /// The units that are in doubt, by their machines and names within the run.
    pub fn units_in_doubt(&self) -> Vec<(NodeName, String)> {
        let unit = |standing: &Standing| match standing {
            Standing::InDoubt(Attempt { on: Some(on), unit: Some(unit), .. }) => Some((on.clone(), unit.clone())),
            _ => None,
        };
        let undos = self.undos.values().filter_map(|undo| undo.under_way.clone());
        self.steps.values().filter_map(unit).chain(undos).collect()
    }
}
