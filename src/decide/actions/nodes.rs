//! Nodes leave: their machine is made to, where it answers, and the cluster forgets them.

use serde::{Deserialize, Serialize};

use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::actions::packages::trusted;
use crate::decide::call::Script;
use crate::decide::look::{ApiQuestion, Look, Question, Sight, Via, seen};
use crate::facts::ask::ApiSection;
use crate::inventory::NodeName;

/// Makes this machine leave its cluster, as `kubeadm reset` does; only a machine of this cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaveCluster {
    /// SHA-256 of the certificate of the cluster's authority, hex.
    pub authority: String,
    /// The machine's id.
    pub machine: String,
}

impl Act for LeaveCluster {
    fn describe(&self) -> String {
        "stop the kubelet, end static pods and every container of Kubernetes, delete kubeconfigs, certificates and keys; packages, images, CNI's configuration and data in /var/lib/kubelet/pods stay"
            .to_owned()
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "it has not left yet")
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let args = [self.authority.clone(), self.machine.clone(), site.run.to_string()];
        job(On::Lane, Script::LeaveCluster, args)
    }

    fn undo(&self) -> String {
        "by adding it anew; what was in /etc/kubernetes is in the node's archive until the run is finished".to_owned()
    }

    fn estimate(&self) -> u64 {
        30
    }
}

/// Deletes a Node object and every pod that was bound to it, asked of this control plane, and sees them gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteNode {
    /// The node.
    pub node: NodeName,
    /// The id of the machine that its object told of.
    pub machine: String,
    /// Whether it was made to leave; one that does not answer may not be Ready.
    pub left: bool,
}

impl Act for DeleteNode {
    fn describe(&self) -> String {
        format!("delete node {}, every pod bound to it and its mirror pods, and see them gone", self.node)
    }

    fn question(&self, _: Site<'_>) -> Question {
        let api = ApiQuestion { via: Via::Lane, sections: &[ApiSection::Nodes], node: Some(self.node.clone()) };
        Question { api: Some(api), ..Question::default() }
    }

    /// Whether pods of it are left does not show here; the job does nothing twice.
    fn look(&self, _: Site<'_>, moment: Moment, sight: &Sight) -> Look {
        let api = seen!(sight.api, "the API");
        match api.nodes.iter().find(|node| node.name == self.node.as_str()) {
            None => trusted(moment, "pods of it may be left"),
            Some(node) if node.machine_id.as_deref() != Some(self.machine.as_str()) => {
                Look::Drifted(format!("node {} is another machine than the one that was planned for", self.node))
            }
            Some(node) if !self.left && node.ready() => Look::Drifted(format!("node {} is Ready", self.node)),
            Some(_) => Look::Ready(format!("the API knows node {}", self.node)),
        }
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        let state = if self.left { "left" } else { "gone" };
        job(On::Lane, Script::DeleteNode, [self.node.as_str(), self.machine.as_str(), state])
    }

    fn undo(&self) -> String {
        "by adding it anew".to_owned()
    }

    fn estimate(&self) -> u64 {
        5
    }
}
