//! The planner for restores: inventory, facts and a snapshot in; a plan, or every reason against one, out.
//!
//! What still lives is saved, control planes are taken away, members are stopped, all are restored from the one snapshot and
//! started together, and whoever watched the API is started anew. It works while etcd and the API are dead.

mod members;
mod rules;
mod steps;

use std::collections::BTreeMap;

use super::finding::{Finding, Severity};
use super::plan::{Baseline, Outage, Plan, Restore, Sources, Task};
use super::planner::{fit, machine_baseline};
use super::rules::forbid;
use crate::facts::Facts;
use crate::inventory::{Inventory, Node, NodeName, Role, Topology};

use members::Member;

/// By how much revisions are raised: more than any cluster writes between a snapshot and its restore, so that no watch ever
/// waits for a revision that is to come a second time. The number is the one that etcd's own manual gives for Kubernetes.
pub const BUMP: u64 = 1_000_000_000;

/// The snapshot that is to be restored, which was read and found whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its file on the operator's machine, absolute.
    pub file: String,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its revision.
    pub revision: u64,
    /// Its live keys below `/registry`.
    pub registry_keys: u64,
    /// Ids of the members that it knows, ascending.
    pub members: Vec<u64>,
    /// The uid of the namespace `kube-system` in it: a Kubernetes cluster's own.
    pub kube_system_uid: Option<String>,
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The cluster's inventory.
    pub inventory: &'a Inventory,
    /// What was seen.
    pub facts: &'a Facts,
    /// What is to be restored.
    pub snapshot: &'a Snapshot,
    /// Machines that the operator says cannot act any more.
    pub fenced: &'a [NodeName],
    /// The files behind all of it.
    pub sources: &'a Sources,
}

impl<'a> Wanted<'a> {
    /// The machines that take part: all that answer and are not fenced.
    fn nodes(self) -> impl Iterator<Item = &'a Node> {
        let seen = move |node: &&Node| !self.fenced.contains(&node.name) && self.facts.machine(&node.name).is_some();
        self.inventory.nodes.iter().filter(seen)
    }

    fn with_role(self, role: Role) -> impl Iterator<Item = &'a Node> {
        self.nodes().filter(move |node| node.roles.contains(&role))
    }
}

/// Makes the plan, or says everything that forbids it (warnings included).
pub fn plan(wanted: Wanted<'_>) -> Result<Plan, Vec<Finding>> {
    let (members, mut findings) = members::of(wanted);
    findings.extend(rules::findings(wanted, &members));
    findings.sort();
    findings.dedup();
    if forbid(&findings) {
        return Err(findings);
    }
    fit(draw(wanted, &members, findings))
}

/// By how much revisions are raised: by nothing where one of the members' tools cannot.
fn bump(members: &[Member<'_>]) -> Option<u64> {
    members.iter().all(|member| member.tool.bumps).then_some(BUMP)
}

fn draw(wanted: Wanted<'_>, members: &[Member<'_>], findings: Vec<Finding>) -> Plan {
    let (inventory, facts, snapshot) = (wanted.inventory, wanted.facts, wanted.snapshot);
    let (procedures, stages) = steps::draw(wanted, members);
    let etcd = facts.etcd.known();
    let machines = wanted
        .nodes()
        .filter_map(|node| {
            facts.machine(&node.name).map(|machine| (node.name.clone(), machine_baseline(node, machine)))
        })
        .collect();
    let (task, baseline) = (
        Task::Restore(Restore {
            file: snapshot.file.clone(),
            sha256: snapshot.sha256.clone(),
            revision: snapshot.revision,
            registry_keys: snapshot.registry_keys,
            bump: bump(members),
            fenced: wanted.fenced.to_vec(),
        }),
        Baseline {
            machines,
            kube_nodes: Vec::new(),
            etcd_members: etcd
                .map_or_else(BTreeMap::new, |etcd| etcd.members.iter().map(|m| (m.id, m.name.clone())).collect()),
            etcd_cluster: etcd.map_or(0, |etcd| etcd.cluster_id),
            stacked: wanted.inventory.etcd.topology == Topology::Stacked,
        },
    );
    let begun = Plan::begun(&inventory.name, facts, wanted.sources, task, baseline);
    Plan {
        findings: findings.into_iter().filter(|finding| finding.severity == Severity::Warning).collect(),
        left_out: wanted.fenced.to_vec(),
        outages: vec![Outage {
            what: "etcd and the API, on all control planes; pods go on as they are".to_owned(),
            // Static pods away and back take most of it, as the kubelet looks for them.
            seconds: 90,
            needs_consent: false,
        }],
        procedures,
        stages,
        ..begun
    }
    .sealed()
}
