//! Drift: what changed behind the plan's back is named exactly; what the plan itself did, and what may change at any time, is
//! none.

use windlass::decide::drift::{Progress, drift};
use windlass::decide::plan::Plan;
use windlass::facts::Seen;
use windlass::inventory::Role;

use super::cluster::{Cluster, golden, name, target, version};

/// What is said once `change` has happened and nothing was begun.
fn after(change: impl Fn(&mut Cluster)) -> Vec<String> {
    let (plan, mut cluster) = (golden(), Cluster::base());
    change(&mut cluster);
    drift(&plan, &cluster.inventory, &cluster.facts, &|_| Progress::Untouched)
}

fn etcd(cluster: &mut Cluster) -> &mut windlass::facts::EtcdFacts {
    let Seen::Known(etcd) = &mut cluster.facts.etcd else { panic!("etcd was seen") };
    etcd
}

#[test]
fn nothing_has_changed() {
    assert_eq!(after(|_| {}), Vec::<String>::new());
}

#[test]
fn each_kind_of_drift_is_named() {
    type Change = fn(&mut Cluster);
    let cases: &[(Change, &str)] = &[
        (
            |c| c.set_packages(&name("w1"), &["kubelet"], &version("1.21.14")),
            "kubelet on w1 is 1.21.14-00, not 1.20.2-00 as planned",
        ),
        (
            |c| c.machine(&name("w1")).packages.get_mut("kubectl").expect("it is known").installed = None,
            "kubectl on w1 is not installed, not 1.20.2-00 as planned",
        ),
        (
            |c| {
                let mut new = etcd(c).members[0].clone();
                (new.id, new.name) = (0xabc, "etcd4".to_owned());
                etcd(c).members.push(new);
            },
            "etcd member etcd4 (abc, https://172.30.0.11:2380) was added",
        ),
        (
            |c| {
                let mut new = etcd(c).members[0].clone();
                (new.id, new.name) = (0xabc, String::new());
                etcd(c).members.push(new);
            },
            "etcd member without a name yet (abc, https://172.30.0.11:2380) was added",
        ),
        (|c| etcd(c).cluster_id += 1, "this is another etcd cluster than the one that was planned for"),
        (
            |c| {
                let Seen::Known(api) = &mut c.facts.api else { panic!("the API was seen") };
                api.nodes.retain(|node| node.name != "w2");
            },
            "node w2 is not in the cluster any more",
        ),
        (
            |c| {
                let Seen::Known(api) = &mut c.facts.api else { panic!("the API was seen") };
                let mut new = api.nodes[4].clone();
                "w3".clone_into(&mut new.name);
                api.nodes.push(new);
            },
            "node w3 joined the cluster",
        ),
        (
            |c| {
                c.inventory.nodes[3].roles.insert(Role::Worker);
            },
            "cp1 has other roles in the inventory than in the plan",
        ),
        (|c| drop(c.inventory.nodes.pop()), "w2 is not in the inventory any more"),
        (
            |c| c.machine(&name("cp2")).machine_id = Seen::Known("0".repeat(32)),
            "cp2 is another machine than the one that was planned for (its machine id changed)",
        ),
        (
            |c| {
                let Seen::Known(Some(process)) = &mut c.machine(&name("etcd3")).etcd else { panic!("it runs etcd") };
                process.config_digest = Seen::Known("0".repeat(64));
            },
            "etcd's configuration on etcd3 was changed",
        ),
    ];
    for (change, says) in cases {
        assert_eq!(after(change), [says.to_owned()]);
    }
}

#[test]
fn a_removed_member_is_named_with_its_id() {
    let id = etcd(&mut Cluster::base()).members[1].id;
    let said = after(|cluster| drop(etcd(cluster).members.remove(1)));
    assert_eq!(said, [format!("etcd member etcd2 ({id:x}) was removed")]);
}

