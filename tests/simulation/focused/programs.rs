//! etcd from an archive of its programs: raised to its end, and put back by itself where a new program does not start.

use windlass::decide::action::Action;
use windlass::engine::Outcome;
use windlass::error::Exit;
use windlass::facts::{EtcdMember, Seen};
use windlass::journal::{Event, Standing};

use super::undoing::{fall_sick, undone};
use crate::bench::Bench;
use crate::lab::PROGRAM;
use crate::seams::fault::Then;
use crate::world::Sick;

fn program(bench: &Bench, node: &str) -> String {
    bench.now().machine(node).packages[PROGRAM].version.clone()
}

/// Every member answers at this version, and is well.
async fn assert_members(bench: &Bench, version: &str) {
    let seen = bench.seen().await;
    let well = |member: &EtcdMember| {
        member.status.known().is_some_and(|s| s.version.to_string() == version && s.healthy == Seen::Known(()))
    };
    let members = &seen.etcd.known().expect("etcd").members;
    assert!(members.len() == 3 && members.iter().all(well), "{members:?}");
}

#[tokio::test(start_paused = true)]
async fn etcd_from_an_archive_is_driven_to_its_end() {
    for sent in [false, true] {
        let bench = Bench::programs(sent);
        bench.raise().await;
        assert_members(&bench, "3.5.16").await;
        for node in ["etcd1", "etcd2", "etcd3"] {
            assert_eq!(program(&bench, node), "3.5.16");
            let count = |job: &str| bench.counts().get(&(job.to_owned(), node.to_owned())).copied().unwrap_or(0);
            assert_eq!((count("fetch-archive"), count("install-programs")), (usize::from(!sent), 1), "{node}");
            assert_eq!(count("install-packages") + count("fetch-packages"), 0, "{node}: no package manager is asked");
        }
        let acts = bench.acts();
        assert_eq!(bench.run().await.expect("it is through"), Outcome::WasRaised);
        assert_eq!(bench.acts(), acts);
        bench.finish().await.expect("it is finished");
        let mut now = bench.now();
        for node in ["etcd1", "etcd2", "etcd3"] {
            let own = &now.machine(node).own;
            assert!(own.programs.is_empty() && !own.files.iter().any(|file| file.ends_with(".tar.gz")), "{own:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_new_program_does_not_start_gets_its_former_one_back() {
    for (sick, failed) in [
        (Sick::Silent, "step etcd/etcd1/package failed"),
        (Sick::Unhealthy, "step etcd/etcd1/await-healthy had no effect"),
    ] {
        let bench = Bench::programs(false);
        fall_sick(&bench, "etcd1", sick);
        let failure = bench.fail().await;
        assert_eq!(failure.exit, Exit::StepFailed);
        assert!(failure.what.starts_with(failed), "{failure}");
        let back = "step etcd/etcd1/package was taken back: /usr/local/bin/etcd 3.4.23 put back, while every other member \
                    reports cluster version 3.4";
        assert_eq!(failure.causes.last().map(String::as_str), Some(back), "{failure}");
        assert_eq!(undone(&bench), ["etcd/etcd1/package 1 Restored"]);
        assert_eq!(program(&bench, "etcd1"), "3.4.23");
        assert_members(&bench, "3.4.23").await;
        assert_eq!(bench.locked(), [""; 0]);
        assert!(!bench.jobs().contains(&"install-programs etcd2".to_owned()), "it stopped there");
        bench.assert_lawful();
        bench.now().etcd.sick = None;
        bench.raise().await;
        assert_eq!(bench.counts()[&("install-programs".to_owned(), "etcd1".to_owned())], 2);
        assert_members(&bench, "3.5.16").await;
    }
}

/// The last member of all: with it the cluster version has risen, and the former program would not start.
#[tokio::test(start_paused = true)]
async fn the_last_member_keeps_its_new_program_once_the_cluster_version_has_risen() {
    let bench = Bench::programs(false);
    let swaps = bench.plan.placed().filter(|placed| matches!(placed.step.action, Action::SwapEtcd(_)));
    let last = swaps.last().expect("a swap").node.expect("a node").to_string();
    fall_sick(&bench, &last, Sick::Unhealthy);
    bench.fail().await;
    let undone = undone(&bench);
    assert!(undone.len() == 1 && undone[0].starts_with(&format!("etcd/{last}/package 1 Not(")), "{undone:?}");
    assert_eq!(program(&bench, &last), "3.5.16");
    bench.now().etcd.sick = None;
    bench.raise().await;
}

/// An archive that is another, or does not hold this etcd: the job refuses, and the member has not noticed.
#[tokio::test(start_paused = true)]
async fn an_archive_that_is_refused_changes_nothing() {
    let bench = Bench::programs(false);
    bench.when("fetch-archive", "etcd2", Then::Fail(75));
    let failure = bench.fail().await;
    assert!(failure.what.starts_with("step prepare/etcd2/archive-of-etcd failed"), "{failure}");
    assert!(!bench.jobs().iter().any(|job| job.starts_with("install-programs")), "nothing moves before all is there");
    bench.when("install-programs", "etcd1", Then::Fail(75));
    let failure = bench.fail().await;
    assert_eq!(failure.causes.last().map(String::as_str), Some("step etcd/etcd1/package has changed nothing on etcd1"));
    assert!(matches!(bench.history().steps["etcd/etcd1/package"], Standing::Failed(_)));
    assert_members(&bench, "3.4.23").await;
    bench.raise().await;
}

/// Killed at each of the last places of a run that fails and goes back.
#[tokio::test(start_paused = true)]
async fn going_back_that_is_killed_anywhere_is_ended_by_the_next_run() {
    let failing = || {
        let bench = Bench::programs(true);
        bench.when("install-programs", "etcd1", Then::FailAfter(1));
        bench
    };
    let whole = failing();
    whole.fail().await;
    let mut hit = 0;
    for at in whole.places() - 12..=whole.places() {
        let bench = failing();
        assert!(bench.run_until(at).await.is_none(), "{at} is no place of this run");
        hit += usize::from(bench.history().undos.values().any(|undo| undo.under_way.is_some()));
        if bench.run().await.is_err() {
            bench.raise().await;
        }
        let undoing = bench.events().iter().filter(|event| matches!(event, Event::Undoing { .. })).count();
        let ran = bench.counts().get(&("restore-programs".to_owned(), "etcd1".to_owned())).copied().unwrap_or(0);
        assert!(undoing <= 1 && ran == undoing, "killed at {at}: begun {undoing} times, ran {ran} times");
        assert_members(&bench, "3.5.16").await;
    }
    assert!(hit >= 3, "{hit} kills hit an undo");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_given_up_leaves_each_member_on_one_of_the_two() {
    let bench = Bench::programs(false);
    bench.when("install-programs", "etcd1", Then::Kill);
    assert!(crate::bench::survive(bench.run()).await.is_none(), "it was not killed");
    bench.abort().await.expect("it is given up");
    bench.assert_lawful();
    let versions = ["etcd1", "etcd2", "etcd3"].map(|node| program(&bench, node));
    assert_eq!(versions, ["3.5.16", "3.4.23", "3.4.23"], "what was under way was waited for");
    assert_eq!(bench.locked(), [""; 0]);
}
