//! The first control plane, and whoever joins it: introduced by a control plane with a short-lived token and, for a control
//! plane, the cluster's own keys, which travel through the operator's memory from root to root.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::decide::action::{Act, Action, Effect, Moment, On, Site, job};
use crate::decide::actions::kubeadm::{behind, config_behind, control_plane_probe, ignored};
use crate::decide::actions::packages::trusted;
use crate::decide::call::Script;
use crate::decide::look::{ApiQuestion, Look, Question, Sight, Via, seen};
use crate::facts::Seen;
use crate::facts::ask::ApiSection;

/// `kubeadm init`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubeadmInit {
    /// The Kubernetes version.
    pub to: Version,
    /// kubeadm's configuration, as documents of JSON.
    pub configuration: String,
    /// For `--ignore-preflight-errors`.
    pub ignore: Vec<String>,
}

impl Act for KubeadmInit {
    fn describe(&self) -> String {
        format!("kubeadm init v{}", self.to)
    }

    fn question(&self, _: Site<'_>) -> Question {
        let sections = &[ApiSection::Kubeadm, ApiSection::KubeletConfigs, ApiSection::Addons];
        let api = ApiQuestion { via: Via::Lane, sections, node: None };
        Question { machine: Some(control_plane_probe()), api: Some(api), ..Question::default() }
    }

    /// Judged by everything it does, the last thing included: static pods, kubeadm-config, kubelet-config, addons.
    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "the control plane");
        let mut missing = behind(machine, &self.to);
        match &sight.api {
            Seen::Known(api) => missing.extend(config_behind(api, &self.to)),
            Seen::Unknown(why) => missing.push(format!("its API server does not answer: {why}")),
        }
        if missing.is_empty() { Look::Done } else { Look::Ready(missing.join("; ")) }
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let args = [self.configuration.clone(), ignored(&self.ignore), site.run.to_string()];
        job(On::Lane, Script::KubeadmInit, args)
    }

    fn undo(&self) -> String {
        "kubeadm reset".to_owned()
    }

    fn estimate(&self) -> u64 {
        20
    }
}

/// What a machine joins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Newcomer {
    /// A worker: a token is enough.
    Worker,
    /// A control plane, with the keys that all of them share.
    ControlPlane,
    /// A control plane with a member of etcd, and so with etcd's authority too.
    ControlPlaneWithEtcd,
    /// A control plane of a cluster with an external etcd, with the API servers' client certificate for it too.
    ControlPlaneWithClient,
}

impl Newcomer {
    /// The word that the script knows it by.
    fn word(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::ControlPlane => "control-plane",
            Self::ControlPlaneWithEtcd => "control-plane-with-etcd",
            Self::ControlPlaneWithClient => "control-plane-with-client",
        }
    }

    /// Whether it is a control plane.
    pub fn is_control_plane(self) -> bool {
        self != Self::Worker
    }
}

/// Where an introduction waits on a node, below Windlass's folder, until the node has joined.
fn introduction(site: Site<'_>) -> String {
    format!("introductions/{}/secret", site.run)
}

/// Has a control plane introduce this node, and brings it what it needs to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Introduce {
    /// What it joins as.
    pub newcomer: Newcomer,
}

impl Act for Introduce {
    fn describe(&self) -> String {
        let keys = match self.newcomer {
            Newcomer::Worker => "",
            Newcomer::ControlPlane => " and the keys that control planes share",
            Newcomer::ControlPlaneWithEtcd => " and the keys that control planes share, etcd's authority among them",
            Newcomer::ControlPlaneWithClient => {
                " and the keys that control planes share, their certificate for etcd among them"
            }
        };
        format!("fetch a token{keys} from a healthy control plane: good for 30 min, for root alone, in no log")
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "not introduced yet")
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let script = vec![site.run.to_string(), self.newcomer.word().to_owned()];
        Effect::Introduce { script, name: introduction(site) }
    }

    fn undo(&self) -> String {
        "tokens are taken back at the end, and end by themselves".to_owned()
    }

    fn estimate(&self) -> u64 {
        1
    }

    /// A token does not last.
    fn serves(&self, later: &Action) -> bool {
        matches!(later, Action::KubeadmJoin(_))
    }
}

/// `kubeadm join`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubeadmJoin {
    /// The Kubernetes version.
    pub to: Version,
    /// What it joins as.
    pub newcomer: Newcomer,
    /// kubeadm's configuration, as a document of JSON; its secrets are filled in on the node.
    pub configuration: String,
    /// For `--ignore-preflight-errors`.
    pub ignore: Vec<String>,
}

impl Act for KubeadmJoin {
    fn describe(&self) -> String {
        match self.newcomer {
            Newcomer::Worker => "kubeadm join".to_owned(),
            Newcomer::ControlPlane | Newcomer::ControlPlaneWithClient => "kubeadm join, as a control plane".to_owned(),
            Newcomer::ControlPlaneWithEtcd => "kubeadm join, as a control plane with a member of etcd".to_owned(),
        }
    }

    fn question(&self, _: Site<'_>) -> Question {
        Question { machine: self.newcomer.is_control_plane().then(control_plane_probe), ..Question::default() }
    }

    /// The last things that a join does, labels and taints, are kubeadm's to know: its exit status tells, and the job does
    /// nothing twice.
    fn look(&self, _: Site<'_>, moment: Moment, sight: &Sight) -> Look {
        if moment == Moment::Before || !self.newcomer.is_control_plane() {
            return trusted(moment, "it has not joined yet");
        }
        let machine = seen!(sight.machine, "the control plane");
        let missing = behind(machine, &self.to);
        if missing.is_empty() { Look::Done } else { Look::NotYet(missing.join("; ")) }
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let (configuration, ignore) = (self.configuration.clone(), ignored(&self.ignore));
        let (run, node) = (site.run.to_string(), site.subject().to_owned());
        job(On::Lane, Script::KubeadmJoin, [configuration, introduction(site), ignore, run, node])
    }

    fn undo(&self) -> String {
        "kubeadm reset there, and `kubectl delete node`".to_owned()
    }

    fn estimate(&self) -> u64 {
        if self.newcomer.is_control_plane() { 15 } else { 7 }
    }
}

/// Takes the run's bootstrap tokens back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeTokens {}

impl Act for RevokeTokens {
    fn describe(&self) -> String {
        "take back every token that was made for this run".to_owned()
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "not taken back yet")
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        job(On::Lane, Script::RevokeTokens, [site.run.to_string()])
    }

    fn estimate(&self) -> u64 {
        1
    }
}
