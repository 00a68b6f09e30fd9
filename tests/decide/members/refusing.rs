//! What forbids a change of the members, in which words.

use windlass::facts::ready::{Certified, Ready};
use windlass::facts::{Alarm, Seen};

use super::super::cluster::{Cluster, name, version};
use super::{
    add, certified, cluster, etcd, plan, plan_with, planned, ready, refusals, remove, replace, silence, with_etcd4,
};
use windlass::decide::members::Wish;

type Change = fn(&mut Cluster);

/// What is seen, what is wished for, and every refusal.
fn refused() -> Vec<(&'static str, Change, Wish, Vec<&'static str>)> {
    let only_one =
        "etcd1: 3 members, 2 answer, quorum 2: without etcd1 only 1 answers of 2, and 2 make a quorum [etcd-quorum]";
    vec![
        (
            "a healthy one while another is away",
            |cluster| silence(cluster, 2),
            remove("etcd1"),
            vec![
                only_one,
                "etcd3: member etcd3 does not answer: connection refused; only the member that leaves may be away [etcd-unhealthy]",
            ],
        ),
        (
            "without a quorum",
            |cluster| {
                silence(cluster, 1);
                silence(cluster, 2);
            },
            remove("etcd3"),
            vec![
                "etcd2: member etcd2 does not answer: connection refused; only the member that leaves may be away [etcd-unhealthy]",
                "etcd3: 3 members, 1 answers, quorum 2: nothing can be changed without a quorum [etcd-quorum]",
            ],
        ),
        (
            "nobody of that name",
            |_| {},
            remove("etcd9"),
            vec!["etcd9: is no member of etcd; the members are etcd1, etcd2 and etcd3 [node-unknown]"],
        ),
        (
            "a machine that is none of etcd's",
            |_| {},
            add("w1"),
            vec!["w1: is no etcd machine of the inventory: enter it there first [node-unknown]"],
        ),
        (
            "a machine with a member on it",
            |_| {},
            add("etcd2"),
            vec![
                "etcd2: etcd runs there already, and is no member of this cluster: stop it first [etcd-members]",
                "etcd2: etcd2 is called etcd2 and has https://172.30.0.12:2380 already [etcd-members]",
                "etcd2: is the machine of another member already [etcd-members]",
            ],
        ),
        (
            "an alarm",
            |cluster| {
                let id = etcd(cluster).members[0].id;
                etcd(cluster).alarms = vec![Alarm { member_id: id, kind: "NOSPACE".to_owned() }];
            },
            remove("etcd3"),
            vec!["etcd1: has raised alarm NOSPACE: clear it first [etcd-alarm]"],
        ),
        (
            "a learner beside it",
            |cluster| etcd(cluster).members[1].learner = true,
            remove("etcd3"),
            vec!["etcd2: is a learner: promote or remove it first [etcd-learner]"],
        ),
        (
            "in the middle of an upgrade",
            |cluster| cluster.set_etcd(&name("etcd2"), &version("3.5.16")),
            remove("etcd3"),
            vec!["etcd: its members run 3.4.23 and 3.5.16: raise them all first [etcd-spread]"],
        ),
        (
            "stacked, and one of two would be the second half of a quorum before it runs",
            |cluster| {
                *cluster = Cluster::stacked();
                etcd(cluster).members.truncate(1);
            },
            add("cp2"),
            vec![
                "cp2: etcd runs there already, and is no member of this cluster: stop it first [etcd-members]",
                "cp2: has a manifest of etcd, and is no member: move it away first [etcd-members]",
                "cp2: votes as soon as it is listed, and does not run then: 2 members, 1 answers, quorum 2, and nothing could be \
                 written until it does [etcd-quorum]",
            ],
        ),
        (
            "stacked, and nobody knows where etcdctl would come from",
            |cluster| {
                *cluster = Cluster::stacked();
                let Seen::Known(pods) = &mut cluster.machine(&name("cp2")).static_pods else { panic!("pods") };
                pods.remove("etcd");
            },
            remove("cp3"),
            vec!["cp2: has no manifest of etcd, whose image has the programs that speak to it [unseen]"],
        ),
    ]
}

#[test]
fn what_must_not_be_is_refused_with_every_reason() {
    for (about, change, wish, wanted) in refused() {
        let mut cluster = cluster();
        change(&mut cluster);
        let mut said = refusals(plan(&cluster, &wish));
        said.sort();
        let mut wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
        wanted.sort();
        assert_eq!(said, wanted, "{about}");
    }
}

#[test]
fn a_member_whose_data_are_corrupt_may_be_replaced() {
    let mut cluster = cluster();
    let id = etcd(&mut cluster).members[2].id;
    etcd(&mut cluster).alarms = vec![Alarm { member_id: id, kind: "CORRUPT".to_owned() }];
    planned(&cluster, &replace("etcd3", None));
    let said = refusals(plan(&cluster, &replace("etcd2", None)));
    assert_eq!(said, ["etcd3: has raised alarm CORRUPT: clear it first [etcd-alarm]"]);
}

#[test]
fn the_new_members_certificates_have_to_be_right() {
    type Spoil = fn(&Cluster, &mut Ready);
    let cluster = with_etcd4();
    let table: [(&str, Spoil); 8] = [
        ("etcd4: /etc/etcd/pki/server.crt is for 172.30.0.13, and not for 172.30.0.14", |cluster, ready| {
            ready.certificates[1].1 = Ok(certified(cluster, &["172.30.0.13"], 365));
        }),
        ("etcd4: /etc/etcd/pki/server.crt is for nothing, and not for 172.30.0.14", |cluster, ready| {
            ready.certificates[1].1 = Ok(certified(cluster, &[], 365));
        }),
        (
            "etcd4: /etc/etcd/pki/etcd4-peer.crt: there is no certificate in it; put it there, or have it made: --ca-cert and --ca-key",
            |_, ready| {
                ready.certificates[2].1 = Err("there is no certificate in it".to_owned());
            },
        ),
        ("etcd4: /etc/etcd/pki/ca.crt is another CA than that of etcd1", |cluster, ready| {
            ready.certificates[0].1 = Ok(Certified { digest: "other".to_owned(), ..certified(cluster, &[], 3650) });
        }),
        ("etcd4: /etc/etcd/pki/server.crt ended on 2026", |cluster, ready| {
            ready.certificates[1].1 = Ok(certified(cluster, &["172.30.0.14"], -1));
        }),
        ("etcd4: /etc/etcd/pki/server.key is not the key of its certificate, or is not there", |_, ready| {
            ready.keys[0].1 = Some(false);
        }),
        ("etcd4: /etc/etcd/pki/server.crt is not signed by its CA", |_, ready| ready.signed[0].1 = Some(false)),
        ("etcd4: its systemd knows no service etcd", |_, ready| ready.service = false),
    ];
    for (wanted, spoil) in table {
        let (mut seen, model) = ready(&cluster, "etcd4", "172.30.0.14");
        let Seen::Known(ready) = &mut seen else { panic!("seen") };
        spoil(&cluster, ready);
        let said = refusals(plan_with(&cluster, &add("etcd4"), Some(&(seen, model))));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with(wanted), "{} is not {wanted}", said[0]);
    }
    let unseen = Seen::Unknown("no route to host".to_owned());
    let said = refusals(plan_with(&cluster, &add("etcd4"), Some(&(unseen.clone(), unseen))));
    assert_eq!(said, ["etcd4: its certificates could not be seen: no route to host [unseen]"]);
}
