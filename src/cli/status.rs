//! `windlass upgrade status`: how far a run has come, from this machine's journal and the control planes' copies.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use super::Format;
use super::files::{self, ReadInventory};
use super::run::{operator, read_plan, shell_word};
use crate::decide::call::{Call, Script};
use crate::decide::plan::Plan;
use crate::error::{Exit, Failure};
use crate::facts::lock::LockFacts;
use crate::facts::unit::{UnitState, report as read_report};
use crate::inventory::NodeName;
use crate::journal::copies::{Found, Own, Unusable, choose, compare};
use crate::journal::status::Status;
use crate::journal::{self, Attempt, GivenUp, Record};
use crate::observe;
use crate::remote::ssh::Fleet;
use crate::remote::{Remote, SystemClock};
use crate::report::{self, InHand, RunView};

/// Arguments of `windlass upgrade status`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The plan whose run it is; without one, every run that the control planes know
    #[arg(required_unless_present = "inventory")]
    plan: Option<Utf8PathBuf>,
    /// The cluster's inventory [default: the one that the plan was made from]
    #[arg(short, long, value_name = "FILE")]
    inventory: Option<Utf8PathBuf>,
    /// Where journals and snapshots are kept [default: as for `upgrade apply`]
    #[arg(long, value_name = "FOLDER", env = "WINDLASS_STATE")]
    state: Option<Utf8PathBuf>,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// A run as it was found, here or there.
struct Known {
    plan: Plan,
    records: Vec<Record>,
    source: String,
    notes: Vec<String>,
    /// This machine's journal is as long as any copy.
    here: bool,
}

/// Shows how far runs have come.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let plan = arguments.plan.as_deref().map(read_plan).transpose()?;
    let path = match (&arguments.inventory, &plan) {
        (Some(path), _) => path.clone(),
        (None, Some(plan)) => Utf8PathBuf::from(&plan.sources.inventory),
        (None, None) => return Err(Failure::new(Exit::Usage, "give a plan, or an inventory with -i")),
    };
    let read = files::inventory(&path)?;
    let fleet = read.fleet()?;
    let clock = SystemClock::start();
    let (copies, lock) =
        tokio::join!(observe::copies(&fleet, &read.inventory), observe::own(&fleet, &clock, &read.inventory));
    let runs = known(&arguments, plan, choose(&copies.found), &read)?;
    let mut views = Vec::new();
    for run in runs {
        views.push(view(&arguments, &path, &fleet, &lock, run).await);
    }
    fleet.close().await;
    let open = views.iter().filter(|view| view.next.is_some()).count();
    for view in views.iter_mut().filter(|_| open > 1) {
        name_the_run(view);
    }
    match arguments.output {
        Format::Text => anstream::print!("{}", report::status(&read.inventory.name, &lock, &views)),
        Format::Json => anstream::println!("{:#}", report::status_json(&read.inventory.name, &lock, &views)),
    }
    if !lock.machines.is_empty() && lock.silent().len() == lock.machines.len() && views.is_empty() {
        return Err(Failure::new(Exit::Unreachable, "no machine answers, and this machine has no journal of it"));
    }
    Ok(())
}

/// With several unfinished runs, `--resume` has to be told which.
fn name_the_run(view: &mut RunView) {
    if let Some(next) = view.next.as_mut().filter(|next| next.contains(" --resume ")) {
        *next = next.replacen(" --resume ", &format!(" --resume --run {} ", view.plan.id), 1);
    }
}

/// The runs to tell of: the plan's, or all that have copies; each with what this machine knows of it.
fn known(
    arguments: &Arguments,
    plan: Option<Plan>,
    mut found: BTreeMap<String, Result<Found, Unusable>>,
    read: &ReadInventory,
) -> Result<Vec<Known>, Failure> {
    if let Some(plan) = plan {
        let copy = found.remove(&plan.id.0);
        return Ok(one(arguments, plan, copy)?.into_iter().collect());
    }
    let mut runs = Vec::new();
    for (run, copy) in found {
        match copy {
            Ok(copy) => runs.extend(one(arguments, copy.plan.clone(), Some(Ok(copy)))?),
            Err(error) => {
                anstream::eprintln!("note: {error}: {}", error.why.join("; "));
                anstream::eprintln!("note: run {run} of cluster {} is left out", read.inventory.name);
            }
        }
    }
    Ok(runs)
}

