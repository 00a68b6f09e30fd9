//! Windlass's own on the machines: who holds the cluster's lock, which token each machine has seen, and which units run.
//!
//! Pure. It is all in files on the machines, so that it can be told while etcd and the API are both down.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{NodeFacts, Seen};
use crate::inventory::{Inventory, NodeName, Role};

/// What a lock file says. Text for people; the machines compare only its owner and the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The run that it was taken for.
    pub run: String,
    /// `user@host`.
    pub operator: String,
    /// The machine id of the operator's machine, which tells it apart from others of the same name.
    #[serde(default)]
    pub machine: Option<String>,
    /// When it was taken, by the operator's clock.
    pub since: String,
    /// The token that it was taken with.
    pub token: u64,
}

/// A unit of Windlass that runs on a machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunningUnit {
    /// Its run.
    pub run: String,
    /// Its name within the run.
    pub unit: String,
    /// When it was started, by the machine's clock; to the second.
    pub since: Timestamp,
}

impl RunningUnit {
    /// Reads `RUN UNIT SECONDS`.
    pub(super) fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (run, unit) = (words.next()?.to_owned(), words.next()?.to_owned());
        let since = Timestamp::from_second(words.next()?.parse().ok()?).ok()?;
        Some(Self { run, unit, since })
    }

    /// Its name on the machine, without `.service`.
    pub fn name(&self) -> String {
        format!("windlass-{}-{}", self.run, self.unit)
    }
}

/// What all machines say of the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockFacts {
    /// Each machine of the inventory, in its order.
    pub machines: Vec<LockOn>,
}

/// What one machine says of the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockOn {
    /// The machine.
    pub node: NodeName,
    /// Whether it is one of those whose majority decides.
    pub control_plane: bool,
    /// What it says.
    pub seen: Seen<Own>,
}

/// Windlass's own on one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// The highest token that it has seen; 0 when none.
    pub token: u64,
    /// The holder by its lock file, when it has one; or the file's text, when that cannot be read.
    pub lock: Option<Result<Holder, String>>,
    /// What runs on it.
    pub units: Vec<RunningUnit>,
}

impl LockFacts {
    /// What these answers add up to.
    pub fn of(inventory: &Inventory, nodes: &[NodeFacts]) -> Self {
        let machine = |facts: &NodeFacts| LockOn {
            node: facts.name.clone(),
            control_plane: inventory.node(&facts.name).is_some_and(|node| node.roles.contains(&Role::ControlPlane)),
            seen: match &facts.machine {
                Seen::Unknown(why) => Seen::Unknown(why.clone()),
                Seen::Known(machine) => Seen::Known(Own {
                    token: machine.token,
                    lock: machine.lock.as_ref().map(|text| serde_json::from_str(text).map_err(|_| text.clone())),
                    units: machine.units.clone(),
                }),
            },
        };
        Self { machines: nodes.iter().map(machine).collect() }
    }

    fn known(&self) -> impl Iterator<Item = (&LockOn, &Own)> {
        self.machines.iter().filter_map(|machine| Some((machine, machine.seen.known()?)))
    }

    /// The control planes.
    pub fn control_planes(&self) -> impl Iterator<Item = &LockOn> {
        self.machines.iter().filter(|machine| machine.control_plane)
    }

    /// Whether a majority of the control planes answered: fewer cannot say that nobody holds the lock.
    pub fn majority_answers(&self) -> bool {
        let answered = self.control_planes().filter(|machine| machine.seen.known().is_some()).count();
        answered > self.control_planes().count() / 2
    }

    /// Who holds it, the highest token first, with the machines that say so. More than one: a take was cut off, or two
    /// tried at once.
    pub fn holders(&self) -> Vec<(Holder, Vec<NodeName>)> {
        let mut holders: BTreeMap<(u64, String, String), (Holder, Vec<NodeName>)> = BTreeMap::new();
        for (machine, own) in self.known() {
            if let Some(Ok(holder)) = &own.lock {
                // One holder took it on one machine a moment after another, and says so.
                let key = (u64::MAX - holder.token, holder.run.clone(), holder.operator.clone());
                holders.entry(key).or_insert_with(|| (holder.clone(), Vec::new())).1.push(machine.node.clone());
            }
        }
        holders.into_values().collect()
    }

    /// Machines whose lock file cannot be read, with its text.
    pub fn unreadable(&self) -> Vec<(&NodeName, &str)> {
        self.machines
            .iter()
            .filter_map(|machine| match machine.seen.known()?.lock.as_ref()? {
                Err(text) => Some((&machine.node, text.as_str())),
                Ok(_) => None,
            })
            .collect()
    }

    /// The highest token that any machine has seen; 0 when none.
    pub fn highest_token(&self) -> u64 {
        self.known().map(|(_, own)| own.token).max().unwrap_or(0)
    }

    /// The token that `node` has seen, when it answered.
    pub fn token_of(&self, node: &NodeName) -> Option<u64> {
        self.known().find(|(machine, _)| &machine.node == node).map(|(_, own)| own.token)
    }

    /// Units that run, on which machine, in the inventory's order.
    pub fn running(&self) -> Vec<(&NodeName, &RunningUnit)> {
        self.known().flat_map(|(machine, own)| own.units.iter().map(|unit| (&machine.node, unit))).collect()
    }

    /// Machines that did not answer, and why.
    pub fn silent(&self) -> Vec<(&NodeName, &str)> {
        self.machines
            .iter()
            .filter_map(|machine| match &machine.seen {
                Seen::Unknown(why) => Some((&machine.node, why.as_str())),
                Seen::Known(_) => None,
            })
            .collect()
    }
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
