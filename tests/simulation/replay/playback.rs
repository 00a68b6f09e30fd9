//! What the lab was like when a recording began: the planner's own look at it, answered from the recording.

use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8Path;
use windlass::decide::call::Call;
use windlass::facts::{Facts, MemberStatus};
use windlass::inventory::{NodeName, Role};
use windlass::observe::{Ask, observe};
use windlass::remote::recorded::{Answer, Asked, Entry};
use windlass::remote::{HashKv, MemberList, Output, Remote, RemoteError, SnapshotContents, SnapshotWanted};

use super::Line;
use crate::bench::lab_inventory;
use crate::seams::clock::VirtualClock;

/// The first answer to each question.
struct Playback<'a>(Vec<&'a Entry>);

impl Playback<'_> {
    fn answer(&self, node: &NodeName, asked: &Asked) -> Answer {
        let entry = self.0.iter().find(|entry| {
            entry.node.as_ref() == Some(node) && entry.asked == *asked && matches!(entry.answer, Some(Ok(_)))
        });
        match entry.and_then(|entry| entry.answer.clone()) {
            Some(Ok(answer)) => answer,
            _ => panic!("{node} was never asked {asked:?}"),
        }
    }
}

#[async_trait]
impl Remote for Playback<'_> {
    async fn call(&self, node: &NodeName, call: &Call) -> Result<Output, RemoteError> {
        match self.answer(node, &Asked::Call(call.clone())) {
            Answer::Output(output) => Ok(output),
            other => panic!("{other:?}"),
        }
    }

    async fn send(&self, _: &NodeName, call: &Call, _: &Utf8Path) -> Result<Output, RemoteError> {
        panic!("looking around sends nothing: {call:?}")
    }

    async fn run_here(&self, _: &[String], _: Duration) -> Result<Output, RemoteError> {
        Ok(Output { status: 1, stdout: String::new(), stderr: "not recorded".to_owned() })
    }

    async fn etcd_members(&self, node: &NodeName) -> Result<MemberList, RemoteError> {
        match self.answer(node, &Asked::EtcdMembers) {
            Answer::Members(list) => Ok(list),
            other => panic!("{other:?}"),
        }
    }

    async fn etcd_status(&self, node: &NodeName) -> Result<MemberStatus, RemoteError> {
        match self.answer(node, &Asked::EtcdStatus) {
            Answer::Status(status) => Ok(status),
            other => panic!("{other:?}"),
        }
    }

    async fn etcd_hash(&self, _: &NodeName, revision: u64) -> Result<HashKv, RemoteError> {
        panic!("looking around compares no hashes: {revision}")
    }

    async fn etcd_snapshot(
        &self,
        _: &NodeName,
        into: &Utf8Path,
        _: &SnapshotWanted,
    ) -> Result<SnapshotContents, RemoteError> {
        panic!("looking around takes no snapshot: {into}")
    }
}

/// The facts with which the recording begins.
pub(super) async fn facts(lines: &[Line]) -> Facts {
    let entries: Vec<&Entry> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Entry(entry) => Some(&**entry),
            Line::Began(_) | Line::Struck { .. } => None,
        })
        .collect();
    let clock = VirtualClock::start(entries.first().expect("a recording").at);
    let mut inventory = lab_inventory();
    // They were not the cluster's own yet.
    inventory.nodes.retain(|node| !node.roles.contains(&Role::LoadBalancer));
    observe(&Playback(entries), &clock, &inventory, &Ask::about(&inventory, true)).await
}
