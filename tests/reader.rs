//! Who may only read: what `inventories/rbac` gives is what looking at the API asks for, no more and no less.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

const API: &str = include_str!("../src/remote/scripts/api.sh");
const MANIFEST: &str = include_str!("../inventories/rbac/windlass-reader.yaml");
const MAKE: &str = include_str!("../inventories/rbac/reader-kubeconfig.sh");

/// What is allowed or asked: verb, resource, and where.
type Ask = (String, String, &'static str);

fn words(list: &str) -> Vec<String> {
    list.trim_matches(['[', ']']).split(',').map(|word| word.trim().trim_matches('"').to_owned()).collect()
}

/// The rules of the manifest.
fn allowed() -> BTreeSet<Ask> {
    let mut allowed = BTreeSet::new();
    for document in MANIFEST.split("---\n") {
        let place = match () {
            () if document.contains("kind: ClusterRole\n") => "everywhere",
            () if document.contains("kind: Role\n") => "kube-system",
            () => continue,
        };
        let mut resources = Vec::new();
        for line in document.lines().map(|line| line.trim().trim_start_matches("- ")) {
            match line.split_once(": ") {
                Some(("resources" | "nonResourceURLs", list)) => resources = words(list),
                Some(("verbs", list)) => {
                    let verbs = words(list);
                    let pairs =
                        verbs.iter().flat_map(|verb| resources.iter().map(move |it| (verb.clone(), it.clone())));
                    allowed.extend(pairs.map(|(verb, resource)| (verb, resource, place)));
                }
                _ => {}
            }
        }
    }
    allowed
}

fn fake(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it may run");
}

/// What `kubectl get` with these words asks of the API: a name makes it a get, else it is a list.
fn asked(call: &str) -> Vec<Ask> {
    let words: Vec<&str> = call.split_whitespace().filter(|word| !word.starts_with("--")).collect();
    let place = if call.contains("-n kube-system") { "kube-system" } else { "everywhere" };
    let at = words.iter().position(|word| *word == "get").expect("only `get` is called");
    if call.contains("--raw") {
        return vec![("get".to_owned(), words[at + 1].to_owned(), place)];
    }
    let named = call.contains(" -- ");
    let plural = |kind: &str| if kind.ends_with('s') { kind.to_owned() } else { format!("{kind}s") };
    let verb = if named { "get" } else { "list" };
    words[at + 1].split(',').map(|kind| (verb.to_owned(), plural(kind), place)).collect()
}

#[test]
fn the_role_allows_what_is_asked_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().to_str().expect("a path");
    std::fs::write(folder.path().join("manifest"), "    - --advertise-address=10.0.0.1\n").expect("written");
    fake(folder.path(), "kubectl", &format!("{{ echo \"$KUBECONFIG $*\" | tr '\\n' ' '; echo; }} >>{at}/calls"));
    let script = API
        .replace("/etc/kubernetes/manifests/kube-apiserver.yaml", &format!("{at}/manifest"))
        .replace("PATH=/usr/local/sbin:/usr/local/bin", &format!("PATH={at}"));
    for (sections, node) in
        [("readyz,nodes,kubeadm,addons,kubelet-configs,stateful-sets", None), ("kubeadm,nodes", Some("cp1"))]
    {
        let ran = Command::new("sh")
            .args(["-c", &script, "windlass", sections, "/the/reader.conf"])
            .args(node)
            .stdin(Stdio::null())
            .output()
            .expect("sh runs");
        assert!(ran.status.success(), "{ran:?}");
    }
    let calls = std::fs::read_to_string(folder.path().join("calls")).expect("kubectl was called");
    assert!(calls.lines().all(|call| call.starts_with("/the/reader.conf ")), "{calls}");
    let asked: BTreeSet<Ask> = calls.lines().flat_map(asked).collect();
    assert_eq!(asked, allowed());
    assert!(allowed().iter().all(|(verb, what, _)| matches!(verb.as_str(), "get" | "list") && what != "secrets"));
}

#[test]
fn a_kubeconfig_is_made_that_is_closed_and_of_the_clusters_ca() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().to_str().expect("a path");
    std::fs::create_dir(folder.path().join("pki")).expect("made");
    std::fs::write(folder.path().join("admin.conf"), "  cluster:\n    server: https://10.0.0.10:6443\n")
        .expect("written");
    let sh = |text: &str| {
        let ran = Command::new("sh").args(["-ec", text]).current_dir(folder.path()).stdin(Stdio::null()).output();
        let ran = ran.expect("sh runs");
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).expect("text")
    };
    sh(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout pki/ca.key -out pki/ca.crt -days 2 -subj /CN=ca",
    );
    let said = sh(&MAKE.replace("/etc/kubernetes", at));
    assert_eq!(said, format!("{at}/windlass-reader.conf is made, for 365 days\n"));
    let conf = folder.path().join("windlass-reader.conf");
    assert_eq!(std::fs::metadata(&conf).expect("it is there").permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&conf).expect("text");
    assert!(text.contains("\n    server: https://10.0.0.10:6443\n"), "{text}");
    let subject = sh("sed -n 's/.*client-certificate-data: //p' windlass-reader.conf | base64 -d >crt
        openssl verify -purpose sslclient -CAfile pki/ca.crt crt >&2
        openssl x509 -in crt -noout -subject");
    assert_eq!(subject.trim(), "subject=CN = windlass-reader");
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").flatten().map(|it| it.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with('.')), "{left:?}");
}
