//! Takes one snapshot: which member, streamed and verified, its hash at every member; ready to be put somewhere.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinError;

use super::choose::{Members, alarm, source};
use super::hashes::{self, Compared, Member};
use super::manifest::{FORMAT, Id, Manifest, Object, Plain, Taken};
use super::pack::{PackError, Pages, Storing, receive};
use super::sink::{How, Staged};
use super::{BackupName, Part};
use crate::error::{Exit, Failure, chain};
use crate::facts::{EtcdFacts, MemberStatus, Seen};
use crate::inventory::{Inventory, NodeName};
use crate::observe;
use crate::remote::snapshot::Inside;
use crate::remote::{Clock, RemoteError, SnapshotWanted, Streams};

/// Parts of the stream that wait for the disk: a mebibyte at most.
const WAITING: usize = 4;

/// Tries at the members' hashes: a compaction may pass while they are asked, or a member be a moment behind. Compactions are
/// minutes apart.
const HASH_TRIES: u32 = 3;

/// By when a member that is just being restarted answers, in an emergency; and how often it is asked.
const BACK_BY: Duration = Duration::from_secs(20);
const ASKED_EVERY: Duration = Duration::from_secs(2);

/// What is to be taken.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The machines.
    pub remote: &'a dyn Streams,
    /// The time.
    pub clock: &'a dyn Clock,
    /// The cluster.
    pub inventory: &'a Inventory,
    /// Which members have to be healthy.
    pub members: Members,
    /// A folder for what is not finished, with room for the snapshot, and for it once more when it is compressed or
    /// encrypted.
    pub stage: &'a camino::Utf8Path,
    /// How it is stored.
    pub how: &'a How,
    /// Whether what one member has will do, when an ordinary backup would be refused.
    pub emergency: bool,
}

/// A snapshot that was taken and is stored nowhere yet.
#[derive(Debug)]
pub struct Snapshot {
    /// What its objects are called.
    pub name: BackupName,
    /// Its manifest.
    pub manifest: Manifest,
    /// The snapshot as it will be stored.
    pub stored: Staged,
    /// Why it is no more than an emergency's, when it is.
    pub emergency: Option<String>,
}

/// Where it comes from.
struct Source {
    node: NodeName,
    /// Every member, as far as they are known beforehand.
    etcd: Option<EtcdFacts>,
    /// The members that answered, when `etcd` is not known: to ask for a health that is not there takes its time.
    answered: Vec<(NodeName, MemberStatus)>,
    emergency: Option<String>,
}

/// Takes it.
pub async fn take(order: &Order<'_>) -> Result<Snapshot, Failure> {
    let (began, since) = (order.clock.now(), order.clock.elapsed());
    let source = find(order).await?;
    let failed = |error: RemoteError| not_taken(&chain(&error));
    let known = source.answered.iter().find(|(node, _)| *node == source.node).map(|(_, status)| status.clone());
    let status = match known {
        Some(status) => status,
        None => order.remote.etcd_status(&source.node).await.map_err(failed)?,
    };
    let cluster_id = order.remote.etcd_cluster_id(&source.node).await.map_err(failed)?;
    let (pages, storing) = stream(order, &source.node).await?;
    let storing = tokio::task::spawn_blocking(|| storing.finish());
    let inside = done(tokio::task::spawn_blocking(|| pages.read()).await)?;
    if let Some(fault) = fault(&source, &status, &inside) {
        return Err(not_taken(&[fault]));
    }
    let members = asked(&source, &inside, order.members == Members::Own);
    let accept = order.emergency || source.emergency.is_some();
    let (hashes, differ) = hashes(order, &members, inside.contents.revision, accept).await?;
    let emergency = source.emergency.or(differ);
    let stored = done(storing.await)?;
    let took = order.clock.elapsed().saturating_sub(since);
    let contents = inside.contents;
    let name = BackupName { cluster: order.inventory.name.clone(), taken: whole(began), revision: contents.revision };
    let part = Part::Database { compressed: order.how.compress, encrypted: !order.how.recipients.is_empty() };
    let called = inside.members.iter().find(|(id, _)| *id == status.member_id).map(|(_, name)| name.clone());
    let manifest = Manifest {
        format: FORMAT,
        windlass: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: name.cluster.clone(),
        cluster_id: Id(cluster_id),
        kube_system_uid: inside.kube_system_uid,
        taken_at: name.taken,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        emergency: emergency.is_some(),
        member: Taken {
            id: Id(status.member_id),
            name: called.unwrap_or_else(|| source.node.to_string()),
            version: status.version.to_string(),
        },
        members: hashes,
        revision: contents.revision,
        compact_revision: contents.compact_revision,
        keys: contents.keys,
        registry_keys: contents.registry_keys,
        snapshot: Plain { bytes: contents.bytes, sha256: contents.file_sha256 },
        stored: Object { name: name.object(part), bytes: stored.bytes, sha256: stored.sha256.clone() },
        pki: None,
    };
    Ok(Snapshot { name, manifest, stored, emergency })
}

