//! etcd: snapshots, leadership, the swap of one member's binary, and the waits between.

use std::collections::BTreeMap;
use std::time::Duration;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::former::{Undo, former, former_look, in_words, restore};
use super::packages::{Pinned, install_args, installed_look, packages_question, trusted};
use super::programs::{self, Archive};
use crate::decide::action::{Act, Action, Effect, Moment, On, Site, job};
use crate::decide::call::{Call, Script};
use crate::decide::look::{Every, Look, Question, Sight, Who, seen};
use crate::decide::target::minor;
use crate::facts::ask::Section;
use crate::facts::version::parse_version;
use crate::facts::{EtcdFacts, EtcdMember, MachineFacts, MemberStatus, Seen, begun_version};

/// A verified snapshot, before anything is touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Whether it is restored and started for a moment, beside a member, before anything leans on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proven: bool,
}

impl Act for Snapshot {
    fn describe(&self) -> String {
        let taken = "take a verified snapshot of etcd to this machine, and a copy to a control plane";
        if self.proven {
            format!(
                "{taken}; prove it: restored and started for a moment on a member's machine, not the leader's if possible"
            )
        } else {
            taken.to_owned()
        }
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "no snapshot stands before this rung")
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        Effect::Snapshot { proven: self.proven }
    }

    fn undo(&self) -> String {
        "nothing to undo: snapshots are kept".to_owned()
    }

    fn estimate(&self) -> u64 {
        if self.proven { 12 } else { 5 }
    }
}

/// How a job on an etcd node speaks to etcd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EtcdAccess {
    /// CA certificate, a path on the node.
    pub ca: String,
    /// Client certificate, a path on the node.
    pub cert: String,
    /// Client key, a path on the node.
    pub key: String,
    /// The node's own client URL.
    pub own: String,
    /// Client URLs of the other members.
    pub others: Vec<String>,
}

impl EtcdAccess {
    fn args(&self) -> Vec<String> {
        let others = if self.others.is_empty() { "-".to_owned() } else { self.others.join(",") };
        vec![self.ca.clone(), self.cert.clone(), self.key.clone(), self.own.clone(), others]
    }
}

/// Moves leadership off this node's member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveLeader {
    /// This node's member.
    pub member: u64,
    /// How to speak to etcd there.
    pub access: EtcdAccess,
}

impl Act for MoveLeader {
    fn describe(&self) -> String {
        if self.access.others.is_empty() {
            "(the only member: there is nobody to lead in its place)".to_owned()
        } else {
            "move leadership to another member, if it leads".to_owned()
        }
    }

    fn question(&self, _: Site<'_>) -> Question {
        Question { etcd: true, ..Question::default() }
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let etcd = seen!(sight.etcd, "etcd");
        let mut others = etcd.members.iter().filter(|member| member.id != self.member);
        if let Some(why) = others.find_map(EtcdMember::unhealthy) {
            return Look::NotYet(why);
        }
        match agreed_leader(etcd, Some(self.member)) {
            Err(why) => Look::NotYet(why),
            Ok((leader, _)) if leader == self.member && !self.access.others.is_empty() => {
                Look::Ready("it leads".to_owned())
            }
            Ok(_) => Look::Done,
        }
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        job(On::Lane, Script::MoveLeader, self.access.args())
    }

    fn undo(&self) -> String {
        "nothing to undo: any healthy member may lead".to_owned()
    }

    fn estimate(&self) -> u64 {
        1
    }

    fn serves(&self, later: &Action) -> bool {
        matches!(later, Action::SwapEtcd(_) | Action::RemoveMember(_) | Action::DefragMember(_))
    }
}

/// Installs a member's package, which restarts the member at the new version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwapEtcd {
    /// The version to run.
    pub to: Version,
    /// What to install: packages, or, from an archive, the program by its path.
    pub packages: Vec<Pinned>,
    /// The archive that it comes from, where it is no package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// What is installed before, by name.
    pub from: BTreeMap<String, String>,
    /// Which of them are held before, and so afterwards.
    pub hold: Vec<String>,
    /// The systemd unit.
    pub service: String,
    /// How to speak to etcd there.
    pub access: EtcdAccess,
    /// Whether the former ones are put back when it fails, or when the member is not healthy in its time.
    pub undo: Undo,
}

