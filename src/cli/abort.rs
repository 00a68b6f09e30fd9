//! `windlass upgrade abort`: gives up a run that has begun, and says what is where and which ways lead on.

use super::run::{Arguments, Run, ask};
use crate::engine::Abort;
use crate::error::Failure;
use crate::report;

/// Gives the run up.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Some(run) = Run::open(arguments, "upgrade abort").await? else { return Ok(()) };
    let over = run.is_over() || !run.history.begun();
    if !over {
        run.show_holder().await;
    }
    if !run.arguments.yes && !over {
        let shown = "What is under way is waited for, the step in hand is taken back or finished, and nodes that this run \
                     cordoned are given back. The plan cannot be gone on with afterwards.\n";
        ask(shown, &format!("Give plan {} up?", run.plan.id), "see with `windlass upgrade abort --help` what it does")?;
    }
    let (plan, snapshot) = (run.plan.clone(), run.history.snapshot.clone());
    let finish = run.arguments.again("upgrade finish");
    match run.drive(async |engine| engine.abort().await).await?.0 {
        Abort::NeverBegan => anstream::println!("plan {} was never begun: there is nothing to give up", plan.id),
        Abort::Completed => {
            anstream::println!("plan {} was carried out to its end: there is nothing to give up", plan.id);
        }
        Abort::Aborted { facts, stays } => {
            anstream::print!("{}", report::abort(&plan, &facts, &stays, snapshot.as_ref(), &finish));
        }
    }
    Ok(())
}
