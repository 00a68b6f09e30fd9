//! Clusters that begin: from machines that have ssh, sudo and a package source to all nodes Ready, with etcd on machines of its
//! own and on the control planes. Starts from bare machines that it makes anew; leaves a cluster at 1.20.2.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::journal::id;
use super::lab::{BALANCERS, NODES, all_ready, api, kubectl, lab_ok, on};
use super::run::{Ran, Watched, folder, start, windlass};
use super::watching::away_while;

/// Where windlass is killed: what is under way then, in words of a line that it prints.
type Moment = &'static [&'static str];

const EXTERNAL: [Moment; 11] = [
    &["/fetch-packages: started unit"],
    &["/install-runtime: started unit"],
    &["> install/", "/make-certificates"],
    &["etcd/", "/form: started unit"],
    &["load-balancers/", "/set-up: started unit"],
    &["kubeadm-init: started unit"],
    &["+ first-control-plane/cp1/kubeadm-init"],
    &["join-cp2/cp2/introduce: done"],
    &["join-cp2/cp2/kubeadm-join: started unit"],
    &["workers/", "/kubeadm-join: started unit"],
    &["tokens/cp1/revoke-tokens: started unit"],
];

/// Killed in eleven places: the same command again ends with the same cluster.
pub(crate) fn an_external_etcd_and_its_cluster_begin() {
    let [certificate, key] =
        ["etcd-ca.crt", "etcd-ca.key"].map(|file| folder().join(file).to_string_lossy().into_owned());
    let made = windlass(&["certs", "authority", "--ca-cert", &certificate, "--ca-key", &key]);
    assert_eq!(made.code, 0, "{}", made.text);
    let signed = ["--etcd", "3.4.23", "--ca-cert", &certificate, "--ca-key", &key];
    let plan = planned("inventories/lab.toml", "external.json", &signed);
    let mut printed = String::new();
    let mut missed = None;
    let mut run = start(&["bootstrap", "apply", &plan, "--yes"]);
    for moment in &EXTERNAL {
        if run.until(moment).is_none() {
            missed = Some(moment);
            break;
        }
        printed += &killed(run, moment);
        if moment == &EXTERNAL[5] {
            another_operator_may_not(&plan);
        }
        run = start(&["bootstrap", "apply", &plan, "--yes"]);
    }
    let last = run.end();
    assert_eq!((last.code, missed), (0, None), "{}", last.text);
    printed += &last.text;
    stands("inventories/lab.toml", &signed, "etcd2");
    let body = key_body(&std::fs::read_to_string(&key).expect("the key"));
    for node in NODES {
        let found = on(node, &format!("grep -rlF -e '{body}' /etc /var/lib /root /home /run /tmp 2>/dev/null || true"));
        assert_eq!(found, "", "the authority's key is on {node}");
    }
    no_token_is_left(&NODES, &plan, &printed);
    a_load_balancer_may_be_lost();
}

/// How long clients may be without the API when the load balancer that they reach it through loses its power: keepalived waits
/// three advertisements and a bit, and a machine that does everything at once is slow.
const FAILS_OVER: Duration = Duration::from_secs(10);

/// A client reads on while the load balancer that has the address loses its power, and the other one keeps it afterwards.
fn a_load_balancer_may_be_lost() {
    let endpoint = api();
    let address = endpoint.split(':').next().expect("an address");
    let has = |node: &str| on(node, "ip -o addr").contains(&format!("{address}/"));
    let [holder, other] = if has(BALANCERS[0]) { BALANCERS } else { [BALANCERS[1], BALANCERS[0]] };
    assert!(has(holder) && !has(other), "one of them has the address");
    let away = away_while(|| {
        lab_ok(&["kill", holder]);
        std::thread::sleep(FAILS_OVER * 2);
    });
    println!("--- {holder} lost its power; the API was away for {:.2} s", away.as_secs_f64());
    assert!(away < FAILS_OVER && has(other), "the API was away for {away:?}");
    let back = away_while(|| {
        lab_ok(&["heal", holder]);
        std::thread::sleep(FAILS_OVER);
    });
    println!("--- {holder} came back; the API was away for {:.2} s", back.as_secs_f64());
    assert!(has(other) && !has(holder), "who has the address keeps it");
    lead_to_all();
}

/// Each load balancer leads clients to each control plane.
pub(crate) fn lead_to_all() {
    let states = "echo show servers state windlass-control-planes | socat - /run/haproxy/admin.sock";
    for node in BALANCERS {
        let states = on(node, states);
        let led: Vec<&str> = states
            .lines()
            .filter_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
                [_, _, _, name, _, "2", "0", ..] => Some(name),
                _ => None,
            })
            .collect();
        assert_eq!(led, ["cp1", "cp2", "cp3"], "{node}: {states}");
    }
}

/// In one go, with how long each stage took.
pub(crate) fn a_cluster_with_a_stacked_etcd_begins() {
    let plan = planned("inventories/lab-stacked.toml", "stacked.json", &[]);
    let began = Instant::now();
    let run = windlass(&["bootstrap", "apply", &plan, "--yes"]);
    assert_eq!(run.code, 0, "{}", run.text);
    println!("--- seven bare machines to all Ready in {:.1} s", began.elapsed().as_secs_f64());
    stands("inventories/lab-stacked.toml", &[], "cp1");
    no_token_is_left(&["cp1", "cp2", "cp3", "w1", "w2", "lb1", "lb2"], &plan, &run.text);
    let members = lab_ok(&["kubectl", "-n", "kube-system", "get", "pods", "-l", "component=etcd", "-o", "name"]);
    let members: BTreeSet<&str> = members.lines().collect();
    assert_eq!(members, BTreeSet::from(["pod/etcd-cp1", "pod/etcd-cp2", "pod/etcd-cp3"]));
}

