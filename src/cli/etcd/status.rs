//! `windlass etcd status`: how etcd is, and what of it needs attention.

use crate::cli::{Format, Looking, files};
use crate::decide::rules;
use crate::error::{Exit, Failure};
use crate::observe;
use crate::remote::SystemClock;
use crate::{report, text};

/// Shows how etcd is.
pub(super) async fn run(arguments: Looking) -> Result<(), Failure> {
    let read = files::inventory(&arguments.inventory)?;
    let fleet = read.fleet()?;
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
