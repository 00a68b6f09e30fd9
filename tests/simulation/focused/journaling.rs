//! A journal that cannot be written: nothing begins that is not on disk.

use windlass::error::Exit;
use windlass::journal::Event;

use crate::bench::{Bench, ETCD};

/// How many jobs the journal knows to have been started.
fn announced(bench: &Bench) -> usize {
    let started = |event: &&Event| matches!(event, Event::Started { unit: Some(_), .. });
    bench.events().iter().filter(started).count()
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_at_any_record_starts_nothing_that_is_not_journaled() {
    let bench = Bench::new(ETCD);
    bench.raise().await;
    let records = bench.events().len();
    // The first record is written before the engine; the last one gives the lock back, which is no reason to fail.
    for room in 1..records - 1 {
        let bench = Bench::new(ETCD);
        bench.disk.lock().unwrap().room = Some(room);
        let failure = bench.fail().await;
        assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
        assert_eq!(failure.what, "could not write the journal");
        let text = bench.disk.lock().unwrap().text.clone();
        assert_eq!(
            text.lines().count(),
            room + 1,
            "nothing is put behind the torn record, also when there is room again"
        );
        // What the torn record would have announced is not there when the disk is read.
        bench.disk.lock().unwrap().text.truncate(text.rfind('\n').unwrap() + 1);
        assert_eq!(bench.jobs().len(), announced(&bench), "room for {room}");
        bench.raise().await;
        assert!(bench.now().begun.iter().all(|begun| begun.ended.is_some()));
        assert_eq!(bench.locked(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_is_full_from_the_start_leaves_no_lock() {
    let bench = Bench::new(ETCD);
    bench.disk.lock().unwrap().room = Some(1);
    assert_eq!(bench.fail().await.what, "could not write the journal");
    assert_eq!((bench.locked(), bench.jobs()), (Vec::new(), Vec::new()));
}
