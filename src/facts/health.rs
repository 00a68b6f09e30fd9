//! etcd as one looks after it: what the members say of themselves, what their machines say of them, whether their data agree.

use serde::Serialize;

use super::{Disk, EtcdFacts, EtcdMember, EtcdProcess, MachineFacts, MemberStatus, NodeFacts, Seen};
use crate::inventory::NodeName;

/// What was seen of etcd at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdHealth {
    /// The machines that etcd runs on by the inventory, in its order.
    pub machines: Vec<NodeFacts>,
    /// What each of them answers for its member, in the same order; a member says this also without a quorum.
    pub answers: Vec<(NodeName, Seen<MemberStatus>)>,
    /// The members as they are listed, with their answers.
    pub etcd: Seen<EtcdFacts>,
    /// Hashes of the healthy voting members' data at one revision.
    pub hashes: Seen<Hashes>,
}

/// Hashes of several members' data, taken at one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hashes {
    /// The revision.
    pub revision: u64,
    /// Each member's, by its machine.
    pub of: Vec<MemberHash>,
}

/// The hash of one member's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberHash {
    /// Its machine.
    pub node: NodeName,
    /// CRC-32 over the keys up to the revision.
    pub hash: u32,
    /// The revision below which history was compacted; hashes are comparable only at equal ones.
    pub compact_revision: i64,
}

impl Hashes {
    /// The members were compacted at the same revision, so that equal data hash the same.
    pub fn comparable(&self) -> bool {
        self.of.windows(2).all(|pair| pair[0].compact_revision == pair[1].compact_revision)
    }

    /// They are comparable, and all the same.
    pub fn equal(&self) -> bool {
        self.comparable() && self.of.windows(2).all(|pair| pair[0].hash == pair[1].hash)
    }

    /// In words, where they are not equal.
    pub fn differ(&self) -> String {
        let of: Vec<String> = self.of.iter().map(|of| format!("{} {:08x}", of.node, of.hash)).collect();
        format!("the members' data differ at revision {}: {}", self.revision, of.join(", "))
    }
}

impl EtcdHealth {
    /// Whether any member answered at all.
    pub fn answers(&self) -> bool {
        self.answers.iter().any(|(_, answer)| answer.known().is_some())
    }

    /// The machine of a member, when it answered.
    pub fn machine(&self, node: &NodeName) -> Option<&MachineFacts> {
        self.machines.iter().find(|facts| &facts.name == node)?.machine.known()
    }

    fn process(&self, node: &NodeName) -> Option<&EtcdProcess> {
        self.machine(node)?.etcd.known()?.as_ref()
    }

    /// How large the member on `node` may grow, in bytes; `u64::MAX` when its quota is switched off.
    pub fn quota(&self, node: &NodeName) -> Option<u64> {
        self.process(node)?.quota_bytes.known().copied()
    }

    /// Room on the file system of the data of the member on `node`.
    pub fn room(&self, node: &NodeName) -> Option<Disk> {
        self.machine(node)?.data_disk().map(|(_, disk)| disk)
    }
}

impl EtcdFacts {
    /// The members that vote.
    pub fn voters(&self) -> impl Iterator<Item = &EtcdMember> {
        self.members.iter().filter(|member| !member.learner)
    }

    /// The highest index of the log that a member tells.
    pub fn log_end(&self) -> u64 {
        self.members
            .iter()
            .filter_map(|member| member.status.known())
            .map(|status| status.raft_index)
            .max()
            .unwrap_or(0)
    }
}

impl EtcdMember {
    /// What it is called: a member that never started has no name yet.
    pub fn called(&self) -> String {
        if self.name.is_empty() { format!("{:x}", self.id) } else { self.name.clone() }
    }

    /// It answers and says itself that it leads.
    pub fn leads(&self) -> bool {
        self.status.known().is_some_and(|status| status.leader == self.id)
    }

    /// Why it is not healthy, when it is not. A learner refuses every read that would show it: it is well when it answers.
    pub fn unhealthy(&self) -> Option<String> {
        let name = self.called();
        match &self.status {
            Seen::Unknown(why) => Some(format!("member {name} does not answer: {why}")),
            Seen::Known(status) => match &status.healthy {
                Seen::Unknown(why) if !self.learner => Some(format!("member {name} is not healthy: {why}")),
                _ => None,
            },
        }
    }
}
