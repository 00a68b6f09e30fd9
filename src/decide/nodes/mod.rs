//! The planner for nodes that come and go: inventory, facts and a wish in; a plan, or every reason against one, out.
//!
//! Who leaves does so before anybody joins: first its member of etcd, then its machine, where that answers, then its Node object
//! and its pods. Control planes join one at a time, each behind a snapshot; workers together. Preparation comes before all of it.

mod leaving;
mod rules;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use super::bootstrap::kubeadm::{Documents, peer_url};
use super::bootstrap::{self, Files};
use super::finding::{Finding, Rule, Severity};
use super::members::{self, Scene, machine_of};
use super::plan::{Arrival, Baseline, Departure, NodeChange, Outage, Plan, Sources, Task};
use super::planner::packages::KUBERNETES;
use super::planner::{fit, machine_baseline};
use super::quorum::Count;
use super::rules::forbid;
use crate::facts::load::NodeLoad;
use crate::facts::ready::Ready;
use crate::facts::volumes::Volumes;
use crate::facts::{ApiFacts, EtcdFacts, EtcdMember, Facts, KubeNode, Seen};
use crate::inventory::{Inventory, Node, NodeName, Role, Topology};

/// The certificate of the cluster's authority on each of its machines.
pub const AUTHORITY: &str = "/etc/kubernetes/pki/ca.crt";

/// Who comes and goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Machines of the inventory that join.
    pub joins: Vec<NodeName>,
    /// Nodes that leave.
    pub leaves: Vec<NodeName>,
    /// Those of them whose machines do not answer and never come back, by the operator's word.
    pub dead: BTreeSet<NodeName>,
    /// Those whose pods' data may be lost, by the operator's word.
    pub give_up_data: BTreeSet<NodeName>,
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The cluster's inventory.
    pub inventory: &'a Inventory,
    /// What was seen.
    pub facts: &'a Facts,
    /// What is wished for.
    pub wish: &'a Wish,
    /// The operator's files, as a bootstrap takes them.
    pub files: &'a Files,
    /// How full the nodes are.
    pub load: &'a Seen<Vec<NodeLoad>>,
    /// What pods keep on nodes.
    pub volumes: &'a Seen<Volumes>,
    /// The certificates of [`to_look_at`] on the machines that it names.
    pub certificates: &'a BTreeMap<NodeName, Seen<Ready>>,
    /// The files behind all of it.
    pub sources: &'a Sources,
}

/// What the machine of a node that leaves is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// What the cluster knows: it is made to leave.
    Stands,
    /// Made anew: there is nothing on it that could leave.
    Bare,
    /// It does not answer.
    Gone,
}

/// A node that leaves.
struct Leaves<'a> {
    node: &'a Node,
    object: &'a KubeNode,
    state: State,
    /// Its member of a stacked etcd.
    member: Option<&'a EtcdMember>,
}

impl Leaves<'_> {
    fn is_plane(&self) -> bool {
        self.node.roles.contains(&Role::ControlPlane)
    }
}

/// The wish, held against what was seen.
struct Change<'a> {
    wanted: Wanted<'a>,
    api: &'a ApiFacts,
    etcd: &'a EtcdFacts,
    /// The cluster's version, as kubeadm-config says it.
    version: &'a Version,
    leaves: Vec<Leaves<'a>>,
    joins: Vec<&'a Node>,
    /// Control planes of the cluster that stay.
    stands: Vec<&'a Node>,
}

/// Which certificates have to be looked at, and where: on the first control plane that stays, and on machines that leave.
pub fn to_look_at(inventory: &Inventory, facts: &Facts, wish: &Wish) -> Vec<(NodeName, members::Paths)> {
    let stands = facts.api.known().map(|api| &api.asked);
    let leave = wish.leaves.iter().filter(|name| facts.machine(name).is_some());
    let mut certificates = vec![AUTHORITY.to_owned()];
    let paths = members::Paths { certificates: certificates.clone(), pairs: Vec::new() };
    if inventory.etcd.topology == Topology::External {
        certificates.extend(bootstrap::kubeadm::EXTERNAL_PEMS[..2].iter().map(|path| (*path).to_owned()));
    }
    let first = stands.map(|name| (name.clone(), members::Paths { certificates, pairs: Vec::new() }));
    let others = leave.filter(|name| stands != Some(*name)).map(|name| (name.clone(), paths.clone()));
    first.into_iter().chain(others).collect()
}

/// Makes the plan, or says everything that forbids it (warnings included).
pub fn plan(wanted: Wanted<'_>) -> Result<Plan, Vec<Finding>> {
    let change = Change::of(wanted)?;
    let mut findings = change.findings();
    let documents = match Documents::read(wanted.files.kubeadm.as_deref(), change.version) {
        Ok(documents) => Some(documents),
        Err(wrong) => {
            findings.extend(wrong.into_iter().map(bootstrap::rules::configuration));
            None
        }
    };
    findings.sort();
    findings.dedup();
    let Some(documents) = documents.filter(|_| !forbid(&findings)) else { return Err(findings) };
    let draft = change.draw(&documents).map_err(|finding| vec![finding])?;
    fit(change.drawn(findings, draft))
}

