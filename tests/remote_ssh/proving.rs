//! A snapshot of real members, proven on a machine of theirs by the real job: the living member goes on as it is.

use std::fs::File;

use windlass::backup::prove::Unproven;
use windlass::backup::prove_on::{Place, prove_on};
use windlass::facts::Seen;
use windlass::inventory::NodeName;
use windlass::remote::{Remote as _, SnapshotWanted, SystemClock, snapshot};

use crate::loopback::Loopback;
use crate::server::name;

/// What a machine has below Windlass's folder of proofs, besides its lock.
fn left(loopback: &Loopback, node: &NodeName) -> Vec<String> {
    let listed = std::fs::read_dir(loopback.folder(node).join("windlass/proofs")).expect("a folder");
    let names = listed.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name != ".lock").collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs sshd and etcd on this machine"]
async fn a_snapshot_is_proven_beside_a_living_member() {
    let loopback = Loopback::start(3, 3);
    loopback.until(|etcd| etcd.members.len() == 3 && etcd.members.iter().all(|one| one.unhealthy().is_none())).await;
    let urls = [loopback.client_url(1)];
    let mut client = loopback.client(&urls).await.expect("a client");
    for number in 0..40 {
        client.put(format!("/registry/configmaps/default/{number}"), "x".repeat(4000), None).await.expect("written");
    }
    client.delete("/registry/configmaps/default/0", None).await.expect("deleted");
    client.compact(20, None).await.expect("compacted");
    let (node, file) = (name("etcd2"), loopback.state().join("snapshot.db"));
    let revision = loopback.etcd_status(&node).await.expect("it answers").revision;
    let members = Vec::new();
    loopback.etcd_snapshot(&node, &file, &SnapshotWanted { members, revision }).await.expect("a snapshot");
    let hash = loopback.etcd_hash(&node, revision).await.expect("a hash");
    let (before, data) = (loopback.etcd().await, loopback.read(&node, "etcd.pid"));

    let opened = File::open(&file).expect("it is there");
    let inside = snapshot::inside(&opened).expect("a good snapshot");
    assert_eq!((inside.contents.keys, inside.contents.compact_revision), (39, 20));
    let (clock, on) = (SystemClock::start(), loopback.inventory.node(&node).expect("a machine"));
    let place = Place { remote: &loopback, clock: &clock, inventory: &loopback.inventory, node: on };
    let proof = prove_on(place, &opened, &inside, None).await.expect("proven");
    assert_eq!((proof.said.revision, proof.said.keys, proof.said.compact_revision), (revision, 39, 20));
    assert_eq!(proof.said.hash_kv, hash.hash, "the living members' own");
    assert_eq!(left(&loopback, &node), [""; 0]);
    assert!(!loopback.exists(&node, "windlass/runs") || empty(&loopback, &node), "its unit's folder is gone");

    let after = loopback.etcd().await;
    assert_eq!(loopback.read(&node, "etcd.pid"), data, "the member was not restarted");
    let terms = |etcd: &windlass::facts::EtcdFacts| {
        etcd.members
            .iter()
            .filter_map(|one| one.status.known().map(|status| (status.raft_term, status.leader)))
            .collect::<Vec<_>>()
    };
    assert_eq!(terms(&after), terms(&before), "nobody was elected");
    assert_eq!(after.cluster_id, before.cluster_id);

    // A snapshot with one key fewer than was said is not proven; one of another etcd cannot be tried.
    let mut lie = inside.clone();
    lie.contents.keys = 40;
    match prove_on(place, &opened, &lie, None).await {
        Err(Unproven::Failed(why)) => assert_eq!(why, "restored and started, its keys is 39, and should be 40"),
        other => panic!("{other:?}"),
    }
    let other = windlass::decide::call::Call {
        script: windlass::decide::call::Script::ProveSnapshot,
        args: vec!["none.db".to_owned(), "00".repeat(32), revision.to_string(), "3.9".to_owned()],
    };
    let mut args = vec!["0".to_owned(), "proof.none".to_owned(), "prove".to_owned(), "prove-snapshot".to_owned()];
    args.extend(other.args);
    let start = windlass::decide::call::Call { script: windlass::decide::call::Script::UnitStart, args };
    assert_eq!(loopback.call(&node, &start).await.expect("an answer").status, 0);
    loopback.until(|_| !loopback.read(&node, "windlass/runs/proof.none/prove/rc").is_empty()).await;
    assert_eq!(loopback.read(&node, "windlass/runs/proof.none/prove/rc"), "75\n");
    assert!(
        loopback.read(&node, "windlass/runs/proof.none/prove/log").contains("refused: none.db has another SHA-256")
    );
    assert!(matches!(windlass::observe::etcd(&loopback, &loopback.inventory).await, Seen::Known(_)));
}

fn empty(loopback: &Loopback, node: &NodeName) -> bool {
    std::fs::read_dir(loopback.folder(node).join("windlass/runs")).expect("a folder").next().is_none()
}