impl SwapEtcd {
    /// The version that the server's package carries before.
    fn former_version(&self) -> Option<Version> {
        parse_version(begun_version(self.from.get(&self.packages.first()?.name)?))
    }

    /// A patch leaves the cluster version, and so the way back, as it is.
    fn is_patch(&self) -> bool {
        self.former_version().is_some_and(|former| minor(&former) == minor(&self.to))
    }

    /// The archive and the program, where it is no package.
    fn programs(&self) -> Option<(&Archive, &str)> {
        Some((self.archive.as_ref()?, programs::program(&self.packages)?))
    }

    fn is_alone_in_a_minor(&self) -> bool {
        self.access.others.is_empty() && !self.is_patch()
    }

    fn guard(&self) -> String {
        format!("etcd;{};{}", self.service, self.access.args().join(";"))
    }
}

impl Act for SwapEtcd {
    fn describe(&self) -> String {
        format!("install etcd {} and restart this member on it", self.to)
    }

    fn question(&self, _: Site<'_>) -> Question {
        packages_question(&self.packages, &[Section::Packages, Section::Etcd])
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "packages");
        match installed_look(&self.packages, &self.from, &self.hold, &machine.packages) {
            Look::Done => {}
            other => return other,
        }
        let running = machine.etcd.known().and_then(Option::as_ref).and_then(|etcd| etcd.server_version.known());
        if running == Some(&self.to) {
            Look::Done
        } else {
            Look::Ready(format!("etcd {} does not answer yet", self.to))
        }
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        match self.programs() {
            Some((archive, program)) => programs::install(site, self.guard(), archive, &self.to, program),
            None => job(On::Lane, Script::InstallPackages, install_args(&self.guard(), &self.hold, &self.packages)),
        }
    }

    fn undo(&self) -> String {
        let words = in_words(&self.undo, &former(&self.packages, &self.from), &self.hold);
        match self.former_version() {
            Some(_) if self.is_alone_in_a_minor() => {
                "not possible: no other member could tell that the cluster version has not risen".to_owned()
            }
            Some(version) if !self.is_patch() && self.undo == Undo::Automatic => {
                format!("{words}, while every other member reports cluster version {}.{}", version.major, version.minor)
            }
            _ => words,
        }
    }

    fn way_back(&self, site: Site<'_>) -> Option<Call> {
        let former_version = self.former_version().filter(|_| !self.is_alone_in_a_minor())?;
        let minor = format!("{}.{}", former_version.major, former_version.minor);
        let cluster = if self.is_patch() { "-" } else { &minor };
        if let Some((_, program)) = self.programs() {
            return Some(programs::restore(site, self.guard(), cluster, program));
        }
        restore(&self.undo, site, &self.guard(), &self.hold, cluster, &former(&self.packages, &self.from))
    }

    fn look_back(&self, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "packages");
        match former_look(&former(&self.packages, &self.from), &self.hold, &machine.packages) {
            Look::Done => {}
            other => return other,
        }
        let running = machine.etcd.known().and_then(Option::as_ref).and_then(|etcd| etcd.server_version.known());
        match (running, self.former_version()) {
            (Some(running), Some(former)) if *running == former => Look::Done,
            (Some(running), _) => Look::Ready(format!("etcd {running} answers")),
            (None, _) => Look::Ready("etcd does not answer".to_owned()),
        }
    }

    fn estimate(&self) -> u64 {
        12
    }
}

/// Waits until all members are healthy, this one runs the new version, and one leader has stayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwaitEtcd {
    /// This node's member.
    pub member: u64,
    /// The version it has to run.
    pub to: Version,
    /// How long all of that has to hold, in milliseconds: longer than the members' own election timeout.
    pub steady_ms: u64,
}

/// Entries that a member may be behind: what etcd itself counts as caught up is far more; a thousand are applied in well
/// under a second.
pub(super) const SMALL_LAG: u64 = 1000;

impl Act for AwaitEtcd {
    fn describe(&self) -> String {
        format!(
            "wait: every member healthy, this one at {}, one leader and little lag for {} ms",
            self.to, self.steady_ms
        )
    }

