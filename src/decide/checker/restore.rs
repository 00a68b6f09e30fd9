//! Laws 2 to 4 for a restore: what still lives is saved first; API servers are away before etcd is touched, and back only
//! once etcd is whole; every member is restored from the one snapshot, all stopped before and all started after.

use std::collections::BTreeSet;

use super::{At, Breach, roles, steps};
use crate::decide::action::Action;
use crate::decide::actions::renew::{API_SERVER, ETCD};
use crate::decide::actions::restore::RestoreMember;
use crate::decide::plan::{Law, Placed, Plan, Restore};
use crate::inventory::{NodeName, Role};

/// A kind of step.
type Kind = fn(&Action) -> bool;

/// Whether only a restore does this.
pub(super) fn restores(action: &Action) -> bool {
    matches!(
        action,
        Action::SendSnapshot(_)
            | Action::SaveWhatLives(_)
            | Action::StopStaticPods(_)
            | Action::StopEtcd(_)
            | Action::RestoreMember(_)
            | Action::StartEtcd(_)
            | Action::AwaitRestored(_)
            | Action::StartStaticPods(_)
            | Action::RenewKubelet(_)
            | Action::AwaitHeard(_)
            | Action::RestartContainers(_)
    )
}

pub(super) fn check(plan: &Plan) -> Vec<Breach> {
    let Some(restore) = plan.task.restore() else {
        let strange = plan.placed().filter(|placed| restores(&placed.step.action));
        let breach = |placed: Placed<'_>| Breach::new(Law::SnapshotFirst, placed.id(), "only a restore may do this");
        return strange.map(breach).collect();
    };
    let steps = steps(plan);
    let mut breaches = only_restores(&steps);
    breaches.extend(everywhere(plan, &steps));
    breaches.extend(fetched(&steps));
    breaches.extend(in_order(&steps));
    breaches.extend(one_snapshot(restore, &steps));
    breaches.extend(given_back(&steps));
    breaches
}

fn of<'a, 'b>(steps: &'b [At<'a>], kind: Kind) -> impl Iterator<Item = &'b At<'a>> {
    steps.iter().filter(move |(_, placed)| kind(&placed.step.action))
}

/// Static pods of which one lives on the API.
const STOP_PLANE: Kind =
    |action| matches!(action, Action::StopStaticPods(stop) if stop.pods.iter().any(|pod| pod != ETCD));
const START_PLANE: Kind =
    |action| matches!(action, Action::StartStaticPods(start) if start.pods.iter().any(|pod| pod != ETCD));
/// A member's service, or its static pod.
const STOP_ETCD: Kind = |action| match action {
    Action::StopEtcd(_) => true,
    Action::StopStaticPods(stop) => stop.pods.iter().any(|pod| pod == ETCD),
    _ => false,
};
const RESTORE: Kind = |action| matches!(action, Action::RestoreMember(_));
const START_ETCD: Kind = |action| match action {
    Action::StartEtcd(_) => true,
    Action::StartStaticPods(start) => start.pods.iter().any(|pod| pod == ETCD),
    _ => false,
};
const SAVE: Kind = |action| matches!(action, Action::SaveWhatLives(_));
const WHOLE: Kind = |action| matches!(action, Action::AwaitRestored(_));
const KUBELET: Kind = |action| matches!(action, Action::RenewKubelet(_));
const SNAPSHOT: Kind = |action| matches!(action, Action::Snapshot(_));
const SERVES: Kind =
    |action| matches!(action, Action::StartStaticPods(start) if start.pods.iter().any(|pod| pod == API_SERVER));

