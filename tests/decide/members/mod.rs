//! Changes of etcd's members: what is planned, what is refused and with which words, and that the checker holds each such plan
//! to the laws.

mod certificates;
mod laws;
mod refusing;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use windlass::decide::action::{Action, Effect, Moment, Site};
use windlass::decide::actions::certificates::Authority;
use windlass::decide::actions::members::RemoveMember;
use windlass::decide::finding::{Finding, Severity};
use windlass::decide::look::{Look, Sight};
use windlass::decide::members::{self, NewMember, Wanted, Wish};
use windlass::decide::plan::Plan;
use windlass::facts::ready::{Certified, Ready};
use windlass::facts::{EtcdFacts, MachineFacts, Seen};

use super::cluster::{Cluster, name, sources, version};

/// The base, whose members tell how they are set up.
pub(crate) fn cluster() -> Cluster {
    let mut cluster = Cluster::base();
    for (number, node) in (1..).zip(["etcd1", "etcd2", "etcd3"]) {
        let url = |port: u16| format!("https://172.30.0.1{number}:{port}");
        let settings = [
            ("initial-advertise-peer-urls", url(2380)),
            ("listen-peer-urls", url(2380)),
            ("listen-client-urls", format!("https://127.0.0.1:2379,{}", url(2379))),
            ("advertise-client-urls", url(2379)),
            ("cert-file", "/etc/etcd/pki/server.crt".to_owned()),
            ("key-file", "/etc/etcd/pki/server.key".to_owned()),
            ("trusted-ca-file", "/etc/etcd/pki/ca.crt".to_owned()),
            ("peer-cert-file", format!("/etc/etcd/pki/{node}-peer.crt")),
            ("peer-key-file", format!("/etc/etcd/pki/{node}-peer.key")),
            ("peer-trusted-ca-file", "/etc/etcd/pki/ca.crt".to_owned()),
            ("client-cert-auth", "true".to_owned()),
        ];
        let Seen::Known(Some(process)) = &mut cluster.machine(&name(node)).etcd else { panic!("it runs") };
        process.settings = settings.map(|(key, value)| (key.to_owned(), value)).into();
        process.configured_members = Some("as it was".to_owned());
    }
    cluster
}

/// A fourth machine, ready to become a member.
fn with_etcd4() -> Cluster {
    let mut cluster = cluster();
    cluster.add_like("etcd3", "etcd4");
    etcd(&mut cluster).members.pop();
    let node = cluster.inventory.nodes.iter_mut().find(|node| node.name.as_str() == "etcd4").expect("it is there");
    node.address = windlass::inventory::Address::new("172.30.0.14").expect("an address");
    let Seen::Known(Some(process)) = &mut cluster.machine(&name("etcd4")).etcd else { panic!("it is there") };
    process.running = false;
    process.settings = BTreeMap::new();
    cluster
}

fn etcd(cluster: &mut Cluster) -> &mut EtcdFacts {
    let Seen::Known(etcd) = &mut cluster.facts.etcd else { panic!("etcd was seen") };
    etcd
}

fn silence(cluster: &mut Cluster, member: usize) {
    etcd(cluster).members[member].status = Seen::Unknown("connection refused".to_owned());
    etcd(cluster).members[member].node = None;
}

fn lose(cluster: &mut Cluster, node: &str) {
    let known = cluster.facts.nodes.iter_mut().find(|known| known.name.as_str() == node).expect("it is there");
    known.machine = Seen::Unknown("no route to host".to_owned());
}

pub(crate) fn certified(cluster: &Cluster, names: &[&str], days: i64) -> Certified {
    let after = |days: i64| -> Timestamp { cluster.facts.taken_at + SignedDuration::from_hours(24 * days) };
    Certified {
        digest: "ca".to_owned(),
        not_before: after(-1),
        not_after: after(days),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Certified::default()
    }
}

/// What a machine has that was set up well for this address; the member that it is modelled on has the same CA.
fn ready(cluster: &Cluster, node: &str, address: &str) -> (Seen<Ready>, Seen<Ready>) {
    let pki = |file: &str| format!("/etc/etcd/pki/{file}");
    let own = [pki("server.crt"), pki(&format!("{node}-peer.crt"))];
    let mut certificates = vec![(pki("ca.crt"), Ok(certified(cluster, &[], 3650)))];
    certificates.extend(own.iter().map(|path| (path.clone(), Ok(certified(cluster, &[address], 365)))));
    let keys = vec![(pki("server.key"), Some(true)), (pki(&format!("{node}-peer.key")), None)];
    let signed = own.iter().map(|path| (path.clone(), Some(true))).collect();
    let ready = Ready { service: true, certificates: certificates.clone(), keys, signed, ..Ready::default() };
    let model = Ready { certificates: certificates[..1].to_vec(), ..Ready::default() };
    (Seen::Known(ready), Seen::Known(model))
}

