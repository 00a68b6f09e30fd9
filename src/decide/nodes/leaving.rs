//! What forbids a node to leave.

use super::{AUTHORITY, Change, Leaves, State, digest};
use crate::decide::check::capacity::homeless;
use crate::decide::finding::{Finding, Rule};
use crate::decide::quorum::{Count, loses};
use crate::facts::Seen;
use crate::inventory::Role;
use crate::text::{count, list};

impl Change<'_> {
    pub(super) fn of_leavers(&self) -> Vec<Finding> {
        let planes: Vec<String> =
            self.leaves.iter().filter(|it| it.is_plane()).map(|it| it.node.name.to_string()).collect();
        let mut found = Vec::new();
        if planes.len() > 1 {
            let detail = "are control planes: one leaves in a plan, and the next one in a plan of its own";
            found.push(Finding::refusal(Rule::EtcdQuorum, list(&planes, "and"), detail));
        }
        if self.host().is_none() {
            let detail = "no control plane would be left that is Ready and answers";
            found.push(Finding::refusal(Rule::NodeNotReady, "cluster", detail));
        }
        for leaver in &self.leaves {
            found.extend(self.state(leaver));
            found.extend(self.data(leaver));
            found.extend(self.quorum(leaver));
            found.extend(self.homeless(leaver));
        }
        for name in self.wanted.wish.dead.iter().chain(&self.wanted.wish.give_up_data) {
            if !self.wanted.wish.leaves.contains(name) {
                let detail = "does not leave: --dead and --give-up-data are for nodes that do";
                found.push(Finding::refusal(Rule::NodeUnknown, name, detail));
            }
        }
        found
    }

    /// Whether its machine is what the plan takes it for.
    fn state(&self, leaver: &Leaves<'_>) -> Vec<Finding> {
        let name = &leaver.node.name;
        let refuse = |rule, detail: String| vec![Finding::refusal(rule, name, detail)];
        let replaced = !self.joins.is_empty();
        let dead = self.wanted.wish.dead.contains(name);
        let ready = leaver.object.ready();
        if leaver.node.roles.contains(&Role::Etcd) {
            let detail = "has a member of the external etcd beside it: let that go first (`windlass etcd member remove` or `replace`), \
                          and take its role out of the inventory";
            return refuse(Rule::EtcdMembers, detail.to_owned());
        }
        match leaver.state {
            State::Stands if dead => refuse(Rule::Fenced, "answers, and is said to be dead".to_owned()),
            State::Stands if replaced && ready => refuse(
                Rule::Occupied,
                "is healthy: add the other one first (`windlass node add`), then let this one go (`windlass node remove`), which \
                 drains it"
                    .to_owned(),
            ),
            State::Stands if replaced => refuse(
                Rule::Occupied,
                "is not Ready, and its machine still has what it was: bring it back, or make the machine anew".to_owned(),
            ),
            State::Stands if !ready => refuse(
                Rule::NodeNotReady,
                "is not Ready, and cannot be drained: bring it back, or stop its machine for good and say --dead".to_owned(),
            ),
            State::Stands => self.belongs(leaver),
            State::Bare | State::Gone if ready => refuse(
                Rule::Occupied,
                "is Ready: the API notices after some 40 s that a node is gone; or another machine answers as it".to_owned(),
            ),
            State::Gone if !dead => refuse(
                Rule::Unreachable,
                format!("its machine does not answer: if it never comes back as it was, say --dead {name}"),
            ),
            State::Gone => {
                let etcd = if leaver.member.is_some() { "; its member of etcd, that it was removed, and ends" } else { "" };
                let detail = format!(
                    "is not stopped, because it does not answer: should it come back, its kubelet finds no node of its own, and goes \
                     on with its containers until somebody resets it{etcd}"
                );
                vec![Finding::warning(Rule::Fenced, name, detail)]
            }
            State::Bare => Vec::new(),
        }
    }

    /// Never another cluster's machine.
    fn belongs(&self, leaver: &Leaves<'_>) -> Vec<Finding> {
        let name = &leaver.node.name;
        let own = self.wanted.facts.machine(name).and_then(|machine| machine.machine_id.known());
        if own.is_none() || leaver.object.machine_id.as_ref() != own {
            let detail = "is another machine than the one that the cluster knows by this name (/etc/machine-id)";
            return vec![Finding::refusal(Rule::Occupied, name, detail)];
        }
        let theirs = match self.authority() {
            Ok(theirs) => theirs,
            Err(finding) => return vec![finding],
        };
        match digest(self.wanted.certificates, name) {
            Ok(own) if own == theirs => Vec::new(),
            Ok(_) => vec![Finding::refusal(
                Rule::Occupied,
                name,
                format!("belongs to another cluster: its {AUTHORITY} is not that of {}", self.api.asked),
            )],
            Err(why) => vec![Finding::refusal(Rule::Unseen, name, format!("{AUTHORITY} could not be seen: {why}"))],
        }
    }

    /// What its pods keep there is given up by name; of a machine that was made anew it is gone already.
    fn data(&self, leaver: &Leaves<'_>) -> Option<Finding> {
        let name = &leaver.node.name;
        let kept = match self.wanted.volumes {
            Seen::Known(volumes) => volumes.on(name.as_str()),
            Seen::Unknown(why) => {
                let detail = format!("what pods keep on it could not be seen: {why}");
                return Some(Finding::refusal(Rule::Unseen, name, detail));
            }
        };
        if kept.is_empty() {
            return None;
        }
        let what = list(kept, "and");
        if leaver.state == State::Bare {
            return Some(Finding::warning(
                Rule::Lost,
                name,
                format!("was made anew, and is lost with what was on it: {what}"),
            ));
        }
        if self.wanted.wish.give_up_data.contains(name) {
            return Some(Finding::warning(Rule::Lost, name, format!("is lost with it, by your word: {what}")));
        }
        let detail = format!("would be lost with it: {what}; say --give-up-data {name} if it may be");
        Some(Finding::refusal(Rule::Lost, name, detail))
    }

    /// Its member of etcd may go.
    fn quorum(&self, leaver: &Leaves<'_>) -> Option<Finding> {
        let member = leaver.member?;
        let now = Count::of(self.etcd);
        if let Some(why) = loses(now, member) {
            return Some(Finding::refusal(Rule::EtcdQuorum, member.called(), why));
        }
        let after = now.without(member.unhealthy().is_none());
        let again = self.joins.iter().any(|node| node.roles.contains(&Role::ControlPlane));
        let until = if again { "until the new member votes" } else { "from then on" };
        (!member.learner && after.healthy == after.quorum()).then(|| {
            let members = count(after.voters, "member");
            let detail = format!("{until}, etcd has {members} and {} make a quorum: none may fail", after.quorum());
            Finding::warning(Rule::EtcdMembers, "etcd", detail)
        })
    }

    /// The pods that are evicted find room elsewhere.
    fn homeless(&self, leaver: &Leaves<'_>) -> Option<Finding> {
        if leaver.state != State::Stands || leaver.is_plane() {
            return None;
        }
        let name = leaver.node.name.as_str();
        let load = match self.wanted.load {
            Seen::Known(load) => load,
            Seen::Unknown(why) => {
                let detail = format!("how full the nodes are could not be seen: {why}");
                return Some(Finding::refusal(Rule::Unseen, name, detail));
            }
        };
        let lost = load.iter().find(|node| node.name == name).filter(|node| node.movable_pods > 0)?;
        let takes = |other: &&crate::facts::load::NodeLoad| {
            let stays = !self.wanted.wish.leaves.iter().any(|leaves| leaves.as_str() == other.name);
            let object = self.api.nodes.iter().find(|object| object.name == other.name);
            let worker = object.is_some_and(|object| {
                let plane = |role: &String| role == "control-plane" || role == "master";
                object.ready() && !object.unschedulable && !object.roles.iter().any(plane)
            });
            stays && worker
        };
        let others: Vec<_> = load.iter().filter(takes).collect();
        homeless(lost, &others).map(|detail| Finding::refusal(Rule::Capacity, name, detail))
    }
}
