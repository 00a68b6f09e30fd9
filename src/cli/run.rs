//! A run as the commands that carry it out, give it up or finish it share it: its plan and journal, open, and the engine with
//! all that it works with.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use super::{files, resume};
use crate::decide::checker;
use crate::decide::plan::{Plan, PlanError};
use crate::engine::{Engine, Interrupts, Meter, Operator, Others, Reporter};
use crate::error::{Exit, Failure};
use crate::inventory::Inventory;
use crate::journal::store::{FileStore, Journal, OpenError};
use crate::journal::{History, JournalError};
use crate::remote::ssh::Fleet;
use crate::remote::{Clock, Remote, SystemClock};
use crate::report::progress::{Live, Plain};
use crate::{observe, report};

/// Arguments of `windlass upgrade apply`, and of what ends a run: `abort` and `finish`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The plan, as `windlass upgrade plan --out` wrote it
    #[arg(required_unless_present = "resume")]
    plan: Option<Utf8PathBuf>,
    /// Go on with a run that was begun elsewhere, from the copies that the control planes keep
    #[arg(long, conflicts_with = "plan", requires = "inventory")]
    resume: bool,
    /// Which run to go on with, when several are not finished
    #[arg(long, value_name = "ID", requires = "resume")]
    run: Option<String>,
    /// Take the lock from whoever holds it: their run acts no more, and what still runs is waited for
    #[arg(long)]
    pub(super) take_over: bool,
    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
    /// Where the inventory is now, when it is not where it was planned from
    #[arg(short, long, value_name = "FILE")]
    inventory: Option<Utf8PathBuf>,
    /// Where journals and snapshots are kept [default: $XDG_STATE_HOME/windlass or ~/.local/state/windlass]
    #[arg(long, value_name = "FOLDER", env = "WINDLASS_STATE")]
    state: Option<Utf8PathBuf>,
    /// Append every question to a machine and its answer to this file, as for a bug report
    #[arg(long, value_name = "FILE")]
    record: Option<Utf8PathBuf>,
}

impl Arguments {
    /// `windlass COMMAND` once more, as a shell takes it; COMMAND as `upgrade apply`.
    pub(super) fn again(&self, command: &str) -> String {
        let option = |name: &str, path: &Option<Utf8PathBuf>| {
            path.as_ref().map_or_else(String::new, |path| format!(" {name} {}", shell_word(path.as_str())))
        };
        // Without the journal the same command would begin anew.
        let (inventory, state) = (option("-i", &self.inventory), option("--state", &self.state));
        let Some(plan) = &self.plan else {
            let run = self.run.as_ref().map_or_else(String::new, |run| format!(" --run {}", shell_word(run)));
            return format!("windlass {command} --resume{inventory}{run}{state}");
        };
        format!("windlass {command} {}{inventory}{state}", shell_word(plan.as_str()))
    }

    /// Where the plan is; with `--resume`, once it was brought here.
    async fn plan(&self) -> Result<Utf8PathBuf, Failure> {
        match (&self.plan, &self.inventory) {
            (Some(path), _) => Ok(path.clone()),
            (None, Some(inventory)) => resume::fetch(inventory, self.run.as_deref(), self.state.clone()).await,
            (None, None) => Err(Failure::new(Exit::Usage, "--resume needs the inventory: -i FILE")),
        }
    }
}

/// A run: its plan, with its journal open.
pub(super) struct Run {
    /// What was asked for.
    pub(super) arguments: Arguments,
    /// The plan.
    pub(super) plan: Plan,
    /// What its journal tells.
    pub(super) history: History,
    command: &'static str,
    inventory: Inventory,
    /// The inventory's file.
    at: Utf8PathBuf,
    store: FileStore,
    snapshots: Utf8PathBuf,
    fleet: Fleet,
    clock: SystemClock,
}

impl Run {
    /// Reads the plan and opens its journal, for `windlass COMMAND`. Nothing when the plan is empty, which is said.
    pub(super) async fn open(arguments: Arguments, command: &'static str) -> Result<Option<Self>, Failure> {
        let plan = read_plan(&arguments.plan().await?)?;
        fits(&plan, command)?;
        let at = arguments.inventory.clone().unwrap_or_else(|| Utf8PathBuf::from(&plan.sources.inventory));
        let inventory = read_inventory(&at, &plan)?;
        if plan.is_empty() {
            anstream::println!("nothing to do: everything was at its target when plan {} was made", plan.id);
            return Ok(None);
        }
        let folder = files::state_folder(arguments.state.clone(), plan.cluster.as_str())?;
        let snapshots = files::state_folder(arguments.state.clone(), &format!("{}/snapshots", plan.cluster))?;
        let (store, history) = open_journal(&folder, &plan)?;
        let fleet =
            Fleet::new(&inventory, Utf8Path::new(".")).map_err(|error| Failure::of(Exit::Unreachable, &error))?;
        if !arguments.resume {
            let own = files::read(&journal_path(&folder, &plan))?;
            let from_there = format!("windlass {command} --resume -i {} --run {}", shell_word(at.as_str()), plan.id);
            resume::gone_on_here(&fleet, &inventory, &plan, &own, &from_there).await?;
        }
        let clock = SystemClock::start();
        Ok(Some(Self { arguments, plan, history, command, inventory, at, store, snapshots, fleet, clock }))
    }

