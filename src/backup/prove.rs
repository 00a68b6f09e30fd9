//! The proof of a snapshot: restored without any change, started, and asked whether it has what its manifest says. What it
//! finds is compared with what the members themselves answered when the snapshot was taken.

use std::fs::File;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use semver::Version;

use super::Manifest;
use super::manifest::{Hash, MemberHash};
use crate::decide::call::{Call, Script};
use crate::facts::proof::Said;
use crate::inventory::NodeName;
use crate::remote::SnapshotContents;
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
    /// It could not be tried on that machine.
    #[error("it could not be tried on {node}: {why}")]
    On {
        /// The machine.
        node: NodeName,
        /// Why.
        why: String,
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
    let members = manifest.map_or(&[][..], |manifest| &manifest.members);
    let members = compare(&said, &inside.contents, members).map_err(Unproven::Failed)?;
    Ok(Proof { said, etcd, took: since.elapsed(), members })
}

/// The job that proves a snapshot with these contents, sent to a node as this file below Windlass's proofs.
pub fn job(file: &str, contents: &SnapshotContents, etcd: &Version) -> Call {
    let minor = format!("{}.{}", etcd.major, etcd.minor);
    let args = vec![file.to_owned(), contents.file_sha256.clone(), contents.revision.to_string(), minor];
    Call { script: Script::ProveSnapshot, args }
}

/// The revision below which history was compacted, as snapshots and manifests tell it: 0 when it never was.
fn compacted(told: i64) -> u64 {
    u64::try_from(told).unwrap_or(0)
}

/// The member's hash, where it can be held against that of a snapshot with these contents: hashes are comparable only at one
/// compaction.
fn hash_of(member: &MemberHash, contents: &SnapshotContents) -> Option<u32> {
    match member.hash {
        Hash::Known { hash_kv, compact_revision } => {
            (compacted(compact_revision) == contents.compact_revision).then_some(hash_kv)
        }
        Hash::Unknown(_) => None,
    }
}

/// Whether some member's hash can be held against that of a snapshot with these contents.
pub fn comparable(contents: &SnapshotContents, members: &[MemberHash]) -> bool {
    members.iter().any(|member| hash_of(member, contents).is_some())
}

/// Compares what a throw-away etcd said with what it should have; how many members had the same hash.
pub fn compare(said: &Said, contents: &SnapshotContents, members: &[MemberHash]) -> Result<usize, String> {
    let numbers = [
        ("revision", said.revision, contents.revision),
        ("keys", said.keys, contents.keys),
        ("compact revision", compacted(said.compact_revision), contents.compact_revision),
    ];
    for (what, is, wanted) in numbers {
        if is != wanted {
            return Err(format!("restored and started, its {what} is {is}, and should be {wanted}"));
        }
    }
    let mut same = 0;
    for (member, hash_kv) in members.iter().filter_map(|member| Some((member, hash_of(member, contents)?))) {
        if hash_kv != said.hash_kv {
            let (is, name) = (said.hash_kv, &member.name);
            return Err(format!("restored and started, its HashKV is {is}, and that of {name} was {hash_kv}"));
        }
        same += 1;
    }
    Ok(same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::manifest::Id;

    fn contents() -> SnapshotContents {
        SnapshotContents {
            bytes: 1,
            sha256: String::new(),
            file_sha256: String::new(),
            revision: 9,
            registry_keys: 2,
            keys: 3,
            compact_revision: 0,
            members: Vec::new(),
        }
    }

    fn member(name: &str, hash: Hash) -> MemberHash {
        MemberHash { id: Id(1), name: name.to_owned(), hash }
    }

    #[test]
    fn a_proof_is_held_against_the_snapshot_and_the_members() {
        let good = Said { revision: 9, keys: 3, hash_kv: 77, compact_revision: -1 };
        let known = |hash_kv, compact_revision| Hash::Known { hash_kv, compact_revision };
        let members =
            [member("a", known(77, -1)), member("b", known(5, 8)), member("c", Hash::Unknown("away".to_owned()))];
        assert_eq!(compare(&good, &contents(), &members), Ok(1));
        let other = compare(&good, &contents(), &[member("a", known(77, -1)), member("b", known(78, -1))]);
        assert_eq!(other, Err("restored and started, its HashKV is 77, and that of b was 78".to_owned()));
        for (said, why) in [
            (Said { revision: 8, ..good }, "revision is 8, and should be 9"),
            (Said { keys: 4, ..good }, "keys is 4, and should be 3"),
            (Said { compact_revision: 2, ..good }, "compact revision is 2, and should be 0"),
        ] {
            let found = compare(&said, &contents(), &members).expect_err("it differs");
            assert_eq!(found, format!("restored and started, its {why}"));
        }
        let told_otherwise = [member("a", known(77, 0))];
        assert!(comparable(&contents(), &told_otherwise));
        assert_eq!(compare(&good, &contents(), &told_otherwise), Ok(1), "what can be compared is");
        assert!(comparable(&contents(), &members));
        assert!(!comparable(&contents(), &members[1..]), "a compaction has passed");
    }
}
