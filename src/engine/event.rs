//! What the engine tells while it works. The `report` room makes lines of it.

use crate::inventory::NodeName;
use crate::journal::How;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The lock is ours.
    Locked {
        /// Its token.
        token: u64,
        /// On how many control planes, of how many.
        on: (usize, usize),
    },
    /// A stage begins.
    StageBegan {
        /// Its name.
        stage: String,
    },
    /// A stage was finished by an earlier try.
    StageWasDone {
        /// Its name.
        stage: String,
    },
    /// A step begins.
    StepBegan {
        /// Its id.
        step: String,
        /// What it does.
        describe: String,
    },
    /// A step was finished by an earlier try.
    StepWasDone {
        /// Its id.
        step: String,
    },
    /// A unit was started, or found running.
    Unit {
        /// The step's id.
        step: String,
        /// The machine.
        on: NodeName,
        /// Its name on the machine.
        unit: String,
        /// Started by an earlier try.
        attached: bool,
    },
    /// A line of a unit's log.
    Line {
        /// The step's id.
        step: String,
        /// The line.
        line: String,
    },
    /// A step waits.
    Waiting {
        /// The step's id.
        step: String,
        /// For what.
        why: String,
    },
    /// A step ended well.
    StepEnded {
        /// Its id.
        step: String,
        /// How.
        how: How,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// A snapshot stands.
    Snapshot {
        /// Its file.
        file: String,
        /// What was verified, in words.
        verified: String,
    },
    /// Something worth saying.
    Note(String),
}

/// Somebody who is told.
pub trait Reporter: Send + Sync {
    /// Takes an event.
    fn event(&self, event: &Event);
}
