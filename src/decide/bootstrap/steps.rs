//! The stages of a cluster that begins.

use super::kubeadm::{Documents, peer_url};
use super::{BESIDE, RUNC, RUNTIMES, Wanted, balancer, is_member, members, rules};
use crate::decide::actions::balancer::{AwaitServers, HandOver};
use crate::decide::actions::bootstrap::{
    ApplyManifest, Introduce, KubeadmInit, KubeadmJoin, Newcomer, PrepareMachine, RevokeTokens, SendManifest,
    SetUpRuntime, SettleMember,
};
use crate::decide::actions::certificates::{PlaceCertificates, SendCertificates};
use crate::decide::actions::etcd::Snapshot;
use crate::decide::actions::former::Undo;
use crate::decide::actions::kubelet::AwaitReady;
use crate::decide::actions::members::AwaitMembers;
use crate::decide::actions::packages::{FetchPackages, InstallPackages, Pinned, PullImages};
use crate::decide::draft::step;
use crate::decide::finding::Finding;
use crate::decide::plan::Step;
use crate::decide::planner::packages::{KUBERNETES, afresh, installed, whatever};
use crate::facts::MachineFacts;
use crate::inventory::{Node, Role, Topology};

pub(in crate::decide) use crate::decide::draft::Draft;

/// What a machine gets.
pub(in crate::decide) struct Share<'a> {
    node: &'a Node,
    machine: &'a MachineFacts,
    runtime: Vec<Pinned>,
    kubernetes: Vec<Pinned>,
    etcd: Vec<Pinned>,
    balancer: Vec<Pinned>,
}

/// Draws the plan, or says why its files do not fit it. What could not be had is the rules' to say.
pub(super) fn draw(wanted: Wanted<'_>, documents: &Documents) -> Result<Draft, Vec<Finding>> {
    let mut draft = Draft::default();
    let inventory = wanted.inventory;
    let shares: Vec<Share<'_>> = inventory.nodes.iter().filter_map(|node| share(wanted, node)).collect();
    let share = |node: &Node| shares.iter().find(|share| share.node.name == node.name);
    let nodes = || inventory.nodes.iter();
    let kube = || nodes().filter(|node| node.is_kube());
    let swap_off = !documents.tolerates_swap();
    draft.together("prepare", nodes(), |node| share(node).map(|share| prepare(share, swap_off)).unwrap_or_default());
    draft.together("install", nodes(), |node| {
        share(node).map(|share| install(wanted, documents, share)).unwrap_or_default()
    });
    if inventory.etcd.topology == Topology::External {
        etcd(&mut draft, wanted);
    }
    let balancers = || inventory.with_role(Role::LoadBalancer);
    draft.together("load-balancers", balancers(), |node| {
        Some(step("set-up", 120, balancer::set_up(inventory, node, inventory.with_role(Role::ControlPlane))))
    });
    let mut planes = inventory.with_role(Role::ControlPlane);
    let Some(first) = planes.next() else { return Ok(draft) };
    let configuration = documents.of_init(inventory, first, wanted.kubernetes);
    let configuration =
        configuration.map_err(|wrong| wrong.into_iter().map(rules::configuration).collect::<Vec<_>>())?;
    let ignore = &inventory.kubeadm.ignore_preflight_errors;
    let init = KubeadmInit { to: wanted.kubernetes.clone(), configuration, ignore: ignore.clone() };
    let mut steps = vec![step("kubeadm-init", 600, init)];
    for (at, manifest) in (1..).zip(&wanted.files.manifests) {
        let (file, sha256) = (manifest.file.clone(), manifest.sha256.clone());
        let send = SendManifest { file: file.clone(), sha256: sha256.clone(), bytes: manifest.bytes };
        steps.push(step(&format!("send-{at}"), 120, send));
        steps.push(step(&format!("apply-{at}"), 120, ApplyManifest { file, sha256 }));
    }
    steps.push(step("await-ready", 300, ready(wanted, true)));
    draft.alone("first-control-plane", Some(&first.name), steps);
    for (at, plane) in (1_usize..).zip(planes) {
        draft.alone(&format!("snapshot-before-{}", plane.name), None, vec![snapshot(false)]);
        draft.alone(&format!("join-{}", plane.name), Some(&plane.name), join_at(wanted, documents, plane, at));
    }
    let workers = kube().filter(|node| !node.roles.contains(&Role::ControlPlane));
    draft.together("workers", workers, |node| join_at(wanted, documents, node, 0));
    let servers: Vec<String> = inventory.with_role(Role::ControlPlane).map(|node| node.name.to_string()).collect();
    draft.together("load-balancers-lead", balancers(), |_| {
        Some(step("await-servers", 120, AwaitServers { servers: servers.clone() }))
    });
    if balancers().count() > 1 {
        // Whichever has the address gives it to the other, and that one back.
        for node in balancers() {
            let (address, port) = balancer::endpoint(inventory);
            let name = format!("hand-over-{}", node.name);
            draft.alone(&name, Some(&node.name), vec![step("hand-over", 60, HandOver { address, port })]);
        }
    }
    draft.alone("tokens", Some(&first.name), vec![step("revoke-tokens", 60, RevokeTokens {})]);
    draft.alone("snapshot-etcd", None, vec![snapshot(true)]);
    Ok(draft)
}

