//! A cluster in memory behind the seam. Its state is facts, changed by jobs that take virtual time; it answers with the
//! same text as the real scripts, so that the real readers read it, and fails the test on anything it does not know.

mod etcd;
mod jobs;
mod others;
mod text;

pub(crate) use text::real_certificate;
mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8Path;
use windlass::decide::call::{Call, Script};
use windlass::facts::{ApiFacts, Facts, MachineFacts, MemberStatus, Seen};
use windlass::inventory::NodeName;
use windlass::remote::{Clock, HashKv, MemberList, Output, Remote, RemoteError, SnapshotContents, SnapshotWanted};

use crate::bench::Fuse;
use crate::clock::VirtualClock;

pub(crate) use etcd::Spoil;
pub(crate) use units::{Begun, Unit};

/// One round trip.
const LATENCY: Duration = Duration::from_millis(20);
/// A new connection to a machine that is cut off is given up after this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An open connection notices after this that its machine is cut off.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// What facts do not say of a machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    /// The owner of its lock file.
    pub(crate) owner: Option<String>,
    /// Its units, by `RUN/UNIT`.
    pub(crate) units: BTreeMap<String, Unit>,
    /// Its copies of runs, by `RUN/NAME`.
    pub(crate) copies: BTreeMap<String, String>,
    /// What was downloaded, as `NAME=VERSION`.
    pub(crate) fetched: BTreeSet<String>,
    /// It does not answer.
    pub(crate) cut_off: bool,
    /// Its API server does not answer at the moment.
    pub(crate) api_away: bool,
    /// Its member of etcd does not answer at the moment.
    pub(crate) member_away: bool,
}

/// What is made to happen when a job is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It ends with this status and without effect.
    Fail(i32),
    /// It takes this long.
    Take(Duration),
    /// Its machine is cut off two seconds later.
    CutOff,
    /// The machine that it is about is cut off, while it runs on another.
    CutOffSubject,
    /// Its machine is rebooted in the middle of it, a package half-way.
    Reboot,
    /// The answer to its start is lost, and it runs.
    LoseAnswer,
    /// The connection is lost before it was started.
    LoseRequest,
    /// systemd-run fails, and the unit is there all the same.
    OddStart,
    /// The operator asks to stop, this often.
    Interrupt(u8),
    /// Another operator has raised the token on its machine.
    Fence,
    /// Somebody uncordons the node that the job is about, when it ends.
    UncordonAfter,
}

/// When something is made to happen, once.
#[derive(Clone, Debug)]
struct Trap {
    job: &'static str,
    subject: String,
    then: Then,
}

/// Something that happens later.
#[derive(Clone, Debug)]
enum Later {
    UnitEnds(String, String),
    CutOff(String),
    Reboots(String, String),
    KubeletReports(String),
    ApiAway(String),
    ApiBack(String),
    MemberBack(String),
    ClusterVersion,
}

/// Everything there is.
pub(crate) struct State {
    pub(crate) facts: Facts,
    pub(crate) extra: BTreeMap<String, Extra>,
    /// Jobs that began, in order.
    pub(crate) begun: Vec<Begun>,
    /// Every script that was called.
    pub(crate) calls: Vec<(String, Call)>,
    /// How the next snapshots are bad.
    pub(crate) spoil: Option<Spoil>,
    /// Snapshots that were taken.
    pub(crate) snapshots: u32,
    /// Told when the operator is to interrupt.
    pub(crate) interrupts: Option<Arc<windlass::engine::Interrupts>>,
    /// This machine is cut off when it is asked to give its lock back.
    pub(crate) silent_at_release: Option<&'static str>,
    /// Nodes that were drained since they were cordoned.
    drained: BTreeSet<String>,
    /// Makes round trips take different times, by a seed.
    pub(crate) jitter: Option<u64>,
    traps: Vec<Trap>,
    later: BTreeMap<(Duration, u64), Later>,
    counter: u64,
}

/// The cluster.
pub(crate) struct Cluster {
    state: Mutex<State>,
    clock: VirtualClock,
    fuse: Arc<Fuse>,
}