fn planned(inventory: &str, name: &str, more: &[&str]) -> String {
    let path = folder().join(name).to_string_lossy().into_owned();
    let first = ["bootstrap", "plan", "-i", inventory, "--kubernetes", "1.20.2", "--out", &path];
    let ran = windlass(&[&first[..], more].concat());
    assert_eq!(ran.code, 0, "{}", ran.text);
    path
}

fn killed(run: Watched, moment: Moment) -> String {
    println!("--- kill -9 at `{}`", moment.join(" … "));
    let seen = run.seen.join("\n");
    run.kill();
    seen
}

/// The control planes say whose run it is, although there is no cluster yet.
fn another_operator_may_not(plan: &str) {
    let Ran { code, text, .. } = super::run::as_operator("somebody-else", &["bootstrap", "apply", plan, "--yes"]);
    assert_eq!(code, 11, "{text}");
    assert!(text.contains("from operator@"), "{text}");
}

/// All nodes are Ready, the same command plans nothing, the whole is healthy, and packages are held.
fn stands(inventory: &str, more: &[&str], member: &str) {
    all_ready();
    let first = ["bootstrap", "plan", "-i", inventory, "--kubernetes", "1.20.2"];
    let again = windlass(&[&first[..], more].concat());
    assert!(again.code == 0 && again.text.contains("Nothing to do"), "{}", again.text);
    let check = windlass(&["check", "-i", inventory]);
    assert!(check.text.contains("5 of 5 nodes Ready"), "{}", check.text);
    assert!(check.text.contains("3 of 3 members healthy"), "{}", check.text);
    assert!(!check.text.contains("critical"), "{}", check.text);
    assert_eq!(
        on("w1", "apt-mark showhold | tr '\\n' ' '").trim(),
        "containerd cri-tools kubeadm kubectl kubelet kubernetes-cni runc"
    );
    let listening = on(member, "ss -Hltn 'sport = :2379' | wc -l");
    assert_ne!(listening.trim(), "0");
    let nodes = kubectl(&["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"]);
    assert_eq!(nodes, "cp1 cp2 cp3 w1 w2");
}

/// Bootstrap tokens are taken back, and neither they nor the keys that travelled are anywhere but where they belong.
fn no_token_is_left(nodes: &[&str], plan: &str, printed: &str) {
    let secrets =
        kubectl(&["-n", "kube-system", "get", "secrets", "--field-selector", "type=bootstrap.kubernetes.io/token"]);
    assert_eq!(secrets.trim(), "", "tokens are left: {secrets}");
    let token = "[a-z0-9]{6}\\.[a-z0-9]{16}";
    let looks = |text: &str| text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).any(looks_like_a_token);
    assert!(!looks(printed), "a token was printed");
    assert!(!looks(&std::fs::read_to_string(plan).expect("the plan")), "a token is in the plan");
    let own = key_body(&on("cp1", "cat /etc/kubernetes/pki/ca.key"));
    let run = id(plan);
    for node in nodes {
        let left = format!(
            "{{ grep -rEl -e '{token}' /var/lib/windlass/runs /var/lib/windlass/bootstrap /var/lib/windlass/introductions; \
             journalctl --no-pager -u 'windlass-*' | grep -E -e '(token|key)[= ]+{token}'; \
             grep -rlF -e '{own}' /var/lib/windlass; }} 2>/dev/null || true"
        );
        assert_eq!(on(node, &left), "", "a token or a key is left on {node}");
        let open = on(node, "find /var/lib/windlass ! -type l -perm /077 -not -path '*/packages*'");
        assert_eq!(open, "", "others can read on {node}");
        let keys = on(node, "find /etc/kubernetes/pki -name '*.key' -perm /077 2>/dev/null || true");
        assert_eq!(keys, "", "keys that others can read on {node}");
        let worker = node.starts_with('w');
        let authority = on(node, "test -e /etc/kubernetes/pki/ca.key && echo there || echo none");
        assert_eq!(authority.trim() == "there", !worker && node.starts_with("cp"), "the cluster's key on {node}");
    }
    println!("--- run {run}: no token and no key on {} machines but where they belong", nodes.len());
}

fn looks_like_a_token(word: &str) -> bool {
    let lower = |part: &str| part.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase());
    word.split_once('.').is_some_and(|(id, secret)| id.len() == 6 && secret.len() == 16 && lower(id) && lower(secret))
}

/// A line of a private key.
fn key_body(pem: &str) -> String {
    pem.lines().find(|line| line.len() >= 40 && !line.starts_with("---")).expect("a key").to_owned()
}

/// How long it may take until a control plane's machine is noticed to be gone.
const NOTICED: Duration = Duration::from_secs(120);

/// A node loses its power while it joins: the run stops, and the same command goes on when it is back.
pub(crate) fn a_node_that_is_lost_while_it_joins_joins_later() {
    let plan = planned("inventories/lab-stacked.toml", "lost.json", &[]);
    let mut run = start(&["bootstrap", "apply", &plan, "--yes"]);
    assert!(run.until(&["workers/w1/kubeadm-join: started unit"]).is_some(), "w1 never joined");
    lab_ok(&["kill", "w1"]);
    let lost = Instant::now();
    let Ran { code, text, .. } = run.end();
    println!("--- w1 lost its power; noticed after {:.1} s", lost.elapsed().as_secs_f64());
    assert_eq!(code, 13, "{text}");
    assert!(lost.elapsed() < NOTICED, "{text}");
    lab_ok(&["heal", "w1"]);
    let again = windlass(&["bootstrap", "apply", &plan, "--yes"]);
    assert_eq!(again.code, 0, "{}", again.text);
    stands("inventories/lab-stacked.toml", &[], "cp1");
}
