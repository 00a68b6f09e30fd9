//! kubeadm: its checks, static pods one by one, and what it keeps in the cluster.

use semver::Version;

use super::{Op, components, seconds};
use crate::world::stacked::Raising;
use crate::world::{At, Dpkg, Kube, NodeObject, World};

impl World {
    pub(super) fn preflight(&mut self, at: At, version: &Version) -> Result<(), i32> {
        let machine = &self.machines[at];
        let own = machine.upstream("kubeadm") == *version && machine.packages["kubeadm"].state == Dpkg::Installed;
        let ready = |node: &NodeObject| node.ready || node.at.is_none_or(|at| self.machines[at].plane.is_none());
        let planes = self.kube.nodes.iter().all(ready);
        let minor = self.kube.version.minor;
        let skips = version.minor > minor + 1 || version.minor < minor;
        if own && planes && self.api_balanced() && !self.api_warms() && !skips { Ok(()) } else { Err(1) }
    }

    pub(super) fn node_preflight(&mut self, at: At, key: &str) -> Result<(), i32> {
        let to = self.kube.version.clone();
        let plane = self.machines[at].plane.is_some();
        let own = self.machines[at].upstream("kubeadm").minor == to.minor;
        let installed = self.machines[at].packages["kubeadm"].state == Dpkg::Installed;
        if !self.api_balanced() || self.api_warms() || !own || !installed {
            return Err(1);
        }
        let mut ops = Vec::new();
        if plane {
            ops.push(seconds(1, Op::Raising(Raising::Manifest(to.clone()))));
            ops.extend(components(&to));
        }
        ops.push(seconds(1, Op::KubeletConfig));
        self.next(at, key, ops);
        Ok(())
    }

    pub(super) fn manifest(&mut self, at: At, component: usize, version: &Version) -> Result<(), i32> {
        if self.machines[at].plane.as_ref().expect("a control plane").components[component].manifest == *version {
            return Ok(());
        }
        // kubeadm keeps a copy of the old one first.
        if self.machines[at].full {
            return Err(1);
        }
        self.manifest_written(at, component, version);
        Ok(())
    }

    pub(super) fn settled(
        &mut self,
        at: At,
        key: &str,
        component: usize,
        version: Version,
        tries: u32,
    ) -> Result<(), i32> {
        let known = &self.machines[at].plane.as_ref().expect("a control plane").components[component];
        let runs = known.runs.as_ref() == Some(&version);
        if runs && (component != 0 || self.api_ready(at)) {
            return Ok(());
        }
        if tries == 0 {
            return Err(1);
        }
        self.next(at, key, vec![seconds(1, Op::Settled(component, version, tries - 1))]);
        Ok(())
    }

    pub(super) fn upload(&mut self, change: impl FnOnce(&mut Kube)) -> Result<(), i32> {
        if !self.api_balanced() {
            return Err(1);
        }
        change(&mut self.kube);
        Ok(())
    }

    pub(super) fn kubelet_config(&mut self, at: At) -> Result<(), i32> {
        if self.machines[at].full {
            return Err(1);
        }
        self.machines[at].kubelet_config = self.kube.version.minor;
        Ok(())
    }
}
