//! Looks at a cluster through [`Remote`] and says what it saw as [`Facts`].
//!
//! It changes nothing, decides nothing and tries nothing twice: what did not answer is unknown, with the reason, and whoever
//! asked decides whether to ask again.

mod copies;
mod etcd;
mod health;
mod probe;
mod ready;

use std::error::Error;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use futures_util::future::join4;
use futures_util::{StreamExt, stream};

use jiff::Timestamp;

use crate::decide::bootstrap::{BALANCER_PACKAGES, BESIDE, RUNC, RUNTIMES};
use crate::decide::call::{Call, Script};
use crate::facts::ask::{ApiSection, Section};
use crate::facts::load::NodeLoad;
use crate::facts::lock::LockFacts;
use crate::facts::volumes::Volumes;
use crate::facts::{self, ApiFacts, Disk, FORMAT, Facts, MachineFacts, NodeFacts, Seen};
use crate::inventory::{Inventory, Node, NodeName, Role, Topology};
use crate::remote::{Clock, Remote};

pub use copies::copies;
pub use etcd::etcd;
pub use health::{etcd_health, hashes};
pub use probe::{Look, machine, probe_call};
pub use ready::ready;

/// Machines asked at the same time. Each costs the operator's machine an ssh master (2.7 MB) and few file descriptors; 64
/// stays far below the usual limit of 1,024 of those and keeps 5,000 machines within minutes.
const AT_ONCE: usize = 64;

/// What to measure on machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Nothing.
    Nothing,
    /// What they are worth, and how their servers fare.
    Pace,
    /// What they are worth, and whether something can be built on them.
    Ground,
}

/// What to look for on the machines of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Packages to look up on control planes and workers.
    pub kubernetes_packages: Vec<String>,
    /// Packages to look up on load balancers.
    pub balancer_packages: Vec<String>,
    /// Packages to look up on machines of role etcd.
    pub etcd_packages: Vec<String>,
    /// Whether to ask the package repositories which versions are to be had.
    pub candidates: bool,
    /// A folder on the operator's machine whose room is looked at.
    pub folder_here: Option<Utf8PathBuf>,
    /// Whether to look, on the machines of etcd's members, for what restores a snapshot.
    pub etcd_tool: bool,
    /// What to measure.
    pub measure: Measure,
}

impl Ask {
    /// The packages that an upgrade of this cluster touches.
    pub fn about(inventory: &Inventory, candidates: bool) -> Self {
        let etcd = match inventory.etcd.topology {
            Topology::External => [Some(&inventory.etcd.package), inventory.etcd.client_package.as_ref()],
            Topology::Stacked => [None, None],
        };
        Self {
            kubernetes_packages: ["kubeadm", "kubelet", "kubectl"].map(str::to_owned).to_vec(),
            balancer_packages: Vec::new(),
            etcd_packages: etcd.into_iter().flatten().cloned().collect(),
            candidates,
            folder_here: None,
            etcd_tool: false,
            measure: Measure::Nothing,
        }
    }

    /// What has to be known of machines that are to become this cluster: whether they are free, and what can be had on them.
    pub fn before(inventory: &Inventory) -> Self {
        let mut ask = Self { measure: Measure::Ground, ..Self::about(inventory, true) };
        ask.balancer_packages = BALANCER_PACKAGES.map(str::to_owned).to_vec();
        let beside = BESIDE.iter().chain(&RUNTIMES).chain([&RUNC]);
        ask.kubernetes_packages.extend(beside.map(|name| (*name).to_owned()));
        ask
    }

    /// The packages to look up on `node`.
    pub fn packages(&self, node: &Node) -> Vec<String> {
        let mut packages = if node.is_kube() { self.kubernetes_packages.clone() } else { Vec::new() };
        if node.roles.contains(&Role::LoadBalancer) {
            packages.extend(self.balancer_packages.iter().cloned());
        }
        if node.roles.contains(&Role::Etcd) {
            packages.extend(self.etcd_packages.iter().cloned());
        }
        packages
    }
}

