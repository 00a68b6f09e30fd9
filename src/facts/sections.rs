//! The sections that the read-only scripts print, taken apart.
//!
//! Pure. It knows the frame only; what is in a section is read beside the type it fills.

use std::collections::BTreeMap;

use super::Seen;

/// Why an answer cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Something else answered.
    #[error("this is not a script's answer; it begins `{0}`")]
    Foreign(String),
    /// The last line is missing.
    #[error("the answer was cut short")]
    CutShort,
}

/// A script's answer, by section.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    /// The machine's clock at the beginning and at the end, in milliseconds since 1970; empty where it was not told.
    pub(super) clock: Vec<i64>,
    sections: BTreeMap<&'a str, Result<Vec<&'a str>, String>>,
}

impl<'a> Answer<'a> {
    /// Takes `stdout` apart. What came before the first marker (a login message) is skipped.
    pub(super) fn read(stdout: &'a str) -> Result<Self, AnswerError> {
        let mut answer = Answer { clock: Vec::new(), sections: BTreeMap::new() };
        let mut lines = Vec::new();
        let mut framed = false;
        for line in stdout.lines() {
            if let Some(content) = line.strip_prefix(' ') {
                lines.push(content);
                continue;
            }
            let Some(marker) = line.strip_prefix("@@ ") else {
                continue;
            };
            framed = true;
            if marker == "done" {
                return Ok(answer);
            }
            answer.mark(marker, &mut lines);
        }
        if framed { Err(AnswerError::CutShort) } else { Err(AnswerError::Foreign(beginning(stdout))) }
    }

    fn mark(&mut self, marker: &'a str, lines: &mut Vec<&'a str>) {
        let content = std::mem::take(lines);
        let (word, rest) = marker.split_once(' ').unwrap_or((marker, ""));
        match (word, rest.split_once(' ')) {
            ("clock", _) => self.clock.extend(rest.parse::<i64>()),
            ("end", Some((name, "ok"))) => {
                self.sections.insert(name, Ok(content));
            }
            ("end", Some((name, outcome))) => {
                let why = outcome.strip_prefix("unseen").unwrap_or(outcome).trim();
                let why = if why.is_empty() { "no reason was given" } else { why };
                self.sections.insert(name, Err(why.to_owned()));
            }
            _ => {}
        }
    }

    /// The section's lines, or why there are none.
    pub(super) fn section(&self, name: &str) -> Result<&[&'a str], String> {
        match self.sections.get(name) {
            Some(Ok(lines)) => Ok(lines),
            Some(Err(why)) => Err(why.clone()),
            None => Err("not asked".to_owned()),
        }
    }
}

/// The rest of the first line that begins with the word `key`.
pub(super) fn value<'a>(lines: &[&'a str], key: &str) -> Option<&'a str> {
    values(lines, key).next()
}

/// The rests of all lines that begin with the word `key`.
pub(super) fn values<'a>(lines: &[&'a str], key: &str) -> impl Iterator<Item = &'a str> {
    lines.iter().filter_map(move |line| line.strip_prefix(key)?.strip_prefix(' '))
}

/// A parser's answer as something seen or not.
pub(super) fn seen<T>(result: Result<T, String>) -> Seen<T> {
    match result {
        Ok(value) => Seen::Known(value),
        Err(why) => Seen::Unknown(why),
    }
}

/// The first words of a text that is not what it should be, for a message.
pub(super) fn beginning(text: &str) -> String {
    text.trim().chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_cannot_pass_for_a_marker() {
        let answer =
            Answer::read("motd\n@@ a\n @@ end a unseen lie\n  two\n@@ end a ok\n@@ b\n@@ end b unseen no\n@@ done\n");
        let answer = answer.unwrap();
        assert_eq!(answer.section("a"), Ok(&["@@ end a unseen lie", " two"][..]));
        assert_eq!(answer.section("b"), Err("no".to_owned()));
        assert_eq!(answer.section("c"), Err("not asked".to_owned()));
    }

    #[test]
    fn an_answer_without_its_end_is_refused() {
        assert_eq!(Answer::read("@@ a\n x\n@@ end a ok\n").unwrap_err(), AnswerError::CutShort);
        assert_eq!(Answer::read("sudo: no\ntty").unwrap_err(), AnswerError::Foreign("sudo: no tty".to_owned()));
    }
}
