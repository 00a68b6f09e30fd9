//! The checker has teeth: a plan that changes members, broken in one way at a time, is refused for the law that was broken.

use windlass::decide::action::Action;
use windlass::decide::checker;
use windlass::decide::plan::{Law, Plan, Step, Task};

use super::super::cluster::golden;
use super::{cluster, planned, remove, replace, silence};

fn stage(plan: &mut Plan, name: &str) -> usize {
    plan.stages.iter().position(|stage| stage.name == name).unwrap_or_else(|| panic!("no stage {name}"))
}

fn steps<'a>(plan: &'a mut Plan, name: &str) -> &'a mut Vec<Step> {
    let at = stage(plan, name);
    let procedure = plan.stages[at].waves[0].lanes[0].procedure;
    &mut plan.procedures[procedure]
}

fn change(plan: &mut Plan) -> &mut windlass::decide::plan::MemberChange {
    let Task::Members(change) = &mut plan.task else { panic!("it changes members") };
    change
}

type Broken = fn(&mut Plan);

/// A way to break the plan that replaces a dead etcd3, which law that breaks, and what is said of it.
const BROKEN: &[(&str, Broken, Law, &str)] = &[
    (
        "no snapshot before it",
        |plan| {
            let at = stage(plan, "snapshot-etcd");
            plan.stages.remove(at);
        },
        Law::SnapshotFirst,
        "no snapshot stands before etcd is touched",
    ),
    (
        "a machine is changed that was not archived",
        |plan| {
            let at = stage(plan, "archive");
            plan.stages[at].waves[0].lanes.remove(2);
        },
        Law::SnapshotFirst,
        "the node is changed before its configuration is archived",
    ),
    (
        "the replacement comes before the dead one has left",
        |plan| {
            let (add, at) = (stage(plan, "add"), stage(plan, "remove"));
            let moved = plan.stages.remove(add);
            plan.stages.insert(at, moved);
        },
        Law::OneMemberAtATime,
        "3 members, 2 answer, quorum 2: a member that is away is removed before another is added",
    ),
    (
        "another member is removed than the one it names",
        |plan| {
            let id = plan.baseline.etcd_members.keys().copied().min().expect("members");
            for step in steps(plan, "remove") {
                if let Action::RemoveMember(remove) = &mut step.action {
                    remove.member = id;
                }
            }
        },
        Law::OneMemberAtATime,
        "which the plan does not name",
    ),
    (
        "two of three are away",
        |plan| {
            change(plan).healthy.pop();
        },
        Law::OneMemberAtATime,
        "3 members, 1 answers, quorum 2: nothing can be changed without a quorum",
    ),
    (
        "a member that is not one",
        |plan| change(plan).healthy.push(7),
        Law::OneMemberAtATime,
        "it counts members that it does not know",
    ),
    (
        "it votes before it runs",
        |plan| {
            let (promote, at) = (stage(plan, "promote"), stage(plan, "join"));
            let moved = plan.stages.remove(promote);
            plan.stages.insert(at, moved);
        },
        Law::OneMemberAtATime,
        "it lets a member vote that does not run yet",
    ),
    (
        "nobody looks whether they are whole",
        |plan| steps(plan, "remove").retain(|step| step.name != "await-members"),
        Law::OneMemberAtATime,
        "the members are not seen whole just after it",
    ),
    (
        "a member is stopped before it was removed",
        |plan| {
            let (retire, at) = (stage(plan, "retire"), stage(plan, "remove"));
            let moved = plan.stages.remove(retire);
            plan.stages.insert(at, moved);
        },
        Law::OneMemberAtATime,
        "it stops a member that was not removed before",
    ),
    (
        "the new member never votes",
        |plan| {
            let at = stage(plan, "promote");
            plan.stages.remove(at);
        },
        Law::OneMemberAtATime,
        "the member that joins does not vote at the end",
    ),
    (
        "two files at a time",
        |plan| {
            let at = stage(plan, "write");
            let lanes = plan.stages[at].waves.remove(1).lanes;
            plan.stages[at].waves[0].lanes.extend(lanes);
        },
        Law::OneMemberAtATime,
        "two lanes of one wave would touch etcd members at the same time",
    ),
];

#[test]
fn the_checker_refuses_each_broken_plan_for_its_own_reason() {
    let mut cluster = cluster();
    silence(&mut cluster, 2);
    let golden = planned(&cluster, &replace("etcd3", None));
    assert_eq!(checker::check(&golden), []);
    for (about, breaks, law, words) in BROKEN {
        let mut plan = golden.clone();
        breaks(&mut plan);
        let breaches = checker::check(&plan);
        let found = breaches.iter().any(|breach| breach.law == *law && breach.detail.contains(words));
        assert!(found, "{about}: {breaches:?}");
    }
}

#[test]
fn the_checker_keeps_leadership_and_quorum_also_where_members_are_well() {
    let golden_removal = planned(&cluster(), &remove("etcd3"));
    let mut plan = golden_removal.clone();
    steps(&mut plan, "remove").retain(|step| step.name != "move-leader");
    let said = |plan: &Plan| checker::check(plan).into_iter().map(|breach| breach.detail).collect::<Vec<_>>();
    assert_eq!(said(&plan), ["leadership is not moved off the member just before it is removed"]);
    let mut plan = golden_removal;
    let other = plan.baseline.etcd_members.iter().find(|(_, name)| *name == "etcd1").map(|(id, _)| *id);
    change(&mut plan).healthy.retain(|id| Some(*id) != other);
    let words = "3 members, 2 answer, quorum 2: without etcd3 it is 2 members, 1 answers, quorum 2";
    assert_eq!(said(&plan), [words]);
}

#[test]
fn an_upgrade_changes_no_members_and_a_change_of_members_raises_nothing() {
    let removal = planned(&cluster(), &remove("etcd3"));
    let mut upgrade = golden();
    let at = removal.stages.iter().position(|stage| stage.name == "remove").expect("it is there");
    let procedure = removal.stages[at].waves[0].lanes[0].procedure;
    let remove = removal.procedures[procedure].iter().find(|step| step.name == "remove").expect("it is there").clone();
    upgrade.procedures.last_mut().expect("steps").push(remove);
    let words = "it changes etcd's members, and the plan does not say that it does";
    assert!(checker::check(&upgrade).iter().any(|breach| breach.detail == words));
    let mut both = removal;
    both.etcd = golden().etcd;
    assert!(
        checker::check(&both).iter().any(|breach| breach.detail == "it changes etcd's members and raises something")
    );
}
