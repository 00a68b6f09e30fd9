//! kubeadm: its last gate, the first control plane, every other node, and the wait for all API servers.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::brought::{StackedMember, guard, no_member};
use super::packages::trusted;
use crate::decide::action::{Act, Action, Effect, Moment, On, Site, job};
use crate::decide::actions::renew::ETCD;
use crate::decide::call::Script;
use crate::decide::look::{ApiQuestion, Every, Look, MachineQuestion, Question, Sight, Via, Who, seen};
use crate::facts::ask::{ApiSection, Section};
use crate::facts::{ApiFacts, MachineFacts, Seen};
use crate::inventory::NodeName;

/// The static pods that kubeadm raises, besides a stacked etcd.
const COMPONENTS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// `kubeadm upgrade plan`: kubeadm's own checks, as the last gate before the first control plane. It makes a Job in the
/// cluster, and so is an act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubeadmPlan {
    /// The Kubernetes version.
    pub to: Version,
    /// For `--ignore-preflight-errors`.
    pub ignore: Vec<String>,
}

impl Act for KubeadmPlan {
    fn describe(&self) -> String {
        format!("let kubeadm check the cluster for v{} (kubeadm upgrade plan)", self.to)
    }

    fn question(&self, _: Site<'_>) -> Question {
        Question { every: Some(SERVERS), ..Question::default() }
    }

    fn look(&self, _: Site<'_>, moment: Moment, sight: &Sight) -> Look {
        once_all_serve(moment, sight, trusted(moment, "kubeadm has not checked the cluster yet"))
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        job(On::Lane, Script::KubeadmPlan, [format!("v{}", self.to), ignored(&self.ignore)])
    }

    fn estimate(&self) -> u64 {
        20
    }
}

/// `kubeadm upgrade apply` on the first control plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubeadmApply {
    /// The Kubernetes version.
    pub to: Version,
    /// For `--ignore-preflight-errors`.
    pub ignore: Vec<String>,
    /// The stacked member that it raises too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<StackedMember>,
}

impl Act for KubeadmApply {
    fn describe(&self) -> String {
        format!("kubeadm upgrade apply v{}{}", self.to, with_member(self.member.as_ref()))
    }

    fn question(&self, _: Site<'_>) -> Question {
        Question {
            machine: Some(control_plane_probe()),
            api: Some(ApiQuestion {
                via: Via::Lane,
                sections: &[ApiSection::Kubeadm, ApiSection::Addons, ApiSection::KubeletConfigs],
                node: None,
            }),
            every: Some(SERVERS),
            ..Question::default()
        }
    }

    /// Judged by everything it does, the last thing included: static pods, kubeadm-config, kubelet-config, addons.
    fn look(&self, _: Site<'_>, moment: Moment, sight: &Sight) -> Look {
        let machine = seen!(sight.machine, "the control plane");
        let mut missing = behind(machine, &self.to);
        match &sight.api {
            Seen::Known(api) => missing.extend(config_behind(api, &self.to)),
            Seen::Unknown(why) => missing.push(format!("its API server does not answer: {why}")),
        }
        if missing.is_empty() {
            return Look::Done;
        }
        once_all_serve(moment, sight, Look::Ready(missing.join("; ")))
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        job(On::Lane, Script::KubeadmApply, args(&self.to, &self.ignore, self.member.as_ref()))
    }

    fn undo(&self) -> String {
        kubeadms_own_undo(self.member.as_ref())
    }

    fn estimate(&self) -> u64 {
        45
    }
}

/// `kubeadm upgrade node` on every other node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubeadmNode {
    /// The Kubernetes version.
    pub to: Version,
    /// Whether the node is a control plane.
    pub control_plane: bool,
    /// For `--ignore-preflight-errors`.
    pub ignore: Vec<String>,
    /// The stacked member that it raises too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<StackedMember>,
}

impl Act for KubeadmNode {
    fn describe(&self) -> String {
        let what = match (self.control_plane, &self.member) {
            (true, Some(_)) => "control plane with its member of etcd, and kubelet configuration",
            (true, None) => "control plane and kubelet configuration",
            (false, _) => "kubelet configuration",
        };
        format!("kubeadm upgrade node ({what})")
    }

    fn question(&self, _: Site<'_>) -> Question {
        Question { machine: self.control_plane.then(control_plane_probe), every: Some(SERVERS), ..Question::default() }
    }

    /// The last thing the command does, writing the kubelet's configuration, carries no version: before it ran it is
    /// never taken for done. Running it again is harmless (kubeadm skips equal manifests).
    fn look(&self, _: Site<'_>, moment: Moment, sight: &Sight) -> Look {
        if moment == Moment::Before || !self.control_plane {
            return once_all_serve(moment, sight, trusted(moment, "kubeadm has not been through this node"));
        }
        let machine = seen!(sight.machine, "the control plane");
        let missing = behind(machine, &self.to);
        if missing.is_empty() { Look::Done } else { Look::Ready(missing.join("; ")) }
    }

