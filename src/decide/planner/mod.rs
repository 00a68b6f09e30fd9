//! The planner: inventory, playbooks, facts and target in; a plan, or every reason why there is none, out.

mod baseline;
pub(crate) use baseline::{machine_baseline, of_etcd as etcd_baseline};
mod archives;
mod expand;
pub mod packages;
mod proofs;
pub(crate) mod waves;

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::action::Action;
use super::checker;
use super::finding::{Finding, Rule, Severity};
use super::plan::{Lane, Outage, Plan, Raise, Skipped, Sources, Stage, Step, Task, Wave};
use super::rules::{self, Case};
use super::stacked;
use super::target::{Target, minor};
use super::words;
use crate::facts::version::parse_version;
use crate::facts::{Facts, Seen};
use crate::inventory::{Inventory, Node, NodeName, Role, Topology};
use crate::playbook::{self, Pick, Playbook, Raises, Select, Uses};

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The cluster's inventory.
    pub inventory: &'a Inventory,
    /// The playbook for etcd, when etcd is raised, and then the one for Kubernetes, when that is.
    pub playbooks: &'a [Playbook],
    /// What was seen.
    pub facts: &'a Facts,
    /// What is wanted.
    pub target: &'a Target,
    /// The files behind all of it.
    pub sources: &'a Sources,
}

/// Makes the plan, or says everything that forbids it (warnings included).
pub fn plan(wanted: Wanted<'_>) -> Result<Plan, Vec<Finding>> {
    let case = Case { inventory: wanted.inventory, facts: wanted.facts, target: wanted.target };
    let mut findings = rules::findings(case);
    findings.extend(mismatches(case, wanted.playbooks));
    findings.extend(proofs::findings(case, wanted.playbooks));
    if rules::forbid(&findings) {
        findings.sort();
        return Err(findings);
    }
    let mut draft = Draft::default();
    for playbook in wanted.playbooks {
        for stage in &playbook.stages {
            draft.stage(case, playbook, stage).map_err(|finding| vec![finding])?;
        }
    }
    let tools = draft.tools(case).map_err(|finding| vec![finding])?;
    fit(finish(wanted, case, draft, tools, findings))
}

/// The plan that a planner has made, or why nobody may have it: a word in it that a machine could read as something else, or
/// a law that it breaks.
pub(super) fn fit(plan: Plan) -> Result<Plan, Vec<Finding>> {
    words::unfit(&plan).map_err(|unfit| vec![Finding::refusal(Rule::UnfitWord, unfit.at, unfit.why)])?;
    match checker::check(&plan) {
        breaches if breaches.is_empty() => Ok(plan),
        breaches => Err(breaches.into_iter().map(checker::Breach::into_finding).collect()),
    }
}

fn finish(wanted: Wanted<'_>, case: Case<'_>, mut draft: Draft, tools: Option<Stage>, findings: Vec<Finding>) -> Plan {
    let archives = draft.take_archives();
    draft.prepare_first();
    draft.stages.splice(0..0, archives.into_iter().chain(tools));
    draft.drop_idle();
    let facts = wanted.facts;
    let mut findings: Vec<Finding> = findings.into_iter().filter(|f| f.severity == Severity::Warning).collect();
    findings.sort();
    let kubernetes = case
        .target
        .kubernetes
        .as_ref()
        .and_then(|to| rules::oldest_api_server(case).map(|from| Raise { from, to: to.clone() }));
    let etcd = case.target.etcd.as_ref().and_then(|to| {
        let members = &facts.etcd.known()?.members;
        let from = members.iter().filter_map(|m| m.status.known()).map(|status| status.version.clone()).min()?;
        Some(Raise { from, to: to.clone() })
    });
    let outages = outages(case, &draft);
    let (task, baseline) = (Task::Upgrade, baseline::of(case));
    let begun = Plan::begun(&wanted.inventory.name, facts, wanted.sources, task, baseline);
    Plan {
        kubernetes,
        etcd,
        findings,
        left_out: case.target.leave_out.iter().cloned().collect(),
        outage_accepted: case.target.accept_outage,
        outages,
        skipped: draft.skipped,
        procedures: draft.procedures,
        stages: draft.stages,
        ..begun
    }
    .sealed()
}

