//! The seam against the lab's real nodes: real sshd, real systemd, real etcd. Run with the lab up:
//! `cargo test --test remote_lab -- --ignored --test-threads=1`. `WINDLASS_LAB` is the lab's folder, `tests/lab` when absent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use windlass::facts::unit::{UnitState, report};
use windlass::inventory::{
    Address, Api, Bootstrap, Etcd, Inventory, Kubeadm, LoadBalancer, Node, NodeName, Role, Ssh, Topology, UserName,
};
use windlass::remote::ssh::Fleet;
use windlass::remote::{Call, Output, Remote, RemoteError, Script, SnapshotWanted};

fn lab() -> Utf8PathBuf {
    std::env::var("WINDLASS_LAB").map_or_else(|_| Utf8PathBuf::from("tests/lab"), Utf8PathBuf::from)
}

fn name(word: &str) -> NodeName {
    NodeName::new(word).expect("a node name")
}

fn node(word: &str, address: &str, role: Role) -> Node {
    Node {
        name: name(word),
        address: Address::new(address).expect("an address"),
        roles: BTreeSet::from([role]),
        labels: BTreeMap::new(),
    }
}

fn inventory() -> Inventory {
    Inventory {
        name: "lab".to_owned(),
        ssh: Ssh {
            user: Some(UserName::new("ops").expect("a user")),
            port: 22,
            identity: Some(".state/id_ed25519".into()),
            config: None,
            known_hosts: Some(".state/known_hosts".into()),
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
            client_package: None,
            ca: "/etc/etcd/pki/ca.crt".into(),
            cert: "/etc/etcd/pki/client.crt".into(),
            key: "/etc/etcd/pki/client.key".into(),
            env_file: "/etc/default/etcd".into(),
            client_port: 2379,
        },
        kubeadm: Kubeadm::default(),
        bootstrap: Bootstrap::default(),
        nodes: vec![
            node("etcd1", "172.30.0.11", Role::Etcd),
            node("etcd3", "172.30.0.13", Role::Etcd),
            node("w2", "172.30.0.32", Role::Worker),
        ],
    }
}

fn fleet() -> Fleet {
    Fleet::new(&inventory(), &lab()).expect("a fleet")
}

async fn call(fleet: &Fleet, script: Script, args: &[&str]) -> Output {
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    fleet.call(&name("w2"), &Call { script, args }).await.expect("an answer")
}

