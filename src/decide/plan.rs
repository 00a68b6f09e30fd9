//! The plan: one immutable value that is written, rendered, checked and executed.
//!
//! `Plan → Stage → Wave → Lane(node) → Step`. Only the lanes of one wave run at the same time. Each procedure is stored once
//! and lanes are bindings of it, so that a plan for thousands of nodes can still be read.

mod reading;
mod task;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::action::Action;
use super::finding::Finding;
use crate::facts::Facts;
use crate::inventory::{NodeName, Role};
use crate::text::hex;

pub use reading::PlanError;
pub use task::{Arrival, Begin, Departure, Joining, Leaving, MemberChange, NodeChange, Renewal, Restore, Task};

/// The format number of plans that this Windlass writes and reads.
pub const FORMAT: u32 = 1;

/// A reviewed, fixed, ordered upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Format number, [`FORMAT`].
    pub format: u32,
    /// Names this plan and its run: a digest of everything else in it.
    pub id: RunId,
    /// The Windlass that made it.
    pub windlass: String,
    /// The cluster's name.
    pub cluster: String,
    /// When its facts were taken.
    pub made_at: Timestamp,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Task::is_upgrade")]
    pub task: Task,
    /// Kubernetes, from and to, when it is raised.
    pub kubernetes: Option<Raise>,
    /// etcd, from and to, when it is raised.
    pub etcd: Option<Raise>,
    /// The files it was made from.
    pub sources: Sources,
    /// The laws that the checker holds it to.
    pub laws: Vec<Law>,
    /// What the cluster was like; apply stops when it is not like that any more.
    pub baseline: Baseline,
    /// What was found and did not forbid it.
    pub findings: Vec<Finding>,
    /// Nodes left out by the operator's word.
    pub left_out: Vec<NodeName>,
    /// Whether the operator accepted the outages below.
    pub outage_accepted: bool,
    /// What will be away, and for how long.
    pub outages: Vec<Outage>,
    /// What needs nothing, and why.
    pub skipped: Vec<Skipped>,
    /// The procedures, each stored once; lanes refer to them by position.
    pub procedures: Vec<Vec<Step>>,
    /// The stages, in order.
    pub stages: Vec<Stage>,
}

/// Names a plan and its run: 12 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// From and to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raise {
    /// The oldest version that runs.
    pub from: Version,
    /// The version to reach.
    pub to: Version,
}

/// The files a plan was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// The inventory's path, as given, made absolute.
    pub inventory: String,
    /// SHA-256 of the inventory, hex.
    pub inventory_digest: String,
    /// SHA-256 of each playbook by its name, hex.
    pub playbook_digests: BTreeMap<String, String>,
    /// SHA-256 of the facts, hex.
    pub facts_digest: String,
}

/// The laws. Nothing switches them off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    /// 1: no minor of the API server or of etcd is skipped.
    NoSkip,
    /// 2: a verified snapshot stands before each rung, and an archive of each node before the node is touched.
    SnapshotFirst,
    /// 3: no etcd member is stopped while it leads or another is not healthy.
    OneMemberAtATime,
    /// 4: external etcd and Kubernetes are never worked on at the same moment.
    EtcdApart,
    /// 5: API servers first, one at a time; then control-plane kubelets; then workers.
    ServersFirst,
    /// 6: drained before the kubelet's minor changes; uncordoned only when Ready, and only if ours.
    DrainFirst,
    /// 7: disruption budgets and grace periods are respected.
    BudgetsKept,
    /// 8: journaled before it starts; no act under an old token.
    JournalFirst,
}

impl Law {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::NoSkip,
        Self::SnapshotFirst,
        Self::OneMemberAtATime,
        Self::EtcdApart,
        Self::ServersFirst,
        Self::DrainFirst,
        Self::BudgetsKept,
        Self::JournalFirst,
    ];
}

/// What the cluster was like when it was planned for: versions, membership, topology, configuration. Not leaders, raft
/// indexes or times, which are looked up when they are needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Each machine that takes part.
    pub machines: BTreeMap<NodeName, MachineBaseline>,
    /// Names of the Node objects.
    pub kube_nodes: Vec<String>,
    /// etcd members: name by id.
    pub etcd_members: BTreeMap<u64, String>,
    /// The cluster id of etcd.
    pub etcd_cluster: u64,
    /// Whether the members are static pods on the control planes, which a step on such a node may restart.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stacked: bool,
}

