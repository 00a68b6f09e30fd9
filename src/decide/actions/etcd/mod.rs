//! etcd: snapshots, leadership, the swap of one member's binary, and the waits between.

mod leadership;
mod raising;
mod snapshot;

pub use leadership::MoveLeader;
pub use raising::{AwaitClusterVersion, AwaitEtcd, SwapEtcd};
pub use snapshot::Snapshot;

use serde::{Deserialize, Serialize};

use crate::decide::look::Sight;
use crate::facts::{EtcdFacts, EtcdMember, MachineFacts, MemberStatus, Seen};
use crate::inventory::Etcd;

/// How a job on an etcd node speaks to etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EtcdAccess {
    /// CA certificate, a path on the node.
    pub ca: String,
    /// Client certificate, a path on the node.
    pub cert: String,
    /// Client key, a path on the node.
    pub key: String,
    /// The node's own client URL.
    pub own: String,
    /// Client URLs of the other members.
    pub others: Vec<String>,
}

impl EtcdAccess {
    /// How the machine of `member` speaks to it and to all the others.
    pub(in crate::decide) fn among(etcd: &Etcd, members: &[EtcdMember], member: &EtcdMember) -> Self {
        let url = |member: &EtcdMember| member.client_urls.first().cloned();
        Self {
            ca: etcd.ca.to_string(),
            cert: etcd.cert.to_string(),
            key: etcd.key.to_string(),
            own: url(member).unwrap_or_default(),
            others: members.iter().filter(|other| other.id != member.id).filter_map(url).collect(),
        }
    }

    /// What a job refuses by unless all others are healthy and this one does not lead; `-` for a member that is no service.
    pub(in crate::decide::actions) fn guard(&self, service: &str) -> String {
        format!("etcd;{service};{}", self.args().join(";"))
    }

    fn args(&self) -> Vec<String> {
        let others = if self.others.is_empty() { "-".to_owned() } else { self.others.join(",") };
        vec![self.ca.clone(), self.cert.clone(), self.key.clone(), self.own.clone(), others]
    }
}

/// Entries that a member may be behind: what etcd itself counts as caught up is far more; a thousand are applied in well
/// under a second.
pub(in crate::decide::actions) const SMALL_LAG: u64 = 1000;

/// etcd's own default election timeout, in milliseconds.
const DEFAULT_ELECTION_MS: u64 = 1000;

/// How long the members have to stay well, in milliseconds: half as long again as the longest election timeout of these
/// machines' members, and at least two seconds. A member that would call an election has done so by then.
pub(crate) fn steady_ms<'a>(machines: impl Iterator<Item = &'a MachineFacts>) -> u64 {
    let election = |machine: &'a MachineFacts| machine.etcd.known()?.as_ref()?.election_ms.known().copied();
    (machines.filter_map(election).max().unwrap_or(DEFAULT_ELECTION_MS) * 3 / 2).max(2000)
}

/// The leader and term that all members agree on; `except` may be silent (it is the one being worked on).
pub(in crate::decide::actions) fn agreed_leader(etcd: &EtcdFacts, except: Option<u64>) -> Result<(u64, u64), String> {
    let mut agreed: Option<(u64, u64)> = None;
    for member in &etcd.members {
        let Seen::Known(status) = &member.status else {
            if except == Some(member.id) {
                continue;
            }
            return Err(format!("member {} does not answer", member.name));
        };
        let says = (status.leader, status.raft_term);
        if status.leader == 0 {
            return Err(format!("member {} knows no leader", member.name));
        }
        if *agreed.get_or_insert(says) != says {
            return Err("the members do not agree on a leader".to_owned());
        }
    }
    agreed.ok_or_else(|| "no member answers".to_owned())
}

/// Who leads in which term, as a word; empty where the members do not agree.
pub(in crate::decide::actions) fn leadership(sight: &Sight) -> String {
    let leader = sight.etcd.known().and_then(|etcd| agreed_leader(etcd, None).ok());
    leader.map_or_else(String::new, |(leader, term)| format!("{leader:x}@{term}"))
}

fn statuses(etcd: &EtcdFacts) -> impl Iterator<Item = &MemberStatus> {
    etcd.members.iter().filter_map(|member| member.status.known())
}
