//! What each job does: a sequence of small effects over time, so that what cuts it off leaves what it would really leave.

mod kubeadm;
mod members;
mod nodes;
mod packages;

use std::collections::VecDeque;
use std::time::Duration;

use semver::Version;

use super::kept;
use super::planes::COMPONENTS;
use super::programs::{self, Programs};
use super::restore::{self, Restoring};
use super::stacked::{self, Raising};
use super::{At, Dpkg, World};

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
    /// Moves leadership off the member at this URL.
    MoveLeader(String),
    /// Defragments the member at this URL, which answers nobody meanwhile.
    Defragment(String),
    /// A change of etcd's members.
    Members(members::Change),
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
    /// Takes an API server out of service at the load balancer, as the run's.
    DrainServer(String, String),
    /// Gives it back if it is the run's.
    ReturnServer(String, String),
    /// Begins a drain of a node that has to end by a moment.
    Drain(String, Duration),
    /// Evicts what may go; waits for the rest.
    Evict(String, Duration),
    /// Restarts the kubelet.
    RestartKubelet,
    /// Archives the machine for a run.
    Archive(String),
    /// Puts certificates in their places, once, of what was sent.
    Place(String),
    /// Puts renewed certificates in the places of the former ones, of what was sent.
    Renew(String, Vec<String>),
    /// Looks whether they are used; what was sent is not needed any more.
    Used(String),
    /// Puts the former certificates back; what was sent waits again.
    Former(String, Vec<String>),
    /// Keeps a package for a run, downloaded now where it was not.
    Keep(String, String),
    /// Refuses unless these packages are kept for the run.
    AreKept(String, Vec<String>),
    /// Refuses unless every other member reports this cluster version; `-` asks for none.
    OthersAt(Vec<String>, String),
    /// The guard, where the member runs.
    GuardIfRuns(Vec<String>),
    /// A throw-away etcd says what it has, on a snapshot in this file, of this revision, and of etcd of this minor.
    Prove(String, u64, String),
    /// Something about programs from an archive.
    Programs(Programs),
    /// Something of a restore's.
    Restoring(Restoring),
    /// Something about a stacked member that kubeadm raises.
    Raising(Raising),
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
    pub(super) fn program(job: &str, args: &[String]) -> VecDeque<(Duration, Op)> {
        let ops = match (job, args) {
            ("archive", [run, service, paths]) => kept::archive(run, service, paths),
            ("fetch-packages", [run, former, specs @ ..]) if !specs.is_empty() => kept::fetch(run, former, specs),
            ("restore-packages", [run, guard, holds, cluster, specs @ ..]) if !specs.is_empty() => {
                kept::restore(run, guard, holds, cluster, specs)
            }
            ("pull-images", [version, package, what, etcd @ ..]) => pull(version, package, what, etcd),
            ("install-packages", [guard, holds, specs @ ..]) if !specs.is_empty() => install(guard, holds, specs),
            ("move-leader", [_, _, _, own, others]) => {
                assert!(own.starts_with("https://") && !others.is_empty(), "{own} {others}");
                vec![seconds(1, Op::MoveLeader(own.clone()))]
            }
            ("defrag", [_, _, _, own, others]) => {
                let others = others.split(',').filter(|url| *url != "-").map(str::to_owned).collect();
                vec![seconds(1, Op::Guard(others)), seconds(1, Op::Defragment(own.clone())), seconds(2, Op::Begin)]
            }
            ("place-certificates", [sent, service, files @ ..]) if !files.is_empty() => {
                assert!(sent.starts_with("certificates/") && service == "etcd", "{sent} {service}");
                vec![seconds(1, Op::Place(sent.clone()))]
            }
            ("renew-certificates", [sent, service, guard, seen, files @ ..]) if !files.is_empty() => {
                assert!(sent.starts_with("certificates/") && seen.starts_with("https://"), "{args:?}");
                assert!(["etcd", "kubelet"].contains(&service.as_str()) && (guard == "-") == (service == "kubelet"));
                let guards = guarded(guard).map(|others| (Duration::from_millis(200), Op::Guard(others)));
                let renew = seconds(1, Op::Renew(sent.clone(), files.to_vec()));
                guards.into_iter().chain([renew, seconds(1, Op::Used(sent.clone()))]).collect()
            }
            ("restore-certificates", [sent, files @ ..]) if !files.is_empty() => {
                vec![seconds(1, Op::Former(sent.clone(), files.to_vec()))]
            }
            (
                "member-add" | "member-join" | "member-kubeadm" | "member-promote" | "member-remove" | "member-retire"
                | "member-config",
                _,
            ) => members::program(job, args),
            ("kubeadm-plan", [version, ignore]) if is_labs(ignore) => {
                vec![seconds(2, Op::Preflight(target(version))), seconds(13, Op::Preflight(target(version)))]
            }
            ("kubeadm-apply", [version, ignore, guard, now, pinned, first]) if is_labs(ignore) => {
                let mut ops = stacked::before(&target(version), guard, [now, pinned, first]);
                ops.extend(apply(&target(version)));
                ops
            }
            ("kubeadm-node", [version, ignore, guard, now, pinned, first]) if is_labs(ignore) => {
                let mut ops = stacked::before(&target(version), guard, [now, pinned, first]);
                ops.push(seconds(1, Op::NodePreflight));
                ops
            }
            ("cordon", [name, run]) => vec![seconds(1, Op::Cordon(name.clone(), run.clone()))],
            ("uncordon", [name, run]) => vec![seconds(1, Op::Uncordon(name.clone(), run.clone()))],
            ("drain-server", [name, run]) => vec![seconds(1, Op::DrainServer(name.clone(), run.clone()))],
            ("return-server", [name, run]) => vec![seconds(1, Op::ReturnServer(name.clone(), run.clone()))],
            ("drain", [name, limit, emptydir, force]) if emptydir == "no" && force == "no" => {
                let limit = Duration::from_secs(super::own::number(limit).max(35));
                vec![seconds(1, Op::Drain(name.clone(), limit))]
            }
            ("prove-snapshot", [file, sha256, revision, minor, _]) => {
                assert!(file.contains("snapshot.") && sha256.len() == 64, "{args:?}");
                let prove = Op::Prove(file.clone(), super::own::number(revision), minor.clone());
                vec![seconds(2, Op::Begin), seconds(1, prove)]
            }
            ("kubelet-restart", [guard]) => {
                let guards = guarded(guard).map(|others| (Duration::from_millis(200), Op::Guard(others)));
                guards.into_iter().chain([seconds(2, Op::RestartKubelet)]).collect()
            }
            _ => programs::program(job, args)
                .or_else(|| restore::program(job, args))
                .unwrap_or_else(|| panic!("the simulation does not know the job {job} with {args:?}")),
        };
        VecDeque::from(ops)
    }

    /// Lets one effect of the unit `key` happen; the exit status when it ends the job.
    pub(super) fn perform(&mut self, at: At, key: &str, op: Op) -> Result<(), i32> {
        match op {
            Op::Begin => {}
            Op::End(status) => return Err(status),
            Op::Download(spec) => self.download(at, spec)?,
            Op::HasKubeadm(package) => self.has_kubeadm(at, &package)?,
            Op::Image(image) => self.pull_image(at, image)?,
            Op::Guard(others) => self.guard(at, &others)?,
            Op::FinishDpkg => self.finish_dpkg(at, key),
            Op::Unhold(names) => self.unhold(at, key, names),
            Op::Unpack(spec) => self.unpack(at, &spec)?,
            Op::Unpacked(spec) => self.set_package(at, &spec, Dpkg::Unpacked),
            Op::Configure(spec) => self.set_package(at, &spec, Dpkg::HalfConfigured),
            Op::Configured(spec) => self.configured(at, &spec),
            Op::RestartIfOld => self.restart_if_old(at),
            Op::MoveLeader(url) => self.move_leader(&url)?,
            Op::Defragment(url) => self.defragment(&url),
            Op::Members(change) => self.change_members(at, change)?,
            Op::Preflight(version) => self.preflight(at, &version)?,
            Op::NodePreflight => self.node_preflight(at, key)?,
            Op::Manifest(component, version) => self.manifest(at, component, &version)?,
            Op::Settled(component, version, tries) => self.settled(at, key, component, version, tries)?,
            Op::UploadConfig(version) => self.upload(|kube| kube.version = version)?,
            Op::UploadKubeletConfig(version) => self.upload(|kube| {
                let name = format!("kubelet-config-{}.{}", version.major, version.minor);
                if !kube.kubelet_configs.contains(&name) {
                    kube.kubelet_configs.push(name);
                }
            })?,
            Op::KubeletConfig => self.kubelet_config(at)?,
            Op::Addons(version) => {
                self.upload(|kube| kube.proxy_image = format!("k8s.gcr.io/kube-proxy:v{version}"))?;
            }
            Op::Cordon(name, run) => self.cordon(at, &name, &run)?,
            Op::Uncordon(name, run) => self.uncordon_if_ours(at, &name, &run)?,
            Op::DrainServer(name, run) => self.out_of_service(at, &name, &run)?,
            Op::ReturnServer(name, run) => self.given_back(at, &name, &run),
            Op::Drain(name, limit) => self.drain(at, key, name, limit)?,
            Op::Evict(name, until) => self.evict_all(at, key, name, until)?,
            Op::RestartKubelet => self.kubelet_starts(at),
            Op::Archive(_)
            | Op::Place(_)
            | Op::Renew(..)
            | Op::Used(_)
            | Op::Former(..)
            | Op::Keep(..)
            | Op::AreKept(..)
            | Op::OthersAt(..)
            | Op::GuardIfRuns(_)
            | Op::SomebodyInstalls(..) => self.keep(at, op)?,
            Op::Prove(file, revision, minor) => {
                self.machines[at].own.files.remove(&format!("proofs/{file}"));
                self.proof(at, key, revision, &minor)?;
            }
            Op::Programs(op) => self.programs(at, key, op)?,
            Op::Restoring(op) => self.restoring(at, key, op)?,
            Op::Raising(op) => self.raising(at, key, op)?,
            Op::SomebodyUncordons(name) => {
                self.acting = None;
                let node = self.node_at(&name);
                self.uncordon(node);
            }
        }
        Ok(())
    }

    /// These effects come next, in this order.
    pub(super) fn next(&mut self, at: At, key: &str, ops: Vec<(Duration, Op)>) {
        let unit = self.machines[at].own.units.get_mut(key).expect("a unit");
        for op in ops.into_iter().rev() {
            unit.ops.push_front(op);
        }
    }
}

