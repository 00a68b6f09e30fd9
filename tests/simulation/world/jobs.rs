//! What each job does: a sequence of small effects over time, so that what cuts it off leaves what it would really leave.

use std::collections::VecDeque;
use std::time::Duration;

use semver::Version;

use super::kept;
use super::kube::Who;
use super::planes::COMPONENTS;
use super::{At, Dpkg, SECOND, World};

/// One effect of a job.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Nothing yet.
    Begin,
    /// It ends with this status.
    End(i32),
    /// Downloads a package, `NAME=VERSION`.
    Download(String),
    /// Refuses unless the package was downloaded or is installed.
    HasKubeadm(String),
    /// Pulls what stands for one image.
    Image(String),
    /// Refuses unless every other member is healthy and one of them leads.
    Guard(Vec<String>),
    /// `dpkg --configure -a`, where something was interrupted.
    FinishDpkg,
    /// Lifts holds, to be put back at the end.
    Unhold(Vec<String>),
    /// Begins to write the package's files.
    Unpack(String),
    /// Has written them.
    Unpacked(String),
    /// Begins to configure the package.
    Configure(String),
    /// Has configured it.
    Configured(String),
    /// Restarts etcd where its package did not.
    RestartIfOld,
    /// Moves leadership off the node's member.
    MoveLeader,
    /// kubeadm's checks before anything: its own version, the API, the control planes.
    Preflight(Version),
    /// The same for `upgrade node`, whose version is the cluster's.
    NodePreflight,
    /// Raises a component's manifest, unless it is there already.
    Manifest(usize, Version),
    /// Waits for the component; tries left.
    Settled(usize, Version, u32),
    /// Writes kubeadm-config.
    UploadConfig(Version),
    /// Writes the ConfigMap for kubelets of the new minor.
    UploadKubeletConfig(Version),
    /// Writes this node's kubelet configuration.
    KubeletConfig,
    /// Raises kube-proxy.
    Addons(Version),
    /// Cordons the node as the run's, unless it is cordoned.
    Cordon(String, String),
    /// Uncordons the node if it is the run's.
    Uncordon(String, String),
    /// Begins a drain of a node that has to end by a moment.
    Drain(String, Duration),
    /// Evicts what may go; waits for the rest.
    Evict(String, Duration),
    /// Restarts the kubelet.
    RestartKubelet,
    /// Archives the machine for a run.
    Archive(String),
    /// Keeps a package for a run, downloaded now where it was not.
    Keep(String, String),
    /// Refuses unless these packages are kept for the run.
    AreKept(String, Vec<String>),
    /// Refuses unless every other member reports this cluster version; `-` asks for none.
    OthersAt(Vec<String>, String),
    /// The guard, where the member runs.
    GuardIfRuns(Vec<String>),
    /// Not the job's doing: a person installs a package.
    SomebodyInstalls(&'static str, &'static str),
    /// Not the job's doing: a person uncordons the node.
    SomebodyUncordons(String),
}

pub(super) fn seconds(count: u64, op: Op) -> (Duration, Op) {
    (Duration::from_secs(count), op)
}

