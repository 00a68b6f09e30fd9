//! A snapshot of etcd on the operator's disk: streamed, verified, and only then given its name.
//!
//! It leaves no file that it did not verify, and never replaces one.

mod bolt;
mod contents;
mod hash;
mod wire;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use etcd_client::{SnapshotResponse, SnapshotStreaming};
use tempfile::NamedTempFile;
use tokio::sync::mpsc::Sender;

pub(super) use self::contents::{KUBE_SYSTEM, uid_in};
use self::hash::HASH_BYTES;
use super::{RemoteError, SnapshotContents, SnapshotWanted};
use crate::inventory::NodeName;

pub(crate) use self::hash::{Hashes, TrailingHash};

/// Longest silence between two messages of the stream: a stopped etcd would hang it for ever. Etcd sends 32 KiB at a time.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// Bytes that are passed on at once. Whoever hashes and writes them is another thread, and to wake it for each message takes
/// longer than the message's own hash.
const BATCH: usize = 256 << 10;

/// Why a file is not a good snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// It cannot be read.
    #[error("{0}")]
    Unread(String),
    /// It ends too early, or its hash is missing.
    #[error("{0}")]
    CutOff(String),
    /// Its bytes are not those that etcd sent.
    #[error("{0}")]
    Hash(String),
    /// Its pages do not make a database of etcd's.
    #[error("{0}")]
    Pages(String),
    /// It is good, and not what was wanted.
    #[error("{0}")]
    Unwanted(String),
}

/// What a snapshot file holds, besides what every reader wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// What every reader wants to know.
    pub contents: SnapshotContents,
    /// The uid of the namespace `kube-system`, where the snapshot has one that can be read.
    pub kube_system_uid: Option<String>,
    /// The members' names, by id, ascending.
    pub members: Vec<(u64, String)>,
}

/// Receives `stream` into the new file `into`, 0600, once it was read back and found to be what is wanted.
pub(super) async fn save(
    node: &NodeName,
    mut stream: SnapshotStreaming,
    into: &Utf8Path,
    wanted: &SnapshotWanted,
) -> Result<SnapshotContents, RemoteError> {
    let folder = match into.parent() {
        Some(folder) if !folder.as_str().is_empty() => folder.to_owned(),
        _ => Utf8PathBuf::from("."),
    };
    let local = |what: String| move |cause| RemoteError::Local { what, cause };
    let bad = |why: String| RemoteError::BadSnapshot { node: node.clone(), why };
    let mut file = tempfile::Builder::new()
        .prefix(".snapshot-")
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(&folder)
        .map_err(local(format!("make a file in {folder}")))?;
    let mut hash = TrailingHash::default();
    while let Some(message) = next(node, &mut stream).await? {
        hash.update(message.blob());
        // Straight to the page cache: 32 KiB do not stall the runtime.
        file.write_all(message.blob()).map_err(local(format!("write {into}")))?;
    }
    let digest = hash.finish().map_err(|why| bad(why.to_string()))?.database;
    let (into, wanted) = (into.to_owned(), wanted.clone());
    let finishing = tokio::task::spawn_blocking(move || finish(file, &digest, &into, &folder, &wanted));
    match finishing.await {
        Ok(Ok(contents)) => Ok(contents),
        Ok(Err(Unfinished::Bad(why))) => Err(bad(why.to_string())),
        Ok(Err(Unfinished::Local(what, cause))) => Err(RemoteError::Local { what, cause }),
        Err(died) => Err(bad(format!("reading it back failed: {died}"))),
    }
}

/// Passes `stream` on to `into`, some messages at a time, for as long as somebody listens there.
pub(super) async fn pass_on(
    node: &NodeName,
    mut stream: SnapshotStreaming,
    into: &Sender<Vec<u8>>,
) -> Result<(), RemoteError> {
    let mut batch = Vec::with_capacity(BATCH);
    while let Some(message) = next(node, &mut stream).await? {
        if batch.len() + message.blob().len() > BATCH {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            if into.send(full).await.is_err() {
                // Whoever listened knows why it does not any more.
                return Ok(());
            }
        }
        batch.extend_from_slice(message.blob());
    }
    let _ = into.send(batch).await;
    Ok(())
}

