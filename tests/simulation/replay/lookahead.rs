//! What became of a call that nobody was there to hear the answer to: what is seen later tells.

use windlass::decide::call::{Call, Script};
use windlass::facts::probe;
use windlass::facts::unit::{UnitState, report};
use windlass::remote::Output;
use windlass::remote::recorded::{Answer, Asked, Entry};

use super::Line;

/// Whether the call to `node` had its effect.
pub(super) fn had_effect(node: &str, call: &Call, later: &[Line]) -> bool {
    let answers = later.iter().filter_map(|line| match line {
        Line::Entry(entry) if entry.node.as_ref().is_some_and(|other| other.as_str() == node) => answered(entry),
        _ => None,
    });
    match call.script {
        Script::UnitStart => unit_was_started(call, answers),
        Script::LockTake | Script::TokenRaise | Script::LockRelease => own_folder_shows_it(call, answers),
        // A file that was put is not looked at; whether it was makes no difference to what is seen.
        _ => false,
    }
}

fn answered(entry: &Entry) -> Option<(&Call, &Output)> {
    match (&entry.asked, &entry.answer) {
        (Asked::Call(call), Some(Ok(Answer::Output(output)))) => Some((call, output)),
        _ => None,
    }
}

/// The first look at the unit, or the next start of it.
fn unit_was_started<'a>(call: &Call, mut answers: impl Iterator<Item = (&'a Call, &'a Output)>) -> bool {
    let unit = &call.args[1..3];
    answers
        .find_map(|(other, output)| match other.script {
            Script::UnitStatus | Script::UnitWait if other.args[..2] == *unit => {
                report(&output.stdout).ok().map(|report| report.state != UnitState::Never)
            }
            Script::UnitStart if other.args[1..3] == *unit => Some(output.status == 4),
            _ => None,
        })
        .unwrap_or(false)
}

/// The first look at token and lock.
fn own_folder_shows_it<'a>(call: &Call, mut answers: impl Iterator<Item = (&'a Call, &'a Output)>) -> bool {
    let token: u64 = call.args[0].parse().expect("a token");
    let seen = answers.find(|(other, _)| other.script == Script::Probe && other.args[0].contains("windlass"));
    seen.and_then(|(_, output)| probe::parse(&output.stdout).ok()).is_some_and(|facts| match call.script {
        Script::LockRelease => facts.lock.is_none(),
        _ => facts.token >= token,
    })
}
