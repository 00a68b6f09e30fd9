//! Chapters in which nothing is raised. They start from a fresh lab (1.20.2, etcd 3.4.23) and leave it as it was.

use super::lab::{ETCD, digests, lab_ok, on};
use super::run::{apply, folder, plan, windlass};

const INVENTORY: [&str; 4] = ["upgrade", "plan", "-i", "inventories/lab.toml"];

fn planned(words: &[&str]) -> super::run::Ran {
    windlass(&[&INVENTORY, words].concat())
}

/// Planning, also when it is refused, changes nothing on any node.
pub(crate) fn skips_are_refused_and_planning_changes_nothing() {
    let before = digests();
    let kubernetes = planned(&["--to", "1.22.17"]);
    assert_eq!(kubernetes.code, 11, "{}", kubernetes.text);
    for node in ["cp1", "cp2", "cp3"] {
        let line = kubernetes.text.lines().find(|line| line.contains(node) && line.contains("[kubernetes-skip]"));
        assert!(line.is_some_and(|line| line.contains("1.20.2; 1.22.17 would skip 1.21")), "{}", kubernetes.text);
    }
    let good = planned(&["--to", "1.21.14", "--etcd-to", "3.5.16"]);
    assert_eq!(good.code, 0, "{}", good.text);
    let back = planned(&["--to", "1.19.0"]);
    assert_eq!(back.code, 11, "{}", back.text);
    assert!(back.text.contains("[kubernetes-downgrade]"), "{}", back.text);
    let after = digests();
    assert_eq!(before, after, "planning changed files on a node");
}

/// etcd 3.3 → 3.5: a second etcd, really at 3.3.25, runs beside the first one on the same machines for this chapter.
pub(crate) fn a_skipped_minor_of_etcd_is_refused() {
    let members: Vec<String> =
        ETCD.iter().zip(11..).map(|(node, host)| format!("{node}=https://172.30.0.{host}:3380")).collect();
    for (node, host) in ETCD.iter().zip(11..) {
        on(node, &old_etcd(node, &format!("172.30.0.{host}"), &members.join(",")));
    }
    let inventory = std::fs::read_to_string("inventories/lab.toml").expect("the lab's inventory");
    let inventory = inventory
        .replace("service = \"etcd\"", "service = \"etcd-33\"\nclient_port = 3379")
        .replace("env_file = \"/etc/default/etcd\"", "env_file = \"/run/etcd-33.env\"")
        .replace("\"../tests/lab", &format!("\"{}/tests/lab", env!("CARGO_MANIFEST_DIR")));
    let path = folder().join("etcd-33.toml");
    std::fs::write(&path, inventory).expect("an inventory");
    let path = path.to_string_lossy().into_owned();
    let skip = windlass(&["upgrade", "plan", "-i", &path, "--etcd-to", "3.5.16"]);
    for node in ETCD {
        on(node, "systemctl stop etcd-33; rm -rf /var/lib/etcd-33 /run/etcd-33.env /opt/etcd-33");
    }
    assert_eq!(skip.code, 11, "{}", skip.text);
    for node in ETCD {
        let line = skip.text.lines().find(|line| line.contains(node) && line.contains("[etcd-skip]"));
        assert!(line.is_some_and(|line| line.contains("is at 3.3.25; 3.5.16 would skip a minor")), "{}", skip.text);
    }
}

/// Unpacks etcd 3.3.25 from its package, without installing it, and starts it on other ports.
fn old_etcd(name: &str, address: &str, members: &str) -> String {
    format!(
        "set -e; mkdir -p /opt/etcd-33 /var/lib/etcd-33; cd /opt/etcd-33; \
         apt-get download -q etcd-server=$(apt-cache madison etcd-server | sed -n \"s/.*| \\(3.3.25[^ ]*\\) .*/\\1/p\" | head -n 1); \
         dpkg-deb -x etcd-server_3.3.25*.deb .; chown -R etcd /var/lib/etcd-33; touch /run/etcd-33.env; \
         systemd-run --unit=etcd-33 -p Type=notify --no-block -p User=etcd /opt/etcd-33/usr/bin/etcd --name {name} \
         --data-dir /var/lib/etcd-33 --listen-client-urls https://0.0.0.0:3379 \
         --advertise-client-urls https://{address}:3379 --listen-peer-urls https://{address}:3380 \
         --initial-advertise-peer-urls https://{address}:3380 --initial-cluster {members} \
         --initial-cluster-token old --client-cert-auth --trusted-ca-file /etc/etcd/pki/ca.crt \
         --cert-file /etc/etcd/pki/server.crt --key-file /etc/etcd/pki/server.key --peer-client-cert-auth \
         --peer-trusted-ca-file /etc/etcd/pki/ca.crt --peer-cert-file /etc/etcd/pki/peer.crt \
         --peer-key-file /etc/etcd/pki/peer.key"
    )
}

/// A worker that is cut off before the run.
pub(crate) fn an_unreachable_worker_is_said_before_anything_changes() {
    let plan = plan("unreachable.json", &["--to", "1.21.14"]);
    lab_ok(&["cut", "w2"]);
    let replanned = planned(&["--to", "1.21.14"]);
    let applied = apply(&plan);
    lab_ok(&["heal", "w2"]);
    assert_eq!(replanned.code, 12, "{}", replanned.text);
    assert!(replanned.text.contains("--leave-out w2"), "{}", replanned.text);
    assert_eq!(applied.code, 12, "{}", applied.text);
    assert!(applied.text.contains("w2: "), "{}", applied.text);
}

/// Changes made by hand between plan and apply.
pub(crate) fn a_cluster_that_is_not_as_planned_is_left_alone() {
    let plan = plan("drift.json", &["--to", "1.21.14", "--etcd-to", "3.5.16"]);
    on("w1", "apt-get install -q -y --allow-change-held-packages kubectl=1.20.15-00 && apt-mark hold kubectl");
    let package = apply(&plan);
    on(
        "w1",
        "apt-get install -q -y --allow-downgrades --allow-change-held-packages kubectl=1.20.2-00 && apt-mark hold kubectl",
    );
    assert_eq!(package.code, 14, "{}", package.text);
    assert!(package.text.contains("kubectl on w1 is 1.20.15-00, not 1.20.2-00 as planned"), "{}", package.text);

    let etcdctl = "ETCDCTL_API=3 etcdctl --cacert /etc/etcd/pki/ca.crt --cert /etc/etcd/pki/client.crt --key /etc/etcd/pki/client.key";
    let added = on("etcd1", &format!("{etcdctl} member add stranger --learner --peer-urls=https://172.30.0.99:2380"));
    let id = added.split_whitespace().nth(1).expect("the member's id").to_owned();
    let member = apply(&plan);
    on("etcd1", &format!("{etcdctl} member remove {id}"));
    assert_eq!(member.code, 14, "{}", member.text);
    let named = member.text.contains(&format!("({id}, https://172.30.0.99:2380) was added"));
    assert!(named, "{}", member.text);
}
