//! Whole plans: driven to their end, everything is where it should be, and nothing is done twice.

use std::time::Duration;

use semver::Version;
use windlass::decide::action::Effect;
use windlass::decide::action::Site;
use windlass::decide::plan::Plan;
use windlass::engine::Outcome;
use windlass::facts::{Facts, MachineFacts, Seen};
use windlass::journal::{Event, How};

use super::timeless;
use crate::bench::{Bench, ETCD, MINOR, PATCH, Raise, lab, lab_facts, lab_inventory, look};
use crate::world::Who;

#[tokio::test(start_paused = true)]
async fn the_simulation_tells_what_the_real_cluster_told() {
    let seen = look(&lab(), &lab_inventory()).await;
    assert_eq!(timeless(seen), timeless(lab_facts()));
}

#[tokio::test(start_paused = true)]
async fn observing_only_looks() {
    let bench = Bench::new(MINOR);
    bench.seen().await;
    assert_eq!(bench.acts(), 0);
    assert_eq!(bench.jobs(), [""; 0]);
}

/// The packages and what runs, put where the plan says.
fn raised(mut facts: Facts, kubernetes: Option<&str>, etcd: Option<&str>) -> Facts {
    for node in &mut facts.nodes {
        let Seen::Known(machine) = &mut node.machine else { panic!("{}", node.name) };
        for (name, package) in &mut machine.packages {
            let to = if name.starts_with("etcd") {
                etcd.map(|to| format!("{to}-4"))
            } else {
                kubernetes.map(|to| format!("{to}-00"))
            };
            package.installed = to.or(package.installed.take());
        }
        if let Some(to) = kubernetes {
            raise_machine(machine, to);
        }
        if let (Some(to), Seen::Known(Some(process))) = (etcd, &mut machine.etcd) {
            process.server_version = Seen::Known(Version::parse(to).unwrap());
            process.cluster_version = Seen::Known(Version::new(3, 5, 0));
        }
    }
    if let (Some(to), Seen::Known(members)) = (etcd, &mut facts.etcd) {
        for member in &mut members.members {
            let Seen::Known(status) = &mut member.status else { panic!("{}", member.name) };
            status.version = Version::parse(to).unwrap();
        }
    }
    if let (Some(to), Seen::Known(api)) = (kubernetes, &mut facts.api) {
        let version = Version::parse(to).unwrap();
        for node in &mut api.nodes {
            node.kubelet = Seen::Known(version.clone());
        }
        if let Seen::Known(config) = &mut api.kubeadm {
            config.version = version.clone();
        }
        if let Seen::Known(names) = &mut api.kubelet_configs {
            names.push(format!("kubelet-config-1.{}", version.minor));
            names.dedup();
        }
        api.kube_proxy = Seen::Known(Some(format!("k8s.gcr.io/kube-proxy:v{to}")));
    }
    facts
}

fn raise_machine(machine: &mut MachineFacts, to: &str) {
    let version = Version::parse(to).unwrap();
    if let Seen::Known(Some(running)) = &mut machine.kubelet_running {
        *running = version.clone();
    }
    if let Seen::Known(Some(answers)) = &mut machine.api_server {
        *answers = version;
    }
    if let Seen::Known(pods) = &mut machine.static_pods {
        for (name, image) in pods {
            *image = format!("k8s.gcr.io/{name}:v{to}");
        }
    }
}

/// The jobs of the plan in its order, as `job subject`, without those that only serve to act when it is needed.
fn planned(plan: &Plan) -> Vec<String> {
    let mut jobs = Vec::new();
    for placed in plan.placed() {
        let site = Site { run: &plan.id, node: placed.node };
        match placed.step.action.effect(site) {
            Effect::Job { call, .. } => {
                jobs.push(format!("{} {}", windlass::remote::scripts::name(call.script), placed.node.unwrap()));
            }
            Effect::Snapshot { proven: true } => jobs.push("prove-snapshot".to_owned()),
            _ => {}
        }
    }
    jobs
}

