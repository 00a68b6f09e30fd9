//! Units on nodes: started at most once under the lock's token, attached to by name, waited for, never killed.

use std::time::Duration;

use futures_util::future::join_all;

use super::Engine;
use super::event::Event;
use super::lane::LOST_AFTER;
use crate::decide::action::{Action, On};
use crate::decide::call::{Call, Script};
use crate::decide::plan::Placed;
use crate::error::{Exit, Failure, chain};
use crate::facts::unit::{UnitReport, UnitState, report};
use crate::inventory::NodeName;
use crate::journal;
use crate::remote::{Output, RemoteError};

/// A unit of this run on some machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// The machine.
    pub on: NodeName,
    /// Its name within the run.
    pub name: String,
}

/// How a unit ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its exit status; nothing when its machine was rebooted in the middle of it.
    pub status: Option<i32>,
    /// The last lines of its log.
    pub log: Vec<String>,
}

/// What a unit without an exit status means.
pub(super) const FORGOTTEN: &str = "the machine has forgotten its unit: it was rebooted in the middle of it";

/// How long one question for a unit's end stays open, in seconds: long enough to cost nothing, short enough to show a log
/// that lives.
const WAIT_SECONDS: u64 = 2;
/// Lines of a failed unit's log that are shown: kubeadm's and apt's last words fit.
const LAST_LINES: usize = 20;
/// How often a start whose answer was lost, and which did not happen, is tried again. A unit of one name is started at most
/// once, so that trying again is no harm.
const START_TRIES: u32 = 3;
/// Between two questions to a machine that does not answer.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Whatever checks the token answers so when it has a higher one, which it prints.
pub(super) use crate::remote::scripts::LOWER_TOKEN;

/// Answers of `unit-start`, as its text documents them.
pub(super) mod started {
    pub(in crate::engine) use super::LOWER_TOKEN;

    pub(crate) const YES: i32 = 0;
    pub(crate) const BEFORE: i32 = 4;
    pub(crate) const LOADED: i32 = 7;
}

