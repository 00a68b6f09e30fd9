//! etcd comes back from a snapshot: with its data destroyed on all members, and after a thousand writes; on 3.4.23 and on
//! 3.5.16. Starts from a fresh lab; leaves 1.20.2 and etcd 3.5.16.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::lab::{ETCD, ETCDCTL, KUBERNETES, kubectl, lab, lab_ok, on};
use super::run::{Ran, apply, folder, plan, start, windlass};

const INVENTORY: &str = "inventories/lab.toml";

/// `kind namespace/name` of an object, with its uid and spec.
pub(crate) type Objects = BTreeMap<String, (String, serde_json::Value)>;

pub(crate) fn etcd_comes_back_from_a_snapshot() {
    a_machine_that_is_away_is_refused();
    destroyed("3.4.23");
    after_a_thousand_writes("3.4.23");
    let raise = plan("etcd-first.json", &["--etcd-to", "3.5.16"]);
    assert_eq!(apply(&raise).code, 0);
    destroyed("3.5.16");
    after_a_thousand_writes("3.5.16");
    former_data_are_forgotten();
}

/// A snapshot as a person takes one, and what is in the cluster at that moment.
fn snapshot(name: &str) -> (String, Objects) {
    let objects = objects();
    on("etcd2", &format!("rm -f /root/s.db && {ETCDCTL} snapshot save /root/s.db"));
    let bytes = lab(&["ssh", "etcd2", "sudo", "cat", "/root/s.db"]).stdout;
    let file = folder().join(name);
    std::fs::write(&file, bytes).expect("written");
    (file.to_string_lossy().into_owned(), objects)
}

