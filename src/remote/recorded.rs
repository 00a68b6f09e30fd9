//! [`Recorded`]: another [`Remote`], with every question and its answer written down. For bug reports, and to hold the
//! simulation of the tests to what real machines said.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8Path;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Call, Clock, HashKv, MemberList, Output, Remote, RemoteError, Script, SnapshotContents, SnapshotWanted};
use crate::error::chain;
use crate::facts::MemberStatus;
use crate::inventory::NodeName;

/// The first line that a process writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Began {
    /// When, by the operator's clock.
    pub at: Timestamp,
    /// The Windlass that writes.
    pub windlass: String,
}

/// Each other line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was asked, by the operator's clock.
    pub at: Timestamp,
    /// How long the answer took, in milliseconds; 0 where it is still to come.
    pub took_ms: u64,
    /// Who was asked; the operator's own machine when nobody.
    pub node: Option<NodeName>,
    /// What was asked.
    pub asked: Asked,
    /// What came of it; nothing in the line that is written before something is changed.
    pub answer: Option<Result<Answer, Refusal>>,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// [`Remote::call`].
    Call(Call),
    /// [`Remote::send`], without the file.
    Send(Call),
    /// [`Remote::carry`] to the node: from whom, and what was asked there; not what was carried.
    Carry(NodeName, Call),
    /// [`Remote::run_here`], by the program's name: what an operator's own command is told is the operator's.
    RunHere(String),
    /// [`Remote::etcd_members`].
    EtcdMembers,
    /// [`Remote::etcd_status`].
    EtcdStatus,
    /// [`Remote::etcd_hash`] at this revision.
    EtcdHash(u64),
    /// [`Remote::etcd_snapshot`].
    EtcdSnapshot(SnapshotWanted),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Of a script.
    Output(Output),
    /// Of the member list.
    Members(MemberList),
    /// Of a member.
    Status(MemberStatus),
    /// Of a hash.
    Hash(HashKv),
    /// Of a snapshot.
    Snapshot(SnapshotContents),
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Whether something may have been started all the same.
    pub in_doubt: bool,
    /// Whether the operator's own machine was the reason, as a full disk.
    pub local: bool,
    /// The error and its causes.
    pub causes: Vec<String>,
}

/// Another [`Remote`], written down as it is used.
pub struct Recorded<'a> {
    inner: &'a dyn Remote,
    clock: &'a dyn Clock,
    file: Mutex<File>,
}

impl<'a> Recorded<'a> {
    /// Appends to the file at `path`, 0600, which is made when it is not there. Fails when it cannot be opened.
    pub fn new(inner: &'a dyn Remote, clock: &'a dyn Clock, path: &Utf8Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let recorded = Self { inner, clock, file: Mutex::new(file) };
        recorded.write(&Began { at: clock.now(), windlass: env!("CARGO_PKG_VERSION").to_owned() });
        Ok(recorded)
    }

    fn begin(&self) -> (Timestamp, Duration) {
        (self.clock.now(), self.clock.elapsed())
    }

    /// Before a call that may change something, which may never be answered.
    fn announce(&self, (at, _): (Timestamp, Duration), node: &NodeName, asked: Asked) {
        self.write(&Entry { at, took_ms: 0, node: Some(node.clone()), asked, answer: None });
    }

    fn note<T>(
        &self,
        (at, began): (Timestamp, Duration),
        node: Option<&NodeName>,
        asked: Asked,
        answer: &Result<T, RemoteError>,
        wrap: impl FnOnce(T) -> Answer,
    ) where
        T: Clone,
    {
        let took = self.clock.elapsed().saturating_sub(began);
        let entry = Entry {
            at,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            node: node.cloned(),
            asked,
            answer: Some(answer.as_ref().map(|answer| wrap(answer.clone())).map_err(Refusal::of)),
        };
        self.write(&entry);
    }

    /// A recording that cannot be written is no reason to stop a run; it ends where it ends.
    fn write(&self, line: &impl Serialize) {
        let line = serde_json::to_string(line).unwrap_or_default() + "\n";
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(line.as_bytes()) {
            tracing::debug!(%error, "the recording has a hole");
        }
    }
}

fn only_looks(script: Script) -> bool {
    matches!(script, Script::Probe | Script::Api | Script::UnitStatus | Script::UnitWait)
}

impl Refusal {
    fn of(error: &RemoteError) -> Self {
        Self {
            in_doubt: matches!(error, RemoteError::InDoubt { .. }),
            local: matches!(error, RemoteError::Local { .. }),
            causes: chain(error),
        }
    }
}

#[async_trait]
impl Remote for Recorded<'_> {
    async fn call(&self, node: &NodeName, call: &Call) -> Result<Output, RemoteError> {
        let began = self.begin();
        if !only_looks(call.script) {
            self.announce(began, node, Asked::Call(call.clone()));
        }
        let answer = self.inner.call(node, call).await;
        self.note(began, Some(node), Asked::Call(call.clone()), &answer, Answer::Output);
        answer
    }

    async fn send(&self, node: &NodeName, call: &Call, from: &Utf8Path) -> Result<Output, RemoteError> {
        let began = self.begin();
        self.announce(began, node, Asked::Send(call.clone()));
        let answer = self.inner.send(node, call, from).await;
        self.note(began, Some(node), Asked::Send(call.clone()), &answer, Answer::Output);
        answer
    }

    async fn carry(
        &self,
        host: &NodeName,
        call: &Call,
        node: &NodeName,
        token: String,
        name: String,
    ) -> Result<Output, RemoteError> {
        let began = self.begin();
        let asked = Asked::Carry(host.clone(), call.clone());
        self.announce(began, node, asked.clone());
        let answer = self.inner.carry(host, call, node, token, name).await;
        self.note(began, Some(node), asked, &answer, Answer::Output);
        answer
    }

    async fn run_here(&self, argv: &[String], limit: Duration) -> Result<Output, RemoteError> {
        let began = self.begin();
        let answer = self.inner.run_here(argv, limit).await;
        let program = argv.first().cloned().unwrap_or_default();
        let silent = |output: Output| Answer::Output(Output { stdout: String::new(), stderr: String::new(), ..output });
        self.note(began, None, Asked::RunHere(program), &answer, silent);
        answer
    }

    async fn etcd_members(&self, node: &NodeName) -> Result<MemberList, RemoteError> {
        let began = self.begin();
        let answer = self.inner.etcd_members(node).await;
        self.note(began, Some(node), Asked::EtcdMembers, &answer, Answer::Members);
        answer
    }

    async fn etcd_status(&self, node: &NodeName) -> Result<MemberStatus, RemoteError> {
        let began = self.begin();
        let answer = self.inner.etcd_status(node).await;
        self.note(began, Some(node), Asked::EtcdStatus, &answer, Answer::Status);
        answer
    }

    async fn etcd_hash(&self, node: &NodeName, revision: u64) -> Result<HashKv, RemoteError> {
        let began = self.begin();
        let answer = self.inner.etcd_hash(node, revision).await;
        self.note(began, Some(node), Asked::EtcdHash(revision), &answer, Answer::Hash);
        answer
    }

    async fn etcd_snapshot(
        &self,
        node: &NodeName,
        into: &Utf8Path,
        wanted: &SnapshotWanted,
    ) -> Result<SnapshotContents, RemoteError> {
        let began = self.begin();
        let answer = self.inner.etcd_snapshot(node, into, wanted).await;
        self.note(began, Some(node), Asked::EtcdSnapshot(wanted.clone()), &answer, Answer::Snapshot);
        answer
    }
}
