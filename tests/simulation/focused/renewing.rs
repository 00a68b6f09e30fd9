//! Certificates of an external etcd that are renewed: one machine at a time, also when Windlass is killed anywhere; and taken back
//! where nobody takes what a member shows.

use std::collections::BTreeSet;
use std::sync::Arc;

use windlass::decide::actions::certificates::Authority;
use windlass::decide::plan::Sources;
use windlass::decide::renewal::{self, Due, Wanted};
use windlass::engine::Outcome;
use windlass::error::Exit;
use windlass::facts::Seen;
use windlass::facts::ready::{Certified, Ready};

use crate::bench::{Bench, lab, lab_inventory, look};
use crate::seams::remote::Simulation;

const MEMBERS: [&str; 3] = ["etcd1", "etcd2", "etcd3"];
const PLANES: [&str; 3] = ["cp1", "cp2", "cp3"];

/// The lab, whose members tell where their certificates are.
fn told() -> Arc<Simulation> {
    let sim = lab();
    let mut now = sim.now();
    for node in MEMBERS {
        let Seen::Known(Some(process)) = &mut now.machine(node).told.etcd else { panic!("etcd is here") };
        for kind in ["", "peer-"] {
            let of = |what: &str| format!("{kind}{what}");
            let file = if kind.is_empty() { "server" } else { "peer" };
            process.settings.insert(of("cert-file"), format!("/etc/etcd/pki/{file}.crt"));
            process.settings.insert(of("key-file"), format!("/etc/etcd/pki/{file}.key"));
            process.settings.insert(of("trusted-ca-file"), "/etc/etcd/pki/ca.crt".to_owned());
        }
    }
    drop(now);
    sim
}

async fn bench() -> Bench {
    let sim = told();
    let inventory = lab_inventory();
    let mut facts = look(&sim, &inventory).await;
    let Seen::Known(api) = &mut facts.api else { panic!("the API was seen") };
    let Seen::Known(config) = &mut api.kubeadm else { panic!("kubeadm-config was seen") };
    let pki = |file: &str| format!("/etc/kubernetes/pki/{file}");
    config.external_files = Some(["etcd/ca.crt", "apiserver-etcd-client.crt", "apiserver-etcd-client.key"].map(pki));
    let ready: Vec<_> = renewal::to_look_at(&inventory, &facts)
        .into_iter()
        .map(|(node, paths)| {
            let machine = facts.machine(&node).expect("it answers");
            let there = machine.certificates.known().expect("they were seen");
            let certified = |path: &String| {
                let end = there.iter().find(|one| one.path == *path).map(|one| one.not_after);
                let digest = "0".repeat(64);
                (
                    path.clone(),
                    Ok(Certified { digest, not_after: end.unwrap_or(jiff::Timestamp::MAX), ..Certified::default() }),
                )
            };
            let certificates = paths.certificates.iter().map(certified).collect();
            let keys = paths.pairs.iter().map(|[_, key, _]| (key.clone(), Some(true))).collect();
            (node, Seen::Known(Ready { certificates, keys, ..Ready::default() }))
        })
        .collect();
    let authority = Authority { certificate: "/ca.crt".to_owned(), key: "/ca.key".to_owned(), digest: "0".repeat(64) };
    let sources = Sources { inventory: "lab.toml".to_owned(), ..Sources::default() };
    let plan = renewal::plan(Wanted {
        inventory: &inventory,
        facts: &facts,
        ready: &ready,
        authority: &authority,
        only: &[],
        due: Due::All,
        sources: &sources,
    });
    Bench::with(plan.unwrap_or_else(|found| panic!("{}", windlass::report::findings(&found))), sim)
}

/// On which machines certificates were renewed and API servers started, in order.
fn changes(bench: &Bench) -> Vec<String> {
    let changes = ["renew-certificates ", "restart-containers ", "restore-certificates "];
    bench.jobs().into_iter().filter(|job| changes.iter().any(|change| job.starts_with(change))).collect()
}

/// How many files of each machine are renewed ones: three pairs of a member's, one of an API server's.
fn renewed(bench: &Bench) -> Vec<usize> {
    let mut now = bench.now();
    MEMBERS.iter().chain(&PLANES).map(|node| now.machine(node).certificates.renewed.len()).collect()
}

const ALL: [usize; 6] = [6, 6, 6, 2, 2, 2];

#[tokio::test(start_paused = true)]
async fn they_are_renewed_one_machine_after_another_and_api_servers_start_on_them() {
    let bench = bench().await;
    let leader = bench.now().etcd.leader.expect("a leader");
    assert_eq!(bench.now().etcd.members[leader].told.name, "etcd2", "the lab's leader");
    bench.raise().await;
    let mut wanted = ["etcd1", "etcd3", "etcd2"].map(|node| format!("renew-certificates {node}")).to_vec();
    for node in PLANES {
        wanted.extend([format!("renew-certificates {node}"), format!("restart-containers {node}")]);
    }
    assert_eq!(changes(&bench), wanted);
    assert_eq!(renewed(&bench), ALL);
    assert_eq!(bench.now().etcd.snapshots, 1);
    assert_eq!(bench.locked(), [""; 0]);
    assert_eq!(bench.run().await.unwrap(), Outcome::WasRaised);
}

#[tokio::test(start_paused = true)]
async fn killed_anywhere_it_is_gone_on_with() {
    let whole = bench().await;
    whole.raise().await;
    let places = whole.places();
    assert!(places > 80, "{places}");
    for at in 0..places {
        let bench = bench().await;
        if let Some(Err(failure)) = bench.run_until(at).await {
            panic!("{failure}");
        }
        if let Err(failure) = bench.run().await {
            panic!("killed at place {at}: {failure}");
        }
        assert_eq!(renewed(&bench), ALL, "killed at place {at}");
        bench.assert_lawful();
    }
    println!("{places} places");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_is_taken_back_and_tried_again_later() {
    let bench = bench().await;
    bench.now().machine("etcd3").certificates.refused = true;
    let failure = bench.fail().await;
    assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
    let said = "step members/etcd3/renew was taken back: the former certificates and keys are put back";
    assert!(failure.causes.iter().any(|cause| cause == said), "{failure}");
    assert_eq!(renewed(&bench), [6, 0, 0, 0, 0, 0], "who comes later is left alone");
    bench.now().machine("etcd3").certificates.refused = false;
    bench.raise().await;
    assert_eq!(renewed(&bench), ALL);
    let again: BTreeSet<String> = changes(&bench).into_iter().filter(|change| change.ends_with("etcd3")).collect();
    assert_eq!(again, BTreeSet::from(["renew-certificates etcd3".to_owned(), "restore-certificates etcd3".to_owned()]));
}
