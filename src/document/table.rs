//! A table that is being read: it remembers which keys were asked for, and complains of what is missing or unknown.

use std::ops::Range;

use toml::de::DeTable;

use super::complaint::{Complaint, Ledger};
use super::value::Value;
use crate::text;

/// A table that is being read.
///
/// Ask for every key before giving up on any: what was not asked for is taken for unknown. A value that was complained
/// about reads as absent, and nobody sees the default that then stands in for it, because the document is refused.
pub struct Table<'a> {
    entries: &'a DeTable<'a>,
    span: Range<usize>,
    ledger: &'a Ledger,
    asked: Vec<&'static str>,
    refused: Vec<&'static str>,
    missing: Vec<(&'static str, String)>,
}

impl<'a> Table<'a> {
    /// Reads `entries` with `build`, then complains of what `build` did not find or did not ask for.
    pub(super) fn read<T>(
        entries: &'a DeTable<'a>,
        span: Range<usize>,
        ledger: &'a Ledger,
        build: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let mut table = Self { entries, span, ledger, asked: Vec::new(), refused: Vec::new(), missing: Vec::new() };
        let value = build(&mut table);
        table.complain_of_keys();
        value
    }

    /// The value of `key`, when it is there and `read` takes it.
    pub fn get<T>(&mut self, key: &'static str, read: impl FnOnce(&Value<'a>) -> Option<T>) -> Option<T> {
        self.asked.push(key);
        let (name, value) = self.entries.get_key_value(key)?;
        read(&Value::new(name.get_ref(), value, self.ledger))
    }

    /// Like [`Table::get`], and complains when `key` is not there. `expected` says what it should hold.
    pub fn need<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Option<T> {
        if !self.has(key) {
            self.missing.push((key, expected.to_owned()));
        }
        self.get(key, read)
    }

    /// Complains with `message` when `key` is there: it is known, and has no place in this table.
    pub fn refuse_key(&mut self, key: &'static str, message: &str, expected: &str) {
        if let Some(span) = self.key_span(key) {
            self.refused.push(key);
            self.complain(Complaint::error(span, message).expected(expected));
        }
    }

    /// Whether `key` is there, whatever its value. Does not count as asking for it.
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The place of `key` itself, when it is there. Does not count as asking for it.
    pub fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.entries.get_key_value(key).map(|(name, _)| name.span())
    }

    /// The place of the table: its header, or its braces.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Adds a complaint about this table.
    pub fn complain(&self, complaint: Complaint) {
        self.ledger.add(complaint);
    }

    /// A key nearly spelt as a missing one is one slip, so it is complained of once.
    fn complain_of_keys(mut self) {
        for key in self.entries.keys() {
            let word: &str = key.get_ref();
            if self.asked.contains(&word) || self.refused.contains(&word) {
                continue;
            }
            let near = text::nearest(word, self.asked.iter().copied());
            self.missing.retain(|(missing, _)| Some(*missing) != near);
            let unknown = Complaint::error(key.span(), format!("unknown key {}", text::quoted(word)))
                .expected(format!("expected one of: {}", self.asked.join(", ")));
            self.ledger.add(match near {
                Some(near) => unknown.hint(format!("did you mean `{near}`?")),
                None => unknown,
            });
        }
        for (key, expected) in &self.missing {
            let missing = Complaint::error(self.span.clone(), format!("missing key `{key}`"));
            self.ledger.add(missing.expected(format!("expected {expected}")));
        }
    }
}