impl World {
    /// The effects of a job with their delays. How long they take is what LAB.md measured, rounded.
    pub(super) fn program(&self, job: &str, args: &[String]) -> VecDeque<(Duration, Op)> {
        let ops = match (job, args) {
            ("archive", [run, service, paths]) => kept::archive(run, service, paths),
            ("fetch-packages", [run, former, specs @ ..]) if !specs.is_empty() => kept::fetch(run, former, specs),
            ("restore-packages", [run, guard, holds, cluster, specs @ ..]) if !specs.is_empty() => {
                kept::restore(run, guard, holds, cluster, specs)
            }
            ("pull-images", [version, package, what]) => pull(version, package, what),
            ("install-packages", [guard, holds, specs @ ..]) if !specs.is_empty() => install(guard, holds, specs),
            ("move-leader", [_, _, _, own, others]) => {
                assert!(own.starts_with("https://") && others.split(',').count() == 2, "{own} {others}");
                vec![seconds(1, Op::MoveLeader)]
            }
            ("kubeadm-plan", [version, ignore]) if ignore == "-" => {
                vec![seconds(2, Op::Preflight(target(version))), seconds(13, Op::Preflight(target(version)))]
            }
            ("kubeadm-apply", [version, ignore]) if ignore == "-" => apply(&target(version)),
            ("kubeadm-node", [ignore]) if ignore == "-" => vec![seconds(1, Op::NodePreflight)],
            ("cordon", [name, run]) => vec![seconds(1, Op::Cordon(name.clone(), run.clone()))],
            ("uncordon", [name, run]) => vec![seconds(1, Op::Uncordon(name.clone(), run.clone()))],
            ("drain", [name, limit, emptydir, force]) if emptydir == "no" && force == "no" => {
                let limit = Duration::from_secs(super::own::number(limit).max(35));
                vec![seconds(1, Op::Drain(name.clone(), limit))]
            }
            ("kubelet-restart", []) => vec![seconds(2, Op::RestartKubelet)],
            _ => panic!("the simulation does not know the job {job} with {args:?}"),
        };
        VecDeque::from(ops)
    }

    /// Lets one effect of the unit `key` happen; the exit status when it ends the job.
    pub(super) fn perform(&mut self, at: At, key: &str, op: Op) -> Result<(), i32> {
        match op {
            Op::Begin => Ok(()),
            Op::End(status) => Err(status),
            Op::Download(spec) => self.download(at, spec),
            Op::HasKubeadm(package) => self.has_kubeadm(at, &package),
            Op::Image(image) => self.pull_image(at, image),
            Op::Guard(others) => self.guard(at, &others),
            Op::FinishDpkg => self.finish_dpkg(at, key),
            Op::Unhold(names) => self.unhold(at, key, names),
            Op::Unpack(spec) => self.unpack(at, &spec),
            Op::Unpacked(spec) => self.set_package(at, &spec, Dpkg::Unpacked),
            Op::Configure(spec) => self.set_package(at, &spec, Dpkg::HalfConfigured),
            Op::Configured(spec) => self.configured(at, &spec),
            Op::RestartIfOld => self.restart_if_old(at),
            Op::MoveLeader => self.move_leader(at),
            Op::Preflight(version) => self.preflight(at, &version),
            Op::NodePreflight => self.node_preflight(at, key),
            Op::Manifest(component, version) => self.manifest(at, component, &version),
            Op::Settled(component, version, tries) => self.settled(at, key, component, version, tries),
            Op::UploadConfig(version) => self.upload(|kube| kube.version = version),
            Op::UploadKubeletConfig(version) => self.upload(|kube| {
                let name = format!("kubelet-config-{}.{}", version.major, version.minor);
                if !kube.kubelet_configs.contains(&name) {
                    kube.kubelet_configs.push(name);
                }
            }),
            Op::KubeletConfig => self.kubelet_config(at),
            Op::Addons(version) => self.upload(|kube| kube.kube_proxy = format!("k8s.gcr.io/kube-proxy:v{version}")),
            Op::Cordon(name, run) => self.cordon(at, &name, &run),
            Op::Uncordon(name, run) => self.uncordon_if_ours(at, &name, &run),
            Op::Drain(name, limit) => self.drain(at, key, name, limit),
            Op::Evict(name, until) => self.evict_all(at, key, name, until),
            Op::RestartKubelet => self.restart_kubelet(at),
            Op::Archive(_)
            | Op::Keep(..)
            | Op::AreKept(..)
            | Op::OthersAt(..)
            | Op::GuardIfRuns(_)
            | Op::SomebodyInstalls(..) => self.keep(at, op),
            Op::SomebodyUncordons(name) => {
                self.acting = None;
                let node = self.node_at(&name);
                self.uncordon(node);
                Ok(())
            }
        }
    }

