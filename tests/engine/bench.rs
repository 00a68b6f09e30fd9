//! The bench: a cluster, a plan for it, a journal in memory, and an engine that can be killed anywhere.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use semver::Version;
use windlass::decide::call::Script;
use windlass::decide::plan::{Plan, Sources};
use windlass::decide::planner::{self, Wanted};
use windlass::decide::rules::Case;
use windlass::decide::target::Target;
use windlass::engine::{Engine, Event, Interrupts, Meter, Operator, Others, Outcome, Reporter};
use windlass::error::Failure;
use windlass::facts::{self, Facts, MachineFacts, Seen};
use windlass::inventory::{self, Inventory};
use windlass::journal::store::{Journal, Store};
use windlass::journal::{self, History};
use windlass::observe::{self, Ask, observe};
use windlass::playbook;
use windlass::remote::Clock;

use crate::clock::VirtualClock;
use crate::cluster::{Cluster, Then, real_certificate};

/// Raises etcd and Kubernetes by a minor each.
pub(crate) const MINOR: (Option<&str>, Option<&str>) = (Some("1.21.14"), Some("3.5.16"));
/// Raises Kubernetes within its minor.
pub(crate) const PATCH: (Option<&str>, Option<&str>) = (Some("1.20.15"), None);
/// Raises etcd alone.
pub(crate) const ETCD: (Option<&str>, Option<&str>) = (None, Some("3.5.16"));

/// Ends the process, as it were, after so many burns.
#[derive(Debug)]
pub(crate) struct Fuse(AtomicI64);

/// What a killed engine leaves.
struct Killed;

impl Fuse {
    pub(crate) fn burn(&self) {
        if self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            resume_unwind(Box::new(Killed));
        }
    }
}

/// The journal's disk.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) text: String,
    /// Appends that still fit; the one after them is torn, and nothing is written from then on.
    pub(crate) room: Option<usize>,
}

struct MemoryStore {
    disk: Arc<Mutex<Disk>>,
    fuse: Arc<Fuse>,
}

impl Store for MemoryStore {
    fn held(&mut self) -> String {
        self.disk.lock().unwrap().text.clone()
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        let mut disk = self.disk.lock().unwrap();
        let half = line.split_at(line.len() / 2).0;
        match &mut disk.room {
            Some(0) => {
                disk.text.push_str(half);
                disk.room = None;
                return Err(io::ErrorKind::StorageFull.into());
            }
            Some(room) => *room -= 1,
            None => {}
        }
        let before = disk.text.len();
        // Killed before the line is on disk; every other time half of it is.
        if disk.text.lines().count() % 2 == 1 {
            disk.text.push_str(half);
        }
        drop(disk);
        self.fuse.burn();
        let mut disk = self.disk.lock().unwrap();
        disk.text.truncate(before);
        disk.text.push_str(line);
        disk.text.push('\n');
        drop(disk);
        self.fuse.burn();
        Ok(())
    }
}

/// Keeps what was told.
#[derive(Default)]
pub(crate) struct Told(pub(crate) Mutex<Vec<Event>>);

