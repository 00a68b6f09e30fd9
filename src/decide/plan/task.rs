//! What a plan is for, besides an upgrade.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::inventory::NodeName;
use crate::text::{count, list};

/// What a plan is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Task {
    /// Raising Kubernetes, etcd or both.
    #[default]
    Upgrade,
    /// Changing etcd's members.
    Members(MemberChange),
    /// Defragmenting etcd's members.
    Defrag,
    /// Restoring etcd from a snapshot.
    Restore(Restore),
    /// Making a cluster of machines that are none yet.
    Bootstrap(Begin),
    /// Nodes that join a cluster, leave it, or take the place of others.
    Nodes(NodeChange),
    /// Renewing the certificates of an external etcd and its clients.
    Certificates(Renewal),
}

/// Nodes that come and go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeChange {
    /// The version of Kubernetes: the cluster's own.
    pub kubernetes: Version,
    /// Where clients of the API reach it.
    pub endpoint: String,
    /// Who leaves.
    pub leaves: Vec<Departure>,
    /// Who joins, in this order.
    pub joins: Vec<Arrival>,
    /// The control planes that stand, and stay.
    pub stands: Vec<NodeName>,
    /// The members of a stacked etcd that voted when it was planned.
    pub voters: Vec<u64>,
    /// Those of them that were healthy.
    pub healthy: Vec<u64>,
}

/// A node that leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Departure {
    /// Its name.
    pub node: NodeName,
    /// Whether it is a control plane.
    pub control_plane: bool,
    /// Its member of a stacked etcd.
    pub member: Option<u64>,
    /// Whether its machine still is what the cluster knows: it is drained, and made to leave.
    pub stands: bool,
    /// The pods that lose data, or that nothing brings back, by the operator's word.
    pub gives_up: Vec<String>,
}

/// A node that joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arrival {
    /// Its name.
    pub node: NodeName,
    /// Whether it is a control plane.
    pub control_plane: bool,
    /// The peer URL of its member of a stacked etcd.
    pub peer_url: Option<String>,
}

/// A renewal of certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// SHA-256 of the authority that has signed them and signs them again, hex.
    pub authority: String,
    /// How many are renewed.
    pub certificates: usize,
}

/// A cluster that begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    /// The version of Kubernetes.
    pub kubernetes: Version,
    /// The version of an external etcd; nothing where kubeadm chooses that of a stacked one.
    pub etcd: Option<Version>,
    /// Where clients of the API reach it.
    pub endpoint: String,
    /// The machines of etcd's members.
    pub members: Vec<NodeName>,
    /// The control planes; the first of them is the first.
    pub control_planes: Vec<NodeName>,
    /// The workers.
    pub workers: Vec<NodeName>,
    /// The load balancers that are set up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load_balancers: Vec<NodeName>,
}

/// A restore of etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// The snapshot's file on the operator's machine, absolute.
    pub file: String,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// Its revision.
    pub revision: u64,
    /// Its live keys below `/registry`.
    pub registry_keys: u64,
    /// By how much revisions are raised; nothing where etcd cannot.
    pub bump: Option<u64>,
    /// Machines that the operator said cannot act any more.
    pub fenced: Vec<NodeName>,
}

/// A change of etcd's members: one leaves, one joins, or one in place of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberChange {
    /// Which one leaves.
    pub leaves: Option<Leaving>,
    /// Which one joins.
    pub joins: Option<Joining>,
    /// The members that voted when it was planned.
    pub voters: Vec<u64>,
    /// Those of them that were healthy.
    pub healthy: Vec<u64>,
}

/// A member that leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaving {
    /// Its id.
    pub member: u64,
    /// Its name; its id where it never started.
    pub name: String,
}

/// A member that joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joining {
    /// Its machine.
    pub node: NodeName,
    /// Its name.
    pub name: String,
    /// Its peer URL.
    pub peer_url: String,
    /// Whether it does not vote at first.
    pub learner: bool,
}

impl Task {
    /// Raising something, which is what a plan says nothing of.
    pub fn is_upgrade(&self) -> bool {
        *self == Self::Upgrade
    }

