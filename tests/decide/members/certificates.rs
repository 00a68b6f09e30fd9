//! Certificates that are made for a member that joins.

use super::*;
use windlass::decide::actions::certificates::{Certificate, SendCertificates, Usage};

fn authority(digest: &str) -> Authority {
    Authority {
        certificate: "/home/ann/ca.crt".to_owned(),
        key: "/home/ann/ca.key".to_owned(),
        digest: digest.to_owned(),
    }
}

/// SHA-256 of the running members' CA.
const DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A machine with nothing but the service, beside a member with its CA.
fn bare(cluster: &Cluster) -> (Seen<Ready>, Seen<Ready>) {
    let ca = Certified { digest: DIGEST.to_owned(), ..certified(cluster, &[], 3650) };
    let model = Ready { certificates: vec![("/etc/etcd/pki/ca.crt".to_owned(), Ok(ca))], ..Ready::default() };
    (Seen::Known(Ready { service: true, ..Ready::default() }), Seen::Known(model))
}

#[test]
fn they_are_made_for_its_address_before_it_is_added() {
    let cluster = with_etcd4();
    let plan = plan_signed(&cluster, &add("etcd4"), Some(&bare(&cluster)), Some(&authority(DIGEST)));
    let plan = plan.unwrap_or_else(|found| panic!("{}", windlass::report::findings(&found)));
    let wanted = [
        "archive etcd1 etcd2 etcd3 etcd4",
        "snapshot-etcd -",
        "certificates etcd4",
        "add etcd1",
        "join etcd4",
        "promote etcd1",
        "write etcd1 etcd2 etcd3",
    ];
    assert_eq!(order(&plan), wanted);
    let made = plan.placed().find_map(|placed| match &placed.step.action {
        Action::SendCertificates(SendCertificates { order }) => Some(order.clone()),
        _ => None,
    });
    let made = made.expect("they are made");
    let pair = |name: &str, file: &str, usage, hosts: &[&str]| Certificate {
        name: name.to_owned(),
        organization: None,
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        usage,
        certificate: format!("/etc/etcd/pki/{file}.crt"),
        key: format!("/etc/etcd/pki/{file}.key"),
    };
    let hosts = ["172.30.0.14", "etcd4", "127.0.0.1", "localhost", "::1"];
    let wanted = [
        pair("etcd4", "server", Usage::Member, &hosts),
        pair("etcd4", "etcd4-peer", Usage::Member, &hosts),
        pair("etcd4-client", "client", Usage::Client, &[]),
    ];
    assert_eq!(
        (made.authorities.as_slice(), made.certificates.as_slice()),
        (&["/etc/etcd/pki/ca.crt".to_owned()][..], &wanted[..])
    );
    let sent = format!("certificates/{}/sent.pem", plan.id);
    assert_eq!(job(&plan, "place"), [vec![sent, "etcd".to_owned()], made.files()].concat());
    // What is replaced there is archived before.
    let archived = plan.placed().find(|placed| placed.node == Some(&name("etcd4"))).expect("its archive");
    let Action::ArchiveNode(archive) = &archived.step.action else { panic!("{archived:?}") };
    assert!(made.files().iter().all(|file| archive.paths.contains(file)), "{archive:?}");
    assert_eq!(Plan::from_json(&plan.to_json()).expect("it reads as it was written"), plan);
}

