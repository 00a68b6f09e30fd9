//! The seam: the world behind [`Remote`], with latency, lost connections and whatever else is set to strike.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8Path;
use windlass::decide::actions::certificates::Order;
use windlass::decide::call::{Call, Script};
use windlass::engine::Interrupts;
use windlass::facts::MemberStatus;
use windlass::inventory::NodeName;
use windlass::remote::{Clock, HashKv, MemberList, Output, Remote, RemoteError, SnapshotContents, SnapshotWanted};

use super::clock::VirtualClock;
use super::disk::{Fuse, kill};
use super::fault::{Then, Trap, When};
use crate::laws::Watch;
use crate::world::units::Odd;
use crate::world::{At, Happened, Later, SECOND, Spoil, World, refused};

/// One round trip.
const LATENCY: Duration = Duration::from_millis(20);
/// A new connection to a machine that is cut off is given up after this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// An open connection notices after this that its machine is cut off.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// A script that does not answer is given up after this: the seam's own limit for a call.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// The world, who watches it, and what is set to strike.
pub(crate) struct Inner {
    pub(crate) world: World,
    pub(crate) watch: Watch,
    pub(crate) traps: Vec<Trap>,
    /// Faults that struck.
    pub(crate) struck: Vec<Then>,
    /// Calls that got no answer.
    pub(crate) unanswered: u64,
    /// Every script that was called.
    pub(crate) calls: Vec<(String, Call)>,
    /// How many calls there were, of every kind.
    pub(crate) count: u64,
    /// Told when the operator is to interrupt.
    pub(crate) interrupts: Option<Arc<Interrupts>>,
    /// This machine is cut off when it is asked to give its lock back.
    pub(crate) silent_at_release: Option<&'static str>,
    /// The step that was last told to have begun.
    pub(crate) step: Option<String>,
    /// Windlass is stopped: it is not to be polled until somebody wakes it.
    pub(crate) stopped: bool,
    /// Makes round trips take different times, by a seed.
    pub(crate) jitter: Option<u64>,
}

impl Inner {
    fn advance(&mut self, now: Duration) {
        let watch = &mut self.watch;
        self.world.advance(now, &mut |world| watch.look(world));
    }

    /// What a round trip takes beyond the usual: nothing without a seed, else up to ten times as much (a linear congruential
    /// generator, Knuth's numbers).
    fn jitter(&mut self) -> Duration {
        let Some(state) = &mut self.jitter else { return Duration::ZERO };
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((*state >> 33) % 200)
    }

    /// Takes the first trap that is set for this call.
    fn sprung(&mut self, node: &str, call: Option<&Call>) -> Option<Trap> {
        self.count += 1;
        let (step, count) = (self.step.clone(), self.count);
        let at = self.traps.iter().position(|trap| trap.when.is(node, call, step.as_deref(), count))?;
        let trap = self.traps.remove(at);
        self.struck.push(trap.then.clone());
        Some(trap)
    }
}

/// The world as it is now, to look at and to change.
pub(crate) struct Now<'a> {
    inner: MutexGuard<'a, Inner>,
    changed: bool,
}

impl Now<'_> {
    pub(crate) fn inner(&mut self) -> &mut Inner {
        &mut self.inner
    }
}

impl Deref for Now<'_> {
    type Target = World;
    fn deref(&self) -> &World {
        &self.inner.world
    }
}

impl DerefMut for Now<'_> {
    fn deref_mut(&mut self) -> &mut World {
        self.changed = true;
        &mut self.inner.world
    }
}

impl Drop for Now<'_> {
    fn drop(&mut self) {
        if self.changed && !std::thread::panicking() {
            let inner = &mut *self.inner;
            inner.world.settle();
            inner.watch.look(&mut inner.world);
        }
    }
}

/// The world behind the seam.
pub(crate) struct Simulation {
    inner: Mutex<Inner>,
    pub(crate) clock: VirtualClock,
    pub(crate) fuse: Arc<Fuse>,
}

