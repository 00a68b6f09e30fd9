//! The planner for certificates of an external etcd that end: those of its members, of clients on their machines, and of API
//! servers. New ones for the same names are made here, and take the places of those that are there, one machine at a time.
//!
//! etcd reads certificates from disk at each handshake, as server and as client: no member is restarted. An API server does so
//! as well, and is started anew all the same, so that it is seen to come up with them while the others still serve.

mod rules;
mod steps;

use jiff::SignedDuration;

use super::actions::certificates::{Authority, Certificate, Order, Usage};
use super::finding::{Finding, Rule, Severity};
use super::members::Paths;
use super::plan::{Plan, Renewal, Skipped, Sources, Task};
use super::planner::{etcd_baseline, fit};
use super::renewer::Renewer;
use super::rules::forbid;
use crate::facts::ready::{Certified, Ready};
use crate::facts::{EtcdFacts, EtcdMember, EtcdProcess, Facts, Seen};
use crate::inventory::{Inventory, Node, NodeName, Role, Topology};

/// Which certificates are renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// All of them.
    All,
    /// Those that end within so many days.
    Within(u32),
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The cluster's inventory.
    pub inventory: &'a Inventory,
    /// What was seen.
    pub facts: &'a Facts,
    /// What the certificates say that [`to_look_at`] names, by their machines.
    pub ready: &'a [(NodeName, Seen<Ready>)],
    /// Who signs.
    pub authority: &'a Authority,
    /// Only these machines; all of them when none is named.
    pub only: &'a [NodeName],
    /// Which of their certificates.
    pub due: Due,
    /// The files behind all of it.
    pub sources: &'a Sources,
}

/// A certificate with its key, and the authority that its user trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    certificate: String,
    key: String,
    ca: String,
}

/// A machine whose certificates can be renewed.
struct Machine<'a> {
    node: &'a Node,
    /// Its member, and that one's process.
    member: Option<(&'a EtcdMember, &'a EtcdProcess)>,
    /// What the member shows its clients, what it shows its peers, and what clients on the machine have.
    server: Option<Pair>,
    peer: Option<Pair>,
    client: Option<Pair>,
    /// What its API server is a client of etcd with.
    api_server: Option<Pair>,
}

impl Machine<'_> {
    fn pairs(&self) -> impl Iterator<Item = &Pair> {
        [&self.server, &self.peer, &self.client, &self.api_server].into_iter().flatten()
    }

    /// Each certificate once: one may serve clients and peers.
    fn certificates(&self) -> Vec<&Pair> {
        let mut each: Vec<&Pair> = Vec::new();
        for pair in self.pairs() {
            if !each.iter().any(|known| known.certificate == pair.certificate) {
                each.push(pair);
            }
        }
        each
    }

    /// The authorities that are trusted on it.
    fn authorities(&self) -> Vec<&String> {
        let mut each: Vec<&String> = self.pairs().map(|pair| &pair.ca).collect();
        each.sort();
        each.dedup();
        each
    }

    fn paths(&self) -> Paths {
        let pairs = self.certificates();
        let mut certificates: Vec<String> = pairs.iter().map(|pair| pair.certificate.clone()).collect();
        certificates.extend(self.authorities().into_iter().cloned());
        let of = |pair: &&Pair| [pair.certificate.clone(), pair.key.clone(), pair.ca.clone()];
        Paths { certificates, pairs: pairs.iter().map(of).collect() }
    }
}

/// The machines whose certificates can be renewed: those of members in the inventory's order, then control planes.
fn machines<'a>(inventory: &'a Inventory, facts: &'a Facts) -> Vec<Machine<'a>> {
    let members = || facts.etcd.known().into_iter().flat_map(|etcd| &etcd.members);
    let files = facts.api.known().and_then(|api| api.kubeadm.known()?.external_files.clone());
    let files = files.map(|[ca, certificate, key]| Pair { certificate, key, ca });
    let etcd = &inventory.etcd;
    let client = Pair { certificate: etcd.cert.to_string(), key: etcd.key.to_string(), ca: etcd.ca.to_string() };
    let machine = |node: &'a Node| {
        let member = members()
            .find(|member| member.node.as_ref() == Some(&node.name))
            .and_then(|member| Some((member, facts.machine(&node.name)?.etcd.known()?.as_ref()?)));
        let pair = |kind: &str| {
            let setting = |what: &str| member?.1.settings.get(&format!("{kind}{what}")).cloned();
            Some(Pair {
                certificate: setting("cert-file")?,
                key: setting("key-file")?,
                ca: setting("trusted-ca-file")?,
            })
        };
        Machine {
            node,
            member,
            server: pair(""),
            peer: pair("peer-"),
            client: member.is_some().then(|| client.clone()),
            api_server: files.clone().filter(|_| node.roles.contains(&Role::ControlPlane)),
        }
    };
    let planes = inventory.with_role(Role::ControlPlane).filter(|node| !node.roles.contains(&Role::Etcd));
    inventory.etcd_nodes().chain(planes).map(machine).collect()
}

/// The machines that have to be looked at, and their paths.
pub fn to_look_at(inventory: &Inventory, facts: &Facts) -> Vec<(NodeName, Paths)> {
    if inventory.etcd.topology == Topology::Stacked {
        return Vec::new();
    }
    let reached = |machine: &Machine<'_>| facts.machine(&machine.node.name).is_some();
    let machines = machines(inventory, facts).into_iter().filter(reached);
    machines.map(|machine| (machine.node.name.clone(), machine.paths())).collect()
}

