//! What an inventory is made of, of a cluster that has none yet: its nodes, and how its etcd is run.
//!
//! Pure: from what `api.sh` and `etcd-service.sh` print.

use std::collections::BTreeMap;

use super::api::ApiError;
use super::certificates::is_for_clients;
use super::kubeadm;
use super::sections::{Answer, AnswerError, value, values};

/// A cluster, as its API tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundCluster {
    /// kubeadm's `clusterName`; empty where it has none.
    pub name: String,
    /// kubeadm's `controlPlaneEndpoint`; empty where it has none.
    pub endpoint: String,
    /// Client URLs of an external etcd; nothing where etcd is stacked.
    pub etcd: Option<Vec<String>>,
    /// The nodes, in the API's order: by name.
    pub nodes: Vec<FoundNode>,
}

/// A node, as the API tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundNode {
    /// Its name.
    pub name: String,
    /// Its first internal address; empty where it has none.
    pub address: String,
    /// Whether its labels say that it is a control plane.
    pub control_plane: bool,
}

/// How one machine runs etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEtcd {
    /// The machine's host name.
    pub host: String,
    /// The systemd unit, without `.service`; nothing where it is none.
    pub service: Option<String>,
    /// The program.
    pub program: String,
    /// The package that it is of.
    pub package: Option<String>,
    /// The package that `etcdctl` is of.
    pub client_package: Option<String>,
    /// The unit's environment file.
    pub env_file: Option<String>,
    /// The CA that clients' certificates are of, by etcd's own word.
    pub ca: Option<String>,
    /// The port that clients are listened for at.
    pub client_port: Option<u16>,
    /// Certificates and keys that a client could come with, the likelier first.
    pub clients: Vec<(String, String)>,
    /// A file of settings, which tells the rest; it is not read.
    pub config_file: Option<String>,
}

/// Reads what the API server of a control plane has answered.
pub fn cluster(stdout: &str) -> Result<FoundCluster, ApiError> {
    let answer = Answer::read(stdout).map_err(ApiError::Answer)?;
    answer.section("readyz").map_err(ApiError::NotReady)?;
    let nodes = answer.section("addresses").map_err(ApiError::Nodes)?;
    let (name, endpoint, etcd) =
        answer.section("kubeadm").and_then(kubeadm::found).map_err(|why| ApiError::Nodes(format!("kubeadm: {why}")))?;
    let starts: Vec<_> = (0..nodes.len()).filter(|&at| nodes[at].starts_with("node ")).collect();
    let ends = starts.iter().skip(1).copied().chain([nodes.len()]);
    let nodes = starts.iter().zip(ends).map(|(&start, end)| node(&nodes[start..end]));
    Ok(FoundCluster { name, endpoint, etcd, nodes: nodes.collect::<Result<_, _>>().map_err(ApiError::Nodes)? })
}

fn node(lines: &[&str]) -> Result<FoundNode, String> {
    let name = value(lines, "node").unwrap_or_default().to_owned();
    let labels = value(lines, "labels").filter(|text| !text.is_empty()).unwrap_or("{}");
    let labels: BTreeMap<String, String> =
        serde_json::from_str(labels).map_err(|error| format!("labels of {name} are not JSON ({error})"))?;
    let address = value(lines, "address").and_then(|text| text.split_whitespace().next()).unwrap_or_default();
    let control_plane =
        ["control-plane", "master"].iter().any(|role| labels.contains_key(&format!("node-role.kubernetes.io/{role}")));
    Ok(FoundNode { name, address: address.to_owned(), control_plane })
}

/// Reads what a machine of etcd has answered; the outer error is no answer, the inner one why it has no etcd to tell of.
pub fn etcd(stdout: &str) -> Result<Result<FoundEtcd, String>, AnswerError> {
    let answer = Answer::read(stdout)?;
    Ok(answer.section("etcd-service").map(found_etcd))
}

fn found_etcd(lines: &[&str]) -> FoundEtcd {
    let text = |key: &str| value(lines, key).map(str::to_owned).filter(|text| !text.is_empty());
    // A flag comes after the environment, which it is taken before.
    let set = |flag: &str| {
        let told = values(lines, "set").filter_map(|line| line.strip_prefix(flag)?.strip_prefix(' '));
        told.last().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let port = |urls: String| urls.split(',').next()?.trim_end_matches('/').rsplit_once(':')?.1.parse().ok();
    let server = set("cert-file");
    FoundEtcd {
        host: text("host").unwrap_or_default(),
        service: text("unit").map(|unit| unit.trim_end_matches(".service").to_owned()),
        program: text("program").unwrap_or_default(),
        package: text("package"),
        client_package: text("client-package"),
        env_file: text("env-file"),
        ca: set("trusted-ca-file"),
        client_port: set("listen-client-urls").and_then(port),
        clients: clients(lines, server.as_deref()),
        config_file: set("config-file"),
    }
}

/// Those that may be a client's: first what is called so, last the server's own.
fn clients(lines: &[&str], server: Option<&str>) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = values(lines, "certificate")
        .filter_map(|line| line.split_once(' '))
        .filter(|(body, _)| is_for_clients(body))
        .filter_map(|(_, cert)| {
            let mut keys = values(lines, "key").filter_map(|line| line.split_once(' '));
            keys.find(|(_, of)| *of == cert).map(|(key, _)| (cert.to_owned(), key.to_owned()))
        })
        .collect();
    let rank = |cert: &str| match cert {
        _ if Some(cert) == server => 3,
        _ if cert.contains("health") => 1,
        _ if cert.contains("client") => 0,
        _ => 2,
    };
    found.sort_by_key(|(cert, _)| (rank(cert), cert.clone()));
    found
}

#[cfg(test)]
#[path = "found_tests.rs"]
mod tests;
