//! Laws about the order of the whole: snapshots first (2), one member and one control plane at a time (3, 5), etcd apart
//! from Kubernetes (4), servers before kubelets and control planes before workers (5).

use std::collections::BTreeSet;

use super::{Breach, is_control_plane, raises_kubelet, raises_server, touches_etcd, touches_kubernetes};
use crate::decide::action::Action;
use crate::decide::plan::{Law, Placed, Plan, Step, Wave};
use crate::inventory::NodeName;

pub(super) fn check(plan: &Plan) -> Vec<Breach> {
    let mut breaches = waves(plan);
    breaches.extend(snapshots(plan));
    breaches.extend(apart(plan));
    breaches.extend(servers_first(plan));
    breaches.extend(planes_before_workers(plan));
    breaches
}

/// One lane at a time where a member, an API server or a control plane's kubelet is touched.
fn waves(plan: &Plan) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for stage in &plan.stages {
        for wave in &stage.waves {
            let lanes = |touches: fn(&Step) -> bool| count(plan, wave, touches);
            let planes = |step: &Step| raises_server(step) || raises_kubelet(step);
            if wave.lanes.len() > 1 && lanes(touches_etcd) > 0 {
                let detail = "two lanes of one wave would touch etcd members at the same time";
                breaches.push(Breach::new(Law::OneMemberAtATime, &stage.name, detail));
            }
            let of_planes = wave.lanes.iter().filter(|lane| {
                let placed = |step| Placed { stage, node: lane.node.as_ref(), step };
                plan.steps(lane).iter().any(|step| planes(step) && is_control_plane(plan, &placed(step)))
            });
            if of_planes.count() > 0 && wave.lanes.len() > 1 {
                let detail = "control planes are worked on one at a time";
                breaches.push(Breach::new(Law::ServersFirst, &stage.name, detail));
            }
            // A stacked member goes with its node.
            if !plan.baseline.stacked && lanes(touches_etcd) > 0 && lanes(touches_kubernetes) > 0 {
                let detail = "one wave would work on etcd and on Kubernetes";
                breaches.push(Breach::new(Law::EtcdApart, &stage.name, detail));
            }
        }
    }
    breaches
}

fn count(plan: &Plan, wave: &Wave, touches: fn(&Step) -> bool) -> usize {
    wave.lanes.iter().filter(|lane| plan.steps(lane).iter().any(touches)).count()
}

/// A snapshot, after all preparation, before the first touch of etcd, and another before the first of Kubernetes.
fn snapshots(plan: &Plan) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let steps: Vec<Placed<'_>> = plan.placed().collect();
    let position = |matches: &dyn Fn(&Step) -> bool| steps.iter().position(|placed| matches(placed.step));
    let snapshot_between =
        |from: usize, to: usize| steps[from..to].iter().any(|placed| matches!(placed.step.action, Action::Snapshot(_)));
    let etcd = position(&touches_etcd);
    if let Some(at) = etcd
        && !snapshot_between(0, at)
    {
        breaches.push(Breach::new(Law::SnapshotFirst, steps[at].id(), "no snapshot stands before etcd is touched"));
    }
    // Leadership that is moved for a step of Kubernetes comes after that snapshot.
    let after_etcd =
        |at: usize| steps[..at].iter().rposition(|placed| touches_etcd(placed.step)).map_or(0, |at| at + 1);
    if let Some(at) = position(&touches_kubernetes)
        && !snapshot_between(after_etcd(at), at)
    {
        let detail = "no snapshot stands before Kubernetes is touched";
        breaches.push(Breach::new(Law::SnapshotFirst, steps[at].id(), detail));
    }
    let first_snapshot = position(&|step| matches!(step.action, Action::Snapshot(_)));
    let prepares = |step: &Step| {
        let fetches = matches!(
            step.action,
            Action::FetchPackages(_) | Action::FetchArchive(_) | Action::FetchTool(_) | Action::PullImages(_)
        );
        fetches || matches!(step.action, Action::ArchiveNode(_))
    };
    let last_prepare = steps.iter().rposition(|placed| prepares(placed.step));
    if let (Some(snapshot), Some(prepare)) = (first_snapshot, last_prepare)
        && prepare > snapshot
    {
        let detail = "preparation comes before the snapshot, so that the snapshot is young when it is needed";
        breaches.push(Breach::new(Law::SnapshotFirst, steps[prepare].id(), detail));
    }
    breaches
}