fn only_restores(steps: &[At<'_>]) -> Vec<Breach> {
    let strange = steps.iter().filter(|(_, placed)| {
        let serves = matches!(placed.step.action, Action::ArchiveNode(_) | Action::FetchTool(_) | Action::Snapshot(_));
        !serves && !restores(&placed.step.action)
    });
    strange.map(|(_, placed)| Breach::new(Law::EtcdApart, placed.id(), "a restore does nothing else besides")).collect()
}

/// Each machine has its part, once: a member or an API server left out would go on with the former data.
fn everywhere(plan: &Plan, steps: &[At<'_>]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let with = |role: Role| -> Vec<&NodeName> {
        plan.baseline.machines.keys().filter(|node| roles(plan, node).contains(&role)).collect()
    };
    // Where nobody has etcd's role, every control plane has a member.
    let member = if with(Role::Etcd).is_empty() { Role::ControlPlane } else { Role::Etcd };
    let parts: [(Kind, &str, Role, Law); 4] = [
        (STOP_ETCD, "its member is not stopped", member, Law::OneMemberAtATime),
        (RESTORE, "its member is not restored", member, Law::OneMemberAtATime),
        (START_ETCD, "its member is not started", member, Law::OneMemberAtATime),
        (STOP_PLANE, "its API server is not taken away", Role::ControlPlane, Law::EtcdApart),
    ];
    for (kind, what, role, law) in parts {
        let wanted = with(role);
        let mut found: Vec<&NodeName> = of(steps, kind).filter_map(|(_, placed)| placed.node).collect();
        found.sort();
        if let Some(node) = wanted.iter().find(|node| !found.contains(node)) {
            breaches.push(Breach::new(law, node.as_str(), what));
        } else if found != wanted {
            breaches.push(Breach::new(
                law,
                "plan",
                format!("a step is there twice, or where it does not belong ({what})"),
            ));
        }
        if of(steps, kind).map(|(at, _)| at).collect::<BTreeSet<_>>().len() > 1 {
            breaches.push(Breach::new(law, "plan", "what all have to do together is in several waves"));
        }
    }
    breaches.extend(one_way(member == Role::ControlPlane, steps));
    for (_, placed) in of(steps, STOP_PLANE) {
        if let Action::StopStaticPods(stop) = &placed.step.action
            && !stop.pods.iter().any(|pod| pod == API_SERVER)
        {
            breaches.push(Breach::new(Law::EtcdApart, placed.id(), "it leaves the API server where it is"));
        }
    }
    breaches
}

/// A stacked member is nobody's service, and one on a machine of its own is no static pod.
fn one_way(stacked: bool, steps: &[At<'_>]) -> Vec<Breach> {
    let other = |action: &Action| match action {
        Action::StopEtcd(_) | Action::StartEtcd(_) => stacked,
        Action::RestoreMember(it) => it.service.is_none() != stacked,
        Action::StopStaticPods(_) | Action::StartStaticPods(_) => !stacked && (STOP_ETCD(action) || START_ETCD(action)),
        _ => false,
    };
    let detail =
        "the member is taken for a service where it is a static pod, or for a static pod where it is a service";
    let found = steps.iter().filter(|(_, placed)| other(&placed.step.action));
    found.map(|(_, placed)| Breach::new(Law::OneMemberAtATime, placed.id(), detail)).collect()
}

/// Who restores with what was in an image has taken it out before.
fn fetched(steps: &[At<'_>]) -> Vec<Breach> {
    let lacks = |(at, placed): &&At<'_>| {
        let Action::RestoreMember(it) = &placed.step.action else { return false };
        let fetch = |(before, other): &At<'_>| {
            before < at && other.node == placed.node && matches!(other.step.action, Action::FetchTool(_))
        };
        !it.tool.starts_with('/') && !steps.iter().any(fetch)
    };
    let breach = |(_, placed): &At<'_>| {
        Breach::new(Law::OneMemberAtATime, placed.id(), "what restores is not fetched before anything is taken away")
    };
    steps.iter().filter(lacks).map(breach).collect()
}

