//! The jobs that make a cluster begin, against a kubeadm of the test's own.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::job_tests::Fakes;
use super::{Script, own_text};

const TOKEN: &str = "abcdef.0123456789abcdef";
const JOINED: &str = r#"{"kind":"JoinConfiguration","token":"@TOKEN@","caCertHashes":["@HASH@"]}"#;

/// A kubeadm that keeps the configuration that it was given, and ends as the file `status` says.
const KUBEADM: &str = r#"case "$1" in
    reset) rm -rf "$WINDLASS_FROM/etc/kubernetes" ;;
    init) case "$*" in
        *certs\ ca*) mkdir -p "$WINDLASS_FROM/etc/kubernetes/pki"; [ -e "$WINDLASS_FROM/etc/kubernetes/pki/ca.crt" ] || echo 'its CA' >"$WINDLASS_FROM/etc/kubernetes/pki/ca.crt" ;;
        *preflight*--config*) exit "$(cat "$FAKES/preflight" 2>/dev/null || echo 0)" ;;
        *) cp "$WINDLASS_DIR/bootstrap/r1/kubeadm.yaml" "$FAKES/given"; exit "$(cat "$FAKES/status" 2>/dev/null || echo 0)" ;;
      esac ;;
    token) echo "kubeadm join 10.0.0.10:6443 --token abcdef.0123456789abcdef     --discovery-token-ca-cert-hash sha256:0123456789012345678901234567890123456789012345678901234567890123 " ;;
    *) cp "$3" "$FAKES/given"; exit "$(cat "$FAKES/status" 2>/dev/null || echo 0)" ;;
esac"#;

fn fakes() -> Fakes {
    Fakes::new(&[("kubeadm", KUBEADM), ("sleep", ""), ("systemctl", ""), ("journalctl", "echo 'its last words'")])
}

fn write(fakes: &Fakes, file: &str, text: &str) {
    let path = fakes.path().join(file);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, text).expect("written");
}

fn read(fakes: &Fakes, file: &str) -> String {
    std::fs::read_to_string(fakes.path().join(file)).unwrap_or_default()
}

fn mode(fakes: &Fakes, file: &str) -> u32 {
    std::fs::metadata(fakes.path().join(file)).expect("a file").permissions().mode() & 0o777
}

fn introduced(fakes: &Fakes) {
    let secret = format!(
        "token {TOKEN}\nhash sha256:00\n--- ca.crt\nTHE CA\n--- ca.key\nITS KEY\n--- ../evil\nno\n--- sa.pub\nPUBLIC\n"
    );
    write(fakes, "windlass/introductions/r1/secret", &secret);
}

fn join(fakes: &Fakes) -> (i32, String) {
    fakes.run(Script::KubeadmJoin, &[JOINED, "introductions/r1/secret", "-", "r1", "n1"])
}

#[test]
fn who_joins_leaves_no_secret_behind() {
    let fakes = fakes();
    introduced(&fakes);
    assert_eq!(join(&fakes), (0, String::new()));
    let given = r#"{"kind":"JoinConfiguration","token":"abcdef.0123456789abcdef","caCertHashes":["sha256:00"]}"#;
    assert_eq!(read(&fakes, "given").trim_end(), given);
    let calls = fakes.calls("kubeadm");
    assert!(calls.len() == 1 && !calls[0].contains(TOKEN), "no process list has it: {calls:?}");
    for (file, text, wanted) in
        [("ca.crt", "THE CA\n", 0o644), ("ca.key", "ITS KEY\n", 0o600), ("sa.pub", "PUBLIC\n", 0o644)]
    {
        let file = format!("from/etc/kubernetes/pki/{file}");
        assert_eq!((read(&fakes, &file).as_str(), mode(&fakes, &file)), (text, wanted), "{file}");
    }
    assert!(!fakes.path().join("from/etc/kubernetes/evil").exists(), "only files that are known are placed");
    let left: Vec<_> = walk(&fakes).into_iter().filter(|text| text.contains(TOKEN)).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(join(&fakes), (0, String::new()), "once it has joined it does nothing");
    assert_eq!(fakes.calls("kubeadm").len(), 1);
}

