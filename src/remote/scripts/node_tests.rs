//! The jobs that let nodes leave, against machines and an API of the test's own.

use super::Script;
use super::job_tests::Fakes;

/// A certificate whose body is the word `authority`.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nYXV0aG9yaXR5\n-----END CERTIFICATE-----\n";
const MACHINE: &str = "0123456789abcdef0123456789abcdef";

fn write(fakes: &Fakes, file: &str, text: &str) {
    let path = fakes.path().join("from").join(file);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, text).expect("written");
}

fn is_there(fakes: &Fakes, file: &str) -> bool {
    fakes.path().join("from").join(file).exists()
}

/// A control plane whose member of etcd has left, with nothing that runs.
fn machine() -> Fakes {
    let fakes = Fakes::new(&[("systemctl", ""), ("sleep", "")]);
    write(&fakes, "etc/machine-id", &format!("{MACHINE}\n"));
    write(&fakes, "etc/kubernetes/pki/ca.crt", CERTIFICATE);
    write(&fakes, "etc/kubernetes/pki/ca.key", "its key");
    write(&fakes, "etc/kubernetes/kubelet.conf", "a kubeconfig");
    write(&fakes, "etc/kubernetes/windlass-reader.conf", "another");
    write(&fakes, "etc/kubernetes/manifests/kube-apiserver.yaml", "its manifest");
    write(&fakes, "var/lib/kubelet/config.yaml", "its configuration");
    write(&fakes, "var/lib/etcd/member.before-r1/snap", "former data");
    write(&fakes, "run/containerd/containerd.sock.is-not-one", "");
    std::fs::create_dir_all(fakes.path().join("from/run/containerd/io.containerd.runtime.v2.task/k8s.io"))
        .expect("made");
    fakes
}

/// SHA-256 of what the certificate holds.
fn digest() -> String {
    use sha2::{Digest as _, Sha256};
    crate::text::hex(&Sha256::digest(b"authority"))
}

fn leave(fakes: &Fakes, authority: &str, machine: &str) -> (i32, String) {
    fakes.run(Script::LeaveCluster, &[authority, machine, "r1"])
}

#[test]
fn who_leaves_keeps_nothing_of_the_cluster_and_leaves_once() {
    let fakes = machine();
    let (status, said) = leave(&fakes, &digest(), MACHINE);
    assert_eq!(status, 0, "{said}");
    for gone in [
        "etc/kubernetes/pki",
        "etc/kubernetes/kubelet.conf",
        "etc/kubernetes/windlass-reader.conf",
        "etc/kubernetes/manifests/kube-apiserver.yaml",
        "etc/kubernetes/windlass-r1",
        "var/lib/kubelet/config.yaml",
        "var/lib/etcd",
    ] {
        assert!(!is_there(&fakes, gone), "{gone} is left");
    }
    assert!(is_there(&fakes, "var/lib/etcd.before-r1/member.before-r1/snap"), "former data are kept");
    assert_eq!(fakes.calls("systemctl"), ["systemctl stop kubelet"]);
    // Cut off in the middle, it is gone on with: that it was this machine was seen before.
    let (status, said) = leave(&fakes, &digest(), MACHINE);
    assert_eq!(status, 0, "{said}");
}

/// Between two tries it was reset by hand and became another cluster's.
#[test]
fn a_machine_that_went_to_another_cluster_between_two_tries_is_left_alone() {
    let fakes = machine();
    assert_eq!(leave(&fakes, &digest(), MACHINE).0, 0);
    let other = "-----BEGIN CERTIFICATE-----\nb3RoZXI=\n-----END CERTIFICATE-----\n";
    for (file, text) in [("etc/kubernetes/pki/ca.crt", other), ("etc/kubernetes/pki/ca.key", "another's")] {
        write(&fakes, file, text);
    }
    let (status, said) = leave(&fakes, &digest(), MACHINE);
    assert!(status == 75 && said.contains("belongs to another cluster by now"), "{status} {said}");
    assert!(is_there(&fakes, "etc/kubernetes/pki/ca.key"));
    let (status, said) = leave(&fakes, &digest(), &"0".repeat(32));
    assert!(status == 75 && said.contains("another machine"), "{status} {said}");
}

/// What an earlier run has kept beside a member that lives is no reason to take that member's data away.
#[test]
fn data_that_another_run_kept_stay_where_they_are() {
    let fakes = machine();
    write(&fakes, "var/lib/etcd/member/snap", "alive");
    let kept = fakes.path().join("from/var/lib/etcd/member.before-r1");
    std::fs::rename(&kept, kept.with_file_name("member.before-r0")).expect("renamed");
    assert_eq!(leave(&fakes, &digest(), MACHINE).0, 0);
    assert!(is_there(&fakes, "var/lib/etcd/member/snap"));
}

