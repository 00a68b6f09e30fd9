//! Operators at the same moment: of two who start, or who take over, exactly one runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use windlass::engine::{Operator, Outcome};
use windlass::error::{Exit, Failure};
use windlass::journal::{self, Event};

use crate::bench::{Bench, ETCD};
use crate::seams::disk::Disk;

fn operator(name: &str) -> Operator {
    Operator { name: format!("{name}@desk"), machine: format!("machine-of-{name}") }
}

/// How often both operators were ahead, for the test to show that the seeds make a difference.
type Winners = BTreeMap<&'static str, usize>;

/// One of two has to have run, and the other to have been refused without having begun anything.
fn one_of(bench: &Bench, results: [(&'static str, Result<Outcome, Failure>, &Mutex<Disk>); 2], winners: &mut Winners) {
    let mut ran = Vec::new();
    for (name, result, disk) in results {
        let (records, _) = journal::read(&disk.lock().unwrap().text).unwrap();
        let began = records.iter().any(|record| matches!(record.event, Event::Started { .. }));
        match result {
            Ok(outcome) => {
                assert_eq!((outcome, began), (Outcome::Raised, true));
                ran.push(name);
            }
            Err(failure) => {
                assert_eq!(failure.exit, Exit::Refused, "{failure}");
                assert!(!began, "{name} was refused and had begun");
            }
        }
    }
    assert_eq!(ran.len(), 1, "{ran:?}");
    *winners.entry(ran[0]).or_default() += 1;
    assert_eq!(bench.locked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn of_fifty_starts_of_two_operators_exactly_one_runs_each_time() {
    let whole = Bench::new(ETCD);
    whole.raise().await;
    let mut winners = Winners::new();
    for seed in 0..50 {
        let bench = Bench::new(ETCD);
        bench.now().inner().jitter = Some(seed);
        let (ann, bob, told) = (operator("ann"), operator("bob"), bench.listener());
        let disks = [Arc::default(), Arc::default()];
        let (one, two) =
            tokio::join!(bench.run_with(&ann, &disks[0], false, &told), bench.run_with(&bob, &disks[1], false, &told));
        one_of(&bench, [("ann", one, &disks[0]), ("bob", two, &disks[1])], &mut winners);
        assert_eq!(bench.counts(), whole.counts(), "seed {seed}");
    }
    println!("of 50 starts of two operators: {winners:?}");
    assert_eq!(winners.len(), 2, "the seeds make no difference: {winners:?}");
}

#[tokio::test(start_paused = true)]
async fn of_fifty_take_overs_by_two_operators_exactly_one_runs_each_time() {
    let whole = Bench::new(ETCD);
    whole.raise().await;
    let mut winners = Winners::new();
    for seed in 0..50 {
        let bench = Bench::new(ETCD);
        // Somebody's machine is gone, in the middle of the first package.
        let gone = tokio::time::timeout(std::time::Duration::from_secs(4), bench.run()).await;
        assert!(gone.is_err());
        assert_eq!(bench.locked(), ["cp1", "cp2", "cp3"]);
        let copy = bench.copy().await.unwrap();
        let disk = || Arc::new(Mutex::new(Disk { text: copy.clone(), room: None }));
        bench.now().inner().jitter = Some(seed);
        let (bob, eve, told) = (operator("bob"), operator("eve"), bench.listener());
        let disks = [disk(), disk()];
        let (one, two) =
            tokio::join!(bench.run_with(&bob, &disks[0], true, &told), bench.run_with(&eve, &disks[1], true, &told));
        let results = [("bob", one), ("eve", two)];
        let ran: Vec<_> = results.iter().filter(|(_, result)| result.is_ok()).map(|(name, _)| *name).collect();
        assert_eq!(ran.len(), 1, "seed {seed}: {results:?}");
        *winners.entry(ran[0]).or_default() += 1;
        for (_, result) in results {
            match result {
                Ok(outcome) => assert_eq!(outcome, Outcome::Raised),
                Err(failure) => assert_eq!(failure.exit, Exit::Refused, "seed {seed}: {failure}"),
            }
        }
        assert_eq!(bench.counts(), whole.counts(), "seed {seed}");
        assert_eq!(bench.locked(), [""; 0], "seed {seed}");
    }
    println!("of 50 take-overs by two operators: {winners:?}");
    assert_eq!(winners.len(), 2, "the seeds make no difference: {winners:?}");
}