/// To the second, as names have it.
fn whole(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn not_taken(causes: &[String]) -> Failure {
    let mut failure = Failure::new(Exit::StepFailed, "no backup of etcd was taken");
    failure.causes = causes.to_vec();
    failure.hint("nothing is left of it; put right what is wrong, then run the same command again")
}

/// The member to take it from. What is not fit for an ordinary backup is refused, or taken as an emergency's.
async fn find(order: &Order<'_>) -> Result<Source, Failure> {
    let seen = observe::etcd(order.remote, order.inventory).await;
    let why = match seen {
        Seen::Known(etcd) => match alarm(&etcd).map_or_else(|| source(&etcd, order.members), Err) {
            Ok(node) => return Ok(Source { node, etcd: Some(etcd), answered: Vec::new(), emergency: None }),
            Err(why) => why,
        },
        Seen::Unknown(why) => why,
    };
    let since = order.clock.elapsed();
    let mut answered = statuses(order).await;
    // Without quorum a kubelet restarts its member again and again.
    while order.emergency && answered.is_empty() && order.clock.elapsed().saturating_sub(since) < BACK_BY {
        order.clock.sleep(ASKED_EVERY).await;
        answered = statuses(order).await;
    }
    let (some, all) = (answered.len(), order.inventory.etcd_nodes().count());
    let why = if some > all / 2 { why } else { format!("{some} of {all} members answer, which is no quorum: {why}") };
    let newest = answered.iter().max_by_key(|(_, status)| (status.revision, status.raft_applied));
    let Some((node, _)) = newest else {
        return Err(Failure::new(Exit::Unreachable, "no member of etcd answers").because(why));
    };
    if !order.emergency {
        return Err(Failure::new(Exit::Refused, "this etcd is in no state for an ordinary backup").because(why).hint(
            "put right what is wrong; until then, the same command with --emergency takes what one member has, and marks \
             it: it may be stale",
        ));
    }
    let node = node.clone();
    Ok(Source { node, etcd: None, answered, emergency: Some(why) })
}

/// The members that answer at all.
async fn statuses(order: &Order<'_>) -> Vec<(NodeName, MemberStatus)> {
    let asking = order.inventory.etcd_nodes().map(|node| async {
        let status = order.remote.etcd_status(&node.name).await.ok()?;
        Some((node.name.clone(), status))
    });
    join_all(asking).await.into_iter().flatten().collect()
}

/// Streams it, and packs it as it comes.
async fn stream(order: &Order<'_>, node: &NodeName) -> Result<(Pages, Storing), Failure> {
    let (to, from) = mpsc::channel(WAITING);
    let (stage, how) = (order.stage.to_owned(), order.how.clone());
    let packing = tokio::task::spawn_blocking(move || receive(from, &stage, &how));
    let streamed = order.remote.etcd_stream(node, &to).await;
    drop(to);
    match (streamed, packing.await) {
        // What came before it broke off is not worth a word, but for a disk that broke it off.
        (Err(error), Ok(Ok(_) | Err(PackError::Bad(_)))) => Err(not_taken(&chain(&error))),
        (_, packed) => done(packed),
    }
}

/// What a part of the work came to.
fn done<T>(result: Result<Result<T, PackError>, JoinError>) -> Result<T, Failure> {
    match result {
        Ok(result) => result.map_err(|error| not_taken(&chain(&error))),
        Err(died) => Err(Failure::of(Exit::Bug, &died)),
    }
}

/// What is wrong with a snapshot that is whole.
fn fault(source: &Source, status: &MemberStatus, inside: &Inside) -> Option<String> {
    let contents = &inside.contents;
    let members = match &source.etcd {
        Some(etcd) => {
            let mut ids: Vec<u64> = etcd.members.iter().map(|member| member.id).collect();
            ids.sort_unstable();
            ids
        }
        None => contents.members.clone(),
    };
    SnapshotWanted { members, revision: status.revision }.fault(contents)
}

/// Whom to ask for hashes: every member, and why some are not asked.
fn asked(source: &Source, inside: &Inside, own: bool) -> Vec<Member> {
    let Some(etcd) = &source.etcd else {
        let node =
            |id: u64| source.answered.iter().find(|(_, status)| status.member_id == id).map(|(node, _)| node.clone());
        let member = |(id, name): &(u64, String)| Member {
            id: *id,
            name: if name.is_empty() { format!("{id:x}") } else { name.clone() },
            node: node(*id).ok_or_else(|| "it did not answer".to_owned()),
        };
        return inside.members.iter().map(member).collect();
    };
    let elsewhere = own.then_some("it is on another machine");
    etcd.members.iter().map(|member| Member::of(member, elsewhere)).collect()
}

/// The members' hashes at the snapshot's revision, and how they differ. Different ones end an ordinary backup: one of the members
/// is not to be trusted, and this may be it.
async fn hashes(
    order: &Order<'_>,
    members: &[Member],
    revision: u64,
    emergency: bool,
) -> Result<(Vec<super::manifest::MemberHash>, Option<String>), Failure> {
    let mut tries = 0;
    loop {
        let hashes = hashes::ask(order.remote, members, revision).await;
        tries += 1;
        let silent = hashes
            .iter()
            .zip(members)
            .any(|(hash, member)| member.node.is_ok() && matches!(hash.hash, super::manifest::Hash::Unknown(_)));
        match hashes::compare(&hashes, revision) {
            Compared::Different(why) if !emergency => {
                return Err(Failure::new(Exit::Refused, "no backup was taken of data that differ").because(why).hint(
                    "etcd is corrupt: find out which member is right before anything else; --emergency takes what one has",
                ));
            }
            Compared::Same if !silent => return Ok((hashes, None)),
            Compared::Different(why) if !silent || tries == HASH_TRIES => return Ok((hashes, Some(why))),
            _ if tries == HASH_TRIES => return Ok((hashes, None)),
            _ => order.clock.sleep(Duration::from_secs(1)).await,
        }
    }
}