fn plan_with(cluster: &Cluster, wish: &Wish, ready: Option<&(Seen<Ready>, Seen<Ready>)>) -> Result<Plan, Vec<Finding>> {
    plan_signed(cluster, wish, ready, None)
}

fn plan_signed(
    cluster: &Cluster,
    wish: &Wish,
    ready: Option<&(Seen<Ready>, Seen<Ready>)>,
    authority: Option<&Authority>,
) -> Result<Plan, Vec<Finding>> {
    let sources = sources();
    let (inventory, facts) = (&cluster.inventory, &cluster.facts);
    members::plan(Wanted { inventory, facts, wish, ready, authority, sources: &sources })
}

fn plan(cluster: &Cluster, wish: &Wish) -> Result<Plan, Vec<Finding>> {
    let joins = members::to_look_at(&cluster.inventory, &cluster.facts, wish).map(|(joins, ..)| joins);
    let ready = joins.map(|node| {
        let address = cluster.inventory.node(&node).expect("it is there").address.as_str().to_owned();
        ready(cluster, node.as_str(), &address)
    });
    plan_with(cluster, wish, ready.as_ref())
}

fn planned(cluster: &Cluster, wish: &Wish) -> Plan {
    plan(cluster, wish).unwrap_or_else(|found| panic!("{}", windlass::report::findings(&found)))
}

/// Whose unit names the members in a flag, or whose settings are in a file, is told to see to that.
#[test]
fn members_that_are_named_elsewhere_than_in_the_environment_file_are_said() {
    let mut cluster = with_etcd4();
    let Seen::Known(Some(process)) = &mut cluster.machine(&name("etcd2")).etcd else { panic!("it runs") };
    process.configured_members = None;
    let plan = planned(&cluster, &Wish::Add(NewMember { node: name("etcd4"), address: None }));
    let said: Vec<String> = plan.findings.iter().map(|found| format!("{}: {}", found.subject, found.detail)).collect();
    let wanted = "etcd2: names no members in /etc/default/etcd: what its unit or its file of settings says of them is yours to \
                  change (initial-cluster)";
    assert!(said.contains(&wanted.to_owned()), "{said:?}");
    assert!(!said.iter().any(|line| line.starts_with("etcd1: names")), "{said:?}");
}

fn refusals(result: Result<Plan, Vec<Finding>>) -> Vec<String> {
    let found = result.expect_err("it is refused");
    let grave = found.iter().filter(|finding| finding.severity != Severity::Warning);
    grave.map(|finding| format!("{}: {} [{}]", finding.subject, finding.detail, finding.rule)).collect()
}

fn remove(word: &str) -> Wish {
    Wish::Remove(word.to_owned())
}

fn replace(word: &str, with: Option<&str>) -> Wish {
    Wish::Replace(word.to_owned(), with.map(name), None)
}

fn add(node: &str) -> Wish {
    Wish::Add(NewMember { node: name(node), address: None })
}

/// `STAGE NODE…`, in order.
fn order(plan: &Plan) -> Vec<String> {
    let stage = |stage: &windlass::decide::plan::Stage| {
        let nodes = stage.waves.iter().flat_map(|wave| &wave.lanes);
        let nodes: Vec<&str> = nodes.map(|lane| lane.node.as_ref().map_or("-", |node| node.as_str())).collect();
        format!("{} {}", stage.name, nodes.join(" "))
    };
    plan.stages.iter().map(stage).collect()
}

/// The arguments of a job of the plan.
fn job(plan: &Plan, step: &str) -> Vec<String> {
    let placed = plan.placed().find(|placed| placed.step.name == step).unwrap_or_else(|| panic!("no step {step}"));
    let Effect::Job { call, .. } = placed.step.action.effect(Site { run: &plan.id, node: placed.node }) else {
        panic!("{step} is no job")
    };
    call.args
}