/// Lanes of one wave run side by side: their jobs are compared as sets where they only prepare.
fn prepared_apart(jobs: Vec<String>) -> (Vec<String>, Vec<String>) {
    let prepares = |job: &String| ["archive", "fetch-packages", "pull-images"].iter().any(|name| job.starts_with(name));
    let (mut first, rest): (Vec<String>, Vec<String>) = jobs.into_iter().partition(prepares);
    first.sort();
    (first, rest)
}

async fn whole(target: Raise, unneeded: &[&str]) -> Bench {
    let bench = Bench::new(target);
    bench.raise().await;
    let seen = timeless(bench.seen().await);
    assert_eq!(seen, timeless(raised(lab_facts(), target.0, target.1)));
    assert_eq!(bench.locked(), [""; 0]);
    let mut expected = planned(&bench.plan);
    expected.retain(|job| !unneeded.contains(&job.as_str()));
    // Which member's machine it is made on is chosen in its moment.
    let anywhere = |job: String| if job.starts_with("prove-snapshot ") { "prove-snapshot".to_owned() } else { job };
    let jobs = bench.jobs().into_iter().map(anywhere).collect();
    assert_eq!(prepared_apart(jobs), prepared_apart(expected));
    assert!(matches!(bench.events()[..], [.., Event::Completed, Event::Released { .. }]));
    let (acts, jobs) = (bench.acts(), bench.jobs());
    assert_eq!(bench.run().await.unwrap(), Outcome::WasRaised);
    assert_eq!((bench.acts(), bench.jobs()), (acts, jobs), "the finished plan was run again");
    bench
}

#[tokio::test(start_paused = true)]
async fn a_minor_with_etcd_is_driven_to_its_end() {
    let bench = whole(MINOR, &["move-leader etcd1", "move-leader etcd3"]).await;
    assert_eq!(bench.now().etcd.snapshots, 2, "one before etcd, one before Kubernetes");
}

#[tokio::test(start_paused = true)]
async fn a_patch_is_driven_to_its_end() {
    let bench = whole(PATCH, &[]).await;
    assert!(!bench.jobs().iter().any(|job| job.starts_with("drain ")), "kubelets are raised in place");
}

#[tokio::test(start_paused = true)]
async fn etcd_alone_is_driven_to_its_end() {
    whole(ETCD, &["move-leader etcd1", "move-leader etcd3"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_has_to_last_is_watched_also_when_it_shows_at_once() {
    let bench = whole(MINOR, &["move-leader etcd1", "move-leader etcd3"]).await;
    let waited: Vec<(String, How, u64)> = bench
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Finished { step, how, millis } => Some((step, how, millis)),
            _ => None,
        })
        .collect();
    let steady = |stage: &str, part: &str, least: Duration| {
        let found: Vec<_> = waited.iter().filter(|(id, ..)| id.starts_with(stage) && id.contains(part)).collect();
        assert_eq!(found.len(), 3, "{stage} {part}");
        for (id, how, millis) in found {
            assert!(*how == How::Waited && u128::from(*millis) >= least.as_millis(), "{id} {how:?} {millis} ms");
        }
    };
    steady("control-plane-kubelets/", "await-ready", Duration::from_secs(4));
    // Longer than the members' own election timeout of 2.5 s.
    steady("etcd/", "await-healthy", Duration::from_millis(2500));
}

#[tokio::test(start_paused = true)]
async fn a_foreign_cordon_stays() {
    let bench = Bench::prepared(MINOR, |world| world.somebody_cordons("cp2")).await;
    bench.raise().await;
    let first = bench.now().node("cp2").clone();
    assert!(first.unschedulable && first.cordoned_by.is_none() && first.who == Some(Who::Somebody));
    assert!(!bench.now().node("w2").unschedulable);
    let own = |job: &str| !bench.jobs().contains(&format!("{job} cp2"));
    assert!(own("cordon") && own("uncordon"), "it is neither cordoned nor uncordoned by us");
    assert!(bench.jobs().contains(&"drain cp2".to_owned()));
}
