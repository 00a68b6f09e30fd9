//! The bench: a simulated cluster, a plan for it, a journal in memory, and an engine that can be killed anywhere.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use windlass::decide::call::Script;
use windlass::decide::plan::Plan;
use windlass::engine::{Abort, Engine, Event, Finish, Interrupts, Meter, Operator, Others, Outcome, Reporter};
use windlass::error::Failure;
use windlass::facts::Facts;
use windlass::inventory::Inventory;
use windlass::journal::store::{Journal, Store};
use windlass::journal::{self, History};
use windlass::observe::{self, Ask, observe};
use windlass::remote::{Clock, Remote};

use crate::laws::Watch;
use crate::seams::clock::VirtualClock;
use crate::seams::disk::{Disk, Killed, MemoryStore};
use crate::seams::fault::{Then, When};
use crate::seams::remote::{Now, Simulation};
use crate::world::World;

pub(crate) use crate::lab::{
    ETCD, KUBERNETES, MINOR, PATCH, RESTORE, Raise, archive, lab_facts, lab_inventory, lab_plan, plan, stacked_facts,
    stacked_inventory, stacked_plan, unpackaged, upgrade_plan,
};

/// Keeps what was told, and lets the seam know which step is at hand.
pub(crate) struct Told {
    pub(crate) events: Mutex<Vec<Event>>,
    sim: Arc<Simulation>,
}

impl Reporter for Told {
    fn event(&self, event: &Event) {
        if let Event::StepBegan { step, .. } = event {
            self.sim.now().inner().step = Some(step.clone());
        }
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone());
    }
}

/// How a process of Windlass's is started.
struct How<'a> {
    command: &'static str,
    take_over: bool,
    told: &'a Told,
}

/// The second operator.
pub(crate) fn bob() -> Operator {
    Operator { name: "bob@laptop".to_owned(), machine: "m2".to_owned() }
}

/// A cluster, a plan, a journal.
pub(crate) struct Bench {
    pub(crate) inventory: Inventory,
    pub(crate) plan: Plan,
    pub(crate) sim: Arc<Simulation>,
    pub(crate) clock: VirtualClock,
    pub(crate) disk: Arc<Mutex<Disk>>,
    pub(crate) operator: Operator,
    pub(crate) told: Told,
}

/// The lab as it was seen, simulated.
pub(crate) fn lab() -> Arc<Simulation> {
    simulated(lab_facts())
}

pub(crate) fn simulated(facts: Facts) -> Arc<Simulation> {
    let clock = VirtualClock::start(facts.taken_at);
    Arc::new(Simulation::new(World::new(facts), Watch::default(), clock))
}

impl Bench {
    pub(crate) fn new(raise: Raise) -> Self {
        Self::with(lab_plan(raise), lab())
    }

    /// A bench for a restore of the lab whose members are static pods.
    pub(crate) fn stacked() -> Self {
        let (inventory, facts) = (stacked_inventory(), stacked_facts());
        let plan = plan(&inventory, &facts, RESTORE);
        Self { inventory, ..Self::with(plan, simulated(facts)) }
    }

    /// A bench for a raise of the lab whose members are static pods.
    pub(crate) fn stacked_raise(raise: Raise) -> Self {
        Self { inventory: stacked_inventory(), ..Self::with(stacked_plan(raise), simulated(stacked_facts())) }
    }

    /// A bench for a raise of etcd from an archive of its programs, which is sent to the nodes or downloaded by them.
    pub(crate) fn programs(sent: bool) -> Self {
        let (inventory, facts) = unpackaged();
        let plan = upgrade_plan(&inventory, &facts, ETCD, Some(archive(sent)));
        Self { inventory, ..Self::with(plan, simulated(facts)) }
    }

    /// A bench whose cluster was made different before it was planned for.
    pub(crate) async fn prepared(raise: Raise, change: impl FnOnce(&mut World)) -> Self {
        let sim = lab();
        change(&mut sim.now());
        let inventory = lab_inventory();
        let facts = look(&sim, &inventory).await;
        Self::with(plan(&inventory, &facts, raise), sim)
    }

    /// A bench for this plan and this cluster.
    pub(crate) fn with(plan: Plan, sim: Arc<Simulation>) -> Self {
        let operator = Operator { name: "ann@desk".to_owned(), machine: "m1".to_owned() };
        let told = Told { events: Mutex::default(), sim: Arc::clone(&sim) };
        let clock = sim.clock.clone();
        Self { inventory: lab_inventory(), plan, sim, clock, disk: Arc::default(), operator, told }
    }

