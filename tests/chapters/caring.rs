//! etcd is raised by two minors, a member's data are lost and it is replaced, and databases give back what they do
//! not use, all of it while a client writes; and timers take backups.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::lab::{ETCD, ETCDCTL, lab, on, root};
use super::outcome::assert_members;
use super::run::{Ran, apply, folder, plan, windlass};
use super::writing::{Writer, Written};

pub(crate) fn etcd_is_looked_after() {
    raised_minor_by_minor();
    a_member_is_replaced();
    databases_give_back();
}

/// 3.3.25 → 3.4.23 → 3.5.16, each from a plan of its own; both at once is refused.
fn raised_minor_by_minor() {
    let skip = windlass(&["upgrade", "plan", "-i", "inventories/lab.toml", "--etcd-to", "3.5.16"]);
    assert_eq!(skip.code, 11, "{}", skip.text);
    assert!(skip.text.contains("3.5.16 would skip a minor"), "{}", skip.text);
    let v2 = "ETCDCTL_API=2 etcdctl --endpoints https://127.0.0.1:2379 --ca-file /etc/etcd/pki/ca.crt --cert-file /etc/etcd/pki/client.crt --key-file /etc/etcd/pki/client.key";
    on("etcd1", &format!("{v2} set /old x"));
    let held = windlass(&["upgrade", "plan", "-i", "inventories/lab.toml", "--etcd-to", "3.4.23"]);
    on("etcd1", &format!("{v2} rm /old"));
    assert_eq!(held.code, 11, "{}", held.text);
    assert!(held.text.contains("holds data of the v2 API, which etcd 3.4 does not serve by itself"), "{}", held.text);
    let writer = Writer::start();
    for (to, cluster) in [("3.4.23", "3.4.0"), ("3.5.16", "3.5.0")] {
        let plan = plan(&format!("etcd-{to}.json"), &["--etcd-to", to]);
        let ran = apply(&plan);
        assert_eq!(ran.code, 0, "{}", ran.text);
        assert_members(to, cluster);
        println!("--- etcd {to}: raised in {:.1} s", ran.took.as_secs_f64());
    }
    nothing_is_lost("3.3.25 to 3.5.16", &writer.finish());
}

pub(crate) fn nothing_is_lost(what: &str, written: &Written) {
    println!(
        "--- {what}: {} keys written ({:.0}/s), longest wait {:.2} s, {} lost",
        written.keys,
        written.rate,
        written.longest.as_secs_f64(),
        written.lost.len(),
    );
    assert_eq!(written.lost, Vec::<String>::new(), "{what}");
    assert!(written.rate >= 50.0, "{what}: {:.1} writes a second", written.rate);
}

fn change(what: &[&str], name: &str) -> (String, Ran) {
    let out = folder().join(name).to_string_lossy().into_owned();
    let words = [&["etcd"], what, &["-i", "inventories/lab.toml", "--out", &out]].concat();
    let ran = windlass(&words);
    (out, ran)
}