    /// The command that plans it and carries it out, without those words: `etcd member replace`.
    pub fn command(&self) -> &'static str {
        match self {
            Self::Upgrade => "upgrade",
            Self::Members(MemberChange { leaves: Some(_), joins: Some(_), .. }) => "etcd member replace",
            Self::Members(MemberChange { joins: Some(_), .. }) => "etcd member add",
            Self::Members(_) => "etcd member remove",
            Self::Defrag => "etcd defrag",
            Self::Restore(_) => "etcd restore",
            Self::Bootstrap(_) => "bootstrap",
            Self::Nodes(change) => match (change.leaves.is_empty(), change.joins.is_empty()) {
                (false, false) => "node replace",
                (true, _) => "node add",
                (false, true) => "node remove",
            },
            Self::Certificates(_) => "certs renew",
        }
    }

    /// The restore that it is, if it is one.
    pub fn restore(&self) -> Option<&Restore> {
        if let Self::Restore(restore) = self { Some(restore) } else { None }
    }

    /// The cluster that begins, if it is that.
    pub fn begin(&self) -> Option<&Begin> {
        if let Self::Bootstrap(begin) = self { Some(begin) } else { None }
    }

    /// The nodes that come and go, if it is that.
    pub fn nodes(&self) -> Option<&NodeChange> {
        if let Self::Nodes(change) = self { Some(change) } else { None }
    }

    /// The renewal of certificates that it is, if it is one.
    pub fn renewal(&self) -> Option<&Renewal> {
        if let Self::Certificates(renewal) = self { Some(renewal) } else { None }
    }

    /// In words, for the head of the plan; nothing for an upgrade, which tells its versions.
    pub fn words(&self) -> Option<String> {
        match self {
            Self::Upgrade => None,
            Self::Defrag => Some("defragment etcd, one member at a time".to_owned()),
            Self::Restore(Restore { file, revision, registry_keys, .. }) => {
                Some(format!("back to revision {revision}, {registry_keys} keys below /registry: {file}"))
            }
            Self::Bootstrap(begin) => {
                let etcd = match &begin.etcd {
                    Some(version) => format!("etcd {version} with {}", count(begin.members.len(), "member")),
                    None => "etcd beside each control plane".to_owned(),
                };
                let (planes, workers) =
                    (count(begin.control_planes.len(), "control plane"), count(begin.workers.len(), "worker"));
                let Begin { kubernetes, endpoint, .. } = begin;
                let balancers = match begin.load_balancers.len() {
                    0 => String::new(),
                    number => format!(", {}", count(number, "load balancer")),
                };
                Some(format!(
                    "a new cluster at {endpoint}: Kubernetes {kubernetes}, {planes}, {workers}, {etcd}{balancers}"
                ))
            }
            Self::Nodes(change) => Some(change.words()),
            Self::Certificates(renewal) => {
                let count = count(renewal.certificates, "certificate");
                Some(format!("renew {count} of its members and their clients, one machine at a time"))
            }
            Self::Members(MemberChange { leaves, joins, .. }) => match (leaves, joins) {
                (Some(leaves), Some(joins)) => {
                    Some(format!("{} ({:x}) gives way to {} on {}", leaves.name, leaves.member, joins.name, joins.node))
                }
                (Some(leaves), None) => Some(format!("{} ({:x}) leaves etcd", leaves.name, leaves.member)),
                (None, Some(joins)) => Some(format!("{} on {} joins etcd", joins.name, joins.node)),
                (None, None) => None,
            },
        }
    }
}

impl NodeChange {
    fn words(&self) -> String {
        let named = |node: &NodeName, plane: bool| {
            if plane { format!("control plane {node}") } else { format!("worker {node}") }
        };
        let leaves: Vec<String> = self.leaves.iter().map(|it| named(&it.node, it.control_plane)).collect();
        let joins: Vec<String> = self.joins.iter().map(|it| named(&it.node, it.control_plane)).collect();
        let at = format!("Kubernetes {}", self.kubernetes);
        match (self.leaves.as_slice(), self.joins.as_slice()) {
            ([old], [new]) if old.node == new.node => {
                format!("{} is replaced by its machine made anew, {at}", leaves[0])
            }
            ([_, ..], [_, ..]) => format!("{} gives way to {}, {at}", list(&leaves, "and"), list(&joins, "and")),
            ([], _) => {
                format!("{} join{} the cluster, {at}", list(&joins, "and"), if joins.len() == 1 { "s" } else { "" })
            }
            (_, []) => {
                format!("{} leave{} the cluster", list(&leaves, "and"), if leaves.len() == 1 { "s" } else { "" })
            }
        }
    }
}
