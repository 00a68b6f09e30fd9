//! `windlass etcd member add|remove|replace plan|apply`: who is in etcd, changed as an upgrade is: planned, read, carried out.

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use crate::cli::looked::Looked;
use crate::cli::plan::{Shown, refuse, show};
use crate::cli::run::Arguments;
use crate::cli::signs::Signs;
use crate::cli::{Format, apply};
use crate::decide::actions::certificates::Authority;
use crate::decide::members::{self, NewMember, Wanted, Wish};
use crate::error::Failure;
use crate::inventory::NodeName;
use crate::observe;

/// The changes.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Member {
    /// Let a machine of the inventory join: as a learner, which votes once it has caught up
    #[command(subcommand)]
    Add(Change<Add>),
    /// Let a member leave, where that costs no quorum
    #[command(subcommand)]
    Remove(Change<Remove>),
    /// Let a machine join in place of a member, its own machine too
    #[command(subcommand)]
    Replace(Change<Replace>),
}

/// Planned, then carried out.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Change<T: Args> {
    /// Look at etcd and write down what will be done; changes nothing
    Plan(Planned<T>),
    /// Carry out a plan, or go on with it
    Apply(Arguments),
}

/// Arguments of each `plan`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Planned<T: Args> {
    #[command(flatten)]
    wish: T,
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

/// Who joins.
#[derive(Debug, Args)]
pub(in crate::cli) struct Add {
    /// The machine, by its name in the inventory, where it has the role etcd
    #[arg(value_parser = |name: &str| NodeName::new(name))]
    node: NodeName,
    /// The address that its etcd listens at [default: its address in the inventory]
    #[arg(long)]
    address: Option<String>,
    #[command(flatten)]
    signs: Signs,
}

/// Who leaves.
#[derive(Debug, Args)]
pub(in crate::cli) struct Remove {
    /// The member, by its name, its machine's name or its id
    member: String,
}

/// Who gives way to whom.
#[derive(Debug, Args)]
pub(in crate::cli) struct Replace {
    /// The member that leaves, by its name, its machine's name or its id
    member: String,
    /// The machine that joins, by its name in the inventory [default: the leaving member's own]
    #[arg(long, value_name = "NODE", value_parser = |name: &str| NodeName::new(name))]
    with: Option<NodeName>,
    /// The address that its etcd listens at [default: the leaving member's, or the machine's in the inventory]
    #[arg(long)]
    address: Option<String>,
    #[command(flatten)]
    signs: Signs,
}

/// Plans or carries out a change.
pub(super) async fn run(member: Member) -> Result<(), Failure> {
    match member {
        Member::Add(Change::Plan(planned)) => {
            let wish = Wish::Add(NewMember { node: planned.wish.node.clone(), address: planned.wish.address.clone() });
            let authority = planned.wish.signs.authority()?;
            plan(planned, wish, authority).await
        }
        Member::Remove(Change::Plan(planned)) => {
            let wish = Wish::Remove(planned.wish.member.clone());
            plan(planned, wish, None).await
        }
        Member::Replace(Change::Plan(planned)) => {
            let Replace { member, with, address, signs } = &planned.wish;
            let authority = signs.authority()?;
            let wish = Wish::Replace(member.clone(), with.clone(), address.clone());
            plan(planned, wish, authority).await
        }
        Member::Add(Change::Apply(arguments)) => apply::run(arguments, "etcd member add apply").await,
        Member::Remove(Change::Apply(arguments)) => apply::run(arguments, "etcd member remove apply").await,
        Member::Replace(Change::Apply(arguments)) => apply::run(arguments, "etcd member replace apply").await,
    }
}

async fn plan<T: Args>(planned: Planned<T>, wish: Wish, authority: Option<Authority>) -> Result<(), Failure> {
    let looked = Looked::at(&planned.inventory).await?;
    let ready = match members::to_look_at(&looked.read.inventory, &looked.facts, &wish) {
        None => None,
        Some((joins, model, [paths, theirs])) => {
            let (fleet, inventory) = (&looked.fleet, &looked.read.inventory);
            Some(tokio::join!(
                observe::ready(fleet, inventory, &joins, &paths),
                observe::ready(fleet, inventory, &model, &theirs),
            ))
        }
    };
    let (read, facts, sources) = looked.close().await;
    let wanted = Wanted {
        inventory: &read.inventory,
        facts: &facts,
        wish: &wish,
        ready: ready.as_ref(),
        authority: authority.as_ref(),
        sources: &sources,
    };
    match members::plan(wanted) {
        Ok(plan) => show(&Shown { out: planned.out.as_deref(), output: planned.output }, &plan),
        Err(findings) => Err(refuse(planned.output, &findings)),
    }
}
