//! Nodes that come and go: what is planned, what is refused and with which words, and that the checker holds each such plan to the
//! laws.

use std::collections::BTreeMap;

use jiff::Timestamp;
use windlass::decide::action::Action;
use windlass::decide::actions::bootstrap::Newcomer;
use windlass::decide::bootstrap::Files;
use windlass::decide::checker;
use windlass::decide::drift::{Progress, drift};
use windlass::decide::finding::{Finding, Severity};
use windlass::decide::nodes::{self, AUTHORITY, Wanted, Wish};
use windlass::decide::plan::{Law, NodeChange, Plan, Stage, Step, Task};
use windlass::facts::ground::Ground;
use windlass::facts::load::NodeLoad;
use windlass::facts::ready::{Certified, Ready};
use windlass::facts::volumes::Volumes;
use windlass::facts::{EtcdFacts, PackageFacts, Seen};
use windlass::inventory::{NodeName, Topology};

use super::cluster::{Cluster, golden, name, sources, version};

const ENDPOINT: &str = "172.30.0.10:6443";

/// A cluster that stands, and what is wished of it.
struct Case {
    cluster: Cluster,
    wish: Wish,
    load: Seen<Vec<NodeLoad>>,
    volumes: Volumes,
    certificates: BTreeMap<NodeName, Seen<Ready>>,
}

/// The authority's certificate on a machine, and those for an external etcd.
fn certificates(digest: &str) -> Seen<Ready> {
    let certified = |digest: &str| Certified {
        digest: digest.repeat(64),
        not_before: Timestamp::UNIX_EPOCH,
        not_after: Timestamp::MAX,
        ..Certified::default()
    };
    let paths = [AUTHORITY, "/etc/kubernetes/pki/etcd/ca.crt", "/etc/kubernetes/pki/apiserver-etcd-client.crt"];
    let certificates = paths.map(|path| (path.to_owned(), Ok(certified(digest)))).to_vec();
    Seen::Known(Ready { certificates, ..Ready::default() })
}

fn standing(mut cluster: Cluster) -> Case {
    cluster.inventory.api.endpoint = Some(ENDPOINT.to_owned());
    let Seen::Known(api) = &mut cluster.facts.api else { panic!("the API was seen") };
    let Seen::Known(config) = &mut api.kubeadm else { panic!("kubeadm-config was seen") };
    ENDPOINT.clone_into(&mut config.endpoint);
    let names: Vec<NodeName> = cluster.inventory.nodes.iter().map(|node| node.name.clone()).collect();
    for (number, name) in (1_u64..).zip(&names) {
        let machine = cluster.machine(name);
        let id = format!("{number:032x}");
        machine.machine_id = Seen::Known(id.clone());
        let remains = vec!["/etc/kubernetes/kubelet.conf".to_owned()];
        machine.ground = Seen::Known(Ground { remains, synchronised: Some(true), ..Ground::default() });
        for (package, candidate) in [("containerd", "1.6.20"), ("runc", "1.1.5")] {
            let candidates = Seen::Known(vec![candidate.to_owned()]);
            let installed = Some(candidate.to_owned());
            machine.packages.insert(package.to_owned(), PackageFacts { installed, held: true, candidates });
        }
        if !name.as_str().starts_with("etcd") {
            cluster.kube_node(name).machine_id = Some(id);
        }
    }
    let certificates = names.iter().map(|name| (name.clone(), certificates("a"))).collect();
    let node = |name: &NodeName| NodeLoad {
        name: name.to_string(),
        pods: 5,
        pods_allocatable: 110,
        requested_bytes: 1 << 30,
        allocatable_bytes: 8 << 30,
        movable_pods: 4,
        movable_bytes: 1 << 30,
    };
    let load = Seen::Known(names.iter().map(node).collect());
    Case { cluster, wish: Wish::default(), load, volumes: Volumes::default(), certificates }
}

/// Its machine has nothing on it.
fn empty(cluster: &mut Cluster, node: &str) {
    let machine = cluster.machine(&name(node));
    for facts in machine.packages.values_mut() {
        (facts.installed, facts.held) = (None, false);
    }
    machine.static_pods = Seen::Known(BTreeMap::new());
    machine.kubelet_running = Seen::Known(None);
    machine.api_server = Seen::Known(None);
    machine.etcd = Seen::Known(None);
    machine.machine_id = Seen::Known("f".repeat(31) + &node[node.len() - 1..]);
    machine.ground = Seen::Known(Ground { synchronised: Some(true), ..Ground::default() });
}

fn etcd(cluster: &mut Cluster) -> &mut EtcdFacts {
    let Seen::Known(etcd) = &mut cluster.facts.etcd else { panic!("etcd was seen") };
    etcd
}