impl Simulation {
    pub(crate) fn new(world: World, watch: Watch, clock: VirtualClock) -> Self {
        let inner = Inner {
            world,
            watch,
            traps: Vec::new(),
            struck: Vec::new(),
            unanswered: 0,
            calls: Vec::new(),
            count: 0,
            interrupts: None,
            silent_at_release: None,
            step: None,
            stopped: false,
            jitter: None,
        };
        Self { inner: Mutex::new(inner), clock, fuse: Arc::default() }
    }

    /// The world as it is now: what was to happen until now has happened.
    pub(crate) fn now(&self) -> Now<'_> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.advance(self.clock.elapsed());
        Now { inner, changed: false }
    }

    pub(crate) fn trap(&self, when: When, then: Then) {
        self.now().inner().traps.push(Trap { when, then, elsewhere: None });
    }

    fn lost(node: &NodeName) -> RemoteError {
        RemoteError::InDoubt { node: node.clone(), cause: "connection timed out".into() }
    }

    /// What a fault does to the world when it strikes at a call to `at`; `about` is the machine that the call is about.
    fn strike(&self, at: At, about: At, then: &Then, call: Option<&Call>) {
        let mut now = self.now();
        // What is to happen to a unit happens once it is there; a mere question is struck itself.
        let soon = if call.is_some_and(|call| call.script == Script::UnitStart) { SECOND } else { Duration::ZERO };
        match then {
            Then::CutOff => now.after(SECOND, Later::CutOff(at)),
            Then::CutOffFor(how_long) => {
                now.after(soon, Later::CutOff(at));
                now.after(soon + *how_long, Later::Heal(at));
            }
            Then::FillDiskFor(how_long) => {
                now.machines[at].full = true;
                now.after(*how_long, Later::DiskFull(at, false));
            }
            Then::ApiAwayFor(how_long) if now.machines[at].plane.is_some() => {
                now.api_away(at, true);
                now.after(*how_long, Later::ApiBack(at));
            }
            Then::MemberAwayFor(how_long) => {
                if let Some(member) = now.member_of(at) {
                    now.member_away(member, true);
                    now.after(*how_long, Later::MemberBack(member));
                }
            }
            Then::CutOffSubject => now.after(SECOND, Later::CutOff(about)),
            Then::Reboot => now.after(soon, Later::PowerOff(at)),
            Then::Fence => now.machines[at].own.token += 10,
            Then::FillDisk => now.machines[at].full = true,
            Then::FillDiskLater => now.after(SECOND, Later::DiskFull(at, true)),
            Then::NodeClock(millis) => now.machines[at].skew_ms += millis,
            Then::Jump(seconds) => self.clock.jump(*seconds),
            Then::Stop => now.inner().stopped = true,
            _ => return,
        }
        now.happened(Happened::Fault);
    }

    /// The operator asks to stop.
    fn interrupt(&self, times: u8) {
        let interrupts = self.now().inner().interrupts.clone().expect("an engine");
        for _ in 0..times {
            interrupts.count_one();
        }
    }

    /// The way to a machine and what strikes on it: the fault that is still to be heeded.
    async fn reach(&self, node: &NodeName, call: Option<&Call>) -> Result<(At, Option<Then>), RemoteError> {
        let (at, trap) = {
            let mut now = self.now();
            let at = now.at(node.as_str());
            let trap = now.inner().sprung(node.as_str(), call);
            (at, trap)
        };
        if let Some(Trap { then, elsewhere, .. }) = &trap {
            let about = match call.filter(|call| call.script == Script::UnitStart) {
                Some(call) => {
                    let now = self.now();
                    now.at(&crate::world::units::subject(node.as_str(), &call.args[3], &call.args[4..]))
                }
                None => at,
            };
            self.strike(elsewhere.unwrap_or(at), about, then, call);
            if *then == Then::Stop {
                tokio::task::yield_now().await;
            }
        }
        // What strikes elsewhere does not touch this call.
        let then = trap.filter(|trap| trap.elsewhere.is_none()).map(|trap| trap.then);
        let latency = LATENCY + self.now().inner().jitter();
        self.clock.sleep(latency).await;
        if matches!(then, Some(Then::Refuse | Then::LoseRequest | Then::LoseAnswer | Then::Hang)) {
            self.now().inner().unanswered += 1;
        }
        let cut = {
            let now = self.now();
            now.machines[at].cut_off || !now.machines[at].up
        };
        if cut {
            self.now().inner().unanswered += 1;
            self.clock.sleep(CONNECT_TIMEOUT).await;
            return Err(RemoteError::NotStarted { node: node.clone(), cause: "connection timed out".into() });
        }
        match then {
            Some(Then::Refuse) => {
                Err(RemoteError::NotStarted { node: node.clone(), cause: "connection refused".into() })
            }
            Some(Then::LoseRequest) => Err(Self::lost(node)),
            Some(Then::Hang) => {
                self.clock.sleep(CALL_LIMIT).await;
                Err(Self::lost(node))
            }
            then => Ok((at, then)),
        }
    }

    /// Waits for a unit's end, at most the time that the call allows.
    async fn unit_wait(&self, node: &NodeName, at: At, call: &Call) -> Result<Output, RemoteError> {
        let limit = self.clock.elapsed() + Duration::from_secs(call.args[2].parse().expect("seconds"));
        loop {
            let (running, cut) = {
                let now = self.now();
                (now.unit_runs(at, call), now.machines[at].cut_off || !now.machines[at].up)
            };
            if cut {
                self.now().inner().unanswered += 1;
                self.clock.sleep(KEEPALIVE).await;
                return Err(Self::lost(node));
            }
            if !running || self.clock.elapsed() >= limit {
                return Ok(self.now().answer(at, call));
            }
            self.clock.sleep(Duration::from_millis(500)).await;
        }
    }

    fn unit_start(&self, node: &NodeName, at: At, call: &Call, then: Option<&Then>) -> Result<Output, RemoteError> {
        let mut odd = Odd::default();
        match then {
            Some(Then::Fail(status)) => odd.fails = Some(*status),
            Some(Then::FailAfter(status)) => odd.fails_after = Some(*status),
            Some(Then::FailUnder(name, version)) => {
                (odd.fails_after, odd.stranger) = (Some(100), Some((*name, *version)));
            }
            Some(Then::FailSaying(words)) => (odd.fails, odd.says) = (Some(1), Some(*words)),
            Some(Then::Idle(idles) | Then::IdleAndKill(idles)) => odd.idles = *idles,
            Some(Then::Stick) => odd.stuck = true,
            // Until the operator has noticed.
            Some(Then::CutOffSubject | Then::CutOffFor(_)) => odd.idles = SECOND * 60,
            Some(Then::Reboot) => odd.idles = SECOND * 10,
            Some(Then::FillDiskLater) => odd.idles = SECOND * 2,
            Some(Then::UncordonAfter) => odd.uncordons = true,
            _ => {}
        }
        let answer = self.now().unit_start(at, call, odd);
        if answer.status == 0 {
            self.fuse.burn();
        }
        self.answered(node, then)?;
        if then == Some(&Then::OddStart) { Ok(refused(7, "")) } else { Ok(answer) }
    }

    /// What strikes on the way back, when the effect was had.
    fn answered(&self, node: &NodeName, then: Option<&Then>) -> Result<(), RemoteError> {
        match then {
            Some(Then::Kill | Then::IdleAndKill(_)) => kill(),
            Some(Then::LoseAnswer) => return Err(Self::lost(node)),
            Some(Then::Interrupt(times)) => self.interrupt(*times),
            _ => {}
        }
        Ok(())
    }

    /// Killed here, the piece is on the first control plane's disk and the operator does not know.
    fn copy_append(&self, node: &NodeName, at: At, call: &Call, then: Option<&Then>) -> Output {
        if let Some(Then::Fail(status)) = then {
            return refused(*status, "");
        }
        let answer = self.now().answer(at, call);
        if node.as_str() == "cp1" {
            self.fuse.burn();
        }
        answer
    }

    /// A question to the member on a node.
    async fn ask_etcd<T>(
        &self,
        node: &NodeName,
        ask: impl FnOnce(&mut World, At) -> Result<T, String> + Send,
    ) -> Result<T, RemoteError> {
        let (at, then) = self.reach(node, None).await?;
        let answer = ask(&mut self.now(), at);
        self.answered(node, then.as_ref())?;
        answer.map_err(|what| RemoteError::Etcd { node: node.clone(), what })
    }
}

