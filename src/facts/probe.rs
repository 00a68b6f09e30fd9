//! What `probe.sh` prints → [`MachineFacts`].
//!
//! Pure. A section that was not asked for, or that the machine could not see, is unknown with its reason; only an answer
//! that is not one at all is an error.

use std::collections::BTreeMap;

use semver::Version;
use serde::Deserialize;

use super::measured::Measured;
use super::sections::{Answer, AnswerError, beginning, seen, value, values};
use super::version::parse_version;
use super::{
    Container, Disk, MachineFacts, Os, RunningUnit, Seen, balancer, certificates, etcd, ground, kept, packages,
};

/// Why a probe's answer says nothing of the machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// It is not a whole answer.
    #[error("the probe's answer cannot be read")]
    Answer(#[source] AnswerError),
    /// The stored lock token is unreadable; going on as if there were none would let a replaced operator act.
    #[error("the lock token stored on it is `{0}`, which is not a number")]
    Token(String),
}

/// Reads a probe's answer. `clock_skew_ms` stays unknown: only who asked knows when ([`clock_ms`]).
pub fn parse(stdout: &str) -> Result<MachineFacts, ProbeError> {
    let answer = Answer::read(stdout).map_err(ProbeError::Answer)?;
    let identity = answer.section("identity");
    let windlass = answer.section("windlass").unwrap_or(&[]);
    let (package_manager, packages) = packages::read(&answer);
    Ok(MachineFacts {
        hostname: identity.clone().ok().and_then(|lines| value(lines, "hostname")).unwrap_or_default().to_owned(),
        machine_id: seen(identity.clone().and_then(|lines| word(lines, "machine-id"))),
        boot_id: seen(identity.clone().and_then(|lines| word(lines, "boot-id"))),
        os: seen(identity.and_then(os)),
        package_manager,
        packages,
        clock_skew_ms: Seen::Unknown("the operator's clock was not compared".to_owned()),
        disks: answer.section("disks").map(disks).unwrap_or_default(),
        kubelet_running: seen(answer.section("kubelet").and_then(kubelet)),
        static_pods: seen(answer.section("static-pods").and_then(static_pods)),
        containers: seen(answer.section("containers").and_then(containers)),
        api_server: seen(answer.section("api-server").and_then(api_server)),
        certificates: seen(answer.section("certificates").and_then(certificates::read)),
        etcd: seen(answer.section("etcd").and_then(etcd::read)),
        token: token(windlass)?,
        lock: value(windlass, "lock").map(|text| text.trim().to_owned()),
        kept: seen(answer.section("kept").and_then(kept::read)),
        etcd_tool: seen(answer.section("etcd-tool").and_then(etcd::tool)),
        measured: Measured::read(&answer),
        ground: seen(answer.section("ground").and_then(ground::read)),
        balancer: seen(answer.section("balancer").and_then(balancer::read)),
        units: values(windlass, "unit").filter_map(RunningUnit::read).collect(),
    })
}

/// The machine's clock at the beginning and at the end of the probe, in milliseconds since 1970.
pub fn clock_ms(stdout: &str) -> Option<(i64, i64)> {
    let answer = Answer::read(stdout).ok()?;
    Some((*answer.clock.first()?, *answer.clock.last()?))
}

fn word(lines: &[&str], key: &str) -> Result<String, String> {
    value(lines, key).map(str::to_owned).ok_or_else(|| format!("the machine has no {key}"))
}

fn os(lines: &[&str]) -> Result<Os, String> {
    let field = |key: &str| {
        let text = values(lines, "os").find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        text.map(|text| text.trim_matches(['"', '\'']).to_owned())
    };
    let id = field("ID").ok_or("/etc/os-release has no ID")?;
    Ok(Os { id, version: field("VERSION_ID").unwrap_or_default(), pretty: field("PRETTY_NAME").unwrap_or_default() })
}

/// Lines of `disk PATH BLOCK-SIZE BLOCKS FREE-BLOCKS`.
fn disks(lines: &[&str]) -> BTreeMap<String, Disk> {
    let disk = |line: &str| {
        let mut words = line.split(' ');
        let path = words.next()?.to_owned();
        let mut number = || words.next()?.parse::<u64>().ok();
        let (size, total, free) = (number()?, number()?, number()?);
        let disk = Disk { free_bytes: free.checked_mul(size)?, total_bytes: total.checked_mul(size)? };
        Some((path, disk))
    };
    values(lines, "disk").filter_map(disk).collect()
}

fn kubelet(lines: &[&str]) -> Result<Option<Version>, String> {
    if lines.contains(&"none") {
        return Ok(None);
    }
    let text = value(lines, "version").unwrap_or_default();
    let version = text.strip_prefix("Kubernetes ").and_then(parse_version);
    version.map(Some).ok_or_else(|| format!("the running kubelet calls its version `{}`", beginning(text)))
}

fn static_pods(lines: &[&str]) -> Result<BTreeMap<String, String>, String> {
    let pod = |line: &str| match line.trim().split_once(' ') {
        Some((name, image)) => Ok((name.to_owned(), image.to_owned())),
        None => Err(format!("the manifest of {} names no image", line.trim())),
    };
    values(lines, "pod").map(pod).collect()
}

fn containers(lines: &[&str]) -> Result<Vec<Container>, String> {
    if let Some(text) = value(lines, "crictl") {
        return crictl(text);
    }
    let container = |line: &str| {
        let (name, image) = line.split_once(' ').unwrap_or((line, ""));
        Container { name: name.to_owned(), image: image.to_owned() }
    };
    Ok(values(lines, "container").map(container).collect())
}

#[derive(Deserialize)]
struct CriList {
    containers: Vec<CriContainer>,
}

#[derive(Deserialize)]
struct CriContainer {
    metadata: CriMetadata,
    image: CriImage,
}

#[derive(Deserialize)]
struct CriMetadata {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CriImage {
    #[serde(default)]
    image: String,
    #[serde(default)]
    user_specified_image: String,
}

/// `image` may be a bare digest; newer runtimes say beside it what was asked for.
fn crictl(text: &str) -> Result<Vec<Container>, String> {
    let list: CriList = serde_json::from_str(text).map_err(|error| format!("crictl's list cannot be read: {error}"))?;
    let container = |container: CriContainer| {
        let CriImage { image, user_specified_image: asked } = container.image;
        Container { name: container.metadata.name, image: if asked.is_empty() { image } else { asked } }
    };
    Ok(list.containers.into_iter().map(container).collect())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiVersion {
    git_version: String,
}

fn api_server(lines: &[&str]) -> Result<Option<Version>, String> {
    if lines.contains(&"none") {
        return Ok(None);
    }
    let text = value(lines, "version").unwrap_or_default();
    let answer: ApiVersion =
        serde_json::from_str(text).map_err(|_| format!("/version answered `{}`", beginning(text)))?;
    let version =
        parse_version(&answer.git_version).ok_or_else(|| format!("`{}` is not a version", answer.git_version))?;
    match value(lines, "unready") {
        Some(why) => Err(format!("it answers as {version} but is not ready: {why}")),
        None => Ok(Some(version)),
    }
}

fn token(lines: &[&str]) -> Result<u64, ProbeError> {
    match value(lines, "token") {
        None => Ok(0),
        Some(text) => text.trim().parse().map_err(|_| ProbeError::Token(beginning(text))),
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
