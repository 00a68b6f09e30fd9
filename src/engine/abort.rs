//! Giving a run up: what is under way is waited for, the step in hand is taken back or finished, nodes that we cordoned are
//! given back when they are Ready, and the lock is released. What is left is a state that is supported.

use std::sync::atomic::Ordering;

use super::Engine;
use super::event::Event;
use super::undo::in_words;
use super::unit::Unit;
use crate::decide::action::{Action, Moment};
use crate::decide::actions::kubeadm::raised_any;
use crate::decide::drift::Progress;
use crate::decide::look::Look;
use crate::decide::plan::{Lane, Placed, Stage, Step};
use crate::decide::stacked::apart;
use crate::error::{Exit, Failure};
use crate::facts::Facts;
use crate::facts::unit::UnitState;
use crate::journal::{self, Attempt, Back, GivenUp, Standing};
use crate::observe::{Ask, observe};

/// What giving up came to.
#[derive(Debug)]
pub enum Abort {
    /// Nothing was ever begun: there is nothing to give up.
    NeverBegan,
    /// The run was through: there is nothing to give up any more.
    Completed,
    /// It was given up.
    Aborted {
        /// What is where now.
        facts: Box<Facts>,
        /// What is not as one would wish, and why.
        stays: Vec<String>,
    },
}

