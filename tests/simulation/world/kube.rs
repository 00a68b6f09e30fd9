//! What the API keeps: Node objects, kubeadm's configuration, the addons; and the kubelets that report to it.

use semver::Version;
use windlass::facts::KubeNode;

use super::pods::{Pod, Workload};
use super::{At, Happened, Later, SECOND, World};

/// A kubelet tells the API of itself this long after it started.
const REPORTS: u32 = 2;
/// How long a new kubelet takes from its first word to being Ready.
const SETTLES: u32 = 10;

/// Who cordoned a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// A run of ours.
    Run(String),
    /// A person.
    Somebody,
}

/// A Node object, with what the truth knows besides.
#[derive(Clone, Debug)]
pub(crate) struct NodeObject {
    pub(crate) told: KubeNode,
    /// Its machine, when it is one of ours.
    pub(crate) at: Option<At>,
    pub(crate) ready: bool,
    pub(crate) unschedulable: bool,
    /// The owner's annotation.
    pub(crate) cordoned_by: Option<String>,
    /// Who really cordoned it.
    pub(crate) who: Option<Who>,
    /// What its kubelet last reported.
    pub(crate) kubelet: Version,
}

/// What the API keeps.
#[derive(Clone)]
pub(crate) struct Kube {
    pub(crate) nodes: Vec<NodeObject>,
    /// `kubernetesVersion` of kubeadm-config.
    pub(crate) version: Version,
    pub(crate) endpoint: String,
    pub(crate) kubelet_configs: Vec<String>,
    pub(crate) proxy_image: String,
    pub(crate) coredns: String,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) pods: Vec<Pod>,
    /// The controllers are to look anyway.
    pub(super) looking: bool,
}

impl World {
    /// The position of the Node object of this name.
    pub(crate) fn node_at(&self, name: &str) -> usize {
        let found = self.kube.nodes.iter().position(|node| node.told.name == name);
        found.unwrap_or_else(|| panic!("no node {name}"))
    }

    pub(crate) fn node(&mut self, name: &str) -> &mut NodeObject {
        let at = self.node_at(name);
        &mut self.kube.nodes[at]
    }

    pub(crate) fn node_of(&self, at: At) -> usize {
        self.node_at(&self.machines[at].name)
    }

    /// A person cordons the node.
    pub(crate) fn somebody_cordons(&mut self, name: &str) {
        let node = self.node(name);
        (node.unschedulable, node.who) = (true, Some(Who::Somebody));
    }

    /// The node is given back to the scheduler.
    pub(super) fn uncordon(&mut self, node: usize) {
        let known = &mut self.kube.nodes[node];
        let of = known.who.take();
        if std::mem::take(&mut known.unschedulable) {
            self.happened(Happened::Uncordoned { node, of, by: self.acting });
            self.controllers_soon();
        }
    }

    /// The kubelet of the machine starts on the binary that lies there.
    pub(super) fn kubelet_starts(&mut self, at: At) {
        let to = self.machines[at].upstream("kubelet");
        let node = self.node_of(at);
        let from = self.machines[at].kubelet.replace(to.clone());
        let from = from.unwrap_or_else(|| self.kube.nodes[node].kubelet.clone());
        if from != to {
            self.happened(Happened::KubeletRuns { at, from: from.clone(), to: to.clone() });
        }
        let boot = self.machines[at].boot;
        self.silenced.remove(&at);
        if self.waits_for_word {
            self.silenced.insert(at);
        }
        self.after(SECOND * REPORTS, Later::KubeletReports(at, boot));
        if self.machines[at].plane.is_some() && self.acting.is_some() {
            self.static_pods_restart(at);
            // A kubelet as it was leaves a member's pod alone: a restore restarts it as it is.
            if from != to && self.stacked(at).is_some() {
                self.member_pod_restarts(at, SECOND * 2);
            }
        }
    }

    pub(super) fn kubelet_reports(&mut self, at: At, boot: u32) {
        if self.machines[at].boot != boot {
            return;
        }
        let Some(runs) = self.machines[at].kubelet.clone() else { return };
        if !self.api_balanced() || self.silenced.contains(&at) {
            return self.after(SECOND, Later::KubeletReports(at, boot));
        }
        let heard = self.real_time() + jiff::SignedDuration::from_millis(self.machines[at].skew_ms);
        let node = self.node_of(at);
        let known = &mut self.kube.nodes[node];
        if known.kubelet != runs {
            // The first word of a new kubelet comes before its first look at the containers: it is not Ready yet.
            (known.kubelet, known.ready) = (runs, false);
            return self.after(SECOND * SETTLES, Later::KubeletReports(at, boot));
        }
        known.ready = true;
        for condition in &mut known.told.conditions {
            condition.heartbeat = Some(heard);
        }
        self.pods_of_ready(node);
        self.controllers_soon();
    }

    pub(super) fn lease_ends(&mut self, at: At) {
        if self.machines[at].kubelet.is_none() {
            let node = self.node_of_if_any(at);
            if let Some(node) = node {
                self.kube.nodes[node].ready = false;
            }
        }
    }

    fn node_of_if_any(&self, at: At) -> Option<usize> {
        self.kube.nodes.iter().position(|node| node.at == Some(at))
    }
}
