//! Backups of etcd: what one is and what it is called, how one is taken, and how one is looked at.
//!
//! A backup is two objects at a destination, with the same name up to the first dot after the revision: the snapshot
//! (`.db`, with `.zst` when it is compressed and `.age` when it is encrypted) and its manifest (`.json`, always in the clear,
//! never secret). A third, `.pki.tar.zst.age`, holds what a snapshot alone does not bring back; it is always encrypted. The
//! manifest is written last: what has none is not a backup.
//!
//! [`name`], [`manifest`], [`keep`], [`metrics`] and [`schedule`] are pure; the rest reaches machines and destinations through
//! [`crate::remote`].

pub mod deliver;
pub mod keep;
pub mod manifest;
pub mod metrics;
pub mod metrics_file;
pub mod name;
pub mod prune;
pub mod schedule;
pub mod units;

pub use manifest::Manifest;
pub use name::{BackupName, Part};
