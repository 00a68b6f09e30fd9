//! What the read-only scripts would print of this cluster, letter for letter as their readers expect it.

use std::fmt::Write as _;

use jiff::SignedDuration;
use serde_json::json;
use windlass::facts::{CORDON_ANNOTATION, MachineFacts, Seen};

use super::planes::COMPONENTS;
use super::pods::Kind;
use super::{At, Machine, NodeObject, World};

type Lines = Result<Vec<String>, String>;

impl World {
    /// The probe's answer for the sections and packages that were asked for.
    pub(super) fn probe(&self, at: At, sections: &str, packages: &str) -> String {
        let machine = &self.machines[at];
        let clock = self.real_time().as_millisecond() + machine.skew_ms;
        let mut text = format!("@@ clock {clock}\n");
        let packages: Vec<&str> = packages.split(',').filter(|name| *name != "-").collect();
        for name in sections.split(',') {
            let lines = match name {
                "identity" => Ok(identity(machine)),
                "packages" => Ok(installed(machine, &packages)),
                "candidates" if machine.full => Err("no temporary folder could be made".to_owned()),
                "candidates" => Ok(candidates(&machine.told, &packages)),
                "disks" => Ok(disks(machine)),
                "kubelet" => Ok(running_kubelet(machine)),
                "static-pods" => Ok(self.static_pods(at)),
                "containers" => self.containers(at),
                "api-server" => self.api_server(at),
                "certificates" => Ok(certificates(machine)),
                "etcd" => Ok(self.etcd_process(at)),
                "windlass" => Ok(own(machine)),
                "kept" => Ok(machine.own.kept()),
                "balancer" => Ok(self.balancer(at)),
                "etcd-tool" => Ok(self.etcd_tool(at)),
                other => panic!("the simulation does not know the probe's section {other}"),
            };
            section(&mut text, name, &lines);
        }
        let _ = writeln!(text, "@@ clock {clock}\n@@ done");
        text
    }

    /// The API's answer, asked on a control plane.
    pub(super) fn api(&self, at: At, sections: &str, only: Option<&str>) -> String {
        let mut text = String::new();
        let up = self.api_ready(at);
        let down = || match (self.machines[at].full, &self.machines[at].plane) {
            (true, _) => Err("no temporary folder could be made".to_owned()),
            (_, None) => Err("this machine runs no API server".to_owned()),
            _ => Err("The connection to the server was refused".to_owned()),
        };
        let up = up && !self.machines[at].full;
        let ready = vec!["server https://here:6443".to_owned(), "ok".to_owned()];
        section(&mut text, "readyz", &if up { Ok(ready) } else { down() });
        for name in sections.split(',').filter(|name| *name != "readyz") {
            let lines = match name {
                _ if !up => down(),
                "nodes" => Ok(self.nodes(only)),
                "kubeadm" => Ok(self.kubeadm()),
                "addons" => {
                    Ok(vec![format!("kube-proxy {}", self.kube.proxy_image), format!("coredns {}", self.kube.coredns)])
                }
                "kubelet-configs" => Ok(self.kube.kubelet_configs.clone()),
                "stateful-sets" => Ok(self.stateful_sets()),
                other => panic!("the simulation does not know the API's section {other}"),
            };
            section(&mut text, name, &lines);
        }
        text + "@@ done\n"
    }

    fn api_server(&self, at: At) -> Lines {
        let plane = self.machines[at].plane.as_ref().filter(|plane| !plane.components[0].away);
        let Some(plane) = plane else { return Ok(vec!["none".to_owned()]) };
        let Some(version) = &plane.components[0].runs else {
            return Err("https://here:6443/version: curl: (7) Failed to connect".to_owned());
        };
        let mut lines = vec![format!("version {}", json!({ "gitVersion": format!("v{version}") }))];
        if !self.api_ready(at) {
            lines.push("unready curl: (22) The requested URL returned error: 500".to_owned());
        }
        Ok(lines)
    }

