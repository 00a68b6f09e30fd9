//! The laws for certificates that are renewed: one machine at a time, behind an archive and a snapshot; a member's while it does
//! not lead and all others are healthy, and it is seen well before the next one's; an API server is started on them and answers
//! before the next one's.

use super::{At, Breach, archives, roles, steps};
use crate::decide::action::Action;
use crate::decide::actions::certificates::SendCertificates;
use crate::decide::actions::etcd::AwaitEtcd;
use crate::decide::actions::renew::API_SERVER;
use crate::decide::actions::renewal::RenewCertificates;
use crate::decide::plan::{Law, Placed, Plan};
use crate::inventory::Role;

/// Whether a renewal does this.
fn may_renew(action: &Action) -> bool {
    match action {
        Action::ArchiveNode(_)
        | Action::Snapshot(_)
        | Action::SendCertificates(_)
        | Action::RenewCertificates(_)
        | Action::MoveLeader(_)
        | Action::AwaitEtcd(_)
        | Action::AwaitApiServers(_) => true,
        Action::RestartContainers(restart) => restart.names == [API_SERVER],
        _ => false,
    }
}

pub(super) fn check(plan: &Plan) -> Vec<Breach> {
    let renews = |placed: &Placed<'_>| matches!(placed.step.action, Action::RenewCertificates(_));
    let Some(renewal) = plan.task.renewal() else {
        let strange = plan.placed().filter(renews);
        let detail = "only a renewal of certificates may do this";
        return strange.map(|placed| Breach::new(Law::OneMemberAtATime, placed.id(), detail)).collect();
    };
    let steps = steps(plan);
    let strange = steps.iter().filter(|(_, placed)| !may_renew(&placed.step.action));
    let mut breaches: Vec<Breach> = strange
        .map(|(_, placed)| {
            Breach::new(Law::OneMemberAtATime, placed.id(), "a renewal of certificates does not do this")
        })
        .collect();
    if plan.kubernetes.is_some() || plan.etcd.is_some() || plan.baseline.stacked {
        breaches.push(Breach::new(Law::EtcdApart, "plan", "it renews certificates of an external etcd and does more"));
    }
    breaches.extend(archives::check(plan));
    for at in 0..steps.len() {
        let walk = Walk { plan, steps: &steps, at };
        match &steps[at].1.step.action {
            Action::RenewCertificates(renew) => walk.renews(renew, &mut breaches),
            Action::SendCertificates(send) if send.order.authority.digest != renewal.authority => {
                let detail = "another authority would sign than the plan names";
                breaches.push(Breach::new(Law::OneMemberAtATime, steps[at].1.id(), detail));
            }
            Action::RestartContainers(_) => walk.restarts(&mut breaches),
            _ => {}
        }
    }
    breaches
}

/// A step among all of them.
struct Walk<'a, 'b> {
    plan: &'a Plan,
    steps: &'b [At<'a>],
    at: usize,
}

impl<'a> Walk<'a, '_> {
    /// The step that stands `by` steps off in the same lane.
    fn near(&self, by: isize) -> Option<&'a Action> {
        let (wave, placed) = &self.steps[self.at];
        let (other, found) = self.steps.get(self.at.checked_add_signed(by)?)?;
        (other == wave && found.node == placed.node && found.stage.name == placed.stage.name)
            .then_some(&found.step.action)
    }

    fn alone(&self) -> bool {
        let (wave, placed) = &self.steps[self.at];
        self.steps.iter().filter(|(other, _)| other == wave).all(|(_, other)| other.node == placed.node)
    }

    fn renews(&self, renew: &RenewCertificates, breaches: &mut Vec<Breach>) {
        let (wave, placed) = &self.steps[self.at];
        let mut say = |law, detail: &str| breaches.push(Breach::new(law, placed.id(), detail));
        if !self.alone() {
            say(Law::OneMemberAtATime, "certificates are renewed on several machines at the same time");
        }
        let snapshot = |(other, it): &At<'_>| other < wave && matches!(it.step.action, Action::Snapshot(_));
        if !self.steps.iter().any(snapshot) {
            say(Law::SnapshotFirst, "no snapshot stands before it");
        }
        let files = |send: &SendCertificates| send.order.files() == renew.files;
        let sent = |action: &Action| matches!(action, Action::SendCertificates(send) if files(send));
        if ![-1, -2].into_iter().any(|by| self.near(by).is_some_and(sent)) {
            say(Law::OneMemberAtATime, "not what it puts in place is made just before");
        }
        let is_member = placed.node.is_some_and(|node| roles(self.plan, node).contains(&Role::Etcd));
        match &renew.member {
            None if is_member => {
                say(Law::OneMemberAtATime, "a member's certificates are renewed, and nobody asks how the others are");
            }
            None => {}
            Some(access) => {
                let moved = self.near(-1).and_then(|action| match action {
                    Action::MoveLeader(moved) if moved.access == *access => Some(moved.member),
                    _ => None,
                });
                if moved.is_none() {
                    say(Law::OneMemberAtATime, "leadership is not moved off the member just before");
                }
                let own = |wait: &AwaitEtcd| moved.is_none_or(|member| wait.member == member);
                let seen = |action: &Action| matches!(action, Action::AwaitEtcd(wait) if own(wait));
                if !self.near(1).is_some_and(seen) {
                    say(Law::OneMemberAtATime, "the members are not seen healthy just after it");
                }
                if access.others.len() + 1 != self.plan.baseline.etcd_members.len() {
                    say(Law::OneMemberAtATime, "not all other members are asked for their health");
                }
            }
        }
        let started = |(other, it): &At<'_>| {
            other >= wave && it.node == placed.node && matches!(it.step.action, Action::RestartContainers(_))
        };
        if renew.api_server && !self.steps[self.at..].iter().any(started) {
            say(Law::ServersFirst, "its API server is not started on them");
        }
    }

    /// An API server is started alone, and all of them answer after it.
    fn restarts(&self, breaches: &mut Vec<Breach>) {
        let placed = &self.steps[self.at].1;
        if !self.alone() {
            breaches.push(Breach::new(Law::ServersFirst, placed.id(), "API servers are started at the same time"));
        }
        if !matches!(self.near(1), Some(Action::AwaitApiServers(_))) {
            breaches.push(Breach::new(Law::ServersFirst, placed.id(), "it is not seen to answer just after it"));
        }
    }
}