/// What is below Windlass's folder.
fn walk(fakes: &Fakes) -> Vec<String> {
    let found = Command::new("grep").args(["-r", "."]).arg(fakes.path().join("windlass")).output().expect("grep runs");
    String::from_utf8_lossy(&found.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn a_machine_of_another_cluster_is_left_alone() {
    let fakes = fakes();
    introduced(&fakes);
    write(&fakes, "from/etc/kubernetes/kubelet.conf", "another's");
    let (status, said) = join(&fakes);
    assert!(status == 75 && said.contains("belongs to a cluster already"), "{status} {said}");
    let (status, said) = fakes.run(Script::KubeadmJoin, &[JOINED, "introductions/r2/secret", "-", "r2", "n1"]);
    assert!(status == 75 && said.contains("no control plane has introduced"), "{status} {said}");
    write(&fakes, "from/etc/kubernetes/admin.conf", "another's");
    let (status, said) = fakes.run(Script::KubeadmInit, &["{}", "-", "r1"]);
    assert!(status == 75 && said.contains("there is a control plane here already"), "{status} {said}");
    assert!(fakes.calls("kubeadm").is_empty(), "{:?}", fakes.calls(""));
}

/// An authority of a cluster: its certificate, and its hash as introductions name it.
fn authority(fakes: &Fakes) -> (String, String) {
    let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj /CN=ca -out ca.pem 2>/dev/null
        openssl x509 -in ca.pem -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | cut -d' ' -f1";
    let ran = Command::new("sh").args(["-ec", script]).current_dir(fakes.path()).output().expect("openssl runs");
    (read(fakes, "ca.pem"), format!("sha256:{}", String::from_utf8_lossy(&ran.stdout).trim()))
}

fn introduced_by(fakes: &Fakes, certificate: &str, hash: &str) {
    let secret = format!("token {TOKEN}\nhash {hash}\n--- ca.crt\n{certificate}--- ca.key\nITS KEY\n");
    write(fakes, "windlass/introductions/r1/secret", &secret);
}

fn kubeconfig(certificate: &str) -> String {
    format!(
        "clusters:\n- cluster:\n    certificate-authority-data: {}\n",
        data_encoding::BASE64.encode(certificate.as_bytes())
    )
}

#[test]
fn only_what_this_run_began_is_reset_and_keys_of_an_external_etcd_stay() {
    let fakes = fakes();
    let (certificate, hash) = authority(&fakes);
    introduced_by(&fakes, &certificate, &hash);
    write(&fakes, "status", "1");
    write(&fakes, "from/etc/kubernetes/pki/apiserver-etcd-client.key", "etcd's");
    write(&fakes, "from/etc/kubernetes/pki/etcd/server.key", "a member's own");
    assert_eq!(join(&fakes).0, 1);
    assert_eq!(join(&fakes).0, 1, "a try that came to nothing is simply made again");
    assert!(fakes.calls("kubeadm reset").is_empty(), "{:?}", fakes.calls("kubeadm"));
    write(&fakes, "from/etc/kubernetes/kubelet.conf", &kubeconfig(&certificate));
    write(&fakes, "status", "0");
    assert_eq!(join(&fakes), (0, String::new()));
    assert_eq!(fakes.calls("kubeadm reset"), ["kubeadm reset --force"]);
    assert_eq!(read(&fakes, "from/etc/kubernetes/pki/apiserver-etcd-client.key"), "etcd's");
    assert_eq!(read(&fakes, "from/etc/kubernetes/pki/etcd/server.key"), "a member's own");
    assert_eq!(read(&fakes, "from/etc/kubernetes/pki/ca.crt"), certificate);
    assert!(!fakes.path().join("windlass/bootstrap/r1/pki").exists(), "a second copy of a key");
}

#[test]
fn a_machine_that_went_to_another_cluster_since_is_not_reset() {
    let fakes = fakes();
    let (other, _) = authority(&fakes);
    let (certificate, hash) = authority(&fakes);
    introduced_by(&fakes, &certificate, &hash);
    write(&fakes, "status", "1");
    assert_eq!(join(&fakes).0, 1);
    write(&fakes, "from/etc/kubernetes/kubelet.conf", &kubeconfig(&other));
    let (status, said) = join(&fakes);
    assert!(status == 75 && said.contains("belongs to another cluster by now"), "{status} {said}");
    assert!(fakes.calls("kubeadm reset").is_empty());
}

/// kubeadm deletes a member's data whether or not it could take it off the list.
#[test]
fn a_member_of_etcd_is_never_reset_by_itself() {
    let fakes = fakes();
    let kubectl = r#"#!/bin/sh
cat "$FAKES/node" 2>/dev/null"#;
    write(&fakes, "kubectl", kubectl);
    std::fs::set_permissions(fakes.path().join("kubectl"), std::fs::Permissions::from_mode(0o755)).expect("executable");
    let (certificate, hash) = authority(&fakes);
    introduced_by(&fakes, &certificate, &hash);
    write(&fakes, "status", "1");
    assert_eq!(join(&fakes).0, 1);
    write(&fakes, "from/etc/kubernetes/kubelet.conf", &kubeconfig(&certificate));
    write(&fakes, "from/etc/kubernetes/manifests/etcd.yaml", "a member");
    write(&fakes, "node", "n1   NotReady   control-plane   1m   v1.31.0   node-role.kubernetes.io/control-plane=\n");
    let (status, said) = join(&fakes);
    assert!(status == 75 && said.contains("windlass etcd member remove plan"), "{status} {said}");
    write(&fakes, "node", "n1   Ready   control-plane   1m   v1.31.0   node-role.kubernetes.io/control-plane=\n");
    assert_eq!(join(&fakes), (0, String::new()), "it had joined, and nobody was told");
    assert!(fakes.calls("kubeadm reset").is_empty());
    assert_eq!(read(&fakes, "windlass/introductions/r1/secret"), "", "nothing secret is left");
}

/// Of a worker kubeadm leaves no kubeconfig when the join breaks off there, and a certificate that its next try would not have.
#[test]
fn a_worker_that_was_half_joined_joins() {
    let fakes = fakes();
    let (certificate, hash) = authority(&fakes);
    write(&fakes, "windlass/introductions/r1/secret", &format!("token {TOKEN}\nhash {hash}\n"));
    write(&fakes, "status", "1");
    assert_eq!(join(&fakes).0, 1);
    write(&fakes, "from/etc/kubernetes/pki/ca.crt", &certificate);
    write(&fakes, "status", "0");
    assert_eq!(join(&fakes), (0, String::new()));
    assert_eq!(fakes.calls("kubeadm reset"), ["kubeadm reset --force"]);
}

#[test]
fn a_second_init_goes_on_with_what_the_first_has_made() {
    let fakes = fakes();
    let init = |fakes: &Fakes| fakes.run(Script::KubeadmInit, &["{\"run\":\"@RUN@\"}", "NumCPU", "r1"]);
    write(&fakes, "preflight", "1");
    assert_eq!(init(&fakes).0, 1);
    write(&fakes, "from/etc/kubernetes/admin.conf", "somebody's");
    assert_eq!(init(&fakes).0, 75, "a try that never passed its checks began nothing");
    std::fs::remove_file(fakes.path().join("from/etc/kubernetes/admin.conf")).expect("removed");
    write(&fakes, "preflight", "0");
    write(&fakes, "status", "1");
    assert_eq!(init(&fakes).0, 1);
    write(&fakes, "from/etc/kubernetes/admin.conf", "its own");
    write(&fakes, "status", "0");
    assert_eq!(init(&fakes), (0, String::new()));
    assert_eq!(read(&fakes, "given"), "{\"run\":\"r1\"}\n");
    let calls: Vec<String> = fakes.calls("kubeadm").into_iter().filter(|call| !call.contains("phase")).collect();
    assert!(calls.iter().all(|call| call.contains("--skip-token-print")), "{calls:?}");
    assert!(calls[0].ends_with("--ignore-preflight-errors=NumCPU"), "{calls:?}");
    let own = "--ignore-preflight-errors=NumCPU,FileAvailable--etc-kubernetes-manifests-kube-apiserver.yaml,";
    assert!(calls[1].contains(own) && calls[1].contains("DirAvailable--var-lib-etcd"), "{calls:?}");
    assert!(fakes.calls("kubeadm reset").is_empty(), "its authorities would be others");
    write(&fakes, "from/etc/kubernetes/pki/ca.crt", "another's");
    let (status, said) = init(&fakes);
    assert!(status == 75 && said.contains("is not the one that this run made"), "{status} {said}");
}

#[test]
fn an_introduction_is_printed_under_the_token_and_for_whom_it_is() {
    let fakes = fakes();
    for file in ["ca.crt", "ca.key", "sa.key", "sa.pub", "front-proxy-ca.crt", "front-proxy-ca.key", "etcd/ca.crt"] {
        write(&fakes, &format!("from/etc/kubernetes/pki/{file}"), &format!("{file}'s\n"));
    }
    let introduce = |token: &str, who: &str| {
        // The prelude sets a path of its own.
        let text = own_text(Script::Introduce).replace("PATH=/usr/local/sbin:", "PATH=$FAKES:/usr/local/sbin:");
        let mut shell = Command::new("sh");
        shell.args(["-c", &text, "windlass", token, "r1", who]).env("FAKES", fakes.path());
        shell.env("WINDLASS_ROOT", fakes.path().join("root")).env("WINDLASS_FILES", fakes.path().join("from"));
        let output = shell.output().expect("sh runs");
        (output.status.code(), String::from_utf8(output.stdout).expect("text"))
    };
    let hash = "sha256:0123456789012345678901234567890123456789012345678901234567890123";
    assert_eq!(introduce("5", "worker"), (Some(0), format!("token {TOKEN}\nhash {hash}\n")));
    let (status, printed) = introduce("5", "control-plane");
    assert_eq!(status, Some(0));
    assert!(printed.ends_with("--- front-proxy-ca.key\nfront-proxy-ca.key's\n"), "{printed}");
    assert!(printed.contains("--- ca.key\nca.key's\n") && !printed.contains("etcd"), "{printed}");
    assert_eq!(introduce("5", "control-plane-with-etcd").0, Some(6), "one that is not whole is none");
    assert_eq!(introduce("4", "worker"), (Some(3), "5\n".to_owned()), "whoever was replaced introduces nobody");
    let calls = fakes.calls("kubeadm token");
    assert!(calls.iter().all(|call| call.contains("--ttl 30m --description windlass-r1")), "{calls:?}");
}

#[test]
fn a_member_that_ends_at_once_is_not_waited_for() {
    let fakes = Fakes::new(&[
        ("systemctl", r#"case "$*" in *User*) id -un ;; is-failed*) exit "$(cat "$FAKES/failed")" ;; esac"#),
        ("journalctl", "echo 'its last words' >&2"),
        ("sleep", ""),
    ]);
    write(&fakes, "failed", "1");
    write(&fakes, "data/default/member/snap", "of the package");
    let path = |file: &str| fakes.path().join(file).to_str().expect("text").to_owned();
    let (env, data) = (path("etcd.env"), path("data/default"));
    let form = || fakes.run(Script::MemberForm, &["etcd", &env, &data, "r1", "ETCD_NAME=a"]);
    assert_eq!(form(), (0, String::new()));
    assert_eq!(read(&fakes, "etcd.env"), "# Written by windlass in run r1.\nETCD_NAME=\"a\"\n");
    assert_eq!(read(&fakes, "data/default/member.before-r1/snap"), "of the package");
    write(&fakes, "data/default/member/snap", "its own");
    write(&fakes, "failed", "0");
    let (status, said) = form();
    assert!(status == 1 && said.contains("its last words"), "{status} {said}");
    assert_eq!(read(&fakes, "data/default/member/snap"), "its own", "what is ours stays");
    write(&fakes, "failed", "1");
    for file in [
        "# Written by windlass in run r0.\n",
        "ETCD_INITIAL_CLUSTER_STATE=existing\n",
        "ETCD_INITIAL_CLUSTER=\"a=b,c=d\"\n",
    ] {
        write(&fakes, "etcd.env", file);
        let (status, said) = form();
        assert!(status == 75 && said.contains("a member of a cluster already"), "{file}: {status} {said}");
        assert_eq!(
            (read(&fakes, "etcd.env").as_str(), read(&fakes, "data/default/member/snap").as_str()),
            (file, "its own")
        );
    }
}

#[test]
fn a_runtime_that_would_do_keeps_its_configuration() {
    let fakes = Fakes::new(&[
        ("systemctl", ""),
        ("sleep", ""),
        ("ctr", "echo 'io.containerd.grpc.v1 cri linux/amd64 ok'"),
        ("containerd", "echo '  SystemdCgroup = false'"),
    ]);
    let file = "from/etc/containerd/config.toml";
    assert_eq!(fakes.run(Script::SetUpRuntime, &["-"]), (0, String::new()));
    assert_eq!(read(&fakes, file), "  SystemdCgroup = true\n");
    write(&fakes, file, "# mine\n SystemdCgroup = true\n");
    assert_eq!(fakes.run(Script::SetUpRuntime, &["-"]).0, 0);
    assert_eq!(read(&fakes, file), "# mine\n SystemdCgroup = true\n");
    write(&fakes, file, "SystemdCgroup = true\ndisabled_plugins = [\"cri\"]\n");
    assert_eq!(fakes.run(Script::SetUpRuntime, &["-"]).0, 0);
    assert_eq!(read(&fakes, file), "  SystemdCgroup = true\n", "Docker's leaves out what kubelets speak to");
    assert_eq!(fakes.run(Script::SetUpRuntime, &["version = 2"]).0, 0);
    assert_eq!(read(&fakes, file), "version = 2\n");
    assert!(
        read(&fakes, &format!("{file}.before-windlass")).contains("disabled_plugins"),
        "the first that was replaced is kept"
    );
}
