//! What holds for every cluster: members, control planes and workers in any number, at any mixture of versions, in any
//! state. A plan that comes out keeps every law, is the same bytes each time, leads through supported states only, and ends
//! where there is nothing left to do.

use proptest::prelude::*;
use windlass::decide::checker;
use windlass::decide::finding::{Finding, Rule, Severity};
use windlass::decide::plan::{Plan, PlanError};
use windlass::decide::target::Target;
use windlass::facts::Seen;
use windlass::inventory::Role;

use super::cluster::{Cluster, name, target, version};
use super::oracle::{apply, members_at_once, undrained, unsupported};

/// What a machine is like; numbers choose from the versions below.
#[derive(Clone, Debug)]
struct Machine {
    server: usize,
    packages: usize,
    running: usize,
    etcd: usize,
    sick: u8,
    cordoned: bool,
    held: bool,
}

/// A cluster and what is asked of it.
#[derive(Clone, Debug)]
struct Wish {
    members: usize,
    planes: usize,
    workers: usize,
    machines: Vec<Machine>,
    /// What kubeadm-config says; what the first control plane runs when it is absent.
    config: Option<usize>,
    target: Target,
}

const KUBERNETES: [&str; 4] = ["1.20.2", "1.20.15", "1.21.14", "1.22.17"];
const ETCD: [&str; 4] = ["3.4.23", "3.5.16", "3.5.30", "3.3.25"];

fn machine() -> impl Strategy<Value = Machine> {
    // The first version and good health weigh most: else nearly everything is refused.
    let choice = || prop_oneof![40 => Just(0_usize), 6 => Just(2), 3 => Just(1), 1 => Just(3)];
    let sick = prop_oneof![150 => Just(0_u8), 1 => 1..4_u8];
    (choice(), choice(), choice(), choice(), sick, prop::bool::weighted(0.1), prop::bool::weighted(0.8)).prop_map(
        |(server, packages, running, etcd, sick, cordoned, held)| Machine {
            server,
            packages,
            running,
            etcd: etcd.min(3),
            sick,
            cordoned,
            held,
        },
    )
}

fn wish() -> impl Strategy<Value = Wish> {
    let kubernetes = prop_oneof![6 => Just("1.21.14"), 3 => Just("1.20.15"), 1 => Just("1.22.17"), 2 => Just("")];
    let etcd = prop_oneof![5 => Just("3.5.16"), 2 => Just("3.5.30"), 3 => Just("")];
    let members = prop_oneof![1 => Just(1_usize), 1 => Just(2), 4 => Just(3), 1 => Just(5)];
    let size = (members, 1..=4_usize, 0..=6_usize);
    let odd = prop::bool::weighted(0.5);
    (
        size,
        prop::collection::vec(machine(), 15),
        odd,
        kubernetes,
        etcd,
        prop::bool::weighted(0.7),
        prop::option::weighted(0.1, 0..3_usize),
    )
        .prop_map(|((members, planes, workers), mut machines, odd, kubernetes, etcd, accept, config)| {
            if !odd {
                for machine in &mut machines {
                    (machine.packages, machine.running) = (machine.server, machine.server);
                }
            }
            let target = Target { accept_outage: accept, ..target(kubernetes, etcd) };
            Wish { members, planes, workers, machines, config, target }
        })
}

impl Wish {
    fn cluster(&self) -> Cluster {
        let mut cluster = Cluster::base();
        let mut size = |start: &str, like: &str, has: usize, wanted: usize| {
            for number in wanted + 1..=has {
                cluster.remove(&format!("{start}{number}"));
            }
            for number in has + 1..=wanted {
                cluster.add_like(like, &format!("{start}{number}"));
            }
        };
        size("etcd", "etcd1", 3, self.members);
        size("cp", "cp1", 3, self.planes);
        // The last worker goes last: others are made like it.
        size("w", "w1", 2, self.workers);
        let config = self.config.unwrap_or(self.machines[5].server);
        cluster.set_cluster(&version(KUBERNETES[config]));
        for (name, machine) in cluster.names(Role::Etcd).iter().zip(&self.machines) {
            cluster.set_etcd(name, &version(ETCD[machine.etcd]));
        }
        let nodes = [cluster.names(Role::ControlPlane), cluster.names(Role::Worker)].concat();
        for (name, machine) in nodes.iter().zip(&self.machines[5..]) {
            if name.as_str().starts_with("cp") {
                cluster.set_api_server(name, &version(KUBERNETES[machine.server]));
            }
            cluster.set_packages(name, &["kubeadm", "kubelet", "kubectl"], &version(KUBERNETES[machine.packages]));
            cluster.set_kubelet(name, &version(KUBERNETES[machine.running]));
            for package in cluster.machine(name).packages.values_mut() {
                package.held = machine.held;
            }
            cluster.kube_node(name).unschedulable = machine.cordoned;
        }
        for (at, machine) in (0..cluster.facts.nodes.len()).zip(&self.machines) {
            let name = cluster.facts.nodes[at].name.clone();
            match machine.sick {
                1 => cluster.facts.nodes[at].machine = Seen::Unknown("no route to host".to_owned()),
                2 if name.as_str().starts_with('w') => cluster.kube_node(&name).conditions.clear(),
                3 => cluster.machine(&name).package_manager = Seen::Unknown("no shell".to_owned()),
                _ => {}
            }
        }
        cluster
    }
}

fn only_warnings(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.severity == Severity::Warning)
}