/// Nobody answers as this node.
fn silent(cluster: &mut Cluster, node: &str) {
    let ready = cluster.kube_node(&name(node)).conditions.iter_mut().find(|it| it.kind == "Ready");
    "Unknown".clone_into(&mut ready.expect("it is told").status);
    if let Some(member) = etcd(cluster).members.iter_mut().find(|member| member.name == node) {
        (member.node, member.status) = (None, Seen::Unknown("connection refused".to_owned()));
    }
}

/// It was destroyed, and made anew.
fn anew(cluster: &mut Cluster, node: &str) {
    silent(cluster, node);
    empty(cluster, node);
}

/// It does not answer.
fn gone(cluster: &mut Cluster, node: &str) {
    silent(cluster, node);
    let facts = cluster.facts.nodes.iter_mut().find(|facts| facts.name.as_str() == node).expect("it is there");
    facts.machine = Seen::Unknown("No route to host".to_owned());
}

/// It is in the inventory, and not in the cluster yet.
fn new(cluster: &mut Cluster, node: &str) {
    if let Seen::Known(api) = &mut cluster.facts.api {
        api.nodes.retain(|known| known.name != node);
    }
    etcd(cluster).members.retain(|known| known.name != node);
    empty(cluster, node);
}

fn names(words: &[&str]) -> Vec<NodeName> {
    words.iter().map(|word| name(word)).collect()
}

impl Case {
    fn add(mut self, nodes: &[&str]) -> Self {
        self.wish.joins = names(nodes);
        self
    }

    fn remove(mut self, nodes: &[&str]) -> Self {
        self.wish.leaves = names(nodes);
        self
    }

    fn replace(self, node: &str, with: &str) -> Self {
        self.remove(&[node]).add(&[with])
    }

    fn plan(&self) -> Result<Plan, Vec<Finding>> {
        let (sources, files, volumes) = (sources(), Files::default(), Seen::Known(self.volumes.clone()));
        nodes::plan(Wanted {
            inventory: &self.cluster.inventory,
            facts: &self.cluster.facts,
            wish: &self.wish,
            files: &files,
            load: &self.load,
            volumes: &volumes,
            certificates: &self.certificates,
            sources: &sources,
        })
    }

    fn planned(&self) -> Plan {
        let plan = self.plan().unwrap_or_else(|findings| panic!("{findings:#?}"));
        assert_eq!(checker::check(&plan), []);
        plan
    }

    /// What the planner has against it, as `SUBJECT: DETAIL`.
    fn refused(&self) -> Vec<String> {
        let findings = self.plan().expect_err("a refusal");
        let graver = findings.into_iter().filter(|finding| finding.severity != Severity::Warning);
        graver.map(|finding| format!("{}: {}", finding.subject, finding.detail)).collect()
    }
}

/// Each stage: on which node, with which steps.
fn stages(plan: &Plan) -> Vec<String> {
    let lane = |stage: &Stage| {
        let lanes = &stage.waves[0].lanes;
        let steps: Vec<&str> = plan.steps(&lanes[0]).iter().map(|step| step.name.as_str()).collect();
        let on: Vec<&str> = lanes.iter().map(|lane| lane.node.as_ref().map_or("-", NodeName::as_str)).collect();
        format!("{} {}: {}", stage.name, on.join("+"), steps.join(" "))
    };
    plan.stages.iter().map(lane).collect()
}

fn step<'a>(plan: &'a Plan, id: &str) -> &'a Step {
    plan.placed().find(|placed| placed.id() == id).unwrap_or_else(|| panic!("no {id}")).step
}

fn warnings(plan: &Plan) -> Vec<String> {
    plan.findings.iter().map(|finding| format!("{}: {}", finding.subject, finding.detail)).collect()
}

/// A control plane that was made anew takes its own place.
fn replaced() -> Plan {
    let mut case = standing(Cluster::stacked());
    anew(&mut case.cluster, "cp2");
    case.replace("cp2", "cp2").planned()
}

#[test]
fn a_lost_control_plane_leaves_etcd_and_the_api_before_its_machine_joins_anew() {
    let plan = replaced();
    assert_eq!(
        stages(&plan),
        [
            "prepare cp2: prepare-machine fetch-packages",
            "install cp2: install-runtime set-up-runtime install-kubernetes pull-images",
            "fetch cp1: fetch-tool",
            "snapshot-etcd -: snapshot",
            "remove cp1: remove await-members",
            "delete-cp2 cp1: delete-node",
            "snapshot-before-cp2 -: snapshot",
            "join-cp2 cp2: introduce kubeadm-join await-ready await-members",
            "tokens cp1: revoke-tokens",
        ]
    );
    assert_eq!(plan.task.command(), "node replace");
    let words = "control plane cp2 is replaced by its machine made anew, Kubernetes 1.20.2";
    assert_eq!(plan.task.words().as_deref(), Some(words));
    let Action::DeleteNode(delete) = &step(&plan, "delete-cp2/cp1/delete-node").action else { panic!("it deletes") };
    assert_eq!((delete.node.as_str(), delete.left, delete.machine.len()), ("cp2", false, 32));
    let Action::KubeadmJoin(join) = &step(&plan, "join-cp2/cp2/kubeadm-join").action else { panic!("it joins") };
    assert_eq!((join.newcomer, join.to.to_string()), (Newcomer::ControlPlaneWithEtcd, "1.20.2".to_owned()));
    assert!(join.configuration.contains("\"apiServerEndpoint\":\"172.30.0.10:6443\""), "{}", join.configuration);
    let Action::AwaitMembers(wait) = &step(&plan, "remove/cp1/await-members").action else { panic!("it waits") };
    assert_eq!(wait.peers, ["https://172.30.0.21:2380", "https://172.30.0.23:2380"]);
    let Action::AwaitMembers(wait) = &step(&plan, "join-cp2/cp2/await-members").action else { panic!("it waits") };
    assert_eq!(wait.peers.len(), 3);
    let wanted = "etcd: until the new member votes, etcd has 2 members and 2 make a quorum: none may fail";
    assert_eq!(warnings(&plan), [wanted]);
}