#[test]
fn another_machine_or_another_clusters_is_left_alone() {
    let fakes = machine();
    let (status, said) = leave(&fakes, &"0".repeat(64), MACHINE);
    assert!(status == 75 && said.contains("belongs to another cluster"), "{status} {said}");
    let (status, said) = leave(&fakes, &digest(), &"0".repeat(32));
    assert!(status == 75 && said.contains("another machine"), "{status} {said}");
    write(&fakes, "etc/kubernetes/manifests/etcd.yaml", "a member");
    let (status, said) = leave(&fakes, &digest(), MACHINE);
    assert!(status == 75 && said.contains("a member of etcd is still here"), "{status} {said}");
    assert!(is_there(&fakes, "etc/kubernetes/pki/ca.key") && is_there(&fakes, "etc/kubernetes/kubelet.conf"));
    assert_eq!(fakes.calls("systemctl"), [""; 0]);
}

/// An API that knows a node, as the files `node`, `pods` and `status` say.
const KUBECTL: &str = r#"case "$*" in
    *patch*) for word; do :; done; printf '%s' "$word" >"$FAKES/patch" ;;
    *get\ node*) cat "$FAKES/node" 2>/dev/null || true ;;
    *delete\ node*) rm -f "$FAKES/node" ;;
    *get\ pods*) cat "$FAKES/pods" 2>/dev/null || true ;;
    *delete\ pods*) rm -f "$FAKES/pods" ;;
    *resourceVersion*) echo 7 ;;
    *ClusterStatus*) cat "$FAKES/status" 2>/dev/null || true ;;
esac"#;

const STATUS: &str = "apiEndpoints:\n  cp1:\n    advertiseAddress: 10.0.0.1\n    bindPort: 6443\n  cp2:\n    advertiseAddress: 10.0.0.2\n    \
                      bindPort: 6443\napiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterStatus\n";

/// A control plane that stays; its manifest is looked for where it is on a machine.
fn deletes(node: &str, state: &str) -> (Fakes, (i32, String)) {
    let fakes = Fakes::new(&[("kubectl", KUBECTL), ("sleep", ""), ("sed", SED)]);
    for (file, text) in [("node", node), ("pods", "kube-system etcd-cp2\n"), ("status", STATUS)] {
        std::fs::write(fakes.path().join(file), text).expect("written");
    }
    let ran = fakes.run(Script::DeleteNode, &["cp2", MACHINE, state]);
    (fakes, ran)
}

/// The manifest of an API server, for who looks for its address.
const SED: &str = r#"case "$*" in
    *advertise-address*) echo 10.0.0.1 ;;
    *secure-port*) ;;
    *) exec /usr/bin/sed "$@" ;;
esac"#;

#[test]
fn a_node_its_pods_and_its_api_endpoint_are_seen_gone() {
    let (fakes, (status, said)) = deletes(&format!("{MACHINE} Unknown"), "gone");
    assert_eq!(status, 0, "{said}");
    assert!(!fakes.path().join("node").exists() && !fakes.path().join("pods").exists());
    let patch = std::fs::read_to_string(fakes.path().join("patch")).expect("a patch");
    let patch: serde_json::Value = serde_json::from_str(&patch).expect("JSON");
    let kept = "apiEndpoints:\n  cp1:\n    advertiseAddress: 10.0.0.1\n    bindPort: 6443\napiVersion: kubeadm.k8s.io/v1beta2\nkind: \
                ClusterStatus\n";
    assert_eq!(patch["data"]["ClusterStatus"], kept);
    assert_eq!(patch["metadata"]["resourceVersion"], "7");
}

#[test]
fn a_node_that_came_back_or_is_another_machine_is_not_deleted() {
    for (node, state, why) in [
        (format!("{MACHINE} True"), "gone", "is Ready: its machine is not gone"),
        (format!("{} Unknown", "0".repeat(32)), "gone", "is another machine by now"),
        (format!("{} True", "0".repeat(32)), "left", "is another machine by now"),
    ] {
        let (fakes, (status, said)) = deletes(&node, state);
        assert!(status == 75 && said.contains(why), "{status} {said}");
        assert!(fakes.path().join("node").exists() && fakes.path().join("pods").exists());
    }
    // A kubelet that was stopped looks alive for a while.
    let (fakes, (status, said)) = deletes(&format!("{MACHINE} True"), "left");
    assert_eq!((status, fakes.path().join("node").exists()), (0, false), "{said}");
}
