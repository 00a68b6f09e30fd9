//! Why ssh did not do it: ssh's own words, and which of the few usual reasons they tell of, so that a hint can be given.
//! Pure: it reads words and asks nobody.

use std::fmt;

/// The usual reasons, in the order in which they are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The host's key is not the one that is known.
    HostKeyChanged,
    /// No key of the host is known.
    HostKeyUnknown,
    /// The key or the user was refused.
    PermissionDenied,
    /// `sudo -n` gave no rights.
    NoSudo,
    /// The name has no address.
    Unresolved,
    /// Nobody listens on the port.
    Refused,
    /// No way to the address.
    NoRoute,
    /// No answer in time.
    TimedOut,
    /// A connection that was there is gone.
    Lost,
    /// The server would not open one more session.
    TooManySessions,
    /// The way over the jump host ended before the node answered. The ssh that made the jump keeps its words to itself.
    Jump,
    /// The `ssh` program is not there.
    NoSsh,
    /// Something else; the words have to do.
    Other,
}

/// Why ssh did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshTrouble {
    /// The reason, when it is one of the usual.
    pub reason: Reason,
    /// The words, on one line.
    pub words: String,
}

impl fmt::Display for SshTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for SshTrouble {}

impl SshTrouble {
    /// A reason known beforehand.
    pub fn new(reason: Reason, words: impl Into<String>) -> Self {
        Self { reason, words: words.into() }
    }

    /// What ssh printed before it gave up connecting.
    pub fn from_words(said: &str) -> Self {
        let reason = reason_of(said);
        let words = telling_line(said, reason).trim().trim_end_matches('.').to_owned();
        let words = if words.is_empty() { "ssh gave up without a word".to_owned() } else { words };
        Self { reason, words }
    }

    /// An error of the SSH library's, at any moment.
    pub fn from_error(error: &openssh::Error) -> Self {
        match error {
            openssh::Error::Connect(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                Self::new(Reason::NoSsh, "the `ssh` program could not be run: it was not found")
            }
            openssh::Error::Connect(cause) => Self::from_words(&cause.to_string()),
            openssh::Error::Disconnected | openssh::Error::RemoteProcessTerminated => {
                Self::new(Reason::Lost, "the connection or the command on the node was cut off")
            }
            other => Self::from_chain(other),
        }
    }

    fn from_chain(error: &openssh::Error) -> Self {
        let words = chain(error);
        if words.contains("Session open refused") {
            return Self::new(Reason::TooManySessions, "sshd refused one more session (see its MaxSessions)");
        }
        let lost = ["early eof", "unexpected end of file", "Broken pipe"].iter().any(|sign| words.contains(sign));
        Self::new(if lost { Reason::Lost } else { Reason::Other }, words)
    }
}

/// What is looked for in ssh's words (OpenSSH 7.4 to 9.x; resolver and socket errors as glibc, musl and macOS word them).
const SIGNS: &[(&str, Reason)] = &[
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", Reason::HostKeyChanged),
    ("you have requested strict checking", Reason::HostKeyUnknown),
    ("Host key verification failed", Reason::HostKeyUnknown),
    ("Permission denied (", Reason::PermissionDenied),
    ("Too many authentication failures", Reason::PermissionDenied),
    ("Could not resolve hostname", Reason::Unresolved),
    ("Connection refused", Reason::Refused),
    ("No route to host", Reason::NoRoute),
    ("Network is unreachable", Reason::NoRoute),
    ("timed out", Reason::TimedOut),
    ("not responding", Reason::TimedOut),
    // What ssh calls the far end of a program that makes its connection.
    ("UNKNOWN port 65535", Reason::Jump),
];

fn reason_of(said: &str) -> Reason {
    SIGNS.iter().find(|(sign, _)| said.contains(sign)).map_or(Reason::Other, |&(_, reason)| reason)
}

/// The line that says it best: the one with the sign, or the last. A changed key needs the place of the old one, too.
fn telling_line(said: &str, reason: Reason) -> String {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    if reason == Reason::HostKeyChanged {
        let place = lines().find(|line| line.starts_with("Offending")).unwrap_or_default();
        return format!("the host key is not the one that is known; {place}");
    }
    let sign = SIGNS.iter().find(|(sign, _)| said.contains(sign)).map(|(sign, _)| *sign);
    let with_sign = sign.and_then(|sign| lines().find(|line| line.contains(sign)));
    with_sign.or_else(|| lines().next_back()).unwrap_or_default().to_owned()
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_words = cause.to_string();
        // Many libraries repeat the cause in their own words.
        if !words.contains(&cause_words) {
            words.push_str(": ");
            words.push_str(&cause_words);
        }
        next = cause.source();
    }
    words
}

#[cfg(test)]
mod tests;