#[test]
fn a_member_that_is_well_leaves_after_its_leadership_and_nothing_runs_on_there() {
    let cluster = cluster();
    let plan = planned(&cluster, &remove("etcd2"));
    let wanted = ["archive etcd1 etcd2 etcd3", "snapshot-etcd -", "remove etcd1", "retire etcd2", "write etcd1 etcd3"];
    assert_eq!(order(&plan), wanted);
    let steps: Vec<&str> = plan.placed().filter(|p| p.stage.name == "remove").map(|p| p.step.name.as_str()).collect();
    assert_eq!(steps, ["move-leader", "remove", "await-members"]);
    let access = ["/etc/etcd/pki/ca.crt", "/etc/etcd/pki/client.crt", "/etc/etcd/pki/client.key"];
    let own = "https://172.30.0.11:2379";
    assert_eq!(job(&plan, "remove"), [&access[..], &[own, "23f7f29dadd4a128"]].concat());
    let others = "https://172.30.0.11:2379,https://172.30.0.13:2379";
    assert_eq!(job(&plan, "move-leader"), [&access[..], &["https://172.30.0.12:2379", others]].concat());
    let retire = [own, "23f7f29dadd4a128", "etcd", "/var/lib/etcd/default", plan.id.0.as_str()];
    assert_eq!(job(&plan, "retire"), [&access[..], &retire].concat());
    let members = "etcd1=https://172.30.0.11:2380,etcd3=https://172.30.0.13:2380";
    assert_eq!(job(&plan, "write"), ["/etc/default/etcd", "INITIAL_CLUSTER", members]);
    assert_eq!(Plan::from_json(&plan.to_json()).expect("it reads as it was written"), plan);
    for word in ["23f7f29dadd4a128", "etcd2"] {
        assert_eq!(planned(&cluster, &remove(word)).id, plan.id, "{word}");
    }
}

#[test]
fn a_stacked_member_leaves_with_its_manifest_and_its_control_plane_is_named() {
    let mut cluster = Cluster::stacked();
    let said = planned(&cluster, &remove("cp2"));
    let wanted = ["archive cp1 cp2 cp3", "fetch cp1 cp2 cp3", "snapshot-etcd -", "remove cp1", "retire cp2"];
    assert_eq!(order(&said), wanted);
    assert_eq!(job(&said, "fetch-tool")[1..], ["k8s.gcr.io/etcd:3.4.13-0", "ask"]);
    assert_eq!(job(&said, "retire")[4..], ["23f7f29dadd4a128", "-", "/var/lib/etcd", said.id.0.as_str()]);
    let fails = |it: &Finding| it.subject == "cp2" && it.detail.contains("asks the member beside it alone");
    assert!(said.findings.iter().any(fails), "{:?}", said.findings);
    assert_eq!(Plan::from_json(&said.to_json()).expect("it reads as it was written"), said);
    // A machine that was reset has nothing left to stop; one that is gone neither.
    let Seen::Known(pods) = &mut cluster.machine(&name("cp2")).static_pods else { panic!("pods") };
    pods.remove("etcd");
    silence(&mut cluster, 1);
    let wanted = ["archive cp1 cp2 cp3", "fetch cp1 cp3", "snapshot-etcd -", "remove cp1"];
    assert_eq!(order(&planned(&cluster, &remove("cp2"))), wanted);
    lose(&mut cluster, "cp2");
    let wanted = ["archive cp1 cp3", "fetch cp1 cp3", "snapshot-etcd -", "remove cp1"];
    assert_eq!(order(&planned(&cluster, &remove("cp2"))), wanted);
}

/// Its member was removed while it was away, and it is in the inventory still: others may come and go.
#[test]
fn a_machine_without_a_member_may_stay_away() {
    let mut cluster = with_etcd4();
    lose(&mut cluster, "etcd3");
    etcd(&mut cluster).members.remove(2);
    let said = planned(&cluster, &add("etcd4"));
    let warned = |it: &Finding| it.subject == "etcd3" && it.detail.contains("no member is there");
    assert!(said.findings.iter().any(warned), "{:?}", said.findings);
    assert!(order(&said).iter().all(|stage| !stage.contains("etcd3")), "{:?}", order(&said));
}

