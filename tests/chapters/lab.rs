//! The lab from a test's side: its command, its nodes, its state.

use std::path::PathBuf;
use std::process::{Command, Output};

/// Every machine of the inventory.
pub(crate) const NODES: [&str; 8] = ["etcd1", "etcd2", "etcd3", "cp1", "cp2", "cp3", "w1", "w2"];
/// The etcd machines.
pub(crate) const ETCD: [&str; 3] = ["etcd1", "etcd2", "etcd3"];
/// The machines with a kubelet.
pub(crate) const KUBERNETES: [&str; 5] = ["cp1", "cp2", "cp3", "w1", "w2"];
/// The load balancer's address.
pub(crate) const API: &str = "172.30.0.10:6443";

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where the lab keeps keys and certificates.
pub(crate) fn state() -> PathBuf {
    root().join("tests/lab/.state")
}

/// Runs the lab's command.
pub(crate) fn lab(words: &[&str]) -> Output {
    let command = root().join("tests/lab/lab");
    Command::new(command).args(words).output().expect("the lab's command runs")
}

/// Runs the lab's command, which has to succeed; returns what it printed.
pub(crate) fn lab_ok(words: &[&str]) -> String {
    let output = lab(words);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "lab {words:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Runs a command on a node, as root, through the lab's own ssh.
pub(crate) fn on(node: &str, command: &str) -> String {
    lab_ok(&["ssh", node, "sudo", "sh", "-c", &format!("'{}'", command.replace('\'', r"'\''"))])
}

/// `kubectl` on a control plane that answers.
pub(crate) fn kubectl(words: &[&str]) -> String {
    lab_ok(&[&["kubectl"], words].concat())
}

/// Waits for nodes that an earlier test has healed: ssh answers before the kubelet is Ready again.
pub(crate) fn all_ready() {
    kubectl(&["wait", "--for=condition=Ready", "node", "--all", "--timeout=180s"]);
}

/// One digest of everything on a node that planning has to leave alone: configuration, programs, the package manager's
/// memory, the kubelet's files.
pub(crate) fn digest(node: &str) -> String {
    let places = "/etc /usr /var/lib/dpkg /var/lib/apt /var/cache/apt \
                  $(ls -d /var/lib/kubelet/config.yaml /var/lib/kubelet/kubeadm-flags.env /var/lib/kubelet/pki 2>/dev/null)";
    on(node, &format!("find {places} -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"))
}

/// The digests of all nodes, taken at the same time.
pub(crate) fn digests() -> Vec<(&'static str, String)> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = NODES.iter().map(|node| (*node, scope.spawn(move || digest(node)))).collect();
        threads.into_iter().map(|(node, thread)| (node, thread.join().expect("a digest"))).collect()
    })
}
