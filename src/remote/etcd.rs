//! The door to one member of etcd: its own client protocol over an SSH forward to the node's loopback, or on this machine's
//! own, with the certificates that lie on the node. It only reads, but for the lease that is a backup's turn; what changes etcd
//! runs as a job on a node.
//!
//! Certificates and key are read anew for each connection (kubeadm renews them in an upgrade), kept in memory that is wiped,
//! and never written or logged.

mod connect;
mod parse;

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use etcd_client::{AlarmAction, AlarmType, Client, Error, LeaseGrantOptions};
use tokio::sync::Mutex;
use tokio::sync::mpsc::Sender;

use self::connect::Socket;
pub(super) use self::connect::plain_client;
pub(super) use self::parse::words;
use super::snapshot;
use super::ssh::Link;
use super::{HashKv, MemberList, RemoteError, SnapshotContents, SnapshotWanted};
use crate::facts::{MemberStatus, Seen};
use crate::inventory::{Address, Etcd, Node, NodeName};

/// How long one question may take: what `etcdctl` allows by default.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The key that is read for health, as `etcdctl endpoint health` does. It need not exist.
const HEALTH_KEY: &str = "health";

/// The lease that is a backup's turn, whoever takes it: "windlas".
const TURN: i64 = 0x0077_696e_646c_6173;

/// The way to a member.
#[derive(Clone, Copy)]
pub(super) enum Way<'a> {
    /// Over SSH.
    Over(&'a Link),
    /// It runs on this machine.
    Here,
}

/// The door to the member on one node.
pub(super) struct EtcdDoor {
    node: NodeName,
    address: Address,
    /// Begin of the local sockets' path.
    sockets: Utf8PathBuf,
    open: Mutex<Option<Client>>,
}

impl EtcdDoor {
    pub(super) fn new(node: &Node, sockets: Utf8PathBuf) -> Self {
        Self { node: node.name.clone(), address: node.address.clone(), sockets, open: Mutex::new(None) }
    }

    pub(super) async fn close(&self) {
        self.open.lock().await.take();
    }

    pub(super) async fn members(&self, way: Way<'_>, etcd: &Etcd) -> Result<MemberList, RemoteError> {
        self.ask(way, etcd, |mut client| async move {
            let list = client.member_list().await?;
            let alarms = client.alarm(AlarmAction::Get, AlarmType::None, None).await?;
            let nobody = client.auth_client().authenticate(String::new(), String::new()).await;
            Ok(parse::members(&list, &alarms, nobody))
        })
        .await
    }

    pub(super) async fn status(&self, way: Way<'_>, etcd: &Etcd) -> Result<MemberStatus, RemoteError> {
        let status = self.ask(way, etcd, |mut client| async move { client.status().await }).await?;
        let read =
            self.ask(way, etcd, |mut client| async move { client.get(HEALTH_KEY, None).await.map(|_| ()) }).await;
        let healthy = match read {
            Ok(()) => Seen::Known(()),
            Err(RemoteError::Etcd { what, .. }) => Seen::Unknown(what),
            Err(error) => Seen::Unknown(error.to_string()),
        };
        parse::status(&status, healthy).map_err(|what| self.trouble(what))
    }

    pub(super) async fn hash(&self, way: Way<'_>, etcd: &Etcd, revision: u64) -> Result<HashKv, RemoteError> {
        let revision = i64::try_from(revision).map_err(|_| self.trouble(format!("no such revision: {revision}")))?;
        let answer = self.ask(way, etcd, |mut client| async move { client.hash_kv(revision).await }).await?;
        Ok(HashKv { hash: answer.hash(), compact_revision: answer.compact_version() })
    }

    pub(super) async fn snapshot(
        &self,
        way: Way<'_>,
        etcd: &Etcd,
        into: &Utf8Path,
        wanted: &SnapshotWanted,
    ) -> Result<SnapshotContents, RemoteError> {
        let stream = self.ask(way, etcd, |mut client| async move { client.snapshot().await }).await?;
        snapshot::save(&self.node, stream, into, wanted).await
    }

    /// Streams a snapshot into `into`, for as long as somebody listens there.
    pub(super) async fn stream(&self, way: Way<'_>, etcd: &Etcd, into: &Sender<Vec<u8>>) -> Result<(), RemoteError> {
        let stream = self.ask(way, etcd, |mut client| async move { client.snapshot().await }).await?;
        snapshot::pass_on(&self.node, stream, into).await
    }

