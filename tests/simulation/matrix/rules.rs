//! The ways in which a step is interrupted, and which of them mean nothing to which steps.

use std::time::Duration;

use crate::seams::fault::{Then, When};

/// What a step does, as a run without faults shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// It starts a unit on a node.
    Unit,
    /// It takes a snapshot, and puts a copy on a control plane.
    Snapshot,
    /// It puts a file on its node.
    Send,
    /// It takes snapshots to the operator's machine alone.
    Save,
    /// It only looks: it waits for something, or finds everything done.
    Look,
}

/// How a step is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    ErrorBefore,
    LostBefore,
    LostAfter,
    LostWhileRunning,
    RunningAtResume,
    Forgotten,
    Hang,
    KilledAfter,
    Reboot,
    FullDisk,
    FullDiskLater,
    ClockForward,
    ClockBack,
    NodeClock,
    SecondOperator,
}

impl Kind {
    pub(crate) const ALL: [Self; 15] = [
        Self::ErrorBefore,
        Self::LostBefore,
        Self::LostAfter,
        Self::LostWhileRunning,
        Self::RunningAtResume,
        Self::Forgotten,
        Self::Hang,
        Self::KilledAfter,
        Self::Reboot,
        Self::FullDisk,
        Self::FullDiskLater,
        Self::ClockForward,
        Self::ClockBack,
        Self::NodeClock,
        Self::SecondOperator,
    ];

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::ErrorBefore => "error before effect",
            Self::LostBefore => "connection lost before effect",
            Self::LostAfter => "connection lost after effect",
            Self::LostWhileRunning => "connection lost while it runs or waits",
            Self::RunningAtResume => "unit still running at resume",
            Self::Forgotten => "unit forgotten by a reboot",
            Self::Hang => "hang",
            Self::KilledAfter => "kill of windlass after the effect",
            Self::Reboot => "node reboot",
            Self::FullDisk => "full disk",
            Self::FullDiskLater => "full disk while the unit runs",
            Self::ClockForward => "operator's clock set two hours forward",
            Self::ClockBack => "operator's clock set two hours back",
            Self::NodeClock => "node's clock set an hour back",
            Self::SecondOperator => "a second operator takes over, the first one wakes up later",
        }
    }

    /// Why this kind means nothing to a step of this nature.
    pub(crate) fn left_out(self, nature: Nature) -> Option<&'static str> {
        if self == Self::FullDisk && nature == Nature::Save {
            return Some("the step writes on no node");
        }
        let only_units = matches!(self, Self::RunningAtResume | Self::Forgotten | Self::FullDiskLater);
        (only_units && nature != Nature::Unit).then_some("the step starts no unit")
    }

    /// The fault, and when it strikes.
    pub(crate) fn trap(self, step: &str, nature: Nature) -> (When, Then) {
        let when = match (nature, self) {
            (Nature::Unit, _) => When::Unit(step.to_owned()),
            // What a snapshot writes on a node is its copy.
            (Nature::Snapshot, Self::FullDisk) => When::Job("put-file", "cp1".to_owned()),
            // Several are sent at the same time: which step is at hand then says little.
            (Nature::Send, _) => When::Job("put-file", step.split('/').nth(1).expect("a node").to_owned()),
            _ => When::Step(step.to_owned()),
        };
        let drains = step.ends_with("/drain");
        let then = match self {
            Self::ErrorBefore => Then::Refuse,
            Self::LostBefore => Then::LoseRequest,
            Self::LostAfter => Then::LoseAnswer,
            Self::LostWhileRunning => Then::CutOffFor(Duration::from_secs(40)),
            Self::RunningAtResume | Self::Forgotten => Then::IdleAndKill(Duration::from_secs(30)),
            // A drain is waited for as long as pods may take: it goes on by itself after two hours.
            Self::Hang if nature == Nature::Unit && drains => Then::Idle(Duration::from_secs(7200)),
            Self::Hang if nature == Nature::Unit => Then::Stick,
            Self::Hang => Then::Hang,
            Self::KilledAfter => Then::Kill,
            Self::Reboot => Then::Reboot,
            Self::FullDisk => Then::FillDisk,
            Self::FullDiskLater => Then::FillDiskLater,
            Self::ClockForward => Then::Jump(7200),
            Self::ClockBack => Then::Jump(-7200),
            Self::NodeClock => Then::NodeClock(-3_600_000),
            Self::SecondOperator => Then::Stop,
        };
        (when, then)
    }
}
