//! Killed again and again, a run goes on; what it finds is looked at anew. One kill at each place is the matrix's.

use crate::bench::{Bench, ETCD, MINOR};
use crate::seams::fault::Then;

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
