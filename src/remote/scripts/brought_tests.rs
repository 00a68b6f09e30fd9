//! The jobs in which kubeadm raises a control plane with its stacked member: which etcd it may bring, and what is refused before
//! it has been called.

use super::Script;
use super::job_tests::{Fakes, etcdctl, says};

const GUARD: &str = "etcd;-;/ca;/cert;/key;https://own:2379;https://other:2379";

/// A node whose kubeadm brings this etcd; its member leads, or another does.
fn node(brings: &str, leader: u64) -> Fakes {
    let kubeadm = format!(
        r#"case "$*" in
            *'images list'*) printf '%s\n' k8s.gcr.io/kube-apiserver:v1.22.17 {brings} k8s.gcr.io/pause:3.5 ;;
        esac"#
    );
    Fakes::new(&[
        ("kubeadm", &kubeadm),
        ("etcdctl", &etcdctl(&says(41, leader), &says(42, leader))),
        ("systemctl", ""),
        ("kubectl", ""),
        ("crictl", ""),
        ("dpkg-query", "printf 1.22.17-00"),
    ])
}

const ETCD: &str = "k8s.gcr.io/etcd:3.5.16-0";

fn apply(fakes: &Fakes, [now, pinned, first]: [&str; 3]) -> (i32, String) {
    fakes.run(Script::KubeadmApply, &["v1.22.17", "-", GUARD, now, pinned, first])
}

#[test]
fn only_an_etcd_that_may_come_lets_kubeadm_begin() {
    let table = [
        // What it brings, what is there, what kubeadm-config asks for, what may come, and whether it may.
        (ETCD, "3.4.13-0", "-", "3.4.13,3.5.3", true),
        (ETCD, "3.5.16-0", "-", "-", true),
        (ETCD, "3.5.16-0", "-", "3.6.0", true),
        (ETCD, "3.4.13-0", "-", "3.5.16", true),
        (ETCD, "3.4.13-0", "-", "3.5.17", false),
        (ETCD, "3.4.13-0", "-", "3.4.13", false),
        (ETCD, "3.4.13-0", "-", "3.15.3", false),
        (ETCD, "3.5.24-0", "-", "3.5.24,3.6.0", false),
        (ETCD, "3.4.13-0", "-", "-", false),
        ("mirror.example:5000/k8s/etcd:v3.5.16", "3.4.13-0", "-", "3.5.3", true),
        ("k8s.gcr.io/etcd:3.5.x", "3.4.13-0", "-", "3.5.3", false),
        ("k8s.gcr.io/coredns:1.7.0", "3.4.13-0", "-", "3.5.3", false),
        // kubeadm-config's word goes before its own.
        (ETCD, "3.4.13-0", "3.4.13-0", "3.4.13", true),
        (ETCD, "3.4.13-0", "3.6.4-0", "3.4.13,3.5.3", false),
    ];
    for (brings, now, pinned, first, may) in table {
        let fakes = node(brings, 42);
        let (status, said) = apply(&fakes, [now, pinned, first]);
        let began = fakes.calls("kubeadm upgrade");
        let what = format!("{brings} for {now}, {pinned}, {first}: {status} {said}");
        assert_eq!((status, began.len()), if may { (0, 1) } else { (75, 0) }, "{what}");
        assert!(may || said.contains("nothing was changed"), "{what}");
    }
}

#[test]
fn a_refusal_says_what_comes_what_may_come_and_what_to_do() {
    let (_, said) = apply(&node("k8s.gcr.io/etcd:3.6.4-0", 42), ["3.4.13-0", "-", "3.4.13,3.5.3"]);
    let wanted = "refused: kubeadm brings etcd 3.6.4-0, and the member here, at 3.4.13-0, may only stay, to 3.4.13 or a later one of \
                  3.4, to 3.5.3 or a later one of 3.5; nothing was changed; to have another etcd brought, set etcd.local.imageTag \
                  in kubeadm-config, and plan again\n";
    assert_eq!(said, wanted);
}