/// Looks at the whole cluster: every machine in one round trip each, the API and etcd, all at the same time.
pub async fn observe(remote: &dyn Remote, clock: &dyn Clock, inventory: &Inventory, ask: &Ask) -> Facts {
    let nodes = stream::iter(&inventory.nodes)
        .map(|node| look_at(remote, clock, inventory, ask, node))
        .buffered(AT_ONCE)
        .collect::<Vec<_>>();
    let here = disk_here(remote, ask.folder_here.as_deref());
    let (nodes, api, etcd, operator_disk) =
        join4(nodes, first_api(remote, inventory), etcd(remote, inventory), here).await;
    let api = match api {
        Ok(facts) => Seen::Known(facts),
        Err(why) => other_api(remote, inventory, &nodes, why).await,
    };
    Facts { format: FORMAT, taken_at: clock.now(), cluster: inventory.name.clone(), nodes, api, etcd, operator_disk }
}

/// How long `df` may take: a network file system that hangs is not waited for.
const DF_LIMIT: Duration = Duration::from_secs(5);

/// Room on the operator's machine.
async fn disk_here(remote: &dyn Remote, folder: Option<&Utf8Path>) -> Seen<Disk> {
    let Some(folder) = folder else { return Seen::Unknown("not asked".to_owned()) };
    let argv = ["df", "-Pk", "--", folder.as_str()].map(str::to_owned);
    match remote.run_here(&argv, DF_LIMIT).await {
        Ok(output) => match Disk::from_df(&output.stdout) {
            Some(disk) => Seen::Known(disk),
            None => Seen::Unknown(format!("df says: {}", output.stderr.trim())),
        },
        Err(error) => Seen::Unknown(reason(&error)),
    }
}

async fn look_at(remote: &dyn Remote, clock: &dyn Clock, inventory: &Inventory, ask: &Ask, node: &Node) -> NodeFacts {
    let mut sections = Section::ALL.to_vec();
    if ask.candidates {
        sections.push(Section::Candidates);
    }
    let member = inventory.etcd_nodes().any(|member| member.name == node.name);
    if ask.etcd_tool && member {
        sections.push(Section::EtcdTool);
    }
    match ask.measure {
        Measure::Nothing => {}
        Measure::Pace => {
            sections.push(Section::Size);
            sections.extend(member.then_some(Section::EtcdPace));
            sections.extend(node.roles.contains(&Role::ControlPlane).then_some(Section::ApiRequests));
        }
        Measure::Ground => sections.extend([Section::Size, Section::Ground]),
    }
    sections.extend(node.roles.contains(&Role::LoadBalancer).then_some(Section::Balancer));
    let look = Look { sections, packages: ask.packages(node) };
    NodeFacts { name: node.name.clone(), machine: machine(remote, clock, inventory, node, &look).await }
}

/// Windlass's own on every machine: the lock, the token, what runs. It needs neither etcd nor the API.
pub async fn own(remote: &dyn Remote, clock: &dyn Clock, inventory: &Inventory) -> LockFacts {
    LockFacts::of(inventory, &everywhere(remote, clock, inventory, Section::Windlass).await)
}

/// The certificates of every machine, and when they were looked at.
pub async fn certificates(
    remote: &dyn Remote,
    clock: &dyn Clock,
    inventory: &Inventory,
) -> (Timestamp, Vec<NodeFacts>) {
    let machines = everywhere(remote, clock, inventory, Section::Certificates).await;
    (clock.now(), machines)
}

/// One section of every machine.
async fn everywhere(remote: &dyn Remote, clock: &dyn Clock, inventory: &Inventory, section: Section) -> Vec<NodeFacts> {
    let look = &Look { sections: vec![section], packages: Vec::new() };
    let nodes = stream::iter(&inventory.nodes).map(|node| async move {
        NodeFacts { name: node.name.clone(), machine: machine(remote, clock, inventory, node, look).await }
    });
    nodes.buffered(AT_ONCE).collect().await
}

/// The call that asks the API through `api.sh`; with `only`, the nodes are that one node.
pub fn api_call(inventory: &Inventory, sections: &[ApiSection], only: Option<&NodeName>) -> Call {
    let words: Vec<_> = sections.iter().map(|section| section.word()).collect();
    let mut args = vec![words.join(","), inventory.api.kubeconfig.to_string()];
    args.extend(only.map(|node| node.as_str().to_owned()));
    Call { script: Script::Api, args }
}

