//! What machines keep for going back, and going back itself.

use std::time::Duration;

use windlass::decide::call::Call;
use windlass::remote::Output;

use super::jobs::{Op, guarded, seconds, unhold, unpack_and_configure};
use super::own::{Own, number};
use super::{At, Dpkg, World, complained, said};

impl Own {
    /// As the probe tells it.
    pub(super) fn kept(&self) -> Vec<String> {
        let archive = |run: &String| format!("archive {run} 4096 {}", "cc".repeat(32));
        let package = |line: &String| format!("package {}_amd64.deb", line.replace('=', "_"));
        let snapshot = |file: &String| Some(format!("snapshot {} 4096", file.strip_prefix("snapshots/")?));
        let lines = self.archives.iter().map(archive).chain(self.packages.iter().map(package));
        lines.chain(self.files.iter().filter_map(snapshot)).collect()
    }
}

/// Downloads, and keeps the new and the former packages.
pub(super) fn fetch(run: &str, former: &str, specs: &[String]) -> Vec<(Duration, Op)> {
    let download = |spec: &String| seconds(3, Op::Download(spec.clone()));
    let kept = specs.iter().map(String::as_str).chain(former.split(',').filter(|spec| *spec != "-"));
    let keep = |spec: &str| (Duration::from_millis(300), Op::Keep(run.to_owned(), spec.to_owned()));
    specs.iter().map(download).chain(kept.map(keep)).collect()
}

/// The way back of a package step.
pub(super) fn restore(run: &str, guard: &str, holds: &str, cluster: &str, specs: &[String]) -> Vec<(Duration, Op)> {
    let others = guarded(guard);
    let guards = |wait: u64| {
        let asked = others.iter().flat_map(move |others| {
            [Op::OthersAt(others.clone(), cluster.to_owned()), Op::GuardIfRuns(others.clone())]
        });
        asked.map(move |op| (Duration::from_millis(wait), op))
    };
    let mut ops = vec![(Duration::from_millis(100), Op::AreKept(run.to_owned(), specs.to_vec()))];
    ops.extend(guards(200));
    ops.extend(unhold(holds));
    ops.push((Duration::from_millis(200), Op::FinishDpkg));
    ops.extend(guards(100));
    ops.extend(unpack_and_configure(specs));
    if others.is_some() && !guard.starts_with("etcd;-") {
        ops.push((Duration::from_millis(100), Op::RestartIfOld));
    }
    ops
}

/// Archives the machine.
pub(super) fn archive(run: &str, service: &str, paths: &str) -> Vec<(Duration, Op)> {
    // Where certificates are made anew, with those of before.
    let pki = |path: &str| path.starts_with("/etc/etcd/pki/") || path.starts_with("/etc/kubernetes/pki/");
    let certificates = |more: &str| more.split(',').all(pki);
    let known = match (service, paths.strip_prefix("/etc/default/etcd")) {
        ("-", None) => paths == "-" || certificates(paths),
        ("etcd", Some(more)) => more.is_empty() || more.strip_prefix(',').is_some_and(certificates),
        _ => false,
    };
    assert!(known, "the simulation does not know an archive of {service}, {paths}");
    vec![seconds(1, Op::Archive(run.to_owned()))]
}

impl World {
    pub(super) fn keep(&mut self, at: At, op: Op) -> Result<(), i32> {
        match op {
            Op::Archive(run) => {
                if self.machines[at].full {
                    return Err(1);
                }
                self.machines[at].own.archives.insert(run);
            }
            Op::Place(sent) => {
                let files = &mut self.machines[at].own.files;
                let placed = format!("{sent}.placed");
                if !files.contains(&placed) {
                    if !files.remove(&sent) {
                        return Err(75);
                    }
                    files.insert(placed);
                }
            }
            Op::Renew(sent, paths) => {
                let machine = &mut self.machines[at];
                let placed = format!("{sent}.placed");
                if !machine.own.files.contains(&placed) {
                    if !machine.own.files.contains(&sent) {
                        return Err(75);
                    }
                    machine.own.files.insert(placed);
                    machine.certificates.renewed.extend(paths);
                }
            }
            Op::Used(sent) => {
                if self.machines[at].certificates.refused {
                    return Err(1);
                }
                self.machines[at].own.files.remove(&sent);
            }
            Op::Former(sent, paths) => {
                let machine = &mut self.machines[at];
                machine.own.files.remove(&format!("{sent}.placed"));
                machine.own.files.insert(sent);
                machine.certificates.renewed.retain(|path| !paths.contains(path));
            }
            Op::Keep(run, spec) => {
                if !self.machines[at].cache.contains(&spec) {
                    self.download(at, spec.clone()).map_err(|_| 1)?;
                }
                if self.machines[at].full {
                    return Err(1);
                }
                self.machines[at].own.packages.insert(format!("{run} {spec}"));
            }
            Op::AreKept(run, specs) => {
                let kept = &self.machines[at].own.packages;
                if !specs.iter().all(|spec| kept.contains(&format!("{run} {spec}"))) {
                    return Err(77);
                }
            }
            Op::OthersAt(others, cluster) => {
                let reports = |member: &super::etcd::Member| {
                    let version = format!("{}.{}", member.cluster.major, member.cluster.minor);
                    member.runs.is_some() && !member.away && version == cluster
                };
                let mut asked =
                    self.etcd.members.iter().filter(|m| m.told.client_urls.iter().any(|u| others.contains(u)));
                if cluster != "-" && (others.is_empty() || !asked.all(reports)) {
                    return Err(75);
                }
            }
            Op::GuardIfRuns(others) => {
                let member = self.member_of(at).expect("a member");
                // Whether a stacked one runs is not asked.
                if self.etcd.members[member].runs.is_some() || self.stacked(at).is_some() {
                    return self.guard(at, &others);
                }
            }
            Op::SomebodyInstalls(name, version) => {
                let package = self.machines[at].packages.get_mut(name).expect("a package");
                (package.version, package.state) = (version.to_owned(), Dpkg::Installed);
            }
            other => panic!("nothing to keep in {other:?}"),
        }
        Ok(())
    }

    pub(super) fn forget_run(&mut self, at: At, call: &Call) -> Output {
        let [token, run, sent @ ..] = &call.args[..] else { panic!("usage: forget-run: {:?}", call.args) };
        if let Err(output) = self.raise(at, number(token)) {
            return output;
        }
        let own = &mut self.machines[at].own;
        let of_run = |key: &String| key.starts_with(&format!("{run}/"));
        if own.units.iter().any(|(key, unit)| of_run(key) && unit.ended.is_none()) {
            return complained(9, "a unit is at work");
        }
        let (units, packages) = (own.units.len(), own.packages.len());
        own.units.retain(|key, _| !of_run(key));
        own.packages.retain(|line| !line.starts_with(&format!("{run} ")));
        own.programs.remove(run);
        let sent = |file: &String| sent.iter().any(|name| file.strip_prefix("snapshots/") == Some(name));
        own.files.retain(|file| !file.starts_with(&format!("packages/{run}/")) && !sent(file));
        let (units, packages) = (units - own.units.len(), packages - own.packages.len());
        let archives = usize::from(own.archives.remove(run));
        said(format!("archive {}\npackages {}\nunits {}\n", archives * 4096, packages * 1000, units * 10))
    }
}
