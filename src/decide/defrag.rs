//! The planner for defragmentation: members whose databases hold much that they do not use, one at a time, the leader last.

use super::action::Action;
use super::actions::defrag::DefragMember;
use super::actions::etcd::{AwaitEtcd, EtcdAccess, MoveLeader, Snapshot, steady_ms};
use super::actions::fetch_tool::FetchTool;
use super::finding::{Finding, Rule, Severity};
use super::plan::{Lane, Outage, Plan, Skipped, Sources, Stage, Step, Task, Wave};
use super::planner::{etcd_baseline, fit};
use super::rules::{forbid, one_by_one};
use super::stacked;
use crate::facts::{EtcdFacts, EtcdMember, Facts, MemberStatus, Seen};
use crate::inventory::{Inventory, NodeName};
use crate::text::{bytes, list};

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The cluster's inventory.
    pub inventory: &'a Inventory,
    /// What was seen.
    pub facts: &'a Facts,
    /// The files behind all of it.
    pub sources: &'a Sources,
}

/// A database that gives back less than this is not worth the while in which its member answers nobody, in bytes.
const WORTH_BYTES: u64 = 64 << 20;
/// Nor is one that gives back less than this part of its size, in percent.
const WORTH_PERCENT: u64 = 20;

/// Makes the plan, or says everything that forbids it (warnings included). It is empty when no member is worth it.
pub fn plan(wanted: Wanted<'_>) -> Result<Plan, Vec<Finding>> {
    let etcd = match &wanted.facts.etcd {
        Seen::Known(etcd) => etcd,
        Seen::Unknown(why) => {
            let detail = format!("its members could not be seen: {why}");
            return Err(vec![Finding::refusal(Rule::Unseen, "etcd", detail)]);
        }
    };
    let scene = Scene { wanted, etcd };
    let mut findings = scene.findings();
    findings.sort();
    if forbid(&findings) {
        return Err(findings);
    }
    fit(scene.draw(findings))
}

struct Scene<'a> {
    wanted: Wanted<'a>,
    etcd: &'a EtcdFacts,
}

impl<'a> Scene<'a> {
    fn findings(&self) -> Vec<Finding> {
        let Wanted { inventory, facts, .. } = self.wanted;
        let mut found = one_by_one(inventory, facts, self.etcd, "nobody is defragmented");
        let well = self.etcd.members.iter().filter(|member| member.unhealthy().is_none());
        found.extend(well.filter_map(|member| self.etcdctl(member.node.as_ref()?).err()));
        for alarm in &self.etcd.alarms {
            let of = self.etcd.members.iter().find(|member| member.id == alarm.member_id);
            let name = of.map_or_else(|| format!("{:x}", alarm.member_id), EtcdMember::called);
            found.push(match alarm.kind.as_str() {
                "NOSPACE" => {
                    let detail = "has raised alarm NOSPACE: compact first, or there is nothing to give back; afterwards \
                                  `etcdctl alarm disarm`";
                    Finding::warning(Rule::EtcdAlarm, name, detail)
                }
                kind => Finding::refusal(Rule::EtcdAlarm, name, format!("has raised alarm {kind}: clear it first")),
            });
        }
        let mut versions: Vec<_> = self.statuses().map(|(_, status)| status.version.clone()).collect();
        versions.sort();
        versions.dedup();
        if versions.len() > 1 {
            let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
            let detail = format!("its members run {}: end the upgrade first", list(&versions, "and"));
            found.push(Finding::refusal(Rule::EtcdSpread, "etcd", detail));
        }
        found
    }

