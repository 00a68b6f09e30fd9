//! The table: what each `uses` of a playbook becomes on a node.

mod around;
mod served;
pub(super) use around::around_member;
pub(super) use served::around_server;

use std::time::Duration;

use semver::Version;

use super::packages::{KUBERNETES, etcd_packages, held, installed, kubernetes_packages, replaced, undo};
use crate::decide::action::Action;
use crate::decide::actions::archive::ArchiveNode;
use crate::decide::actions::command::{Condition, Gate, RunCommand};
use crate::decide::actions::cordon::{Cordon, Drain, Uncordon};
use crate::decide::actions::etcd::{
    AwaitClusterVersion, AwaitEtcd, EtcdAccess, MoveLeader, Snapshot, SwapEtcd, steady_ms,
};
use crate::decide::actions::kubeadm::{AwaitApiServers, KubeadmApply, KubeadmNode, KubeadmPlan, behind, config_behind};
use crate::decide::actions::kubelet::{AwaitReady, RestartKubelet};
use crate::decide::actions::packages::{FetchPackages, InstallPackages, Pinned, PullImages};
use crate::decide::actions::programs::FetchArchive;
use crate::decide::finding::{Finding, Rule};
use crate::decide::plan::Step;
use crate::decide::rules::{Case, brought};
use crate::facts::version::parse_version;
use crate::facts::{EtcdMember, MachineFacts};
use crate::inventory::{Node, Role, Topology, is_program};
use crate::playbook::{self, Place, Playbook, Uses};

/// Steps made of one entry of a playbook on `node`.
pub(super) fn step(
    case: Case<'_>,
    playbook: &Playbook,
    node: Option<&Node>,
    step: &playbook::Step,
) -> Result<Vec<Step>, Finding> {
    match step {
        playbook::Step::Uses { uses, timeout, delete_emptydir_data, force } => {
            let bound = Bound { case, snapshot: playbook.snapshot, node, uses: *uses };
            let drain = DrainOptions { delete_emptydir_data: *delete_emptydir_data, force: *force };
            bound.steps(*timeout, drain)
        }
        playbook::Step::Gate { gate: playbook::Gate::StatefulSetsReady, timeout } => {
            let action = Gate { gate: Condition::StatefulSetsReady };
            Ok(vec![named("statefulsets-ready", *timeout, 900, action)])
        }
        playbook::Step::Run { argv, on, timeout } => {
            let action = RunCommand { argv: argv.clone(), on_control: *on == Place::Control };
            Ok(vec![named("run", *timeout, 600, action)])
        }
    }
}

fn is_stacked(case: Case<'_>) -> bool {
    case.inventory.etcd.topology == Topology::Stacked
}

/// Steps of one procedure get names that differ.
pub(super) fn name_apart(steps: &mut [Step]) {
    for at in 1..steps.len() {
        let same = steps[..at].iter().filter(|step| step.name == steps[at].name).count();
        if same > 0 {
            steps[at].name = format!("{}-{}", steps[at].name, same + 1);
        }
    }
}

/// Why a node needs nothing of these steps, when everything that they would change is so already.
pub(super) fn needless(case: Case<'_>, node: Option<&Node>, steps: &[playbook::Step]) -> Option<String> {
    let (node, mut why) = (node?, None);
    let machine = case.machine(&node.name)?;
    for step in steps {
        let playbook::Step::Uses { uses, .. } = step else { continue };
        match at_target(case, node, machine, *uses) {
            Some(false) => return None,
            Some(true) => {
                let to = if raises_etcd(node, *uses) { &case.target.etcd } else { &case.target.kubernetes };
                why = to.as_ref().map(|to| format!("at {to} already"));
            }
            None => {}
        }
    }
    why
}

/// Whether what this macro changes on the node is etcd.
fn raises_etcd(node: &Node, uses: Uses) -> bool {
    uses == Uses::EtcdPackage || (uses == Uses::PreparePackages && only_etcd(node))
}

/// A machine of etcd's own.
fn only_etcd(node: &Node) -> bool {
    node.roles.iter().eq([&Role::Etcd])
}

