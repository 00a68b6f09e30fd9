//! What needs attention in a cluster on any day, whatever is planned: everything that a plan looks at, and what nobody looks at
//! until it hurts.

mod backups;
pub(super) mod capacity;
mod exposure;
mod newer;
mod pace;

use std::collections::BTreeSet;

use super::finding::Finding;
use super::rules::{self, Case};
use super::target::Target;
use crate::facts::health::Hashes;
use crate::facts::load::NodeLoad;
use crate::facts::{EtcdFacts, Facts, Seen};
use crate::inventory::Inventory;

pub use backups::{Age, NewestBackup};

/// What a cluster is checked by.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    /// The cluster's inventory.
    pub inventory: &'a Inventory,
    /// What was seen of machines, API and etcd, the machines' measures with it.
    pub facts: &'a Facts,
    /// Whether etcd's members hold the same data; `None` where that was not asked, to keep a large etcd from waiting for it.
    pub hashes: Option<&'a Seen<Hashes>>,
    /// How full the nodes are.
    pub load: &'a Seen<Vec<NodeLoad>>,
    /// The newest backup of each destination that was asked.
    pub backups: &'a [NewestBackup],
    /// How old they may be.
    pub age: Age,
}

impl<'a> Checked<'a> {
    /// For rules that know of upgrades: nothing is to be raised.
    fn case(&self, nothing: &'a Target) -> Case<'a> {
        Case { inventory: self.inventory, facts: self.facts, target: nothing }
    }
}

/// Everything that is found, gravest first, each once. A refusal among them is critical.
pub fn findings(checked: Checked<'_>) -> Vec<Finding> {
    let nothing = Target::default();
    let case = checked.case(&nothing);
    let mut all = BTreeSet::new();
    all.extend(rules::standing(case));
    match &checked.facts.etcd {
        Seen::Known(_) => all.extend(checked.hashes.and_then(rules::differing)),
        Seen::Unknown(why) => {
            all.insert(rules::unseen("etcd", "its member list", why));
        }
    }
    all.extend(exposure::findings(case));
    all.extend(pace::findings(case));
    all.extend(newer::findings(case));
    all.extend(capacity::findings(case, checked.load));
    all.extend(backups::findings(checked));
    all.into_iter().collect()
}

/// Whether the members' data are to be compared: while one hashes them, nothing is written to it, about a second for each GiB
/// (etcd-io/etcd#8910).
pub fn worth_hashing(etcd: &EtcdFacts) -> bool {
    let sizes = etcd.members.iter().filter_map(|member| member.status.known()).map(|status| status.db_size);
    sizes.max().unwrap_or(0) <= 512 << 20
}
