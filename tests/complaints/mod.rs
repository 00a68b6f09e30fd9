//! Complaints as a person sees them: a good file, and a text of cases, each a change to that file and the complaints it gives.
//!
//! ```text
//! ## what is wrong
//! - a line of the good file
//! + the line that takes its place
//! error: …
//! ```
//!
//! With `WINDLASS_BLESS=1` the cases are written anew from what is said now; read the difference before it is committed.

use std::fmt::Write as _;

use proptest::prelude::*;
use windlass::document::Complaints;

/// Holds every case of `cases`, the text of the file at `path`, against what `complaints` gives for it.
pub(crate) fn check(path: &str, cases: &str, good: &str, complaints: impl Fn(&str) -> Complaints) {
    let mut told = String::new();
    for case in cases.split("## ").skip(1) {
        let mut lines = case.lines().peekable();
        let title = lines.next().expect("a case has a title");
        let mut part = |sign: &str| {
            let mut text = String::new();
            while let Some(line) = lines.next_if(|line| line.starts_with(sign)) {
                writeln!(text, "{}", line[1..].strip_prefix(' ').unwrap_or("")).expect("writes to a String");
            }
            text
        };
        let (old, new) = (part("-"), part("+"));
        assert!(good.contains(&old), "{title}: the good file has no\n{old}");
        let text = good.replacen(&old, &new, 1);
        let lines = |sign: &str, part: &str| {
            part.lines().map(|line| format!("{sign} {line}").trim_end().to_owned() + "\n").collect::<String>()
        };
        let rendered = complaints(&text).render("lab.toml", &text, false);
        assert!(!rendered.is_empty(), "{title}: no complaint");
        write!(told, "## {title}\n{}{}{rendered}\n", lines("-", &old), lines("+", &new)).expect("writes to a String");
    }
    if std::env::var_os("WINDLASS_BLESS").is_some() {
        std::fs::write(path, &told).expect("writes the cases");
    } else if told != cases {
        let differs = told.lines().zip(cases.lines()).find(|(told, case)| told != case);
        panic!("{path} says otherwise, first here: {differs:#?}\nall that is said now:\n{told}");
    }
}

/// Every complaint points into `text`, between characters, and can be shown.
pub(crate) fn well_placed(text: &str, complaints: &Complaints) -> Result<(), TestCaseError> {
    for complaint in complaints {
        for span in complaint.also.iter().map(|(span, _)| span).chain([&complaint.span]) {
            prop_assert!(text.get(span.clone()).is_some(), "{complaint:?} in {text:?}");
        }
        let (line, column) = complaint.position(text);
        prop_assert!(line >= 1 && column >= 1);
        let words = [Some(&complaint.message), complaint.expected.as_ref(), complaint.hint.as_ref()];
        prop_assert!(!words.into_iter().flatten().any(|words| words.contains(char::is_control)), "{complaint:?}");
    }
    complaints.render("lab.toml", text, false);
    complaints.render("lab.toml", text, true);
    Ok(())
}

/// `good` with some of its characters replaced by other text.
pub(crate) fn spoilt(good: &'static str) -> impl Strategy<Value = String> {
    const OTHER: &str =
        "[\\[\\]{}\"'=,.#\\\\0-9a-z \\n\\t\u{1b}é\u{202e}-]{0,6}|true|99999999999999999999|1979-05-27|'''|\"\"\"";
    let change = (0..good.len(), 0_usize..12, OTHER);
    proptest::collection::vec(change, 1..4).prop_map(|changes| {
        let mut text = good.to_owned();
        for (at, length, other) in changes {
            let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let (start, end) = (floor(at), floor(at + length));
            text.replace_range(start..end, &other);
        }
        text
    })
}
