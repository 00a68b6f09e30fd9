//! Laws about what belongs together within one lane: leadership moved and health seen around each member (3), drains and
//! uncordons around each kubelet (6).

use super::{Breach, raises_kubelet, restarts_stacked, roles};
use crate::decide::action::Action;
use crate::decide::actions::balancer::DrainServer;
use crate::decide::actions::etcd::{AwaitEtcd, MoveLeader};
use crate::decide::plan::{Lane, Law, Plan, Stage, Step, Task};
use crate::decide::target::{Way, minor};
use crate::inventory::Role;

pub(super) fn check(plan: &Plan) -> Vec<Breach> {
    let lanes = plan.stages.iter().flat_map(|stage| {
        let lanes = stage.waves.iter().flat_map(|wave| &wave.lanes);
        lanes.map(move |lane| LaneOf { plan, stage, lane })
    });
    lanes
        .flat_map(|lane| {
            [lane.members(), lane.stacked(), lane.defrags(), lane.drains(), lane.uncordons(), lane.served()].concat()
        })
        .collect()
}

#[derive(Clone, Copy)]
struct LaneOf<'a> {
    plan: &'a Plan,
    stage: &'a Stage,
    lane: &'a Lane,
}

impl<'a> LaneOf<'a> {
    fn steps(self) -> &'a [Step] {
        self.plan.steps(self.lane)
    }

    fn at(self, step: &Step) -> String {
        crate::decide::plan::step_id(&self.stage.name, self.lane.node.as_ref(), &step.name)
    }

    /// Leadership is moved just before a member's package, and the whole of etcd is seen healthy just after.
    fn members(self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let steps = self.steps();
        for (at, step) in steps.iter().enumerate() {
            let Action::SwapEtcd(swap) = &step.action else { continue };
            let before = at.checked_sub(1).map(|before| &steps[before].action);
            let moved = matches!(before, Some(Action::MoveLeader(moved)) if moved.access == swap.access);
            if !moved {
                let detail = "leadership is not moved off the member just before its package is touched";
                breaches.push(Breach::new(Law::OneMemberAtATime, self.at(step), detail));
            }
            let members = self.plan.baseline.etcd_members.len();
            if swap.access.others.len() + 1 != members {
                let asked = crate::text::count(swap.access.others.len(), "other member");
                let detail = format!("{asked} would be asked for their health; the cluster has {members} in all");
                breaches.push(Breach::new(Law::OneMemberAtATime, self.at(step), detail));
            }
            let after = steps.get(at + 1).map(|after| &after.action);
            let member =
                before.and_then(|before| if let Action::MoveLeader(it) = before { Some(it.member) } else { None });
            let seen = |wait: &AwaitEtcd| wait.to == swap.to && member.is_none_or(|member| wait.member == member);
            if !matches!(after, Some(Action::AwaitEtcd(wait)) if seen(wait)) {
                let detail = "the members are not seen healthy just after it";
                breaches.push(Breach::new(Law::OneMemberAtATime, self.at(step), detail));
            }
        }
        breaches
    }

    /// The same on a control plane with a stacked member, around each step that restarts it, or may: leadership is moved just
    /// before, and all members are seen whole before anything but a wait for the node, or another such step on it.
    fn stacked(self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let steps = self.steps();
        let members = self.plan.baseline.etcd_members.len();
        let mut restarted: Option<&Step> = None;
        let mut breach = |step: &Step, detail: &str| {
            breaches.push(Breach::new(Law::OneMemberAtATime, self.at(step), detail));
        };
        for (at, step) in steps.iter().enumerate() {
            let told = step.action.stacked_member();
            if restarts_stacked(self.plan, self.lane.node.as_ref(), step) {
                let before = at.checked_sub(1).map(|before| &steps[before].action);
                if !matches!(before, Some(Action::MoveLeader(moved)) if Some(&moved.access) == told) {
                    breach(step, "leadership is not moved off the stacked member just before it may restart");
                }
                if told.is_none_or(|access| access.others.len() + 1 != members) {
                    breach(step, "not all other members are asked for their health before the stacked one may restart");
                }
                restarted = Some(step);
            } else {
                if told.is_some() {
                    breach(step, "it speaks of a stacked member where none restarts");
                }
                match (&step.action, restarted) {
                    // A member may have several addresses.
                    (Action::AwaitMembers(wait), _) if wait.peers.len() >= members => restarted = None,
                    (Action::MoveLeader(_) | Action::AwaitReady(_), _) | (_, None) => {}
                    (_, Some(member)) => {
                        breach(member, "the members are not seen whole just after the stacked one may have restarted");
                        restarted = None;
                    }
                }
            }
        }
        if let Some(member) = restarted {
            breach(member, "the members are not seen whole just after the stacked one may have restarted");
        }
        breaches
    }

    /// The same around a defragmentation, which stops a member for a while; and the plan is for nothing else.
    fn defrags(self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let steps = self.steps();
        for (at, step) in steps.iter().enumerate() {
            let defrag = match &step.action {
                Action::DefragMember(defrag) => defrag,
                action if self.plan.task == Task::Defrag && !belongs_to_defrag(action) => {
                    let detail = "it has no place in a plan that defragments";
                    breaches.push(Breach::new(Law::OneMemberAtATime, self.at(step), detail));
                    continue;
                }
                _ => continue,
            };
            let before = at.checked_sub(1).map(|before| &steps[before].action);
            let moved = |moved: &MoveLeader| moved.access == defrag.access && moved.member == defrag.member;
            if !matches!(before, Some(Action::MoveLeader(it)) if moved(it)) {
                let detail = "leadership is not moved off the member just before it is defragmented";
                breaches.push(Breach::new(Law::OneMemberAtATime, self.at(step), detail));
            }
            let after = steps.get(at + 1).map(|after| &after.action);
            if !matches!(after, Some(Action::AwaitEtcd(wait)) if wait.member == defrag.member) {
                let detail = "the members are not seen healthy just after it";
                breaches.push(Breach::new(Law::OneMemberAtATime, self.at(step), detail));
            }
            if defrag.access.others.len() + 1 != self.plan.baseline.etcd_members.len() || self.plan.task != Task::Defrag
            {
                let detail = "it defragments a member in a plan that is for something else, or asks not all others for their health";
                breaches.push(Breach::new(Law::OneMemberAtATime, self.at(step), detail));
            }
        }
        breaches
    }

    /// Whether this lane's kubelet changes minor: by the package's versions; for sure when they cannot be read.
    fn changes_minor(self, step: &Step) -> bool {
        let parse = crate::facts::version::parse_version;
        let by_package = |install: &crate::decide::actions::packages::InstallPackages| {
            let kubelet = install.packages.iter().find(|package| package.name == "kubelet")?;
            let (from, to) = (parse(install.from.get("kubelet")?)?, parse(&kubelet.version)?);
            Some(!matches!(Way::between(&from, &to), Way::Same | Way::Patch))
        };
        match &step.action {
            Action::InstallPackages(install) => by_package(install).unwrap_or(true),
            _ => self.plan.kubernetes.as_ref().is_none_or(|raise| minor(&raise.from) != minor(&raise.to)),
        }
    }

    /// Cordon and drain come before a kubelet changes minor; Ready is seen after it.
    fn drains(self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let steps = self.steps();
        for (at, step) in steps.iter().enumerate().filter(|(_, step)| raises_kubelet(step)) {
            if !self.changes_minor(step) {
                continue;
            }
            let before = &steps[..at];
            let cordon = before.iter().rposition(|step| matches!(step.action, Action::Cordon(_)));
            let drain = before.iter().rposition(|step| matches!(step.action, Action::Drain(_)));
            let undone = before.iter().rposition(|step| matches!(step.action, Action::Uncordon(_)));
            let drained =
                cordon.zip(drain).is_some_and(|(cordon, drain)| cordon < drain && undone.is_none_or(|u| u < cordon));
            if !drained {
                let detail = "the node is not cordoned and drained before its kubelet changes minor";
                breaches.push(Breach::new(Law::DrainFirst, self.at(step), detail));
            }
        }
        breaches
    }

    /// An API server that is taken out of service at a load balancer is given back there in the same lane, after whatever
    /// restarts it.
    fn served(self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let steps = self.steps();
        for (at, step) in steps.iter().enumerate() {
            let Action::DrainServer(DrainServer { balancer }) = &step.action else { continue };
            let back = |step: &Step| matches!(&step.action, Action::ReturnServer(it) if it.balancer == *balancer);
            let last = steps.iter().rposition(|step| step.action.restarts_api_server());
            let given_back = steps.iter().rposition(back).is_some_and(|back| back > at && Some(back) > last);
            if !given_back {
                let detail = format!("clients are not led to it again by {balancer}");
                breaches.push(Breach::new(Law::ServersFirst, self.at(step), detail));
            }
            let own = |name: &crate::inventory::NodeName, role| roles(self.plan, name).contains(&role);
            if !own(balancer, Role::LoadBalancer)
                || !self.lane.node.as_ref().is_some_and(|node| own(node, Role::ControlPlane))
            {
                let detail = format!("{balancer} is no load balancer of a control plane's");
                breaches.push(Breach::new(Law::ServersFirst, self.at(step), detail));
            }
        }
        breaches
    }

    /// A node is uncordoned only after it was seen Ready, and what was cordoned is uncordoned in the same lane.
    fn uncordons(self) -> Vec<Breach> {
        let mut breaches = Vec::new();
        let steps = self.steps();
        for (at, step) in steps.iter().enumerate() {
            if !matches!(step.action, Action::Uncordon(_)) {
                continue;
            }
            let raised = steps[..at].iter().rposition(raises_kubelet);
            let to = self.plan.kubernetes.as_ref().map(|raise| &raise.to);
            let is_ready = |step: &Step| matches!(&step.action, Action::AwaitReady(ready) if Some(&ready.to) == to);
            let ready = steps[..at].iter().rposition(is_ready);
            if raised.is_some_and(|raised| ready.is_none_or(|ready| ready < raised)) {
                let detail = "the node is uncordoned before it was seen Ready at the new version";
                breaches.push(Breach::new(Law::DrainFirst, self.at(step), detail));
            }
        }
        let cordon = steps.iter().rposition(|step| matches!(step.action, Action::Cordon(_)));
        let uncordon = steps.iter().rposition(|step| matches!(step.action, Action::Uncordon(_)));
        if let Some(cordon) = cordon
            && uncordon.is_none_or(|uncordon| uncordon < cordon)
        {
            let detail = "the node is cordoned and never uncordoned";
            breaches.push(Breach::new(Law::DrainFirst, self.at(&steps[cordon]), detail));
        }
        breaches
    }
}

fn belongs_to_defrag(action: &Action) -> bool {
    let prepares = matches!(action, Action::ArchiveNode(_) | Action::FetchTool(_) | Action::Snapshot(_));
    prepares || matches!(action, Action::MoveLeader(_) | Action::AwaitEtcd(_))
}