#[async_trait]
impl Remote for Simulation {
    async fn call(&self, node: &NodeName, call: &Call) -> Result<Output, RemoteError> {
        {
            let mut now = self.now();
            let inner = now.inner();
            inner.calls.push((node.to_string(), call.clone()));
            if call.script == Script::LockRelease && inner.silent_at_release == Some(node.as_str()) {
                inner.silent_at_release = None;
                now.machine(node.as_str()).cut_off = true;
            }
        }
        let (at, then) = self.reach(node, Some(call)).await?;
        if call.script == Script::UnitStart {
            return self.unit_start(node, at, call, then.as_ref());
        }
        let answer = match call.script {
            Script::UnitWait => self.unit_wait(node, at, call).await?,
            Script::CopyAppend => self.copy_append(node, at, call, then.as_ref()),
            _ => self.now().answer(at, call),
        };
        self.answered(node, then.as_ref())?;
        Ok(answer)
    }

    async fn send(&self, node: &NodeName, call: &Call, _: &Utf8Path) -> Result<Output, RemoteError> {
        assert_eq!(call.script, Script::PutFile, "the simulation does not know what else is sent");
        self.now().inner().calls.push((node.to_string(), call.clone()));
        let (at, then) = self.reach(node, Some(call)).await?;
        let answer = self.now().answer(at, call);
        self.answered(node, then.as_ref())?;
        Ok(answer)
    }

