//! The connection to one node: opened on first use, opened again after it was lost, and what runs over it.
//!
//! It knows what was started and what was not; it never repeats what might have been started.

use std::io::Seek;
use std::num::NonZeroUsize;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use openssh::{ChildStdin, ControlPersist, KnownHosts, Session, SessionBuilder, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Mutex, Semaphore};
use zeroize::Zeroizing;

use super::config;
use super::timings::Timings;
use super::trouble::{Reason, SshTrouble, chain};
use crate::inventory::{NodeName, Ssh};

/// Channels open at one time: sshd's MaxSessions is 10, and two are left for whoever jumps or looks beside us.
const CHANNELS: usize = 8;

/// sshd counts a channel for a moment longer than we do: what it refuses then, it takes after a pause. Two seconds in all;
/// after that somebody else fills the connection, or `MaxSessions` is lower than usual.
const REFUSALS_TAKEN: usize = 40;
const REFUSAL_PAUSE: Duration = Duration::from_millis(50);

/// A master without use ends after this long. Windlass asks more often while it works; what a `kill -9` of it leaves behind
/// is gone soon after.
pub(in crate::remote) const IDLE_SECONDS: NonZeroUsize = NonZeroUsize::new(120).expect("120 is not zero");

/// Room for an answer before the buffer has to grow, and so leave a copy of what may be a key behind: three PEM files.
const ANSWER_ROOM: usize = 256 * 1024;

/// The longest answer that is taken: room for 5,000 nodes of which the API tells 13 KiB each. A node that never stops talking
/// must not fill the operator's memory.
const ANSWER_MOST: u64 = 64 << 20;

/// What goes to a command's stdin.
#[derive(Clone, Copy)]
enum Input<'a> {
    /// A script for `sh -s`. The shell runs nothing before it has read the last line.
    Script(&'a str),
    /// A file; the script is in the command line.
    File(&'a std::fs::File),
}

/// What came back. Wiped when it is dropped, since it may be a key.
pub(in crate::remote) struct Answer {
    pub(in crate::remote) status: i32,
    pub(in crate::remote) stdout: Zeroizing<Vec<u8>>,
    pub(in crate::remote) stderr: Zeroizing<Vec<u8>>,
}

/// Why nothing came back.
#[derive(Debug)]
pub(in crate::remote) enum Failure {
    NotStarted(SshTrouble),
    InDoubt(SshTrouble),
}

/// What all links share.
pub(in crate::remote) struct Ways {
    builder: SessionBuilder,
    open_limit: Duration,
    sudo: bool,
    timings: Timings,
}

impl Ways {
    pub(in crate::remote) fn new(ssh: &Ssh, config_file: &Utf8PathBuf, folder: &Utf8PathBuf, timings: Timings) -> Self {
        let mut builder = SessionBuilder::default();
        builder
            .known_hosts_check(if ssh.strict_host_keys { KnownHosts::Strict } else { KnownHosts::Accept })
            .control_directory(folder)
            .control_persist(ControlPersist::IdleFor(IDLE_SECONDS))
            .config_file(config_file);
        // ssh's ConnectTimeout ends with the key exchange: as much again for a jump, and for looking up and logging in.
        Self { builder, open_limit: ssh.connect_timeout * 3 + config::unnoticed(ssh), sudo: ssh.sudo, timings }
    }

    /// The words before `sh`.
    fn prefix(&self) -> &'static str {
        if self.sudo { "sudo -n -- " } else { "" }
    }
}

/// The connection to one node.
pub(in crate::remote) struct Link {
    node: NodeName,
    ways: Arc<Ways>,
    kept: Mutex<Kept>,
    /// How many times it could not be opened.
    failures: AtomicU64,
    channels: Semaphore,
}

/// What the last opening came to.
#[derive(Default)]
struct Kept {
    session: Option<Arc<Session>>,
    trouble: Option<SshTrouble>,
}

impl Link {
    pub(in crate::remote) fn new(node: NodeName, ways: Arc<Ways>) -> Self {
        Self { node, ways, kept: Mutex::default(), failures: AtomicU64::new(0), channels: Semaphore::new(CHANNELS) }
    }

    /// Runs a script given by stdin: `sh -s -- args…`.
    pub(in crate::remote) async fn run_script(
        &self,
        text: &str,
        args: &[String],
        limit: Duration,
    ) -> Result<Answer, Failure> {
        let command = format!("{}sh -s --{}", self.ways.prefix(), escaped(args));
        self.run(&command, Input::Script(text), limit).await
    }

    /// Runs a script given in the command line, with a file as its stdin: `sh -c TEXT windlass args…`.
    pub(in crate::remote) async fn run_with_file(
        &self,
        text: &str,
        args: &[String],
        file: &std::fs::File,
        limit: Duration,
    ) -> Result<Answer, Failure> {
        let text = shell_word(text);
        let command = format!("{}sh -c {text} windlass{}", self.ways.prefix(), escaped(args));
        self.run(&command, Input::File(file), limit).await
    }

