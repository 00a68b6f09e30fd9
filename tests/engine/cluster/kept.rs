//! What machines keep for going back, going back itself, and members that are not well at a version.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use semver::Version;
use windlass::decide::call::Call;
use windlass::facts::Seen;
use windlass::remote::Output;

use super::{State, refused, said};

/// What a machine keeps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keeps {
    /// Runs it has an archive of.
    pub(crate) archives: BTreeSet<String>,
    /// Packages, as `RUN NAME=VERSION`.
    pub(crate) packages: BTreeSet<String>,
    /// Copies of snapshots: their sizes by file name.
    pub(crate) snapshots: BTreeMap<String, String>,
}

/// How a member is not well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sick {
    /// It does not answer.
    Silent,
    /// It answers, and is not healthy.
    Unhealthy,
}

impl Keeps {
    /// As the probe tells it.
    pub(super) fn lines(&self) -> Vec<String> {
        let archive = |run: &String| format!("archive {run} 4096 {}", "cc".repeat(32));
        let package = |line: &String| {
            let (run, spec) = line.split_once(' ').unwrap();
            format!("package {run} {}_amd64.deb", spec.replace('=', "_"))
        };
        let snapshots = self.snapshots.iter().map(|(file, bytes)| format!("snapshot {file} {bytes}"));
        self.archives.iter().map(archive).chain(self.packages.iter().map(package)).chain(snapshots).collect()
    }
}

impl State {
    pub(super) fn archive(&mut self, node: &str, run: &str, service: &str, paths: &str) -> i32 {
        let etcd = node.starts_with("etcd");
        assert_eq!((service, paths), if etcd { ("etcd", "/etc/default/etcd") } else { ("-", "-") }, "{node}");
        let touched = self.begun.iter().any(|begun| begun.subject == node && begun.job != "archive");
        assert!(!touched, "{node} is archived after something was done to it");
        self.extra_mut(node).kept.archives.insert(run.to_owned());
        0
    }

    pub(super) fn keep(&mut self, node: &str, run: &str, former: &str, specs: &[String]) {
        let former = former.split(',').filter(|spec| *spec != "-");
        let kept: Vec<String> = specs.iter().map(String::as_str).chain(former).map(|s| format!("{run} {s}")).collect();
        self.extra_mut(node).kept.packages.extend(kept);
    }

    /// The way back of a package step.
    pub(super) fn restore(
        &mut self,
        at: Duration,
        node: &str,
        run: &str,
        (guard, holds, cluster): (&str, &str, &str),
        specs: &[String],
    ) -> i32 {
        if specs.iter().any(|spec| !self.extra[node].kept.packages.contains(&format!("{run} {spec}"))) {
            return 77;
        }
        if guard != "-" {
            let newer = |machine: &windlass::facts::MachineFacts| match &machine.etcd {
                Seen::Known(Some(process)) => {
                    let version = process.cluster_version.known().unwrap();
                    format!("{}.{}", version.major, version.minor) != cluster
                }
                _ => false,
            };
            let others = self.facts.nodes.iter().filter(|other| other.name.as_str() != node);
            if cluster != "-" && others.filter_map(|other| other.machine.known()).any(newer) {
                return 75;
            }
        }
        for spec in specs {
            let (name, version) = spec.split_once('=').unwrap();
            let package = self.machine(node).packages.get_mut(name).unwrap();
            package.held = holds.split(',').any(|hold| hold == name) || package.held;
            package.installed = Some(version.to_owned());
        }
        if guard != "-" {
            self.restart_member(at, node);
        }
        0
    }

    /// Whether the member, restarted at this version, does not come back well.
    pub(super) fn falls_sick(&mut self, node: &str, version: &Version) -> bool {
        let sick = self.sick.filter(|(name, at, _)| *name == node && *at == version.to_string());
        let healthy = match sick {
            Some((_, _, Sick::Unhealthy)) => Seen::Unknown("etcdserver: request timed out".to_owned()),
            _ => Seen::Known(()),
        };
        self.status_of(node).healthy = healthy;
        sick.is_some_and(|(_, _, how)| how == Sick::Silent)
    }

    pub(super) fn forget_run(&mut self, node: &str, call: &Call) -> Output {
        let (token, run) = (call.args[0].parse::<u64>().unwrap(), call.args[1].clone());
        let machine = self.machine(node);
        if token < machine.token {
            return refused(3, machine.token);
        }
        machine.token = token;
        let extra = self.extra_mut(node);
        let units = extra.units.len();
        extra.units.retain(|key, _| !key.starts_with(&format!("{run}/")));
        let units = units - extra.units.len();
        let archives = usize::from(extra.kept.archives.remove(&run));
        let packages = extra.kept.packages.len();
        extra.kept.packages.retain(|line| !line.starts_with(&format!("{run} ")));
        let packages = packages - extra.kept.packages.len();
        said(format!("archive {}\npackages {}\nunits {}\n", archives * 4096, packages * 1000, units * 10))
    }
}
