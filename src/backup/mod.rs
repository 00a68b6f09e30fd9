//! Backups of etcd: what one is and what it is called, how one is taken, and how one is looked at.
//!
//! A backup is two objects at a destination, with the same name up to the first dot after the revision: the snapshot
//! (`.db`, with `.zst` when it is compressed and `.age` when it is encrypted) and its manifest (`.json`, always in the clear,
//! never secret). A third, `.pki.tar.zst.age`, holds what a snapshot alone does not bring back; it is always encrypted. The
//! manifest is written last: what has none is not a backup.
//!
//! [`choose`], [`name`], [`manifest`], [`keep`], [`metrics`] and [`schedule`] are pure; the rest reaches machines and destinations through
//! [`crate::remote`].

pub mod choose;
pub mod deliver;
pub mod hashes;
pub mod keep;
pub mod lock;
pub mod manifest;
pub mod metrics;
pub mod metrics_file;
pub mod name;
mod open;
pub mod pack;
pub mod pki;
pub mod prove;
pub mod prove_on;
pub mod prune;
pub mod schedule;
pub mod seal;
pub mod sink;
pub mod take;
pub mod turn;
pub mod units;
pub mod verify;

pub use manifest::Manifest;
pub use name::{BackupName, Part};