/// Whether what this macro would change on the node is so already; `None` when it changes nothing by itself.
fn at_target(case: Case<'_>, node: &Node, machine: &MachineFacts, uses: Uses) -> Option<bool> {
    let kubernetes = case.target.kubernetes.as_ref();
    let package = |name: &str, to: &Version| {
        let installed = machine.packages.get(name).filter(|package| !package.interrupted());
        installed.and_then(|package| parse_version(package.version()?)).as_ref() == Some(to)
    };
    match uses {
        Uses::PreparePackages => {
            let kubernetes = kubernetes.is_none_or(|to| KUBERNETES.iter().all(|name| package(name, to)));
            let etcd = case
                .target
                .etcd
                .as_ref()
                .is_none_or(|to| !node.roles.contains(&Role::Etcd) || package(&case.inventory.etcd.package, to));
            Some(if only_etcd(node) { etcd } else { kubernetes && etcd })
        }
        // They are not pulled alone: kubeadm is asked which etcd it brings.
        Uses::PrepareImages if is_stacked(case) && node.roles.contains(&Role::ControlPlane) => {
            kubernetes.map(|to| behind(machine, to).is_empty())
        }
        Uses::EtcdPackage => {
            let to = case.target.etcd.as_ref()?;
            let running = machine.etcd.known().and_then(Option::as_ref).and_then(|e| e.server_version.known());
            Some(package(&case.inventory.etcd.package, to) && running == Some(to))
        }
        Uses::KubeadmPackage => kubernetes.map(|to| package("kubeadm", to)),
        Uses::KubeadmApply => {
            let to = kubernetes?;
            let api = case.facts.api.known();
            Some(behind(machine, to).is_empty() && api.is_some_and(|api| config_behind(api, to).is_empty()))
        }
        Uses::KubeadmUpgradeNode => {
            let to = kubernetes?;
            let control_plane = node.roles.contains(&Role::ControlPlane);
            Some(if control_plane {
                behind(machine, to).is_empty()
            } else {
                package("kubeadm", to) && package("kubelet", to)
            })
        }
        Uses::KubeletPackage => kubernetes.map(|to| package("kubelet", to) && package("kubectl", to)),
        Uses::KubeletRestart => {
            let to = kubernetes?;
            Some(machine.kubelet_running.known().and_then(Option::as_ref) == Some(to))
        }
        _ => None,
    }
}

#[derive(Clone, Copy)]
struct DrainOptions {
    delete_emptydir_data: bool,
    force: bool,
}

/// A macro on a node.
#[derive(Clone, Copy)]
struct Bound<'a> {
    case: Case<'a>,
    snapshot: playbook::Snapshot,
    node: Option<&'a Node>,
    uses: Uses,
}

impl<'a> Bound<'a> {
    /// The table.
    fn steps(self, timeout: Option<Duration>, drain: DrainOptions) -> Result<Vec<Step>, Finding> {
        Ok(match self.uses {
            Uses::Drain => drain_steps(timeout, drain),
            Uses::PreparePackages => self.fetch(timeout)?,
            Uses::EtcdSnapshot
            | Uses::EtcdMoveLeader
            | Uses::EtcdPackage
            | Uses::EtcdAwaitHealthy
            | Uses::EtcdAwaitClusterVersion => vec![self.etcd_step(timeout)?],
            _ => vec![self.kubernetes_step(timeout)?],
        })
    }

    fn etcd_step(self, timeout: Option<Duration>) -> Result<Step, Finding> {
        Ok(match self.uses {
            Uses::EtcdSnapshot => {
                let proven = self.snapshot == playbook::Snapshot::Proven;
                named("snapshot", timeout, 1800, Snapshot { proven })
            }
            Uses::EtcdMoveLeader => named("move-leader", timeout, 60, self.move_leader()?),
            Uses::EtcdPackage => named("package", timeout, 600, self.swap_etcd()?),
            Uses::EtcdAwaitHealthy => named("await-healthy", timeout, 300, self.await_etcd()?),
            _ => named("cluster-version", timeout, 120, AwaitClusterVersion { to: self.etcd_to()?.clone() }),
        })
    }

