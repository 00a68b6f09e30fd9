//! A throw-away etcd on this machine: a snapshot restored without any change and started, asked what it has, and gone again
//! with everything that it wrote.
//!
//! It listens on sockets in a folder of its own, 0700, not on TCP: nobody else on this machine can ask it for the cluster's
//! Secrets, and it can disturb no other etcd. Should Windlass be killed, the kernel ends it too (where this machine has util-linux'
//! `setpriv`), and the next proof in the same place takes its folder away.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use etcd_client::{Client, GetOptions};
use semver::Version;
use tokio::process::{Child, Command};

use super::etcd::{plain_client, words};
use crate::facts::proof::Said;
use crate::text;

/// What both sockets are called, in the folder that etcd runs in: etcd takes the name of a socket for a host and a port.
const CLIENTS: &str = "unix://localhost:1";
const PEERS: &str = "unix://localhost:2";
const CLIENT_SOCKET: &str = "localhost:1";

/// What makes a program end when the one that started it does, however that ended.
const BOUND: [&str; 3] = ["setpriv", "--pdeathsig", "KILL"];

/// How the folders begin that proofs are in.
const FOLDER: &str = ".windlass-proof-";
/// Held in such a folder for as long as its proof lasts.
const LOCK: &str = "lock";

/// Its name.
const NAME: &str = "windlass-proof";

/// Room for its database: etcd's largest suggested quota. A proof must not end with an alarm that the cluster never had.
const QUOTA: &str = "8589934592";

/// Longest time for a restore: 8 GiB at 20 MB a second, twice as long as a slow disk takes.
const RESTORE_LIMIT: Duration = Duration::from_secs(900);

/// Longest time until it answers: it reads its whole database first.
const START_LIMIT: Duration = Duration::from_secs(300);

