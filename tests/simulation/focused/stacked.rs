//! A raise of Kubernetes whose members of etcd are static pods: kubeadm raises them too, and the plan sees to it that each goes
//! alone, does not lead, and is seen whole after.

use semver::Version;
use windlass::engine::{Abort, Outcome};
use windlass::error::Exit;
use windlass::facts::Seen;
use windlass::journal::Event;

use super::timeless;
use crate::bench::{Bench, KUBERNETES, PATCH, look, stacked_facts, stacked_inventory};
use crate::seams::fault::Then;
use crate::world::Sick;

fn etcd(version: &str) -> Version {
    Version::parse(version).expect("a version")
}

/// What each member runs, and the cluster version that it knows.
fn members(bench: &Bench) -> Vec<(String, Option<Version>, Version)> {
    let now = bench.now();
    now.etcd.members.iter().map(|one| (one.told.name.clone(), one.runs.clone(), one.cluster.clone())).collect()
}

fn all_at(version: &str, cluster: &str) -> Vec<(String, Option<Version>, Version)> {
    ["cp1", "cp2", "cp3"].map(|name| (name.to_owned(), Some(etcd(version)), etcd(cluster))).to_vec()
}

#[tokio::test(start_paused = true)]
async fn the_simulation_tells_of_stacked_members_what_their_facts_tell() {
    let bench = Bench::stacked_raise(KUBERNETES);
    assert_eq!(timeless(look(&bench.sim, &stacked_inventory()).await), timeless(stacked_facts()));
}

#[tokio::test(start_paused = true)]
async fn a_minor_raises_the_members_one_by_one_and_nothing_twice() {
    let bench = Bench::stacked_raise(KUBERNETES);
    assert_eq!(members(&bench), all_at("3.4.23", "3.4.0"));
    bench.raise().await;
    assert_eq!(members(&bench), all_at("3.5.16", "3.5.0"));
    let jobs = bench.jobs();
    // Whoever leads when its turn comes, and no other.
    let moved = jobs.iter().filter(|job| job.starts_with("move-leader")).count();
    assert!((1..=6).contains(&moved), "{jobs:?}");
    for node in ["cp1", "cp2", "cp3"] {
        assert_eq!(jobs.iter().filter(|job| **job == format!("fetch-tool {node}")).count(), 1, "{jobs:?}");
    }
    let waited = |name: &str| {
        let is = |event: &Event| matches!(event, Event::Finished { step, .. } if step.ends_with(name));
        bench.events().iter().filter(|event| is(event)).count()
    };
    assert_eq!(waited("/await-members"), 6, "after each control plane, and after each kubelet of theirs");
    let before = bench.acts();
    assert_eq!(bench.run().await.expect("it was raised"), Outcome::WasRaised);
    assert_eq!(bench.acts(), before, "the finished plan was run again");
}

#[tokio::test(start_paused = true)]
async fn a_patch_leaves_etcd_where_it_is() {
    let bench = Bench::stacked_raise(PATCH);
    bench.raise().await;
    assert_eq!(members(&bench), all_at("3.4.23", "3.4.0"));
}

/// What kubeadm brings is known on the nodes alone, and refused there before anything is changed.
#[tokio::test(start_paused = true)]
async fn a_kubeadm_that_would_skip_a_minor_of_etcd_is_refused_while_nothing_is_changed() {
    let bench = Bench::stacked_raise(KUBERNETES);
    bench.now().kubeadm_etcd.insert(21, "3.6.4-0");
    let failure = bench.fail().await;
    assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
    assert!(failure.what.contains("prepare/cp") && failure.what.contains("/images"), "{failure}");
    let prepares = ["archive", "fetch-tool", "fetch-packages", "pull-images"];
    for job in bench.jobs() {
        assert!(prepares.iter().any(|known| job.starts_with(known)), "{job} came before the refusal");
    }
    assert_eq!((members(&bench), bench.now().etcd.snapshots), (all_at("3.4.23", "3.4.0"), 0));
}