    fn kubernetes_step(self, timeout: Option<Duration>) -> Result<Step, Finding> {
        let ignore = self.case.inventory.kubeadm.ignore_preflight_errors.clone();
        Ok(match self.uses {
            Uses::PrepareArchive => named("archive", timeout, 300, self.archive()?),
            Uses::PrepareImages => named("images", timeout, 1800, self.pull_images()?),
            Uses::KubeadmPackage => named("kubeadm", timeout, 600, self.install(&["kubeadm"])?),
            Uses::KubeadmPlan => named("kubeadm-plan", timeout, 600, KubeadmPlan { to: self.to()?, ignore }),
            // kubeadm itself waits up to five minutes for each of up to four components.
            Uses::KubeadmApply => {
                named("kubeadm-apply", timeout, 1800, KubeadmApply { to: self.to()?, ignore, member: None })
            }
            Uses::KubeadmUpgradeNode => {
                let action =
                    KubeadmNode { to: self.to()?, control_plane: self.is_control_plane()?, ignore, member: None };
                named("kubeadm-node", timeout, 1800, action)
            }
            Uses::ApiAwaitVersion => named("api-servers", timeout, 300, AwaitApiServers { to: self.to()? }),
            Uses::KubeletPackage => named("kubelet", timeout, 600, self.install(&["kubelet", "kubectl"])?),
            Uses::KubeletRestart => named("restart", timeout, 120, RestartKubelet { to: self.to()?, member: None }),
            Uses::AwaitReady => {
                let action = AwaitReady { to: self.to()?, control_plane: self.is_control_plane()? };
                named("await-ready", timeout, 300, action)
            }
            _ => named("uncordon", timeout, 60, Uncordon {}),
        })
    }

    fn misplaced(self, needs: &str) -> Finding {
        let detail = format!("{} needs {needs}, and here is none", self.uses.word());
        Finding::refusal(Rule::PlaybookMismatch, "playbook", detail)
    }

