//! Databases that give back what they do not use: one member at a time, the leader last, also when Windlass is killed anywhere.

use std::time::Duration;

use windlass::decide::defrag::{self, Wanted};
use windlass::decide::plan::Sources;
use windlass::engine::Outcome;
use windlass::error::Exit;
use windlass::facts::Seen;
use windlass::remote::Clock as _;

use crate::bench::{Bench, lab, lab_inventory, look};

const NODES: [&str; 3] = ["etcd1", "etcd2", "etcd3"];
const SIZE: u64 = 500 << 20;
const USED: u64 = 100 << 20;

/// The lab, whose members use a fifth of their databases.
async fn bench() -> Bench {
    let sim = lab();
    for node in NODES {
        let mut now = sim.now();
        let Seen::Known(status) = &mut now.member(node).told.status else { panic!("it answers") };
        (status.db_size, status.db_in_use) = (SIZE, USED);
    }
    let inventory = lab_inventory();
    let facts = look(&sim, &inventory).await;
    let sources = Sources { inventory: "lab.toml".to_owned(), ..Sources::default() };
    let plan = defrag::plan(Wanted { inventory: &inventory, facts: &facts, sources: &sources });
    Bench::with(plan.unwrap_or_else(|found| panic!("{}", windlass::report::findings(&found))), sim)
}

fn sizes(bench: &Bench) -> Vec<u64> {
    let mut now = bench.now();
    let size = |node: &&str| now.member(node).told.status.known().expect("it answers").db_size;
    NODES.iter().map(size).collect()
}

fn defragmented(bench: &Bench) -> Vec<String> {
    bench.jobs().into_iter().filter(|job| job.starts_with("defrag ")).collect()
}

#[tokio::test(start_paused = true)]
async fn members_give_back_one_after_another_and_the_leader_last() {
    let bench = bench().await;
    let leader = bench.now().etcd.leader.expect("a leader");
    assert_eq!(bench.now().etcd.members[leader].told.name, "etcd2", "the lab's leader");
    bench.raise().await;
    assert_eq!(defragmented(&bench), ["defrag etcd1", "defrag etcd3", "defrag etcd2"]);
    assert_eq!(sizes(&bench), [USED; 3]);
    assert_eq!(bench.now().etcd.snapshots, 1);
    assert_eq!(bench.locked(), [""; 0]);
    assert_eq!(bench.run().await.unwrap(), Outcome::WasRaised);
}

#[tokio::test(start_paused = true)]
async fn killed_anywhere_it_is_gone_on_with() {
    let whole = bench().await;
    whole.raise().await;
    let places = whole.places();
    assert!(places > 40, "{places}");
    for at in 0..places {
        let bench = bench().await;
        if let Some(Err(failure)) = bench.run_until(at).await {
            panic!("{failure}");
        }
        if let Err(failure) = bench.run().await {
            panic!("killed at place {at}: {failure}");
        }
        assert_eq!(sizes(&bench), [USED; 3], "killed at place {at}");
        bench.assert_lawful();
    }
    println!("{places} places");
}

#[tokio::test(start_paused = true)]
async fn a_member_is_left_alone_while_another_is_away() {
    let bench = bench().await;
    bench.now().member_away(2, true);
    let failure = bench.fail().await;
    assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
    assert_eq!(defragmented(&bench), [""; 0]);
    bench.now().member_away(2, false);
    bench.sim.clock.sleep(Duration::from_secs(10)).await;
    bench.raise().await;
    assert_eq!(sizes(&bench), [USED; 3]);
}
