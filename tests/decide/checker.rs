//! The checker has teeth: the golden plan, broken in one way at a time, is refused for the law that was broken.

use std::collections::BTreeSet;

use windlass::decide::action::Action;
use windlass::decide::checker;
use windlass::decide::plan::{Law, Plan, Stage, Step};

use super::cluster::{Cluster, golden, target, version};

type Broken = fn(&mut Plan);

fn stage(plan: &mut Plan, name: &str) -> usize {
    plan.stages.iter().position(|stage| stage.name == name).unwrap_or_else(|| panic!("no stage {name}"))
}

fn take(plan: &mut Plan, name: &str) -> Stage {
    let at = stage(plan, name);
    plan.stages.remove(at)
}

fn put_before(plan: &mut Plan, name: &str, before: &str) {
    let moved = take(plan, name);
    let at = stage(plan, before);
    plan.stages.insert(at, moved);
}

fn put_behind(plan: &mut Plan, name: &str, behind: &str) {
    let moved = take(plan, name);
    let at = stage(plan, behind) + 1;
    plan.stages.insert(at, moved);
}

/// Lets the first two waves of a stage run at the same time.
fn together(plan: &mut Plan, name: &str) {
    let at = stage(plan, name);
    let lanes = plan.stages[at].waves.remove(1).lanes;
    plan.stages[at].waves[0].lanes.extend(lanes);
}

/// Changes the steps of every lane of a stage.
fn steps(plan: &mut Plan, name: &str, change: impl Fn(&mut Vec<Step>)) {
    let at = stage(plan, name);
    let procedures: BTreeSet<usize> =
        plan.stages[at].waves.iter().flat_map(|wave| &wave.lanes).map(|lane| lane.procedure).collect();
    for procedure in procedures {
        change(&mut plan.procedures[procedure]);
    }
}

fn drop_step(plan: &mut Plan, stage: &str, step: &str) {
    steps(plan, stage, |steps| {
        let before = steps.len();
        steps.retain(|known| known.name != step);
        assert_eq!(steps.len() + 1, before, "{stage} has a step {step}");
    });
}

fn swap_steps(plan: &mut Plan, stage: &str, one: &str, other: &str) {
    steps(plan, stage, |steps| {
        let at = |name: &str| steps.iter().position(|step| step.name == name).expect("the step is there");
        let (one, other) = (at(one), at(other));
        steps.swap(one, other);
    });
}

