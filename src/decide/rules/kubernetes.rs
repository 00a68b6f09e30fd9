//! Rules of Kubernetes: the version skew policy (kubernetes.io/releases/version-skew-policy) and kubeadm's own limits.

use semver::Version;

use super::{Case, needed};
use crate::decide::finding::{Finding, Rule};
use crate::decide::target::{Way, minor, minors_apart};
use crate::facts::{ApiFacts, KubeNode, Seen};
use crate::inventory::{NodeName, Role};

pub(super) fn findings(case: Case<'_>) -> Vec<Finding> {
    let Some(to) = &case.target.kubernetes else { return Vec::new() };
    let mut found = Vec::new();
    let servers = api_servers(case, &mut found);
    found.extend(servers.iter().filter_map(|(node, from)| server_way(node, from, to)));
    found.extend(spread(&servers));
    match needed(&case.facts.api, "cluster", "the Kubernetes API") {
        Err(finding) => found.push(finding),
        Ok(api) => {
            found.extend(kubeadm_config(api, to, &servers));
            found.extend(nodes(case, api, to, &servers));
            found.extend(strangers(case, api));
        }
    }
    found.extend(single_control_plane(case, to));
    found
}

/// What holds whatever is asked for.
pub(super) fn standing(case: Case<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let servers = api_servers(case, &mut found);
    found.extend(spread(&servers));
    match needed(&case.facts.api, "cluster", "the Kubernetes API") {
        Err(finding) => found.push(finding),
        Ok(api) => {
            found.extend(api.nodes.iter().flat_map(|node| node_of_itself(node, &servers)));
            found.extend(strangers(case, api));
        }
    }
    found
}

fn node_of_itself(node: &KubeNode, servers: &[(NodeName, Version)]) -> Vec<Finding> {
    let mut found = Vec::new();
    if !node.ready() {
        found.push(Finding::refusal(Rule::NodeNotReady, &node.name, not_ready(node)));
    }
    if node.unschedulable {
        let by = match (&node.cordoned_by, &node.cordon_reason) {
            (Some(run), _) => format!("is cordoned by run {run} of Windlass, which did not end: go on with that plan"),
            (None, Some(reason)) => format!("is cordoned, not by Windlass ({reason})"),
            (None, None) => "is cordoned, not by Windlass".to_owned(),
        };
        found.push(Finding::warning(Rule::Cordoned, &node.name, by));
    }
    let versions = servers.iter().map(|(_, version)| version);
    match (&node.kubelet, versions.clone().min(), versions.max()) {
        (Seen::Unknown(why), ..) => found.push(super::unseen(&node.name, "its kubelet's version", why)),
        (Seen::Known(kubelet), Some(oldest), _) if minor_of(kubelet) > minor_of(oldest) => {
            let detail = format!("its kubelet is at {kubelet}, newer than the oldest API server, {oldest}");
            found.push(Finding::refusal(Rule::KubeletSkew, &node.name, detail));
        }
        (Seen::Known(kubelet), _, Some(newest)) if too_old(kubelet, newest) => {
            let most = most_lag(kubelet);
            let detail = format!(
                "its kubelet is at {kubelet}; API servers at {newest} serve kubelets {most} minors back at most"
            );
            found.push(Finding::refusal(Rule::KubeletSkew, &node.name, detail));
        }
        (Seen::Known(_), ..) => {}
    }
    found
}

/// The oldest API server's version among the control planes that take part.
pub fn oldest_api_server(case: Case<'_>) -> Option<Version> {
    api_servers(case, &mut Vec::new()).into_iter().map(|(_, version)| version).min()
}

fn api_servers(case: Case<'_>, found: &mut Vec<Finding>) -> Vec<(NodeName, Version)> {
    let mut servers = Vec::new();
    for node in case.with_role(Role::ControlPlane) {
        let Some(machine) = case.machine(&node.name) else { continue };
        match needed(&machine.api_server, &node.name, "its API server's version") {
            Ok(Some(version)) => servers.push((node.name.clone(), version.clone())),
            Ok(None) => found.push(Finding::refusal(
                Rule::NotInstalled,
                &node.name,
                "is a control plane in the inventory, but runs no API server",
            )),
            Err(finding) => found.push(finding),
        }
    }
    servers
}

