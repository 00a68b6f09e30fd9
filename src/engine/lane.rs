//! A lane: one node through the steps of its procedure, in order, watched all the while.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Engine;
use super::event::Event;
use crate::decide::action::Action;
use crate::decide::drift::Progress;
use crate::decide::plan::{Lane, Placed, Stage, Step};
use crate::error::{Exit, Failure};
use crate::facts::Seen;
use crate::facts::ask::Section;
use crate::inventory::NodeName;
use crate::journal::{self, Standing};
use crate::observe;

/// How often a lane's node is asked whether it is still there.
const WATCH_EVERY: Duration = Duration::from_secs(5);
/// How long a lane's node may be silent before the run stops. With the connection's own keepalive (three unanswered
/// questions) and one try to connect again, a node that is cut off stops the run in well under a minute.
pub(super) const LOST_AFTER: Duration = Duration::from_secs(20);

impl Engine<'_> {
    /// Every step of the lane was finished before.
    pub(super) fn lane_finished(&self, stage: &Stage, lane: &Lane) -> bool {
        let history = self.history();
        let placed = |step| Placed { stage, node: lane.node.as_ref(), step };
        self.plan.steps(lane).iter().all(|step| history.progress(&placed(step).id()) == Progress::Finished)
    }

    /// Walks through the lane's steps. Stops between steps when another lane failed or the operator asked to.
    pub(super) async fn lane(&self, stage: &Stage, lane: &Lane) -> Result<(), Failure> {
        if self.lane_finished(stage, lane) {
            return Ok(());
        }
        self.walk(stage, lane, self.plan.steps(lane).len()).await
    }

    /// Walks through the first `count` steps of the lane.
    pub(super) async fn walk(&self, stage: &Stage, lane: &Lane, count: usize) -> Result<(), Failure> {
        let steps = self.plan.steps(lane);
        let mut disturbed = false;
        for (at, step) in steps[..count].iter().enumerate() {
            if self.interrupts.stop_soon() {
                self.stopping.store(true, Ordering::SeqCst);
            }
            if self.stopping.load(Ordering::SeqCst) {
                return Ok(());
            }
            let placed = Placed { stage, node: lane.node.as_ref(), step };
            if self.history().progress(&placed.id()) == Progress::Finished {
                if !self.has_to_be_seen_again(placed, &steps[at + 1..], disturbed) {
                    self.tell(&Event::StepWasDone { step: placed.id() });
                    continue;
                }
                disturbed = true;
            }
            if let Err(failure) = self.watched(placed, &steps[..at]).await {
                self.stopping.store(true, Ordering::SeqCst);
                return Err(failure);
            }
        }
        Ok(())
    }

    /// A finished step is looked at again while what it served is still to come: leadership and cordons do not last by
    /// themselves. A drain is done again when its cordon was looked at again, because pods may have come since.
    fn has_to_be_seen_again(&self, placed: Placed<'_>, later: &[Step], disturbed: bool) -> bool {
        let open = |step: &Step| {
            let (id, history) = (Placed { step, ..placed }.id(), self.history());
            // A join that is under way has its introduction: another would be left behind on the node.
            let introduced = matches!(placed.step.action, Action::Introduce(_))
                && matches!(history.steps.get(&id), Some(Standing::InDoubt(_)));
            history.progress(&id) != Progress::Finished && !introduced
        };
        let serves_later = later.iter().any(|step| placed.step.action.serves(&step.action) && open(step));
        serves_later && (disturbed || !matches!(placed.step.action, Action::Drain(_)))
    }

    /// The step, unless its node is lost or the operator asks twice: then the step is left as it is, in doubt.
    /// One that failed for sure is taken back where the plan promises that; its node may have been away a moment ago.
    async fn watched(&self, placed: Placed<'_>, earlier: &[Step]) -> Result<(), Failure> {
        let interrupted = || Err(self.abandoned(placed, Exit::Interrupted, "interrupted twice"));
        let result = tokio::select! {
            biased;
            result = self.step(placed) => result,
            why = self.lost(placed.node) => Err(self.abandoned(placed, Exit::StepFailed, &why)),
            () = self.interrupts.stop_now() => interrupted(),
        };
        let Err(failure) = result else { return Ok(()) };
        tokio::select! {
            biased;
            failure = self.failed_or_back(placed, earlier, failure) => Err(failure),
            () = self.interrupts.stop_now() => interrupted(),
        }
    }

    /// Returns, with the reason, once the node has been silent for too long. Never returns for the cluster as a whole.
    async fn lost(&self, node: Option<&NodeName>) -> String {
        let Some(node) = node.and_then(|name| self.inventory.node(name)) else {
            return std::future::pending().await;
        };
        let look = observe::Look { sections: vec![Section::Windlass], packages: Vec::new() };
        let mut heard = self.clock.elapsed();
        loop {
            self.clock.sleep(WATCH_EVERY).await;
            match observe::machine(self.remote, self.clock, self.inventory, node, &look).await {
                Seen::Known(_) => heard = self.clock.elapsed(),
                Seen::Unknown(why) if self.clock.elapsed().saturating_sub(heard) >= LOST_AFTER => return why,
                Seen::Unknown(_) => {}
            }
        }
    }

    /// Journals that the step was left in doubt, and says what to do.
    fn abandoned(&self, placed: Placed<'_>, exit: Exit, why: &str) -> Failure {
        let step = placed.id();
        let begun = self.history().progress(&step) != Progress::Untouched;
        if begun {
            let event = journal::Event::Failed { step: step.clone(), why: why.to_owned(), in_doubt: true };
            if let Err(failure) = self.write(event) {
                return failure;
            }
        }
        let node = placed.node.map_or("the cluster", NodeName::as_str);
        let what = match exit {
            Exit::Interrupted => format!("interrupted in step {step}"),
            _ => format!("lost {node} in step {step}"),
        };
        let state =
            if begun { "what was started on the node goes on there by itself" } else { "the step had not acted yet" };
        Failure::new(exit, what).because(why).hint(format!("{state}; to go on, run `{}`", self.again))
    }
}
