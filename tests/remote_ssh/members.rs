//! Members of a real etcd replaced, removed and added, under writes.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use windlass::decide::actions::certificates::Authority;
use windlass::decide::finding::Finding;
use windlass::decide::members::{self, NewMember, Wanted, Wish};
use windlass::decide::plan::{Plan, Sources};
use windlass::engine::{Engine, Event, Interrupts, Meter, Operator, Others, Outcome, Reporter};
use windlass::error::Failure;
use windlass::inventory::NodeName;
use windlass::journal::store::{FileStore, Journal};
use windlass::observe::{self, Ask};
use windlass::remote::{Clock as _, SystemClock, authority};
use windlass::report;

use crate::loopback::Loopback;
use crate::server::name;

/// Writes a new key again and again, and keeps those that were acknowledged.
struct Writers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<String>>>,
    longest: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    since: Instant,
}

/// Each writes some ten to twenty keys a second.
const WRITERS: u32 = 10;

impl Writers {
    async fn start(loopback: &Loopback, urls: &[String]) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let longest = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::new();
        for writer in 0..WRITERS {
            let mut client = loopback.client(urls).await.expect("a client");
            let (stop, acknowledged, longest) = (Arc::clone(&stop), Arc::clone(&acknowledged), Arc::clone(&longest));
            tasks.push(tokio::spawn(async move {
                let mut last = Instant::now();
                for number in 0_u32.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let key = format!("/registry/writer/{writer}-{number}");
                    if client.put(key.as_str(), "written", None).await.is_ok() {
                        let waited = u64::try_from(last.elapsed().as_millis()).unwrap_or(u64::MAX);
                        longest.fetch_max(waited, Ordering::SeqCst);
                        last = Instant::now();
                        acknowledged.lock().expect("nobody panics").push(key);
                    }
                    tokio::time::sleep(Duration::from_millis(40)).await;
                }
            }));
        }
        Self { stop, acknowledged, longest, tasks, since: Instant::now() }
    }

    /// Stops them; every key that was acknowledged is there on each of these members, and they were fast enough.
    async fn end(self, loopback: &Loopback, urls: &[String]) {
        let took = self.since.elapsed();
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.expect("it ends");
        }
        let acknowledged = self.acknowledged.lock().expect("nobody panics").clone();
        let rate = f64::from(u32::try_from(acknowledged.len()).expect("a count")) / took.as_secs_f64();
        let longest = self.longest.load(Ordering::SeqCst);
        eprintln!(
            "{} writes acknowledged in {took:.1?}, {rate:.0} a second, longest wait {longest} ms",
            acknowledged.len()
        );
        for url in urls {
            let mut client = loopback.client(std::slice::from_ref(url)).await.expect("a client");
            let all = etcd_client::GetOptions::new().with_prefix().with_keys_only();
            let there = client.get("/registry/writer/", Some(all)).await.expect("the keys");
            let there: std::collections::BTreeSet<&str> =
                there.kvs().iter().filter_map(|kv| kv.key_str().ok()).collect();
            let lost: Vec<&String> = acknowledged.iter().filter(|key| !there.contains(key.as_str())).collect();
            assert!(lost.is_empty(), "{url} lost {lost:?}");
        }
        assert!(rate >= 50.0, "{rate} writes a second");
    }
}

struct Lines;

impl Reporter for Lines {
    fn event(&self, event: &Event) {
        match event {
            Event::Waiting { .. } => {}
            event => eprintln!("  {event:?}"),
        }
    }
}

async fn plan(loopback: &Loopback, wish: Wish) -> Result<Plan, Vec<Finding>> {
    plan_with(loopback, wish, None).await
}

async fn plan_with(loopback: &Loopback, wish: Wish, authority: Option<&Authority>) -> Result<Plan, Vec<Finding>> {
    let clock = SystemClock::start();
    let inventory = &loopback.inventory;
    let facts = observe::observe(loopback, &clock, inventory, &Ask::about(inventory, false)).await;
    let ready = match members::to_look_at(inventory, &facts, &wish) {
        None => None,
        Some((joins, model, [paths, theirs])) => Some((
            observe::ready(loopback, inventory, &joins, &paths).await,
            observe::ready(loopback, inventory, &model, &theirs).await,
        )),
    };
    let sources = Sources::default();
    let ready = ready.as_ref();
    members::plan(Wanted { inventory, facts: &facts, wish: &wish, ready, authority, sources: &sources })
}

async fn apply(loopback: &Loopback, plan: &Plan) -> Result<Outcome, Failure> {
    let clock = SystemClock::start();
    let state = loopback.state();
    let (store, history) = FileStore::open(&state.join(format!("{}.journal", plan.id)), &plan.id).expect("a journal");
    let journal = Journal::new(Box::new(store), history, &plan.id, clock.now()).expect("a journal");
    let operator = Operator { name: "ann@desk".to_owned(), machine: "m1".to_owned() };
    let engine = Engine {
        remote: loopback,
        clock: &clock,
        plan,
        inventory: &loopback.inventory,
        operator: &operator,
        snapshots: state,
        again: format!("windlass {} apply plan.json", plan.task.command()),
        journal: Mutex::new(journal),
        reporter: &Lines,
        meter: &Meter::start(&clock),
        interrupts: &Arc::new(Interrupts::default()),
        stopping: AtomicBool::new(false),
        token: AtomicU64::new(0),
        others: Others::new(false, "windlass lock show -i lab.toml".to_owned()),
    };
    engine.run().await
}

