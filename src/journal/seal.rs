//! The seals that join a journal's lines: each is a digest of its record and of the seal before it, so that a line that was
//! changed, removed, added or moved is noticed, and where.
//!
//! It holds against slips, editors, broken disks and copies put together, not against somebody who means to deceive: whoever
//! may write the file may also seal it anew. Whole lines missing from the end look like a crash, and are settled as one is:
//! by looking at the nodes.

use serde_json::Error;

use super::{JournalError, Record};
use crate::decide::plan::digest;

/// Digits of a seal: 64 bits tell two lines apart that nobody made alike on purpose.
const DIGITS: usize = 16;

/// What stands between a record and its seal.
const MARK: &str = ",\"seal\":\"";
/// What stands behind it.
const END: &str = "\"}";

/// The seal of a line whose text up to [`MARK`] is `head`, behind the seal `former`.
fn seal(former: &str, head: &str) -> String {
    digest(format!("{former}\n{head}").as_bytes())[..DIGITS].to_owned()
}

/// The line of a record, which gets the seal that comes behind `former`.
pub(super) fn sealed(former: &str, record: &mut Record) -> Result<String, Error> {
    record.seal.clear();
    let bare = serde_json::to_string(record)?;
    let head = bare.strip_suffix(END).and_then(|bare| bare.strip_suffix(MARK)).unwrap_or(&bare);
    record.seal = seal(former, head);
    Ok(format!("{head}{MARK}{}{END}", record.seal))
}

/// Checks that line number `line` has the seal that comes behind `former`, and returns it.
pub(super) fn check<'a>(former: &str, text: &'a str, line: usize) -> Result<&'a str, JournalError> {
    let parts = text.strip_suffix(END).and_then(|text| text.rsplit_once(MARK));
    match parts {
        Some((head, found)) if seal(former, head) == found => Ok(found),
        _ => Err(JournalError::Changed { line }),
    }
}
