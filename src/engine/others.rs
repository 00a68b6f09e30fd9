//! Other operators: taking the lock over from one, and being replaced by one.
//!
//! A take-over fences first: from then on no machine that answers starts anything for the former holder. Only then it
//! waits for what still runs, which it never kills.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Engine;
use super::copies::Copies;
use super::event::Event;
use super::lock::{Answer, holds};
use crate::decide::call::{Call, Script};
use crate::error::{Exit, Failure};
use crate::facts::lock::{LockFacts, RunningUnit};
use crate::facts::unit::{UnitState, report};
use crate::inventory::{NodeName, Role};
use crate::journal;

/// How often is asked whether what ran at the take-over still runs.
const UNITS_EVERY: Duration = Duration::from_secs(2);

/// What a run has to do with other operators.
#[derive(Debug)]
pub struct Others {
    /// Whether to take the lock from whoever holds it.
    pub take_over: bool,
    /// The command that shows the lock, for hints.
    pub show: String,
    /// Another operator has taken the lock from us.
    replaced: AtomicBool,
    /// We have taken it from another.
    took_over: AtomicBool,
    /// Machines that do not refuse the former holder's token yet.
    unfenced: Mutex<Vec<NodeName>>,
    /// How far the control planes' copies of the journal are.
    pub(super) copies: tokio::sync::Mutex<Copies>,
}

impl Others {
    /// What a run begins with.
    pub fn new(take_over: bool, show: String) -> Self {
        Self {
            take_over,
            show,
            replaced: AtomicBool::new(false),
            took_over: AtomicBool::new(false),
            unfenced: Mutex::default(),
            copies: tokio::sync::Mutex::default(),
        }
    }

    /// Whether another operator has taken the lock from us, as far as we were told.
    pub(super) fn replaced(&self) -> bool {
        self.replaced.load(Ordering::SeqCst)
    }

    /// Whether we have taken the lock from another.
    pub(super) fn took_over(&self) -> bool {
        self.took_over.load(Ordering::SeqCst)
    }
}

