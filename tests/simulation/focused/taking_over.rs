//! The lock taken over: fenced first, then waited for; a former holder who wakes is refused everywhere.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::Utf8Path;
use windlass::decide::call::{Call, Script};
use windlass::engine::{Event, Outcome};
use windlass::error::{Exit, Failure};
use windlass::inventory::NodeName;
use windlass::journal;
use windlass::remote::Remote;

use crate::bench::{Bench, ETCD, MINOR, Told, bob};
use crate::seams::disk::Disk;
use crate::seams::fault::Then;

/// The token that the first operator gets: the lab's machines have seen 1.
const ANN: u64 = 2;

/// Polls a run until so many jobs have begun; false when it has ended before.
async fn until(bench: &Bench, run: &mut (impl Future<Output = Result<Outcome, Failure>> + Unpin), jobs: usize) -> bool {
    while bench.jobs().len() < jobs {
        if tokio::time::timeout(Duration::from_millis(10), &mut *run).await.is_ok() {
            return false;
        }
    }
    true
}

fn notes(told: &Told) -> Vec<String> {
    let note = |event: &Event| if let Event::Note(note) = event { Some(note.clone()) } else { None };
    told.events.lock().unwrap().iter().filter_map(note).collect()
}

fn journaled(disk: &Mutex<Disk>) -> Vec<journal::Event> {
    let (records, _) = journal::read(&disk.lock().unwrap().text).unwrap();
    records.into_iter().map(|record| record.event).collect()
}

/// Every call that changes something on a node, under this token: each node refuses each.
async fn refused_everywhere(bench: &Bench, token: u64) {
    let token = token.to_string();
    let call = |script, args: &[&str]| {
        let args = [token.as_str()].iter().chain(args).map(|arg| (*arg).to_owned()).collect();
        Call { script, args }
    };
    let run = bench.plan.id.to_string();
    let jobs = bench.jobs();
    for node in bench.inventory.nodes.iter().map(|node| node.name.clone()) {
        for call in [
            call(Script::UnitStart, &[&run, "some.step.1", "cordon", "w1"]),
            call(Script::CopyAppend, &[&run, "journal", "0", ""]),
            call(Script::TokenRaise, &[]),
        ] {
            let answer = bench.sim.call(&node, &call).await.unwrap();
            assert_eq!(answer.status, 3, "{node} did what {call:?} asked for");
        }
        let put = call(Script::PutFile, &["snapshots/a.db", &"0".repeat(64), "1"]);
        assert_eq!(bench.sim.send(&node, &put, Utf8Path::new("a.db")).await.unwrap().status, 3);
    }
    for node in bench.locked() {
        let answer = bench.sim.call(&NodeName::new(&node).unwrap(), &call(Script::LockRelease, &[])).await.unwrap();
        assert_eq!(answer.status, 3, "{node} gave back what is another's");
    }
    assert_eq!(bench.jobs(), jobs);
}

