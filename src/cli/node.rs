//! `windlass node add|remove|replace plan|apply|finish`: nodes that join a cluster that stands, and nodes that leave it.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use super::bootstrap::own_files;
use super::files;
use super::looked::Looked;
use super::plan::{Shown, refuse, show};
use super::run::Arguments;
use super::{Format, apply, finish};
use crate::decide::nodes::{self, Wanted, Wish};
use crate::error::Failure;
use crate::facts::Seen;
use crate::inventory::NodeName;
use crate::observe::{self, Ask};

/// The changes.
#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// Let machines of the inventory join as control planes and workers
    #[command(subcommand)]
    Add(Change<Add>),
    /// Let nodes leave: drained, out of etcd, and with nothing of the cluster left on them
    #[command(subcommand)]
    Remove(Change<Remove>),
    /// Let a machine take the place of a node that is lost: its own, made anew, or another one
    #[command(subcommand)]
    Replace(Change<Replace>),
}

/// Planned, then carried out.
#[derive(Debug, Subcommand)]
pub(super) enum Change<T: Args> {
    /// Look at the cluster and write down what will be done; changes nothing
    Plan(Box<Planned<T>>),
    /// Carry out a plan, or go on with it
    Apply(Arguments),
    /// Take away what nodes keep of the run, once it is over; snapshots stay
    Finish(Arguments),
}

/// Arguments of each `plan`.
#[derive(Debug, Args)]
pub(super) struct Planned<T: Args> {
    #[command(flatten)]
    wish: T,
    /// The cluster's inventory, which names who joins and, until it has left, who leaves
    #[arg(short, long, value_name = "FILE")]
    inventory: Utf8PathBuf,
    /// Write the plan here, for `apply`
    #[arg(long, value_name = "FILE")]
    out: Option<Utf8PathBuf>,
    /// How to show the plan; as JSON it is the plan file itself, or the findings against one
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

fn node_name(word: &str) -> Result<NodeName, String> {
    NodeName::new(word).map_err(|error| error.to_string())
}

/// Who joins.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// The machines, by their names in the inventory
    #[arg(value_name = "NODE", required = true, value_parser = node_name)]
    nodes: Vec<NodeName>,
}

/// Who leaves.
#[derive(Debug, Args)]
pub(super) struct Remove {
    /// The nodes, by their names in the inventory
    #[arg(value_name = "NODE", required = true, value_parser = node_name)]
    nodes: Vec<NodeName>,
    #[command(flatten)]
    consents: Consents,
}

/// Who gives way to whom.
#[derive(Debug, Args)]
pub(super) struct Replace {
    /// The node that is lost
    #[arg(value_parser = node_name)]
    node: NodeName,
    /// The machine that joins, by its name in the inventory [default: the node's own, made anew]
    #[arg(long, value_name = "NODE", value_parser = node_name)]
    with: Option<NodeName>,
    #[command(flatten)]
    consents: Consents,
}

/// What only the operator can know.
#[derive(Debug, Args)]
pub(super) struct Consents {
    /// This node's machine does not answer, and never comes back as it was; may be given several times
    #[arg(long, value_name = "NODE", value_parser = node_name)]
    dead: Vec<NodeName>,
    /// What pods keep on this node may be lost, and pods that nothing brings back; may be given several times
    #[arg(long, value_name = "NODE", value_parser = node_name)]
    give_up_data: Vec<NodeName>,
}

impl Consents {
    fn wish(&self, leaves: Vec<NodeName>, joins: Vec<NodeName>) -> Wish {
        let (dead, give_up_data) = (self.dead.iter().cloned().collect(), self.give_up_data.iter().cloned().collect());
        Wish { joins, leaves, dead, give_up_data }
    }
}

/// Plans a change, carries it out, or clears up behind it.
pub(super) async fn run(command: NodeCommand) -> Result<(), Failure> {
    match command {
        NodeCommand::Add(Change::Plan(planned)) => {
            let wish = Wish { joins: planned.wish.nodes.clone(), ..Wish::default() };
            make(*planned, wish).await
        }
        NodeCommand::Remove(Change::Plan(planned)) => {
            let wish = planned.wish.consents.wish(planned.wish.nodes.clone(), Vec::new());
            make(*planned, wish).await
        }
        NodeCommand::Replace(Change::Plan(planned)) => {
            let Replace { node, with, consents } = &planned.wish;
            let wish = consents.wish(vec![node.clone()], vec![with.as_ref().unwrap_or(node).clone()]);
            make(*planned, wish).await
        }
        NodeCommand::Add(Change::Apply(arguments)) => apply::run(arguments, "node add apply").await,
        NodeCommand::Remove(Change::Apply(arguments)) => apply::run(arguments, "node remove apply").await,
        NodeCommand::Replace(Change::Apply(arguments)) => apply::run(arguments, "node replace apply").await,
        NodeCommand::Add(Change::Finish(arguments)) => finish::run(arguments, "node add finish", false).await,
        NodeCommand::Remove(Change::Finish(arguments)) => finish::run(arguments, "node remove finish", false).await,
        NodeCommand::Replace(Change::Finish(arguments)) => finish::run(arguments, "node replace finish", false).await,
    }
}

async fn make<T: Args>(planned: Planned<T>, mut wish: Wish) -> Result<(), Failure> {
    for names in [&mut wish.joins, &mut wish.leaves] {
        names.sort();
        names.dedup();
    }
    let read = files::inventory(&planned.inventory)?;
    let own = own_files(&read)?;
    let ask = Ask::before(&read.inventory);
    let looked = Looked::asking(read, &ask).await?;
    let (fleet, inventory) = (&looked.fleet, &looked.read.inventory);
    let mut certificates = BTreeMap::new();
    for (node, paths) in nodes::to_look_at(inventory, &looked.facts, &wish) {
        certificates.insert(node.clone(), observe::ready(fleet, inventory, &node, &paths).await);
    }
    let unasked = || "nobody leaves".to_owned();
    let (load, volumes) = match &looked.facts.api {
        Seen::Unknown(why) => (Seen::Unknown(why.clone()), Seen::Unknown(why.clone())),
        Seen::Known(_) if wish.leaves.is_empty() => (Seen::Unknown(unasked()), Seen::Unknown(unasked())),
        Seen::Known(api) => {
            tokio::join!(observe::load(fleet, inventory, &api.asked), observe::volumes(fleet, inventory, &api.asked))
        }
    };
    let (read, facts, sources) = looked.close().await;
    let wanted = Wanted {
        inventory: &read.inventory,
        facts: &facts,
        wish: &wish,
        files: &own,
        load: &load,
        volumes: &volumes,
        certificates: &certificates,
        sources: &sources,
    };
    match nodes::plan(wanted) {
        Ok(plan) => show(&Shown { out: planned.out.as_deref(), output: planned.output }, &plan),
        Err(findings) => Err(refuse(planned.output, &findings)),
    }
}
