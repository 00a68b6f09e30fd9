//! What strikes machines and the ways between them: full disks, partitions, lost power. Starts from a fresh lab; leaves
//! 1.21.14 and etcd 3.5.16.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::lab::{lab_ok, on};
use super::outcome::{assert_nothing_lost, assert_raised};
use super::run::{Ran, apply, folder, plan, record, start_apply};
use super::watching::Watcher;
use super::writing::Writer;

pub(crate) fn every_fault_is_survived() {
    let (writer, watcher) = (Writer::start(), Watcher::start());
    let plan = plan("faults.json", &["--to", "1.21.14", "--etcd-to", "3.5.16"]);
    full_disk_under_the_snapshot(&plan);
    power_fails("etcd2", &plan, &["etcd/etcd2/package | Unpacking etcd-server"], "in the middle of an etcd swap");
    let apply = ["first-control-plane/cp1/kubeadm-apply | ", "Preparing for \"kube-controller-manager\" upgrade"];
    power_fails("cp1", &plan, &apply, "in the middle of kubeadm upgrade apply");
    node_is_cut_off("cp2", &plan, &["control-planes/cp2/kubeadm-node: started unit"]);
    operator_is_cut_off(&plan, &["control-planes/cp3/kubeadm-node: started unit"]);
    node_is_cut_off("w1", &plan, &["workers/w1/drain: started unit"]);
    power_fails("w1", &plan, &["workers/w1/kubelet | Unpacking kubelet"], "in the middle of a kubelet swap");
    full_disk_under_a_package("w2", &plan);
    finish(&plan);
    let (written, watch) = (writer.finish(), watcher.finish());
    assert_raised("1.21.14", "3.5.16", "3.5.0");
    assert_nothing_lost(&written, &watch);
}

/// The run goes on to its end.
fn finish(plan: &str) {
    let last = apply(plan);
    assert_eq!(last.code, 0, "{}", last.text);
}

/// Carries on until a line, lets something strike, and reads on: the run stops by itself, resumable, within a minute.
fn struck(plan: &str, line: &[&str], what: &str, strike: impl FnOnce()) -> Ran {
    let mut run = start_apply(plan);
    assert!(run.until(line).is_some(), "it never came to where {what}: {:?}", run.seen.last());
    println!("--- {what}");
    let began = Instant::now();
    strike();
    let ran = run.end();
    println!("--- stopped {:.1} s after {what}", began.elapsed().as_secs_f64());
    assert_eq!(ran.code, 13, "{}", ran.text);
    assert!(began.elapsed() < Duration::from_secs(90), "{what} was noticed after {:?}", began.elapsed());
    ran
}

/// A node loses its power while Windlass is at it, and gets it back.
fn power_fails(node: &str, plan: &str, line: &[&str], when: &str) {
    struck(plan, line, &format!("the power of {node} fails {when}"), || {
        strike(&["kill", node]);
    });
    strike(&["heal", node]);
}

/// A node loses its network while Windlass is at it, and gets it back.
fn node_is_cut_off(node: &str, plan: &str, line: &[&str]) {
    struck(plan, line, &format!("{node} is cut off"), || {
        strike(&["cut", node]);
    });
    strike(&["heal", node]);
}

/// No packet of SSH leaves the operator's machine any more. What was started goes on without it.
fn operator_is_cut_off(plan: &str, line: &[&str]) {
    struck(plan, line, "the operator is cut off from all nodes", || lab_gate("-I"));
    lab_gate("-D");
}

/// Does something to a node, and writes it down.
fn strike(words: &[&str]) {
    record(words);
    lab_ok(words);
}

fn lab_gate(change: &str) {
    record(&["operator-gate", change]);
    let rule = ["OUTPUT", "-d", "172.30.0.0/24", "-p", "tcp", "--dport", "22", "-j", "DROP"];
    as_root(&[&["iptables", change], &rule[..]].concat());
}

/// The operator's disk has no room for the snapshot: nothing is touched, and no file looks like one.
fn full_disk_under_the_snapshot(plan: &str) {
    let snapshots = folder().join("state/lab/snapshots");
    std::fs::create_dir_all(&snapshots).expect("a folder");
    let place = snapshots.to_string_lossy().into_owned();
    as_root(&["mount", "-t", "tmpfs", "-o", "size=1m,mode=0777", "tmpfs", &place]);
    let ran = apply(plan);
    let left = files(&snapshots);
    as_root(&["umount", &place]);
    assert_eq!(ran.code, 13, "{}", ran.text);
    assert!(ran.text.contains("no verified snapshot of etcd could be taken"), "{}", ran.text);
    assert!(ran.text.contains("No space left on device"), "{}", ran.text);
    assert_eq!(left, Vec::<String>::new(), "half a snapshot is left");
    for node in ["etcd1", "etcd2", "etcd3"] {
        assert_eq!(on(node, "etcd --version | head -1").trim(), "etcd Version: 3.4.23", "{node} was touched");
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// A node has no room for the new programs: the step fails with dpkg's own words, and goes on once there is room.
fn full_disk_under_a_package(node: &str, plan: &str) {
    record(&["fill-usr", node]);
    on(
        node,
        "mkdir -p /small && mount -t tmpfs -o size=4m tmpfs /small && mkdir /small/up /small/work && \
         mount -t overlay overlay -o lowerdir=/usr,upperdir=/small/up,workdir=/small/work /usr",
    );
    let ran = apply(plan);
    assert_eq!(ran.code, 13, "{}", ran.text);
    assert!(ran.text.contains(&format!("workers/{node}/")), "{}", ran.text);
    assert!(ran.text.contains("No space left on device"), "{}", ran.text);
    record(&["make-room", node]);
    on(node, "mount -o remount,size=2g /small");
}

fn as_root(words: &[&str]) {
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let words = if root { words.to_vec() } else { [&["sudo", "-n"], words].concat() };
    let done = Command::new(words[0]).args(&words[1..]).status().expect("it runs");
    assert!(done.success(), "{words:?}");
}