    fn node(self) -> Result<&'a Node, Finding> {
        self.node.ok_or_else(|| self.misplaced("a node"))
    }

    fn machine(self) -> Result<&'a MachineFacts, Finding> {
        self.case.machine(&self.node()?.name).ok_or_else(|| self.misplaced("a node that answers"))
    }

    fn is_control_plane(self) -> Result<bool, Finding> {
        Ok(self.node()?.roles.contains(&Role::ControlPlane))
    }

    fn to(self) -> Result<Version, Finding> {
        self.case.target.kubernetes.clone().ok_or_else(|| self.misplaced("a Kubernetes version (--to)"))
    }

    fn etcd_to(self) -> Result<&'a Version, Finding> {
        self.case.target.etcd.as_ref().ok_or_else(|| self.misplaced("an etcd version (--etcd-to)"))
    }

    /// Everything that the node's later steps install is brought there: packages, and etcd's archive.
    fn fetch(self, timeout: Option<Duration>) -> Result<Vec<Step>, Finding> {
        let (programs, packages): (Vec<_>, Vec<_>) =
            self.every_package()?.into_iter().partition(|package| is_program(&package.name));
        let mut steps = Vec::new();
        if !packages.is_empty() {
            let (former, _) = replaced(self.machine()?, &packages);
            steps.push(named("packages", timeout, 900, FetchPackages { packages, former }));
        }
        if let (Some(archive), false) = (&self.case.target.etcd_archive, programs.is_empty()) {
            steps.push(named("archive-of-etcd", timeout, 1800, FetchArchive { archive: archive.clone() }));
        }
        Ok(steps)
    }

    /// Everything that the node's later steps install.
    fn every_package(self) -> Result<Vec<Pinned>, Finding> {
        let (node, machine) = (self.node()?, self.machine()?);
        let mut packages = Vec::new();
        if let Some(to) = &self.case.target.kubernetes
            && node.is_kube()
        {
            packages.extend(kubernetes_packages(machine, to).map_err(|why| self.missing(&why))?);
        }
        if node.roles.contains(&Role::Etcd)
            && let Some(to) = &self.case.target.etcd
        {
            packages.extend(self.etcd_packages(machine, to)?);
        }
        if packages.is_empty() { Err(self.misplaced("something to raise on this node")) } else { Ok(packages) }
    }

    fn etcd_packages(self, machine: &MachineFacts, to: &Version) -> Result<Vec<Pinned>, Finding> {
        let archive = self.case.target.etcd_archive.as_ref();
        etcd_packages(machine, &self.case.inventory.etcd, to, archive).map_err(|why| self.missing(&why))
    }

    fn missing(self, why: &[String]) -> Finding {
        let subject = self.node.map_or("cluster", |node| node.name.as_str());
        Finding::refusal(Rule::TargetMissing, subject, why.join("; "))
    }

    fn install(self, names: &[&str]) -> Result<InstallPackages, Finding> {
        let (to, machine) = (self.to()?, self.machine()?);
        let packages = kubernetes_packages(machine, &to).map_err(|why| self.missing(&why))?;
        let packages: Vec<Pinned> = packages.into_iter().filter(|p| names.contains(&p.name.as_str())).collect();
        Ok(InstallPackages {
            from: installed(machine, &packages),
            hold: held(machine, &packages),
            undo: undo(machine, &packages),
            packages,
            member: None,
        })
    }

    fn archive(self) -> Result<ArchiveNode, Finding> {
        let etcd = &self.case.inventory.etcd;
        let member = self.node()?.roles.contains(&Role::Etcd) && !is_stacked(self.case);
        Ok(ArchiveNode {
            service: member.then(|| etcd.service.clone()),
            paths: if member { vec![etcd.env_file.to_string()] } else { Vec::new() },
        })
    }

    fn pull_images(self) -> Result<PullImages, Finding> {
        let (to, machine) = (self.to()?, self.machine()?);
        let packages = kubernetes_packages(machine, &to).map_err(|why| self.missing(&why))?;
        let kubeadm = packages.into_iter().find(|package| package.name == "kubeadm");
        let (stacked, control_plane) = (is_stacked(self.case), self.is_control_plane()?);
        Ok(PullImages {
            to,
            kubeadm: kubeadm.ok_or_else(|| self.missing(&["kubeadm".to_owned()]))?,
            control_plane,
            etcd: stacked,
            brings: if stacked && control_plane { Some(brought(self.case, self.node()?)?) } else { None },
        })
    }

    fn members(self) -> &'a [EtcdMember] {
        self.case.facts.etcd.known().map_or(&[], |etcd| &etcd.members)
    }

    /// The node's own member.
    fn member(self) -> Result<&'a EtcdMember, Finding> {
        let node = &self.node()?.name;
        let own = self.members().iter().find(|member| member.node.as_ref() == Some(node));
        own.ok_or_else(|| self.misplaced("an etcd member on the node"))
    }

    fn access(self) -> Result<EtcdAccess, Finding> {
        let (own, etcd) = (self.member()?, &self.case.inventory.etcd);
        let others = self.members().iter().filter(|member| member.id != own.id);
        Ok(EtcdAccess {
            ca: etcd.ca.to_string(),
            cert: etcd.cert.to_string(),
            key: etcd.key.to_string(),
            own: own.client_urls.first().cloned().unwrap_or_default(),
            others: others.filter_map(|member| member.client_urls.first().cloned()).collect(),
        })
    }

    fn move_leader(self) -> Result<MoveLeader, Finding> {
        Ok(MoveLeader { member: self.member()?.id, access: self.access()? })
    }

    fn swap_etcd(self) -> Result<SwapEtcd, Finding> {
        let (to, machine, etcd) = (self.etcd_to()?, self.machine()?, &self.case.inventory.etcd);
        let packages = self.etcd_packages(machine, to)?;
        Ok(SwapEtcd {
            to: to.clone(),
            archive: self.case.target.etcd_archive.clone(),
            from: installed(machine, &packages),
            hold: held(machine, &packages),
            undo: undo(machine, &packages),
            packages,
            service: etcd.service.clone(),
            access: self.access()?,
        })
    }

    fn await_etcd(self) -> Result<AwaitEtcd, Finding> {
        Ok(AwaitEtcd { member: self.member()?.id, to: self.etcd_to()?.clone(), steady_ms: self.steady_ms() })
    }

    fn steady_ms(self) -> u64 {
        steady_ms(self.case.inventory.etcd_nodes().filter_map(|node| self.case.machine(&node.name)))
    }
}

fn drain_steps(timeout: Option<Duration>, drain: DrainOptions) -> Vec<Step> {
    let limit = timeout.map_or(DRAIN_SECONDS, |timeout| timeout.as_secs());
    let action = Drain { timeout_seconds: limit, delete_emptydir_data: drain.delete_emptydir_data, force: drain.force };
    vec![named("cordon", None, 60, Cordon {}), named("drain", timeout, DRAIN_SECONDS, action)]
}

/// A drain's time when the playbook gives none, in seconds.
const DRAIN_SECONDS: u64 = 600;

fn named(name: &str, timeout: Option<Duration>, default_seconds: u64, action: impl Into<Action>) -> Step {
    let timeout_seconds = timeout.map_or(default_seconds, |timeout| timeout.as_secs());
    Step { name: name.to_owned(), timeout_seconds, action: action.into() }
}