/// A token that the node has not seen yet, and a name for a run that it has not seen either.
async fn fresh(fleet: &Fleet) -> (String, String) {
    let stored = call(fleet, Script::LockTake, &["0", "{}", "test"]).await;
    assert_eq!(stored.status, 4, "{stored:?}");
    let token: u64 = stored.stdout.trim().parse().expect("a token");
    let since = std::time::UNIX_EPOCH.elapsed().expect("a time after 1970");
    ((token + 1).to_string(), format!("test-{}", since.as_millis()))
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn a_unit_runs_once_and_its_end_is_told() {
    let fleet = fleet();
    let (token, run) = fresh(&fleet).await;
    let hard = "a b\n'$HOME' %n \\ \"";
    let start = [&token, &run, "one", "run", "sh", "-c", "sleep 2; printf '<%s>' \"$1\"; exit 7", "x", hard];
    let answer = call(&fleet, Script::UnitStart, &start).await;
    assert_eq!(answer.status, 0, "{answer:?}");
    let running = report(&call(&fleet, Script::UnitStatus, &[&run, "one"]).await.stdout).expect("a report");
    assert_eq!(running.state, UnitState::Running);
    assert_eq!(call(&fleet, Script::UnitStart, &start).await.status, 4);

    let since = Instant::now();
    let ended = report(&call(&fleet, Script::UnitWait, &[&run, "one", "30", "0"]).await.stdout).expect("a report");
    eprintln!("waited {:?}", since.elapsed());
    assert_eq!((ended.state, ended.log), (UnitState::Exited(7), format!("<{hard}>")));
    let never = report(&call(&fleet, Script::UnitStatus, &[&run, "two"]).await.stdout).expect("a report");
    assert_eq!(never.state, UnitState::Never);
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn a_unit_outlives_the_connection() {
    let first = fleet();
    let (token, run) = fresh(&first).await;
    let start = [&token, &run, "long", "run", "sh", "-c", "sleep 3; echo written; echo more"];
    assert_eq!(call(&first, Script::UnitStart, &start).await.status, 0);
    first.close().await;
    drop(first);
    let second = fleet();
    let ended = report(&call(&second, Script::UnitWait, &[&run, "long", "30", "0"]).await.stdout).expect("a report");
    assert_eq!((ended.state, ended.log.as_str()), (UnitState::Exited(0), "written\nmore\n"));
    for time in second.timings().so_far() {
        eprintln!("{time:?}");
    }
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn an_old_token_starts_nothing() {
    let fleet = fleet();
    let (token, run) = fresh(&fleet).await;
    let newer = (token.parse::<u64>().expect("a token") + 1).to_string();
    assert_eq!(call(&fleet, Script::LockTake, &[&newer, "{}", &run]).await.status, 0);
    let refused = call(&fleet, Script::UnitStart, &[&token, &run, "one", "run", "true"]).await;
    assert_eq!((refused.status, refused.stdout.trim()), (3, newer.as_str()));
    let unit = report(&call(&fleet, Script::UnitStatus, &[&run, "one"]).await.stdout).expect("a report");
    assert_eq!(unit.state, UnitState::Never);
    assert_eq!(call(&fleet, Script::LockRelease, &[&newer]).await.status, 0);
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn a_file_arrives_whole() {
    let fleet = fleet();
    let (token, run) = fresh(&fleet).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = Utf8PathBuf::try_from(folder.path().join("file")).expect("a path");
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&file, &bytes).expect("written");
    let sum = std::process::Command::new("sha256sum").arg(&file).output().expect("sha256sum runs").stdout;
    let sum = String::from_utf8(sum).expect("text")[..64].to_owned();
    let put = |name: &str, size: usize| Call {
        script: Script::PutFile,
        args: vec![token.clone(), name.to_owned(), sum.clone(), size.to_string()],
    };
    let since = Instant::now();
    let target = format!("files/{run}");
    let sent = fleet.send(&name("w2"), &put(&target, bytes.len()), &file).await.expect("an answer");
    eprintln!("12 MB in {:?}", since.elapsed());
    assert_eq!(sent.status, 0, "{sent:?}");
    let short = fleet.send(&name("w2"), &put(&target, bytes.len() + 1), &file).await.expect("an answer");
    assert_eq!(short.status, 8, "{short:?}");
    let outside = fleet.send(&name("w2"), &put("../x", bytes.len()), &file).await.expect("an answer");
    assert_eq!(outside.status, 2, "{outside:?}");
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn many_calls_share_a_session() {
    let fleet = fleet();
    call(&fleet, Script::UnitStatus, &["none", "none"]).await;
    let since = Instant::now();
    let mut all = tokio::task::JoinSet::new();
    let fleet = std::sync::Arc::new(fleet);
    for _ in 0..40 {
        let fleet = std::sync::Arc::clone(&fleet);
        all.spawn(async move { call(&fleet, Script::UnitStatus, &["none", "none"]).await.status });
    }
    assert!(all.join_all().await.into_iter().all(|status| status == 0));
    eprintln!("40 calls at once: {:?}", since.elapsed());
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn etcd_answers_and_its_snapshot_is_read_back() {
    let fleet = fleet();
    let etcd = name("etcd3");
    let since = Instant::now();
    let members = fleet.etcd_members(&etcd).await.expect("members");
    eprintln!("members, first: {:?}", since.elapsed());
    let since = Instant::now();
    let status = fleet.etcd_status(&etcd).await.expect("a status");
    eprintln!("status: {:?} {status:?}", since.elapsed());
    let hash = fleet.etcd_hash(&etcd, status.revision).await.expect("a hash");
    eprintln!("{members:?}\n{hash:?}");

    let folder = tempfile::tempdir().expect("a folder");
    let into = Utf8PathBuf::try_from(folder.path().join("snapshot.db")).expect("a path");
    let since = Instant::now();
    let mut ids: Vec<u64> = members.members.iter().map(|member| member.id).collect();
    ids.sort_unstable();
    let wanted = SnapshotWanted { members: ids.clone(), revision: status.revision };
    let contents = fleet.etcd_snapshot(&etcd, &into, &wanted).await.expect("a snapshot");
    eprintln!("snapshot: {:?} {contents:?}", since.elapsed());
    assert!(contents.revision >= status.revision && contents.registry_keys > 0);
    assert_eq!(contents.members, ids);
    assert!(matches!(fleet.etcd_snapshot(&etcd, &into, &wanted).await, Err(RemoteError::Local { .. })));
    let other = SnapshotWanted { members: vec![1], revision: 0 };
    let into = Utf8PathBuf::try_from(folder.path().join("other.db")).expect("a path");
    assert!(matches!(fleet.etcd_snapshot(&etcd, &into, &other).await, Err(RemoteError::BadSnapshot { .. })));
    assert!(!into.exists(), "a snapshot that is not the one that was wanted gets no name");
}

/// A command of the lab's own.
fn lab_does(args: &[&str]) {
    let done = std::process::Command::new(lab().join("lab")).args(args).status().expect("the lab's script runs");
    assert!(done.success(), "lab {args:?}");
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn a_node_cut_off_is_noticed_and_its_unit_goes_on() {
    let fleet = fleet();
    let (token, run) = fresh(&fleet).await;
    let start = [&token, &run, "cut", "run", "sh", "-c", "for i in 1 2 3 4 5 6; do echo $i; sleep 2; done; exit 9"];
    assert_eq!(call(&fleet, Script::UnitStart, &start).await.status, 0);
    let args = [run.as_str(), "cut", "60", "0"].map(ToOwned::to_owned).to_vec();
    let wait = Call { script: Script::UnitWait, args };
    let w2 = name("w2");
    let cut = tokio::task::spawn_blocking(|| {
        lab_does(&["cut", "w2"]);
        Instant::now()
    });
    let (result, cut_at) = tokio::join!(fleet.call(&w2, &wait), cut);
    eprintln!("{:?} after the cut: {result:?}", cut_at.expect("it was cut").elapsed());
    assert!(matches!(result, Err(RemoteError::InDoubt { .. })), "{result:?}");
    let since = Instant::now();
    let again = fleet.call(&w2, &wait).await;
    eprintln!("and again, after {:?}: {again:?}", since.elapsed());
    assert!(matches!(again, Err(RemoteError::NotStarted { .. })), "{again:?}");
    tokio::task::spawn_blocking(|| lab_does(&["heal", "w2"])).await.expect("healed");
    let ended = report(&call(&fleet, Script::UnitWait, &[&run, "cut", "60", "0"]).await.stdout).expect("a report");
    assert_eq!((ended.state, ended.log.as_str()), (UnitState::Exited(9), "1\n2\n3\n4\n5\n6\n"));
}

#[tokio::test]
#[ignore = "needs the lab"]
async fn a_unit_that_a_power_cut_ended_is_gone() {
    let fleet = fleet();
    let (token, run) = fresh(&fleet).await;
    let sleep = [&token, &run, "power", "run", "sh", "-c", "echo begun; exec sleep 300"];
    assert_eq!(call(&fleet, Script::UnitStart, &sleep).await.status, 0);
    tokio::task::spawn_blocking(|| {
        lab_does(&["kill", "w2"]);
        lab_does(&["heal", "w2"]);
    })
    .await
    .expect("healed");
    let lost = report(&call(&fleet, Script::UnitWait, &[&run, "power", "5", "0"]).await.stdout).expect("a report");
    assert_eq!(lost.state, UnitState::Gone, "{lost:?}");
    assert_eq!(call(&fleet, Script::UnitStart, &sleep).await.status, 4, "not a second time");
}