    fn question(&self, _: Site<'_>) -> Question {
        Question { etcd: true, ..Question::default() }
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let etcd = seen!(sight.etcd, "etcd");
        if let Some(why) = etcd.members.iter().find_map(EtcdMember::unhealthy) {
            return Look::NotYet(why);
        }
        if let Err(why) = agreed_leader(etcd, None) {
            return Look::NotYet(why);
        }
        let own = etcd.members.iter().find(|member| member.id == self.member);
        let Some((name, status)) = own.and_then(|own| own.status.known().map(|status| (&own.name, status))) else {
            return Look::NotYet(format!("member {:x} is not in the member list", self.member));
        };
        if status.version != self.to {
            return Look::NotYet(format!("{name} runs {}", status.version));
        }
        let ahead = statuses(etcd).map(|status| status.raft_index).max().unwrap_or(0);
        let behind = ahead.saturating_sub(status.raft_applied);
        if behind > SMALL_LAG {
            return Look::NotYet(format!("{name} is {behind} entries behind"));
        }
        Look::Done
    }

    fn undo(&self) -> String {
        "when the member is not healthy in its time: its package's step is taken back".to_owned()
    }

    fn takes_back(&self, earlier: &Action) -> bool {
        matches!(earlier, Action::SwapEtcd(_))
    }

    fn estimate(&self) -> u64 {
        4
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(self.steady_ms)
    }

    fn fingerprint(&self, sight: &Sight) -> String {
        let leader = sight.etcd.known().and_then(|etcd| agreed_leader(etcd, None).ok());
        leader.map_or_else(String::new, |(leader, term)| format!("{leader:x}@{term}"))
    }
}

/// Waits until every member reports the new cluster version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwaitClusterVersion {
    /// The version that all members run.
    pub to: Version,
}

impl Act for AwaitClusterVersion {
    fn describe(&self) -> String {
        format!("wait: every member reports cluster version {}.{}", self.to.major, self.to.minor)
    }

    fn question(&self, _: Site<'_>) -> Question {
        Question { every: Some(Every { who: Who::EtcdNodes, sections: &[Section::Etcd] }), ..Question::default() }
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        for (node, machine) in &sight.every {
            let machine = seen!(*machine, node);
            let version = machine.etcd.known().and_then(Option::as_ref).map(|etcd| etcd.cluster_version.clone());
            match version {
                Some(Seen::Known(version)) if (version.major, version.minor) == (self.to.major, self.to.minor) => {}
                Some(Seen::Known(version)) => return Look::NotYet(format!("{node} still reports {version}")),
                Some(Seen::Unknown(why)) => return Look::NotYet(format!("{node}: {why}")),
                None => return Look::NotYet(format!("{node} runs no etcd")),
            }
        }
        Look::Done
    }

    fn undo(&self) -> String {
        "from here on the old binary refuses to start; only a restore goes back".to_owned()
    }

    fn estimate(&self) -> u64 {
        2
    }
}

/// etcd's own default election timeout, in milliseconds.
const DEFAULT_ELECTION_MS: u64 = 1000;

/// How long the members have to stay well, in milliseconds: half as long again as the longest election timeout of these
/// machines' members, and at least two seconds. A member that would call an election has done so by then.
pub(crate) fn steady_ms<'a>(machines: impl Iterator<Item = &'a MachineFacts>) -> u64 {
    let election = |machine: &'a MachineFacts| machine.etcd.known()?.as_ref()?.election_ms.known().copied();
    (machines.filter_map(election).max().unwrap_or(DEFAULT_ELECTION_MS) * 3 / 2).max(2000)
}

/// The leader and term that all members agree on; `except` may be silent (it is the one being worked on).
pub(super) fn agreed_leader(etcd: &EtcdFacts, except: Option<u64>) -> Result<(u64, u64), String> {
    let mut agreed: Option<(u64, u64)> = None;
    for member in &etcd.members {
        let Seen::Known(status) = &member.status else {
            if except == Some(member.id) {
                continue;
            }
            return Err(format!("member {} does not answer", member.name));
        };
        let says = (status.leader, status.raft_term);
        if status.leader == 0 {
            return Err(format!("member {} knows no leader", member.name));
        }
        if *agreed.get_or_insert(says) != says {
            return Err("the members do not agree on a leader".to_owned());
        }
    }
    agreed.ok_or_else(|| "no member answers".to_owned())
}

fn statuses(etcd: &EtcdFacts) -> impl Iterator<Item = &MemberStatus> {
    etcd.members.iter().filter_map(|member| member.status.known())
}
