//! Load balancers of the cluster's own: how they are set up when it begins, and that no client is led to a control plane while it
//! is worked on.

use windlass::decide::action::Action;
use windlass::decide::checker;
use windlass::decide::finding::Severity;
use windlass::decide::plan::{Lane, Plan, Stage};
use windlass::facts::balancer::{Balancer, Server};
use windlass::facts::{PackageFacts, Seen};
use windlass::inventory::Role;

use super::bootstrap::{bare, stages, step};
use super::cluster::{Cluster, name, target};

/// The cluster with these load balancers before its control planes.
pub(crate) fn led_by(mut cluster: Cluster, names: &[&str]) -> Cluster {
    cluster.inventory.api.endpoint = Some("172.30.0.10:6443".to_owned());
    for (number, balancer) in (8..).zip(names) {
        cluster.add_like("w1", balancer);
        if let Seen::Known(api) = &mut cluster.facts.api {
            api.nodes.retain(|node| node.name != *balancer);
        }
        let node = cluster.inventory.nodes.last_mut().expect("it was added");
        node.roles = [Role::LoadBalancer].into();
        node.address = windlass::inventory::Address::new(format!("172.30.0.{number}")).expect("an address");
        let servers =
            cluster.names(Role::ControlPlane).into_iter().map(|name| (name.to_string(), Server::Ready)).collect();
        let machine = cluster.machine(&name(balancer));
        machine.balancer = Seen::Known(Some(Balancer { keepalived: names.len() > 1, servers }));
        machine.packages.clear();
        for package in ["haproxy", "keepalived", "socat"] {
            let facts =
                PackageFacts { installed: None, held: false, candidates: Seen::Known(vec!["2.6.12-1".to_owned()]) };
            machine.packages.insert(package.to_owned(), facts);
        }
        machine.kubelet_running = Seen::Known(None);
    }
    cluster
}

/// What a bootstrap has to know of them besides.
fn before(names: &[&str]) -> super::bootstrap::Bare {
    let mut bare = bare(led_by(Cluster::stacked(), names));
    for balancer in names {
        bare.cluster.machine(&name(balancer)).balancer = Seen::Known(None);
    }
    bare
}

#[test]
fn two_of_them_share_the_endpoints_address_and_are_seen_to_give_it_to_each_other() {
    let plan = before(&["lb1", "lb2"]).plan().expect("a plan");
    let wanted = [
        "load-balancers x2: set-up",
        "load-balancers-lead x2: await-servers",
        "hand-over-lb1 x1: hand-over",
        "hand-over-lb2 x1: hand-over",
    ];
    let all = stages(&plan);
    let found: Vec<&String> =
        all.iter().filter(|stage| stage.contains("load-balancer") || stage.contains("hand")).collect();
    assert_eq!(found, wanted.iter().collect::<Vec<_>>());
    let at = |name: &str| plan.stages.iter().position(|stage| stage.name == name);
    assert!(at("load-balancers") < at("first-control-plane") && at("workers") < at("load-balancers-lead"));
    let Action::SetUpBalancer(one) = &step(&plan, "load-balancers/lb1/set-up").action else { panic!("it is set up") };
    for server in ["cp1 172.30.0.21:6443", "cp2 172.30.0.22:6443", "cp3 172.30.0.23:6443"] {
        assert_eq!(
            one.haproxy.matches(&format!("  server {server}\n")).count() + usize::from(one.haproxy.ends_with(server)),
            2
        );
    }
    assert!(one.haproxy.contains("  bind :6443\n") && one.haproxy.contains("GET /readyz"), "{}", one.haproxy);
    let shared = one.keepalived.as_deref().expect("they share an address");
    for line in
        ["priority 100", "unicast_src_ip 172.30.0.8", "    172.30.0.9\n", "    172.30.0.10\n", "virtual_router_id 51"]
    {
        assert!(shared.contains(line), "{line}: {shared}");
    }
    let Action::SetUpBalancer(other) = &step(&plan, "load-balancers/lb2/set-up").action else { panic!("it is set up") };
    assert!(
        other
            .keepalived
            .as_deref()
            .is_some_and(|text| text.contains("priority 99") && text.contains("    172.30.0.8\n"))
    );
    let Action::InstallPackages(install) = &step(&plan, "install/lb2/install-balancer").action else {
        panic!("it does")
    };
    let names: Vec<&str> = install.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!((names, install.hold.len()), (vec!["haproxy", "keepalived", "socat"], 0), "mends of them are welcome");
    assert_eq!(checker::check(&plan), []);

    let mut late = plan.clone();
    let first = late.stages.remove(at("load-balancers").expect("the stage"));
    late.stages.push(first);
    let breaches: Vec<String> = checker::check(&late).into_iter().map(|breach| breach.detail).collect();
    assert!(
        breaches.contains(&"not each load balancer is set up before the API is reached through it".to_owned()),
        "{breaches:?}"
    );
}

#[test]
fn one_of_them_shares_nothing() {
    let plan = before(&["lb1"]).plan().expect("a plan");
    let Action::SetUpBalancer(one) = &step(&plan, "load-balancers/lb1/set-up").action else { panic!("it is set up") };
    assert_eq!(one.keepalived, None);
    let Action::InstallPackages(install) = &step(&plan, "install/lb1/install-balancer").action else {
        panic!("it does")
    };
    assert!(install.packages.iter().all(|package| package.name != "keepalived"));
    assert!(!plan.stages.iter().any(|stage| stage.name.starts_with("hand-over")));
}

