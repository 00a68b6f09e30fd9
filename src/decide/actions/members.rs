//! Changes of etcd's members: adding, joining, promoting, removing, and what the machines keep of it. A member that is not
//! there yet has no id: it is known by its peer URL.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::etcd::{EtcdAccess, SMALL_LAG, agreed_leader};
use super::packages::trusted;
use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::call::Script;
use crate::decide::look::{Look, MachineQuestion, Question, Sight, seen};
use crate::decide::quorum::{Count, loses};
use crate::facts::ask::Section;
use crate::facts::{EtcdFacts, EtcdMember, Seen};

fn asks_etcd() -> Question {
    Question { etcd: true, ..Question::default() }
}

fn asks_process() -> Question {
    let machine = MachineQuestion { sections: &[Section::Etcd], packages: Vec::new() };
    Question { machine: Some(machine), ..Question::default() }
}

fn with_peer<'a>(etcd: &'a EtcdFacts, url: &str) -> Option<&'a EtcdMember> {
    etcd.members.iter().find(|member| member.peer_urls.iter().any(|peer| peer == url))
}

/// Takes a member off the list, asked of this node's member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveMember {
    /// The member.
    pub member: u64,
    /// Its name; its id where it never started.
    pub name: String,
    /// How to speak to etcd here.
    pub access: EtcdAccess,
}

impl Act for RemoveMember {
    fn describe(&self) -> String {
        format!("take member {} ({:x}) off etcd's list, asked of this member", self.name, self.member)
    }

    fn question(&self, _: Site<'_>) -> Question {
        asks_etcd()
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let etcd = seen!(sight.etcd, "etcd");
        let Some(member) = etcd.members.iter().find(|member| member.id == self.member) else { return Look::Done };
        if let Some(why) = loses(Count::of(etcd), member) {
            return Look::NotYet(why);
        }
        if member.leads() && etcd.voters().count() > 1 {
            return Look::NotYet(format!("{} leads", self.name));
        }
        Look::Ready(format!("{} is a member", self.name))
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        let EtcdAccess { ca, cert, key, own, .. } = self.access.clone();
        job(On::Lane, Script::MemberRemove, [ca, cert, key, own, format!("{:x}", self.member)])
    }

    fn undo(&self) -> String {
        "by adding a member anew: one that was removed never comes back under its id".to_owned()
    }

    fn estimate(&self) -> u64 {
        1
    }
}

/// Puts a member on the list, asked of this node's member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddMember {
    /// The new member's name.
    pub name: String,
    /// Its peer URL.
    pub peer_url: String,
    /// Whether it does not vote at first.
    pub learner: bool,
    /// How to speak to etcd here.
    pub access: EtcdAccess,
}

impl Act for AddMember {
    fn describe(&self) -> String {
        let how = if self.learner { "as a learner, which does not vote yet" } else { "as a voter" };
        format!("put {} ({}) on etcd's list {how}, asked of this member", self.name, self.peer_url)
    }

    fn question(&self, _: Site<'_>) -> Question {
        asks_etcd()
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let etcd = seen!(sight.etcd, "etcd");
        if with_peer(etcd, &self.peer_url).is_some() {
            return Look::Done;
        }
        // etcd refuses while a member is down, and for 5 s after it is back.
        match etcd.members.iter().find_map(EtcdMember::unhealthy) {
            Some(why) => Look::NotYet(why),
            None => Look::Ready(format!("{} is no member", self.name)),
        }
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        let EtcdAccess { ca, cert, key, own, .. } = self.access.clone();
        let how = if self.learner { "learner" } else { "voter" };
        let args = [ca, cert, key, own, self.name.clone(), self.peer_url.clone(), how.to_owned()];
        job(On::Lane, Script::MemberAdd, args)
    }

    fn undo(&self) -> String {
        format!("with `windlass etcd member remove plan {}`", self.name)
    }

    fn estimate(&self) -> u64 {
        1
    }
}

/// Makes this node's etcd the member that was added for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinMember {
    /// Its peer URL.
    pub peer_url: String,
    /// The systemd unit.
    pub service: String,
    /// The service's environment file, which is written anew.
    pub env_file: String,
    /// Where its data go.
    pub data_dir: String,
    /// The file's settings, by their names.
    pub settings: BTreeMap<String, String>,
    /// How to speak to etcd from here: `own` is a voting member's URL.
    pub access: EtcdAccess,
}

impl Act for JoinMember {
    fn describe(&self) -> String {
        format!(
            "write {} ({} settings), start {}; data of an earlier life are kept aside",
            self.env_file,
            self.settings.len(),
            self.service
        )
    }

    fn question(&self, _: Site<'_>) -> Question {
        asks_etcd()
    }