#[test]
fn a_dead_one_gives_way_to_another_machine_by_the_operators_word() {
    let mut case = standing(Cluster::stacked());
    case.cluster.add_like("cp1", "cp4");
    case.cluster.inventory.nodes.last_mut().expect("a node").address =
        windlass::inventory::Address::new("172.30.0.24").expect("an address");
    new(&mut case.cluster, "cp4");
    gone(&mut case.cluster, "cp2");
    let mut case = case.replace("cp2", "cp4");
    assert_eq!(case.refused(), ["cp2: its machine does not answer: if it never comes back as it was, say --dead cp2"]);
    case.wish.dead.insert(name("cp2"));
    let plan = case.planned();
    let on_nodes: Vec<String> = stages(&plan).into_iter().skip(2).collect();
    assert_eq!(
        on_nodes,
        [
            "fetch cp1: fetch-tool",
            "snapshot-etcd -: snapshot",
            "remove cp1: remove await-members",
            "delete-cp2 cp1: delete-node",
            "snapshot-before-cp4 -: snapshot",
            "join-cp4 cp4: introduce kubeadm-join await-ready await-members",
            "tokens cp1: revoke-tokens",
        ]
    );
    assert!(!plan.baseline.machines.contains_key(&name("cp2")), "it would be waited for");
    let told = warnings(&plan);
    assert!(told[1].starts_with("cp2: is not stopped, because it does not answer"), "{told:?}");
}

#[test]
fn a_control_plane_that_answers_is_drained_taken_off_etcd_and_cleaned() {
    let plan = standing(Cluster::stacked()).remove(&["cp3"]).planned();
    assert_eq!(
        stages(&plan),
        [
            "archive cp3: archive",
            "fetch cp1+cp3: fetch-tool",
            "snapshot-etcd -: snapshot",
            "drain-cp3 cp3: cordon drain stop-static-pods",
            "remove cp1: move-leader remove await-members",
            "retire cp3: retire",
            "leave-cp3 cp3: leave-cluster",
            "delete-cp3 cp1: delete-node",
        ]
    );
    let Action::LeaveCluster(leave) = &step(&plan, "leave-cp3/cp3/leave-cluster").action else { panic!("it leaves") };
    assert_eq!((leave.authority.as_str(), leave.machine.len()), ("a".repeat(64).as_str(), 32));
    assert_eq!(plan.task.command(), "node remove");
}

#[test]
fn with_external_etcd_a_control_plane_gets_its_certificate_for_it_from_one_that_stands() {
    let mut case = standing(Cluster::base());
    anew(&mut case.cluster, "cp2");
    let mut case = case.replace("cp2", "cp2");
    let plan = case.planned();
    assert_eq!(
        stages(&plan)[2..],
        [
            "snapshot-etcd -: snapshot",
            "delete-cp2 cp1: delete-node",
            "snapshot-before-cp2 -: snapshot",
            "join-cp2 cp2: introduce kubeadm-join await-ready",
            "tokens cp1: revoke-tokens",
        ]
    );
    let Action::Introduce(introduce) = &step(&plan, "join-cp2/cp2/introduce").action else {
        panic!("it is introduced")
    };
    assert_eq!(introduce.newcomer, Newcomer::ControlPlaneWithClient);
    let Some(Seen::Known(ready)) = case.certificates.get_mut(&name("cp1")) else { panic!("it was looked at") };
    ready.certificates[2].1 = Err("there is no certificate in it".to_owned());
    let why = "cp1: /etc/kubernetes/pki/apiserver-etcd-client.crt: there is no certificate in it; a control plane that joins gets its \
               certificate for etcd from there";
    assert_eq!(case.refused(), [why]);
}

