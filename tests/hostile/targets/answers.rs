//! What machines answer: the output of every script, whole and section by section, with hostile words inside.

use data_encoding::BASE64;
use windlass::decide::discover;
use windlass::facts::unit::UnitState;
use windlass::facts::version::{image_version, parse_version};
use windlass::facts::{
    self, ApiFacts, Disk, FORMAT, Facts, MachineFacts, NodeFacts, Seen, api, found, probe, ready, unit,
};
use windlass::inventory::{self, Address, NodeName, Ssh};

use super::{text, way};

/// Sections of the probe, as `probe.sh` prints them.
const PROBED: [&str; 12] = [
    "identity",
    "packages",
    "candidates",
    "disks",
    "kubelet",
    "static-pods",
    "containers",
    "api-server",
    "certificates",
    "etcd",
    "windlass",
    "kept",
];

/// Sections of the API, as `api.sh` prints them.
const ASKED: [&str; 5] = ["nodes", "kubeadm", "addons", "kubelet-configs", "stateful-sets"];

/// An answer. The first byte says of which script, and whether it is in its frame already.
pub(crate) fn answers(data: &[u8]) {
    let (kind, rest) = way(data);
    let text = text(rest);
    match kind % 16 {
        0 => machine(&text),
        1 => cluster(&text),
        2 => report(&text),
        3 => versions(&text),
        4 => drop(Disk::from_df(&text)),
        5 => certificates(rest),
        14 => discovered(&text),
        // Of a machine that is to become a member.
        15 => drop(ready::parse(&framed("ready", &text, ""))),
        kind @ (6..=10) => cluster(&framed(ASKED[usize::from(kind) - 6], &text, "@@ readyz\n ok\n@@ end readyz ok\n")),
        _ => {
            let (section, _) = way(rest);
            let section = PROBED[usize::from(section) % PROBED.len()];
            // Candidates are told only of packages that were asked for.
            let asked = "@@ packages\n manager apt\n asked kubeadm\n@@ end packages ok\n";
            machine(&framed(section, text.get(1..).unwrap_or_default(), asked));
        }
    }
}

/// What makes an inventory is written as one that reads the same, or as none at all.
fn discovered(text: &str) {
    let before = "@@ readyz\n ok\n@@ end readyz ok\n@@ kubeadm\n clusterName: found\n etcd:\n   external:\n     endpoints:\n     - https://10.0.0.1:2379\n@@ end kubeadm ok\n";
    let nodes = "node cp1\nlabels {\"node-role.kubernetes.io/master\":\"\"}\naddress 10.0.0.2\n";
    let Ok(cluster) = found::cluster(&framed("addresses", &format!("{nodes}{text}"), before)) else { return };
    let Ok(Ok(etcd)) = found::etcd(&framed("etcd-service", text, "")) else { return };
    let etcd = [(Address::new("10.0.0.1").expect("an address"), etcd)];
    let found = discover::Found { cluster: &cluster, etcd: &etcd, ssh: &Ssh::default(), name: None };
    let Ok(made) = discover::inventory(found) else { return };
    if let Ok(read) = inventory::parse(&inventory::write(&made)) {
        assert_eq!(read.value, made);
    }
}

/// `text` as the lines of a section.
fn framed(section: &str, text: &str, before: &str) -> String {
    let lines: String = text.lines().flat_map(|line| [" ", line, "\n"]).collect();
    format!("{before}@@ {section}\n{lines}@@ end {section} ok\n@@ done\n")
}

fn name() -> NodeName {
    NodeName::new("cp1").expect("a name")
}

fn machine(text: &str) {
    let _ = probe::clock_ms(text);
    if let Ok(mut facts) = probe::parse(text) {
        // It is not saved.
        facts.kept = Seen::Unknown("not asked".to_owned());
        saved(Seen::Known(facts), Seen::Unknown("not asked".to_owned()));
    }
}

fn cluster(text: &str) {
    if let Ok(facts) = api::parse(text, name()) {
        saved(Seen::Unknown("not asked".to_owned()), Seen::Known(facts));
    }
}

/// What was understood survives being saved.
fn saved(machine: Seen<MachineFacts>, api: Seen<ApiFacts>) {
    let unseen = || "not asked".to_owned();
    let facts = Facts {
        format: FORMAT,
        taken_at: "2026-01-01T00:00:00Z".parse().expect("a time"),
        cluster: "lab".to_owned(),
        nodes: vec![NodeFacts { name: name(), machine }],
        api,
        etcd: Seen::Unknown(unseen()),
        operator_disk: Seen::Unknown(unseen()),
    };
    assert_eq!(facts::from_json(&facts::to_json(&facts)).expect("it was just written"), facts);
}

fn report(text: &str) {
    let Ok(report) = unit::report(text) else { return };
    assert!(text.ends_with(&report.log));
    assert!(!matches!(report.state, UnitState::Exited(_)) || text.contains("exited"));
}

fn versions(text: &str) {
    for version in [parse_version(text), image_version(text)].into_iter().flatten() {
        // A version that was understood is understood again, and stands in the text.
        assert_eq!(parse_version(&version.to_string()), Some(version.clone()));
        assert!(version.build.is_empty());
    }
}

/// Bytes as a certificate, and as a kubeconfig with one.
fn certificates(bytes: &[u8]) {
    let body = BASE64.encode(bytes);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    for line in [
        format!("certificate {body} /etc/kubernetes/pki/ca.crt"),
        format!("kubeconfig {body} /etc/kubernetes/admin.conf"),
        format!("kubeconfig {} /etc/kubernetes/admin.conf", BASE64.encode(pem.as_bytes())),
    ] {
        machine(&framed("certificates", &line, ""));
    }
}
