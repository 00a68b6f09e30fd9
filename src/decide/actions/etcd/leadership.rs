//! Leadership is moved off a member before that is worked on.

use serde::{Deserialize, Serialize};

use super::{EtcdAccess, agreed_leader};
use crate::decide::action::{Act, Action, Effect, Moment, On, Site, job};
use crate::decide::call::Script;
use crate::decide::look::{Look, Question, Sight, seen};
use crate::facts::EtcdMember;

/// Moves leadership off this node's member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveLeader {
    /// This node's member.
    pub member: u64,
    /// How to speak to etcd there.
    pub access: EtcdAccess,
}

impl Act for MoveLeader {
    fn describe(&self) -> String {
        if self.access.others.is_empty() {
            "(the only member: there is nobody to lead in its place)".to_owned()
        } else {
            "move leadership to another member, if it leads".to_owned()
        }
    }

    fn question(&self, _: Site<'_>) -> Question {
        Question { etcd: true, ..Question::default() }
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let etcd = seen!(sight.etcd, "etcd");
        let mut others = etcd.members.iter().filter(|member| member.id != self.member);
        if let Some(why) = others.find_map(EtcdMember::unhealthy) {
            return Look::NotYet(why);
        }
        match agreed_leader(etcd, Some(self.member)) {
            Err(why) => Look::NotYet(why),
            Ok((leader, _)) if leader == self.member && !self.access.others.is_empty() => {
                Look::Ready("it leads".to_owned())
            }
            Ok(_) => Look::Done,
        }
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        job(On::Lane, Script::MoveLeader, self.access.args())
    }

    fn undo(&self) -> String {
        "nothing to undo: any healthy member may lead".to_owned()
    }

    fn estimate(&self) -> u64 {
        1
    }

    fn serves(&self, later: &Action) -> bool {
        matches!(
            later,
            Action::SwapEtcd(_) | Action::RemoveMember(_) | Action::DefragMember(_) | Action::RenewCertificates(_)
        ) || later.stacked_member().is_some()
    }
}
