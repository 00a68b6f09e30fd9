//! One machine: its power, its link to the operator, its disk, its clock, its packages.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use windlass::facts::MachineFacts;
use windlass::facts::version::parse_version;

use super::balancing::Balancing;
use super::own::Own;
use super::planes::Plane;
use super::{At, Happened, Later, SECOND, World};

/// How long a machine takes from losing its power to answering again.
const BOOTS: u32 = 15;
/// How long its services take from then.
const SERVICES: u32 = 4;
/// How long the API goes without a word of a kubelet before it calls the node not Ready.
const LEASE: u32 = 40;

/// What dpkg has made of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dpkg {
    /// All of it.
    Installed,
    /// Files half written.
    HalfInstalled,
    /// Files there, nothing configured.
    Unpacked,
    /// The maintainer's script was cut off.
    HalfConfigured,
}

impl Dpkg {
    /// dpkg's own word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::HalfInstalled => "half-installed",
            Self::Unpacked => "unpacked",
            Self::HalfConfigured => "half-configured",
        }
    }
}

/// A package on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) version: String,
    pub(crate) state: Dpkg,
    pub(crate) held: bool,
}

/// A machine.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) name: String,
    /// What does not change: names, operating system, disks, certificates, what the repository has.
    pub(crate) told: MachineFacts,
    /// Which boot this is, from 0.
    pub(crate) boot: u32,
    /// It has power and its kernel runs.
    pub(crate) up: bool,
    /// The operator cannot reach it; its neighbours can.
    pub(crate) cut_off: bool,
    /// No room is left on its root file system; etcd's data has one of its own.
    pub(crate) full: bool,
    /// By how much its clock is ahead, in milliseconds.
    pub(crate) skew_ms: i64,
    pub(crate) packages: BTreeMap<String, Package>,
    /// What was downloaded, as `NAME=VERSION`.
    pub(crate) cache: BTreeSet<String>,
    /// Images that were pulled.
    pub(crate) images: BTreeSet<String>,
    /// The kubelet that runs, where the machine has one.
    pub(crate) kubelet: Option<Version>,
    /// The minor that its kubelet's configuration was last written for.
    pub(crate) kubelet_config: u64,
    /// What a control plane has besides.
    pub(crate) plane: Option<Plane>,
    /// What a load balancer has besides.
    pub(crate) balancer: Option<Balancing>,
    /// Windlass's own files.
    pub(crate) own: Own,
    /// Its certificates of etcd.
    pub(crate) certificates: Certificates,
}

/// What became of a machine's certificates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificates {
    /// Files in whose places renewed ones are.
    pub(crate) renewed: BTreeSet<String>,
    /// Nobody takes them.
    pub(crate) refused: bool,
}

impl Machine {
    /// The version of the package without the packager's part.
    pub(crate) fn upstream(&self, package: &str) -> Version {
        let package = self.packages.get(package).unwrap_or_else(|| panic!("{} has no {package}", self.name));
        parse_version(&package.version).expect("a version")
    }

    /// Whether the machine is a node of Kubernetes.
    pub(crate) fn is_node(&self) -> bool {
        self.packages.contains_key("kubelet")
    }
}

impl World {
    pub(crate) fn cut_off(&mut self, at: At, cut_off: bool) {
        self.machines[at].cut_off = cut_off;
        self.happened(Happened::Fault);
    }

    /// Power loss: what ran is gone, what was written stays.
    pub(crate) fn power_off(&mut self, at: At) {
        if !self.machines[at].up {
            return;
        }
        self.happened(Happened::Fault);
        let machine = &mut self.machines[at];
        machine.up = false;
        machine.boot += 1;
        let boot = machine.boot;
        machine.kubelet = None;
        if let Some(plane) = &mut machine.plane {
            plane.all_stop();
        }
        if let Some(balancer) = &mut machine.balancer {
            balancer.out.clear();
        }
        self.units_lost(at);
        self.members_stop_with(at);
        self.pods_stop_with(at);
        self.after(SECOND * BOOTS, Later::Boot(at, boot));
        self.after(SECOND * LEASE, Later::LeaseEnds(at));
        self.settle();
    }

    pub(super) fn boot(&mut self, at: At, boot: u32) {
        if self.machines[at].boot == boot {
            self.machines[at].up = true;
            self.after(SECOND * SERVICES, Later::Services(at, boot));
        }
    }

    pub(super) fn services_start(&mut self, at: At, boot: u32) {
        if self.machines[at].boot != boot {
            return;
        }
        self.members_start_with(at);
        if self.machines[at].is_node() {
            self.kubelet_starts(at);
        }
        if self.machines[at].plane.is_some() {
            self.static_pods_start(at);
        }
    }

    /// Everything that a fault broke is put right: links, disks, power. What a machine has to do by itself is still to come.
    pub(crate) fn put_right(&mut self) {
        for at in 0..self.machines.len() {
            let machine = &mut self.machines[at];
            machine.cut_off = false;
            machine.full = false;
            // A kubelet goes on telling of itself, by a clock that is right again.
            if std::mem::take(&mut machine.skew_ms) != 0 && machine.kubelet.is_some() {
                let boot = machine.boot;
                self.after(SECOND, Later::KubeletReports(at, boot));
            }
            let machine = &mut self.machines[at];
            if machine.plane.is_some() {
                self.api_away(at, false);
            }
            if let Some(member) = self.member_of(at) {
                self.member_away(member, false);
            }
            self.thaw(at);
        }
        self.happened(Happened::Fault);
    }
}
