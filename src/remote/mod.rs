//! The seam: the only room that knows SSH, etcd's client, the operator's clock and disk.
//!
//! Every other room sees a cluster through [`Remote`] and time through [`Clock`]. A fake of both drives the engine in tests.

pub mod authority;
pub mod clock;
pub mod etcd;
pub mod here;
mod nameless;
pub mod recorded;
pub mod scripts;
pub mod snapshot;
pub mod ssh;
pub mod store;
pub mod throwaway;

use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8Path;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::Sender;
use zeroize::Zeroizing;

use crate::decide::actions::certificates::Order;
use crate::facts::{Alarm, MemberStatus, Seen};
use crate::inventory::NodeName;

pub use clock::{Clock, SystemClock};
pub use scripts::{Call, Script};

/// What a script on a node answered. A non-zero exit is an answer, not an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its exit status.
    pub status: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained.
    pub stderr: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Nothing was started on the node.
    #[error("could not reach {node}")]
    NotStarted {
        /// The node.
        node: NodeName,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// It was started, and whether it took effect is not known.
    #[error("lost {node} before it answered")]
    InDoubt {
        /// The node.
        node: NodeName,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// Etcd on the node did not answer, or not what it should.
    #[error("etcd on {node}: {what}")]
    Etcd {
        /// The node.
        node: NodeName,
        /// What went wrong, in etcd's words where it said any.
        what: String,
    },
    /// A file of the operator's could not be read or written.
    #[error("could not {what}")]
    Local {
        /// What was tried, as `write snapshot.db`.
        what: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// Certificates could not be made on the operator's machine.
    #[error("could not make certificates")]
    Uncertified(#[source] authority::AuthorityError),
    /// A snapshot that is not what it should be.
    #[error("the snapshot from {node} is not good: {why}")]
    BadSnapshot {
        /// The node it came from.
        node: NodeName,
        /// What is wrong with it.
        why: String,
    },
}

/// A cause without a type of its own.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A cluster as etcd's member list tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberList {
    /// The cluster's id.
    pub cluster_id: u64,
    /// The members, unordered.
    pub members: Vec<ListedMember>,
    /// Alarms raised.
    pub alarms: Vec<Alarm>,
    /// Whether etcd asks for users of its own.
    #[serde(default = "crate::facts::unasked")]
    pub auth: Seen<bool>,
}

/// One member of a [`MemberList`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedMember {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its peer URLs.
    pub peer_urls: Vec<String>,
    /// Its client URLs.
    pub client_urls: Vec<String>,
    /// Whether it does not vote yet.
    pub learner: bool,
}

/// The hash of a member's key space at a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashKv {
    /// CRC-32 over the keys up to the revision.
    pub hash: u32,
    /// The revision below which history was compacted; hashes are comparable only at equal ones.
    pub compact_revision: i64,
}

/// What a snapshot file holds, read from the file itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotContents {
    /// File size in bytes, trailing hash included.
    pub bytes: u64,
    /// SHA-256 of the database, hex, as etcd appended it and as computed: they are equal.
    pub sha256: String,
    /// SHA-256 of the file, appended hash included, hex: what `sha256sum` prints.
    pub file_sha256: String,
    /// Highest key-value revision.
    pub revision: u64,
    /// Distinct keys below `/registry/` that are not deleted.
    pub registry_keys: u64,
    /// Distinct keys that are not deleted. Recordings of before do not say.
    #[serde(default)]
    pub keys: u64,
    /// The revision below which its history was, or was to be, compacted. Recordings of before do not say.
    #[serde(default)]
    pub compact_revision: u64,
    /// Ids of the members in it, ascending.
    pub members: Vec<u64>,
}

/// What a snapshot has to be, besides whole: this cluster's, young, and of Kubernetes (law 2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotWanted {
    /// Ids of the cluster's members, ascending; empty when it may be of any.
    pub members: Vec<u64>,
    /// The revision that was read before the snapshot began.
    pub revision: u64,
}

impl SnapshotWanted {
    /// What is wrong with a snapshot that holds this; nothing when it is the one that was wanted.
    pub fn fault(&self, contents: &SnapshotContents) -> Option<String> {
        // etcd 3.4 leaves the members of before in what it restores: there may be others besides.
        if !self.members.iter().all(|id| contents.members.contains(id)) {
            Some("it is of another cluster: its members are not the ones that answer".to_owned())
        } else if contents.revision < self.revision {
            let (is, was) = (contents.revision, self.revision);
            Some(format!("it is at revision {is}, older than {was}, which was read before it began"))
        } else if contents.registry_keys == 0 {
            Some("it has no keys below /registry: it is not of a Kubernetes cluster".to_owned())
        } else {
            None
        }
    }
}

