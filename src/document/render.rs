//! Complaints as a person sees them: the line of the text, what is under it, what was expected, what to do.
//!
//! Turns values into text and prints nothing.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Complaint, Complaints, Severity};

impl Complaints {
    /// Every complaint with its line of `source`, which is what was read; `file` is only its name. Ends with a newline.
    pub fn render(&self, file: &str, source: &str, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let one = |complaint: &Complaint| renderer.render(&complaint.groups(file, source));
        let all: Vec<String> = self.iter().map(one).collect();
        if all.is_empty() {
            String::new()
        } else {
            all.join("\n\n") + "\n"
        }
    }
}

impl Complaint {
    fn groups<'a>(&'a self, file: &'a str, source: &'a str) -> Vec<Group<'a>> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let primary = AnnotationKind::Primary
            .span(self.span.clone())
            .label(self.expected.as_deref());
        let also = self
            .also
            .iter()
            .map(|(span, note)| AnnotationKind::Context.span(span.clone()).label(note.as_str()));
        let snippet = Snippet::source(source).path(file).annotation(primary).annotations(also);
        let hint = self
            .hint
            .as_deref()
            .map(|hint| Group::with_title(Level::HELP.with_name("hint").secondary_title(hint)));
        [level.primary_title(self.message.as_str()).element(snippet)]
            .into_iter()
            .chain(hint)
            .collect()
    }
}