    /// Nothing is left to be carried out or given up.
    pub(super) fn is_over(&self) -> bool {
        self.history.completed || self.history.given_up.is_some()
    }

    /// Who holds the lock and what runs, for people, where it is to be taken over.
    pub(super) async fn show_holder(&self) {
        if self.arguments.take_over {
            let seen = observe::own(&self.fleet, &self.clock, &self.inventory).await;
            anstream::print!("{}", report::lock(&self.inventory.name, &seen));
        }
    }

    /// Lets the engine do its work; also says where the time went.
    pub(super) async fn drive<T>(
        self,
        work: impl AsyncFnOnce(&Engine<'_>) -> Result<T, Failure>,
    ) -> Result<(T, String), Failure> {
        let Self { arguments, plan, history, command, inventory, at, store, snapshots, fleet, clock } = self;
        let journal = Journal::new(Box::new(store), history, &plan.id, clock.now()).map_err(|error| {
            Failure::new(Exit::InvalidFile, "could not begin the journal").because(error.to_string())
        })?;
        let recorded = files::recorded(arguments.record.as_deref(), &fleet, &clock)?;
        let live = std::io::stdout().is_terminal().then(Live::default);
        let lines = Plain::default();
        let reporter: &dyn Reporter = live.as_ref().map_or(&lines as &dyn Reporter, |live| live);
        let interrupts = Arc::new(Interrupts::default());
        count_interrupts(Arc::clone(&interrupts));
        let meter = Meter::start(&clock);
        let operator = operator();
        let engine = Engine {
            remote: recorded.as_ref().map_or(&fleet as &dyn Remote, |recorded| recorded),
            clock: &clock,
            plan: &plan,
            inventory: &inventory,
            operator: &operator,
            snapshots,
            again: arguments.again(command),
            journal: Mutex::new(journal),
            reporter,
            meter: &meter,
            interrupts: &interrupts,
            stopping: AtomicBool::new(false),
            token: AtomicU64::new(0),
            others: Others::new(arguments.take_over, format!("windlass lock show -i {}", shell_word(at.as_str()))),
        };
        let outcome = work(&engine).await;
        if let Some(live) = &live {
            live.clear();
        }
        let times = fleet.timings().so_far();
        let spent = meter.spent(&clock);
        drop(recorded);
        fleet.close().await;
        Ok((outcome?, report::spent(&spent, &times)))
    }
}

/// A word as a shell takes it, in quotes where it needs them.
pub(super) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=@,:".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

pub(super) fn read_plan(path: &Utf8Path) -> Result<Plan, Failure> {
    let refused = |error: PlanError| {
        let mut failure = Failure::of(Exit::InvalidFile, &error);
        failure.causes.insert(0, std::mem::replace(&mut failure.what, format!("{path} cannot be carried out")));
        failure.hint(match error {
            PlanError::Format { .. } | PlanError::Newer { .. } | PlanError::Older { .. } => {
                "carry it out with the windlass that made it, or make a new plan with `windlass upgrade plan`"
            }
            _ => "make a new plan with `windlass upgrade plan`",
        })
    };
    let plan = Plan::from_json(&files::read(path)?).map_err(refused)?;
    lawful(&plan, path.as_str())?;
    Ok(plan)
}

/// That the plan called so keeps the laws.
pub(super) fn lawful(plan: &Plan, called: &str) -> Result<(), Failure> {
    let breaches = checker::check(plan);
    if breaches.is_empty() {
        return Ok(());
    }
    let mut failure = Failure::new(Exit::Refused, format!("{called} breaks the laws"));
    failure.causes = breaches.iter().map(|breach| format!("{}: {}", breach.at, breach.detail)).collect();
    Err(failure.hint("make a new plan with `windlass upgrade plan`"))
}

/// That this command is the one for the plan. What ends a run is the same for each.
fn fits(plan: &Plan, command: &str) -> Result<(), Failure> {
    let task = plan.task.command();
    let wanted = format!("{task} apply");
    let ends = command == "upgrade finish" || command == format!("{task} finish");
    if command == wanted || ends || (command == "upgrade abort" && plan.task.is_upgrade()) {
        return Ok(());
    }
    let what = match plan.task.words() {
        None => format!("plan {} is for an upgrade", plan.id),
        Some(words) => format!("plan {} is for something else: {words}", plan.id),
    };
    Err(Failure::new(Exit::Usage, what).hint(format!("nothing was changed; carry it out with `windlass {wanted}`")))
}

fn read_inventory(path: &Utf8Path, plan: &Plan) -> Result<Inventory, Failure> {
    let read = files::inventory(path)?;
    if read.digest == plan.sources.inventory_digest {
        return Ok(read.inventory);
    }
    Err(Failure::new(Exit::Drifted, format!("the inventory {path} was changed since the plan was made"))
        .hint("nothing was changed; make a new plan with `windlass upgrade plan`"))
}

fn journal_path(folder: &Utf8Path, plan: &Plan) -> Utf8PathBuf {
    folder.join(format!("{}.journal", plan.id))
}

fn open_journal(folder: &Utf8Path, plan: &Plan) -> Result<(FileStore, History), Failure> {
    let path = journal_path(folder, plan);
    FileStore::open(&path, &plan.id).map_err(|error| not_opened(&error))
}

/// Why a journal cannot be gone on with, and what to do about it.
pub(super) fn not_opened(error: &OpenError) -> Failure {
    let exit = if matches!(error, OpenError::Busy(_)) { Exit::Refused } else { Exit::InvalidFile };
    let failure = Failure::of(exit, error);
    match error {
        OpenError::Broken { cause: JournalError::Format { .. } | JournalError::Line { .. }, .. } => {
            failure.hint("nothing was changed; go on with the windlass that wrote it")
        }
        OpenError::Broken { .. } => failure.hint(
            "nothing was changed; put the journal back as it was, or move it away and make a new plan with `windlass \
             upgrade plan`",
        ),
        OpenError::Io { .. } | OpenError::Busy(_) => failure,
    }
}

/// Shows a text and asks once. Without a terminal there is nobody to ask: `--yes` says it then.
pub(super) fn ask(shown: &str, question: &str, first: &str) -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        let what = "there is no terminal to ask on";
        return Err(Failure::new(Exit::Usage, what).hint(format!("{first}, then say --yes")));
    }
    anstream::print!("{shown}");
    anstream::print!("\n{question} [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdout().flush().and_then(|()| std::io::stdin().read_line(&mut answer));
    match (read, answer.trim()) {
        (Ok(_), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Failure::new(Exit::Interrupted, "nobody said yes").hint("nothing was changed")),
    }
}