#[tokio::test(start_paused = true)]
async fn a_holder_who_was_stopped_and_wakes_is_refused_wherever_it_was() {
    let whole = Bench::new(MINOR);
    whole.raise().await;
    let jobs = whole.jobs().len();
    for stopped_at in (1..jobs - 8).step_by(4) {
        let bench = Bench::new(MINOR);
        // Ann's process stops: nobody polls it.
        let mut ann = pin!(bench.run());
        assert!(until(&bench, &mut ann, stopped_at).await, "{stopped_at}");
        let (disk, told) = (bench.fetched().await, bench.listener());
        let bob = bob();
        let mut run = pin!(bench.run_with(&bob, &disk, true, &told));
        // Bob begins at least one step, and stops in the middle of it.
        let next = bench.jobs().len() + 1;
        assert!(until(&bench, &mut run, next).await, "stopped at {stopped_at}: {:?}", notes(&told));
        let begun = bench.jobs();
        let failure = ann.await.expect_err("ann was replaced");
        assert_eq!(failure.exit, Exit::Refused, "stopped at {stopped_at}: {failure}");
        assert!(failure.causes[0].contains("another operator took the lock"), "{failure}");
        assert!(failure.causes[1].starts_with("bob@laptop holds the lock for run"), "{failure}");
        assert!(failure.hint.unwrap().contains("windlass lock show -i lab.toml"));
        assert_eq!(bench.jobs(), begun, "stopped at {stopped_at}: ann began something");
        refused_everywhere(&bench, ANN).await;
        assert_eq!(run.await.unwrap(), Outcome::Raised, "stopped at {stopped_at}");
        assert_eq!(bench.locked(), [""; 0]);
        bench.assert_lawful();
        let mut counts = bench.counts();
        for (key, count) in whole.counts() {
            let found = counts.remove(&key).unwrap_or(0);
            // Bob drains a node again that may have got pods while nobody looked, and takes an API server out of service again
            // that may be in service at either load balancer.
            let most = count
                + match key.0.as_str() {
                    "drain" => 1,
                    "drain-server" => 2,
                    _ => 0,
                };
            assert!((count..=most).contains(&found), "stopped at {stopped_at}: {key:?} ran {found} times");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_still_runs_is_waited_for_and_told_and_not_killed() {
    let bench = Bench::new(MINOR);
    bench.when("kubeadm-apply", "cp1", Then::Interrupt(2));
    assert_eq!(bench.fail().await.exit, Exit::Interrupted);
    let (disk, told) = (bench.fetched().await, bench.listener());
    let unit = format!("windlass-{}-first-control-plane.cp1.kubeadm-apply.1 on cp1", bench.plan.id);
    assert_eq!(bench.run_with(&bob(), &disk, true, &told).await.unwrap(), Outcome::Raised);
    let notes = notes(&told);
    assert!(notes[0].starts_with("taken over: ann@desk holds the lock for run"), "{notes:#?}");
    assert!(notes[1].starts_with("waiting for what still runs (it is never killed): "), "{notes:#?}");
    assert!(notes[1].contains(&format!("{unit}, since ")), "{notes:#?}");
    assert_eq!(notes[2], format!("{unit} has ended with status 0"));
    assert_eq!(bench.counts()[&("kubeadm-apply".to_owned(), "cp1".to_owned())], 1);
    // Nothing of bob's began before it had ended.
    let state = bench.now();
    let at = state.begun.iter().position(|begun| begun.job == "kubeadm-apply").unwrap();
    assert!(state.begun[at + 1].at >= state.begun[at].ended.unwrap().0);
}

#[tokio::test(start_paused = true)]
async fn interrupted_while_it_waits_it_keeps_the_lock_and_goes_on_later() {
    let bench = Bench::new(MINOR);
    bench.when("kubeadm-apply", "cp1", Then::Interrupt(2));
    assert_eq!(bench.fail().await.exit, Exit::Interrupted);
    let (disk, told) = (bench.fetched().await, bench.listener());
    let interrupted = async {
        let bob = bob();
        let mut run = pin!(bench.run_with(&bob, &disk, true, &told));
        let waits = || notes(&told).iter().any(|note| note.starts_with("waiting for what still runs"));
        while !waits() {
            assert!(tokio::time::timeout(Duration::from_millis(10), &mut run).await.is_err());
        }
        bench.now().inner().interrupts.clone().unwrap().count_one();
        run.await.unwrap_err()
    };
    let failure = interrupted.await;
    assert_eq!(failure.exit, Exit::Interrupted, "{failure}");
    assert!(failure.causes[0].contains("kubeadm-apply.1 on cp1"), "{failure}");
    assert_eq!(bench.locked(), ["cp1", "cp2", "cp3"], "it is bob's");
    assert_eq!(bench.run().await.unwrap_err().exit, Exit::Refused, "and not ann's any more");
    assert_eq!(bench.run_with(&bob(), &disk, false, &told).await.unwrap(), Outcome::Raised);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_answer_is_named_and_fenced_when_it_does() {
    for silent in ["w1", "cp3", "etcd2"] {
        let bench = Bench::new(MINOR);
        bench.when("kubeadm-apply", "cp1", Then::Interrupt(2));
        assert_eq!(bench.fail().await.exit, Exit::Interrupted);
        let (disk, told) = (bench.fetched().await, bench.listener());
        bench.now().machine(silent).cut_off = true;
        // It answers again while what ran at the take-over is waited for.
        let heals = async {
            let waits = || notes(&told).iter().any(|note| note.starts_with("waiting for what still runs"));
            while !waits() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert_eq!(bench.now().machine(silent).own.token, ANN, "nobody could tell it");
            bench.now().machine(silent).cut_off = false;
        };
        let bob = bob();
        let (result, ()) = tokio::join!(bench.run_with(&bob, &disk, true, &told), heals);
        assert_eq!(result.unwrap(), Outcome::Raised);
        let notes = notes(&told);
        let not_yet = format!("{silent} is not yet fenced: it does not answer, and is fenced as soon as it does");
        assert!(notes.contains(&not_yet), "{notes:#?}");
        assert!(notes.contains(&format!("{silent} answers again and is fenced")), "{notes:#?}");
        let events = journaled(&disk);
        let name = NodeName::new(silent).unwrap();
        let took = |event: &journal::Event| match event {
            journal::Event::TookOver { token: 3, from, unfenced } => {
                from.starts_with("ann@desk holds the lock for run") && *unfenced == [name.clone()]
            }
            _ => false,
        };
        let took = events.iter().position(took).expect("the take-over is journaled");
        let fenced = events.iter().position(|event| *event == journal::Event::Fenced { on: name.clone() }).unwrap();
        let next = events.iter().skip(took).position(|event| matches!(event, journal::Event::Started { .. })).unwrap();
        assert!(took < fenced && fenced < took + next, "{silent} was fenced only after something had begun");
        assert_eq!(bench.locked(), [""; 0]);
        refused_everywhere(&bench, ANN).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stays_away_ends_the_run_and_its_name_is_kept() {
    let bench = Bench::new(MINOR);
    bench.when("kubeadm-apply", "cp1", Then::Interrupt(2));
    assert_eq!(bench.fail().await.exit, Exit::Interrupted);
    let (disk, told) = (bench.fetched().await, bench.listener());
    bench.now().machine("w2").cut_off = true;
    let jobs = bench.jobs();
    let failure = bench.run_with(&bob(), &disk, true, &told).await.unwrap_err();
    assert_eq!(failure.exit, Exit::StepFailed, "{failure}");
    assert!(failure.causes[0].starts_with("w2: could not reach w2"), "{failure}");
    assert_eq!(bench.jobs(), jobs, "nothing began while w2 may still obey ann");
    bench.now().machine("w2").cut_off = false;
    assert_eq!(bench.run_with(&bob(), &disk, false, &told).await.unwrap(), Outcome::Raised);
    refused_everywhere(&bench, ANN).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_majority_nothing_is_taken_over() {
    let bench = Bench::new(ETCD);
    bench.when("install-packages", "etcd2", Then::Interrupt(2));
    assert_eq!(bench.fail().await.exit, Exit::Interrupted);
    let (disk, told) = (bench.fetched().await, bench.listener());
    for node in ["cp1", "cp2"] {
        bench.now().machine(node).cut_off = true;
    }
    let failure = bench.run_with(&bob(), &disk, true, &told).await.unwrap_err();
    assert_eq!(failure.exit, Exit::Unreachable, "{failure}");
    assert_eq!(failure.causes.len(), 2, "{failure}");
    let tokens: Vec<u64> = ["cp3", "w1", "etcd1"].map(|node| bench.now().machine(node).own.token).to_vec();
    assert_eq!(tokens, [ANN, ANN, ANN], "nothing was changed");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_holds_the_lock_a_take_over_is_a_take() {
    let bench = Bench::new(ETCD);
    let (disk, told) = (Arc::default(), bench.listener());
    assert_eq!(bench.run_with(&bob(), &disk, true, &told).await.unwrap(), Outcome::Raised);
    assert!(!journaled(&disk).iter().any(|event| matches!(event, journal::Event::TookOver { .. })));
    assert!(notes(&told).is_empty(), "{:?}", notes(&told));
}

/// Its journal says that it is through, and its lock is still there.
#[tokio::test(start_paused = true)]
async fn the_lock_of_a_run_that_is_through_can_be_taken_over_too() {
    let bench = Bench::new(ETCD);
    bench.now().inner().silent_at_release = Some("cp3");
    bench.raise().await;
    bench.now().machine("cp3").cut_off = false;
    assert_eq!(bench.locked(), ["cp3"]);
    let (disk, told) = (bench.fetched().await, bench.listener());
    assert_eq!(bench.run_with(&bob(), &disk, true, &told).await.unwrap(), Outcome::WasRaised);
    assert_eq!(bench.locked(), [""; 0]);
}

/// Another plan's run is not gone on with; what it left running is waited for all the same.
#[tokio::test(start_paused = true)]
async fn units_of_another_run_are_waited_for_also_without_a_take_over() {
    let mut bench = Bench::new(ETCD);
    bench.when("fetch-packages", "etcd1", Then::Idle(Duration::from_secs(100)));
    assert!(tokio::time::timeout(Duration::from_secs(30), bench.run()).await.is_err());
    for node in ["cp1", "cp2", "cp3"] {
        // Somebody removed the lock by hand.
        bench.now().machine(node).own.lock = None;
    }
    let first = bench.plan.id.clone();
    bench.plan.made_at += jiff::SignedDuration::from_secs(1);
    bench.plan = bench.plan.clone().sealed();
    let told = bench.listener();
    assert_eq!(bench.run_with(&bob(), &Arc::default(), false, &told).await.unwrap(), Outcome::Raised);
    let unit = format!("windlass-{first}-prepare.etcd1.packages.1 on etcd1");
    let notes = notes(&told);
    assert!(notes[0].starts_with(&format!("waiting for what still runs (it is never killed): {unit}")), "{notes:#?}");
    assert!(notes.contains(&format!("{unit} has ended with status 0")), "{notes:#?}");
}
