//! The laws as invariants of the truth. This room shares nothing with the planner, the checker or the engine: it reads what
//! really happened and what really is, and whether what was started was on a journal's disk.

mod acts;
mod restoring;
mod states;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::seams::disk::Disk;
use crate::world::{Happened, World};

/// What must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Invariant {
    /// A law of DESIGN.md, 1 to 8.
    Law(u8),
    /// A write that etcd acknowledged is never lost.
    WritesKept,
    /// The API is reachable through the load balancer whenever a healthy control plane is up.
    ApiReachable,
    /// No node is uncordoned that we did not cordon.
    CordonsKept,
    /// No act runs twice that may run once.
    OnlyOnce,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Law(number) => write!(f, "law {number}"),
            Self::WritesKept => f.write_str("writes kept"),
            Self::ApiReachable => f.write_str("API reachable"),
            Self::CordonsKept => f.write_str("cordons kept"),
            Self::OnlyOnce => f.write_str("only once"),
        }
    }
}

/// An invariant that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) invariant: Invariant,
    pub(crate) at: Duration,
    pub(crate) what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>8.1} s  {}: {}", self.at.as_secs_f64(), self.invariant, self.what)
    }
}

/// Watches a world.
#[derive(Default)]
pub(crate) struct Watch {
    pub(crate) broken: Vec<Broken>,
    /// The disks that journals are on.
    pub(crate) journals: Vec<Arc<Mutex<Disk>>>,
    /// When a fault last struck.
    fault: Option<Duration>,
    /// When the last good snapshot was taken.
    snapshot: Option<Duration>,
    /// When the process that acts was started, and whether another had acted before it.
    process: Option<(Duration, bool)>,
    /// API servers' minors as they were last seen, by machine.
    servers: BTreeMap<usize, u64>,
    /// When API servers were last away for a restore.
    away: Option<Duration>,
    /// Since when the API has not been reachable.
    unreachable: Option<Duration>,
    /// Since when a control plane has been healthy all the same.
    unnoticed: Option<Duration>,
}

impl Watch {
    /// A process of Windlass's starts.
    pub(crate) fn process_starts(&mut self, world: &World) {
        self.process = Some((world.now, !world.begun.is_empty()));
    }

    /// Looks at what happened since the last look, and at what is now.
    pub(crate) fn look(&mut self, world: &mut World) {
        for what in std::mem::take(&mut world.happened) {
            match what {
                Happened::Fault => self.fault = Some(world.now),
                Happened::Snapshot { good: true } => self.snapshot = Some(world.now),
                Happened::Snapshot { good: false } => {}
                what => self.judge(world, &what),
            }
        }
        self.states(world);
    }

    fn broke(&mut self, world: &World, invariant: Invariant, what: impl Into<String>) {
        let broken = Broken { invariant, at: world.now, what: what.into() };
        // What lasts is told once.
        if !self.broken.iter().any(|known| (known.invariant, &known.what) == (broken.invariant, &broken.what)) {
            self.broken.push(broken);
        }
    }

    /// A fault struck at or after this moment: what it did in the middle of an act is not ours.
    fn fault_since(&self, moment: Duration) -> bool {
        self.fault.is_some_and(|fault| fault >= moment)
    }
}