    fn look(&self, site: Site<'_>, moment: Moment, sight: &Sight) -> Look {
        let etcd = seen!(sight.etcd, "etcd");
        let Some(member) = with_peer(etcd, &self.peer_url) else {
            return Look::Drifted(format!("no member has {}", self.peer_url));
        };
        match (&member.status, &member.node) {
            (Seen::Known(_), Some(node)) if Some(node) == site.node => Look::Done,
            (Seen::Known(_), _) => Look::Drifted(format!("{} answers from another machine", self.peer_url)),
            (Seen::Unknown(why), _) if moment == Moment::After => Look::NotYet(why.clone()),
            (Seen::Unknown(_), _) => Look::Ready("it does not run yet".to_owned()),
        }
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let EtcdAccess { ca, cert, key, own, .. } = self.access.clone();
        let mut args = vec![ca, cert, key, own, self.peer_url.clone(), self.service.clone(), self.env_file.clone()];
        args.extend([self.data_dir.clone(), site.run.to_string()]);
        args.extend(self.settings.iter().map(|(name, value)| format!("{name}={value}")));
        job(On::Lane, Script::MemberJoin, args)
    }

    fn undo(&self) -> String {
        "with `windlass etcd member remove plan`; the former file is in the node's archive".to_owned()
    }

    fn estimate(&self) -> u64 {
        4
    }
}

/// Lets a learner vote, once it has caught up; asked of this node's member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromoteMember {
    /// Its name.
    pub name: String,
    /// Its peer URL.
    pub peer_url: String,
    /// How to speak to etcd here.
    pub access: EtcdAccess,
}

impl Act for PromoteMember {
    fn describe(&self) -> String {
        format!("let {} vote, once it has caught up with the leader", self.name)
    }

    fn question(&self, _: Site<'_>) -> Question {
        asks_etcd()
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let etcd = seen!(sight.etcd, "etcd");
        let Some(member) = with_peer(etcd, &self.peer_url) else {
            return Look::Drifted(format!("no member has {}", self.peer_url));
        };
        if !member.learner {
            return Look::Done;
        }
        let status = match &member.status {
            Seen::Known(status) => status,
            Seen::Unknown(why) => return Look::NotYet(format!("{} does not answer: {why}", self.name)),
        };
        match etcd.log_end().saturating_sub(status.raft_applied) {
            behind if behind > SMALL_LAG => Look::NotYet(format!("{} is {behind} entries behind", self.name)),
            _ => Look::Ready(format!("{} has caught up and does not vote", self.name)),
        }
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        let EtcdAccess { ca, cert, key, own, .. } = self.access.clone();
        job(On::Lane, Script::MemberPromote, [ca, cert, key, own, self.peer_url.clone()])
    }

    fn undo(&self) -> String {
        "with `windlass etcd member remove plan`: a voter never becomes a learner again".to_owned()
    }

    fn estimate(&self) -> u64 {
        2
    }
}

/// Stops this node's etcd once it is no member any more, and keeps its data aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetireMember {
    /// The member that it was.
    pub member: u64,
    /// The systemd unit; nothing for a stacked member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Where its data are.
    pub data_dir: String,
    /// How to speak to etcd from here: `own` is the URL of a member that stays.
    pub access: EtcdAccess,
}

impl Act for RetireMember {
    fn describe(&self) -> String {
        let stop = match &self.service {
            Some(service) => format!("stop and disable {service}"),
            None => "take the manifest of etcd away, until its container is gone".to_owned(),
        };
        format!("{stop}, keep {}/member under another name", self.data_dir)
    }

    fn question(&self, _: Site<'_>) -> Question {
        asks_process()
    }

    fn look(&self, _: Site<'_>, moment: Moment, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "the machine");
        match seen!(machine.etcd, "etcd's process") {
            Some(process) if process.running => Look::Ready("it still runs".to_owned()),
            // Whether its data are aside does not show here; the job does nothing twice.
            _ => trusted(moment, "it may start again"),
        }
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let EtcdAccess { ca, cert, key, own, .. } = self.access.clone();
        let member = format!("{:x}", self.member);
        let (service, data) = (self.service.clone().unwrap_or_else(|| "-".to_owned()), self.data_dir.clone());
        job(On::Lane, Script::MemberRetire, [ca, cert, key, own, member, service, data, site.run.to_string()])
    }

    fn undo(&self) -> String {
        format!("its data stay on the node as {}/member.before-…", self.data_dir)
    }

    fn estimate(&self) -> u64 {
        2
    }
}

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
        job(On::Lane, Script::MemberConfig, [self.env_file.clone(), self.members.clone()])
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
        let count = self.peers.len();
        format!("wait: {count} members, all voting and healthy, one leader and little lag for {} ms", self.steady_ms)
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
        let leader = sight.etcd.known().and_then(|etcd| agreed_leader(etcd, None).ok());
        leader.map_or_else(String::new, |(leader, term)| format!("{leader:x}@{term}"))
    }
}
