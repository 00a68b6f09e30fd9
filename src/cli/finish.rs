//! `windlass … finish`: takes away what nodes keep of a run that is over.

use super::run::{Arguments, Run, ask};
use crate::error::Failure;
use crate::report;

/// Takes away what was kept for going back, for `windlass COMMAND`; with `old_data`, what a restore set aside as well.
pub(super) async fn run(arguments: Arguments, command: &'static str, old_data: bool) -> Result<(), Failure> {
    let Some(run) = Run::open(arguments, command).await? else { return Ok(()) };
    if !run.arguments.yes && run.is_over() {
        let mut shown =
            "Archives, former packages and logs of this run are taken away on its nodes. Snapshots stay.\n".to_owned();
        if old_data {
            shown.push_str("What every member of etcd had before the restore is deleted, too.\n");
        }
        let question = format!("Take away what nodes keep of plan {} for going back?", run.plan.id);
        ask(&shown, &question, &format!("see with `windlass {command} --help` what it does"))?;
    }
    let id = run.plan.id.clone();
    let (freed, _) = run.drive(async |engine| engine.finish(old_data).await).await?;
    anstream::print!("{}", report::finish(&id, &freed));
    Ok(())
}