/// Pause between two tries at it.
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ThrowawayError {
    /// A program is not there, or could not be run.
    #[error("could not run {program}")]
    Program {
        /// Which.
        program: Utf8PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// No folder to work in.
    #[error("could not make a folder in {folder}")]
    Folder {
        /// Where.
        folder: Utf8PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The snapshot could not be restored.
    #[error("it could not be restored: {0}")]
    Restore(String),
    /// Etcd did not start on it.
    #[error("etcd did not start on it: {0}")]
    Start(String),
    /// Etcd did not answer.
    #[error("the throw-away etcd did not answer: {0}")]
    Answer(String),
}

/// Etcd's programs on this machine.
#[derive(Clone, Debug)]
pub struct Programs {
    source: Source,
    /// Whether this machine can end them when Windlass ends.
    bound: bool,
}

/// Where they are.
#[derive(Clone, Debug)]
enum Source {
    /// Where `PATH` leads to.
    Path,
    /// In this folder.
    Folder(Utf8PathBuf),
    /// In this folder of ours, copied from the root of the member that runs here.
    Member(Arc<Room>),
}

/// The manifest of a stacked member, and where kubeadm keeps its data.
const MANIFEST: &str = "/etc/kubernetes/manifests/etcd.yaml";
const DATA: &str = "/var/lib/etcd";

/// What a stacked member's image has, where kubeadm puts none of it on the node.
const OF_A_MEMBER: [&str; 3] = ["etcd", "etcdctl", "etcdutl"];

impl Programs {
    /// Those in `folder`; else those that `PATH` leads to; else those of the member that runs on this machine, in its
    /// container, which are copied into a folder of their own below `parent`. Where there are none, a proof says so.
    pub fn find(folder: Option<Utf8PathBuf>, parent: &Utf8Path) -> Result<Self, ThrowawayError> {
        let starts = |argv: &[&str]| {
            let mut trial = std::process::Command::new(argv[0]);
            trial.args(&argv[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            trial.status().is_ok_and(|status| status.success())
        };
        let bound = starts(&[BOUND.as_slice(), &["true"]].concat());
        let source = match folder {
            Some(folder) => Source::Folder(folder),
            None if starts(&["etcd", "--version"]) => Source::Path,
            None => of_member(Utf8Path::new("/proc"), Utf8Path::new(MANIFEST), parent)?.unwrap_or(Source::Path),
        };
        Ok(Self { source, bound })
    }

    fn path(&self, program: &str) -> Utf8PathBuf {
        match &self.source {
            Source::Path => Utf8PathBuf::from(program),
            Source::Folder(folder) => folder.join(program),
            Source::Member(room) => room.at.join(program),
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(if self.bound { BOUND[0].into() } else { self.path(program) });
        if self.bound {
            command.args(&BOUND[1..]).arg(self.path(program));
        }
        // Etcd and its tools take settings from variables of every name; and one core is enough for a proof.
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("ETCDCTL_API", "3").env("GOMAXPROCS", "1");
        command.stdin(Stdio::null()).kill_on_drop(true).process_group(0);
        command
    }

    /// The server's version.
    pub async fn version(&self) -> Result<Version, ThrowawayError> {
        let failed = |cause| ThrowawayError::Program { program: self.path("etcd"), cause };
        let output = self.command("etcd").arg("--version").output().await.map_err(failed)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let version = said.lines().find_map(|line| Version::parse(line.strip_prefix("etcd Version: ")?.trim()).ok());
        version.ok_or_else(|| failed(std::io::Error::other("it does not say its version")))
    }

    /// `etcdutl`, where there is one: from 3.6 on `etcdctl` does not restore any more.
    async fn restorer(&self) -> Result<&'static str, ThrowawayError> {
        for restorer in ["etcdutl", "etcdctl"] {
            let there = self.command(restorer).arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            if there.await.is_ok_and(|status| status.success()) {
                return Ok(restorer);
            }
        }
        let cause = io::Error::new(io::ErrorKind::NotFound, "neither it nor etcdutl is there, or starts");
        Err(ThrowawayError::Program { program: self.path("etcdctl"), cause })
    }
}

/// The programs of this machine's stacked member, in the root that it sees: of the process that has the member's database
/// open. Any process may be called etcd, and what is in its root would be run as root.
fn of_member(processes: &Utf8Path, manifest: &Utf8Path, parent: &Utf8Path) -> Result<Option<Source>, ThrowawayError> {
    let unmade = |cause| ThrowawayError::Folder { folder: parent.to_owned(), cause };
    let Ok(manifest) = std::fs::read_to_string(manifest) else { return Ok(None) };
    let data = manifest.lines().find_map(|line| line.trim().strip_prefix("- --data-dir="));
    let database = Utf8Path::new(data.unwrap_or(DATA)).join("member/snap/db");
    let (Ok(database), Ok(entries)) = (std::fs::metadata(&database), processes.read_dir_utf8()) else {
        return Ok(None);
    };
    for process in entries.flatten() {
        let named = std::fs::read_to_string(process.path().join("comm"));
        let folder = process.path().join("root/usr/local/bin");
        if named.is_ok_and(|name| name.trim() == "etcd") && holds(process.path(), &database) {
            sweep(parent);
            let room = Room::new(parent)?;
            for program in OF_A_MEMBER {
                copy(&folder.join(program), &room.at.join(program)).map_err(unmade)?;
            }
            return Ok(Some(Source::Member(Arc::new(room))));
        }
    }
    Ok(None)
}

/// Whether a process has this file open.
fn holds(process: &Utf8Path, file: &Metadata) -> bool {
    let Ok(open) = process.join("fd").read_dir_utf8() else { return false };
    let one = |data: Metadata| (data.dev(), data.ino());
    open.flatten().any(|fd| std::fs::metadata(fd.path()).is_ok_and(|data| one(data) == one(file.clone())))
}

/// Copies a program, if it is there. A link would lead out of the root that it is in.
fn copy(from: &Utf8Path, to: &Utf8Path) -> io::Result<()> {
    match std::fs::symlink_metadata(from) {
        Ok(found) if found.is_file() => {}
        _ => return Ok(()),
    }
    let mut into = OpenOptions::new().write(true).create_new(true).mode(0o700).open(to)?;
    io::copy(&mut File::open(from)?, &mut into).map(|_| ())
}

/// A folder of ours for as long as it is needed: others see by its lock that it is.
#[derive(Debug)]
struct Room {
    at: Utf8PathBuf,
    _lock: File,
    _folder: tempfile::TempDir,
}

impl Room {
    fn new(parent: &Utf8Path) -> Result<Self, ThrowawayError> {
        let unmade = |cause| ThrowawayError::Folder { folder: parent.to_owned(), cause };
        let folder = tempfile::Builder::new().prefix(FOLDER).tempdir_in(parent).map_err(unmade)?;
        let lock = File::create(folder.path().join(LOCK)).map_err(unmade)?;
        lock.lock().map_err(unmade)?;
        let at = Utf8PathBuf::try_from(folder.path().to_owned()).map_err(|error| unmade(error.into_io_error()))?;
        let at = camino::absolute_utf8(&at).map_err(unmade)?;
        Ok(Self { at, _lock: lock, _folder: folder })
    }
}

/// Restores the snapshot `file` in a new folder below `parent`, starts etcd on it and asks it, for its hash at `revision`.
/// Nothing of it is left, whatever happens.
pub async fn run(file: &File, programs: &Programs, parent: &Utf8Path, revision: u64) -> Result<Said, ThrowawayError> {
    sweep(parent);
    let Room { at, .. } = &Room::new(parent)?;
    restore(file, programs, at).await?;
    let mut etcd =
        start(programs, at).map_err(|cause| ThrowawayError::Program { program: programs.path("etcd"), cause })?;
    let said = ask(&mut etcd, at, revision).await;
    // Before its folder goes.
    let _ = etcd.kill().await;
    said
}

/// Takes away the folders of proofs that were killed. One that is in use is locked.
fn sweep(parent: &Utf8Path) {
    let Ok(entries) = parent.read_dir_utf8() else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().starts_with(FOLDER)) {
        let lock = File::open(entry.path().join(LOCK));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

async fn restore(file: &File, programs: &Programs, at: &Utf8Path) -> Result<(), ThrowawayError> {
    let restorer = programs.restorer().await?;
    // The file has no name, and needs none.
    let snapshot = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    let mut command = programs.command(restorer);
    command.current_dir(at).args(["snapshot", "restore", &snapshot, "--data-dir", "data", "--name", NAME]);
    command.args(["--initial-cluster", &format!("{NAME}={PEERS}"), "--initial-advertise-peer-urls", PEERS]);
    let output = tokio::time::timeout(RESTORE_LIMIT, command.output()).await;
    let output = output.map_err(|_| ThrowawayError::Restore(format!("it took over {} s", RESTORE_LIMIT.as_secs())))?;
    let output = output.map_err(|cause| ThrowawayError::Program { program: programs.path(restorer), cause })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(ThrowawayError::Restore(last_line(&said)))
}

fn start(programs: &Programs, at: &Utf8Path) -> std::io::Result<Child> {
    let log = File::create(at.join("log"))?;
    let mut command = programs.command("etcd");
    command.current_dir(at).args(["--name", NAME, "--data-dir", "data", "--quota-backend-bytes", QUOTA]);
    command.args(["--listen-client-urls", CLIENTS, "--advertise-client-urls", CLIENTS]);
    command.args(["--listen-peer-urls", PEERS, "--initial-advertise-peer-urls", PEERS]);
    command.args(["--initial-cluster", &format!("{NAME}={PEERS}")]);
    command.stdout(Stdio::null()).stderr(log).spawn()
}

async fn ask(etcd: &mut Child, at: &Utf8Path, revision: u64) -> Result<Said, ThrowawayError> {
    let socket = at.join(CLIENT_SOCKET);
    let waiting = async {
        loop {
            if let Ok(Some(status)) = etcd.try_wait() {
                let log = std::fs::read_to_string(at.join("log")).unwrap_or_default();
                return Err(ThrowawayError::Start(format!("it ended with {status}: {}", last_line(&log))));
            }
            if let Ok(mut client) = plain_client(&socket).await
                // Linearizable: it leads itself by now.
                && client.get("windlass", None).await.is_ok()
            {
                return Ok(client);
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let late = |_| ThrowawayError::Start(format!("it did not answer within {} s", START_LIMIT.as_secs()));
    let client = tokio::time::timeout(START_LIMIT, waiting).await.map_err(late)??;
    tokio::time::timeout(START_LIMIT, said(client, revision)).await.map_err(late)?.map_err(ThrowawayError::Answer)
}

async fn said(mut client: Client, revision: u64) -> Result<Said, String> {
    let words = |error: etcd_client::Error| words(&error);
    let asked = i64::try_from(revision).map_err(|_| format!("no such revision: {revision}"))?;
    let hash = client.hash_kv(asked).await.map_err(words)?;
    // From the first key on, to the last.
    let every = GetOptions::new().with_from_key().with_count_only();
    let keys = client.get("\0", Some(every)).await.map_err(words)?;
    let header = keys.header().ok_or("an answer without a header")?;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(Said {
        revision: count(header.revision()),
        keys: count(keys.count()),
        hash_kv: hash.hash(),
        compact_revision: hash.compact_version(),
    })
}

fn last_line(text: &str) -> String {
    let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    text::printable(line).chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `/proc` has it where a stacked member runs, and something that is only called alike.
    #[test]
    fn a_members_programs_are_taken_from_the_root_that_it_sees() {
        let base = tempfile::tempdir().expect("a folder");
        let base = Utf8Path::from_path(base.path()).expect("a path");
        let (processes, parent, manifest) = (base.join("proc"), base.join("state"), base.join("etcd.yaml"));
        let database = base.join("data/member/snap/db");
        std::fs::create_dir_all(database.with_file_name("")).expect("a folder");
        std::fs::write(&database, "").expect("written");
        std::fs::write(&manifest, format!("  - command:\n    - etcd\n    - --data-dir={base}/data\n"))
            .expect("written");
        // One that is called otherwise, one that only is called so, and the member.
        for (process, name, held) in [("7", "etcdctl\n", true), ("8", "etcd\n", false), ("9", "etcd\n", true)] {
            let (process, folder) = (processes.join(process), processes.join(process).join("root/usr/local/bin"));
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::create_dir_all(process.join("fd")).expect("a folder");
            std::fs::write(process.join("comm"), name).expect("written");
            std::fs::write(folder.join("etcd"), process.file_name().expect("a name")).expect("written");
            std::os::unix::fs::symlink("/bin/true", folder.join("etcdctl")).expect("linked");
            std::os::unix::fs::symlink(if held { database.as_str() } else { "/dev/null" }, process.join("fd/3"))
                .expect("linked");
        }
        std::fs::create_dir(&parent).expect("a folder");
        let found = of_member(&processes, &manifest, &parent).expect("it can be looked for");
        let Some(Source::Member(room)) = found else { panic!("a member runs") };
        assert_eq!(std::fs::read_to_string(room.at.join("etcd")).expect("copied"), "9");
        assert!(!room.at.join("etcdctl").exists(), "a link leads who knows where");
        assert_eq!(parent.read_dir_utf8().expect("listed").count(), 1);
        sweep(&parent);
        assert_eq!(parent.read_dir_utf8().expect("listed").count(), 1, "it is in use");
        drop(room);
        assert_eq!(parent.read_dir_utf8().expect("listed").count(), 0);
        assert!(of_member(&base.join("nothing"), &manifest, &parent).expect("it can be looked for").is_none());
    }
}
