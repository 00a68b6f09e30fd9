//! Jobs that fail, and nodes that are lost or rebooted in the middle of one.

use std::time::Duration;

use windlass::error::Exit;
use windlass::journal::{Event, Standing};
use windlass::remote::Clock;

use crate::bench::{Bench, ETCD, MINOR};
use crate::seams::fault::Then;

#[tokio::test(start_paused = true)]
async fn a_failed_job_stops_the_run_and_the_next_run_goes_on() {
    for (job, subject, cordoned) in [
        ("fetch-packages", "etcd1", false),
        ("pull-images", "w2", false),
        ("install-packages", "etcd3", false),
        ("kubeadm-plan", "cp1", false),
        ("kubeadm-apply", "cp1", false),
        ("kubeadm-node", "cp3", false),
        ("cordon", "cp2", false),
        ("drain", "cp2", true),
        ("kubelet-restart", "cp2", true),
        ("drain", "w1", true),
        ("kubelet-restart", "w1", true),
        ("uncordon", "w2", true),
    ] {
        let bench = Bench::new(MINOR);
        bench.when(job, subject, Then::Fail(1));
        let failure = bench.fail().await;
        assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
        assert!(failure.causes[0].ends_with("ended with status 1"), "{failure}");
        assert_eq!(failure.log, [format!("{job} began"), "and said more".to_owned()]);
        let stays = failure.hint.clone().unwrap().contains(&format!("{subject} stays cordoned"));
        assert_eq!(stays, cordoned, "{failure}");
        assert_eq!(bench.locked(), [""; 0]);
        assert!(bench.events().iter().any(|event| matches!(event, Event::Failed { in_doubt: false, .. })));
        if cordoned {
            assert!(bench.now().node(subject).unschedulable, "{subject} after {job}");
        }
        let last = bench.jobs().last().cloned();
        bench.raise().await;
        let again = bench.counts()[&(job.to_owned(), subject.to_owned())];
        assert!(last.is_some() && again >= 2, "{job} {subject}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_node_stops_the_run_soon_and_its_job_goes_on() {
    for (job, subject, on) in [
        ("kubeadm-apply", "cp1", "cp1"),
        ("drain", "w1", "cp1"),
        ("kubelet-restart", "w1", "w1"),
        ("install-packages", "etcd3", "etcd3"),
        ("fetch-packages", "w2", "w2"),
    ] {
        let bench = Bench::new(MINOR);
        bench.when(job, subject, Then::CutOff);
        let failure = bench.fail().await;
        let began = bench.now().begun.iter().rfind(|b| b.job == job && b.subject == subject).unwrap().at;
        let took = bench.clock.elapsed().saturating_sub(began);
        assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
        assert!(failure.what.starts_with(&format!("lost {on} in step")), "{failure}");
        assert!(took < Duration::from_secs(60), "{job}: {took:?}");
        assert!(bench.history().steps.values().any(|standing| matches!(standing, Standing::InDoubt(_))), "{job}");
        assert!(!bench.locked().is_empty(), "the lock is kept while {job} may be under way");
        bench.now().machine(on).cut_off = false;
        bench.raise().await;
        assert_eq!(bench.counts()[&(job.to_owned(), subject.to_owned())], 1, "{job} was found, not done again");
        assert_eq!(bench.locked(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_cut_off_by_a_reboot_is_settled_by_looking() {
    for (job, subject) in
        [("install-packages", "w1"), ("kubeadm-apply", "cp1"), ("install-packages", "etcd1"), ("drain", "w2")]
    {
        let bench = Bench::new(MINOR);
        bench.when(job, subject, Then::Reboot);
        let failure = bench.fail().await;
        assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
        assert!(failure.causes[0].contains("it was rebooted in the middle of it"), "{failure}");
        assert_eq!(bench.locked(), [""; 0], "nothing is under way any more");
        bench.raise().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reboot_while_nobody_looks_is_settled_by_looking() {
    let bench = Bench::new(ETCD);
    bench.when("install-packages", "etcd3", Then::Interrupt(2));
    assert_eq!(bench.fail().await.exit, Exit::Interrupted);
    bench.power_off("etcd3");
    bench.clock.sleep(Duration::from_secs(60)).await;
    bench.raise().await;
    assert_eq!(bench.counts()[&("install-packages".to_owned(), "etcd3".to_owned())], 2);
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_answer_is_lost_happens_once() {
    for then in [Then::LoseAnswer, Then::LoseRequest, Then::OddStart] {
        let bench = Bench::new(MINOR);
        bench.when("kubeadm-apply", "cp1", then.clone());
        bench.when("install-packages", "etcd1", then.clone());
        bench.raise().await;
        for (job, subject) in [("kubeadm-apply", "cp1"), ("install-packages", "etcd1")] {
            assert_eq!(bench.counts()[&(job.to_owned(), subject.to_owned())], 1, "{then:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_too_long_is_left_running_and_waited_for_by_the_next_run() {
    let bench = Bench::new(MINOR);
    bench.when("kubeadm-apply", "cp1", Then::Idle(Duration::from_secs(3000)));
    let failure = bench.fail().await;
    assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
    assert!(failure.what.contains("takes too long"), "{failure}");
    assert!(!bench.locked().is_empty());
    bench.clock.sleep(Duration::from_secs(2400)).await;
    bench.raise().await;
    assert_eq!(bench.counts()[&("kubeadm-apply".to_owned(), "cp1".to_owned())], 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_lost_while_a_control_plane_drains_it_stops_the_run_too() {
    let bench = Bench::new(MINOR);
    bench.when("drain", "w1", Then::CutOffSubject);
    let failure = bench.fail().await;
    assert_eq!(failure.what, "lost w1 in step workers/w1/drain");
    bench.now().machine("w1").cut_off = false;
    bench.raise().await;
    assert_eq!(bench.counts()[&("drain".to_owned(), "w1".to_owned())], 1);
}

#[tokio::test(start_paused = true)]
async fn lanes_side_by_side_end_their_step_and_every_failure_is_told() {
    let bench = Bench::new(MINOR);
    bench.when("fetch-packages", "cp1", Then::Fail(100));
    bench.when("fetch-packages", "cp2", Then::Fail(100));
    let failure = bench.fail().await;
    assert_eq!(failure.what, "step prepare/cp1/packages failed on cp1");
    assert!(failure.causes[1].starts_with("also: step prepare/cp2/packages failed on cp2"), "{failure}");
    let state = bench.now();
    let third = state.begun.iter().find(|begun| begun.subject == "cp3").unwrap();
    assert!(third.ended.is_some(), "its step was ended");
    assert!(!state.begun.iter().any(|begun| begun.job == "pull-images"), "and the next one was not begun");
}
