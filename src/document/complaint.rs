//! Complaints about a document: what is wrong, where, and what would be right. Wording is the caller's; nothing here prints.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

/// Whether a complaint refuses the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The document is refused.
    Error,
    /// It is taken, and this is said.
    Warning,
}

/// One thing wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Whether the document is refused for it.
    pub severity: Severity,
    /// Where, in bytes of the text; always inside it and between characters once it is part of [`Complaints`].
    pub span: Range<usize>,
    /// What is wrong, in one line.
    pub message: String,
    /// What was expected at that place.
    pub expected: Option<String>,
    /// Other places that have to do with it, and what they have to do with it.
    pub also: Vec<(Range<usize>, String)>,
    /// What to do.
    pub hint: Option<String>,
}

impl Complaint {
    /// A complaint that refuses the document.
    pub fn error(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, span, message: message.into(), expected: None, also: Vec::new(), hint: None }
    }

    /// A complaint that does not.
    pub fn warning(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// Says what was expected, or why not.
    #[must_use]
    pub fn expected(self, expected: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), ..self }
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Points at another place too.
    #[must_use]
    pub fn also(mut self, span: Range<usize>, note: impl Into<String>) -> Self {
        self.also.push((span, note.into()));
        self
    }

    /// Line and column of its beginning in `source`, both from 1; columns count characters.
    pub fn position(&self, source: &str) -> (usize, usize) {
        let before = source.get(..self.span.start).unwrap_or(source);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// Every complaint about one document, in the order of its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Complaints(Vec<Complaint>);

impl Complaints {
    /// `complaints` in the order of `text`, each place made one that is in it.
    pub(super) fn sorted(text: &str, mut complaints: Vec<Complaint>) -> Self {
        for complaint in &mut complaints {
            let places = complaint.also.iter_mut().map(|(span, _)| span);
            for span in places.chain([&mut complaint.span]) {
                *span = inside(text, span);
            }
        }
        complaints.sort_by_key(|complaint| (complaint.span.start, complaint.severity));
        Self(complaints)
    }

    /// Whether any of them refuses the document.
    pub fn refuse(&self) -> bool {
        self.0.iter().any(|complaint| complaint.severity == Severity::Error)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Complaint> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Complaints {
    type Item = &'a Complaint;
    type IntoIter = std::slice::Iter<'a, Complaint>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Complaints {
    /// The number of complaints only: [`Complaints::render`] has the text to show them in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.0.iter().filter(|complaint| complaint.severity == Severity::Error).count();
        let of = |number, noun| crate::text::count(number, noun);
        match (errors, self.0.len() - errors) {
            (errors, 0) => f.write_str(&of(errors, "error")),
            (0, warnings) => f.write_str(&of(warnings, "warning")),
            (errors, warnings) => write!(f, "{} and {}", of(errors, "error"), of(warnings, "warning")),
        }
    }
}

impl std::error::Error for Complaints {}

/// The part of `span` that is in `text`, between characters.
fn inside(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = floor(text, span.start);
    start..floor(text, span.end).max(start)
}

/// The last boundary between characters at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Where complaints are collected while a document is read.
#[derive(Debug, Default)]
pub(super) struct Ledger(RefCell<Vec<Complaint>>);

impl Ledger {
    pub(super) fn add(&self, complaint: Complaint) {
        self.0.borrow_mut().push(complaint);
    }

    pub(super) fn into_inner(self) -> Vec<Complaint> {
        self.0.into_inner()
    }
}
