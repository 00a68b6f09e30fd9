//! Playbooks of the operator's own: they order and add, and they cannot break a law.

use windlass::decide::action::Action;
use windlass::decide::finding::{Finding, Rule, Severity};
use windlass::decide::plan::Plan;
use windlass::playbook::{self, Raises};

use super::cluster::{Cluster, name, target};

/// What comes of the playbook for a minor of Kubernetes once `old` is replaced by `new`.
fn with(old: &str, new: &str) -> Result<Plan, Vec<Finding>> {
    let text = playbook::builtin(Raises::KubernetesMinor);
    assert!(text.contains(old), "the playbook has {old}");
    let playbook = playbook::parse(&text.replace(old, new)).expect("it can be read");
    Cluster::base().plan_with(&target("1.21.14", ""), &[playbook])
}

/// Refused, for a law and nothing else; where and why.
fn unlawful(old: &str, new: &str) -> Vec<(String, String)> {
    let findings = with(old, new).expect_err("it breaks a law");
    let about_law = |finding: &Finding| (finding.severity, finding.rule) == (Severity::Refusal, Rule::Law);
    assert!(findings.iter().all(about_law), "{findings:#?}");
    findings.into_iter().map(|finding| (finding.subject, finding.detail)).collect()
}

fn said(at: &str, detail: &str) -> (String, String) {
    (at.to_owned(), detail.to_owned())
}

#[test]
fn a_playbook_without_a_snapshot_is_refused() {
    let stage =
        "[[stage]]\nname = \"snapshot-kubernetes\"\nselect = \"cluster\"\nsteps = [{ uses = \"etcd.snapshot\" }]\n";
    let detail = "breaks law 2: no snapshot stands before Kubernetes is touched";
    assert_eq!(unlawful(stage, ""), [said("first-control-plane/cp1/kubeadm", detail)]);
}

#[test]
fn a_playbook_without_a_drain_is_refused_for_a_minor() {
    let detail = "breaks law 6: the node is not cordoned and drained before its kubelet changes minor";
    let found = unlawful("  { uses = \"drain\", timeout = \"10m\" },\n", "");
    // The package and the restart, on each worker.
    for worker in ["w1", "w2"] {
        for step in ["kubelet", "restart"] {
            assert!(found.contains(&said(&format!("workers/{worker}/{step}"), detail)), "{found:#?}");
        }
    }
    assert_eq!(found.len(), 4, "{found:#?}");
}

#[test]
fn a_playbook_that_does_two_control_planes_at_once_is_refused() {
    let found = unlawful("pick = \"others\" }\nbatch = [1]", "pick = \"others\" }\nbatch = [2]");
    assert_eq!(found, [said("control-planes", "breaks law 5: control planes are worked on one at a time")]);
}

#[test]
fn a_playbook_that_does_not_wait_for_the_api_servers_is_refused() {
    let stage = "[[stage]]\nname = \"api-servers\"\nselect = \"cluster\"\nsteps = [{ uses = \"api.await-version\" }]\n";
    let detail = "breaks law 5: a kubelet is raised before every API server was seen at the target";
    assert_eq!(unlawful(stage, ""), [said("control-plane-kubelets/cp1/kubelet", detail)]);
}

#[test]
fn a_playbook_for_another_kind_of_raise_is_refused() {
    let minor = playbook::parse(playbook::builtin(Raises::KubernetesMinor)).expect("it can be read");
    let found = Cluster::base().plan_with(&target("1.20.15", ""), &[minor]).expect_err("it is for a minor");
    let detail = "raises a minor of Kubernetes, and this is a patch: use the other playbook";
    assert_eq!(found, [Finding::refusal(Rule::PlaybookMismatch, "playbook kubeadm-minor", detail)]);
}

#[test]
fn a_playbook_that_asks_for_what_is_not_there_is_refused() {
    let found =
        with("{ uses = \"kubeadm.package\" }, { uses = \"kubeadm.upgrade-node\" }", "{ uses = \"etcd.package\" }");
    let found = found.expect_err("no etcd is raised");
    assert_eq!(found[0].rule, Rule::PlaybookMismatch);
    assert_eq!(found[0].detail, "etcd.package needs an etcd version (--etcd-to), and here is none");
}

#[test]
fn gates_and_commands_are_added_where_they_stand() {
    let run = "{ uses = \"uncordon\" },\n  { run = [\"notify\", \"{node}\"], on = \"control\" },\n  { gate = \"statefulsets-ready\" },";
    let plan = with("{ uses = \"uncordon\" },\n  { gate = \"statefulsets-ready\" },", run).expect("it breaks no law");
    let ids: Vec<String> = plan.placed().map(|placed| placed.id()).filter(|id| id.starts_with("workers/w2/")).collect();
    let last: Vec<&str> = ids[ids.len() - 3..].iter().map(|id| &id["workers/w2/".len()..]).collect();
    assert_eq!(last, ["uncordon", "run", "statefulsets-ready"]);
}

#[test]
fn all_preparation_comes_first_whichever_playbook_asks() {
    let plan = Cluster::base().plan(&target("1.21.14", "3.5.16")).expect("a plan");
    let stages: Vec<&str> = plan.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(stages[..3], ["archive", "prepare", "snapshot-etcd"]);
}

