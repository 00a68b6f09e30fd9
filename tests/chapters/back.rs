//! Going back: failed steps are taken back by themselves, a run is given up and finished, and a new plan goes on from there.
//! Starts from a fresh lab; leaves 1.21.14 and etcd 3.5.16.

use super::lab::{kubectl, on};
use super::outcome::assert_raised;
use super::run::{Ran, apply, plan, windlass};
use super::writing::Writer;

pub(crate) fn what_failed_goes_back() {
    let targets = ["--to", "1.21.14", "--etcd-to", "3.5.16"];
    let plan_file = plan("back.json", &targets);
    let writer = Writer::start();
    a_member_that_does_not_start_gets_its_binary_back(&plan_file);
    a_package_that_failed_goes_back(&plan_file);
    the_run_is_given_up(&plan_file);
    let again = plan("back-again.json", &targets);
    let last = apply(&again);
    let written = writer.finish();
    assert_eq!(last.code, 0, "{}", last.text);
    assert_raised("1.21.14", "3.5.16", "3.5.0");
    println!("{} keys written, {} lost", written.keys, written.lost.len());
    assert_eq!(written.lost, Vec::<String>::new(), "acknowledged writes that are not there any more");
    the_run_is_finished(&plan_file);
    the_run_is_finished(&again);
}

fn stopped(plan: &str, words: &[&str]) -> Ran {
    let ran = apply(plan);
    assert_eq!(ran.code, 13, "{}", ran.text);
    for word in words {
        assert!(ran.text.contains(word), "no `{word}` in: {}", ran.text);
    }
    ran
}

/// etcd 3.5 refuses to start on the second member: 3.4.23 is put back, and the cluster is whole.
fn a_member_that_does_not_start_gets_its_binary_back(plan: &str) {
    let folder = "/etc/systemd/system/etcd.service.d";
    for node in ["etcd1", "etcd2", "etcd3"] {
        let refuse = "[Service]\\nExecStartPre=/bin/sh -c \"! /usr/bin/etcd --version | grep -q 3.5.16\"\\n";
        on(node, &format!("mkdir -p {folder} && printf '{refuse}' > {folder}/refuse.conf && systemctl daemon-reload"));
    }
    stopped(plan, &["was taken back"]);
    for node in ["etcd1", "etcd2", "etcd3"] {
        let package = on(node, "dpkg-query -W -f '${Version} ${db:Status-Want} ${db:Status-Status}' etcd-server");
        assert_eq!(package, "3.4.23-4+b4 hold installed", "{node}");
        on(node, "systemctl is-active etcd");
        on(node, &format!("rm -r {folder}/refuse.conf && systemctl daemon-reload"));
    }
}

/// A hook of apt's fails after the new kubeadm is on w1: the former one is put back.
fn a_package_that_failed_goes_back(plan: &str) {
    let hook = "DPkg::Post-Invoke { \"test -e /run/failed-once || { touch /run/failed-once; false; }\"; };";
    on("w1", &format!("echo '{hook}' > /etc/apt/apt.conf.d/99fails"));
    stopped(plan, &["workers/w1/kubeadm", "was taken back"]);
    on("w1", "rm /etc/apt/apt.conf.d/99fails");
    let package = on("w1", "dpkg-query -W -f '${Version} ${db:Status-Want} ${db:Status-Status}' kubeadm");
    assert_eq!(package, "1.20.2-00 hold installed");
}

/// Given up between two versions: nothing stays cordoned, the lock is free, and the plan cannot be gone on with.
fn the_run_is_given_up(plan: &str) {
    let ran = windlass(&["upgrade", "abort", plan, "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    assert!(ran.text.contains("w1") && ran.text.contains("1.20.2"), "{}", ran.text);
    let cordoned = kubectl(&["get", "nodes", "-o", "jsonpath={.items[?(@.spec.unschedulable)].metadata.name}"]);
    assert_eq!(cordoned, "");
    let lock = windlass(&["lock", "show", "-i", "inventories/lab.toml"]);
    assert!(lock.text.contains("nobody"), "{}", lock.text);
    let refused = apply(plan);
    assert_eq!(refused.code, 11, "{}", refused.text);
    assert!(refused.text.contains("was aborted"), "{}", refused.text);
}

/// What was kept of a run is gone from the nodes.
fn the_run_is_finished(plan: &str) {
    let kept = "ls /var/lib/windlass/archives /var/lib/windlass/packages /var/lib/windlass/runs 2>/dev/null | grep -c";
    let id = super::journal::id(plan);
    let count = format!("{kept} {id} || true");
    assert_eq!(on("w1", &count).trim(), "3");
    let ran = windlass(&["upgrade", "finish", plan, "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    assert_eq!(on("w1", &count).trim(), "0");
}
