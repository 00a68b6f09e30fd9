//! Packages, images, and etcd's members, whose package restarts them.

use super::{Op, seconds};
use crate::world::{At, Dpkg, World};

impl World {
    pub(in crate::world) fn download(&mut self, at: At, spec: String) -> Result<(), i32> {
        let machine = &mut self.machines[at];
        let (name, version) = spec.split_once('=').expect("NAME=VERSION");
        let had = machine.told.packages[name].candidates.known().expect("a repository");
        if machine.full || !had.iter().any(|candidate| candidate == version) {
            return Err(100);
        }
        machine.cache.insert(spec);
        Ok(())
    }

    pub(super) fn has_kubeadm(&mut self, at: At, package: &str) -> Result<(), i32> {
        let machine = &self.machines[at];
        let installed = machine.packages["kubeadm"].version == package;
        if installed || machine.cache.contains(&format!("kubeadm={package}")) { Ok(()) } else { Err(2) }
    }

    pub(super) fn pull_image(&mut self, at: At, image: String) -> Result<(), i32> {
        if self.machines[at].full {
            return Err(1);
        }
        self.machines[at].images.insert(image);
        Ok(())
    }

    pub(in crate::world) fn guard(&mut self, at: At, others: &[String]) -> Result<(), i32> {
        let own = self.member_of(at).expect("a member");
        let urls = |member: usize| self.etcd.members[member].told.client_urls.clone();
        let asked: Vec<usize> = (0..self.etcd.members.len())
            .filter(|member| urls(*member).iter().any(|url| others.contains(url)))
            .collect();
        assert_eq!(asked.len(), others.len(), "{others:?} are not members");
        let healthy = asked.iter().all(|member| self.member_healthy(*member));
        let leads = self.etcd.leader.is_some_and(|leader| asked.contains(&leader));
        if self.etcd.members.len() > 1 && !others.is_empty() && !(healthy && leads && !asked.contains(&own)) {
            return Err(75);
        }
        Ok(())
    }

    pub(super) fn finish_dpkg(&mut self, at: At, key: &str) {
        let broken = |state| matches!(state, Dpkg::Unpacked | Dpkg::HalfConfigured);
        let begun: Vec<String> = self.machines[at]
            .packages
            .iter()
            .filter(|(_, package)| broken(package.state))
            .map(|(name, package)| format!("{name}={}", package.version))
            .collect();
        let ops = begun.into_iter().map(|spec| seconds(1, Op::Configured(spec))).collect();
        self.next(at, key, ops);
    }

    pub(super) fn unhold(&mut self, at: At, key: &str, names: Vec<String>) {
        for name in &names {
            self.machines[at].packages.get_mut(name).expect("a package").held = false;
        }
        self.machines[at].own.units.get_mut(key).expect("a unit").holds = names;
    }

    pub(super) fn unpack(&mut self, at: At, spec: &str) -> Result<(), i32> {
        let machine = &mut self.machines[at];
        let (name, version) = spec.split_once('=').expect("NAME=VERSION");
        let package = machine.packages.get_mut(name).expect("a package");
        if package.version == version && package.state == Dpkg::Installed {
            return Ok(());
        }
        assert!(machine.cache.contains(spec), "{spec} was not downloaded to {} before", machine.name);
        assert!(!package.held, "apt does not change {name}, which is held");
        // dpkg takes back what it could not write.
        if machine.full {
            return Err(100);
        }
        version.clone_into(&mut package.version);
        package.state = Dpkg::HalfInstalled;
        Ok(())
    }

    pub(super) fn set_package(&mut self, at: At, spec: &str, state: Dpkg) {
        let (name, _) = spec.split_once('=').expect("NAME=VERSION");
        let package = self.machines[at].packages.get_mut(name).expect("a package");
        if package.state != Dpkg::Installed {
            package.state = state;
        }
    }

    /// etcd's package restarts its service, the kubelet's does not.
    pub(super) fn configured(&mut self, at: At, spec: &str) {
        let (name, _) = spec.split_once('=').expect("NAME=VERSION");
        let package = self.machines[at].packages.get_mut(name).expect("a package");
        let was = std::mem::replace(&mut package.state, Dpkg::Installed);
        if name == "etcd-server" && was != Dpkg::Installed {
            let member = self.member_of(at).expect("a member");
            self.member_restarts(member);
        }
    }

    pub(super) fn restart_if_old(&mut self, at: At) {
        let member = self.member_of(at).expect("a member");
        let installed = self.machines[at].etcd().expect("a package");
        if self.etcd.members[member].runs.as_ref().is_some_and(|runs| *runs != installed) {
            self.member_restarts(member);
        }
    }

    pub(super) fn move_leader(&mut self, url: &str) -> Result<(), i32> {
        let has = |urls: &[String]| urls.iter().any(|known| known == url);
        let member = self.etcd.members.iter().position(|member| member.listed && has(&member.told.client_urls));
        let member = member.unwrap_or_else(|| panic!("no member is asked at {url}"));
        if self.member_healthy(member) && self.lead_elsewhere(member) { Ok(()) } else { Err(1) }
    }
}