    /// The world as it is now.
    pub(crate) fn now(&self) -> Now<'_> {
        self.sim.now()
    }

    /// Runs the plan as this operator would, in a new process with the journal that is on disk.
    pub(crate) async fn run(&self) -> Result<Outcome, Failure> {
        self.run_as(&self.operator, &self.disk).await
    }

    /// Runs it as another operator, with a journal of their own.
    pub(crate) async fn run_as(&self, operator: &Operator, disk: &Arc<Mutex<Disk>>) -> Result<Outcome, Failure> {
        let store = MemoryStore { disk: Arc::clone(disk), fuse: Arc::clone(&self.sim.fuse) };
        self.run_through(&*self.sim, operator, disk, Box::new(store)).await
    }

    /// Runs it as another operator, who may take the lock over; told apart from the first.
    pub(crate) async fn run_with(
        &self,
        operator: &Operator,
        disk: &Arc<Mutex<Disk>>,
        take_over: bool,
        told: &Told,
    ) -> Result<Outcome, Failure> {
        let store = MemoryStore { disk: Arc::clone(disk), fuse: Arc::clone(&self.sim.fuse) };
        let how = How { command: "apply", take_over, told };
        self.drive(&*self.sim, operator, disk, Box::new(store), how, async |engine| engine.run().await).await
    }

    /// Somebody else who is told.
    pub(crate) fn listener(&self) -> Told {
        Told { events: Mutex::default(), sim: Arc::clone(&self.sim) }
    }

    /// The journal that another operator finds on the control planes; nothing when nothing was begun.
    pub(crate) async fn copy(&self) -> Option<String> {
        let copies = observe::copies(&*self.sim, &self.inventory).await;
        let found = journal::copies::choose(&copies.found).remove(&self.plan.id.0)?;
        let found = found.unwrap_or_else(|error| panic!("{error}: {:?}", error.why));
        assert_eq!(found.plan, self.plan);
        Some(found.journal)
    }

    /// A disk with that journal.
    pub(crate) async fn fetched(&self) -> Arc<Mutex<Disk>> {
        Arc::new(Mutex::new(Disk { text: self.copy().await.unwrap_or_default(), room: None }))
    }

    /// Runs it through other seams.
    pub(crate) async fn run_through(
        &self,
        remote: &dyn Remote,
        operator: &Operator,
        disk: &Arc<Mutex<Disk>>,
        store: Box<dyn Store>,
    ) -> Result<Outcome, Failure> {
        let how = How { command: "apply", take_over: false, told: &self.told };
        self.drive(remote, operator, disk, store, how, async |engine| engine.run().await).await
    }

    /// Gives the run up, as this operator would.
    pub(crate) async fn abort(&self) -> Result<Abort, Failure> {
        self.drive_own("abort", async |engine| engine.abort().await).await
    }

    /// Takes away what is kept, as this operator would.
    pub(crate) async fn finish(&self) -> Result<Vec<Finish>, Failure> {
        self.drive_own("finish", async |engine| engine.finish(false).await).await
    }

    async fn drive_own<T>(&self, command: &'static str, work: impl AsyncFnOnce(&Engine<'_>) -> T) -> T {
        let store = MemoryStore { disk: Arc::clone(&self.disk), fuse: Arc::clone(&self.sim.fuse) };
        let how = How { command, take_over: false, told: &self.told };
        self.drive(&*self.sim, &self.operator, &self.disk, Box::new(store), how, work).await
    }

    async fn drive<T>(
        &self,
        remote: &dyn Remote,
        operator: &Operator,
        disk: &Arc<Mutex<Disk>>,
        store: Box<dyn Store>,
        how: How<'_>,
        work: impl AsyncFnOnce(&Engine<'_>) -> T,
    ) -> T {
        let How { command, take_over, told } = how;
        let history = {
            let mut disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
            let (records, whole) = journal::read(&disk.text).expect("a journal");
            disk.text.truncate(whole);
            History::of(&records)
        };
        let interrupts = Arc::new(Interrupts::default());
        {
            let mut now = self.now();
            let inner = now.inner();
            inner.interrupts = Some(Arc::clone(&interrupts));
            inner.step = None;
            inner.watch.journals.push(Arc::clone(disk));
            inner.watch.process_starts(&inner.world);
        }
        let journal = Journal::new(store, history, &self.plan.id, self.clock.now()).expect("a journal");
        let engine = Engine {
            remote,
            clock: &self.clock,
            plan: &self.plan,
            inventory: &self.inventory,
            operator,
            snapshots: "snapshots".into(),
            again: format!("windlass upgrade {command} plan.json"),
            journal: Mutex::new(journal),
            reporter: told,
            meter: &Meter::start(&self.clock),
            interrupts: &interrupts,
            stopping: AtomicBool::new(false),
            token: AtomicU64::new(0),
            others: Others::new(take_over, "windlass lock show -i lab.toml".to_owned()),
        };
        work(&engine).await
    }

    /// Runs it and kills it at the `at`-th place where that could matter; `None` when it was killed.
    pub(crate) async fn run_until(&self, at: i64) -> Option<Result<Outcome, Failure>> {
        self.until(at, self.run()).await
    }

    /// As [`Self::run_until`], for whatever a new process does.
    pub(crate) async fn until<T>(&self, at: i64, process: impl Future<Output = T>) -> Option<T> {
        self.sim.fuse.set(at);
        let ended = survive(process).await;
        self.sim.fuse.set(i64::MAX);
        ended
    }

    /// The places so far where a kill could have mattered; of a bench that was never killed.
    pub(crate) fn places(&self) -> i64 {
        self.sim.fuse.burnt()
    }

    /// Runs it to its end, which has to be good.
    pub(crate) async fn raise(&self) {
        match self.run().await {
            Ok(outcome) => assert_eq!(outcome, Outcome::Raised),
            Err(failure) => panic!("{failure}"),
        }
        assert!(self.history().completed);
        self.assert_lawful();
    }

    /// Runs it to its end, which has to be bad.
    pub(crate) async fn fail(&self) -> Failure {
        self.run().await.expect_err("it should not have ended well")
    }

    /// A machine loses its power.
    pub(crate) fn power_off(&self, name: &str) {
        let mut now = self.now();
        let at = now.at(name);
        now.power_off(at);
    }

    /// No invariant was broken so far.
    pub(crate) fn assert_lawful(&self) {
        let broken: Vec<String> = self.now().inner().watch.broken.iter().map(ToString::to_string).collect();
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }

    pub(crate) fn when(&self, job: &'static str, subject: &str, then: Then) {
        self.sim.trap(When::Job(job, subject.to_owned()), then);
    }

    pub(crate) fn history(&self) -> History {
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        History::of(&journal::read(&disk.text).expect("a journal").0)
    }

    /// The journal's events, without their times.
    pub(crate) fn events(&self) -> Vec<journal::Event> {
        let disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let (records, _) = journal::read(&disk.text).expect("a journal");
        records.into_iter().map(|record| record.event).collect()
    }

    /// How often each job began, by job and what it changed.
    pub(crate) fn counts(&self) -> BTreeMap<(String, String), usize> {
        let mut counts = BTreeMap::new();
        for begun in &self.now().begun {
            *counts.entry((begun.job.clone(), begun.subject.clone())).or_default() += 1;
        }
        counts
    }

    /// The jobs that began, in order, as `job subject`.
    pub(crate) fn jobs(&self) -> Vec<String> {
        self.now().begun.iter().map(|begun| format!("{} {}", begun.job, begun.subject)).collect()
    }

    /// Machines that hold a lock file.
    pub(crate) fn locked(&self) -> Vec<String> {
        let now = self.now();
        let locked = now.machines.iter().filter(|machine| machine.own.lock.is_some());
        locked.map(|machine| machine.name.clone()).collect()
    }

    /// Calls that are more than looking.
    pub(crate) fn acts(&self) -> usize {
        let looks = [Script::Probe, Script::Api, Script::UnitStatus, Script::UnitWait, Script::CopyRead];
        self.now().inner().calls.iter().filter(|(_, call)| !looks.contains(&call.script)).count()
    }

    /// What the cluster looks like.
    pub(crate) async fn seen(&self) -> Facts {
        look(&self.sim, &self.inventory).await
    }
}

/// Runs something that may be killed, to its end or to that; `None` when it was killed.
pub(crate) async fn survive<T>(run: impl Future<Output = T>) -> Option<T> {
    let mut run = pin!(run);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(context))) {
        Ok(poll) => poll.map(Some),
        Err(panic) if panic.is::<Killed>() => Poll::Ready(None),
        Err(panic) => resume_unwind(panic),
    })
    .await
}

/// Everything of a cluster, candidates too.
pub(crate) async fn look(sim: &Simulation, inventory: &Inventory) -> Facts {
    observe(sim, &sim.clock, inventory, &Ask::about(inventory, true)).await
}