impl Reporter for Told {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// A cluster, a plan, a journal.
pub(crate) struct Bench {
    pub(crate) inventory: Inventory,
    pub(crate) plan: Plan,
    pub(crate) cluster: Cluster,
    pub(crate) clock: VirtualClock,
    pub(crate) disk: Arc<Mutex<Disk>>,
    pub(crate) operator: Operator,
    pub(crate) told: Told,
    fuse: Arc<Fuse>,
}

pub(crate) fn lab_facts() -> Facts {
    let mut facts = facts::from_json(include_str!("../fixtures/engine/lab.json")).unwrap();
    let ends = facts::probe::parse(&format!(
        "@@ certificates\n certificate {} /\n@@ end certificates ok\n@@ done\n",
        real_certificate()
    ));
    let ends = ends.unwrap().certificates.known().unwrap()[0].not_after;
    for node in &mut facts.nodes {
        if let Seen::Known(MachineFacts { certificates: Seen::Known(certificates), .. }) = &mut node.machine {
            for certificate in certificates {
                certificate.not_after = ends;
            }
        }
    }
    facts
}

pub(crate) fn lab_inventory() -> Inventory {
    inventory::parse(include_str!("../../inventories/lab.toml")).unwrap().value
}

pub(crate) fn lab_cluster() -> (Cluster, VirtualClock, Arc<Fuse>) {
    let facts = lab_facts();
    let clock = VirtualClock::start(facts.taken_at);
    let fuse = Arc::new(Fuse(AtomicI64::new(i64::MAX)));
    (Cluster::new(facts, clock, Arc::clone(&fuse)), clock, fuse)
}

/// The plan that the planner makes of these facts.
pub(crate) fn plan(inventory: &Inventory, facts: &Facts, (kubernetes, etcd): (Option<&str>, Option<&str>)) -> Plan {
    let version = |text: &str| Version::parse(text).unwrap();
    let target = Target {
        kubernetes: kubernetes.map(version),
        etcd: etcd.map(version),
        leave_out: std::collections::BTreeSet::default(),
        accept_outage: false,
    };
    let raises = planner::raises(Case { inventory, facts, target: &target });
    let playbooks: Vec<_> =
        raises.into_iter().map(|raises| playbook::parse(playbook::builtin(raises)).unwrap()).collect();
    let sources = Sources {
        inventory: "lab.toml".to_owned(),
        inventory_digest: String::new(),
        playbook_digests: BTreeMap::new(),
        facts_digest: String::new(),
    };
    planner::plan(Wanted { inventory, playbooks: &playbooks, facts, target: &target, sources: &sources }).unwrap()
}

impl Bench {
    pub(crate) fn new(target: (Option<&str>, Option<&str>)) -> Self {
        Self::prepared(target, |_| {})
    }

    /// A bench whose cluster was made different before it was planned for.
    pub(crate) fn prepared(target: (Option<&str>, Option<&str>), change: impl FnOnce(&Cluster)) -> Self {
        let (cluster, clock, fuse) = lab_cluster();
        let inventory = lab_inventory();
        change(&cluster);
        let plan = plan(&inventory, &cluster.state().facts, target);
        let operator = Operator { name: "ann@desk".to_owned(), machine: "m1".to_owned() };
        Self { inventory, plan, cluster, clock, disk: Arc::default(), operator, told: Told::default(), fuse }
    }

    /// Runs the plan as this operator would, in a new process with the journal that is on disk.
    pub(crate) async fn run(&self) -> Result<Outcome, Failure> {
        self.run_as(&self.operator, &self.disk).await
    }

    /// Runs it as another operator, with a journal of their own.
    pub(crate) async fn run_as(&self, operator: &Operator, disk: &Arc<Mutex<Disk>>) -> Result<Outcome, Failure> {
        self.run_with(operator, disk, false, &self.told).await
    }

    /// Runs it as another operator, who may take the lock over.
    pub(crate) async fn run_with(
        &self,
        operator: &Operator,
        disk: &Arc<Mutex<Disk>>,
        take_over: bool,
        told: &Told,
    ) -> Result<Outcome, Failure> {
        let (records, whole) = journal::read(&disk.lock().unwrap().text).unwrap();
        disk.lock().unwrap().text.truncate(whole);
        let store = Box::new(MemoryStore { disk: Arc::clone(disk), fuse: Arc::clone(&self.fuse) });
        let journal = Journal::new(store, History::of(&records), &self.plan.id, self.clock.now()).unwrap();
        let interrupts = Arc::new(Interrupts::default());
        self.cluster.state().interrupts = Some(Arc::clone(&interrupts));
        let engine = Engine {
            remote: &self.cluster,
            clock: &self.clock,
            plan: &self.plan,
            inventory: &self.inventory,
            operator,
            snapshots: "snapshots".into(),
            again: "windlass upgrade apply plan.json".to_owned(),
            journal: Mutex::new(journal),
            reporter: told,
            meter: &Meter::start(&self.clock),
            interrupts: &interrupts,
            stopping: AtomicBool::new(false),
            token: AtomicU64::new(0),
            others: Others::new(take_over, "windlass lock show -i lab.toml".to_owned()),
        };
        engine.run().await
    }

