//! What lives on the API is taken away before etcd is replaced, and started anew after: static pods, kubelets, and the
//! containers that watch. Who went on would wait for revisions of a time that is gone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::cordon::node_question;
use super::packages::trusted;
use super::restore::machine;
use crate::decide::action::{Act, Action, Effect, Moment, On, Site, job};
use crate::decide::call::Script;
use crate::decide::look::{Look, Question, Sight, seen};
use crate::facts::Seen;
use crate::facts::ask::Section;

/// The static pod of the API server.
pub(crate) const API_SERVER: &str = "kube-apiserver";
/// The static pod of a stacked member of etcd.
pub(crate) const ETCD: &str = "etcd";

/// Takes static pods away, and waits until their containers are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopStaticPods {
    /// Their names.
    pub pods: Vec<String>,
}

impl Act for StopStaticPods {
    fn describe(&self) -> String {
        format!("take the manifests of {} away, until their containers are gone", crate::text::list(&self.pods, "and"))
    }

    fn question(&self, _: Site<'_>) -> Question {
        machine(&[Section::StaticPods, Section::Containers])
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "the control plane");
        let manifests = seen!(machine.static_pods, "its static pods");
        let containers = seen!(machine.containers, "its containers");
        for pod in &self.pods {
            if manifests.contains_key(pod) {
                return Look::Ready(format!("{pod} has a manifest"));
            }
            if containers.iter().any(|container| &container.name == pod) {
                return Look::Ready(format!("{pod} runs"));
            }
        }
        Look::Done
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        job(On::Lane, Script::StopStaticPods, [site.run.to_string(), self.pods.join(",")])
    }

    fn undo(&self) -> String {
        "the manifests lie in /etc/kubernetes/windlass-RUN until they are given back".to_owned()
    }

    fn estimate(&self) -> u64 {
        25
    }
}

/// Gives static pods back to the kubelet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartStaticPods {
    /// Their names.
    pub pods: Vec<String>,
}

impl StartStaticPods {
    /// Without an API server the others start and end again and again: they are waited for once there is one.
    fn waits(&self) -> bool {
        self.pods.iter().any(|pod| pod == API_SERVER || pod == ETCD)
    }
}

impl Act for StartStaticPods {
    fn describe(&self) -> String {
        let until = if self.waits() { ", until they run" } else { "" };
        format!("give the manifests of {} back{until}", crate::text::list(&self.pods, "and"))
    }

    fn question(&self, _: Site<'_>) -> Question {
        machine(&[Section::StaticPods, Section::Containers, Section::ApiServer])
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "the control plane");
        let manifests = seen!(machine.static_pods, "its static pods");
        if let Some(pod) = self.pods.iter().find(|pod| !manifests.contains_key(*pod)) {
            return Look::Ready(format!("{pod} has no manifest"));
        }
        if !self.waits() {
            return Look::Done;
        }
        if self.pods.iter().any(|pod| pod == API_SERVER) {
            match &machine.api_server {
                Seen::Known(Some(_)) => {}
                Seen::Known(None) => return Look::NotYet("its API server does not run".to_owned()),
                Seen::Unknown(why) => return Look::NotYet(format!("its API server is not ready: {why}")),
            }
        }
        let containers = seen!(machine.containers, "its containers");
        match self.pods.iter().find(|pod| !containers.iter().any(|container| &container.name == *pod)) {
            Some(pod) => Look::NotYet(format!("{pod} does not run yet")),
            None => Look::Done,
        }
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        job(On::Lane, Script::StartStaticPods, [site.run.to_string(), self.pods.join(",")])
    }

    fn estimate(&self) -> u64 {
        20
    }
}

/// Restarts the kubelet as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewKubelet {}

impl Act for RenewKubelet {
    fn describe(&self) -> String {
        "restart the kubelet".to_owned()
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "it may watch what is gone")
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        job(On::Lane, Script::KubeletRestart, ["-"])
    }

    fn estimate(&self) -> u64 {
        3
    }
}

/// Waits until the API has heard from the node's kubelet since the restore was planned, and the node is Ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwaitHeard {
    /// By the node's own clock. Whatever the snapshot holds of it is older.
    pub since: Timestamp,
}

impl Act for AwaitHeard {
    fn describe(&self) -> String {
        "wait: Ready, said by its kubelet anew".to_owned()
    }

    fn question(&self, site: Site<'_>) -> Question {
        node_question(site)
    }

    fn look(&self, site: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let api = match &sight.api {
            Seen::Known(api) => api,
            Seen::Unknown(why) => return Look::NotYet(why.clone()),
        };
        // One that joined after the snapshot is not in it: its kubelet registers it anew.
        let Some(node) = api.nodes.iter().find(|node| node.name == site.subject()) else {
            return Look::NotYet("the API does not know it yet".to_owned());
        };
        let Some(ready) = node.conditions.iter().find(|condition| condition.kind == "Ready") else {
            return Look::NotYet("the API knows nothing of its kubelet".to_owned());
        };
        if ready.heartbeat.is_none_or(|heartbeat| heartbeat <= self.since) {
            return Look::NotYet("the API knows only what the snapshot says of it".to_owned());
        }
        if node.ready() { Look::Done } else { Look::NotYet(format!("not Ready: {}", ready.message)) }
    }

    fn estimate(&self) -> u64 {
        10
    }
}

/// Ends containers, so that the kubelet starts them anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestartContainers {
    /// Their names in their pods; those that do not run here are passed over.
    pub names: Vec<String>,
}

impl Act for RestartContainers {
    fn describe(&self) -> String {
        format!("restart the containers of {}, where they run", crate::text::list(&self.names, "and"))
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "they may hold on to what is gone")
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        job(On::Lane, Script::RestartContainers, [self.names.join(",")])
    }

    fn takes_back(&self, earlier: &Action) -> bool {
        matches!(earlier, Action::RenewCertificates(_))
    }

    fn estimate(&self) -> u64 {
        15
    }
}
