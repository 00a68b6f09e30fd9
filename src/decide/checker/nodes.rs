//! The laws for nodes that come and go: a snapshot stands first; a control plane leaves etcd before its machine and its Node object
//! go, and all of that is over before anybody takes its name; the quorum holds at each step; control planes join alone, one after
//! the other, each behind a snapshot; and one stays that stood before.

use std::collections::BTreeSet;

use super::bootstrap::{packages, revoked_at_last, versions};
use super::{At, Breach, roles, steps};
use crate::decide::action::Action;
use crate::decide::actions::bootstrap::{KubeadmJoin, Newcomer};
use crate::decide::actions::members::RemoveMember;
use crate::decide::actions::renew::ETCD;
use crate::decide::plan::{Departure, Law, NodeChange, Placed, Plan};
use crate::decide::quorum::Count;
use crate::inventory::{NodeName, Role};

/// Whether a plan of nodes may do it.
fn belongs(action: &Action) -> bool {
    matches!(
        action,
        Action::ArchiveNode(_)
            | Action::FetchPackages(_)
            | Action::FetchTool(_)
            | Action::PullImages(_)
            | Action::PrepareMachine(_)
            | Action::InstallPackages(_)
            | Action::SetUpRuntime(_)
            | Action::Snapshot(_)
            | Action::Cordon(_)
            | Action::Drain(_)
            | Action::StopStaticPods(_)
            | Action::MoveLeader(_)
            | Action::RemoveMember(_)
            | Action::RetireMember(_)
            | Action::AwaitMembers(_)
            | Action::LeaveCluster(_)
            | Action::DeleteNode(_)
            | Action::Introduce(_)
            | Action::KubeadmJoin(_)
            | Action::AwaitReady(_)
            | Action::RevokeTokens(_)
            | Action::SetUpBalancer(_)
            | Action::AwaitServers(_)
    )
}

/// Whether only such a plan does it.
fn only_here(action: &Action) -> bool {
    matches!(action, Action::LeaveCluster(_) | Action::DeleteNode(_))
}

pub(super) fn check(plan: &Plan) -> Vec<Breach> {
    let Some(change) = plan.task.nodes() else {
        let strange = plan.placed().filter(|placed| only_here(&placed.step.action));
        let breach = |placed: Placed<'_>| Breach::new(Law::ServersFirst, placed.id(), "no node leaves in such a plan");
        return strange.map(breach).collect();
    };
    let steps = steps(plan);
    let strange = steps.iter().filter(|(_, placed)| !belongs(&placed.step.action));
    let mut breaches: Vec<Breach> = strange
        .map(|(_, placed)| Breach::new(Law::ServersFirst, placed.id(), "it has no place in a plan of nodes"))
        .collect();
    let mut walk = Walk {
        plan,
        change,
        steps: &steps,
        voters: change.voters.iter().copied().collect(),
        healthy: change.healthy.iter().copied().collect(),
        joined: 0,
        saved: None,
        breaches: Vec::new(),
    };
    walk.claims();
    for (position, (at, placed)) in steps.iter().enumerate() {
        walk.step(position, *at, placed);
    }
    walk.end();
    breaches.append(&mut walk.breaches);
    breaches.extend(versions(&change.kubernetes, &steps));
    breaches.extend(packages(&change.kubernetes, None, &steps));
    breaches.extend(revoked_at_last(&steps));
    breaches
}

/// Who votes and who of them is healthy, step by step.
struct Walk<'a> {
    plan: &'a Plan,
    change: &'a NodeChange,
    steps: &'a [At<'a>],
    voters: BTreeSet<u64>,
    healthy: BTreeSet<u64>,
    /// Members that came with control planes.
    joined: usize,
    /// The wave of the last snapshot that nothing of a control plane has happened since.
    saved: Option<usize>,
    breaches: Vec<Breach>,
}

