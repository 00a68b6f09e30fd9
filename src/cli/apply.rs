//! `windlass upgrade apply`: a plan file in; asks once, carries it out, or goes on with it.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;

use super::files;
use crate::decide::checker;
use crate::decide::plan::{Plan, PlanError};
use crate::engine::{Engine, Interrupts, Meter, Operator, Outcome, Reporter};
use crate::error::{Exit, Failure};
use crate::inventory::Inventory;
use crate::journal::store::{FileStore, Journal, OpenError};
use crate::journal::{History, JournalError};
use crate::remote::ssh::Fleet;
use crate::remote::{Clock, Remote, SystemClock};
use crate::report;
use crate::report::progress::{Live, Plain};

/// Arguments of `windlass upgrade apply`, and of what ends a run: `abort` and `finish`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The plan, as `windlass upgrade plan --out` wrote it
    pub(super) plan: Utf8PathBuf,
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

/// Carries the plan out.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Some(run) = Run::open(arguments, "apply")? else { return Ok(()) };
    if !run.arguments.yes && !run.history.completed && run.history.given_up.is_none() {
        shown_and_asked(&run.plan, &run.history)?;
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

/// A plan with its journal, open.
pub(super) struct Run {
    /// What was asked for.
    pub(super) arguments: Arguments,
    /// The plan.
    pub(super) plan: Plan,
    /// What its journal tells.
    pub(super) history: History,
    command: &'static str,
    inventory: Inventory,
    store: FileStore,
    snapshots: Utf8PathBuf,
}

impl Run {
    /// Reads the plan and opens its journal, for `windlass upgrade COMMAND`. Nothing when the plan is empty, which is said.
    pub(super) fn open(arguments: Arguments, command: &'static str) -> Result<Option<Self>, Failure> {
        let plan = read_plan(&arguments.plan)?;
        let inventory = read_inventory(&arguments, &plan)?;
        if plan.is_empty() {
            anstream::println!("nothing to do: everything was at its target when plan {} was made", plan.id);
            return Ok(None);
        }
        let folder = files::state_folder(arguments.state.clone(), plan.cluster.as_str())?;
        let snapshots = files::state_folder(arguments.state.clone(), &format!("{}/snapshots", plan.cluster))?;
        let (store, history) = open_journal(&folder, &plan)?;
        Ok(Some(Self { arguments, plan, history, command, inventory, store, snapshots }))
    }

    /// Lets the engine do its work; also says where the time went.
    pub(super) async fn drive<T>(
        self,
        work: impl AsyncFnOnce(&Engine<'_>) -> Result<T, Failure>,
    ) -> Result<(T, String), Failure> {
        let clock = SystemClock::start();
        let journal =
            Journal::new(Box::new(self.store), self.history, &self.plan.id, clock.now()).map_err(|error| {
                Failure::new(Exit::InvalidFile, "could not begin the journal").because(error.to_string())
            })?;
        let with = With {
            arguments: &self.arguments,
            command: self.command,
            plan: &self.plan,
            inventory: &self.inventory,
            clock: &clock,
        };
        with.engine(journal, self.snapshots, work).await
    }
}

/// What an engine works with.
struct With<'a> {
    arguments: &'a Arguments,
    command: &'static str,
    plan: &'a Plan,
    inventory: &'a Inventory,
    clock: &'a SystemClock,
}

impl With<'_> {
    async fn engine<T>(
        self,
        journal: Journal,
        snapshots: Utf8PathBuf,
        work: impl AsyncFnOnce(&Engine<'_>) -> Result<T, Failure>,
    ) -> Result<(T, String), Failure> {
        let Self { arguments, command, plan, inventory, clock } = self;
        let fleet =
            Fleet::new(inventory, Utf8Path::new(".")).map_err(|error| Failure::of(Exit::Unreachable, &error))?;
        let recorded = files::recorded(arguments.record.as_deref(), &fleet, clock)?;
        let live = std::io::stdout().is_terminal().then(Live::default);
        let lines = Plain::default();
        let reporter: &dyn Reporter = live.as_ref().map_or(&lines as &dyn Reporter, |live| live);
        let interrupts = Arc::new(Interrupts::default());
        count_interrupts(Arc::clone(&interrupts));
        let meter = Meter::start(clock);
        let operator = operator();
        let engine = Engine {
            remote: recorded.as_ref().map_or(&fleet as &dyn Remote, |recorded| recorded),
            clock,
            plan,
            inventory,
            operator: &operator,
            snapshots,
            again: again(arguments, command),
            journal: Mutex::new(journal),
            reporter,
            meter: &meter,
            interrupts: &interrupts,
            stopping: AtomicBool::new(false),
            token: AtomicU64::new(0),
        };
        let outcome = work(&engine).await;
        if let Some(live) = &live {
            live.clear();
        }
        let times = fleet.timings().so_far();
        let spent = meter.spent(clock);
        fleet.close().await;
        Ok((outcome?, report::spent(&spent, &times)))
    }
}

fn targets(plan: &Plan) -> String {
    let named = [("Kubernetes", &plan.kubernetes), ("etcd", &plan.etcd)];
    let at: Vec<String> = named
        .iter()
        .filter_map(|(what, raise)| raise.as_ref().map(|raise| format!("{what} is at {}", raise.to)))
        .collect();
    at.join(", ")
}

/// The command once more, as a shell takes it.
pub(super) fn again(arguments: &Arguments, command: &str) -> String {
    let option = |name: &str, path: &Option<Utf8PathBuf>| {
        path.as_ref().map_or_else(String::new, |path| format!(" {name} {}", shell_word(path.as_str())))
    };
    // Without the journal the same command would begin anew.
    let (inventory, state) = (option("-i", &arguments.inventory), option("--state", &arguments.state));
    format!("windlass upgrade {command} {}{inventory}{state}", shell_word(arguments.plan.as_str()))
}

/// A word as a shell takes it, in quotes where it needs them.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=@,:".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn read_plan(path: &Utf8Path) -> Result<Plan, Failure> {
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
    let breaches = checker::check(&plan);
    if breaches.is_empty() {
        return Ok(plan);
    }
    let mut failure = Failure::new(Exit::Refused, format!("{path} breaks the laws"));
    failure.causes = breaches.iter().map(|breach| format!("{}: {}", breach.at, breach.detail)).collect();
    Err(failure.hint("make a new plan with `windlass upgrade plan`"))
}

