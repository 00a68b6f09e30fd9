//! What forbids a change of the members, and what is to be known about it.

use super::joining::Joins;
use super::{Scene, Wish};
use crate::decide::actions::renew::ETCD;
use crate::decide::finding::{Finding, Rule};
use crate::decide::quorum::{Count, loses};
use crate::decide::stacked;
use crate::facts::version::parse_version;
use crate::facts::{EtcdMember, MachineFacts, Seen};
use crate::inventory::{NodeName, Role, Topology};
use crate::text::{count, list};

impl Scene<'_> {
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut found = self.topology();
        found.extend(self.machines());
        found.extend(self.others());
        found.extend(self.versions());
        found.extend(self.alarms());
        found.extend(self.arithmetic());
        found.extend(self.left_behind());
        found.extend(self.newcomer());
        found.extend(self.certificates());
        found
    }

    /// A control plane gets a member from kubeadm, which writes its manifest; and its API server asks that member alone.
    fn topology(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if self.wanted.inventory.etcd.topology == Topology::External {
            found.push(Finding::warning(
                Rule::EtcdMembers,
                "API servers",
                "go on with the addresses of etcd in their own --etcd-servers; Windlass does not change those",
            ));
            let stays = self.stays().filter_map(|member| member.node.as_ref());
            found.extend(stays.filter_map(|node| self.names_members_elsewhere(node)));
            return found;
        }
        let leaves = self.leaves_on.map(|on| &on.name);
        let joins = self.joins.as_ref().map(|joins| &joins.node.name);
        for node in self.touched().filter(|node| ![leaves, joins].contains(&Some(&node.name))) {
            found.extend(stacked::etcdctl(self.wanted.inventory, self.wanted.facts, &node.name).err());
        }
        if let Some(node) = self.leaves_on.filter(|node| self.reached(node) && joins != Some(&node.name)) {
            let detail = "its API server asks the member beside it alone, and fails from then on: `kubeadm reset` it, or let kubeadm \
                          make a member there (`kubeadm join phase control-plane-join etcd --control-plane`)";
            found.push(Finding::warning(Rule::EtcdMembers, &node.name, detail));
        }
        found
    }

    /// A member that stays, whose environment file names no members: a flag or a file of settings does, or nothing. etcd reads it
    /// only when it starts without data.
    fn names_members_elsewhere(&self, node: &NodeName) -> Option<Finding> {
        let process = self.wanted.facts.machine(node)?.etcd.known()?.as_ref()?;
        process.configured_members.is_none().then(|| {
            let detail = format!(
                "names no members in {}: what its unit or its file of settings says of them is yours to change (initial-cluster)",
                self.wanted.inventory.etcd.env_file
            );
            Finding::warning(Rule::EtcdMembers, node, detail)
        })
    }

    /// Every machine of etcd is reached, but for the one whose member leaves; control planes keep the lock.
    fn machines(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for facts in &self.wanted.facts.nodes {
            let Seen::Unknown(why) = &facts.machine else { continue };
            let Some(node) = self.wanted.inventory.node(&facts.name) else { continue };
            let joins = self.joins.as_ref().is_some_and(|joins| joins.node.name == node.name);
            let leaves = self.leaves_on.is_some_and(|on| on.name == node.name);
            // Its member was removed before, with the machine away.
            let elsewhere = |member: &EtcdMember| member.node.as_ref().is_some_and(|on| *on != node.name);
            let empty = !joins && !leaves && self.stays().all(elsewhere);
            let etcd = node.roles.contains(&self.wanted.inventory.etcd_role());
            if etcd && empty {
                let detail = format!("does not answer, and no member is there: {why}; take it out of the inventory");
                found.push(Finding::warning(Rule::Unreachable, &node.name, detail));
            } else if etcd && (joins || !leaves) {
                found.push(Finding::unreachable(&node.name, why.clone()));
            } else if node.roles.contains(&Role::ControlPlane) {
                let detail = format!("does not answer: {why}; the lock needs a majority of the control planes");
                found.push(Finding::warning(Rule::Unreachable, &node.name, detail));
            }
        }
        found
    }

    /// The members that stay are all well.
    pub(in crate::decide) fn others(&self) -> Vec<Finding> {
        let leaves = self.leaves.map(|member| member.id);
        let mut found = Vec::new();
        for member in self.etcd.members.iter().filter(|member| Some(member.id) != leaves) {
            let name = member.called();
            if member.learner {
                let detail = "is a learner: promote or remove it first";
                found.push(Finding::refusal(Rule::EtcdLearner, &name, detail));
            }
            if let Some(why) = member.unhealthy() {
                let detail = format!("{why}; only the member that leaves may be away");
                found.push(Finding::refusal(Rule::EtcdUnhealthy, &name, detail));
            } else if member.node.is_none() {
                let detail = format!(
                    "is a member of etcd ({}), but on no machine of the inventory",
                    member.client_urls.join(", ")
                );
                found.push(Finding::refusal(Rule::NodeUnknown, &name, detail));
            }
        }
        if self.asked().is_none() {
            let detail = "no healthy member stays on a machine of the inventory, through which etcd could be asked";
            found.push(Finding::refusal(Rule::EtcdQuorum, "etcd", detail));
        }
        found
    }

    /// In the middle of a rolling upgrade nobody comes or goes.
    pub(in crate::decide) fn versions(&self) -> Vec<Finding> {
        let mut versions: Vec<_> = self.stays().filter_map(|m| Some(m.status.known()?.version.clone())).collect();
        versions.sort();
        versions.dedup();
        if versions.len() < 2 {
            return Vec::new();
        }
        let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
        let detail = format!("its members run {}: raise them all first", list(&versions, "and"));
        vec![Finding::refusal(Rule::EtcdSpread, "etcd", detail)]
    }

    /// A member whose data are corrupt may be replaced; nothing else is done under an alarm.
    pub(in crate::decide) fn alarms(&self) -> Vec<Finding> {
        let leaves = self.leaves.map(|member| member.id);
        let stays = |alarm: &&crate::facts::Alarm| alarm.kind != "CORRUPT" || Some(alarm.member_id) != leaves;
        let finding = |alarm: &crate::facts::Alarm| {
            let name = self.etcd.members.iter().find(|member| member.id == alarm.member_id).map(EtcdMember::called);
            let name = name.unwrap_or_else(|| format!("{:x}", alarm.member_id));
            Finding::refusal(Rule::EtcdAlarm, name, format!("has raised alarm {}: clear it first", alarm.kind))
        };
        self.etcd.alarms.iter().filter(stays).map(finding).collect()
    }

    fn arithmetic(&self) -> Vec<Finding> {
        let now = Count::of(self.etcd);
        let mut found = Vec::new();
        if let Some(member) = self.leaves {
            let joined = if self.joins.is_some() && !self.leaves_first() { now.with(true) } else { now };
            match loses(joined, member) {
                Some(why) => found.push(Finding::refusal(Rule::EtcdQuorum, member.called(), why)),
                None if !member.learner => found.extend(self.spare(joined.without(member.unhealthy().is_none()))),
                None => {}
            }
        } else if !now.holds() {
            let detail = format!("{}: nothing can be changed without a quorum", now.words());
            found.push(Finding::refusal(Rule::EtcdQuorum, "etcd", detail));
        }
        if let Some(joins) = self.joins.as_ref().filter(|joins| !joins.named().learner) {
            let left = self.leaves.filter(|_| self.leaves_first());
            let with = left.map_or(now, |member| now.without(member.unhealthy().is_none())).with(false);
            if !with.holds() {
                let detail = format!(
                    "votes as soon as it is listed, and does not run then: {}, and nothing could be written until it does",
                    with.words()
                );
                found.push(Finding::refusal(Rule::EtcdQuorum, &joins.node.name, detail));
            }
        }
        if let (Wish::Add(_), false) = (self.wanted.wish, (now.voters + 1) % 2 == 1) {
            let after = now.with(true);
            let detail = format!(
                "{} make a quorum of {}, as many members may fail as before: an odd number is better",
                after.quorum(),
                after.voters
            );
            found.push(Finding::warning(Rule::EtcdMembers, "etcd", detail));
        }
        found
    }

    /// How many may fail once the member has left.
    fn spare(&self, after: Count) -> Option<Finding> {
        (after.healthy == after.quorum()).then(|| {
            let until = if self.joins.is_some() { "until the new member votes" } else { "from then on" };
            let members = count(after.voters, "member");
            let detail = format!("{until}, etcd has {members} and {} make a quorum: none may fail", after.quorum());
            Finding::warning(Rule::EtcdMembers, "etcd", detail)
        })
    }

    /// What is left of the one that leaves.
    fn left_behind(&self) -> Option<Finding> {
        let member = self.leaves?;
        let stacked = self.wanted.inventory.etcd.topology == Topology::Stacked;
        let same = self.joins.as_ref().is_some_and(|joins| Some(&joins.node.name) == self.leaves_on.map(|on| &on.name));
        match self.leaves_on {
            Some(node) if self.reached(node) && (same || stacked) => None,
            Some(node) if self.reached(node) => {
                let detail = "is no machine of etcd afterwards: take it out of the inventory";
                Some(Finding::warning(Rule::EtcdMembers, &node.name, detail))
            }
            _ => {
                let detail = "its machine is not reached, so its etcd is not stopped there: should it come back, it is told \
                              that it was removed and ends; take it out of the inventory";
                Some(Finding::warning(Rule::EtcdMembers, member.called(), detail))
            }
        }
    }

    /// The machine that joins is free for it, and has etcd in the members' version.
    fn newcomer(&self) -> Vec<Finding> {
        let Some(joins) = &self.joins else { return Vec::new() };
        let (node, mut found) = (&joins.node.name, Vec::new());
        let refuse = |rule, detail: String| Finding::refusal(rule, node, detail);
        let leaves = self.leaves.map(|member| member.id);
        let stays = |member: &&EtcdMember| Some(member.id) != leaves;
        if self.etcd.members.iter().filter(stays).any(|member| member.node.as_ref() == Some(node)) {
            found.push(refuse(Rule::EtcdMembers, "is the machine of another member already".to_owned()));
        }
        let peer = joins.peer_url();
        for member in self.etcd.members.iter().filter(stays) {
            if member.peer_urls.contains(&peer) || member.name == joins.name {
                let detail = format!(
                    "{} is called {} and has {} already",
                    member.called(),
                    joins.name,
                    member.peer_urls.join(", ")
                );
                found.push(refuse(Rule::EtcdMembers, detail));
            }
        }
        if joins.process.settings.contains_key("config-file") {
            let detail =
                format!("{} is configured by a file (--config-file), which cannot be taken over", joins.model.called());
            found.push(refuse(Rule::EtcdTopology, detail));
        }
        for (what, seen) in
            [("heartbeat", &joins.process.heartbeat_ms), ("election timeout", &joins.process.election_ms)]
        {
            if let Seen::Unknown(why) = seen {
                found.push(refuse(Rule::Unseen, format!("the {what} of {} is not known: {why}", joins.model.called())));
            }
        }
        let Some(machine) = self.wanted.facts.machine(node) else { return found };
        let own = self.leaves_on.is_some_and(|on| &on.name == node);
        if machine.etcd.known().and_then(Option::as_ref).is_some_and(|process| process.running) && !own {
            let detail = "etcd runs there already, and is no member of this cluster: stop it first".to_owned();
            found.push(refuse(Rule::EtcdMembers, detail));
        }
        found.extend(match self.wanted.inventory.etcd.topology {
            Topology::External => self.installed(joins, machine),
            Topology::Stacked => {
                let manifest = machine.static_pods.known().is_some_and(|pods| pods.contains_key(ETCD));
                let detail = "has a manifest of etcd, and is no member: move it away first".to_owned();
                (manifest && !own).then(|| refuse(Rule::EtcdMembers, detail))
            }
        });
        found
    }

    /// The machine has etcd in the members' version.
    fn installed(&self, joins: &Joins<'_>, machine: &MachineFacts) -> Option<Finding> {
        let refuse = |rule, detail: String| Some(Finding::refusal(rule, &joins.node.name, detail));
        let version = joins.model.status.known().map(|status| status.version.clone());
        let package = &self.wanted.inventory.etcd.package;
        let installed = machine.packages.get(package).filter(|package| !package.interrupted());
        match installed.and_then(|package| package.version()) {
            None => refuse(Rule::NotInstalled, format!("{package} is not installed, or not wholly")),
            Some(installed) if parse_version(installed) != version => {
                let wanted = version.map_or_else(|| "another".to_owned(), |version| version.to_string());
                let detail = format!("has {package} {installed}; the members run {wanted}: install that first");
                refuse(Rule::EtcdSpread, detail)
            }
            Some(_) => None,
        }
    }
}