/// A plan, and the cluster it is for; or all that was found.
fn planned(wish: &Wish) -> (Cluster, Result<Plan, Vec<Finding>>) {
    let cluster = wish.cluster();
    let plan = cluster.plan(&wish.target);
    (cluster, plan)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_keeps_every_law_and_a_refusal_has_a_better_reason(wish in wish()) {
        match planned(&wish).1 {
            Ok(plan) => {
                prop_assert_eq!(checker::check(&plan), []);
                prop_assert!(only_warnings(&plan.findings));
            }
            Err(findings) => {
                prop_assert!(!only_warnings(&findings), "refused, and nothing forbids it: {findings:#?}");
                let laws: Vec<_> = findings.iter().filter(|finding| finding.rule == Rule::Law).collect();
                prop_assert!(laws.is_empty(), "the playbooks that come along make no unlawful plan: {laws:#?}");
            }
        }
    }

    #[test]
    fn the_same_input_gives_the_same_bytes(wish in wish()) {
        match (planned(&wish).1, planned(&wish).1) {
            (Ok(one), Ok(other)) => prop_assert_eq!(one.to_json(), other.to_json()),
            (one, other) => prop_assert_eq!(one.is_err(), other.is_err()),
        }
    }

    #[test]
    fn a_plan_is_read_as_it_was_written(wish in wish()) {
        if let Ok(plan) = planned(&wish).1 {
            prop_assert_eq!(Plan::from_json(&plan.to_json()).expect("it is a plan"), plan);
        }
    }

    #[test]
    fn every_state_on_the_way_is_supported_and_can_be_planned_from(wish in wish()) {
        let (mut cluster, Ok(plan)) = planned(&wish) else { return Ok(()) };
        prop_assert!(members_at_once(&cluster, &plan) <= 1);
        // A cluster that is odd from the start may be planned for; it is not made odder.
        let before = unsupported(&cluster).len();
        for placed in plan.placed() {
            prop_assert_eq!(undrained(&cluster, &placed), None, "at {}", placed.id());
            apply(&mut cluster, &plan, &placed);
            let now = unsupported(&cluster);
            prop_assert!(now.len() <= before, "after {}: {now:#?}", placed.id());
            if placed.step.action.changes_cluster() {
                let again = cluster.plan(&wish.target);
                prop_assert!(again.is_ok(), "after {} no plan goes on: {again:#?}", placed.id());
            }
        }
        if wish.target.kubernetes.is_some() {
            prop_assert_eq!(unsupported(&cluster), Vec::<String>::new());
        }
        let again = cluster.plan(&wish.target).expect("a plan that is through leaves no reason against another");
        prop_assert!(again.is_empty(), "{again:#?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn ready_clusters_are_planned_for(members in 3..=5_usize, planes in 2..=4_usize, workers in 0..=6_usize) {
        let machine = Machine { server: 0, packages: 0, running: 0, etcd: 0, sick: 0, cordoned: false, held: true };
        let target = target("1.21.14", "3.5.16");
        let wish = Wish { members, planes, workers, machines: vec![machine; 15], config: None, target };
        let (cluster, plan) = planned(&wish);
        let plan = plan.expect("nothing is against it");
        let has = |node: &str| plan.placed().any(|placed| placed.node == Some(&name(node)));
        for node in &cluster.inventory.nodes {
            prop_assert!(has(node.name.as_str()), "{} is left behind", node.name);
        }
    }

    #[test]
    fn a_plan_that_was_changed_by_hand_is_refused(at in any::<prop::sample::Index>(), how in 0..3_u8) {
        let plan = super::cluster::golden();
        let mut json = serde_json::to_value(&plan).expect("a plan is JSON");
        let mut leaves = Vec::new();
        collect(&json, String::new(), &mut leaves);
        let pointer = &leaves[at.index(leaves.len())];
        let leaf = json.pointer_mut(pointer).expect("it is there");
        let former = leaf.clone();
        change(leaf, how);
        prop_assert_ne!(&*leaf, &former);
        let refused = Plan::from_json(&json.to_string());
        prop_assert!(refused.is_err(), "{pointer}: {former} was changed, and nobody noticed");
        // Another word, not another shape.
        if pointer == "/cluster" && how != 2 {
            let edited = matches!(refused, Err(PlanError::Edited { .. }));
            prop_assert!(edited);
        }
    }
}

/// The pointers to everything in a JSON that is no object and no array.
fn collect(json: &serde_json::Value, at: String, leaves: &mut Vec<String>) {
    let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match json {
        serde_json::Value::Object(map) => {
            map.iter().for_each(|(key, inside)| collect(inside, format!("{at}/{}", escape(key)), leaves));
        }
        serde_json::Value::Array(items) => {
            items.iter().enumerate().for_each(|(key, inside)| collect(inside, format!("{at}/{key}"), leaves));
        }
        _ => leaves.push(at),
    }
}

fn change(leaf: &mut serde_json::Value, how: u8) {
    use serde_json::Value;
    *leaf = match (&*leaf, how) {
        (Value::Bool(yes), _) => Value::Bool(!yes),
        (Value::Number(number), _) => Value::from(number.as_u64().map_or(0, |number| number.wrapping_add(1))),
        (Value::String(text), 0) => Value::from(format!("{text}1")),
        (Value::String(text), 1) if !text.is_empty() => Value::from(&text[1..]),
        (Value::String(_), 2) => Value::Null,
        (Value::String(text), _) => Value::from(format!("x{text}")),
        _ => Value::from("x"),
    };
}
