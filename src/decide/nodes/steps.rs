//! The stages of nodes that come and go.

use super::{Change, Leaves, State};
use crate::decide::actions::archive::ArchiveNode;
use crate::decide::actions::balancer::AwaitServers;
use crate::decide::actions::bootstrap::{Newcomer, RevokeTokens};
use crate::decide::actions::cordon::{Cordon, Drain};
use crate::decide::actions::etcd::{Snapshot, steady_ms};
use crate::decide::actions::members::AwaitMembers;
use crate::decide::actions::nodes::{DeleteNode, LeaveCluster};
use crate::decide::actions::renew::{API_SERVER, StopStaticPods};
use crate::decide::bootstrap::balancer;
use crate::decide::bootstrap::kubeadm::{Documents, peer_url};
use crate::decide::bootstrap::steps::{install, join, prepare, share};
use crate::decide::draft::{Draft, step};
use crate::decide::finding::{Finding, Rule};
use crate::decide::plan::{Lane, Step};
use crate::inventory::{Node, NodeName, Role};

/// How long a drain may take, in seconds: as a playbook's own drain.
const DRAIN_SECONDS: u64 = 600;

impl Change<'_> {
    pub(super) fn draw(&self, documents: &Documents) -> Result<Draft, Finding> {
        let mut draft = Draft::default();
        let Some(host) = self.host().map(|node| &node.name) else {
            return Err(Finding::refusal(Rule::NodeNotReady, "cluster", "no control plane is Ready and answers"));
        };
        self.prepare(&mut draft, documents);
        let wish = self.member_wish();
        let scene = wish.as_ref().map(|wish| self.scene(wish)).transpose()?;
        let standing = self.leaves.iter().filter(|leaver| leaver.state == State::Stands);
        let archives: Vec<Lane> = standing
            .map(|leaver| {
                let archive = ArchiveNode { service: None, paths: Vec::new() };
                draft.lane(Some(&leaver.node.name), vec![step("archive", 300, archive)])
            })
            .collect();
        draft.stage("archive", vec![archives]);
        if let Some(scene) = &scene {
            // Whoever asks etcd, and whoever stops a member, does so with etcdctl.
            let asked = scene.asked().and_then(|member| member.node.as_ref());
            let needs = |node: &&Node| Some(&node.name) == asked || self.stops_member(&node.name);
            let fetches: Vec<_> =
                self.wanted.inventory.nodes.iter().filter(needs).filter_map(|node| scene.fetch(node)).collect();
            let lanes =
                fetches.into_iter().map(|(node, fetch)| draft.lane(Some(&node), vec![step("fetch-tool", 300, fetch)]));
            let lanes: Vec<Lane> = lanes.collect();
            draft.stage("fetch", vec![lanes]);
        }
        draft.alone("snapshot-etcd", None, vec![snapshot()]);
        for leaver in &self.leaves {
            self.leave(&mut draft, host, leaver, scene.as_ref())?;
        }
        let balancers = self.balancers();
        let planes = || self.stands.iter().copied().chain(self.joins.iter().copied().filter(|node| is_plane(node)));
        draft.together("load-balancers", balancers.iter().copied(), |node| {
            Some(step("set-up", 120, balancer::set_up(self.wanted.inventory, node, planes())))
        });
        let mut before = !self.leaves.iter().any(Leaves::is_plane);
        for (at, node) in (1..).zip(self.joins.iter().filter(|node| is_plane(node))) {
            // The first snapshot is young enough where nothing has happened since.
            if !std::mem::replace(&mut before, false) {
                draft.alone(&format!("snapshot-before-{}", node.name), None, vec![snapshot()]);
            }
            let steps = self.join(documents, node, at);
            draft.alone(&format!("join-{}", node.name), Some(&node.name), steps);
        }
        let servers: Vec<String> = planes().map(|node| node.name.to_string()).collect();
        draft.together("load-balancers-lead", balancers.iter().copied(), |_| {
            Some(step("await-servers", 120, AwaitServers { servers: servers.clone() }))
        });
        let workers = self.joins.iter().filter(|node| !is_plane(node)).copied();
        draft.together("workers", workers, |node| self.join(documents, node, 0));
        if !self.joins.is_empty() {
            draft.alone("tokens", Some(host), vec![step("revoke-tokens", 60, RevokeTokens {})]);
        }
        Ok(draft)
    }

    /// Everything that machines get before they join.
    fn prepare(&self, draft: &mut Draft, documents: &Documents) {
        let wanted = self.as_bootstrap();
        let swap_off = !documents.tolerates_swap();
        let own_images = self.api.kubeadm.known().is_some_and(|config| config.image_repository.is_none());
        let share = |node| share(wanted, node);
        draft.together("prepare", self.joins.iter().copied(), |node| {
            share(node).map(|share| prepare(&share, swap_off)).unwrap_or_default()
        });
        draft.together("install", self.joins.iter().copied(), |node| {
            let mut steps = share(node).map(|share| install(wanted, documents, &share)).unwrap_or_default();
            // Of another repository only the cluster's own configuration knows: kubeadm pulls from there when it joins.
            steps.retain(|step| own_images || step.name != "pull-images");
            steps
        });
    }

    /// The load balancers of the cluster's own, where other control planes are behind them afterwards.
    pub(super) fn balancers(&self) -> Vec<&Node> {
        let changes = self.joins.iter().any(|node| is_plane(node)) || self.leaves.iter().any(Leaves::is_plane);
        let set_up = |node: &&Node| {
            let seen = self.wanted.facts.machine(&node.name).and_then(|machine| machine.balancer.known()?.as_ref());
            changes && seen.is_some_and(|balancer| !balancer.servers.is_empty())
        };
        self.wanted.inventory.with_role(Role::LoadBalancer).filter(set_up).collect()
    }

    /// Whether a member of etcd is stopped on this node.
    fn stops_member(&self, node: &NodeName) -> bool {
        let stops = |leaver: &&Leaves<'_>| leaver.state == State::Stands && leaver.member.is_some();
        self.leaves.iter().filter(stops).any(|leaver| leaver.node.name == *node)
    }

    /// Drained; its API server away from the load balancer; its member off etcd's list; its machine, where it answers; the object.
    fn leave(
        &self,
        draft: &mut Draft,
        host: &NodeName,
        leaver: &Leaves<'_>,
        scene: Option<&crate::decide::members::Scene<'_>>,
    ) -> Result<(), Finding> {
        let name = &leaver.node.name;
        let stands = leaver.state == State::Stands;
        if stands {
            let lost = self.wanted.wish.give_up_data.contains(name);
            let drain = Drain { timeout_seconds: DRAIN_SECONDS, delete_emptydir_data: lost, force: lost };
            let mut steps = vec![step("cordon", 60, Cordon {}), step("drain", DRAIN_SECONDS, drain)];
            if leaver.is_plane() {
                let pods = [API_SERVER, "kube-controller-manager", "kube-scheduler"].map(str::to_owned).to_vec();
                steps.push(step("stop-static-pods", 300, StopStaticPods { pods }));
            }
            draft.alone(&format!("drain-{name}"), Some(name), steps);
        }
        if let Some(scene) = scene.filter(|_| leaver.member.is_some()) {
            scene.leave(draft);
        }
        let machine = leaver.object.machine_id.clone().unwrap_or_default();
        if stands {
            let leave = LeaveCluster { authority: self.authority()?.to_owned(), machine: machine.clone() };
            draft.alone(&format!("leave-{name}"), Some(name), vec![step("leave-cluster", 300, leave)]);
        }
        let delete = DeleteNode { node: name.clone(), machine, left: stands };
        draft.alone(&format!("delete-{name}"), Some(host), vec![step("delete-node", 180, delete)]);
        Ok(())
    }

    /// How a machine joins; as the `at`th control plane of this plan, or as a worker.
    fn join(&self, documents: &Documents, node: &Node, at: usize) -> Vec<Step> {
        let newcomer = match (is_plane(node), self.stacked()) {
            (false, _) => Newcomer::Worker,
            (true, true) => Newcomer::ControlPlaneWithEtcd,
            (true, false) => Newcomer::ControlPlaneWithClient,
        };
        let whole = (newcomer == Newcomer::ControlPlaneWithEtcd).then(|| {
            let leaves = |id: u64| self.leaves.iter().any(|leaver| leaver.member.is_some_and(|member| member.id == id));
            let stay = self.etcd.members.iter().filter(|member| !leaves(member.id));
            let mut peers: Vec<String> = stay.flat_map(|member| member.peer_urls.clone()).collect();
            peers.extend(self.joins.iter().filter(|node| is_plane(node)).take(at).map(|node| peer_url(node)));
            peers.sort();
            let machines = self.stands.iter().filter_map(|node| self.wanted.facts.machine(&node.name));
            AwaitMembers { peers, steady_ms: steady_ms(machines) }
        });
        join(self.as_bootstrap(), documents, node, newcomer, whole)
    }
}

fn snapshot() -> Step {
    step("snapshot", 1800, Snapshot { proven: false })
}

fn is_plane(node: &Node) -> bool {
    node.roles.contains(&Role::ControlPlane)
}
