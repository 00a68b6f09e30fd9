//! Restores: what is refused, what the plan says, and that the checker holds every law of it.

use windlass::decide::action::{Action, Effect, Site};
use windlass::decide::checker;
use windlass::decide::finding::{Finding, Rule, Severity};
use windlass::decide::plan::{Plan, Task};
use windlass::decide::restore::{self, Snapshot, Wanted};
use windlass::facts::{EtcdTool, Facts, MachineFacts, Seen};

use super::cluster::{Cluster, golden, name, sources, version};

/// The base cluster, as a look for a restore sees it.
fn base() -> Cluster {
    let mut cluster = Cluster::base();
    let members = cluster.facts.etcd.known().expect("etcd").members.clone();
    for member in &members {
        let machine = machine(&mut cluster.facts, member.node.as_ref().expect("its machine").as_str());
        machine.etcd_tool = Seen::Known(EtcdTool {
            path: "/usr/bin/etcdctl".to_owned(),
            image: None,
            version: version("3.4.23"),
            bumps: false,
        });
        let Seen::Known(Some(etcd)) = &mut machine.etcd else { panic!("it runs etcd") };
        etcd.settings.insert("initial-advertise-peer-urls".to_owned(), member.peer_urls.join(","));
    }
    cluster
}

/// The same cluster with its members on the control planes, whose programs are in etcd's image.
fn stacked() -> Cluster {
    let mut cluster = Cluster::stacked();
    for node in ["cp1", "cp2", "cp3"] {
        let image = Some("k8s.gcr.io/etcd:3.4.13-0".to_owned());
        let tool = EtcdTool { path: "tools/restorer".to_owned(), image, version: version("3.4.13"), bumps: false };
        machine(&mut cluster.facts, node).etcd_tool = Seen::Known(tool);
    }
    cluster
}

fn machine<'a>(facts: &'a mut Facts, node: &str) -> &'a mut MachineFacts {
    let facts = facts.nodes.iter_mut().find(|facts| facts.name.as_str() == node).expect("a node");
    match &mut facts.machine {
        Seen::Known(machine) => machine,
        Seen::Unknown(why) => panic!("{why}"),
    }
}

fn away(cluster: &mut Cluster, node: &str) {
    let facts = cluster.facts.nodes.iter_mut().find(|facts| facts.name.as_str() == node).expect("a node");
    facts.machine = Seen::Unknown("connection timed out".to_owned());
}

fn plan(cluster: &Cluster, fenced: &[&str]) -> Result<Plan, Vec<Finding>> {
    let fenced: Vec<_> = fenced.iter().map(|node| name(node)).collect();
    let file = "/srv/lab.db".to_owned();
    let snapshot = Snapshot {
        file,
        sha256: "ab".repeat(32),
        bytes: 4096,
        revision: 7,
        registry_keys: 200,
        members: Vec::new(),
        kube_system_uid: None,
    };
    let (inventory, facts, sources) = (&cluster.inventory, &cluster.facts, &sources());
    restore::plan(Wanted { inventory, facts, snapshot: &snapshot, fenced: &fenced, sources })
}

fn good(cluster: &Cluster, fenced: &[&str]) -> Plan {
    plan(cluster, fenced).unwrap_or_else(|findings| panic!("{findings:#?}"))
}

/// What refuses it, as `rule subject`.
fn refused(cluster: &Cluster, fenced: &[&str]) -> Vec<String> {
    let findings = plan(cluster, fenced).expect_err("it has to be refused");
    let forbids = findings.iter().filter(|finding| finding.severity != Severity::Warning);
    forbids.map(|finding| format!("{} {}", finding.rule, finding.subject)).collect()
}

/// The stages with their nodes: lanes of one wave joined by `+`.
fn outline(plan: &Plan) -> Vec<String> {
    let lanes = |wave: &windlass::decide::plan::Wave| {
        let names = wave.lanes.iter().map(|lane| lane.node.as_ref().map_or("cluster", |node| node.as_str()));
        names.collect::<Vec<_>>().join("+")
    };
    let waves = |stage: &windlass::decide::plan::Stage| stage.waves.iter().map(lanes).collect::<Vec<_>>().join(" ");
    plan.stages.iter().map(|stage| format!("{}: {}", stage.name, waves(stage))).collect()
}