#[test]
fn workers_join_together_behind_control_planes() {
    let mut case = standing(Cluster::stacked());
    for node in ["cp3", "w1", "w2"] {
        new(&mut case.cluster, node);
    }
    let plan = case.add(&["w2", "cp3", "w1"]).planned();
    assert_eq!(
        stages(&plan),
        [
            "prepare cp3+w1+w2: prepare-machine fetch-packages",
            "install cp3+w1+w2: install-runtime set-up-runtime install-kubernetes pull-images",
            "snapshot-etcd -: snapshot",
            "join-cp3 cp3: introduce kubeadm-join await-ready await-members",
            "workers w1+w2: introduce kubeadm-join await-ready",
            "tokens cp1: revoke-tokens",
        ]
    );
    let words = "control plane cp3, worker w1 and worker w2 join the cluster, Kubernetes 1.20.2";
    assert_eq!(plan.task.words().as_deref(), Some(words));
}

#[test]
fn from_one_control_plane_to_three_the_moment_of_two_members_is_announced() {
    let mut case = standing(Cluster::stacked());
    for node in ["cp2", "cp3"] {
        new(&mut case.cluster, node);
    }
    let plan = case.add(&["cp2", "cp3"]).planned();
    assert_eq!(
        stages(&plan)[2..],
        [
            "snapshot-etcd -: snapshot",
            "join-cp2 cp2: introduce kubeadm-join await-ready await-members",
            "snapshot-before-cp3 -: snapshot",
            "join-cp3 cp3: introduce kubeadm-join await-ready await-members",
            "tokens cp1: revoke-tokens",
        ]
    );
    assert_eq!(plan.outages.len(), 1);
    let wanted = "etcd: goes from one member to two: a second one counts before it runs, so that etcd and the API wait for it; and from \
                  then on both have to live, until a third one votes";
    assert_eq!(warnings(&plan), [wanted]);
}

#[test]
fn who_is_not_lost_is_not_replaced() {
    let mut case = standing(Cluster::stacked()).replace("cp2", "cp2");
    let healthy = "cp2: is healthy: add the other one first (`windlass node add`), then let this one go (`windlass node remove`), which \
                   drains it";
    let occupied = "cp2: has something of a cluster already: /etc/kubernetes/kubelet.conf. A bootstrap takes nothing away that it did not \
                    begin: go on with its own plan, or see to the machine yourself (`kubeadm reset`)";
    let refused = case.refused();
    assert!(refused.contains(&healthy.to_owned()) && refused.contains(&occupied.to_owned()), "{refused:#?}");
    // Made anew, and the API does not know it yet.
    empty(&mut case.cluster, "cp2");
    let ready = "cp2: is Ready: the API notices after some 40 s that a node is gone; or another machine answers as it";
    assert_eq!(case.refused(), [ready]);
    // The kubelet is down, the machine is not.
    let mut case = standing(Cluster::stacked()).replace("w1", "w1");
    silent(&mut case.cluster, "w1");
    let stands =
        "w1: is not Ready, and its machine still has what it was: bring it back, or make the machine anew".to_owned();
    assert!(case.refused().contains(&stands), "{:#?}", case.refused());
    // Said to be dead, and answers.
    case.wish.dead.insert(name("w1"));
    assert!(case.refused().contains(&"w1: answers, and is said to be dead".to_owned()), "{:#?}", case.refused());
    // Nobody of this name.
    let refused = standing(Cluster::stacked()).replace("cp9", "cp9").refused();
    let wanted = [
        "cp9: is no control plane and no worker of the inventory",
        "cp9: is no control plane and no worker of the inventory: enter it there first",
    ];
    assert_eq!(refused, wanted);
}

#[test]
fn the_last_control_plane_and_the_quorum_stay() {
    let mut one = standing(Cluster::stacked());
    for node in ["cp2", "cp3"] {
        new(&mut one.cluster, node);
    }
    let refused = one.remove(&["cp1"]).refused();
    assert!(refused.contains(&"cp1: cp1 is the only member that votes".to_owned()), "{refused:#?}");
    let none = "cluster: no control plane would be left that is Ready and answers".to_owned();
    assert!(refused.contains(&none), "{refused:#?}");

    let refused = standing(Cluster::stacked()).remove(&["cp2", "cp3"]).refused();
    let wanted = "cp2 and cp3: are control planes: one leaves in a plan, and the next one in a plan of its own";
    assert_eq!(refused, [wanted]);

    // Another one is away: without a healthy one only one of two would be left.
    let mut case = standing(Cluster::stacked());
    gone(&mut case.cluster, "cp3");
    let refused = case.remove(&["cp2"]).refused();
    let wanted = "cp2: 3 members, 2 answer, quorum 2: without cp2 only 1 answers of 2, and 2 make a quorum".to_owned();
    assert!(refused.contains(&wanted), "{refused:#?}");
    assert!(refused.contains(&"cp3: does not answer, and is not named to leave".to_owned()), "{refused:#?}");
}

