//! Law 2: what is wrong with a snapshot stops the run before anything was changed; an old one is taken anew.

use std::time::Duration;

use windlass::error::Exit;
use windlass::journal::Event;
use windlass::remote::Clock;

use crate::bench::{Bench, MINOR};
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
