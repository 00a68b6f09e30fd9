//! `windlass etcd …`: backups, and what else is done with etcd. One file a command.

mod backup;
mod defrag;
pub(super) mod destinations;
mod member;
mod prover;
pub(super) mod prune;
pub(super) mod restore;
mod schedule;
mod status;
mod verify;

use clap::Subcommand;

use crate::error::Failure;

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Etcd {
    /// Say how etcd is: members, leader, lag, size and room, alarms, whether the data agree; changes nothing
    Status(super::Looking),
    /// Take a snapshot, verify it, and put it where it is safe
    Backup(Box<backup::Arguments>),
    /// Look whether backups are whole, can be opened, and are what their manifests say
    Verify(verify::Arguments),
    /// Bring etcd back to a snapshot, from one reviewed plan; needs neither etcd nor the API
    #[command(subcommand)]
    Restore(restore::Restore),
    /// Change the members of etcd, from one reviewed plan
    #[command(subcommand)]
    Member(member::Member),
    /// Give back what etcd's databases do not use, one member at a time
    #[command(subcommand)]
    Defrag(defrag::Defrag),
    /// Remove old backups of one cluster, as `--keep-…` says
    Prune(prune::Arguments),
    /// Take backups by themselves: timers on this machine
    #[command(subcommand)]
    Schedule(Box<schedule::Command>),
}

/// Runs one.
pub(super) async fn run(etcd: Etcd) -> Result<(), Failure> {
    match etcd {
        Etcd::Status(arguments) => status::run(arguments).await,
        Etcd::Restore(restore) => restore::run(restore).await,
        Etcd::Member(member) => member::run(member).await,
        Etcd::Defrag(defrag) => defrag::run(defrag).await,
        Etcd::Backup(arguments) => backup::run(*arguments).await,
        Etcd::Verify(arguments) => verify::run(arguments).await,
        Etcd::Prune(arguments) => prune::run(arguments).await,
        Etcd::Schedule(command) => schedule::run(*command).await,
    }
}
