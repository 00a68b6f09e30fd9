//! The laws for a cluster that begins: etcd is whole before an API server writes to it; there is one first control plane, and the
//! others join one at a time, each behind a snapshot; workers join what stands; and it ends with a snapshot that has been proven.

use std::collections::BTreeSet;

use semver::Version;
use serde_json::Value;

use super::{At, Breach, roles, steps};
use crate::decide::action::Action;
use crate::decide::actions::bootstrap::Newcomer;
use crate::decide::bootstrap::{BALANCER_PACKAGES, BESIDE, RUNC, RUNTIMES};
use crate::decide::plan::{Begin, Law, Placed, Plan};
use crate::facts::version::parse_version;
use crate::inventory::{NodeName, Role};

/// Whether only a bootstrap does this.
fn begins(action: &Action) -> bool {
    matches!(
        action,
        Action::PrepareMachine(_)
            | Action::SetUpRuntime(_)
            | Action::FormMember(_)
            | Action::SettleMember(_)
            | Action::KubeadmInit(_)
            | Action::SendManifest(_)
            | Action::ApplyManifest(_)
            | Action::Introduce(_)
            | Action::KubeadmJoin(_)
            | Action::RevokeTokens(_)
            | Action::SetUpBalancer(_)
            | Action::AwaitServers(_)
            | Action::HandOver(_)
    )
}

/// Whether a bootstrap does it besides.
fn may_begin(action: &Action) -> bool {
    begins(action)
        || matches!(
            action,
            Action::FetchPackages(_)
                | Action::InstallPackages(_)
                | Action::PullImages(_)
                | Action::SendCertificates(_)
                | Action::PlaceCertificates(_)
                | Action::AwaitMembers(_)
                | Action::AwaitReady(_)
                | Action::Snapshot(_)
        )
}

pub(super) fn check(plan: &Plan) -> Vec<Breach> {
    let Some(begin) = plan.task.begin() else {
        // Who joins a cluster that stands gets and does much of the same, under laws of its own.
        if plan.task.nodes().is_some() {
            return Vec::new();
        }
        let strange = plan.placed().filter(|placed| begins(&placed.step.action));
        let breach = |placed: Placed<'_>| Breach::new(Law::ServersFirst, placed.id(), "only a bootstrap may do this");
        return strange.map(breach).collect();
    };
    let steps = steps(plan);
    if steps.is_empty() {
        return Vec::new();
    }
    let strange = steps.iter().filter(|(_, placed)| !may_begin(&placed.step.action));
    let mut breaches: Vec<Breach> = strange
        .map(|(_, placed)| Breach::new(Law::ServersFirst, placed.id(), "a bootstrap does not do this"))
        .collect();
    breaches.extend(etcd_first(begin, &steps));
    breaches.extend(led(begin, &steps));
    breaches.extend(one_first(plan, begin, &steps));
    breaches.extend(joins(plan, begin, &steps));
    breaches.extend(ends_with_proof(&steps));
    breaches.extend(versions(&begin.kubernetes, &steps));
    breaches.extend(packages(&begin.kubernetes, begin.etcd.as_ref(), &steps));
    breaches.extend(configured(begin, &steps));
    breaches.extend(cleared_up(begin, &steps));
    breaches
}

