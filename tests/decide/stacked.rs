//! Plans of clusters whose etcd is stacked: what is put around each step that may restart a member, whatever the playbook says,
//! and a checker that lets none of it be left out.

use windlass::decide::action::Action;
use windlass::decide::checker;
use windlass::decide::drift::{Progress, drift};
use windlass::decide::finding::Rule;
use windlass::decide::plan::{Law, Plan, Step};
use windlass::facts::{EtcdProcess, Seen};
use windlass::inventory::Topology;
use windlass::playbook;

use super::cluster::{Cluster, name, target};

fn plan(to: &str) -> Plan {
    Cluster::stacked().plan(&target(to, "")).expect("a stacked cluster can be raised")
}

fn steps_of<'a>(plan: &'a Plan, stage: &str, node: &str) -> Vec<&'a Step> {
    plan.placed()
        .filter(|placed| placed.stage.name == stage && placed.node.is_some_and(|on| on.as_str() == node))
        .map(|placed| placed.step)
        .collect()
}

fn names<'a>(plan: &'a Plan, stage: &str, node: &str) -> Vec<&'a str> {
    steps_of(plan, stage, node).into_iter().map(|step| step.name.as_str()).collect()
}

#[test]
fn leadership_is_moved_before_and_the_members_are_waited_for_after_whatever_restarts_one() {
    let plan = plan("1.21.14");
    let apply = ["kubeadm", "kubeadm-plan", "move-leader", "kubeadm-apply", "await-members"];
    assert_eq!(names(&plan, "first-control-plane", "cp1"), apply);
    assert_eq!(names(&plan, "control-planes", "cp2"), ["kubeadm", "move-leader", "kubeadm-node", "await-members"]);
    let kubelet = [
        "cordon",
        "drain",
        "move-leader",
        "kubelet",
        "move-leader-2",
        "restart",
        "await-ready",
        "await-members",
        "uncordon",
    ];
    assert_eq!(names(&plan, "control-plane-kubelets", "cp3"), kubelet);
    let worker = plan.placed().filter(|placed| placed.node.is_some_and(|node| node.as_str() == "w1"));
    assert!(worker.into_iter().all(|placed| placed.step.action.stacked_member().is_none()), "a worker has no member");
    assert_eq!(checker::check(&plan), []);
}

#[test]
fn the_leader_is_the_last_of_the_others() {
    for (leader, order) in [("cp2", ["cp3", "cp2"]), ("cp3", ["cp2", "cp3"]), ("cp1", ["cp2", "cp3"])] {
        let mut cluster = Cluster::stacked();
        let Seen::Known(etcd) = &mut cluster.facts.etcd else { panic!("etcd was seen") };
        let leads = etcd.members.iter().find(|member| member.name == leader).expect("a member").id;
        for member in &mut etcd.members {
            let Seen::Known(status) = &mut member.status else { panic!("it answers") };
            status.leader = leads;
        }
        let plan = cluster.plan(&target("1.21.14", "")).expect("a plan");
        let stage = |name: &str| {
            let stage = plan.stages.iter().find(|stage| stage.name == name).expect("a stage");
            let lanes = stage.waves.iter().flat_map(|wave| &wave.lanes);
            lanes.map(|lane| lane.node.as_ref().expect("a node").to_string()).collect::<Vec<_>>()
        };
        assert_eq!(stage("first-control-plane"), ["cp1"], "{leader}");
        assert_eq!(stage("control-planes"), order, "{leader}");
        assert_eq!(stage("control-plane-kubelets").last().map(String::as_str), Some(leader));
    }
}

/// A playbook of the operator's own, which knows nothing of members.
#[test]
fn any_playbook_is_made_safe_for_the_members() {
    let text = playbook::builtin(playbook::Raises::KubernetesPatch)
        .replace("{ uses = \"await-ready\" },", "")
        .replace("  { uses = \"kubelet.package\" },\n", "");
    let own = playbook::parse(&text).expect("a playbook");
    let plan = Cluster::stacked().plan_with(&target("1.20.15", ""), &[own]).expect("a plan");
    let kubelet = ["move-leader", "restart", "await-members"];
    assert_eq!(names(&plan, "control-plane-kubelets", "cp2"), kubelet);
    let Action::AwaitMembers(wait) = &steps_of(&plan, "control-plane-kubelets", "cp2")[2].action else {
        panic!("a wait")
    };
    assert!(wait.steady_ms >= 4000, "a kubelet restarts its pods some seconds after it began: {} ms", wait.steady_ms);
}

