use super::*;
use crate::facts::probe;

fn inventory() -> Inventory {
    crate::inventory::parse(include_str!("../../inventories/lab.toml")).expect("the lab's inventory").value
}

/// What the machines answer, by the lines of their own section; silent where there is no answer.
fn facts(answers: &[(&str, &[&str])]) -> LockFacts {
    let inventory = inventory();
    let machine = |node: &crate::inventory::Node| {
        let lines = answers.iter().find(|(name, _)| *name == node.name.as_str()).map(|(_, lines)| lines.join("\n "));
        let machine = lines.map_or(Seen::Unknown("no route".to_owned()), |lines| {
            let text = format!("@@ windlass\n {lines}\n@@ end windlass ok\n@@ done\n");
            Seen::Known(probe::parse(&text).expect("an answer"))
        });
        NodeFacts { name: node.name.clone(), machine }
    };
    LockFacts::of(&inventory, &inventory.nodes.iter().map(machine).collect::<Vec<_>>())
}

const ANN: &str = r#"lock {"run":"r1","operator":"ann@desk","machine":"m1","since":"2026-11-22T21:58:28Z","token":7}"#;
const BOB: &str = r#"lock {"run":"r1","operator":"bob@laptop","since":"2026-11-22T22:58:28Z","token":8}"#;

#[test]
fn one_holder_is_told_once_with_where_it_is_seen() {
    let facts = facts(&[("cp1", &["token 7", ANN]), ("cp3", &["token 7", ANN]), ("w1", &["token 7"])]);
    let holders = facts.holders();
    assert_eq!(holders.len(), 1);
    assert_eq!((holders[0].0.operator.as_str(), holders[0].0.machine.as_deref()), ("ann@desk", Some("m1")));
    assert_eq!(holders[0].1.iter().map(NodeName::as_str).collect::<Vec<_>>(), ["cp1", "cp3"]);
    assert!(facts.majority_answers());
    let silent: Vec<&str> = facts.silent().iter().map(|(node, _)| node.as_str()).collect();
    assert_eq!(silent, ["etcd1", "etcd2", "etcd3", "cp2", "w2", "lb1", "lb2"]);
}

#[test]
fn the_newest_of_two_holders_comes_first_and_a_lock_without_a_machine_is_read() {
    let facts = facts(&[("cp1", &["token 7", ANN]), ("cp2", &["token 8", BOB])]);
    let holders: Vec<String> = facts.holders().into_iter().map(|(holder, _)| holder.operator).collect();
    assert_eq!(holders, ["bob@laptop", "ann@desk"]);
    assert_eq!(facts.highest_token(), 8);
}

#[test]
fn a_lock_that_cannot_be_read_is_still_a_lock() {
    let facts = facts(&[("cp1", &["token 7", "lock {"])]);
    assert_eq!((facts.holders().len(), facts.unreadable().len()), (0, 1));
    assert!(!facts.majority_answers(), "one of three does not speak for all");
}

#[test]
fn what_runs_is_told_with_its_start() {
    let facts = facts(&[("w1", &["token 7", "unit r1 workers.w1.drain.1 1800000000", "unit odd", "unit r1 x y"])]);
    let running = facts.running();
    assert_eq!(running.len(), 1, "{running:?}");
    assert_eq!((running[0].0.as_str(), running[0].1.name().as_str()), ("w1", "windlass-r1-workers.w1.drain.1"));
    assert_eq!(running[0].1.since.to_string(), "2027-01-15T08:00:00Z");
}