/// A playbook that is for another kind of raise than the one asked for.
fn mismatches(case: Case<'_>, playbooks: &[Playbook]) -> Vec<Finding> {
    let patch = case.target.kubernetes.as_ref().and_then(|to| within_minor(case, to));
    let wrong = |playbook: &Playbook| {
        let raises = match (playbook.raises, patch) {
            (Raises::KubernetesMinor, Some(true)) => "a minor of Kubernetes, and this is a patch",
            (Raises::KubernetesPatch, Some(false)) => "a patch of Kubernetes, and this is a minor",
            _ => return None,
        };
        let detail = format!("raises {raises}: use the other playbook");
        Some(Finding::refusal(Rule::PlaybookMismatch, format!("playbook {}", playbook.name), detail))
    };
    playbooks.iter().filter_map(wrong).collect()
}

/// What will be away, in the order in which it will be.
fn outages(case: Case<'_>, draft: &Draft) -> Vec<Outage> {
    let mut outages = Vec::new();
    let planes = case.with_role(Role::ControlPlane).count();
    let does =
        |what: fn(&Action) -> bool| draft.stages.iter().any(|stage| draft.steps(stage).any(|step| what(&step.action)));
    if does(|action| matches!(action, Action::SwapEtcd(_)) || action.stacked_member().is_some()) {
        let members = case.facts.etcd.known().map_or(0, |etcd| etcd.members.len());
        let stacked = case.inventory.etcd.topology == Topology::Stacked;
        let (what, seconds, needs_consent) = match members {
            0 | 1 => ("etcd, and with it the API, while its only member restarts", 10, true),
            2 => ("etcd, and with it the API, each time one of its 2 members restarts", 10, true),
            _ if stacked => ("one etcd member at a time, with the API server on its node", 1, false),
            _ => ("one etcd member at a time; its clients go on with another", 1, false),
        };
        outages.push(Outage { what: what.to_owned(), seconds, needs_consent });
    }
    // A control plane's kubelet may restart its static pods.
    let server = |action: &Action| match action {
        Action::KubeadmApply(_) => true,
        Action::KubeadmNode(node) => node.control_plane,
        Action::AwaitReady(ready) => ready.control_plane,
        _ => false,
    };
    if does(server) {
        let (what, seconds, needs_consent) = match planes {
            1 => ("the API, while the only API server restarts".to_owned(), 60, true),
            _ => ("one API server at a time; clients of the load balancer wait until it notices".to_owned(), 5, false),
        };
        outages.push(Outage { what, seconds, needs_consent });
    }
    outages
}

/// A plan that is being drawn.
#[derive(Default)]
struct Draft {
    procedures: Vec<Vec<Step>>,
    stages: Vec<Stage>,
    skipped: Vec<Skipped>,
}

impl Draft {
    fn stage(&mut self, case: Case<'_>, playbook: &Playbook, stage: &playbook::Stage) -> Result<(), Finding> {
        let lanes = match &stage.select {
            Select::Cluster => vec![self.lane(case, playbook, stage, None)?],
            select => {
                let mut lanes = Vec::new();
                for node in selected(case, select, &stage.steps) {
                    lanes.push(self.lane(case, playbook, stage, Some(node))?);
                }
                lanes
            }
        };
        let lanes: Vec<Lane> = lanes.into_iter().flatten().collect();
        if !lanes.is_empty() {
            let name = self.free_name(&stage.name, &lanes);
            let waves = waves::batched(lanes, &stage.batch).into_iter().map(|lanes| Wave { lanes }).collect();
            self.stages.push(Stage { name, waves });
        }
        Ok(())
    }

    /// The name, or `name-2` and so on: where two playbooks name a stage alike, no two steps may have one id, since the
    /// second would be taken for finished with the first.
    fn free_name(&self, name: &str, lanes: &[Lane]) -> String {
        let taken = |name: &str| {
            let alike = self.stages.iter().filter(|known| known.name == name);
            let mut nodes = alike.flat_map(|known| &known.waves).flat_map(|wave| &wave.lanes).map(|lane| &lane.node);
            nodes.any(|node| lanes.iter().any(|lane| &lane.node == node))
        };
        let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
        std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
    }

