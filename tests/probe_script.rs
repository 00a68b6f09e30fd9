//! The probe's script and its parser know the same sections: the script is run on this machine, which it only reads.

use std::io::Write;
use std::process::{Command, Stdio};

use windlass::facts::{Seen, probe};

const PROBE: &str = include_str!("../src/remote/scripts/probe.sh");
const API: &str = include_str!("../src/remote/scripts/api.sh");

fn run(script: &str, args: &[&str]) -> String {
    let mut shell = Command::new("sh")
        .args(["-s", "--"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh starts");
    shell.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("sh reads");
    let output = shell.wait_with_output().expect("sh ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_section_is_known_to_the_script() {
    let sections = "identity,packages,disks,kubelet,static-pods,containers,api-server,certificates,etcd,windlass";
    let answer = run(PROBE, &[sections, "no-such-package", "-", "-", "-", "-", "-", "-"]);
    assert!(!answer.contains("no such section"), "{answer}");
    let machine = probe::parse(&answer).expect("an answer");
    assert!(!machine.hostname.is_empty());
    assert!(machine.disks.contains_key("/"));
    assert!(probe::clock_ms(&answer).is_some());
    if let Seen::Known(_) = machine.package_manager {
        assert_eq!(machine.packages["no-such-package"].installed, None);
    }
}

#[test]
fn an_unknown_section_is_answered_and_not_run() {
    let answer = run(PROBE, &["windlass,$(id)", "-"]);
    assert!(answer.contains("@@ end $(id) unseen this probe knows no such section"), "{answer}");
}

#[test]
fn a_script_that_was_cut_short_runs_nothing() {
    for script in [PROBE, API] {
        let body = script.rsplit_once("main \"$@\" </dev/null").expect("the last line").0;
        assert_eq!(run(body, &["identity", "-"]), "");
    }
}
