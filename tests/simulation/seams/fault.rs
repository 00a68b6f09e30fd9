//! Faults: what is made to happen, and when.

use std::time::Duration;

use windlass::decide::call::{Call, Script};

use crate::world::units::subject;

/// What is made to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// The job ends with this status and without effect.
    Fail(i32),
    /// The job ends with this status after all its work.
    FailAfter(i32),
    /// The same, and somebody has put a package at a version of theirs meanwhile.
    FailUnder(&'static str, &'static str),
    /// The job ends with status 1, without effect, and with these last words.
    FailSaying(&'static str),
    /// It begins only after this time.
    Idle(Duration),
    /// It makes no progress until that is put right.
    Stick,
    /// The machine is cut off from the operator a second later.
    CutOff,
    /// The same, and reached again after this time.
    CutOffFor(Duration),
    /// The machine that the job is about is cut off, while it runs on another.
    CutOffSubject,
    /// The machine loses its power a second later.
    Reboot,
    /// Nothing reaches the machine.
    Refuse,
    /// The connection is lost before there was an effect.
    LoseRequest,
    /// The connection is lost after it.
    LoseAnswer,
    /// No answer comes until the seam gives up.
    Hang,
    /// systemd-run fails, and the unit is there all the same.
    OddStart,
    /// The operator asks to stop, this often.
    Interrupt(u8),
    /// Another operator has raised the token on the machine.
    Fence,
    /// Somebody uncordons the node that the job is about, when it ends.
    UncordonAfter,
    /// The machine's disk is full from now on.
    FillDisk,
    /// The operator's clock is set by so many seconds.
    Jump(i64),
    /// Windlass is killed right after the effect.
    Kill,
    /// The job begins after this time, and Windlass is killed right after its start.
    IdleAndKill(Duration),
    /// The operator's machine stops Windlass, which goes on when it is woken.
    Stop,
}

/// When it is made to happen, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// A job is started for its subject: its node, or the node that it is about.
    Job(&'static str, String),
    /// The unit of this step is started.
    Unit(String),
    /// The first question while this step is at hand; of its node, where it has one.
    Step(String),
    /// The so-many-th call from now.
    Call(u64),
}

/// A fault that is set.
#[derive(Clone, Debug)]
pub(crate) struct Trap {
    pub(crate) when: When,
    pub(crate) then: Then,
}

impl When {
    /// Whether this call is the one. `step` is the step at hand, `calls` how many calls there were.
    pub(crate) fn is(&self, node: &str, call: Option<&Call>, step: Option<&str>, calls: u64) -> bool {
        let started = call.filter(|call| call.script == Script::UnitStart);
        match self {
            Self::Job(job, about) => match call {
                Some(call) if call.script == Script::PutFile => *job == "put-file" && about == node,
                Some(call) if call.script == Script::CopyAppend => *job == "copy-append" && about == node,
                _ => started.is_some_and(|call| call.args[3] == *job && subject(node, job, &call.args[4..]) == *about),
            },
            Self::Unit(step) => started.is_some_and(|call| {
                let name = call.args[2].rsplit_once('.').map_or("", |(name, _)| name);
                name == step.replace('/', ".")
            }),
            Self::Step(wanted) => step == Some(wanted),
            Self::Call(number) => calls == *number,
        }
    }
}