/// A way to break a plan, which law that breaks, and what is said of it.
const BROKEN: &[(&str, Broken, Law, &str)] = &[
    (
        "no snapshot before etcd",
        |p| drop(take(p, "snapshot-etcd")),
        Law::SnapshotFirst,
        "no snapshot stands before etcd",
    ),
    (
        "no snapshot before Kubernetes",
        |p| drop(take(p, "snapshot-kubernetes")),
        Law::SnapshotFirst,
        "no snapshot stands before Kubernetes",
    ),
    (
        "a snapshot after etcd",
        |p| put_behind(p, "snapshot-etcd", "etcd"),
        Law::SnapshotFirst,
        "no snapshot stands before etcd",
    ),
    (
        "a snapshot after the first control plane",
        |p| put_behind(p, "snapshot-kubernetes", "first-control-plane"),
        Law::SnapshotFirst,
        "no snapshot stands before Kubernetes",
    ),
    (
        "the second snapshot before etcd too",
        |p| put_before(p, "snapshot-kubernetes", "etcd"),
        Law::SnapshotFirst,
        "no snapshot stands before Kubernetes",
    ),
    (
        "preparation after the snapshot",
        |p| put_behind(p, "prepare", "snapshot-etcd"),
        Law::SnapshotFirst,
        "preparation comes before the snapshot",
    ),
    (
        "no archive",
        |p| drop(take(p, "archive")),
        Law::SnapshotFirst,
        "the node is changed before its configuration is archived",
    ),
    (
        "one node not archived",
        |p| {
            let at = stage(p, "archive");
            p.stages[at].waves[0].lanes.retain(|lane| lane.node.as_ref().is_none_or(|node| node.as_str() != "w2"));
        },
        Law::SnapshotFirst,
        "the node is changed before its configuration is archived",
    ),
    (
        "archived after the first touch",
        |p| put_behind(p, "archive", "etcd"),
        Law::SnapshotFirst,
        "the node is changed before its configuration is archived",
    ),
    ("two members at once", |p| together(p, "etcd"), Law::OneMemberAtATime, "two lanes of one wave"),
    ("leadership not moved", |p| drop_step(p, "etcd", "move-leader"), Law::OneMemberAtATime, "leadership is not moved"),
    (
        "leadership of another member moved",
        |p| {
            steps(p, "etcd", |steps| {
                if let Action::MoveLeader(moved) = &mut steps[0].action {
                    moved.access.own.push('0');
                }
            });
        },
        Law::OneMemberAtATime,
        "leadership is not moved",
    ),
    (
        "health not awaited",
        |p| drop_step(p, "etcd", "await-healthy"),
        Law::OneMemberAtATime,
        "not seen healthy just after",
    ),
    (
        "health awaited first",
        |p| swap_steps(p, "etcd", "await-healthy", "move-leader"),
        Law::OneMemberAtATime,
        "not seen healthy just after",
    ),
    (
        "two members, and nobody asked",
        |p| {
            p.baseline.etcd_members.pop_first();
        },
        Law::OneMemberAtATime,
        "2 members",
    ),
    (
        "cluster version not awaited",
        |p| drop(take(p, "etcd-version")),
        Law::EtcdApart,
        "before etcd's cluster version is seen",
    ),
    ("workers before etcd's version", |p| put_behind(p, "etcd-version", "workers"), Law::EtcdApart, "cluster version"),
    ("two control planes at once", |p| together(p, "control-planes"), Law::ServersFirst, "one at a time"),
    ("two of their kubelets at once", |p| together(p, "control-plane-kubelets"), Law::ServersFirst, "one at a time"),
    (
        "a kubelet before the API servers",
        |p| put_before(p, "control-plane-kubelets", "control-planes"),
        Law::ServersFirst,
        "an API server is raised after a kubelet",
    ),
    (
        "a worker before a control plane's kubelet",
        |p| put_before(p, "workers", "control-plane-kubelets"),
        Law::ServersFirst,
        "after a worker's",
    ),
    (
        "API servers not awaited",
        |p| drop(take(p, "api-servers")),
        Law::ServersFirst,
        "before every API server was seen",
    ),
    (
        "API servers awaited before they are raised",
        |p| put_before(p, "api-servers", "control-planes"),
        Law::ServersFirst,
        "before every API server was seen",
    ),
    (
        "apply after node",
        |p| put_behind(p, "first-control-plane", "control-planes"),
        Law::ServersFirst,
        "comes before `kubeadm upgrade apply`",
    ),
    ("no drain", |p| drop_step(p, "workers", "drain"), Law::DrainFirst, "not cordoned and drained"),
    ("no cordon", |p| drop_step(p, "control-plane-kubelets", "cordon"), Law::DrainFirst, "not cordoned and drained"),
    ("drained before the cordon", |p| swap_steps(p, "workers", "cordon", "drain"), Law::DrainFirst, "not cordoned"),
    ("drained after the kubelet", |p| swap_steps(p, "workers", "drain", "kubelet"), Law::DrainFirst, "not cordoned"),
    (
        "uncordoned before Ready",
        |p| swap_steps(p, "workers", "uncordon", "await-ready"),
        Law::DrainFirst,
        "before it was seen Ready",
    ),
    (
        "Ready at another version",
        |p| {
            steps(p, "workers", |steps| {
                for step in steps {
                    if let Action::AwaitReady(ready) = &mut step.action {
                        ready.to = version("1.20.2");
                    }
                }
            });
        },
        Law::DrainFirst,
        "before it was seen Ready",
    ),
    ("Ready not awaited", |p| drop_step(p, "workers", "await-ready"), Law::DrainFirst, "before it was seen Ready"),
    ("never uncordoned", |p| drop_step(p, "workers", "uncordon"), Law::DrainFirst, "never uncordoned"),
    (
        "a minor of Kubernetes skipped",
        |p| p.kubernetes.as_mut().expect("it is raised").from = version("1.19.16"),
        Law::NoSkip,
        "Kubernetes would go from 1.19.16 to 1.21.14",
    ),
    (
        "a minor of etcd skipped",
        |p| p.etcd.as_mut().expect("it is raised").from = version("3.3.25"),
        Law::NoSkip,
        "etcd would go from 3.3.25 to 3.5.16",
    ),
    (
        "kubeadm raises elsewhere than the plan says",
        |p| {
            steps(p, "first-control-plane", |steps| {
                for step in steps {
                    if let Action::KubeadmApply(apply) = &mut step.action {
                        apply.to = version("1.22.17");
                    }
                }
            });
        },
        Law::NoSkip,
        "it would raise to 1.22.17",
    ),
    ("a package elsewhere than the plan says", |p| other_package(p, "workers", "kubelet"), Law::NoSkip, "1.22.17-00"),
    ("kubeadm elsewhere", |p| other_package(p, "control-planes", "kubeadm"), Law::NoSkip, "1.22.17-00"),
    (
        "an etcd package elsewhere",
        |p| {
            steps(p, "etcd", |steps| {
                for step in steps {
                    if let Action::SwapEtcd(swap) = &mut step.action {
                        "3.6.14-1".clone_into(&mut swap.packages[0].version);
                    }
                }
            });
        },
        Law::NoSkip,
        "3.6.14-1",
    ),
    (
        "a control plane taken for a worker",
        |p| {
            steps(p, "control-planes", |steps| {
                if let Action::KubeadmNode(node) = &mut steps[1].action {
                    node.control_plane = false;
                }
            });
        },
        Law::ServersFirst,
        "takes a control plane for a worker",
    ),
    (
        "a member's health not asked for",
        |p| {
            steps(p, "etcd", |steps| {
                for step in steps {
                    match &mut step.action {
                        Action::MoveLeader(moved) => moved.access.others.clear(),
                        Action::SwapEtcd(swap) => swap.access.others.clear(),
                        _ => {}
                    }
                }
            });
        },
        Law::OneMemberAtATime,
        "0 other members would be asked for their health; the cluster has 3 in all",
    ),
    (
        "a kubelet among etcd's packages",
        |p| {
            steps(p, "etcd", |steps| {
                for step in steps {
                    if let Action::SwapEtcd(swap) = &mut step.action {
                        "kubelet".clone_into(&mut swap.packages[1].name);
                    }
                }
            });
        },
        Law::NoSkip,
        "which is not of etcd",
    ),
    (
        "a package of another kind",
        |p| {
            steps(p, "workers", |steps| {
                for step in steps {
                    if let Action::InstallPackages(install) = &mut step.action {
                        "containerd".clone_into(&mut install.packages[0].name);
                    }
                }
            });
        },
        Law::NoSkip,
        "which is not of Kubernetes",
    ),
    ("a law not named", |p| p.laws.truncate(7), Law::NoSkip, "does not name all the laws"),
];