#[test]
fn the_order_is_that_of_the_laws() {
    let plan = good(&base(), &[]);
    assert_eq!(
        outline(&plan),
        [
            "archive: etcd1+etcd2+etcd3+cp1+cp2+cp3",
            "send: etcd1+etcd2+etcd3",
            "save: cluster",
            "control-planes-away: cp1+cp2+cp3",
            "etcd-away: etcd1+etcd2+etcd3",
            "data: etcd1+etcd2+etcd3",
            "etcd-back: etcd1+etcd2+etcd3",
            "etcd-whole: cluster",
            "control-planes-back: cp1+cp2+cp3",
            "api-servers-back: cp1+cp2+cp3",
            "kubelets-of-control-planes: cp1 cp2 cp3",
            "kubelets-of-workers: w1 w2",
            "snapshot: cluster",
        ]
    );
    let last = plan.placed().last().map(|placed| &placed.step.action);
    assert!(matches!(last, Some(Action::Snapshot(snapshot)) if snapshot.proven), "its last snapshot is proven");
    assert_eq!(Plan::from_json(&plan.to_json()).expect("a plan"), plan);
    assert!(plan.findings.iter().any(|finding| finding.rule == Rule::Watches && finding.detail.contains("3.4.23")));
}

/// The steps of one node, as `stage/step`.
fn steps_of(plan: &Plan, node: &str) -> Vec<String> {
    let own = plan.placed().filter(|placed| placed.node.is_some_and(|known| known.as_str() == node));
    own.map(|placed| format!("{}/{}", placed.stage.name, placed.step.name)).collect()
}