    /// These effects come next, in this order.
    fn next(&mut self, at: At, key: &str, ops: Vec<(Duration, Op)>) {
        let unit = self.machines[at].own.units.get_mut(key).expect("a unit");
        for op in ops.into_iter().rev() {
            unit.ops.push_front(op);
        }
    }

    // ---- packages ----

    pub(super) fn download(&mut self, at: At, spec: String) -> Result<(), i32> {
        let machine = &mut self.machines[at];
        let (name, version) = spec.split_once('=').expect("NAME=VERSION");
        let had = machine.told.packages[name].candidates.known().expect("a repository");
        if machine.full || !had.iter().any(|candidate| candidate == version) {
            return Err(100);
        }
        machine.cache.insert(spec);
        Ok(())
    }

    fn has_kubeadm(&mut self, at: At, package: &str) -> Result<(), i32> {
        let machine = &self.machines[at];
        let installed = machine.packages["kubeadm"].version == package;
        if installed || machine.cache.contains(&format!("kubeadm={package}")) { Ok(()) } else { Err(2) }
    }

    fn pull_image(&mut self, at: At, image: String) -> Result<(), i32> {
        if self.machines[at].full {
            return Err(1);
        }
        self.machines[at].images.insert(image);
        Ok(())
    }

    pub(super) fn guard(&mut self, at: At, others: &[String]) -> Result<(), i32> {
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

    fn finish_dpkg(&mut self, at: At, key: &str) -> Result<(), i32> {
        let broken = |state| matches!(state, Dpkg::Unpacked | Dpkg::HalfConfigured);
        let begun: Vec<String> = self.machines[at]
            .packages
            .iter()
            .filter(|(_, package)| broken(package.state))
            .map(|(name, package)| format!("{name}={}", package.version))
            .collect();
        let ops = begun.into_iter().map(|spec| seconds(1, Op::Configured(spec))).collect();
        self.next(at, key, ops);
        Ok(())
    }

    fn unhold(&mut self, at: At, key: &str, names: Vec<String>) -> Result<(), i32> {
        for name in &names {
            self.machines[at].packages.get_mut(name).expect("a package").held = false;
        }
        self.machines[at].own.units.get_mut(key).expect("a unit").holds = names;
        Ok(())
    }

    fn unpack(&mut self, at: At, spec: &str) -> Result<(), i32> {
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

    fn set_package(&mut self, at: At, spec: &str, state: Dpkg) -> Result<(), i32> {
        let (name, _) = spec.split_once('=').expect("NAME=VERSION");
        let package = self.machines[at].packages.get_mut(name).expect("a package");
        if package.state != Dpkg::Installed {
            package.state = state;
        }
        Ok(())
    }

    /// etcd's package restarts its service, the kubelet's does not.
    fn configured(&mut self, at: At, spec: &str) -> Result<(), i32> {
        let (name, _) = spec.split_once('=').expect("NAME=VERSION");
        let package = self.machines[at].packages.get_mut(name).expect("a package");
        let was = std::mem::replace(&mut package.state, Dpkg::Installed);
        if name == "etcd-server" && was != Dpkg::Installed {
            let member = self.member_of(at).expect("a member");
            self.member_restarts(member);
        }
        Ok(())
    }

    fn restart_if_old(&mut self, at: At) -> Result<(), i32> {
        let member = self.member_of(at).expect("a member");
        let installed = self.machines[at].upstream("etcd-server");
        if self.etcd.members[member].runs.as_ref().is_some_and(|runs| *runs != installed) {
            self.member_restarts(member);
        }
        Ok(())
    }

    fn move_leader(&mut self, at: At) -> Result<(), i32> {
        let member = self.member_of(at).expect("a member");
        if self.member_healthy(member) && self.lead_elsewhere(member) { Ok(()) } else { Err(1) }
    }

    // ---- kubeadm ----

    fn preflight(&mut self, at: At, version: &Version) -> Result<(), i32> {
        let machine = &self.machines[at];
        let own = machine.upstream("kubeadm") == *version && machine.packages["kubeadm"].state == Dpkg::Installed;
        let ready = |node: &super::NodeObject| node.ready || node.at.is_none_or(|at| self.machines[at].plane.is_none());
        let planes = self.kube.nodes.iter().all(ready);
        let minor = self.kube.version.minor;
        let skips = version.minor > minor + 1 || version.minor < minor;
        if own && planes && self.api_balanced() && !skips { Ok(()) } else { Err(1) }
    }

    fn node_preflight(&mut self, at: At, key: &str) -> Result<(), i32> {
        let to = self.kube.version.clone();
        let plane = self.machines[at].plane.is_some();
        let own = self.machines[at].upstream("kubeadm").minor == to.minor;
        let installed = self.machines[at].packages["kubeadm"].state == Dpkg::Installed;
        if !self.api_balanced() || !own || !installed {
            return Err(1);
        }
        let mut ops = if plane { components(&to) } else { Vec::new() };
        ops.push(seconds(1, Op::KubeletConfig));
        self.next(at, key, ops);
        Ok(())
    }

    fn manifest(&mut self, at: At, component: usize, version: &Version) -> Result<(), i32> {
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

    fn settled(&mut self, at: At, key: &str, component: usize, version: Version, tries: u32) -> Result<(), i32> {
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

    fn upload(&mut self, change: impl FnOnce(&mut super::Kube)) -> Result<(), i32> {
        if !self.api_balanced() {
            return Err(1);
        }
        change(&mut self.kube);
        Ok(())
    }

    fn kubelet_config(&mut self, at: At) -> Result<(), i32> {
        if self.machines[at].full {
            return Err(1);
        }
        self.machines[at].kubelet_config = self.kube.version.minor;
        Ok(())
    }

    // ---- through this control plane's own API server ----

    fn cordon(&mut self, via: At, name: &str, run: &str) -> Result<(), i32> {
        if !self.api_ready(via) {
            return Err(1);
        }
        let node = self.node(name);
        if !node.unschedulable {
            node.unschedulable = true;
            node.cordoned_by = Some(run.to_owned());
            node.who = Some(Who::Run(run.to_owned()));
        }
        Ok(())
    }

    fn uncordon_if_ours(&mut self, via: At, name: &str, run: &str) -> Result<(), i32> {
        if !self.api_ready(via) {
            return Err(1);
        }
        let owner_counts = !self.breaks.owner;
        let node = self.node(name);
        if owner_counts && node.cordoned_by.as_deref() != Some(run) {
            return Ok(());
        }
        node.cordoned_by = None;
        let node = self.node_at(name);
        self.uncordon(node);
        Ok(())
    }

    /// kubectl cordons first, without a name.
    fn drain(&mut self, via: At, key: &str, name: String, limit: Duration) -> Result<(), i32> {
        if !self.api_ready(via) {
            return Err(1);
        }
        let node = self.node(&name);
        if !node.unschedulable {
            node.unschedulable = true;
            node.who = None;
        }
        let until = self.now + limit;
        self.next(via, key, vec![seconds(1, Op::Evict(name, until))]);
        Ok(())
    }

    fn evict_all(&mut self, via: At, key: &str, name: String, until: Duration) -> Result<(), i32> {
        if !self.api_ready(via) {
            return Err(1);
        }
        let node = self.node_at(&name);
        let pods = self.movable(node);
        if pods.is_empty() {
            return if self.kube.nodes[node].unschedulable { Ok(()) } else { Err(1) };
        }
        if self.now > until {
            return Err(1);
        }
        for pod in pods {
            self.evict(pod);
        }
        self.next(via, key, vec![(SECOND * 2, Op::Evict(name, until))]);
        Ok(())
    }

    fn restart_kubelet(&mut self, at: At) -> Result<(), i32> {
        self.kubelet_starts(at);
        Ok(())
    }
}

fn target(version: &str) -> Version {
    Version::parse(version.strip_prefix('v').unwrap_or_else(|| panic!("{version} lacks its v"))).expect("a version")
}

/// One pull stands for all the images: they differ in nothing that matters here.
fn pull(version: &str, package: &str, what: &str) -> Vec<(Duration, Op)> {
    assert!(["all-but-etcd", "worker"].contains(&what), "{version} {what}");
    let image = |name: &str| seconds(6, Op::Image(format!("{name}:{version}")));
    vec![seconds(1, Op::HasKubeadm(package.to_owned())), image("kube-proxy"), image("pause")]
}

pub(super) fn unhold(holds: &str) -> Option<(Duration, Op)> {
    let names = holds.split(',').map(str::to_owned).collect();
    (holds != "-").then_some((Duration::from_millis(200), Op::Unhold(names)))
}

/// apt unpacks all, then configures all.
pub(super) fn unpack_and_configure(specs: &[String]) -> Vec<(Duration, Op)> {
    let mut ops = Vec::new();
    for spec in specs {
        ops.push((Duration::from_millis(400), Op::Unpack(spec.clone())));
        ops.push((Duration::from_millis(400), Op::Unpacked(spec.clone())));
    }
    for spec in specs {
        ops.push((Duration::from_millis(300), Op::Configure(spec.clone())));
        ops.push((Duration::from_millis(400), Op::Configured(spec.clone())));
    }
    ops
}

/// The other members' addresses in a guard; nothing for no guard.
pub(super) fn guarded(guard: &str) -> Option<Vec<String>> {
    match guard.split(';').collect::<Vec<_>>()[..] {
        ["-"] => None,
        ["etcd", "etcd", _, _, _, own, others] if own.starts_with("https://") => {
            Some(others.split(',').filter(|url| *url != "-").map(str::to_owned).collect())
        }
        _ => panic!("the simulation does not know the guard {guard}"),
    }
}

fn install(guard: &str, holds: &str, specs: &[String]) -> Vec<(Duration, Op)> {
    let mut ops = Vec::new();
    let others = guarded(guard);
    if let Some(others) = &others {
        ops.push((Duration::from_millis(200), Op::Guard(others.clone())));
    }
    ops.push((Duration::from_millis(200), Op::FinishDpkg));
    ops.extend(unhold(holds));
    if let Some(others) = &others {
        ops.push((Duration::from_millis(500), Op::Guard(others.clone())));
    }
    ops.extend(unpack_and_configure(specs));
    if others.is_some() {
        ops.push((Duration::from_millis(500), Op::RestartIfOld));
    }
    // apt and `apt-mark` need a while until the holds are back, as the lab's power losses showed.
    ops.push((Duration::from_millis(600), Op::Begin));
    ops
}

/// Component by component; kubeadm waits five minutes for each.
fn components(to: &Version) -> Vec<(Duration, Op)> {
    let raised = |component: usize| {
        [seconds(1, Op::Manifest(component, to.clone())), seconds(1, Op::Settled(component, to.clone(), 300))]
    };
    (0..COMPONENTS.len()).flat_map(raised).collect()
}

fn apply(to: &Version) -> Vec<(Duration, Op)> {
    let mut ops = vec![seconds(12, Op::Preflight(to.clone()))];
    ops.extend(components(to));
    ops.push(seconds(2, Op::UploadConfig(to.clone())));
    ops.push(seconds(1, Op::UploadKubeletConfig(to.clone())));
    ops.push(seconds(1, Op::KubeletConfig));
    ops.push(seconds(2, Op::Addons(to.clone())));
    ops
}
