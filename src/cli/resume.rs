//! `windlass upgrade apply --resume`: brings plan and journal of a run from the control planes to this machine, where
//! `apply` goes on with them as with any other.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::files::{self, ReadInventory};
use super::run::lawful;
use super::run::not_opened;
use crate::decide::plan::Plan;
use crate::error::{Exit, Failure};
use crate::inventory::{Inventory, NodeName};
use crate::journal::History;
use crate::journal::copies::{Found, Own, Unusable, choose, compare};
use crate::journal::status::Status;
use crate::journal::store::FileStore;
use crate::observe;
use crate::remote::Remote;

/// Fetches the run that is to be gone on with; returns where its plan is from now on.
pub(super) async fn fetch(
    inventory: &Utf8Path,
    run: Option<&str>,
    state: Option<Utf8PathBuf>,
) -> Result<Utf8PathBuf, Failure> {
    let read = files::inventory(inventory)?;
    let fleet = read.fleet()?;
    let copies = observe::copies(&fleet, &read.inventory).await;
    fleet.close().await;
    for (node, why) in &copies.silent {
        anstream::println!("note: {node} was not asked for its copy: {why}");
    }
    let found = pick(choose(&copies.found), run, &copies.silent, inventory)?;
    check(&found, &read, inventory)?;
    let path = keep(&found, state)?;
    tell(&found);
    Ok(path)
}

/// That nobody has gone on with this run elsewhere: every copy is a beginning of the journal `own`. A control plane that does
/// not answer says nothing here; the lock needs a majority of them anyway.
pub(super) async fn gone_on_here(
    remote: &dyn Remote,
    inventory: &Inventory,
    plan: &Plan,
    own: &str,
    again: &str,
) -> Result<(), Failure> {
    let copies = observe::copies(remote, inventory).await;
    let Some(Ok(found)) = choose(&copies.found).remove(&plan.id.0) else { return Ok(()) };
    if own.starts_with(&found.journal) {
        return Ok(());
    }
    let status = Status::of(plan, &found.records);
    let who = status.operator.unwrap_or_else(|| "somebody".to_owned());
    let (done, all) = status.steps;
    Err(Failure::new(Exit::Refused, format!("run {} was gone on with elsewhere", plan.id))
        .because(format!("the copy on {} has it from {who}: {done} of {all} steps are done", found.from))
        .hint(format!("nothing was changed; to go on from there, run `{again}`")))
}

/// The run that was asked for, or the only one that is not finished.
fn pick(
    mut runs: BTreeMap<String, Result<Found, Unusable>>,
    wanted: Option<&str>,
    silent: &[(NodeName, String)],
    inventory: &Utf8Path,
) -> Result<Found, Failure> {
    let unusable = |Unusable { run, why }| {
        let mut failure = Failure::new(Exit::InvalidFile, format!("the copies of run {run} cannot be used"));
        failure.causes = why;
        failure.hint("nothing was changed; the journal of whoever began it is whole, on their machine")
    };
    let nothing = |what: String| {
        let exit = if silent.is_empty() { Exit::Refused } else { Exit::Unreachable };
        let mut failure = Failure::new(exit, what);
        failure.causes = silent.iter().map(|(node, why)| format!("{node}: {why}")).collect();
        failure.hint(format!("nothing was changed; `windlass upgrade status -i {inventory}` says what is known"))
    };
    if let Some(wanted) = wanted {
        let found = runs.remove(wanted).ok_or_else(|| nothing(format!("no control plane has a copy of run {wanted}")));
        return found?.map_err(unusable);
    }
    let open = |found: &Result<Found, Unusable>| match found {
        Ok(found) => {
            let history = History::of(&found.records);
            !history.completed && history.given_up.is_none()
        }
        Err(_) => true,
    };
    runs.retain(|_, found| open(found));
    let names: Vec<String> = runs.keys().cloned().collect();
    match (runs.pop_first(), runs.is_empty()) {
        (None, _) => Err(nothing("no control plane has a copy of a run that is not finished".to_owned())),
        (Some((_, found)), true) => found.map_err(unusable),
        (Some(_), false) => {
            let mut failure = Failure::new(Exit::Usage, "several runs are not finished");
            failure.causes = names;
            Err(failure.hint("say which one with --run ID; `windlass upgrade status` tells them apart"))
        }
    }
}

fn check(found: &Found, read: &ReadInventory, inventory: &Utf8Path) -> Result<(), Failure> {
    let plan = &found.plan;
    if read.digest != plan.sources.inventory_digest {
        let what = format!("the inventory {inventory} is not the one that plan {} was made from", plan.id);
        return Err(Failure::new(Exit::Drifted, what)
            .because(format!("it was planned from {}", plan.sources.inventory))
            .hint("nothing was changed; give the very inventory of that plan"));
    }
    lawful(plan, &format!("plan {}", plan.id))
}

/// Puts plan and journal where `apply` looks for them. A journal that is here already is only ever made longer.
fn keep(found: &Found, state: Option<Utf8PathBuf>) -> Result<Utf8PathBuf, Failure> {
    let (cluster, run) = (found.plan.cluster.as_str(), &found.plan.id);
    files::state_folder(state.clone(), cluster)?;
    let [journal, plan] = files::run_files(state, cluster, &run.0)?;
    // Held while it is replaced: another windlass here may be at it.
    let held = match FileStore::open(&journal, run) {
        Ok((held, _)) => held,
        Err(error) => return Err(not_opened(&error)),
    };
    files::write(&plan, &found.plan.to_json())?;
    match compare(&files::read(&journal)?, &found.journal) {
        Own::Behind => files::write(&journal, &found.journal)?,
        // One history, and the end of it is here: this command was run here before.
        Own::Ahead => anstream::println!("note: this machine's journal knows more than the copies; it is gone on with"),
        Own::Differs => {
            return Err(Failure::new(
                Exit::Refused,
                format!("the journal {journal} tells another history of this run"),
            )
            .because(format!("the newest copy is on {}", found.from))
            .hint(format!(
                    "nothing was changed; to go on from the copy, put yours aside with `mv {journal} {journal}.aside` and run \
                     the same command again"
                )));
        }
    }
    drop(held);
    Ok(plan)
}

fn tell(found: &Found) {
    let status = Status::of(&found.plan, &found.records);
    let ((done, all), from) = (status.steps, &found.from);
    anstream::println!("run {} from the copy on {from}: {done} of {all} steps done", found.plan.id);
    for note in &found.notes {
        anstream::println!("note: {note}");
    }
    for snapshot in &status.snapshots {
        if let (Some(node), false) = (&snapshot.copy, Utf8Path::new(&snapshot.file).exists()) {
            let (at, path) = (snapshot.at.strftime("%Y-%m-%d %H:%M:%S UTC"), snapshot.copy_path());
            anstream::println!("note: the snapshot of {at} is not on this machine; its copy is on {node}: {path}");
        }
    }
}
