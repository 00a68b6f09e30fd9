//! A look at the machines of etcd and at the control planes, for the planners of etcd.

use camino::Utf8Path;

use crate::cli::files::{self, ReadInventory};
use crate::decide::plan::{Sources, digest};
use crate::error::Failure;
use crate::facts::{self, Facts};
use crate::inventory::Role;
use crate::observe::{self, Ask};
use crate::remote::ssh::Fleet;
use crate::remote::{Clock as _, SystemClock};
use crate::report;

/// What was seen, and the connections that it was seen through.
pub(super) struct Looked {
    /// The inventory, without the machines that have no part in it.
    pub(super) read: ReadInventory,
    /// What was seen.
    pub(super) facts: Facts,
    /// The connections.
    pub(super) fleet: Fleet,
    clock: SystemClock,
}

impl Looked {
    /// Looks. Nothing happens on workers: they need not answer.
    pub(super) async fn at(inventory: &Utf8Path) -> Result<Self, Failure> {
        let mut read = files::inventory(inventory)?;
        let takes_part = [Role::Etcd, Role::ControlPlane];
        read.inventory.nodes.retain(|node| takes_part.iter().any(|role| node.roles.contains(role)));
        let fleet = read.fleet()?;
        let clock = SystemClock::start();
        let facts = observe::observe(&fleet, &clock, &read.inventory, &Ask::about(&read.inventory, false)).await;
        Ok(Self { read, facts, fleet, clock })
    }

    /// Closes the connections, says how long it took, and leaves what a plan is made from.
    pub(super) async fn close(self) -> (ReadInventory, Facts, Sources) {
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
