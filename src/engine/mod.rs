//! The engine: carries out a plan, step by step, over the effects. It decides nothing that the plan has not decided.
//!
//! For each step: look → journal "started", on disk → act → look until done → journal "finished", on disk. It is the only
//! room that changes a cluster, and only through [`crate::remote`].

mod abort;
mod copies;
pub mod event;
mod eyes;
mod finish;
pub mod interrupt;
mod lane;
mod lock;
mod long_way;
pub mod meter;
mod others;
mod proof;
mod salvage;
mod sending;
mod snapshot;
mod step;
mod undo;
mod unit;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use camino::Utf8PathBuf;
use futures_util::future::join_all;

use crate::decide::drift::{Progress, drift};
use crate::decide::plan::{Plan, Stage, Wave};
use crate::error::{Exit, Failure};
use crate::facts::{Facts, Seen};
use crate::inventory::Inventory;
use crate::journal::store::Journal;
use crate::journal::{self, How};
use crate::observe::{Ask, Measure, observe};
use crate::remote::{Clock, Remote};

pub use abort::Abort;
pub use event::{Event, Reporter};
pub use finish::Finish;
pub use interrupt::Interrupts;
pub use lock::Operator;
pub use meter::Meter;
pub use others::Others;

/// Everything that carrying out a plan needs.
pub struct Engine<'a> {
    /// The machines.
    pub remote: &'a dyn Remote,
    /// The time.
    pub clock: &'a dyn Clock,
    /// The plan.
    pub plan: &'a Plan,
    /// How its machines are reached.
    pub inventory: &'a Inventory,
    /// Who carries it out.
    pub operator: &'a Operator,
    /// Where snapshots go.
    pub snapshots: Utf8PathBuf,
    /// The command that goes on, for hints.
    pub again: String,
    /// The journal.
    pub journal: Mutex<Journal>,
    /// Who is told.
    pub reporter: &'a dyn Reporter,
    /// Where the time goes.
    pub meter: &'a Meter,
    /// Whether to stop.
    pub interrupts: &'a Interrupts,
    /// Whether a lane has failed, so that the others stop at their next step.
    pub stopping: AtomicBool,
    /// The token of the lock.
    pub token: AtomicU64,
    /// What it has to do with other operators.
    pub others: Others,
}

/// How a run ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The plan is carried out.
    Raised,
    /// It had been carried out before; nothing was changed.
    WasRaised,
}

/// A snapshot older than this is taken anew when a run is resumed (law 2), in seconds.
const SNAPSHOT_AGE_SECONDS: i64 = 3600;