/// Another kubeadm than the one that was asked: it is asked again where it acts.
#[tokio::test(start_paused = true)]
async fn a_kubeadm_that_changes_its_mind_is_refused_before_it_touches_etcd() {
    let bench = Bench::stacked_raise(KUBERNETES);
    bench.when("kubeadm-plan", "cp1", Then::Fail(1));
    bench.fail().await;
    bench.now().kubeadm_etcd.insert(21, "3.4.22-0");
    let failure = bench.fail().await;
    assert!(failure.what.contains("first-control-plane/cp1/kubeadm-apply"), "{failure}");
    assert_eq!(members(&bench), all_at("3.4.23", "3.4.0"));
    assert_eq!(bench.now().etcd.members[0].manifest.as_deref(), Some("3.4.23-0"));
    bench.assert_lawful();
}

/// kubeadm puts the manifest back itself; the run stops, names what etcd is at, and goes on when that is cured.
#[tokio::test(start_paused = true)]
async fn a_member_that_does_not_start_stops_the_run_and_the_others_go_on() {
    let bench = Bench::stacked_raise(KUBERNETES);
    bench.now().etcd.sick = Some((2, etcd("3.5.16"), Sick::Silent));
    let failure = bench.fail().await;
    assert!(failure.what.contains("control-planes/cp3/kubeadm-node"), "{failure}");
    let told = failure.causes.join("; ");
    assert!(told.contains("etcd at 3.4.23-0"), "{told}");
    assert!(!bench.jobs().iter().any(|job| job == "kubeadm-node cp2"), "another member was raised meanwhile");
    bench.clock.put_right();
    bench.now().etcd.sick = None;
    bench.raise().await;
    assert_eq!(members(&bench), all_at("3.5.16", "3.5.0"));
}

/// The member that may be restarted next is the one that leads: leadership is moved again, also when it was before.
#[tokio::test(start_paused = true)]
async fn leadership_that_came_back_is_moved_again_after_a_stop() {
    let bench = Bench::stacked_raise(KUBERNETES);
    bench.when("kubeadm-apply", "cp1", Then::Fail(1));
    bench.fail().await;
    {
        let mut now = bench.now();
        now.etcd.leader = Some(0);
    }
    bench.raise().await;
    assert!(bench.jobs().iter().any(|job| job == "move-leader cp1"), "{:?}", bench.jobs());
}

/// With members of two minors an abort says so.
#[tokio::test(start_paused = true)]
async fn an_abort_between_two_members_names_both_releases() {
    let bench = Bench::stacked_raise(KUBERNETES);
    // cp2 leads, and so is the last one.
    bench.when("kubeadm-node", "cp3", Then::Fail(1));
    bench.fail().await;
    let Abort::Aborted { stays, facts } = bench.abort().await.expect("it is given up") else {
        panic!("there was something to give up")
    };
    assert!(
        stays.iter().any(|line| line.contains("3.5.16 on cp1") && line.contains("3.4.23 on cp2 and cp3")),
        "{stays:?}"
    );
    let Seen::Known(etcd) = &facts.etcd else { panic!("etcd answers") };
    assert_eq!(etcd.members.len(), 3);
    bench.assert_lawful();
}

/// Wherever it is given up: no member was stopped out of turn, all of them are there, and nothing is left cordoned or locked.
#[tokio::test(start_paused = true)]
async fn a_raise_is_given_up_after_a_failure_in_any_stage() {
    for (job, node) in [
        ("fetch-tool", "cp2"),
        ("pull-images", "cp3"),
        ("kubeadm-apply", "cp1"),
        ("install-packages", "cp3"),
        ("kubeadm-node", "cp3"),
        ("kubeadm-node", "cp2"),
        ("drain", "cp1"),
        ("kubelet-restart", "cp1"),
        ("kubelet-restart", "cp2"),
        ("kubeadm-node", "w1"),
    ] {
        for after in [false, true] {
            let bench = Bench::stacked_raise(KUBERNETES);
            bench.when(job, node, if after { Then::FailAfter(1) } else { Then::Fail(1) });
            bench.fail().await;
            let ended = bench.abort().await;
            assert!(matches!(ended, Ok(Abort::Aborted { .. })), "{job} {node} {after}: {ended:?}");
            bench.assert_lawful();
            let now = bench.now();
            let members = 0..now.etcd.members.len();
            assert!(members.into_iter().all(|member| now.member_healthy(member)), "{job} {node} {after}");
            assert!(now.kube.nodes.iter().all(|node| !node.unschedulable), "{job} {node} {after}");
            drop(now);
            assert_eq!(bench.locked(), [""; 0], "{job} {node} {after}");
        }
    }
}
