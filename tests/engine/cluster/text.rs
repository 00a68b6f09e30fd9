//! What the read-only scripts would print of this cluster, letter for letter as their readers expect it.

use std::fmt::Write as _;

use serde_json::json;
use windlass::facts::{ApiFacts, CORDON_ANNOTATION, Facts, KubeNode, MachineFacts, Seen};

use super::Extra;

/// The probe's answer for the sections and packages that were asked for.
pub(super) fn probe(machine: &MachineFacts, extra: &Extra, sections: &str, packages: &str, clock: i64) -> String {
    let mut text = format!("@@ clock {clock}\n");
    let packages: Vec<&str> = packages.split(',').filter(|name| *name != "-").collect();
    for name in sections.split(',') {
        let lines = match name {
            "identity" => Ok(identity(machine)),
            "packages" => Ok(installed(machine, &packages)),
            "candidates" => Ok(candidates(machine, &packages)),
            "disks" => Ok(disks(machine)),
            "kubelet" => Ok(running_kubelet(machine)),
            "static-pods" => Ok(static_pods(machine)),
            "containers" => containers(machine),
            "api-server" => Ok(api_server(machine, extra)),
            "certificates" => Ok(certificates(machine)),
            "etcd" => Ok(etcd(machine, extra)),
            "windlass" => Ok(own(machine, extra)),
            other => panic!("the probe knows no section {other}"),
        };
        section(&mut text, name, &lines);
    }
    let _ = writeln!(text, "@@ clock {clock}\n@@ done");
    text
}

/// The API's answer, asked on a control plane whose own server is `up`.
pub(super) fn api(facts: &Facts, up: bool, sections: &str, only: Option<&str>) -> String {
    let mut text = String::new();
    let down = || Err("The connection to the server was refused".to_owned());
    let ready = vec!["server https://here:6443".to_owned(), "ok".to_owned()];
    section(&mut text, "readyz", &if up { Ok(ready) } else { down() });
    let Seen::Known(api) = &facts.api else { panic!("the fake has an API") };
    for name in sections.split(',').filter(|name| *name != "readyz") {
        let lines = match name {
            _ if !up => down(),
            "nodes" => Ok(nodes(api, only)),
            "kubeadm" => Ok(kubeadm(api)),
            "addons" => Ok(addons(api)),
            "kubelet-configs" => Ok(api.kubelet_configs.known().unwrap().clone()),
            "stateful-sets" => Ok(stateful_sets(api)),
            other => panic!("the API's script knows no section {other}"),
        };
        section(&mut text, name, &lines);
    }
    text + "@@ done\n"
}

fn section(text: &mut String, name: &str, lines: &Result<Vec<String>, String>) {
    let _ = writeln!(text, "@@ {name}");
    let end = match lines {
        Ok(lines) => {
            for line in lines {
                let _ = writeln!(text, " {line}");
            }
            "ok".to_owned()
        }
        Err(why) => format!("unseen {why}"),
    };
    let _ = writeln!(text, "@@ end {name} {end}");
}

fn identity(machine: &MachineFacts) -> Vec<String> {
    let os = machine.os.known().unwrap();
    vec![
        format!("hostname {}", machine.hostname),
        format!("machine-id {}", machine.machine_id.known().unwrap()),
        format!("boot-id {}", machine.boot_id.known().unwrap()),
        format!("os PRETTY_NAME=\"{}\"", os.pretty),
        format!("os VERSION_ID=\"{}\"", os.version),
        format!("os ID={}", os.id),
    ]
}

fn installed(machine: &MachineFacts, asked: &[&str]) -> Vec<String> {
    let mut lines = vec!["manager apt".to_owned()];
    lines.extend(asked.iter().map(|name| format!("asked {name}")));
    for (name, facts) in machine.packages.iter().filter(|(name, _)| asked.contains(&name.as_str())) {
        let Some(version) = &facts.installed else { continue };
        let want = if facts.held { "hold" } else { "install" };
        // dpkg's own word for a broken state is kept behind the version, as facts write it.
        let (version, state) = version.split_once(" (").unwrap_or((version, "installed)"));
        lines.push(format!("package {name} {want} {} {version}", state.trim_end_matches(')')));
    }
    lines
}

fn candidates(machine: &MachineFacts, asked: &[&str]) -> Vec<String> {
    let asked = machine.packages.iter().filter(|(name, _)| asked.contains(&name.as_str()));
    asked
        .flat_map(|(name, facts)| {
            facts.candidates.known().unwrap().iter().map(move |version| format!("candidate {name} {version}"))
        })
        .collect()
}

fn disks(machine: &MachineFacts) -> Vec<String> {
    machine.disks.iter().map(|(path, disk)| format!("disk {path} 1 {} {}", disk.total_bytes, disk.free_bytes)).collect()
}

fn running_kubelet(machine: &MachineFacts) -> Vec<String> {
    let running = machine.kubelet_running.known().unwrap();
    vec![running.as_ref().map_or("none".to_owned(), |version| format!("version Kubernetes v{version}"))]
}

fn static_pods(machine: &MachineFacts) -> Vec<String> {
    machine.static_pods.known().unwrap().iter().map(|(name, image)| format!("pod {name} {image}")).collect()
}

