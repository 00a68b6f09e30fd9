//! A member leaves: it is taken off the list, and its machine stops it and keeps its data.

use serde::{Deserialize, Serialize};

use super::{asks_etcd, asks_process};
use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::actions::etcd::EtcdAccess;
use crate::decide::actions::packages::trusted;
use crate::decide::call::Script;
use crate::decide::look::{Look, Question, Sight, seen};
use crate::decide::quorum::{Count, loses};

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