#[test]
fn a_member_that_leads_keeps_kubeadm_and_the_kubelet_away() {
    let leads = node(ETCD, 41);
    let (status, said) = apply(&leads, ["3.4.13-0", "-", "3.5.3"]);
    assert!(status == 75 && said.contains("this member leads etcd"), "{status} {said}");
    let args = ["v1.22.17", "-", GUARD, "3.4.13-0", "-", "3.5.3"];
    assert_eq!(leads.run(Script::KubeadmNode, &args).0, 75);
    assert_eq!(leads.run(Script::KubeletRestart, &[GUARD]).0, 75);
    assert!(leads.calls("kubeadm upgrade").is_empty() && leads.calls("systemctl").is_empty());

    let follows = node(ETCD, 42);
    assert_eq!(follows.run(Script::KubeadmNode, &args), (0, String::new()));
    assert_eq!(follows.run(Script::KubeletRestart, &[GUARD]), (0, String::new()));
    assert_eq!(follows.calls("kubeadm upgrade"), ["kubeadm upgrade node"]);
    assert_eq!(follows.calls("systemctl"), ["systemctl daemon-reload", "systemctl restart kubelet"]);
}

/// Its package may restart the kubelet, and no service is the member's.
#[test]
fn the_kubelets_package_is_guarded_and_restarts_no_service() {
    let packages = ["kubelet", "kubelet=1.22.17-00"];
    let install = |leader: u64| {
        let etcdctl = etcdctl(&says(41, leader), &says(42, leader));
        let fakes =
            Fakes::new(&[("etcdctl", &etcdctl), ("apt-get", ""), ("apt-mark", ""), ("dpkg", ""), ("systemctl", "")]);
        let status = fakes.run(Script::InstallPackages, &[&[GUARD], &packages[..]].concat()).0;
        (status, fakes.calls("apt-get").len(), fakes.calls("systemctl"))
    };
    assert_eq!(install(41), (75, 0, Vec::new()));
    assert_eq!(install(42), (0, 3, Vec::new()), "looked at, downloaded, installed");
}

#[test]
fn where_nothing_is_said_of_etcd_nobody_is_asked() {
    let fakes = node(ETCD, 41);
    let none = ["-", "-", "-", "-"];
    assert_eq!(fakes.run(Script::KubeadmApply, &[&["v1.22.17", "a,b"], &none[..]].concat()), (0, String::new()));
    assert_eq!(fakes.run(Script::KubeadmNode, &[&["v1.22.17", "-"], &none[..]].concat()), (0, String::new()));
    assert_eq!(fakes.run(Script::KubeletRestart, &["-"]), (0, String::new()));
    let wanted = ["kubeadm upgrade apply v1.22.17 --yes --ignore-preflight-errors=a,b", "kubeadm upgrade node"];
    assert_eq!(fakes.calls("kubeadm"), wanted);
    assert!(fakes.calls("etcdctl").is_empty());
}

#[test]
fn images_are_not_pulled_when_the_etcd_among_them_may_not_come() {
    let pull = |fakes: &Fakes, etcd: [&str; 3]| {
        let status = fakes.run(Script::PullImages, &[&["v1.22.17", "1.22.17-00", "all"], &etcd[..]].concat()).0;
        let asked = fakes.calls("crictl").into_iter().filter(|call| call.contains("/etcd:")).collect::<Vec<_>>();
        (status, fakes.calls("crictl").len(), asked)
    };
    assert_eq!(pull(&node(ETCD, 42), ["3.4.13-0", "-", "3.4.13"]), (75, 0, Vec::new()));
    let there = |tag: &str| vec![format!("crictl inspecti -q k8s.gcr.io/etcd:{tag}")];
    assert_eq!(pull(&node(ETCD, 42), ["3.4.13-0", "-", "3.5.3"]), (0, 3, there("3.5.16-0")));
    assert_eq!(pull(&node(ETCD, 42), ["3.4.13-0", "3.4.13-0", "-"]), (0, 3, there("3.4.13-0")), "the pinned one");
}