fn server_way(node: &NodeName, from: &Version, to: &Version) -> Option<Finding> {
    match Way::between(from, to) {
        Way::Same | Way::Patch | Way::Minor => None,
        Way::Down => Some(Finding::refusal(
            Rule::KubernetesDowngrade,
            node,
            format!("its API server is at {from}, newer than {to}; Kubernetes does not go back"),
        )),
        Way::Skip => Some(Finding::refusal(
            Rule::KubernetesSkip,
            node,
            format!(
                "its API server is at {from}; {to} would skip {}, and no minor may be skipped: raise to {}.{} first",
                skipped(from, to),
                from.major,
                from.minor + 1
            ),
        )),
    }
}

/// `1.21` or `1.21 to 1.23`.
fn skipped(from: &Version, to: &Version) -> String {
    if from.major != to.major {
        return format!("from {} on", minor(from));
    }
    let (first, last) = (from.minor + 1, to.minor - 1);
    if first == last { format!("{}.{first}", to.major) } else { format!("{0}.{first} to {0}.{last}", to.major) }
}

fn spread(servers: &[(NodeName, Version)]) -> Option<Finding> {
    let (oldest, newest) = (servers.iter().min_by_key(|(_, v)| v)?, servers.iter().max_by_key(|(_, v)| v)?);
    let apart = minors_apart(&oldest.1, &newest.1);
    (apart.is_none_or(|apart| apart > 1)).then(|| {
        Finding::refusal(
            Rule::ApiServerSpread,
            "cluster",
            format!(
                "API servers are more than one minor apart: {} is at {}, {} at {}",
                oldest.0, oldest.1, newest.0, newest.1
            ),
        )
    })
}

fn kubeadm_config(api: &ApiFacts, to: &Version, servers: &[(NodeName, Version)]) -> Option<Finding> {
    let config = match needed(&api.kubeadm, "cluster", "kubeadm-config") {
        Ok(config) => config,
        Err(finding) => return Some(finding),
    };
    let between = servers.iter().any(|(_, version)| version == &config.version) || &config.version == to;
    (!between).then(|| {
        let says = format!("kubeadm-config says {}, which no API server runs", config.version);
        // `kubeadm upgrade apply` writes it last: one that lags was left by an apply that did not end.
        match Way::between(&config.version, to) {
            Way::Same | Way::Patch | Way::Minor => {
                let detail = format!("{says}: kubeadm upgrade apply puts it right");
                Finding::warning(Rule::KubernetesSkip, "cluster", detail)
            }
            Way::Skip | Way::Down => {
                Finding::refusal(Rule::KubernetesSkip, "cluster", format!("{says}: put it right first"))
            }
        }
    })
}

fn nodes(case: Case<'_>, api: &ApiFacts, to: &Version, servers: &[(NodeName, Version)]) -> Vec<Finding> {
    let oldest_server = servers.iter().map(|(_, version)| version).min();
    let mut found = Vec::new();
    for node in &api.nodes {
        let left_out = case.target.leave_out.iter().any(|name| name.as_str() == node.name);
        if left_out {
            found.push(Finding::warning(Rule::LeftOut, &node.name, "left out of this plan by your word"));
        } else if !node.ready() {
            found.push(Finding::refusal(Rule::NodeNotReady, &node.name, not_ready(node)));
        }
        if node.unschedulable && !left_out {
            let by = match (&node.cordoned_by, &node.cordon_reason) {
                (Some(run), _) => format!(
                    "is cordoned by run {run} of Windlass, which did not end: go on with that plan instead of this one, or \
                     uncordon it by hand; else it stays cordoned"
                ),
                (None, Some(reason)) => format!("is cordoned, not by Windlass ({reason}), and stays so"),
                (None, None) => "is cordoned, not by Windlass, and stays so".to_owned(),
            };
            found.push(Finding::warning(Rule::Cordoned, &node.name, by));
        }
        match &node.kubelet {
            Seen::Unknown(why) => found.push(super::unseen(&node.name, "its kubelet's version", why)),
            Seen::Known(kubelet) => found.extend(kubelet_skew(node, kubelet, oldest_server, to, left_out)),
        }
    }
    found
}

