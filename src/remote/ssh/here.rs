//! Commands on the operator's own machine. No shell is between the playbook's words and the program.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::local;
use crate::remote::{Output, RemoteError};

/// Runs a program with its arguments and without input; ends it after `limit`. Fails when it cannot be run or lasts longer.
pub async fn run(argv: &[String], limit: Duration) -> Result<Output, RemoteError> {
    let Some((program, words)) = argv.split_first() else {
        return Err(local("run an empty command")(std::io::ErrorKind::InvalidInput.into()));
    };
    let mut command = Command::new(program);
    // A group of its own: the terminal's Ctrl-C is for Windlass, which then finishes the step at hand.
    command.args(words).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let output = tokio::time::timeout(limit, command.output()).await;
    let output =
        output.map_err(|_| local(&format!("wait for {program} any longer"))(std::io::ErrorKind::TimedOut.into()))?;
    let output = output.map_err(local(&format!("run {program}")))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Output {
        // A signal has no status: as a shell counts it.
        status: output.status.code().unwrap_or(128),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    })
}
