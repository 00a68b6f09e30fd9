//! A small cluster in memory: what each machine answers is written down beforehand, and what was asked is kept.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8Path;
use jiff::Timestamp;

use crate::decide::call::{Call, Script};
use crate::facts::MemberStatus;
use crate::inventory::NodeName;
use crate::remote::{Clock, HashKv, MemberList, Output, Remote, RemoteError, SnapshotContents, SnapshotWanted};

/// Machines by name; one that is not there cannot be reached.
#[derive(Default)]
pub(super) struct FakeRemote {
    pub(super) probes: BTreeMap<&'static str, String>,
    pub(super) apis: BTreeMap<&'static str, String>,
    pub(super) lists: BTreeMap<&'static str, MemberList>,
    pub(super) statuses: BTreeMap<&'static str, MemberStatus>,
    pub(super) asked: Mutex<Vec<(String, Call)>>,
}

#[async_trait]
impl Remote for FakeRemote {
    async fn call(&self, node: &NodeName, call: &Call) -> Result<Output, RemoteError> {
        self.asked.lock().unwrap().push((node.to_string(), call.clone()));
        let answers = match call.script {
            Script::Probe => &self.probes,
            Script::Api => &self.apis,
            other => panic!("observing called {other:?}"),
        };
        match answers.get(node.as_str()) {
            Some(text) if text.starts_with("status ") => Ok(Output {
                status: 1,
                stdout: String::new(),
                stderr: "one\nsudo: a password is required\n".to_owned(),
            }),
            Some(text) => Ok(Output { status: 0, stdout: text.clone(), stderr: String::new() }),
            None => Err(RemoteError::NotStarted { node: node.clone(), cause: "connection refused".into() }),
        }
    }

    async fn send(&self, _: &NodeName, _: &Call, _: &Utf8Path) -> Result<Output, RemoteError> {
        panic!("observing sends nothing")
    }

    async fn run_here(&self, _: &[String], _: std::time::Duration) -> Result<Output, RemoteError> {
        unreachable!("looking runs nothing of the operator's")
    }

    async fn etcd_members(&self, node: &NodeName) -> Result<MemberList, RemoteError> {
        self.lists.get(node.as_str()).cloned().ok_or_else(|| silent(node))
    }

    async fn etcd_status(&self, node: &NodeName) -> Result<MemberStatus, RemoteError> {
        self.statuses.get(node.as_str()).cloned().ok_or_else(|| silent(node))
    }

    async fn etcd_hash(&self, _: &NodeName, _: u64) -> Result<HashKv, RemoteError> {
        panic!("observing hashes nothing")
    }

    async fn etcd_snapshot(
        &self,
        _: &NodeName,
        _: &Utf8Path,
        _: &SnapshotWanted,
    ) -> Result<SnapshotContents, RemoteError> {
        panic!("observing takes no snapshot")
    }
}

fn silent(node: &NodeName) -> RemoteError {
    RemoteError::Etcd { node: node.clone(), what: "deadline exceeded".to_owned() }
}

/// A clock that is one second later each time it is read.
pub(super) struct FakeClock(pub(super) AtomicI64);

#[async_trait]
impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.fetch_add(1000, Ordering::SeqCst)).unwrap()
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _: Duration) {
        panic!("observing waits for nothing")
    }
}
