//! `windlass etcd schedule`: the backup by itself, on the machine where this is called.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Parser, Subcommand};

use super::destinations::Destinations;
use crate::backup::schedule::{self, Job, NAMES, Schedule, Unit};
use crate::backup::units::{self, UnitsError};
use crate::cli::files;
use crate::error::{Exit, Failure};
use crate::remote::Output;
use crate::remote::ssh::run_here;
use crate::remote::store::Store;
use crate::text;

/// Longest wait for systemd.
const SYSTEMD_LIMIT: Duration = Duration::from_secs(60);

/// The commands.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Write and start timers on this machine: one takes backups, one proves the newest of them
    Install(Install),
    /// Say what is installed, and when it ran and will run
    Show(Place),
    /// Stop the timers and take away the units, if Windlass wrote them
    Remove(Place),
}

/// Where units are.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct Place {
    /// Take this folder for the root of the file system, and leave systemd alone
    #[arg(long, value_name = "FOLDER")]
    root: Option<Utf8PathBuf>,
}

/// Arguments of `windlass etcd schedule install`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Install {
    /// When to take a backup, as systemd's calendar expressions say it
    #[arg(long, value_name = "CALENDAR", default_value = "*-*-* 01:00:00")]
    on_calendar: String,
    /// When to prove the newest backup at each destination
    #[arg(long, value_name = "CALENDAR", default_value = "Sun *-*-* 03:00:00")]
    prove_on_calendar: String,
    /// Prove no backups
    #[arg(long)]
    no_prove: bool,
    /// For the proof: a file with an age identity, where backups are encrypted
    #[arg(long, value_name = "FILE", conflicts_with = "no_prove")]
    identity: Option<Utf8PathBuf>,
    /// For the proof: where etcd, and etcdutl or etcdctl, of the cluster's version are [default: as PATH says, else
    /// those of the member that runs on this machine]
    #[arg(long, value_name = "FOLDER", conflicts_with = "no_prove")]
    etcd_bin: Option<Utf8PathBuf>,
    /// Begin by chance up to this much later, so that not all clusters begin at once
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = text::parse_duration)]
    delay: Duration,
    /// A file, 0600, with AWS_ACCESS_KEY_ID=… and the like
    #[arg(long, value_name = "FILE")]
    environment_file: Option<Utf8PathBuf>,
    /// Print lines for /etc/cron.d in place of all that, and change nothing
    #[arg(long)]
    crontab: bool,
    #[command(flatten)]
    place: Place,
    /// The arguments of `windlass etcd backup`, as `-- --local --to /srv/backups --keep-daily 7`
    #[arg(last = true, required = true, value_name = "BACKUP ARGUMENTS")]
    words: Vec<String>,
}

/// What `windlass etcd backup` makes of the words.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, name = "windlass etcd schedule install --", disable_help_flag = true)]
struct Words {
    #[command(flatten)]
    backup: super::backup::Arguments,
}

/// Runs one.
pub(super) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Install(arguments) => install(arguments).await,
        Command::Show(place) => show(&place).await,
        Command::Remove(place) => remove(&place).await,
    }
}

async fn install(arguments: Install) -> Result<(), Failure> {
    let schedule = wanted(&arguments)?;
    let unfit = |error: schedule::Unfit| Failure::of(Exit::Usage, &error);
    if arguments.crontab {
        anstream::print!("{}", schedule::crontab(&schedule).map_err(unfit)?);
        return Ok(());
    }
    let units = schedule::units(&schedule).map_err(unfit)?;
    for job in [Some(&schedule.backup), schedule.prove.as_ref()].into_iter().flatten() {
        check_calendar(&job.when).await?;
    }
    let timers: Vec<&str> = units.iter().map(|unit| unit.name).filter(|name| is_timer(name)).collect();
    if let Some(root) = &arguments.place.root {
        units::write(root, &units).map_err(|error| not_written(&error))?;
    } else {
        make_folders(&schedule.writes)?;
        units::write(Utf8Path::new("/"), &units).map_err(|error| not_written(&error))?;
        systemctl(&["daemon-reload"]).await?;
        systemctl(&[&["enable", "--now"], timers.as_slice()].concat()).await?;
    }
    let folder = units::folder(arguments.place.root.as_deref().unwrap_or(Utf8Path::new("/")));
    for unit in &units {
        anstream::println!("wrote {folder}/{}", unit.name);
    }
    match arguments.place.root {
        Some(_) => anstream::println!("then: systemctl daemon-reload && systemctl enable --now {}", timers.join(" ")),
        None => anstream::println!("started {}; try it now: systemctl start {}", text::list(&timers, "and"), NAMES[0]),
    }
    Ok(())
}

