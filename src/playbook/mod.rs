//! A playbook: the order, batching and parameters of an upgrade. TOML in, [`Playbook`] out.
//!
//! Pure. A playbook never names effects and cannot break a law: what it asks for is expanded by the planner and then held
//! against the laws by the checker.

mod read;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::document::Complaints;
use crate::inventory::Role;

/// The format number of playbooks that this Windlass reads.
pub const FORMAT: u32 = 1;

/// Reads a playbook, or complains of all that is wrong with it.
pub fn parse(text: &str) -> Result<Playbook, Complaints> {
    read::playbook(text)
}

/// The text of the playbook that comes with Windlass for raising `raises`.
pub fn builtin(raises: Raises) -> &'static str {
    match raises {
        Raises::KubernetesMinor => include_str!("../../playbooks/kubeadm-minor.toml"),
        Raises::KubernetesPatch => include_str!("../../playbooks/kubeadm-patch.toml"),
        Raises::Etcd => include_str!("../../playbooks/etcd-external.toml"),
    }
}

/// A declarative step plan, before it meets a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playbook {
    /// Its name, as `kubeadm-minor`.
    pub name: String,
    /// What it raises, and so which versions it needs.
    pub raises: Raises,
    /// How far its snapshots of etcd are trusted; when it does not say, as the kind of raise asks for.
    pub snapshot: Snapshot,
    /// Stages, in order.
    pub stages: Vec<Stage>,
}

/// What a playbook raises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raises {
    /// Kubernetes, by one minor (`kubernetes-minor`).
    KubernetesMinor,
    /// Kubernetes, within its minor (`kubernetes-patch`).
    KubernetesPatch,
    /// An external etcd, by a patch or one minor (`etcd`).
    Etcd,
}

/// How far a snapshot is trusted before anything leans on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snapshot {
    /// Its hash, its pages and what it says of the cluster are right (`verified`).
    Verified,
    /// Besides, etcd of its version came to life on it, and had what it should (`proven`).
    Proven,
}

/// A stage: some nodes, walked through batch by batch, each through the same steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Its name, unique in the playbook.
    pub name: String,
    /// Which nodes.
    pub select: Select,
    /// How many at a time; the last one repeats. Never empty. `["100%"]` is all at once.
    pub batch: Vec<Batch>,
    /// What happens to each, in order. Never empty.
    pub steps: Vec<Step>,
}

/// Which nodes a stage is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Select {
    /// Not a node: one lane for the cluster as a whole (`select = "cluster"`).
    Cluster,
    /// Every node of the inventory (`select = "all"`).
    All,
    /// Nodes of a role, narrowed by labels and position (`select = { role = "worker", labels = { zone = "a" }, pick = "first" }`).
    Nodes {
        /// The role.
        role: Role,
        /// Labels that all have to match.
        labels: BTreeMap<String, String>,
        /// Which of those.
        pick: Pick,
    },
}

/// Which of the nodes that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// All of them (`"all"`, the default).
    All,
    /// The first in inventory order (`"first"`).
    First,
    /// All but the first (`"others"`).
    Others,
}

/// How many nodes a wave takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// A count, at least 1.
    Count(usize),
    /// A share of the stage's nodes in percent, 1 to 100; rounded down, at least one node.
    Percent(u8),
}

/// One entry of a stage's `steps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `{ uses = "drain", timeout = "10m" }`: expanded by the planner's table.
    Uses {
        /// What to expand.
        uses: Uses,
        /// How long it may take; the macro's own default when absent.
        timeout: Option<Duration>,
        /// Drain only: evict pods that keep data in an emptyDir (`delete_emptydir_data = true`).
        delete_emptydir_data: bool,
        /// Drain only: delete pods that no controller would bring back (`force = true`).
        force: bool,
    },
    /// `{ gate = "statefulsets-ready", timeout = "15m" }`: wait for a condition of the cluster.
    Gate {
        /// The condition.
        gate: Gate,
        /// How long it may take.
        timeout: Option<Duration>,
    },
    /// `{ run = ["/usr/local/bin/notify", "{node}"], on = "control" }`: a command of the operator's.
    Run {
        /// Program and arguments; `{node}` is replaced by the node's name. No shell.
        argv: Vec<String>,
        /// Where it runs.
        on: Place,
        /// How long it may take.
        timeout: Option<Duration>,
    },
}

/// The macros that the planner knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Uses {
    /// `prepare.archive`: archive the node's configuration, before anything on it is changed.
    PrepareArchive,
    /// `prepare.packages`: download the packages of the target, and those that they replace.
    PreparePackages,
    /// `prepare.images`: pull the images of the target.
    PrepareImages,
    /// `etcd.snapshot`: a verified snapshot on the operator's machine and a copy on a control plane.
    EtcdSnapshot,
    /// `etcd.move-leader`: leadership off this member.
    EtcdMoveLeader,
    /// `etcd.package`: the member's package, which restarts it.
    EtcdPackage,
    /// `etcd.await-healthy`: all members healthy, this one at the new version, stable.
    EtcdAwaitHealthy,
    /// `etcd.await-cluster-version`: every member reports the new cluster version.
    EtcdAwaitClusterVersion,
    /// `kubeadm.package`: the kubeadm package.
    KubeadmPackage,
    /// `kubeadm.plan`: kubeadm's own checks as a last gate.
    KubeadmPlan,
    /// `kubeadm.apply`: the first control plane.
    KubeadmApply,
    /// `kubeadm.upgrade-node`: every other node.
    KubeadmUpgradeNode,
    /// `api.await-version`: every API server at the target.
    ApiAwaitVersion,
    /// `drain`: cordon as ours, then evict.
    Drain,
    /// `kubelet.package`: kubelet and kubectl packages.
    KubeletPackage,
    /// `kubelet.restart`: the new kubelet.
    KubeletRestart,
    /// `await-ready`: Ready at the new version.
    AwaitReady,
    /// `uncordon`: only what we cordoned.
    Uncordon,
}

/// A condition of the cluster to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// `statefulsets-ready`: every StatefulSet has all its replicas ready.
    StatefulSetsReady,
}

/// Where an operator's command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the operator's machine (`control`).
    Control,
    /// On the lane's node, as a unit (`node`).
    Node,
}
