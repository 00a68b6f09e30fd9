//! Thirty times `kill -9` at moments by chance, over a whole upgrade of etcd and Kubernetes. Starts from a fresh lab; leaves
//! 1.21.14 and etcd 3.5.16.

use std::collections::BTreeMap;
use std::time::Duration;

use super::chance::Chance;
use super::journal::started;
use super::outcome::{assert_nothing_lost, assert_raised};
use super::run::{apply, plan, start_unseen};
use super::watching::Watcher;
use super::writing::Writer;

/// How often it is killed.
const KILLS: u32 = 30;
/// The longest that a run lives before it is killed, in milliseconds. With half of that on average, and two or three
/// seconds to look around after each kill, thirty lives are most of an upgrade.
const LONGEST_LIFE: u64 = 18_000;

pub(crate) fn killed_thirty_times_by_chance() {
    let mut chance = Chance::new();
    let plan = plan("storm.json", &["--to", "1.21.14", "--etcd-to", "3.5.16"]);
    let (writer, watcher) = (Writer::start(), Watcher::start());
    let mut kills = 0;
    while kills < KILLS {
        let run = start_unseen(&plan);
        std::thread::sleep(Duration::from_millis(chance.between(0, LONGEST_LIFE)));
        match run.kill() {
            None => kills += 1,
            Some(ran) => assert_eq!(ran.code, 0, "{}", ran.text),
        }
    }
    let last = apply(&plan);
    let (written, watch) = (writer.finish(), watcher.finish());
    assert_eq!(last.code, 0, "{}", last.text);
    assert_raised("1.21.14", "3.5.16", "3.5.0");
    println!("{kills} kills");
    assert_nothing_lost(&written, &watch);
    assert!(watch.ready.iter().all(|ready| *ready >= 2), "ready replicas: {:?}", watch.ready);
    nothing_but_drains_and_proofs_ran_twice(&plan);
}

/// A unit goes on when its windlass is killed, so nothing is begun a second time; but a drain that was through is done
/// again when its node's kubelet was not raised yet, because pods may have come while nobody looked, and so is that of an API server
/// at a load balancer, which may have been restarted; and when windlass was killed
/// before a snapshot stood, another one is taken, and proven like the first.
fn nothing_but_drains_and_proofs_ran_twice(plan: &str) {
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for step in started(plan) {
        *times.entry(step).or_default() += 1;
    }
    let twice: Vec<_> = times
        .iter()
        .filter(|(step, times)| **times > 1 && !step.contains("/drain") && !step.ends_with("/snapshot"))
        .collect();
    assert!(twice.is_empty(), "started more than once: {twice:?}");
}
