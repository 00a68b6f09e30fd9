//! Nodes that come and go: a control plane is destroyed with its disks and replaced while a client writes to etcd and another asks
//! the API; a worker is drained, removed and added again; and a cluster of three control planes becomes one of one, and of three
//! again. Starts from a fresh stacked lab; leaves it as it was.

use std::time::{Duration, Instant};

use super::beginning::lead_to_all;
use super::lab::{all_ready, kubectl, lab, lab_ok, on};
use super::outcome::{assert_nothing_lost, assert_stacked_raised};
use super::run::{folder, start, windlass};
use super::watching::Watcher;
use super::writing::Writer;

const INVENTORY: &str = "inventories/lab-stacked.toml";

pub(crate) fn nodes_are_lost_replaced_removed_and_added() {
    a_destroyed_control_plane_is_replaced();
    is_whole();
    what_pods_keep_is_given_up_by_name();
    a_worker_leaves_and_comes_again();
    three_control_planes_become_one_and_three_again();
    is_whole();
}

fn plan(words: &[&str], name: &str) -> String {
    let path = folder().join(name).to_string_lossy().into_owned();
    let ran = windlass(&[words, &["-i", INVENTORY, "--out", &path]].concat());
    assert_eq!(ran.code, 0, "{}", ran.text);
    path
}

/// Plans it, and carries it out.
fn done(words: &[&str], name: &str) {
    let plan = plan(&[&words[..2], &["plan"], &words[2..]].concat(), name);
    let ran = windlass(&[words[0], words[1], "apply", &plan, "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    println!("--- {}: {:.1} s", words.join(" "), ran.took.as_secs_f64());
}

/// Killed in the middle of the join: the same command again ends with a whole cluster.
fn a_destroyed_control_plane_is_replaced() {
    let (writer, watcher) = (Writer::start_stacked(), Watcher::start());
    lab_ok(&["destroy", "cp2"]);
    let lost = Instant::now();
    not_ready("cp2");
    println!("--- cp2 is destroyed; the API says so after {:.1} s", lost.elapsed().as_secs_f64());
    let away = windlass(&["node", "replace", "plan", "-i", INVENTORY, "cp2"]);
    assert_eq!(away.code, 12, "{}", away.text);
    assert!(away.text.contains("make its machine anew first, or name another one with --with"), "{}", away.text);
    lab_ok(&["anew", "cp2"]);
    let plan = plan(&["node", "replace", "plan", "cp2"], "replace.json");
    let began = Instant::now();
    let mut run = start(&["node", "replace", "apply", &plan, "--yes"]);
    assert!(run.until(&["join-cp2/cp2/kubeadm-join: started unit"]).is_some(), "cp2 never joined");
    println!("--- kill -9 while cp2 joins");
    run.kill();
    let last = windlass(&["node", "replace", "apply", &plan, "--yes"]);
    assert_eq!(last.code, 0, "{}", last.text);
    let took = began.elapsed();
    let (written, watch) = (writer.finish(), watcher.finish());
    println!("--- cp2 is replaced, after the kill: {:.1} s", took.as_secs_f64());
    assert_nothing_lost(&written, &watch);
    assert!(watch.longest_away < Duration::from_secs(15), "the API was away for {:?}", watch.longest_away);
    let again = windlass(&["node", "replace", "apply", &plan, "--yes"]);
    assert!(again.code == 0 && again.text.contains("nothing was changed"), "{}", again.text);
}

fn not_ready(node: &str) {
    let query = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    for _ in 0..120 {
        let asked = lab(&["kubectl", "get", "node", node, "-o", query]);
        if asked.status.success() && asked.stdout != b"True" {
            return;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    panic!("{node} stays Ready");
}

/// All nodes and members are well, nothing is left to be done, and an upgrade could be planned.
fn is_whole() {
    all_ready();
    lead_to_all();
    assert_stacked_raised("1.20.2", "3.4.13-0", "3.4.23", "3.4.0");
    let bootstrap = windlass(&["bootstrap", "plan", "-i", INVENTORY, "--kubernetes", "1.20.2"]);
    assert!(bootstrap.code == 0 && bootstrap.text.contains("Nothing to do"), "{}", bootstrap.text);
    let check = windlass(&["check", "-i", INVENTORY]);
    assert!(check.text.contains("5 of 5 nodes Ready"), "{}", check.text);
    assert!(check.text.contains("3 of 3 members healthy") && !check.text.contains("critical"), "{}", check.text);
    let upgrade = windlass(&["upgrade", "plan", "-i", INVENTORY, "--to", "1.21.14"]);
    assert_eq!(upgrade.code, 0, "{}", upgrade.text);
    let told = kubectl(&["-n", "kube-system", "get", "cm", "kubeadm-config", "-o", "jsonpath={.data.ClusterStatus}"]);
    for node in ["cp1", "cp2", "cp3"] {
        assert_eq!(told.matches(&format!("  {node}:")).count(), 1, "{told}");
    }
    let tokens = kubectl(&[
        "-n",
        "kube-system",
        "get",
        "secrets",
        "--field-selector",
        "type=bootstrap.kubernetes.io/token",
        "-o",
        "name",
    ]);
    // The lab's own, from its beginning.
    assert!(tokens.lines().count() <= 1, "{tokens}");
}

/// A pod that nothing brings back, with data of its own on w2.
fn what_pods_keep_is_given_up_by_name() {
    let overrides = r#"--overrides={"spec":{"nodeName":"w2","volumes":[{"name":"own","emptyDir":{}}]}}"#;
    let image = kubectl(&["get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]);
    kubectl(&["run", "keeper", &format!("--image={image}"), overrides]);
    let refused = windlass(&["node", "remove", "plan", "-i", INVENTORY, "w2"]);
    assert_eq!(refused.code, 11, "{}", refused.text);
    let why = "would be lost with it: default/keeper (emptyDir) and default/keeper (nothing brings it back); say --give-up-data w2";
    assert!(refused.text.contains(why), "{}", refused.text);
}

fn a_worker_leaves_and_comes_again() {
    done(&["node", "remove", "w2", "--give-up-data", "w2"], "remove-w2.json");
    assert_eq!(kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"]), "cp1 cp2 cp3 w1");
    assert_eq!(kubectl(&["get", "pods", "-A", "--field-selector", "spec.nodeName=w2", "-o", "name"]), "");
    is_clean("w2");
    done(&["node", "add", "w2"], "add-w2.json");
    all_ready();
}

/// Nothing of the cluster is on the machine, and nothing of it runs.
fn is_clean(node: &str) {
    let left =
        on(node, "find /etc/kubernetes -name \"*.conf\" -o -name \"*.key\" -o -name \"*.crt\" -o -name \"*.yaml\"");
    assert_eq!(left.trim(), "", "left on {node}");
    let state = on(node, "systemctl is-active kubelet || true; ctr -n k8s.io tasks ls -q | wc -l");
    let running = on(node, "cat /run/containerd/io.containerd.runtime.v2.task/k8s.io/*/init.pid 2>/dev/null | wc -l");
    assert!(state.starts_with("inactive"), "{state} {running}");
}

fn three_control_planes_become_one_and_three_again() {
    for node in ["cp3", "cp2"] {
        done(&["node", "remove", node], &format!("remove-{node}.json"));
        is_clean(node);
    }
    let last = windlass(&["node", "remove", "plan", "-i", INVENTORY, "cp1"]);
    assert!(last.code == 11 && last.text.contains("cp1 is the only member that votes"), "{}", last.text);
    done(&["node", "add", "cp2", "cp3"], "add-planes.json");
    all_ready();
}
