//! Defragmentation: who is worth it, in which order, and what forbids it.

use windlass::decide::checker;
use windlass::decide::defrag::{self, Wanted};
use windlass::decide::finding::{Finding, Severity};
use windlass::decide::plan::Plan;
use windlass::facts::{Alarm, EtcdFacts, MemberStatus, Seen};

use super::cluster::{Cluster, name, sources, version};

fn plan(cluster: &Cluster) -> Result<Plan, Vec<Finding>> {
    let sources = sources();
    defrag::plan(Wanted { inventory: &cluster.inventory, facts: &cluster.facts, sources: &sources })
}

fn etcd(cluster: &mut Cluster) -> &mut EtcdFacts {
    let Seen::Known(etcd) = &mut cluster.facts.etcd else { panic!("etcd was seen") };
    etcd
}

fn status(cluster: &mut Cluster, member: usize) -> &mut MemberStatus {
    let Seen::Known(status) = &mut etcd(cluster).members[member].status else { panic!("it answers") };
    status
}

/// Each member's database, size and what is in use of it, in MiB.
fn sized(sizes: [(u64, u64); 3]) -> Cluster {
    let mut cluster = Cluster::base();
    for (member, (size, used)) in sizes.into_iter().enumerate() {
        let status = status(&mut cluster, member);
        (status.db_size, status.db_in_use) = (size << 20, used << 20);
    }
    cluster
}

fn order(plan: &Plan) -> Vec<String> {
    plan.placed().filter(|placed| placed.stage.name == "defrag").map(|placed| placed.id()).collect()
}

fn refusals(cluster: &Cluster) -> Vec<String> {
    let found = plan(cluster).expect_err("it is refused");
    let grave = found.iter().filter(|finding| finding.severity != Severity::Warning);
    grave.map(|finding| format!("{}: {} [{}]", finding.subject, finding.detail, finding.rule)).collect()
}

#[test]
fn the_leader_is_last_and_those_not_worth_it_are_left_out_with_the_numbers() {
    let cluster = sized([(400, 100), (500, 100), (300, 290)]);
    let plan = plan(&cluster).expect("a plan");
    let wanted = [
        "defrag/etcd1/move-leader",
        "defrag/etcd1/defrag",
        "defrag/etcd1/await-healthy",
        "defrag/etcd2/move-leader",
        "defrag/etcd2/defrag",
        "defrag/etcd2/await-healthy",
    ];
    assert_eq!(order(&plan), wanted, "etcd2 leads");
    let skipped: Vec<String> = plan.skipped.iter().map(|it| format!("{} {}", it.subject, it.why)).collect();
    let why = "etcd3 10.0 MiB of 300.0 MiB (3 %) could be given back; worth it from 64.0 MiB and 20 % on";
    assert_eq!(skipped, [why]);
    let text = windlass::report::plan(&plan);
    assert!(text.contains("defragment this member: 500.0 MiB, of which 100.0 MiB are in use"), "{text}");
    assert!(text.contains("up to 3 s: the member on etcd1; clients go on with another"), "{text}");
    assert_eq!(Plan::from_json(&plan.to_json()).expect("it reads as it was written"), plan);
}

#[test]
fn a_stacked_members_etcdctl_comes_out_of_its_image() {
    let mut cluster = Cluster::stacked();
    for member in 0..3 {
        let status = status(&mut cluster, member);
        (status.db_size, status.db_in_use) = (400 << 20, 100 << 20);
    }
    let made = plan(&cluster).expect("a plan");
    let stages: Vec<&str> = made.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(stages, ["archive", "fetch", "snapshot-etcd", "defrag"]);
    let lanes = made.stages[1].waves[0].lanes.iter().filter_map(|lane| lane.node.as_ref());
    let mut fetched: Vec<&str> = lanes.map(windlass::inventory::NodeName::as_str).collect();
    fetched.sort_unstable();
    assert_eq!(fetched, ["cp1", "cp2", "cp3"]);
    assert_eq!(order(&made)[0], "defrag/cp1/move-leader");
    assert_eq!(Plan::from_json(&made.to_json()).expect("it reads as it was written"), made);
    let Seen::Known(pods) = &mut cluster.machine(&name("cp1")).static_pods else { panic!("pods") };
    pods.remove("etcd");
    let said = "cp1: has no manifest of etcd, whose image has the programs that speak to it [unseen]";
    assert_eq!(refusals(&cluster), [said]);
}

#[test]
fn without_anything_to_give_back_nothing_is_done() {
    for sizes in [[(400, 380); 3], [(60, 1); 3], [(0, 0); 3]] {
        let plan = plan(&sized(sizes)).expect("a plan");
        assert!(plan.is_empty() && plan.skipped.len() == 3, "{sizes:?}");
    }
}

#[test]
fn without_room_every_byte_counts() {
    let mut cluster = sized([(400, 390), (400, 390), (400, 400)]);
    let id = etcd(&mut cluster).members[0].id;
    etcd(&mut cluster).alarms = vec![Alarm { member_id: id, kind: "NOSPACE".to_owned() }];
    let plan = plan(&cluster).expect("a plan");
    assert_eq!(order(&plan).len(), 6);
    assert!(plan.findings.iter().any(|finding| finding.detail.starts_with("has raised alarm NOSPACE: compact first")));
}

#[test]
fn what_forbids_it_is_said() {
    let mut corrupt = sized([(400, 100); 3]);
    let id = etcd(&mut corrupt).members[1].id;
    etcd(&mut corrupt).alarms = vec![Alarm { member_id: id, kind: "CORRUPT".to_owned() }];
    assert_eq!(refusals(&corrupt), ["etcd2: has raised alarm CORRUPT: clear it first [etcd-alarm]"]);
    let mut sick = sized([(400, 100); 3]);
    etcd(&mut sick).members[2].status = Seen::Unknown("refused".to_owned());
    assert_eq!(refusals(&sick), ["etcd3: member etcd3 does not answer: refused [etcd-unhealthy]"]);
    let mut rolling = sized([(400, 100); 3]);
    rolling.set_etcd(&name("etcd1"), &version("3.5.16"));
    let said = "etcd: its members run 3.4.23 and 3.5.16: end the upgrade first [etcd-spread]";
    assert_eq!(refusals(&rolling), [said]);
    let mut held = sized([(400, 100); 3]);
    held.machine(&name("cp1")).lock = Some("{}".to_owned());
    let said = "cp1: holds the lock of a run: nobody is defragmented meanwhile; `windlass lock show` says whose [etcd-members]";
    assert_eq!(refusals(&held), [said]);
}

#[test]
fn the_checker_wants_leadership_moved_and_health_seen() {
    let golden = plan(&sized([(400, 100); 3])).expect("a plan");
    assert_eq!(checker::check(&golden), []);
    for (dropped, words) in [
        ("move-leader", "leadership is not moved off the member just before it is defragmented"),
        ("await-healthy", "the members are not seen healthy just after it"),
    ] {
        let mut plan = golden.clone();
        plan.procedures[2].retain(|step| step.name != dropped);
        let said: Vec<String> = checker::check(&plan).into_iter().map(|breach| breach.detail).collect();
        assert_eq!(said, [words]);
    }
    let mut together = golden;
    let at = together.stages.len() - 1;
    let lanes = together.stages[at].waves.remove(1).lanes;
    together.stages[at].waves[0].lanes.extend(lanes);
    assert!(!checker::check(&together).is_empty(), "two at a time");
}