    /// The session, and whether it was opened just now. Whoever waits while somebody else's opening fails has the same
    /// trouble: a dead node costs one timeout, however many ask it at the same time.
    pub(in crate::remote) async fn session(&self) -> Result<(Arc<Session>, bool), SshTrouble> {
        let failures = self.failures.load(Ordering::Acquire);
        let mut kept = self.kept.lock().await;
        if let Some(session) = &kept.session {
            return Ok((Arc::clone(session), false));
        }
        if let Some(trouble) = &kept.trouble
            && self.failures.load(Ordering::Acquire) != failures
        {
            return Err(trouble.clone());
        }
        let since = Instant::now();
        let opened = self.open().await;
        self.ways.timings.connected(&self.node, since.elapsed());
        match opened {
            Ok(session) => {
                let session = Arc::new(session);
                *kept = Kept { session: Some(Arc::clone(&session)), trouble: None };
                Ok((session, true))
            }
            Err(trouble) => {
                kept.trouble = Some(trouble.clone());
                self.failures.fetch_add(1, Ordering::Release);
                Err(trouble)
            }
        }
    }

    /// Lets go of `lost`, unless somebody has opened a new one already.
    pub(in crate::remote) async fn forget(&self, lost: &Arc<Session>) {
        let mut kept = self.kept.lock().await;
        if kept.session.as_ref().is_some_and(|session| Arc::ptr_eq(session, lost)) {
            kept.session = None;
        }
    }

    /// Ends the connection; what still runs on it is waited for by ssh, not by us.
    pub(in crate::remote) async fn close(&self) {
        // Dropping the session tells its master to stop.
        self.kept.lock().await.session.take();
    }

    async fn open(&self) -> Result<Session, SshTrouble> {
        let limit = self.ways.open_limit;
        let opening = async {
            let session = self.ways.builder.connect_mux(self.node.as_str()).await;
            let session = session.map_err(|error| SshTrouble::from_error(&error))?;
            if self.ways.sudo {
                check_sudo(&session).await?;
            }
            Ok(session)
        };
        let late = || SshTrouble::new(Reason::TimedOut, format!("no connection within {} s", limit.as_secs()));
        tokio::time::timeout(limit, opening).await.unwrap_or_else(|_| Err(late()))
    }

    async fn run(&self, command: &str, input: Input<'_>, limit: Duration) -> Result<Answer, Failure> {
        let Ok(_channel) = self.channels.acquire().await else {
            return Err(Failure::NotStarted(SshTrouble::new(Reason::Lost, "the connection was closed")));
        };
        let (mut session, mut fresh) = self.session().await.map_err(Failure::NotStarted)?;
        let mut refusals = 0;
        loop {
            match self.try_once(&session, command, input, limit).await {
                // A connection from before that turned out to be dead, and nothing was started: once more, over a new one.
                Err(Failure::NotStarted(trouble)) if trouble.reason == Reason::Lost && !fresh => {
                    session = self.session().await.map_err(Failure::NotStarted)?.0;
                    fresh = true;
                }
                Err(Failure::NotStarted(trouble))
                    if trouble.reason == Reason::TooManySessions && refusals < REFUSALS_TAKEN =>
                {
                    refusals += 1;
                    tokio::time::sleep(REFUSAL_PAUSE).await;
                }
                other => return other,
            }
        }
    }

    async fn try_once(
        &self,
        session: &Arc<Session>,
        command: &str,
        input: Input<'_>,
        limit: Duration,
    ) -> Result<Answer, Failure> {
        let running = run_once(session, command, input);
        let answer = tokio::time::timeout(limit, running).await.unwrap_or_else(|_| Err(late(limit)));
        if answer.is_err() && session.check().await.is_err() {
            self.forget(session).await;
        }
        answer.map_err(|failure| match failure {
            Failure::NotStarted(trouble) => Failure::NotStarted(with_log(trouble, session)),
            Failure::InDoubt(trouble) => Failure::InDoubt(with_log(trouble, session)),
        })
    }
}

fn late(limit: Duration) -> Failure {
    Failure::InDoubt(SshTrouble::new(Reason::TimedOut, format!("no answer within {} s", limit.as_secs())))
}

