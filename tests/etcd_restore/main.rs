//! The jobs of a restore against real etcd: three members with TLS on this machine, 3.4.23 and 3.5.16.

mod members;
#[path = "../ports/mod.rs"]
mod ports;
mod renewing;

use std::time::Duration;

use etcd_client::{EventType, WatchOptions};
use members::{Key, Members, names};
use windlass::decide::call::Script;

const RUN: &str = "0123456789ab";
const BUMP: i64 = 1_000_000_000;

/// Stops all, restores all, starts all: the order of the plan.
async fn restore(members: &Members, sha256: &str, tool: &str, bump: &str) {
    for member in 1..=3 {
        members.well(member, Script::StopEtcd, &[RUN, "etcd"]);
    }
    for member in 1..=3 {
        let said = restore_one(members, member, sha256, tool, bump);
        assert_eq!(said.0, 0, "{}", said.1);
    }
    for member in 1..=3 {
        members.well(member, Script::StartEtcd, &[RUN, "etcd"]);
    }
    members.await_health(Duration::from_secs(20)).await;
}

fn restore_one(members: &Members, member: usize, sha256: &str, tool: &str, bump: &str) -> (i32, String) {
    let (data, name) = (members.data(member).display().to_string(), format!("etcd{member}"));
    let (peer, cluster) = (&members.peers[member - 1], members.cluster());
    let args = [RUN, "etcd", &data, "-", "restore.db", sha256, tool, bump, &name, peer, &cluster];
    members.job(member, Script::RestoreMember, &args)
}

/// What a cluster keeps: some keys written again, some deleted.
async fn written(members: &Members) {
    let mut client = members.client(1).await;
    for number in 0..200 {
        let key = format!("/registry/pods/p{}", number % 150);
        client.put(key, format!("spec {number}"), None).await.expect("put");
    }
    for number in 0..20 {
        client.delete(format!("/registry/pods/p{number}"), None).await.expect("deleted");
    }
}

async fn thousand_more(members: &Members) {
    let mut client = members.client(3).await;
    for number in 0..1000 {
        client.put(format!("/registry/pods/q{number}"), "later", None).await.expect("put");
    }
    client.delete("/registry/pods/p100", None).await.expect("deleted");
}

/// All three have these keys and no other, in one cluster that is not the former one.
async fn holds(members: &Members, wanted: &[Key], former: u64) {
    let mut clusters = Vec::new();
    for member in 1..=3 {
        let (keys, _) = members.keys(member).await;
        assert_eq!(keys.len(), wanted.len(), "etcd{member}");
        assert!(keys == wanted, "etcd{member} has other keys than the snapshot");
        let list = members.client(member).await.member_list().await.expect("a list");
        let mut listed: Vec<String> = list.members().iter().map(|member| member.name().to_owned()).collect();
        listed.sort();
        assert_eq!(listed, ["etcd1", "etcd2", "etcd3"]);
        clusters.push(list.header().expect("a header").cluster_id());
    }
    assert!(clusters.iter().all(|id| *id == clusters[0] && *id != former), "{clusters:x?}, formerly {former:x}");
}

async fn cluster_id(members: &Members) -> u64 {
    members.client(1).await.member_list().await.expect("a list").header().expect("a header").cluster_id()
}