impl Engine<'_> {
    /// Gives the run up, or goes on with that.
    pub async fn abort(&self) -> Result<Abort, Failure> {
        let history = self.history();
        let over = match history.given_up {
            _ if history.completed => Some(Abort::Completed),
            None if !history.begun() => Some(Abort::NeverBegan),
            Some(GivenUp::Through) => Some(self.left_behind(Vec::new()).await),
            Some(GivenUp::Begun) | None => None,
        };
        if let Some(over) = over {
            self.clear_lock().await;
            return Ok(over);
        }
        self.hold().await?;
        let result = tokio::select! {
            biased;
            result = self.give_up() => result,
            () = self.interrupts.stop_now() => Err(self.interrupted()),
        };
        self.give_back(result.is_ok()).await;
        result
    }

    /// What a run says that was, or is being, given up.
    pub(super) fn given_up(&self, how_far: GivenUp) -> Failure {
        let abort = self.again.replacen("upgrade apply", "upgrade abort", 1);
        match how_far {
            GivenUp::Through => Failure::new(Exit::Refused, format!("plan {} was aborted", self.plan.id))
                .hint(format!("nothing was changed; {}", self.plan_anew())),
            GivenUp::Begun => Failure::new(Exit::Refused, format!("plan {} is being aborted", self.plan.id))
                .hint(format!("nothing was changed; to end that, run `{abort}`; then make a new plan")),
        }
    }

    async fn give_up(&self) -> Result<Abort, Failure> {
        if self.history().given_up.is_none() {
            self.write(journal::Event::Aborting)?;
        }
        let mut stays = Vec::new();
        for stage in &self.plan.stages {
            for lane in stage.waves.iter().flat_map(|wave| &wave.lanes) {
                if self.interrupts.stop_soon() {
                    return Err(self.interrupted());
                }
                if self.touched(stage, lane) && !self.lane_finished(stage, lane) {
                    self.leave(stage, lane, &mut stays).await?;
                }
            }
        }
        self.write(journal::Event::Aborted)?;
        Ok(self.left_behind(stays).await)
    }

    async fn left_behind(&self, mut stays: Vec<String>) -> Abort {
        let _busy = self.meter.remote(self.clock);
        let facts = observe(self.remote, self.clock, self.inventory, &Ask::about(self.inventory, false)).await;
        if self.plan.baseline.stacked {
            stays.extend(facts.etcd.known().and_then(apart));
        }
        Abort::Aborted { facts: Box::new(facts), stays }
    }

    fn touched(&self, stage: &Stage, lane: &Lane) -> bool {
        let placed = |step| Placed { stage, node: lane.node.as_ref(), step };
        self.plan.steps(lane).iter().any(|step| self.history().progress(&placed(step).id()) != Progress::Untouched)
    }

    /// Leaves one lane in a supported state.
    async fn leave(&self, stage: &Stage, lane: &Lane, stays: &mut Vec<String>) -> Result<(), Failure> {
        let steps = self.plan.steps(lane);
        let placed = |step| Placed { stage, node: lane.node.as_ref(), step };
        for step in steps {
            self.wait_out(placed(step), stays).await?;
        }
        for (at, step) in steps.iter().enumerate() {
            self.settle_in_hand(placed(step), &steps[..at], stays).await?;
        }
        self.start_new_kubelet(stage, lane, stays).await?;
        self.lead_again(stage, lane, stays).await?;
        match steps.iter().find(|step| matches!(step.action, Action::Uncordon(_))) {
            Some(uncordon) => self.uncordon_if_ready(placed(uncordon), stays).await,
            None => Ok(()),
        }
    }

    /// Waits for whatever of the step is under way; then it has ended, well or badly.
    async fn wait_out(&self, placed: Placed<'_>, stays: &mut Vec<String>) -> Result<(), Failure> {
        self.end_undo(placed).await?;
        let standing = self.history().steps.get(&placed.id()).cloned();
        let Some(Standing::InDoubt(Attempt { on, unit, .. })) = standing else { return Ok(()) };
        let never = |why: &str| journal::Event::Failed { step: placed.id(), why: why.to_owned(), in_doubt: false };
        let (Some(on), Some(name)) = (on, unit) else { return self.write(never("it was cut off")) };
        let unit = Unit { on, name };
        if self.unit_state(placed, &unit).await? == UnitState::Never {
            return self.write(never("it was never started"));
        }
        self.tell_unit(&placed.id(), &unit, true);
        match self.wait_for(placed, unit).await {
            // A snapshot leaves nothing behind, proven or not.
            Ok(()) if matches!(placed.step.action, Action::Snapshot(_)) => self.write(never("it was cut off")),
            // Only its effect is still to be seen.
            Ok(()) => match self.step(placed).await {
                // What is neither as before nor as planned is somebody else's.
                Err(failure) if failure.exit == Exit::Drifted => {
                    self.write(never("it is not as planned"))?;
                    self.or_stays(failure, stays)
                }
                Err(failure) => self.unless_ended(placed, failure),
                Ok(()) => Ok(()),
            },
            Err(failure) => self.unless_ended(placed, failure),
        }
    }

    /// A failure that has ended the step for sure is no reason to stop here.
    fn unless_ended(&self, placed: Placed<'_>, failure: Failure) -> Result<(), Failure> {
        let ended = matches!(self.history().steps.get(&placed.id()), Some(Standing::Failed(_)));
        if ended && failure.exit == Exit::StepFailed { Ok(()) } else { Err(failure) }
    }

    /// A step that was begun and has not ended well: taken back, or else finished, or left where that is as good.
    async fn settle_in_hand(
        &self,
        placed: Placed<'_>,
        earlier: &[Step],
        stays: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let failed = matches!(self.history().steps.get(&placed.id()), Some(Standing::Failed(_)));
        match &placed.step.action {
            Action::InstallPackages(_) | Action::SwapEtcd(_) if failed => self.back_or_on(placed, earlier, stays).await,
            Action::AwaitEtcd(_) => self.member_or_back(placed, earlier, stays).await,
            Action::KubeadmApply(_) | Action::KubeadmNode(_) if failed => self.kubeadm_or_on(placed, earlier).await,
            Action::AwaitMembers(_) => self.whole_or_stays(placed, earlier, stays).await,
            Action::RunCommand(_) if failed => {
                stays.push(format!("the command of step {} has not ended well: see what it left", placed.id()));
                Ok(())
            }
            // The first ones are seen to for the lane as a whole; the others leave nothing behind, or have ended well.
            Action::Cordon(_)
            | Action::Drain(_)
            | Action::Uncordon(_)
            | Action::RestartKubelet(_)
            | Action::AwaitReady(_)
            | Action::ArchiveNode(_)
            | Action::FetchPackages(_)
            | Action::FetchArchive(_)
            | Action::FetchTool(_)
            | Action::PullImages(_)
            | Action::Snapshot(_)
            | Action::SendSnapshot(_)
            | Action::SaveWhatLives(_)
            | Action::StopStaticPods(_)
            | Action::StopEtcd(_)
            | Action::RestoreMember(_)
            | Action::StartEtcd(_)
            | Action::AwaitRestored(_)
            | Action::StartStaticPods(_)
            | Action::RenewKubelet(_)
            | Action::AwaitHeard(_)
            | Action::RestartContainers(_)
            | Action::MoveLeader(_)
            | Action::SendCertificates(_)
            | Action::PlaceCertificates(_)
            | Action::RenewCertificates(_)
            | Action::AddMember(_)
            | Action::JoinMember(_)
            | Action::KubeadmMember(_)
            | Action::PromoteMember(_)
            | Action::RemoveMember(_)
            | Action::RetireMember(_)
            | Action::WriteMembers(_)
            | Action::DefragMember(_)
            | Action::InstallPackages(_)
            | Action::SwapEtcd(_)
            | Action::AwaitClusterVersion(_)
            | Action::KubeadmPlan(_)
            | Action::KubeadmApply(_)
            | Action::KubeadmNode(_)
            | Action::AwaitApiServers(_)
            | Action::PrepareMachine(_)
            | Action::SetUpRuntime(_)
            | Action::FormMember(_)
            | Action::SettleMember(_)
            | Action::KubeadmInit(_)
            | Action::SendManifest(_)
            | Action::ApplyManifest(_)
            | Action::Introduce(_)
            | Action::KubeadmJoin(_)
            | Action::RevokeTokens(_)
            | Action::SetUpBalancer(_)
            | Action::AwaitServers(_)
            | Action::HandOver(_)
            | Action::DrainServer(_)
            | Action::ReturnServer(_)
            | Action::LeaveCluster(_)
            | Action::DeleteNode(_)
            | Action::Gate(_)
            | Action::RunCommand(_) => Ok(()),
        }
    }

    /// Packages: the former ones, unless they cannot be put back; then the new ones, whole.
    async fn back_or_on(&self, placed: Placed<'_>, earlier: &[Step], stays: &mut Vec<String>) -> Result<(), Failure> {
        let back = match self.to_take_back(placed, earlier) {
            Some((target, attempt)) => self.take_back(target, attempt).await?,
            None if self.is_as_before(placed).await => Back::Unchanged,
            None => Back::Not("there is no way back, or it was tried before".to_owned()),
        };
        let Back::Not(_) = &back else { return Ok(()) };
        self.tell(&Event::Note(format!("{}: finishing it instead", in_words(placed, &back))));
        match self.step(placed).await {
            Err(failure) if failure.exit == Exit::Drifted => self.or_stays(failure, stays),
            Err(failure) => Err(failure),
            Ok(()) => {
                stays.push(format!("step {} could not be taken back and was finished", placed.id()));
                Ok(())
            }
        }
    }

    /// A member that was swapped and not seen healthy yet: it is by now, or it gets its former binary back, or its time.
    async fn member_or_back(
        &self,
        placed: Placed<'_>,
        earlier: &[Step],
        stays: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let swapped = |step: &&Step| placed.step.action.takes_back(&step.action);
        let Some(swap) = earlier.iter().rev().find(swapped) else { return Ok(()) };
        let finished = |step: &Step| self.history().progress(&Placed { step, ..placed }.id()) == Progress::Finished;
        if !finished(swap) || finished(placed.step) {
            return Ok(());
        }
        let site = self.site(placed);
        let sight = self.see(&placed.step.action.question(site), placed.node).await;
        if placed.step.action.look(site, Moment::After, &sight) == Look::Done {
            return Ok(());
        }
        if let Some((target, attempt)) = self.to_take_back(placed, earlier)
            && !matches!(self.take_back(target, attempt).await?, Back::Not(_))
        {
            return Ok(());
        }
        self.step(placed).await?;
        stays.push(format!("step {} could not be taken back: the member stays as it is", placed.id()));
        Ok(())
    }

    /// A stacked member that was restarted, or may have been, and not seen since.
    async fn whole_or_stays(
        &self,
        placed: Placed<'_>,
        earlier: &[Step],
        stays: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let progress = |step: &Step| self.history().progress(&Placed { step, ..placed }.id());
        let restarts = |step: &&Step| step.action.stacked_member().is_some();
        let Some(last) = earlier.iter().rev().find(restarts) else { return Ok(()) };
        if progress(last) == Progress::Untouched || progress(placed.step) == Progress::Finished {
            return Ok(());
        }
        match self.step(placed).await {
            Err(failure) => self.or_stays(failure, stays),
            Ok(()) => Ok(()),
        }
    }

    /// kubeadm has put its static pods back by itself, or had not come to them; else the same command finishes them, with
    /// leadership moved off a stacked member again.
    async fn kubeadm_or_on(&self, placed: Placed<'_>, earlier: &[Step]) -> Result<(), Failure> {
        if !self.raised_any(placed).await? {
            return Ok(());
        }
        if let Some(step) = earlier.last().filter(|step| matches!(step.action, Action::MoveLeader(_))) {
            self.step(Placed { step, ..placed }).await?;
        }
        match self.step(placed).await {
            Err(failure) if self.raised_any(placed).await? => Err(failure),
            _ => Ok(()),
        }
    }

    async fn raised_any(&self, placed: Placed<'_>) -> Result<bool, Failure> {
        let action = &placed.step.action;
        let sight = self.see(&action.question(self.site(placed)), placed.node).await;
        raised_any(action, &sight).map_err(|why| {
            let what = format!("what step {} left could not be seen", placed.id());
            Failure::new(Exit::StepFailed, what).because(why).hint(format!("to go on, run `{}`", self.again))
        })
    }

    /// A kubelet whose package was changed and that was not restarted would change at the next reboot, unseen: it is
    /// restarted now, drained as it is, and waited for.
    async fn start_new_kubelet(&self, stage: &Stage, lane: &Lane, stays: &mut Vec<String>) -> Result<(), Failure> {
        let steps = self.plan.steps(lane);
        let node = lane.node.as_ref();
        let finished = |step: &Step| self.history().progress(&Placed { stage, node, step }.id()) == Progress::Finished;
        let brings = |step: &Step| matches!(&step.action, Action::InstallPackages(it) if it.packages.iter().any(|package| package.name == "kubelet"));
        let ready = steps.iter().rposition(|step| matches!(step.action, Action::AwaitReady(_)));
        let Some(ready) = ready.filter(|ready| !finished(&steps[*ready])) else { return Ok(()) };
        if !steps[..ready].iter().any(|step| brings(step) && finished(step)) {
            return Ok(());
        }
        // What failed in another lane does not hold this one up.
        self.stopping.store(false, Ordering::SeqCst);
        // A stacked member is waited for once its node is Ready.
        let waits = steps[ready + 1..].iter().take_while(|step| matches!(step.action, Action::AwaitMembers(_))).count();
        match self.walk(stage, lane, ready + 1 + waits).await {
            Err(failure) => self.or_stays(failure, stays),
            Ok(()) if self.interrupts.stop_soon() => Err(self.interrupted()),
            Ok(()) => Ok(()),
        }
    }

    /// Load balancers lead clients again to an API server that the lane took out of service there.
    async fn lead_again(&self, stage: &Stage, lane: &Lane, stays: &mut Vec<String>) -> Result<(), Failure> {
        let steps = self.plan.steps(lane);
        let progress = |step: &Step| self.history().progress(&Placed { stage, node: lane.node.as_ref(), step }.id());
        for step in steps {
            let Action::ReturnServer(back) = &step.action else { continue };
            let out = steps
                .iter()
                .find(|step| matches!(&step.action, Action::DrainServer(it) if it.balancer == back.balancer));
            let out = out.is_some_and(|out| progress(out) != Progress::Untouched);
            if !out || progress(step) == Progress::Finished {
                continue;
            }
            self.stopping.store(false, Ordering::SeqCst);
            if let Err(failure) = self.step(Placed { stage, node: lane.node.as_ref(), step }).await {
                self.or_stays(failure, stays)?;
            }
        }
        Ok(())
    }

    /// A failure after which nothing is under way is told, and does not keep the rest from being put right.
    fn or_stays(&self, failure: Failure, stays: &mut Vec<String>) -> Result<(), Failure> {
        if self.history().in_doubt() || !matches!(failure.exit, Exit::StepFailed | Exit::Drifted) {
            return Err(failure);
        }
        let why = failure.causes.first().map_or_else(String::new, |cause| format!(": {cause}"));
        stays.push(format!("{}{why}", failure.what));
        Ok(())
    }

    /// Uncordons the step's node, when the cordon is ours and the node is Ready.
    async fn uncordon_if_ready(&self, placed: Placed<'_>, stays: &mut Vec<String>) -> Result<(), Failure> {
        let (action, site) = (&placed.step.action, self.site(placed));
        let sight = self.see(&action.question(site), placed.node).await;
        match action.look(site, Moment::Before, &sight) {
            Look::Done => return Ok(()),
            Look::Drifted(why) => {
                stays.push(why);
                return Ok(());
            }
            Look::Unseen(_) => {}
            Look::Ready(_) | Look::NotYet(_) => {
                let nodes = sight.api.known().map_or(&[][..], |api| &api.nodes);
                if let Some(node) = nodes.iter().find(|node| node.name == site.subject() && !node.ready()) {
                    let why = node.conditions.iter().find(|c| c.kind == "Ready").map_or("", |c| c.message.as_str());
                    stays.push(format!("{} stays cordoned: it is not Ready: {why}", node.name));
                    return Ok(());
                }
            }
        }
        self.step(placed).await
    }
}
