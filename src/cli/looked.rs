//! A look at machines, for planners: at those of etcd and the control planes, or at all of them.

use camino::Utf8Path;

use super::files::{self, ReadInventory};
use crate::decide::plan::{Sources, digest};
use crate::error::Failure;
use crate::facts::{self, Facts};
use crate::inventory::Role;
use crate::observe::{self, Ask};
use crate::remote::ssh::Fleet;
use crate::remote::{Clock as _, SystemClock};
use crate::report;

/// What was seen, and the connections that it was seen through.
pub(in crate::cli) struct Looked {
    /// The inventory, without the machines that have no part in it.
    pub(in crate::cli) read: ReadInventory,
    /// What was seen.
    pub(in crate::cli) facts: Facts,
    /// The connections.
    pub(in crate::cli) fleet: Fleet,
    clock: SystemClock,
}

impl Looked {
    /// Looks, for a planner of etcd. Nothing happens on workers: they need not answer.
    pub(in crate::cli) async fn at(inventory: &Utf8Path) -> Result<Self, Failure> {
        let mut read = files::inventory(inventory)?;
        let takes_part = [Role::Etcd, Role::ControlPlane];
        read.inventory.nodes.retain(|node| takes_part.iter().any(|role| node.roles.contains(role)));
        let ask = Ask::about(&read.inventory, false);
        Self::asking(read, &ask).await
    }

    /// Looks for what is asked, everywhere.
    pub(in crate::cli) async fn asking(read: ReadInventory, ask: &Ask) -> Result<Self, Failure> {
        let fleet = read.fleet()?;
        let clock = SystemClock::start();
        let facts = observe::observe(&fleet, &clock, &read.inventory, ask).await;
        Ok(Self { read, facts, fleet, clock })
    }

    /// Closes the connections, says how long it took, and leaves what a plan is made from.
    pub(in crate::cli) async fn close(self) -> (ReadInventory, Facts, Sources) {
        let Self { read, facts, fleet, clock } = self;
        anstream::eprintln!("{}", report::looked(clock.elapsed(), &fleet.timings().so_far()));
        fleet.close().await;
        let sources = Sources {
            inventory: read.path.to_string(),
            inventory_digest: read.digest.clone(),
            facts_digest: digest(facts::to_json(&facts).as_bytes()),
            ..Sources::default()
        };
        (read, facts, sources)
    }
}