fn one(arguments: &Arguments, plan: Plan, copy: Option<Result<Found, Unusable>>) -> Result<Option<Known>, Failure> {
    let [path, _] = files::run_files(arguments.state.clone(), &plan.cluster, &plan.id.0)?;
    let own = files::read_if_any(&path)?;
    let (copy, mut notes) = match copy {
        Some(Ok(copy)) => (Some(copy), Vec::new()),
        Some(Err(error)) => (None, vec![format!("{error}: {}", error.why.join("; "))]),
        None => (None, Vec::new()),
    };
    if let Some(copy) = &copy {
        notes.extend(copy.notes.iter().cloned());
    }
    let copy = copy.filter(|copy| own.is_empty() || compare(&own, &copy.journal) != Own::Ahead);
    if let Some(copy) = copy {
        let here = own.trim_end() == copy.journal.trim_end();
        if !own.is_empty() && compare(&own, &copy.journal) == Own::Differs {
            notes.push(format!("the journal {path} tells another history of it"));
        }
        let source = format!("the copy on {}", copy.from);
        let source = if here { format!("{source} and this machine's journal") } else { source };
        return Ok(Some(Known { plan, records: copy.records, source, notes, here }));
    }
    if own.is_empty() {
        return Ok(None);
    }
    let (records, _) = journal::read(&own)
        .map_err(|error| Failure::of(Exit::InvalidFile, &error).because(format!("in the journal {path}")))?;
    Ok(Some(Known { plan, records, source: format!("this machine's journal, {path}"), notes, here: true }))
}

async fn view(arguments: &Arguments, inventory: &Utf8Path, fleet: &Fleet, lock: &LockFacts, known: Known) -> RunView {
    let Known { plan, records, source, notes, here } = known;
    let status = Status::of(&plan, &records);
    let mut in_hand = Vec::new();
    for (step, attempt) in &status.in_hand {
        let (unit, state) = (unit_of(&plan, attempt), doing(fleet, &plan, attempt).await);
        in_hand.push(InHand { step: step.clone(), unit, state });
    }
    // A run that was killed at its very end is through, and may still hold the lock.
    let holds = lock.holders().iter().any(|(holder, _)| holder.run == plan.id.0);
    let over = status.completed || status.given_up == Some(GivenUp::Through);
    let next = (!over || holds).then(|| {
        let next = next(arguments, inventory, lock, &plan, here);
        // What is being given up cannot be carried out any more.
        if status.given_up.is_some() { next.replacen("upgrade apply", "upgrade abort", 1) } else { next }
    });
    let files = status.snapshots.iter().map(|snapshot| Utf8Path::new(&snapshot.file).exists()).collect();
    RunView { plan, status, source, notes, in_hand, here: files, next }
}

fn unit_of(plan: &Plan, attempt: &Attempt) -> Option<(String, NodeName)> {
    let (on, unit) = (attempt.on.clone()?, attempt.unit.as_ref()?);
    Some((format!("windlass-{}-{unit}", plan.id), on))
}

/// What the unit of a step in hand is doing.
async fn doing(fleet: &Fleet, plan: &Plan, attempt: &Attempt) -> String {
    let (Some(on), Some(unit)) = (&attempt.on, &attempt.unit) else {
        return "begun, from the operator's machine".to_owned();
    };
    let call = Call { script: Script::UnitStatus, args: vec![plan.id.to_string(), unit.clone()] };
    match fleet.call(on, &call).await {
        Err(error) => error.to_string(),
        Ok(output) => match read_report(&output.stdout).map(|report| report.state) {
            Ok(UnitState::Running) => "it runs".to_owned(),
            Ok(UnitState::Exited(0)) => "it has ended well".to_owned(),
            Ok(UnitState::Exited(status)) => format!("it has ended with status {status}"),
            Ok(UnitState::Never) => "it was not started".to_owned(),
            Ok(UnitState::Gone) => "it was cut off by a reboot".to_owned(),
            Err(error) => error.to_string(),
        },
    }
}

/// The exact next command.
fn next(arguments: &Arguments, inventory: &Utf8Path, lock: &LockFacts, plan: &Plan, here: bool) -> String {
    let command = plan.task.command();
    let option = |name: &str, path: &Option<Utf8PathBuf>| {
        path.as_ref().map_or_else(String::new, |path| format!(" {name} {}", shell_word(path.as_str())))
    };
    let state = option("--state", &arguments.state);
    let me = operator();
    let another = |(holder, _): &(crate::facts::lock::Holder, Vec<NodeName>)| {
        holder.operator != me.name || holder.machine.as_ref() != Some(&me.machine)
    };
    let over = if lock.holders().iter().any(another) { " --take-over" } else { "" };
    match (&arguments.plan, here) {
        (Some(plan), true) => {
            let inventory = option("-i", &arguments.inventory);
            format!("windlass {command} apply {}{inventory}{state}{over}", shell_word(plan.as_str()))
        }
        _ => format!("windlass {command} apply --resume -i {}{state}{over}", shell_word(inventory.as_str())),
    }
}