    fn effect(&self, _: Site<'_>) -> Effect {
        job(On::Lane, Script::KubeadmNode, args(&self.to, &self.ignore, self.member.as_ref()))
    }

    fn undo(&self) -> String {
        kubeadms_own_undo(self.member.as_ref())
    }

    fn estimate(&self) -> u64 {
        if self.control_plane { 25 } else { 2 }
    }
}

/// Waits until every API server is at the target: no kubelet may be raised before (kubernetes/kubernetes#127316).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwaitApiServers {
    /// The Kubernetes version.
    pub to: Version,
}

impl Act for AwaitApiServers {
    fn describe(&self) -> String {
        format!("wait: every API server answers as v{}", self.to)
    }

    fn question(&self, _: Site<'_>) -> Question {
        Question { every: Some(SERVERS), ..Question::default() }
    }

    fn look(&self, _: Site<'_>, _: Moment, sight: &Sight) -> Look {
        for (node, machine) in &sight.every {
            match served(node, seen!(*machine, node)) {
                Ok(version) if version == &self.to => {}
                Ok(version) => return Look::NotYet(format!("{node} answers as v{version}")),
                Err(why) => return Look::NotYet(why),
            }
        }
        Look::Done
    }

    fn takes_back(&self, earlier: &Action) -> bool {
        matches!(earlier, Action::RenewCertificates(_))
    }

    fn estimate(&self) -> u64 {
        1
    }
}

/// Whether every API server is ready.
const SERVERS: Every = Every { who: Who::ControlPlanes, sections: &[Section::ApiServer] };

/// `look`, unless kubeadm is still to run and some API server is not ready. kubeadm asks whichever the load balancer gives it,
/// and one that has just started does not know yet what it keeps: seen after a power loss, kubeadm 1.21 took its own
/// ConfigMap for missing.
fn once_all_serve(moment: Moment, sight: &Sight, look: Look) -> Look {
    if moment == Moment::After {
        return look;
    }
    for (node, machine) in &sight.every {
        if let Err(why) = served(node, seen!(*machine, node)) {
            return Look::NotYet(why);
        }
    }
    look
}

/// The version that the node's API server serves, or why there is none.
fn served<'a>(node: &NodeName, machine: &'a MachineFacts) -> Result<&'a Version, String> {
    match &machine.api_server {
        Seen::Known(Some(version)) => Ok(version),
        Seen::Known(None) => Err(format!("{node} runs no API server")),
        Seen::Unknown(why) => Err(format!("{node}: {why}")),
    }
}

/// What of a control plane's own components is not at `to`, in words.
pub(crate) fn behind(machine: &MachineFacts, to: &Version) -> Vec<String> {
    let mut missing = Vec::new();
    match &machine.static_pods {
        Seen::Unknown(why) => missing.push(format!("its static pods could not be seen: {why}")),
        Seen::Known(pods) => {
            for component in COMPONENTS {
                match pods.get(component) {
                    Some(image) if tag(image) == format!("v{to}") => {}
                    Some(image) => missing.push(format!("{component} is at {}", tag(image))),
                    None => missing.push(format!("{component} is not there")),
                }
            }
        }
    }
    match &machine.api_server {
        Seen::Known(Some(version)) if version == to => {}
        Seen::Known(Some(version)) => missing.push(format!("its API server answers as v{version}")),
        Seen::Known(None) => missing.push("its API server does not run".to_owned()),
        Seen::Unknown(why) => missing.push(format!("its API server does not answer: {why}")),
    }
    missing
}

/// What kubeadm says when it has put the manifests of before back.
const ROLLED_BACK: [&str; 3] =
    ["has tried to recover everything into the earlier state", "rolled the state back", "Etcd was rolled back"];

/// What kubeadm left behind when it failed, in words: whether it says that it put the former manifests back, and what its
/// static pods are at. Nothing for a worker, which has none.
pub(crate) fn manifests_after(action: &Action, log: &[String], sight: &Sight) -> Option<String> {
    let to = match action {
        Action::KubeadmApply(apply) => &apply.to,
        Action::KubeadmNode(node) if node.control_plane => &node.to,
        _ => return None,
    };
    let says = log.iter().any(|line| ROLLED_BACK.iter().any(|words| line.contains(words)));
    let pods = match sight.machine.known().map(|machine| &machine.static_pods) {
        Some(Seen::Known(pods)) => pods,
        Some(Seen::Unknown(why)) => return Some(format!("what its static pods are at could not be seen: {why}")),
        None => return Some("what its static pods are at could not be seen".to_owned()),
    };
    let tags: Vec<&str> = COMPONENTS.iter().map(|name| pods.get(*name).map_or("none", |image| tag(image))).collect();
    let raised = tags.iter().any(|tag| *tag == format!("v{to}"));
    let mut at = if tags.windows(2).all(|pair| pair[0] == pair[1]) {
        tags[0].to_owned()
    } else {
        let each: Vec<String> = COMPONENTS.iter().zip(&tags).map(|(name, tag)| format!("{name} {tag}")).collect();
        each.join(", ")
    };
    if let Some(etcd) = pods.get(ETCD) {
        // The plan's word of what it was at before; the others may be at another.
        at = format!("{at}, etcd at {}{}", tag(etcd), moved(action, tag(etcd)));
    }
    Some(match (says, raised) {
        (true, false) => format!("kubeadm put the former manifests back: static pods are at {at}"),
        (true, true) => format!("kubeadm says that it put the former manifests back, yet static pods are at {at}"),
        (false, _) => format!("static pods are at {at}"),
    })
}