/// Everything that the API lists, leases and events aside, which come and go by themselves.
pub(crate) fn objects() -> Objects {
    let kinds = kubectl(&["api-resources", "--verbs=list", "-o", "name"]);
    let passing = ["events", "events.events.k8s.io", "leases.coordination.k8s.io", "componentstatuses"];
    let kinds: Vec<&str> = kinds.lines().map(str::trim).filter(|kind| !passing.contains(kind)).collect();
    let listed = kubectl(&["get", &kinds.join(","), "--all-namespaces", "-o", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("a list");
    let object = |object: &serde_json::Value| {
        let word = |part: &str| object["metadata"][part].as_str().unwrap_or_default().to_owned();
        let kind = object["kind"].as_str().unwrap_or_default();
        (format!("{kind} {}/{}", word("namespace"), word("name")), (word("uid"), object["spec"].clone()))
    };
    listed["items"].as_array().expect("items").iter().map(object).collect()
}

/// Plans a restore of the inventory's cluster from a snapshot, into a file.
pub(crate) fn plan_restore(inventory: &str, from: &str, name: &str, more: &[&str]) -> (String, Ran) {
    let out = folder().join(name).to_string_lossy().into_owned();
    let first = ["etcd", "restore", "plan", "-i", inventory, "--from", from, "--out", &out];
    let ran = windlass(&[&first[..], more].concat());
    (out, ran)
}

/// The same, which has to come about.
pub(crate) fn restore(inventory: &str, from: &str, name: &str) -> String {
    let (plan, ran) = plan_restore(inventory, from, name, &[]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    plan
}

pub(crate) fn apply_restore(plan: &str) -> Ran {
    let ran = windlass(&["etcd", "restore", "apply", plan, "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    ran
}

/// One machine of etcd is away and was not named: it could go on as a second cluster.
fn a_machine_that_is_away_is_refused() {
    let (file, _) = snapshot("away.db");
    lab_ok(&["cut", "etcd2"]);
    let (_, ran) = plan_restore(INVENTORY, &file, "away.json", &[]);
    let (_, fenced) = plan_restore(INVENTORY, &file, "fenced.json", &["--fenced", "etcd2"]);
    lab_ok(&["heal", "etcd2"]);
    assert_eq!(ran.code, 12, "{}", ran.text);
    assert!(ran.text.contains("second living cluster") && ran.text.contains("--fenced etcd2"), "{}", ran.text);
    assert_eq!(fenced.code, 0, "{}", fenced.text);
    // It answers again: it is not fenced.
    let ran = windlass(&["etcd", "restore", "apply", &folder().join("fenced.json").to_string_lossy(), "--yes"]);
    assert_eq!(ran.code, 11, "{}", ran.text);
    assert!(ran.text.contains("etcd2 was said to be cut off, and answers"), "{}", ran.text);
}

/// The data of all three members are gone, and with them the API.
fn destroyed(version: &str) {
    let (file, before) = snapshot(&format!("destroyed-{version}.db"));
    for node in ETCD {
        on(node, "systemctl stop etcd && rm -rf /var/lib/etcd/default");
    }
    let plan = restore(INVENTORY, &file, &format!("destroyed-{version}.json"));
    let ran = apply_restore(&plan);
    assert_as_before(&before);
    assert!(ran.text.contains("; proven on etcd"), "{}", ran.text);
    println!("--- {version}: destroyed on all members, back in {:.1} s", ran.took.as_secs_f64());
}

/// The cluster went on for a thousand writes; Windlass is killed in the middle of the restore.
fn after_a_thousand_writes(version: &str) {
    let earlier = resource_version();
    kubectl(&["create", "configmap", "kept", "--from-literal=a=before"]);
    let (file, before) = snapshot(&format!("went-on-{version}.db"));
    on(
        "etcd1",
        &format!(
            "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); {ETCDCTL} put /windlass-test/$i x >/dev/null || exit 1; done"
        ),
    );
    kubectl(&["create", "configmap", "later", "--from-literal=a=b"]);
    kubectl(&["delete", "configmap", "kept"]);
    kubectl(&["scale", "deployment/web", "--replicas=1"]);
    let later = resource_version();

    let plan = restore(INVENTORY, &file, &format!("went-on-{version}.json"));
    let mut run = start(&["etcd", "restore", "apply", &plan, "--yes"]);
    assert!(run.until(&["data/etcd2/restore: started unit"]).is_some(), "{:?}", run.seen.last());
    assert_eq!(run.seen.iter().filter(|line| line.contains(" is saved: ")).count(), 3, "every member lived");
    run.kill();
    let ran = apply_restore(&plan);
    assert_as_before(&before);
    let missing = lab(&["kubectl", "get", "configmap", "later"]);
    assert!(!missing.status.success(), "what came after the snapshot is there");
    let newer = on("etcd3", &format!("{ETCDCTL} get --prefix /windlass-test/ --keys-only | grep -c . || true"));
    assert_eq!(newer.trim(), "0", "what came after the snapshot is there");
    let now = resource_version();
    println!(
        "--- {version}: after 1,000 writes, killed and back; the second part took {:.1} s",
        ran.took.as_secs_f64()
    );
    println!("--- {version}: resource versions: {later} before the restore, {now} after it");
    older_watcher_goes_on(if version == "3.5.16" { later } else { earlier });
    kubectl(&["delete", "configmap", "kept"]);
}

pub(crate) fn resource_version() -> u64 {
    let list = kubectl(&["get", "--raw", "/api/v1/namespaces/default/configmaps"]);
    let list: serde_json::Value = serde_json::from_str(&list).expect("a list");
    list["metadata"]["resourceVersion"].as_str().expect("a version").parse().expect("a number")
}

/// Whoever watched from a version of before the restore is told that it is gone, lists again, and sees what comes. Where etcd
/// cannot raise revisions, that is a version of before the snapshot: from later ones watches would wait, as the plan says.
pub(crate) fn older_watcher_goes_on(version: u64) {
    let path = "/api/v1/namespaces/default/configmaps";
    let watch = |from: u64| {
        lab(&["kubectl", "get", "--raw", &format!("{path}?watch=true&timeoutSeconds=3&resourceVersion={from}")])
    };
    let gone = watch(version);
    let said = String::from_utf8_lossy(&[gone.stdout, gone.stderr].concat()).into_owned();
    assert!(said.contains("too old resource version") || said.contains("410"), "{said}");
    let listed = resource_version();
    kubectl(&["create", "configmap", "seen", "--from-literal=a=b"]);
    let seen = String::from_utf8_lossy(&watch(listed).stdout).into_owned();
    assert!(seen.contains("\"ADDED\"") && seen.contains("\"seen\""), "{seen}");
    kubectl(&["delete", "configmap", "seen"]);
}

/// What is not as it was, in words.
fn differing(before: &Objects) -> Vec<String> {
    let after = objects();
    let differ = |(name, object): (&String, &(String, serde_json::Value))| match after.get(name) {
        None => Some(format!("{name} is not there")),
        Some(found) if found.0 != object.0 => Some(format!("{name} has another uid")),
        Some(found) if found.1 != object.1 => {
            Some(format!("{name} has another spec: {} and not {}", found.1, object.1))
        }
        Some(_) => None,
    };
    before.iter().filter_map(differ).collect()
}

/// Every object of the snapshot is there with its uid and spec, nodes are Ready, the StatefulSet runs.
pub(crate) fn assert_as_before(before: &Objects) {
    // A node that was silent has a taint in its spec for a moment.
    let since = Instant::now();
    while !differing(before).is_empty() && since.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_secs(2));
    }
    assert_eq!(differing(before), Vec::<String>::new());
    println!("--- {} objects as in the snapshot", before.len());
    let jsonpath =
        "jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
    let nodes = kubectl(&["get", "nodes", "-o", jsonpath]);
    assert_eq!(nodes.lines().collect::<Vec<_>>(), KUBERNETES.map(|node| format!("{node} True")));
    let since = Instant::now();
    loop {
        let ready =
            kubectl(&["get", "statefulset/db", "deployment/web", "-o", "jsonpath={.items[*].status.readyReplicas}"]);
        let pods = kubectl(&["get", "pods", "--all-namespaces", "--no-headers"]);
        let runs = pods.lines().all(|line| line.contains("Running"));
        if ready == "3 3" && runs {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(180), "{ready}\n{pods}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// What the members had before is kept until somebody says otherwise.
fn former_data_are_forgotten() {
    let count = "ls -d /var/lib/etcd/default/member.before-* | wc -l";
    let plan = folder().join("went-on-3.5.16.json").to_string_lossy().into_owned();
    let before: u32 = on("etcd1", count).trim().parse().expect("a number");
    let kept = windlass(&["etcd", "restore", "finish", &plan, "--yes"]);
    assert_eq!(kept.code, 0, "{}", kept.text);
    assert_eq!(
        on("etcd1", "ls /var/lib/windlass/snapshots | grep -c ^restore- || true").trim(),
        "3",
        "those of other runs"
    );
    assert_eq!(on("etcd1", count).trim(), before.to_string());
    let ran = windlass(&["etcd", "restore", "finish", &plan, "--yes", "--forget-old-data"]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    assert_eq!(on("etcd1", count).trim(), (before - 1).to_string());
}
