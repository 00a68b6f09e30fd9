//! The command line: clap arguments, one file a command. It reads files, calls the rooms in order, prints. It decides
//! nothing.

mod abort;
mod apply;
mod bootstrap;
mod certs;
mod check;
mod discover;
mod etcd;
mod files;
mod files_alone;
mod finish;
mod lock;
mod looked;
mod node;
mod plan;
mod renew;
mod resume;
mod run;
mod signs;
mod status;

use std::process::ExitCode;

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand};

use crate::error::{Exit, Failure};

/// Raises kubeadm and etcd clusters by a version, node by node over SSH, from one reviewed plan.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at a whole cluster and say what needs attention, whatever is planned; changes nothing
    Check(Box<check::Arguments>),
    /// Look after certificates
    #[command(subcommand)]
    Certs(Box<Certs>),
    /// Look after inventories
    #[command(subcommand)]
    Inventory(Box<Inventory>),
    /// Look after playbooks
    #[command(subcommand)]
    Playbook(Check),
    /// Look at the lock that keeps a second operator away
    #[command(subcommand)]
    Lock(Lock),
    /// Look after etcd: backups, members, restore
    #[command(subcommand)]
    Etcd(Box<etcd::Etcd>),
    /// Make a cluster of machines that have nothing but SSH, sudo and a package source, from one reviewed plan
    #[command(subcommand)]
    Bootstrap(Box<bootstrap::Bootstrap>),
    /// Let nodes join a cluster, leave it, or take the place of lost ones, each from one reviewed plan
    #[command(subcommand)]
    Node(Box<node::NodeCommand>),
    /// Plan and carry out an upgrade
    #[command(subcommand)]
    Upgrade(Box<Upgrade>),
}

#[derive(Debug, Subcommand)]
enum Check {
    /// Check a file without touching a node
    Check {
        /// The TOML file
        file: Utf8PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum Certs {
    /// Say which there are on which machines, when they end, and who renews them; changes nothing
    Status(Looking),
    /// Make an authority for an external etcd: two files on this machine, and nowhere else
    Authority(certs::Authority),
    /// Renew those of an external etcd, which nobody else does: its members', its clients' on their machines and API servers'
    #[command(subcommand)]
    Renew(renew::Renew),
}

#[derive(Debug, Subcommand)]
enum Inventory {
    /// Check a file without touching a node
    Check {
        /// The TOML file
        file: Utf8PathBuf,
    },
    /// Write an inventory of a kubeadm cluster that runs, as one of its control planes tells it; changes nothing
    Discover(discover::Arguments),
}

#[derive(Debug, Subcommand)]
enum Lock {
    /// Say who holds it, from where, since when, and what runs on which node; needs neither etcd nor the API
    Show(Looking),
}

#[derive(Debug, Subcommand)]
enum Upgrade {
    /// Look at the cluster and write down what an upgrade will do; changes nothing
    Plan(plan::Arguments),
    /// Carry out a plan, or go on with it
    Apply(run::Arguments),
    /// Give up a run that has begun, and leave everything in a supported state
    Abort(run::Arguments),
    /// Take away what nodes keep for going back, once the run is over; snapshots stay
    Finish(run::Arguments),
    /// Say how far a run has come, from this machine's journal or the control planes' copies; changes nothing
    Status(status::Arguments),
}

/// Arguments of commands that only look at a cluster.
#[derive(Debug, Args)]
struct Looking {
    /// The cluster's inventory
    #[arg(short, long, value_name = "FILE")]
    inventory: Utf8PathBuf,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// How a command shows what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Parses the arguments, runs, prints the failure once, and returns the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_tracing();
    // It waits for machines: what works is on threads of its own, and to wake one for each answer takes longer than the answer.
    let result = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(Failure::of(Exit::Bug, &error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            anstream::eprintln!("{failure}");
            ExitCode::from(failure.exit.code())
        }
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Inventory(inventory) => match *inventory {
            Inventory::Check { file } => files_alone::inventory(&file),
            Inventory::Discover(arguments) => discover::run(arguments).await,
        },
        Command::Playbook(Check::Check { file }) => files_alone::playbook(&file),
        Command::Check(arguments) => check::run(*arguments).await,
        Command::Certs(certs) => match *certs {
            Certs::Status(arguments) => certs::run(arguments).await,
            Certs::Authority(arguments) => certs::authority(&arguments),
            Certs::Renew(renew) => renew::run(renew).await,
        },
        Command::Lock(Lock::Show(arguments)) => lock::run(arguments).await,
        Command::Etcd(etcd) => etcd::run(*etcd).await,
        Command::Bootstrap(bootstrap) => bootstrap::run(*bootstrap).await,
        Command::Node(command) => node::run(*command).await,
        Command::Upgrade(upgrade) => match *upgrade {
            Upgrade::Plan(arguments) => plan::run(arguments).await,
            Upgrade::Apply(arguments) => apply::run(arguments, "upgrade apply").await,
            Upgrade::Abort(arguments) => abort::run(arguments).await,
            Upgrade::Finish(arguments) => finish::run(arguments, "upgrade finish", false).await,
            Upgrade::Status(arguments) => status::run(arguments).await,
        },
    }
}

/// Diagnostics go to stderr, and only when `WINDLASS_LOG` asks for them (as `debug`, or `windlass::remote=trace`).
fn start_tracing() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("WINDLASS_LOG").unwrap_or_default();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