fn containers(machine: &MachineFacts) -> Result<Vec<String>, String> {
    match &machine.containers {
        Seen::Known(list) => Ok(list.iter().map(|one| format!("container {} {}", one.name, one.image)).collect()),
        Seen::Unknown(why) => Err(why.clone()),
    }
}

fn api_server(machine: &MachineFacts, extra: &Extra) -> Vec<String> {
    let Some(version) = machine.api_server.known().unwrap() else { return vec!["none".to_owned()] };
    let mut lines = vec![format!("version {}", json!({ "gitVersion": format!("v{version}") }))];
    if extra.api_away {
        lines.push("unready curl: (22) The requested URL returned error: 500".to_owned());
    }
    lines
}

fn certificates(machine: &MachineFacts) -> Vec<String> {
    let line = |one: &windlass::facts::Certificate| format!("certificate {} {}", real_certificate(), one.path);
    machine.certificates.known().unwrap().iter().map(line).collect()
}

/// A real certificate, as the probe prints it: all of the fake's are this one.
pub(crate) fn real_certificate() -> &'static str {
    let probe = include_str!("../../fixtures/probe/control-plane.txt");
    let line = probe.lines().find_map(|line| line.strip_prefix(" certificate ")).unwrap();
    line.split(' ').next().unwrap()
}

fn etcd(machine: &MachineFacts, extra: &Extra) -> Vec<String> {
    let Some(etcd) = machine.etcd.known().unwrap() else { return vec!["none".to_owned()] };
    let mut lines = vec![
        "running yes".to_owned(),
        format!("set name {}", etcd.name.known().unwrap()),
        format!("set data-dir {}", etcd.data_dir.known().unwrap()),
        format!("set heartbeat-interval {}", etcd.heartbeat_ms.known().unwrap()),
        format!("set election-timeout {}", etcd.election_ms.known().unwrap()),
        format!("digest {}", etcd.config_digest.known().unwrap()),
    ];
    if extra.member_away {
        lines.push("unasked curl: (7) Failed to connect".to_owned());
    } else {
        let (server, cluster) = (etcd.server_version.known().unwrap(), etcd.cluster_version.known().unwrap());
        let answer = json!({ "etcdserver": server.to_string(), "etcdcluster": cluster.to_string() });
        lines.push(format!("version {answer}"));
    }
    lines
}

fn own(machine: &MachineFacts, extra: &Extra) -> Vec<String> {
    let token = (machine.token > 0).then(|| format!("token {}", machine.token));
    let lock = machine.lock.as_ref().map(|json| format!("lock {json}"));
    let runs = extra.units.iter().filter(|(_, unit)| unit.runs());
    let units = runs.map(|(name, unit)| format!("unit {} {}", name.replacen('/', " ", 1), unit.since));
    token.into_iter().chain(lock).chain(units).collect()
}

fn nodes(api: &ApiFacts, only: Option<&str>) -> Vec<String> {
    api.nodes.iter().filter(|node| only.is_none_or(|only| node.name == only)).flat_map(node).collect()
}

fn node(node: &KubeNode) -> Vec<String> {
    let labels: serde_json::Map<_, _> =
        node.roles.iter().map(|role| (format!("node-role.kubernetes.io/{role}"), json!(""))).collect();
    let annotations = node.cordoned_by.as_ref().map_or(json!({}), |run| json!({ CORDON_ANNOTATION: run }));
    let spec = if node.unschedulable { json!({ "unschedulable": true }) } else { json!({}) };
    let conditions: Vec<_> = node
        .conditions
        .iter()
        .map(|c| {
            let beat = c.heartbeat.map(|at| at.to_string());
            json!({ "type": c.kind, "status": c.status, "reason": c.reason, "message": c.message,
                "lastHeartbeatTime": beat })
        })
        .collect();
    let kubelet = format!("v{}", node.kubelet.known().unwrap());
    vec![
        format!("node {}", node.name),
        format!("labels {}", json!(labels)),
        format!("annotations {annotations}"),
        format!("spec {spec}"),
        format!("conditions {}", json!(conditions)),
        format!("info {}", json!({ "kubeletVersion": kubelet, "containerRuntimeVersion": node.runtime })),
    ]
}

fn kubeadm(api: &ApiFacts) -> Vec<String> {
    let config = api.kubeadm.known().unwrap();
    let etcd = if config.external_etcd { "external" } else { "local" };
    vec![
        format!("controlPlaneEndpoint: {}", config.endpoint),
        "etcd:".to_owned(),
        format!("  {etcd}:"),
        "    caFile: /etc/kubernetes/pki/etcd/ca.crt".to_owned(),
        "kind: ClusterConfiguration".to_owned(),
        format!("kubernetesVersion: v{}", config.version),
    ]
}

fn addons(api: &ApiFacts) -> Vec<String> {
    let image = |seen: &Seen<Option<String>>| seen.known().unwrap().clone().unwrap_or_default();
    vec![format!("kube-proxy {}", image(&api.kube_proxy)), format!("coredns {}", image(&api.coredns))]
}

fn stateful_sets(api: &ApiFacts) -> Vec<String> {
    let sets = api.stateful_sets.known().unwrap();
    sets.iter().map(|set| format!("{}  {}  {}", set.name.replacen('/', "  ", 1), set.wanted, set.ready)).collect()
}
