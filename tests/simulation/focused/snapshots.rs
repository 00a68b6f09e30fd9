//! Law 2: what is wrong with a snapshot stops the run before anything was changed; an old one is taken anew.

use std::time::Duration;

use windlass::error::Exit;
use windlass::journal::{Event, Proven};
use windlass::remote::Clock;

use crate::bench::{Bench, MINOR, RESTORE};
use crate::seams::fault::Then;
use crate::world::Spoil;

#[tokio::test(start_paused = true)]
async fn a_bad_snapshot_stops_the_run_before_anything_is_changed() {
    for (spoil, why) in [
        (Spoil::OlderRevision, "older than"),
        (Spoil::OtherMembers, "its members are not the ones that answer"),
        (Spoil::NoRegistryKeys, "no keys below /registry"),
        (Spoil::UnequalHashes, "the members' data differ"),
    ] {
        let bench = Bench::new(MINOR);
        bench.now().etcd.spoil = Some(spoil);
        let failure = bench.fail().await;
        assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
        assert!(failure.causes.concat().contains(why), "{failure}");
        let prepares =
            |job: &String| ["archive", "fetch-packages", "pull-images"].iter().any(|name| job.starts_with(name));
        assert!(bench.jobs().iter().all(prepares), "only downloads came before it: {:?}", bench.jobs());
        assert!(!bench.events().iter().any(|event| matches!(event, Event::Snapshot { .. })));
        assert_eq!(bench.locked(), [""; 0]);
        bench.now().etcd.spoil = None;
        bench.raise().await;
    }
}

/// The one member that is left has no quorum, and what it has is all there is.
#[tokio::test(start_paused = true)]
async fn what_still_lives_is_not_given_up_for_a_full_disk_here() {
    let bench = Bench::new(RESTORE);
    bench.now().etcd.members[..2].iter_mut().for_each(|member| member.away = true);
    bench.now().etcd.spoil = Some(Spoil::NoRoomHere);
    let failure = bench.fail().await;
    assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
    assert!(failure.what.contains("what still lives of etcd could not be saved"), "{failure}");
    assert!(bench.jobs().iter().all(|job| !job.starts_with("stop-")), "nothing was stopped: {:?}", bench.jobs());
}

#[tokio::test(start_paused = true)]
async fn a_run_resumed_after_an_hour_takes_another_snapshot_first() {
    for (minutes, snapshots) in [(30, 2), (90, 3)] {
        let bench = Bench::new(MINOR);
        bench.when("kubeadm-node", "cp2", Then::Fail(1));
        bench.fail().await;
        bench.clock.sleep(Duration::from_secs(minutes * 60)).await;
        bench.raise().await;
        assert_eq!(bench.now().etcd.snapshots, snapshots, "after {minutes} minutes");
    }
}

/// By a clock that was set back the old snapshot seems to be of tomorrow.
#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_makes_no_old_snapshot_young() {
    let bench = Bench::new(MINOR);
    bench.when("kubeadm-node", "cp2", Then::Fail(1));
    bench.fail().await;
    bench.clock.sleep(Duration::from_secs(90 * 60)).await;
    bench.clock.jump(-86_400);
    bench.raise().await;
    assert_eq!(bench.now().etcd.snapshots, 3);
}

