//! One schedule, from the first process to the good end.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::time::Duration;

use windlass::engine::Outcome;
use windlass::error::{Exit, Failure};
use windlass::facts::Facts;
use windlass::journal::Standing;
use windlass::remote::Clock;

use super::drawn::Schedule;
use crate::bench::{Bench, Raise};
use crate::focused::timeless;
use crate::seams::fault::{Trap, When};
use crate::world::Machine;

/// Before each try of the last, undisturbed process, in seconds: one may still find traces of faults, and who is told that a
/// unit was left running waits longer. Together they are more than the slowest job dawdles.
const LAST_TRIES_AFTER: [u64; 3] = [120, 300, 600];
/// Longer than any run takes, in virtual time.
const FOR_EVER: Duration = Duration::from_secs(14 * 86_400);

/// What a schedule that went well has shown.
#[derive(Debug)]
pub(super) struct Ride {
    pub(super) steps: BTreeSet<String>,
    pub(super) struck: Vec<&'static str>,
    pub(super) states: BTreeSet<u64>,
    pub(super) restarts: u64,
    pub(super) journal: String,
}

/// Rides a schedule in a runtime of its own; why it went wrong, if it did.
pub(super) fn ride(schedule: &Schedule) -> Result<Ride, String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().map_err(|error| error.to_string())?;
    let ridden = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let whole = tokio::time::timeout(FOR_EVER, through(schedule));
            whole.await.unwrap_or_else(|_| Err("it never ends".to_owned()))
        })
    }));
    ridden.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(format!("it panics: {}", words.unwrap_or("without words")))
    })
}

fn bench(raise: Raise, stacked: bool) -> Bench {
    if stacked { Bench::stacked_raise(raise) } else { Bench::new(raise) }
}

async fn through(schedule: &Schedule) -> Result<Ride, String> {
    let bench = bench(schedule.raise, schedule.stacked);
    let traps = schedule.faults.iter().map(|fault| Trap {
        when: When::Call(fault.call),
        then: fault.then.clone(),
        elsewhere: fault.elsewhere,
    });
    bench.now().inner().traps = traps.collect();
    let mut states = BTreeSet::new();
    let mut restarts = 0;
    for cut in &schedule.cuts {
        let ended = bench.run_until(cut.burns.map_or(i64::MAX, i64::from)).await;
        restarts += 1;
        states.insert(state(&bench));
        reasoned(ended)?;
        lawful(&bench)?;
        bench.clock.sleep(Duration::from_secs(cut.pause)).await;
    }
    // What has not struck yet may strike this one; afterwards nothing does any more.
    reasoned(bench.run_until(i64::MAX).await)?;
    states.insert(state(&bench));
    bench.now().inner().traps.clear();
    for pause in LAST_TRIES_AFTER {
        put_right(&bench, pause).await;
        let ended = bench.run().await;
        states.insert(state(&bench));
        lawful(&bench)?;
        if ended.is_ok() {
            break;
        }
        reasoned(Some(ended))?;
    }
    match bench.run().await {
        Ok(Outcome::WasRaised) => {}
        other => return Err(format!("it does not end well: {other:?}")),
    }
    lawful(&bench)?;
    at_its_end(&bench, schedule).await?;
    let steps = bench.history().steps.into_keys().collect();
    let struck = bench.now().inner().struck.iter().map(crate::seams::fault::Then::words).collect();
    let journal = bench.disk.lock().unwrap_or_else(PoisonError::into_inner).text.clone();
    Ok(Ride { steps, struck, states, restarts, journal })
}

async fn put_right(bench: &Bench, pause: u64) {
    bench.now().put_right();
    bench.clock.put_right();
    bench.clock.sleep(Duration::from_secs(pause)).await;
}

/// A stop has a reason, and is neither a bug nor drift.
fn reasoned(ended: Option<Result<Outcome, Failure>>) -> Result<(), String> {
    match ended {
        None | Some(Ok(_)) => Ok(()),
        Some(Err(failure)) => {
            let fits = matches!(failure.exit, Exit::StepFailed | Exit::Unreachable | Exit::Interrupted | Exit::Refused);
            if fits && failure.hint.is_some() { Ok(()) } else { Err(format!("an unreasonable stop: {failure}")) }
        }
    }
}

