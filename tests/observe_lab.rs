//! Looking at the lab's real nodes, over real SSH. Run with the lab up:
//! `cargo test --test observe_lab -- --ignored --nocapture`. `WINDLASS_LAB` is the lab's folder, `tests/lab` when absent.

use std::time::Instant;

use camino::Utf8PathBuf;
use windlass::facts::{Facts, Seen, from_json, to_json};
use windlass::inventory::{self, Role};
use windlass::observe::{Ask, observe};
use windlass::remote::ssh::Fleet;
use windlass::remote::{Remote, SystemClock};

async fn look(candidates: bool) -> Facts {
    let lab = std::env::var("WINDLASS_LAB").map_or_else(|_| Utf8PathBuf::from("tests/lab"), Utf8PathBuf::from);
    let base = lab.join("../../inventories");
    let text = std::fs::read_to_string(base.join("lab.toml")).expect("the lab's inventory");
    let inventory = inventory::parse(&text).expect("an inventory").value;
    let fleet = Fleet::new(&inventory, &base).expect("a fleet");
    let started = Instant::now();
    let remote: &dyn Remote = &fleet;
    let facts = observe(remote, &SystemClock::start(), &inventory, &Ask::about(&inventory, candidates)).await;
    eprintln!("looked at {} machines in {} ms", facts.nodes.len(), started.elapsed().as_millis());
    fleet.close().await;
    for node in inventory.with_role(Role::ControlPlane) {
        let machine = facts.machine(&node.name).expect("it answers");
        assert!(matches!(machine.api_server, Seen::Known(Some(_))), "{:?}", machine.api_server);
    }
    facts
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn the_whole_lab_is_seen() {
    let facts = look(true).await;
    assert!(facts.nodes.iter().all(|node| node.machine.known().is_some()));
    for node in &facts.nodes {
        let machine = node.machine.known().expect("it answers");
        assert_eq!(machine.hostname, node.name.as_str());
        let skew = machine.clock_skew_ms.known().expect("it tells its time");
        assert!(skew.abs() < 5_000, "the lab's nodes share one clock, and {} is {skew} ms off", node.name);
        assert!(machine.packages.values().all(|package| package.candidates.known().is_some_and(|c| !c.is_empty())));
    }
    let etcd = facts.etcd.known().expect("etcd answers");
    assert!(etcd.members.iter().all(|member| member.node.is_some() && member.status.known().is_some()));
    let api = facts.api.known().expect("the API answers");
    assert!(api.nodes.len() >= 5 && api.kubeadm.known().is_some() && api.kube_proxy.known().is_some());
    assert_eq!(from_json(&to_json(&facts)).expect("what was written"), facts);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn candidates_are_not_asked_for_unless_wanted() {
    let facts = look(false).await;
    let machine = facts.nodes[0].machine.known().expect("it answers");
    assert!(machine.packages.values().all(|package| package.candidates.known().is_none()));
}
