//! A value that is being read: each method takes it as one kind of thing, or complains at its place and gives `None`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::complaint::{Complaint, Ledger};
use super::table::Table;
use crate::text;

/// Something read, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// What was read.
    pub value: T,
    /// Where it stands.
    pub span: Range<usize>,
}

/// Each of `items` that says the same as one before it, behind the first that does.
pub fn repeated<'a, T: Ord + 'a>(items: impl IntoIterator<Item = &'a At<T>>) -> Vec<(&'a At<T>, &'a At<T>)> {
    let mut firsts: BTreeMap<&T, &At<T>> = BTreeMap::new();
    let mut found = Vec::new();
    for item in items {
        match firsts.entry(&item.value) {
            Entry::Vacant(place) => _ = place.insert(item),
            Entry::Occupied(first) => found.push((*first.get(), item)),
        }
    }
    found
}

/// A value that is being read, under the key that leads to it.
pub struct Value<'a> {
    key: &'a str,
    toml: &'a Spanned<DeValue<'a>>,
    ledger: &'a Ledger,
}

impl<'a> Value<'a> {
    pub(super) fn new(key: &'a str, toml: &'a Spanned<DeValue<'a>>, ledger: &'a Ledger) -> Self {
        Self { key, toml, ledger }
    }

    /// The place of the value.
    pub fn span(&self) -> Range<usize> {
        self.toml.span()
    }

    /// What `read` takes it for, together with its place.
    pub fn at<T>(&self, read: impl FnOnce(&Self) -> Option<T>) -> Option<At<T>> {
        read(self).map(|value| At { value, span: self.span() })
    }

    /// Adds a complaint.
    pub fn complain(&self, complaint: Complaint) {
        self.ledger.add(complaint);
    }

    /// Adds a complaint; gives `None`, so that it can be a reader's last word.
    pub fn refuse<T>(&self, complaint: Complaint) -> Option<T> {
        self.complain(complaint);
        None
    }

    /// A text.
    pub fn text(&self) -> Option<String> {
        self.text_as("a text in quotes").map(str::to_owned)
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        self.toml.get_ref().as_bool().or_else(|| self.mismatch("`true` or `false`"))
    }

    /// A whole number in `range`.
    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        if !self.toml.get_ref().is_integer() {
            return self.mismatch(&expected);
        }
        let number = super::integer(self.toml).and_then(|number| u64::try_from(number).ok());
        number.filter(|number| range.contains(number)).or_else(|| self.out_of_range(&expected))
    }

    /// A TCP port.
    pub fn port(&self) -> Option<u16> {
        self.integer(1..=u64::from(u16::MAX)).and_then(|port| u16::try_from(port).ok())
    }

    /// A duration as people write it, in `range`.
    pub fn duration(&self, range: RangeInclusive<Duration>) -> Option<Duration> {
        let span = format!("from {} to {}", text::show_duration(*range.start()), text::show_duration(*range.end()));
        let written = self.text_as(&format!("a duration {span}, as \"90s\", \"10m\" or \"1m30s\""))?;
        match text::parse_duration(written) {
            Ok(duration) if range.contains(&duration) => Some(duration),
            Ok(_) => self.out_of_range(&format!("a duration {span}")),
            Err(error) => self.not_a("a duration", written, &error),
        }
    }

    /// A text that `check` takes; `what` names such a text with its article.
    pub fn checked<T, E: Display>(&self, what: &str, check: impl FnOnce(&'a str) -> Result<T, E>) -> Option<T> {
        let written = self.text_as(what)?;
        check(written).map_or_else(|error| self.not_a(what, written, &error), Some)
    }

    /// One of `words`.
    pub fn word<T: Clone>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let spellings: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let expected = format!("one of: {}", spellings.join(", "));
        let written = self.text_as(&expected)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == written) {
            return Some(meaning.clone());
        }
        let unknown =
            Complaint::error(self.span(), format!("unknown word {} for `{}`", text::quoted(written), self.key))
                .expected(format!("expected {expected}"));
        self.refuse(match text::nearest(written, spellings) {
            Some(near) => unknown.hint(format!("did you mean `{near}`?")),
            None => unknown,
        })
    }

    /// An array: `None` unless `read` takes each of its elements, of which each is read. `what` says what such an array is.
    pub fn each<T>(&self, what: &str, mut read: impl FnMut(&Self) -> Option<T>) -> Option<Vec<T>> {
        let Some(elements) = self.toml.get_ref().as_array() else {
            return self.mismatch(what);
        };
        let elements = elements.iter().map(|element| Self::new(self.key, element, self.ledger));
        // Collected in two steps: one that fails must not keep the others from being complained of.
        let read: Vec<Option<T>> = elements.map(|element| read(&element)).collect();
        read.into_iter().collect()
    }

    /// Like [`Value::each`], and at least one.
    pub fn some<T>(&self, what: &str, read: impl FnMut(&Self) -> Option<T>) -> Option<Vec<T>> {
        let all = self.each(what, read)?;
        if all.is_empty() {
            let empty = Complaint::error(self.span(), format!("`{}` is empty", self.key));
            return self.refuse(empty.expected(format!("expected {what}")));
        }
        Some(all)
    }

    /// A table with known keys.
    pub fn table<T>(&self, read: impl FnOnce(&mut Table<'a>) -> T) -> Option<T> {
        let Some(entries) = self.toml.get_ref().as_table() else {
            return self.mismatch("a table");
        };
        Some(Table::read(entries, self.span(), self.ledger, read))
    }

    /// A table whose keys are free, each with a text: `check` takes both, `what` names such a pair with its article.
    pub fn texts<E: Display>(
        &self,
        what: &str,
        check: impl Fn(&str, &str) -> Result<(), E>,
    ) -> Option<BTreeMap<String, String>> {
        let Some(entries) = self.toml.get_ref().as_table() else {
            return self.mismatch("a table of texts");
        };
        let mut texts = BTreeMap::new();
        for (key, value) in entries {
            let value = Self::new(key.get_ref(), value, self.ledger);
            let Some(written) = value.text() else { continue };
            if let Err(error) = check(key.get_ref(), &written) {
                value.not_a::<()>(what, &format!("{key} = {written}", key = key.get_ref()), &error);
            }
            texts.insert(key.get_ref().to_string(), written);
        }
        Some(texts)
    }

    /// Whether it is a table.
    pub fn is_table(&self) -> bool {
        self.toml.get_ref().is_table()
    }

    /// Whether it is a text.
    pub fn is_text(&self) -> bool {
        self.toml.get_ref().is_str()
    }

    /// Complains that it is of the wrong kind.
    pub fn mismatch<T>(&self, expected: &str) -> Option<T> {
        let kind = match self.toml.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "`true` or `false`",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.refuse(
            Complaint::error(self.span(), format!("`{}` cannot be {kind}", self.key))
                .expected(format!("expected {expected}")),
        )
    }

    fn text_as(&self, what: &str) -> Option<&'a str> {
        self.toml.get_ref().as_str().or_else(|| self.mismatch(what))
    }

    fn out_of_range<T>(&self, expected: &str) -> Option<T> {
        self.refuse(
            Complaint::error(self.span(), format!("`{}` is out of range", self.key))
                .expected(format!("expected {expected}")),
        )
    }

    fn not_a<T>(&self, what: &str, written: &str, error: &impl Display) -> Option<T> {
        let message = format!("{} is not {what}", text::quoted(written));
        self.refuse(Complaint::error(self.span(), message).expected(error.to_string()))
    }
}
