//! What needs attention whatever is planned, with the exact words.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use windlass::decide::check::{Age, Checked, NewestBackup, findings};
use windlass::decide::finding::{Finding, Severity};
use windlass::facts::health::{Hashes, MemberHash};
use windlass::facts::load::NodeLoad;
use windlass::facts::measured::{Pace, Requests, Size};
use windlass::facts::{EtcdProcess, Seen};
use windlass::report;

use super::cluster::{Cluster, name, version};

/// A cluster with all that it is checked by.
struct Whole {
    cluster: Cluster,
    hashes: Seen<Hashes>,
    load: Seen<Vec<NodeLoad>>,
    backups: Vec<NewestBackup>,
}

const WELL: Pace = Pace { fsync_us: Some(8_000), round_trip_us: Some(1_600), late_heartbeats: 0, up_seconds: 7_200 };

impl Whole {
    /// Nothing of it needs attention.
    fn well() -> Self {
        let mut cluster = Cluster::base();
        for node in &mut cluster.facts.nodes {
            let Seen::Known(machine) = &mut node.machine else { panic!("it was reached") };
            machine.measured.size = Seen::Known(Size { cores: 4, memory_bytes: 16 << 30 });
            machine.measured.etcd = Seen::Known(WELL);
            machine.measured.api = Seen::Known(Requests { in_flight: 10, limit: 400 });
            for package in machine.packages.values_mut() {
                package.candidates = Seen::Known(package.installed.iter().cloned().collect());
            }
            let disk = windlass::facts::Disk { free_bytes: 50 << 30, total_bytes: 60 << 30 };
            machine.disks.insert("/var/lib/etcd".to_owned(), disk);
        }
        let hash = |node: &str| MemberHash { node: name(node), hash: 1, compact_revision: 1 };
        let load = |name: &str, pods| NodeLoad {
            name: name.to_owned(),
            pods,
            pods_allocatable: 110,
            requested_bytes: pods << 28,
            allocatable_bytes: 16 << 30,
            movable_pods: pods,
            movable_bytes: pods << 28,
        };
        let taken = cluster.facts.taken_at - SignedDuration::from_hours(20);
        Self {
            hashes: Seen::Known(Hashes { revision: 9, of: ["etcd1", "etcd2", "etcd3"].map(hash).to_vec() }),
            load: Seen::Known(vec![load("cp1", 8), load("w1", 20), load("w2", 30)]),
            backups: vec![backup(Seen::Known(Some(taken)))],
            cluster,
        }
    }

    fn checked(&self) -> Checked<'_> {
        Checked {
            inventory: &self.cluster.inventory,
            facts: &self.cluster.facts,
            hashes: Some(&self.hashes),
            load: &self.load,
            backups: &self.backups,
            age: Age(Duration::from_secs(26 * 3600)),
        }
    }

    /// One line each: `critical SUBJECT: DETAIL`.
    fn said(&self) -> Vec<String> {
        let line = |finding: &Finding| {
            let mark = match finding.severity {
                Severity::Unreachable => "unreachable",
                Severity::Refusal => "critical",
                Severity::Warning => "warning",
            };
            format!("{mark} {}: {} [{}]", finding.subject, finding.detail, finding.rule)
        };
        findings(self.checked()).iter().map(line).collect()
    }

    fn process(&mut self, node: &str) -> &mut EtcdProcess {
        let Seen::Known(Some(process)) = &mut self.cluster.machine(&name(node)).etcd else { panic!("it runs etcd") };
        process
    }

    fn pace(&mut self, node: &str, pace: Pace) {
        self.cluster.machine(&name(node)).measured.etcd = Seen::Known(pace);
    }

    fn load(&mut self) -> &mut Vec<NodeLoad> {
        let Seen::Known(load) = &mut self.load else { panic!("it was seen") };
        load
    }
}

fn backup(taken: Seen<Option<Timestamp>>) -> NewestBackup {
    NewestBackup { destination: "s3://backups/etcd".to_owned(), taken }
}

#[test]
fn a_cluster_that_is_well_needs_nothing() {
    let whole = Whole::well();
    assert_eq!(whole.said(), Vec::<String>::new());
    let text = report::check(whole.checked(), &[]);
    let wanted = "cluster lab: 8 machines\n\n  \
         Kubernetes    API servers 1.20.2 (3); kubelets 1.20.2 (5); 5 of 5 nodes Ready\n  \
         etcd          3.4.23 (3); 3 of 3 members healthy; the largest database has 2.0 MiB\n  \
         certificates  the first to end is /var/lib/kubelet/pki/kubelet-client-current.pem on cp2, in 364 days\n  \
         backups       s3://backups/etcd: the newest is 20 h old\n\nNothing needs attention.\n";
    assert_eq!(text, wanted);
}

