//! Progress: live on a terminal, plain lines elsewhere. Both say the same; only the terminal forgets.

use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;

use crate::engine::event::{Event, Reporter};
use crate::journal::How;
use crate::text;

/// Plain lines on stdout: for logs, pipes and CI.
#[derive(Debug, Default)]
pub struct Plain {
    waiting: Mutex<BTreeMap<String, String>>,
}

/// Live lines on a terminal: one for each step at hand, what is finished stays above them.
pub struct Live {
    bars: MultiProgress,
    steps: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Default for Live {
    fn default() -> Self {
        Self { bars: MultiProgress::new(), steps: Mutex::default() }
    }
}

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

impl Reporter for Plain {
    fn event(&self, event: &Event) {
        let line = match event {
            Event::Line { step, line } => Some(format!("    {step} | {}", last_written(line))),
            // Said once for each reason, not twice a second.
            Event::Waiting { step, why } => self.news(step, why).then(|| format!("    {step}: waiting: {why}")),
            Event::StepBegan { step, describe } => Some(format!("  > {step}: {describe}")),
            Event::Unit { step, on, unit, attached } => {
                let how = if *attached { "found" } else { "started" };
                Some(format!("    {step}: {how} unit {unit} on {on}"))
            }
            event => lasting(event),
        };
        if let Some(line) = line {
            say(&line);
        }
    }
}

impl Plain {
    fn news(&self, step: &str, why: &str) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        waiting.insert(step.to_owned(), why.to_owned()).as_deref() != Some(why)
    }
}

impl Reporter for Live {
    fn event(&self, event: &Event) {
        let mut steps = self.steps.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            Event::StepBegan { step, describe } => {
                let bar = self.bars.add(ProgressBar::new_spinner());
                if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix} {elapsed} {wide_msg}") {
                    bar.set_style(style);
                }
                bar.set_prefix(step.clone());
                bar.set_message(printable(describe));
                bar.enable_steady_tick(TICK);
                steps.insert(step.clone(), bar);
            }
            Event::Line { step, line: message } | Event::Waiting { step, why: message } => {
                if let Some(bar) = steps.get(step) {
                    bar.set_message(printable(last_written(message)));
                }
            }
            Event::StepEnded { step, .. } => {
                if let Some(bar) = steps.remove(step) {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
        if let Some(line) = lasting(event) {
            // A line that cannot be shown is no reason to stop an upgrade.
            let _ = self.bars.println(printable(&line));
        }
    }
}

impl Live {
    /// Takes the live lines away, so that what follows stands alone.
    pub fn clear(&self) {
        let _ = self.bars.clear();
    }
}

/// The lines that stay.
fn lasting(event: &Event) -> Option<String> {
    Some(match event {
        Event::Locked { token, on: (ours, all) } => {
            format!("lock taken on {ours} of {all} control planes, token {token}")
        }
        Event::StageBegan { stage } => format!("stage {stage}"),
        Event::StageWasDone { stage } => format!("stage {stage}: done before"),
        Event::StepWasDone { step } => format!("  = {step}: done before"),
        Event::StepEnded { step, how, millis } => format!("  {}", ended(step, *how, *millis)),
        Event::Snapshot { file, verified } => format!("    snapshot {file}: {verified}"),
        Event::Note(note) => format!("note: {note}"),
        Event::StepBegan { .. } | Event::Unit { .. } | Event::Line { .. } | Event::Waiting { .. } => return None,
    })
}

fn ended(step: &str, how: How, millis: u64) -> String {
    let (mark, how) = match how {
        How::Acted => ("+", "done"),
        How::FoundDone => ("=", "was so already"),
        How::Waited => ("+", "seen"),
        How::Attached => ("+", "done (begun by an earlier try)"),
    };
    format!("{mark} {step}: {how} in {}.{} s", millis / 1000, millis % 1000 / 100)
}

/// What a terminal would show of a line that was written over and over, as dpkg counts the files that it reads: what was
/// written after its last carriage return.
fn last_written(line: &str) -> &str {
    line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default()
}

/// Logs come from other machines: what would move the cursor or colour the terminal is taken out.
fn printable(line: &str) -> String {
    text::printable(line).replace('\n', " ")
}

/// A line to stdout. One that cannot be written (a closed pipe) is no reason to stop an upgrade half-way.
fn say(line: &str) {
    let _ = writeln!(anstream::stdout(), "{}", printable(line));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_written_over_is_what_was_written_last() {
        assert_eq!(
            last_written("(Reading ... 5%\r(Reading ... 100%\r(Reading ... 9092 files)"),
            "(Reading ... 9092 files)"
        );
        assert_eq!(last_written("as it is\r"), "as it is");
        assert_eq!(last_written(""), "");
    }
}
