//! Killed anywhere, a run goes on: right before, in the middle of and right after every journal write, and right after
//! every unit was started.

use std::collections::BTreeMap;

use windlass::engine::Outcome;

use crate::bench::{Bench, ETCD, MINOR, Raise};
use crate::seams::fault::Then;

type Counts = BTreeMap<(String, String), usize>;

/// A drain is done again when its node's kubelet is not raised yet: its step was finished, but pods may have come while
/// nobody looked. Every other job is found by its unit's name or by its effect, and never done twice.
fn may_run_twice(job: &str) -> bool {
    job == "drain"
}

fn assert_same(killed_at: i64, counts: &Counts, whole: &Counts) {
    for (key, count) in whole {
        let found = counts.get(key).copied().unwrap_or(0);
        let most = if may_run_twice(&key.0) { count + 1 } else { *count };
        assert!((*count..=most).contains(&found), "killed at {killed_at}: {key:?} ran {found} times, not {count}");
    }
    assert_eq!(counts.len(), whole.len(), "killed at {killed_at}: {counts:?}");
}

/// Kills at each `step`-th position from `first` on, and goes on in a new process each time.
async fn killed_everywhere(target: Raise, first: i64, step: i64) -> i64 {
    let bench = Bench::new(target);
    bench.raise().await;
    let whole = bench.counts();
    let mut at = first;
    loop {
        let bench = Bench::new(target);
        if let Some(ended) = bench.run_until(at).await {
            assert_eq!(ended.unwrap(), Outcome::Raised);
            return at;
        }
        if bench.history().completed {
            assert_eq!(bench.run().await.unwrap(), Outcome::WasRaised);
        } else {
            bench.raise().await;
        }
        assert_eq!(bench.locked(), [""; 0], "killed at {at}: the lock is left behind");
        assert_same(at, &bench.counts(), &whole);
        assert!(
            bench.now().kube.nodes.iter().all(|node| !node.unschedulable),
            "killed at {at}: something stays cordoned"
        );
        bench.assert_lawful();
        at += step;
    }
}

#[tokio::test(start_paused = true)]
async fn a_minor_killed_at_any_place_is_completed_even() {
    assert!(killed_everywhere(MINOR, 2, 2).await > 250);
}

#[tokio::test(start_paused = true)]
async fn a_minor_killed_at_any_place_is_completed_odd() {
    assert!(killed_everywhere(MINOR, 1, 2).await > 250);
}

#[tokio::test(start_paused = true)]
async fn killed_again_and_again_it_is_completed() {
    for every in [7, 23, 61] {
        let bench = Bench::new(ETCD);
        let mut runs = 0;
        while !bench.history().completed {
            let _ = bench.run_until(every + runs).await;
            runs += 1;
            assert!(runs < 200, "it makes no way");
        }
        assert!(bench.now().begun.iter().all(|begun| begun.ended.is_some_and(|(_, status)| status == 0)));
    }
}

/// It was Ready when the run was stopped; only a Ready node is uncordoned (law 6).
#[tokio::test(start_paused = true)]
async fn a_node_that_is_not_ready_any_more_is_not_uncordoned_on_resume() {
    let bench = Bench::new(MINOR);
    bench.when("uncordon", "w1", Then::Fail(1));
    bench.fail().await;
    let ready = |is: bool| {
        let mut now = bench.now();
        let node = now.node("w1");
        node.ready = is;
        node.unschedulable
    };
    ready(false);
    let failure = bench.fail().await;
    assert!(failure.what.starts_with("step workers/w1/await-ready had no effect"), "{failure}");
    assert!(ready(true), "it was uncordoned");
    bench.raise().await;
}
