//! A plan's file: read as it was written, refused for its format, its shape or a changed word; and what a way between two
//! versions is.

use windlass::decide::action::Action;
use windlass::decide::actions::archive::ArchiveNode;
use windlass::decide::actions::etcd::SwapEtcd;
use windlass::decide::actions::kubeadm::KubeadmApply;
use windlass::decide::actions::packages::InstallPackages;
use windlass::decide::plan::{Plan, PlanError};
use windlass::decide::target::{Way, minor, minors_apart};

use super::cluster::{golden, version};

#[test]
fn a_plan_file_says_why_it_is_none() {
    let said = |text: &str| Plan::from_json(text).expect_err("it is no plan").to_string();
    let json = golden().to_json();
    let ours = env!("CARGO_PKG_VERSION");
    let made_by = |json: &str, windlass: &str| {
        json.replacen(&format!("\"windlass\": \"{ours}\""), &format!("\"windlass\": \"{windlass}\""), 1)
    };
    assert_eq!(said(" \n"), "it is empty");
    assert_eq!(
        said(&json[..json.len() / 2]),
        format!("it ends in the middle, in line {}: it was cut off", json[..json.len() / 2].matches('\n').count() + 1)
    );
    assert!(said("[[node]]").starts_with("it is not a plan: "));
    assert!(said("{}").contains("it is not a plan: missing field `format`"));

    let other = made_by(&json, "9.0.0").replacen("\"format\": 1", "\"format\": 2", 1);
    let format =
        format!("it has plan format 2 and was made by windlass 9.0.0; this is windlass {ours}, which reads format 1");
    assert_eq!(said(&other), format);
    // Whatever else that format has become.
    assert_eq!(said(r#"{"format": 2, "windlass": "9.0.0", "graph": []}"#), format);
    let newer = format!("it was made by windlass 9.0.0, which is newer than this {ours}");
    let with_colour = json.replacen("\"format\": 1", "\"format\": 1,\n  \"colour\": \"red\"", 1);
    assert_eq!(said(&made_by(&json, "9.0.0")), newer);
    assert_eq!(said(&made_by(&with_colour, "9.0.0")), newer);

    let unknown = said(&with_colour);
    assert!(unknown.starts_with("it was changed after it was made: unknown field `colour`"), "{unknown}");
    let id = golden().id;
    let edited = json.replacen("\"timeout_seconds\": 600", "\"timeout_seconds\": 6", 1);
    let changed = format!("its content does not match its id {id}: it was changed after it was made");
    assert_eq!(said(&edited), changed);
    let older = format!("{changed}, or windlass 0.0.1, which made it, writes plans otherwise than this {ours}");
    assert_eq!(said(&made_by(&json, "0.0.1")), older);
}

/// The plan's procedures put into each other's places, lanes left as they are.
fn swapped() -> Plan {
    let mut plan = golden();
    let last = plan.procedures.len() - 1;
    plan.procedures.swap(0, last);
    plan
}

#[test]
fn swapped_procedures_are_a_change_and_under_a_new_seal_break_the_laws() {
    let id = golden().id;
    let refused = Plan::from_json(&swapped().to_json());
    assert!(matches!(&refused, Err(PlanError::Edited { id: claimed }) if *claimed == id), "{refused:?}");
    match Plan::from_json(&swapped().sealed().to_json()) {
        Ok(plan) => assert!(!windlass::decide::checker::check(&plan).is_empty()),
        Err(refused) => assert!(matches!(refused, PlanError::Unfit(_)), "{refused}"),
    }
}

#[test]
fn a_lane_without_a_procedure_is_refused_before_anything_looks_at_it() {
    let mut plan = golden();
    plan.procedures.clear();
    let refused = Plan::from_json(&plan.sealed().to_json());
    assert!(matches!(refused, Err(PlanError::Procedure(stage)) if stage == "archive"));
}

#[test]
fn a_plan_may_be_laid_out_anew() {
    let plan = golden();
    let compact = serde_json::to_string(&plan).expect("a plan is JSON");
    assert_eq!(Plan::from_json(&compact).expect("only white space differs"), plan);
}

#[test]
fn an_id_is_short_and_every_step_has_its_own() {
    let plan = golden();
    assert!(plan.id.0.len() == 12 && plan.id.0.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let mut ids: Vec<String> = plan.placed().map(|placed| placed.id()).collect();
    let all = ids.len();
    assert!(ids.contains(&"workers/w1/drain".to_owned()) && ids.contains(&"snapshot-etcd/cluster/snapshot".to_owned()));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn procedures_that_are_the_same_are_stored_once() {
    let plan = golden();
    let lanes = |stage: &str| -> Vec<usize> {
        let stage = plan.stages.iter().find(|known| known.name == stage).expect("it is there");
        stage.waves.iter().flat_map(|wave| &wave.lanes).map(|lane| lane.procedure).collect()
    };
    assert_eq!(lanes("workers")[0], lanes("workers")[1]);
    assert_eq!(lanes("control-planes")[0], lanes("control-planes")[1]);
    assert_ne!(lanes("etcd")[0], lanes("etcd")[1], "each member has its own address");
}

#[test]
fn a_way_goes_by_a_patch_or_a_minor() {
    let cases = [
        ("1.20.2", "1.20.2", Way::Same),
        ("1.20.2", "1.20.15", Way::Patch),
        ("1.20.15", "1.21.0", Way::Minor),
        ("1.20.2", "1.21.14", Way::Minor),
        ("1.20.2", "1.22.0", Way::Skip),
        ("1.20.2", "2.0.0", Way::Skip),
        ("1.20.2", "2.20.2", Way::Skip),
        ("1.21.14", "1.21.2", Way::Down),
        ("1.21.0", "1.20.15", Way::Down),
        ("2.0.0", "1.99.0", Way::Down),
        ("1.21.0-rc.1", "1.21.0", Way::Patch),
        ("1.21.0", "1.21.0-rc.1", Way::Down),
        ("1.20.15", "1.21.0-rc.1", Way::Minor),
        ("1.18446744073709551615.0", "1.18446744073709551615.1", Way::Patch),
    ];
    for (from, to, way) in cases {
        assert_eq!(Way::between(&version(from), &version(to)), way, "{from} to {to}");
        assert_eq!(way.is_step(), matches!(way, Way::Patch | Way::Minor));
    }
}

#[test]
fn minors_are_counted_within_a_major() {
    let apart = |older: &str, newer: &str| minors_apart(&version(older), &version(newer));
    assert_eq!(apart("1.20.15", "1.20.2"), Some(0));
    assert_eq!(apart("1.20.2", "1.22.17"), Some(2));
    assert_eq!(apart("1.22.17", "1.20.2"), Some(-2));
    assert_eq!(apart("1.20.2", "2.20.2"), None);
    assert_eq!(minor(&version("1.21.14")), "1.21");
}

fn actions(plan: &mut Plan) -> impl Iterator<Item = &mut Action> {
    plan.procedures.iter_mut().flatten().map(|step| &mut step.action)
}

fn archive(plan: &mut Plan) -> &mut ArchiveNode {
    let found = actions(plan).find_map(|action| if let Action::ArchiveNode(it) = action { Some(it) } else { None });
    found.expect("the plan archives")
}

fn install(plan: &mut Plan) -> &mut InstallPackages {
    let found = actions(plan).find_map(|action| if let Action::InstallPackages(it) = action { Some(it) } else { None });
    found.expect("the plan installs packages")
}

fn swap(plan: &mut Plan) -> &mut SwapEtcd {
    let found = actions(plan).find_map(|action| if let Action::SwapEtcd(it) = action { Some(it) } else { None });
    found.expect("the plan raises etcd")
}

fn apply(plan: &mut Plan) -> &mut KubeadmApply {
    let found = actions(plan).find_map(|action| if let Action::KubeadmApply(it) = action { Some(it) } else { None });
    found.expect("the plan raises Kubernetes")
}

type Edit = fn(&mut Plan);

fn set(word: &mut String, to: &str) {
    to.clone_into(word);
}

/// Ways to edit a plan so that a word of it would be read as something else, and what is said of each.
const UNFIT: &[(Edit, &str)] = &[
    (|p| set(&mut p.cluster, "../../root"), "as the cluster's name"),
    (|p| set(&mut p.stages[0].name, "a/b"), "as the stage's name"),
    (|p| set(&mut p.procedures[0][0].name, "a.b"), "as the step's name"),
    (|p| p.procedures[0][0].timeout_seconds = u64::MAX, "more than a year"),
    (|p| p.stages[5].name = p.stages[2].name.clone(), "snapshot-etcd/cluster/snapshot: two steps have this name"),
    (|p| drop(p.baseline.machines.pop_first()), "the plan does not say what cp1 was like"),
    (|p| archive(p).service = Some("-H evil".to_owned()), "as the service"),
    (|p| archive(p).paths.push("/x,/etc/shadow y".to_owned()), "as a path on the node"),
    (|p| set(install(p).from.values_mut().next().expect("it replaces one"), "1 x=2"), "no version of a package"),
    (|p| install(p).hold.push("x; reboot".to_owned()), "it would hold `x; reboot`"),
    (|p| install(p).hold.push("containerd".to_owned()), "it would hold `containerd`"),
    (|p| install(p).packages.clear(), "it names no package"),
    (|p| set(&mut install(p).packages[0].name, "-oDir=/x"), "as a package"),
    (|p| set(&mut install(p).packages[0].name, "/tmp/x.deb"), "as a package"),
    (|p| install(p).packages[0].version.push('-'), "no version of a package"),
    (|p| install(p).packages[0].version.push_str(" x=1"), "no version of a package"),
    (|p| set(&mut swap(p).service, "-H evil"), "as the service"),
    (|p| set(&mut swap(p).access.ca, "/x;y"), "as a path on the node"),
    (|p| swap(p).access.own = String::new(), "no address of etcd"),
    (|p| set(&mut swap(p).access.own, "https://10.0.0.1:2379;-"), "as an address of etcd"),
    (|p| swap(p).access.others = vec!["-".to_owned()], "no address of etcd"),
    (|p| swap(p).access.others[0].push_str(",http://10.0.0.9:1"), "as an address of etcd"),
    (|p| apply(p).ignore = vec!["all".to_owned()], "as a check to ignore"),
    (|p| apply(p).ignore = vec!["Swap,all".to_owned()], "as a check to ignore"),
];

#[test]
fn a_word_that_would_be_read_otherwise_is_refused_also_under_a_new_seal() {
    for (edit, why) in UNFIT {
        let mut plan = golden();
        edit(&mut plan);
        let refused = Plan::from_json(&plan.sealed().to_json());
        let Err(PlanError::Unfit(unfit)) = &refused else { panic!("{why}: {:?}", refused.err()) };
        assert!(unfit.to_string().contains(why), "{why}: {unfit}");
    }
}
