//! How Windlass ends: the exit codes, and one error that carries a code, its causes and the next command.

use std::fmt;

use crate::text::printable;

/// The exit codes, documented in the README and held by tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A bug of Windlass.
    Bug = 1,
    /// The command line is wrong (clap's own code).
    Usage = 2,
    /// A file is not what it should be.
    InvalidFile = 10,
    /// Refused, by policy or because another run holds the cluster: this run changes nothing, or nothing more.
    Refused = 11,
    /// A node could not be reached before anything was changed.
    Unreachable = 12,
    /// A step failed; the same command goes on.
    StepFailed = 13,
    /// The cluster is not as planned: plan again.
    Drifted = 14,
    /// Interrupted; the same command goes on.
    Interrupted = 15,
    /// `etcd verify`: the backup is cut off, empty, or without its hash.
    BackupCutOff = 20,
    /// `etcd verify`: bits of the backup have changed.
    BackupChanged = 21,
    /// `etcd verify`: the pages of the snapshot make no database.
    BackupPages = 22,
    /// `etcd verify`: the snapshot is good, and not what its manifest says.
    BackupLie = 23,
    /// `etcd verify`: the backup is of another cluster than it says.
    BackupForeign = 24,
    /// `etcd verify`: the backup cannot be decrypted with what was given.
    BackupLocked = 25,
    /// `etcd verify --prove`: restored and started, the snapshot is not what it should be.
    BackupUnproven = 26,
    /// `etcd verify`: the backup has no manifest, or one that is none.
    BackupManifest = 27,
    /// `etcd verify`: the destination has no backup.
    BackupNone = 28,
}

impl Exit {
    /// The number for the shell.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// Why a command ended without what it was for. Printed once, in `main`.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What failed, in words.
    pub what: String,
    /// Its causes, outermost first.
    pub causes: Vec<String>,
    /// Lines of logs that matter, oldest first.
    pub log: Vec<String>,
    /// What state things are in, and the next command.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure in words, without causes or hint.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), causes: Vec::new(), log: Vec::new(), hint: None }
    }

    /// A failure made of an error and its sources.
    pub fn of(exit: Exit, error: &dyn std::error::Error) -> Self {
        let mut causes = chain(error);
        let what = causes.remove(0);
        Self { exit, what, causes, log: Vec::new(), hint: None }
    }

    /// The same, with a cause.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// The same, with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// An error and its sources, each in its own words, outermost first.
pub fn chain(error: &dyn std::error::Error) -> Vec<String> {
    let mut words = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        let text = error.to_string();
        // Some crates repeat their source in their own words.
        if words.last().is_none_or(|last| !last.contains(&text)) {
            words.push(text);
        }
        next = error.source();
    }
    words
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Causes and logs come from other machines.
        write!(f, "error: {}", printable(&self.what))?;
        for cause in &self.causes {
            write!(f, "\n  caused by: {}", printable(cause).replace('\n', "\n             "))?;
        }
        if !self.log.is_empty() {
            write!(f, "\n\nthe last lines of its log:")?;
            for line in &self.log {
                write!(f, "\n  | {}", printable(line).replace('\n', " "))?;
            }
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n\nhint: {}", printable(hint))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_machines_say_does_not_reach_into_the_terminal() {
        let mut failure =
            Failure::new(Exit::StepFailed, "it\u{1b}[2Jfailed").because("so\rit\nsaid").hint("a\u{202e}b");
        failure.log = vec!["\u{9b}1A| fine\n".to_owned()];
        let shown = "error: it[2Jfailed\n  caused by: soit\n             said\n\nthe last lines of its log:\n  | 1A| fine \n\nhint: ab";
        assert_eq!(failure.to_string(), shown);
    }
}
