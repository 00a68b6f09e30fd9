//! `windlass certs status`: which certificates there are, when they end, and who renews them.

use camino::Utf8PathBuf;
use clap::Args;

use super::{Format, files};
use crate::error::{Exit, Failure};
use crate::observe;
use crate::remote::SystemClock;
use crate::remote::ssh::Fleet;
use crate::{report, text};

/// Arguments of `windlass certs status`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The cluster's inventory
    #[arg(short, long, value_name = "FILE")]
    inventory: Utf8PathBuf,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Shows the certificates of every machine that answers.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let read = files::inventory(&arguments.inventory)?;
    let folder = read.path.parent().unwrap_or(&read.path);
    let fleet = Fleet::new(&read.inventory, folder).map_err(|error| Failure::of(Exit::Unreachable, &error))?;
    let clock = SystemClock::start();
    let seen = observe::certificates(&fleet, &clock, &read.inventory).await;
    fleet.close().await;
    let certificates = report::Certificates::of(&read.inventory, &seen);
    match arguments.output {
        Format::Text => anstream::print!("{}", report::certificates(&certificates)),
        Format::Json => anstream::println!("{:#}", report::certificates_json(&certificates)),
    }
    match certificates.unseen.len() {
        0 => Ok(()),
        some => Err(Failure::new(
            Exit::Unreachable,
            format!("the certificates of {} were not seen", text::count(some, "machine")),
        )
        .hint("nothing was changed")),
    }
}
