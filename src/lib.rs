//! Windlass raises a kubeadm cluster, and the etcd under it, by one version: one reviewed plan, node by node, over SSH.
//!
//! Data flows one way through the rooms of this house:
//!
//! ```text
//! files ─→ inventory, playbook ─┐
//! machines ─→ observe ─→ facts ─┴→ decide ─→ plan ─→ engine ─→ remote ─→ machines
//!                                                      └─→ journal, report
//! ```
//!
//! - [`inventory`], [`playbook`], [`facts`], [`decide`] are pure: no clock, file, network or tracing. A test holds them to it.
//!   So is [`document`], by which the files of people are read and complained about.
//! - [`observe`] looks, through [`remote`], and changes nothing.
//! - [`engine`] is the only room that changes a cluster, and only through [`remote`].
//! - [`backup`] is what a backup of etcd is, how one is taken and how one is looked at; it changes no cluster.
//! - [`remote`] is the seam: the only room that knows SSH, etcd's client, the clock and the disk of the journal.
//! - [`report`] turns values and events into text and JSON; [`cli`] parses arguments and decides nothing.

pub mod backup;
pub mod cli;
pub mod decide;
pub mod document;
pub mod engine;
pub mod error;
pub mod facts;
pub mod inventory;
pub mod journal;
pub mod observe;
pub mod playbook;
pub mod remote;
pub mod report;
pub mod text;