/// What it means that the member's manifest names this tag.
fn moved(action: &Action, tag: &str) -> String {
    match action.stacked_brings() {
        Some(brings) if brings.tag != tag => {
            format!(" (before: {}; members of two releases go on together until the others follow)", brings.tag)
        }
        _ => String::new(),
    }
}

/// Whether any of its static pods is at the version that kubeadm was to raise them to, or why that cannot be seen. A worker
/// has none.
pub(crate) fn raised_any(action: &Action, sight: &Sight) -> Result<bool, String> {
    let to = match action {
        Action::KubeadmApply(apply) => &apply.to,
        Action::KubeadmNode(node) if node.control_plane => &node.to,
        _ => return Ok(false),
    };
    match &sight.machine {
        Seen::Known(MachineFacts { static_pods: Seen::Known(pods), .. }) => {
            Ok(COMPONENTS.iter().any(|name| pods.get(*name).is_some_and(|image| tag(image) == format!("v{to}"))))
        }
        Seen::Known(MachineFacts { static_pods: Seen::Unknown(why), .. }) | Seen::Unknown(why) => Err(why.clone()),
    }
}

/// What of what kubeadm keeps in the cluster is not at `to`, in words: its configuration, the kubelets', the addons.
pub(crate) fn config_behind(api: &ApiFacts, to: &Version) -> Vec<String> {
    let mut missing = Vec::new();
    match &api.kubeadm {
        Seen::Known(config) if &config.version == to => {}
        Seen::Known(config) => missing.push(format!("kubeadm-config says v{}", config.version)),
        Seen::Unknown(why) => missing.push(format!("kubeadm-config: {why}")),
    }
    let wanted = [format!("kubelet-config-{}.{}", to.major, to.minor), "kubelet-config".to_owned()];
    match &api.kubelet_configs {
        Seen::Known(names) if names.iter().any(|name| wanted.contains(name)) => {}
        Seen::Known(_) => missing.push(format!("{} is not there", wanted[0])),
        Seen::Unknown(why) => missing.push(format!("kubelet-config: {why}")),
    }
    match &api.kube_proxy {
        Seen::Known(None) => {}
        Seen::Known(Some(image)) if tag(image) == format!("v{to}") => {}
        Seen::Known(Some(image)) => missing.push(format!("kube-proxy is at {}", tag(image))),
        Seen::Unknown(why) => missing.push(format!("kube-proxy: {why}")),
    }
    missing
}

/// A probe of a control plane's own components.
pub(crate) fn control_plane_probe() -> MachineQuestion {
    MachineQuestion { sections: &[Section::StaticPods, Section::ApiServer], packages: Vec::new() }
}

/// The arguments of kubeadm's jobs that raise: version, checks to ignore, and a stacked member's guard and releases.
fn args(to: &Version, ignore: &[String], member: Option<&StackedMember>) -> Vec<String> {
    let brings = member.map_or_else(no_member, |member| member.brings.args());
    [format!("v{to}"), ignored(ignore), guard(member.map(|member| &member.access))].into_iter().chain(brings).collect()
}

fn with_member(member: Option<&StackedMember>) -> &'static str {
    if member.is_some() { ", with this member of etcd" } else { "" }
}

fn kubeadms_own_undo(member: Option<&StackedMember>) -> String {
    let manifests = "kubeadm puts the former manifests back when a component does not come up";
    if member.is_some() {
        format!(
            "{manifests}, and its copy of etcd's data (/etc/kubernetes/tmp/kubeadm-backup-etcd-*) when etcd does not; of a \
             minor of etcd only a restore goes back once all members have it"
        )
    } else {
        manifests.to_owned()
    }
}

/// Names of checks, as jobs take them.
pub(crate) fn ignored(names: &[String]) -> String {
    if names.is_empty() { "-".to_owned() } else { names.join(",") }
}

/// The tag of an image, or all of it when it has none. A digest is no tag.
pub(crate) fn tag(image: &str) -> &str {
    let named = image.split('@').next().unwrap_or(image);
    match named.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag,
        _ => named,
    }
}
