//! Packages and images: fetched while nothing is touched yet, installed when it is a node's turn.

use std::collections::BTreeMap;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::brought::{Brought, guard, no_member};
use super::etcd::EtcdAccess;
use super::former::{Undo, former, former_look, in_words, restore};
use crate::decide::action::{Act, Effect, Moment, On, Site, job};
use crate::decide::call::{Call, Script};
use crate::decide::look::{Look, MachineQuestion, Question, Sight, seen};
use crate::facts::ask::Section;
use crate::facts::{PackageFacts, begun_version};

/// A package at a version, as the package manager writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Pinned {
    /// `name=version`.
    pub fn spec(&self) -> String {
        format!("{}={}", self.name, self.version)
    }
}

/// Downloads packages, and keeps them and the versions that they replace, for the way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchPackages {
    /// Which.
    pub packages: Vec<Pinned>,
    /// The installed versions that a source still has.
    pub former: Vec<Pinned>,
}

impl Act for FetchPackages {
    fn describe(&self) -> String {
        let former = match self.former.as_slice() {
            [] => String::new(),
            former => format!(", and {} to go back to", names_and_version(former)),
        };
        format!("download {}{former}", names_and_version(&self.packages))
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "not downloaded yet")
    }

    fn effect(&self, site: Site<'_>) -> Effect {
        let former: Vec<String> = self.former.iter().map(Pinned::spec).collect();
        let former = if former.is_empty() { "-".to_owned() } else { former.join(",") };
        let args = [site.run.to_string(), former].into_iter().chain(self.packages.iter().map(Pinned::spec));
        job(On::Lane, Script::FetchPackages, args)
    }

    fn undo(&self) -> String {
        "nothing to undo: downloads are kept until `windlass upgrade finish`".to_owned()
    }

    fn estimate(&self) -> u64 {
        10
    }
}

/// Pulls the images that the target's own kubeadm asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullImages {
    /// The Kubernetes version.
    pub to: Version,
    /// The kubeadm package that was downloaded, unpacked to ask it for the list.
    pub kubeadm: Pinned,
    /// Whether the node is a control plane and needs its images too.
    pub control_plane: bool,
    /// Whether etcd's image is among them (stacked etcd only).
    pub etcd: bool,
    /// Which etcd kubeadm may bring to the stacked member: another is refused before anything is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brings: Option<Brought>,
}

impl Act for PullImages {
    fn describe(&self) -> String {
        let unless =
            if self.brings.is_some() { "; refuse an etcd among them that this one may not be raised to" } else { "" };
        format!("pull the images that kubeadm {} asks for{unless}", self.to)
    }

    fn look(&self, _: Site<'_>, moment: Moment, _: &Sight) -> Look {
        trusted(moment, "not pulled yet")
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        let what = match (self.control_plane, self.etcd) {
            (true, true) => "all",
            (true, false) => "all-but-etcd",
            (false, _) => "worker",
        };
        let brings = self.brings.as_ref().map_or_else(no_member, Brought::args);
        let args = [format!("v{}", self.to), self.kubeadm.version.clone(), what.to_owned()];
        job(On::Lane, Script::PullImages, args.into_iter().chain(brings))
    }

    fn undo(&self) -> String {
        "nothing to undo: images stay until the kubelet needs their room".to_owned()
    }

    fn estimate(&self) -> u64 {
        15
    }
}

/// Installs packages at a version and puts their holds back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstallPackages {
    /// What to install.
    pub packages: Vec<Pinned>,
    /// What is installed before, by name.
    pub from: BTreeMap<String, String>,
    /// Which of them are held before, and so afterwards.
    pub hold: Vec<String>,
    /// Whether they are put back when it fails.
    pub undo: Undo,
    /// How to speak to the stacked member, which a new kubelet may restart, and to the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<EtcdAccess>,
}

