//! The laws have teeth: deliberate breaks of plans and of the engine's behaviour, and who catches each. A plan's break has to be
//! caught by the checker, and every break by the watch, when the checker is left out.

mod plans;
mod seams;

use std::collections::BTreeSet;

use windlass::decide::checker;

use crate::bench::{Bench, lab, lab_plan};
use crate::laws::Invariant;

/// A break, and what it breaks.
struct Mutant {
    invariant: Invariant,
    name: &'static str,
    /// What the checker says of its plan; `None` where the plan is as it was.
    checker: Option<bool>,
    /// What the watch saw.
    seen: BTreeSet<Invariant>,
}

fn broken(bench: &Bench) -> BTreeSet<Invariant> {
    bench.now().inner().watch.broken.iter().map(|broken| broken.invariant).collect()
}

#[tokio::test(start_paused = true)]
async fn every_law_has_teeth() {
    let mut mutants = plans::all().await;
    mutants.extend(seams::all().await);
    println!("{:<15} {:<9} {:<12} break", "law", "checker", "simulation");
    for mutant in &mutants {
        let caught = |is: bool| if is { "caught" } else { "MISSED" };
        let checker = mutant.checker.map_or("-", caught);
        let watch = caught(mutant.seen.contains(&mutant.invariant));
        println!("{:<15} {checker:<9} {watch:<12} {}", mutant.invariant.to_string(), mutant.name);
    }
    for mutant in &mutants {
        assert_ne!(mutant.checker, Some(false), "the checker lets through: {}", mutant.name);
        assert!(mutant.seen.contains(&mutant.invariant), "{}: the watch saw {:?}", mutant.name, mutant.seen);
    }
    let all: BTreeSet<Invariant> = mutants.iter().map(|mutant| mutant.invariant).collect();
    let wanted = (1..=8).map(Invariant::Law).chain([
        Invariant::WritesKept,
        Invariant::ApiReachable,
        Invariant::CordonsKept,
        Invariant::OnlyOnce,
    ]);
    assert_eq!(all, wanted.collect(), "an invariant has no mutant");
}

/// Without a break nobody cries out.
#[tokio::test(start_paused = true)]
async fn what_is_not_broken_is_let_through() {
    for raise in [crate::bench::MINOR, crate::bench::KUBERNETES, crate::bench::PATCH, crate::bench::ETCD] {
        let plan = lab_plan(raise);
        assert_eq!(checker::check(&plan), []);
        let bench = Bench::with(plan, lab());
        bench.raise().await;
        assert_eq!(broken(&bench), BTreeSet::new());
    }
}
