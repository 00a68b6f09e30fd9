//! How files that people write are read: TOML with every complaint about it at once, each at its place, in words.
//!
//! Pure: text in, a value or complaints out. Knows nothing of clusters, and reads no file: a file's name is only something
//! to print. A room describes its file by asking a [`Table`] for each of its keys; a key that nobody asked for is unknown.
//!
//! ```
//! use windlass::document::{self, Value};
//!
//! let text = "format = 1\nname = \"lab\"\nprot = 22\n";
//! let read = document::read(text, 1, |table| {
//!     let name = table.need("name", "a name", Value::text);
//!     let port = table.get("port", Value::port).unwrap_or(22);
//!     Some((name?, port))
//! });
//! let complaints = read.unwrap_err();
//! assert!(complaints.render("lab.toml", text, false).starts_with("error: unknown key `prot`\n --> lab.toml:3:1\n"));
//! ```

mod complaint;
mod render;
mod table;
mod value;

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use complaint::{Complaint, Complaints, Severity};
pub use table::Table;
pub use value::{At, Value, repeated};

use complaint::Ledger;

/// What was read, and what is worth saying about it although it is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<T> {
    /// The value.
    pub value: T,
    /// Warnings only, in the order of the text.
    pub warnings: Complaints,
}

/// Reads a document of format `format` with `build`.
///
/// A document of another format gets one complaint, about that: the rest of it follows rules not known here. `build` may
/// return `None`, or anything at all, once it has complained.
pub fn read<T>(
    text: &str,
    format: u32,
    build: impl FnOnce(&mut Table<'_>) -> Option<T>,
) -> Result<Parsed<T>, Complaints> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(Complaints::sorted(text, errors.iter().map(|error| not_toml(error, text)).collect()));
    }
    let ledger = Ledger::default();
    if let Some(complaint) = other_format(document.get_ref(), format) {
        return Err(Complaints::sorted(text, vec![complaint]));
    }
    // The document as a whole is pointed at by its first letter, not by all its lines.
    let value = Table::read(document.get_ref(), 0..0, &ledger, |table| {
        table.need("format", &format!("`format = {format}`, the first line of such a file"), |_| Some(()));
        build(table)
    });
    let complaints = Complaints::sorted(text, ledger.into_inner());
    match value {
        Some(value) if !complaints.refuse() => Ok(Parsed { value, warnings: complaints }),
        _ => Err(complaints),
    }
}

/// A complaint when the document says that it is of another format, or says it as no number.
fn other_format(document: &DeTable<'_>, format: u32) -> Option<Complaint> {
    let given = document.get("format")?;
    let Some(number) = integer(given) else {
        return Some(
            Complaint::error(given.span(), "`format` has to be a number")
                .expected(format!("expected the number {format}")),
        );
    };
    (number != i64::from(format)).then(|| {
        Complaint::error(given.span(), format!("this file is of format {number}"))
            .expected(format!("this Windlass reads format {format}"))
            .hint("a newer format wants a newer Windlass; nothing else of this file was looked at")
    })
}

fn integer(value: &Spanned<DeValue<'_>>) -> Option<i64> {
    let integer = value.get_ref().as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// TOML's own words, one line of them.
fn not_toml(error: &toml::de::Error, text: &str) -> Complaint {
    let span: Range<usize> = error.span().unwrap_or(text.len()..text.len());
    Complaint::error(span, format!("this is not TOML: {}", error.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Complaints {
        let read = read(text, 1, |table| {
            let name = table.need("name", "a name", Value::text);
            let count = table.get("count", |v| v.integer(1..=20));
            table.refuse_key("colour", "nothing here has a `colour`", "expected no such key");
            Some((name?, count))
        });
        read.map_or_else(|complaints| complaints, |parsed| parsed.warnings)
    }

    fn messages(text: &str) -> Vec<String> {
        said(text).iter().map(|complaint| complaint.message.clone()).collect()
    }

    #[test]
    fn numbers_are_read_in_every_base() {
        assert_eq!(messages("format = 0x1\nname = \"a\"\ncount = 0b1010"), [""; 0]);
        assert_eq!(messages("format = 1\nname = \"a\"\ncount = 0xff"), ["`count` is out of range"]);
        assert_eq!(messages("format = 1\nname = \"a\"\ncount = 99999999999999999999"), ["`count` is out of range"]);
        assert_eq!(messages("format = 1\nname = \"a\"\ncount = -1"), ["`count` is out of range"]);
    }

    #[test]
    fn one_slip_is_one_complaint() {
        assert_eq!(messages("format = 1\nnmae = \"a\""), ["unknown key `nmae`"]);
        assert_eq!(messages("format = 1\ncolour = 1"), ["missing key `name`", "nothing here has a `colour`"]);
        assert_eq!(messages("format = 2\nnmae = \"a\""), ["this file is of format 2"]);
    }

    #[test]
    fn places_count_characters() {
        let text = "format = 1\nname = \"\u{e9}\"\n\"\u{e9}\".x = 1";
        let complaints = said(text);
        let positions: Vec<_> = complaints.iter().map(|complaint| complaint.position(text)).collect();
        assert_eq!(positions, [(3, 1)]);
        assert_eq!(complaints.to_string(), "1 error");
    }

    #[test]
    fn another_text_is_no_reason_to_panic() {
        let complaints = said("format = 1\nname = 1 # \u{e9}");
        for other in ["", "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}", "\n\n"] {
            assert!(complaints.render("a.toml", other, false).starts_with("error: `name` cannot be a number"));
        }
    }

    #[test]
    fn of_very_many_complaints_the_first_are_shown_in_a_moment() {
        let slips: Vec<String> = (0..20_000).map(|number| format!("slip{number} = 1\n")).collect();
        let slips = slips.concat();
        let many = format!("format = 1\nname = \"a\"\n{slips}");
        let shown = said(&many).render("a.toml", &many, false);
        assert_eq!(shown.matches("unknown key").count(), 200);
        assert!(shown.ends_with("\n\nand 19800 more\n"), "{}", &shown[shown.len() - 100..]);
        // A long line is walked through for each complaint about it.
        let long = format!("format = 1\nname = {}", "[".repeat(300_000));
        let shown = said(&long).render("a.toml", &long, false);
        assert!(shown.contains("\n\nand ") && shown.starts_with("error: this is not TOML"), "{}", shown.len());
    }

    #[test]
    fn colour_only_when_asked_for() {
        let text = "format = 1";
        assert!(said(text).render("a.toml", text, true).contains('\u{1b}'));
        assert!(!said(text).render("a.toml", text, false).contains('\u{1b}'));
        assert_eq!(said("format = 1\nname = \"a\"").render("a.toml", text, false), "");
    }
}