#[test]
fn a_node_is_archived_once_whichever_playbooks_ask_and_only_when_something_happens_to_it() {
    let archived = |plan: &windlass::decide::plan::Plan| -> Vec<String> {
        let archives = plan.placed().filter(|placed| matches!(placed.step.action, Action::ArchiveNode(_)));
        archives.filter_map(|placed| placed.node.map(ToString::to_string)).collect()
    };
    let both = Cluster::base().plan(&target("1.21.14", "3.5.16")).expect("a plan");
    assert_eq!(archived(&both), ["etcd1", "etcd2", "etcd3", "cp1", "cp2", "cp3", "w1", "w2"]);
    let kubernetes = Cluster::base().plan(&target("1.21.14", "")).expect("a plan");
    assert_eq!(archived(&kubernetes), ["cp1", "cp2", "cp3", "w1", "w2"], "nothing happens to etcd's machines");
}

#[test]
fn etcds_leader_comes_last_whichever_it_is() {
    for leader in 0..3 {
        let mut cluster = Cluster::base();
        let windlass::facts::Seen::Known(etcd) = &mut cluster.facts.etcd else { panic!("etcd was seen") };
        let (id, name) = (etcd.members[leader].id, etcd.members[leader].name.clone());
        for member in &mut etcd.members {
            let windlass::facts::Seen::Known(status) = &mut member.status else { panic!("it answers") };
            status.leader = id;
        }
        let plan = cluster.plan(&target("", "3.5.16")).expect("a plan");
        let etcd = plan.stages.iter().find(|stage| stage.name == "etcd").expect("it is there");
        let order: Vec<&str> = etcd
            .waves
            .iter()
            .flat_map(|wave| &wave.lanes)
            .filter_map(|lane| Some(lane.node.as_ref()?.as_str()))
            .collect();
        assert_eq!((order.len(), order[2]), (3, name.as_str()));
    }
}

/// Else the second would be taken for finished with the first, and nothing would stand before Kubernetes is touched.
#[test]
fn stages_that_two_playbooks_name_alike_keep_their_steps_apart() {
    let alike = |raises, name: &str| {
        let text = playbook::builtin(raises);
        assert!(text.contains(name), "the playbook has {name}");
        playbook::parse(&text.replace(name, "snapshot")).expect("it can be read")
    };
    let playbooks = [alike(Raises::Etcd, "snapshot-etcd"), alike(Raises::KubernetesMinor, "snapshot-kubernetes")];
    let plan = Cluster::base().plan_with(&target("1.21.14", "3.5.16"), &playbooks).expect("a plan");
    let mut ids: Vec<String> = plan.placed().map(|placed| placed.id()).collect();
    assert!(ids.contains(&"snapshot/cluster/snapshot".to_owned()), "{ids:?}");
    assert!(ids.contains(&"snapshot-2/cluster/snapshot".to_owned()), "{ids:?}");
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

/// Whether each snapshot of the plan is proven.
fn proofs(plan: &Plan) -> Vec<bool> {
    let proven = |action: &Action| match action {
        Action::Snapshot(snapshot) => Some(snapshot.proven),
        _ => None,
    };
    plan.placed().filter_map(|placed| proven(&placed.step.action)).collect()
}

#[test]
fn snapshots_are_proven_as_the_playbook_says_or_the_kind_of_raise_asks() {
    let of = |raises: Raises, text: &str| {
        let playbook = playbook::parse(text).expect("it can be read");
        let to = if raises == Raises::KubernetesPatch { "1.20.15" } else { "1.21.14" };
        proofs(&Cluster::base().plan_with(&target(to, ""), &[playbook]).expect("a plan"))
    };
    for (raises, own, other) in [
        (Raises::KubernetesMinor, "snapshot = \"proven\"\n", "snapshot = \"verified\"\n"),
        (Raises::KubernetesPatch, "snapshot = \"verified\"\n", "snapshot = \"proven\"\n"),
    ] {
        let (text, proven) = (playbook::builtin(raises), raises == Raises::KubernetesMinor);
        assert_eq!(of(raises, text), [proven], "{raises:?}");
        assert_eq!(of(raises, &text.replace(own, "")), [proven], "{raises:?} that does not say");
        assert_eq!(of(raises, &text.replace(own, other)), [!proven], "{raises:?} otherwise");
    }
    let etcd = playbook::parse(playbook::builtin(Raises::Etcd)).expect("it can be read");
    assert_eq!(etcd.snapshot, playbook::Snapshot::Proven);
}

#[test]
fn a_plan_without_proofs_is_written_as_before() {
    let plan = with("snapshot = \"proven\"", "snapshot = \"verified\"").expect("a plan");
    assert!(!plan.to_json().contains("proven"), "its seal would be another");
    assert!(plan.to_json().contains("\"kind\": \"snapshot\""));
}

#[test]
fn a_proof_that_has_no_room_anywhere_is_refused_with_the_key_to_change() {
    let mut cluster = Cluster::base();
    for node in ["etcd1", "etcd2", "etcd3"] {
        for disk in cluster.machine(&name(node)).disks.values_mut() {
            disk.free_bytes = 230 << 20;
        }
    }
    let minor = playbook::parse(playbook::builtin(Raises::KubernetesMinor)).expect("it can be read");
    let found = cluster.plan_with(&target("1.21.14", ""), &[minor]).expect_err("no room");
    let proof: Vec<&Finding> = found.iter().filter(|finding| finding.subject == "playbook kubeadm-minor").collect();
    assert_eq!(proof.len(), 1, "{found:#?}");
    assert_eq!((proof[0].severity, proof[0].rule), (Severity::Refusal, Rule::NoRoom));
    let detail = &proof[0].detail;
    assert!(detail.starts_with("it wants its snapshots proven, which needs "), "{detail}");
    assert!(detail.ends_with("; to go without a proof, write `snapshot = \"verified\"` into the playbook"), "{detail}");
}