    /// The id of the cluster that the member believes to be of.
    pub(super) async fn cluster_id(&self, way: Way<'_>, etcd: &Etcd) -> Result<u64, RemoteError> {
        let status = self.ask(way, etcd, |mut client| async move { client.status().await }).await?;
        let header = status.header().ok_or_else(|| self.trouble("its status came without a header"))?;
        Ok(header.cluster_id())
    }

    /// The uid of the namespace `kube-system`.
    pub(super) async fn kube_system_uid(&self, way: Way<'_>, etcd: &Etcd) -> Result<Option<String>, RemoteError> {
        let answer =
            self.ask(way, etcd, |mut client| async move { client.get(snapshot::KUBE_SYSTEM, None).await }).await?;
        Ok(answer.kvs().first().and_then(|stored| snapshot::uid_in(stored.value())))
    }

    /// Takes the lease that is a backup's turn; false when it is taken.
    pub(super) async fn take_turn(&self, way: Way<'_>, etcd: &Etcd, time: Duration) -> Result<bool, RemoteError> {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        self.ask(way, etcd, |mut client| async move {
            match client.lease_grant(seconds, Some(LeaseGrantOptions::new().with_id(TURN))).await {
                Err(error) if parse::is_granted_before(&error) => Ok(false),
                granted => granted.map(|_| true),
            }
        })
        .await
    }

    /// Keeps it; false when it is over.
    pub(super) async fn keep_turn(&self, way: Way<'_>, etcd: &Etcd) -> Result<bool, RemoteError> {
        self.ask(way, etcd, |mut client| async move {
            let (mut keeper, mut answers) = client.lease_keep_alive(TURN).await?;
            keeper.keep_alive().await?;
            answers.message().await.map(|answer| answer.is_some_and(|answer| answer.ttl() > 0))
        })
        .await
    }

    /// Gives it back.
    pub(super) async fn end_turn(&self, way: Way<'_>, etcd: &Etcd) -> Result<(), RemoteError> {
        self.ask(way, etcd, |mut client| async move { client.lease_revoke(TURN).await.map(|_| ()) }).await
    }

    /// Asks through the open client, and once more through a new one when that fails: the member may have been restarted
    /// since. Asking twice does no harm: a turn that was taken without an answer ends by itself.
    async fn ask<T, F>(&self, way: Way<'_>, etcd: &Etcd, question: impl Fn(Client) -> F) -> Result<T, RemoteError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let (client, fresh) = self.client(way, etcd).await?;
        let first = match within_limit(Box::pin(question(client))).await {
            Ok(answer) => return Ok(answer),
            Err(trouble) if trouble.connection => trouble,
            Err(trouble) => return Err(self.trouble(trouble.words)),
        };
        self.close().await;
        if fresh {
            return Err(self.trouble(first.words));
        }
        let (client, _) = self.client(way, etcd).await?;
        within_limit(question(client)).await.map_err(|trouble| self.trouble(trouble.words))
    }

    /// A client, and whether it was opened just now.
    async fn client(&self, way: Way<'_>, etcd: &Etcd) -> Result<(Client, bool), RemoteError> {
        let mut open = self.open.lock().await;
        if let Some(client) = &*open {
            return Ok((client.clone(), false));
        }
        let socket = Socket { node: &self.node, address: &self.address, path: &self.sockets };
        // Boxed, because it is large and seldom needed.
        let client = Box::pin(connect::open(way, etcd, &socket)).await?;
        *open = Some(client.clone());
        Ok((client, true))
    }

    fn trouble(&self, what: impl Into<String>) -> RemoteError {
        RemoteError::Etcd { node: self.node.clone(), what: what.into() }
    }
}

/// Why a question has no answer, and whether a new connection might help.
struct Trouble {
    words: String,
    connection: bool,
}

async fn within_limit<T>(asking: impl Future<Output = Result<T, Error>>) -> Result<T, Trouble> {
    match tokio::time::timeout(ANSWER_LIMIT, asking).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Trouble { connection: parse::is_connection(&error), words: parse::words(&error) }),
        Err(_) => Err(Trouble { words: format!("no answer within {} s", ANSWER_LIMIT.as_secs()), connection: true }),
    }
}