/// What is to run, from the words for the backup.
fn wanted(arguments: &Install) -> Result<Schedule, Failure> {
    let Words { backup } = Words::try_parse_from(&arguments.words).unwrap_or_else(|error| error.exit());
    let windlass = std::env::current_exe().map_err(|error| Failure::of(Exit::Bug, &error))?;
    let windlass = windlass.to_string_lossy().into_owned();
    let programs = arguments.etcd_bin.as_deref();
    for path in backup.paths().into_iter().chain(arguments.identity.as_deref()).chain(programs) {
        absolute(path)?;
    }
    let everywhere: Vec<&str> = backup.destinations.to.iter().map(AsRef::as_ref).collect();
    if everywhere.is_empty() {
        return Err(Failure::new(Exit::Usage, "a schedule needs a destination").hint("give one with `--to`"));
    }
    if let Some(file) = &arguments.environment_file {
        check_private(file)?;
    }
    // Nobody is there to see a name change: a restore gives etcd another id.
    let Some(cluster) = backup.called()? else {
        return Err(Failure::new(Exit::Usage, "a schedule needs the cluster's name").hint(
            "give one with `--cluster NAME`: the id of etcd, which it is called by otherwise, changes with a restore",
        ));
    };
    if !arguments.no_prove && backup.encrypts() && arguments.identity.is_none() {
        return Err(Failure::new(Exit::Usage, "what is encrypted cannot be proven without a key")
            .hint("give one with `--identity FILE`, or leave proofs to another machine with `--no-prove`"));
    }
    let argv =
        |words: &[&str]| [windlass.as_str(), "etcd"].iter().chain(words).map(|word| (*word).to_owned()).collect();
    let given: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    let mut proof = vec!["verify", "--prove"];
    let paths = [
        ("--identity", arguments.identity.as_deref()),
        ("--etcd-bin", programs),
        ("--metrics", backup.metrics()),
        ("--ssh-config", backup.destinations.ssh_config.as_deref()),
    ];
    proof.extend(paths.iter().filter_map(|(option, path)| Some([*option, path.as_ref()?.as_str()])).flatten());
    proof.extend(["--cluster", cluster.as_str()].into_iter().chain(everywhere));
    let prove = (!arguments.no_prove).then(|| Job { argv: argv(&proof), when: arguments.prove_on_calendar.clone() });
    let state = files::state_place(backup.state())?;
    let mut writes = vec![state.clone()];
    writes.extend(written(&backup.destinations, &state)?);
    writes.extend(backup.metrics().and_then(Utf8Path::parent).map(Utf8Path::to_owned));
    writes.sort();
    writes.dedup();
    let backup = Job { argv: argv(&[&["backup"], given.as_slice()].concat()), when: arguments.on_calendar.clone() };
    Ok(Schedule {
        backup,
        prove,
        writes,
        state,
        environment: arguments.environment_file.clone(),
        delay: arguments.delay,
    })
}

/// The folders among the destinations.
fn written(destinations: &Destinations, state: &Utf8Path) -> Result<Vec<Utf8PathBuf>, Failure> {
    let folder = |store: Store| store.folder().map(|folder| folder.path().to_owned());
    let folders: Vec<Utf8PathBuf> = destinations.stores(state)?.into_iter().filter_map(folder).collect();
    folders.iter().try_for_each(|path| absolute(path))?;
    Ok(folders)
}

fn absolute(path: &Utf8Path) -> Result<(), Failure> {
    if path.is_absolute() {
        return Ok(());
    }
    let failure = Failure::new(Exit::Usage, format!("{path} is not an absolute path"));
    Err(failure.hint("a timer runs in no folder in particular: give every path from the root on"))
}

/// Credentials are read by nobody else.
fn check_private(file: &Utf8Path) -> Result<(), Failure> {
    absolute(file)?;
    let data = std::fs::metadata(file)
        .map_err(|error| Failure::new(Exit::Usage, format!("could not read {file}")).because(error.to_string()))?;
    let others = data.permissions().mode() & 0o077;
    if others == 0 {
        return Ok(());
    }
    let owner = data.uid();
    Err(Failure::new(Exit::Usage, format!("{file} can be read by others than its owner (uid {owner})"))
        .hint(format!("run `chmod 600 {file}`")))
}