fn target(version: &str) -> Version {
    Version::parse(version.strip_prefix('v').unwrap_or_else(|| panic!("{version} lacks its v"))).expect("a version")
}

/// Checks that may be ignored: none, or the one that the lab's inventory names.
fn is_labs(ignore: &str) -> bool {
    ["-", "SystemVerification"].contains(&ignore)
}

/// One pull stands for all the images: they differ in nothing that matters here.
fn pull(version: &str, package: &str, what: &str, etcd: &[String]) -> Vec<(Duration, Op)> {
    let [now, pinned, first] = etcd else { panic!("{etcd:?}") };
    assert!(["all-but-etcd", "worker", "all"].contains(&what) && (what == "all") == (now != "-"), "{version} {what}");
    let image = |name: &str| seconds(6, Op::Image(format!("{name}:{version}")));
    let fits = stacked::fits(&target(version), now, pinned, first);
    let has = seconds(1, Op::HasKubeadm(package.to_owned()));
    [has].into_iter().chain(fits).chain([image("kube-proxy"), image("pause")]).collect()
}

pub(super) fn unhold(holds: &str) -> Option<(Duration, Op)> {
    let names = holds.split(',').map(str::to_owned).collect();
    (holds != "-").then_some((Duration::from_millis(200), Op::Unhold(names)))
}

