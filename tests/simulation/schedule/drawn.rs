//! A schedule as a seed draws it.

use std::fmt;
use std::time::Duration;

use super::chance::Chance;
use crate::bench::{ETCD, KUBERNETES, MINOR, PATCH, Raise};
use crate::seams::fault::Then;
use crate::world::At;

/// Kinds of faults that are drawn.
pub(super) const KINDS: usize = 16;
/// Processes that may be cut short before the last one.
const RESTARTS: u64 = 3;
/// Machines of the lab.
const MACHINES: u64 = 8;
/// Machines of it when its members are on the control planes.
const STACKED: usize = 5;

/// A fault and the call at which it strikes, counted over all processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) call: u64,
    /// The machine, when it is another than the one that is called.
    pub(super) elsewhere: Option<At>,
    pub(super) then: Then,
}

/// A process that is cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// At how many burns of its fuse it is killed, if it comes so far.
    pub(super) burns: Option<u32>,
    /// How long it takes until the next one is started, in seconds.
    pub(super) pause: u64,
}

/// Faults, and where processes are killed at a write of their journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    pub(super) raise: Raise,
    /// Whether etcd's members are static pods on the control planes.
    pub(super) stacked: bool,
    pub(super) faults: Vec<Fault>,
    /// The processes before the last.
    pub(super) cuts: Vec<Cut>,
}

impl Schedule {
    /// Everything that is one part shorter.
    pub(super) fn shorter(&self) -> Vec<Self> {
        let faults = (0..self.faults.len()).map(|at| {
            let mut shorter = self.clone();
            shorter.faults.remove(at);
            shorter
        });
        let cuts = (0..self.cuts.len()).map(|at| {
            let mut shorter = self.clone();
            shorter.cuts.remove(at);
            shorter
        });
        cuts.chain(faults).collect()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  raise {:?}{}", self.raise, if self.stacked { ", stacked" } else { "" })?;
        for (number, cut) in (1..).zip(&self.cuts) {
            match cut.burns {
                Some(burns) => write!(f, "  process {number} is killed at write or start {burns}")?,
                None => write!(f, "  process {number} goes as far as it gets")?,
            }
            writeln!(f, "; the next one follows {} s later", cut.pause)?;
        }
        for fault in &self.faults {
            let place = fault.elsewhere.map_or_else(String::new, |at| format!(" on machine {at}"));
            writeln!(f, "  at call {}: {:?}{place}", fault.call, fault.then)?;
        }
        Ok(())
    }
}

/// The schedule of a seed.
pub(super) fn draw(seed: u64) -> Schedule {
    let mut chance = Chance::new(seed);
    let raise = chance.pick(&[MINOR, MINOR, KUBERNETES, PATCH, ETCD]);
    // Calls of a run without faults, and writes of its journal with starts of units, rounded up.
    let (calls, burns) = match raise {
        MINOR => (900, 320),
        KUBERNETES => (800, 260),
        PATCH => (500, 190),
        _ => (200, 60),
    };
    let cuts = (0..chance.below(RESTARTS + 1))
        .map(|_| {
            let burns = (chance.below(3) > 0).then(|| u32::try_from(chance.between(2, burns)).expect("a number"));
            Cut { burns, pause: chance.pick(&[1, 20, 60, 600, 5400]) }
        })
        .collect();
    let mut faults: Vec<Fault> = (0..chance.between(1, 7))
        .map(|_| {
            let call = chance.between(1, calls);
            let then = fault(&mut chance);
            let elsewhere = strikes_elsewhere(&then) && chance.below(2) == 0;
            let elsewhere = elsewhere.then(|| At::try_from(chance.below(MACHINES)).expect("a position"));
            Fault { call, elsewhere, then }
        })
        .collect();
    faults.sort_by_key(|fault| fault.call);
    // Drawn last: the seeds of before stay what they were.
    let stacked = raise.1.is_none() && chance.below(2) == 0;
    if stacked {
        for at in faults.iter_mut().filter_map(|fault| fault.elsewhere.as_mut()) {
            *at %= STACKED;
        }
    }
    Schedule { raise, stacked, faults, cuts }
}

/// Whether the fault may strike a machine that is not asked anything.
fn strikes_elsewhere(then: &Then) -> bool {
    matches!(then, Then::CutOffFor(_) | Then::Reboot | Then::FillDiskFor(_) | Then::NodeClock(_))
}

fn fault(chance: &mut Chance) -> Then {
    let for_a_while = |chance: &mut Chance| Duration::from_secs(chance.between(2, 90));
    match chance.below(KINDS as u64) {
        0 => Then::Refuse,
        1 => Then::LoseRequest,
        2 => Then::LoseAnswer,
        3 => Then::Hang,
        4 => Then::CutOffFor(for_a_while(chance)),
        5 => Then::Reboot,
        6 => Then::FillDiskFor(for_a_while(chance)),
        7 => Then::Jump(chance.pick(&[-86_400, -7200, -60, 60, 7200, 86_400])),
        8 => Then::NodeClock(chance.pick(&[-86_400_000, -3_600_000, 3_600_000])),
        9 => Then::Kill,
        10 => Then::Interrupt(1),
        11 => Then::Interrupt(2),
        12 => Then::Idle(Duration::from_secs(chance.between(10, 900))),
        13 => Then::Fail(1),
        14 => Then::ApiAwayFor(for_a_while(chance)),
        _ => Then::MemberAwayFor(for_a_while(chance)),
    }
}
