use jiff::Timestamp;
use proptest::prelude::*;
use semver::Version;

use super::*;
use crate::facts::Disk;
use crate::facts::{
    Alarm, EtcdFacts, EtcdMember, MachineFacts, MemberStatus, NodeFacts, PackageFacts, Seen, api, probe,
};
use crate::inventory::NodeName;

const PROBES: [&str; 3] = [
    include_str!("../../tests/fixtures/probe/control-plane.txt"),
    include_str!("../../tests/fixtures/probe/etcd.txt"),
    include_str!("../../tests/fixtures/probe/worker.txt"),
];
const API: &str = include_str!("../../tests/fixtures/probe/api.txt");

fn seen<T: std::fmt::Debug + Clone>(value: impl Strategy<Value = T> + 'static) -> impl Strategy<Value = Seen<T>> {
    prop_oneof![value.prop_map(Seen::Known), any::<String>().prop_map(Seen::Unknown)]
}

fn version() -> impl Strategy<Value = Version> {
    (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(a, b, c)| Version::new(a, b, c))
}

fn status() -> impl Strategy<Value = MemberStatus> {
    (any::<[u64; 8]>(), version(), any::<Vec<String>>(), seen(Just(()))).prop_map(|(n, version, errors, healthy)| {
        MemberStatus {
            member_id: n[0],
            version,
            db_size: n[1],
            db_in_use: n[2],
            leader: n[3],
            raft_term: n[4],
            raft_index: n[5],
            raft_applied: n[6],
            revision: n[7],
            errors,
            healthy,
        }
    })
}

fn member() -> impl Strategy<Value = EtcdMember> {
    let node = prop::option::of("[a-z]{1,5}".prop_map(|name| NodeName::new(name).unwrap()));
    (any::<u64>(), any::<String>(), any::<Vec<String>>(), any::<bool>(), node, seen(status())).prop_map(
        |(id, name, urls, learner, node, status)| EtcdMember {
            id,
            name,
            peer_urls: urls.clone(),
            client_urls: urls,
            learner,
            node,
            status,
        },
    )
}

/// Real machines, with what varies most made arbitrary.
fn machine() -> impl Strategy<Value = MachineFacts> {
    let package = (prop::option::of(any::<String>()), any::<bool>(), seen(any::<Vec<String>>()))
        .prop_map(|(installed, held, candidates)| PackageFacts { installed, held, candidates });
    let packages = prop::collection::btree_map(any::<String>(), package, 0..4);
    let kubelet = seen(prop::option::of(version()));
    (0..PROBES.len(), packages, seen(any::<i64>()), kubelet, any::<u64>(), prop::option::of(any::<String>())).prop_map(
        |(which, packages, clock_skew_ms, kubelet_running, token, lock)| {
            let machine = probe::parse(PROBES[which]).unwrap();
            MachineFacts { packages, clock_skew_ms, kubelet_running, token, lock, ..machine }
        },
    )
}

fn facts() -> impl Strategy<Value = Facts> {
    let nodes = prop::collection::vec(("[a-z][a-z0-9]{0,8}", seen(machine())), 0..4);
    let etcd =
        (any::<u64>(), prop::collection::vec(member(), 0..3), prop::collection::vec(any::<(u64, String)>(), 0..2));
    // To the microsecond; the file keeps nanoseconds.
    let time = 0i64..4_000_000_000_000_000;
    (time, any::<String>(), nodes, seen(Just(())), seen(etcd)).prop_map(|(time, cluster, nodes, api, etcd)| {
        let node = |(name, machine): (String, _)| NodeFacts { name: NodeName::new(name).unwrap(), machine };
        let asked = NodeName::new("cp1").unwrap();
        let known = |(cluster_id, members, alarms): (u64, Vec<EtcdMember>, Vec<(u64, String)>)| {
            let alarms = alarms.into_iter().map(|(member_id, kind)| Alarm { member_id, kind }).collect();
            EtcdFacts { cluster_id, members, alarms, auth: Seen::Known(false) }
        };
        Facts {
            format: FORMAT,
            taken_at: Timestamp::from_microsecond(time).unwrap(),
            cluster,
            nodes: nodes.into_iter().map(node).collect(),
            api: match api {
                Seen::Known(()) => Seen::Known(api::parse(API, asked).unwrap()),
                Seen::Unknown(why) => Seen::Unknown(why),
            },
            etcd: match etcd {
                Seen::Known(etcd) => Seen::Known(known(etcd)),
                Seen::Unknown(why) => Seen::Unknown(why),
            },
            operator_disk: Seen::Known(Disk { free_bytes: 1, total_bytes: 2 }),
        }
    })
}

fn empty() -> Facts {
    Facts {
        format: FORMAT,
        taken_at: Timestamp::UNIX_EPOCH,
        cluster: "toy".to_owned(),
        nodes: Vec::new(),
        api: Seen::Unknown("none".to_owned()),
        etcd: Seen::Unknown("none".to_owned()),
        operator_disk: Seen::Unknown("none".to_owned()),
    }
}

#[test]
fn facts_from_before_the_operators_disk_was_looked_at_are_read() {
    let json = to_json(&empty());
    let older = json.replace(",\n  \"operator_disk\": {\n    \"unknown\": \"none\"\n  }", "");
    assert_ne!(older, json);
    let read = from_json(&older).expect("facts");
    assert_eq!(read.operator_disk, Seen::Unknown("it was not looked at".to_owned()));
}

#[test]
fn df_tells_of_one_file_system() {
    let printed = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 263997120 11 236153440 12% /\n";
    let disk = Disk { total_bytes: 263_997_120 * 1024, free_bytes: 236_153_440 * 1024 };
    assert_eq!(Disk::from_df(printed), Some(disk));
    assert_eq!(Disk::from_df("df: /nowhere: No such file or directory\n"), None);
}

#[test]
fn another_format_is_named_before_anything_else_is_read() {
    let error = from_json(r#"{"format": 2, "what": "ever"}"#).unwrap_err();
    assert_eq!(error.to_string(), "these facts have format 2, and this Windlass reads format 1; take them again");
    assert!(matches!(from_json("{}"), Err(FactsError::NotFacts(_))));
    assert!(matches!(from_json("not JSON"), Err(FactsError::NotFacts(_))));
}

#[test]
fn unknown_fields_are_refused() {
    let text = to_json(&empty());
    assert_eq!(from_json(&text).unwrap(), empty());
    let more = text.replacen('{', "{\n  \"more\": 1,", 1);
    assert!(matches!(from_json(&more), Err(FactsError::Content(_))));
}

#[test]
fn what_is_saved_keeps_its_shape() {
    let text = to_json(&empty());
    assert_eq!(
        text,
        "{\n  \"format\": 1,\n  \"taken_at\": \"1970-01-01T00:00:00Z\",\n  \"cluster\": \"toy\",\n  \"nodes\": [],\n  \
         \"api\": {\n    \"unknown\": \"none\"\n  },\n  \"etcd\": {\n    \"unknown\": \"none\"\n  },\n  \
         \"operator_disk\": {\n    \"unknown\": \"none\"\n  }\n}\n"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn saved_facts_are_the_same_when_read_again(facts in facts()) {
        let text = to_json(&facts);
        prop_assert_eq!(from_json(&text).unwrap(), facts);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = from_json(&text);
    }
}