type Broken = fn(&mut Plan);

const BROKEN: &[(&str, Broken, Law, &str)] = &[
    (
        "leadership is never moved",
        |plan| drop_steps(plan, |action| matches!(action, Action::MoveLeader(_))),
        Law::OneMemberAtATime,
        "leadership is not moved off the stacked member",
    ),
    (
        "leadership of another member is moved",
        |plan| {
            each(plan, |action| {
                if let Action::MoveLeader(moved) = action {
                    "https://elsewhere:2379".clone_into(&mut moved.access.own);
                }
            });
        },
        Law::OneMemberAtATime,
        "leadership is not moved off the stacked member",
    ),
    (
        "nobody waits for the members",
        |plan| drop_steps(plan, |action| matches!(action, Action::AwaitMembers(_))),
        Law::OneMemberAtATime,
        "the members are not seen whole",
    ),
    (
        "only two of three are waited for",
        |plan| {
            each(plan, |action| {
                if let Action::AwaitMembers(wait) = action {
                    wait.peers.pop();
                }
            });
        },
        Law::OneMemberAtATime,
        "the members are not seen whole",
    ),
    (
        "kubeadm is not told of its member",
        |plan| {
            each(plan, |action| match action {
                Action::KubeadmApply(apply) => apply.member = None,
                Action::KubeadmNode(node) => node.member = None,
                _ => {}
            });
        },
        Law::OneMemberAtATime,
        "not all other members are asked",
    ),
    (
        "one of the others is not asked",
        |plan| {
            each(plan, |action| match action {
                Action::MoveLeader(moved) => drop(moved.access.others.pop()),
                Action::RestartKubelet(restart) => {
                    restart.member.iter_mut().for_each(|member| drop(member.others.pop()));
                }
                _ => {}
            });
        },
        Law::OneMemberAtATime,
        "not all other members are asked",
    ),
    (
        "a wait comes only after the next node",
        |plan| {
            each_lane(plan, |steps| {
                if let Some(at) = steps.iter().position(|step| matches!(step.action, Action::AwaitMembers(_)))
                    && let Some(behind) = steps.get(at + 1).cloned()
                {
                    steps[at + 1] = std::mem::replace(&mut steps[at], behind);
                }
            });
        },
        Law::OneMemberAtATime,
        "the members are not seen whole",
    ),
    (
        "the plan calls etcd external",
        |plan| plan.baseline.stacked = false,
        Law::OneMemberAtATime,
        "where none restarts",
    ),
];

fn each(plan: &mut Plan, change: impl Fn(&mut Action)) {
    plan.procedures.iter_mut().flatten().for_each(|step| change(&mut step.action));
}

fn each_lane(plan: &mut Plan, change: impl Fn(&mut Vec<Step>)) {
    plan.procedures.iter_mut().for_each(change);
}

fn drop_steps(plan: &mut Plan, which: fn(&Action) -> bool) {
    each_lane(plan, |steps| steps.retain(|step| !which(&step.action)));
}

#[test]
fn a_stacked_plan_that_is_broken_in_any_way_is_refused() {
    for (what, breaks, law, says) in BROKEN {
        let mut plan = plan("1.21.14");
        breaks(&mut plan);
        let breaches = checker::check(&plan);
        let said = breaches.iter().any(|breach| breach.law == *law && breach.detail.contains(says));
        assert!(said, "{what}: {breaches:#?}");
    }
}

#[test]
fn an_external_plan_that_would_raise_a_stacked_etcd_apart_is_refused() {
    let mut plan = super::cluster::golden();
    plan.baseline.stacked = true;
    let breaches = checker::check(&plan);
    assert!(breaches.iter().any(|breach| breach.law == Law::EtcdApart), "{breaches:#?}");
}

#[test]
fn two_members_need_consent_also_in_a_plan_from_a_file() {
    let mut cluster = Cluster::stacked();
    cluster.remove("cp3");
    let mut accepted = target("1.21.14", "");
    accepted.accept_outage = true;
    let mut plan = cluster.plan(&accepted).expect("accepted");
    assert_eq!(checker::check(&plan), []);
    plan.outage_accepted = false;
    let breaches = checker::check(&plan);
    assert!(breaches.iter().any(|breach| breach.detail.contains("etcd with 2 members")), "{breaches:#?}");
}

