//! What the members are together: waited for, and written down on their machines.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{asks_etcd, asks_process};
use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::actions::etcd::{SMALL_LAG, agreed_leader, leadership};
use crate::decide::call::Script;
use crate::decide::look::{Look, Question, Sight, seen};
use crate::facts::EtcdMember;

/// Writes the members into this node's environment file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteMembers {
    /// The service's environment file.
    pub env_file: String,
    /// The members, as `NAME=PEER-URL,…`.
    pub members: String,
}

impl Act for WriteMembers {
    fn describe(&self) -> String {
        format!("write ETCD_INITIAL_CLUSTER={} into {}, without a restart", self.members, self.env_file)
    }

    fn question(&self, _: Site<'_>) -> Question {
        asks_process()
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "the machine");
        match seen!(machine.etcd, "etcd's process").as_ref().and_then(|process| process.configured_members.as_ref()) {
            Some(members) if *members != self.members => Look::Ready(format!("it names {members}")),
            _ => Look::Done,
        }
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        job(On::Lane, Script::MemberConfig, [self.env_file.clone(), "INITIAL_CLUSTER".to_owned(), self.members.clone()])
    }

    fn undo(&self) -> String {
        "the former file is in the node's archive".to_owned()
    }

    fn estimate(&self) -> u64 {
        1
    }
}

/// Waits until exactly these members vote, all healthy, with one leader that stays and little lag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwaitMembers {
    /// Their peer URLs, ascending.
    pub peers: Vec<String>,
    /// How long that has to hold, in milliseconds: longer than the members' own election timeout.
    pub steady_ms: u64,
}

impl Act for AwaitMembers {
    fn describe(&self) -> String {
        let count = crate::text::count(self.peers.len(), "member");
        format!("wait: {count}, all voting and healthy, one leader and little lag for {} ms", self.steady_ms)
    }

    fn question(&self, _: Site<'_>) -> Question {
        asks_etcd()
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let etcd = seen!(sight.etcd, "etcd");
        let mut peers: Vec<&str> =
            etcd.members.iter().flat_map(|member| &member.peer_urls).map(String::as_str).collect();
        peers.sort_unstable();
        if peers != self.peers {
            return Look::NotYet(format!("the members are {}", peers.join(", ")));
        }
        if let Some(learner) = etcd.members.iter().find(|member| member.learner) {
            return Look::NotYet(format!("{} does not vote yet", learner.called()));
        }
        if let Some(why) = etcd.members.iter().find_map(EtcdMember::unhealthy) {
            return Look::NotYet(why);
        }
        if let Err(why) = agreed_leader(etcd, None) {
            return Look::NotYet(why);
        }
        let behind = |member: &EtcdMember| Some(etcd.log_end().saturating_sub(member.status.known()?.raft_applied));
        match etcd.members.iter().find(|member| behind(member).is_some_and(|behind| behind > SMALL_LAG)) {
            Some(member) => Look::NotYet(format!("{} lags behind the leader", member.called())),
            None => Look::Done,
        }
    }

    fn undo(&self) -> String {
        "nothing to undo".to_owned()
    }

    fn estimate(&self) -> u64 {
        4
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(self.steady_ms)
    }

    fn fingerprint(&self, sight: &Sight) -> String {
        leadership(sight)
    }
}