#[test]
fn a_stacked_member_is_made_anew_by_kubeadm() {
    let mut cluster = Cluster::stacked();
    silence(&mut cluster, 2);
    let said = planned(&cluster, &replace("cp3", None));
    let wanted =
        ["archive cp1 cp2 cp3", "fetch cp1 cp2 cp3", "snapshot-etcd -", "remove cp1", "retire cp3", "join cp3"];
    assert_eq!(order(&said), wanted);
    assert_eq!(
        job(&said, "kubeadm-join")[3..8],
        ["https://172.30.0.21:2379", "https://172.30.0.23:2380", "cp3", "172.30.0.23", "/var/lib/etcd"]
    );
    assert!(
        !said.findings.iter().any(|it| it.detail.contains("asks the member beside it alone")),
        "{:?}",
        said.findings
    );
    let steps: Vec<&str> = said.placed().filter(|p| p.stage.name == "join").map(|p| p.step.name.as_str()).collect();
    assert_eq!(steps, ["kubeadm-join", "await-members"]);
    assert_eq!(Plan::from_json(&said.to_json()).expect("it reads as it was written"), said);
    // Its machine has none any more: etcdctl comes out of another's image.
    etcd(&mut cluster).members.truncate(2);
    let machine = cluster.machine(&name("cp3"));
    let Seen::Known(pods) = &mut machine.static_pods else { panic!("pods") };
    pods.remove("etcd");
    machine.etcd = Seen::Known(None);
    let said = planned(&cluster, &add("cp3"));
    assert_eq!(order(&said), ["archive cp1 cp2 cp3", "fetch cp1 cp2 cp3", "snapshot-etcd -", "join cp3"]);
    assert_eq!(job(&said, "fetch-tool")[1..], ["k8s.gcr.io/etcd:3.4.13-0", "ask"]);
}

#[test]
fn a_dead_member_is_replaced_on_its_machine_after_it_was_removed() {
    let mut cluster = cluster();
    silence(&mut cluster, 2);
    let plan = planned(&cluster, &replace("etcd3", None));
    let wanted = [
        "archive etcd1 etcd2 etcd3",
        "snapshot-etcd -",
        "remove etcd1",
        "retire etcd3",
        "add etcd1",
        "join etcd3",
        "promote etcd1",
        "write etcd1 etcd2",
    ];
    assert_eq!(order(&plan), wanted);
    assert_eq!(job(&plan, "add")[4..], ["etcd3", "https://172.30.0.13:2380", "learner"]);
    let settings = [
        "ETCD_ADVERTISE_CLIENT_URLS=https://172.30.0.13:2379",
        "ETCD_CERT_FILE=/etc/etcd/pki/server.crt",
        "ETCD_CLIENT_CERT_AUTH=true",
        "ETCD_DATA_DIR=/var/lib/etcd/default",
        "ETCD_ELECTION_TIMEOUT=2500",
        "ETCD_HEARTBEAT_INTERVAL=250",
        "ETCD_INITIAL_ADVERTISE_PEER_URLS=https://172.30.0.13:2380",
        "ETCD_INITIAL_CLUSTER=etcd1=https://172.30.0.11:2380,etcd2=https://172.30.0.12:2380,etcd3=https://172.30.0.13:2380",
        "ETCD_INITIAL_CLUSTER_STATE=existing",
        "ETCD_KEY_FILE=/etc/etcd/pki/server.key",
        "ETCD_LISTEN_CLIENT_URLS=https://127.0.0.1:2379,https://172.30.0.13:2379",
        "ETCD_LISTEN_PEER_URLS=https://172.30.0.13:2380",
        "ETCD_NAME=etcd3",
        "ETCD_PEER_CERT_FILE=/etc/etcd/pki/etcd3-peer.crt",
        "ETCD_PEER_KEY_FILE=/etc/etcd/pki/etcd3-peer.key",
        "ETCD_PEER_TRUSTED_CA_FILE=/etc/etcd/pki/ca.crt",
        "ETCD_TRUSTED_CA_FILE=/etc/etcd/pki/ca.crt",
    ];
    assert_eq!(job(&plan, "join")[9..], settings);
    let steps = plan.placed().map(|placed| placed.step.name.clone()).collect::<Vec<_>>();
    assert!(!steps.contains(&"move-leader".to_owned()), "a dead one leads nothing: {steps:?}");
}

#[test]
fn a_member_that_is_well_stays_until_the_other_machine_votes() {
    let plan = planned(&with_etcd4(), &replace("etcd3", Some("etcd4")));
    let wanted = [
        "archive etcd1 etcd2 etcd3 etcd4",
        "snapshot-etcd -",
        "add etcd1",
        "join etcd4",
        "promote etcd1",
        "remove etcd1",
        "retire etcd3",
        "write etcd1 etcd2 etcd4",
    ];
    assert_eq!(order(&plan), wanted);
    assert!(job(&plan, "join").iter().any(|arg| arg.starts_with("ETCD_INITIAL_CLUSTER=") && arg.contains("etcd3=")));
    assert!(!job(&plan, "write")[1].contains("etcd3="));
}

