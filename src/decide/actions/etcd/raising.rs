//! A member is raised, and seen well at its new version; and so is the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{EtcdAccess, SMALL_LAG, agreed_leader, leadership, statuses};
use crate::decide::action::{Act, Action, Effect, Moment, On, Site, job};
use crate::decide::actions::former::{Undo, former, former_look, in_words, restore};
use crate::decide::actions::packages::{Pinned, install_args, installed_look, packages_question};
use crate::decide::actions::programs;
use crate::decide::actions::programs::Archive;
use crate::decide::call::{Call, Script};
use crate::decide::look::{Every, Look, Question, Sight, Who, seen};
use crate::decide::target::minor;
use crate::facts::ask::Section;
use crate::facts::version::parse_version;
use crate::facts::{EtcdMember, Seen, begun_version};

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
        self.access.guard(&self.service)
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
        "when the member is not healthy in its time: the step that changed it is taken back".to_owned()
    }

    fn takes_back(&self, earlier: &Action) -> bool {
        matches!(earlier, Action::SwapEtcd(_) | Action::RenewCertificates(_))
    }

    fn estimate(&self) -> u64 {
        4
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(self.steady_ms)
    }

    fn fingerprint(&self, sight: &Sight) -> String {
        leadership(sight)
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