    fn etcd_process(&self, at: At) -> Vec<String> {
        let Some(etcd) = self.machines[at].told.etcd.known().expect("seen") else { return vec!["none".to_owned()] };
        let member = self.member_of(at).expect("a member");
        let known = &self.etcd.members[member];
        let digest = format!("digest {}", etcd.config_digest.known().expect("seen"));
        let settings = [
            format!("set name {}", etcd.name.known().expect("seen")),
            format!("set data-dir {}", etcd.data_dir.known().expect("seen")),
            format!("set heartbeat-interval {}", etcd.heartbeat_ms.known().expect("seen")),
            format!("set election-timeout {}", etcd.election_ms.known().expect("seen")),
        ];
        let others = etcd.settings.iter().map(|(key, value)| format!("set {key} {value}"));
        let members = etcd.configured_members.iter().map(|members| format!("file-members {members}"));
        let running = format!("running {}", if known.runs.is_some() { "yes" } else { "no" });
        let mut lines: Vec<String> =
            std::iter::once(running).chain(settings).chain(others).chain([digest]).chain(members).collect();
        match &known.runs {
            Some(version) if !known.away => {
                let answer = json!({ "etcdserver": version.to_string(), "etcdcluster": known.cluster.to_string() });
                lines.push(format!("version {answer}"));
            }
            Some(_) => lines.push("unasked curl: (7) Failed to connect".to_owned()),
            None => {}
        }
        lines
    }

    fn etcd_tool(&self, at: At) -> Vec<String> {
        let installed = || format!("tool /usr/bin/etcdctl {} no", self.machines[at].upstream("etcd-client"));
        vec![self.member_image(at).map_or_else(installed, |image| format!("image {image}"))]
    }

    fn static_pods(&self, at: At) -> Vec<String> {
        let Some(plane) = &self.machines[at].plane else { return Vec::new() };
        let pods = COMPONENTS.iter().zip(&plane.components).filter(|(_, component)| !component.away);
        let mut lines: Vec<String> =
            pods.map(|(name, component)| format!("pod {name} k8s.gcr.io/{name}:v{}", component.manifest)).collect();
        let member = self.stacked(at).filter(|member| !member.blocked);
        lines.extend(member.and_then(|_| Some(format!("pod etcd {}", self.member_image(at)?))));
        lines
    }

    fn containers(&self, at: At) -> Lines {
        let machine = &self.machines[at];
        let runs = |name: &str| {
            if name == "etcd" {
                return self.stacked(at).is_some_and(|member| member.runs.is_some());
            }
            let component = COMPONENTS.iter().position(|component| *component == name).zip(machine.plane.as_ref());
            component.is_none_or(|(at, plane)| plane.components[at].runs.is_some())
        };
        match &machine.told.containers {
            Seen::Known(list) => Ok(list
                .iter()
                .filter(|one| runs(&one.name))
                .map(|one| format!("container {} {}", one.name, one.image))
                .collect()),
            Seen::Unknown(why) => Err(why.clone()),
        }
    }

    fn nodes(&self, only: Option<&str>) -> Vec<String> {
        let heartbeat = |node: &NodeObject| node.told.conditions.first().and_then(|condition| condition.heartbeat);
        let asked = self.kube.nodes.iter().filter(|node| only.is_none_or(|only| node.told.name == only));
        asked.flat_map(|node| self::node(node, heartbeat(node))).collect()
    }

    fn kubeadm(&self) -> Vec<String> {
        let stacked = (0..self.machines.len()).any(|at| self.stacked(at).is_some());
        let [etcd, setting] = if stacked {
            ["local:", "dataDir: /var/lib/etcd"]
        } else {
            ["external:", "caFile: /etc/kubernetes/pki/etcd/ca.crt"]
        };
        vec![
            format!("controlPlaneEndpoint: {}", self.kube.endpoint),
            "etcd:".to_owned(),
            format!("  {etcd}"),
            format!("    {setting}"),
            "kind: ClusterConfiguration".to_owned(),
            format!("kubernetesVersion: v{}", self.kube.version),
        ]
    }

    fn stateful_sets(&self) -> Vec<String> {
        let sets = self.kube.workloads.iter().enumerate().filter(|(_, workload)| workload.kind == Kind::StatefulSet);
        sets.map(|(at, set)| format!("default  {}  {}  {}", set.name, set.wanted, self.ready_pods(at))).collect()
    }
}

fn section(text: &mut String, name: &str, lines: &Lines) {
    let _ = writeln!(text, "@@ {name}");
    match lines {
        Ok(lines) => {
            for line in lines {
                let _ = writeln!(text, " {line}");
            }
            let _ = writeln!(text, "@@ end {name} ok");
        }
        Err(why) => {
            let _ = writeln!(text, "@@ end {name} unseen {why}");
        }
    }
}

/// The first boot's id is the one that was seen; each later one has its number in it.
fn boot_id(machine: &Machine) -> String {
    let first = machine.told.boot_id.known().expect("seen");
    if machine.boot == 0 { first.clone() } else { format!("{:08x}{}", machine.boot, &first[8..]) }
}