#[test]
fn an_etcd_that_asks_nobody_or_listens_everywhere_is_critical() {
    let mut whole = Whole::well();
    let mut set = |node: &str, settings: &[(&str, &str)]| {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        whole.process(node).settings = settings.collect();
    };
    set(
        "etcd1",
        &[
            ("listen-client-urls", "http://127.0.0.1:2379,http://172.30.0.11:2379"),
            ("listen-peer-urls", "https://172.30.0.11:2380"),
        ],
    );
    let authority = ("trusted-ca-file", "/etc/etcd/pki/ca.crt");
    set("etcd2", &[("listen-client-urls", "https://[::0]:2379"), authority]);
    set(
        "etcd3",
        &[
            ("listen-client-urls", "https://172.30.0.13:2379"),
            authority,
            ("listen-peer-urls", "https://172.30.0.13:2380"),
            ("peer-client-cert-auth", "true"),
        ],
    );
    let wanted = [
        "critical etcd1: etcd listens on http://172.30.0.11:2379 without TLS (listen-client-urls): whoever reaches it reads and \
         changes everything, every Secret too [etcd-exposed]",
        "critical etcd1: etcd listens on https://172.30.0.11:2380 and asks nobody for a certificate (no peer-trusted-ca-file): \
         whoever reaches it can act as a member [etcd-exposed]",
        "critical etcd2: etcd listens on every address of the machine (listen-client-urls https://[::0]:2379): name the ones \
         that API servers and members need [etcd-exposed]",
        "critical etcd3: etcd listens on https://172.30.0.13:2380 and takes a certificate of any authority that the machine \
         trusts (no peer-trusted-ca-file): whoever reaches it can act as a member [etcd-exposed]",
    ];
    assert_eq!(whole.said(), wanted);
}

#[test]
fn a_slow_disk_and_a_slow_network_are_said_with_their_figures() {
    let mut whole = Whole::well();
    whole.pace("etcd1", Pace { fsync_us: Some(32_000), late_heartbeats: 40, ..WELL });
    whole.pace("etcd2", Pace { round_trip_us: Some(819_200), ..WELL });
    whole.pace("etcd3", Pace { fsync_us: None, round_trip_us: None, ..WELL });
    for node in ["etcd1", "etcd2", "etcd3"] {
        let process = whole.process(node);
        (process.heartbeat_ms, process.election_ms) = (Seen::Known(250), Seen::Known(2_500));
    }
    let wanted = [
        "warning etcd1: it sent 40 heartbeats late in 2 h: its disk or its processor is too slow or too busy [etcd-pace]",
        "warning etcd1: its disk is slow: 1 of 100 writes to etcd's log takes longer than 32 ms; 10 ms at most are wanted [etcd-pace]",
        "warning etcd2: 1 of 100 round trips to another member takes longer than 820 ms, and a heartbeat comes every 250 ms: raise \
         --heartbeat-interval on every member [etcd-pace]",
    ];
    assert_eq!(whole.said(), wanted);

    let mut whole = Whole::well();
    for node in ["etcd1", "etcd2", "etcd3"] {
        let process = whole.process(node);
        (process.heartbeat_ms, process.election_ms) = (Seen::Known(100), Seen::Known(1_000));
    }
    whole.process("etcd3").election_ms = Seen::Known(400);
    let wanted = [
        "critical etcd: members have different heartbeat and election times (100/400 ms, 100/1000 ms): one that waits less than \
         the others calls elections for nothing [etcd-pace]",
        "warning etcd3: an election time of 400 ms is less than 5 heartbeats of 100 ms [etcd-pace]",
    ];
    assert_eq!(whole.said(), wanted);
}

#[test]
fn small_machines_and_full_nodes_are_said() {
    let mut whole = Whole::well();
    whole.cluster.machine(&name("cp1")).measured.size = Seen::Known(Size { cores: 2, memory_bytes: 16 << 30 });
    // Bought as 8 GiB.
    whole.cluster.machine(&name("etcd1")).measured.size = Seen::Known(Size { cores: 2, memory_bytes: 7_900 << 20 });
    whole.cluster.machine(&name("etcd2")).measured.size = Seen::Known(Size { cores: 1, memory_bytes: 4 << 30 });
    for node in ["cp1", "cp2", "cp3"] {
        whole.cluster.machine(&name(node)).measured.api = Seen::Known(Requests { in_flight: 300, limit: 400 });
    }
    whole.load()[1].pods = 100;
    whole.load()[1].requested_bytes = 14 << 30;
    whole.load().iter_mut().for_each(|node| node.movable_pods = node.pods);
    let wanted = [
        "warning API servers: have 900 requests in flight; with one of them gone, the others take 800 at once [capacity]",
        "warning cp1: has 2 cores and 16.0 GiB; a control plane of a cluster of 5 nodes wants 4 cores and 16.0 GiB [capacity]",
        "warning etcd2: has 1 core and 4.0 GiB; etcd of a cluster of 5 nodes wants 2 cores and 8.0 GiB [capacity]",
        "warning w1: has 100 pods of the 110 that it may have [capacity]",
        "warning w2: its 30 pods ask for 7.5 GiB of memory; the other workers have 2.0 GiB and 10 places left: not all of them \
         would run without it [capacity]",
    ];
    assert_eq!(whole.said(), wanted);
}

