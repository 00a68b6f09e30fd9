//! `windlass … apply`: a plan in; asks once, carries it out, or goes on with it.

use super::etcd;
use super::run::{Arguments, Run, ask};
use crate::decide::action::Action;
use crate::decide::drift::Progress;
use crate::decide::plan::Plan;
use crate::engine::Outcome;
use crate::error::Failure;
use crate::report;

/// Carries the plan out, for `windlass COMMAND`.
pub(super) async fn run(arguments: Arguments, command: &'static str) -> Result<(), Failure> {
    let Some(run) = Run::open(arguments, command).await? else { return Ok(()) };
    if !run.is_over() {
        if let Some(restore) = run.plan.task.restore().filter(|_| is_unsent(&run)) {
            etcd::restore::still_the_same(restore)?;
        }
        run.show_holder().await;
        if !run.arguments.yes {
            let question = match (run.arguments.take_over, run.history.begun()) {
                (true, _) => "Take the lock over, wait for what still runs, and carry it out?",
                (false, true) => "It was begun before. Go on with it?",
                (false, false) => "Carry it out?",
            };
            ask(&report::plan(&run.plan), question, "read the plan")?;
        }
    }
    let id = run.plan.id.clone();
    let targets = targets(&run.plan);
    let (outcome, spent) = run.drive(async |engine| engine.run().await).await?;
    if let Outcome::WasRaised = outcome {
        anstream::println!("plan {id} was carried out before, and the cluster is as it left it: nothing was changed");
    } else {
        anstream::println!("plan {id} is carried out: {targets}");
        anstream::println!("{spent}");
    }
    Ok(())
}

/// Whether the snapshot of a restore has still to be sent: later, also somebody without the file goes on.
fn is_unsent(run: &Run) -> bool {
    run.plan.placed().any(|placed| {
        matches!(placed.step.action, Action::SendSnapshot(_))
            && run.history.progress(&placed.id()) != Progress::Finished
    })
}

fn targets(plan: &Plan) -> String {
    if let Some(words) = plan.task.words() {
        return words;
    }
    let named = [("Kubernetes", &plan.kubernetes), ("etcd", &plan.etcd)];
    let at: Vec<String> = named
        .iter()
        .filter_map(|(what, raise)| raise.as_ref().map(|raise| format!("{what} is at {}", raise.to)))
        .collect();
    at.join(", ")
}
