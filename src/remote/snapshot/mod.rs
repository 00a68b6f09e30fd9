//! A snapshot of etcd on the operator's disk: streamed, verified, and only then given its name.
//!
//! It leaves no file that it did not verify, and never replaces one.

mod bolt;
mod contents;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use etcd_client::SnapshotStreaming;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::{RemoteError, SnapshotContents, SnapshotWanted};
use crate::inventory::NodeName;
use crate::text::hex;

/// Longest silence between two messages of the stream: a stopped etcd would hang it for ever. Etcd sends 32 KiB at a time.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// Bytes of the hash at the end.
const HASH_BYTES: usize = 32;

/// Why a file is not a good snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Bad(pub(crate) String);

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
    loop {
        let message = tokio::time::timeout(IDLE_LIMIT, stream.message()).await;
        let message = message.map_err(|_| bad(format!("nothing came for {} s", IDLE_LIMIT.as_secs())))?;
        let Some(message) = message.map_err(|error| bad(format!("the stream broke off: {error}")))? else {
            break;
        };
        hash.update(message.blob());
        // Straight to the page cache: 32 KiB do not stall the runtime.
        file.write_all(message.blob()).map_err(local(format!("write {into}")))?;
    }
    let digest = hash.finish().map_err(|why| bad(why.0))?.database;
    let (into, wanted) = (into.to_owned(), wanted.clone());
    let finishing = tokio::task::spawn_blocking(move || finish(file, &digest, &into, &folder, &wanted));
    match finishing.await {
        Ok(Ok(contents)) => Ok(contents),
        Ok(Err(Unfinished::Bad(why))) => Err(bad(why.0)),
        Ok(Err(Unfinished::Local(what, cause))) => Err(RemoteError::Local { what, cause }),
        Err(died) => Err(bad(format!("reading it back failed: {died}"))),
    }
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
        return Err(Unfinished::Bad(Bad("the disk gives back other bytes than were written".to_owned())));
    }
    if let Some(fault) = wanted.fault(&contents) {
        return Err(Unfinished::Bad(Bad(fault)));
    }
    file.as_file().sync_all().map_err(local(format!("sync {into}")))?;
    file.persist_noclobber(into).map_err(|error| Unfinished::Local(format!("create {into}"), error.error))?;
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(local(format!("sync {folder}")))?;
    Ok(contents)
}

/// Reads the snapshot file `path`: trailing hash, page structure, revision, keys, members.
pub fn verify(path: &Utf8Path) -> Result<SnapshotContents, Bad> {
    let file = std::fs::File::open(path).map_err(|error| Bad(format!("{path} cannot be opened: {error}")))?;
    verify_open(&file)
}

fn verify_open(file: &std::fs::File) -> Result<SnapshotContents, Bad> {
    let bytes = file.metadata().map_err(|error| Bad(format!("its size cannot be read: {error}")))?.len();
    let hashes = check_hash(file, bytes)?;
    let database = bolt::Database::open(file, bytes - HASH_BYTES as u64)?;
    let found = contents::read(&database)?;
    Ok(SnapshotContents {
        bytes,
        sha256: hashes.database,
        file_sha256: hashes.file,
        revision: found.revision,
        registry_keys: found.registry_keys,
        members: found.members,
    })
}

/// Reads the file once and compares its hash.
fn check_hash(file: &std::fs::File, bytes: u64) -> Result<Hashes, Bad> {
    use std::os::unix::fs::FileExt;
    let mut hash = TrailingHash::default();
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < bytes {
        let count = file.read_at(&mut buffer, at).map_err(|error| Bad(format!("it cannot be read: {error}")))?;
        if count == 0 {
            return Err(Bad("it became shorter while it was read".to_owned()));
        }
        hash.update(&buffer[..count]);
        at += count as u64;
    }
    hash.finish()
}

/// SHA-256 of a snapshot, hex.
struct Hashes {
    /// Of the database, which is what etcd appended.
    database: String,
    /// Of the file with that.
    file: String,
}

/// SHA-256 of all but the last 32 bytes, which should be that hash.
#[derive(Default)]
struct TrailingHash {
    hash: Sha256,
    last: Vec<u8>,
    bytes: u64,
}

impl TrailingHash {
    fn update(&mut self, more: &[u8]) {
        self.bytes += more.len() as u64;
        // Of what was held back and what came, all but the last 32 bytes is database for certain.
        let keep = HASH_BYTES.min(self.last.len() + more.len());
        let from_more = keep.min(more.len());
        let from_last = keep - from_more;
        let (sure, kept) = self.last.split_at(self.last.len() - from_last);
        self.hash.update(sure);
        self.hash.update(&more[..more.len() - from_more]);
        let mut last = kept.to_vec();
        last.extend_from_slice(&more[more.len() - from_more..]);
        self.last = last;
    }

    /// The hashes, when the bytes end with the database's.
    fn finish(self) -> Result<Hashes, Bad> {
        // A database is whole pages, and those are multiples of 512 bytes: what is left over must be the hash.
        if self.bytes % 512 != HASH_BYTES as u64 || self.bytes < 512 {
            return Err(Bad(format!("its {} bytes are not whole pages and a hash: it is cut off", self.bytes)));
        }
        let file = self.hash.clone().chain_update(&self.last).finalize();
        let computed = self.hash.finalize();
        if computed[..] == self.last[..] {
            Ok(Hashes { database: hex(&computed), file: hex(&file) })
        } else {
            Err(Bad(format!("its SHA-256 is {}, and {} was appended", hex(&computed), hex(&self.last))))
        }
    }
}

#[cfg(test)]
mod tests;
