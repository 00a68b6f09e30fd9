//! `windlass etcd …`: backups, and what else is done with etcd. One file a command.

mod backup;
mod destinations;
mod prune;
mod schedule;
mod verify;

use clap::Subcommand;

use crate::error::Failure;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Etcd {
    /// Take a snapshot, verify it, and put it where it is safe
    Backup(Box<backup::Arguments>),
    /// Look whether backups are whole, can be opened, and are what their manifests say
    Verify(verify::Arguments),
    /// Remove old backups of one cluster, as `--keep-…` says
    Prune(prune::Arguments),
    /// Take backups by themselves: timers on this machine
    #[command(subcommand)]
    Schedule(Box<schedule::Command>),
}

/// Runs one.
pub(super) async fn run(etcd: Etcd) -> Result<(), Failure> {
    match etcd {
        Etcd::Backup(arguments) => backup::run(*arguments).await,
        Etcd::Verify(arguments) => verify::run(arguments).await,
        Etcd::Prune(arguments) => prune::run(arguments).await,
        Etcd::Schedule(command) => schedule::run(*command).await,
    }
}