async fn carried_out(loopback: &Loopback, plan: &Plan) {
    eprintln!("{}", report::plan(plan));
    match apply(loopback, plan).await {
        Ok(outcome) => assert_eq!(outcome, Outcome::Raised),
        Err(failure) => panic!("{failure}"),
    }
}

fn stages(plan: &Plan) -> Vec<&str> {
    plan.stages.iter().map(|stage| stage.name.as_str()).collect()
}

async fn members_are(loopback: &Loopback, wanted: &[&str]) {
    let etcd = loopback.etcd().await;
    let names: Vec<&str> = etcd.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, wanted);
    assert!(etcd.members.iter().all(|member| !member.learner && member.unhealthy().is_none()), "{etcd:?}");
}

fn refused(plan: Result<Plan, Vec<Finding>>) -> String {
    let findings = plan.expect_err("it is refused");
    report::findings(&findings)
}

fn urls(loopback: &Loopback, numbers: &[u8]) -> Vec<String> {
    numbers.iter().map(|number| loopback.client_url(*number)).collect()
}

async fn whole(loopback: &Loopback, members: usize) {
    loopback.until(|etcd| etcd.members.len() == members && etcd.members.iter().all(|m| m.unhealthy().is_none())).await;
}

fn member(word: &str) -> NodeName {
    name(word)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs sshd and etcd on this machine"]
async fn a_member_that_died_is_replaced_under_writes() {
    let loopback = Loopback::start(3, 3);
    whole(&loopback, 3).await;
    let writers = Writers::start(&loopback, &urls(&loopback, &[1, 3])).await;
    let before = loopback.etcd().await;
    loopback.kill_member(&member("etcd2"));
    loopback.until(|etcd| etcd.members[1].unhealthy().is_some() && etcd.members[0].unhealthy().is_none()).await;

    // Nothing else may be taken away meanwhile.
    let why = refused(plan(&loopback, Wish::Remove("etcd1".to_owned())).await);
    let arithmetic =
        "3 members, 2 answer, quorum 2: without etcd1 only 1 answers of 2, and 2 make a quorum [etcd-quorum]";
    assert!(why.contains(arithmetic), "{why}");

    let replaced = plan(&loopback, Wish::Replace("etcd2".to_owned(), None, None)).await;
    let replaced = replaced.unwrap_or_else(|findings| panic!("{}", report::findings(&findings)));
    let order = ["archive", "snapshot-etcd", "remove", "retire", "add", "join", "promote", "write"];
    assert_eq!(stages(&replaced), order);
    carried_out(&loopback, &replaced).await;
    members_are(&loopback, &["etcd1", "etcd2", "etcd3"]).await;
    let after = loopback.etcd().await;
    assert_ne!(after.members[1].id, before.members[1].id, "it is another member");
    assert_eq!((after.members[0].id, after.cluster_id), (before.members[0].id, before.cluster_id));

    let etcd2 = member("etcd2");
    let env = loopback.read(&etcd2, "etc/etcd.env");
    for line in
        ["ETCD_HEARTBEAT_INTERVAL=\"250\"", "ETCD_ELECTION_TIMEOUT=\"2500\"", "ETCD_INITIAL_CLUSTER_STATE=\"existing\""]
    {
        assert!(env.contains(line), "{env}");
    }
    assert!(loopback.exists(&etcd2, &format!("data/member.before-{}/wal", replaced.id)), "its former data are kept");
    writers.end(&loopback, &urls(&loopback, &[1, 2, 3])).await;
}

/// Carries the plan out in processes that live for a while only.
async fn carried_out_in_pieces(loopback: &Loopback, plan: &Plan) {
    for life in 2..60 {
        match tokio::time::timeout(Duration::from_secs(life), apply(loopback, plan)).await {
            Err(_) => eprintln!("-- killed after {life} s"),
            Ok(Ok(_)) => return,
            Ok(Err(failure)) => panic!("{failure}"),
        }
    }
    panic!("it did not come to an end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs sshd and etcd on this machine"]
async fn a_member_that_is_well_gives_way_to_another_machine_also_when_windlass_is_killed() {
    let loopback = Loopback::start(4, 3);
    whole(&loopback, 3).await;
    let writers = Writers::start(&loopback, &urls(&loopback, &[1, 2])).await;
    let moved = plan(&loopback, Wish::Replace("etcd3".to_owned(), Some(member("etcd4")), None)).await;
    let moved = moved.unwrap_or_else(|findings| panic!("{}", report::findings(&findings)));
    assert_eq!(stages(&moved), ["archive", "snapshot-etcd", "add", "join", "promote", "remove", "retire", "write"]);
    eprintln!("{}", report::plan(&moved));
    carried_out_in_pieces(&loopback, &moved).await;
    members_are(&loopback, &["etcd1", "etcd2", "etcd4"]).await;
    let once = |job: &str| loopback.jobs.lock().expect("nobody panics").iter().filter(|known| *known == job).count();
    for job in ["member-add etcd1", "member-join etcd4", "member-promote etcd1", "member-remove etcd1"] {
        assert_eq!(once(job), 1, "{job}");
    }
    let listed = [1, 2, 4].map(|number| format!("etcd{number}={}", loopback.peer_url(number))).join(",");
    for node in ["etcd1", "etcd2", "etcd4"] {
        let env = loopback.read(&member(node), "etc/etcd.env");
        assert!(env.contains(&format!("ETCD_INITIAL_CLUSTER=\"{listed}\"\n")), "{node}: {env}");
    }
    let etcd3 = member("etcd3");
    assert!(!loopback.systemctl(&etcd3, &["is-active", "etcd"]), "the one that left is stopped");
    assert!(loopback.exists(&etcd3, &format!("data/member.before-{}/wal", moved.id)));
    writers.end(&loopback, &urls(&loopback, &[1, 2, 4])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs sshd and etcd on this machine"]
async fn a_lost_machine_is_removed_and_a_new_one_added_with_certificates_of_its_own() {
    let mut loopback = Loopback::start(4, 3);
    whole(&loopback, 3).await;
    let mut client = loopback.client(&urls(&loopback, &[1])).await.expect("a client");
    client.put("/registry/one", "1", None).await.expect("written");
    loopback.lose(&member("etcd3"));
    loopback.until(|etcd| etcd.members[0].unhealthy().is_none() && etcd.members[1].unhealthy().is_none()).await;
    let removed = plan(&loopback, Wish::Remove("etcd3".to_owned())).await;
    let removed = removed.unwrap_or_else(|findings| panic!("{}", report::findings(&findings)));
    assert_eq!(
        stages(&removed),
        ["archive", "snapshot-etcd", "remove", "write"],
        "nothing is done on a machine that is away"
    );
    carried_out(&loopback, &removed).await;
    members_are(&loopback, &["etcd1", "etcd2"]).await;

    // As the plan asked for.
    loopback.inventory.nodes.retain(|node| node.name.as_str() != "etcd3");
    let wish = || Wish::Add(NewMember { node: member("etcd4"), address: None });
    let pki = loopback.folder(&member("etcd4")).join("pki");
    let add = plan(&loopback, wish()).await;
    assert!(add.is_ok(), "{}", refused(add));
    loopback.certificate(&pki, "server", "IP:127.0.0.9");
    let why = refused(plan(&loopback, wish()).await);
    assert!(why.contains("pki/server.crt is for 127.0.0.9, and not for 127.0.0.5 [certificate]"), "{why}");
    loopback.certificate(&pki, "server", "IP:127.0.0.5,IP:127.0.0.1");
    std::fs::copy(pki.join("server.key"), pki.join("peer.key")).expect("copied");
    let why = refused(plan(&loopback, wish()).await);
    assert!(why.contains("pki/peer.key is not the key of its certificate, or is not there [certificate]"), "{why}");

    // A machine without any: Windlass makes them, with the authority that the others trust and with no other.
    std::fs::remove_dir_all(&pki).expect("removed");
    let why = refused(plan(&loopback, wish()).await);
    assert!(why.contains("pki/server.crt: there is no certificate in it; put it there, or have it made"), "{why}");
    let signs = |name: &str| {
        authority::authority(&loopback.base().join(format!("{name}.crt")), &loopback.base().join(format!("{name}.key")))
    };
    loopback.authority("other");
    let why = refused(plan_with(&loopback, wish(), Some(&signs("other").expect("an authority"))).await);
    assert!(
        why.contains("other.crt is another CA than ") && why.contains("pki/ca.crt of etcd1 [certificate]"),
        "{why}"
    );
    let ours = signs("ca").expect("an authority");
    let add = plan_with(&loopback, wish(), Some(&ours)).await;
    let add = add.unwrap_or_else(|findings| panic!("{}", report::findings(&findings)));
    assert_eq!(stages(&add), ["archive", "snapshot-etcd", "certificates", "add", "join", "promote", "write"]);
    carried_out(&loopback, &add).await;
    members_are(&loopback, &["etcd1", "etcd2", "etcd4"]).await;
    let mode = |file: &str| std::fs::metadata(pki.join(file)).expect("a file").permissions().mode() & 0o777;
    assert_eq!(["server.key", "peer.key", "client.key"].map(mode), [0o600; 3]);
    assert_eq!(["ca.crt", "server.crt", "peer.crt", "client.crt"].map(mode), [0o644; 4]);
    let sent = format!("windlass/certificates/{}/sent.pem", add.id);
    assert!(!loopback.exists(&member("etcd4"), &sent), "the keys are where they are used, and nowhere else");
}