#[test]
fn a_disk_that_no_upgrade_would_have_room_on_is_critical() {
    let mut whole = Whole::well();
    let full = windlass::facts::Disk { free_bytes: 300 << 20, total_bytes: 20 << 30 };
    whole.cluster.machine(&name("w1")).disks = [("/".to_owned(), full)].into();
    let wanted = ["critical w1: no room for the packages: / has 300.0 MiB free, 600.0 MiB are needed [no-room]"];
    assert_eq!(whole.said(), wanted);
}

#[test]
fn a_certificate_that_ends_within_a_week_is_critical() {
    let mut whole = Whole::well();
    let now = whole.cluster.facts.taken_at;
    let Seen::Known(certificates) = &mut whole.cluster.machine(&name("cp1")).certificates else {
        panic!("they were seen")
    };
    let mut end = |file: &str, days: i64| {
        let one = certificates.iter_mut().find(|one| one.path.ends_with(file)).expect("it is there");
        one.not_after = now + SignedDuration::from_hours(24 * days);
    };
    end("pki/apiserver.crt", 3);
    end("pki/ca.crt", 200);
    end("front-proxy-client.crt", 20);
    let wanted = [
        "critical cp1: /etc/kubernetes/pki/apiserver.crt ends in 3 days [certificate]",
        "warning cp1: /etc/kubernetes/pki/ca.crt, an authority, ends in 200 days, and with it all that it has signed: nothing renews \
         it by itself [certificate]",
        "warning cp1: /etc/kubernetes/pki/front-proxy-client.crt ends in 20 days [certificate]",
    ];
    assert_eq!(whole.said(), wanted);
}

#[test]
fn the_disk_of_etcds_data_has_its_size_and_what_the_database_may_grow_by() {
    let mut whole = Whole::well();
    let disk = windlass::facts::Disk { free_bytes: 1 << 30, total_bytes: 10 << 30 };
    whole.cluster.machine(&name("etcd2")).disks.insert("/var/lib/etcd".to_owned(), disk);
    let wanted = [
        "warning etcd2: etcd's data are on a disk of 10.0 GiB (/var/lib/etcd); for 5 nodes it wants 20.0 GiB [capacity]",
        "warning etcd2: etcd's database may still grow by 2.0 GiB, and its disk (/var/lib/etcd) has 1.0 GiB free [capacity]",
    ];
    assert_eq!(whole.said(), wanted);
}

#[test]
fn what_was_not_seen_is_not_taken_for_well() {
    let mut whole = Whole::well();
    let unseen = || "it hides".to_owned();
    let machine = whole.cluster.machine(&name("etcd1"));
    machine.certificates = Seen::Unknown(unseen());
    machine.measured.size = Seen::Unknown(unseen());
    machine.measured.etcd = Seen::Unknown(unseen());
    whole.cluster.machine(&name("etcd2")).etcd = Seen::Unknown(unseen());
    let packages = &mut whole.cluster.machine(&name("w1")).packages;
    packages.get_mut("kubelet").expect("it is there").candidates = Seen::Unknown(unseen());
    whole.process("etcd3").settings = [("config-file".to_owned(), "/etc/etcd.yml".to_owned())].into();
    let wanted = [
        "critical etcd1: when its certificates end could not be seen: it hides [unseen]",
        "critical etcd2: how its etcd is run could not be seen: it hides [unseen]",
        "critical etcd3: where its etcd listens could not be seen: its file of settings does not tell [unseen]",
        "warning etcd1: how its member fares could not be seen: it hides [etcd-pace]",
        "warning etcd1: its cores and memory could not be seen: it hides [capacity]",
        "warning w1: whether later patches are to be had could not be seen: it hides [newer-patch]",
    ];
    assert_eq!(whole.said(), wanted);
}

