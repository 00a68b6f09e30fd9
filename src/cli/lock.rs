//! `windlass lock show`: who holds the lock and what runs, from Windlass's own files on the nodes.

use super::{Format, Looking, files};
use crate::error::{Exit, Failure};
use crate::observe;
use crate::remote::SystemClock;
use crate::report;

/// Shows the lock.
pub(super) async fn run(arguments: Looking) -> Result<(), Failure> {
    let read = files::inventory(&arguments.inventory)?;
    let fleet = read.fleet()?;
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