impl Cluster {
    pub(crate) fn new(facts: Facts, clock: VirtualClock, fuse: Arc<Fuse>) -> Self {
        let extra = facts.nodes.iter().map(|node| (node.name.to_string(), Extra::default())).collect();
        let state = State {
            facts,
            extra,
            begun: Vec::new(),
            calls: Vec::new(),
            spoil: None,
            snapshots: 0,
            interrupts: None,
            silent_at_release: None,
            drained: BTreeSet::new(),
            jitter: None,
            traps: Vec::new(),
            later: BTreeMap::new(),
            counter: 0,
        };
        Self { state: Mutex::new(state), clock, fuse }
    }

    /// The state as it is now: what was to happen until now has happened.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.catch_up(self.clock.elapsed());
        state
    }

    /// Makes something happen when `job` is next started for `subject`: its node, or the node that it is about.
    pub(crate) fn when(&self, job: &'static str, subject: &str, then: Then) {
        self.state().traps.push(Trap { job, subject: subject.to_owned(), then });
    }

    /// Waits for a unit's end, at most the time that the call allows.
    async fn unit_wait(&self, node: &NodeName, call: &Call) -> Result<Output, RemoteError> {
        let limit = self.clock.elapsed() + Duration::from_secs(call.args[2].parse().unwrap());
        loop {
            let running = self.state().unit_runs(node.as_str(), call);
            if !running || self.clock.elapsed() >= limit {
                return Ok(self.state().unit_report(node.as_str(), call));
            }
            self.clock.sleep(Duration::from_millis(500)).await;
            if self.state().extra(node).cut_off {
                self.clock.sleep(KEEPALIVE).await;
                return Err(RemoteError::InDoubt { node: node.clone(), cause: "connection timed out".into() });
            }
        }
    }

    async fn reach(&self, node: &NodeName) -> Result<(), RemoteError> {
        let latency = self.state().latency();
        self.clock.sleep(latency).await;
        if self.state().extra(node).cut_off {
            self.clock.sleep(CONNECT_TIMEOUT).await;
            return Err(RemoteError::NotStarted { node: node.clone(), cause: "connection timed out".into() });
        }
        Ok(())
    }
}

impl State {
    fn catch_up(&mut self, now: Duration) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), later) = entry.remove_entry();
            self.happen(at, later);
        }
    }

    fn happen(&mut self, at: Duration, later: Later) {
        match later {
            Later::UnitEnds(node, unit) => self.unit_ends(at, &node, &unit),
            Later::CutOff(node) => self.extra_mut(&node).cut_off = true,
            Later::Reboots(node, unit) => self.reboot(&node, &unit),
            Later::KubeletReports(node) => {
                let running = self.machine(&node).kubelet_running.known().unwrap().clone().unwrap();
                self.kube_node(&node).kubelet = Seen::Known(running);
            }
            Later::ApiAway(node) => self.extra_mut(&node).api_away = true,
            Later::ApiBack(node) => self.extra_mut(&node).api_away = false,
            Later::MemberBack(node) => self.extra_mut(&node).member_away = false,
            Later::ClusterVersion => self.etcd_cluster_rises(),
        }
    }

    fn after(&mut self, at: Duration, later: Later) {
        self.counter += 1;
        self.later.insert((at, self.counter), later);
    }

    fn asked(&mut self, node: &str, call: &Call) {
        self.calls.push((node.to_owned(), call.clone()));
        if call.script == Script::LockRelease && self.silent_at_release == Some(node) {
            self.silent_at_release = None;
            self.extra_mut(node).cut_off = true;
        }
    }

    fn extra(&self, node: &NodeName) -> &Extra {
        &self.extra[node.as_str()]
    }

    pub(crate) fn extra_mut(&mut self, node: &str) -> &mut Extra {
        self.extra.get_mut(node).unwrap_or_else(|| panic!("no machine {node}"))
    }

    pub(crate) fn machine(&mut self, node: &str) -> &mut MachineFacts {
        let found = self.facts.nodes.iter_mut().find(|known| known.name.as_str() == node);
        match &mut found.unwrap_or_else(|| panic!("no machine {node}")).machine {
            Seen::Known(machine) => machine,
            Seen::Unknown(why) => panic!("{node}: {why}"),
        }
    }

    pub(crate) fn api(&mut self) -> &mut ApiFacts {
        match &mut self.facts.api {
            Seen::Known(api) => api,
            Seen::Unknown(why) => panic!("{why}"),
        }
    }

    pub(crate) fn kube_node(&mut self, node: &str) -> &mut windlass::facts::KubeNode {
        let found = self.api().nodes.iter_mut().find(|known| known.name == node);
        found.unwrap_or_else(|| panic!("no node {node}"))
    }

    fn answer(&mut self, node: &str, call: &Call, clock: &VirtualClock) -> Output {
        let arg = |at: usize| call.args.get(at).map(String::as_str);
        match call.script {
            Script::Probe => {
                let (sections, packages) = (arg(0).unwrap(), arg(1).unwrap());
                let extra = self.extra[node].clone();
                let now = clock.now().as_millisecond();
                said(text::probe(self.machine(node), &extra, sections, packages, now))
            }
            Script::Api => {
                assert_eq!(arg(1), Some("/etc/kubernetes/admin.conf"));
                let up = self.api_up(node);
                said(text::api(&self.facts, up, arg(0).unwrap(), arg(2)))
            }
            Script::UnitStatus => self.unit_report(node, call),
            Script::LockTake => self.lock_take(node, call),
            Script::LockReplace => self.lock_replace(node, call),
            Script::LockRelease => self.lock_release(node, call),
            Script::CopyRead => self.copy_read(node, call),
            Script::TokenRaise => self.token_raise(node, call),
            _ => panic!("{node} cannot answer {call:?}"),
        }
    }

    /// The node runs an API server, and it answers.
    fn api_up(&mut self, node: &str) -> bool {
        let runs = self.machine(node).api_server.known().unwrap().is_some();
        runs && !self.extra[node].api_away
    }

    /// Takes the first trap that is set for this job.
    fn sprung(&mut self, job: &str, subject: &str) -> Option<Then> {
        let at = self.traps.iter().position(|trap| trap.job == job && trap.subject == subject)?;
        Some(self.traps.remove(at).then)
    }
}

