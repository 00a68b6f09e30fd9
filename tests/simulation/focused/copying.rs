//! The copies of journal and plan on the control planes: what is there at any moment, and that another operator can always
//! go on from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use windlass::decide::call::Script;
use windlass::engine::{Event, Outcome};
use windlass::error::Exit;
use windlass::journal;

use crate::bench::{Bench, ETCD, MINOR, Raise, bob};
use crate::seams::disk::Disk;
use crate::seams::fault::Then;

type Counts = BTreeMap<(String, String), usize>;

fn disk(text: &str) -> Arc<Mutex<Disk>> {
    Arc::new(Mutex::new(Disk { text: text.to_owned(), room: None }))
}

fn own(bench: &Bench) -> String {
    bench.disk.lock().unwrap().text.clone()
}

/// Nothing ran twice that may run once. Who looks at a node again cordons and drains it again where it was uncordoned
/// since, or pods may have come; and a snapshot that is in doubt is taken and proven anew.
fn assert_none_twice(what: &str, counts: &Counts, whole: &Counts) {
    for (key, count) in counts {
        let more = match key.0.as_str() {
            "cordon" | "drain" | "uncordon" | "prove-snapshot" => 1,
            // At each of the two load balancers.
            "drain-server" => 2,
            _ => 0,
        };
        let most = whole.get(key).copied().unwrap_or(0) + more;
        assert!(*count <= most, "{what}: {key:?} ran {count} times");
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_end_every_control_plane_has_everything() {
    let bench = Bench::new(MINOR);
    bench.raise().await;
    for node in ["cp1", "cp2", "cp3"] {
        let copies = bench.now().machine(node).own.copies.clone();
        assert_eq!(copies[&format!("{}/journal", bench.plan.id)], own(&bench), "{node}");
        assert_eq!(copies[&format!("{}/plan.json", bench.plan.id)], bench.plan.to_json(), "{node}");
    }
    assert!(bench.now().machine("w1").own.copies.is_empty());
}

/// What a start needs: its own record is on a control plane before it.
#[tokio::test(start_paused = true)]
async fn every_start_is_in_a_copy_before_it_begins() {
    let bench = Bench::new(MINOR);
    bench.raise().await;
    let (mut announced, mut starts) = (String::new(), 0);
    for (node, call) in &bench.now().inner().calls {
        match call.script {
            Script::CopyAppend if node == "cp1" => announced.push_str(&call.args[4]),
            Script::UnitStart => {
                starts += 1;
                let wanted = format!(r#""unit":"{}""#, call.args[2]);
                assert!(announced.contains(&wanted), "{} began before it was copied", call.args[2]);
            }
            _ => {}
        }
    }
    assert!(starts > 50, "{starts}");
}

/// Killed anywhere; its machine is gone for good, and bob goes on from what the control planes have.
async fn gone_everywhere(target: Raise, first: i64, step: i64) -> i64 {
    let whole = Bench::new(target);
    whole.raise().await;
    let mut at = first;
    loop {
        let bench = Bench::new(target);
        if let Some(ended) = bench.run_until(at).await {
            assert_eq!(ended.unwrap(), Outcome::Raised);
            return at;
        }
        let copy = bench.copy().await;
        let text = own(&bench);
        let text = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        match &copy {
            Some(copy) => assert!(text.starts_with(copy.as_str()), "killed at {at}: the copy tells something else"),
            None => assert_eq!(bench.jobs(), [""; 0], "killed at {at}"),
        }
        let disk = disk(&copy.unwrap_or_default());
        let outcome = bench.run_with(&bob(), &disk, true, &bench.listener()).await;
        let outcome = outcome.unwrap_or_else(|failure| panic!("killed at {at}: {failure}"));
        assert!(matches!(outcome, Outcome::Raised | Outcome::WasRaised));
        assert_eq!(bench.locked(), [""; 0], "killed at {at}: the lock is left behind");
        assert_none_twice(&format!("killed at {at}"), &bench.counts(), &whole.counts());
        assert_eq!(bench.counts().len(), whole.counts().len(), "killed at {at}: not everything was done");
        let state = bench.now();
        assert!(state.kube.nodes.iter().all(|node| !node.unschedulable), "killed at {at}: something stays cordoned");
        drop(state);
        bench.assert_lawful();
        at += step;
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_place_another_operator_completes_it_from_the_copy_even() {
    assert!(Box::pin(gone_everywhere(MINOR, 2, 2)).await > 300);
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_place_another_operator_completes_it_from_the_copy_odd() {
    assert!(Box::pin(gone_everywhere(MINOR, 1, 2)).await > 300);
}

/// The newest copy is on a machine that is away: an older one may end in a refusal, and never does anything twice. With the
/// newest again, the run is completed.
#[tokio::test(start_paused = true)]
async fn a_copy_that_lags_is_safe_however_far() {
    let whole = Bench::new(MINOR);
    whole.raise().await;
    let (mut raised, mut refused) = (0, 0);
    for at in (40..300).step_by(26) {
        for missing in [1, 2, 3, 5, 8, 13, 21, 34] {
            let bench = Bench::new(MINOR);
            assert!(bench.run_until(at).await.is_none(), "there are less than {at} places");
            let newest = bench.copy().await.unwrap();
            let lines: Vec<&str> = newest.split_inclusive('\n').collect();
            let lagging = lines[..lines.len().saturating_sub(missing)].concat();
            let what = format!("killed at {at}, {missing} records missing");
            match bench.run_with(&bob(), &disk(&lagging), true, &bench.listener()).await {
                Ok(outcome) => {
                    assert_eq!(outcome, Outcome::Raised);
                    raised += 1;
                }
                Err(failure) => {
                    assert!(matches!(failure.exit, Exit::Drifted | Exit::StepFailed), "{what}: {failure}");
                    refused += 1;
                    let bobs = disk(&newest);
                    let mut again = bench.run_with(&bob(), &bobs, true, &bench.listener()).await;
                    // What the older history made of a node since may have undone a unit that has ended well: its step fails,
                    // and the same command does it again.
                    if again.as_ref().is_err_and(|failure| failure.exit == Exit::StepFailed) {
                        again = bench.run_with(&bob(), &bobs, true, &bench.listener()).await;
                    }
                    assert_eq!(again.unwrap_or_else(|failure| panic!("{what}: {failure}")), Outcome::Raised);
                }
            }
            assert_none_twice(&what, &bench.counts(), &whole.counts());
            bench.assert_lawful();
        }
    }
    println!("from copies that lag: {raised} completed, {refused} refused and completed from the newest");
    assert!(raised > 20 && refused > 5, "{raised} {refused}");
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_that_takes_no_copy_is_left_alone_until_the_next_stage() {
    let bench = Bench::new(ETCD);
    bench.when("copy-append", "cp2", Then::Fail(6));
    bench.raise().await;
    let copies = bench.now().machine("cp2").own.copies.clone();
    assert_eq!(copies[&format!("{}/journal", bench.plan.id)], own(&bench), "it has caught up");
    let told = bench.told.events.lock().unwrap();
    let note =
        |event: &&Event| matches!(event, Event::Note(note) if note.contains("not copied to cp2 for now: status 6"));
    assert_eq!(told.iter().filter(note).count(), 1, "{told:?}");
    // Nothing was asked of it between its failure and the next stage.
    let mut state = bench.now();
    let calls: Vec<_> = state.inner().calls.iter().filter(|(_, call)| call.script == Script::CopyAppend).collect();
    let (of_one, of_two) = (|node: &str| calls.iter().filter(|(on, _)| on == node).count(), "cp2");
    assert!(of_one(of_two) < of_one("cp1"), "{} {}", of_one(of_two), of_one("cp1"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_started_that_no_control_plane_knows_of() {
    let bench = Bench::new(ETCD);
    for node in ["cp1", "cp2", "cp3"] {
        for _ in 0..40 {
            bench.when("copy-append", node, Then::Fail(6));
        }
    }
    let failure = bench.fail().await;
    assert_eq!(
        (failure.exit, failure.what.as_str()),
        (Exit::StepFailed, "no control plane takes a copy of the journal")
    );
    assert_eq!(failure.causes.iter().filter(|cause| cause.contains("status 6")).count(), 3, "{failure}");
    assert_eq!(bench.jobs(), [""; 0]);
    assert_eq!(bench.locked(), [""; 0]);
    bench.now().inner().traps.clear();
    bench.raise().await;
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_refused_by_its_token_ends_the_run() {
    let bench = Bench::new(ETCD);
    bench.when("copy-append", "cp2", Then::Fence);
    let failure = bench.fail().await;
    assert_eq!(failure.exit, Exit::Refused, "{failure}");
    assert!(failure.causes[0].contains("cp2 has seen token 12, ours is 2"), "{failure}");
    assert_eq!(bench.jobs(), [""; 0]);
}

/// A run that was killed in the middle, with the history that is copied: what its last record announces has not begun.
async fn announced_and_not_begun() -> (Bench, String) {
    for place in 200.. {
        let bench = Bench::new(MINOR);
        assert!(bench.run_until(place).await.is_none());
        let before = bench.copy().await.unwrap();
        let last = before.lines().last().unwrap();
        if !bench.now().begun.iter().any(|job| last.contains(&format!("\"unit\":\"{}\"", job.unit))) {
            return (bench, before);
        }
    }
    unreachable!()
}

/// A replaced operator's own end of the history is set aside where it was copied, and nowhere believed.
#[tokio::test(start_paused = true)]
async fn the_newest_history_is_the_one_of_the_highest_token() {
    let (bench, before) = announced_and_not_begun().await;
    let key = format!("{}/journal", bench.plan.id);
    // What ann wrote last is on cp3 alone, which does not answer when bob goes on.
    let cut = &before[..=before.trim_end().rfind('\n').unwrap()];
    for node in ["cp1", "cp2"] {
        cut.clone_into(bench.now().machine(node).own.copies.get_mut(&key).unwrap());
    }
    let bobs = disk(cut);
    bench.now().machine("cp3").cut_off = true;
    let failure = bench.run_with(&bob(), &bobs, true, &bench.listener()).await.unwrap_err();
    assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
    bench.now().machine("cp3").cut_off = false;
    let found = bench.copy().await.unwrap();
    assert!(found.contains("bob@laptop"), "bob's is the newest, although ann's on cp3 may be longer");
    let outcome = bench.run_with(&bob(), &bobs, false, &bench.listener()).await;
    assert_eq!(outcome.unwrap(), Outcome::Raised);
    let there = bench.now().machine("cp3").own.copies[&key].clone();
    assert_eq!(there, bobs.lock().unwrap().text, "cp3 has bob's history by now");
    journal::read(&there).unwrap();
}