#[tokio::test(start_paused = true)]
async fn a_bad_snapshot_on_resumption_stops_it_too() {
    let bench = Bench::new(MINOR);
    bench.when("kubeadm-node", "cp2", Then::Fail(1));
    bench.fail().await;
    bench.clock.sleep(Duration::from_secs(2 * 3600)).await;
    bench.now().etcd.spoil = Some(Spoil::UnequalHashes);
    let jobs = bench.jobs();
    let failure = bench.fail().await;
    assert_eq!((failure.exit, bench.jobs()), (Exit::StepFailed, jobs), "{failure}");
    bench.now().etcd.spoil = None;
    bench.raise().await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_not_put_under_an_old_token() {
    let bench = Bench::new(MINOR);
    bench.when("put-file", "cp1", Then::Fence);
    let failure = bench.fail().await;
    assert_eq!(failure.exit, Exit::Refused, "{failure}");
    assert!(failure.causes[0].ends_with("another operator took the lock"), "{failure}");
    assert!(!bench.events().iter().any(|event| matches!(event, Event::Snapshot { .. })));
}

/// The proofs of the snapshots that stand, and where each of them was made.
fn proofs(bench: &Bench) -> Vec<Option<Proven>> {
    let proven = |event: &Event| match event {
        Event::Snapshot { proven, .. } => Some(proven.clone()),
        _ => None,
    };
    bench.events().iter().filter_map(proven).collect()
}

/// The machine that a first proof is made on.
async fn prover() -> String {
    let bench = Bench::new(MINOR);
    bench.raise().await;
    proofs(&bench)[0].as_ref().expect("a proof").on.to_string()
}

#[tokio::test(start_paused = true)]
async fn snapshots_of_a_minor_are_proven_beside_a_follower() {
    let bench = Bench::new(MINOR);
    bench.raise().await;
    let proofs = proofs(&bench);
    assert_eq!(proofs.len(), 2);
    for proof in proofs {
        let proof = proof.expect("a proof");
        assert_eq!(proof.members, 3, "{proof:?}");
        assert!(proof.on.as_str().starts_with("etcd") && proof.millis >= 3000, "{proof:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_not_proven_stops_the_run_before_anything_is_changed() {
    let bench = Bench::new(MINOR);
    bench.now().etcd.spoil = Some(Spoil::Proof);
    let failure = bench.fail().await;
    assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
    assert!(failure.what.starts_with("the snapshot was not proven on etcd"), "{failure}");
    assert_eq!(failure.causes, ["restored and started, its keys is 451, and should be 450"]);
    let hint = failure.hint.clone().unwrap_or_default();
    assert!(hint.contains("windlass etcd verify ") && hint.contains("this step changed nothing"), "{failure}");
    let begins = ["archive", "fetch-packages", "pull-images", "prove-snapshot"];
    assert!(bench.jobs().iter().all(|job| begins.iter().any(|name| job.starts_with(name))), "{:?}", bench.jobs());
    assert_eq!(proofs(&bench), [None; 0]);
    assert_eq!(bench.locked(), [""; 0]);
    bench.now().etcd.spoil = None;
    bench.raise().await;
}

#[tokio::test(start_paused = true)]
async fn a_proof_that_was_refused_says_why_in_its_own_words() {
    let words = "refused: 100 KiB of memory are free here, and a proof needs 300000";
    let bench = Bench::new(MINOR);
    bench.when("prove-snapshot", &prover().await, Then::FailSaying(words));
    let failure = bench.fail().await;
    assert_eq!((failure.exit, &failure.causes[..]), (Exit::StepFailed, &[words.to_owned()][..]), "{failure}");
    bench.raise().await;
}

#[tokio::test(start_paused = true)]
async fn a_proof_on_resumption_is_made_too_and_leaves_nothing_in_doubt() {
    let bench = Bench::new(MINOR);
    bench.when("kubeadm-node", "cp2", Then::Fail(1));
    bench.fail().await;
    bench.clock.sleep(Duration::from_secs(2 * 3600)).await;
    bench.raise().await;
    let proofs = proofs(&bench);
    assert_eq!((proofs.len(), proofs.iter().flatten().count()), (3, 3));
    assert!(!bench.history().in_doubt());
}

/// Where the first machine has no room, the next one is taken; where none has, nothing is sent anywhere.
#[tokio::test(start_paused = true)]
async fn a_proof_is_made_where_there_is_room() {
    let first = prover().await;
    let bench = Bench::new(MINOR);
    crowded(&bench, &first);
    bench.raise().await;
    let on = proofs(&bench)[0].as_ref().expect("a proof").on.to_string();
    assert!(on != first && on.starts_with("etcd"), "{on}");

    let bench = Bench::new(MINOR);
    for node in ["etcd1", "etcd2", "etcd3"] {
        crowded(&bench, node);
    }
    let failure = bench.fail().await;
    assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
    assert!(failure.causes[0].starts_with("it cannot be proven, which needs 256"), "{failure}");
    assert!(failure.causes[0].contains("etcd3 has 100.0 MiB free"), "{failure}");
    assert!(!bench.jobs().iter().any(|job| job.starts_with("prove-snapshot")));
}

fn crowded(bench: &Bench, node: &str) {
    for disk in bench.now().machine(node).told.disks.values_mut() {
        disk.free_bytes = 100 << 20;
    }
}
