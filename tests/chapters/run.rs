//! Windlass as its user runs it: the built binary, its output, its exit code.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::lab::root;

/// What a run of windlass came to.
pub(crate) struct Ran {
    /// Exit code.
    pub(crate) code: i32,
    /// stdout and stderr.
    pub(crate) text: String,
    /// How long it took.
    pub(crate) took: Duration,
}

/// A folder for plans and journals of this test process; its name tells which lab day it was.
pub(crate) fn folder() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = root().join("target/chapters").join(std::process::id().to_string());
            std::fs::create_dir_all(&folder).expect("a folder");
            folder
        })
        .clone()
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
    command.args(words).current_dir(root()).stdin(Stdio::null());
    command.env("USER", "operator").env("WINDLASS_STATE", folder().join("state"));
    command
}

/// Where everything is written down that the machines say in this chapter, and what strikes them.
fn recording() -> PathBuf {
    let thread = std::thread::current();
    folder().join(format!("{}.jsonl", thread.name().unwrap_or("chapter")))
}

/// Writes down, between the answers of the machines, what is done to them behind Windlass's back.
pub(crate) fn record(struck: &[&str]) {
    let line = serde_json::json!({ "at": jiff::Timestamp::now(), "struck": struck }).to_string() + "\n";
    let file = std::fs::OpenOptions::new().append(true).create(true).open(recording());
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the recording");
}

/// `upgrade apply` of a plan, recorded.
fn apply_command(plan: &str) -> Command {
    let recording = recording();
    command(&["upgrade", "apply", plan, "--yes", "--record", &recording.to_string_lossy()])
}

/// Runs windlass to its end.
pub(crate) fn windlass(words: &[&str]) -> Ran {
    ran(words, &mut command(words))
}

/// The same, with more in its environment.
pub(crate) fn windlass_with(environment: &[(&str, String)], words: &[&str]) -> Ran {
    let mut command = command(words);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    ran(words, &mut command)
}

/// Carries a plan out as another operator.
pub(crate) fn apply_as(user: &str, plan: &str) -> Ran {
    as_operator(user, &["upgrade", "apply", plan, "--yes"])
}

/// Another operator's windlass: another user, with journals of their own.
fn command_of(user: &str, words: &[&str]) -> Command {
    let mut command = command(words);
    command.env("USER", user).env("WINDLASS_STATE", folder().join(user));
    command
}

/// Runs another operator's windlass to its end.
pub(crate) fn as_operator(user: &str, words: &[&str]) -> Ran {
    ran(words, &mut command_of(user, words))
}

/// Starts another operator's windlass.
pub(crate) fn start_as(user: &str, words: &[&str]) -> Watched {
    println!("{user} $ windlass {}", words.join(" "));
    watched(command_of(user, words))
}

fn ran(words: &[&str], command: &mut Command) -> Ran {
    let began = Instant::now();
    let output = command.output().expect("windlass runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let ran = Ran { code: output.status.code().unwrap_or(-1), text, took: began.elapsed() };
    println!("$ windlass {}\n{}(exit {}, {:.1} s)\n", words.join(" "), ran.text, ran.code, ran.took.as_secs_f64());
    ran
}

/// Plans into a file; the plan has to come about.
pub(crate) fn plan(name: &str, words: &[&str]) -> String {
    plan_of("inventories/lab.toml", name, words)
}

/// The same for another inventory.
pub(crate) fn plan_of(inventory: &str, name: &str, words: &[&str]) -> String {
    let path = folder().join(name).to_string_lossy().into_owned();
    let recording = recording().to_string_lossy().into_owned();
    let first = ["upgrade", "plan", "-i", inventory, "--out", &path, "--record", &recording];
    let ran = windlass(&[&first[..], words].concat());
    assert_eq!(ran.code, 0, "{}", ran.text);
    path
}

/// Carries a plan out.
pub(crate) fn apply(plan: &str) -> Ran {
    ran(&["upgrade", "apply", plan, "--yes"], &mut apply_command(plan))
}

/// A windlass that is watched line by line.
pub(crate) struct Watched {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    /// Every line so far.
    pub(crate) seen: Vec<String>,
    began: Instant,
}

/// Starts carrying a plan out.
pub(crate) fn start_apply(plan: &str) -> Watched {
    watched(apply_command(plan))
}

/// Starts windlass.
pub(crate) fn start(words: &[&str]) -> Watched {
    println!("$ windlass {}", words.join(" "));
    watched(command(words))
}

fn watched(mut command: Command) -> Watched {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("windlass starts");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    Watched { child, lines, seen: Vec::new(), began: Instant::now() }
}

/// A windlass that nobody watches.
pub(crate) struct Unseen {
    child: Child,
    output: PathBuf,
    began: Instant,
}

/// Starts carrying a plan out, its output in a file.
pub(crate) fn start_unseen(plan: &str) -> Unseen {
    let output = folder().join("unseen.log");
    let file = std::fs::File::create(&output).expect("a file");
    let errors = file.try_clone().expect("a file");
    let child = apply_command(plan).stdout(file).stderr(errors).spawn().expect("windlass starts");
    Unseen { child, output, began: Instant::now() }
}

impl Unseen {
    /// Power loss of the operator's machine; or how it ended, when it had ended before.
    pub(crate) fn kill(mut self) -> Option<Ran> {
        let ended = self.child.try_wait().expect("a state");
        if ended.is_none() {
            self.child.kill().expect("kill -9");
            self.child.wait().expect("it is gone");
        }
        let (text, took) = (std::fs::read_to_string(&self.output).expect("its output"), self.began.elapsed());
        let last = text.lines().last().unwrap_or_default();
        println!("--- after {:.1} s, {}: {last}", took.as_secs_f64(), if ended.is_some() { "ended" } else { "killed" });
        ended.map(|status| Ran { code: status.code().unwrap_or(-1), text, took })
    }
}

impl Watched {
    /// Reads on until a line that contains all of `words`; returns it. `None` at the end of the output.
    pub(crate) fn until(&mut self, words: &[&str]) -> Option<String> {
        for line in self.lines.by_ref() {
            let line = line.expect("a line");
            println!("{line}");
            self.seen.push(line.clone());
            if words.iter().all(|word| line.contains(word)) {
                return Some(line);
            }
        }
        None
    }

    /// Power loss of the operator's machine.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("it is gone");
        println!("(killed after {:.1} s)\n", self.began.elapsed().as_secs_f64());
    }

    /// Sends it a signal, by name.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Reads on to its end.
    pub(crate) fn end(mut self) -> Ran {
        self.until(&["\u{0}"]);
        let status = self.child.wait().expect("it ends");
        let ran = Ran { code: status.code().unwrap_or(-1), text: self.seen.join("\n"), took: self.began.elapsed() };
        println!("(exit {}, {:.1} s)\n", ran.code, ran.took.as_secs_f64());
        ran
    }
}