fn other_package(plan: &mut Plan, stage: &str, package: &str) {
    steps(plan, stage, |steps| {
        for step in steps {
            if let Action::InstallPackages(install) = &mut step.action {
                for pinned in install.packages.iter_mut().filter(|pinned| pinned.name == package) {
                    "1.22.17-00".clone_into(&mut pinned.version);
                }
            }
        }
    });
}

#[test]
fn every_broken_plan_is_refused_for_its_law() {
    let mut wrong = Vec::new();
    for (what, breaks, law, says) in BROKEN {
        let mut plan = golden();
        breaks(&mut plan);
        let breaches = checker::check(&plan);
        let only = breaches.iter().all(|breach| breach.law == *law);
        if !only || !breaches.iter().any(|breach| breach.detail.contains(says)) {
            wrong.push(format!("{what}: {breaches:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn etcd_and_kubernetes_are_apart_whichever_comes_first() {
    let mut plan = golden();
    let at = stage(&mut plan, "snapshot-etcd");
    let etcd: Vec<Stage> = plan.stages.drain(at..at + 3).collect();
    plan.stages.extend(etcd);
    assert!(laws(&plan).contains(&Law::EtcdApart));

    let mut plan = golden();
    let first = take(&mut plan, "first-control-plane").waves.remove(0).lanes;
    let at = stage(&mut plan, "etcd");
    plan.stages[at].waves[2].lanes.extend(first);
    assert!(laws(&plan).contains(&Law::EtcdApart));
}

fn laws(plan: &Plan) -> BTreeSet<Law> {
    checker::check(plan).iter().map(|breach| breach.law).collect()
}

#[test]
fn plans_that_come_along_keep_every_law() {
    for (kubernetes, etcd) in [("1.21.14", "3.5.16"), ("1.20.15", ""), ("", "3.5.30"), ("1.20.15", "3.5.16")] {
        let plan = Cluster::base().plan(&target(kubernetes, etcd)).expect("a plan");
        assert_eq!(checker::check(&plan), [], "{kubernetes} {etcd}");
    }
}

#[test]
fn a_breach_says_its_law_by_number() {
    let mut plan = golden();
    drop(take(&mut plan, "snapshot-etcd"));
    let finding = checker::check(&plan).remove(0).into_finding();
    assert_eq!(finding.subject, "etcd/etcd1/move-leader");
    assert_eq!(finding.detail, "breaks law 2: no snapshot stands before etcd is touched");
}