impl Act for InstallPackages {
    fn describe(&self) -> String {
        let holds = match (self.hold.is_empty(), self.from.is_empty()) {
            (true, _) => "not held",
            (false, true) => "held from then on",
            (false, false) => "holds put back",
        };
        format!("install {} ({holds})", names_and_version(&self.packages))
    }

    fn question(&self, _: Site<'_>) -> Question {
        packages_question(&self.packages, &[Section::Packages])
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "packages");
        installed_look(&self.packages, &self.from, &self.hold, &machine.packages)
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        job(On::Lane, Script::InstallPackages, install_args(&guard(self.member.as_ref()), &self.hold, &self.packages))
    }

    fn undo(&self) -> String {
        in_words(&self.undo, &former(&self.packages, &self.from), &self.hold)
    }

    fn way_back(&self, site: Site<'_>) -> Option<Call> {
        let guard = guard(self.member.as_ref());
        restore(&self.undo, site, &guard, &self.hold, "-", &former(&self.packages, &self.from))
    }

    fn look_back(&self, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "packages");
        former_look(&former(&self.packages, &self.from), &self.hold, &machine.packages)
    }

    fn estimate(&self) -> u64 {
        5
    }
}

/// The arguments of `install-packages`: guard, names to hold, packages.
pub(super) fn install_args(guard: &str, hold: &[String], packages: &[Pinned]) -> Vec<String> {
    [guard.to_owned(), hold_list(hold)].into_iter().chain(packages.iter().map(Pinned::spec)).collect()
}

/// Names to hold, as jobs take them.
pub(super) fn hold_list(hold: &[String]) -> String {
    if hold.is_empty() { "-".to_owned() } else { hold.join(",") }
}

/// A probe of these packages and `sections`.
pub(super) fn packages_question(packages: &[Pinned], sections: &'static [Section]) -> Question {
    let packages = packages.iter().map(|package| package.name.clone()).collect();
    Question { machine: Some(MachineQuestion { sections, packages }), ..Question::default() }
}

/// What the installed versions and holds mean for an installation.
pub(super) fn installed_look(
    packages: &[Pinned],
    from: &BTreeMap<String, String>,
    hold: &[String],
    seen: &BTreeMap<String, PackageFacts>,
) -> Look {
    let mut missing = Vec::new();
    for Pinned { name, version } in packages {
        let facts = seen.get(name);
        let installed = facts.and_then(PackageFacts::version);
        let before = from.get(name).map(|from| begun_version(from));
        if facts.is_some_and(PackageFacts::interrupted) && (installed == Some(version) || installed == before) {
            missing.push(format!("the installation of {name} was interrupted"));
        } else if installed == Some(version) {
            let wants_hold = hold.contains(name);
            if wants_hold && !facts.is_some_and(|facts| facts.held) {
                missing.push(format!("{name} {version} is not held"));
            }
        } else if installed == before {
            missing.push(format!("{name} is at {}", installed.unwrap_or("no version")));
        } else {
            return Look::Drifted(format!(
                "{name} is at {}, which is neither {version} nor {}",
                installed.unwrap_or("no version"),
                before.unwrap_or("absent"),
            ));
        }
    }
    if missing.is_empty() { Look::Done } else { Look::Ready(missing.join("; ")) }
}

/// For acts whose only witness is the exit status of their unit.
pub(super) fn trusted(moment: Moment, before: &str) -> Look {
    match moment {
        Moment::Before => Look::Ready(before.to_owned()),
        Moment::After => Look::Done,
    }
}

fn names_and_version(packages: &[Pinned]) -> String {
    let mut by_version: Vec<(&str, Vec<&str>)> = Vec::new();
    for Pinned { name, version } in packages {
        match by_version.iter_mut().find(|(known, _)| known == version) {
            Some((_, names)) => names.push(name),
            None => by_version.push((version, vec![name])),
        }
    }
    let parts: Vec<String> =
        by_version.into_iter().map(|(version, names)| format!("{} {version}", names.join(", "))).collect();
    parts.join(", ")
}