/// apt unpacks all, then configures all, in the order of their names; but etcd's server is unpacked before its client. So the
/// lab's logs have it.
pub(super) fn unpack_and_configure(specs: &[String]) -> Vec<(Duration, Op)> {
    let mut named = specs.to_vec();
    named.sort();
    let etcd = named.iter().any(|spec| spec.starts_with("etcd-"));
    let mut ops = Vec::new();
    for spec in if etcd { specs } else { &named } {
        ops.push((Duration::from_millis(400), Op::Unpack(spec.clone())));
        ops.push((Duration::from_millis(400), Op::Unpacked(spec.clone())));
    }
    for spec in &named {
        ops.push((Duration::from_millis(300), Op::Configure(spec.clone())));
        ops.push((Duration::from_millis(400), Op::Configured(spec.clone())));
    }
    ops
}

/// The other members' addresses in a guard; nothing for no guard.
pub(super) fn guarded(guard: &str) -> Option<Vec<String>> {
    match guard.split(';').collect::<Vec<_>>()[..] {
        ["-"] => None,
        ["etcd", "etcd" | "-", _, _, _, own, others] if own.starts_with("https://") => {
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
    if others.is_some() && !guard.starts_with("etcd;-") {
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
    let mut ops = vec![seconds(12, Op::Preflight(to.clone())), seconds(1, Op::Raising(Raising::Manifest(to.clone())))];
    ops.extend(components(to));
    ops.push(seconds(2, Op::UploadConfig(to.clone())));
    ops.push(seconds(1, Op::UploadKubeletConfig(to.clone())));
    ops.push(seconds(1, Op::KubeletConfig));
    ops.push(seconds(2, Op::Addons(to.clone())));
    ops
}