/// What kubeadm may bring, for a cluster that is at 1.21.14 and goes on to 1.22.17, changed in some way.
fn may(change: impl FnOnce(&mut Cluster)) -> Vec<String> {
    let mut cluster = Cluster::stacked();
    for node in ["cp1", "cp2", "cp3", "w1", "w2"] {
        cluster.raise(&name(node), &super::cluster::version("1.21.14"));
    }
    cluster.set_cluster(&super::cluster::version("1.21.14"));
    change(&mut cluster);
    let plan = cluster.plan(&target("1.22.17", "")).expect("a plan");
    let brings = plan.placed().find_map(|placed| placed.step.action.stacked_brings().cloned()).expect("it is said");
    let told = plan.placed().filter_map(|placed| placed.step.action.stacked_brings());
    assert!(told.into_iter().all(|one| *one == brings), "images, apply and node are held to the same");
    brings.lowest.iter().map(ToString::to_string).collect()
}

fn processes(cluster: &mut Cluster, change: fn(&mut EtcdProcess)) {
    for node in ["cp1", "cp2", "cp3"] {
        if let Seen::Known(Some(process)) = &mut cluster.machine(&name(node)).etcd {
            change(process);
        }
    }
}

#[test]
fn kubeadm_may_bring_what_the_rules_of_etcd_allow() {
    assert_eq!(may(|_| {}), ["3.4.13", "3.5.3"], "from where it is, and 3.5 without its first three");
    let data = |cluster: &mut Cluster| {
        processes(cluster, |process| {
            process.v2_keys = Seen::Known(true);
            process.settings.insert("enable-v2".to_owned(), "true".to_owned());
        });
    };
    assert_eq!(may(data), ["3.4.13", "3.5.3"], "3.5 serves v2 data where it is told to");
}

#[test]
fn a_member_ahead_of_the_others_does_not_widen_what_they_may_be_brought_to() {
    let mut cluster = Cluster::stacked();
    let Seen::Known(etcd) = &mut cluster.facts.etcd else { panic!("etcd was seen") };
    let Seen::Known(status) = &mut etcd.members[0].status else { panic!("it answers") };
    status.version = super::cluster::version("3.5.16");
    let Seen::Known(pods) = &mut cluster.machine(&name("cp1")).static_pods else { panic!("seen") };
    pods.insert("etcd".to_owned(), "k8s.gcr.io/etcd:3.5.16-0".to_owned());
    let refused = cluster.plan(&target("1.21.14", "")).expect_err("its kubeadm is known to bring 3.4.13");
    let about = |rule: Rule| refused.iter().filter(|finding| finding.rule == rule).count();
    assert_eq!(about(Rule::EtcdDowngrade), 1, "{refused:#?}");
}

/// kubeadm writes the manifests anew, and so what a member is started with; nobody else may.
#[test]
fn a_manifest_that_kubeadm_wrote_is_no_drift_and_one_of_somebody_elses_is() {
    let (plan, mut cluster) = (plan("1.21.14"), Cluster::stacked());
    let rewritten = |cluster: &mut Cluster| {
        processes(cluster, |process| process.config_digest = Seen::Known("0".repeat(64)));
    };
    for node in ["cp1", "cp2", "cp3"] {
        let Seen::Known(Some(process)) = &mut cluster.machine(&name(node)).etcd else { panic!("a member") };
        process.config_digest = Seen::Known("f".repeat(64));
    }
    let plan = { cluster.plan(&target("1.21.14", "")).unwrap_or(plan) };
    rewritten(&mut cluster);
    let told = |progress: Progress| drift(&plan, &cluster.inventory, &cluster.facts, &|_| progress);
    assert_eq!(told(Progress::Untouched).iter().filter(|line| line.contains("etcd's configuration")).count(), 3);
    assert_eq!(told(Progress::InDoubt).iter().filter(|line| line.contains("etcd's configuration")).count(), 0);

    let mut external = cluster.inventory.clone();
    external.etcd.topology = Topology::External;
    let told = drift(&plan, &external, &cluster.facts, &|_| Progress::Untouched);
    assert!(told.iter().any(|line| line.contains("stacked in the plan or in the inventory")), "{told:?}");
}