/// A timer with a calendar expression that systemd cannot read never fires, and says so only in the log.
async fn check_calendar(when: &str) -> Result<(), Failure> {
    let argv = ["systemd-analyze", "calendar", "--", when].map(str::to_owned);
    let Ok(output) = run_here(&argv, SYSTEMD_LIMIT).await else {
        return Ok(());
    };
    if output.status == 0 {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, format!("systemd cannot read the calendar expression {}", text::quoted(when)))
        .because(last_line(&output))
        .hint("try one with `systemd-analyze calendar`, as in `systemd-analyze calendar '*-*-* 01:00:00'`"))
}

/// A service cannot be confined to a folder that is not there.
fn make_folders(folders: &[Utf8PathBuf]) -> Result<(), Failure> {
    for folder in folders {
        crate::remote::store::Folder::new(folder.clone()).make().map_err(|error| Failure::of(Exit::Usage, &error))?;
    }
    Ok(())
}

async fn show(place: &Place) -> Result<(), Failure> {
    let root = place.root.as_deref().unwrap_or(Utf8Path::new("/"));
    let installed = units::installed(root).map_err(|error| not_written(&error))?;
    if installed.is_empty() {
        anstream::println!("no schedule is installed in {}", units::folder(root));
        return Ok(());
    }
    for Unit { name, text } in &installed {
        anstream::println!("{}/{name}", units::folder(root));
        for line in text.lines().filter(|line| TELLING.iter().any(|start| line.starts_with(start))) {
            anstream::println!("  {line}");
        }
    }
    if place.root.is_none() {
        let output = systemctl(&["list-timers", "--all", "--no-pager", "windlass-etcd-*"]).await?;
        anstream::print!("\n{}", text::printable(&output.stdout));
    }
    Ok(())
}

/// The settings that a person asks for.
const TELLING: [&str; 5] = ["ExecStart=", "EnvironmentFile=", "ReadWritePaths=", "OnCalendar=", "RandomizedDelaySec="];

async fn remove(place: &Place) -> Result<(), Failure> {
    let root = place.root.as_deref().unwrap_or(Utf8Path::new("/"));
    let installed = units::installed(root).map_err(|error| not_written(&error))?;
    let timers: Vec<&str> = installed.iter().map(|unit| unit.name).filter(|name| is_timer(name)).collect();
    if place.root.is_none() && !timers.is_empty() {
        systemctl(&[&["disable", "--now"], timers.as_slice()].concat()).await?;
    }
    units::remove(root, &installed).map_err(|error| not_written(&error))?;
    if place.root.is_none() && !installed.is_empty() {
        systemctl(&["daemon-reload"]).await?;
    }
    for unit in &installed {
        anstream::println!("removed {}/{}", units::folder(root), unit.name);
    }
    if installed.is_empty() {
        anstream::println!("no schedule is installed in {}", units::folder(root));
    }
    Ok(())
}

fn is_timer(name: &str) -> bool {
    Utf8Path::new(name).extension() == Some("timer")
}

fn not_written(error: &UnitsError) -> Failure {
    let failure = Failure::of(Exit::Refused, error);
    match error {
        UnitsError::Foreign(path) => {
            failure.hint(format!("look at it; if nobody needs it, remove {path} and try again"))
        }
        UnitsError::Io { .. } => failure.hint("units are root's: run it as root"),
    }
}

/// Asks systemd for something, and takes nothing but success for an answer.
async fn systemctl(words: &[&str]) -> Result<Output, Failure> {
    let argv: Vec<String> = ["systemctl"].iter().chain(words).map(|word| (*word).to_owned()).collect();
    let what = || format!("`{}` failed", argv.join(" "));
    match run_here(&argv, SYSTEMD_LIMIT).await {
        Ok(output) if output.status == 0 => Ok(output),
        Ok(output) => Err(Failure::new(Exit::StepFailed, what())
            .because(last_line(&output))
            .hint("the units are written; put systemd right, then run the same command again")),
        Err(error) => {
            let mut failure = Failure::new(Exit::StepFailed, what());
            failure.causes = crate::error::chain(&error);
            Err(failure.hint("is systemd at work here? `--crontab` prints lines for cron"))
        }
    }
}

fn last_line(output: &Output) -> String {
    let said = output.stderr.lines().chain(output.stdout.lines()).find(|line| !line.trim().is_empty());
    said.unwrap_or("it said nothing").trim().to_owned()
}
