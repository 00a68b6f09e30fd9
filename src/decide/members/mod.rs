//! The planner for changes of etcd's members: inventory, facts and a wish in; a plan, or every reason against one, out.
//!
//! One leaves, one joins, or one joins in place of another. A member that does not answer leaves before its replacement comes,
//! because etcd adds nobody while a member is away; one that is well leaves after it, when that is another machine.

mod certificates;
mod joining;
mod rules;
mod steps;

use super::actions::certificates::Authority;
use super::finding::{Finding, Rule, Severity};
use super::plan::{Leaving, MemberChange, Plan, Sources, Task};
use super::planner::{etcd_baseline, fit};
use super::rules::forbid;
use crate::facts::ready::Ready;
use crate::facts::{EtcdFacts, EtcdMember, Facts, Seen};
use crate::inventory::{Inventory, Node, NodeName};

pub use joining::Paths;

/// What is wished for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A member leaves; by its name, its machine's name or its id.
    Remove(String),
    /// A machine of the inventory joins.
    Add(NewMember),
    /// A member leaves, and a machine joins in its place; its own machine when none is named.
    Replace(String, Option<NodeName>, Option<String>),
}

/// A machine that is to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMember {
    /// The machine.
    pub node: NodeName,
    /// The address that it listens at; its address in the inventory when none is given.
    pub address: Option<String>,
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
    /// What the machine that joins has, and what the member has that it is modelled on; nothing when none joins.
    pub ready: Option<&'a (Seen<Ready>, Seen<Ready>)>,
    /// Who signs certificates for the machine that joins; nothing when it has its own.
    pub authority: Option<&'a Authority>,
    /// The files behind all of it.
    pub sources: &'a Sources,
}

/// The wish, held against what was seen.
pub(super) struct Scene<'a> {
    wanted: Wanted<'a>,
    etcd: &'a EtcdFacts,
    leaves: Option<&'a EtcdMember>,
    /// The machine of the one that leaves, when it is in the inventory.
    leaves_on: Option<&'a Node>,
    joins: Option<joining::Joins<'a>>,
}

/// Which machine would join, which member it is modelled on, and the paths of both that have to be looked at; nothing when
/// none joins, or the wish does not hold anyway.
pub fn to_look_at(inventory: &Inventory, facts: &Facts, wish: &Wish) -> Option<(NodeName, NodeName, [Paths; 2])> {
    let sources = Sources::default();
    let wanted = Wanted { inventory, facts, wish, ready: None, authority: None, sources: &sources };
    let scene = Scene::of(wanted).ok()?;
    let joins = scene.joins.as_ref()?;
    let own = joins.paths();
    // Of the member only what it trusts: its own certificates are its own matter.
    let mut theirs = Paths { pairs: Vec::new(), ..own.clone() };
    theirs.certificates.push(inventory.etcd.ca.to_string());
    theirs.certificates.dedup();
    Some((joins.node.name.clone(), joins.model.node.clone()?, [own, theirs]))
}

/// Makes the plan, or says everything that forbids it (warnings included).
pub fn plan(wanted: Wanted<'_>) -> Result<Plan, Vec<Finding>> {
    let scene = Scene::of(wanted).map_err(|finding| vec![finding])?;
    let mut findings = scene.findings();
    findings.sort();
    findings.dedup();
    if forbid(&findings) {
        return Err(findings);
    }
    fit(scene.draw(findings))
}

/// The machine of a member: where it answers, or else where its name or its address lead, when no other member is there.
pub(super) fn machine_of<'a>(inventory: &'a Inventory, etcd: &EtcdFacts, member: &EtcdMember) -> Option<&'a Node> {
    if let Some(name) = &member.node {
        return inventory.node(name);
    }
    let free = |node: &&Node| !etcd.members.iter().any(|other| other.node.as_ref() == Some(&node.name));
    let leads = |node: &&Node| {
        let hosts = member.peer_urls.iter().filter_map(|url| joining::host(url));
        node.name.as_str() == member.name || hosts.into_iter().any(|host| host == node.address.as_str())
    };
    inventory.etcd_nodes().filter(free).find(leads)
}

