//! Facts as the JSON that `--save-facts` writes and `--facts` reads.
//!
//! Pure: text in, text out. The same facts are always the same bytes, since plans carry their digest.

use serde::Deserialize;

use super::{FORMAT, Facts};

/// Why a text is not saved facts.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// It does not say which format it has.
    #[error("this is not a file of facts: it has no `format` number")]
    NotFacts(#[source] serde_json::Error),
    /// Another Windlass wrote it.
    #[error("these facts have format {found}, and this Windlass reads format {FORMAT}; take them again")]
    Format {
        /// The format it has.
        found: u64,
    },
    /// A field is missing, unknown or wrong.
    #[error("these facts cannot be read")]
    Content(#[source] serde_json::Error),
}

#[derive(Deserialize)]
struct Head {
    format: u64,
}

/// The facts as pretty JSON with a newline at its end.
///
/// # Panics
///
/// Never: JSON refuses only maps with keys that are no text, and facts have none.
pub fn to_json(facts: &Facts) -> String {
    let mut text = serde_json::to_string_pretty(facts).expect("all keys of facts are text");
    text.push('\n');
    text
}

/// Reads what [`to_json`] wrote. The format number is looked at first; unknown fields are refused.
pub fn from_json(text: &str) -> Result<Facts, FactsError> {
    let head: Head = serde_json::from_str(text).map_err(FactsError::NotFacts)?;
    if head.format != u64::from(FORMAT) {
        return Err(FactsError::Format { found: head.format });
    }
    serde_json::from_str(text).map_err(FactsError::Content)
}

#[cfg(test)]
#[path = "saved_tests.rs"]
mod tests;
