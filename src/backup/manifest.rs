//! The manifest beside each snapshot: whose it is, when and how it was taken, and what must be found in it. JSON, never
//! secret.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The format of what is written, and the only one that is read.
pub const FORMAT: u32 = 1;

/// The manifest of one backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The Windlass that took it.
    pub windlass: String,
    /// The cluster's name.
    pub cluster: String,
    /// The id of the etcd cluster.
    pub cluster_id: Id,
    /// The uid of the namespace `kube-system`, which is a Kubernetes cluster's own; absent when the snapshot has none to read.
    pub kube_system_uid: Option<String>,
    /// When it was begun.
    pub taken_at: Timestamp,
    /// How long the snapshot took, in milliseconds.
    pub took_ms: u64,
    /// Whether it is what one member had, without quorum or under an alarm: it may be stale.
    pub emergency: bool,
    /// The member it was taken from.
    pub member: Taken,
    /// Every member of the cluster, with its hash.
    pub members: Vec<MemberHash>,
    /// Revision of the snapshot.
    pub revision: u64,
    /// The revision below which its history was compacted.
    pub compact_revision: u64,
    /// Keys that are not deleted.
    pub keys: u64,
    /// Of these, keys below `/registry/`.
    pub registry_keys: u64,
    /// The snapshot as etcd sent it.
    pub snapshot: Plain,
    /// The snapshot as it is stored.
    pub stored: Object,
    /// What goes with it, when it was asked for.
    pub pki: Option<Pki>,
}

/// The id of a cluster or a member: 64 bits, written as etcd shows them, since most readers of JSON lose the last digits of
/// such numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(pub u64);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for Id {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let id = u64::from_str_radix(&text, 16).map(Self);
        id.map_err(|_| format!("{} is not an id", crate::text::quoted(&text)))
    }
}

/// The member that a snapshot was taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    /// Its id.
    pub id: Id,
    /// Its name in etcd.
    pub name: String,
    /// Its version of etcd.
    pub version: String,
}

/// A member and the hash of its key space at the snapshot's revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberHash {
    /// Its id.
    pub id: Id,
    /// Its name in etcd.
    pub name: String,
    /// What it answered.
    pub hash: Hash,
}

/// What a member answered when it was asked for its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Hash {
    /// The hash; comparable only at equal compact revisions.
    Known {
        /// CRC-32 over the keys up to the snapshot's revision.
        hash_kv: u32,
        /// The revision below which the member's history was compacted.
        compact_revision: i64,
    },
    /// Why there is none.
    Unknown(String),
}

/// The snapshot as etcd sent it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plain {
    /// Bytes, appended hash included.
    pub bytes: u64,
    /// SHA-256 of the file, hex: what `sha256sum` prints.
    pub sha256: String,
}

/// An object as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Its name at the destination.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256, hex: what `sha256sum` prints.
    pub sha256: String,
}

/// The object with certificates, keys and configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pki {
    /// As it is stored.
    pub stored: Object,
    /// The machines it is from.
    pub machines: Vec<String>,
    /// What is wrong with it, in words: files that are missing, or in which machines disagree.
    pub remarks: Vec<String>,
}

/// Why a text is not a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or not a manifest's.
    #[error("it is not a manifest")]
    Json(#[from] serde_json::Error),
    /// Another format.
    #[error("it has format {0}; this windlass reads format {FORMAT}")]
    Format(u32),
}

impl Manifest {
    /// As it is written.
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists only: nothing that JSON cannot say.
        serde_json::to_string_pretty(self).map(|text| text + "\n").unwrap_or_default()
    }

    /// Reads one.
    pub fn from_json(text: &str) -> Result<Self, ManifestError> {
        /// What every format has.
        #[derive(Deserialize)]
        struct Any {
            format: u32,
        }
        match serde_json::from_str(text)? {
            Any { format: FORMAT } => Ok(serde_json::from_str(text)?),
            Any { format } => Err(ManifestError::Format(format)),
        }
    }
}