#[test]
fn in_the_middle_of_an_upgrade_nobody_comes_or_goes() {
    let mut case = standing(Cluster::stacked());
    new(&mut case.cluster, "w2");
    case.cluster.set_api_server(&name("cp2"), &version("1.21.14"));
    case.cluster.set_kubelet(&name("w1"), &version("1.19.16"));
    let wanted = [
        "cp2: its API server is 1.21.14, and kubeadm-config says 1.20.2: finish the upgrade first",
        "cluster: kubelets are 1.19.16 on w1, and the cluster is 1.20.2: finish the upgrade first",
    ];
    assert_eq!(case.add(&["w2"]).refused(), wanted);
}

#[test]
fn a_cluster_without_an_endpoint_gets_no_more_nodes() {
    let mut case = standing(Cluster::stacked());
    new(&mut case.cluster, "cp3");
    let Seen::Known(api) = &mut case.cluster.facts.api else { panic!("the API was seen") };
    let Seen::Known(config) = &mut api.kubeadm else { panic!("kubeadm-config was seen") };
    config.endpoint.clear();
    let refused = case.add(&["cp3"]).refused();
    assert!(refused[0].starts_with("API: kubeadm-config has no controlPlaneEndpoint"), "{refused:#?}");
}

#[test]
fn what_pods_keep_on_a_node_is_given_up_by_name_alone() {
    let mut case = standing(Cluster::stacked()).remove(&["w1"]);
    let kept = ["default/db-0 (emptyDir)", "local volume pv-1 (default/data)"].map(str::to_owned).to_vec();
    case.volumes = Volumes { kept: BTreeMap::from([("w1".to_owned(), kept.clone())]) };
    let wanted = "w1: would be lost with it: default/db-0 (emptyDir) and local volume pv-1 (default/data); say --give-up-data w1 if it \
                  may be";
    assert_eq!(case.refused(), [wanted]);
    let drains = |plan: &Plan| match &step(plan, "drain-w1/w1/drain").action {
        Action::Drain(drain) => (drain.delete_emptydir_data, drain.force),
        other => panic!("{other:?}"),
    };
    case.wish.give_up_data.insert(name("w1"));
    let plan = case.planned();
    assert_eq!(drains(&plan), (true, true));
    let Task::Nodes(change) = &plan.task else { panic!("nodes change") };
    assert_eq!(change.leaves[0].gives_up, kept);
    // Nothing is kept: nothing more is deleted than a drain does by itself.
    let plan = standing(Cluster::stacked()).remove(&["w1"]).planned();
    assert_eq!(drains(&plan), (false, false));
    // The consent is for who leaves.
    case.wish.give_up_data.insert(name("w2"));
    assert_eq!(case.refused(), ["w2: does not leave: --dead and --give-up-data are for nodes that do"]);
}

#[test]
fn the_last_worker_with_pods_that_have_nowhere_to_go_stays() {
    let case = standing(Cluster::stacked()).remove(&["w1", "w2"]);
    let refused = case.refused();
    assert_eq!(refused.len(), 2, "{refused:#?}");
    assert!(
        refused[0].starts_with("w1: its 4 pods ask for 1.0 GiB of memory; the other workers have 0 B and 0 places"),
        "{refused:#?}"
    );
}

#[test]
fn another_clusters_machine_is_never_made_to_leave() {
    let mut case = standing(Cluster::stacked()).remove(&["w1"]);
    case.certificates.insert(name("w1"), certificates("b"));
    let wanted = "w1: belongs to another cluster: its /etc/kubernetes/pki/ca.crt is not that of cp1";
    assert_eq!(case.refused(), [wanted]);
    case.cluster.kube_node(&name("w1")).machine_id = Some("0".repeat(32));
    let wanted = "w1: is another machine than the one that the cluster knows by this name (/etc/machine-id)";
    assert_eq!(case.refused(), [wanted]);
}

#[test]
fn who_is_there_or_is_not_free_does_not_join() {
    let mut case = standing(Cluster::stacked());
    new(&mut case.cluster, "w2");
    let ground = Ground { remains: vec!["/etc/kubernetes/kubelet.conf".to_owned()], ..Ground::default() };
    case.cluster.machine(&name("w2")).ground = Seen::Known(ground);
    let refused = case.add(&["w1", "w2"]).refused();
    assert_eq!(refused[0], "w1: is a node of the cluster already");
    assert!(
        refused[1].starts_with("w2: has something of a cluster already: /etc/kubernetes/kubelet.conf"),
        "{refused:#?}"
    );
}

