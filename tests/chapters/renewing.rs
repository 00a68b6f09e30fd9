//! Every certificate of an external etcd and its clients is renewed while a client writes, Windlass is killed on the way, and what
//! members show on the wire is another one than before; no member was restarted.

use std::time::Instant;

use super::caring::nothing_is_lost;
use super::lab::{ETCD, all_ready, on};
use super::run::{folder, start, windlass};
use super::writing::Writer;

const PLANES: [&str; 3] = ["cp1", "cp2", "cp3"];
/// Where it is killed: what is under way then.
const MOMENTS: [&[&str]; 3] = [
    &["members/", "/renew: started unit"],
    &["members/", "/renew: started unit"],
    &["cp2/restart-api-server: started unit"],
];

/// What a member shows its clients and its peers.
fn shown(node: &str) -> Vec<String> {
    let one = |port: u16| {
        on(
            node,
            &format!(
                "a=$(ss -Hltn sport = :{port} | awk \"{{ print \\$4; exit }}\"); \
             openssl s_client -connect $a </dev/null 2>/dev/null | openssl x509 -noout -serial"
            ),
        )
    };
    vec![one(2379), one(2380)]
}

fn started(node: &str) -> String {
    on(node, "systemctl show -p ActiveEnterTimestampMonotonic,NRestarts etcd")
}

fn of_api_server(node: &str) -> String {
    on(node, "openssl x509 -noout -serial -in /etc/kubernetes/pki/apiserver-etcd-client.crt")
}

pub(crate) fn certificates_are_renewed_under_a_writer() {
    let (ca, key) = ("tests/lab/.state/etcd/ca.crt", "tests/lab/.state/etcd/ca.key");
    let first = ["certs", "renew", "plan", "-i", "inventories/lab.toml", "--ca-cert", ca, "--ca-key", key];
    let (before, runs) = (ETCD.map(shown), ETCD.map(started));
    let planes = PLANES.map(of_api_server);
    let out = folder().join("renew.json").to_string_lossy().into_owned();
    let planned = windlass(&[&first[..], &["--all", "--out", &out]].concat());
    assert_eq!(planned.code, 0, "{}", planned.text);
    let writer = Writer::start();
    let began = Instant::now();
    let apply = ["certs", "renew", "apply", &out, "--yes"];
    let mut run = start(&apply);
    for moment in MOMENTS {
        assert!(run.until(moment).is_some(), "never came to {moment:?}");
        println!("--- kill -9 at `{}`", moment.join(" … "));
        run.kill();
        run = start(&apply);
    }
    let last = run.end();
    assert_eq!(last.code, 0, "{}", last.text);
    println!("--- 12 certificates renewed in {:.1} s, killed {} times", began.elapsed().as_secs_f64(), MOMENTS.len());
    nothing_is_lost("certificates renewed", &writer.finish());
    let after = ETCD.map(shown);
    for (node, (before, after)) in ETCD.iter().zip(before.iter().zip(&after)) {
        let pair = before.iter().zip(after);
        assert!(
            pair.into_iter().all(|(before, after)| after.starts_with("serial=") && before != after),
            "{node}: {before:?} {after:?}"
        );
    }
    assert_eq!(ETCD.map(started), runs, "no member was restarted");
    assert!(PLANES.map(of_api_server).iter().zip(&planes).all(|(after, before)| after != before));
    all_ready();
    let keys = on("etcd1", "find /var/lib/windlass -name sent.pem; find /etc/etcd/pki -name \"*.key\" -perm /007");
    assert_eq!(keys, "", "a key is where it should not be");
    let again = windlass(&first);
    assert!(again.code == 0 && again.text.contains("Nothing to do"), "{}", again.text);
    let finished = windlass(&["certs", "renew", "finish", &out]);
    assert_eq!(finished.code, 0, "{}", finished.text);
    assert_eq!(on("etcd2", "find /var/lib/windlass -path \"*former*\""), "", "former keys are taken away");
}