/// Makes the plan, or says everything that forbids it (warnings included). It is empty when none is due.
pub fn plan(wanted: Wanted<'_>) -> Result<Plan, Vec<Finding>> {
    if let Some(finding) = rules::kubeadms(wanted) {
        return Err(vec![finding]);
    }
    let etcd = match &wanted.facts.etcd {
        Seen::Known(etcd) => etcd,
        Seen::Unknown(why) => {
            let detail = format!(
                "its members could not be seen: {why}. Where certificates have ended already nobody can be asked any more: \
                 put new ones in their places by hand, and restart what uses them"
            );
            return Err(vec![Finding::refusal(Rule::Unseen, "etcd", detail)]);
        }
    };
    let scene = Scene { wanted, etcd, machines: machines(wanted.inventory, wanted.facts) };
    let mut findings = scene.findings();
    findings.sort();
    findings.dedup();
    if forbid(&findings) {
        return Err(findings);
    }
    fit(scene.draw(findings))
}

struct Scene<'a> {
    wanted: Wanted<'a>,
    etcd: &'a EtcdFacts,
    machines: Vec<Machine<'a>>,
}

impl<'a> Scene<'a> {
    /// The machines that are asked for.
    fn chosen(&self) -> impl Iterator<Item = &Machine<'a>> {
        let only = self.wanted.only;
        self.machines.iter().filter(move |machine| only.is_empty() || only.contains(&machine.node.name))
    }

    fn ready(&self, machine: &Machine<'_>) -> Option<&'a Ready> {
        let (_, ready) = self.wanted.ready.iter().find(|(node, _)| *node == machine.node.name)?;
        ready.known()
    }

    fn certified(&self, machine: &Machine<'_>, path: &str) -> Option<&'a Certified> {
        let (_, certified) = self.ready(machine)?.certificates.iter().find(|(known, _)| known == path)?;
        certified.as_ref().ok()
    }

    fn is_due(&self, certified: &Certified) -> bool {
        match self.wanted.due {
            Due::All => true,
            Due::Within(days) => self.days(certified) < i64::from(days),
        }
    }

    fn days(&self, certified: &Certified) -> i64 {
        let day = SignedDuration::from_hours(24).as_secs();
        (certified.not_after.as_second() - self.wanted.facts.taken_at.as_second()).div_euclid(day)
    }

    /// The certificates of a machine that are renewed, with what they say.
    fn due<'b>(&self, machine: &'b Machine<'a>) -> Vec<(&'b Pair, &'a Certified)> {
        let pairs = machine.certificates().into_iter();
        let known = pairs.filter_map(|pair| Some((pair, self.certified(machine, &pair.certificate)?)));
        known.filter(|(_, certified)| self.is_due(certified)).collect()
    }

    /// What is made for a machine.
    fn order(&self, machine: &Machine<'a>) -> Order {
        let made = |(pair, certified): (&Pair, &Certified)| Certificate {
            name: certified.common_name.clone().unwrap_or_else(|| machine.node.name.to_string()),
            organization: certified.organization.clone(),
            hosts: certified.names.clone(),
            usage: match (certified.server, certified.client) {
                (true, false) => Usage::Server,
                (false, true) => Usage::Client,
                _ => Usage::Member,
            },
            certificate: pair.certificate.clone(),
            key: pair.key.clone(),
        };
        Order {
            authority: self.wanted.authority.clone(),
            authorities: Vec::new(),
            certificates: self.due(machine).into_iter().map(made).collect(),
        }
    }

    fn draw(&self, findings: Vec<Finding>) -> Plan {
        let Wanted { inventory, facts, sources, authority, .. } = self.wanted;
        let draft = self.steps();
        let certificates = self.chosen().map(|machine| self.due(machine).len()).sum();
        let task = Task::Certificates(Renewal { authority: authority.digest.clone(), certificates });
        let begun = Plan::begun(&inventory.name, facts, sources, task, etcd_baseline(inventory, facts, self.etcd));
        Plan {
            findings: findings.into_iter().filter(|finding| finding.severity == Severity::Warning).collect(),
            outages: self.outages(),
            skipped: self.skipped(),
            procedures: draft.procedures,
            stages: draft.stages,
            ..begun
        }
        .sealed()
    }

    /// What is left as it is: those that last, and those of which nobody here knows who uses them.
    fn skipped(&self) -> Vec<Skipped> {
        let mut skipped = Vec::new();
        for machine in self.chosen() {
            let mut say = |why: String| {
                let (stage, subject) = ("certificates".to_owned(), machine.node.name.to_string());
                skipped.push(Skipped { stage, subject, why });
            };
            for pair in machine.certificates() {
                if let Some(certified) = self.certified(machine, &pair.certificate).filter(|it| !self.is_due(it)) {
                    say(format!("{} lasts for {} days; --all renews it too", pair.certificate, self.days(certified)));
                }
            }
            let facts = self.wanted.facts.machine(&machine.node.name);
            let there = facts.and_then(|facts| facts.certificates.known()).into_iter().flatten();
            let known = |path: &str| machine.pairs().any(|pair| pair.certificate == path || pair.ca == path);
            let orphan = there.filter(|it| {
                let nobodys = Renewer::of(it, &self.wanted.inventory.etcd) == Renewer::Nobody;
                nobodys && !it.authority && !known(&it.path)
            });
            for it in orphan {
                say(format!("{}: nobody here knows who uses it; it is yours to renew", it.path));
            }
        }
        skipped
    }
}
