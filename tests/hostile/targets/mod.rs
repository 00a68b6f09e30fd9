//! What is done with hostile bytes, one function a kind of input. The fuzzer (`make fuzz`) and a plain test, which goes
//! through every input ever kept, call the same ones. None may panic but by an assertion, whatever it is given.

mod answers;
mod backup;
mod files;
mod journal;
mod plan;
mod snapshot;

/// A target: its name, which is also its corpus' folder, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const ALL: [Target; 8] = [
    ("answers", answers::answers),
    ("backup", backup::backup),
    ("facts", files::facts),
    ("inventory", files::inventory),
    ("journal", journal::journal),
    ("plan", plan::plan),
    ("playbook", files::playbook),
    ("snapshot", snapshot::snapshot),
];

/// Does what target `name` does with `data`.
///
/// # Panics
///
/// When something does not hold that has to, or there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = ALL.iter().find(|(known, _)| *known == name).expect("a target");
    target(data);
}

/// The data after its first byte, and that byte: which way it is taken.
fn way(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}

/// The data as text, bytes that are none replaced: what the `remote` room makes of answers.
fn text(data: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(data)
}
