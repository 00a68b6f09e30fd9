//! The kubelet: its restart on the new binary, and the wait until the node is Ready at the new version.

use std::time::Duration;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::brought::guard;
use super::cordon::{node, node_question};
use super::etcd::EtcdAccess;
use super::kubeadm::behind;
use crate::decide::action::{Act, Action, Effect, Moment, On, Site, job};
use crate::decide::call::Script;
use crate::decide::look::{Look, MachineQuestion, Question, Sight, seen};
use crate::facts::Seen;
use crate::facts::ask::Section;

/// Restarts the kubelet on the binary that its package brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestartKubelet {
    /// The version that has to run.
    pub to: Version,
    /// How to speak to the stacked member, which the new kubelet may restart, and to the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<EtcdAccess>,
}

impl Act for RestartKubelet {
    fn describe(&self) -> String {
        format!("restart the kubelet on {}", self.to)
    }

    fn question(&self, _: Site<'_>) -> Question {
        let machine = MachineQuestion { sections: &[Section::Kubelet], packages: Vec::new() };
        Question { machine: Some(machine), ..Question::default() }
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "the kubelet");
        match seen!(machine.kubelet_running, "the kubelet") {
            Some(version) if version == &self.to => Look::Done,
            Some(version) => Look::Ready(format!("the kubelet that runs is {version}")),
            None => Look::Ready("no kubelet runs".to_owned()),
        }
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        job(On::Lane, Script::KubeletRestart, [guard(self.member.as_ref())])
    }

    fn undo(&self) -> String {
        "install the former kubelet and restart it".to_owned()
    }

    fn estimate(&self) -> u64 {
        3
    }
}

/// Waits until the node is Ready at the new version; on a control plane also until its own components are back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwaitReady {
    /// The version.
    pub to: Version,
    /// Whether the node is a control plane.
    pub control_plane: bool,
}

/// A restarted kubelet may restart the static pods some seconds later; an API server that answered once is not yet one
/// that stays. Twice the kubelet's own sync period for static pods' restarts was enough on every run that was measured.
pub(in crate::decide) const STATIC_PODS_SETTLE: Duration = Duration::from_secs(4);

impl Act for AwaitReady {
    fn describe(&self) -> String {
        format!("wait: Ready at {}", self.to)
    }

    fn question(&self, site: Site<'_>) -> Question {
        let sections = &[Section::StaticPods, Section::ApiServer];
        let machine = self.control_plane.then_some(MachineQuestion { sections, packages: Vec::new() });
        Question { machine, ..node_question(site) }
    }

    /// A kubelet reports its version and its conditions in one update, so that Ready at the new version was said by the
    /// new kubelet and not left behind by the old one.
    fn look(&self, site: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let node = match node(site, sight) {
            Ok(node) => node,
            Err(Look::Unseen(why)) => return Look::NotYet(why),
            Err(look) => return look,
        };
        match &node.kubelet {
            Seen::Known(version) if version == &self.to => {}
            Seen::Known(version) => return Look::NotYet(format!("the API still sees kubelet {version}")),
            Seen::Unknown(why) => return Look::NotYet(format!("kubelet version: {why}")),
        }
        if !node.ready() {
            let why = node.conditions.iter().find(|c| c.kind == "Ready").map_or("", |c| c.message.as_str());
            return Look::NotYet(format!("not Ready: {why}"));
        }
        if self.control_plane {
            let machine = match &sight.machine {
                Seen::Known(machine) => machine,
                Seen::Unknown(why) => return Look::NotYet(why.clone()),
            };
            if let Some(why) = behind(machine, &self.to).into_iter().next() {
                return Look::NotYet(why);
            }
        }
        Look::Done
    }

    fn estimate(&self) -> u64 {
        if self.control_plane { 12 } else { 8 }
    }

    /// A node that was Ready once may not be any more when the run is resumed, and only a Ready one is uncordoned.
    fn serves(&self, later: &Action) -> bool {
        matches!(later, Action::Uncordon(_))
    }

    fn steady(&self) -> Duration {
        if self.control_plane { STATIC_PODS_SETTLE } else { Duration::ZERO }
    }
}
