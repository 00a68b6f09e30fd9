//! `windlass etcd defrag plan|apply`: gives back what databases do not use, where that is worth it.

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use crate::cli::looked::Looked;
use crate::cli::plan::{Shown, refuse, show};
use crate::cli::run::Arguments;
use crate::cli::{Format, apply};
use crate::decide::defrag::{self, Wanted};
use crate::error::Failure;

/// Planned, then carried out.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Defrag {
    /// Look at etcd and write down which members are worth it; changes nothing
    Plan(Planned),
    /// Carry out a plan, or go on with it
    Apply(Arguments),
}

/// Arguments of `windlass etcd defrag plan`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Planned {
    /// The cluster's inventory
    #[arg(short, long, value_name = "FILE")]
    inventory: Utf8PathBuf,
    /// Write the plan here, for `apply`
    #[arg(long, value_name = "FILE")]
    out: Option<Utf8PathBuf>,
    /// How to show the plan; as JSON it is the plan file itself, or the findings against one
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Plans or carries out.
pub(super) async fn run(defrag: Defrag) -> Result<(), Failure> {
    match defrag {
        Defrag::Apply(arguments) => apply::run(arguments, "etcd defrag apply").await,
        Defrag::Plan(planned) => plan(planned).await,
    }
}

async fn plan(planned: Planned) -> Result<(), Failure> {
    let looked = Looked::at(&planned.inventory).await?;
    let (read, facts, sources) = looked.close().await;
    match defrag::plan(Wanted { inventory: &read.inventory, facts: &facts, sources: &sources }) {
        Ok(plan) => show(&Shown { out: planned.out.as_deref(), output: planned.output }, &plan),
        Err(findings) => Err(refuse(planned.output, &findings)),
    }
}
