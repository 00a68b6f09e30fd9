//! One cell: a step interrupted in one way.

use std::future::poll_fn;
use std::sync::PoisonError;
use std::task::Poll;
use std::time::Duration;

use windlass::engine::Outcome;
use windlass::error::{Exit, Failure};
use windlass::remote::Clock;

use super::rules::{Kind, Nature};
use super::{Counts, Reference, holds};
use crate::bench::{Bench, bob, survive};
use crate::focused::timeless;

/// Tries that a plan may need: the interrupted one, one that finds traces of it, one more, and one that ends well.
const TRIES: usize = 4;
/// Until a person has put right what needs one, and machines and services are up again.
const PUT_RIGHT: Duration = Duration::from_secs(120);

pub(super) struct Cell<'a> {
    reference: &'a Reference,
    bench: Bench,
    step: &'a str,
    nature: Nature,
    kind: Kind,
}

impl<'a> Cell<'a> {
    pub(super) fn new(reference: &'a Reference, step: &'a str, nature: Nature, kind: Kind) -> Self {
        Self { reference, bench: (reference.make)(), step, nature, kind }
    }

    /// Killed at a place where that could matter.
    pub(super) async fn killed(reference: &Reference, place: i64) {
        let bench = (reference.make)();
        let ended = bench.run_until(place).await;
        assert!(ended.is_none(), "there is no place {place}");
        let told = format!("killed at place {place}");
        end_well(&bench, &told).await;
        assert_end(&bench, reference, &told).await;
        assert_same(&bench.counts(), &reference.counts, &told);
    }

    fn told(&self) -> String {
        format!("{} × {} ({:?})", self.step, self.kind.words(), self.nature)
    }

    pub(super) async fn try_out(&self) {
        let told = self.told();
        let (when, then) = self.kind.trap(self.step, self.nature);
        self.bench.sim.trap(when, then);
        if self.kind == Kind::SecondOperator {
            self.taken_over(&told).await;
        } else {
            match survive(self.bench.run()).await {
                None if self.kind == Kind::Forgotten => self.reboot_unseen().await,
                None if self.kind == Kind::RunningAtResume => {}
                None => put_right(&self.bench).await,
                Some(Ok(_)) => {}
                Some(Err(failure)) => {
                    assert_reasoned(&failure, &told);
                    put_right(&self.bench).await;
                }
            }
            end_well(&self.bench, &told).await;
        }
        assert_end(&self.bench, self.reference, &told).await;
        self.assert_hit(&told);
    }

    /// The machine of the unit at work loses its power while nobody looks.
    async fn reboot_unseen(&self) {
        {
            let mut now = self.bench.now();
            let at = now.begun.last().expect("a job").on;
            now.power_off(at);
        }
        self.bench.clock.sleep(Duration::from_secs(60)).await;
    }

    /// Windlass is stopped in the middle; another operator takes the lock over, goes on with the journal that the control planes
    /// have, and ends; then the first one wakes up.
    async fn taken_over(&self, told: &str) {
        let bench = &self.bench;
        let mut first = Box::pin(bench.run());
        let ended = poll_fn(|context| match first.as_mut().poll(context) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if bench.now().inner().stopped => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        assert!(ended.await.is_none(), "{told}: it was not stopped");
        let (disk, listener) = (bench.fetched().await, bench.listener());
        let mut tries = 0;
        loop {
            match bench.run_with(&bob(), &disk, true, &listener).await {
                Ok(_) => break,
                Err(failure) => {
                    assert_reasoned(&failure, told);
                    tries += 1;
                    assert!(tries < TRIES, "{told}: the second operator makes no way: {failure}");
                    put_right(bench).await;
                }
            }
        }
        let took = disk.lock().unwrap_or_else(PoisonError::into_inner).text.contains("\"took-over\"");
        assert!(took, "{told}: nothing was taken over");
        let acts = bench.now().begun.len();
        let woken = first.await;
        assert_eq!(bench.now().begun.len(), acts, "{told}: the first operator acted after the second: {woken:?}");
    }

    /// The fault struck, and had the traces that it has to have.
    fn assert_hit(&self, told: &str) {
        let mut now = self.bench.now();
        assert_eq!(now.inner().struck.len(), 1, "{told}: it never struck");
        let loses =
            matches!(self.kind, Kind::ErrorBefore | Kind::LostBefore | Kind::LostAfter | Kind::LostWhileRunning);
        assert!(!loses || now.inner().unanswered > 0, "{told}: every call was answered");
        if matches!(self.kind, Kind::Forgotten) || self.kind == Kind::Reboot && self.nature == Nature::Unit {
            assert!(now.begun.iter().any(|begun| begun.ended.is_some_and(|(_, status)| status == 255)), "{told}");
        }
        if self.kind == Kind::Reboot {
            assert!(now.machines.iter().any(|machine| machine.boot > 0), "{told}: nothing was rebooted");
        }
        let proofs: Vec<_> = now.begun.iter().filter(|begun| begun.job == PROOF).cloned().collect();
        drop(now);
        let step = self.step.replace('/', ".");
        let own: Vec<_> = proofs.iter().filter(|begun| begun.unit.starts_with(&step)).collect();
        if self.kind == Kind::RunningAtResume && !own.is_empty() {
            // What it said was for whoever waited for it; the next one begins when it has ended.
            let one_by_one = own.windows(2).all(|pair| pair[0].ended.is_some_and(|(ended, _)| ended <= pair[1].at));
            assert!(own.len() == 2 && one_by_one, "{told}: {own:?}");
        } else if self.kind == Kind::RunningAtResume {
            let attached = self.bench.events().into_iter().any(|event| match event {
                windlass::journal::Event::Finished { step, how, .. } => {
                    step == self.step && how == windlass::journal::How::Attached
                }
                _ => false,
            });
            assert!(attached, "{told}: the unit was not found at work");
        }
    }
}

/// What a person does between tries, and the time that it takes.
async fn put_right(bench: &Bench) {
    bench.now().put_right();
    bench.clock.put_right();
    bench.clock.sleep(PUT_RIGHT).await;
}

/// A stop has a reason and says how to go on, and is no bug and no drift.
fn assert_reasoned(failure: &Failure, told: &str) {
    let expected = matches!(failure.exit, Exit::StepFailed | Exit::Unreachable | Exit::Interrupted | Exit::Refused);
    assert!(expected && !failure.causes.is_empty(), "{told}: {failure}");
    assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains("windlass upgrade apply")), "{told}: {failure}");
}

