//! What forbids nodes to come and go, and what is to be known about it.

use super::{Change, Leaves};
use crate::decide::bootstrap::kubeadm::EXTERNAL_PEMS;
use crate::decide::bootstrap::rules::{alike, of_machine, secret};
use crate::decide::finding::{Finding, Rule};
use crate::decide::members::Wish;
use crate::decide::quorum::Count;
use crate::decide::stacked;
use crate::facts::Seen;
use crate::inventory::{Api, Node, Role};
use crate::text::list;

impl Change<'_> {
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut found = self.whole();
        found.extend(self.versions());
        found.extend(self.members());
        found.extend(self.of_leavers());
        found.extend(self.of_joiners());
        found.extend(self.unseen_balancers());
        found
    }

    /// Load balancers that are not told who comes and goes.
    fn unseen_balancers(&self) -> Vec<Finding> {
        let changes = self.joins.iter().any(|node| node.roles.contains(&Role::ControlPlane))
            || self.leaves.iter().any(Leaves::is_plane);
        let told = self.balancers();
        let own = self.wanted.inventory.with_role(Role::LoadBalancer).filter(|_| changes);
        own.filter(|node| !told.iter().any(|known| known.name == node.name))
            .map(|node| {
                let detail = "was not seen with Windlass's configuration, and is not told which control planes come and go: it would lead \
                              to those of before";
                Finding::warning(Rule::LoadBalancer, &node.name, detail)
            })
            .collect()
    }

    /// The cluster as it is.
    fn whole(&self) -> Vec<Finding> {
        let inventory = self.wanted.inventory;
        let mut found = Vec::new();
        let config = self.api.kubeadm.known();
        if config.is_some_and(|config| config.external_etcd == self.stacked()) {
            let detail = "is stacked in the inventory or in kubeadm-config, but not in both";
            found.push(Finding::refusal(Rule::EtcdTopology, "etcd", detail));
        }
        if !self.joins.is_empty() && self.endpoint().is_empty() {
            let detail = "kubeadm-config has no controlPlaneEndpoint: nodes would join one control plane's address, and no other control \
                          plane could ever take its place";
            found.push(Finding::refusal(Rule::Configuration, "API", detail));
        }
        if let Some(own) =
            inventory.api.endpoint.as_deref().filter(|own| !self.joins.is_empty() && *own != self.endpoint())
        {
            let detail = format!("the inventory's endpoint is {own}, and kubeadm-config's is {}", self.endpoint());
            found.push(Finding::refusal(Rule::Configuration, "API", detail));
        }
        if inventory.api.endpoint.is_none() && !self.joins.is_empty() {
            let detail =
                format!("enter the cluster's endpoint into the inventory ([api] endpoint = \"{}\")", self.endpoint());
            found.push(Finding::refusal(Rule::Configuration, "API", detail));
        }
        let planned = |name: &str| {
            let of = |names: &[crate::inventory::NodeName]| names.iter().any(|planned| planned.as_str() == name);
            of(&self.wanted.wish.leaves) || of(&self.wanted.wish.joins)
        };
        for object in self.api.nodes.iter().filter(|object| !object.ready() && !planned(&object.name)) {
            let plane = self.stands.iter().any(|node| node.name.as_str() == object.name);
            let finding = if plane { Finding::refusal } else { Finding::warning };
            found.push(finding(Rule::NodeNotReady, object.name.clone(), "is not Ready".to_owned()));
        }
        let unknown = |node: &&Node| self.object(node).is_none() && !planned(node.name.as_str());
        for node in inventory.with_role(Role::ControlPlane).filter(unknown) {
            let detail = "is a control plane of the inventory, and no node of the cluster: let it join, or take it out";
            found.push(Finding::warning(Rule::NodeUnknown, &node.name, detail));
        }
        found
    }

    /// One version of everything: in the middle of an upgrade nobody comes or goes.
    fn versions(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for node in &self.stands {
            let refuse = |rule, detail: String| Finding::refusal(rule, &node.name, detail);
            match self.wanted.facts.machine(&node.name).map(|machine| &machine.api_server) {
                Some(Seen::Known(Some(version))) if version == self.version => {}
                Some(Seen::Known(Some(version))) => found.push(refuse(
                    Rule::ApiServerSpread,
                    format!(
                        "its API server is {version}, and kubeadm-config says {}: finish the upgrade first",
                        self.version
                    ),
                )),
                Some(Seen::Known(None)) => {
                    found.push(refuse(Rule::NotInstalled, "runs no API server".to_owned()));
                }
                Some(Seen::Unknown(why)) => {
                    found.push(refuse(Rule::Unseen, format!("its API server is not ready: {why}")));
                }
                None => found.push(Finding::unreachable(&node.name, "does not answer, and is not named to leave")),
            }
        }
        let leaves = |name: &str| self.wanted.wish.leaves.iter().any(|leaves| leaves.as_str() == name);
        let other = self.api.nodes.iter().filter(|object| !leaves(&object.name)).filter_map(|object| {
            let version = object.kubelet.known().filter(|version| *version != self.version)?;
            Some(format!("{} on {}", version, object.name))
        });
        let other: Vec<String> = other.collect();
        if !other.is_empty() {
            let detail = format!(
                "kubelets are {}, and the cluster is {}: finish the upgrade first",
                list(&other, "and"),
                self.version
            );
            found.push(Finding::refusal(Rule::KubeletSkew, "cluster", detail));
        }
        found
    }

    /// etcd as a whole, as far as it is snapshot and changed.
    fn members(&self) -> Vec<Finding> {
        let planes = |node: &&&Node| node.roles.contains(&Role::ControlPlane);
        let changes = self.stacked()
            && (self.leaves.iter().any(|it| it.member.is_some()) || self.joins.iter().any(|it| planes(&it)));
        let now = Count::of(self.etcd);
        if !changes {
            let detail = || format!("{}: nothing can be changed without a quorum", now.words());
            return (!now.holds()).then(|| Finding::refusal(Rule::EtcdQuorum, "etcd", detail())).into_iter().collect();
        }
        let mut found = match self.member_wish() {
            Some(wish) => self.members_but_the_leaving(&wish).unwrap_or_else(|finding| vec![finding]),
            None => self.members_that_stay(),
        };
        let after = self.voters_left();
        if self.joins.iter().any(|it| planes(&it)) {
            if after.voters == 1 {
                let detail = "goes from one member to two: a second one counts before it runs, so that etcd and the API wait for it; and \
                              from then on both have to live, until a third one votes";
                found.push(Finding::warning(Rule::EtcdMembers, "etcd", detail));
            } else if !after.with(false).holds() {
                let detail =
                    format!("{} once a new member is listed, which does not run then", after.with(false).words());
                found.push(Finding::refusal(Rule::EtcdQuorum, "etcd", detail));
            }
        }
        if let Some(host) = self.host().filter(|_| !self.leaves.is_empty()) {
            found.extend(stacked::etcdctl(self.wanted.inventory, self.wanted.facts, &host.name).err());
        }
        found
    }

    /// The change of the members that comes with whoever leaves.
    pub(super) fn member_wish(&self) -> Option<Wish> {
        let member = self.leaves.iter().find_map(|leaver| leaver.member)?;
        Some(Wish::Remove(format!("{:x}", member.id)))
    }

    /// The others are well when one leaves.
    fn members_but_the_leaving(&self, wish: &Wish) -> Result<Vec<Finding>, Finding> {
        let scene = self.scene(wish)?;
        let mut found = scene.others();
        found.extend(scene.versions());
        found.extend(scene.alarms());
        Ok(found)
    }

    /// All of them are well when none leaves.
    fn members_that_stay(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for member in &self.etcd.members {
            let name = member.called();
            if member.learner {
                found.push(Finding::refusal(Rule::EtcdLearner, &name, "is a learner: promote or remove it first"));
            }
            if let Some(why) = member.unhealthy() {
                let detail = format!("{why}; no control plane joins while a member is away: replace its node first");
                found.push(Finding::refusal(Rule::EtcdUnhealthy, &name, detail));
            }
        }
        for alarm in &self.etcd.alarms {
            let detail = format!("has raised alarm {}: clear it first", alarm.kind);
            found.push(Finding::refusal(Rule::EtcdAlarm, format!("{:x}", alarm.member_id), detail));
        }
        found
    }

    /// The machines are free, and everything that they get can be had.
    fn of_joiners(&self) -> Vec<Finding> {
        let (wanted, inventory) = (self.as_bootstrap(), self.wanted.inventory);
        let mut found = Vec::new();
        if self.joins.is_empty() {
            return found;
        }
        found.extend(secret(wanted.files));
        found.extend(
            alike(wanted)
                .into_iter()
                .filter(|finding| self.joins.iter().any(|it| finding.subject.contains(it.name.as_str()))),
        );
        for node in &self.joins {
            let again = self.leaves.iter().any(|leaver| leaver.node.name == node.name);
            if self.object(node).is_some() && !again {
                let detail = "is a node of the cluster already";
                found.push(Finding::refusal(Rule::Occupied, &node.name, detail));
                continue;
            }
            let facts =
                self.wanted.facts.nodes.iter().find(|facts| facts.name == node.name).map(|facts| &facts.machine);
            match facts {
                Some(Seen::Known(machine)) => found.extend(of_machine(wanted, node, machine)),
                // Of one that leaves it is said already.
                _ if again => {
                    let detail = "does not answer: make its machine anew first, or name another one with --with";
                    found.push(Finding::unreachable(&node.name, detail));
                }
                Some(Seen::Unknown(why)) => found.push(Finding::unreachable(&node.name, why.clone())),
                None => found.push(Finding::unreachable(&node.name, "was not looked at")),
            }
        }
        let kubeconfig = &inventory.api.kubeconfig;
        if *kubeconfig != Api::default().kubeconfig {
            for node in self.joins.iter().filter(|node| node.roles.contains(&Role::ControlPlane)) {
                let detail = format!(
                    "gets no {kubeconfig}, which the inventory names: copy it there from another control plane"
                );
                found.push(Finding::warning(Rule::Configuration, &node.name, detail));
            }
        }
        if !self.stacked() && self.joins.iter().any(|node| node.roles.contains(&Role::ControlPlane)) {
            found.extend(self.client_certificate());
        }
        found
    }

    /// The API servers' certificate for an external etcd is where a control plane that joins gets it from.
    fn client_certificate(&self) -> Vec<Finding> {
        let asked = &self.api.asked;
        let ready = match self.wanted.certificates.get(asked) {
            Some(Seen::Known(ready)) => ready,
            Some(Seen::Unknown(why)) => return vec![Finding::refusal(Rule::Unseen, asked, why.clone())],
            None => return vec![Finding::refusal(Rule::Unseen, asked, "nobody looked at its certificates")],
        };
        let missing = EXTERNAL_PEMS[..2].iter().filter_map(|path| {
            let why = match ready.certificates.iter().find(|(known, _)| known == path) {
                Some((_, Ok(_))) => return None,
                Some((_, Err(why))) => why.as_str(),
                None => "nobody looked",
            };
            let detail = format!("{path}: {why}; a control plane that joins gets its certificate for etcd from there");
            Some(Finding::refusal(Rule::Certificate, asked, detail))
        });
        missing.collect()
    }
}