#[test]
fn a_stacked_member_goes_and_comes_as_a_static_pod_apart_from_the_control_plane() {
    let plan = good(&stacked(), &[]);
    assert_eq!(
        outline(&plan),
        [
            "archive: cp1+cp2+cp3",
            "fetch: cp1+cp2+cp3",
            "send: cp1+cp2+cp3",
            "save: cluster",
            "control-planes-away: cp1+cp2+cp3",
            "etcd-away: cp1+cp2+cp3",
            "data: cp1+cp2+cp3",
            "etcd-back: cp1+cp2+cp3",
            "etcd-whole: cluster",
            "control-planes-back: cp1+cp2+cp3",
            "api-servers-back: cp1+cp2+cp3",
            "kubelets-of-control-planes: cp1 cp2 cp3",
            "kubelets-of-workers: w1 w2",
            "snapshot: cluster",
        ]
    );
    let job = |stage: &str| {
        let placed = plan
            .placed()
            .find(|placed| placed.stage.name == stage && placed.node.is_some_and(|node| node.as_str() == "cp2"));
        let placed = placed.unwrap_or_else(|| panic!("no stage {stage}"));
        match placed.step.action.effect(Site { run: &plan.id, node: placed.node }) {
            Effect::Job { call, .. } => call.args[1..].join(" "),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(job("fetch"), "k8s.gcr.io/etcd:3.4.13-0 restore");
    assert_eq!(job("control-planes-away"), "kube-apiserver,kube-controller-manager,kube-scheduler");
    assert_eq!(job("etcd-away"), "etcd");
    let members = "cp1=https://172.30.0.21:2380,cp2=https://172.30.0.22:2380,cp3=https://172.30.0.23:2380";
    let (sent, sha256) = (format!("restore-{}.db", "ab".repeat(8)), "ab".repeat(32));
    let data = format!("- /var/lib/etcd - {sent} {sha256} tools/restorer - cp2 https://172.30.0.22:2380 {members}");
    assert_eq!(job("data"), data);
    assert_eq!(job("etcd-back"), "etcd");
    assert_eq!(Plan::from_json(&plan.to_json()).expect("a plan"), plan);
}

#[test]
fn what_an_image_has_is_fetched_and_what_the_node_has_is_not() {
    let mut cluster = stacked();
    for node in ["cp1", "cp3"] {
        let tool =
            EtcdTool { path: "/usr/bin/etcdctl".to_owned(), image: None, version: version("3.4.30"), bumps: true };
        machine(&mut cluster.facts, node).etcd_tool = Seen::Known(tool);
    }
    assert!(outline(&good(&cluster, &[])).contains(&"fetch: cp2".to_owned()));
    assert!(!steps_of(&good(&cluster, &[]), "cp1").contains(&"fetch/fetch-tool".to_owned()));
}

#[test]
fn it_needs_neither_etcd_nor_the_api() {
    for (mut cluster, stages) in [(base(), 13), (stacked(), 14)] {
        cluster.facts.etcd = Seen::Unknown("no member answers".to_owned());
        cluster.facts.api = Seen::Unknown("connection refused".to_owned());
        for facts in &mut cluster.facts.nodes {
            let Seen::Known(machine) = &mut facts.machine else { panic!("it was reached") };
            if let Seen::Known(Some(etcd)) = &mut machine.etcd {
                etcd.running = false;
                etcd.server_version = Seen::Unknown("etcd does not run".to_owned());
            }
        }
        assert_eq!(outline(&good(&cluster, &[])).len(), stages);
    }
}

#[test]
fn revisions_are_raised_where_every_member_can() {
    let mut cluster = base();
    for node in ["etcd1", "etcd2", "etcd3"] {
        let tool =
            EtcdTool { path: "/usr/bin/etcdutl".to_owned(), image: None, version: version("3.4.30"), bumps: true };
        machine(&mut cluster.facts, node).etcd_tool = Seen::Known(tool);
    }
    let bumps = |plan: &Plan| -> Vec<Option<u64>> {
        let steps = plan.placed().map(|placed| &placed.step.action);
        steps.filter_map(|action| if let Action::RestoreMember(it) = action { Some(it.bump) } else { None }).collect()
    };
    let plan = good(&cluster, &[]);
    assert_eq!(bumps(&plan), [Some(1_000_000_000); 3]);
    assert!(!plan.findings.iter().any(|finding| finding.rule == Rule::Watches));
    // One that cannot, and none does: members would not agree on the revisions.
    let Seen::Known(tool) = &mut machine(&mut cluster.facts, "etcd2").etcd_tool else { panic!("a tool") };
    tool.bumps = false;
    assert_eq!(bumps(&good(&cluster, &[])), [None; 3]);
}

#[test]
fn a_machine_that_could_act_on_the_former_data_has_to_be_in_hand() {
    for node in ["etcd2", "cp3"] {
        let mut cluster = base();
        assert_eq!(refused(&cluster, &[node]), [format!("fenced {node}")], "it answers");
        away(&mut cluster, node);
        assert_eq!(refused(&cluster, &[]), [format!("unreachable {node}")]);
        let plan = good(&cluster, &[node]);
        assert!(plan.placed().all(|placed| placed.node.is_none_or(|known| known.as_str() != node)));
        let Task::Restore(restore) = &plan.task else { panic!("a restore") };
        assert_eq!(restore.fenced, [name(node)]);
        assert!(plan.findings.iter().any(|finding| finding.rule == Rule::Fenced && finding.subject == node));
    }
    assert_eq!(refused(&base(), &["etcd9"]), ["node-unknown etcd9"]);
    let mut cluster = base();
    away(&mut cluster, "cp1");
    away(&mut cluster, "cp2");
    assert_eq!(refused(&cluster, &["cp1", "cp2"]), ["fenced control planes"], "nobody could hold the lock");
}

/// A member that the inventory has no machine for could go on with the data of before.
#[test]
fn a_member_on_no_machine_of_the_inventory_is_refused() {
    let mut cluster = base();
    let Seen::Known(etcd) = &mut cluster.facts.etcd else { panic!("etcd was seen") };
    // Its machine is away, and is in the inventory: it was said to be cut off, or it refuses by itself.
    etcd.members[2].node = None;
    good(&cluster, &[]);
    let Seen::Known(etcd) = &mut cluster.facts.etcd else { panic!("etcd was seen") };
    let mut fourth = etcd.members[2].clone();
    (fourth.id, fourth.name) = (4, "etcd4".to_owned());
    fourth.peer_urls = vec!["https://172.30.0.14:2380".to_owned()];
    etcd.members.push(fourth);
    assert_eq!(refused(&cluster, &[]), ["node-unknown etcd"]);
    let found = plan(&cluster, &[]).expect_err("it is refused");
    assert!(found.iter().any(|it| it.detail.contains("etcd4 (https://172.30.0.14:2380)")), "{found:?}");
}

#[test]
fn a_worker_that_is_away_is_named_and_left() {
    let mut cluster = base();
    away(&mut cluster, "w1");
    let plan = good(&cluster, &[]);
    assert!(outline(&plan).contains(&"kubelets-of-workers: w2".to_owned()));
    assert!(plan.findings.iter().any(|finding| finding.subject == "w1" && finding.detail.contains("by hand")));
}

#[test]
fn the_fenced_member_is_none_of_the_new_cluster() {
    let mut cluster = base();
    away(&mut cluster, "etcd2");
    let plan = good(&cluster, &["etcd2"]);
    for placed in plan.placed() {
        if let Action::RestoreMember(restore) = &placed.step.action {
            assert_eq!(restore.cluster(), "etcd1=https://172.30.0.11:2380,etcd3=https://172.30.0.13:2380");
        }
    }
}

#[test]
fn what_would_go_wrong_on_the_way_is_refused_before() {
    type Change = fn(&mut Cluster);
    let table: [(&str, Change); 8] = [
        ("unseen etcd1", |it| machine(&mut it.facts, "etcd1").etcd = Seen::Known(None)),
        ("unseen etcd2", |it| machine(&mut it.facts, "etcd2").etcd_tool = Seen::Unknown("no tool".to_owned())),
        ("unseen etcd2", |it| {
            let Seen::Known(tool) = &mut machine(&mut it.facts, "etcd2").etcd_tool else { panic!("a tool") };
            tool.version = version("3.5.16");
        }),
        ("unseen etcd3", |it| {
            let Seen::Known(Some(etcd)) = &mut machine(&mut it.facts, "etcd3").etcd else { panic!("it runs etcd") };
            etcd.settings.clear();
        }),
        ("etcd-topology etcd3", |it| {
            let Seen::Known(Some(etcd)) = &mut machine(&mut it.facts, "etcd3").etcd else { panic!("it runs etcd") };
            etcd.name = Seen::Known("etcd1".to_owned());
        }),
        ("no-room etcd1", |it| {
            for disk in machine(&mut it.facts, "etcd1").disks.values_mut() {
                disk.free_bytes = 1 << 20;
            }
        }),
        ("unseen cp1", |it| machine(&mut it.facts, "cp1").kubelet_running = Seen::Known(None)),
        ("unseen cp2", |it| {
            let Seen::Known(pods) = &mut machine(&mut it.facts, "cp2").static_pods else { panic!("pods") };
            pods.remove("kube-apiserver");
        }),
    ];
    for (wanted, change) in table {
        let mut cluster = base();
        change(&mut cluster);
        let refused = refused(&cluster, &[]);
        assert!(refused.contains(&wanted.to_owned()), "{wanted}: {refused:?}");
    }
}

#[test]
fn a_stacked_member_has_to_be_a_static_pod_that_can_be_restored() {
    type Change = fn(&mut MachineFacts);
    let table: [(&str, Change); 4] = [
        ("has no manifest of etcd", |it| it.etcd = Seen::Known(None)),
        ("has no manifest of etcd: it may lie where an earlier run put it", |it| {
            let Seen::Known(pods) = &mut it.static_pods else { panic!("pods") };
            pods.remove("etcd");
        }),
        ("nothing is there that restores a snapshot: no ctr", |it| it.etcd_tool = Seen::Unknown("no ctr".to_owned())),
        ("k8s.gcr.io/etcd:3.4.13-0 is of 3.5.16, and the etcd that will run is 3.4.23", |it| {
            let Seen::Known(tool) = &mut it.etcd_tool else { panic!("a tool") };
            tool.version = version("3.5.16");
        }),
    ];
    for (wanted, change) in table {
        let mut cluster = stacked();
        change(machine(&mut cluster.facts, "cp2"));
        let findings = plan(&cluster, &[]).expect_err("it has to be refused");
        let said: Vec<&str> = findings.iter().filter(|it| it.subject == "cp2").map(|it| it.detail.as_str()).collect();
        assert!(said.contains(&wanted), "{wanted}: {said:?}");
    }
}

#[test]
fn a_fenced_control_plane_takes_its_member_along() {
    let mut cluster = stacked();
    away(&mut cluster, "cp2");
    let findings = plan(&cluster, &[]).expect_err("it has to be refused");
    let why = "a member of etcd and an API server of before on it could go on as a second living cluster";
    assert!(findings.iter().any(|it| it.subject == "cp2" && it.detail.contains(why)), "{findings:#?}");
    let plan = good(&cluster, &["cp2"]);
    assert_eq!(steps_of(&plan, "cp2"), [""; 0]);
    for placed in plan.placed() {
        if let Action::RestoreMember(restore) = &placed.step.action {
            assert_eq!(restore.cluster(), "cp1=https://172.30.0.21:2380,cp3=https://172.30.0.23:2380");
        }
    }
}

fn stage(plan: &mut Plan, name: &str) -> usize {
    plan.stages.iter().position(|stage| stage.name == name).unwrap_or_else(|| panic!("no stage {name}"))
}

fn swap(plan: &mut Plan, one: &str, other: &str) {
    let (one, other) = (stage(plan, one), stage(plan, other));
    plan.stages.swap(one, other);
}

fn member(plan: &mut Plan) -> &mut windlass::decide::actions::restore::RestoreMember {
    let steps = plan.procedures.iter_mut().flatten();
    let mut members =
        steps.filter_map(|step| if let Action::RestoreMember(it) = &mut step.action { Some(it) } else { None });
    members.next().expect("a member")
}

#[test]
fn the_checker_holds_every_law_of_a_restore() {
    type Break = fn(&mut Plan);
    let table: [(&str, Break); 15] = [
        ("what still lives is not saved", |plan| swap(plan, "save", "control-planes-away")),
        ("while an API server may write", |plan| swap(plan, "control-planes-away", "etcd-away")),
        ("while a member may run", |plan| swap(plan, "etcd-away", "data")),
        ("another's data are the former ones", |plan| swap(plan, "data", "etcd-back")),
        ("before etcd is whole", |plan| swap(plan, "etcd-whole", "control-planes-back")),
        ("before the API servers are back", |plan| swap(plan, "api-servers-back", "kubelets-of-workers")),
        ("does not end with a snapshot", |plan| {
            plan.stages.pop();
        }),
        ("its member is not restored", |plan| {
            let at = stage(plan, "data");
            plan.stages[at].waves[0].lanes.pop();
        }),
        ("its API server is not taken away", |plan| {
            let at = stage(plan, "control-planes-away");
            plan.stages[at].waves[0].lanes.remove(0);
        }),
        ("in several waves", |plan| {
            let at = stage(plan, "data");
            let lane = plan.stages[at].waves[0].lanes.pop().expect("a lane");
            plan.stages[at].waves.push(windlass::decide::plan::Wave { lanes: vec![lane] });
        }),
        ("kube-scheduler is never given back", |plan| {
            for step in plan.procedures.iter_mut().flatten() {
                if let Action::StartStaticPods(start) = &mut step.action {
                    start.pods.pop();
                }
            }
        }),
        ("another snapshot than the plan says", |plan| member(plan).sha256 = "00".repeat(32)),
        ("would not agree on who they are", |plan| {
            member(plan).members.pop();
        }),
        ("are not the ones that the others know", |plan| {
            member(plan).peer_urls = vec!["https://172.30.0.99:2380".to_owned()];
        }),
        ("is changed before its configuration is archived", |plan| {
            plan.stages.remove(0);
        }),
    ];
    for (cluster, (wanted, change)) in [base(), stacked()].iter().flat_map(|cluster| table.map(|row| (cluster, row))) {
        let mut plan = good(cluster, &[]);
        change(&mut plan);
        breaks(&plan, wanted);
    }
}

fn breaks(plan: &Plan, wanted: &str) {
    let said: Vec<String> = checker::check(plan).into_iter().map(|breach| breach.detail).collect();
    assert!(said.iter().any(|detail| detail.contains(wanted)), "{wanted}: {said:#?}");
}

#[test]
fn the_checker_knows_a_static_pod_from_a_service() {
    let taken = "taken for a service where it is a static pod";
    let mut plan = good(&stacked(), &[]);
    member(&mut plan).service = Some("etcd".to_owned());
    breaks(&plan, taken);
    let mut plan = good(&base(), &[]);
    member(&mut plan).service = None;
    breaks(&plan, taken);
    let mut plan = good(&stacked(), &[]);
    let at = stage(&mut plan, "fetch");
    plan.stages.remove(at);
    breaks(&plan, "what restores is not fetched before anything is taken away");
    let mut plan = good(&stacked(), &[]);
    let at = stage(&mut plan, "etcd-back");
    plan.stages.remove(at);
    breaks(&plan, "etcd is never given back");
}

#[test]
fn a_restore_does_nothing_else_and_nobody_else_restores() {
    let upgrade = golden();
    let mut both = good(&base(), &[]);
    let stages: Vec<_> = both.stages.drain(..).collect();
    let mut strange = upgrade.clone();
    let first = strange.procedures.len();
    strange.procedures.extend(both.procedures.clone());
    strange.stages.extend(stages.into_iter().map(|mut stage| {
        stage.name.insert_str(0, "restore-");
        for lane in stage.waves.iter_mut().flat_map(|wave| &mut wave.lanes) {
            lane.procedure += first;
        }
        stage
    }));
    let said = checker::check(&strange);
    assert!(said.iter().any(|breach| breach.detail == "only a restore may do this"), "{said:#?}");
    strange.task = both.task.clone();
    let said = checker::check(&strange);
    assert!(said.iter().any(|breach| breach.detail == "a restore does nothing else besides"), "{said:#?}");
}
