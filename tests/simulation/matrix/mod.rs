//! The crash matrix: every step of every playbook, interrupted in every way, then the same plan again until it ends well.

mod cell;
mod rules;

use std::collections::BTreeMap;

use windlass::facts::Facts;
use windlass::journal::{Event, How};

use crate::bench::{Bench, ETCD, KUBERNETES, MINOR, PATCH, RESTORE};
use crate::focused::timeless;

use cell::Cell;
use rules::{Kind, Nature};

type Counts = BTreeMap<(String, String), usize>;

/// Makes a cluster and a plan for it.
pub(crate) type Make = Box<dyn Fn() -> Bench>;

/// A run without faults, to compare with.
pub(crate) struct Reference {
    make: Make,
    /// The steps in the order in which they ended, and what they did.
    pub(crate) steps: Vec<(String, Nature)>,
    /// Places where a kill could matter: before and after each journal write, and after each start of a unit.
    places: i64,
    /// How often each job ran, by job and what it changed.
    counts: Counts,
    /// What the cluster looked like in the end.
    pub(crate) end: Facts,
    /// Holds, by machine and package.
    pub(crate) holds: Vec<(String, String, bool)>,
}

pub(crate) fn holds(bench: &Bench) -> Vec<(String, String, bool)> {
    let now = bench.now();
    let holds = now.machines.iter().flat_map(|machine| {
        machine.packages.iter().map(|(name, package)| (machine.name.clone(), name.clone(), package.held))
    });
    holds.collect()
}

pub(crate) async fn reference(make: impl Fn() -> Bench + 'static) -> Reference {
    let bench = make();
    bench.raise().await;
    let mut steps: BTreeMap<String, Nature> = BTreeMap::new();
    let mut order = Vec::new();
    let (mut writes, mut starts) = (0, 0);
    for event in bench.events() {
        writes += 1;
        match event {
            Event::Started { step, unit: Some(_), .. } => {
                starts += 1;
                steps.insert(step, Nature::Unit);
            }
            Event::Started { step, .. } => {
                let nature = match step.split('/').next() {
                    Some("send") => Nature::Send,
                    _ if step.ends_with("/archive-of-etcd") => Nature::Send,
                    Some("save") => Nature::Save,
                    _ => Nature::Snapshot,
                };
                steps.insert(step, nature);
            }
            Event::Finished { step, how, .. } => {
                let nature = steps.get(&step).copied().unwrap_or(Nature::Look);
                assert!(nature != Nature::Look || how != How::Acted, "{step}");
                order.push((step, nature));
            }
            _ => {}
        }
    }
    Reference {
        make: Box::new(make),
        steps: order,
        // The first line is written before the engine runs.
        places: 2 * (writes - 1) + starts,
        counts: bench.counts(),
        end: timeless(bench.seen().await),
        holds: holds(&bench),
    }
}

/// How many cells of each kind were hit, and how many the rules leave out, by reason.
#[derive(Default)]
struct Tally {
    hit: BTreeMap<&'static str, usize>,
    left_out: BTreeMap<&'static str, usize>,
}

async fn matrix(name: &str, make: impl Fn() -> Bench + 'static) {
    let reference = reference(make).await;
    let mut tally = Tally::default();
    for place in 2..=reference.places {
        Cell::killed(&reference, place).await;
        *tally.hit.entry("kill of windlass before or after a journal write, or after a start").or_default() += 1;
    }
    for (step, nature) in &reference.steps {
        for kind in Kind::ALL {
            if let Some(why) = kind.left_out(*nature) {
                *tally.left_out.entry(why).or_default() += 1;
            } else {
                Cell::new(&reference, step, *nature, kind).try_out().await;
                *tally.hit.entry(kind.words()).or_default() += 1;
            }
        }
    }
    let all: usize = tally.hit.values().sum();
    println!("{name}: {} steps, {all} cells, each of them hit:", reference.steps.len());
    for (kind, count) in &tally.hit {
        println!("  {count:>5}  {kind}");
    }
    for (why, count) in &tally.left_out {
        println!("  {count:>5}  not applicable: {why}");
    }
    let kinds = Kind::ALL.len() * reference.steps.len();
    let places = usize::try_from(reference.places).expect("a number") - 1;
    assert_eq!(all + tally.left_out.values().sum::<usize>(), kinds + places);
}

#[tokio::test(start_paused = true)]
async fn a_minor_of_kubernetes_with_etcd_is_interrupted_everywhere() {
    matrix("minor and etcd together", || Bench::new(MINOR)).await;
}

#[tokio::test(start_paused = true)]
async fn a_minor_of_kubernetes_is_interrupted_everywhere() {
    matrix("kubeadm-minor", || Bench::new(KUBERNETES)).await;
}

#[tokio::test(start_paused = true)]
async fn a_patch_is_interrupted_everywhere() {
    matrix("kubeadm-patch", || Bench::new(PATCH)).await;
}

#[tokio::test(start_paused = true)]
async fn a_minor_with_stacked_members_is_interrupted_everywhere() {
    matrix("kubeadm-minor, which moves stacked members by a minor", || Bench::stacked_raise(KUBERNETES)).await;
}

#[tokio::test(start_paused = true)]
async fn a_patch_with_stacked_members_is_interrupted_everywhere() {
    matrix("kubeadm-patch with stacked members", || Bench::stacked_raise(PATCH)).await;
}

#[tokio::test(start_paused = true)]
async fn etcd_is_interrupted_everywhere() {
    matrix("etcd-external", || Bench::new(ETCD)).await;
}

#[tokio::test(start_paused = true)]
async fn etcd_from_an_archive_is_interrupted_everywhere() {
    matrix("etcd from an archive that is downloaded", || Bench::programs(false)).await;
}

#[tokio::test(start_paused = true)]
async fn etcd_from_an_archive_that_is_sent_is_interrupted_everywhere() {
    matrix("etcd from an archive that is sent", || Bench::programs(true)).await;
}

#[tokio::test(start_paused = true)]
async fn a_restore_is_interrupted_everywhere() {
    matrix("restore", || Bench::new(RESTORE)).await;
}

#[tokio::test(start_paused = true)]
async fn a_restore_of_stacked_members_is_interrupted_everywhere() {
    matrix("restore of stacked members", Bench::stacked).await;
}
