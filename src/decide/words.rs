//! Words of a plan that reach a machine: each can be nothing but what it is meant to be. Inventories and playbooks are held
//! to the same when they are read; versions and etcd's addresses come from the cluster, and all of it from a file when a plan
//! is carried out.

mod fit;

use std::net::IpAddr;

use std::collections::BTreeSet;

use super::action::Action;
use super::plan::{Placed, Plan};
use crate::inventory::{check_node_path, check_slug, check_unit};

use fit::{
    access, address, archive, argument, brings, check, ignored, image, joins, machine_id, order, packages, programs,
    raised, renews, replaced, restores, seconds, setting, settings, sha256, static_pods,
};

/// A word that is not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {why}")]
pub struct Unfit {
    /// Where, as a step's id or `plan`.
    pub at: String,
    /// In words.
    pub why: String,
}

/// The first word of the plan that is not fit.
pub fn unfit(plan: &Plan) -> Result<(), Unfit> {
    let at = |at: String| move |why| Unfit { at, why };
    check("the cluster's name", check_slug, &plan.cluster).map_err(at("plan".to_owned()))?;
    let mut ids = BTreeSet::new();
    for placed in plan.placed() {
        let id = placed.id();
        step(plan, &placed).map_err(at(id.clone()))?;
        if !ids.insert(id.clone()) {
            return Err(at(id)("two steps have this name".to_owned()));
        }
    }
    Ok(())
}

fn step(plan: &Plan, placed: &Placed<'_>) -> Result<(), String> {
    check("the stage's name", check_slug, &placed.stage.name)?;
    check("the step's name", check_slug, &placed.step.name)?;
    if let Some(node) = placed.node.filter(|node| !plan.baseline.machines.contains_key(node)) {
        return Err(format!("the plan does not say what {node} was like"));
    }
    seconds(placed.step.timeout_seconds)?;
    let beside = match &placed.step.action {
        Action::DrainServer(it) => Some(&it.balancer),
        Action::ReturnServer(it) => Some(&it.balancer),
        _ => None,
    };
    if let Some(node) = beside.filter(|node| !plan.baseline.machines.contains_key(node)) {
        return Err(format!("the plan does not say what {node} was like"));
    }
    action(&placed.step.action)
}

fn action(action: &Action) -> Result<(), String> {
    match action {
        Action::ArchiveNode(archive) => {
            archive.service.iter().try_for_each(|service| check("the service", check_unit, service))?;
            archive.paths.iter().try_for_each(|path| check("a path on the node", check_node_path, path))
        }
        Action::FetchPackages(fetch) => {
            packages(&fetch.packages, &[])?;
            if fetch.former.is_empty() { Ok(()) } else { packages(&fetch.former, &[]) }
        }
        Action::FetchArchive(fetch) => archive(&fetch.archive),
        Action::FetchTool(fetch) => image(&fetch.image),
        Action::PullImages(pull) => {
            packages(std::slice::from_ref(&pull.kubeadm), &[])?;
            pull.brings.iter().try_for_each(brings)
        }
        Action::InstallPackages(install) => {
            packages(&install.packages, &install.hold)?;
            install.member.iter().try_for_each(access)?;
            replaced(&install.packages, &install.from)
        }
        Action::SwapEtcd(swap) => {
            if let Some(archive) = &swap.archive {
                programs(&swap.packages, archive)?;
            } else {
                packages(&swap.packages, &swap.hold)?;
                replaced(&swap.packages, &swap.from)?;
            }
            check("the service", check_unit, &swap.service)?;
            access(&swap.access)
        }
        Action::MoveLeader(moved) => access(&moved.access),
        Action::RemoveMember(it) => access(&it.access),
        Action::AddMember(_)
        | Action::PromoteMember(_)
        | Action::KubeadmMember(_)
        | Action::RetireMember(_)
        | Action::WriteMembers(_) => changes_members(action),
        Action::SendCertificates(send) => order(&send.order),
        Action::PlaceCertificates(place) => {
            check("the service", check_unit, &place.service)?;
            place.files.iter().try_for_each(|file| check("a path on the node", check_node_path, file))
        }
        Action::RenewCertificates(it) => renews(it),
        Action::JoinMember(it) => joins(it),
        Action::DefragMember(it) => access(&it.access),
        Action::PrepareMachine(_)
        | Action::SetUpRuntime(_)
        | Action::FormMember(_)
        | Action::SettleMember(_)
        | Action::KubeadmInit(_)
        | Action::KubeadmJoin(_)
        | Action::SendManifest(_)
        | Action::ApplyManifest(_)
        | Action::Introduce(_)
        | Action::RevokeTokens(_)
        | Action::SetUpBalancer(_)
        | Action::HandOver(_) => begins(action),
        Action::LeaveCluster(it) => {
            sha256(&it.authority)?;
            machine_id(&it.machine)
        }
        Action::DeleteNode(it) => machine_id(&it.machine),
        Action::KubeadmPlan(plan) => ignored(&plan.ignore),
        Action::KubeadmApply(apply) => raised(&apply.ignore, apply.member.as_ref()),
        Action::KubeadmNode(node) => raised(&node.ignore, node.member.as_ref()),
        Action::RestartKubelet(restart) => restart.member.iter().try_for_each(access),
        Action::Drain(drain) => seconds(drain.timeout_seconds),
        Action::SendSnapshot(_)
        | Action::StopStaticPods(_)
        | Action::StartStaticPods(_)
        | Action::StopEtcd(_)
        | Action::StartEtcd(_)
        | Action::RestoreMember(_)
        | Action::RestartContainers(_) => brings_back(action),
        Action::RunCommand(run) if run.argv.is_empty() => Err("it names no program".to_owned()),
        Action::RunCommand(_)
        | Action::Snapshot(_)
        | Action::SaveWhatLives(_)
        | Action::AwaitRestored(_)
        | Action::RenewKubelet(_)
        | Action::AwaitHeard(_)
        | Action::AwaitEtcd(_)
        | Action::AwaitClusterVersion(_)
        | Action::AwaitMembers(_)
        | Action::AwaitApiServers(_)
        | Action::Cordon(_)
        | Action::AwaitReady(_)
        | Action::Uncordon(_)
        | Action::AwaitServers(_)
        | Action::DrainServer(_)
        | Action::ReturnServer(_)
        | Action::Gate(_) => Ok(()),
    }
}