/// The data of a member are gone, and its certificates. Another one may not leave meanwhile; it is replaced by itself.
fn a_member_is_replaced() {
    on("etcd3", "systemctl stop etcd && rm -rf /var/lib/etcd/default /etc/etcd/pki");
    let (_, refused) = change(&["member", "remove", "plan", "etcd2"], "remove.json");
    assert_eq!(refused.code, 11, "{}", refused.text);
    let arithmetic = "3 members, 2 answer, quorum 2: without etcd2 only 1 answers of 2, and 2 make a quorum";
    assert!(refused.text.contains(arithmetic), "{}", refused.text);
    let writer = Writer::start();
    let replace = ["member", "replace", "plan", "etcd3"];
    let (_, refused) = change(&replace, "replace.json");
    assert_eq!(refused.code, 11, "{}", refused.text);
    assert!(refused.text.contains("put it there, or have it made: --ca-cert and --ca-key"), "{}", refused.text);
    let (ca, key) = ("tests/lab/.state/etcd/ca.crt", "tests/lab/.state/etcd/ca.key");
    let (plan, ran) = change(&[&replace[..], &["--ca-cert", ca, "--ca-key", key]].concat(), "replace.json");
    assert_eq!(ran.code, 0, "{}", ran.text);
    let ran = windlass(&["etcd", "member", "replace", "apply", &plan, "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    assert_members("3.5.16", "3.5.0");
    let keys = "stat -c '%a %U %n' /etc/etcd/pki/*.key";
    assert!(on("etcd3", keys).lines().all(|line| line.starts_with("600 etcd ")), "{}", on("etcd3", keys));
    println!("--- etcd3 is replaced in {:.1} s", ran.took.as_secs_f64());
    nothing_is_lost("a member replaced", &writer.finish());
    let status = windlass(&["etcd", "status", "-i", "inventories/lab.toml"]);
    assert_eq!(status.code, 0, "{}", status.text);
}

/// The size of a member's database, in bytes.
fn size(node: &str) -> u64 {
    on(node, "stat -c %s /var/lib/etcd/default/member/snap/db").trim().parse().expect("a number")
}

/// 120 MB are written, deleted and compacted; the databases keep their size until they are defragmented.
fn databases_give_back() {
    on(
        "etcd1",
        &format!(
            "head -c 750000 /dev/urandom | base64 -w 0 >/root/word
             for i in $(seq 120); do {ETCDCTL} put /windlass-test-big/$i </root/word >/dev/null || exit 1; done
             {ETCDCTL} del --prefix /windlass-test-big/ >/dev/null
             rev=$({ETCDCTL} endpoint status -w json | grep -o revision.:[0-9]* | cut -d: -f2)
             {ETCDCTL} compact --physical $rev && rm /root/word"
        ),
    );
    super::backups::streams_in_trouble("inventories/lab.toml", ETCD);
    let before = ETCD.map(size);
    assert!(before.iter().all(|size| *size > 100 << 20), "{before:?}");
    let writer = Writer::start();
    let (plan, ran) = change(&["defrag", "plan"], "defrag.json");
    assert_eq!(ran.code, 0, "{}", ran.text);
    let ran = windlass(&["etcd", "defrag", "apply", &plan, "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    let after = ETCD.map(size);
    println!("--- defragmented in {:.1} s: {before:?} to {after:?} bytes", ran.took.as_secs_f64());
    assert!(after.iter().all(|size| *size < 32 << 20), "{after:?}");
    nothing_is_lost("defragmented", &writer.finish());
    let (_, again) = change(&["defrag", "plan"], "defrag-again.json");
    assert_eq!(again.code, 0, "{}", again.text);
    assert!(again.text.contains("Nothing to do"), "{}", again.text);
}

const BACKUPS: &str = "/var/backups/etcd";
const METRICS: &str = "/var/lib/prometheus/node-exporter/windlass-etcd.prom";

/// A timer on a member's machine takes backups by itself, keeps two of them and tells the node exporter; another proves them.
pub(crate) fn timers_take_backups(node: &str) {
    let on = |command: &str| on(node, command);
    put_windlass_on(node);
    on(&format!("mkdir -p {BACKUPS} {} && chmod 700 {BACKUPS}", METRICS.rsplit_once('/').expect("a path").0));
    // What an earlier run has left, perhaps of another name.
    on(&format!("rm -rf {BACKUPS}/* {METRICS}"));
    let installed = on(&format!(
        "windlass etcd schedule install --on-calendar \"*:*:0/15\" --prove-on-calendar \"*:*:10/30\" --delay 0s -- \
             --local --cluster lab --to {BACKUPS} --keep-last 2 --metrics {METRICS} 2>&1"
    ));
    println!("{installed}");
    let (mut seen, since) = (std::collections::BTreeSet::new(), Instant::now());
    while seen.len() < 4 || !metrics(node).contains("windlass_etcd_backup_proven{") {
        assert!(since.elapsed() < Duration::from_secs(180), "{seen:?}\n{}\n{}", metrics(node), journal(node));
        seen.extend(manifests(node));
        std::thread::sleep(Duration::from_secs(2));
    }
    let shown = on("windlass etcd schedule show 2>&1");
    println!("{shown}\n{}", metrics(node));
    let removed = on("windlass etcd schedule remove 2>&1");
    println!("{removed}");
    on("while systemctl is-active --quiet windlass-etcd-backup windlass-etcd-prove; do sleep 1; done");
    let names = on(&format!("ls -A {BACKUPS}"));
    assert_eq!(manifests(node).len(), 2, "{names}");
    assert_eq!(names.lines().count(), 4, "a snapshot and a manifest each, and nothing else: {names}");
    let metrics = metrics(node);
    for line in ["windlass_etcd_backup_verified{cluster=\"", "windlass_etcd_backup_proven{cluster=\""] {
        let told = metrics.lines().find(|told| told.starts_with(line)).unwrap_or_default();
        assert!(told.ends_with(" 1"), "{metrics}");
    }
    let units = on("ls /etc/systemd/system | grep windlass-etcd || true");
    assert_eq!(units, "");
}

/// The backups that are there: each has one.
fn manifests(node: &str) -> Vec<String> {
    let found = on(node, &format!("find {BACKUPS} -name \"*.json\""));
    found.lines().map(str::to_owned).collect()
}

fn metrics(node: &str) -> String {
    on(node, &format!("cat {METRICS} 2>/dev/null || true"))
}

fn journal(node: &str) -> String {
    on(node, "journalctl --no-pager -n 60 -u windlass-etcd-backup -u windlass-etcd-prove")
}

fn put_windlass_on(node: &str) {
    let program = std::fs::File::open(env!("CARGO_BIN_EXE_windlass")).expect("windlass is built");
    let put = "sudo sh -c 'cat >/usr/local/bin/windlass && chmod 755 /usr/local/bin/windlass'";
    let status =
        Command::new(root().join("tests/lab/lab")).args(["ssh", node, put]).stdin(Stdio::from(program)).status();
    assert!(status.expect("the lab's command runs").success());
    assert!(lab(&["ssh", node, "windlass", "--version"]).status.success());
}