/// The next message; nothing behind the last.
async fn next(node: &NodeName, stream: &mut SnapshotStreaming) -> Result<Option<SnapshotResponse>, RemoteError> {
    let bad = |why: String| RemoteError::BadSnapshot { node: node.clone(), why };
    let message = tokio::time::timeout(IDLE_LIMIT, stream.message()).await;
    let message = message.map_err(|_| bad(format!("nothing came for {} s", IDLE_LIMIT.as_secs())))?;
    message.map_err(|error| bad(format!("the stream broke off: {}", super::etcd::words(&error))))
}

enum Unfinished {
    Bad(Bad),
    Local(String, std::io::Error),
}

/// Reads the whole file back, and only then gives it its name and makes both last.
fn finish(
    file: NamedTempFile,
    digest: &str,
    into: &Utf8Path,
    folder: &Utf8Path,
    wanted: &SnapshotWanted,
) -> Result<SnapshotContents, Unfinished> {
    let local = |what: String| move |cause| Unfinished::Local(what, cause);
    let contents = verify_open(file.as_file()).map_err(Unfinished::Bad)?;
    if contents.sha256 != digest {
        return Err(Unfinished::Bad(Bad::Hash("the disk gives back other bytes than were written".to_owned())));
    }
    if let Some(fault) = wanted.fault(&contents) {
        return Err(Unfinished::Bad(Bad::Unwanted(fault)));
    }
    file.as_file().sync_all().map_err(local(format!("sync {into}")))?;
    file.persist_noclobber(into).map_err(|error| Unfinished::Local(format!("create {into}"), error.error))?;
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(local(format!("sync {folder}")))?;
    Ok(contents)
}

/// Reads the snapshot file `path`: trailing hash, page structure, revision, keys, members.
pub fn verify(path: &Utf8Path) -> Result<SnapshotContents, Bad> {
    let file = std::fs::File::open(path).map_err(|error| Bad::Unread(format!("{path} cannot be opened: {error}")))?;
    verify_open(&file)
}

fn verify_open(file: &std::fs::File) -> Result<SnapshotContents, Bad> {
    inside(file).map(|inside| inside.contents)
}

/// Reads all of an open snapshot file: trailing hash, then pages.
pub fn inside(file: &std::fs::File) -> Result<Inside, Bad> {
    let hashes = check_hash(file)?;
    pages(file, hashes)
}

/// Reads the pages of a snapshot file with these hashes.
pub(crate) fn pages(file: &std::fs::File, hashes: Hashes) -> Result<Inside, Bad> {
    let bytes = size(file)?;
    let database = bolt::Database::open(file, bytes - HASH_BYTES as u64)?;
    let found = contents::read(&database)?;
    Ok(Inside {
        contents: SnapshotContents {
            bytes,
            sha256: hashes.database,
            file_sha256: hashes.file,
            revision: found.revision,
            registry_keys: found.registry_keys,
            keys: found.keys,
            compact_revision: found.compact_revision,
            members: found.members.iter().map(|(id, _)| *id).collect(),
        },
        kube_system_uid: found.kube_system_uid,
        members: found.members,
    })
}

fn size(file: &std::fs::File) -> Result<u64, Bad> {
    file.metadata().map(|data| data.len()).map_err(|error| Bad::Unread(format!("its size cannot be read: {error}")))
}

/// Reads the file once and compares its hash.
fn check_hash(file: &std::fs::File) -> Result<Hashes, Bad> {
    use std::os::unix::fs::FileExt;
    let bytes = size(file)?;
    let mut hash = TrailingHash::default();
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < bytes {
        let count =
            file.read_at(&mut buffer, at).map_err(|error| Bad::Unread(format!("it cannot be read: {error}")))?;
        if count == 0 {
            return Err(Bad::CutOff("it became shorter while it was read".to_owned()));
        }
        hash.update(&buffer[..count]);
        at += count as u64;
    }
    hash.finish()
}

#[cfg(test)]
mod tests;
