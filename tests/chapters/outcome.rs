//! What a cluster has to be like after a raise, seen without Windlass.

use super::lab::{ETCD, ETCDCTL, KUBERNETES, kubectl, on};
use super::watching::Watch;
use super::writing::Written;

/// Says what writers and watchers saw; every write that etcd acknowledged is there.
pub(crate) fn assert_nothing_lost(written: &Written, watch: &Watch) {
    println!(
        "{} keys written, longest wait {:.2} s, {} lost; API away for {:.2} s at the longest; ready replicas {:?}",
        written.keys,
        written.longest.as_secs_f64(),
        written.lost.len(),
        watch.longest_away.as_secs_f64(),
        watch.ready_in_turn(),
    );
    assert_eq!(written.lost, Vec::<String>::new(), "acknowledged writes that are not there any more");
}

/// Everything is at these versions, held, Ready, uncordoned and healthy.
pub(crate) fn assert_raised(kubernetes: &str, etcd: &str, etcd_cluster: &str) {
    nodes(kubernetes);
    control_plane(kubernetes, None);
    packages(kubernetes, etcd);
    assert_members(etcd, etcd_cluster);
}

/// The same with etcd on the control planes, from an image with this tag.
pub(crate) fn assert_stacked_raised(kubernetes: &str, tag: &str, etcd: &str, cluster: &str) {
    nodes(kubernetes);
    kubernetes_packages(kubernetes);
    control_plane(kubernetes, Some(tag));
    for node in ["cp1", "cp2", "cp3"] {
        assert_versions(node, "/etc/kubernetes/pki/etcd/ca.crt", "/etc/kubernetes/pki/etcd/server", etcd, cluster);
    }
}

fn nodes(version: &str) {
    let columns = "jsonpath={range .items[*]}{.metadata.name} {.status.nodeInfo.kubeletVersion} \
                   {.status.conditions[?(@.type==\"Ready\")].status} [{.spec.unschedulable}] \
                   [{.metadata.annotations.windlass\\.dev/cordoned-by}]{\"\\n\"}{end}";
    let seen = kubectl(&["get", "nodes", "-o", columns]);
    let mut lines: Vec<&str> = seen.lines().collect();
    lines.sort_unstable();
    let expected: Vec<String> = KUBERNETES.iter().map(|node| format!("{node} v{version} True [] []")).collect();
    let lines: Vec<String> = lines.into_iter().map(|line| line.replace("[false]", "[]")).collect();
    assert_eq!(lines, expected);
}

fn control_plane(version: &str, etcd: Option<&str>) {
    for node in ["cp1", "cp2", "cp3"] {
        let images = on(node, "grep -h image: /etc/kubernetes/manifests/*.yaml | sort");
        let images: Vec<&str> = images.lines().map(|line| line.trim().trim_start_matches("image: ")).collect();
        let component = |name: &str| format!("k8s.gcr.io/{name}:v{version}");
        let components = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"].map(component);
        let etcd = etcd.map(|tag| format!("k8s.gcr.io/etcd:{tag}"));
        let expected: Vec<String> = etcd.into_iter().chain(components).collect();
        assert_eq!(images, expected, "static pods of {node}");
    }
    let config = kubectl(&["-n", "kube-system", "get", "cm", "kubeadm-config", "-o", "yaml"]);
    assert!(config.contains(&format!("kubernetesVersion: v{version}")), "{config}");
    let proxy = kubectl(&["-n", "kube-system", "get", "ds", "kube-proxy", "-o", "yaml"]);
    assert!(proxy.contains(&format!("image: k8s.gcr.io/kube-proxy:v{version}")), "{proxy}");
    let dns = kubectl(&["-n", "kube-system", "get", "deploy", "coredns", "-o", "yaml"]);
    assert!(dns.contains("image: k8s.gcr.io/coredns"), "{dns}");
    let minor = version.rsplit_once('.').expect("a patch").0;
    kubectl(&["-n", "kube-system", "get", "cm", &format!("kubelet-config-{minor}")]);
}

fn installed(node: &str, names: &str) -> String {
    on(node, &format!("dpkg-query -W -f '${{Package}} ${{Version}}\\n' {names}"))
}

/// Windlass has made these machines nodes: their runtime is held, too.
fn kubernetes_packages(kubernetes: &str) {
    let held = "containerd\ncri-tools\nkubeadm\nkubectl\nkubelet\nkubernetes-cni\nrunc\n";
    for node in KUBERNETES {
        let expected = format!("kubeadm {kubernetes}-00\nkubectl {kubernetes}-00\nkubelet {kubernetes}-00\n");
        assert_eq!(installed(node, "kubeadm kubectl kubelet"), expected, "packages of {node}");
        assert_eq!(on(node, "apt-mark showhold"), held, "holds of {node}");
    }
}

fn packages(kubernetes: &str, etcd: &str) {
    kubernetes_packages(kubernetes);
    for node in ETCD {
        for line in installed(node, "etcd-client etcd-server").lines() {
            let version = line.split(' ').nth(1).expect("a version");
            assert_eq!(version.split(['-', '+']).next(), Some(etcd), "packages of {node}");
        }
        assert_eq!(on(node, "apt-mark showhold"), "etcd-client\netcd-server\n", "holds of {node}");
    }
}

/// Every member says that it is at this version, and of a cluster at that one.
pub(crate) fn assert_members(version: &str, cluster: &str) {
    for node in ETCD {
        assert_versions(node, "/etc/etcd/pki/ca.crt", "/etc/etcd/pki/client", version, cluster);
    }
    on("etcd1", &format!("{ETCDCTL} endpoint health --cluster"));
}

/// The machine's own member says that it is at this version, and of a cluster at that one.
fn assert_versions(node: &str, authority: &str, pair: &str, version: &str, cluster: &str) {
    let files = format!("--cacert {authority} --cert {pair}.crt --key {pair}.key");
    let said = on(node, &format!("curl -s {files} https://127.0.0.1:2379/version"));
    assert_eq!(said.trim(), format!(r#"{{"etcdserver":"{version}","etcdcluster":"{cluster}"}}"#), "{node}");
}