/// Asks the API server of the control plane `via`; with `only`, the nodes are that one node (none when it is not there).
pub async fn api(
    remote: &dyn Remote,
    inventory: &Inventory,
    via: &NodeName,
    sections: &[ApiSection],
    only: Option<&NodeName>,
) -> Seen<ApiFacts> {
    let output = match answer(remote, via, &api_call(inventory, sections, only)).await {
        Ok(output) => output,
        Err(why) => return Seen::Unknown(why),
    };
    match facts::api::parse(&output, via.clone()) {
        Ok(facts) => Seen::Known(facts),
        Err(error) => Seen::Unknown(reason(&error)),
    }
}

/// How full the nodes are, asked of the API server of the control plane `via`.
pub async fn load(remote: &dyn Remote, inventory: &Inventory, via: &NodeName) -> Seen<Vec<NodeLoad>> {
    let output = match answer(remote, via, &api_call(inventory, &[ApiSection::Load], None)).await {
        Ok(output) => output,
        Err(why) => return Seen::Unknown(why),
    };
    match facts::load::parse(&output) {
        Ok(load) => Seen::Known(load),
        Err(error) => Seen::Unknown(reason(&error)),
    }
}

/// What pods keep on nodes, asked of the API server of the control plane `via`.
pub async fn volumes(remote: &dyn Remote, inventory: &Inventory, via: &NodeName) -> Seen<Volumes> {
    let output = match answer(remote, via, &api_call(inventory, &[ApiSection::Volumes], None)).await {
        Ok(output) => output,
        Err(why) => return Seen::Unknown(why),
    };
    match facts::volumes::parse(&output) {
        Ok(volumes) => Seen::Known(volumes),
        Err(error) => Seen::Unknown(reason(&error)),
    }
}

/// Through the first control plane, without waiting for its probe: `api.sh` finds out itself whether its API server answers.
async fn first_api(remote: &dyn Remote, inventory: &Inventory) -> Result<ApiFacts, String> {
    let Some(node) = inventory.with_role(Role::ControlPlane).next() else {
        return Err("the inventory has no control plane".to_owned());
    };
    match api(remote, inventory, &node.name, &ApiSection::ALL, None).await {
        Seen::Known(facts) => Ok(facts),
        Seen::Unknown(why) => Err(format!("{}: {why}", node.name)),
    }
}

/// When the first control plane gave no answer: through the next one whose own API server answered its probe, so that no
/// time is lost on machines that are known to be away.
async fn other_api(remote: &dyn Remote, inventory: &Inventory, nodes: &[NodeFacts], why: String) -> Seen<ApiFacts> {
    let mut reasons = vec![why];
    for node in inventory.with_role(Role::ControlPlane).skip(1) {
        let machine = nodes.iter().find(|facts| facts.name == node.name).map(|facts| &facts.machine);
        let why = match machine.map(api_server_of) {
            Some(Ok(())) => match api(remote, inventory, &node.name, &ApiSection::ALL, None).await {
                Seen::Known(facts) => return Seen::Known(facts),
                Seen::Unknown(why) => why,
            },
            Some(Err(why)) => why,
            None => "it was not looked at".to_owned(),
        };
        reasons.push(format!("{}: {why}", node.name));
    }
    Seen::Unknown(reasons.join("; "))
}

fn api_server_of(machine: &Seen<MachineFacts>) -> Result<(), String> {
    match machine {
        Seen::Unknown(why) => Err(why.clone()),
        Seen::Known(machine) => match &machine.api_server {
            Seen::Known(Some(_)) => Ok(()),
            Seen::Known(None) => Err("it runs no API server".to_owned()),
            Seen::Unknown(why) => Err(why.clone()),
        },
    }
}

/// What a read-only script printed; a status other than 0 is no answer, since these scripts end with 0 whatever they see.
async fn answer(remote: &dyn Remote, node: &NodeName, call: &Call) -> Result<String, String> {
    let output = remote.call(node, call).await.map_err(|error| reason(&error))?;
    if output.status == 0 {
        return Ok(output.stdout);
    }
    let complaint = output.stderr.trim();
    let complaint = complaint.lines().last().unwrap_or("it said nothing");
    Err(format!("the script ended with status {}: {complaint}", output.status))
}

/// An error with its causes, outermost first.
fn reason(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn all_or(nothing: &str, reasons: &[String]) -> String {
    if reasons.is_empty() { nothing.to_owned() } else { reasons.join("; ") }
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