impl Engine<'_> {
    /// Journals and starts a unit.
    pub(super) async fn start(&self, placed: Placed<'_>, attempt: u32, on: On, job: &Call) -> Result<Unit, Failure> {
        let step = placed.id();
        let on = match (on, placed.node) {
            (On::Lane, Some(node)) => node.clone(),
            (On::Machine(node), _) => node,
            _ => self.healthy_control_plane(placed.node).await.map_err(|why| {
                Failure::new(Exit::StepFailed, format!("step {step} finds no healthy control plane to act through"))
                    .because(why)
                    .hint(format!("it has not acted; to go on, run `{}`", self.again))
            })?,
        };
        self.start_on(placed, attempt, on, job).await
    }

    /// The same, on a machine that was chosen.
    pub(super) async fn start_on(
        &self,
        placed: Placed<'_>,
        attempt: u32,
        on: NodeName,
        job: &Call,
    ) -> Result<Unit, Failure> {
        let step = placed.id();
        let unit = Unit { on, name: unit_name(&step, attempt) };
        let (node, name) = (Some(unit.on.clone()), Some(unit.name.clone()));
        self.write(journal::Event::Started { step: step.clone(), attempt, on: node, unit: name })?;
        self.announced(placed).await?;
        match self.ask_to_start(placed, &unit, job).await? {
            // A unit that is loaded although systemd-run failed is looked at like any other.
            Ok(Output { status: started::YES | started::BEFORE | started::LOADED, .. }) => {}
            Ok(Output { status: started::LOWER_TOKEN, stdout, .. }) => {
                return Err(self.fenced(placed, &unit, &stdout).await);
            }
            Ok(output) => {
                let log = output.stderr.lines().map(str::to_owned).collect();
                let what = format!("step {step} could not be started on {}", unit.on);
                return Err(self.failed(placed, &what, &format!("status {}", output.status), log)?);
            }
            Err(error) => {
                let what = format!("step {step} could not be started on {}", unit.on);
                return Err(self.failed(placed, &what, &chain(&error).join(": "), Vec::new())?);
            }
        }
        self.tell_unit(&step, &unit, false);
        Ok(unit)
    }

    /// Asks the machine to start the unit. When the answer was lost it may have been started: the unit itself tells, and
    /// if it was not, it is asked for again by the same name.
    pub(super) async fn ask_to_start(
        &self,
        placed: Placed<'_>,
        unit: &Unit,
        job: &Call,
    ) -> Result<Result<Output, RemoteError>, Failure> {
        let mut tries = 1;
        loop {
            let answer = {
                let _busy = self.meter.remote(self.clock);
                self.remote.call(&unit.on, &self.start_call(unit, job)).await
            };
            let Err(error) = answer else { return Ok(answer) };
            if matches!(error, RemoteError::NotStarted { .. }) {
                return Ok(Err(error));
            }
            match self.unit_state(placed, unit).await? {
                UnitState::Never if tries < START_TRIES => tries += 1,
                UnitState::Never => return Ok(Err(error)),
                UnitState::Running | UnitState::Exited(_) | UnitState::Gone => {
                    return Ok(Ok(Output { status: started::BEFORE, stdout: String::new(), stderr: String::new() }));
                }
            }
        }
    }

    /// Whether a unit in doubt may still be at work: it runs, or its machine does not say.
    pub(super) async fn under_way(&self) -> bool {
        let units = self.history().units_in_doubt();
        let asked = units.into_iter().map(|(on, name)| async move {
            let call = Call { script: Script::UnitStatus, args: vec![self.plan.id.to_string(), name] };
            match self.remote.call(&on, &call).await {
                Ok(output) => report(&output.stdout).map_or(true, |report| report.state == UnitState::Running),
                Err(_) => true,
            }
        });
        join_all(asked).await.contains(&true)
    }

    pub(super) fn tell_unit(&self, step: &str, unit: &Unit, attached: bool) {
        let name = format!("windlass-{}-{}", self.plan.id, unit.name);
        self.tell(&Event::Unit { step: step.to_owned(), on: unit.on.clone(), unit: name, attached });
    }

    fn start_call(&self, unit: &Unit, job: &Call) -> Call {
        let name = crate::remote::scripts::name(job.script).to_owned();
        let mut args = vec![self.token(), self.plan.id.to_string(), unit.name.clone(), name];
        args.extend(job.args.iter().cloned());
        Call { script: Script::UnitStart, args }
    }

    /// A machine refused a unit under our token.
    pub(super) async fn fenced(&self, placed: Placed<'_>, unit: &Unit, stored: &str) -> Failure {
        let event = journal::Event::Failed { step: placed.id(), why: "fenced".to_owned(), in_doubt: false };
        if let Err(failure) = self.write(event) {
            return failure;
        }
        self.replaced(format!("{} refused step {}", unit.on, placed.id()), &unit.on, stored).await
    }

    /// The control planes have the record of what is about to be started. Where they have not, it is not started.
    pub(super) async fn announced(&self, placed: Placed<'_>) -> Result<(), Failure> {
        let Err(failure) = self.copied().await else { return Ok(()) };
        self.write(journal::Event::Failed { step: placed.id(), why: failure.what.clone(), in_doubt: false })?;
        Err(failure)
    }

    /// What a unit is doing, asked until the machine answers or is lost.
    pub(super) async fn unit_state(&self, placed: Placed<'_>, unit: &Unit) -> Result<UnitState, Failure> {
        let call = Call { script: Script::UnitStatus, args: vec![self.plan.id.to_string(), unit.name.clone()] };
        Ok(self.ask_unit(placed, unit, &call).await?.state)
    }

    async fn ask_unit(&self, placed: Placed<'_>, unit: &Unit, call: &Call) -> Result<UnitReport, Failure> {
        let asked = self.clock.elapsed();
        loop {
            let why = match self.remote.call(&unit.on, call).await {
                Ok(output) => match report(&output.stdout) {
                    Ok(report) if output.status == 0 => return Ok(report),
                    Ok(_) => format!("status {}: {}", output.status, output.stderr.trim()),
                    Err(error) => format!("{error}: {}", output.stderr.trim()),
                },
                Err(error) => chain(&error).join(": "),
            };
            if self.clock.elapsed().saturating_sub(asked) >= LOST_AFTER {
                return Err(self.lost_unit(placed, unit, &why));
            }
            self.tell(&Event::Waiting { step: placed.id(), why });
            self.clock.sleep(ASK_AGAIN_AFTER).await;
        }
    }

    fn lost_unit(&self, placed: Placed<'_>, unit: &Unit, why: &str) -> Failure {
        let event = journal::Event::Failed { step: placed.id(), why: why.to_owned(), in_doubt: true };
        if let Err(failure) = self.write(event) {
            return failure;
        }
        Failure::new(Exit::StepFailed, format!("lost {} in step {}", unit.on, placed.id())).because(why).hint(format!(
            "what was started there goes on by itself; when {} answers again, run `{}`",
            unit.on, self.again
        ))
    }

    /// Waits for a step's unit to end, which has to be well, and shows its log.
    pub(super) async fn wait_for(&self, placed: Placed<'_>, unit: Unit) -> Result<(), Failure> {
        let Ended { status, log } = self.wait_for_end(placed, &unit).await?;
        let (what, why) = match status {
            Some(0) => return Ok(()),
            Some(status) => (
                format!("step {} failed on {}", placed.id(), unit.on),
                format!("{} ended with status {status}", placed.step.action.describe()),
            ),
            None => (format!("step {} was cut off on {}", placed.id(), unit.on), FORGOTTEN.to_owned()),
        };
        Err(self.failed(placed, &what, &why, log)?)
    }

    /// Waits for a unit to end, however that is, and shows its log.
    pub(super) async fn wait_for_end(&self, placed: Placed<'_>, unit: &Unit) -> Result<Ended, Failure> {
        self.hear_out(placed, unit, &|line| self.tell(&Event::Line { step: placed.id(), line })).await
    }

    /// Waits for a unit to end, however that is, with somebody who listens to its log.
    pub(super) async fn hear_out(
        &self,
        placed: Placed<'_>,
        unit: &Unit,
        told: &(dyn Fn(String) + Sync),
    ) -> Result<Ended, Failure> {
        let _busy = self.meter.waiting(self.clock);
        let began = self.clock.elapsed();
        let limit = Duration::from_secs(placed.step.timeout_seconds);
        let mut log = Log::default();
        loop {
            let args =
                vec![self.plan.id.to_string(), unit.name.clone(), WAIT_SECONDS.to_string(), log.offset.to_string()];
            let report = self.ask_unit(placed, unit, &Call { script: Script::UnitWait, args }).await?;
            log.take(&report).into_iter().for_each(told);
            let more = report.size > log.offset;
            match report.state {
                UnitState::Running => {}
                _ if more => continue,
                UnitState::Exited(status) => return Ok(Ended { status: Some(status), log: log.last() }),
                UnitState::Never | UnitState::Gone => return Ok(Ended { status: None, log: log.last() }),
            }
            if self.clock.elapsed().saturating_sub(began) > limit + grace(placed) {
                return Err(self.too_long(placed, unit, limit, log.last()));
            }
        }
    }

    fn too_long(&self, placed: Placed<'_>, unit: &Unit, limit: Duration, log: Vec<String>) -> Failure {
        let why = format!("still running after {}", crate::text::seconds(limit.as_secs()));
        let event = journal::Event::Failed { step: placed.id(), why: why.clone(), in_doubt: true };
        if let Err(failure) = self.write(event) {
            return failure;
        }
        let what = format!("step {} takes too long on {}", placed.id(), unit.on);
        let mut failure = Failure::new(Exit::StepFailed, what).because(why);
        failure.log = log;
        failure.hint(format!(
            "unit windlass-{}-{} on {} was left running; to wait on, run `{}`",
            self.plan.id, unit.name, unit.on, self.again
        ))
    }
}

