//! `windlass etcd status`: how etcd is, and what of it needs attention.

use camino::Utf8PathBuf;
use clap::Args;

use crate::cli::{Format, files};
use crate::decide::rules;
use crate::error::{Exit, Failure};
use crate::observe;
use crate::remote::SystemClock;
use crate::remote::ssh::Fleet;
use crate::{report, text};

/// Arguments of `windlass etcd status`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The cluster's inventory
    #[arg(short, long, value_name = "FILE")]
    inventory: Utf8PathBuf,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Shows how etcd is.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let read = files::inventory(&arguments.inventory)?;
    let folder = read.path.parent().unwrap_or(&read.path);
    let fleet = Fleet::new(&read.inventory, folder).map_err(|error| Failure::of(Exit::Unreachable, &error))?;
    let seen = observe::etcd_health(&fleet, &SystemClock::start(), &read.inventory).await;
    fleet.close().await;
    let findings = rules::etcd_health(&read.inventory, &seen);
    match arguments.output {
        Format::Text => anstream::print!("{}", report::etcd(&read.inventory.name, &seen, &findings)),
        Format::Json => anstream::println!("{:#}", report::etcd_json(&read.inventory.name, &seen, &findings)),
    }
    if !seen.answers() {
        return Err(Failure::new(Exit::Unreachable, "no member of etcd answers").hint("nothing was changed"));
    }
    match findings.len() {
        0 => Ok(()),
        some => Err(Failure::new(Exit::Refused, format!("etcd needs attention: {}", text::count(some, "finding")))
            .hint("nothing was changed")),
    }
}