/// Members of an external etcd are formed in one wave, each once, and seen whole before `kubeadm init`.
fn etcd_first(begin: &Begin, steps: &[At<'_>]) -> Vec<Breach> {
    let formed: Vec<&At<'_>> =
        steps.iter().filter(|(_, placed)| matches!(placed.step.action, Action::FormMember(_))).collect();
    let init = steps.iter().find(|(_, placed)| matches!(placed.step.action, Action::KubeadmInit(_)));
    let mut breaches = Vec::new();
    let breach = |detail: &str| Breach::new(Law::OneMemberAtATime, "plan", detail);
    if begin.etcd.is_none() {
        return if formed.is_empty() { breaches } else { vec![breach("members are formed, and etcd is stacked")] };
    }
    let nodes: BTreeSet<&NodeName> = formed.iter().filter_map(|(_, placed)| placed.node).collect();
    if nodes != begin.members.iter().collect() || formed.len() != nodes.len() {
        breaches.push(breach("not each machine of etcd becomes a member, once"));
    }
    if formed.iter().map(|(at, _)| at).collect::<BTreeSet<_>>().len() > 1 {
        breaches.push(breach("members that begin a cluster wait for each other, and would not be started together"));
    }
    let last = formed.iter().map(|(at, _)| *at).max();
    let whole = steps.iter().find(|(at, placed)| {
        Some(*at) > last
            && matches!(&placed.step.action, Action::AwaitMembers(it) if it.peers.len() == begin.members.len())
    });
    if init.zip(whole).is_none_or(|((init, _), (whole, _))| whole >= init) {
        breaches.push(Breach::new(Law::EtcdApart, "plan", "an API server would write to an etcd that is not whole"));
    }
    breaches
}

/// Load balancers of the cluster's own are set up before `kubeadm init`, whose API server is reached through them.
fn led(begin: &Begin, steps: &[At<'_>]) -> Option<Breach> {
    let init = steps.iter().find(|(_, placed)| matches!(placed.step.action, Action::KubeadmInit(_))).map(|(at, _)| *at);
    let set_up: BTreeSet<&NodeName> = steps
        .iter()
        .filter(|(at, placed)| Some(*at) < init && matches!(placed.step.action, Action::SetUpBalancer(_)))
        .filter_map(|(_, placed)| placed.node)
        .collect();
    let strange = steps.iter().find(|(_, placed)| {
        matches!(placed.step.action, Action::SetUpBalancer(_) | Action::AwaitServers(_) | Action::HandOver(_))
            && !placed.node.is_some_and(|node| begin.load_balancers.contains(node))
    });
    if let Some((_, placed)) = strange {
        return Some(Breach::new(Law::ServersFirst, placed.id(), "it is no load balancer"));
    }
    let detail = "not each load balancer is set up before the API is reached through it";
    (set_up != begin.load_balancers.iter().collect()).then(|| Breach::new(Law::ServersFirst, "plan", detail))
}

/// `kubeadm init` happens once, alone in its wave, on the first control plane.
fn one_first(plan: &Plan, begin: &Begin, steps: &[At<'_>]) -> Vec<Breach> {
    let inits: Vec<&At<'_>> =
        steps.iter().filter(|(_, placed)| matches!(placed.step.action, Action::KubeadmInit(_))).collect();
    let [(at, placed)] = inits.as_slice() else {
        return vec![Breach::new(Law::ServersFirst, "plan", "a cluster begins once, on one control plane")];
    };
    let first = placed.node == begin.control_planes.first();
    let plane = placed.node.is_some_and(|node| roles(plan, node).contains(&Role::ControlPlane));
    let alone = steps.iter().filter(|(other, _)| other == at).all(|(_, other)| other.node == placed.node);
    let detail = "it begins on the first control plane, while nothing else happens";
    (!(first && plane && alone)).then(|| Breach::new(Law::ServersFirst, placed.id(), detail)).into_iter().collect()
}

/// Each other node joins once, introduced just before, and is waited for; control planes one at a time, behind a snapshot, and
/// before any worker.
fn joins(plan: &Plan, begin: &Begin, steps: &[At<'_>]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let joined: Vec<&At<'_>> =
        steps.iter().filter(|(_, placed)| matches!(placed.step.action, Action::KubeadmJoin(_))).collect();
    let nodes: BTreeSet<&NodeName> = joined.iter().filter_map(|(_, placed)| placed.node).collect();
    let wanted: BTreeSet<&NodeName> = begin.control_planes.iter().skip(1).chain(&begin.workers).collect();
    if nodes != wanted || joined.len() != nodes.len() {
        breaches.push(Breach::new(Law::ServersFirst, "plan", "not each node joins, once"));
    }
    let init = steps.iter().find(|(_, placed)| matches!(placed.step.action, Action::KubeadmInit(_))).map(|(at, _)| *at);
    let mut before = init;
    for (at, placed) in &joined {
        let Action::KubeadmJoin(join) = &placed.step.action else { continue };
        let mut say = |law, detail: &str| breaches.push(Breach::new(law, placed.id(), detail));
        let plane = placed.node.is_some_and(|node| roles(plan, node).contains(&Role::ControlPlane));
        if plane != join.newcomer.is_control_plane() {
            say(Law::ServersFirst, "it joins as something else than its roles say");
        }
        if Some(*at) <= init {
            say(Law::ServersFirst, "there is nothing to join yet");
        }
        let lane: Vec<&Placed<'_>> =
            steps.iter().filter(|(other, it)| other == at && it.node == placed.node).map(|(_, it)| it).collect();
        let position = lane.iter().position(|it| it.step.name == placed.step.name).unwrap_or(0);
        let introduced =
            |it: &&Placed<'_>| matches!(&it.step.action, Action::Introduce(it) if it.newcomer == join.newcomer);
        if !lane[..position].iter().any(introduced) {
            say(Law::ServersFirst, "nobody introduces it just before");
        }
        if !lane[position..].iter().any(|it| matches!(it.step.action, Action::AwaitReady(_))) {
            say(Law::ServersFirst, "it is not waited for");
        }
        // The first one's member, and one more for each control plane that has joined.
        let members = begin.control_planes.iter().position(|name| Some(name) == placed.node).map_or(0, |at| at + 1);
        let whole = |it: &&Placed<'_>| matches!(&it.step.action, Action::AwaitMembers(it) if it.peers.len() == members);
        if join.newcomer == Newcomer::ControlPlaneWithEtcd && !lane[position..].iter().any(whole) {
            say(Law::OneMemberAtATime, "its member is not waited for");
        }
        if !plane {
            let later = joined.iter().any(|(other, it)| {
                other >= at && matches!(&it.step.action, Action::KubeadmJoin(it) if it.newcomer.is_control_plane())
            });
            if later {
                say(Law::ServersFirst, "it joins before all control planes are there");
            }
            continue;
        }
        let alone = steps.iter().filter(|(other, _)| other == at).all(|(_, it)| it.node == placed.node);
        if !alone {
            say(Law::OneMemberAtATime, "a control plane joins while something else happens");
        }
        let saved = steps
            .iter()
            .any(|(other, it)| Some(*other) > before && other < at && matches!(it.step.action, Action::Snapshot(_)));
        if !saved {
            say(Law::SnapshotFirst, "no snapshot stands between it and the control plane before it");
        }
        before = Some(*at);
    }
    breaches
}

/// What is installed is what the plan names: Kubernetes' packages at its version, and etcd's at its.
pub(super) fn packages(version: &Version, etcd: Option<&Version>, steps: &[At<'_>]) -> Vec<Breach> {
    let kubernetes = |name: &str| ["kubeadm", "kubelet", "kubectl"].contains(&name);
    let others = || BESIDE.iter().chain(&RUNTIMES).chain([&RUNC]).chain(&BALANCER_PACKAGES);
    let beside = |name: &str| others().any(|known| *known == name);
    let mut breaches = Vec::new();
    for (_, placed) in steps {
        let packages = match &placed.step.action {
            Action::FetchPackages(it) => &it.packages,
            Action::InstallPackages(it) => &it.packages,
            _ => continue,
        };
        for package in packages.iter().filter(|package| !beside(&package.name)) {
            let wanted = if kubernetes(&package.name) { Some(version) } else { etcd };
            if parse_version(&package.version).as_ref() != wanted {
                let detail = format!("it would install {}, which the plan does not name", package.spec());
                breaches.push(Breach::new(Law::NoSkip, placed.id(), detail));
            }
        }
    }
    breaches
}

/// kubeadm is told of this cluster: its version, its endpoint, and an etcd of the kind that the plan names.
fn configured(begin: &Begin, steps: &[At<'_>]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (_, placed) in steps {
        let Action::KubeadmInit(init) = &placed.step.action else { continue };
        let documents = init.configuration.split("\n---\n").filter_map(|text| serde_json::from_str::<Value>(text).ok());
        let cluster = documents.into_iter().find(|document| document["kind"] == "ClusterConfiguration");
        let fits = cluster.is_some_and(|cluster| {
            cluster["kubernetesVersion"] == format!("v{}", begin.kubernetes)
                && cluster["controlPlaneEndpoint"] == begin.endpoint.as_str()
                && cluster["etcd"].get("external").is_some() == begin.etcd.is_some()
        });
        if !fits {
            let detail = "kubeadm would be told of another cluster than the plan names";
            breaches.push(Breach::new(Law::NoSkip, placed.id(), detail));
        }
    }
    breaches
}

/// Members are told that their cluster exists, and tokens are taken back once everybody has joined.
fn cleared_up(begin: &Begin, steps: &[At<'_>]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let settled: BTreeSet<&NodeName> = steps
        .iter()
        .filter(|(_, placed)| matches!(placed.step.action, Action::SettleMember(_)))
        .filter_map(|(_, placed)| placed.node)
        .collect();
    if begin.etcd.is_some() && settled != begin.members.iter().collect() {
        let detail = "a member is not told that its cluster exists, and would begin another without its data";
        breaches.push(Breach::new(Law::OneMemberAtATime, "plan", detail));
    }
    breaches.extend(revoked_at_last(steps));
    breaches
}

/// Tokens are taken back once everybody has joined.
pub(super) fn revoked_at_last(steps: &[At<'_>]) -> Option<Breach> {
    let last = |kind: fn(&Action) -> bool| {
        steps.iter().filter(|(_, placed)| kind(&placed.step.action)).map(|(at, _)| *at).max()
    };
    let introduced = last(|action| matches!(action, Action::Introduce(_)));
    let revoked = last(|action| matches!(action, Action::RevokeTokens(_)));
    (introduced.is_some() && revoked <= introduced)
        .then(|| Breach::new(Law::ServersFirst, "plan", "tokens are not taken back once everybody has joined"))
}

/// The last that happens is a snapshot that has been proven.
fn ends_with_proof(steps: &[At<'_>]) -> Option<Breach> {
    let last = steps.last().map(|(_, placed)| &placed.step.action);
    let proven = matches!(last, Some(Action::Snapshot(snapshot)) if snapshot.proven);
    (!proven).then(|| Breach::new(Law::SnapshotFirst, "plan", "it does not end with a backup that has been proven"))
}

/// Everything is at the one version that the plan names.
pub(super) fn versions(version: &Version, steps: &[At<'_>]) -> Vec<Breach> {
    let to = |action: &Action| match action {
        Action::KubeadmInit(it) => Some(it.to.clone()),
        Action::KubeadmJoin(it) => Some(it.to.clone()),
        Action::AwaitReady(it) => Some(it.to.clone()),
        Action::PullImages(it) => Some(it.to.clone()),
        _ => None,
    };
    let other = steps.iter().filter_map(|(_, placed)| Some((placed, to(&placed.step.action)?)));
    let other = other.filter(|(_, to)| to != version);
    other
        .map(|(placed, to)| {
            Breach::new(Law::NoSkip, placed.id(), format!("it is about {to}, which the plan does not name"))
        })
        .collect()
}
