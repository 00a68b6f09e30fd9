//! The proof of a snapshot: restored without any change, started, and asked whether it has what its manifest says. What it
//! finds is compared with what the members themselves answered when the snapshot was taken.

use std::fs::File;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use semver::Version;

use super::Manifest;
use super::manifest::Hash;
use crate::facts::proof::Said;
use crate::remote::snapshot::Inside;
use crate::remote::throwaway::{self, Programs, ThrowawayError};

/// A snapshot that was proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// What the throw-away etcd said.
    pub said: Said,
    /// Its version.
    pub etcd: Version,
    /// How long it took.
    pub took: Duration,
    /// Members whose hash, when the snapshot was taken, is that of the proof.
    pub members: usize,
}

/// Why it is not proven.
#[derive(Debug, thiserror::Error)]
pub enum Unproven {
    /// It could not be tried.
    #[error("it could not be tried")]
    Untried(#[source] ThrowawayError),
    /// No etcd of its version is here.
    #[error("it is of etcd {wanted}, and here is {here}: give a folder with etcd {}.{}: --etcd-bin FOLDER", wanted.major, wanted.minor)]
    Version {
        /// The member's.
        wanted: Version,
        /// The one on this machine.
        here: Version,
    },
    /// It does not come to life, or not as what it should be.
    #[error("{0}")]
    Failed(String),
}

/// Proves the snapshot in `file`, which was found to have this inside. Works in a folder of its own below `parent`.
pub async fn prove(
    file: &File,
    inside: &Inside,
    manifest: Option<&Manifest>,
    programs: &Programs,
    parent: &Utf8Path,
) -> Result<Proof, Unproven> {
    let since = Instant::now();
    let etcd = programs.version().await.map_err(Unproven::Untried)?;
    if let Some(wanted) = manifest.and_then(|manifest| Version::parse(&manifest.member.version).ok())
        && (wanted.major, wanted.minor) != (etcd.major, etcd.minor)
    {
        return Err(Unproven::Version { wanted, here: etcd });
    }
    let said = throwaway::run(file, programs, parent, inside.contents.revision).await.map_err(|error| match error {
        ThrowawayError::Program { .. } | ThrowawayError::Folder { .. } => Unproven::Untried(error),
        error => Unproven::Failed(error.to_string()),
    })?;
    let members = compare(&said, inside, manifest).map_err(Unproven::Failed)?;
    Ok(Proof { said, etcd, took: since.elapsed(), members })
}

/// Compares what it said with what it should have; how many members had the same hash.
fn compare(said: &Said, inside: &Inside, manifest: Option<&Manifest>) -> Result<usize, String> {
    let numbers = [
        ("revision", said.revision, inside.contents.revision),
        ("keys", said.keys, inside.keys),
        ("compact revision", u64::try_from(said.compact_revision).unwrap_or(0), inside.compact_revision),
    ];
    for (what, is, wanted) in numbers {
        if is != wanted {
            return Err(format!("restored and started, its {what} is {is}, and should be {wanted}"));
        }
    }
    let members = manifest.map_or(&[][..], |manifest| &manifest.members);
    let mut same = 0;
    for member in members {
        match member.hash {
            // Hashes are comparable only at one compaction.
            Hash::Known { hash_kv, compact_revision } if compact_revision == said.compact_revision => {
                if hash_kv != said.hash_kv {
                    let (is, name) = (said.hash_kv, &member.name);
                    return Err(format!("restored and started, its HashKV is {is}, and that of {name} was {hash_kv}"));
                }
                same += 1;
            }
            Hash::Known { .. } | Hash::Unknown(_) => {}
        }
    }
    Ok(same)
}
