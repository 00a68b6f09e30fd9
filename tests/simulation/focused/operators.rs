//! Two operators: the lock, who holds it, and the token that a replaced one cannot act under.

use std::sync::Arc;
use std::time::Duration;

use windlass::engine::{Operator, Outcome};
use windlass::error::Exit;

use crate::bench::{Bench, ETCD, MINOR, bob};
use crate::seams::fault::Then;

/// The run of `ann@desk`, killed while the first control plane is raised: its lock stays.
async fn left_behind() -> Bench {
    let bench = Bench::new(MINOR);
    bench.when("kubeadm-apply", "cp1", Then::Interrupt(2));
    assert_eq!(bench.fail().await.exit, Exit::Interrupted);
    assert_eq!(bench.locked(), ["cp1", "cp2", "cp3"]);
    bench
}

#[tokio::test(start_paused = true)]
async fn another_operator_is_told_who_holds_the_lock() {
    let bench = left_behind().await;
    let (jobs, disk) = (bench.jobs(), Arc::default());
    // The same plan, by another person, and by a person of the same name on another machine.
    for operator in [bob(), Operator { machine: "m3".to_owned(), ..bench.operator.clone() }] {
        let failure = bench.run_as(&operator, &disk).await.unwrap_err();
        assert_eq!(failure.exit, Exit::Refused, "{failure}");
        assert!(
            failure.causes[0].starts_with(&format!("ann@desk holds the lock for run {}", bench.plan.id)),
            "{failure}"
        );
        assert!(failure.hint.unwrap().contains("ann@desk"));
    }
    assert_eq!(bench.jobs(), jobs);
    assert_eq!(bench.locked(), ["cp1", "cp2", "cp3"], "and it is still theirs");
    bench.raise().await;
    assert_eq!(bench.locked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn another_plan_waits_for_the_lock_too() {
    let mut bench = left_behind().await;
    let first = bench.plan.clone();
    bench.plan.made_at += jiff::SignedDuration::from_secs(1);
    bench.plan = bench.plan.clone().sealed();
    let failure = bench.run_as(&bench.operator, &Arc::default()).await.unwrap_err();
    assert_eq!(failure.exit, Exit::Refused, "{failure}");
    assert!(failure.causes[0].contains(&format!("for run {}", first.id)), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn an_operator_who_was_replaced_acts_no_more() {
    for (job, subject) in [("kubeadm-node", "cp2"), ("kubelet-restart", "w1"), ("install-packages", "etcd3")] {
        let bench = Bench::new(MINOR);
        bench.when(job, subject, Then::Fence);
        let failure = bench.fail().await;
        assert_eq!(failure.exit, Exit::Refused, "{failure}");
        assert!(failure.causes[0].contains("another operator took the lock"), "{failure}");
        assert!(!bench.jobs().contains(&format!("{job} {subject}")), "{job} ran on {subject} under an old token");
        // The operator comes back on purpose, with a higher token.
        bench.raise().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_operator_after_another_may_raise_the_same_cluster() {
    let bench = Bench::new(MINOR);
    bench.raise().await;
    let outcome = bench.run_as(&bob(), &bench.disk).await.unwrap();
    assert_eq!(outcome, Outcome::WasRaised);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_a_silent_control_plane_kept_is_given_back_by_running_the_finished_plan() {
    let bench = Bench::new(ETCD);
    bench.now().inner().silent_at_release = Some("cp3");
    bench.raise().await;
    assert_eq!(bench.locked(), ["cp3"]);
    bench.now().machine("cp3").cut_off = false;
    let refused = bench.run_as(&bob(), &Arc::default()).await;
    assert_eq!(refused.unwrap_err().exit, Exit::Refused, "it is still held");
    assert_eq!(bench.run().await.unwrap(), Outcome::WasRaised);
    assert_eq!(bench.locked(), [""; 0]);
}

/// Its disk is full when the resumed run takes the lock, so that it keeps the file of the first try.
#[tokio::test(start_paused = true)]
async fn a_lock_file_of_an_earlier_try_is_given_back_too() {
    let bench = Bench::new(ETCD);
    assert!(bench.run_until(12).await.is_none(), "it was to be killed");
    bench.now().machine("cp2").full = true;
    let make_room = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        bench.now().machine("cp2").full = false;
    };
    let (outcome, ()) = tokio::join!(bench.run(), make_room);
    assert_eq!(outcome.unwrap(), Outcome::Raised);
    assert_eq!(bench.locked(), [""; 0]);
}
