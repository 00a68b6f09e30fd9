//! A cluster that is not as planned, or not all there: nothing is changed, and everything that differs is named.

use windlass::error::Exit;
use windlass::facts::Seen;
use windlass::journal::Event;

use crate::bench::{Bench, ETCD, MINOR};
use crate::seams::fault::Then;
use crate::world::{Dpkg, World};

/// The cluster changes after it was planned for; the run ends with `exit` and names `why`, having done nothing.
async fn refuses(exit: Exit, why: &str, change: impl FnOnce(&mut World)) {
    let bench = Bench::new(MINOR);
    change(&mut bench.now());
    let failure = bench.fail().await;
    assert_eq!(failure.exit, exit, "{failure}");
    assert!(failure.causes.iter().any(|cause| cause.contains(why)), "{failure}");
    assert!(failure.hint.clone().unwrap().starts_with("nothing was changed"), "{failure}");
    assert_eq!(bench.jobs(), [""; 0]);
    assert_eq!(bench.locked(), [""; 0]);
    assert!(matches!(bench.events()[..], [Event::Opened { .. }, Event::Locked { .. }, Event::Released { .. }]));
}

#[tokio::test(start_paused = true)]
async fn a_changed_package_is_named() {
    let why = "kubelet on w2 is 1.20.15-00, not 1.20.2-00 as planned";
    refuses(Exit::Drifted, why, |world| {
        world.machine("w2").packages.get_mut("kubelet").unwrap().version = "1.20.15-00".to_owned();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_package_that_nothing_of_ours_broke_is_named() {
    refuses(Exit::Drifted, "kubelet on w2 is 1.20.2-00 (half-configured), not 1.20.2-00 as planned", |world| {
        world.machine("w2").packages.get_mut("kubelet").unwrap().state = Dpkg::HalfConfigured;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_came_is_named() {
    refuses(Exit::Drifted, "etcd member without a name yet (2a, https://172.30.0.14:2380) was added", |world| {
        let mut fourth = world.etcd.members[0].told.clone();
        (fourth.id, fourth.name, fourth.node) = (42, String::new(), None);
        fourth.peer_urls = vec!["https://172.30.0.14:2380".to_owned()];
        fourth.status = Seen::Unknown("never started".to_owned());
        world.etcd.strangers.push(fourth);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn another_cluster_of_the_same_names_is_not_worked_on() {
    let other = |world: &mut World| {
        world.etcd.cluster_id += 1;
        for name in ["etcd1", "etcd2", "etcd3", "cp1", "cp2", "cp3", "w1", "w2"] {
            world.machine(name).told.machine_id = Seen::Known(format!("{name:0>32}"));
        }
    };
    refuses(Exit::Drifted, "this is another etcd cluster than the one that was planned for", other).await;
    let machine = "w2 is another machine than the one that was planned for (its machine id changed)";
    refuses(Exit::Drifted, machine, other).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_came_and_a_machine_that_was_replaced_are_named() {
    refuses(Exit::Drifted, "node w3 joined the cluster", |world| {
        let mut third = world.node("w2").clone();
        (third.told.name, third.at) = ("w3".to_owned(), None);
        world.kube.nodes.push(third);
    })
    .await;
    refuses(Exit::Drifted, "w1 is another machine than the one that was planned for", |world| {
        world.machine("w1").told.machine_id = Seen::Known("0".repeat(32));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_reached_at_the_start_is_named() {
    refuses(Exit::Unreachable, "w2: could not reach w2", |world| world.machine("w2").cut_off = true).await;
    refuses(Exit::Unreachable, "etcd: etcd1: etcd on etcd1: connection refused", |world| {
        for node in ["etcd1", "etcd2", "etcd3"] {
            world.member(node).away = true;
        }
    })
    .await;
    refuses(Exit::Unreachable, "the API: cp1: its API server is not ready", |world| {
        for node in ["cp1", "cp2", "cp3"] {
            let at = world.at(node);
            world.api_away(at, true);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_minority_of_control_planes_is_no_lock() {
    let bench = Bench::new(MINOR);
    for node in ["cp2", "cp3"] {
        bench.now().machine(node).cut_off = true;
    }
    let failure = bench.fail().await;
    assert_eq!(failure.exit, Exit::Unreachable, "{failure}");
    assert!(failure.what.contains("1 of 3 answer"), "{failure}");
    assert_eq!((bench.locked(), bench.jobs()), (Vec::new(), Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn somebody_who_uncordons_in_the_middle_stops_the_run_and_leaves_the_lock_to_the_next_plan() {
    let bench = Bench::new(MINOR);
    bench.when("drain", "w1", Then::UncordonAfter);
    let failure = bench.fail().await;
    assert_eq!(failure.exit, Exit::Drifted, "{failure}");
    assert_eq!(failure.causes, ["w1 was uncordoned by somebody else"]);
    assert_eq!(bench.jobs().last().unwrap(), "drain w1");
    assert_eq!(bench.locked(), [""; 0], "the drain has ended: a new plan needs the lock");
}

#[tokio::test(start_paused = true)]
async fn what_was_done_is_seen_before_it_is_called_done() {
    let bench = Bench::new(ETCD);
    let api_away = |away| {
        for node in ["cp1", "cp2", "cp3"] {
            let mut now = bench.now();
            let at = now.at(node);
            now.api_away(at, away);
        }
    };
    bench.when("install-packages", "etcd1", Then::Interrupt(1));
    assert_eq!(bench.fail().await.exit, Exit::Interrupted);
    api_away(true);
    let failure = bench.fail().await;
    assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
    assert!(failure.causes[0].starts_with("the API: cp1: its API server is not ready"), "{failure}");
    assert!(!bench.history().completed);
    api_away(false);
    let jobs = bench.jobs();
    bench.raise().await;
    assert_eq!(bench.jobs(), jobs);
}