impl<'a> Scene<'a> {
    pub(super) fn of(wanted: Wanted<'a>) -> Result<Self, Finding> {
        let etcd = match &wanted.facts.etcd {
            Seen::Known(etcd) => etcd,
            Seen::Unknown(why) => {
                let detail = format!("its members could not be seen: {why}");
                return Err(Finding::refusal(Rule::Unseen, "etcd", detail));
            }
        };
        let mut scene = Self { wanted, etcd, leaves: None, leaves_on: None, joins: None };
        if let Wish::Remove(word) | Wish::Replace(word, ..) = wanted.wish {
            let member = scene.called(word)?;
            scene.leaves = Some(member);
            scene.leaves_on = machine_of(wanted.inventory, etcd, member);
        }
        scene.joins = match wanted.wish {
            Wish::Remove(_) => None,
            Wish::Add(new) => Some(scene.joins(&new.node, new.address.as_deref())?),
            Wish::Replace(_, Some(node), address) => Some(scene.joins(node, address.as_deref())?),
            Wish::Replace(word, None, address) => {
                let Some(node) = scene.leaves_on else {
                    let detail = "its machine is not in the inventory: name one with --with".to_owned();
                    return Err(Finding::refusal(Rule::NodeUnknown, word, detail));
                };
                Some(scene.joins(&node.name, address.as_deref())?)
            }
        };
        Ok(scene)
    }

    /// The member that somebody means by a word.
    fn called(&self, word: &str) -> Result<&'a EtcdMember, Finding> {
        let id = u64::from_str_radix(word, 16).ok();
        let named = |member: &&EtcdMember| member.name == word;
        let on = |member: &&EtcdMember| member.node.as_ref().is_some_and(|node| node.as_str() == word);
        let members = || self.etcd.members.iter();
        let found = members().find(named).or_else(|| members().find(on));
        found.or_else(|| members().find(|member| Some(member.id) == id)).ok_or_else(|| {
            let known: Vec<String> = members().map(EtcdMember::called).collect();
            let detail = format!("is no member of etcd; the members are {}", crate::text::list(&known, "and"));
            Finding::refusal(Rule::NodeUnknown, word, detail)
        })
    }

    /// The members that stay and vote.
    pub(super) fn stays(&self) -> impl Iterator<Item = &'a EtcdMember> + use<'a> {
        let leaves = self.leaves.map(|member| member.id);
        self.etcd.members.iter().filter(move |member| Some(member.id) != leaves && !member.learner)
    }

    /// The one that etcd is asked through: the first that stays, is healthy and is on a machine of the inventory.
    pub(super) fn asked(&self) -> Option<&'a EtcdMember> {
        self.stays().find(|member| member.unhealthy().is_none() && member.node.is_some())
    }

    /// The one that leaves does so on the machine where the other joins, or is away: it has to go first.
    fn leaves_first(&self) -> bool {
        let same = self.joins.as_ref().is_some_and(|joins| Some(&joins.node.name) == self.leaves_on.map(|on| &on.name));
        same || self.leaves.is_some_and(|member| member.unhealthy().is_some())
    }

    fn reached(&self, node: &Node) -> bool {
        self.wanted.facts.machine(&node.name).is_some()
    }

    fn draw(&self, findings: Vec<Finding>) -> Plan {
        let Wanted { inventory, facts, sources, .. } = self.wanted;
        let draft = self.steps();
        let healthy = self.etcd.voters().filter(|member| member.unhealthy().is_none());
        let change = MemberChange {
            leaves: self.leaves.map(|member| Leaving { member: member.id, name: member.called() }),
            joins: self.joins.as_ref().map(joining::Joins::named),
            voters: self.etcd.voters().map(|member| member.id).collect(),
            healthy: healthy.map(|member| member.id).collect(),
        };
        let (task, baseline) = (Task::Members(change), etcd_baseline(inventory, facts, self.etcd));
        let begun = Plan::begun(&inventory.name, facts, sources, task, baseline);
        Plan {
            findings: findings.into_iter().filter(|finding| finding.severity == Severity::Warning).collect(),
            procedures: draft.procedures,
            stages: draft.stages,
            ..begun
        }
        .sealed()
    }
}
