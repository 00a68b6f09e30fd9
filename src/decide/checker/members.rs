//! Law 3, for changes of the members themselves: one leaves and one joins at most, never at the price of the quorum, a learner
//! first, and the members are seen whole after each change of who votes.

use std::collections::BTreeSet;

use super::{Breach, changes_members};
use crate::decide::action::Action;
use crate::decide::actions::members::{AddMember, RemoveMember};
use crate::decide::plan::{Law, MemberChange, Placed, Plan, Step, Task};
use crate::decide::quorum::Count;

pub(super) fn check(plan: &Plan) -> Vec<Breach> {
    let change = match &plan.task {
        Task::Members(change) => change,
        Task::Upgrade
        | Task::Defrag
        | Task::Restore(_)
        | Task::Bootstrap(_)
        | Task::Nodes(_)
        | Task::Certificates(_) => return others(plan),
    };
    let mut walk = Walk {
        change,
        voters: change.voters.iter().copied().collect(),
        healthy: change.healthy.iter().copied().collect(),
        joined: Joined::Not,
        breaches: Vec::new(),
    };
    walk.claims(plan);
    for stage in &plan.stages {
        for lane in stage.waves.iter().flat_map(|wave| &wave.lanes) {
            let steps = plan.steps(lane);
            for (at, step) in steps.iter().enumerate() {
                walk.step(&Placed { stage, node: lane.node.as_ref(), step }, steps, at);
            }
        }
    }
    walk.end(plan);
    walk.breaches
}

/// A plan that is for something else changes no members.
fn others(plan: &Plan) -> Vec<Breach> {
    let changes = plan.placed().filter(|placed| changes_members(&placed.step.action));
    let breach = |placed: Placed<'_>| {
        let detail = "it changes etcd's members, and the plan does not say that it does";
        Breach::new(Law::OneMemberAtATime, placed.id(), detail)
    };
    changes.map(breach).collect()
}

/// How far the member that joins has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joined {
    Not,
    Listed,
    Runs,
    Votes,
}

/// Who votes and who of them is healthy, step by step.
struct Walk<'a> {
    change: &'a MemberChange,
    voters: BTreeSet<u64>,
    healthy: BTreeSet<u64>,
    joined: Joined,
    breaches: Vec<Breach>,
}

