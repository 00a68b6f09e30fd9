//! `windlass certs renew plan|apply|finish`: certificates of an external etcd, before they end.

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};
use futures_util::future::join_all;

use super::looked::Looked;
use super::plan::{Shown, refuse, show};
use super::run::Arguments;
use super::signs::Signs;
use super::{Format, apply};
use crate::decide::renewal::{self, Due, Wanted};
use crate::error::{Exit, Failure};
use crate::inventory::NodeName;
use crate::observe;

/// Planned, then carried out.
#[derive(Debug, Subcommand)]
pub(super) enum Renew {
    /// Look at the certificates and write down how they are renewed, one machine at a time; changes nothing
    Plan(Planned),
    /// Carry out a plan, or go on with it
    Apply(Arguments),
    /// Take away what nodes keep of the run, the former certificates too, once it is over; snapshots stay
    Finish(Arguments),
}

/// Arguments of `windlass certs renew plan`.
#[derive(Debug, Args)]
pub(super) struct Planned {
    /// The cluster's inventory
    #[arg(short, long, value_name = "FILE")]
    inventory: Utf8PathBuf,
    #[command(flatten)]
    signs: Signs,
    /// Only those on this machine; may be given several times
    #[arg(long, value_name = "NODE", value_parser = |name: &str| NodeName::new(name))]
    node: Vec<NodeName>,
    /// Those that end within so many days
    #[arg(long, value_name = "DAYS", default_value_t = 90, conflicts_with = "all")]
    within: u32,
    /// All of them, whenever they end
    #[arg(long)]
    all: bool,
    /// Write the plan here, for `apply`
    #[arg(long, value_name = "FILE")]
    out: Option<Utf8PathBuf>,
    /// How to show the plan; as JSON it is the plan file itself, or the findings against one
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Plans a renewal, carries it out, or clears up behind it.
pub(super) async fn run(renew: Renew) -> Result<(), Failure> {
    match renew {
        Renew::Plan(planned) => plan(planned).await,
        Renew::Apply(arguments) => apply::run(arguments, "certs renew apply").await,
        Renew::Finish(arguments) => super::finish::run(arguments, "certs renew finish", false).await,
    }
}

async fn plan(planned: Planned) -> Result<(), Failure> {
    let Some(authority) = planned.signs.authority()? else {
        return Err(Failure::new(Exit::Usage, "nobody is named who signs the new certificates").hint(
            "nothing was looked at; name the authority that has signed those that are there: --ca-cert and --ca-key",
        ));
    };
    let looked = Looked::at(&planned.inventory).await?;
    let inventory = &looked.read.inventory;
    let wanted = renewal::to_look_at(inventory, &looked.facts);
    let ready =
        join_all(wanted.iter().map(|(node, paths)| observe::ready(&looked.fleet, inventory, node, paths))).await;
    let ready: Vec<_> = wanted.into_iter().map(|(node, _)| node).zip(ready).collect();
    let (read, facts, sources) = looked.close().await;
    let due = if planned.all { Due::All } else { Due::Within(planned.within) };
    let wanted = Wanted {
        inventory: &read.inventory,
        facts: &facts,
        ready: &ready,
        authority: &authority,
        only: &planned.node,
        due,
        sources: &sources,
    };
    match renewal::plan(wanted) {
        Ok(plan) => show(&Shown { out: planned.out.as_deref(), output: planned.output }, &plan),
        Err(findings) => Err(refuse(planned.output, &findings)),
    }
}
