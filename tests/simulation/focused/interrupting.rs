//! The operator asks to stop: once, after the step at hand; twice, at once.

use windlass::error::Exit;
use windlass::journal::Standing;

use crate::bench::{Bench, MINOR};
use crate::seams::fault::Then;

const WHERE: [(&str, &str); 6] = [
    ("fetch-packages", "etcd1"),
    ("install-packages", "etcd1"),
    ("kubeadm-apply", "cp1"),
    ("drain", "cp1"),
    ("kubelet-restart", "w1"),
    ("cordon", "w2"),
];

#[tokio::test(start_paused = true)]
async fn the_first_interrupt_finishes_the_step() {
    for (job, subject) in WHERE {
        let bench = Bench::new(MINOR);
        bench.when(job, subject, Then::Interrupt(1));
        let failure = bench.fail().await;
        assert_eq!(failure.exit, Exit::Interrupted, "{failure}");
        assert_eq!(failure.hint.as_deref(), Some("to go on, run `windlass upgrade apply plan.json`"));
        assert!(bench.history().steps.values().all(|standing| *standing == Standing::Finished), "{job}");
        assert_eq!(bench.locked(), [""; 0]);
        bench.raise().await;
        let most = 1 + usize::from(job == "drain");
        assert!(bench.counts()[&(job.to_owned(), subject.to_owned())] <= most, "{job}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_second_leaves_it_in_doubt_and_running() {
    for (job, subject) in WHERE {
        let bench = Bench::new(MINOR);
        bench.when(job, subject, Then::Interrupt(2));
        let failure = bench.fail().await;
        assert_eq!(failure.exit, Exit::Interrupted, "{failure}");
        assert!(failure.hint.clone().unwrap().contains("goes on there by itself"), "{failure}");
        assert!(bench.history().steps.values().any(|standing| matches!(standing, Standing::InDoubt(_))), "{job}");
        assert!(!bench.locked().is_empty(), "{job} is under way");
        bench.raise().await;
        assert_eq!(bench.counts()[&(job.to_owned(), subject.to_owned())], 1, "{job} was found, not done again");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_in_the_last_step_has_nothing_left_to_stop() {
    let bench = Bench::new(MINOR);
    bench.when("uncordon", "w2", Then::Interrupt(1));
    // The gate behind it is still to come, and so is the end.
    assert_eq!(bench.fail().await.exit, Exit::Interrupted);
    let jobs = bench.jobs();
    bench.raise().await;
    assert_eq!(bench.jobs(), jobs);
}
