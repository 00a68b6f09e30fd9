//! `windlass lock show`: who holds the lock and what runs, from Windlass's own files on the nodes.

use camino::Utf8PathBuf;
use clap::Args;

use super::{Format, files};
use crate::error::{Exit, Failure};
use crate::observe;
use crate::remote::SystemClock;
use crate::remote::ssh::Fleet;
use crate::report;

/// Arguments of `windlass lock show`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The cluster's inventory
    #[arg(short, long, value_name = "FILE")]
    inventory: Utf8PathBuf,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Shows the lock.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let read = files::inventory(&arguments.inventory)?;
    let folder = read.path.parent().unwrap_or(&read.path);
    let fleet = Fleet::new(&read.inventory, folder).map_err(|error| Failure::of(Exit::Unreachable, &error))?;
    let seen = observe::own(&fleet, &SystemClock::start(), &read.inventory).await;
    fleet.close().await;
    match arguments.output {
        Format::Text => anstream::print!("{}", report::lock(&read.inventory.name, &seen)),
        Format::Json => anstream::println!("{:#}", report::lock_json(&read.inventory.name, &seen)),
    }
    if seen.majority_answers() {
        return Ok(());
    }
    Err(Failure::new(Exit::Unreachable, "no majority of the control planes answers")
        .hint("what those that answer say is above; the others may know of another holder"))
}
