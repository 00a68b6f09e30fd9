//! `windlass upgrade finish`: takes away what nodes keep of a run that is over.

use super::run::{Arguments, Run, ask};
use crate::error::Failure;
use crate::report;

/// Takes away what was kept for going back.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Some(run) = Run::open(arguments, "upgrade finish").await? else { return Ok(()) };
    if !run.arguments.yes && run.is_over() {
        let shown = "Archives, former packages and logs of this run are taken away on its nodes. Snapshots stay.\n";
        let question = format!("Take away what nodes keep of plan {} for going back?", run.plan.id);
        ask(shown, &question, "see with `windlass upgrade finish --help` what it does")?;
    }
    let id = run.plan.id.clone();
    let (freed, _) = run.drive(async |engine| engine.finish().await).await?;
    anstream::print!("{}", report::finish(&id, &freed));
    Ok(())
}
