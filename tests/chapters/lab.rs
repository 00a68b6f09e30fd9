//! The lab from a test's side: its command, its nodes, its state.

use std::path::PathBuf;
use std::process::{Command, Output};

/// Every machine of the inventory.
pub(crate) const NODES: [&str; 10] = ["etcd1", "etcd2", "etcd3", "cp1", "cp2", "cp3", "w1", "w2", "lb1", "lb2"];
/// The load balancers.
pub(crate) const BALANCERS: [&str; 2] = ["lb1", "lb2"];
/// The etcd machines.
pub(crate) const ETCD: [&str; 3] = ["etcd1", "etcd2", "etcd3"];
/// `etcdctl` on a machine of etcd, asking its own member.
pub(crate) const ETCDCTL: &str = "ETCDCTL_API=3 etcdctl --cacert /etc/etcd/pki/ca.crt --cert /etc/etcd/pki/client.crt \
                       --key /etc/etcd/pki/client.key --endpoints https://127.0.0.1:2379";
/// The machines with a kubelet.
pub(crate) const KUBERNETES: [&str; 5] = ["cp1", "cp2", "cp3", "w1", "w2"];
/// The load balancer's address, as the inventories have it.
pub(crate) fn api() -> String {
    let texts =
        ["lab.toml", "lab-stacked.toml"].map(|name| std::fs::read_to_string(root().join("inventories").join(name)));
    let lines = texts.iter().flatten().flat_map(|text| text.lines());
    let endpoint = lines.into_iter().find_map(|line| line.strip_prefix("endpoint = ")).expect("an endpoint");
    endpoint.trim_matches('"').to_owned()
}

/// The address of the lab's machine with this number.
pub(crate) fn address(host: u8) -> String {
    let api = api();
    let (network, _) = api.rsplit_once('.').expect("an address");
    format!("{network}.{host}")
}

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
    let windlass = env!("CARGO_BIN_EXE_windlass");
    Command::new(command).args(words).env("WINDLASS", windlass).output().expect("the lab's command runs")
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

/// Waits until every node has been Ready for half a minute. One that an earlier test has healed is taken for Ready until its
/// kubelet is up, says for a moment that it is not, and only then is. An API that was without etcd may answer, and be restarted
/// by its kubelet all the same.
pub(crate) fn all_ready() {
    const POLLS: usize = 15;
    let query = "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}";
    let mut ready = 0;
    for _ in 0..POLLS * 8 {
        let asked = lab(&["kubectl", "get", "nodes", "-o", query]);
        let said = if asked.status.success() { String::from_utf8_lossy(&asked.stdout) } else { "".into() };
        let all = said.split_whitespace().filter(|status| *status == "True").count() == KUBERNETES.len();
        ready = if all { ready + 1 } else { 0 };
        if ready == POLLS {
            return;
        }
        std::thread::sleep(std::time::Duration::from_secs(2));
    }
    panic!("the nodes do not stay Ready");
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
