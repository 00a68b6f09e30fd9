//! The stages of a change of the members.

use super::Scene;
use crate::decide::actions::archive::ArchiveNode;
use crate::decide::actions::certificates::{Order, PlaceCertificates, SendCertificates};
use crate::decide::actions::etcd::{EtcdAccess, MoveLeader, Snapshot, steady_ms};
use crate::decide::actions::fetch_tool::FetchTool;
use crate::decide::actions::members::{
    AddMember, AwaitMembers, JoinMember, KubeadmMember, PromoteMember, RemoveMember, RetireMember, WriteMembers,
};
use crate::decide::draft::{Draft, step};
use crate::decide::plan::Lane;
use crate::decide::stacked;
use crate::facts::EtcdMember;
use crate::inventory::{Node, NodeName, Role, Topology};

/// How long a learner may take to catch up, in seconds: a database of 8 GiB over a slow network.
const CATCH_UP_SECONDS: u64 = 1800;

impl Scene<'_> {
    pub(super) fn steps(&self) -> Draft {
        let mut draft = Draft::default();
        let lanes = self.touched().map(|node| {
            let own = step("archive", 300, self.archive(node));
            draft.lane(Some(&node.name), vec![own])
        });
        let lanes = lanes.collect();
        draft.stage("archive", vec![lanes]);
        let fetches: Vec<(NodeName, FetchTool)> = self.touched().filter_map(|node| self.fetch(node)).collect();
        let fetched =
            fetches.into_iter().map(|(node, fetch)| draft.lane(Some(&node), vec![step("fetch-tool", 300, fetch)]));
        let lanes: Vec<Lane> = fetched.collect();
        draft.stage("fetch", vec![lanes]);
        draft.alone("snapshot-etcd", None, vec![step("snapshot", 1800, Snapshot { proven: false })]);
        self.certify(&mut draft);
        if self.leaves_first() {
            self.leave(&mut draft);
            self.join(&mut draft);
        } else {
            self.join(&mut draft);
            self.leave(&mut draft);
        }
        self.write(&mut draft);
        draft
    }

    /// What is archived of a machine: with the certificates that are made anew there.
    fn archive(&self, node: &Node) -> ArchiveNode {
        let mut archive = stacked::archive(self.wanted.inventory);
        if self.joins.as_ref().is_some_and(|joins| joins.node.name == node.name) {
            archive.paths.extend(self.order().into_iter().flat_map(|order| order.files()));
        }
        archive
    }

    /// The certificates that are made for the one that joins.
    fn order(&self) -> Option<Order> {
        let ready = self.wanted.ready.and_then(|(ready, _)| ready.known());
        Some(self.joins.as_ref()?.order(self.wanted.authority?, &self.wanted.inventory.etcd, ready))
    }

    /// The machines that something happens on, in the inventory's order.
    pub(super) fn touched(&self) -> impl Iterator<Item = &Node> {
        self.wanted.inventory.etcd_nodes().filter(|node| {
            let stays = self.stays().any(|member| member.node.as_ref() == Some(&node.name));
            let leaves = self.leaves_on.is_some_and(|on| on.name == node.name);
            let joins = self.joins.as_ref().is_some_and(|joins| joins.node.name == node.name);
            (stays || leaves || joins) && self.reached(node)
        })
    }

    /// A control plane that was reset has no manifest of etcd: nothing is left to be stopped.
    fn runs_member(&self, node: &Node) -> bool {
        let known = || stacked::etcdctl(self.wanted.inventory, self.wanted.facts, &node.name).ok();
        self.wanted.inventory.etcd.topology == Topology::External || known().is_some()
    }

    /// Where a member is yet to be made, its image is that of the model.
    pub(in crate::decide) fn fetch(&self, node: &Node) -> Option<(NodeName, FetchTool)> {
        let etcdctl = |on: &NodeName| stacked::etcdctl(self.wanted.inventory, self.wanted.facts, on).ok()?;
        let joins = self.joins.as_ref().filter(|joins| joins.node.name == node.name);
        let model = || etcdctl(joins?.model.node.as_ref()?);
        Some((node.name.clone(), etcdctl(&node.name).or_else(model)?))
    }

    /// Before a member leaves, too: its machine asks the others with these whether it has left.
    fn certify(&self, draft: &mut Draft) {
        let (Some(joins), Some(order)) = (&self.joins, self.order()) else { return };
        let place = PlaceCertificates { service: self.wanted.inventory.etcd.service.clone(), files: order.files() };
        let steps = vec![step("make", 60, SendCertificates { order }), step("place", 60, place)];
        draft.alone("certificates", Some(&joins.node.name), steps);
    }

    pub(in crate::decide) fn leave(&self, draft: &mut Draft) {
        let (Some(member), Some(asked)) = (self.leaves, self.asked()) else { return };
        let mut steps = Vec::new();
        // A learner never leads.
        if member.unhealthy().is_none() && !member.learner {
            let access = EtcdAccess { others: self.urls(), ..self.access(member) };
            steps.push(step("move-leader", 60, MoveLeader { member: member.id, access }));
        }
        let access = self.access(asked);
        steps.push(step("remove", 120, RemoveMember { member: member.id, name: member.called(), access }));
        steps.push(step("await-members", 300, self.whole(false, !self.leaves_first())));
        draft.alone("remove", asked.node.as_ref(), steps);
        if let Some(node) = self.leaves_on.filter(|node| self.reached(node) && self.runs_member(node)) {
            let data_dir = self.data_dir_of(node);
            let etcd = &self.wanted.inventory.etcd;
            let service = (etcd.topology == Topology::External).then(|| etcd.service.clone());
            if let Some(data_dir) = data_dir {
                let retire = RetireMember { member: member.id, service, data_dir, access: self.access(asked) };
                draft.alone("retire", Some(&node.name), vec![step("retire", 120, retire)]);
            }
        }
    }

    fn join(&self, draft: &mut Draft) {
        let (Some(joins), Some(asked)) = (&self.joins, self.asked()) else { return };
        let named = joins.named();
        let (name, peer_url, learner) = (named.name.clone(), named.peer_url.clone(), named.learner);
        let whole = step("await-members", 300, self.whole(!self.leaves_first(), true));
        if self.wanted.inventory.etcd.topology == Topology::Stacked {
            let (address, data_dir) = (joins.address.clone(), joins.data_dir());
            let join = KubeadmMember { address, peer_url, data_dir, access: self.access(asked) };
            draft.alone("join", Some(&named.node), vec![step("kubeadm-join", 300, join), whole]);
            return;
        }
        let add = AddMember { name: name.clone(), peer_url: peer_url.clone(), learner, access: self.access(asked) };
        draft.alone("add", asked.node.as_ref(), vec![step("add", 120, add)]);
        let etcd = &self.wanted.inventory.etcd;
        let join = JoinMember {
            peer_url: peer_url.clone(),
            service: etcd.service.clone(),
            env_file: etcd.env_file.to_string(),
            data_dir: joins.data_dir(),
            settings: joins.settings(&self.listed(!self.leaves_first(), true)),
            access: self.access(asked),
        };
        let mut steps = vec![step("join", 300, join)];
        if learner {
            draft.alone("join", Some(&named.node), steps);
            let promote = PromoteMember { name, peer_url, access: self.access(asked) };
            draft.alone("promote", asked.node.as_ref(), vec![step("promote", CATCH_UP_SECONDS, promote), whole]);
        } else {
            steps.push(whole);
            draft.alone("join", Some(&named.node), steps);
        }
    }

    /// The members of the end in the files of those that stay, one machine after the other; the one that joined in place of
    /// another got a file that names the leaving one too.
    fn write(&self, draft: &mut Draft) {
        // kubeadm's manifest goes on naming the members of its first start, and kubeadm writes it anew with each upgrade.
        if self.wanted.inventory.etcd.topology == Topology::Stacked {
            return;
        }
        let members = self.listed(false, true);
        let env_file = self.wanted.inventory.etcd.env_file.to_string();
        let writes = step("write", 60, WriteMembers { env_file, members });
        let nodes: Vec<NodeName> = self
            .wanted
            .inventory
            .with_role(Role::Etcd)
            .map(|node| node.name.clone())
            .filter(|node| {
                let joins = self.joins.as_ref().is_some_and(|joins| joins.node.name == *node);
                let written = joins && (self.leaves.is_none() || self.leaves_first());
                !written && (joins || self.stays().any(|member| member.node.as_ref() == Some(node)))
            })
            .collect();
        let waves = nodes.iter().map(|node| vec![draft.lane(Some(node), vec![writes.clone()])]).collect();
        draft.stage("write", waves);
    }

    /// `NAME=PEER-URL,…` of the members that stay, with the one that leaves and the one that joins where they are asked for.
    fn listed(&self, leaving: bool, joining: bool) -> String {
        let named = |member: &EtcdMember| {
            member.peer_urls.iter().map(|url| format!("{}={url}", member.name)).collect::<Vec<_>>()
        };
        let mut members: Vec<String> = self.stays().flat_map(named).collect();
        if let Some(member) = self.leaves.filter(|_| leaving) {
            members.extend(named(member));
        }
        if let Some(joins) = self.joins.as_ref().filter(|_| joining) {
            members.push(format!("{}={}", joins.name, joins.peer_url()));
        }
        members.sort();
        members.join(",")
    }

    /// The members as they are to be, with the one that leaves and the one that joins where they are there.
    fn whole(&self, leaving: bool, joined: bool) -> AwaitMembers {
        let mut peers: Vec<String> = self.stays().flat_map(|member| member.peer_urls.clone()).collect();
        peers.extend(self.leaves.iter().filter(|_| leaving).flat_map(|member| member.peer_urls.clone()));
        peers.extend(self.joins.as_ref().filter(|_| joined).map(super::joining::Joins::peer_url));
        peers.sort();
        AwaitMembers { peers, steady_ms: self.steady_ms() }
    }

    /// Client URLs of the healthy members that stay.
    fn urls(&self) -> Vec<String> {
        let healthy = self.stays().filter(|member| member.unhealthy().is_none());
        healthy.filter_map(|member| member.client_urls.first().cloned()).collect()
    }

    /// How a machine speaks to this member.
    fn access(&self, member: &EtcdMember) -> EtcdAccess {
        let etcd = &self.wanted.inventory.etcd;
        EtcdAccess {
            ca: etcd.ca.to_string(),
            cert: etcd.cert.to_string(),
            key: etcd.key.to_string(),
            own: member.client_urls.first().cloned().unwrap_or_default(),
            others: Vec::new(),
        }
    }

    /// Where the machine's data are: as its own process says, or else as the other members have it.
    fn data_dir_of(&self, node: &Node) -> Option<String> {
        let of = |name: &NodeName| -> Option<String> {
            self.wanted.facts.machine(name)?.etcd.known()?.as_ref()?.data_dir.known().cloned()
        };
        of(&node.name).or_else(|| self.stays().find_map(|member| of(member.node.as_ref()?)))
    }

    pub(in crate::decide) fn steady_ms(&self) -> u64 {
        steady_ms(self.stays().filter_map(|member| self.wanted.facts.machine(member.node.as_ref()?)))
    }
}