    /// The journal that another operator finds on the control planes; nothing when nothing was begun.
    pub(crate) async fn copy(&self) -> Option<String> {
        let copies = observe::copies(&self.cluster, &self.inventory).await;
        let found = journal::copies::choose(&copies.found).remove(&self.plan.id.0)?;
        let found = found.unwrap_or_else(|error| panic!("{error}: {:?}", error.why));
        assert_eq!(found.plan, self.plan);
        Some(found.journal)
    }

    /// Runs it and kills it at the `at`-th place where that could matter; `None` when it was killed.
    pub(crate) async fn run_until(&self, at: i64) -> Option<Result<Outcome, Failure>> {
        self.fuse.0.store(at, Ordering::SeqCst);
        let mut run = pin!(self.run());
        let ended = poll_fn(|context| {
            let polled = catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(context)));
            match polled {
                Ok(poll) => poll.map(Some),
                Err(panic) if panic.is::<Killed>() => None.into(),
                Err(panic) => resume_unwind(panic),
            }
        })
        .await;
        self.fuse.0.store(i64::MAX, Ordering::SeqCst);
        ended
    }

    /// Runs it to its end, which has to be good.
    pub(crate) async fn raise(&self) {
        match self.run().await {
            Ok(outcome) => assert_eq!(outcome, Outcome::Raised),
            Err(failure) => panic!("{failure}"),
        }
        assert!(self.history().completed);
    }

    /// Runs it to its end, which has to be bad.
    pub(crate) async fn fail(&self) -> Failure {
        self.run().await.expect_err("it should not have ended well")
    }

    pub(crate) fn when(&self, job: &'static str, subject: &str, then: Then) {
        self.cluster.when(job, subject, then);
    }

    pub(crate) fn history(&self) -> History {
        History::of(&journal::read(&self.disk.lock().unwrap().text).unwrap().0)
    }

    /// The journal's events, without their times.
    pub(crate) fn events(&self) -> Vec<journal::Event> {
        let (records, _) = journal::read(&self.disk.lock().unwrap().text).unwrap();
        records.into_iter().map(|record| record.event).collect()
    }

    /// How often each job began, by job and what it changed.
    pub(crate) fn counts(&self) -> BTreeMap<(String, String), usize> {
        let mut counts = BTreeMap::new();
        for begun in &self.cluster.state().begun {
            *counts.entry((begun.job.clone(), begun.subject.clone())).or_default() += 1;
        }
        counts
    }

    /// The jobs that began, in order, as `job subject`.
    pub(crate) fn jobs(&self) -> Vec<String> {
        self.cluster.state().begun.iter().map(|begun| format!("{} {}", begun.job, begun.subject)).collect()
    }

    /// Machines that hold a lock file.
    pub(crate) fn locked(&self) -> Vec<String> {
        let state = self.cluster.state();
        let locked = |node: &&facts::NodeFacts| node.machine.known().is_some_and(|machine| machine.lock.is_some());
        state.facts.nodes.iter().filter(locked).map(|node| node.name.to_string()).collect()
    }

    /// Calls that are more than looking.
    pub(crate) fn acts(&self) -> usize {
        let looks = [Script::Probe, Script::Api, Script::UnitStatus, Script::UnitWait, Script::CopyRead];
        self.cluster.state().calls.iter().filter(|(_, call)| !looks.contains(&call.script)).count()
    }

    /// What the cluster looks like, without what changes by itself.
    pub(crate) async fn seen(&self) -> Facts {
        look(&self.cluster, &self.clock, &self.inventory).await
    }
}

/// Everything of a cluster, candidates too; without the times, and the clocks, which virtual time sets apart.
pub(crate) async fn look(cluster: &Cluster, clock: &VirtualClock, inventory: &Inventory) -> Facts {
    observe(cluster, clock, inventory, &Ask::about(inventory, true)).await
}
