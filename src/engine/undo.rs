//! Going back by itself: a try that failed for sure is taken back where the plan promises it. The undo is a unit of its own,
//! journaled before it starts, found again by its name, and judged by looking; a try is taken back once at most.

use std::time::Duration;

use super::Engine;
use super::event::Event;
use super::unit::{Ended, FORGOTTEN, Unit, started, unit_name};
use crate::decide::action::{Action, Moment};
use crate::decide::actions::kubeadm::manifests_after;
use crate::decide::call::Call;
use crate::decide::look::Look;
use crate::decide::plan::{Placed, Step};
use crate::error::{Exit, Failure, chain};
use crate::journal::{self, Back, Undo};
use crate::remote::Output;

/// Between two looks at whether everything is as before.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long the first look may stay without an answer; a member or a kubelet that restarts answers again within this.
const UNSEEN_FOR: Duration = Duration::from_secs(30);

impl Engine<'_> {
    /// The failure of a step; when it has failed for sure, and the plan promises a way back, that is gone at once.
    pub(super) async fn failed_or_back(&self, placed: Placed<'_>, earlier: &[Step], failure: Failure) -> Failure {
        if failure.exit == Exit::StepFailed && self.history().ended_badly.contains(&placed.id()) {
            self.back_after(placed, earlier, failure).await
        } else {
            failure
        }
    }

    /// The failure, with what came of going back.
    async fn back_after(&self, placed: Placed<'_>, earlier: &[Step], mut failure: Failure) -> Failure {
        if let Action::KubeadmApply(_) | Action::KubeadmNode(_) = placed.step.action {
            failure.causes.extend(self.after_kubeadm(placed, &failure.log).await);
            return failure;
        }
        let Some((target, attempt)) = self.to_take_back(placed, earlier) else { return failure };
        match self.take_back(target, attempt).await {
            Ok(how) => failure.causes.push(in_words(target, &how)),
            Err(stopped) => {
                failure.causes.push(format!("while it was taken back: {}", stopped.what));
                failure.causes.extend(stopped.causes);
                failure.exit = stopped.exit;
                failure.hint = stopped.hint.or(failure.hint);
            }
        }
        failure
    }

    /// The step to take back, and which try of it: this one, or the one that it was waiting for. Nothing when that has not
    /// acted in this run, or was taken back already.
    pub(super) fn to_take_back<'b>(&self, placed: Placed<'b>, earlier: &'b [Step]) -> Option<(Placed<'b>, u32)> {
        let own = placed.step.action.way_back(self.site(placed)).is_some().then_some(placed);
        let awaited = || earlier.iter().rev().find(|step| placed.step.action.takes_back(&step.action));
        let target = own.or_else(|| awaited().map(|step| Placed { step, ..placed }))?;
        target.step.action.way_back(self.site(target))?;
        let history = self.history();
        let attempt = *history.attempts.get(&target.id())?;
        let before = history.undos.get(&target.id()).is_some_and(|undo| undo.attempt >= attempt);
        (!before).then_some((target, attempt))
    }

    /// Takes a try back, unless nothing was changed by it.
    pub(super) async fn take_back(&self, placed: Placed<'_>, attempt: u32) -> Result<Back, Failure> {
        let (Some(call), Some(on)) = (placed.step.action.way_back(self.site(placed)), placed.node) else {
            return Ok(Back::Not("there is no way back".to_owned()));
        };
        if let Look::Drifted(why) = self.look(placed, Moment::After).await {
            return self.undone(placed, attempt, Back::Not(format!("somebody else has changed it: {why}")));
        }
        let unseen = |look: &Look| matches!(look, Look::Unseen(_));
        let how = match self.look_back(placed, UNSEEN_FOR, unseen).await {
            Look::Done => Back::Unchanged,
            Look::Unseen(why) => Back::Not(format!("what it left could not be seen: {why}")),
            _ => {
                let unit = Unit { on: on.clone(), name: format!("{}.undo", unit_name(&placed.id(), attempt)) };
                let (step, on, name) = (placed.id(), unit.on.clone(), unit.name.clone());
                self.write(journal::Event::Undoing { step, attempt, on, unit: name })?;
                self.announced(placed).await?;
                self.tell(&Event::Note(format!("step {} failed: taking it back", placed.id())));
                self.restore(placed, &unit, &call).await?
            }
        };
        self.undone(placed, attempt, how)
    }

    /// Ends an undo that an earlier try left under way: it is asked for again by its name, which starts it once at most.
    pub(super) async fn end_undo(&self, placed: Placed<'_>) -> Result<(), Failure> {
        let undo = self.history().undos.get(&placed.id()).cloned();
        let Some(Undo { attempt, under_way: Some((on, name)) }) = undo else { return Ok(()) };
        let Some(call) = placed.step.action.way_back(self.site(placed)) else { return Ok(()) };
        let how = self.restore(placed, &Unit { on, name }, &call).await?;
        self.undone(placed, attempt, how).map(drop)
    }

    fn undone(&self, placed: Placed<'_>, attempt: u32, how: Back) -> Result<Back, Failure> {
        self.write(journal::Event::Undone { step: placed.id(), attempt, how: how.clone() })?;
        self.tell(&Event::Note(in_words(placed, &how)));
        Ok(how)
    }

    async fn restore(&self, placed: Placed<'_>, unit: &Unit, call: &Call) -> Result<Back, Failure> {
        match self.ask_to_start(placed, unit, call).await? {
            Ok(Output { status: started::YES | started::BEFORE | started::LOADED, .. }) => {}
            Ok(Output { status: started::LOWER_TOKEN, stdout, .. }) => {
                return Err(self.fenced(placed, unit, &stdout).await);
            }
            Ok(output) => return Ok(Back::Not(format!("it could not be started: {}", output.stderr.trim()))),
            Err(error) => return Ok(Back::Not(format!("it could not be started: {}", chain(&error).join(": ")))),
        }
        self.tell_unit(&placed.id(), unit, false);
        let Ended { status, log } = self.wait_for_end(placed, unit).await?;
        // A reboot in the middle of it is settled by looking, like everything else.
        let left = match status {
            Some(0) | None => self.look_back(placed, Duration::from_secs(placed.step.timeout_seconds), |_| true).await,
            Some(_) => Look::Ready(log.last().cloned().unwrap_or_default()),
        };
        Ok(match (left, status) {
            (Look::Done, _) => Back::Restored,
            (Look::Ready(why) | Look::NotYet(why) | Look::Drifted(why) | Look::Unseen(why), Some(_)) => Back::Not(why),
            (_, None) => Back::Not(FORGOTTEN.to_owned()),
        })
    }

    /// Whether everything is as before the step; looked at again while that may help and there is time.
    async fn look_back(&self, placed: Placed<'_>, limit: Duration, may_help: fn(&Look) -> bool) -> Look {
        let began = self.clock.elapsed();
        let (action, site) = (&placed.step.action, self.site(placed));
        loop {
            let look = action.look_back(&self.see(&action.question(site), placed.node).await);
            let (Look::Ready(why) | Look::NotYet(why) | Look::Drifted(why) | Look::Unseen(why)) = &look else {
                return look;
            };
            if !may_help(&look) || self.clock.elapsed().saturating_sub(began) >= limit {
                return look;
            }
            self.tell(&Event::Waiting { step: placed.id(), why: why.clone() });
            let _busy = self.meter.waiting(self.clock);
            self.clock.sleep(LOOK_EVERY).await;
        }
    }

    /// Whether everything is as before the step, at first sight.
    pub(super) async fn is_as_before(&self, placed: Placed<'_>) -> bool {
        self.look_back(placed, UNSEEN_FOR, |look| matches!(look, Look::Unseen(_))).await == Look::Done
    }

    /// kubeadm takes its own failures back: what it said of that, and what its static pods are at now.
    async fn after_kubeadm(&self, placed: Placed<'_>, log: &[String]) -> Option<String> {
        let action = &placed.step.action;
        let sight = self.see(&action.question(self.site(placed)), placed.node).await;
        manifests_after(action, log, &sight)
    }
}

/// What came of it, for people.
pub(super) fn in_words(placed: Placed<'_>, how: &Back) -> String {
    let node = placed.node.map_or("the cluster", |node| node.as_str());
    match how {
        Back::Restored => format!("step {} was taken back: {}", placed.id(), placed.step.action.undo()),
        Back::Unchanged => format!("step {} has changed nothing on {node}", placed.id()),
        Back::Not(why) => format!("step {} could not be taken back: {why}", placed.id()),
    }
}