#[test]
fn what_the_plan_itself_changes_is_no_drift_and_everything_else_is() {
    let mut case = standing(Cluster::stacked());
    anew(&mut case.cluster, "cp2");
    let case = case.replace("cp2", "cp2");
    let plan = case.planned();
    let of = |cluster: &Cluster, done: &[&str]| {
        let progress = |id: &str| {
            if done.iter().any(|done| id.starts_with(done)) { Progress::Finished } else { Progress::Untouched }
        };
        drift(&plan, &cluster.inventory, &cluster.facts, &progress)
    };
    assert_eq!(of(&case.cluster, &[]), [""; 0]);
    let mut removed = case.cluster.clone();
    let id = etcd(&mut removed).members.iter().find(|member| member.name == "cp2").expect("a member").id;
    etcd(&mut removed).members.retain(|member| member.id != id);
    if let Seen::Known(api) = &mut removed.facts.api {
        api.nodes.retain(|node| node.name != "cp2");
    }
    assert_eq!(of(&removed, &["prepare", "remove", "delete"]), [""; 0]);
    let wanted =
        [format!("etcd member cp2 ({id:x}) was removed"), "node cp2 is not in the cluster any more".to_owned()];
    let mut found = of(&removed, &[]);
    found.sort();
    assert_eq!(found, wanted);
    // Somebody has made a node of it meanwhile.
    let mut taken = removed.clone();
    let ground = Ground { remains: vec!["/etc/kubernetes/kubelet.conf".to_owned()], ..Ground::default() };
    taken.cluster_machine("cp2").ground = Seen::Known(ground);
    assert_eq!(
        of(&taken, &["remove", "delete"]),
        ["cp2 was free, and has something of a cluster now: /etc/kubernetes/kubelet.conf"]
    );
}

impl Cluster {
    fn cluster_machine(&mut self, node: &str) -> &mut windlass::facts::MachineFacts {
        self.machine(&name(node))
    }
}

fn stage(plan: &Plan, name: &str) -> usize {
    plan.stages.iter().position(|stage| stage.name == name).unwrap_or_else(|| panic!("no stage {name}"))
}

fn steps<'a>(plan: &'a mut Plan, name: &str) -> &'a mut Vec<Step> {
    let procedure = plan.stages[stage(plan, name)].waves[0].lanes[0].procedure;
    &mut plan.procedures[procedure]
}

fn change(plan: &mut Plan) -> &mut NodeChange {
    let Task::Nodes(change) = &mut plan.task else { panic!("nodes change") };
    change
}

fn moved(plan: &mut Plan, what: &str, before: &str) {
    let at = stage(plan, what);
    let taken = plan.stages.remove(at);
    let to = stage(plan, before);
    plan.stages.insert(to, taken);
}

fn without(plan: &mut Plan, what: &str) {
    let at = stage(plan, what);
    plan.stages.remove(at);
}

type Broken = fn(&mut Plan);
/// What is broken, how, which law that breaks, and what is said of it.
type Way = (&'static str, Broken, Law, &'static str);

/// A way to break the plan that replaces cp2, which law that breaks, and what is said of it.
const REPLACE_BROKEN: &[Way] = &[
    (
        "no snapshot before anything",
        |plan| without(plan, "snapshot-etcd"),
        Law::SnapshotFirst,
        "no snapshot stands before it",
    ),
    (
        "no snapshot before the join",
        |plan| without(plan, "snapshot-before-cp2"),
        Law::SnapshotFirst,
        "no snapshot stands before it",
    ),
    (
        "it joins before its member is off the list",
        |plan| moved(plan, "join-cp2", "remove"),
        Law::OneMemberAtATime,
        "a member that leaves is still on the list",
    ),
    (
        "it joins before its Node object is gone",
        |plan| moved(plan, "join-cp2", "delete-cp2"),
        Law::ServersFirst,
        "the node of this name is not gone yet",
    ),
    (
        "the Node object goes before the member",
        |plan| moved(plan, "delete-cp2", "remove"),
        Law::OneMemberAtATime,
        "its member of etcd is still on the list",
    ),
    (
        "a healthy member is removed in its place",
        |plan| {
            let other = *plan.baseline.etcd_members.iter().find(|(_, name)| *name == "cp1").expect("a member").0;
            if let Action::RemoveMember(remove) = &mut steps(plan, "remove")[0].action {
                remove.member = other;
            }
        },
        Law::OneMemberAtATime,
        "leadership is not moved off the member just before it is removed",
    ),
    (
        "the members are not seen whole in between",
        |plan| _ = steps(plan, "remove").pop(),
        Law::OneMemberAtATime,
        "the members are not seen whole just after it",
    ),
    (
        "fewer healthy members than it takes",
        |plan| change(plan).healthy.truncate(1),
        Law::OneMemberAtATime,
        "3 members, 1 answers, quorum 2: nothing can be changed without a quorum",
    ),
    (
        "nobody introduces it",
        |plan| _ = steps(plan, "join-cp2").remove(0),
        Law::ServersFirst,
        "nobody introduces it just before",
    ),
    (
        "its member is not waited for",
        |plan| _ = steps(plan, "join-cp2").pop(),
        Law::OneMemberAtATime,
        "its member is not waited for",
    ),
    ("it is not waited for", |plan| _ = steps(plan, "join-cp2").remove(2), Law::ServersFirst, "it is not waited for"),
    (
        "it joins as a worker",
        |plan| {
            if let Action::KubeadmJoin(join) = &mut steps(plan, "join-cp2")[1].action {
                join.newcomer = Newcomer::Worker;
            }
        },
        Law::ServersFirst,
        "it joins as something else than the plan and its roles say",
    ),
    (
        "at another version",
        |plan| {
            if let Action::KubeadmJoin(join) = &mut steps(plan, "join-cp2")[1].action {
                join.to = version("1.21.14");
            }
        },
        Law::NoSkip,
        "it is about 1.21.14, which the plan does not name",
    ),
    (
        "tokens stay",
        |plan| without(plan, "tokens"),
        Law::ServersFirst,
        "tokens are not taken back once everybody has joined",
    ),
    (
        "nobody joins",
        |plan| without(plan, "join-cp2"),
        Law::ServersFirst,
        "not each node that the plan names joins, once",
    ),
    (
        "the object stays",
        |plan| without(plan, "delete-cp2"),
        Law::ServersFirst,
        "not each node that the plan names leaves, once",
    ),
    (
        "nobody stays that stood before",
        |plan| change(plan).stands.clear(),
        Law::ServersFirst,
        "no control plane would be left that stood before",
    ),
    (
        "another node is deleted",
        |plan| {
            if let Action::DeleteNode(delete) = &mut steps(plan, "delete-cp2")[0].action {
                delete.node = name("w1");
            }
        },
        Law::ServersFirst,
        "it deletes w1, which the plan does not name",
    ),
];