/// Who this is, for the lock: user, host, and the machine's id.
pub(super) fn operator() -> Operator {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let file = |path: &str| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let user = variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_else(|| "somebody".to_owned());
    let host =
        file("/proc/sys/kernel/hostname").or_else(|| variable("HOSTNAME")).unwrap_or_else(|| "somewhere".to_owned());
    let machine = file("/etc/machine-id").unwrap_or_else(|| host.clone());
    Operator { name: format!("{user}@{host}"), machine }
}

/// The first Ctrl-C finishes the step at hand, the second leaves it in doubt, the third exits.
fn count_interrupts(interrupts: Arc<Interrupts>) {
    tokio::spawn(async move {
        loop {
            if tokio::signal::ctrl_c().await.is_err() {
                return;
            }
            match interrupts.count_one() {
                1 => anstream::eprintln!("stopping after the step at hand; again to leave it running on its node"),
                2 => anstream::eprintln!("leaving the step at hand running on its node"),
                _ => std::process::exit(i32::from(Exit::Interrupted.code())),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_goes_on_finds_the_same_journal() {
        let mut arguments = Arguments {
            plan: Some("plan.json".into()),
            resume: false,
            run: None,
            take_over: true,
            yes: true,
            inventory: None,
            state: None,
            record: None,
        };
        assert_eq!(arguments.again("upgrade abort"), "windlass upgrade abort plan.json");
        arguments.plan = Some("it's a plan.json".into());
        arguments.inventory = Some("lab.toml".into());
        arguments.state = Some("/srv/my state".into());
        let wanted = r"windlass upgrade apply 'it'\''s a plan.json' -i lab.toml --state '/srv/my state'";
        assert_eq!(arguments.again("upgrade apply"), wanted);
        arguments = Arguments { plan: None, resume: true, run: Some("0123456789ab".to_owned()), ..arguments };
        let wanted = "windlass upgrade apply --resume -i lab.toml --run 0123456789ab --state '/srv/my state'";
        assert_eq!(arguments.again("upgrade apply"), wanted);
    }
}
