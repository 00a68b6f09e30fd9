use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use semver::Version;

use super::fake::{FakeClock, FakeRemote};
use super::*;
use crate::facts::MemberStatus;
use crate::inventory::{ADMIN_KUBECONFIG, Address, Api, Bootstrap, Etcd, Kubeadm, LoadBalancer, Ssh};
use crate::remote::{ListedMember, MemberList};

const CP1: &str = include_str!("../../tests/fixtures/probe/control-plane.txt");
const ETCD1: &str = include_str!("../../tests/fixtures/probe/etcd.txt");
const API: &str = include_str!("../../tests/fixtures/probe/api.txt");

fn inventory() -> Inventory {
    let node = |name: &str, role| Node {
        name: NodeName::new(name).unwrap(),
        address: Address::new(name).unwrap(),
        roles: BTreeSet::from([role]),
        labels: BTreeMap::new(),
    };
    Inventory {
        name: "toy".to_owned(),
        ssh: Ssh {
            user: None,
            port: 22,
            identity: None,
            config: None,
            known_hosts: None,
            jump: None,
            connect_timeout: Duration::from_secs(5),
            keepalive: Duration::from_secs(5),
            sudo: true,
            strict_host_keys: true,
        },
        api: Api::default(),
        load_balancer: LoadBalancer::default(),
        etcd: Etcd {
            topology: Topology::External,
            service: "etcd".to_owned(),
            package: "etcd-server".to_owned(),
            client_package: Some("etcd-client".to_owned()),
            ca: "/pki/ca.crt".into(),
            cert: "/pki/client.crt".into(),
            key: "/pki/client.key".into(),
            env_file: "/etc/default/etcd".into(),
            client_port: 2379,
        },
        kubeadm: Kubeadm::default(),
        bootstrap: Bootstrap::default(),
        nodes: vec![
            node("etcd1", Role::Etcd),
            node("etcd2", Role::Etcd),
            node("cp1", Role::ControlPlane),
            node("cp2", Role::ControlPlane),
            node("cp3", Role::ControlPlane),
            node("w1", Role::Worker),
        ],
    }
}

fn status(member_id: u64) -> MemberStatus {
    MemberStatus {
        member_id,
        version: Version::new(3, 4, 23),
        db_size: 1,
        db_in_use: 1,
        leader: 1,
        raft_term: 1,
        raft_index: 1,
        raft_applied: 1,
        revision: 1,
        errors: Vec::new(),
        healthy: Seen::Known(()),
    }
}

fn listed(id: u64, name: &str) -> ListedMember {
    ListedMember { id, name: name.to_owned(), peer_urls: Vec::new(), client_urls: Vec::new(), learner: false }
}

/// cp1's API server is not ready; cp2's answers the probe but no call; cp3's answers; w1 asks sudo for a password;
/// etcd1 is down.
fn remote() -> FakeRemote {
    let unready = CP1.replace("@@ end api-server ok", " unready etcd failed\n@@ end api-server ok");
    FakeRemote {
        probes: BTreeMap::from([
            ("cp1", unready),
            ("cp2", CP1.to_owned()),
            ("cp3", CP1.to_owned()),
            ("w1", "status 1".to_owned()),
            ("etcd2", ETCD1.to_owned()),
        ]),
        apis: BTreeMap::from([
            ("cp1", "@@ readyz\n@@ end readyz unseen etcd failed\n@@ done\n".to_owned()),
            ("cp3", API.to_owned()),
        ]),
        lists: BTreeMap::from([(
            "etcd2",
            MemberList {
                cluster_id: 7,
                members: vec![listed(22, "etcd2"), listed(11, "etcd1")],
                alarms: Vec::new(),
                auth: Seen::Known(false),
            },
        )]),
        statuses: BTreeMap::from([("etcd2", status(22))]),
        ..FakeRemote::default()
    }
}

async fn look(remote: &FakeRemote) -> Facts {
    let inventory = inventory();
    let clock = FakeClock(AtomicI64::new(1_795_376_000_000));
    observe(remote, &clock, &inventory, &Ask::about(&inventory, false)).await
}

fn unknown<T>(seen: &Seen<T>) -> &str {
    match seen {
        Seen::Unknown(why) => why,
        Seen::Known(_) => panic!("it was seen"),
    }
}

#[tokio::test]
async fn every_machine_is_asked_once_and_stays_in_its_place() {
    let remote = remote();
    let facts = look(&remote).await;
    let names: Vec<_> = facts.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["etcd1", "etcd2", "cp1", "cp2", "cp3", "w1"]);
    let asked = remote.asked.lock().unwrap();
    let probed: Vec<_> = asked.iter().filter(|(_, call)| call.script == Script::Probe).map(|(node, _)| node).collect();
    assert_eq!(probed, ["etcd1", "etcd2", "cp1", "cp2", "cp3", "w1"]);
}