/// The same plan again, until it is carried out.
async fn end_well(bench: &Bench, told: &str) {
    for _ in 0..TRIES {
        match bench.run().await {
            Ok(Outcome::WasRaised) => return,
            Ok(Outcome::Raised) => {}
            Err(failure) => {
                assert_reasoned(&failure, told);
                put_right(bench).await;
            }
        }
    }
    let failure = bench.run().await;
    panic!("{told}: it makes no way: {failure:?}");
}

/// Everything is as after a run without faults.
async fn assert_end(bench: &Bench, reference: &Reference, told: &str) {
    let broken: Vec<String> = bench.now().inner().watch.broken.iter().map(ToString::to_string).collect();
    assert!(broken.is_empty(), "{told}:\n{}", broken.join("\n"));
    assert_eq!(bench.locked(), [""; 0], "{told}: the lock is left behind");
    assert_eq!(holds(bench), reference.holds, "{told}: holds");
    assert!(bench.now().begun.iter().all(|begun| begun.ended.is_some()), "{told}: something still runs");
    put_right(bench).await;
    let (end, wanted) = (timeless(bench.seen().await), &reference.end);
    if end != *wanted {
        let (end, wanted) = (format!("{end:#?}"), format!("{wanted:#?}"));
        let other = end.lines().zip(wanted.lines()).find(|(end, wanted)| end != wanted);
        panic!("{told}: the cluster is not as after a run without faults: {other:?}");
    }
}

/// A drain is done again when its node's kubelet is not raised yet: its step was finished, but pods may have come while
/// nobody looked, and so an API server is taken out of service again at both load balancers. A snapshot that is in doubt is taken and proven anew, wherever that is done then. Every other job is found by
/// its unit's name or by its effect, and never done twice.
fn assert_same(counts: &Counts, whole: &Counts, told: &str) {
    let proof = |counts: &Counts| counts.iter().filter(|((job, _), _)| job == PROOF).map(|(_, count)| count).sum();
    let (found, wanted): (usize, usize) = (proof(counts), proof(whole));
    assert!((wanted..=wanted + 1).contains(&found), "{told}: {found} proofs, not {wanted}");
    for ((job, subject), count) in whole.iter().filter(|((job, _), _)| job != PROOF) {
        let found = counts.get(&(job.clone(), subject.clone())).copied().unwrap_or(0);
        let most = count
            + match job.as_str() {
                "drain" => 1,
                "drain-server" => 2,
                _ => 0,
            };
        assert!((*count..=most).contains(&found), "{told}: {job} {subject} ran {found} times, not {count}");
    }
    let others = |counts: &Counts| counts.keys().filter(|(job, _)| job != PROOF).count();
    assert_eq!(others(counts), others(whole), "{told}: {counts:?}");
}

/// The job that proves a snapshot.
const PROOF: &str = "prove-snapshot";
