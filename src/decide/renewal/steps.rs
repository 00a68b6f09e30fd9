//! The stages of a renewal: members first, whoever leads last; then control planes.

use std::collections::BTreeMap;

use semver::Version;

use super::{Machine, Pair, Scene};
use crate::decide::actions::archive::ArchiveNode;
use crate::decide::actions::certificates::SendCertificates;
use crate::decide::actions::etcd::{AwaitEtcd, EtcdAccess, MoveLeader, Snapshot, steady_ms};
use crate::decide::actions::kubeadm::AwaitApiServers;
use crate::decide::actions::renew::{API_SERVER, RestartContainers};
use crate::decide::actions::renewal::{Handshake, RenewCertificates};
use crate::decide::draft::{Draft, step};
use crate::decide::plan::{Lane, Outage, Step};
use crate::facts::MemberStatus;
use crate::inventory::NodeName;

/// How long an API server may take to be back, in seconds; it took 10 to 20 on small machines.
const API_SERVER_SECONDS: u64 = 20;

impl<'a> Scene<'a> {
    pub(super) fn steps(&self) -> Draft {
        let mut draft = Draft::default();
        let mut touched: Vec<&Machine<'a>> = self.chosen().filter(|machine| !self.due(machine).is_empty()).collect();
        if touched.is_empty() {
            return draft;
        }
        touched.sort_by_key(|machine| machine.member.is_some_and(|(member, _)| member.leads()));
        let archives = touched.iter().map(|machine| draft.lane(Some(&machine.node.name), vec![self.archive(machine)]));
        let archives = archives.collect();
        draft.stage("archive", vec![archives]);
        draft.alone("snapshot-etcd", None, vec![step("snapshot", 1800, Snapshot { proven: false })]);
        let (mut members, mut planes): (Vec<Vec<Lane>>, Vec<Vec<Lane>>) = (Vec::new(), Vec::new());
        for machine in &touched {
            let node: &NodeName = &machine.node.name;
            let mut steps = self.renew(machine);
            let start = if self.renews_api_server(machine) { self.start() } else { Vec::new() };
            if machine.member.is_some() {
                members.push(vec![draft.lane(Some(node), steps)]);
                steps = start;
            } else {
                steps.extend(start);
            }
            if !steps.is_empty() {
                planes.push(vec![draft.lane(Some(node), steps)]);
            }
        }
        draft.stage("members", members);
        draft.stage("control-planes", planes);
        draft
    }

    /// What is replaced is archived as well.
    fn archive(&self, machine: &Machine<'a>) -> Step {
        let etcd = &self.wanted.inventory.etcd;
        let member = machine.member.is_some();
        let mut paths = if member { vec![etcd.env_file.to_string()] } else { Vec::new() };
        paths.extend(self.order(machine).files());
        step("archive", 300, ArchiveNode { service: member.then(|| etcd.service.clone()), paths })
    }

    fn renews_api_server(&self, machine: &Machine<'a>) -> bool {
        let own = machine.api_server.as_ref();
        self.due(machine).iter().any(|(pair, _)| own.is_some_and(|own| own.certificate == pair.certificate))
    }

    /// Made, put in place and seen to be used: on a member's machine while it does not lead, and then it is seen well.
    fn renew(&self, machine: &Machine<'a>) -> Vec<Step> {
        let order = self.order(machine);
        let from: BTreeMap<_, _> =
            self.due(machine).iter().map(|(pair, certified)| (pair.certificate.clone(), certified.not_after)).collect();
        let access = |member| EtcdAccess::among(&self.wanted.inventory.etcd, &self.etcd.members, member);
        let member = machine.member.map(|(member, _)| access(member));
        let service = if member.is_some() { self.wanted.inventory.etcd.service.as_str() } else { "kubelet" };
        let renew = RenewCertificates {
            service: service.to_owned(),
            files: order.files(),
            from,
            member: member.clone(),
            api_server: self.renews_api_server(machine),
            handshakes: self.handshakes(machine),
        };
        let mut steps = vec![step("make", 60, SendCertificates { order })];
        let status = machine.member.and_then(|(member, _)| Some((member.id, member.status.known()?)));
        let Some((access, (member, status))) = member.zip(status) else {
            steps.push(step("renew", 120, renew));
            return steps;
        };
        steps.push(step("move-leader", 60, MoveLeader { member, access }));
        steps.push(step("renew", 120, renew));
        steps.push(step("await-healthy", 300, self.whole(member, status)));
        steps
    }

    fn whole(&self, member: u64, status: &MemberStatus) -> AwaitEtcd {
        let machines = self.machines.iter().filter_map(|machine| self.wanted.facts.machine(&machine.node.name));
        AwaitEtcd { member, to: status.version.clone(), steady_ms: steady_ms(machines) }
    }

    /// An API server begins with them, and all of them answer.
    fn start(&self) -> Vec<Step> {
        let Some(to) = self.api_version() else { return Vec::new() };
        vec![
            step("restart-api-server", 300, RestartContainers { names: vec![API_SERVER.to_owned()] }),
            step("await-api-servers", 300, AwaitApiServers { to }),
        ]
    }

    fn api_version(&self) -> Option<Version> {
        let answers =
            |machine: &Machine<'a>| self.wanted.facts.machine(&machine.node.name)?.api_server.known()?.clone();
        self.machines.iter().find_map(answers)
    }

    /// What is seen from a machine once its certificates are new: its member shows them to clients and to peers, and is taken by
    /// its peers; clients and API servers are taken by members.
    fn handshakes(&self, machine: &Machine<'a>) -> Vec<Handshake> {
        let mut seen = Vec::new();
        let mut add = |urls: &[String], client: &Option<Pair>, shown: Option<&Pair>| {
            let (Some(url), Some(client)) = (urls.first().filter(|url| url.starts_with("https://")), client) else {
                return;
            };
            seen.push(Handshake {
                url: url.clone(),
                cert: client.certificate.clone(),
                key: client.key.clone(),
                ca: client.ca.clone(),
                shown: shown.map(|pair| pair.certificate.clone()),
            });
        };
        if let Some((own, _)) = machine.member {
            add(&own.client_urls, &machine.client, machine.server.as_ref());
            add(&own.peer_urls, &machine.peer, machine.peer.as_ref());
            for other in self.etcd.members.iter().filter(|other| other.id != own.id) {
                add(&other.peer_urls, &machine.peer, None);
            }
        }
        for member in &self.etcd.members {
            add(&member.client_urls, &machine.api_server, None);
        }
        seen
    }

    pub(super) fn outages(&self) -> Vec<Outage> {
        let started = self.chosen().filter(|machine| self.renews_api_server(machine));
        let alone = self.machines.iter().filter(|machine| machine.api_server.is_some()).count() == 1;
        let clients = if alone { "nobody else serves meanwhile" } else { "clients go on with another" };
        let outage = |machine: &Machine<'a>| Outage {
            what: format!("the API server on {}; {clients}", machine.node.name),
            seconds: API_SERVER_SECONDS,
            needs_consent: false,
        };
        started.map(outage).collect()
    }
}