fn snapshot(proven: bool) -> Step {
    step("snapshot", 1800, Snapshot { proven })
}

fn ready(wanted: Wanted<'_>, control_plane: bool) -> AwaitReady {
    AwaitReady { to: wanted.kubernetes.clone(), control_plane }
}

pub(in crate::decide) fn share<'a>(wanted: Wanted<'a>, node: &'a Node) -> Option<Share<'a>> {
    let machine = wanted.facts.machine(&node.name)?;
    let mut share =
        Share { node, machine, runtime: Vec::new(), kubernetes: Vec::new(), etcd: Vec::new(), balancer: Vec::new() };
    if node.is_kube() {
        let there = |name: &&&str| machine.packages.get(**name).is_some_and(|facts| facts.installed.is_some());
        let any = || RUNTIMES.iter().find(|name| whatever(name, machine).is_some());
        let runtime = RUNTIMES.iter().find(there).or_else(any).copied();
        // Debian's containerd comes with runc as a package of its own.
        let beside = (runtime == Some("containerd")).then_some(RUNC);
        share.runtime.extend(runtime.into_iter().chain(beside).filter_map(|name| whatever(name, machine)));
        let beside = BESIDE.iter().filter_map(|name| whatever(name, machine));
        let kubernetes = KUBERNETES.iter().filter_map(|name| afresh(name, machine, wanted.kubernetes).ok());
        share.kubernetes.extend(kubernetes.chain(beside));
    }
    if let Some(version) = wanted.etcd.filter(|_| is_member(wanted.inventory, node)) {
        let etcd = &wanted.inventory.etcd;
        let names = std::iter::once(&etcd.package).chain(&etcd.client_package);
        share.etcd.extend(names.filter_map(|name| afresh(name, machine, version).ok()));
    }
    if node.roles.contains(&Role::LoadBalancer) {
        share.balancer.extend(balancer::packages(wanted.inventory).filter_map(|name| whatever(name, machine)));
    }
    Some(share)
}

/// What changes nothing that runs: the kernel's settings, and everything that has to come over the network.
pub(in crate::decide) fn prepare(share: &Share<'_>, swap_off: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    if share.node.is_kube() {
        steps.push(step("prepare-machine", 120, PrepareMachine { swap_off }));
    }
    let packages: Vec<Pinned> =
        [&share.runtime, &share.kubernetes, &share.etcd, &share.balancer].into_iter().flatten().cloned().collect();
    if !packages.is_empty() {
        steps.push(step("fetch-packages", 900, FetchPackages { packages, former: Vec::new() }));
    }
    steps
}

