use proptest::prelude::*;

use super::*;
use crate::facts::PackageManager;

// Taken from real nodes in the middle of a climb: packages ahead of the running kubelet, etcd's members of two minors.
const CONTROL_PLANE: &str = include_str!("../../tests/fixtures/probe/control-plane.txt");
const ETCD: &str = include_str!("../../tests/fixtures/probe/etcd.txt");
const WORKER: &str = include_str!("../../tests/fixtures/probe/worker.txt");

fn section(name: &str, lines: &[&str]) -> MachineFacts {
    let lines = format!(" {}\n", lines.join("\n "));
    parse(&format!("@@ {name}\n{lines}@@ end {name} ok\n@@ done\n")).unwrap()
}

#[test]
fn a_control_plane_in_the_middle_of_an_upgrade() {
    let machine = parse(CONTROL_PLANE).unwrap();
    assert_eq!(machine.hostname, "cp1");
    let os = machine.os.known().unwrap();
    assert_eq!((os.id.as_str(), os.version.as_str()), ("debian", "12"));
    assert_eq!(machine.package_manager, Seen::Known(PackageManager::Apt));
    let kubeadm = &machine.packages["kubeadm"];
    assert_eq!((kubeadm.installed.as_deref(), kubeadm.held), (Some("1.21.14-00"), true));
    let newest_first = ["1.22.17-00", "1.21.14-00", "1.20.15-00", "1.20.2-00"].map(str::to_owned).to_vec();
    assert_eq!(kubeadm.candidates, Seen::Known(newest_first));
    assert_eq!(machine.packages["cri-tools"].installed, None);
    assert_eq!(machine.kubelet_running, Seen::Known(Some(Version::new(1, 20, 2))));
    assert_eq!(machine.api_server, Seen::Known(Some(Version::new(1, 21, 14))));
    let pods = machine.static_pods.known().unwrap();
    assert_eq!(pods["kube-scheduler"], "k8s.gcr.io/kube-scheduler:v1.21.14");
    assert_eq!(pods.len(), 3);
    assert!(machine.containers.known().unwrap().iter().any(|container| container.name == "kube-apiserver"));
    assert_eq!(machine.etcd, Seen::Known(None));
    assert_eq!((machine.token, machine.lock), (0, None));
}

#[test]
fn its_room_and_its_certificates() {
    let machine = parse(CONTROL_PLANE).unwrap();
    assert_eq!(machine.disks["/var/lib"].total_bytes, 4096 * 66_053_021);
    assert!(!machine.disks.contains_key("/var/lib/etcd"));
    let certificates = machine.certificates.known().unwrap();
    let apiserver = certificates.iter().find(|c| c.path == "/etc/kubernetes/pki/apiserver.crt").unwrap();
    assert_eq!(apiserver.not_after.to_string(), "2027-11-22T20:05:39Z");
    assert!(certificates.iter().any(|c| c.path == "/etc/kubernetes/admin.conf"));
    let authorities: Vec<&str> = certificates.iter().filter(|c| c.authority).map(|c| c.path.as_str()).collect();
    let pki =
        ["/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/etcd/ca.crt", "/etc/kubernetes/pki/front-proxy-ca.crt"];
    assert_eq!(authorities, pki);
}

#[test]
fn an_etcd_member_ahead_of_its_cluster() {
    let machine = parse(ETCD).unwrap();
    let etcd = machine.etcd.known().unwrap().as_ref().unwrap();
    assert!(etcd.running);
    assert_eq!(etcd.name, Seen::Known("etcd1".to_owned()));
    assert_eq!(etcd.data_dir, Seen::Known("/var/lib/etcd/default".to_owned()));
    assert_eq!((&etcd.heartbeat_ms, &etcd.election_ms), (&Seen::Known(250), &Seen::Known(2500)));
    assert_eq!(etcd.server_version, Seen::Known(Version::new(3, 5, 16)));
    assert_eq!(etcd.cluster_version, Seen::Known(Version::new(3, 4, 0)));
    assert_eq!(etcd.enable_v2, Seen::Known(false));
    assert_eq!(etcd.config_digest.known().unwrap().len(), 64);
    assert_eq!(machine.kubelet_running, Seen::Known(None));
    assert_eq!(machine.api_server, Seen::Known(None));
    assert!(machine.containers.known().is_none(), "no runtime is there, which is not the same as nothing running");
}