#[tokio::test]
async fn what_cannot_be_reached_is_unknown_with_its_reason() {
    let facts = look(&remote()).await;
    assert_eq!(unknown(&facts.nodes[0].machine), "could not reach etcd1: connection refused");
    let sudo = unknown(&facts.nodes[5].machine);
    assert_eq!(sudo, "the script ended with status 1: sudo: a password is required");
}

fn apis_asked(remote: &FakeRemote) -> Vec<String> {
    let asked = remote.asked.lock().unwrap();
    asked.iter().filter(|(_, call)| call.script == Script::Api).map(|(node, _)| node.clone()).collect()
}

#[tokio::test]
async fn the_next_api_server_is_asked_when_one_does_not_answer() {
    let remote = remote();
    let facts = look(&remote).await;
    assert_eq!(facts.api.known().unwrap().asked.as_str(), "cp3");
    assert_eq!(apis_asked(&remote), ["cp1", "cp2", "cp3"]);
}

#[tokio::test]
async fn a_control_plane_that_is_known_to_be_away_is_not_asked_for_the_api() {
    let mut remote = remote();
    remote.probes.remove("cp2");
    assert_eq!(look(&remote).await.api.known().unwrap().asked.as_str(), "cp3");
    assert_eq!(apis_asked(&remote), ["cp1", "cp3"]);
}

#[tokio::test]
async fn without_any_api_server_every_reason_is_told() {
    let mut remote = remote();
    remote.apis.remove("cp3");
    let facts = look(&remote).await;
    let why = unknown(&facts.api);
    assert!(why.starts_with("cp1: its API server is not ready: etcd failed; cp2: could not reach"), "{why}");
    assert!(why.contains("; cp3: could not reach"), "{why}");
}

#[tokio::test]
async fn a_silent_member_is_listed_without_a_status() {
    let facts = look(&remote()).await;
    let etcd = facts.etcd.known().unwrap();
    assert_eq!(etcd.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["etcd1", "etcd2"]);
    let why = unknown(&etcd.members[0].status);
    assert!(why.contains("etcd1: etcd on etcd1: deadline exceeded"), "{why}");
    assert_eq!(etcd.members[1].node.as_ref().map(NodeName::as_str), Some("etcd2"));
    assert_eq!(etcd.members[1].status, Seen::Known(status(22)));
}

#[test]
fn clocks_that_may_agree_do_and_others_differ_by_what_is_certain() {
    let theirs = "@@ clock 10000\n@@ clock 10400\n@@ done\n";
    let ours = |ms| jiff::Timestamp::from_millisecond(ms).unwrap();
    for (asked, heard, skew) in [(9900, 10500, 0), (8000, 12000, 0), (11000, 11600, -1000), (7000, 7600, 2800)] {
        assert_eq!(super::probe::skew(theirs, ours(asked), ours(heard)), Seen::Known(skew), "{asked}");
    }
}

#[test]
fn the_probe_is_told_of_etcd_only_where_it_runs() {
    let mut inventory = inventory();
    let call = |inventory: &Inventory, node: usize| {
        let look = Look { sections: vec![Section::Packages, Section::Etcd], packages: vec!["a".into(), "b".into()] };
        probe_call(inventory, &inventory.nodes[node], &look).args.join(" ")
    };
    let pki = "/pki/ca.crt /pki/client.crt /pki/client.key 2379";
    assert_eq!(call(&inventory, 0), format!("packages,etcd a,b etcd /etc/default/etcd {pki}"));
    assert_eq!(call(&inventory, 2), "packages,etcd a,b - - - - - -");
    inventory.etcd.topology = Topology::Stacked;
    assert_eq!(call(&inventory, 2), format!("packages,etcd a,b - - {pki}"));
    assert_eq!(call(&inventory, 5), "packages,etcd a,b - - - - - -");
}

#[test]
fn packages_follow_roles() {
    let inventory = inventory();
    let ask = Ask::about(&inventory, true);
    assert_eq!(ask.packages(&inventory.nodes[0]), ["etcd-server", "etcd-client"]);
    assert_eq!(ask.packages(&inventory.nodes[5]), ["kubeadm", "kubelet", "kubectl"]);
    let only = NodeName::new("w1").unwrap();
    assert_eq!(api_call(&inventory, &[ApiSection::Ready], Some(&only)).args, ["readyz", ADMIN_KUBECONFIG, "w1"]);
    let mut reading = inventory.clone();
    reading.api.kubeconfig = "/etc/kubernetes/windlass-reader.conf".into();
    let call = api_call(&reading, &[ApiSection::Ready], None);
    assert_eq!(call.args, ["readyz", "/etc/kubernetes/windlass-reader.conf"]);
}
