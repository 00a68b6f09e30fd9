//! Members replaced and removed: driven to the end, also when Windlass is killed anywhere in it, or another member goes away.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use windlass::decide::actions::certificates::Authority;
use windlass::decide::members::{self, Wanted, Wish};
use windlass::decide::plan::Sources;
use windlass::engine::Outcome;
use windlass::error::Exit;
use windlass::facts::Seen;
use windlass::facts::ready::{Certified, Ready};
use windlass::remote::Clock as _;

use crate::bench::{Bench, lab, lab_inventory, look, simulated, stacked_facts, stacked_inventory};
use crate::seams::fault::Then;
use crate::seams::remote::Simulation;

/// The lab, whose members tell how they are set up; the member on `dead` has died.
fn sick_lab(dead: Option<&str>) -> Arc<Simulation> {
    let sim = lab();
    let mut now = sim.now();
    let nodes = ["etcd1", "etcd2", "etcd3"];
    for node in nodes {
        let url = now.member(node).told.peer_urls[0].clone();
        let client = now.member(node).told.client_urls[0].clone();
        let Seen::Known(Some(process)) = &mut now.machine(node).told.etcd else { panic!("etcd is here") };
        process.settings.insert("initial-advertise-peer-urls".to_owned(), url);
        process.settings.insert("advertise-client-urls".to_owned(), client);
        process.configured_members = Some("as it was".to_owned());
    }
    if let Some(dead) = dead {
        now.member(dead).runs = None;
        now.settle();
    }
    drop(now);
    sim
}

async fn bench(dead: Option<&str>, wish: Wish) -> Bench {
    planned(sick_lab(dead), wish, None).await
}

async fn planned(sim: Arc<Simulation>, wish: Wish, authority: Option<&Authority>) -> Bench {
    let inventory = lab_inventory();
    // The others choose a leader, when it was that one.
    sim.clock.sleep(Duration::from_secs(10)).await;
    let facts = look(&sim, &inventory).await;
    let model = Ready { certificates: vec![(CA.to_owned(), Ok(ca()))], ..Ready::default() };
    let ready = (Seen::Known(Ready { service: true, ..Ready::default() }), Seen::Known(model));
    let sources = Sources { inventory: "lab.toml".to_owned(), ..Sources::default() };
    let (inventory, facts, ready) = (&inventory, &facts, Some(&ready));
    let plan = members::plan(Wanted { inventory, facts, wish: &wish, ready, authority, sources: &sources });
    let plan = plan.unwrap_or_else(|found| panic!("{}", windlass::report::findings(&found)));
    Bench::with(plan, sim)
}

const CA: &str = "/etc/etcd/pki/ca.crt";

/// What the members trust.
fn ca() -> Certified {
    let (not_before, not_after) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
    Certified { digest: "0".repeat(64), not_before, not_after, ..Certified::default() }
}

fn replace(member: &str) -> Wish {
    Wish::Replace(member.to_owned(), None, None)
}

/// The members that are listed, each healthy and voting: by name.
fn members(bench: &Bench) -> Vec<String> {
    let now = bench.now();
    let listed: Vec<usize> = (0..now.etcd.members.len()).filter(|member| now.etcd.members[*member].listed).collect();
    for member in &listed {
        assert!(now.etcd.members[*member].votes() && now.member_healthy(*member));
    }
    listed.into_iter().map(|member| now.etcd.members[member].told.name.clone()).collect()
}

fn configured(bench: &Bench, node: &str) -> String {
    let mut now = bench.now();
    let Seen::Known(Some(process)) = &now.machine(node).told.etcd else { panic!("etcd is here") };
    process.configured_members.clone().unwrap_or_default()
}

const CHANGES: [&str; 7] = [
    "member-remove etcd1",
    "member-retire etcd3",
    "member-add etcd1",
    "member-join etcd3",
    "member-promote etcd1",
    "member-config etcd1",
    "member-config etcd2",
];

