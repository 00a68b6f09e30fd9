//! Journals: raw bytes, and lines that carry the right seals.

use jiff::Timestamp;
use windlass::journal::{Event, History, Record, read};

use super::{text, way};

/// A journal. With an even first byte the text is taken as it is; with an odd one each line is an event, which is sealed as
/// Windlass would, so that what comes behind the seals is reached too.
pub(crate) fn journal(data: &[u8]) {
    let (first, rest) = way(data);
    let text = text(rest);
    if first % 2 == 0 {
        replay(&text);
    } else {
        replay(&sealed(&text));
    }
}

/// The lines that are events as a journal of them.
fn sealed(text: &str) -> String {
    let (mut journal, mut former) = (String::new(), String::new());
    let events = text.lines().filter_map(|line| serde_json::from_str::<Event>(line).ok());
    for (second, event) in (0..).zip(events) {
        let at = Timestamp::from_second(1_800_000_000 + second).expect("a time");
        let (record, line) = Record::line(at, event, &former).expect("an event is JSON");
        former = record.seal;
        journal.push_str(&line);
        journal.push('\n');
    }
    journal
}

fn replay(text: &str) {
    let Ok((records, whole)) = read(text) else { return };
    assert!(whole <= text.len() && (whole == 0 || text[..whole].ends_with('\n')));
    assert_eq!(text[..whole].matches('\n').count(), records.len());
    // What was cut off changes nothing, and a journal that ends earlier tells the beginning of the same story.
    let middle = text[..whole].char_indices().nth(whole / 2).map_or(0, |(at, _)| at);
    let (before, _) = read(&text[..middle]).expect("the beginning of a journal is one");
    assert_eq!(before, records[..before.len()]);
    let mut history = History::of(&before);
    for record in &records[before.len()..] {
        history.add(record);
    }
    assert_eq!(history, History::of(&records));
    assert_eq!(history.begun(), !history.steps.is_empty());
    assert!(history.in_doubt() || history.units_in_doubt().is_empty());
    // It can be gone on with.
    let now = Timestamp::from_second(1_900_000_000).expect("a time");
    if !records.is_empty() {
        let (_, line) = Record::line(now, Event::Completed, &history.seal).expect("an event is JSON");
        let (more, _) = read(&format!("{}{line}\n", &text[..whole])).expect("one more line");
        assert_eq!(more.len(), records.len() + 1);
    }
}