    async fn certify(&self, node: &NodeName, token: String, name: String, _: &Order) -> Result<Output, RemoteError> {
        let args = vec![token, name, "0".repeat(64), "1000".to_owned()];
        self.send(node, &Call { script: Script::PutFile, args }, Utf8Path::new("made")).await
    }

    async fn run_here(&self, argv: &[String], _: Duration) -> Result<Output, RemoteError> {
        panic!("the simulation does not know {argv:?} on the operator's machine")
    }

    async fn etcd_members(&self, node: &NodeName) -> Result<MemberList, RemoteError> {
        self.ask_etcd(node, |world, at| world.etcd_members(at)).await
    }

    async fn etcd_status(&self, node: &NodeName) -> Result<MemberStatus, RemoteError> {
        self.ask_etcd(node, |world, at| world.etcd_status(at)).await
    }

    async fn etcd_hash(&self, node: &NodeName, revision: u64) -> Result<HashKv, RemoteError> {
        self.ask_etcd(node, move |world, at| world.etcd_hash(at, revision)).await
    }

    async fn etcd_snapshot(
        &self,
        node: &NodeName,
        into: &Utf8Path,
        wanted: &SnapshotWanted,
    ) -> Result<SnapshotContents, RemoteError> {
        assert_eq!(into.extension(), Some("db"), "{into}");
        let contents = self.ask_etcd(node, |world, at| world.etcd_snapshot(at, wanted)).await?;
        if self.now().etcd.spoil == Some(Spoil::NoRoomHere) {
            let cause = std::io::ErrorKind::StorageFull.into();
            return Err(RemoteError::Local { what: format!("write {into}"), cause });
        }
        match wanted.fault(&contents) {
            Some(why) => Err(RemoteError::BadSnapshot { node: node.clone(), why }),
            None => Ok(contents),
        }
    }
}
