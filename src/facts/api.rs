//! What `api.sh` prints → [`ApiFacts`].
//!
//! Pure. Without an answer of the API server there are no facts; each part that failed by itself is unknown.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::sections::{Answer, AnswerError, beginning, seen, value};
use super::version::parse_version;
use super::{ApiFacts, CORDON_ANNOTATION, KubeNode, NodeCondition, Replicas, kubeadm};
use crate::facts::Seen;
use crate::inventory::NodeName;

/// Why the API says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// It is not a whole answer.
    #[error("the answer cannot be read")]
    Answer(#[source] AnswerError),
    /// The API server did not answer, or not as ready.
    #[error("its API server is not ready: {0}")]
    NotReady(String),
    /// The nodes were asked for and not got.
    #[error("the nodes could not be listed: {0}")]
    Nodes(String),
    /// What pods keep on nodes was asked for and not got.
    #[error("what pods keep on nodes could not be seen: {0}")]
    Volumes(String),
    /// How full the nodes are was asked for and not got.
    #[error("how full the nodes are could not be seen: {0}")]
    Load(String),
}

/// Reads the answer of the API server on `asked`. Sections that were not asked for are unknown; nodes that were not asked
/// for are an empty list.
pub fn parse(stdout: &str, asked: NodeName) -> Result<ApiFacts, ApiError> {
    let answer = Answer::read(stdout).map_err(ApiError::Answer)?;
    answer.section("readyz").map_err(ApiError::NotReady)?;
    let nodes = match answer.section("nodes") {
        Ok(lines) => nodes(lines).map_err(ApiError::Nodes)?,
        Err(why) if why == "not asked" => Vec::new(),
        Err(why) => return Err(ApiError::Nodes(why)),
    };
    let addons = answer.section("addons");
    let image = |name: &str| -> Seen<Option<String>> {
        seen(addons.clone().map(|lines| value(lines, name).filter(|image| !image.is_empty()).map(str::to_owned)))
    };
    Ok(ApiFacts {
        asked,
        nodes,
        kubeadm: seen(answer.section("kubeadm").and_then(kubeadm::cluster_configuration)),
        kube_proxy: image("kube-proxy"),
        coredns: image("coredns"),
        kubelet_configs: seen(
            answer.section("kubelet-configs").map(|lines| lines.iter().map(|&l| l.to_owned()).collect()),
        ),
        stateful_sets: seen(answer.section("stateful-sets").and_then(stateful_sets)),
    })
}

/// Lines of `NAMESPACE NAME WANTED READY`, `<none>` for a number that the object lacks.
fn stateful_sets(lines: &[&str]) -> Result<Vec<Replicas>, String> {
    let replicas = |line: &&str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [namespace, name, wanted, ready] = words[..] else {
            return Err(format!("`{}`?", beginning(line)));
        };
        let count = |text: &str, absent| match text {
            "<none>" => Ok(absent),
            number => number.parse().map_err(|_| format!("{namespace}/{name} has `{}` replicas", beginning(number))),
        };
        // One replica is the API's default; none ready is how a status without the field reads.
        Ok(Replicas { name: format!("{namespace}/{name}"), wanted: count(wanted, 1)?, ready: count(ready, 0)? })
    };
    lines.iter().map(replicas).collect()
}

/// Each node is a line `node NAME` and lines with parts of the object as JSON.
fn nodes(lines: &[&str]) -> Result<Vec<KubeNode>, String> {
    let starts: Vec<_> = (0..lines.len()).filter(|&at| lines[at].starts_with("node ")).collect();
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    starts.iter().zip(ends).map(|(&start, end)| node(&lines[start..end])).collect()
}

#[derive(Default, Deserialize)]
struct Spec {
    #[serde(default)]
    unschedulable: bool,
    #[serde(default)]
    taints: Vec<Taint>,
}

#[derive(Deserialize)]
struct Taint {
    key: String,
    #[serde(rename = "timeAdded")]
    time_added: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    r#type: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    last_heartbeat_time: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Info {
    kubelet_version: String,
    container_runtime_version: String,
    #[serde(rename = "machineID")]
    machine_id: String,
}

fn node(lines: &[&str]) -> Result<KubeNode, String> {
    let name = value(lines, "node").unwrap_or_default().to_owned();
    let labels: BTreeMap<String, String> = part(lines, "labels")?;
    let annotations: BTreeMap<String, String> = part(lines, "annotations")?;
    let spec: Spec = part(lines, "spec")?;
    let conditions: Vec<Condition> = part(lines, "conditions")?;
    let info: Info = part(lines, "info")?;
    let roles = labels.keys().filter_map(|key| key.strip_prefix("node-role.kubernetes.io/"));
    let kubelet = parse_version(&info.kubelet_version)
        .ok_or_else(|| format!("the kubelet reports its version as `{}`", beginning(&info.kubelet_version)));
    Ok(KubeNode {
        name,
        roles: roles.filter(|role| !role.is_empty()).map(str::to_owned).collect(),
        conditions: conditions.into_iter().map(condition).collect(),
        unschedulable: spec.unschedulable,
        cordoned_by: annotations.get(CORDON_ANNOTATION).cloned(),
        cordon_reason: cordon_reason(&spec),
        kubelet: seen(kubelet),
        runtime: info.container_runtime_version,
        machine_id: Some(info.machine_id).filter(|id| !id.is_empty()),
    })
}

/// A part that the object lacks is printed as nothing. Anything else than JSON comes from a kubectl older than 1.19.
fn part<T: Default + for<'de> Deserialize<'de>>(lines: &[&str], key: &str) -> Result<T, String> {
    match value(lines, key).map(str::trim) {
        None | Some("") => Ok(T::default()),
        Some(text) => serde_json::from_str(text).map_err(|error| {
            let name = value(lines, "node").unwrap_or_default();
            format!("{key} of node {name} are not JSON as kubectl 1.19 and newer print it ({error})")
        }),
    }
}

fn condition(raw: Condition) -> NodeCondition {
    NodeCondition {
        kind: raw.r#type,
        status: raw.status,
        reason: raw.reason,
        message: raw.message,
        heartbeat: raw.last_heartbeat_time.and_then(|time| time.parse().ok()),
    }
}

/// Kubernetes keeps no reason for a cordon: the time of its taint, and taints of other tools, are all there is.
fn cordon_reason(spec: &Spec) -> Option<String> {
    const CORDON_TAINT: &str = "node.kubernetes.io/unschedulable";
    if !spec.unschedulable {
        return None;
    }
    let since =
        spec.taints.iter().filter(|taint| taint.key == CORDON_TAINT).find_map(|taint| taint.time_added.as_deref());
    let others = spec.taints.iter().map(|taint| taint.key.as_str());
    let others = others.filter(|key| *key != CORDON_TAINT && !key.starts_with("node-role.kubernetes.io/"));
    let said: Vec<_> =
        since.map(|time| format!("since {time}")).into_iter().chain(others.map(|key| format!("taint {key}"))).collect();
    if said.is_empty() { None } else { Some(said.join(", ")) }
}

#[cfg(test)]
#[path = "api_tests.rs"]
mod tests;
