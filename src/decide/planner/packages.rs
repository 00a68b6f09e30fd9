//! Which package versions carry the target on a machine, as its own repository names them.

use std::collections::BTreeMap;

use semver::Version;

use crate::decide::actions::former::{Undo, former};
use crate::decide::actions::packages::Pinned;
use crate::decide::actions::programs::Archive;
use crate::facts::version::parse_version;
use crate::facts::{MachineFacts, PackageFacts, Seen};
use crate::inventory::{Etcd, is_program};

/// The packages of Kubernetes on every one of its nodes. kubectl goes with the kubelet.
pub const KUBERNETES: [&str; 3] = ["kubeadm", "kubelet", "kubectl"];

/// The packages that carry Kubernetes `to` on this machine, or what is missing, in words.
pub fn kubernetes_packages(machine: &MachineFacts, to: &Version) -> Result<Vec<Pinned>, Vec<String>> {
    all(KUBERNETES.iter().copied(), machine, to)
}

/// The packages that carry etcd `to` on this machine, or its program, or what is missing, in words.
pub fn etcd_packages(
    machine: &MachineFacts,
    etcd: &Etcd,
    to: &Version,
    archive: Option<&Archive>,
) -> Result<Vec<Pinned>, Vec<String>> {
    match (is_program(&etcd.package), archive) {
        (true, Some(_)) => return program(machine, &etcd.package, to).map_err(|why| vec![why]),
        (true, None) => {
            let why = "is no package: say where its programs come from with --etcd-archive and --etcd-sha256";
            return Err(vec![format!("{} {why}", etcd.package)]);
        }
        (false, Some(_)) => {
            let why = "is a package: leave --etcd-archive away, or name the program's path in the inventory";
            return Err(vec![format!("{} {why} ([etcd] package)", etcd.package)]);
        }
        (false, None) => {}
    }
    all(std::iter::once(etcd.package.as_str()).chain(etcd.client_package.as_deref()), machine, to)
}

/// The program at the target, where it is there now.
fn program(machine: &MachineFacts, path: &str, to: &Version) -> Result<Vec<Pinned>, String> {
    let there = machine.packages.get(path).is_some_and(|facts| facts.installed.is_some());
    let pinned = || vec![Pinned { name: path.to_owned(), version: to.to_string() }];
    there.then(pinned).ok_or_else(|| format!("{path} is not there, is not root's, or does not tell its version"))
}

fn all<'a>(
    names: impl Iterator<Item = &'a str>,
    machine: &MachineFacts,
    to: &Version,
) -> Result<Vec<Pinned>, Vec<String>> {
    let (mut found, mut missing) = (Vec::new(), Vec::<(String, Vec<&str>)>::new());
    for name in names {
        match pinned(name, machine, to) {
            Ok(package) => found.push(package),
            Err(why) => match missing.iter_mut().find(|(known, _)| *known == why) {
                Some((_, names)) => names.push(name),
                None => missing.push((why, vec![name])),
            },
        }
    }
    let in_words = |(why, names): (String, Vec<&str>)| format!("{}: {why}", names.join(", "));
    if missing.is_empty() { Ok(found) } else { Err(missing.into_iter().map(in_words).collect()) }
}

/// The package as it is installed when it is at the target, else the first candidate that carries it.
fn pinned(name: &str, machine: &MachineFacts, to: &Version) -> Result<Pinned, String> {
    let facts = machine.packages.get(name).ok_or_else(|| "not looked up".to_owned())?;
    let pin = |version: &str| Pinned { name: name.to_owned(), version: version.to_owned() };
    let carries = |version: &str| parse_version(version).as_ref() == Some(to);
    // An installation that was interrupted is done again, at the same version.
    if let Some(installed) = facts.version().filter(|version| carries(version)) {
        return Ok(pin(installed));
    }
    if facts.installed.is_none() {
        return Err("not installed as a package".to_owned());
    }
    candidate(name, facts, to)
}

/// A package that may not be installed yet: as it is installed when it is at the target, else the first candidate that
/// carries it.
pub fn afresh(name: &str, machine: &MachineFacts, to: &Version) -> Result<Pinned, String> {
    match machine.packages.get(name) {
        None => Err("not looked up".to_owned()),
        Some(facts) if facts.installed.is_some() => pinned(name, machine, to),
        Some(facts) => candidate(name, facts, to),
    }
}

/// A package at whatever version is installed, or is the first to be had; nothing when there is none.
pub fn whatever(name: &str, machine: &MachineFacts) -> Option<Pinned> {
    let facts = machine.packages.get(name)?;
    let first = || facts.candidates.known()?.first().map(String::as_str);
    let version = facts.version().or_else(first)?;
    Some(Pinned { name: name.to_owned(), version: version.to_owned() })
}

/// The first candidate that carries the target.
fn candidate(name: &str, facts: &PackageFacts, to: &Version) -> Result<Pinned, String> {
    let carries = |version: &str| parse_version(version).as_ref() == Some(to);
    let pin = |version: &str| Pinned { name: name.to_owned(), version: version.to_owned() };
    match &facts.candidates {
        Seen::Unknown(why) => Err(format!("whether {to} can be had is not known: {why}")),
        Seen::Known(candidates) => {
            candidates.iter().find(|version| carries(version)).map(|version| pin(version)).ok_or_else(|| {
                let has = if candidates.is_empty() { "none at all".to_owned() } else { candidates.join(", ") };
                format!("{to} is not in the package repository, which has {has}")
            })
        }
    }
}

/// The installed versions of some packages.
pub fn installed(machine: &MachineFacts, packages: &[Pinned]) -> BTreeMap<String, String> {
    let version = |package: &Pinned| {
        let installed = machine.packages.get(&package.name)?.installed.clone()?;
        Some((package.name.clone(), installed))
    };
    packages.iter().filter_map(version).collect()
}

/// The installed versions that some packages replace, told apart: those that a source still has, and those that none is
/// known to have.
pub fn replaced(machine: &MachineFacts, packages: &[Pinned]) -> (Vec<Pinned>, Vec<Pinned>) {
    let to_be_had = |package: &Pinned| {
        // A program is copied where it is.
        if is_program(&package.name) {
            return true;
        }
        let candidates = machine.packages.get(&package.name).and_then(|facts| facts.candidates.known());
        candidates.is_some_and(|candidates| candidates.contains(&package.version))
    };
    former(packages, &installed(machine, packages)).into_iter().partition(to_be_had)
}

/// Whether the steps that install some packages can be taken back.
pub fn undo(machine: &MachineFacts, packages: &[Pinned]) -> Undo {
    match replaced(machine, packages).1 {
        gone if gone.is_empty() => Undo::Automatic,
        gone => Undo::NotKept(gone.iter().map(Pinned::spec).collect()),
    }
}

/// Those of some packages that are held.
pub fn held(machine: &MachineFacts, packages: &[Pinned]) -> Vec<String> {
    let is_held = |package: &&Pinned| machine.packages.get(&package.name).is_some_and(|facts| facts.held);
    packages.iter().filter(is_held).map(|package| package.name.clone()).collect()
}
