use std::collections::BTreeMap;

use super::*;
use crate::decide::rules;
use crate::facts::health::{Hashes, MemberHash};
use crate::facts::{Alarm, Disk, Facts, MachineFacts, from_json};
use crate::inventory::{self, Inventory, NodeName};

const FACTS: &str = include_str!("../../tests/scenarios/facts.json");

fn inventory() -> Inventory {
    inventory::parse(include_str!("../../tests/scenarios/inventory.toml")).expect("an inventory").value
}

/// The lab's three members, all well.
fn lab() -> EtcdHealth {
    let Facts { nodes, etcd, .. } = from_json(FACTS).expect("facts");
    let Seen::Known(etcd) = etcd else { panic!("etcd was seen") };
    let node = |member: &EtcdMember| member.node.clone().expect("its machine");
    let of = |member| MemberHash { node: node(member), hash: 0xabc, compact_revision: 1 };
    let mut machines: Vec<_> = nodes.into_iter().filter(|known| known.name.as_str().starts_with("etcd")).collect();
    for machine in &mut machines {
        let Seen::Known(MachineFacts { disks, .. }) = &mut machine.machine else { panic!("reached") };
        let disk = |gib: u64| Disk { free_bytes: gib << 30, total_bytes: 20 << 30 };
        *disks = BTreeMap::from([("/".to_owned(), disk(1)), ("/var/lib".to_owned(), disk(7))]);
    }
    EtcdHealth {
        answers: etcd.members.iter().map(|member| (node(member), member.status.clone())).collect(),
        hashes: Seen::Known(Hashes { revision: 41, of: etcd.members.iter().map(of).collect() }),
        etcd: Seen::Known(etcd),
        machines,
    }
}

fn etcd_of(seen: &mut EtcdHealth) -> &mut EtcdFacts {
    let Seen::Known(etcd) = &mut seen.etcd else { panic!("etcd was seen") };
    etcd
}

fn shown(seen: &EtcdHealth) -> String {
    etcd("lab", seen, &rules::etcd_health(&inventory(), seen))
}

fn line<'a>(text: &'a str, begins: &str) -> &'a str {
    text.lines().find(|line| line.trim_start().starts_with(begins)).unwrap_or_else(|| panic!("no {begins} in {text}"))
}

#[test]
fn all_is_well_at_a_glance() {
    let seen = lab();
    let text = shown(&seen);
    println!("{text}");
    assert!(text.starts_with("etcd of cluster lab: 3 members\n\n  MEMBER  MACHINE  ID"), "{text}");
    assert_eq!(line(&text, "quorum"), "  quorum   3 of 3 voting members healthy, 2 make a quorum: 1 of them may fail");
    assert_eq!(line(&text, "data"), "  data     equal on 3 members at revision 41");
    assert_eq!(line(&text, "alarms"), "  alarms   none");
    assert_eq!(text.matches(" leader ").count(), 1, "{text}");
    assert_eq!(text.matches(" follower ").count(), 2, "{text}");
    assert_eq!(text.matches(" 0 % of 2.0 GiB  7.0 GiB\n").count(), 3, "the room is that of the nearest file system");
    assert!(!text.contains("What needs attention"), "{text}");
    let json = etcd_json("lab", &seen, &[]);
    assert_eq!((&json["format"], &json["well"], &json["quorum"]["needed"]), (&json!(1), &json!(true), &json!(2)));
    let id = json["members"][0]["id"].as_str().expect("text");
    assert_eq!(u64::from_str_radix(id, 16).expect("hexadecimal"), seen.etcd.known().expect("seen").members[0].id);
    assert_eq!(json["members"][0]["quota_bytes"], json!(2_147_483_648_u64));
}

#[test]
fn what_is_wrong_is_said_with_the_arithmetic() {
    let mut seen = lab();
    let etcd = etcd_of(&mut seen);
    etcd.members[2].status = Seen::Unknown("connection refused".to_owned());
    etcd.alarms = vec![Alarm { member_id: etcd.members[0].id, kind: "NOSPACE".to_owned() }];
    let text = shown(&seen);
    println!("{text}");
    assert_eq!(
        line(&text, "quorum"),
        "  quorum   2 of 3 voting members healthy, 2 make a quorum: none of them may fail"
    );
    assert!(line(&text, "etcd3").contains("  no answer  -"), "{text}");
    assert!(text.contains("  member etcd3 does not answer: connection refused [etcd-unhealthy]\n"), "{text}");
    assert!(text.contains("  has raised alarm NOSPACE"), "{text}");
}

#[test]
fn members_whose_data_differ_are_named() {
    let mut seen = lab();
    let Seen::Known(hashes) = &mut seen.hashes else { panic!("seen") };
    hashes.of[1].hash = 0xabd;
    let text = shown(&seen);
    let wanted = "the members' data differ at revision 41: etcd1 00000abc, etcd2 00000abd, etcd3 00000abc";
    assert_eq!(line(&text, "data"), format!("  data     {wanted}"));
    assert!(text.contains(&format!("{wanted}: replace the members that are wrong [etcd-corrupt]")), "{text}");
}

#[test]
fn a_learner_is_told_as_one_and_counts_for_no_quorum() {
    let mut seen = lab();
    let etcd = etcd_of(&mut seen);
    etcd.members[2].learner = true;
    let Seen::Known(status) = &mut etcd.members[2].status else { panic!("seen") };
    status.healthy = Seen::Unknown("etcdserver: rpc not supported for learner".to_owned());
    let text = shown(&seen);
    assert!(line(&text, "etcd3").contains("  learner  "), "{text}");
    assert_eq!(
        line(&text, "quorum"),
        "  quorum   2 of 2 voting members healthy, 2 make a quorum: none of them may fail"
    );
    assert!(text.contains("is a learner: promote or remove it first [etcd-learner]\n"), "{text}");
    assert!(!text.contains("not supported"), "that a learner refuses reads is no news: {text}");
}

#[test]
fn without_a_quorum_each_member_still_says_what_it_knows() {
    let mut seen = lab();
    seen.etcd = Seen::Unknown("etcd1: no answer within 5 s".to_owned());
    seen.hashes = Seen::Unknown("etcd1: no answer within 5 s".to_owned());
    seen.answers[0].1 = Seen::Unknown("no answer".to_owned());
    for (_, answer) in &mut seen.answers[1..] {
        let Seen::Known(status) = answer else { panic!("seen") };
        status.leader = 0;
    }
    let text = shown(&seen);
    println!("{text}");
    assert!(text.starts_with("etcd of cluster lab: no member gives the list of members\n"), "{text}");
    assert_eq!(text.matches("its member knows no leader [etcd-unhealthy]").count(), 2, "{text}");
    assert_eq!(line(&text, "etcd1").split_whitespace().collect::<Vec<_>>(), ["etcd1", "-", "-", "-", "-", "-"]);
    let findings = rules::etcd_health(&inventory(), &seen);
    let json = etcd_json("lab", &seen, &findings);
    assert_eq!((&json["well"], &json["members"]), (&json!(false), &Value::Null));
    assert_eq!(
        json["answers"][0],
        json!({ "machine": NodeName::new("etcd1").expect("a name"), "no_answer": "no answer" })
    );
}
