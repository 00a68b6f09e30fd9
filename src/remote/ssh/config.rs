//! The ssh_config that Windlass generates: inventory in, text out. Pure. Every word is quoted or refused, so that none can
//! become another directive. (With `-F` ssh reads neither the user's own configuration nor the machine's: what is wanted
//! from there is included by the inventory's `config`.)

use std::fmt::Write as _;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::inventory::{Inventory, Node, Ssh};

/// Unanswered keepalives that end a connection: with the usual five seconds a dead node is noticed within twenty.
const KEEPALIVES_MISSED: u32 = 3;

/// Preferred where nobody wished otherwise, before ssh's own list: a snapshot is a gigabyte, and with the AES that processors
/// bring along each end works on it a third as long as with ChaCha20.
const CIPHERS: &str = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com";

/// A word of the inventory that cannot stand in an ssh_config.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` cannot be written into an ssh configuration, because of its {character:?}")]
pub struct UnfitWord {
    /// The word.
    pub word: String,
    /// The character that ssh would read as something else.
    pub character: char,
}

/// The configuration for all of the inventory's nodes, each under its own name. Relative paths are below `base`, which is
/// absolute: the inventory's folder.
pub(super) fn ssh_config(inventory: &Inventory, base: &Utf8Path) -> Result<String, UnfitWord> {
    let mut text = String::from("# Written by Windlass, and removed when it ends.\n");
    for node in &inventory.nodes {
        text.push_str(&node_block(node, &inventory.ssh)?);
    }
    text.push_str(&common_block(&inventory.ssh, base)?);
    // Last, since ssh takes the first value it meets.
    if let Some(path) = &inventory.ssh.config {
        let path = below(base, path);
        refuse(path.as_str(), &['*', '?', '[', ']', '~'])?;
        let _ = writeln!(text, "  Include {}", quoted(path.as_str())?);
    }
    let _ = writeln!(text, "  Ciphers {CIPHERS}");
    Ok(text)
}

/// What is the node's alone, and must not be applied to a machine that is jumped through.
fn node_block(node: &Node, ssh: &Ssh) -> Result<String, UnfitWord> {
    let mut text = format!("Host {}\n  HostName {}\n  Port {}\n", node.name, quoted(node.address.as_str())?, ssh.port);
    if let Some(user) = &ssh.user {
        let _ = writeln!(text, "  User {}", quoted(user.as_str())?);
    }
    if let Some(jump) = &ssh.jump {
        if let Some(character) = jump.chars().find(|&c| !(c.is_ascii_alphanumeric() || "._-@:[]".contains(c))) {
            return Err(UnfitWord { word: jump.clone(), character });
        }
        // ssh takes this word as it stands, also quotes; hence the narrow choice of characters.
        let _ = writeln!(text, "  ProxyJump {jump}");
    }
    Ok(text)
}

/// What also holds for a machine that is jumped through: ssh hands this file on to the ssh that makes the jump.
fn common_block(ssh: &Ssh, base: &Utf8Path) -> Result<String, UnfitWord> {
    let mut text = String::from("Host *\n");
    if let Some(identity) = &ssh.identity {
        let _ = writeln!(text, "  IdentityFile {}\n  IdentitiesOnly yes", quoted_file(&below(base, identity))?);
    }
    match &ssh.known_hosts {
        Some(file) => {
            let _ = writeln!(text, "  UserKnownHostsFile {}", quoted_file(&below(base, file))?);
        }
        // Keys that nobody checked are not to be remembered as if somebody had.
        None if !ssh.strict_host_keys => text.push_str("  UserKnownHostsFile /dev/null\n"),
        None => {}
    }
    let strict = if ssh.strict_host_keys { "yes" } else { "no" };
    let _ = writeln!(text, "  StrictHostKeyChecking {strict}");
    let _ = writeln!(text, "  ConnectTimeout {}", whole_seconds(ssh.connect_timeout));
    let _ = writeln!(text, "  ServerAliveInterval {}", whole_seconds(ssh.keepalive));
    let _ = writeln!(text, "  ServerAliveCountMax {KEEPALIVES_MISSED}");
    text.push_str(
        "  BatchMode yes\n  ForwardAgent no\n  ForwardX11 no\n  PermitLocalCommand no\n  RequestTTY no\n  \
         StreamLocalBindUnlink yes\n  StreamLocalBindMask 0177\n",
    );
    Ok(text)
}

/// How long a dead connection may go unnoticed, in the worst case: one interval until the first question, and one more
/// for each that is not answered.
pub(super) fn unnoticed(ssh: &Ssh) -> Duration {
    Duration::from_secs(whole_seconds(ssh.keepalive)) * (KEEPALIVES_MISSED + 1)
}

/// ssh counts in seconds, and takes 0 for "never".
fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_millis().div_ceil(1000)).try_into().unwrap_or(u64::MAX).max(1)
}

fn below(base: &Utf8Path, path: &Utf8Path) -> Utf8PathBuf {
    // `join` takes an absolute path as it is.
    base.join(path)
}

/// A path in which ssh would put host names and the like for `%h`, and the environment for `${…}`.
fn quoted_file(path: &Utf8Path) -> Result<String, UnfitWord> {
    refuse(path.as_str(), &['$'])?;
    quoted(&path.as_str().replace('%', "%%"))
}

fn quoted(word: &str) -> Result<String, UnfitWord> {
    refuse(word, &['"', '\\'])?;
    Ok(format!("\"{word}\""))
}

fn refuse(word: &str, characters: &[char]) -> Result<(), UnfitWord> {
    match word.chars().find(|c| c.is_control() || characters.contains(c)) {
        Some(character) => Err(UnfitWord { word: word.to_owned(), character }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