impl Walk<'_> {
    fn breach(&mut self, law: Law, at: impl Into<String>, detail: impl Into<String>) {
        self.breaches.push(Breach::new(law, at, detail));
    }

    fn count(&self) -> Count {
        Count { voters: self.voters.len() + self.joined, healthy: self.healthy.len() + self.joined }
    }

    /// What the plan says of itself.
    fn claims(&mut self) {
        let known: BTreeSet<u64> = self.plan.baseline.etcd_members.keys().copied().collect();
        if !self.voters.is_subset(&known) || !self.healthy.is_subset(&self.voters) {
            self.breach(Law::OneMemberAtATime, "plan", "it counts members that it does not know");
        }
        if self.plan.baseline.stacked && !self.count().holds() {
            let words = self.count().words();
            self.breach(Law::OneMemberAtATime, "plan", format!("{words}: nothing can be changed without a quorum"));
        }
        let leaves = |name: &NodeName| self.change.leaves.iter().any(|it| it.node == *name);
        if !self.change.stands.iter().any(|name| !leaves(name)) {
            self.breach(Law::ServersFirst, "plan", "no control plane would be left that stood before");
        }
        if self.change.leaves.iter().filter(|it| it.control_plane).count() > 1 {
            self.breach(Law::OneMemberAtATime, "plan", "two control planes would leave");
        }
        for departure in &self.change.leaves {
            // Of one whose machine is gone nothing was seen.
            let seen = self.plan.baseline.machines.contains_key(&departure.node);
            let other = seen && departure.control_plane != self.is_plane(Some(&departure.node));
            if other || (departure.member.is_some() && !departure.control_plane) {
                let detail = format!("{} leaves as something else than its roles say", departure.node);
                self.breach(Law::OneMemberAtATime, "plan", detail);
            }
            if roles(self.plan, &departure.node).contains(&Role::Etcd) {
                let detail = format!("{} would leave with a member of an external etcd on it", departure.node);
                self.breach(Law::OneMemberAtATime, "plan", detail);
            }
        }
        if self.change.stands.iter().any(leaves) {
            self.breach(Law::ServersFirst, "plan", "a control plane would stand and leave");
        }
        if self.plan.kubernetes.is_some() || self.plan.etcd.is_some() {
            self.breach(Law::ServersFirst, "plan", "nodes come or go while something is raised");
        }
    }

    fn departure(&self, node: Option<&NodeName>) -> Option<&Departure> {
        self.change.leaves.iter().find(|it| Some(&it.node) == node)
    }

    /// Whether something of this kind is over when wave `at` begins.
    fn is_over(&self, at: usize, kind: impl Fn(&Placed<'_>) -> bool) -> bool {
        self.steps.iter().any(|(other, placed)| *other < at && kind(placed))
    }

    fn is_plane(&self, node: Option<&NodeName>) -> bool {
        node.is_some_and(|node| roles(self.plan, node).contains(&Role::ControlPlane))
    }

    fn step(&mut self, position: usize, at: usize, placed: &Placed<'_>) {
        let plane = match &placed.step.action {
            Action::Snapshot(_) => {
                self.saved = Some(at);
                return;
            }
            Action::SetUpBalancer(_) | Action::AwaitServers(_) => {
                if !placed.node.is_some_and(|node| roles(self.plan, node).contains(&Role::LoadBalancer)) {
                    self.breach(Law::ServersFirst, placed.id(), "it is no load balancer");
                }
                return;
            }
            Action::Cordon(_) | Action::Drain(_) | Action::StopStaticPods(_) => {
                self.leaves(placed);
                if matches!(&placed.step.action, Action::StopStaticPods(stop) if stop.pods.iter().any(|pod| pod == ETCD))
                {
                    self.breach(Law::OneMemberAtATime, placed.id(), "it stops a member of etcd that was not removed");
                }
                matches!(placed.step.action, Action::StopStaticPods(_))
            }
            Action::MoveLeader(_) => false,
            Action::RemoveMember(remove) => {
                self.removes(position, placed, remove);
                true
            }
            Action::RetireMember(retire) => {
                let own = self.departure(placed.node).is_some_and(|it| it.member == Some(retire.member));
                if self.voters.contains(&retire.member) || !own {
                    self.breach(Law::OneMemberAtATime, placed.id(), "it stops a member that was not removed before");
                }
                true
            }
            Action::LeaveCluster(_) => {
                self.leaves_cluster(at, placed);
                self.is_plane(placed.node)
            }
            Action::DeleteNode(delete) => {
                self.deletes(at, placed, &delete.node, delete.left);
                self.departure(Some(&delete.node)).is_some_and(|it| it.control_plane)
            }
            Action::KubeadmJoin(join) => {
                self.joins(position, at, placed, join);
                join.newcomer.is_control_plane()
            }
            _ => return,
        };
        // Of what a control plane's leaving is made, the first is behind a snapshot; whoever joins has one of its own.
        if self.saved.is_none_or(|saved| saved >= at) {
            self.breach(Law::SnapshotFirst, placed.id(), "no snapshot stands before it");
        }
        if plane && self.joins_next(position) {
            self.saved = None;
        }
    }

    /// Whether the next that changes a control plane is a join: it wants a snapshot of its own.
    fn joins_next(&self, position: usize) -> bool {
        let changes = |action: &Action| {
            matches!(
                action,
                Action::RemoveMember(_)
                    | Action::RetireMember(_)
                    | Action::LeaveCluster(_)
                    | Action::DeleteNode(_)
                    | Action::StopStaticPods(_)
                    | Action::KubeadmJoin(_)
            )
        };
        let next =
            self.steps[position + 1..].iter().map(|(_, placed)| &placed.step.action).find(|action| changes(action));
        matches!(next, Some(Action::KubeadmJoin(join)) if join.newcomer.is_control_plane())
    }

    fn leaves(&mut self, placed: &Placed<'_>) {
        if !self.departure(placed.node).is_some_and(|it| it.stands) {
            self.breach(Law::DrainFirst, placed.id(), "it takes away from a node that does not leave");
        }
    }

    fn removes(&mut self, position: usize, placed: &Placed<'_>, remove: &RemoveMember) {
        if !self.change.leaves.iter().any(|it| it.member == Some(remove.member)) {
            let detail = format!("it removes member {:x}, which the plan does not name", remove.member);
            self.breach(Law::OneMemberAtATime, placed.id(), detail);
        }
        let lane = |position: usize| {
            self.steps.get(position).filter(|(_, it)| it.stage.name == placed.stage.name && it.node == placed.node)
        };
        let before = position.checked_sub(1).and_then(lane).map(|(_, it)| &it.step.action);
        let moved = matches!(before, Some(Action::MoveLeader(moved)) if moved.member == remove.member);
        let after = lane(position + 1).map(|(_, it)| &it.step.action);
        let left = self.count().voters.saturating_sub(usize::from(self.voters.contains(&remove.member)));
        let whole = matches!(after, Some(Action::AwaitMembers(wait)) if wait.peers.len() == left);
        if self.healthy.contains(&remove.member) && !moved {
            let detail = "leadership is not moved off the member just before it is removed";
            self.breach(Law::OneMemberAtATime, placed.id(), detail);
        }
        if !whole {
            self.breach(Law::OneMemberAtATime, placed.id(), "the members are not seen whole just after it");
        }
        let was = self.count();
        let voted = self.voters.remove(&remove.member);
        self.healthy.remove(&remove.member);
        if voted && !self.count().holds() {
            let detail = format!("{}: without {} it is {}", was.words(), remove.name, self.count().words());
            self.breach(Law::OneMemberAtATime, placed.id(), detail);
        }
    }

    /// Its member has left, it was drained, and what it had is archived.
    fn leaves_cluster(&mut self, at: usize, placed: &Placed<'_>) {
        self.leaves(placed);
        let own = |it: &Placed<'_>| it.node == placed.node;
        if !self.is_over(at, |it| own(it) && matches!(it.step.action, Action::ArchiveNode(_))) {
            self.breach(Law::SnapshotFirst, placed.id(), "the node is changed before its configuration is archived");
        }
        if !self.is_over(at, |it| own(it) && matches!(it.step.action, Action::Drain(_))) {
            self.breach(Law::DrainFirst, placed.id(), "it is not drained before");
        }
        let member = self.departure(placed.node).and_then(|it| it.member);
        let retired =
            |it: &Placed<'_>| matches!(&it.step.action, Action::RetireMember(it) if Some(it.member) == member);
        if member.is_some() && !self.is_over(at, retired) {
            self.breach(Law::OneMemberAtATime, placed.id(), "its member of etcd still runs");
        }
    }

    /// By a control plane that stays, once nothing of the node is at work any more.
    fn deletes(&mut self, at: usize, placed: &Placed<'_>, node: &NodeName, left: bool) {
        let Some(departure) = self.departure(Some(node)).cloned() else {
            return self.breach(
                Law::ServersFirst,
                placed.id(),
                format!("it deletes {node}, which the plan does not name"),
            );
        };
        if !placed.node.is_some_and(|host| self.change.stands.contains(host)) {
            self.breach(Law::ServersFirst, placed.id(), "it is not asked of a control plane that stays");
        }
        let has_left =
            self.is_over(at, |it| it.node == Some(node) && matches!(it.step.action, Action::LeaveCluster(_)));
        if departure.stands != left || departure.stands && !has_left {
            self.breach(Law::ServersFirst, placed.id(), "its machine has not left before");
        }
        let removed = |it: &Placed<'_>| matches!(&it.step.action, Action::RemoveMember(it) if Some(it.member) == departure.member);
        if departure.member.is_some() && !self.is_over(at, removed) {
            self.breach(Law::OneMemberAtATime, placed.id(), "its member of etcd is still on the list");
        }
    }

    fn joins(&mut self, position: usize, at: usize, placed: &Placed<'_>, join: &KubeadmJoin) {
        let arrival = self.change.joins.iter().find(|it| Some(&it.node) == placed.node);
        let plane = self.is_plane(placed.node);
        let fits = match join.newcomer {
            Newcomer::Worker => !plane,
            Newcomer::ControlPlaneWithEtcd => plane && self.plan.baseline.stacked,
            Newcomer::ControlPlaneWithClient => plane && !self.plan.baseline.stacked,
            Newcomer::ControlPlane => false,
        };
        if !fits || arrival.is_none_or(|it| it.control_plane != plane) {
            self.breach(Law::ServersFirst, placed.id(), "it joins as something else than the plan and its roles say");
        }
        let lane: Vec<&Action> = self
            .steps
            .iter()
            .filter(|(other, it)| *other == at && it.node == placed.node)
            .map(|(_, it)| &it.step.action)
            .collect();
        let own = lane.iter().position(|action| matches!(action, Action::KubeadmJoin(_))).unwrap_or(0);
        if !lane[..own].iter().any(|it| matches!(it, Action::Introduce(it) if it.newcomer == join.newcomer)) {
            self.breach(Law::ServersFirst, placed.id(), "nobody introduces it just before");
        }
        if !lane[own..].iter().any(|it| matches!(it, Action::AwaitReady(_))) {
            self.breach(Law::ServersFirst, placed.id(), "it is not waited for");
        }
        let deleted =
            |it: &Placed<'_>| matches!(&it.step.action, Action::DeleteNode(it) if Some(&it.node) == placed.node);
        if self.departure(placed.node).is_some() && !self.is_over(at, deleted) {
            self.breach(Law::ServersFirst, placed.id(), "the node of this name is not gone yet");
        }
        let open = self.change.leaves.iter().filter_map(|it| it.member).any(|member| self.voters.contains(&member));
        if open {
            self.breach(Law::OneMemberAtATime, placed.id(), "a member that leaves is still on the list");
        }
        let alone = self.steps.iter().filter(|(other, _)| *other == at).all(|(_, it)| it.node == placed.node);
        if plane && !alone {
            self.breach(Law::OneMemberAtATime, placed.id(), "a control plane joins while something else happens");
        }
        let later = self.steps[position..].iter().any(|(other, it)| {
            *other >= at && matches!(&it.step.action, Action::KubeadmJoin(it) if it.newcomer.is_control_plane())
        });
        if !plane && later {
            self.breach(Law::ServersFirst, placed.id(), "it joins before all control planes are there");
        }
        if join.newcomer == Newcomer::ControlPlaneWithEtcd {
            // A second member cannot come in any other way: the plan says it as the outage that it is.
            let listed = self.count().with(false);
            let told = self.count().voters == 1 && !self.plan.outages.is_empty();
            if !listed.holds() && !told {
                let detail = format!("with the new member, which does not run yet: {}", listed.words());
                self.breach(Law::OneMemberAtATime, placed.id(), detail);
            }
            self.joined += 1;
            let members = self.count().voters;
            let whole = |it: &&Action| matches!(it, Action::AwaitMembers(it) if it.peers.len() == members);
            if !lane[own..].iter().any(whole) {
                self.breach(Law::OneMemberAtATime, placed.id(), "its member is not waited for");
            }
        }
    }

    /// What the plan names has happened at its end, each once.
    fn end(&mut self) {
        let placed = |kind: &dyn Fn(&Placed<'_>) -> Option<NodeName>| -> Vec<NodeName> {
            let mut nodes: Vec<NodeName> = self.steps.iter().filter_map(|(_, placed)| kind(placed)).collect();
            nodes.sort();
            nodes
        };
        let joined = placed(&|it| it.node.filter(|_| matches!(it.step.action, Action::KubeadmJoin(_))).cloned());
        let deleted = placed(&|it| match &it.step.action {
            Action::DeleteNode(delete) => Some(delete.node.clone()),
            _ => None,
        });
        let sorted = |mut nodes: Vec<NodeName>| {
            nodes.sort();
            nodes
        };
        let joins = sorted(self.change.joins.iter().map(|it| it.node.clone()).collect());
        let leaves = sorted(self.change.leaves.iter().map(|it| it.node.clone()).collect());
        if joined != joins {
            self.breach(Law::ServersFirst, "plan", "not each node that the plan names joins, once");
        }
        if deleted != leaves {
            self.breach(Law::ServersFirst, "plan", "not each node that the plan names leaves, once");
        }
    }
}