#[test]
fn all_of_it_is_said_at_once() {
    let said = after(|cluster| {
        cluster.machine(&name("cp1")).machine_id = Seen::Known("0".repeat(32));
        cluster.machine(&name("cp2")).machine_id = Seen::Known("0".repeat(32));
        etcd(cluster).members.pop();
    });
    assert_eq!(said.len(), 3, "{said:#?}");
}

#[test]
fn what_changes_all_the_time_is_no_drift() {
    let said = after(|cluster| {
        for member in &mut etcd(cluster).members {
            let Seen::Known(status) = &mut member.status else { panic!("it answers") };
            (status.leader, status.raft_term, status.raft_index, status.db_size) = (1, 99, 1 << 40, 1 << 30);
        }
        cluster.facts.taken_at += jiff::SignedDuration::from_hours(30);
        cluster.machine(&name("w1")).clock_skew_ms = Seen::Known(9999);
        cluster.kube_node(&name("w1")).unschedulable = true;
    });
    assert_eq!(said, Vec::<String>::new());
}

#[test]
fn what_was_not_seen_is_no_drift() {
    let said = after(|cluster| {
        cluster.facts.api = Seen::Unknown("away".to_owned());
        cluster.facts.etcd = Seen::Unknown("away".to_owned());
        cluster.facts.nodes[0].machine = Seen::Unknown("away".to_owned());
    });
    assert_eq!(said, Vec::<String>::new());
}

/// The id of the step that installs the kubelet of w1.
const STEP: &str = "workers/w1/kubelet";

fn with_kubelet(plan: &Plan, to: &str, progress: Progress) -> Vec<String> {
    let mut cluster = Cluster::base();
    cluster.set_packages(&name("w1"), &["kubelet"], &version(to));
    drift(plan, &cluster.inventory, &cluster.facts, &|id| if id == STEP { progress } else { Progress::Untouched })
}

#[test]
fn a_step_that_is_through_has_left_the_new_version() {
    let plan = Cluster::base().plan(&target("1.21.14", "")).expect("a plan");
    let none = Vec::<String>::new();
    // kubectl is installed by the same step and was left behind.
    let kubectl = ["kubectl on w1 is 1.20.2-00, not 1.21.14-00 as planned".to_owned()];
    assert_eq!(with_kubelet(&plan, "1.21.14", Progress::Finished), kubectl);
    assert_eq!(
        with_kubelet(&plan, "1.20.2", Progress::Finished)[1],
        "kubelet on w1 is 1.20.2-00, not 1.21.14-00 as planned"
    );
    assert_eq!(with_kubelet(&plan, "1.20.2", Progress::Untouched), none);
    assert_eq!(with_kubelet(&plan, "1.20.2", Progress::InDoubt), none);
    assert_eq!(with_kubelet(&plan, "1.21.14", Progress::InDoubt), none);
    assert_eq!(
        with_kubelet(&plan, "1.22.17", Progress::InDoubt),
        ["kubelet on w1 is 1.22.17-00, not 1.20.2-00 or 1.21.14-00 as planned"]
    );
}

/// Nothing of it shows in packages: somebody put the former manifests back.
#[test]
fn an_api_server_that_went_back_is_drift_once_it_was_raised() {
    let (plan, mut cluster) = (golden(), Cluster::base());
    for node in ["cp1", "cp2", "cp3"] {
        cluster.set_api_server(&name(node), &version("1.21.14"));
    }
    cluster.set_api_server(&name("cp2"), &version("1.20.2"));
    let said = |until: Progress| {
        let told = drift(&plan, &cluster.inventory, &cluster.facts, &|step| {
            if step.starts_with("control-planes/") && step.ends_with("/kubeadm-node") {
                until
            } else {
                Progress::Untouched
            }
        });
        told.into_iter().filter(|line| line.contains("API server")).collect::<Vec<_>>()
    };
    assert_eq!(said(Progress::InDoubt), [""; 0]);
    assert_eq!(said(Progress::Finished), ["the API server on cp2 answers as v1.20.2; it was raised to v1.21.14"]);
}
