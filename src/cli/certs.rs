//! `windlass certs status`: which certificates there are, when they end, and who renews them.

use super::{Format, Looking, files};
use crate::error::{Exit, Failure};
use crate::observe;
use crate::remote::SystemClock;
use crate::{report, text};

/// Shows the certificates of every machine that answers.
pub(super) async fn run(arguments: Looking) -> Result<(), Failure> {
    let read = files::inventory(&arguments.inventory)?;
    let fleet = read.fleet()?;
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