impl<'a> Change<'a> {
    /// Nothing is said of a cluster that cannot be seen.
    fn of(wanted: Wanted<'a>) -> Result<Self, Vec<Finding>> {
        let Wanted { inventory, facts, wish, .. } = wanted;
        let unseen = |what: &str, why: &str| {
            Finding::refusal(Rule::Unseen, "cluster", format!("{what} could not be seen: {why}"))
        };
        let mut found = Vec::new();
        let api = facts.api.as_ref();
        let etcd = facts.etcd.as_ref();
        if let Seen::Unknown(why) = &api {
            found.push(unseen("its API", why));
        }
        if let Seen::Unknown(why) = &etcd {
            found.push(unseen("its etcd", why));
        }
        let (Seen::Known(api), Seen::Known(etcd)) = (api, etcd) else { return Err(found) };
        let config = match &api.kubeadm {
            Seen::Known(config) => config,
            Seen::Unknown(why) => return Err(vec![unseen("kubeadm-config", why)]),
        };
        let mut leaves = Vec::new();
        for name in &wish.leaves {
            match Self::leaver(wanted, api, etcd, name) {
                Ok(leaver) => leaves.push(leaver),
                Err(finding) => found.push(finding),
            }
        }
        let mut joins = Vec::new();
        for name in &wish.joins {
            if let Some(node) = inventory.node(name).filter(|node| node.is_kube()) {
                joins.push(node);
            } else {
                let detail = "is no control plane and no worker of the inventory: enter it there first";
                found.push(Finding::refusal(Rule::NodeUnknown, name, detail));
            }
        }
        if !found.is_empty() {
            return Err(found);
        }
        // Control planes first, as they stand in the inventory.
        joins.sort_by_key(|node| {
            let at = inventory.nodes.iter().position(|other| other.name == node.name);
            (!node.roles.contains(&Role::ControlPlane), at)
        });
        let known = |node: &&Node| api.nodes.iter().any(|object| object.name == node.name.as_str());
        let goes = |node: &&Node| wish.leaves.contains(&node.name);
        let stands = inventory.with_role(Role::ControlPlane).filter(known).filter(|node| !goes(node)).collect();
        Ok(Self { wanted, api, etcd, version: &config.version, leaves, joins, stands })
    }

