//! `windlass etcd …`: backups, and what else is done with etcd. One file a command.

mod verify;

use clap::Subcommand;

use crate::error::Failure;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Etcd {
    /// Look whether a snapshot is whole: its hash, its pages, its revision
    Verify(verify::Arguments),
}

/// Runs one.
pub(super) fn run(etcd: &Etcd) -> Result<(), Failure> {
    match etcd {
        Etcd::Verify(arguments) => verify::run(arguments),
    }
}