impl Engine<'_> {
    /// Takes the lock, or takes it over when that was asked for and somebody holds it; then waits for what must not run
    /// beside this run: units of other runs, and after a take-over any unit.
    pub(super) async fn hold(&self) -> Result<(), Failure> {
        let seen = self.own_state().await;
        let is_held = !seen.holders().is_empty() || !seen.unreadable().is_empty();
        let over = is_held && (self.others.take_over || self.was_taken_over(&seen));
        if over {
            self.take_over(&seen).await?;
        } else {
            self.take_lock(&seen).await?;
        }
        if over || seen.running().iter().any(|(_, unit)| !self.is_ours(unit)) {
            self.await_units(over).await?;
        }
        Ok(())
    }

    /// What is left of the lock is only where an earlier take-over of this run did not reach.
    fn was_taken_over(&self, seen: &LockFacts) -> bool {
        let unfenced = self.history().unfenced;
        let left = seen.holders().into_iter().flat_map(|(_, on)| on).all(|node| unfenced.contains(&node));
        left && seen.unreadable().is_empty()
    }

    fn is_ours(&self, unit: &RunningUnit) -> bool {
        unit.run == self.plan.id.0
    }

    /// Replaces the lock on a majority of the control planes, each only while it is as it was seen, and raises the token
    /// everywhere.
    async fn take_over(&self, seen: &LockFacts) -> Result<(), Failure> {
        let _busy = self.meter.remote(self.clock);
        if !seen.majority_answers() {
            let mut failure =
                Failure::new(Exit::Unreachable, "taking the lock over needs a majority of the control planes");
            failure.causes = seen.silent().into_iter().map(|(node, why)| format!("{node}: {why}")).collect();
            return Err(failure.hint(format!("nothing was changed; when they answer, run `{}`", self.again)));
        }
        let token = seen.highest_token().saturating_add(1);
        let planes: Vec<NodeName> = seen.control_planes().map(|machine| machine.node.clone()).collect();
        let (mut ours, mut unfenced) = (Vec::new(), Vec::new());
        for node in &planes {
            let Some(known) = seen.token_of(node) else {
                unfenced.push(node.clone());
                continue;
            };
            let mut answer = self.take_on(node, token, Some(known)).await;
            // Whoever takes it over at the same moment was here first, and was seen elsewhere: the higher token wins.
            if let Answer::Low(stored) = answer
                && stored < token
                && planes.iter().any(|other| seen.token_of(other) == Some(stored))
            {
                answer = self.take_on(node, token, Some(stored)).await;
            }
            match answer {
                Answer::Taken => ours.push(node),
                Answer::Silent(_) => unfenced.push(node.clone()),
                Answer::Held(_) | Answer::Low(_) => {
                    self.release_on(&ours, token).await;
                    return Err(self.outrun());
                }
            }
        }
        if ours.len() <= planes.len() / 2 {
            self.release_on(&ours, token).await;
            let mut failure = Failure::new(Exit::Unreachable, "lost the majority of the control planes");
            failure.causes = unfenced.iter().map(|node| format!("{node} did not answer")).collect();
            let state = "the former holder is refused where they answered, and nobody holds the lock there";
            return Err(failure.hint(format!("{state}; when the others answer, run `{}`", self.again)));
        }
        self.token.store(token, Ordering::SeqCst);
        self.others.took_over.store(true, Ordering::SeqCst);
        self.write(journal::Event::Locked { token, holder: self.operator.name.clone() })?;
        unfenced.extend(self.raise_elsewhere(token).await);
        let from: Vec<String> = seen.holders().iter().map(|(holder, _)| holds(holder)).collect();
        let from = if from.is_empty() { "a lock file that could not be read".to_owned() } else { from.join("; ") };
        self.write(journal::Event::TookOver { token, from: from.clone(), unfenced: unfenced.clone() })?;
        self.tell(&Event::Locked { token, on: (ours.len(), planes.len()) });
        self.tell(&Event::Note(format!("taken over: {from}; the machines that answered refuse what it starts")));
        for node in &unfenced {
            let later = "it does not answer, and is fenced as soon as it does";
            self.tell(&Event::Note(format!("{node} is not yet fenced: {later}")));
        }
        *self.unfenced() = unfenced;
        Ok(())
    }

    fn unfenced(&self) -> std::sync::MutexGuard<'_, Vec<NodeName>> {
        self.others.unfenced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fences machines that could not be reached at the take-over, where they answer by now.
    pub(super) async fn fence_rest(&self) -> Result<(), Failure> {
        let rest: Vec<NodeName> = self.unfenced().clone();
        if rest.is_empty() {
            return Ok(());
        }
        let seen = self.own_state().await;
        let mut news = false;
        for node in rest {
            let Some(known) = seen.token_of(&node) else { continue };
            let token = self.token.load(Ordering::SeqCst);
            // A control plane still has the former holder's lock file.
            let answer = if self.is_control_plane(&node) && known < token {
                self.take_on(&node, token, Some(known)).await
            } else {
                self.raise_on(&node).await
            };
            match answer {
                Answer::Taken => {}
                // It went away again, or somebody was there before us, which the next copy or start will tell.
                Answer::Silent(_) | Answer::Held(_) | Answer::Low(_) => continue,
            }
            self.unfenced().retain(|other| other != &node);
            self.write(journal::Event::Fenced { on: node.clone() })?;
            self.tell(&Event::Note(format!("{node} answers again and is fenced")));
            news = true;
        }
        if news { self.await_units(true).await } else { Ok(()) }
    }

    fn is_control_plane(&self, node: &NodeName) -> bool {
        self.inventory.node(node).is_some_and(|node| node.roles.contains(&Role::ControlPlane))
    }

    async fn raise_on(&self, node: &NodeName) -> Answer {
        let call = Call { script: Script::TokenRaise, args: vec![self.token()] };
        match self.remote.call(node, &call).await {
            Ok(output) if output.status == 0 => Answer::Taken,
            Ok(output) if output.status == super::unit::LOWER_TOKEN => Answer::Low(0),
            Ok(output) => Answer::Silent(output.stderr),
            Err(error) => Answer::Silent(error.to_string()),
        }
    }

    /// Waits until no unit of another run runs on any machine; with `any`, none of this run either. It kills nothing.
    async fn await_units(&self, any: bool) -> Result<(), Failure> {
        let (mut awaited, mut told) = (BTreeSet::new(), String::new());
        loop {
            let seen = self.own_state().await;
            let token = self.token.load(Ordering::SeqCst);
            if let Some(node) = seen.machines.iter().map(|on| &on.node).find(|node| seen.token_of(node) > Some(token)) {
                let stored = seen.token_of(node).unwrap_or_default().to_string();
                return Err(self.replaced("this run was replaced", node, &stored).await);
            }
            let running: Vec<(NodeName, RunningUnit)> = seen
                .running()
                .into_iter()
                .filter(|(_, unit)| any || !self.is_ours(unit))
                .map(|(node, unit)| (node.clone(), unit.clone()))
                .collect();
            if running.is_empty() {
                break;
            }
            let names = running.iter().map(|(on, unit)| format!("{} on {on}, since {}", unit.name(), unit.since));
            let names = names.collect::<Vec<_>>().join("; ");
            if names != told {
                self.tell(&Event::Note(format!("waiting for what still runs (it is never killed): {names}")));
                told = names;
            }
            awaited.extend(running);
            if self.interrupts.stop_soon() {
                let state = "the lock is held by this run, and what runs goes on by itself";
                return Err(Failure::new(Exit::Interrupted, "interrupted while waiting for what still runs")
                    .because(told)
                    .hint(format!("{state}; to go on, run `{}`", self.again)));
            }
            let _busy = self.meter.waiting(self.clock);
            self.clock.sleep(UNITS_EVERY).await;
        }
        for (node, unit) in awaited {
            let how = self.how_ended(&node, &unit).await;
            self.tell(&Event::Note(format!("{} on {node} {how}", unit.name())));
        }
        Ok(())
    }

    async fn how_ended(&self, node: &NodeName, unit: &RunningUnit) -> String {
        let call = Call { script: Script::UnitStatus, args: vec![unit.run.clone(), unit.unit.clone()] };
        let output = self.remote.call(node, &call).await;
        match output.ok().and_then(|output| report(&output.stdout).ok()).map(|report| report.state) {
            Some(UnitState::Exited(status)) => format!("has ended with status {status}"),
            Some(UnitState::Gone) => "was cut off by a reboot".to_owned(),
            Some(UnitState::Running) => "runs again".to_owned(),
            Some(UnitState::Never) | None => "runs no more".to_owned(),
        }
    }

    /// That a machine refused us because it has seen a higher token, and who took over.
    pub(super) async fn replaced(&self, what: impl Into<String>, node: &NodeName, stored: &str) -> Failure {
        self.others.replaced.store(true, Ordering::SeqCst);
        let failure = Failure::new(Exit::Refused, what).because(super::unit::outdated(node, stored, &self.token()));
        let ours = self.token.load(Ordering::SeqCst);
        let failure = match self.own_state().await.holders().first().filter(|(holder, _)| holder.token > ours) {
            Some((holder, _)) => failure.because(holds(holder)),
            None => failure,
        };
        failure.hint(format!(
            "this run does not act any more; ask the other operator, `{}` says what they do",
            self.others.show
        ))
    }
}