fn identity(machine: &Machine) -> Vec<String> {
    let os = machine.told.os.known().expect("seen");
    vec![
        format!("hostname {}", machine.told.hostname),
        format!("machine-id {}", machine.told.machine_id.known().expect("seen")),
        format!("boot-id {}", boot_id(machine)),
        format!("os PRETTY_NAME=\"{}\"", os.pretty),
        format!("os VERSION_ID=\"{}\"", os.version),
        format!("os ID={}", os.id),
    ]
}

fn installed(machine: &Machine, asked: &[&str]) -> Vec<String> {
    let mut lines = vec!["manager apt".to_owned()];
    lines.extend(asked.iter().map(|name| format!("asked {name}")));
    for (name, package) in machine.packages.iter().filter(|(name, _)| asked.contains(&name.as_str())) {
        let want = if package.held { "hold" } else { "install" };
        lines.push(format!("package {name} {want} {} {}", package.state.word(), package.version));
    }
    lines
}

fn candidates(told: &MachineFacts, asked: &[&str]) -> Vec<String> {
    let asked = told.packages.iter().filter(|(name, _)| asked.contains(&name.as_str()));
    asked
        .flat_map(|(name, facts)| {
            facts.candidates.known().expect("seen").iter().map(move |version| format!("candidate {name} {version}"))
        })
        .collect()
}

fn disks(machine: &Machine) -> Vec<String> {
    let free = |bytes: u64| if machine.full { 0 } else { bytes };
    let disks = machine.told.disks.iter();
    disks.map(|(path, disk)| format!("disk {path} 1 {} {}", disk.total_bytes, free(disk.free_bytes))).collect()
}

fn running_kubelet(machine: &Machine) -> Vec<String> {
    vec![machine.kubelet.as_ref().map_or("none".to_owned(), |version| format!("version Kubernetes v{version}"))]
}

fn certificates(machine: &Machine) -> Vec<String> {
    let told = &machine.told;
    let body = |path: &String| {
        if machine.certificates.renewed.contains(path) { another_certificate() } else { real_certificate() }
    };
    let line = |one: &windlass::facts::Certificate| format!("certificate {} {}", body(&one.path), one.path);
    told.certificates.known().expect("seen").iter().map(line).collect()
}

/// A real certificate, as the probe prints it: all of the simulation's are this one.
pub(crate) fn real_certificate() -> &'static str {
    let probe = include_str!("../../fixtures/probe/control-plane.txt");
    let line = probe.lines().find_map(|line| line.strip_prefix(" certificate ")).expect("a certificate");
    line.split(' ').next().expect("a word")
}

/// One that ends at another time.
fn another_certificate() -> &'static str {
    let probe = include_str!("../../fixtures/probe/control-plane.txt");
    let line = probe.lines().find(|line| line.ends_with(" /etc/kubernetes/pki/apiserver.crt")).expect("a certificate");
    line.split(' ').nth(2).expect("a word")
}

fn own(machine: &Machine) -> Vec<String> {
    let token = (machine.own.token > 0).then(|| format!("token {}", machine.own.token));
    let lock = machine.own.lock.as_ref().map(|(json, _)| format!("lock {json}"));
    let runs = machine.own.units.iter().filter(|(_, unit)| unit.ended.is_none());
    let units = runs.map(|(name, unit)| format!("unit {} {}", name.replacen('/', " ", 1), unit.since));
    token.into_iter().chain(lock).chain(units).collect()
}

fn node(node: &NodeObject, heartbeat: Option<jiff::Timestamp>) -> Vec<String> {
    let labels: serde_json::Map<_, _> =
        node.told.roles.iter().map(|role| (format!("node-role.kubernetes.io/{role}"), json!(""))).collect();
    let annotations = node.cordoned_by.as_ref().map_or(json!({}), |run| json!({ CORDON_ANNOTATION: run }));
    let spec = if node.unschedulable { json!({ "unschedulable": true }) } else { json!({}) };
    let conditions: Vec<_> = node
        .told
        .conditions
        .iter()
        .map(|c| {
            let lost = c.kind == "Ready" && !node.ready;
            let (status, reason, message) = if lost {
                ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
            } else {
                (c.status.as_str(), c.reason.as_str(), c.message.as_str())
            };
            let beat = heartbeat.map(|at| (at + SignedDuration::ZERO).to_string());
            json!({ "type": c.kind, "status": status, "reason": reason, "message": message,
                "lastHeartbeatTime": beat })
        })
        .collect();
    let kubelet = format!("v{}", node.kubelet);
    vec![
        format!("node {}", node.told.name),
        format!("labels {}", json!(labels)),
        format!("annotations {annotations}"),
        format!("spec {spec}"),
        format!("conditions {}", json!(conditions)),
        format!("info {}", json!({ "kubeletVersion": kubelet, "containerRuntimeVersion": node.told.runtime })),
    ]
}
