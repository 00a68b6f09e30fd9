//! What was seen of the cluster as a whole: types. The Kubernetes API's view, and etcd's.

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Seen, unasked};
use crate::inventory::NodeName;

/// What the Kubernetes API says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiFacts {
    /// The node whose API server was asked.
    pub asked: NodeName,
    /// Node objects, in the API's order; empty when they were not asked for.
    pub nodes: Vec<KubeNode>,
    /// What kubeadm-config says.
    pub kubeadm: Seen<KubeadmConfig>,
    /// Image of the kube-proxy DaemonSet; `None` when there is none.
    pub kube_proxy: Seen<Option<String>>,
    /// Image of the CoreDNS Deployment; `None` when there is none.
    pub coredns: Seen<Option<String>>,
    /// Names of the kubelet-config ConfigMaps in kube-system.
    pub kubelet_configs: Seen<Vec<String>>,
    /// Replicas of each StatefulSet.
    pub stateful_sets: Seen<Vec<Replicas>>,
}

/// A workload's replicas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replicas {
    /// `namespace/name`.
    pub name: String,
    /// Wanted.
    pub wanted: u64,
    /// Ready.
    pub ready: u64,
}

/// A Node object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubeNode {
    /// Its name.
    pub name: String,
    /// Roles from its `node-role.kubernetes.io/` labels.
    pub roles: Vec<String>,
    /// Its conditions.
    pub conditions: Vec<NodeCondition>,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// The run that cordoned it, when it was a run of Windlass ([`CORDON_ANNOTATION`]).
    pub cordoned_by: Option<String>,
    /// Why it is cordoned, as far as annotations or taints say.
    pub cordon_reason: Option<String>,
    /// Version of its kubelet, as the kubelet last reported it.
    pub kubelet: Seen<Version>,
    /// Container runtime and version, as `containerd://1.6.20`.
    pub runtime: String,
    /// The `/etc/machine-id` of its machine, as the kubelet reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
}

impl KubeNode {
    /// The `Ready` condition is `True`.
    pub fn ready(&self) -> bool {
        self.conditions.iter().any(|c| c.kind == "Ready" && c.status == "True")
    }
}

/// A condition of a Node object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeCondition {
    /// `Ready`, `MemoryPressure`, …
    pub kind: String,
    /// `True`, `False`, `Unknown`.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in words.
    pub message: String,
    /// When the kubelet last said so.
    pub heartbeat: Option<Timestamp>,
}

/// What kubeadm-config says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubeadmConfig {
    /// `kubernetesVersion`.
    pub version: Version,
    /// `controlPlaneEndpoint`; empty when none was given.
    pub endpoint: String,
    /// Whether `etcd.external` is there.
    pub external_etcd: bool,
    /// CA, certificate and key that API servers reach an external etcd with, where they are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_files: Option<[String; 3]>,
    /// `etcd.local.imageTag`: makes kubeadm leave etcd alone (kubernetes/kubeadm#3247).
    pub etcd_image_tag: Option<String>,
    /// `imageRepository`, where it is another than kubeadm's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_repository: Option<String>,
}

/// What etcd says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EtcdFacts {
    /// The cluster's id.
    pub cluster_id: u64,
    /// Members, in order of their names.
    pub members: Vec<EtcdMember>,
    /// Alarms raised.
    pub alarms: Vec<Alarm>,
    /// Whether etcd asks for users of its own (`etcdctl auth enable`).
    #[serde(default = "unasked")]
    pub auth: Seen<bool>,
}

/// A member of etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EtcdMember {
    /// Its id.
    pub id: u64,
    /// Its name; empty when it was added and never started.
    pub name: String,
    /// Its peer URLs.
    pub peer_urls: Vec<String>,
    /// Its client URLs.
    pub client_urls: Vec<String>,
    /// Whether it does not vote yet.
    pub learner: bool,
    /// The machine of the inventory it runs on: the one that answers with this member's id.
    pub node: Option<NodeName>,
    /// What it says of itself.
    pub status: Seen<MemberStatus>,
}

/// What a member says of itself, and whether it could commit a read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberStatus {
    /// Its own id.
    pub member_id: u64,
    /// Its server version.
    pub version: Version,
    /// Database size in bytes, and what of it is in use.
    pub db_size: u64,
    /// Bytes in use.
    pub db_in_use: u64,
    /// The leader it knows, 0 when none.
    pub leader: u64,
    /// Its term.
    pub raft_term: u64,
    /// Its log's index.
    pub raft_index: u64,
    /// The index it has applied.
    pub raft_applied: u64,
    /// The key-value revision it is at.
    pub revision: u64,
    /// What it complains of.
    pub errors: Vec<String>,
    /// Whether a linearizable read through it succeeded; the reason when not.
    pub healthy: Seen<()>,
}

/// An alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// The member that raised it.
    pub member_id: u64,
    /// `NOSPACE`, `CORRUPT`, …
    pub kind: String,
}
