//! The probe's script and its parser know the same sections: the script is run on this machine, which it only reads.

use std::io::Write;
use std::process::{Command, Stdio};

use windlass::facts::{Seen, probe};
use windlass::remote::{Call, Script, scripts};

/// A script as it is sent.
fn script(script: Script) -> String {
    scripts::text(&Call { script, args: Vec::new() }).into_owned()
}

fn run(text: &str, args: &[&str]) -> String {
    let mut shell = Command::new("sh")
        .args(["-s", "--"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh starts");
    shell.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("sh reads");
    let output = shell.wait_with_output().expect("sh ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_section_is_known_to_the_script() {
    let sections = "identity,packages,disks,kubelet,static-pods,containers,api-server,certificates,etcd,windlass,kept,size,etcd-pace,api-requests";
    let answer = run(&script(Script::Probe), &[sections, "no-such-package", "-", "-", "-", "-", "-", "-"]);
    assert!(!answer.contains("no such section"), "{answer}");
    let machine = probe::parse(&answer).expect("an answer");
    assert!(!machine.hostname.is_empty());
    assert!(machine.disks.contains_key("/"));
    let size = machine.measured.size.known().expect("a size");
    assert!(size.cores > 0 && size.memory_bytes > 64 << 20, "{size:?}");
    assert!(probe::clock_ms(&answer).is_some());
    if let Seen::Known(_) = machine.package_manager {
        assert_eq!(machine.packages["no-such-package"].installed, None);
    }
}

#[test]
fn an_unknown_section_is_answered_and_not_run() {
    let answer = run(&script(Script::Probe), &["windlass,$(id)", "-"]);
    assert!(answer.contains("@@ end $(id) unseen this probe knows no such section"), "{answer}");
}

#[test]
fn a_script_that_was_cut_short_runs_nothing() {
    for text in [script(Script::Probe), script(Script::Api)] {
        let body = text.rsplit_once("main \"$@\" </dev/null").expect("the last line").0;
        assert_eq!(run(body, &["identity", "-"]), "");
    }
}

/// A program that somebody else could have put there is not run to ask for its version: it would run as root.
#[test]
fn a_program_that_is_not_roots_is_not_run() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let folder = tempfile::tempdir().expect("a folder");
    let (program, ran) = (folder.path().join("etcd"), folder.path().join("ran"));
    std::fs::write(&program, format!("#!/bin/sh\n: >{}\necho etcd Version: 3.5.16\n", ran.display())).expect("written");
    let roots = std::fs::metadata(&program).expect("it is there").uid() == 0;
    for (mode, of_folder, told) in [(0o755, 0o755, roots), (0o757, 0o755, false), (0o755, 0o777, false)] {
        for (path, mode) in [(program.as_path(), mode), (folder.path(), of_folder)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("changed");
        }
        let asked = program.to_str().expect("a path");
        let text = printed(&format!("PACKAGES='{asked} etcd-server'; see_programs"), folder.path(), &[]);
        assert_eq!(text, if told { "package /etcd install installed 3.5.16\n" } else { "" }, "{mode:o} {of_folder:o}");
        assert_eq!(std::fs::remove_file(&ran).is_ok(), told, "{mode:o} {of_folder:o}");
    }
}

/// What a function of the probe's prints of the files of a folder of the test's own.
fn printed(function: &str, folder: &std::path::Path, names: &[&str]) -> String {
    let script = script(Script::Probe).replace("main \"$@\" </dev/null", function);
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

/// In etcd's own file the settings of TLS stand below headings.
#[test]
fn a_file_of_etcds_settings_is_read_with_its_headings() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "# ours\nname: 'm1'  # quoted\ndata-dir: /var/lib/etcd # bare\nclient-transport-security:\n  client-cert-auth: true\n  \
                trusted-ca-file: \"/ca.crt\"\npeer-transport-security:\n  trusted-ca-file: /peer-ca.crt\nother:\n  name: not-this\n\
                quota-backend-bytes: 1\n";
    std::fs::write(folder.path().join("etcd.yml"), text).expect("written");
    let told = printed(&format!("of_file <'{}/etcd.yml'", folder.path().display()), folder.path(), &[]);
    let wanted = "name m1\ndata-dir /var/lib/etcd\nclient-cert-auth true\ntrusted-ca-file /ca.crt\npeer-trusted-ca-file /peer-ca.crt\n\
                  quota-backend-bytes 1\n";
    assert_eq!(told, wanted);
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
    let script = script(Script::Probe)
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
    let script = script(Script::Probe).replace("main \"$@\" </dev/null", &asking);
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

/// kubeadm's manifest of a stacked member, as far as it is read.
const MANIFEST: &str = "
spec:
  containers:
  - command:
    - etcd
    - --advertise-client-urls=https://172.30.0.21:2379
    - --data-dir=/var/lib/etcd
    - --initial-advertise-peer-urls=https://172.30.0.21:2380
    - --initial-cluster=cp1=https://172.30.0.21:2380
    - --name=cp1
    image: k8s.gcr.io/etcd:3.5.16-0
  volumes:
  - hostPath:
      path: /var/lib/etcd
";

/// What a section of the probe's says on a machine with these manifests of etcd and these programs, its functions called by
/// themselves.
fn stacked(section: &str, manifests: &[&str], programs: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for manifest in manifests {
        std::fs::create_dir_all(at(manifest).parent().expect("a folder")).expect("a folder");
        std::fs::write(at(manifest), MANIFEST).expect("written");
    }
    std::fs::create_dir_all(at("bin")).expect("a folder");
    for (name, text) in programs {
        std::fs::write(at("bin").join(name), format!("#!/bin/sh\n{text}\n")).expect("written");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(at("bin").join(name), executable).expect("executable");
    }
    for tool in ["sed", "head", "ls", "tr", "awk", "sha256sum", "cut", "tail", "cat", "stat", "sort"] {
        let real = ["/usr/bin", "/bin"].map(|place| format!("{place}/{tool}"));
        let real = real.iter().find(|path| std::path::Path::new(path).exists()).expect("a tool");
        std::os::unix::fs::symlink(real, at("bin").join(tool)).expect("a link");
    }
    let ask = format!(
        "MANIFESTS={}; ETCD_SERVICE=-; answer {section} see_{}",
        at("manifests").display(),
        section.replace('-', "_")
    );
    let output = Command::new("/bin/sh")
        .args(["-c", &script(Script::Probe).replace("main \"$@\" </dev/null", &ask)])
        .env("PATH", at("bin"))
        .stdin(Stdio::null())
        .output()
        .expect("sh runs");
    String::from_utf8(output.stdout).expect("text") + "@@ done\n"
}

const NO_ETCD: (&str, &str) = ("pgrep", "exit 1");
const SYSTEMD: (&str, &str) = ("systemctl", "echo 0");
const CTR: (&str, &str) = ("ctr", r#"[ "$*" = "-n k8s.io images ls -q name==k8s.gcr.io/etcd:3.5.16-0" ] && echo it"#);

#[test]
fn a_dead_stacked_member_is_known_by_its_manifest_also_when_a_run_has_put_it_aside() {
    for manifest in ["manifests/etcd.yaml", "windlass-0123456789ab/etcd.yaml"] {
        let machine = probe::parse(&stacked("etcd", &[manifest], &[NO_ETCD, SYSTEMD])).expect("an answer");
        let Seen::Known(Some(etcd)) = machine.etcd else { panic!("{:?}", machine.etcd) };
        assert!(!etcd.running);
        assert_eq!(etcd.name, Seen::Known("cp1".to_owned()));
        assert_eq!(etcd.data_dir, Seen::Known("/var/lib/etcd".to_owned()));
        assert_eq!(etcd.settings["initial-advertise-peer-urls"], "https://172.30.0.21:2380");
        assert!(etcd.config_digest.known().is_some());
    }
    let machine = probe::parse(&stacked("etcd", &[], &[NO_ETCD, SYSTEMD])).expect("an answer");
    assert_eq!(machine.etcd, Seen::Known(None));
}

#[test]
fn what_restores_a_stacked_member_is_of_its_release_or_in_its_image() {
    let tool = |manifests: &[&str], programs: &[(&str, &str)]| {
        probe::parse(&stacked("etcd-tool", manifests, &[&[NO_ETCD], programs].concat())).expect("an answer").etcd_tool
    };
    let own = "manifests/etcd.yaml";
    let known = |seen: Seen<windlass::facts::EtcdTool>| seen.known().expect("a tool").clone();
    let etcdctl =
        |version: &str| format!("[ $1 = version ] && echo etcdctl version: {version} || echo --initial-cluster-token");
    let same = known(tool(&[own], &[("etcdctl", &etcdctl("3.5.1")), CTR]));
    assert!(same.image.is_none() && same.path.ends_with("bin/etcdctl") && !same.bumps);
    let other = known(tool(&[own], &[("etcdctl", &etcdctl("3.4.23")), CTR]));
    assert_eq!(other.image.as_deref(), Some("k8s.gcr.io/etcd:3.5.16-0"));
    assert!(other.bumps);
    assert_eq!(known(tool(&[own], &[CTR])), other);
    assert_eq!(known(tool(&["windlass-0123456789ab/etcd.yaml"], &[CTR])), other);
    let why = |seen: Seen<windlass::facts::EtcdTool>| match seen {
        Seen::Unknown(why) => why,
        Seen::Known(tool) => panic!("{tool:?}"),
    };
    assert_eq!(
        why(tool(&[own], &[])),
        "etcd does not run, and its image k8s.gcr.io/etcd:3.5.16-0 cannot be opened without ctr: install etcdctl and etcdutl of \
         3.5.16 here"
    );
    assert!(why(tool(&[own], &[("ctr", "")])).starts_with("containerd has no image k8s.gcr.io/etcd:3.5.16-0"));
    assert_eq!(why(tool(&[], &[CTR])), "neither etcdutl nor an etcdctl that restores is here");
}

/// A service that does not run, with flags on its command line, and one with a file of its own.
#[test]
fn a_dead_external_member_is_known_by_its_unit() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("etcd.yml");
    std::fs::write(
        &file,
        "name: 'filed'\ndata-dir: /srv/etcd # here\ninitial-advertise-peer-urls: https://10.0.0.2:2380\nclient-transport-security:\n  key-file: /k\n",
    )
    .expect("written");
    let seen = |flags: &str| {
        let started = format!("{{ path=/usr/bin/etcd ; argv[]=/usr/bin/etcd {flags} ; ignore_errors=no ; pid=0 }}");
        let systemctl = format!(
            "systemctl() {{ case \"$*\" in *LoadState*) echo loaded ;; *MainPID*) echo 0 ;; *ExecStart*) echo '{started}' ;; esac; }}"
        );
        let asking = format!("{systemctl}\nETCD_SERVICE=etcd ETCD_ENV_FILE=/nowhere\nanswer etcd see_etcd");
        let script = script(Script::Probe).replace("main \"$@\" </dev/null", &asking);
        let output = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).output().expect("sh runs");
        let machine =
            probe::parse(&(String::from_utf8(output.stdout).expect("text") + "@@ done\n")).expect("an answer");
        let Seen::Known(Some(etcd)) = machine.etcd else { panic!("{:?}", machine.etcd) };
        assert!(!etcd.running);
        etcd
    };
    let flags =
        seen("--name one --data-dir=/var/lib/etcd --initial-advertise-peer-urls https://10.0.0.1:2380 --wal-dir $WAL");
    assert_eq!(flags.name, Seen::Known("one".to_owned()));
    assert_eq!(flags.data_dir, Seen::Known("/var/lib/etcd".to_owned()));
    assert_eq!(flags.settings["initial-advertise-peer-urls"], "https://10.0.0.1:2380");
    assert!(!flags.settings.contains_key("wal-dir"), "what is filled in later is not known");
    let filed = seen(&format!("--name ignored --config-file {}", file.display()));
    assert_eq!(filed.name, Seen::Known("filed".to_owned()));
    assert_eq!(filed.data_dir, Seen::Known("/srv/etcd".to_owned()));
    assert_eq!(filed.settings["initial-advertise-peer-urls"], "https://10.0.0.2:2380");
    assert_eq!(filed.settings["key-file"], "/k", "below its heading");
}
