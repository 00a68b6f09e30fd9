//! Operators after each other and at once: of two that start at the same moment one runs; one whose machine is gone for good
//! is followed by another, and one that wakes up behind a take-over is refused. Starts from 1.21.14 and etcd 3.5.16; leaves
//! 1.22.17 and etcd 3.5.30.

use super::outcome::{assert_nothing_lost, assert_raised};
use super::run::{as_operator, plan, start_apply, start_as, windlass};
use super::watching::Watcher;
use super::writing::Writer;

const INVENTORY: &str = "inventories/lab.toml";

pub(crate) fn one_operator_follows_another() {
    let plan = plan("operators.json", &["--to", "1.22.17", "--etcd-to", "3.5.30"]);
    let (writer, watcher) = (Writer::start(), Watcher::start());
    only_one_of_two_runs(&plan);

    let resume = ["upgrade", "apply", "--resume", "-i", INVENTORY, "--yes"];
    let held = as_operator("bob", &resume);
    assert_eq!(held.code, 11, "{}", held.text);
    assert!(held.text.contains("--take-over"), "{}", held.text);

    // Bob's machine is gone in the middle of `kubeadm upgrade apply`, and comes back when Carol has taken over.
    let take_over = [&resume[..], &["--take-over"]].concat();
    let mut bob = start_as("bob", &take_over);
    assert!(bob.until(&["first-control-plane/cp1/kubeadm-apply: started unit"]).is_some(), "{:?}", bob.seen.last());
    bob.signal("STOP");
    println!("--- bob's machine sleeps");
    let shown = windlass(&["lock", "show", "-i", INVENTORY]);
    assert!(shown.text.contains("bob@"), "{}", shown.text);
    assert!(shown.text.contains("first-control-plane.cp1.kubeadm-apply.1 on cp1"), "{}", shown.text);
    let status = as_operator("carol", &["upgrade", "status", "-i", INVENTORY]);
    assert_eq!(status.code, 0, "{}", status.text);
    assert!(status.text.contains("upgrade apply --resume"), "{}", status.text);

    let mut carol = start_as("carol", &take_over);
    assert!(carol.until(&["taken over: bob@"]).is_some(), "{:?}", carol.seen.last());
    assert!(carol.until(&["stage control-planes"]).is_some(), "{:?}", carol.seen.last());
    println!("--- bob's machine wakes up");
    bob.signal("CONT");
    let bob = bob.end();
    assert_eq!(bob.code, 11, "{}", bob.text);
    let carol = carol.end();
    assert_eq!(carol.code, 0, "{}", carol.text);

    let (written, watch) = (writer.finish(), watcher.finish());
    assert_raised("1.22.17", "3.5.30", "3.5.0");
    assert_nothing_lost(&written, &watch);
    assert!(watch.ready.iter().all(|ready| *ready >= 2), "ready replicas: {:?}", watch.ready);
}

/// Two at the same moment: one is refused at once, the other runs, until its machine is gone for good in an etcd swap.
fn only_one_of_two_runs(plan: &str) {
    let first = start_apply(plan);
    let second = start_as("rival", &["upgrade", "apply", plan, "--yes"]);
    let mut both = [first, second].map(|mut run| {
        let locked = run.until(&["lock taken"]).is_some();
        (locked, run)
    });
    both.sort_by_key(|(locked, _)| !locked);
    let [(true, mut winner), (false, loser)] = both else { panic!("not exactly one took the lock") };
    let loser = loser.end();
    assert_eq!(loser.code, 11, "{}", loser.text);
    assert!(winner.until(&["etcd/", "/package: started unit"]).is_some(), "{:?}", winner.seen.last());
    println!("--- the winner's machine is gone for good");
    winner.kill();
}