#[test]
fn what_is_in_their_way_is_said() {
    let mut bare = before(&["lb1", "lb2"]);
    let machine = bare.cluster.machine(&name("lb2"));
    machine.packages.remove("keepalived");
    if let Seen::Known(ground) = &mut machine.ground {
        ground.listening.insert(6443);
    }
    assert_eq!(bare.refused(), ["lb2: keepalived is not to be had", "lb2: somebody listens on 6443 there already"]);
}

fn lane<'a>(plan: &'a Plan, stage: &str, node: &str) -> Vec<&'a str> {
    let stage: &Stage = plan.stages.iter().find(|known| known.name == stage).unwrap_or_else(|| panic!("no {stage}"));
    let lanes = stage.waves.iter().flat_map(|wave| &wave.lanes);
    let lane: &Lane = lanes.into_iter().find(|lane| lane.node.as_ref() == Some(&name(node))).expect("a lane");
    plan.steps(lane).iter().map(|step| step.name.as_str()).collect()
}

#[test]
fn no_client_is_led_to_a_control_plane_while_it_is_worked_on() {
    let plan = led_by(Cluster::base(), &["lb1", "lb2"]).plan(&target("1.21.14", "3.5.16")).expect("a plan");
    let (out, back) = (["drain-at-lb1", "drain-at-lb2"], ["return-at-lb1", "return-at-lb2"]);
    let first = [&["kubeadm", "kubeadm-plan"][..], &out, &["kubeadm-apply"], &back].concat();
    assert_eq!(lane(&plan, "first-control-plane", "cp1"), first);
    let other = [&["kubeadm"][..], &out, &["kubeadm-node"], &back].concat();
    assert_eq!(lane(&plan, "control-planes", "cp3"), other);
    let kubelet = [&["cordon", "drain"][..], &out, &["kubelet", "restart", "await-ready", "uncordon"], &back].concat();
    assert_eq!(lane(&plan, "control-plane-kubelets", "cp2"), kubelet);
    assert!(lane(&plan, "workers", "w1").iter().all(|step| !step.contains("-at-")));
    assert_eq!(checker::check(&plan), []);

    let stacked = led_by(Cluster::stacked(), &["lb1"]).plan(&target("1.21.14", "")).expect("a plan");
    let around = ["kubeadm", "drain-at-lb1", "move-leader", "kubeadm-node", "await-members", "return-at-lb1"];
    assert_eq!(lane(&stacked, "control-planes", "cp2"), around, "leadership is moved just before");
    assert_eq!(checker::check(&stacked), []);
}

#[test]
fn what_is_taken_out_of_service_is_given_back() {
    let mut plan = led_by(Cluster::base(), &["lb1"]).plan(&target("1.21.14", "")).expect("a plan");
    for procedure in &mut plan.procedures {
        procedure.retain(|step| !matches!(step.action, Action::ReturnServer(_)));
    }
    let breaches: Vec<String> =
        checker::check(&plan).into_iter().map(|breach| format!("{}: {}", breach.at, breach.detail)).collect();
    let wanted = "first-control-plane/cp1/drain-at-lb1: clients are not led to it again by lb1".to_owned();
    assert!(breaches.len() == 6 && breaches.contains(&wanted), "{breaches:?}");

    let mut plan = led_by(Cluster::base(), &["lb1"]).plan(&target("1.21.14", "")).expect("a plan");
    for step in plan.procedures.iter_mut().flatten() {
        match &mut step.action {
            Action::DrainServer(it) => it.balancer = name("w1"),
            Action::ReturnServer(it) => it.balancer = name("w1"),
            _ => {}
        }
    }
    let breaches = checker::check(&plan);
    assert!(
        breaches.iter().all(|breach| breach.detail == "w1 is no load balancer of a control plane's"),
        "{breaches:?}"
    );
    assert!(!breaches.is_empty());
}

#[test]
fn what_is_wrong_with_them_is_said_and_forbids_nothing() {
    let mut cluster = led_by(Cluster::base(), &["lb1", "lb2"]);
    cluster.machine(&name("lb1")).balancer = Seen::Known(None);
    let servers = [("cp1", Server::Ready), ("cp2", Server::Down)].map(|(name, server)| (name.to_owned(), server));
    cluster.machine(&name("lb2")).balancer = Seen::Known(Some(Balancer { keepalived: false, servers: servers.into() }));
    let plan = cluster.plan(&target("1.21.14", "")).expect("a plan");
    let said: Vec<String> = plan
        .findings
        .iter()
        .filter(|finding| finding.rule.name() == "load-balancer" && finding.severity == Severity::Warning)
        .map(|finding| format!("{}: {}", finding.subject, finding.detail))
        .collect();
    assert_eq!(
        said,
        [
            "lb1: haproxy does not run there: nobody is led to the API through it",
            "lb2: does not know cp3, and leads nobody to it",
            "lb2: does not see cp2 ready, and leads nobody to it",
            "lb2: keepalived does not run there: it cannot take the address when the other one fails",
        ]
    );
    assert_eq!(lane(&plan, "control-planes", "cp2"), ["kubeadm", "drain-at-lb2", "kubeadm-node", "return-at-lb2"]);
    assert_eq!(lane(&plan, "control-planes", "cp3"), ["kubeadm", "kubeadm-node"], "lb2 does not know it");
}

#[test]
fn the_only_control_plane_stays_in_service() {
    let mut cluster = led_by(Cluster::base(), &["lb1"]);
    cluster.remove("cp2");
    cluster.remove("cp3");
    let accepted = windlass::decide::target::Target { accept_outage: true, ..target("1.21.14", "") };
    let plan = cluster.plan(&accepted).expect("a plan");
    assert!(!plan.placed().any(|placed| matches!(placed.step.action, Action::DrainServer(_))));
}