fn not_ready(node: &KubeNode) -> String {
    let ready = node.conditions.iter().find(|condition| condition.kind == "Ready");
    match ready {
        Some(condition) => format!("is not Ready: {} ({})", condition.message, condition.reason),
        None => "is not Ready: it never reported".to_owned(),
    }
}

/// A kubelet is never newer than an API server, and may lag two minors behind it (three from kubelet 1.25 on). One that is
/// newer than the oldest API server, and not than the target, is what this plan puts right first: a control plane that was
/// raised whole, kubelet included, before the others.
fn kubelet_skew(
    node: &KubeNode,
    kubelet: &Version,
    oldest_server: Option<&Version>,
    to: &Version,
    left_out: bool,
) -> Option<Finding> {
    let name = &node.name;
    if let Some(server) = oldest_server
        && minor_of(kubelet) > minor_of(server)
    {
        let detail = format!("its kubelet is at {kubelet}, newer than the oldest API server, {server}");
        if minor_of(kubelet) <= minor_of(to) {
            let detail = format!("{detail}: this plan raises the API servers first");
            return Some(Finding::warning(Rule::KubeletSkew, name, detail));
        }
        return Some(Finding::refusal(Rule::KubeletSkew, name, detail));
    }
    too_old(kubelet, to).then(|| {
        let most = most_lag(kubelet);
        let stays = if left_out { "would stay" } else { "is" };
        let detail =
            format!("its kubelet {stays} at {kubelet}; API servers at {to} serve kubelets {most} minors back at most: raise it first");
        Finding::refusal(Rule::KubeletSkew, name, detail)
    })
}

/// How many minors a kubelet may be behind an API server.
fn most_lag(kubelet: &Version) -> i64 {
    if minor_of(kubelet) >= (1, 25) { 3 } else { 2 }
}

fn too_old(kubelet: &Version, server: &Version) -> bool {
    minors_apart(kubelet, server).is_none_or(|lag| lag > most_lag(kubelet))
}

fn minor_of(version: &Version) -> (u64, u64) {
    (version.major, version.minor)
}

/// Nodes that only the inventory or only the cluster knows.
fn strangers(case: Case<'_>, api: &ApiFacts) -> Vec<Finding> {
    let mut found = Vec::new();
    for node in case.nodes().filter(|node| node.is_kube()) {
        if !api.nodes.iter().any(|known| known.name == node.name.as_str()) {
            let detail = "is in the inventory, but the cluster has no such node";
            found.push(Finding::refusal(Rule::NodeUnknown, &node.name, detail));
        }
    }
    for known in &api.nodes {
        match case.inventory.nodes.iter().find(|node| node.name.as_str() == known.name) {
            None => {
                let detail = "is a node of the cluster, but not in the inventory: add it, or it would be left behind";
                found.push(Finding::refusal(Rule::NodeUnknown, &known.name, detail));
            }
            Some(node) => {
                let runs = known.roles.iter().any(|role| role == "control-plane" || role == "master");
                if runs != node.roles.contains(&Role::ControlPlane) {
                    let detail = "is a control plane in the cluster or in the inventory, but not in both";
                    found.push(Finding::refusal(Rule::NodeUnknown, &known.name, detail));
                }
            }
        }
    }
    found
}

fn single_control_plane(case: Case<'_>, to: &Version) -> Option<Finding> {
    let planes: Vec<_> = case.inventory.with_role(Role::ControlPlane).collect();
    let at_target = |node: &&crate::inventory::Node| {
        let machine = case.machine(&node.name);
        let at = |version: &Seen<Option<Version>>| version.known().and_then(Option::as_ref) == Some(to);
        machine.is_some_and(|machine| at(&machine.api_server) && at(&machine.kubelet_running))
    };
    (planes.len() == 1 && !planes.iter().all(at_target)).then(|| {
        let detail = "with one control plane the API is away while its API server and kubelet restart, about a minute";
        if case.target.accept_outage {
            Finding::warning(Rule::Outage, "cluster", format!("{detail} (accepted)"))
        } else {
            Finding::refusal(Rule::Outage, "cluster", format!("{detail}: accept it with --accept-outage"))
        }
    })
}