/// Root's rights are asked for once, with nothing to do, so that their absence can be told from a script's answer.
async fn check_sudo(session: &Session) -> Result<(), SshTrouble> {
    let output = session.raw_command("sudo -n -- sh -c :").output().await;
    let output = output.map_err(|error| match error {
        openssh::Error::Remote(_) => SshTrouble::new(Reason::NoSudo, "there is no sudo on the node"),
        other => SshTrouble::from_error(&other),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let words = said.lines().last().unwrap_or("sudo refused without a word").trim();
    Err(SshTrouble::new(Reason::NoSudo, words))
}

/// One try. With a script by stdin, nothing ran as long as its last line was not handed over; with a file by stdin, only a
/// refusal or a master that was not there is certain.
async fn run_once(session: &Session, command: &str, input: Input<'_>) -> Result<Answer, Failure> {
    let mut spawn = session.raw_command(command);
    spawn.stdout(Stdio::piped()).stderr(Stdio::piped());
    let (script, by_stdin) = match input {
        Input::Script(text) => {
            spawn.stdin(Stdio::piped());
            (text, true)
        }
        Input::File(file) => {
            spawn.stdin(from_the_start(file).map_err(Failure::NotStarted)?);
            ("", false)
        }
    };
    let mut child = spawn.spawn().await.map_err(|error| not_spawned(&error, by_stdin))?;
    let (stdin, stdout, stderr) = (child.stdin().take(), child.stdout().take(), child.stderr().take());
    let (fed, stdout, stderr) = tokio::join!(feed(stdin, script), read(stdout), read(stderr));
    match ended(child.wait().await) {
        Ok(status) => Ok(Answer { status, stdout, stderr }),
        Err(trouble) if by_stdin && !fed => Err(Failure::NotStarted(trouble)),
        Err(trouble) => Err(Failure::InDoubt(trouble)),
    }
}

/// The file itself: ssh's master reads it, not we.
fn from_the_start(mut file: &std::fs::File) -> Result<Stdio, SshTrouble> {
    let rewound = file.rewind().and_then(|()| file.try_clone());
    rewound.map(Stdio::from).map_err(|error| SshTrouble::new(Reason::Other, error.to_string()))
}

fn not_spawned(error: &openssh::Error, by_stdin: bool) -> Failure {
    let trouble = SshTrouble::from_error(error);
    let certain = by_stdin
        || trouble.reason == Reason::TooManySessions
        || matches!(error, openssh::Error::Disconnected | openssh::Error::InvalidCommand | openssh::Error::ChildIo(_));
    if certain { Failure::NotStarted(trouble) } else { Failure::InDoubt(trouble) }
}

/// Hands the script over, its last line apart; whether that line may have gone.
async fn feed(stdin: Option<ChildStdin>, script: &str) -> bool {
    let Some(mut stdin) = stdin else { return true };
    let (body, last) = script.split_at(last_line(script));
    if stdin.write_all(body.as_bytes()).await.is_err() {
        return false;
    }
    // An error here may come after the bytes went.
    let _ = stdin.write_all(last.as_bytes()).await;
    true
}

/// Where the last line of a text begins.
fn last_line(text: &str) -> usize {
    text.trim_end().rfind('\n').map_or(0, |at| at + 1)
}

async fn read(from: Option<impl tokio::io::AsyncRead + Unpin>) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(ANSWER_ROOM));
    if let Some(from) = from {
        // What cannot be read any more shows in the status; what was cut off, in its missing end.
        let _ = from.take(ANSWER_MOST).read_to_end(&mut bytes).await;
    }
    bytes
}

/// The library answers an exit status of 127 with an error, also after the command did much.
fn ended(status: Result<ExitStatus, openssh::Error>) -> Result<i32, SshTrouble> {
    match status {
        Ok(status) => {
            status.code().ok_or_else(|| SshTrouble::new(Reason::Lost, "the command on the node was killed by a signal"))
        }
        Err(openssh::Error::Remote(cause)) if cause.kind() == std::io::ErrorKind::NotFound => Ok(127),
        Err(error) => Err(SshTrouble::from_error(&error)),
    }
}

/// The reason why a master ended is only in its log.
fn with_log(trouble: SshTrouble, session: &Session) -> SshTrouble {
    let log = session.control_socket().with_file_name("log");
    let said = std::fs::read_to_string(log).unwrap_or_default();
    match said.lines().map(str::trim).rfind(|line| !line.is_empty()) {
        Some(line) => SshTrouble { words: format!("{} (ssh says: {line})", trouble.words), ..trouble },
        None => trouble,
    }
}

/// Each argument as one word of a POSIX shell, with a space before.
fn escaped(args: &[String]) -> String {
    args.iter().flat_map(|arg| [" ".to_owned(), shell_word(arg)]).collect()
}

/// One word of a POSIX shell, always in quotes.
fn shell_word(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Opens a forward from the local socket `at` to `host:port` as the node sees it.
pub(in crate::remote) async fn forward(
    session: &Session,
    at: &camino::Utf8Path,
    host: &str,
    port: u16,
) -> Result<(), SshTrouble> {
    let to = openssh::Socket::TcpSocket { host: host.into(), port };
    let opening = session.request_port_forward(openssh::ForwardType::Local, at.as_std_path(), to);
    opening.await.map_err(|error| SshTrouble::new(Reason::Other, chain(&error)))
}

#[cfg(test)]
mod tests;