/// What changes etcd's members.
fn changes_members(action: &Action) -> Result<(), String> {
    match action {
        Action::AddMember(it) => {
            check("the member's name", check_slug, &it.name)?;
            address(&it.peer_url)?;
            access(&it.access)
        }
        Action::PromoteMember(it) => {
            address(&it.peer_url)?;
            access(&it.access)
        }
        Action::KubeadmMember(it) => {
            ip(&it.address)?;
            address(&it.peer_url)?;
            check("a path on the node", check_node_path, &it.data_dir)?;
            access(&it.access)
        }
        Action::RetireMember(it) => {
            it.service.iter().try_for_each(|service| check("the service", check_unit, service))?;
            check("a path on the node", check_node_path, &it.data_dir)?;
            access(&it.access)
        }
        Action::WriteMembers(it) => {
            check("a path on the node", check_node_path, &it.env_file)?;
            setting(&it.members)
        }
        _ => Ok(()),
    }
}

/// What brings etcd back.
fn brings_back(action: &Action) -> Result<(), String> {
    match action {
        Action::SendSnapshot(send) => sha256(&send.sha256),
        Action::StopStaticPods(stop) => static_pods(&stop.pods),
        Action::StartStaticPods(start) => static_pods(&start.pods),
        Action::StopEtcd(stop) => check("the service", check_unit, &stop.service),
        Action::StartEtcd(start) => check("the service", check_unit, &start.service),
        Action::RestoreMember(restore) => restores(restore),
        Action::RestartContainers(restart) => static_pods(&restart.names),
        _ => Ok(()),
    }
}

fn ip(address: &str) -> Result<(), String> {
    address.parse::<IpAddr>().map(drop).map_err(|_| format!("{} is no address", crate::text::quoted(address)))
}

/// What makes a cluster begin.
fn begins(action: &Action) -> Result<(), String> {
    match action {
        Action::SetUpRuntime(it) => it.configuration.iter().try_for_each(|text| argument(text)),
        Action::FormMember(it) => {
            check("the service", check_unit, &it.service)?;
            check("a path on the node", check_node_path, &it.env_file)?;
            check("a path on the node", check_node_path, &it.data_dir)?;
            settings(&it.settings)
        }
        Action::SettleMember(it) => check("a path on the node", check_node_path, &it.env_file),
        Action::KubeadmInit(it) => {
            argument(&it.configuration)?;
            ignored(&it.ignore)
        }
        Action::KubeadmJoin(it) => {
            argument(&it.configuration)?;
            ignored(&it.ignore)
        }
        Action::SetUpBalancer(it) => {
            argument(&it.haproxy)?;
            it.keepalived.iter().try_for_each(|text| argument(text))?;
            ip(&it.address)
        }
        Action::HandOver(it) => ip(&it.address),
        Action::SendManifest(it) => sha256(&it.sha256),
        Action::ApplyManifest(it) => sha256(&it.sha256),
        _ => Ok(()),
    }
}
