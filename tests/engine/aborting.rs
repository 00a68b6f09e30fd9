//! Giving a run up: in every stage, in the middle of every kind of step, killed anywhere; and the end of what was kept.

use windlass::engine::Abort;
use windlass::error::Exit;
use windlass::facts::{Facts, Seen};
use windlass::journal::{Event, GivenUp};

use crate::bench::{Bench, ETCD, MINOR};
use crate::cluster::{Sick, Then};

/// What is left of a run that was given up well.
async fn aborted(bench: &Bench) -> (Facts, Vec<String>) {
    match bench.abort().await {
        Ok(Abort::Aborted { facts, stays }) => (*facts, stays),
        other => panic!("{other:?}"),
    }
}

/// Nothing of a run is left on the cluster but versions that may stand beside each other.
fn supported(bench: &Bench, what: &str) {
    let mut state = bench.cluster.state();
    assert!(state.api().nodes.iter().all(|node| !node.unschedulable), "{what}: something stays cordoned");
    let servers: Vec<u64> = ["cp1", "cp2", "cp3"]
        .iter()
        .map(|node| state.machine(node).api_server.known().unwrap().as_ref().unwrap().minor)
        .collect();
    let oldest = *servers.iter().min().unwrap();
    for node in ["cp1", "cp2", "cp3", "w1", "w2"] {
        let machine = state.machine(node).clone();
        let kubelet = machine.kubelet_running.known().unwrap().clone().unwrap();
        assert!(kubelet.minor <= oldest, "{what}: {node} runs a newer kubelet than an API server");
        let package = machine.packages["kubelet"].installed.clone().unwrap();
        assert!(package.starts_with(&format!("{kubelet}-")), "{what}: {node} runs {kubelet} and has {package}");
        assert!(machine.packages.values().all(|package| package.held && !package.interrupted()), "{what}: {node}");
    }
    for node in ["etcd1", "etcd2", "etcd3"] {
        let machine = state.machine(node).clone();
        let process = machine.etcd.known().unwrap().clone().unwrap();
        let package = machine.packages["etcd-server"].installed.clone().unwrap();
        let running = process.server_version.known().unwrap().clone();
        assert!(package.starts_with(&format!("{running}-")), "{what}: {node} runs {running} and has {package}");
    }
    drop(state);
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
        let state = bench.cluster.state();
        assert!(state.begun.iter().all(|begun| begun.ended.is_some()), "{job} was not waited for");
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_installed_package_is_put_back_or_else_finished() {
    for kept in [true, false] {
        let bench = Bench::prepared(MINOR, |cluster| {
            if !kept {
                let mut state = cluster.state();
                let package = state.machine("w1").packages.get_mut("kubeadm").unwrap();
                package.candidates = Seen::Known(vec!["1.21.14-00".to_owned()]);
            }
        });
        bench.when("install-packages", "w1", Then::Interrupt(2));
        bench.fail().await;
        {
            let mut state = bench.cluster.state();
            let unit = state.extra["w1"].units.keys().find(|key| key.contains("kubeadm")).unwrap().clone();
            state.reboot("w1", &unit);
        }
        let (_, stays) = aborted(&bench).await;
        supported(&bench, "half installed");
        let at = bench.cluster.state().machine("w1").packages["kubeadm"].installed.clone().unwrap();
        assert_eq!(at, if kept { "1.20.2-00" } else { "1.21.14-00" });
        let finished = "step workers/w1/kubeadm could not be taken back and was finished";
        assert_eq!(stays, if kept { vec![] } else { vec![finished.to_owned()] });
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_not_healthy_gets_its_former_binary_back() {
    let bench = Bench::new(ETCD);
    bench.cluster.state().sick = Some(("etcd3", "3.5.16", Sick::Unhealthy));
    bench.when("install-packages", "etcd3", Then::Interrupt(2));
    bench.fail().await;
    aborted(&bench).await;
    supported(&bench, "a sick member");
    let mut state = bench.cluster.state();
    assert_eq!(state.status_of("etcd3").version.to_string(), "3.4.23");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_not_ready_stays_cordoned_and_is_named() {
    let bench = Bench::new(MINOR);
    bench.when("drain", "w1", Then::Fail(1));
    bench.fail().await;
    let set = |status: &str| {
        let mut state = bench.cluster.state();
        let node = state.kube_node("w1");
        let ready = node.conditions.iter_mut().find(|condition| condition.kind == "Ready").unwrap();
        status.clone_into(&mut ready.status);
    };
    set("False");
    let (facts, stays) = aborted(&bench).await;
    assert!(stays.len() == 1 && stays[0].starts_with("w1 stays cordoned: it is not Ready"), "{stays:?}");
    let nodes = &facts.api.known().unwrap().nodes;
    assert!(nodes.iter().any(|node| node.name == "w1" && node.unschedulable));
    assert_eq!(bench.history().given_up, Some(GivenUp::Through));
}

#[tokio::test(start_paused = true)]
async fn a_foreign_cordon_stays_after_an_abort() {
    let bench = Bench::prepared(MINOR, |cluster| cluster.state().kube_node("w1").unschedulable = true);
    bench.when("drain", "w1", Then::Fail(1));
    bench.fail().await;
    aborted(&bench).await;
    assert!(bench.cluster.state().kube_node("w1").unschedulable);
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
    bench.cluster.state().extra_mut("w1").cut_off = false;
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
            assert!(bench.until(at, bench.abort()).await.is_none(), "{at} is no place of this abort");
            aborted(&bench).await;
            assert_eq!(
                (bench.history().given_up, bench.history().token),
                (Some(GivenUp::Through), None),
                "killed at {at}"
            );
            assert_eq!(bench.locked(), [""; 0], "killed at {at}");
            assert!(bench.cluster.state().api().nodes.iter().all(|node| !node.unschedulable), "killed at {at}");
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
        let state = bench.cluster.state();
        state.extra.values().filter(|extra| !extra.kept.archives.is_empty() || !extra.kept.packages.is_empty()).count()
    };
    assert_eq!(keeps(&bench), 8, "every node was archived");
    bench.raise().await;
    let freed = bench.finish().await.expect("it is over");
    assert!(freed.len() == 8 && freed.iter().all(|it| it.archive > 0 && it.packages > 0 && it.units > 0), "{freed:?}");
    assert_eq!((keeps(&bench), bench.locked()), (0, Vec::new()));
    let snapshots: usize = bench.cluster.state().extra.values().map(|extra| extra.kept.snapshots.len()).sum();
    assert_eq!(snapshots, 2, "snapshots stay");
    let again = bench.finish().await.expect("nothing is left to do");
    assert!(again.iter().all(|it| it.archive + it.packages + it.units == 0), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_answer_keeps_the_rest_from_nothing() {
    let bench = Bench::new(ETCD);
    bench.raise().await;
    bench.cluster.state().extra_mut("etcd2").cut_off = true;
    let failure = bench.finish().await.expect_err("etcd2 does not answer");
    assert!(failure.causes.len() == 1 && failure.causes[0].starts_with("etcd2: "), "{failure}");
    assert_eq!(bench.cluster.state().extra["etcd1"].kept.archives.len(), 0);
    bench.cluster.state().extra_mut("etcd2").cut_off = false;
    bench.finish().await.expect("it answers again");
    assert_eq!(bench.cluster.state().extra["etcd2"].kept.archives.len(), 0);
}