/// The same for the plan that removes cp3.
const REMOVE_BROKEN: &[Way] = &[
    (
        "what it had is not archived",
        |plan| without(plan, "archive"),
        Law::SnapshotFirst,
        "the node is changed before its configuration is archived",
    ),
    ("it is not drained", |plan| without(plan, "drain-cp3"), Law::DrainFirst, "it is not drained before"),
    (
        "its member still runs when its machine leaves",
        |plan| without(plan, "retire"),
        Law::OneMemberAtATime,
        "its member of etcd still runs",
    ),
    (
        "its member is stopped before it is removed",
        |plan| moved(plan, "retire", "remove"),
        Law::OneMemberAtATime,
        "it stops a member that was not removed before",
    ),
    (
        "its leadership is not moved",
        |plan| _ = steps(plan, "remove").remove(0),
        Law::OneMemberAtATime,
        "leadership is not moved off the member just before it is removed",
    ),
    (
        "its object goes before it",
        |plan| moved(plan, "delete-cp3", "leave-cp3"),
        Law::ServersFirst,
        "its machine has not left before",
    ),
    (
        "it is asked to delete itself",
        |plan| {
            let at = stage(plan, "delete-cp3");
            plan.stages[at].waves[0].lanes[0].node = Some(name("cp3"));
        },
        Law::ServersFirst,
        "it is not asked of a control plane that stays",
    ),
    (
        "another node is drained",
        |plan| {
            let at = stage(plan, "drain-cp3");
            plan.stages[at].waves[0].lanes[0].node = Some(name("cp2"));
        },
        Law::DrainFirst,
        "it takes away from a node that does not leave",
    ),
    (
        "two control planes leave",
        |plan| {
            let mut other = change(plan).leaves[0].clone();
            other.node = name("cp2");
            change(plan).leaves.push(other);
        },
        Law::OneMemberAtATime,
        "two control planes would leave",
    ),
];

/// And for the plan that makes three control planes of one.
const GROW_BROKEN: &[Way] = &[
    (
        "the moment of two members is not announced",
        |plan| plan.outages.clear(),
        Law::OneMemberAtATime,
        "with the new member, which does not run yet: 2 members, 1 answers, quorum 2",
    ),
    (
        "no snapshot between the two",
        |plan| without(plan, "snapshot-before-cp3"),
        Law::SnapshotFirst,
        "no snapshot stands before it",
    ),
    (
        "both at the same time",
        |plan| {
            let (from, to) = (stage(plan, "join-cp3"), stage(plan, "join-cp2"));
            let lane = plan.stages[from].waves[0].lanes[0].clone();
            plan.stages[to].waves[0].lanes.push(lane);
            plan.stages.remove(from);
        },
        Law::OneMemberAtATime,
        "a control plane joins while something else happens",
    ),
];

fn grown() -> Plan {
    let mut case = standing(Cluster::stacked());
    for node in ["cp2", "cp3"] {
        new(&mut case.cluster, node);
    }
    case.add(&["cp2", "cp3"]).planned()
}

fn removed() -> Plan {
    standing(Cluster::stacked()).remove(&["cp3"]).planned()
}

fn each_is_refused(plan: fn() -> Plan, table: &[Way]) {
    for (what, breaks, law, said) in table {
        let mut plan = plan();
        breaks(&mut plan);
        let breaches = checker::check(&plan);
        let found = breaches.iter().any(|breach| breach.law == *law && breach.detail == *said);
        assert!(found, "{what}: {breaches:#?}");
    }
}

