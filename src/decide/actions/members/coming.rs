//! A member comes: it is put on the list, started, and votes once it has caught up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{asks_etcd, with_peer};
use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::actions::etcd::{EtcdAccess, SMALL_LAG};
use crate::decide::call::Script;
use crate::decide::look::{Look, Question, Sight, seen};
use crate::facts::{EtcdMember, Seen};

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
        runs_here(member, &self.peer_url, site, moment)
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

/// Has kubeadm make this control plane's stacked member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubeadmMember {
    /// The address that it listens at.
    pub address: String,
    /// Its peer URL, as kubeadm makes it of the address.
    pub peer_url: String,
    /// Where its data go.
    pub data_dir: String,
    /// How to speak to etcd from here: `own` is a voting member's URL.
    pub access: EtcdAccess,
}

impl Act for KubeadmMember {
    fn describe(&self) -> String {
        format!(
            "have kubeadm make this control plane's member ({}); data of an earlier life are kept aside",
            self.peer_url
        )
    }

    fn question(&self, _: Site<'_>) -> Question {
        asks_etcd()
    }

    fn look(&self, site: Site<'_>, moment: Moment, sight: &Sight) -> Look {
        let etcd = seen!(sight.etcd, "etcd");
        match with_peer(etcd, &self.peer_url) {
            None if moment == Moment::After => Look::NotYet(format!("no member has {}", self.peer_url)),
            None => Look::Ready("it has no member".to_owned()),
            Some(member) => runs_here(member, &self.peer_url, site, moment),
        }
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let EtcdAccess { ca, cert, key, own, .. } = self.access.clone();
        let node = site.node.map(ToString::to_string).unwrap_or_default();
        let args = [self.peer_url.clone(), node, self.address.clone(), self.data_dir.clone(), site.run.to_string()];
        job(On::Lane, Script::MemberKubeadm, [ca, cert, key, own].into_iter().chain(args))
    }

    fn undo(&self) -> String {
        "with `windlass etcd member remove plan`".to_owned()
    }

    fn estimate(&self) -> u64 {
        20
    }
}

/// Whether a member that is listed runs, and on this node.
fn runs_here(member: &EtcdMember, peer_url: &str, site: Site<'_>, moment: Moment) -> Look {
    match (&member.status, &member.node) {
        (Seen::Known(_), Some(node)) if Some(node) == site.node => Look::Done,
        (Seen::Known(_), _) => Look::Drifted(format!("{peer_url} answers from another machine")),
        (Seen::Unknown(why), _) if moment == Moment::After => Look::NotYet(why.clone()),
        (Seen::Unknown(_), _) => Look::Ready("it does not run yet".to_owned()),
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
