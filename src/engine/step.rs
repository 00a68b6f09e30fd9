//! One step: look, act, look until done. What an earlier try left in doubt is settled by looking at the node.

use std::time::Duration;

use super::Engine;
use super::event::Event;
use super::snapshot::{Members, Taking};
use super::unit::Unit;
use crate::decide::action::{Action, Effect, Moment, Site};
use crate::decide::look::Look;
use crate::decide::plan::Placed;
use crate::error::{Exit, Failure};
use crate::facts::unit::UnitState;
use crate::journal::{self, Attempt, How, Standing};

/// How often a condition is looked at while it is waited for. A look takes some 0.1 to 0.3 s on a node.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a condition that cannot be seen is given before a step begins: an API server or a member that is just
/// restarting answers again within this.
const UNSEEN_FOR: Duration = Duration::from_secs(30);

/// What an earlier try of a step left behind.
enum Before {
    /// Nothing that matters: begin with this attempt.
    Begin(u32),
    /// A unit that runs or has ended well.
    Attach(Unit),
}

impl Engine<'_> {
    /// Carries out one step.
    pub(super) async fn step(&self, placed: Placed<'_>) -> Result<(), Failure> {
        let step = placed.id();
        let began = self.clock.elapsed();
        self.tell(&Event::StepBegan { step: step.clone(), describe: placed.step.action.describe() });
        let how = match self.settle(placed).await? {
            Before::Attach(unit) => {
                self.tell_unit(&step, &unit, true);
                self.wait_for(placed, unit).await?;
                How::Attached
            }
            // A wait is all looking: also what it finds at once has to hold for as long as it asks.
            Before::Begin(_) if self.only_waits(placed) => How::Waited,
            Before::Begin(attempt) => match self.look_before(placed).await? {
                // What has to hold for a while is not believed at first sight, which may be a lucky moment.
                Look::Done if placed.step.action.steady().is_zero() => How::FoundDone,
                Look::Done if self.only_waits(placed) => How::Waited,
                _ => {
                    self.check_long_way(placed).await?;
                    self.act(placed, attempt).await?
                }
            },
        };
        if how != How::FoundDone {
            self.look_until_done(placed).await?;
        }
        if let Action::ArchiveNode(_) = placed.step.action {
            self.list_archive(placed).await?;
        }
        let took = self.clock.elapsed().saturating_sub(began);
        self.finished(&step, how, u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
    }

    /// What the journal has of this step, held against the node where it is in doubt.
    async fn settle(&self, placed: Placed<'_>) -> Result<Before, Failure> {
        self.end_undo(placed).await?;
        let standing = self.history().steps.get(&placed.id()).cloned();
        let Some(standing) = standing else { return Ok(Before::Begin(1)) };
        let attempt = match standing {
            // Finished, and looked at again because what it did does not last: its unit's name was used.
            Standing::Finished => return Ok(Before::Begin(self.next_attempt(placed))),
            Standing::Failed(attempt) => return Ok(Before::Begin(attempt.number + 1)),
            Standing::InDoubt(attempt) => attempt,
        };
        // What its proof said was for whoever waited for it: a snapshot that is in doubt is taken anew.
        if let Effect::Snapshot { .. } = placed.step.action.effect(self.site(placed)) {
            self.proof_ended(placed).await?;
            return Ok(Before::Begin(attempt.number + 1));
        }
        let Attempt { number, on: Some(on), unit: Some(name) } = attempt else {
            return Ok(Before::Begin(attempt.number + 1));
        };
        let unit = Unit { on, name };
        Ok(match self.unit_state(placed, &unit).await? {
            UnitState::Never => Before::Begin(number),
            UnitState::Running | UnitState::Exited(0) => Before::Attach(unit),
            UnitState::Exited(_) | UnitState::Gone => Before::Begin(number + 1),
        })
    }

    pub(super) fn next_attempt(&self, placed: Placed<'_>) -> u32 {
        self.journal().history.attempts.get(&placed.id()).copied().unwrap_or(0) + 1
    }

    /// Looks until the step is done already or may act.
    async fn look_before(&self, placed: Placed<'_>) -> Result<Look, Failure> {
        let began = self.clock.elapsed();
        let limit = Duration::from_secs(placed.step.timeout_seconds);
        loop {
            let waited = self.clock.elapsed().saturating_sub(began);
            match self.look(placed, Moment::Before).await {
                look @ (Look::Done | Look::Ready(_)) => return Ok(look),
                Look::Drifted(why) => return Err(self.step_drifted(placed, &why)),
                Look::NotYet(why) if waited < limit => self.wait_a_little(placed, why).await,
                Look::Unseen(why) if waited < UNSEEN_FOR => self.wait_a_little(placed, why).await,
                Look::NotYet(why) | Look::Unseen(why) => {
                    let what = format!("step {} could not begin", placed.id());
                    let failure = Failure::new(Exit::StepFailed, what).because(why);
                    return Err(failure.hint(format!("it has not acted; to go on, run `{}`", self.again)));
                }
            }
        }
    }

    fn only_waits(&self, placed: Placed<'_>) -> bool {
        matches!(placed.step.action.effect(self.site(placed)), Effect::Wait)
    }

    pub(super) fn site<'b>(&'b self, placed: Placed<'b>) -> Site<'b> {
        Site { run: &self.plan.id, node: placed.node }
    }

    pub(super) async fn look(&self, placed: Placed<'_>, moment: Moment) -> Look {
        let (action, site) = (&placed.step.action, self.site(placed));
        let sight = self.see(&action.question(site), placed.node).await;
        action.look(site, moment, &sight)
    }

    async fn wait_a_little(&self, placed: Placed<'_>, why: String) {
        self.tell(&Event::Waiting { step: placed.id(), why });
        let _busy = self.meter.waiting(self.clock);
        self.clock.sleep(LOOK_EVERY).await;
    }

    /// Does what the action asks for.
    async fn act(&self, placed: Placed<'_>, attempt: u32) -> Result<How, Failure> {
        match placed.step.action.effect(self.site(placed)) {
            Effect::Job { on, call } => {
                let unit = self.start(placed, attempt, on, &call).await?;
                self.wait_for(placed, unit).await?;
            }
            Effect::Snapshot { proven } => {
                self.started(placed, attempt).await?;
                // Members are changed most of all where one is not well.
                let members = if self.plan.task.is_upgrade() { Members::All } else { Members::Quorum };
                self.snapshot(placed, Taking { attempt, members, proven }).await?;
            }
            Effect::Salvage => {
                self.started(placed, attempt).await?;
                self.salvage(placed).await?;
            }
            Effect::Send { file, name, sha256, bytes } => {
                self.started(placed, attempt).await?;
                self.send_file(placed, &file, vec![self.token(), name, sha256, bytes.to_string()]).await?;
            }
            Effect::Certify { order, name } => {
                self.started(placed, attempt).await?;
                self.send_certificates(placed, &order, name).await?;
            }
            Effect::Introduce { script, name } => {
                self.started(placed, attempt).await?;
                self.introduce(placed, script, name).await?;
            }
            Effect::Operator { argv } => {
                self.started(placed, attempt).await?;
                self.operators_command(placed, &argv).await?;
            }
            Effect::Wait => return Ok(How::Waited),
        }
        Ok(How::Acted)
    }

    async fn started(&self, placed: Placed<'_>, attempt: u32) -> Result<(), Failure> {
        self.write(journal::Event::Started { step: placed.id(), attempt, on: None, unit: None })?;
        self.announced(placed).await
    }

    async fn operators_command(&self, placed: Placed<'_>, argv: &[String]) -> Result<(), Failure> {
        let _busy = self.meter.waiting(self.clock);
        let limit = Duration::from_secs(placed.step.timeout_seconds);
        let output = self.remote.run_here(argv, limit).await;
        let (why, log) = match output {
            Ok(output) if output.status == 0 => return Ok(()),
            Ok(output) => (format!("it ended with status {}", output.status), output.stderr),
            Err(error) => (error.to_string(), String::new()),
        };
        let log: Vec<String> = log.lines().map(str::to_owned).collect();
        Err(self.failed(placed, &format!("{} failed", argv.join(" ")), &why, log)?)
    }

    /// Looks until the effect is seen, and has held for as long as the action asks.
    async fn look_until_done(&self, placed: Placed<'_>) -> Result<(), Failure> {
        let began = self.clock.elapsed();
        let limit = Duration::from_secs(placed.step.timeout_seconds);
        let (action, site) = (&placed.step.action, self.site(placed));
        let mut held: Option<(String, Duration)> = None;
        loop {
            let _busy = self.meter.waiting(self.clock);
            let sight = self.see(&action.question(site), placed.node).await;
            let now = self.clock.elapsed();
            let why = match action.look(site, Moment::After, &sight) {
                Look::Done => {
                    let fingerprint = action.fingerprint(&sight);
                    let since = match held.take() {
                        Some((known, since)) if known == fingerprint => since,
                        _ => now,
                    };
                    if now.saturating_sub(since) >= action.steady() {
                        return Ok(());
                    }
                    held = Some((fingerprint, since));
                    "it has to stay so for a moment".to_owned()
                }
                Look::Drifted(why) => return Err(self.step_drifted(placed, &why)),
                Look::Ready(why) | Look::NotYet(why) | Look::Unseen(why) => {
                    held = None;
                    why
                }
            };
            if now.saturating_sub(began) > limit {
                let what =
                    format!("step {} had no effect within {}", placed.id(), crate::text::seconds(limit.as_secs()));
                return Err(self.failed(placed, &what, &why, Vec::new())?);
            }
            self.tell(&Event::Waiting { step: placed.id(), why });
            self.clock.sleep(LOOK_EVERY).await;
        }
    }

    /// Journals that a step failed for sure, and says so.
    pub(super) fn failed(
        &self,
        placed: Placed<'_>,
        what: &str,
        why: &str,
        log: Vec<String>,
    ) -> Result<Failure, Failure> {
        let step = placed.id();
        self.write(journal::Event::Failed { step, why: why.to_owned(), in_doubt: false })?;
        let mut failure = Failure::new(Exit::StepFailed, what).because(why);
        failure.log = log;
        let state = format!("{}; put right what is wrong, then run `{}` to go on", self.state_of(placed), self.again);
        Ok(failure.hint(state))
    }

    /// What state a stopped step leaves its node in, in words.
    pub(super) fn state_of(&self, placed: Placed<'_>) -> String {
        let Some(node) = placed.node else { return "nothing of this step is under way".to_owned() };
        let finished = |name: &str| {
            let id = crate::decide::plan::step_id(&placed.stage.name, placed.node, name);
            self.history().progress(&id) == crate::decide::drift::Progress::Finished
        };
        if finished("cordon") && !finished("uncordon") {
            format!("{node} stays cordoned")
        } else {
            format!("nothing of this step is under way on {node}")
        }
    }

    fn step_drifted(&self, placed: Placed<'_>, why: &str) -> Failure {
        Failure::new(Exit::Drifted, format!("step {} found something else than planned", placed.id()))
            .because(why)
            .hint(format!("the run stopped where it was; {}", self.plan_anew()))
    }
}
