//! Complaints as a person sees them: the line of the text, what is under it, what was expected, what to do.
//!
//! Turns values into text and prints nothing.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Complaint, Complaints, Severity};

/// The most complaints that are shown: nobody reads on, and the rest is mostly the same slip again.
const MOST: usize = 200;

/// The most text that is walked through to show them, in bytes: lines may be long, and places far apart.
const MOST_TEXT: usize = 1 << 20;

impl Complaints {
    /// Every complaint with its line of `source`, which is what was read; `file` is only its name. Ends with a newline. Of very
    /// many, the first, and how many more there are.
    pub fn render(&self, file: &str, source: &str, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let one = |complaint: &Complaint| renderer.render(&complaint.groups(file, source));
        // A text that changed since it was read makes a place wrong, and must not make this panic.
        let placed = Self::sorted(source, self.iter().cloned().collect());
        let mut walked = 0;
        let fits = |complaint: &&Complaint| {
            let before = walked;
            walked += complaint.lines(source).len();
            before < MOST_TEXT
        };
        let mut all: Vec<String> = placed.iter().take(MOST).take_while(fits).map(one).collect();
        let left = placed.iter().len() - all.len();
        if left > 0 {
            all.push(format!("and {left} more"));
        }
        if all.is_empty() { String::new() } else { all.join("\n\n") + "\n" }
    }
}

impl Complaint {
    fn groups<'a>(&'a self, file: &'a str, source: &'a str) -> Vec<Group<'a>> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let lines = self.lines(source);
        let within = |span: &Range<usize>| span.start - lines.start..span.end - lines.start;
        let also = self.also.iter().map(|(span, note)| {
            let note = note.as_str();
            AnnotationKind::Context.span(within(span)).label(note)
        });
        let snippet = Snippet::source(&source[lines.clone()])
            .line_start(source[..lines.start].matches('\n').count() + 1)
            .path(file)
            .annotation(AnnotationKind::Primary.span(within(&self.span)).label(self.expected.as_deref()))
            .annotations(also);
        let hint = Level::HELP.with_name("hint");
        let hint = self.hint.as_deref().map(|words| Group::with_title(hint.secondary_title(words)));
        let what = level.primary_title(self.message.as_str()).element(snippet);
        [what].into_iter().chain(hint).collect()
    }

    /// The whole lines that hold every place of the complaint: the rest of a long text would only be walked through again.
    fn lines(&self, source: &str) -> Range<usize> {
        let places = || self.also.iter().map(|(span, _)| span).chain([&self.span]);
        let start = places().map(|span| span.start).min().unwrap_or(0);
        let end = places().map(|span| span.end).max().unwrap_or(0);
        let line_start = source[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = source[end..].find('\n').map_or(source.len(), |at| end + at + 1);
        line_start..line_end
    }
}