fn read_inventory(arguments: &Arguments, plan: &Plan) -> Result<Inventory, Failure> {
    let path = arguments.inventory.clone().unwrap_or_else(|| Utf8PathBuf::from(&plan.sources.inventory));
    let read = files::inventory(&path)?;
    if read.digest == plan.sources.inventory_digest {
        return Ok(read.inventory);
    }
    Err(Failure::new(Exit::Drifted, format!("the inventory {path} was changed since the plan was made"))
        .hint("nothing was changed; make a new plan with `windlass upgrade plan`"))
}

fn open_journal(folder: &Utf8Path, plan: &Plan) -> Result<(FileStore, History), Failure> {
    let path = folder.join(format!("{}.journal", plan.id));
    FileStore::open(&path, &plan.id).map_err(|error| {
        let exit = if matches!(error, OpenError::Busy(_)) { Exit::Refused } else { Exit::InvalidFile };
        let failure = Failure::of(exit, &error);
        match error {
            OpenError::Broken { cause: JournalError::Format { .. } | JournalError::Line { .. }, .. } => {
                failure.hint("nothing was changed; go on with the windlass that wrote it")
            }
            OpenError::Broken { .. } => failure.hint(
                "nothing was changed; put the journal back as it was, or move it away and make a new plan with \
                 `windlass upgrade plan`",
            ),
            OpenError::Io { .. } | OpenError::Busy(_) => failure,
        }
    })
}

/// Shows the plan and asks once.
fn shown_and_asked(plan: &Plan, history: &History) -> Result<(), Failure> {
    let question = if history.begun() { "It was begun before. Go on with it?" } else { "Carry it out?" };
    ask(&report::plan(plan), question, "read the plan")
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
fn operator() -> Operator {
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
        let mut arguments =
            Arguments { plan: "plan.json".into(), yes: true, inventory: None, state: None, record: None };
        assert_eq!(again(&arguments, "abort"), "windlass upgrade abort plan.json");
        arguments.plan = "it's a plan.json".into();
        arguments.inventory = Some("lab.toml".into());
        arguments.state = Some("/srv/my state".into());
        let wanted = r"windlass upgrade apply 'it'\''s a plan.json' -i lab.toml --state '/srv/my state'";
        assert_eq!(again(&arguments, "apply"), wanted);
    }
}