/// All of etcd, its cluster version included, before any of Kubernetes. A stacked member is kubeadm's alone to raise.
fn apart(plan: &Plan) -> Vec<Breach> {
    let steps: Vec<Placed<'_>> = plan.placed().collect();
    if plan.baseline.stacked {
        let swaps = steps.iter().filter(|placed| matches!(placed.step.action, Action::SwapEtcd(_)));
        let detail = "etcd is stacked, and would be raised apart from kubeadm";
        return swaps.map(|placed| Breach::new(Law::EtcdApart, placed.id(), detail)).collect();
    }
    let last_etcd = steps.iter().rposition(|placed| touches_etcd(placed.step));
    let first_kubernetes = steps.iter().position(|placed| touches_kubernetes(placed.step));
    let (Some(etcd), Some(kubernetes)) = (last_etcd, first_kubernetes) else { return Vec::new() };
    let mut breaches = Vec::new();
    if etcd > kubernetes {
        let detail = "etcd is touched after Kubernetes was";
        breaches.push(Breach::new(Law::EtcdApart, steps[etcd].id(), detail));
    } else if !steps[etcd..kubernetes].iter().any(|p| matches!(p.step.action, Action::AwaitClusterVersion(_))) {
        let detail = "Kubernetes is touched before etcd's cluster version is seen";
        breaches.push(Breach::new(Law::EtcdApart, steps[kubernetes].id(), detail));
    }
    breaches
}

/// No kubelet before every API server that the plan raises, and before they were all seen there.
fn servers_first(plan: &Plan) -> Vec<Breach> {
    let steps: Vec<Placed<'_>> = plan.placed().collect();
    let Some(first_kubelet) = steps.iter().position(|placed| raises_kubelet(placed.step)) else { return Vec::new() };
    let mut breaches = Vec::new();
    if let Some(server) = steps.iter().rposition(|placed| raises_server(placed.step))
        && server > first_kubelet
    {
        let detail = "an API server is raised after a kubelet was";
        breaches.push(Breach::new(Law::ServersFirst, steps[server].id(), detail));
    }
    let to = plan.kubernetes.as_ref().map(|raise| &raise.to);
    let seen =
        |placed: &Placed<'_>| matches!(&placed.step.action, Action::AwaitApiServers(wait) if Some(&wait.to) == to);
    let raised = steps[..first_kubelet].iter().rposition(|placed| raises_server(placed.step)).map_or(0, |at| at + 1);
    if !steps[raised..first_kubelet].iter().any(seen) {
        let detail = "a kubelet is raised before every API server was seen at the target";
        breaches.push(Breach::new(Law::ServersFirst, steps[first_kubelet].id(), detail));
    }
    for placed in &steps {
        if let Action::KubeadmNode(node) = &placed.step.action
            && node.control_plane != is_control_plane(plan, placed)
        {
            let detail = "`kubeadm upgrade node` takes a control plane for a worker, or a worker for a control plane";
            breaches.push(Breach::new(Law::ServersFirst, placed.id(), detail));
        }
    }
    let apply = steps.iter().position(|placed| matches!(placed.step.action, Action::KubeadmApply(_)));
    let node = steps.iter().position(|placed| matches!(placed.step.action, Action::KubeadmNode(_)));
    if let (Some(apply), Some(node)) = (apply, node)
        && node < apply
    {
        let detail = "`kubeadm upgrade node` comes before `kubeadm upgrade apply`";
        breaches.push(Breach::new(Law::ServersFirst, steps[node].id(), detail));
    }
    breaches
}

/// No worker before the last control plane's kubelet.
fn planes_before_workers(plan: &Plan) -> Vec<Breach> {
    let mut workers: BTreeSet<&NodeName> = BTreeSet::new();
    let mut breaches = Vec::new();
    for placed in plan.placed().filter(|placed| raises_kubelet(placed.step)) {
        let Some(node) = placed.node else { continue };
        if is_control_plane(plan, &placed) {
            if !workers.is_empty() {
                let detail = "a control plane's kubelet is raised after a worker's";
                breaches.push(Breach::new(Law::ServersFirst, placed.id(), detail));
            }
        } else {
            workers.insert(node);
        }
    }
    breaches
}