/// What it means that a machine has stored a higher token.
pub(super) fn outdated(node: &NodeName, stored: &str, ours: &str) -> String {
    format!("{node} has seen token {}, ours is {ours}: another operator took the lock", stored.trim())
}

/// A drain bounds itself, by the longest grace period on the node if that is longer: it is not given up on before.
fn grace(placed: Placed<'_>) -> Duration {
    match placed.step.action {
        Action::Drain(_) => Duration::from_secs(24 * 3600),
        _ => Duration::ZERO,
    }
}

/// A unit's name within its run: the step's id in letters that systemd and a path take as they are, and the attempt.
pub(super) fn unit_name(step: &str, attempt: u32) -> String {
    format!("{}.{attempt}", step.replace('/', "."))
}

/// A log that arrives in pieces.
#[derive(Default)]
struct Log {
    offset: u64,
    half: String,
    last: Vec<String>,
}

impl Log {
    /// The whole lines of the next piece.
    fn take(&mut self, report: &UnitReport) -> Vec<String> {
        self.offset = report.next;
        self.half.push_str(&report.log);
        let mut lines = Vec::new();
        while let Some(end) = self.half.find('\n') {
            let line: String = self.half.drain(..=end).collect();
            lines.push(line.trim_end().to_owned());
        }
        self.last.extend(lines.iter().cloned());
        let surplus = self.last.len().saturating_sub(LAST_LINES);
        self.last.drain(..surplus);
        lines
    }

    /// Its last lines.
    fn last(self) -> Vec<String> {
        let mut last = self.last;
        if !self.half.is_empty() {
            last.push(self.half);
        }
        last
    }
}
