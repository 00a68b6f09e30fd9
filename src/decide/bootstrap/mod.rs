//! The planner for a cluster that begins: an inventory of machines, what was seen of them, and the versions that are wanted in;
//! a plan, or every reason against one, out.

pub(super) mod balancer;
pub(super) mod kubeadm;
mod members;
mod needs;
pub(super) mod rules;
pub(super) mod steps;

use semver::Version;

use super::actions::certificates::Authority;
use super::finding::{Finding, Severity};
use super::plan::{Baseline, Begin, Plan, Skipped, Sources, Task};
use super::planner::{fit, machine_baseline};
use super::rules::forbid;
pub use balancer::PACKAGES as BALANCER_PACKAGES;

use crate::facts::Facts;
use crate::inventory::{Inventory, Node, NodeName, Role, Topology};

pub use needs::{Image, Needs, Package, needs};

/// Packages that Kubernetes needs on its nodes and that some sources have as packages of their own, others inside the first.
pub const BESIDE: [&str; 2] = ["cri-tools", "kubernetes-cni"];
/// Packages that carry containerd, the better one first.
pub const RUNTIMES: [&str; 2] = ["containerd.io", "containerd"];
/// What runs a container for it, and is a package of its own where it is Debian's.
pub const RUNC: &str = "runc";

/// The operator's files that a cluster begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// The text of kubeadm's configuration.
    pub kubeadm: Option<String>,
    /// The text of containerd's configuration.
    pub containerd: Option<String>,
    /// The manifests.
    pub manifests: Vec<Manifest>,
}

/// A manifest of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its file, absolute.
    pub file: String,
    /// SHA-256, hex.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The machines.
    pub inventory: &'a Inventory,
    /// What was seen of them.
    pub facts: &'a Facts,
    /// The version of Kubernetes.
    pub kubernetes: &'a Version,
    /// The version of an external etcd; kubeadm chooses that of a stacked one.
    pub etcd: Option<&'a Version>,
    /// The operator's files.
    pub files: &'a Files,
    /// Who signs certificates for an external etcd.
    pub authority: Option<&'a Authority>,
    /// The files behind all of it.
    pub sources: &'a Sources,
}

/// Makes the plan, or says everything that forbids it (warnings included).
pub fn plan(wanted: Wanted<'_>) -> Result<Plan, Vec<Finding>> {
    if rules::stands(wanted) {
        let mut findings = rules::of_another_version(wanted);
        if forbid(&findings) {
            return Err(findings);
        }
        findings.retain(|finding| finding.severity == Severity::Warning);
        return Ok(drawn(wanted, findings, steps::Draft::default()));
    }
    let mut findings = rules::findings(wanted);
    let documents = match kubeadm::Documents::read(wanted.files.kubeadm.as_deref(), wanted.kubernetes) {
        Ok(documents) => Some(documents),
        Err(wrong) => {
            findings.extend(wrong.into_iter().map(rules::configuration));
            None
        }
    };
    let draft = documents.and_then(|documents| match steps::draw(wanted, &documents) {
        Ok(draft) => Some(draft),
        Err(found) => {
            findings.extend(found);
            None
        }
    });
    findings.sort();
    findings.dedup();
    let Some(draft) = draft.filter(|_| !forbid(&findings)) else { return Err(findings) };
    fit(drawn(wanted, findings, draft))
}

fn drawn(wanted: Wanted<'_>, findings: Vec<Finding>, draft: steps::Draft) -> Plan {
    let Wanted { inventory, facts, kubernetes, etcd, sources, .. } = wanted;
    let names = |role| inventory.with_role(role).map(|node| node.name.clone()).collect::<Vec<NodeName>>();
    let begin = Begin {
        kubernetes: kubernetes.clone(),
        etcd: etcd.cloned(),
        endpoint: inventory.api.endpoint.clone().unwrap_or_default(),
        members: inventory.etcd_nodes().map(|node| node.name.clone()).collect(),
        control_planes: names(Role::ControlPlane),
        workers: names(Role::Worker),
        load_balancers: names(Role::LoadBalancer),
    };
    let machines = inventory.nodes.iter().filter_map(|node| {
        facts.machine(&node.name).map(|machine| (node.name.clone(), machine_baseline(node, machine)))
    });
    let skipped = draft.stages.is_empty().then(|| Skipped {
        stage: "bootstrap".to_owned(),
        subject: "cluster".to_owned(),
        why: format!("Kubernetes {kubernetes} runs on all of these machines already"),
    });
    let (task, baseline) = (
        Task::Bootstrap(begin),
        Baseline {
            machines: machines.collect(),
            kube_nodes: Vec::new(),
            etcd_members: std::collections::BTreeMap::new(),
            etcd_cluster: 0,
            stacked: inventory.etcd.topology == Topology::Stacked,
        },
    );
    let begun = Plan::begun(&inventory.name, facts, sources, task, baseline);
    Plan {
        findings,
        skipped: skipped.into_iter().collect(),
        procedures: draft.procedures,
        stages: draft.stages,
        ..begun
    }
    .sealed()
}

/// Whether a machine gets an etcd of its own.
fn is_member(inventory: &Inventory, node: &Node) -> bool {
    inventory.etcd.topology == Topology::External && node.roles.contains(&Role::Etcd)
}