    /// The node called `name`, and what its machine is now.
    fn leaver(
        wanted: Wanted<'a>,
        api: &'a ApiFacts,
        etcd: &'a EtcdFacts,
        name: &'a NodeName,
    ) -> Result<Leaves<'a>, Finding> {
        let Wanted { inventory, facts, .. } = wanted;
        let Some(node) = inventory.node(name).filter(|node| node.is_kube()) else {
            let detail = "is no control plane and no worker of the inventory";
            return Err(Finding::refusal(Rule::NodeUnknown, name, detail));
        };
        let Some(object) = api.nodes.iter().find(|object| object.name == name.as_str()) else {
            let known: Vec<String> = api.nodes.iter().map(|object| object.name.clone()).collect();
            let detail = format!("is no node of the cluster; its nodes are {}", crate::text::list(&known, "and"));
            return Err(Finding::refusal(Rule::NodeUnknown, name, detail));
        };
        let state = match facts.machine(name) {
            None => State::Gone,
            Some(machine) => match &machine.ground {
                Seen::Known(ground) if ground.remains.is_empty() => State::Bare,
                Seen::Known(_) => State::Stands,
                Seen::Unknown(why) => {
                    let detail = format!("what is left on it could not be seen: {why}");
                    return Err(Finding::refusal(Rule::Unseen, name, detail));
                }
            },
        };
        let stacked = inventory.etcd.topology == Topology::Stacked;
        let on = |member: &&EtcdMember| machine_of(inventory, etcd, member).is_some_and(|on| on.name == *name);
        let member = etcd.members.iter().filter(|_| stacked).find(on);
        Ok(Leaves { node, object, state, member })
    }

    /// As the planner of a bootstrap wants it: what machines get is the same.
    fn as_bootstrap(&self) -> bootstrap::Wanted<'a> {
        let Wanted { inventory, facts, files, sources, .. } = self.wanted;
        bootstrap::Wanted { inventory, facts, kubernetes: self.version, etcd: None, files, authority: None, sources }
    }

    fn stacked(&self) -> bool {
        self.wanted.inventory.etcd.topology == Topology::Stacked
    }

    /// The control plane that the rest is asked of.
    fn host(&self) -> Option<&'a Node> {
        let ready = |node: &&&Node| self.object(node).is_some_and(KubeNode::ready);
        self.stands.iter().filter(ready).find(|node| self.wanted.facts.machine(&node.name).is_some()).copied()
    }

    fn object(&self, node: &Node) -> Option<&'a KubeNode> {
        self.api.nodes.iter().find(|object| object.name == node.name.as_str())
    }

    /// SHA-256 of the certificate of the cluster's authority.
    fn authority(&self) -> Result<&'a str, Finding> {
        digest(self.wanted.certificates, &self.api.asked).map_err(|why| {
            let detail = format!("{AUTHORITY} could not be seen: {why}");
            Finding::refusal(Rule::Unseen, &self.api.asked, detail)
        })
    }

    fn drawn(&self, findings: Vec<Finding>, draft: super::draft::Draft) -> Plan {
        let Wanted { inventory, facts, sources, .. } = self.wanted;
        let stacked = self.stacked();
        let voters = || self.etcd.voters().filter(|_| stacked);
        let change = NodeChange {
            kubernetes: self.version.clone(),
            endpoint: self.endpoint().to_owned(),
            leaves: self.leaves.iter().map(|leaver| self.departure(leaver)).collect(),
            joins: self.joins.iter().map(|node| arrival(node, stacked)).collect(),
            stands: self.stands.iter().map(|node| node.name.clone()).collect(),
            voters: voters().map(|member| member.id).collect(),
            healthy: voters().filter(|member| member.unhealthy().is_none()).map(|member| member.id).collect(),
        };
        let touched = |node: &&Node| {
            let planned = self.wanted.wish.joins.contains(&node.name) || self.wanted.wish.leaves.contains(&node.name);
            planned || node.roles.iter().any(|role| *role != Role::Worker)
        };
        let machines = inventory.nodes.iter().filter(touched).filter_map(|node| {
            let mut baseline = machine_baseline(node, facts.machine(&node.name)?);
            // What is not looked at when the plan is carried out cannot have changed since.
            baseline.packages.retain(|name, _| KUBERNETES.contains(&name.as_str()));
            Some((node.name.clone(), baseline))
        });
        let baseline = Baseline {
            machines: machines.collect(),
            kube_nodes: self.api.nodes.iter().map(|node| node.name.clone()).collect(),
            etcd_members: self.etcd.members.iter().map(|member| (member.id, member.called())).collect(),
            etcd_cluster: self.etcd.cluster_id,
            stacked,
        };
        let outages = self.outage().into_iter().collect();
        let begun = Plan::begun(&inventory.name, facts, sources, Task::Nodes(change), baseline);
        Plan {
            findings: findings.into_iter().filter(|finding| finding.severity == Severity::Warning).collect(),
            outages,
            procedures: draft.procedures,
            stages: draft.stages,
            ..begun
        }
        .sealed()
    }

    /// A second voter counts before it runs: etcd waits for it.
    fn outage(&self) -> Option<Outage> {
        let joins = self.joins.iter().any(|node| node.roles.contains(&Role::ControlPlane));
        let alone = self.voters_left().voters == 1 && self.stacked() && joins;
        alone.then(|| Outage {
            what: "etcd and the API, from the moment that the second member is listed until it runs".to_owned(),
            seconds: 20,
            needs_consent: false,
        })
    }

    /// The voters of a stacked etcd once everybody has left.
    fn voters_left(&self) -> Count {
        let leavers = self.leaves.iter().filter_map(|leaver| leaver.member).filter(|member| !member.learner);
        leavers.fold(Count::of(self.etcd), |count, member| count.without(member.unhealthy().is_none()))
    }

    fn departure(&self, leaver: &Leaves<'_>) -> Departure {
        let kept = self.wanted.volumes.known().map_or(&[][..], |volumes| volumes.on(leaver.node.name.as_str()));
        Departure {
            node: leaver.node.name.clone(),
            control_plane: leaver.is_plane(),
            member: leaver.member.map(|member| member.id),
            stands: leaver.state == State::Stands,
            gives_up: kept.to_vec(),
        }
    }

    fn endpoint(&self) -> &'a str {
        self.api.kubeadm.known().map_or("", |config| config.endpoint.as_str())
    }

    /// The members of a stacked etcd, as whoever changes them sees them.
    fn scene(&self, wish: &'a members::Wish) -> Result<Scene<'a>, Finding> {
        let Wanted { inventory, facts, sources, .. } = self.wanted;
        Scene::of(members::Wanted { inventory, facts, wish, ready: None, authority: None, sources })
    }
}

fn arrival(node: &Node, stacked: bool) -> Arrival {
    let control_plane = node.roles.contains(&Role::ControlPlane);
    Arrival { node: node.name.clone(), control_plane, peer_url: (control_plane && stacked).then(|| peer_url(node)) }
}

/// SHA-256 of the authority's certificate on `node`.
fn digest<'a>(certificates: &'a BTreeMap<NodeName, Seen<Ready>>, node: &NodeName) -> Result<&'a str, String> {
    let ready = match certificates.get(node) {
        Some(Seen::Known(ready)) => ready,
        Some(Seen::Unknown(why)) => return Err(why.clone()),
        None => return Err("nobody looked".to_owned()),
    };
    match ready.certificates.iter().find(|(path, _)| path == AUTHORITY) {
        Some((_, Ok(certified))) => Ok(&certified.digest),
        Some((_, Err(why))) => Err(why.clone()),
        None => Err("nobody looked".to_owned()),
    }
}
