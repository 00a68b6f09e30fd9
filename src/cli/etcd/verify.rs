//! `windlass etcd verify`: reads a snapshot and says whether it is good.

use camino::Utf8PathBuf;
use clap::Args;

use crate::error::{Exit, Failure};
use crate::remote::snapshot;
use crate::text;

/// Arguments of `windlass etcd verify`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The snapshot
    file: Utf8PathBuf,
}

/// Verifies it.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let contents = snapshot::verify(&arguments.file).map_err(|bad| {
        Failure::new(Exit::InvalidFile, format!("{} is not a good snapshot", arguments.file)).because(bad.to_string())
    })?;
    let (size, keys) = (text::bytes(contents.bytes), contents.registry_keys);
    anstream::println!("{}: good; {size}, revision {}, {keys} keys below /registry", arguments.file, contents.revision);
    Ok(())
}