/// Exit 0, with this on stdout.
fn said(text: String) -> Output {
    Output { status: 0, stdout: text, stderr: String::new() }
}

/// This exit status, with this on stdout.
fn refused(status: i32, text: impl std::fmt::Display) -> Output {
    Output { status, stdout: format!("{text}\n"), stderr: String::new() }
}

#[async_trait]
impl Remote for Cluster {
    async fn call(&self, node: &NodeName, call: &Call) -> Result<Output, RemoteError> {
        self.state().asked(node.as_str(), call);
        self.reach(node).await?;
        match call.script {
            Script::UnitWait => self.unit_wait(node, call).await,
            Script::UnitStart => self.unit_start(node, call),
            Script::CopyAppend => Ok(self.copy_append(node, call)),
            _ => Ok(self.state().answer(node.as_str(), call, &self.clock)),
        }
    }

    async fn send(&self, node: &NodeName, call: &Call, _: &Utf8Path) -> Result<Output, RemoteError> {
        self.state().calls.push((node.to_string(), call.clone()));
        self.reach(node).await?;
        assert_eq!(call.script, Script::PutFile, "nothing else is sent");
        Ok(self.state().put_file(node.as_str(), call))
    }

    async fn run_here(&self, argv: &[String], _: Duration) -> Result<Output, RemoteError> {
        panic!("no built-in playbook runs {argv:?} here")
    }

    async fn etcd_members(&self, node: &NodeName) -> Result<MemberList, RemoteError> {
        self.reach(node).await?;
        self.state().etcd_members(node)
    }

    async fn etcd_status(&self, node: &NodeName) -> Result<MemberStatus, RemoteError> {
        self.reach(node).await?;
        self.state().etcd_status(node)
    }

    async fn etcd_hash(&self, node: &NodeName, revision: u64) -> Result<HashKv, RemoteError> {
        self.reach(node).await?;
        Ok(self.state().etcd_hash(node, revision))
    }

    async fn etcd_snapshot(
        &self,
        node: &NodeName,
        into: &Utf8Path,
        wanted: &SnapshotWanted,
    ) -> Result<SnapshotContents, RemoteError> {
        self.reach(node).await?;
        self.state().etcd_snapshot(node, into, wanted)
    }
}
