//! The main job, disturbed in every way that a laptop and a network have. Starts from 1.21.14 and etcd 3.5.16; leaves
//! 1.22.17 and etcd 3.5.30.

use std::collections::BTreeSet;
use std::time::Duration;

use super::journal::{id, started};
use super::lab::{ETCD, KUBERNETES, lab_ok, on};
use super::outcome::{assert_nothing_lost, assert_raised};
use super::run::{Ran, apply, apply_as, plan, start_apply};
use super::watching::Watcher;
use super::writing::Writer;

/// A moment: a line of windlass's own output that tells a unit is at some point, and the pause after it.
struct Moment {
    /// What is interrupted, in words.
    what: &'static str,
    /// Words of the line.
    line: &'static [&'static str],
    /// Pause after the line.
    pause: Duration,
}

const MOMENTS: [Moment; 6] = [
    Moment { what: "an etcd swap, early", line: &["/package: started unit"], pause: Duration::ZERO },
    Moment { what: "an etcd swap, late", line: &["/package | Setting up etcd-server"], pause: Duration::ZERO },
    Moment {
        what: "kubeadm upgrade apply, early",
        line: &["kubeadm-apply: started unit"],
        pause: Duration::from_millis(500),
    },
    Moment {
        what: "kubeadm upgrade apply, late",
        line: &["kubeadm-apply | ", "Preparing for \"kube-scheduler\" upgrade"],
        pause: Duration::ZERO,
    },
    Moment { what: "a drain, early", line: &["workers/w1/drain: started unit"], pause: Duration::ZERO },
    Moment {
        what: "a drain, late",
        line: &["workers/w2/drain | evicting pod default/db"],
        pause: Duration::from_millis(500),
    },
];

pub(crate) fn a_run_that_is_killed_again_and_again_goes_on() {
    let plan = plan("killed.json", &["--to", "1.22.17", "--etcd-to", "3.5.30"]);
    let (writer, watcher) = (Writer::start(), Watcher::start());
    for moment in &MOMENTS {
        let mut run = start_apply(&plan);
        assert!(run.until(moment.line).is_some(), "{} never came: {:?}", moment.what, run.seen.last());
        std::thread::sleep(moment.pause);
        println!("--- kill -9 during {}", moment.what);
        run.kill();
        println!("--- units that run: {:?}", running_units());
        if moment.what == "kubeadm upgrade apply, early" {
            another_operator_is_told(&plan);
        }
        if moment.what == "a drain, early" {
            worker_is_cut_off_in_the_middle(&plan);
        }
    }
    let last = apply(&plan);
    let (written, watch) = (writer.finish(), watcher.finish());
    assert_eq!(last.code, 0, "{}", last.text);
    assert_raised("1.22.17", "3.5.30", "3.5.0");
    nothing_ran_twice(&plan);
    assert_nothing_lost(&written, &watch);
    assert!(watch.ready.iter().all(|ready| *ready >= 2), "ready replicas: {:?}", watch.ready);
}

/// Another operator with the same plan is told whose run it is and how to go on with it, and changes nothing.
fn another_operator_is_told(plan: &str) {
    let other = apply_as("somebody-else", plan);
    assert_eq!(other.code, 11, "{}", other.text);
    assert!(other.text.contains("was gone on with elsewhere"), "{}", other.text);
    assert!(other.text.contains("from operator@"), "{}", other.text);
    assert!(other.text.contains("windlass upgrade apply --resume"), "{}", other.text);
}

/// w1 is cut off while the run is at it: exit 13 within a minute, and after `heal` the same command goes on.
fn worker_is_cut_off_in_the_middle(plan: &str) {
    let mut run = start_apply(plan);
    assert!(run.until(&["> workers/w1/"]).is_some(), "w1 was never begun");
    lab_ok(&["cut", "w1"]);
    let cut = std::time::Instant::now();
    let Ran { code, text, .. } = run.end();
    let noticed = cut.elapsed();
    lab_ok(&["heal", "w1"]);
    println!("--- w1 was cut off; noticed after {:.1} s", noticed.as_secs_f64());
    assert_eq!(code, 13, "{text}");
    assert!(noticed < Duration::from_secs(60), "noticed after {noticed:?}");
}

/// Units of Windlass that run on some node at this moment.
fn running_units() -> Vec<String> {
    let list = "systemctl list-units --plain --no-legend --state=running 'windlass-*' | cut -d' ' -f1";
    ETCD.iter()
        .chain(&KUBERNETES)
        .flat_map(|node| on(node, list).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// Every act of the run ran once: one attempt a step in the journal and on the nodes, and every one ended well. What is out of
/// service at a load balancer may be back in service when nobody looks, and is taken out again.
fn nothing_ran_twice(plan: &str) {
    let steps: Vec<String> = started(plan).into_iter().filter(|step| !step.contains("-at-lb")).collect();
    let once: BTreeSet<&String> = steps.iter().collect();
    assert_eq!(once.len(), steps.len(), "started more than once: {steps:?}");
    let mut ended = 0;
    for node in ETCD.iter().chain(&KUBERNETES) {
        let folder = format!("/var/lib/windlass/runs/{}", id(plan));
        let units = on(node, &format!("cd {folder} && for u in *; do echo $u $(cat $u/rc); done"));
        for unit in units.lines() {
            assert!(unit.ends_with(".1 0"), "{node}: {unit}");
            ended += 1;
        }
    }
    assert_eq!(ended, steps.len(), "every act that was journaled ran on a node, once");
}