/// What a script printed that nobody else may see; wiped when it is dropped. It has no `Debug`: nobody prints it by mistake.
pub struct Secret {
    /// Its exit status.
    pub status: i32,
    /// What it printed.
    pub bytes: Zeroizing<Vec<u8>>,
    /// What it complained, which is no secret.
    pub complaint: String,
}

/// Whose turn it is, of all who want the same of one cluster; etcd itself says it.
#[async_trait]
pub trait Turns: Send + Sync {
    /// The id of the cluster that the member on `node` believes to be of. It needs no quorum.
    async fn etcd_cluster_id(&self, node: &NodeName) -> Result<u64, RemoteError>;

    /// Takes the turn of the whole cluster for so long, asked of the member on `node`; false when somebody has it. It is a
    /// lease of etcd's without a key: it leaves no trace, and ends by itself when nobody keeps it.
    async fn etcd_take_turn(&self, node: &NodeName, time: Duration) -> Result<bool, RemoteError>;

    /// Keeps the turn for as long again; false when it is over.
    async fn etcd_keep_turn(&self, node: &NodeName) -> Result<bool, RemoteError>;

    /// Gives the turn back.
    async fn etcd_end_turn(&self, node: &NodeName) -> Result<(), RemoteError>;
}

/// What a backup asks beyond [`Remote`]: what is long, and what is secret. It is never recorded.
#[async_trait]
pub trait Streams: Remote + Turns {
    /// Streams a snapshot of the member on `node` into `into`, for as long as somebody listens there. Fails when the stream
    /// is idle too long or breaks off; whether what came is whole is for the listener to say.
    async fn etcd_stream(&self, node: &NodeName, into: &Sender<Vec<u8>>) -> Result<(), RemoteError>;

    /// The uid of the namespace `kube-system`, which outlives a restore, where the member on `node` has it in the clear.
    async fn kube_system_uid(&self, node: &NodeName) -> Result<Option<String>, RemoteError>;

    /// Runs a script that only reads and prints secrets.
    async fn secret(&self, node: &NodeName, call: &Call) -> Result<Secret, RemoteError>;
}

/// The machines and the etcd of one cluster.
#[async_trait]
pub trait Remote: Send + Sync {
    /// Runs a script on a node, attached, and waits for its answer.
    async fn call(&self, node: &NodeName, call: &Call) -> Result<Output, RemoteError>;

    /// Runs [`Script::PutFile`] (or another that reads stdin) on a node with the file `from` as its input.
    async fn send(&self, node: &NodeName, call: &Call, from: &Utf8Path) -> Result<Output, RemoteError>;

    /// Makes what is ordered, signed with an authority of the operator's machine, and puts it to the file `name` below
    /// Windlass's folder on a node, under `token`.
    async fn certify(
        &self,
        node: &NodeName,
        token: String,
        name: String,
        order: &Order,
    ) -> Result<Output, RemoteError> {
        let issued = authority::issue(order).map_err(RemoteError::Uncertified)?;
        self.send(node, &Call { script: Script::PutFile, args: issued.announced(token, name) }, &issued.path()).await
    }

    /// Runs a script on `host` that prints secrets, and puts them to the file `name` below Windlass's folder on `node`, under
    /// `token`. They are in memory only on their way. A script that does not end well has its status and its complaint for an
    /// answer, and nothing is put anywhere. Only who reaches several machines can do it.
    async fn carry(
        &self,
        _host: &NodeName,
        _call: &Call,
        _node: &NodeName,
        _token: String,
        _name: String,
    ) -> Result<Output, RemoteError> {
        let cause = std::io::ErrorKind::Unsupported.into();
        Err(RemoteError::Local { what: "carry secrets from one machine to another".to_owned(), cause })
    }

    /// Runs a command of the operator's on the operator's machine, without a shell, and ends it after `limit`.
    async fn run_here(&self, argv: &[String], limit: Duration) -> Result<Output, RemoteError>;

    /// The member list and alarms, asked of the member on `node`.
    async fn etcd_members(&self, node: &NodeName) -> Result<MemberList, RemoteError>;

    /// What the member on `node` says of itself, with a linearizable read as its health.
    async fn etcd_status(&self, node: &NodeName) -> Result<MemberStatus, RemoteError>;

    /// The key space's hash of the member on `node` at `revision`.
    async fn etcd_hash(&self, node: &NodeName, revision: u64) -> Result<HashKv, RemoteError>;

    /// Streams a snapshot of the member on `node` and reads it back: trailing hash, page structure, and what is `wanted`.
    /// Only then it gets its name: the new file `into`, 0600, fsynced. Fails, and leaves no file, when any is wrong or the
    /// stream is idle too long.
    async fn etcd_snapshot(
        &self,
        node: &NodeName,
        into: &Utf8Path,
        wanted: &SnapshotWanted,
    ) -> Result<SnapshotContents, RemoteError>;
}