/// What has to have ended everywhere before the next begins anywhere.
fn in_order(steps: &[At<'_>]) -> Vec<Breach> {
    let orders: [(Kind, Kind, Law, &str); 8] = [
        (SAVE, STOP_PLANE, Law::SnapshotFirst, "what still lives is not saved before anything is touched"),
        (STOP_PLANE, STOP_ETCD, Law::EtcdApart, "etcd is touched while an API server may write to it"),
        (STOP_ETCD, RESTORE, Law::OneMemberAtATime, "data are replaced while a member may run"),
        (RESTORE, START_ETCD, Law::OneMemberAtATime, "a member is started while another's data are the former ones"),
        (START_ETCD, WHOLE, Law::OneMemberAtATime, "the members are not seen whole after they were started"),
        (WHOLE, START_PLANE, Law::EtcdApart, "an API server comes back before etcd is whole"),
        (SERVES, KUBELET, Law::ServersFirst, "a kubelet is restarted before the API servers are back"),
        (START_PLANE, SNAPSHOT, Law::SnapshotFirst, "it does not end with a snapshot of what it made"),
    ];
    let mut breaches = Vec::new();
    for (first, then, law, what) in orders {
        let last = of(steps, first).map(|(at, _)| *at).max();
        let next = of(steps, then).map(|(at, _)| *at).min();
        // Kubelets are started anew where there are any; everything else has to be there.
        let none_needed = law == Law::ServersFirst && next.is_none();
        if !none_needed && last.zip(next).is_none_or(|(last, next)| last >= next) {
            breaches.push(Breach::new(law, "plan", what));
        }
    }
    breaches
}

/// All members from the one snapshot, into one new cluster of exactly them.
fn one_snapshot(restore: &Restore, steps: &[At<'_>]) -> Vec<Breach> {
    let members: Vec<(&Placed<'_>, &RestoreMember)> = steps
        .iter()
        .filter_map(
            |(_, placed)| if let Action::RestoreMember(it) = &placed.step.action { Some((placed, it)) } else { None },
        )
        .collect();
    let breach = |placed: &Placed<'_>, detail: &str| Breach::new(Law::OneMemberAtATime, placed.id(), detail);
    let mut breaches = Vec::new();
    let names: BTreeSet<&str> = members.iter().map(|(_, it)| it.name.as_str()).collect();
    for (placed, it) in &members {
        if it.sha256 != restore.sha256 || it.bump != restore.bump {
            breaches.push(breach(
                placed,
                "it would be restored from another snapshot than the plan says, or in another way",
            ));
        }
        let listed: BTreeSet<&str> = it.members.iter().map(|(name, _)| name.as_str()).collect();
        if it.members != members[0].1.members || listed != names || names.len() != members.len() {
            breaches.push(breach(placed, "the members would not agree on who they are"));
        }
        let own: Vec<&String> = it.members.iter().filter(|(name, _)| *name == it.name).map(|(_, url)| url).collect();
        if own != it.peer_urls.iter().collect::<Vec<_>>() {
            breaches.push(breach(placed, "its own addresses are not the ones that the others know"));
        }
    }
    for (_, placed) in steps {
        match &placed.step.action {
            Action::SendSnapshot(send) if send.sha256 != restore.sha256 => {
                breaches.push(breach(placed, "it would send another snapshot than the plan says"));
            }
            Action::AwaitRestored(wait)
                if wait.members.iter().map(String::as_str).collect::<BTreeSet<_>>() != names =>
            {
                breaches.push(breach(placed, "it waits for other members than are restored"));
            }
            _ => {}
        }
    }
    breaches
}

/// Each static pod that is taken away is given back, where it was.
fn given_back(steps: &[At<'_>]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (_, placed) in steps {
        let Action::StopStaticPods(stop) = &placed.step.action else { continue };
        let given: BTreeSet<&String> = steps
            .iter()
            .filter(|(_, other)| other.node == placed.node)
            .filter_map(
                |(_, other)| if let Action::StartStaticPods(it) = &other.step.action { Some(&it.pods) } else { None },
            )
            .flatten()
            .collect();
        if let Some(pod) = stop.pods.iter().find(|pod| !given.contains(pod)) {
            breaches.push(Breach::new(Law::EtcdApart, placed.id(), format!("{pod} is never given back")));
        }
    }
    breaches
}