impl Walk<'_> {
    fn breach(&mut self, at: impl Into<String>, detail: impl Into<String>) {
        self.breaches.push(Breach::new(Law::OneMemberAtATime, at, detail));
    }

    /// What the plan says of the members has to be of the members that it was made for.
    fn claims(&mut self, plan: &Plan) {
        let known: BTreeSet<u64> = plan.baseline.etcd_members.keys().copied().collect();
        if !self.voters.is_subset(&known) || !self.healthy.is_subset(&self.voters) {
            self.breach("plan", "it counts members that it does not know");
        }
        if !self.count().holds() {
            let words = self.count().words();
            self.breach("plan", format!("{words}: nothing can be changed without a quorum"));
        }
        if plan.kubernetes.is_some() || plan.etcd.is_some() {
            self.breach("plan", "it changes etcd's members and raises something");
        }
    }

    fn count(&self) -> Count {
        // The one that joined has no id yet: it votes once it was promoted, or at once where there are no learners.
        let count = Count { voters: self.voters.len(), healthy: self.healthy.len() };
        let Some(joins) = &self.change.joins else { return count };
        match self.joined {
            Joined::Votes => count.with(true),
            Joined::Listed if !joins.learner => count.with(false),
            Joined::Runs if !joins.learner => count.with(true),
            _ => count,
        }
    }

    fn step(&mut self, placed: &Placed<'_>, steps: &[Step], at: usize) {
        match &placed.step.action {
            Action::RemoveMember(remove) => {
                self.removes(placed, remove, at.checked_sub(1).map(|before| &steps[before]));
            }
            Action::AddMember(add) => self.adds(placed, &add.peer_url, Some(add)),
            Action::JoinMember(join) => {
                let joins = self.change.joins.as_ref();
                if self.joined != Joined::Listed || joins.is_none_or(|joins| joins.peer_url != join.peer_url) {
                    self.breach(placed.id(), "it starts a member that was not added before");
                }
                self.joined = Joined::Runs;
            }
            Action::KubeadmMember(join) => {
                self.adds(placed, &join.peer_url, None);
                self.joined = Joined::Runs;
            }
            Action::PromoteMember(promote) => {
                let joins = self.change.joins.as_ref();
                if self.joined != Joined::Runs || joins.is_none_or(|joins| joins.peer_url != promote.peer_url) {
                    self.breach(placed.id(), "it lets a member vote that does not run yet");
                }
                self.joined = Joined::Votes;
            }
            Action::RetireMember(retire) => {
                if self.voters.contains(&retire.member)
                    || self.change.leaves.as_ref().is_none_or(|l| l.member != retire.member)
                {
                    self.breach(placed.id(), "it stops a member that was not removed before");
                }
            }
            Action::SendCertificates(_) | Action::PlaceCertificates(_) => {
                if self.joined != Joined::Not || self.change.joins.as_ref().map(|joins| &joins.node) != placed.node {
                    self.breach(placed.id(), "it puts certificates where no member is about to join");
                }
                return;
            }
            Action::ArchiveNode(_)
            | Action::FetchTool(_)
            | Action::Snapshot(_)
            | Action::MoveLeader(_)
            | Action::WriteMembers(_)
            | Action::AwaitMembers(_) => return,
            _ => self.breach(placed.id(), "it has no place in a plan that changes etcd's members"),
        }
        let changes_voters = match &placed.step.action {
            Action::RemoveMember(_) | Action::PromoteMember(_) => true,
            Action::JoinMember(_) | Action::KubeadmMember(_) => {
                self.change.joins.as_ref().is_some_and(|joins| !joins.learner)
            }
            _ => false,
        };
        if changes_voters && !matches!(steps.get(at + 1).map(|step| &step.action), Some(Action::AwaitMembers(_))) {
            self.breach(placed.id(), "the members are not seen whole just after it");
        }
    }

    fn removes(&mut self, placed: &Placed<'_>, remove: &RemoveMember, before: Option<&Step>) {
        let leaves = self.change.leaves.as_ref().map(|leaves| leaves.member);
        if leaves != Some(remove.member) {
            self.breach(placed.id(), format!("it removes member {:x}, which the plan does not name", remove.member));
        }
        let moved =
            matches!(before.map(|step| &step.action), Some(Action::MoveLeader(moved)) if moved.member == remove.member);
        if self.healthy.contains(&remove.member) && !moved {
            self.breach(placed.id(), "leadership is not moved off the member just before it is removed");
        }
        let was = self.count();
        let voted = self.voters.remove(&remove.member);
        self.healthy.remove(&remove.member);
        let now = self.count();
        if voted && !now.holds() {
            let detail = format!("{}: without {} it is {}", was.words(), remove.name, now.words());
            self.breach(placed.id(), detail);
        }
    }

    /// By Windlass, or by kubeadm.
    fn adds(&mut self, placed: &Placed<'_>, peer_url: &str, own: Option<&AddMember>) {
        let named = self.change.joins.as_ref().is_some_and(|joins| {
            joins.peer_url == peer_url
                && own.map_or(!joins.learner, |add| joins.name == add.name && joins.learner == add.learner)
        });
        if !named {
            self.breach(placed.id(), format!("it adds {peer_url}, which the plan does not name"));
        }
        if self.joined != Joined::Not {
            self.breach(placed.id(), "a member was added before");
        }
        // etcd refuses it, and rightly: one that is away leaves with its replacement's coming, not before it.
        if self.healthy.len() < self.voters.len() {
            let words = self.count().words();
            self.breach(placed.id(), format!("{words}: a member that is away is removed before another is added"));
        }
        self.joined = Joined::Listed;
        if !self.count().holds() {
            let words = self.count().words();
            self.breach(placed.id(), format!("with the new member, which does not run yet: {words}"));
        }
    }

    /// What the plan names has happened at its end, and nothing is left half-done.
    fn end(&mut self, plan: &Plan) {
        if plan.is_empty() {
            return;
        }
        let learner = self.change.joins.as_ref().map(|joins| joins.learner);
        let whole = match learner {
            None => Joined::Not,
            Some(true) => Joined::Votes,
            Some(false) => Joined::Runs,
        };
        if self.joined != whole {
            self.breach("plan", "the member that joins does not vote at the end");
        }
        if self.change.leaves.as_ref().is_some_and(|leaves| self.voters.contains(&leaves.member)) {
            self.breach("plan", "the member that leaves is still there at the end");
        }
    }
}