#[test]
fn many_pods_want_five_members() {
    let mut whole = Whole::well();
    let many = NodeLoad { pods: 900, pods_allocatable: 2_000, ..whole.load()[0].clone() };
    whole.load().push(NodeLoad { name: "cp2".to_owned(), ..many.clone() });
    whole.load().push(NodeLoad { name: "cp3".to_owned(), pods: 100, ..many });
    let wanted = ["warning etcd: has 3 members for 1058 pods; from 1000 on, five are worth having [capacity]"];
    assert_eq!(whole.said(), wanted);
}

#[test]
fn a_later_patch_is_said_once_with_who_is_behind() {
    let mut whole = Whole::well();
    for node in ["w1", "w2"] {
        let packages = &mut whole.cluster.machine(&name(node)).packages;
        let kubelet = packages.get_mut("kubelet").expect("it is there");
        kubelet.candidates = Seen::Known(["1.21.14-00", "1.20.15-00", "1.20.9-00"].map(str::to_owned).to_vec());
    }
    let wanted = ["warning kubernetes: 1.20.15 is to be had, 1.20.2 is installed on w1 and w2 [newer-patch]"];
    assert_eq!(whole.said(), wanted);
}

#[test]
fn backups_that_are_old_missing_or_not_to_be_listed_are_critical() {
    let mut whole = Whole::well();
    let old = whole.cluster.facts.taken_at - SignedDuration::from_hours(100);
    whole.backups = vec![backup(Seen::Known(Some(old)))];
    let wanted =
        ["critical s3://backups/etcd: its newest backup of this cluster is 4 days old; 26 h are allowed [backup-age]"];
    assert_eq!(whole.said(), wanted);
    whole.backups = vec![backup(Seen::Known(None)), backup(Seen::Unknown("no answer".to_owned()))];
    let wanted = [
        "critical s3://backups/etcd: has no backup of this cluster [backup-age]",
        "critical s3://backups/etcd: its backups could not be listed: no answer [backup-age]",
    ];
    assert_eq!(whole.said(), wanted);
    whole.backups.clear();
    assert_eq!(whole.said(), ["warning backups: were not looked at: say with --backups where they are [backup-age]"]);
}

#[test]
fn skew_and_health_are_judged_without_a_target() {
    let mut whole = Whole::well();
    whole.cluster.raise(&name("cp1"), &version("1.22.1"));
    whole.cluster.raise(&name("w2"), &version("1.19.16"));
    let Seen::Known(api) = &mut whole.cluster.facts.api else { panic!("it was seen") };
    let w1 = api.nodes.iter_mut().find(|node| node.name == "w1").expect("a node");
    w1.unschedulable = true;
    w1.conditions.iter_mut().filter(|it| it.kind == "Ready").for_each(|it| it.status = "False".to_owned());
    let of = |at: u32| MemberHash { node: name(&format!("etcd{at}")), hash: u32::from(at == 3), compact_revision: 1 };
    whole.hashes = Seen::Known(Hashes { revision: 9, of: (1..=3).map(of).collect() });
    let said = whole.said();
    let critical: Vec<&str> = said.iter().filter_map(|line| line.strip_prefix("critical ")).collect();
    let wanted = [
        "cluster: API servers are more than one minor apart: cp2 is at 1.20.2, cp1 at 1.22.1 [api-server-spread]",
        "cp1: its kubelet is at 1.22.1, newer than the oldest API server, 1.20.2 [kubelet-skew]",
        "w2: its kubelet is at 1.19.16; API servers at 1.22.1 serve kubelets 2 minors back at most [kubelet-skew]",
        "w1: is not Ready: kubelet is posting ready status (KubeletReady) [node-not-ready]",
        "etcd: the members' data differ at revision 9: etcd1 00000000, etcd2 00000000, etcd3 00000001: replace the members that \
         are wrong [etcd-corrupt]",
    ];
    assert_eq!(critical, wanted);
    assert!(said.contains(&"warning w1: is cordoned, not by Windlass [cordoned]".to_owned()), "{said:?}");
}

#[test]
fn what_is_alike_stands_on_one_line() {
    let mut whole = Whole::well();
    for node in ["cp1", "cp2", "cp3"] {
        whole.cluster.machine(&name(node)).measured.size = Seen::Known(Size { cores: 2, memory_bytes: 16 << 30 });
    }
    let found = findings(whole.checked());
    let text = report::check(whole.checked(), &found);
    let wanted = "\nWhat needs attention\n  warning      cp1, cp2, cp3: has 2 cores and 16.0 GiB; a control plane of a cluster of 5 \
                  nodes wants 4 cores and 16.0 GiB [capacity]\n";
    assert!(text.ends_with(wanted), "{text}");
    let json = report::check_json(whole.checked(), &found);
    assert_eq!((&json["critical"], &json["warnings"]), (&0.into(), &3.into()));
    assert_eq!(json["findings"].as_array().map(Vec::len), Some(3));
}