#[test]
fn a_machine_that_is_away_is_left_alone_and_that_is_said() {
    let mut cluster = cluster();
    silence(&mut cluster, 2);
    lose(&mut cluster, "etcd3");
    let plan = planned(&cluster, &remove("etcd3"));
    assert_eq!(order(&plan), ["archive etcd1 etcd2", "snapshot-etcd -", "remove etcd1", "write etcd1 etcd2"]);
    assert!(!plan.baseline.machines.contains_key(&name("etcd3")), "it need not answer when the plan is carried out");
    let said: Vec<String> = plan.findings.iter().map(|finding| finding.detail.clone()).collect();
    assert!(said.iter().any(|said| said.starts_with("its machine is not reached, so its etcd is not stopped there")));
    assert!(
        said.contains(&"from then on, etcd has 2 members and 2 make a quorum: none may fail".to_owned()),
        "{said:?}"
    );
}

#[test]
fn before_learners_a_member_votes_at_once() {
    let mut cluster = with_etcd4();
    for member in &mut etcd(&mut cluster).members {
        let Seen::Known(status) = &mut member.status else { panic!("it answers") };
        status.version = version("3.3.25");
    }
    cluster.machine(&name("etcd4")).packages.get_mut("etcd-server").expect("asked").installed =
        Some("3.3.25+dfsg-6+b6".to_owned());
    let plan = planned(&cluster, &add("etcd4"));
    let wanted =
        ["archive etcd1 etcd2 etcd3 etcd4", "snapshot-etcd -", "add etcd1", "join etcd4", "write etcd1 etcd2 etcd3"];
    assert_eq!(order(&plan), wanted);
    assert_eq!(job(&plan, "add")[6], "voter");
}

#[test]
fn what_changed_since_is_looked_at_again_just_before_a_member_is_removed() {
    let mut cluster = cluster();
    let id = etcd(&mut cluster).members[2].id;
    let plan = planned(&cluster, &remove("etcd3"));
    let placed = plan.placed().find(|placed| placed.step.name == "remove").expect("it is there");
    let site = Site { run: &plan.id, node: placed.node };
    let look = |cluster: &Cluster| {
        let sight = Sight { etcd: cluster.facts.etcd.clone(), ..Sight::nothing() };
        placed.step.action.look(site, Moment::Before, &sight)
    };
    assert!(matches!(placed.step.action, Action::RemoveMember(RemoveMember { member, .. }) if member == id));
    assert_eq!(look(&cluster), Look::Ready("etcd3 is a member".to_owned()));
    silence(&mut cluster, 0);
    let why = "3 members, 2 answer, quorum 2: without etcd3 only 1 answers of 2, and 2 make a quorum";
    assert_eq!(look(&cluster), Look::NotYet(why.to_owned()));
    etcd(&mut cluster).members.pop();
    assert_eq!(look(&cluster), Look::Done);
}

#[test]
fn members_are_not_missed_once_the_plan_has_changed_them() {
    use windlass::decide::drift::{Progress, drift};
    let mut cluster = cluster();
    let plan = planned(&cluster, &remove("etcd3"));
    let at =
        |progress: Progress| move |step: &str| if step.ends_with("/remove") { progress } else { Progress::Untouched };
    let found = |cluster: &Cluster, progress| drift(&plan, &cluster.inventory, &cluster.facts, &at(progress));
    assert_eq!(found(&cluster, Progress::Untouched), [""; 0]);
    assert_eq!(found(&cluster, Progress::InDoubt), [""; 0]);
    let there = "etcd member etcd3 (9ddc955833399f30) was removed and is there";
    assert_eq!(found(&cluster, Progress::Finished), [there]);
    etcd(&mut cluster).members.pop();
    assert_eq!(found(&cluster, Progress::Untouched), ["etcd member etcd3 (9ddc955833399f30) was removed"]);
    assert_eq!(found(&cluster, Progress::InDoubt), [""; 0]);
    assert_eq!(found(&cluster, Progress::Finished), [""; 0]);
}

#[test]
fn a_file_that_the_plan_writes_may_differ_once_it_has() {
    use windlass::decide::drift::{Progress, drift};
    let mut cluster = cluster();
    let plan = planned(&cluster, &remove("etcd3"));
    let machine: &mut MachineFacts = cluster.machine(&name("etcd1"));
    let Seen::Known(Some(process)) = &mut machine.etcd else { panic!("it runs") };
    process.config_digest = Seen::Known("other".to_owned());
    let before = drift(&plan, &cluster.inventory, &cluster.facts, &|_| Progress::Untouched);
    assert_eq!(before, ["etcd's configuration on etcd1 was changed"]);
    let in_doubt = |step: &str| if step == "write/etcd1/write" { Progress::InDoubt } else { Progress::Untouched };
    assert_eq!(drift(&plan, &cluster.inventory, &cluster.facts, &in_doubt), [""; 0]);
}
