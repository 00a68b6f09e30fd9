//! The probe's script and its parser know the same sections: the script is run on this machine, which it only reads.

use std::io::Write;
use std::process::{Command, Stdio};

use windlass::facts::{Seen, probe};

const PROBE: &str = concat!(
    include_str!("../src/remote/scripts/probe-own.part.sh"),
    include_str!("../src/remote/scripts/kept.part.sh"),
    include_str!("../src/remote/scripts/probe.sh")
);
const API: &str = include_str!("../src/remote/scripts/api.sh");

fn run(script: &str, args: &[&str]) -> String {
    let mut shell = Command::new("sh")
        .args(["-s", "--"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh starts");
    shell.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("sh reads");
    let output = shell.wait_with_output().expect("sh ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_section_is_known_to_the_script() {
    let sections = "identity,packages,disks,kubelet,static-pods,containers,api-server,certificates,etcd,windlass,kept";
    let answer = run(PROBE, &[sections, "no-such-package", "-", "-", "-", "-", "-", "-"]);
    assert!(!answer.contains("no such section"), "{answer}");
    let machine = probe::parse(&answer).expect("an answer");
    assert!(!machine.hostname.is_empty());
    assert!(machine.disks.contains_key("/"));
    assert!(probe::clock_ms(&answer).is_some());
    if let Seen::Known(_) = machine.package_manager {
        assert_eq!(machine.packages["no-such-package"].installed, None);
    }
}

#[test]
fn an_unknown_section_is_answered_and_not_run() {
    let answer = run(PROBE, &["windlass,$(id)", "-"]);
    assert!(answer.contains("@@ end $(id) unseen this probe knows no such section"), "{answer}");
}

#[test]
fn a_script_that_was_cut_short_runs_nothing() {
    for script in [PROBE, API] {
        let body = script.rsplit_once("main \"$@\" </dev/null").expect("the last line").0;
        assert_eq!(run(body, &["identity", "-"]), "");
    }
}

/// What a function of the probe's prints of the files of a folder of the test's own.
fn printed(function: &str, folder: &std::path::Path, names: &[&str]) -> String {
    let script = PROBE.replace("main \"$@\" </dev/null", function);
    let paths: Vec<_> = names.iter().map(|name| folder.join(name).display().to_string()).collect();
    let mut shell = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let shell = shell.as_mut().expect("sh starts");
    shell.stdin.take().expect("a pipe").write_all(format!("{}\n", paths.join("\n")).as_bytes()).expect("sh reads");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut shell.stdout.take().expect("a pipe"), &mut text).expect("text");
    assert!(shell.wait().expect("sh ends").success());
    text.replace(folder.to_str().expect("a path"), "")
}

#[test]
fn keys_beside_certificates_stay_where_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\r\nBB==\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN EC PRIVATE KEY-----\nSECRET\n-----END EC PRIVATE KEY-----\n";
    put("after.pem", &format!("{key}{certificate}"));
    put("before.pem", &format!("{certificate}{key}{certificate}"));
    put("key.crt", key);
    put("unended.crt", &format!("-----BEGIN CERTIFICATE-----\nAAAA\n{key}"));
    put("empty.crt", "");
    put("a b.conf", "users:\n- user:\n    client-certificate-data: QUJD\n    client-key-data: SECRET\n");
    put("token.conf", "users:\n- user:\n    token: SECRET\n");
    let names =
        ["after.pem", "before.pem", "key.crt", "unended.crt", "empty.crt", "gone.crt", "a b.conf", "token.conf"];
    let wanted = "certificate AAAABB== /after.pem\ncertificate AAAABB== /before.pem\ncertificate none /key.crt\n\
        certificate none /unended.crt\ncertificate none /empty.crt\ncertificate none /gone.crt\n\
        kubeconfig QUJD /a b.conf\nkubeconfig none /token.conf\n";
    assert_eq!(printed("certificates", folder.path(), &names), wanted);
}

/// A control plane's files, each with a secret beside what the probe is after.
const PLANTED: &[(&str, &str)] = &[
    (
        "etc/kubernetes/admin.conf",
        "users:\n- user:\n    client-certificate-data: QUJD\n    client-key-data: SECRET-admin\n",
    ),
    ("etc/kubernetes/bootstrap-kubelet.conf", "users:\n- user:\n    token: SECRET-bootstrap.0123456789abcdef\n"),
    (
        "etc/kubernetes/encryption.yaml",
        "providers:\n- aescbc:\n    keys:\n    - {name: a, secret: SECRET-encryption}\n",
    ),
    ("etc/kubernetes/pki/ca.key", "-----BEGIN PRIVATE KEY-----\nSECRET-ca\n-----END PRIVATE KEY-----\n"),
    ("etc/kubernetes/pki/sa.key", "-----BEGIN RSA PRIVATE KEY-----\nSECRET-sa\n-----END RSA PRIVATE KEY-----\n"),
    (
        "etc/kubernetes/pki/apiserver.crt",
        "SECRET-before\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\nSECRET-after\n",
    ),
    (
        "etc/kubernetes/manifests/kube-apiserver.yaml",
        "    - --advertise-address=127.0.0.1\n    - --secure-port=1\n    - --token-auth-file=/x?SECRET-flag\n    env:\n    - name: P\n      value: SECRET-env\n    image: registry/kube-apiserver:v1.21.14\n",
    ),
    (
        "etc/kubernetes/manifests/etcd.yaml",
        "    - --name=one\n    - --initial-cluster-token=SECRET-cluster\n    image: registry/etcd:3.4.13-0\n",
    ),
    (
        "etc/default/etcd",
        "ETCD_NAME=one\nETCD_INITIAL_CLUSTER_TOKEN=SECRET-token\nETCD_DISCOVERY_SRV=SECRET-srv\nPASSWORD=SECRET-password\n",
    ),
    (
        "var/lib/kubelet/pki/kubelet-client-current.pem",
        "-----BEGIN EC PRIVATE KEY-----\nSECRET-kubelet\n-----END EC PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ),
    ("var/lib/kubelet/config.yaml", "staticPodURLHeader:\n  Authorization: [SECRET-header]\n"),
];

#[test]
fn a_machine_full_of_secrets_tells_none() {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in PLANTED {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let at = folder.path().to_str().expect("a path");
    let script = PROBE
        .replace("/etc/kubernetes", &format!("{at}/etc/kubernetes"))
        .replace("/var/lib/kubelet", &format!("{at}/var/lib/kubelet"));
    let sections = "identity,packages,disks,kubelet,static-pods,containers,api-server,certificates,etcd,windlass";
    let (env, ca) = (format!("{at}/etc/default/etcd"), format!("{at}/etc/kubernetes/pki/apiserver.crt"));
    let key = format!("{at}/etc/kubernetes/pki/ca.key");
    for service in ["-", "no-such-etcd"] {
        let answer = run(&script, &[sections, "kubelet", service, &env, &ca, &ca, &key, "1"]);
        assert!(answer.contains("registry/kube-apiserver:v1.21.14") && answer.contains("kubeconfig QUJD"), "{answer}");
        assert!(answer.contains("certificate AAAA"), "{answer}");
        let told: Vec<_> = answer.lines().filter(|line| line.contains("SECRET")).collect();
        assert!(told.is_empty(), "{told:?}");
    }
}

#[test]
fn an_address_that_etcd_gives_cannot_be_an_option() {
    let settings = "set advertise-client-urls -K/tmp/x,-o/etc/cron.d/x,file:///etc/shadow,https://10.0.0.1:2379,https://[::1]:2379";
    let asking = format!(
        "curl() {{ echo \"$*\" >>\"$CALLS\"; return 7; }}\nsettings='{settings}' ETCD_CA=- ETCD_PORT=2379\netcd_version"
    );
    let script = PROBE.replace("main \"$@\" </dev/null", &asking);
    let calls = tempfile::NamedTempFile::new().expect("a file");
    let ran = Command::new("sh").args(["-c", &script]).env("CALLS", calls.path()).output();
    assert!(ran.expect("sh runs").status.success());
    let calls = std::fs::read_to_string(calls.path()).expect("text");
    let asked: Vec<_> = calls.lines().map(|line| line.split_whitespace().rev().nth(1).unwrap_or_default()).collect();
    assert_eq!(asked, ["http://127.0.0.1:2379/version", "https://10.0.0.1:2379/version", "https://[::1]:2379/version"]);
}

#[test]
fn sandboxes_are_no_containers() {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    let cri = |key: &str, value: &str| format!("\"io.kubernetes.cri.{key}\":\"{value}\"");
    let annotations =
        [cri("container-name", "etcd"), cri("container-type", "container"), cri("image-name", "reg:5/etcd:3")];
    put("container", &format!("{{\"process\":{{\"env\":[\"A=b\"]}},\"annotations\":{{{}}}}}\n", annotations.join(",")));
    put("sandbox", &format!("{{\"annotations\":{{{}}}}}", cri("container-type", "sandbox")));
    assert_eq!(printed("annotated", folder.path(), &["sandbox", "container", "gone"]), "container etcd reg:5/etcd:3\n");
}