#[tokio::test(start_paused = true)]
async fn a_dead_member_is_replaced_on_its_machine() {
    let bench = bench(Some("etcd3"), replace("etcd3")).await;
    let before = bench.now().member("etcd3").told.id;
    bench.raise().await;
    let jobs: Vec<String> = bench.jobs().into_iter().filter(|job| job.starts_with("member-")).collect();
    assert_eq!(jobs, CHANGES);
    assert_eq!(members(&bench), ["etcd1", "etcd2", "etcd3"]);
    assert_ne!(bench.now().member("etcd3").told.id, before);
    let wanted = configured(&bench, "etcd3");
    assert!(wanted.starts_with("etcd1=https://") && wanted.contains(",etcd3=https://"), "{wanted}");
    assert_eq!((configured(&bench, "etcd1"), configured(&bench, "etcd2")), (wanted.clone(), wanted));
    assert_eq!(bench.now().etcd.snapshots, 1);
    assert_eq!(bench.locked(), [""; 0]);
    assert_eq!(bench.run().await.unwrap(), Outcome::WasRaised);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_leads_hands_over_before_it_leaves() {
    let bench = bench(None, Wish::Remove("etcd2".to_owned())).await;
    let leader = bench.now().etcd.leader.expect("a leader");
    assert_eq!(bench.now().etcd.members[leader].told.name, "etcd2", "the lab's leader");
    bench.raise().await;
    assert_eq!(members(&bench), ["etcd1", "etcd3"]);
    let changes: Vec<String> = bench.jobs().into_iter().filter(|job| job.starts_with('m')).collect();
    let wanted = [
        "move-leader etcd1",
        "member-remove etcd1",
        "member-retire etcd2",
        "member-config etcd1",
        "member-config etcd3",
    ];
    assert_eq!(changes, wanted);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_is_killed_anywhere_is_gone_on_with() {
    let whole = bench(Some("etcd3"), replace("etcd3")).await;
    whole.raise().await;
    let places = whole.places();
    assert!(places > 50, "{places}");
    for at in 0..places {
        let bench = bench(Some("etcd3"), replace("etcd3")).await;
        if let Some(Err(failure)) = bench.run_until(at).await {
            panic!("{failure}");
        }
        match bench.run().await {
            Ok(_) => {}
            Err(failure) => panic!("killed at place {at}: {failure}"),
        }
        assert_eq!(members(&bench), ["etcd1", "etcd2", "etcd3"], "killed at place {at}");
        bench.assert_lawful();
        for job in CHANGES {
            let times = bench.jobs().iter().filter(|known| *known == job).count();
            assert_eq!(times, 1, "killed at place {at}: {job}");
        }
    }
    println!("{places} places");
}

/// Its certificates are lost with its data: they are made anew, and none of them twice once they are in use.
#[tokio::test(start_paused = true)]
async fn a_member_whose_certificates_are_made_is_gone_on_with_when_killed_anywhere() {
    let certificate = "/home/ann/ca.crt".to_owned();
    let authority = Authority { certificate, key: "/home/ann/ca.key".to_owned(), digest: ca().digest };
    let bench = || async {
        let sim = sick_lab(Some("etcd3"));
        for node in ["etcd1", "etcd2", "etcd3"] {
            let mut now = sim.now();
            let Seen::Known(Some(process)) = &mut now.machine(node).told.etcd else { panic!("etcd is here") };
            for kind in ["", "peer-"] {
                let file = |end: &str| format!("/etc/etcd/pki/{kind}server.{end}");
                process.settings.insert(format!("{kind}cert-file"), file("crt"));
                process.settings.insert(format!("{kind}key-file"), file("key"));
                process.settings.insert(format!("{kind}trusted-ca-file"), CA.to_owned());
            }
        }
        planned(sim, replace("etcd3"), Some(&authority)).await
    };
    let whole = bench().await;
    whole.raise().await;
    let jobs: Vec<String> = whole.jobs().into_iter().filter(|job| job.contains("etcd3")).collect();
    let place = jobs.iter().position(|job| job == "place-certificates etcd3");
    assert!(place < jobs.iter().position(|job| job == "member-join etcd3"), "{jobs:?}");
    let places = whole.places();
    for at in 0..places {
        let bench = bench().await;
        if let Some(Err(failure)) = bench.run_until(at).await {
            panic!("{failure}");
        }
        bench.run().await.unwrap_or_else(|failure| panic!("killed at place {at}: {failure}"));
        assert_eq!(members(&bench), ["etcd1", "etcd2", "etcd3"], "killed at place {at}");
        bench.assert_lawful();
        let times = bench.jobs().iter().filter(|job| *job == "place-certificates etcd3").count();
        assert_eq!(times, 1, "killed at place {at}");
    }
}

/// The same on control planes, where kubeadm makes the member.
async fn stacked_bench() -> Bench {
    let (inventory, sim) = (stacked_inventory(), simulated(stacked_facts()));
    sim.now().member("cp3").runs = None;
    sim.now().settle();
    sim.clock.sleep(Duration::from_secs(10)).await;
    let facts = look(&sim, &inventory).await;
    let ready = (Seen::Known(Ready::default()), Seen::Known(Ready::default()));
    let (sources, wish) = (Sources { inventory: "lab.toml".to_owned(), ..Sources::default() }, replace("cp3"));
    let wanted = Wanted {
        inventory: &inventory,
        facts: &facts,
        wish: &wish,
        ready: Some(&ready),
        authority: None,
        sources: &sources,
    };
    let plan = members::plan(wanted).unwrap_or_else(|found| panic!("{}", windlass::report::findings(&found)));
    Bench { inventory, ..Bench::with(plan, sim) }
}

#[tokio::test(start_paused = true)]
async fn a_stacked_member_that_kubeadm_makes_anew_is_made_once_wherever_it_is_killed() {
    let changes = ["member-remove cp1", "member-retire cp3", "member-kubeadm cp3"];
    let whole = stacked_bench().await;
    let before = whole.now().member("cp3").told.id;
    whole.raise().await;
    let jobs: Vec<String> = whole.jobs().into_iter().filter(|job| job.starts_with("member-")).collect();
    assert_eq!(jobs, changes);
    assert_eq!(members(&whole), PLANES);
    assert_ne!(whole.now().member("cp3").told.id, before);
    assert_eq!(whole.run().await.unwrap(), Outcome::WasRaised);
    let places = whole.places();
    assert!(places > 30, "{places}");
    for at in 0..places {
        let bench = stacked_bench().await;
        if let Some(Err(failure)) = bench.run_until(at).await {
            panic!("{failure}");
        }
        if let Err(failure) = bench.run().await {
            panic!("killed at place {at}: {failure}");
        }
        assert_eq!(members(&bench), PLANES, "killed at place {at}");
        bench.assert_lawful();
        for job in changes {
            let times = bench.jobs().iter().filter(|known| *known == job).count();
            assert_eq!(times, 1, "killed at place {at}: {job}");
        }
    }
}

/// The machine dies between kubeadm's two acts: the member that never started is taken off the list, and made anew.
#[tokio::test(start_paused = true)]
async fn a_member_that_kubeadm_has_listed_and_never_started_is_made_anew() {
    let bench = stacked_bench().await;
    bench.when("member-kubeadm", "cp3", Then::Reboot);
    if bench.run().await.is_err() {
        bench.raise().await;
    }
    assert_eq!(members(&bench), PLANES);
    assert_eq!(bench.jobs().iter().filter(|job| *job == "member-kubeadm cp3").count(), 2);
    bench.assert_lawful();
}

const PLANES: [&str; 3] = ["cp1", "cp2", "cp3"];

#[tokio::test(start_paused = true)]
async fn a_removal_waits_while_another_member_is_away_and_then_fails_with_the_arithmetic() {
    let bench = bench(None, Wish::Remove("etcd3".to_owned())).await;
    bench.now().member_away(0, true);
    let failure = bench.fail().await;
    assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
    assert_eq!(bench.jobs().iter().filter(|job| job.starts_with("member-")).count(), 0);
    bench.now().member_away(0, false);
    bench.raise().await;
    assert_eq!(members(&bench), ["etcd1", "etcd2"]);
}