impl Engine<'_> {
    /// Carries out the plan, or goes on with it.
    pub async fn run(&self) -> Result<Outcome, Failure> {
        if let Some(how_far) = self.history().given_up {
            return Err(self.given_up(how_far));
        }
        if self.history().completed {
            self.clear_lock().await;
            return self.was_raised().await;
        }
        self.hold().await?;
        let result = self.locked().await;
        self.give_back(result.is_ok()).await;
        result
    }

    /// Gives the lock back, unless it is another operator's by now, or an act may go on.
    pub(crate) async fn give_back(&self, well: bool) {
        self.copied_at_last().await;
        if self.others.replaced() {
            return;
        }
        if !well && self.under_way().await {
            return self.tell(&Event::Note("the lock is kept: an act may still be under way".to_owned()));
        }
        self.release_lock().await;
        self.copied_at_last().await;
    }

    async fn was_raised(&self) -> Result<Outcome, Failure> {
        let facts = self.look_around().await?;
        let found = drift(self.plan, self.inventory, &facts, &|_| Progress::Finished);
        if found.is_empty() { Ok(Outcome::WasRaised) } else { Err(self.drifted(found)) }
    }

    async fn locked(&self) -> Result<Outcome, Failure> {
        let facts = self.look_around().await?;
        let history = self.history();
        let found = drift(self.plan, self.inventory, &facts, &|step| history.progress(step));
        if !found.is_empty() {
            return Err(self.drifted(found));
        }
        self.fence_rest().await?;
        // A clock that was set back since says nothing of the snapshot's age.
        // What a restore saved is what was there before; nothing that it does leans on its age.
        if let Some(last) = history.last_snapshot.filter(|_| self.plan.task.restore().is_none())
            && !(0..=SNAPSHOT_AGE_SECONDS).contains(&(self.clock.now().as_second() - last.as_second()))
        {
            let why =
                "the last snapshot is more than an hour old, or this machine's clock was set back: taking another";
            self.tell(&Event::Note(why.to_owned()));
            self.snapshot_again().await?;
        }
        for stage in &self.plan.stages {
            self.stage(stage).await?;
        }
        self.verify().await?;
        self.write(journal::Event::Completed)?;
        Ok(Outcome::Raised)
    }

    async fn stage(&self, stage: &Stage) -> Result<(), Failure> {
        if stage.waves.iter().all(|wave| self.wave_finished(stage, wave)) {
            self.tell(&Event::StageWasDone { stage: stage.name.clone() });
            return Ok(());
        }
        self.tell(&Event::StageBegan { stage: stage.name.clone() });
        self.fence_rest().await?;
        self.copy_everywhere_again().await;
        for wave in &stage.waves {
            let lanes = wave.lanes.iter().map(|lane| self.lane(stage, lane));
            let failures: Vec<Failure> = join_all(lanes).await.into_iter().filter_map(Result::err).collect();
            self.all_well(failures)?;
        }
        self.copied().await
    }

    /// The first failure, with the others as its causes' company.
    fn all_well(&self, failures: Vec<Failure>) -> Result<(), Failure> {
        let mut failures = failures.into_iter().filter(|failure| failure.exit != Exit::Done);
        let Some(mut first) = failures.next() else {
            return if self.stopping.load(Ordering::SeqCst) { Err(self.interrupted()) } else { Ok(()) };
        };
        for other in failures {
            // What befell all lanes alike, as losing the lock, is said once.
            if other.what == first.what {
                continue;
            }
            let cause = other.causes.first().map_or_else(String::new, |cause| format!(": {cause}"));
            first.causes.push(format!("also: {}{cause}", other.what));
        }
        Err(first)
    }

    fn wave_finished(&self, stage: &Stage, wave: &Wave) -> bool {
        wave.lanes.iter().all(|lane| self.lane_finished(stage, lane))
    }

    /// Looks at all machines that take part; any that does not answer ends the run here.
    async fn look_around(&self) -> Result<Facts, Failure> {
        let _busy = self.meter.remote(self.clock);
        // Machines that are not begun yet may have become somebody else's since.
        let task = &self.plan.task;
        let ground = task.begin().is_some() || task.nodes().is_some();
        let measure = if ground { Measure::Ground } else { Measure::Nothing };
        let ask = Ask { measure, ..Ask::about(self.inventory, false) };
        let facts = observe(self.remote, self.clock, self.inventory, &ask).await;
        self.still_fenced(&facts)?;
        let gone: Vec<String> = facts
            .nodes
            .iter()
            .filter(|node| self.plan.baseline.machines.contains_key(&node.name))
            .filter_map(|node| match &node.machine {
                Seen::Unknown(why) => Some(format!("{}: {why}", node.name)),
                Seen::Known(_) => None,
            })
            .chain(if self.need_not_be_whole() { Vec::new() } else { self.unseen_as_a_whole(&facts) })
            .collect();
        if gone.is_empty() {
            return Ok(facts);
        }
        let exit = if self.history().begun() { Exit::StepFailed } else { Exit::Unreachable };
        let mut failure = Failure::new(exit, "not everything that the plan is about can be seen");
        failure.causes = gone;
        let state = if self.history().begun() { "the run stopped where it was" } else { "nothing was changed" };
        Err(failure.hint(format!("{state}; when they answer again, run `{}`", self.again)))
    }

    /// What was begun may be what keeps the API and etcd from answering; a restore is for when they do not, and before a
    /// bootstrap there are none.
    fn need_not_be_whole(&self) -> bool {
        self.history().begun() || self.plan.task.restore().is_some() || self.plan.task.begin().is_some()
    }

    /// The whole cluster, once more, against what the plan made of it.
    async fn verify(&self) -> Result<(), Failure> {
        let facts = self.look_around().await?;
        let found = drift(self.plan, self.inventory, &facts, &|_| Progress::Finished);
        if !found.is_empty() {
            return Err(self.drifted(found));
        }
        let unseen = self.unseen_as_a_whole(&facts);
        if unseen.is_empty() {
            return Ok(());
        }
        let mut failure = Failure::new(Exit::StepFailed, "every step is done, and what came of it cannot be seen");
        failure.causes = unseen;
        Err(failure.hint(format!("when it can be seen again, run `{}`", self.again)))
    }

    fn drifted(&self, found: Vec<String>) -> Failure {
        let mut failure = Failure::new(Exit::Drifted, "the cluster is not as planned");
        failure.causes = found;
        let begun = self.history().begun();
        let state = if begun { "the run stopped where it was" } else { "nothing was changed" };
        failure.hint(format!("{state}; {} and read what it says", self.plan_anew()))
    }

    /// The command that plans once more, for hints.
    pub(crate) fn plan_anew(&self) -> String {
        format!("make a new plan with `windlass {} plan`", self.plan.task.command())
    }

    /// What of the API and of etcd was not seen. Before anything is begun, and at the end, both have to be: members and nodes
    /// that came and went would not be noticed. In between a step of ours may be what keeps them from answering. Who works on
    /// etcd alone needs no API, which may be away just because of etcd.
    fn unseen_as_a_whole(&self, facts: &Facts) -> Vec<String> {
        let task = &self.plan.task;
        let needed = task.is_upgrade() || task.restore().is_some() || task.begin().is_some() || task.nodes().is_some();
        let api = unseen(&facts.api).filter(|_| needed).map(|why| format!("the API: {why}"));
        let etcd = unseen(&facts.etcd).map(|why| format!("etcd: {why}"));
        api.into_iter().chain(etcd).collect()
    }

    pub(crate) fn interrupted(&self) -> Failure {
        Failure::new(Exit::Interrupted, "interrupted").hint(format!("to go on, run `{}`", self.again))
    }

    pub(crate) fn history(&self) -> journal::History {
        self.journal().history.clone()
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        // A panic while a record was written leaves at most a torn line, which reading cuts off.
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Journals an event; nothing goes on before it is on disk.
    pub(crate) fn write(&self, event: journal::Event) -> Result<(), Failure> {
        let now = self.clock.now();
        self.journal().write(now, event).map_err(|cause| {
            Failure::new(Exit::StepFailed, "could not write the journal")
                .because(cause.to_string())
                .hint(format!("nothing is begun that is not journaled; make room, then run `{}`", self.again))
        })
    }

    pub(crate) fn finished(&self, step: &str, how: How, millis: u64) -> Result<(), Failure> {
        self.write(journal::Event::Finished { step: step.to_owned(), how, millis })?;
        self.tell(&Event::StepEnded { step: step.to_owned(), how, millis });
        Ok(())
    }

    pub(crate) fn tell(&self, event: &Event) {
        self.reporter.event(event);
    }

    pub(crate) fn token(&self) -> String {
        self.token.load(Ordering::SeqCst).to_string()
    }
}

fn unseen<T>(seen: &Seen<T>) -> Option<&str> {
    match seen {
        Seen::Known(_) => None,
        Seen::Unknown(why) => Some(why),
    }
}