async fn comes_back(version: &str, tool: &str, bump: Option<i64>) {
    let members = Members::start(version).await;
    written(&members).await;
    let (keys, revision) = members.keys(1).await;
    assert_eq!((keys.len(), revision), (130, 221));
    let sha256 = members.snapshot("restore.db").await;
    let former = cluster_id(&members).await;
    thousand_more(&members).await;

    let word = bump.map_or_else(|| "-".to_owned(), |bump| bump.to_string());
    restore(&members, &sha256, tool, &word).await;
    holds(&members, &keys, former).await;
    let (_, after) = members.keys(2).await;
    assert_eq!(after, revision + bump.unwrap_or(0));
    assert_eq!(names(&members.data(1)), ["member", &format!("member.before-{RUN}")]);
    if bump.is_some() {
        // Whoever watched before is told to list again, instead of waiting for revisions that were before.
        let from = WatchOptions::new().with_start_revision(revision + 500).with_all_keys();
        let mut stream = members.client(1).await.watch("/", Some(from)).await.expect("a watch");
        let mut compacted = 0;
        while compacted == 0 {
            let answer = stream.message().await.expect("an answer").expect("not the end");
            assert!(!answer.events().iter().any(|event| event.event_type() == EventType::Put));
            compacted = answer.compact_revision();
        }
        assert_eq!(compacted, after);
    }
    // A second time is another run's business: this one is found done, and nothing is touched.
    members.well(1, Script::StopEtcd, &[RUN, "etcd"]);
    assert_eq!(restore_one(&members, 1, &sha256, tool, &word), (0, "restored by an earlier try\n".to_owned()));
    members.well(1, Script::StartEtcd, &[RUN, "etcd"]);
    members.await_health(Duration::from_secs(20)).await;

    let data = members.data(1).display().to_string();
    members.well(1, Script::ForgetData, &["7", RUN, &data, "-"]);
    assert_eq!(names(&members.data(1)), ["member"]);
}

#[tokio::test]
#[ignore = "needs the lab's etcd packages"]
async fn three_members_of_3_4_23_come_back_after_a_thousand_writes() {
    Box::pin(comes_back("3.4.23", "etcdctl", None)).await;
}

#[tokio::test]
#[ignore = "needs the lab's etcd packages"]
async fn three_members_of_3_5_16_come_back_after_a_thousand_writes() {
    Box::pin(comes_back("3.5.16", "etcdutl", Some(BUMP))).await;
}

async fn destroyed(version: &str, tool: &str, bump: &str) {
    let members = Members::start(version).await;
    written(&members).await;
    let (keys, _) = members.keys(1).await;
    let sha256 = members.snapshot("restore.db").await;
    let former = cluster_id(&members).await;
    for member in 1..=3 {
        std::fs::remove_dir_all(members.data(member)).expect("destroyed");
    }
    restore(&members, &sha256, tool, bump).await;
    holds(&members, &keys, former).await;
    assert_eq!(names(&members.data(1)), ["member"], "there was nothing to set aside");
}

#[tokio::test]
#[ignore = "needs the lab's etcd packages"]
async fn data_that_were_destroyed_on_all_members_come_back() {
    destroyed("3.4.23", "etcdctl", "-").await;
    destroyed("3.5.16", "etcdutl", "1000000000").await;
}

#[tokio::test]
#[ignore = "needs the lab's etcd packages"]
async fn nothing_is_moved_while_etcd_runs_or_the_snapshot_is_another() {
    let members = Members::start("3.5.16").await;
    written(&members).await;
    let (keys, _) = members.keys(1).await;
    let sha256 = members.snapshot("restore.db").await;
    let (status, said) = restore_one(&members, 1, &sha256, "etcdutl", "-");
    assert_eq!((status, said.as_str()), (75, "refused: etcd runs\n"));
    members.well(1, Script::StopEtcd, &[RUN, "etcd"]);
    // Kept from being started, also by a package that would restart it.
    let other = "00".repeat(32);
    let (status, said) = restore_one(&members, 1, &other, "etcdutl", "-");
    assert!(status == 75 && said.contains(&format!("another SHA-256 than {other}")), "{status} {said}");
    // A tool that fails half-way leaves the former data where they are.
    let (status, said) = restore_one(&members, 1, &sha256, "etcdutl", "nonsense");
    assert!(status == 1 && said.contains("nonsense"), "{status} {said}");
    assert_eq!(names(&members.data(1)), ["member"]);
    members.well(1, Script::StartEtcd, &[RUN, "etcd"]);
    members.await_health(Duration::from_secs(20)).await;
    assert!(members.keys(1).await.0 == keys);
}