/// What a machine was like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineBaseline {
    /// Its roles.
    pub roles: Vec<Role>,
    /// Its `/etc/machine-id`, when it was seen.
    pub machine_id: Option<String>,
    /// Installed version of each package that a step may touch.
    pub packages: BTreeMap<String, String>,
    /// SHA-256 of etcd's configuration, when it runs etcd.
    pub etcd_config: Option<String>,
}

/// Something that will be away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// What, in words.
    pub what: String,
    /// For how long, in seconds, by estimate.
    pub seconds: u64,
    /// Whether it has to be accepted by name (`--accept-outage`).
    pub needs_consent: bool,
}

/// Something that needs nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// The stage.
    pub stage: String,
    /// The node, or `cluster`.
    pub subject: String,
    /// Why.
    pub why: String,
}

/// A stage of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Its name, unique in the plan.
    pub name: String,
    /// Waves, one after the other.
    pub waves: Vec<Wave>,
}

/// Lanes that run at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wave {
    /// The lanes.
    pub lanes: Vec<Lane>,
}

/// A procedure bound to a node, or to the cluster as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lane {
    /// The node; `None` for the cluster as a whole.
    pub node: Option<NodeName>,
    /// Position in [`Plan::procedures`].
    pub procedure: usize,
}

/// A step of a procedure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name, unique in the procedure.
    pub name: String,
    /// How long it may take, in seconds: for the act, and again for its effect to be seen.
    pub timeout_seconds: u64,
    /// What it does.
    pub action: Action,
}

/// A step where it stands in the plan.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// Its stage.
    pub stage: &'a Stage,
    /// Its lane's node.
    pub node: Option<&'a NodeName>,
    /// The step.
    pub step: &'a Step,
}

impl Placed<'_> {
    /// The step's id, `stage/node/step`, stable across re-planning.
    pub fn id(&self) -> String {
        step_id(&self.stage.name, self.node, &self.step.name)
    }
}

/// `stage/node/step`.
pub fn step_id(stage: &str, node: Option<&NodeName>, step: &str) -> String {
    format!("{stage}/{}/{step}", node.map_or("cluster", NodeName::as_str))
}

/// SHA-256 of some bytes, hex.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

impl Plan {
    /// The steps of a lane.
    pub fn steps(&self, lane: &Lane) -> &[Step] {
        &self.procedures[lane.procedure]
    }

    /// Every step, in the plan's order.
    pub fn placed(&self) -> impl Iterator<Item = Placed<'_>> {
        self.stages.iter().flat_map(move |stage| {
            let lanes = stage.waves.iter().flat_map(|wave| &wave.lanes);
            lanes.flat_map(move |lane| {
                self.steps(lane).iter().map(move |step| Placed { stage, node: lane.node.as_ref(), step })
            })
        })
    }

    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// A plan in which nothing happens yet, as each planner begins one.
    pub(super) fn begun(cluster: &str, facts: &Facts, sources: &Sources, task: Task, baseline: Baseline) -> Self {
        Self {
            format: FORMAT,
            id: RunId(String::new()),
            windlass: env!("CARGO_PKG_VERSION").to_owned(),
            cluster: cluster.to_owned(),
            made_at: facts.taken_at,
            task,
            kubernetes: None,
            etcd: None,
            sources: sources.clone(),
            laws: Law::ALL.to_vec(),
            baseline,
            findings: Vec::new(),
            left_out: Vec::new(),
            outage_accepted: false,
            outages: Vec::new(),
            skipped: Vec::new(),
            procedures: Vec::new(),
            stages: Vec::new(),
        }
    }

    /// Gives the plan the id that its content asks for.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.id = RunId(String::new());
        let content = serde_json::to_vec(&self).unwrap_or_default();
        self.id = RunId(digest(&content)[..12].to_owned());
        self
    }

    /// The plan as its file holds it: pretty JSON with a last newline.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}