fn lawful(bench: &Bench) -> Result<(), String> {
    let broken: Vec<String> = bench.now().inner().watch.broken.iter().map(ToString::to_string).collect();
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
}

/// Everything is as after a run without faults.
async fn at_its_end(bench: &Bench, schedule: &Schedule) -> Result<(), String> {
    let locked = bench.locked();
    if !locked.is_empty() {
        return Err(format!("the lock is left on {locked:?}"));
    }
    {
        let now = bench.now();
        if let Some(node) = now.kube.nodes.iter().find(|node| node.unschedulable) {
            return Err(format!("{} stays cordoned", node.told.name));
        }
        let out = |machine: &&Machine| machine.balancer.as_ref().is_some_and(|balancer| !balancer.out.is_empty());
        if let Some(machine) = now.machines.iter().find(out) {
            return Err(format!("{} does not lead to all control planes", machine.name));
        }
        let packages = || now.machines.iter().flat_map(|machine| machine.packages.iter().map(move |it| (machine, it)));
        if let Some((machine, (name, _))) = packages().find(|(_, (_, package))| !package.held) {
            return Err(format!("{name} on {} has lost its hold", machine.name));
        }
    }
    put_right(bench, LAST_TRIES_AFTER[0]).await;
    let (end, wanted) = (timeless(bench.seen().await), whole(schedule));
    if end == wanted {
        return Ok(());
    }
    let (end, wanted) = (format!("{end:#?}"), format!("{wanted:#?}"));
    let other = end.lines().zip(wanted.lines()).find(|(end, wanted)| end != wanted);
    Err(format!("the cluster is not as after a run without faults: {other:?}"))
}

/// What the cluster looks like after a run without faults; looked up once.
fn whole(schedule: &Schedule) -> Facts {
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    static WHOLE: Mutex<BTreeMap<(Raise, bool), Facts>> = Mutex::new(BTreeMap::new());
    if let Some(known) = WHOLE.lock().unwrap_or_else(PoisonError::into_inner).get(&(schedule.raise, schedule.stacked)) {
        return known.clone();
    }
    // In a thread of its own, because a runtime cannot be begun within another.
    let (raise, stacked) = (schedule.raise, schedule.stacked);
    let looked = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(crate::matrix::reference(move || bench(raise, stacked))).end
    });
    let facts = looked.join().expect("a run without faults");
    WHOLE.lock().unwrap_or_else(PoisonError::into_inner).insert((raise, stacked), facts.clone());
    facts
}

/// The world and the journal without times and counters.
fn state(bench: &Bench) -> u64 {
    let mut hasher = DefaultHasher::new();
    let now = bench.now();
    for machine in &now.machines {
        (machine.up, machine.full, machine.cut_off, machine.kubelet_config).hash(&mut hasher);
        machine.kubelet.as_ref().map(|kubelet| (kubelet.minor, kubelet.patch)).hash(&mut hasher);
        for package in machine.packages.values() {
            (&package.version, package.state.word(), package.held).hash(&mut hasher);
        }
        for component in machine.plane.iter().flat_map(|plane| &plane.components) {
            (component.manifest.minor, component.manifest.patch, component.runs.is_some()).hash(&mut hasher);
        }
        (machine.own.lock.is_some(), machine.own.units.len()).hash(&mut hasher);
    }
    for node in &now.kube.nodes {
        (node.ready, node.unschedulable, node.cordoned_by.is_some(), node.kubelet.minor).hash(&mut hasher);
    }
    for member in &now.etcd.members {
        (member.runs.as_ref().map(|runs| runs.minor), member.away, member.cluster.minor).hash(&mut hasher);
    }
    now.etcd.leader.hash(&mut hasher);
    drop(now);
    for (step, standing) in bench.history().steps {
        let standing = match standing {
            Standing::Finished => 0,
            Standing::Failed(attempt) => attempt.number * 2,
            Standing::InDoubt(attempt) => attempt.number * 2 + 1,
        };
        (step, standing).hash(&mut hasher);
    }
    hasher.finish()
}
