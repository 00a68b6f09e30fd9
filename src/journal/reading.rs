//! Reading a journal: every line is what was written, where it was written, by a Windlass that this one understands.

use serde::Deserialize;

use super::{Event, FORMAT, History, How, Record, seal};
use crate::decide::plan::RunId;

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The first line does not say whose journal it is.
    #[error("its first line does not say whose journal it is: it is not a journal, or its beginning is missing")]
    Headless,
    /// Another format.
    #[error(
        "it has journal format {format} and was begun by windlass {windlass}; this is windlass {}, which reads format \
         {FORMAT}",
        env!("CARGO_PKG_VERSION")
    )]
    Format {
        /// Its format.
        format: u64,
        /// The Windlass that began it.
        windlass: String,
    },
    /// Another run's.
    #[error("it is the journal of run {found}, not of {wanted}")]
    Run {
        /// Whose it is.
        found: RunId,
        /// Whose it should be.
        wanted: RunId,
    },
    /// A line that does not follow the one before it.
    #[error(
        "line {line} is not as it was written behind the line before it: one of the two was changed, or lines were \
         removed, added or moved"
    )]
    Changed {
        /// From 1.
        line: usize,
    },
    /// A line that was written so, and that this Windlass does not understand.
    #[error(
        "line {line} was written by another windlass than this {}, which does not know what it tells: {cause}",
        env!("CARGO_PKG_VERSION")
    )]
    Line {
        /// From 1.
        line: usize,
        /// Why.
        cause: serde_json::Error,
    },
    /// A record that cannot come where it stands.
    #[error("line {line} cannot come where it stands: {why}")]
    Order {
        /// From 1.
        line: usize,
        /// Why.
        why: String,
    },
}

/// Reads the records of a journal. A last line without its line end was torn by a crash before it was synced: what it
/// would have announced was not begun, and it is left out. Also says how many bytes are whole.
pub fn read(text: &str) -> Result<(Vec<Record>, usize), JournalError> {
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    let mut history = History::default();
    let mut records = Vec::new();
    for (at, text) in text[..whole].split_terminator('\n').enumerate() {
        let line = at + 1;
        if at == 0 {
            check_head(text)?;
        }
        let seal = seal::check(&history.seal, text, line)?;
        let record: Record = serde_json::from_str(text).map_err(|cause| JournalError::Line { line, cause })?;
        if record.seal != seal {
            return Err(JournalError::Changed { line });
        }
        history.misplaced(&record.event).map_or(Ok(()), |why| Err(JournalError::Order { line, why }))?;
        history.add(&record);
        records.push(record);
    }
    Ok((records, whole))
}

/// Checks the format that the first line tells, before anything else is asked of it.
fn check_head(text: &str) -> Result<(), JournalError> {
    #[derive(Deserialize)]
    struct Head {
        event: Opened,
    }
    #[derive(Deserialize)]
    struct Opened {
        format: u64,
        windlass: String,
    }
    match serde_json::from_str(text) {
        Ok(Head { event: Opened { format, .. } }) if format == u64::from(FORMAT) => Ok(()),
        Ok(Head { event: Opened { format, windlass } }) => Err(JournalError::Format { format, windlass }),
        Err(_) => Err(JournalError::Headless),
    }
}

impl History {
    /// Why this cannot be what happened next, when it cannot.
    fn misplaced(&self, event: &Event) -> Option<String> {
        match event {
            Event::Opened { .. } if self.run.is_some() => Some("the journal was opened before".to_owned()),
            Event::Opened { .. } => None,
            _ if self.run.is_none() => Some("the journal was not opened before".to_owned()),
            Event::Finished { step, how: How::Acted | How::Attached, .. } if !self.attempts.contains_key(step) => {
                Some(format!("step {step} ends without having been started"))
            }
            Event::Undoing { step, attempt, .. } | Event::Undone { step, attempt, .. }
                if self.attempts.get(step).is_none_or(|last| last < attempt) =>
            {
                Some(format!("try {attempt} of step {step} is taken back without having been started"))
            }
            Event::Aborted if self.given_up.is_none() => Some("an abort ends that was not begun".to_owned()),
            _ => None,
        }
    }
}
