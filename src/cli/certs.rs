//! `windlass certs …`: which certificates there are, when they end, and who renews them; and an authority to sign more with.

use camino::Utf8PathBuf;
use clap::Args;

use super::signs::absolute;
use super::{Format, Looking, files};
use crate::error::{Exit, Failure};
use crate::observe;
use crate::remote::{SystemClock, authority as remote_authority};
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

/// Arguments of `windlass certs authority`.
#[derive(Debug, Args)]
pub(super) struct Authority {
    /// What it is called, in its certificate
    #[arg(long, value_name = "NAME", default_value = "etcd-ca")]
    name: String,
    /// Where its certificate goes; nothing is there yet
    #[arg(long, value_name = "FILE")]
    ca_cert: Utf8PathBuf,
    /// Where its key goes, for you alone; nothing is there yet
    #[arg(long, value_name = "FILE")]
    ca_key: Utf8PathBuf,
}

/// Makes an authority.
pub(super) fn authority(arguments: &Authority) -> Result<(), Failure> {
    let (certificate, key) = (absolute(&arguments.ca_cert)?, absolute(&arguments.ca_key)?);
    let made = remote_authority::make(&arguments.name, &certificate, &key);
    let made = made.map_err(|error| {
        Failure::new(Exit::InvalidFile, "no authority was made")
            .because(error.to_string())
            .hint("nothing was changed: name two files that are not there yet, in folders that are")
    })?;
    anstream::println!("authority {} made, good for {} years", arguments.name, remote_authority::GOOD_YEARS);
    anstream::println!("  certificate {certificate}, SHA-256 {}", made.digest);
    anstream::println!("  key         {key}: keep it here, and a copy of it where nobody else can read it");
    Ok(())
}
