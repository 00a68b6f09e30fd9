//! `windlass … finish`: takes away what nodes keep of a run that is over.

use camino::Utf8PathBuf;

use super::run::{Arguments, Run, ask};
use crate::decide::actions::restore::sent_name;
use crate::decide::plan::Restore;
use crate::error::{Exit, Failure};
use crate::report;

/// Takes away what was kept for going back, for `windlass COMMAND`; with `old_data`, what a restore set aside as well.
pub(super) async fn run(arguments: Arguments, command: &'static str, old_data: bool) -> Result<(), Failure> {
    let Some(run) = Run::open(arguments, command).await? else { return Ok(()) };
    if !run.arguments.yes && run.is_over() {
        let mut shown =
            "Archives, former packages and logs of this run are taken away on its nodes. Snapshots stay.\n".to_owned();
        if run.plan.task.restore().is_some() {
            shown.push_str("Copies of the one that etcd was restored from go.\n");
        }
        if old_data {
            shown.push_str("What every member of etcd had before the restore is deleted, too.\n");
        }
        let question = format!("Take away what nodes keep of plan {} for going back?", run.plan.id);
        ask(&shown, &question, &format!("see with `windlass {command} --help` what it does"))?;
    }
    let id = run.plan.id.clone();
    let opened = run.plan.task.restore().and_then(opened);
    let (freed, _) = run.drive(async |engine| engine.finish(old_data).await).await?;
    anstream::print!("{}", report::finish(&id, &freed));
    let Some(path) = opened.filter(|path| path.exists()) else { return Ok(()) };
    std::fs::remove_file(&path).map_err(|error| {
        Failure::of(Exit::StepFailed, &error)
            .because(format!("{path}, which was opened for the restore, is still there"))
    })
}

/// The file that a backup was opened to for this restore; none where it was a plain one of the operator's own.
fn opened(restore: &Restore) -> Option<Utf8PathBuf> {
    let path = Utf8PathBuf::from(&restore.file);
    (path.file_name() == Some(&sent_name(&restore.sha256))).then_some(path)
}
