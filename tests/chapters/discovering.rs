//! The lab's cluster, discovered: what is written is an inventory that plans no change. And checked: what needs attention is said.

use windlass::inventory::Role;

use super::lab::{root, state};
use super::run::{folder, windlass};

/// Discovers the cluster from a control plane, into a file; returns where that is.
pub(crate) fn discovered(like: &str) -> String {
    let out = folder().join(format!("discovered-{}.toml", like.len())).to_string_lossy().into_owned();
    let _ = std::fs::remove_file(&out);
    let (identity, known) = (state().join("id_ed25519"), state().join("known_hosts"));
    let (identity, known) = (identity.to_string_lossy(), known.to_string_lossy());
    let words = ["inventory", "discover", "--from", "172.30.0.22", "--user", "ops", "--identity", &identity];
    let words = [&words[..], &["--known-hosts", &known, "--name", "found", "--out", &out]].concat();
    let ran = windlass(&words);
    assert_eq!(ran.code, 0, "{}", ran.text);
    let again = windlass(&words);
    assert_eq!(again.code, 2, "what is there is not written over: {}", again.text);

    // The same machines with the same roles as the lab's own inventory, and the same etcd; but nobody tells of load balancers.
    let text = std::fs::read_to_string(&out).expect("an inventory");
    let read = |text: &str| windlass::inventory::parse(text).expect("it is good").value;
    let (found, lab) = (read(&text), read(&std::fs::read_to_string(root().join(like)).expect("an inventory")));
    let machines = |inventory: &windlass::inventory::Inventory| {
        let told = inventory.nodes.iter().filter(|node| !node.roles.contains(&Role::LoadBalancer));
        let mut machines: Vec<String> =
            told.map(|node| format!("{} {} {:?}", node.name, node.address, node.roles)).collect();
        machines.sort();
        machines
    };
    assert_eq!(machines(&found), machines(&lab), "{text}");
    assert_eq!((&found.etcd, &found.api.endpoint), (&lab.etcd, &lab.api.endpoint), "{text}");
    out
}

/// Of the external lab: at the versions that it is at, nothing is to do.
pub(crate) fn what_is_discovered_plans_no_change() {
    let inventory = discovered("inventories/lab.toml");
    let ran = windlass(&["upgrade", "plan", "-i", &inventory, "--to", "1.20.2", "--etcd-to", "3.4.23"]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    assert!(ran.text.contains("Nothing to do"), "{}", ran.text);
}

/// Of the stacked lab: everything is seen and well.
pub(crate) fn what_is_discovered_is_well() {
    let inventory = discovered("inventories/lab-stacked.toml");
    let ran = windlass(&["etcd", "status", "-i", &inventory]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    assert!(ran.text.contains("3 of 3 voting members healthy"), "{}", ran.text);
    what_is_checked_needs_only_a_backup(&inventory);
}

/// Of a lab that is well: its machines are small, a patch is to be had, and there is no backup until one is taken.
pub(crate) fn what_is_checked_needs_only_a_backup(inventory: &str) {
    let backups = folder().join("checked").to_string_lossy().into_owned();
    let _ = std::fs::remove_dir_all(&backups);
    std::fs::create_dir(&backups).expect("a folder");
    let check = ["check", "-i", inventory, "--backups", &backups];
    let ran = windlass(&check);
    assert_eq!(ran.code, 11, "{}", ran.text);
    assert!(ran.text.contains("1 critical finding cannot wait"), "{}", ran.text);
    assert!(ran.text.contains("has no backup of this cluster [backup-age]"), "{}", ran.text);

    let taken = windlass(&["etcd", "backup", "-i", inventory, "--no-pki", "--to", &backups]);
    assert_eq!(taken.code, 0, "{}", taken.text);
    let ran = windlass(&check);
    assert_eq!(ran.code, 0, "{}", ran.text);
    assert!(ran.text.contains(": the newest is 0 min old"), "{}", ran.text);
    assert!(
        ran.text.contains(
            "kubernetes: 1.20.15 is to be had, 1.20.2 is installed on cp1, cp2, cp3, w1 and w2 [newer-patch]"
        ),
        "{}",
        ran.text
    );
    for unseen in ["could not be seen", "[unseen]", "critical", "unreachable"] {
        assert!(!ran.text.contains(unseen), "{}", ran.text);
    }
    let ran = windlass(&["certs", "status", "-i", inventory]);
    assert_eq!(ran.code, 0, "{}", ran.text);
    let kubeadms = "/etc/kubernetes/pki/apiserver.crt";
    let line = ran.text.lines().find(|line| line.contains(&format!(" {kubeadms} "))).expect("it is told of");
    assert!(line.contains("  kubeadm, with an upgrade  ") && line.ends_with("  cp1, cp2, cp3"), "{}", ran.text);

    let ran = windlass(&[&check[..], &["-o", "json"]].concat());
    let json = ran.text.find('{').zip(ran.text.rfind('}')).map(|(from, to)| &ran.text[from..=to]).expect("JSON");
    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!((&json["format"], &json["critical"], &json["unreachable"]), (&1.into(), &0.into(), &0.into()));
}
