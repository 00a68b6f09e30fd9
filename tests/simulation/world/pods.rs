//! Pods with owners: controllers that make them, a scheduler that places them, budgets that evictions respect.

use super::{At, Happened, Later, SECOND, World};

/// A pod that was bound is ready after this.
const READY: u32 = 3;
/// The grace of the lab's pods, which use all of it.
const GONE: u32 = 5;

/// Who owns pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
}

/// A workload.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) wanted: usize,
    /// Its disruption budget: how many may be away.
    pub(crate) budget: Option<usize>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) workload: usize,
    /// The Node it is bound to.
    pub(crate) node: Option<usize>,
    pub(crate) ready: bool,
    /// It was asked to go.
    pub(crate) going: bool,
    /// It is no more; its place is kept, so that positions last.
    pub(crate) gone: bool,
}

impl World {
    /// Ready pods of a workload that were not asked to go.
    pub(crate) fn ready_pods(&self, workload: usize) -> usize {
        self.kube.pods.iter().filter(|pod| pod.workload == workload && pod.ready && !pod.going && !pod.gone).count()
    }

    /// Pods of the node that a drain has to move.
    pub(crate) fn movable(&self, node: usize) -> Vec<usize> {
        let movable = |pod: &Pod| {
            pod.node == Some(node) && !pod.gone && self.kube.workloads[pod.workload].kind != Kind::DaemonSet
        };
        (0..self.kube.pods.len()).filter(|at| movable(&self.kube.pods[*at])).collect()
    }

    /// Whether the budget lets this pod go.
    pub(crate) fn budget_allows(&self, pod: usize) -> bool {
        let pod = &self.kube.pods[pod];
        let workload = &self.kube.workloads[pod.workload];
        let ready = self.ready_pods(pod.workload);
        workload.budget.is_none_or(|away| !pod.ready || ready > workload.wanted - away)
    }

    /// Evicts a pod if its budget allows.
    pub(super) fn evict(&mut self, pod: usize) {
        if !self.kube.pods[pod].going && (self.breaks.budgets || self.budget_allows(pod)) {
            let known = &mut self.kube.pods[pod];
            let workload = known.workload;
            known.going = true;
            if std::mem::take(&mut known.ready) {
                let left = self.ready_pods(workload);
                self.happened(Happened::Removed { workload, left, by: self.acting });
            }
            self.after(SECOND * GONE, Later::PodGone(pod));
        }
    }

    pub(super) fn pod_gone(&mut self, pod: usize) {
        // A kubelet that is away does not confirm: the object stays.
        let node = self.kube.pods[pod].node.expect("it was bound");
        let confirms = self.kube.nodes[node].at.is_some_and(|at| self.machines[at].kubelet.is_some());
        if !confirms || !self.api_balanced() {
            return self.after(SECOND, Later::PodGone(pod));
        }
        self.kube.pods[pod].gone = true;
        self.controllers_soon();
    }

    pub(super) fn pod_ready(&mut self, pod: usize) {
        let known = &self.kube.pods[pod];
        let Some(node) = known.node.filter(|_| !known.gone && !known.going) else { return };
        let runs = self.kube.nodes[node].at.is_some_and(|at| self.machines[at].kubelet.is_some());
        if runs && self.api_balanced() {
            self.kube.pods[pod].ready = true;
        } else {
            self.after(SECOND * READY, Later::PodReady(pod));
        }
    }

    pub(super) fn controllers_soon(&mut self) {
        if !std::mem::replace(&mut self.kube.looking, true) {
            self.after(SECOND, Later::Controllers);
        }
    }

    pub(super) fn controllers_look(&mut self) {
        self.kube.looking = false;
        if !self.controllers_work() {
            return self.controllers_soon();
        }
        let mut unplaced = false;
        for at in 0..self.kube.workloads.len() {
            let workload = &self.kube.workloads[at];
            if workload.kind == Kind::DaemonSet {
                continue;
            }
            let alive = |pod: &&Pod| {
                // A StatefulSet's pod keeps its name: its successor waits until it is gone.
                pod.workload == at && !pod.gone && (!pod.going || workload.kind == Kind::StatefulSet)
            };
            let missing = workload.wanted.saturating_sub(self.kube.pods.iter().filter(alive).count());
            for _ in 0..missing {
                self.kube.pods.push(Pod { workload: at, node: None, ready: false, going: false, gone: false });
            }
        }
        for pod in 0..self.kube.pods.len() {
            if self.kube.pods[pod].node.is_some() || self.kube.pods[pod].gone {
                continue;
            }
            match self.placement() {
                Some(node) => {
                    self.kube.pods[pod].node = Some(node);
                    self.after(SECOND * READY, Later::PodReady(pod));
                }
                None => unplaced = true,
            }
        }
        if unplaced {
            self.after(SECOND * 5, Later::Controllers);
        }
    }

    /// The schedulable worker with the fewest pods.
    fn placement(&self) -> Option<usize> {
        let able = |node: &usize| {
            let node = &self.kube.nodes[*node];
            let worker = node.at.is_some_and(|at| self.machines[at].plane.is_none());
            worker && node.ready && !node.unschedulable
        };
        (0..self.kube.nodes.len()).filter(able).min_by_key(|node| self.movable(*node).len())
    }

    pub(super) fn pods_stop_with(&mut self, at: At) {
        for pod in &mut self.kube.pods {
            if pod.node.is_some_and(|node| self.kube.nodes[node].at == Some(at)) {
                pod.ready = false;
            }
        }
    }

    /// Pods of a node whose kubelet is there again run again.
    pub(super) fn pods_of_ready(&mut self, node: usize) {
        let waiting: Vec<usize> = (0..self.kube.pods.len())
            .filter(|pod| {
                let pod = &self.kube.pods[*pod];
                pod.node == Some(node) && !pod.ready && !pod.gone && !pod.going
            })
            .collect();
        for pod in waiting {
            self.after(SECOND * READY, Later::PodReady(pod));
        }
    }
}