#[test]
fn a_plan_of_nodes_that_is_broken_in_any_way_is_refused_for_the_law_that_was_broken() {
    each_is_refused(replaced, REPLACE_BROKEN);
    each_is_refused(removed, REMOVE_BROKEN);
    each_is_refused(grown, GROW_BROKEN);
}

#[test]
fn a_plan_for_something_else_lets_no_node_leave() {
    let mut plan = golden();
    let leaving = standing(Cluster::stacked()).remove(&["w1"]).planned();
    let taken = leaving.stages.iter().find(|stage| stage.name == "delete-w1").expect("a stage").clone();
    plan.procedures.push(leaving.steps(&taken.waves[0].lanes[0]).to_vec());
    let mut taken = taken;
    taken.waves[0].lanes[0].procedure = plan.procedures.len() - 1;
    plan.stages.push(taken);
    let said: Vec<String> = checker::check(&plan).into_iter().map(|breach| breach.detail).collect();
    assert!(said.contains(&"no node leaves in such a plan".to_owned()), "{said:#?}");
    assert_eq!(leaving.task.nodes().map(|change| change.joins.len()), Some(0));
    assert_eq!(leaving.baseline.stacked, Cluster::stacked().inventory.etcd.topology == Topology::Stacked);
}

#[test]
fn load_balancers_of_the_clusters_own_are_told_who_comes_and_goes() {
    let led = || {
        let mut case = standing(Cluster::stacked());
        case.cluster = super::balancers::led_by(case.cluster, &["lb1", "lb2"]);
        case
    };
    let servers = |plan: &Plan| {
        let Action::SetUpBalancer(set_up) = &step(plan, "load-balancers/lb2/set-up").action else {
            panic!("it is set up")
        };
        let named = set_up.haproxy.lines().filter_map(|line| line.trim().strip_prefix("server ")?.split(' ').next());
        let mut named: Vec<String> = named.map(str::to_owned).collect();
        named.dedup();
        named.truncate(named.len() / 2);
        named
    };
    let at = |plan: &Plan, name: &str| plan.stages.iter().position(|stage| stage.name == name).expect("a stage");
    let mut lost = led();
    anew(&mut lost.cluster, "cp3");
    let replaced = lost.replace("cp3", "cp3").planned();
    assert_eq!(servers(&replaced), ["cp1", "cp2", "cp3"]);
    let order = ["delete-cp3", "load-balancers", "join-cp3", "load-balancers-lead"].map(|name| at(&replaced, name));
    assert!(order.is_sorted(), "{order:?}");
    let removed = led().remove(&["cp2"]).planned();
    assert_eq!(servers(&removed), ["cp1", "cp3"], "nobody is led to who has left");
    let worker = led().remove(&["w1"]).planned();
    assert!(!worker.stages.iter().any(|stage| stage.name.starts_with("load-balancers")), "{:?}", stages(&worker));
}

#[test]
fn a_node_with_a_member_of_an_external_etcd_beside_it_does_not_leave() {
    let mut case = standing(Cluster::base());
    let node = case.cluster.inventory.nodes.iter_mut().find(|node| node.name == name("w2")).expect("a worker");
    node.roles.insert(windlass::inventory::Role::Etcd);
    let refused = case.remove(&["w2"]).refused();
    let own = refused.iter().filter(|said| said.starts_with("w2: has a member of the external etcd beside it")).count();
    assert_eq!(own, 1, "{refused:?}");
}

#[test]
fn who_leaves_is_what_its_roles_say() {
    let plan = standing(Cluster::stacked()).remove(&["w1"]).planned();
    let breaches = |change: &dyn Fn(&mut Plan)| {
        let mut plan = plan.clone();
        change(&mut plan);
        checker::check(&plan).into_iter().map(|breach| breach.detail).collect::<Vec<String>>()
    };
    let departure = |plan: &mut Plan, change: &dyn Fn(&mut windlass::decide::plan::Departure)| {
        let Task::Nodes(it) = &mut plan.task else { panic!("nodes go") };
        change(&mut it.leaves[0]);
    };
    let strange = "w1 leaves as something else than its roles say".to_owned();
    let member = *plan.baseline.etcd_members.keys().next().expect("a member");
    assert!(breaches(&|plan| departure(plan, &|it| it.control_plane = true)).contains(&strange));
    assert!(breaches(&|plan| departure(plan, &|it| it.member = Some(member))).contains(&strange));
    let both = breaches(&|plan| {
        let Task::Nodes(it) = &mut plan.task else { panic!("nodes go") };
        it.stands.push(name("w1"));
    });
    assert!(both.contains(&"a control plane would stand and leave".to_owned()), "{both:?}");
    let machine = breaches(&|plan| {
        plan.baseline.machines.get_mut(&name("w1")).expect("its machine").roles.push(windlass::inventory::Role::Etcd);
    });
    assert!(machine.contains(&"w1 would leave with a member of an external etcd on it".to_owned()), "{machine:?}");
}
