//! The journal of a run: one JSON record a line, sealed to the one before it, on disk before the act that it announces.
//! Records and their replay are pure; [`store`] is the disk.

mod reading;
mod seal;
pub mod store;

use std::collections::BTreeMap;

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
    },
    /// The lock was given back.
    Released {
        /// Its token.
        token: u64,
    },
    /// The run is through.
    Completed,
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
    /// When the last record was written.
    pub last: Option<Timestamp>,
    /// Whether the run is through.
    pub completed: bool,
    /// When the last good snapshot was taken.
    pub last_snapshot: Option<Timestamp>,
    /// The last token that was taken and not given back.
    pub token: Option<u64>,
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
            Event::Released { .. } => self.token = None,
            Event::Started { step, attempt, on, unit } => {
                self.attempts.insert(step.clone(), *attempt);
                let attempt = Attempt { number: *attempt, on: on.clone(), unit: unit.clone() };
                self.steps.insert(step.clone(), Standing::InDoubt(attempt));
            }
            Event::Finished { step, .. } => {
                self.steps.insert(step.clone(), Standing::Finished);
            }
            Event::Failed { step, in_doubt: false, .. } => {
                if let Some(Standing::InDoubt(attempt)) = self.steps.get(step).cloned() {
                    self.steps.insert(step.clone(), Standing::Failed(attempt));
                }
            }
            Event::Failed { .. } => {}
            Event::Snapshot { .. } => self.last_snapshot = Some(record.at),
            Event::Completed => self.completed = true,
        }
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
        self.steps.values().filter_map(unit).collect()
    }
}