    /// The lane of `node`, unless everything that the stage would change is so already.
    fn lane(
        &mut self,
        case: Case<'_>,
        playbook: &Playbook,
        stage: &playbook::Stage,
        node: Option<&Node>,
    ) -> Result<Option<Lane>, Finding> {
        if let Some(why) = expand::needless(case, node, &stage.steps) {
            let subject = node.map_or("cluster", |node| node.name.as_str()).to_owned();
            self.skipped.push(Skipped { stage: stage.name.clone(), subject, why });
            return Ok(None);
        }
        let mut steps = Vec::new();
        for step in &stage.steps {
            steps.extend(expand::step(case, playbook, node, step)?);
        }
        let mut steps = expand::around_server(case, node, expand::around_member(case, node, steps)?);
        expand::name_apart(&mut steps);
        Ok(Some(Lane { node: node.map(|node| node.name.clone()), procedure: self.procedure(steps) }))
    }

    /// Stores a procedure once.
    fn procedure(&mut self, steps: Vec<Step>) -> usize {
        self.procedures.iter().position(|known| known == &steps).unwrap_or_else(|| {
            self.procedures.push(steps);
            self.procedures.len() - 1
        })
    }

    fn steps<'a>(&'a self, stage: &'a Stage) -> impl Iterator<Item = &'a Step> {
        stage.waves.iter().flat_map(|wave| &wave.lanes).flat_map(|lane| &self.procedures[lane.procedure])
    }

    /// Everything that only prepares comes before everything else, also across playbooks, and on all nodes at once: what is
    /// missing is noticed before anything has changed.
    fn prepare_first(&mut self) {
        let stages = std::mem::take(&mut self.stages);
        let prepares = |stage: &Stage| self.steps(stage).all(|step| step.action.prepares());
        let (first, rest): (Vec<Stage>, Vec<Stage>) = stages.into_iter().partition(prepares);
        self.stages = rest;
        let first = match together(first) {
            Err(stages) => stages,
            Ok(waves) => {
                let lanes: Vec<Lane> = waves.iter().flat_map(|wave| wave.lanes.clone()).collect();
                vec![Stage { name: self.free_name("prepare", &lanes), waves }]
            }
        };
        self.stages.splice(0..0, first);
    }

    /// What moves a stacked member's leadership, and asks the others, is fetched on its machine before anything else.
    fn tools(&mut self, case: Case<'_>) -> Result<Option<Stage>, Finding> {
        let moves = |lane: &&Lane| {
            let steps = &self.procedures[lane.procedure];
            steps.iter().any(|step| matches!(step.action, Action::MoveLeader(_)))
        };
        let waves = self.stages.iter().flat_map(|stage| &stage.waves);
        let moving: BTreeSet<NodeName> =
            waves.flat_map(|wave| &wave.lanes).filter(moves).filter_map(|lane| lane.node.clone()).collect();
        let mut lanes = Vec::new();
        for node in case.nodes().filter(|node| moving.contains(&node.name)) {
            if let Some(fetch) = stacked::etcdctl(case.inventory, case.facts, &node.name)? {
                let step = Step { name: "fetch-tool".to_owned(), timeout_seconds: 300, action: fetch.into() };
                lanes.push(Lane { node: Some(node.name.clone()), procedure: self.procedure(vec![step]) });
            }
        }
        let stage = |lanes: Vec<Lane>| Stage { name: self.free_name("fetch", &lanes), waves: vec![Wave { lanes }] };
        Ok((!lanes.is_empty()).then(|| stage(lanes)))
    }

    /// A plan that changes nothing has no stages, also no snapshot.
    fn drop_idle(&mut self) {
        if !self.stages.iter().any(|stage| self.steps(stage).any(|step| step.action.changes_cluster())) {
            self.stages.clear();
            self.procedures.clear();
        }
    }
}