#[test]
fn a_worker_runs_no_api_server() {
    let machine = parse(WORKER).unwrap();
    assert_eq!(machine.api_server, Seen::Known(None));
    assert_eq!(machine.static_pods, Seen::Known(BTreeMap::new()));
    assert!(machine.containers.known().unwrap().iter().any(|container| container.name == "kube-proxy"));
    assert_eq!(machine.packages["kubelet"].candidates, Seen::Unknown("not asked".to_owned()));
}

#[test]
fn what_was_not_asked_or_not_seen_is_unknown() {
    let machine = parse("@@ kubelet\n@@ end kubelet unseen systemctl is not here\n@@ done\n").unwrap();
    assert_eq!(machine.kubelet_running, Seen::Unknown("systemctl is not here".to_owned()));
    assert_eq!(machine.etcd, Seen::Unknown("not asked".to_owned()));
    assert_eq!(machine.package_manager, Seen::Unknown("not asked".to_owned()));
    assert!(machine.disks.is_empty());
}

#[test]
fn a_certificate_that_cannot_be_read_is_not_passed_over() {
    let machine = section("certificates", &["certificate none /b"]);
    assert!(matches!(machine.certificates, Seen::Unknown(why) if why.starts_with("/b does not tell")));
}

#[test]
fn the_lock_is_kept_as_text_and_a_bad_token_is_an_error() {
    let machine = section("windlass", &["token 17", r#"lock {"run": "r1"}"#]);
    assert_eq!((machine.token, machine.lock.as_deref()), (17, Some(r#"{"run": "r1"}"#)));
    let bad = parse("@@ windlass\n token x\n@@ end windlass ok\n@@ done\n");
    assert_eq!(bad, Err(ProbeError::Token("x".to_owned())));
}

#[test]
fn crictl_is_read_where_there_is_no_containerd() {
    let list = r#"crictl {"containers":[{"metadata":{"name":"etcd","attempt":1},"image":{"image":"sha256:0","userSpecifiedImage":"etcd:3"}},
        {"metadata":{"name":"web"},"image":{"image":"web:1"}}]}"#;
    let machine = section("containers", &[&list.replace('\n', " ")]);
    let found = machine.containers.known().unwrap().iter().map(|c| (c.name.as_str(), c.image.as_str()));
    assert_eq!(found.collect::<Vec<_>>(), [("etcd", "etcd:3"), ("web", "web:1")]);
}

#[test]
fn the_clock_is_read_at_the_middle() {
    assert_eq!(clock_ms("@@ clock 1000\n@@ clock 3000\n@@ done\n"), Some((1000, 3000)));
    assert_eq!(clock_ms("@@ done\n"), None);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,80}") {
        let _ = (parse(&text), clock_ms(&text));
    }

    // Real lines, mangled: this reaches the readers behind the frame.
    #[test]
    fn no_mangled_answer_makes_it_panic(cuts in prop::collection::vec((0usize..20_000, "[ -~é\n]{0,12}"), 1..6)) {
        for whole in [CONTROL_PLANE, ETCD] {
            let mut text = whole.to_owned();
            for (at, new) in &cuts {
                let at = at % text.len();
                if text.is_char_boundary(at) && text.is_char_boundary((at + 3).min(text.len())) {
                    text.replace_range(at..(at + 3).min(text.len()), new);
                }
            }
            let _ = (parse(&text), clock_ms(&text));
        }
    }
}
