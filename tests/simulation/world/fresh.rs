//! The world at its beginning, as the facts of the lab tell it.

use std::collections::BTreeSet;
use std::time::Duration;

use semver::Version;
use windlass::facts::{ApiFacts, EtcdMember, Facts, MachineFacts, Seen};

use super::balancing::Balancing;
use super::etcd::Member;
use super::machine::Certificates;
use super::own::Own;
use super::pods::{Kind, Pod, Workload};
use super::{At, Dpkg, Etcd, Kube, Machine, NodeObject, Package, Plane, World};

fn known<T>(seen: Seen<T>) -> T {
    match seen {
        Seen::Known(value) => value,
        Seen::Unknown(why) => panic!("{why}"),
    }
}

pub(super) fn world(facts: Facts) -> World {
    let machines: Vec<Machine> =
        facts.nodes.into_iter().map(|node| machine(node.name.to_string(), known(node.machine))).collect();
    let told = known(facts.etcd);
    let members = told.members.into_iter().map(|told| member(told, &machines)).collect();
    let etcd = Etcd::new(told.cluster_id, members, told.alarms);
    let kube = kube(known(facts.api), &machines);
    World {
        now: Duration::ZERO,
        machines,
        etcd,
        kube,
        begun: Vec::new(),
        acting: None,
        happened: Vec::new(),
        breaks: super::Breaks::default(),
        kubeadm_etcd: std::collections::BTreeMap::from([(20, "3.4.23-0"), (21, "3.5.16-0")]),
        waits_for_word: false,
        silenced: BTreeSet::new(),
        base: facts.taken_at,
        later: std::collections::BTreeMap::new(),
        counter: 0,
    }
}

fn machine(name: String, told: MachineFacts) -> Machine {
    let packages = told.packages.iter().filter_map(|(name, facts)| {
        let version = facts.installed.clone()?;
        Some((name.clone(), Package { version, state: Dpkg::Installed, held: facts.held }))
    });
    let kubelet = told.kubelet_running.known().cloned().flatten();
    Machine {
        name,
        boot: 0,
        up: true,
        cut_off: false,
        full: false,
        skew_ms: 0,
        packages: packages.collect(),
        cache: BTreeSet::new(),
        images: BTreeSet::new(),
        kubelet_config: kubelet.as_ref().map_or(0, |kubelet| kubelet.minor),
        kubelet,
        plane: told.api_server.known().cloned().flatten().map(|version| Plane::new(&version)),
        balancer: told.balancer.known().and_then(Option::as_ref).map(|_| Balancing::default()),
        own: Own { token: told.token, ..Own::default() },
        certificates: Certificates::default(),
        told,
    }
}

fn member(told: EtcdMember, machines: &[Machine]) -> Member {
    let name = told.node.as_ref().expect("its machine");
    let at: At = machines.iter().position(|machine| machine.name == name.as_str()).expect("a machine");
    let process = machines[at].told.etcd.known().cloned().flatten().expect("a process");
    let pods = machines[at].told.static_pods.known();
    let manifest = pods.and_then(|pods| Some(pods.get("etcd")?.rsplit_once(':')?.1.to_owned()));
    let (runs, cluster): (Version, Version) = (known(process.server_version), known(process.cluster_version));
    Member {
        at,
        told,
        runs: Some(runs),
        away: false,
        cluster,
        log: 0,
        refused: false,
        listed: true,
        blocked: false,
        restored: None,
        manifest,
        stopped_by: None,
    }
}

/// The lab's workload: a replicated web tier, a database that may lose one replica at a time, an agent on every node.
fn kube(api: ApiFacts, machines: &[Machine]) -> Kube {
    let nodes: Vec<NodeObject> = api
        .nodes
        .into_iter()
        .map(|told| NodeObject {
            at: machines.iter().position(|machine| machine.name == told.name),
            ready: told.ready(),
            unschedulable: told.unschedulable,
            cordoned_by: told.cordoned_by.clone(),
            who: None,
            kubelet: known(told.kubelet.clone()),
            told,
        })
        .collect();
    let workloads = vec![
        Workload { name: "web", kind: Kind::Deployment, wanted: 3, budget: None },
        Workload { name: "db", kind: Kind::StatefulSet, wanted: 3, budget: Some(1) },
        Workload { name: "agent", kind: Kind::DaemonSet, wanted: nodes.len(), budget: None },
    ];
    let pod = |workload: usize, node: usize| Pod { workload, node: Some(node), ready: true, going: false, gone: false };
    let workers: Vec<usize> =
        (0..nodes.len()).filter(|node| nodes[*node].at.is_some_and(|at| machines[at].plane.is_none())).collect();
    let placed = (0..6).map(|number| pod(number / 3, workers[number % workers.len()]));
    let agents = (0..nodes.len()).map(|node| pod(2, node));
    let config = known(api.kubeadm);
    Kube {
        version: config.version,
        endpoint: config.endpoint,
        kubelet_configs: known(api.kubelet_configs),
        proxy_image: known(api.kube_proxy).expect("kube-proxy"),
        coredns: known(api.coredns).expect("CoreDNS"),
        pods: placed.chain(agents).collect(),
        nodes,
        workloads,
        looking: false,
    }
}