/// What the running members ask of certificates, and what cannot be met.
#[test]
fn they_are_as_the_running_members_ask_and_what_cannot_be_is_refused() {
    let set = |flag: &str, value: &str| {
        let mut cluster = with_etcd4();
        let Seen::Known(Some(process)) = &mut cluster.machine(&name("etcd1")).etcd else { panic!("it runs") };
        process.settings.insert(flag.to_owned(), value.to_owned());
        let plan = plan_signed(&cluster, &add("etcd4"), Some(&bare(&cluster)), Some(&authority(DIGEST)));
        (cluster, plan)
    };
    let (_, plan) = set("peer-cert-allowed-cn", "etcd-peer");
    let named = |plan: &Plan| -> Vec<String> {
        let made = plan.placed().find_map(|placed| match &placed.step.action {
            Action::SendCertificates(SendCertificates { order }) => Some(order.certificates.clone()),
            _ => None,
        });
        made.expect("they are made").into_iter().map(|made| made.name).collect()
    };
    assert_eq!(named(&plan.expect("a plan")), ["etcd4", "etcd-peer", "etcd4-client"]);
    let (_, plan) = set("cipher-suites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    let why = "etcd4: the members' cipher-suites have none for ECDSA, which is what is made: make RSA ones yourself [certificate]";
    assert_eq!(refusals(plan), [why]);
    let (_, plan) = set("peer-key-file", "/etc/etcd/pki/server.key");
    let why = "etcd4: /etc/etcd/pki/server.key would be the file of two certificates or keys: make them yourself [certificate]";
    assert_eq!(refusals(plan), [why]);
    let cluster = with_etcd4();
    let (own, model) = bare(&cluster);
    let Seen::Known(mut model) = model else { panic!("it was seen") };
    model.several.push("/etc/etcd/pki/ca.crt".to_owned());
    let seen = (own, Seen::Known(model));
    let why =
        "etcd4: /etc/etcd/pki/ca.crt of etcd1 holds several certificates, and the new one would hold one [certificate]";
    assert_eq!(refusals(plan_signed(&cluster, &add("etcd4"), Some(&seen), Some(&authority(DIGEST)))), [why]);
}

/// Its machine asks the others with them whether the former member is gone.
#[test]
fn they_are_there_before_the_former_member_of_the_machine_is_retired() {
    let mut cluster = cluster();
    silence(&mut cluster, 2);
    let plan = plan_signed(&cluster, &replace("etcd3", None), Some(&bare(&cluster)), Some(&authority(DIGEST)));
    let plan = plan.unwrap_or_else(|found| panic!("{}", windlass::report::findings(&found)));
    let wanted = [
        "archive etcd1 etcd2 etcd3",
        "snapshot-etcd -",
        "certificates etcd3",
        "remove etcd1",
        "retire etcd3",
        "add etcd1",
    ];
    assert_eq!(order(&plan)[..6], wanted);
}

#[test]
fn another_authority_is_refused_and_so_is_one_for_a_stacked_member() {
    let cluster = with_etcd4();
    let other = authority(&DIGEST.replace('0', "1"));
    let found = refusals(plan_signed(&cluster, &add("etcd4"), Some(&bare(&cluster)), Some(&other)));
    assert_eq!(found, ["etcd4: /home/ann/ca.crt is another CA than /etc/etcd/pki/ca.crt of etcd1 [certificate]"]);
    let mut cluster = Cluster::stacked();
    silence(&mut cluster, 2);
    let ready = ready(&cluster, "cp3", "172.30.0.23");
    let found = refusals(plan_signed(&cluster, &replace("cp3", None), Some(&ready), Some(&authority(DIGEST))));
    let wanted =
        "cp3: kubeadm makes the certificates of a stacked member: leave --ca-cert and --ca-key out [certificate]";
    assert_eq!(found, [wanted]);
}

#[test]
fn a_plan_that_puts_them_elsewhere_is_no_plan_of_ours() {
    let cluster = with_etcd4();
    let plan = plan_signed(&cluster, &add("etcd4"), Some(&bare(&cluster)), Some(&authority(DIGEST))).expect("a plan");
    let bent = |bend: &dyn Fn(&mut Plan)| {
        let mut plan = plan.clone();
        bend(&mut plan);
        windlass::decide::checker::check(&plan.sealed()).into_iter().map(|breach| breach.detail).collect::<Vec<_>>()
    };
    let stage = plan.stages.iter().position(|stage| stage.name == "certificates").expect("it is there");
    let on = |plan: &mut Plan| plan.stages[stage].waves[0].lanes[0].node = Some(name("etcd1"));
    let found = bent(&on);
    assert!(found.iter().any(|it| it.contains("it puts certificates where no member is about to join")), "{found:?}");
    let late = |plan: &mut Plan| plan.stages.swap(stage, stage + 2);
    let found = bent(&late);
    assert!(found.iter().any(|it| it.contains("it puts certificates where no member is about to join")), "{found:?}");
    let relative = plan.to_json().replace("/home/ann/ca.key", "ca.key");
    assert!(Plan::from_json(&relative).is_err());
}
