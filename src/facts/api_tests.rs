use proptest::prelude::*;
use semver::Version;

use super::*;

// Asked of a real API server while one worker's kubelet was already a minor ahead.
const API: &str = include_str!("../../tests/fixtures/probe/api.txt");

fn cp1() -> NodeName {
    NodeName::new("cp1").unwrap()
}

fn section(name: &str, lines: &[&str]) -> Result<ApiFacts, ApiError> {
    let lines = format!(" {}\n", lines.join("\n "));
    parse(&format!("@@ readyz\n ok\n@@ end readyz ok\n@@ {name}\n{lines}@@ end {name} ok\n@@ done\n"), cp1())
}

#[test]
fn a_real_cluster_is_read_whole() {
    let facts = parse(API, cp1()).unwrap();
    let nodes: Vec<_> =
        facts.nodes.iter().map(|node| (node.name.as_str(), node.kubelet.known().unwrap().minor)).collect();
    assert_eq!(nodes, [("cp1", 20), ("cp2", 20), ("cp3", 20), ("w1", 21), ("w2", 20)]);
    let first = &facts.nodes[0];
    assert_eq!(first.roles, ["control-plane", "master"]);
    assert_eq!(first.runtime, "containerd://1.6.20");
    assert!(first.ready() && !first.unschedulable && first.cordoned_by.is_none() && first.cordon_reason.is_none());
    assert!(first.conditions.iter().all(|condition| condition.heartbeat.is_some()));
    let kubeadm = facts.kubeadm.known().unwrap();
    assert_eq!(kubeadm.version, Version::new(1, 21, 14));
    assert_eq!((kubeadm.endpoint.as_str(), kubeadm.external_etcd), ("172.30.0.10:6443", true));
    assert_eq!(facts.kube_proxy, Seen::Known(Some("k8s.gcr.io/kube-proxy:v1.21.14".to_owned())));
    assert_eq!(facts.kubelet_configs.known().unwrap().len(), 2);
    let sets = facts.stateful_sets.known().unwrap();
    assert_eq!(sets, &[Replicas { name: "default/db".to_owned(), wanted: 3, ready: 3 }]);
}

#[test]
fn our_cordon_and_others_are_told_apart() {
    let cordon = r#"spec {"unschedulable":true,"taints":[{"key":"node.kubernetes.io/unschedulable","effect":"NoSchedule","timeAdded":"2026-01-01T00:00:00Z"},{"key":"ToBeDeleted","effect":"NoSchedule"}]}"#;
    let ours = r#"annotations {"windlass.dev/cordoned-by":"run-1"}"#;
    let nodes = section("nodes", &["node a", ours, cordon, "node b", "annotations ", cordon]).unwrap().nodes;
    assert_eq!(nodes[0].cordoned_by.as_deref(), Some("run-1"));
    assert_eq!(nodes[1].cordoned_by, None);
    assert_eq!(nodes[1].cordon_reason.as_deref(), Some("since 2026-01-01T00:00:00Z, taint ToBeDeleted"));
    assert!(nodes[1].kubelet.known().is_none() && !nodes[1].ready());
}

#[test]
fn the_print_of_an_old_kubectl_is_refused_in_words() {
    let error = section("nodes", &["node a", "labels map[a:b]"]).unwrap_err();
    assert!(error.to_string().contains("kubectl 1.19"), "{error}");
}

#[test]
fn a_server_that_is_not_ready_gives_no_facts() {
    let text = "@@ readyz\n@@ end readyz unseen connection refused\n@@ done\n";
    assert_eq!(parse(text, cp1()), Err(ApiError::NotReady("connection refused".to_owned())));
}

#[test]
fn parts_fail_by_themselves_and_absent_addons_are_none() {
    let facts = section("addons", &["kube-proxy ", "coredns "]).unwrap();
    assert_eq!((facts.kube_proxy, facts.coredns), (Seen::Known(None), Seen::Known(None)));
    assert_eq!(facts.kubeadm, Seen::Unknown("not asked".to_owned()));
    assert!(facts.nodes.is_empty());
    let sets = section("stateful-sets", &["a b 3 <none>", "a c <none> 1"]).unwrap().stateful_sets;
    assert_eq!(sets.known().unwrap()[0], Replicas { name: "a/b".to_owned(), wanted: 3, ready: 0 });
    assert!(section("stateful-sets", &["a b three 1"]).unwrap().stateful_sets.known().is_none());
}

proptest! {
    #[test]
    fn no_mangled_answer_makes_it_panic(cuts in prop::collection::vec((0usize..10000, "[ -~é\n]{0,12}"), 1..6)) {
        let mut text = API.to_owned();
        for (at, new) in &cuts {
            let at = at % text.len();
            if text.is_char_boundary(at) && text.is_char_boundary((at + 3).min(text.len())) {
                text.replace_range(at..(at + 3).min(text.len()), new);
            }
        }
        let _ = parse(&text, cp1());
    }
}
