//! Looking at the lab's real nodes, over real SSH. Run with the lab up:
//! `cargo test --test observe_lab -- --ignored --nocapture`. `WINDLASS_LAB` is the lab's folder, `tests/lab` when absent.

use std::process::{Command, Stdio};
use std::time::Instant;

use camino::Utf8PathBuf;
use windlass::facts::{ApiFacts, Facts, Seen, from_json, to_json};
use windlass::inventory::{self, Inventory, Role};
use windlass::observe::{Ask, observe};
use windlass::remote::ssh::Fleet;
use windlass::remote::{Remote, SystemClock};

fn lab() -> Utf8PathBuf {
    std::env::var("WINDLASS_LAB").map_or_else(|_| Utf8PathBuf::from("tests/lab"), Utf8PathBuf::from)
}

fn inventory_text() -> String {
    std::fs::read_to_string(lab().join("../../inventories/lab.toml")).expect("the lab's inventory")
}

fn inventory() -> Inventory {
    inventory::parse(&inventory_text()).expect("an inventory").value
}

async fn look(inventory: &Inventory, candidates: bool) -> Facts {
    let base = lab().join("../../inventories");
    let fleet = Fleet::new(inventory, &base).expect("a fleet");
    let started = Instant::now();
    let remote: &dyn Remote = &fleet;
    let facts = observe(remote, &SystemClock::start(), inventory, &Ask::about(inventory, candidates)).await;
    eprintln!("looked at {} machines in {} ms", facts.nodes.len(), started.elapsed().as_millis());
    fleet.close().await;
    for node in inventory.with_role(Role::ControlPlane) {
        let machine = facts.machine(&node.name).expect("it answers");
        assert!(matches!(machine.api_server, Seen::Known(Some(_))), "{:?}", machine.api_server);
    }
    facts
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn the_whole_lab_is_seen() {
    let facts = look(&inventory(), true).await;
    assert!(facts.nodes.iter().all(|node| node.machine.known().is_some()));
    for node in &facts.nodes {
        let machine = node.machine.known().expect("it answers");
        assert_eq!(machine.hostname, node.name.as_str());
        let skew = machine.clock_skew_ms.known().expect("it tells its time");
        assert!(skew.abs() < 5_000, "the lab's nodes share one clock, and {} is {skew} ms off", node.name);
        assert!(machine.packages.values().all(|package| package.candidates.known().is_some_and(|c| !c.is_empty())));
    }
    let etcd = facts.etcd.known().expect("etcd answers");
    assert!(etcd.members.iter().all(|member| member.node.is_some() && member.status.known().is_some()));
    let api = facts.api.known().expect("the API answers");
    assert!(api.nodes.len() >= 5 && api.kubeadm.known().is_some() && api.kube_proxy.known().is_some());
    assert_eq!(from_json(&to_json(&facts)).expect("what was written"), facts);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn candidates_are_not_asked_for_unless_wanted() {
    let facts = look(&inventory(), false).await;
    let machine = facts.nodes[0].machine.known().expect("it answers");
    assert!(machine.packages.values().all(|package| package.candidates.known().is_none()));
}

const READER: &str = "/etc/kubernetes/windlass-reader.conf";

/// What the API tells, without what passes by itself.
fn told(facts: Facts) -> ApiFacts {
    let Seen::Known(mut api) = facts.api else { panic!("the API was not seen: {:?}", facts.api) };
    let conditions = api.nodes.iter_mut().flat_map(|node| &mut node.conditions);
    conditions.for_each(|condition| condition.heartbeat = None);
    api
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn who_may_only_read_sees_all_of_it() {
    let mut reading = inventory();
    reading.api.kubeconfig = READER.into();
    let seen = told(look(&reading, false).await);
    assert!(seen.kubeadm.known().is_some() && seen.stateful_sets.known().is_some() && seen.coredns.known().is_some());
    assert_eq!(seen, told(look(&inventory(), false).await));
}

#[test]
#[ignore = "needs the lab"]
fn a_plan_is_made_by_who_may_only_read() {
    let lab = std::path::absolute(lab()).expect("a path");
    let text = inventory_text()
        .replace("[api]\n", &format!("[api]\nkubeconfig = \"{READER}\"\n"))
        .replace("\"../tests/lab", &format!("\"{}", lab.display()));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("reading.toml");
    std::fs::write(&file, text).expect("written");
    let planned = Command::new(env!("CARGO_BIN_EXE_windlass"))
        .args(["upgrade", "plan", "--to", "1.21.14", "--etcd-to", "3.5.16", "-i"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .expect("windlass runs");
    let (out, err) = (String::from_utf8_lossy(&planned.stdout), String::from_utf8_lossy(&planned.stderr));
    assert!(planned.status.success() && out.contains("workers"), "{out}{err}");
}

#[test]
#[ignore = "needs the lab"]
fn who_may_only_read_is_refused_everything_else() {
    let forbidden = [
        "get secrets -n kube-system",
        "get pods -A",
        "get configmaps -n default",
        "get configmap kubeadm-config -n kube-system",
        "get clusterroles",
        "cordon w1",
        "annotate node w1 windlass.dev/cordoned-by=x",
        "delete node w1",
        "drain w1 --ignore-daemonsets --delete-emptydir-data",
        "create configmap x -n kube-system",
    ];
    for command in forbidden {
        let words = format!("sudo kubectl --kubeconfig={READER} {command}");
        let ran =
            Command::new(lab().join("lab").as_str()).args(["ssh", "cp1", &words]).output().expect("the lab's ssh");
        let said = String::from_utf8_lossy(&ran.stderr);
        // What it says, not how it ends: an old `kubectl cordon` ends with 0 also when it was forbidden.
        assert!(said.to_lowercase().contains("forbidden"), "{command}: {said}");
    }
    let allowed = format!("sudo kubectl --kubeconfig={READER} get nodes -o name");
    let ran = Command::new(lab().join("lab").as_str()).args(["ssh", "cp1", &allowed]).output().expect("the lab's ssh");
    assert!(String::from_utf8_lossy(&ran.stdout).contains("node/w1"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the lab"]
async fn without_root_machines_tell_too_little_to_plan() {
    let mut plain = inventory();
    plain.ssh.sudo = false;
    let base = lab().join("../../inventories");
    let fleet = Fleet::new(&plain, &base).expect("a fleet");
    let facts = observe(&fleet, &SystemClock::start(), &plain, &Ask::about(&plain, false)).await;
    fleet.close().await;
    let plane = plain.with_role(Role::ControlPlane).next().expect("a control plane");
    let machine = facts.machine(&plane.name).expect("it answers");
    eprintln!(
        "kubelet {:?}\napi server {:?}\n{:?}\n{:?}",
        machine.kubelet_running, machine.api_server, facts.api, facts.etcd
    );
    assert!(
        machine.machine_id.known().is_some() && machine.packages.values().all(|package| package.installed.is_some())
    );
    assert!(machine.kubelet_running.known().is_none(), "the running kubelet's own file is root's");
    assert!(facts.api.known().is_none(), "admin.conf is root's");
    assert!(facts.etcd.known().is_none(), "etcd's client key is root's");
}