/// Packages, the runtime with its images, and certificates.
pub(in crate::decide) fn install(wanted: Wanted<'_>, documents: &Documents, share: &Share<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut add = |name: &str, packages: &[Pinned], held: bool| {
        let from = installed(share.machine, packages);
        let hold = packages.iter().filter(|_| held).map(|package| package.name.clone()).collect();
        let install = InstallPackages { packages: packages.to_vec(), from, hold, undo: Undo::Automatic, member: None };
        steps.extend((!packages.is_empty()).then(|| step(name, 900, install)));
    };
    add("install-etcd", &share.etcd, true);
    add("install-runtime", &share.runtime, true);
    add("install-kubernetes", &share.kubernetes, true);
    // What is mended there is welcome at any time.
    add("install-balancer", &share.balancer, false);
    if share.node.is_kube() {
        let runtime = SetUpRuntime { configuration: wanted.files.containerd.clone() };
        // Behind the runtime, before what asks it.
        let at = steps.iter().position(|step| step.name == "install-kubernetes").unwrap_or(steps.len());
        steps.insert(at, step("set-up-runtime", 120, runtime));
        let kubeadm = share.kubernetes.iter().find(|package| package.name == "kubeadm");
        if let Some(kubeadm) = kubeadm.filter(|_| !documents.names_images()) {
            let control_plane = share.node.roles.contains(&Role::ControlPlane);
            let etcd = wanted.inventory.etcd.topology == Topology::Stacked;
            let (to, kubeadm) = (wanted.kubernetes.clone(), kubeadm.clone());
            let pull = PullImages { to, kubeadm, control_plane, etcd, brings: None };
            steps.push(step("pull-images", 900, pull));
        }
    }
    let order = wanted.authority.and_then(|authority| members::order(wanted.inventory, authority, share.node));
    if let Some(order) = order {
        let member = is_member(wanted.inventory, share.node);
        let service = if member { wanted.inventory.etcd.service.clone() } else { "kubelet".to_owned() };
        let files = order.files();
        steps.push(step("make-certificates", 60, SendCertificates { order }));
        steps.push(step("place-certificates", 60, PlaceCertificates { service, files }));
    }
    steps
}

/// The members of an external etcd: all of them at the same time, because none answers before most of them run.
fn etcd(draft: &mut Draft, wanted: Wanted<'_>) {
    let inventory = wanted.inventory;
    draft.together("etcd", inventory.etcd_nodes(), |node| Some(step("form", 120, members::form(inventory, node))));
    let mut peers: Vec<String> = inventory.etcd_nodes().map(peer_url).collect();
    peers.sort();
    let steady_ms = (inventory.bootstrap.election_ms * 3 / 2).max(2000);
    draft.alone("etcd-whole", None, vec![step("await-members", 120, AwaitMembers { peers, steady_ms })]);
    draft.together("etcd-settled", inventory.etcd_nodes(), |_| {
        Some(step("settle", 60, SettleMember { env_file: inventory.etcd.env_file.to_string() }))
    });
}

/// How a machine joins, with what is waited for of a stacked etcd once it has.
pub(in crate::decide) fn join(
    wanted: Wanted<'_>,
    documents: &Documents,
    node: &Node,
    newcomer: Newcomer,
    whole: Option<AwaitMembers>,
) -> Vec<Step> {
    let inventory = wanted.inventory;
    let configuration = documents.of_join(inventory, node, wanted.kubernetes, newcomer.is_control_plane());
    let ignore = inventory.kubeadm.ignore_preflight_errors.clone();
    let join = KubeadmJoin { to: wanted.kubernetes.clone(), newcomer, configuration, ignore };
    let mut steps = vec![
        step("introduce", 120, Introduce { newcomer }),
        step("kubeadm-join", 600, join),
        step("await-ready", 300, ready(wanted, newcomer.is_control_plane())),
    ];
    steps.extend(whole.map(|whole| step("await-members", 300, whole)));
    steps
}

/// How a machine joins a cluster that begins; as the `at`th control plane behind the first, or as a worker.
fn join_at(wanted: Wanted<'_>, documents: &Documents, node: &Node, at: usize) -> Vec<Step> {
    let inventory = wanted.inventory;
    let stacked = inventory.etcd.topology == Topology::Stacked;
    let newcomer = match (node.roles.contains(&Role::ControlPlane), stacked) {
        (false, _) => Newcomer::Worker,
        (true, false) => Newcomer::ControlPlane,
        (true, true) => Newcomer::ControlPlaneWithEtcd,
    };
    let whole = (newcomer == Newcomer::ControlPlaneWithEtcd).then(|| {
        let mut peers: Vec<String> = inventory.etcd_nodes().take(at + 1).map(peer_url).collect();
        peers.sort();
        AwaitMembers { peers, steady_ms: (inventory.bootstrap.election_ms * 3 / 2).max(2000) }
    });
    join(wanted, documents, node, newcomer, whole)
}