    fn statuses(&self) -> impl Iterator<Item = (&'a EtcdMember, &'a MemberStatus)> + use<'a> {
        self.etcd.members.iter().filter_map(|member| Some((member, member.status.known()?)))
    }

    /// Why a member is not worth it, when it is not.
    fn idle(&self, status: &MemberStatus) -> Option<String> {
        let free = status.db_size.saturating_sub(status.db_in_use);
        let percent = if status.db_size == 0 { 0 } else { u128::from(free) * 100 / u128::from(status.db_size) };
        // Without room every byte counts.
        let pressed = self.etcd.alarms.iter().any(|alarm| alarm.kind == "NOSPACE") && free > 0;
        let worth = free >= WORTH_BYTES && percent >= u128::from(WORTH_PERCENT);
        (!worth && !pressed).then(|| {
            let (free, size, worth) = (bytes(free), bytes(status.db_size), bytes(WORTH_BYTES));
            format!(
                "{free} of {size} ({percent} %) could be given back; worth it from {worth} and {WORTH_PERCENT} % on"
            )
        })
    }

    fn draw(&self, findings: Vec<Finding>) -> Plan {
        let Wanted { inventory, facts, sources } = self.wanted;
        let mut members: Vec<_> = self.statuses().collect();
        // Leadership moves once at most, and to a member that is defragmented already.
        members.sort_by_key(|(member, _)| member.leads());
        let (mut skipped, mut procedures, mut waves, mut archives, mut fetches, mut outages) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (member, status) in members {
            let Some(node) = member.node.clone() else { continue };
            if let Some(why) = self.idle(status) {
                skipped.push(Skipped { stage: "defrag".to_owned(), subject: node.to_string(), why });
                continue;
            }
            let steps = self.steps(member, status);
            outages.extend(outage(&steps, &node));
            waves.push(Wave { lanes: vec![Lane { node: Some(node.clone()), procedure: procedures.len() + 2 }] });
            procedures.push(steps);
            fetches.extend(self.etcdctl(&node).ok().flatten().map(|fetch| (node.clone(), fetch)));
            archives.push(Lane { node: Some(node), procedure: 0 });
        }
        let stages = if waves.is_empty() {
            Vec::new()
        } else {
            let archive = step("archive", 300, stacked::archive(inventory));
            procedures.splice(0..0, [vec![archive], vec![step("snapshot", 1800, Snapshot { proven: false })]]);
            let snapshot = Wave { lanes: vec![Lane { node: None, procedure: 1 }] };
            let mut stages = vec![Stage { name: "archive".to_owned(), waves: vec![Wave { lanes: archives }] }];
            stages.extend(fetched(fetches, &mut procedures));
            stages.push(Stage { name: "snapshot-etcd".to_owned(), waves: vec![snapshot] });
            stages.push(Stage { name: "defrag".to_owned(), waves });
            stages
        };
        let (task, baseline) = (Task::Defrag, etcd_baseline(inventory, facts, self.etcd));
        let begun = Plan::begun(&inventory.name, facts, sources, task, baseline);
        Plan {
            findings: findings.into_iter().filter(|finding| finding.severity == Severity::Warning).collect(),
            outages,
            skipped,
            procedures,
            stages,
            ..begun
        }
        .sealed()
    }

    fn steps(&self, member: &EtcdMember, status: &MemberStatus) -> Vec<Step> {
        let access = EtcdAccess::among(&self.wanted.inventory.etcd, &self.etcd.members, member);
        let defrag =
            DefragMember { member: member.id, size: status.db_size, in_use: status.db_in_use, access: access.clone() };
        let whole = AwaitEtcd { member: member.id, to: status.version.clone(), steady_ms: self.steady_ms() };
        vec![
            step("move-leader", 60, MoveLeader { member: member.id, access }),
            step("defrag", 900, defrag),
            step("await-healthy", 300, whole),
        ]
    }

    fn etcdctl(&self, node: &NodeName) -> Result<Option<FetchTool>, Finding> {
        stacked::etcdctl(self.wanted.inventory, self.wanted.facts, node)
    }

    fn steady_ms(&self) -> u64 {
        steady_ms(self.etcd.members.iter().filter_map(|member| self.wanted.facts.machine(member.node.as_ref()?)))
    }
}

/// The stage in which the machines get their etcdctl, where any has to.
fn fetched(fetches: Vec<(NodeName, FetchTool)>, procedures: &mut Vec<Vec<Step>>) -> Option<Stage> {
    let lane = |(node, fetch): (NodeName, FetchTool)| {
        procedures.push(vec![step("fetch-tool", 300, fetch)]);
        Lane { node: Some(node), procedure: procedures.len() - 1 }
    };
    let lanes: Vec<Lane> = fetches.into_iter().map(lane).collect();
    (!lanes.is_empty()).then(|| Stage { name: "fetch".to_owned(), waves: vec![Wave { lanes }] })
}

fn outage(steps: &[Step], node: &NodeName) -> Option<Outage> {
    let seconds = steps.iter().find_map(|step| match &step.action {
        Action::DefragMember(defrag) => Some(defrag.seconds()),
        _ => None,
    })?;
    Some(Outage { what: format!("the member on {node}; clients go on with another"), seconds, needs_consent: false })
}

fn step(name: &str, timeout_seconds: u64, action: impl Into<Action>) -> Step {
    Step { name: name.to_owned(), timeout_seconds, action: action.into() }
}