/// The waves of several stages of different nodes: their first ones at the same time, then their second, and so on. The
/// stages themselves when there is one at most, or a node would be in two of them.
fn together(stages: Vec<Stage>) -> Result<Vec<Wave>, Vec<Stage>> {
    let nodes = || stages.iter().flat_map(|stage| &stage.waves).flat_map(|wave| &wave.lanes).map(|lane| &lane.node);
    if stages.len() < 2 || nodes().collect::<BTreeSet<_>>().len() < nodes().count() {
        return Err(stages);
    }
    let mut waves: Vec<Wave> = Vec::new();
    for stage in stages {
        for (at, wave) in stage.waves.into_iter().enumerate() {
            match waves.get_mut(at) {
                Some(known) => known.lanes.extend(wave.lanes),
                None => waves.push(wave),
            }
        }
    }
    Ok(waves)
}

/// The nodes of a stage, in the order in which they are worked on: that of the inventory, but etcd's leader last where
/// members restart.
fn selected<'a>(case: Case<'a>, select: &Select, steps: &[playbook::Step]) -> Vec<&'a Node> {
    let mut nodes: Vec<&Node> = match select {
        Select::Cluster => Vec::new(),
        Select::All => case.nodes().collect(),
        Select::Nodes { role, labels, pick } => {
            let matching: Vec<&Node> = case.with_role(*role).filter(|node| labelled(node, labels)).collect();
            match pick {
                Pick::All => matching,
                Pick::First => matching.into_iter().take(1).collect(),
                Pick::Others => matching.into_iter().skip(1).collect(),
            }
        }
    };
    let stacked = case.inventory.etcd.topology == Topology::Stacked;
    let restarts = |step: &playbook::Step| match step {
        playbook::Step::Uses { uses: Uses::EtcdPackage, .. } => true,
        playbook::Step::Uses { uses, .. } => {
            stacked && matches!(uses, Uses::KubeadmUpgradeNode | Uses::KubeletPackage | Uses::KubeletRestart)
        }
        _ => false,
    };
    if steps.iter().any(restarts)
        && let Some(leader) = leader(case)
    {
        nodes.sort_by_key(|node| node.name == leader);
    }
    nodes
}

fn labelled(node: &Node, labels: &BTreeMap<String, String>) -> bool {
    labels.iter().all(|(key, value)| node.labels.get(key) == Some(value))
}

/// The machine whose member leads.
fn leader(case: Case<'_>) -> Option<NodeName> {
    let etcd = case.facts.etcd.known()?;
    let leader = etcd.members.iter().find_map(|member| member.status.known().map(|status| status.leader))?;
    etcd.members.iter().find(|member| member.id == leader)?.node.clone()
}

/// Which playbooks a target needs, etcd's first.
pub fn raises(case: Case<'_>) -> Vec<Raises> {
    let mut raises = Vec::new();
    if case.target.etcd.is_some() {
        raises.push(Raises::Etcd);
    }
    if let Some(to) = &case.target.kubernetes {
        let patch = within_minor(case, to) == Some(true);
        raises.push(if patch { Raises::KubernetesPatch } else { Raises::KubernetesMinor });
    }
    raises
}

/// Whether everything of Kubernetes that takes part is at the target's minor already: API servers, and kubelets as they
/// are installed and as they run. One kubelet that lags by a minor makes the raise a minor one, because it has to be
/// drained. `None` when nothing that could be raised was seen.
fn within_minor(case: Case<'_>, to: &Version) -> Option<bool> {
    let versions = |node: &Node| -> Vec<Version> {
        let Some(machine) = case.machine(&node.name) else { return Vec::new() };
        let running = |seen: &Seen<Option<Version>>| seen.known().cloned().flatten();
        let package = machine.packages.get("kubelet").and_then(|kubelet| parse_version(kubelet.installed.as_deref()?));
        [running(&machine.api_server), running(&machine.kubelet_running), package].into_iter().flatten().collect()
    };
    let versions: Vec<Version> = case.nodes().flat_map(versions).collect();
    (!versions.is_empty()).then(|| versions.iter().all(|version| minor(version) == minor(to)))
}
