//! The systemd units that take a backup every so often and prove one every week, and the lines of cron that do the same.
//! Pure: what is to run in, texts out.

use std::fmt::Write as _;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::text::quoted;

/// How every unit begins that Windlass wrote; nothing else is replaced or taken away.
pub const MARK: &str = "# Written by `windlass etcd schedule install`; `windlass etcd schedule remove` takes it away.";

/// The units' names: each service has a timer.
pub const NAMES: [&str; 4] = [
    "windlass-etcd-backup.service",
    "windlass-etcd-backup.timer",
    "windlass-etcd-prove.service",
    "windlass-etcd-prove.timer",
];

/// What is to run, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The backup.
    pub backup: Job,
    /// The proof, when it is wanted.
    pub prove: Option<Job>,
    /// What it may write: destinations, the folder of the metrics, the state. Absolute.
    pub writes: Vec<Utf8PathBuf>,
    /// Where Windlass keeps its state. Absolute.
    pub state: Utf8PathBuf,
    /// A file with `NAME=value` lines, as for the credentials of S3. Absolute.
    pub environment: Option<Utf8PathBuf>,
    /// Each run begins by chance up to this much later: not every cluster at the same moment.
    pub delay: Duration,
}

/// One thing that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The program, absolute, and its arguments.
    pub argv: Vec<String>,
    /// A calendar expression of systemd's, as `*-*-* 01:00:00`.
    pub when: String,
}

/// One unit file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// One of [`NAMES`].
    pub name: &'static str,
    /// What is in it.
    pub text: String,
}

/// A word that cannot stand in a unit or a line of cron.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot be written into a unit", quoted(.0))]
pub struct Unfit(pub String);

/// Root reads and writes what belongs to others: etcd's own files, and a destination's.
const BACKUP_MAY: &str = "CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH";

/// The proof looks, besides, into the root of a member in its container, which has etcd's programs. The calls that trace a
/// process, or reach into its memory, are not among those of [`CONFINED`].
const PROOF_MAY: &str = "CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_SYS_PTRACE";

/// What keeps a service to its work. It reads as root what root may read, and also etcd's own files; it writes only where
/// it is told to. Below every control plane's own processes in time of the processor and the disk.
const CONFINED: &str = "\
UMask=0077
Nice=10
IOSchedulingClass=best-effort
IOSchedulingPriority=7
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~process_vm_readv process_vm_writev kcmp
";

/// Every unit of the schedule. Fails on a word with a control character, and on a path that systemd would read as several.
pub fn units(schedule: &Schedule) -> Result<Vec<Unit>, Unfit> {
    let [backup, backup_timer, prove, prove_timer] = NAMES;
    let mut units = vec![
        Unit { name: backup, text: service("Backup of etcd", schedule, &schedule.backup, BACKUP_MAY)? },
        Unit { name: backup_timer, text: timer("Backup of etcd, every so often", schedule, &schedule.backup)? },
    ];
    if let Some(job) = &schedule.prove {
        units.push(Unit {
            name: prove,
            text: service("Proof of the newest backups of etcd", schedule, job, PROOF_MAY)?,
        });
        units
            .push(Unit { name: prove_timer, text: timer("Proof of a backup of etcd, every so often", schedule, job)? });
    }
    Ok(units)
}

fn service(description: &str, schedule: &Schedule, job: &Job, may: &str) -> Result<String, Unfit> {
    let mut text = format!("{MARK}\n[Unit]\nDescription={description} (windlass)\n");
    text.push_str("Wants=network-online.target\nAfter=network-online.target\n\n[Service]\nType=oneshot\n");
    let words = job.argv.iter().map(|word| command_word(word)).collect::<Result<Vec<_>, _>>()?;
    let _ = writeln!(text, "ExecStart={}", words.join(" "));
    let _ = writeln!(
        text,
        "Environment={}",
        command_word(&format!("WINDLASS_STATE={}", schedule.state))?.replace("$$", "$")
    );
    if let Some(file) = &schedule.environment {
        let _ = writeln!(text, "EnvironmentFile={}", path(file)?);
    }
    let _ = writeln!(text, "TimeoutStartSec={}", LONGEST.as_secs());
    let _ = writeln!(text, "CapabilityBoundingSet={may}");
    text.push_str(CONFINED);
    for folder in &schedule.writes {
        let _ = writeln!(text, "ReadWritePaths={}", path(folder)?);
    }
    Ok(text)
}

/// A run that lasts longer hangs: 8 GiB, etcd's largest, take 14 minutes at 80 Mbit/s.
const LONGEST: Duration = Duration::from_secs(4 * 3600);

fn timer(description: &str, schedule: &Schedule, job: &Job) -> Result<String, Unfit> {
    let when = line(&job.when)?;
    Ok(format!(
        "{MARK}\n[Unit]\nDescription={description} (windlass)\n\n[Timer]\nOnCalendar={when}\n\
         RandomizedDelaySec={}\nPersistent=yes\n\n[Install]\nWantedBy=timers.target\n",
        schedule.delay.as_secs()
    ))
}

/// The lines for `/etc/cron.d`, which does not know calendars: every night, and every Sunday night.
pub fn crontab(schedule: &Schedule) -> Result<String, Unfit> {
    let mut text = String::from("# For /etc/cron.d/windlass-etcd: minute, hour, day, month, weekday, user, command.\n");
    for (when, job) in [("17 1 * * *", Some(&schedule.backup)), ("17 3 * * 0", schedule.prove.as_ref())] {
        let Some(job) = job else { continue };
        let mut words = vec!["umask 077;".to_owned()];
        if let Some(file) = &schedule.environment {
            words.push(format!("set -a; . {}; set +a;", cron_word(file.as_str())?));
        }
        words.push(format!("WINDLASS_STATE={}", cron_word(schedule.state.as_str())?));
        for word in &job.argv {
            words.push(cron_word(word)?);
        }
        let _ = writeln!(text, "{when} root {}", words.join(" "));
    }
    Ok(text)
}

fn line(word: &str) -> Result<&str, Unfit> {
    if word.is_empty() || word.chars().any(char::is_control) { Err(Unfit(word.to_owned())) } else { Ok(word) }
}

fn is_plain(word: &str) -> bool {
    word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=@,+".contains(c))
}

/// One word of a command in a unit. `%` and `$` would be put something in place of.
fn command_word(word: &str) -> Result<String, Unfit> {
    if is_plain(line(word)?) {
        return Ok(word.to_owned());
    }
    let escaped = word.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    Ok(format!("\"{escaped}\""))
}

/// A path alone on its line. `ReadWritePaths=` takes several, which a space parts, and quotes are not the same in every version.
fn path(path: &Utf8Path) -> Result<String, Unfit> {
    let word = line(path.as_str())?;
    if !path.is_absolute() || word.contains([' ', '"', '\'', '\\', ';']) {
        return Err(Unfit(word.to_owned()));
    }
    Ok(word.replace('%', "%%"))
}

/// One word of a shell's, in a line of cron's, where `%` would be the line's end.
fn cron_word(word: &str) -> Result<String, Unfit> {
    if is_plain(line(word)?) {
        return Ok(word.to_owned());
    }
    Ok(format!("'{}'", word.replace('\'', r"'\''").replace('%', r"'\%'")))
}

#[cfg(test)]
mod tests;
