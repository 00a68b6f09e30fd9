//! Giving a run up: in every stage, in the middle of every kind of step, killed anywhere; and the end of what was kept.

use std::time::Duration;

use windlass::engine::Abort;
use windlass::error::Exit;
use windlass::facts::{Facts, Seen};
use windlass::journal::{Event, GivenUp};
use windlass::remote::Clock as _;

use super::undoing::fall_sick;
use crate::bench::{Bench, ETCD, MINOR};
use crate::seams::fault::Then;
use crate::world::{Dpkg, Machine, Package, Sick};

/// What is left of a run that was given up well.
async fn aborted(bench: &Bench) -> (Facts, Vec<String>) {
    match bench.abort().await {
        Ok(Abort::Aborted { facts, stays }) => (*facts, stays),
        other => panic!("{other:?}"),
    }
}

/// Nothing of a run is left on the cluster but versions that may stand beside each other.
fn supported(bench: &Bench, what: &str) {
    bench.assert_lawful();
    let now = bench.now();
    assert!(now.kube.nodes.iter().all(|node| !node.unschedulable), "{what}: something stays cordoned");
    let out = |machine: &Machine| machine.balancer.as_ref().is_some_and(|balancer| !balancer.out.is_empty());
    assert!(!now.machines.iter().any(out), "{what}: a load balancer does not lead to all control planes");
    let oldest = now.planes().map(|(_, plane)| plane.server().minor).min().unwrap();
    for (at, machine) in now.machines.iter().enumerate() {
        let sound = |package: &Package| package.held && package.state == Dpkg::Installed;
        assert!(machine.packages.values().all(sound), "{what}: {} {:?}", machine.name, machine.packages);
        if let Some(kubelet) = &machine.kubelet {
            assert!(kubelet.minor <= oldest, "{what}: {} runs a newer kubelet than an API server", machine.name);
            assert_eq!(*kubelet, machine.upstream("kubelet"), "{what}: {}", machine.name);
        }
        if let Some(plane) = &machine.plane {
            let settled = plane.components.iter().all(|component| component.manifest == *plane.server());
            assert!(settled, "{what}: {} has components apart", machine.name);
        }
        if let Some(member) = now.member_of(at) {
            let runs = now.etcd.members[member].runs.as_ref();
            assert_eq!(runs, Some(&machine.upstream("etcd-server")), "{what}: {}", machine.name);
        }
    }
    drop(now);
    assert_eq!(bench.locked(), [""; 0], "{what}: the lock is left behind");
    assert!(matches!(bench.events()[..], [.., Event::Aborted, Event::Released { .. }]), "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_run_is_given_up_after_a_failure_in_any_stage() {
    for (job, node) in [
        ("archive", "w1"),
        ("fetch-packages", "etcd1"),
        ("pull-images", "w2"),
        ("install-packages", "etcd3"),
        ("install-packages", "cp1"),
        ("kubeadm-plan", "cp1"),
        ("kubeadm-apply", "cp1"),
        ("install-packages", "cp2"),
        ("kubeadm-node", "cp3"),
        ("cordon", "cp2"),
        ("drain", "cp2"),
        ("kubelet-restart", "cp2"),
        ("install-packages", "w1"),
        ("kubeadm-node", "w1"),
        ("drain", "w1"),
        ("kubelet-restart", "w1"),
        ("uncordon", "w2"),
    ] {
        for after in [false, true] {
            let bench = Bench::new(MINOR);
            bench.when(job, node, if after { Then::FailAfter(1) } else { Then::Fail(1) });
            bench.fail().await;
            let what = format!("{job} {node} {after}");
            let (_, stays) = aborted(&bench).await;
            assert!(stays.is_empty(), "{what}: {stays:?}");
            supported(&bench, &what);
            let failure = bench.fail().await;
            assert_eq!((failure.exit, failure.what), (Exit::Refused, format!("plan {} was aborted", bench.plan.id)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_waited_for_and_never_killed() {
    for (job, node) in [
        ("install-packages", "etcd2"),
        ("kubeadm-apply", "cp1"),
        ("kubeadm-node", "cp2"),
        ("drain", "cp1"),
        ("kubelet-restart", "w1"),
        ("uncordon", "w1"),
        ("fetch-packages", "w2"),
    ] {
        let bench = Bench::new(MINOR);
        bench.when(job, node, Then::Interrupt(2));
        assert_eq!(bench.fail().await.exit, Exit::Interrupted);
        let (_, stays) = aborted(&bench).await;
        assert!(stays.is_empty(), "{job} {node}: {stays:?}");
        supported(&bench, job);
        assert!(bench.now().begun.iter().all(|begun| begun.ended.is_some()), "{job} was not waited for");
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_installed_package_is_put_back_or_else_finished() {
    for kept in [true, false] {
        let bench = Bench::prepared(MINOR, |world| {
            if !kept {
                let package = world.machine("w1").told.packages.get_mut("kubeadm").unwrap();
                package.candidates = Seen::Known(vec!["1.21.14-00".to_owned()]);
            }
        })
        .await;
        bench.when("install-packages", "w1", Then::Interrupt(2));
        bench.fail().await;
        while bench.now().machine("w1").packages["kubeadm"].state == Dpkg::Installed {
            bench.clock.sleep(Duration::from_millis(50)).await;
        }
        bench.power_off("w1");
        bench.clock.sleep(Duration::from_secs(60)).await;
        let (_, stays) = aborted(&bench).await;
        supported(&bench, "half installed");
        let at = bench.now().machine("w1").packages["kubeadm"].version.clone();
        assert_eq!(at, if kept { "1.20.2-00" } else { "1.21.14-00" });
        let finished = "step workers/w1/kubeadm could not be taken back and was finished";
        assert_eq!(stays, if kept { vec![] } else { vec![finished.to_owned()] });
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_not_healthy_gets_its_former_binary_back() {
    let bench = Bench::new(ETCD);
    fall_sick(&bench, "etcd3", Sick::Unhealthy);
    bench.when("install-packages", "etcd3", Then::Interrupt(2));
    bench.fail().await;
    aborted(&bench).await;
    supported(&bench, "a sick member");
    assert_eq!(bench.now().member("etcd3").runs.as_ref().unwrap().to_string(), "3.4.23");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_not_ready_stays_cordoned_and_is_named() {
    let bench = Bench::new(MINOR);
    bench.when("drain", "w1", Then::Fail(1));
    bench.fail().await;
    bench.now().node("w1").ready = false;
    let (facts, stays) = aborted(&bench).await;
    assert!(stays.len() == 1 && stays[0].starts_with("w1 stays cordoned: it is not Ready"), "{stays:?}");
    let nodes = &facts.api.known().unwrap().nodes;
    assert!(nodes.iter().any(|node| node.name == "w1" && node.unschedulable));
    assert_eq!(bench.history().given_up, Some(GivenUp::Through));
}

#[tokio::test(start_paused = true)]
async fn a_foreign_cordon_stays_after_an_abort() {
    let bench = Bench::prepared(MINOR, |world| world.node("w1").unschedulable = true).await;
    bench.when("drain", "w1", Then::Fail(1));
    bench.fail().await;
    aborted(&bench).await;
    assert!(bench.now().node("w1").unschedulable);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_answer_stops_the_abort_and_the_same_command_goes_on() {
    let bench = Bench::new(MINOR);
    bench.when("kubelet-restart", "w1", Then::CutOff);
    bench.fail().await;
    let failure = bench.abort().await.expect_err("w1 does not answer");
    assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
    assert!(failure.hint.clone().unwrap().contains("windlass upgrade abort plan.json"), "{failure}");
    let refused = bench.fail().await;
    assert_eq!(refused.exit, Exit::Refused, "{refused}");
    assert_eq!(refused.what, format!("plan {} is being aborted", bench.plan.id));
    assert!(refused.hint.unwrap().contains("windlass upgrade abort plan.json"));
    bench.now().machine("w1").cut_off = false;
    aborted(&bench).await;
    supported(&bench, "after it answered");
}

#[tokio::test(start_paused = true)]
async fn an_abort_that_is_killed_anywhere_goes_on() {
    for (job, node, then) in [
        ("install-packages", "w1", Then::FailAfter(1)),
        ("kubelet-restart", "w1", Then::Fail(1)),
        ("drain", "cp2", Then::Interrupt(2)),
        ("install-packages", "etcd3", Then::Interrupt(2)),
    ] {
        let begun = async || {
            let bench = Bench::new(MINOR);
            bench.when(job, node, then.clone());
            bench.fail().await;
            bench
        };
        let whole = begun().await;
        let before = whole.places();
        aborted(&whole).await;
        let counts = whole.counts();
        for at in 1..=whole.places() - before {
            let bench = begun().await;
            assert!(bench.until(at, Box::pin(bench.abort())).await.is_none(), "{at} is no place of this abort");
            aborted(&bench).await;
            assert_eq!(
                (bench.history().given_up, bench.history().token),
                (Some(GivenUp::Through), None),
                "killed at {at}"
            );
            assert_eq!(bench.locked(), [""; 0], "killed at {at}");
            assert!(bench.now().kube.nodes.iter().all(|node| !node.unschedulable), "killed at {at}");
            bench.assert_lawful();
            for (key, count) in &counts {
                let found = bench.counts().get(key).copied().unwrap_or(0);
                let most = if key.0 == "drain" { count + 1 } else { *count };
                assert!(
                    (*count..=most).contains(&found),
                    "{job} killed at {at}: {key:?} ran {found} times, not {count}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn there_is_nothing_to_give_up_before_the_first_step_and_after_the_last() {
    let bench = Bench::new(ETCD);
    assert!(matches!(bench.abort().await, Ok(Abort::NeverBegan)));
    bench.raise().await;
    assert!(matches!(bench.abort().await, Ok(Abort::Completed)));
    assert_eq!(bench.locked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_is_taken_away_when_the_run_is_over_and_not_before() {
    let bench = Bench::new(MINOR);
    bench.when("drain", "w1", Then::Fail(1));
    bench.fail().await;
    let failure = bench.finish().await.expect_err("it is not over");
    assert_eq!(failure.exit, Exit::Refused);
    assert_eq!(
        failure.hint.as_deref(),
        Some(
            "nothing was taken away; first carry it out with `windlass upgrade apply plan.json`, or give it up with \
             `windlass upgrade abort plan.json`"
        )
    );
    let keeps = |bench: &Bench| {
        let now = bench.now();
        now.machines.iter().filter(|it| !it.own.archives.is_empty() || !it.own.packages.is_empty()).count()
    };
    assert_eq!(keeps(&bench), 8, "every node was archived");
    bench.raise().await;
    let freed = bench.finish().await.expect("it is over");
    // Of load balancers only units are kept.
    let archived = freed.iter().filter(|it| it.archive > 0 && it.packages > 0 && it.units > 0).count();
    assert!(freed.len() == 10 && archived == 8 && freed.iter().all(|it| it.units > 0), "{freed:?}");
    assert_eq!((keeps(&bench), bench.locked()), (0, Vec::new()));
    let snapshots: usize = bench.now().machines.iter().map(|machine| machine.own.files.len()).sum();
    assert_eq!(snapshots, 2, "snapshots stay");
    let again = bench.finish().await.expect("nothing is left to do");
    assert!(again.iter().all(|it| it.archive + it.packages + it.units == 0), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_answer_keeps_the_rest_from_nothing() {
    let bench = Bench::new(ETCD);
    bench.raise().await;
    bench.now().machine("etcd2").cut_off = true;
    let failure = bench.finish().await.expect_err("etcd2 does not answer");
    assert!(failure.causes.len() == 1 && failure.causes[0].starts_with("etcd2: "), "{failure}");
    assert_eq!(bench.now().machine("etcd1").own.archives.len(), 0);
    bench.now().machine("etcd2").cut_off = false;
    bench.finish().await.expect("it answers again");
    assert_eq!(bench.now().machine("etcd2").own.archives.len(), 0);
}
