//! The journal: what its lines add up to, what a crash may leave of them, and who may hold the file.

use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use windlass::decide::drift::Progress;
use windlass::decide::plan::RunId;
use windlass::inventory::NodeName;
use windlass::journal::store::{FileStore, Journal, OpenError, Store};
use windlass::journal::{Attempt, Back, Event, FORMAT, GivenUp, History, How, Record, Standing, read};

const STEP: &str = "workers/w1/drain";

fn run() -> RunId {
    RunId("0a1b2c3d4e5f".to_owned())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("a time")
}

fn opened() -> Event {
    Event::Opened { format: FORMAT, run: run(), windlass: "0.1.0".to_owned() }
}

fn started(attempt: u32) -> Event {
    let on = Some(NodeName::new("cp2").expect("a name"));
    Event::Started { step: STEP.to_owned(), attempt, on, unit: Some(format!("drain-{attempt}")) }
}

fn attempt(number: u32) -> Attempt {
    Attempt { number, on: Some(NodeName::new("cp2").expect("a name")), unit: Some(format!("drain-{number}")) }
}

fn finished() -> Event {
    Event::Finished { step: STEP.to_owned(), how: How::Acted, millis: 1200 }
}

fn failed(in_doubt: bool) -> Event {
    Event::Failed { step: STEP.to_owned(), why: "a budget forbids it".to_owned(), in_doubt }
}

fn snapshot() -> Event {
    Event::Snapshot {
        file: "1.db".to_owned(),
        bytes: 1,
        sha256: "0".repeat(64),
        revision: 908,
        registry_keys: 300,
        from: NodeName::new("etcd1").expect("a name"),
        copy: None,
        proven: None,
    }
}

/// Records with their lines. A second passes with each event.
fn lines(events: &[Event]) -> Vec<(Record, String)> {
    let mut former = String::new();
    let line = |(second, event): (i64, &Event)| {
        let line = Record::line(at(second), event.clone(), &former).expect("a record is JSON");
        former.clone_from(&line.0.seal);
        line
    };
    (0..).zip(events).map(line).collect()
}

fn history(events: &[Event]) -> History {
    History::of(&lines(events).into_iter().map(|(record, _)| record).collect::<Vec<_>>())
}

fn text(events: &[Event]) -> String {
    lines(events).into_iter().map(|(_, line)| line + "\n").collect()
}

/// Why this is no journal.
fn refused(text: &str) -> String {
    read(text).expect_err("it is no journal").to_string()
}

#[test]
fn records_are_read_as_they_were_written() {
    let locked = Event::Locked { token: 3, holder: "ops@desk".to_owned() };
    let events = [opened(), locked, started(1), failed(true), finished(), snapshot(), Event::Completed];
    let text = text(&events);
    let (records, whole) = read(&text).expect("a good journal");
    assert_eq!(records.into_iter().map(|record| record.event).collect::<Vec<_>>(), events);
    assert_eq!(whole, text.len());
}

#[test]
fn a_torn_last_line_was_never_begun() {
    let good = text(&[opened(), started(1)]);
    let whole_line = text(&[finished()]);
    for torn in 1..whole_line.len() - 1 {
        let (records, whole) = read(&format!("{good}{}", &whole_line[..torn])).expect("only the last line is torn");
        assert_eq!((records.len(), whole), (2, good.len()), "torn after {torn} bytes");
    }
    assert_eq!(read("").expect("an empty journal"), (Vec::new(), 0));
    assert_eq!(read("{\"at\":").expect("its first line is torn"), (Vec::new(), 0));
}

#[test]
fn every_letter_of_a_whole_line_counts() {
    let good = text(&[opened(), started(1), failed(true), finished(), Event::Completed]);
    let (records, _) = read(&good).expect("a good journal");
    for (at, letter) in good.char_indices() {
        for other in ['x', '1', '"', ' ', '\n'] {
            let mut bad = good.clone();
            bad.replace_range(at..=at, &other.to_string());
            let mut gone = good.clone();
            gone.remove(at);
            if letter == '\n' && at + 1 == good.len() {
                // The last line's end: the line was torn.
                assert_eq!(read(&gone).expect("torn").0, records[..4]);
            } else {
                assert!(letter == other || read(&bad).is_err(), "byte {at} is {other:?}");
                assert!(read(&gone).is_err(), "byte {at} is gone");
            }
        }
    }
}

#[test]
fn lines_that_were_removed_added_or_moved_are_noticed_where_they_were() {
    let changed = |line| {
        format!(
            "line {line} is not as it was written behind the line before it: one of the two was changed, or lines were \
             removed, added or moved"
        )
    };
    let good = text(&[opened(), started(1), failed(false), started(2), finished()]);
    let lines: Vec<&str> = good.split_inclusive('\n').collect();
    let put = |order: &[usize]| order.iter().map(|at| lines[*at]).collect::<String>();
    assert_eq!(refused(&put(&[0, 1, 3, 4])), changed(3), "one is gone");
    assert_eq!(refused(&put(&[0, 1, 2, 4, 3])), changed(4), "two have changed places");
    assert_eq!(refused(&put(&[0, 1, 1, 2, 3, 4])), changed(3), "one is there twice");
    assert_eq!(
        refused(&put(&[1, 2, 3, 4])),
        "its first line does not say whose journal it is: it is not a journal, or its beginning is missing"
    );
    assert_eq!(refused(&good.replacen("\"attempt\":2", "\"attempt\":1", 1)), changed(4));
    assert_eq!(refused(&good.replacen("budget", "nobody", 1)), changed(3));
    assert_eq!(
        refused(&(put(&[0]) + "{\"at\":\n" + &put(&[1]))),
        changed(2),
        "a broken line that is not the last is no tear"
    );
    // What a crash leaves, and nobody can tell from one.
    assert_eq!(read(&put(&[0, 1, 2])).expect("its last lines were never written").0.len(), 3);
    // The lines of another journal, of the same run even.
    let other = text(&[opened(), failed(true), started(2)]);
    let mixed = put(&[0, 1]) + other.split_inclusive('\n').next_back().expect("a line");
    assert_eq!(refused(&mixed), changed(3));
}

#[test]
fn what_cannot_have_happened_in_this_order_is_refused_also_when_it_is_sealed() {
    let cases = [
        (
            vec![opened(), finished(), started(1)],
            "line 2 cannot come where it stands: step workers/w1/drain ends without having been started",
        ),
        (vec![opened(), started(1), opened()], "line 3 cannot come where it stands: the journal was opened before"),
    ];
    for (events, why) in cases {
        assert_eq!(refused(&text(&events)), why);
    }
    assert!(refused(&text(&[started(1)])).starts_with("its first line does not say whose journal it is"));
}

#[test]
fn a_newer_journal_is_refused_by_who_wrote_it() {
    let newer = text(&[Event::Opened { format: 9, run: run(), windlass: "9.0.0".to_owned() }]);
    let (ours, format) = (env!("CARGO_PKG_VERSION"), FORMAT);
    let by_format = format!(
        "it has journal format 9 and was begun by windlass 9.0.0; this is windlass {ours}, which reads format {format}"
    );
    assert_eq!(refused(&newer), by_format);
    // Whatever else that format has become.
    let bent = newer.replace("\"run\"", "\"plan\"").replace("\"seal\"", "\"signature\"");
    assert_eq!(refused(&bent), by_format);
}

#[test]
fn an_event_that_a_newer_windlass_sealed_is_not_taken_for_a_change() {
    let good = text(&[opened()]);
    let seal = lines(&[opened()])[0].0.seal.clone();
    let head = r#"{"at":"2027-01-15T08:00:01Z","event":{"what":"moved","node":"cp1"}"#;
    let ours = format!(
        "{good}{head},\"seal\":\"{}\"}}\n",
        &windlass::decide::plan::digest(format!("{seal}\n{head}").as_bytes())[..16]
    );
    let refused = refused(&ours);
    let version = env!("CARGO_PKG_VERSION");
    let begin = format!(
        "line 2 was written by another windlass than this {version}, which does not know what it tells: unknown variant `moved`"
    );
    assert!(refused.starts_with(&begin), "{refused}");
}

#[test]
fn a_step_goes_from_untouched_through_doubt_to_its_end() {
    let nothing = history(&[opened()]);
    assert_eq!((nothing.progress(STEP), nothing.begun(), nothing.in_doubt()), (Progress::Untouched, false, false));

    let begun = history(&[opened(), started(1)]);
    assert_eq!((begun.progress(STEP), begun.begun(), begun.in_doubt()), (Progress::InDoubt, true, true));
    assert_eq!(begun.steps[STEP], Standing::InDoubt(attempt(1)));

    let through = history(&[opened(), started(1), finished()]);
    assert_eq!((through.progress(STEP), through.begun(), through.in_doubt()), (Progress::Finished, true, false));
}

#[test]
fn a_failure_for_sure_ends_the_doubt_and_another_does_not() {
    let sure = history(&[opened(), started(1), failed(false)]);
    assert_eq!(sure.steps[STEP], Standing::Failed(attempt(1)));
    // What it left on the node is known only by looking.
    assert_eq!((sure.progress(STEP), sure.in_doubt()), (Progress::InDoubt, false));

    let unsure = history(&[opened(), started(1), failed(true)]);
    assert_eq!(unsure.steps[STEP], Standing::InDoubt(attempt(1)));
}

#[test]
fn another_try_counts_on_and_is_in_doubt_again() {
    let again = history(&[opened(), started(1), failed(false), started(2)]);
    assert_eq!((&again.steps[STEP], again.attempts[STEP]), (&Standing::InDoubt(attempt(2)), 2));
    let through = history(&[opened(), started(1), failed(false), started(2), finished()]);
    assert_eq!((&through.steps[STEP], through.attempts[STEP]), (&Standing::Finished, 2));
}

#[test]
fn a_step_that_was_so_already_is_finished_without_a_start() {
    let found = Event::Finished { step: STEP.to_owned(), how: How::FoundDone, millis: 3 };
    let history = history(&[opened(), found]);
    assert_eq!((history.progress(STEP), history.attempts.get(STEP)), (Progress::Finished, None));
}

#[test]
fn a_run_remembers_its_token_its_snapshot_and_its_end() {
    let locked = |token| Event::Locked { token, holder: "ops@desk".to_owned() };
    let held = history(&[opened(), locked(3), snapshot(), started(1)]);
    assert_eq!((held.token, held.last_snapshot, held.last, held.completed), (Some(3), Some(at(2)), Some(at(3)), false));
    let resumed = history(&[opened(), locked(3), started(1), locked(4)]);
    assert_eq!(resumed.token, Some(4));
    let through = history(&[opened(), locked(3), Event::Completed, Event::Released { token: 3 }]);
    assert_eq!((through.token, through.completed, through.run), (None, true, Some(run())));
}

/// A folder for one test, gone afterwards.
fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = Utf8Path::from_path(folder.path()).expect("its name is text").join("journal");
    (folder, path)
}

fn contents(path: &Utf8Path) -> String {
    std::fs::read_to_string(path).expect("it is there")
}

#[test]
fn a_new_journal_opens_with_its_run_and_an_old_one_goes_on() {
    let (_folder, path) = folder();
    let (store, history) = FileStore::open(&path, &run()).expect("a new journal");
    assert_eq!(history, History::default());
    let mut journal = Journal::new(Box::new(store), history, &run(), at(0)).expect("it can be written");
    journal.write(at(1), started(1)).expect("it can be written");
    let told = journal.history.clone();
    drop(journal);
    assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);

    let (store, history) = FileStore::open(&path, &run()).expect("the same journal");
    assert_eq!(history, told);
    let before = contents(&path);
    drop(Journal::new(Box::new(store), history, &run(), at(2)).expect("it can be written"));
    assert_eq!(contents(&path), before, "it is opened once only");
}

#[test]
fn only_one_may_hold_it() {
    let (_folder, path) = folder();
    let first = FileStore::open(&path, &run()).expect("a new journal");
    let second = FileStore::open(&path, &run()).expect_err("it is held");
    assert!(matches!(&second, OpenError::Busy(held) if held == &path));
    assert!(second.to_string().contains("another windlass on this machine"));
    drop(first);
    FileStore::open(&path, &run()).expect("it was let go");
}

#[test]
fn a_torn_tail_is_cut_off_before_anything_is_added() {
    let (_folder, path) = folder();
    let good = text(&[opened(), started(1)]);
    std::fs::write(&path, good.clone() + "{\"at\":\"2026-").expect("it can be written");
    let (mut store, history) = FileStore::open(&path, &run()).expect("only its tail is torn");
    assert!(history.in_doubt());
    assert_eq!(contents(&path), good);
    let whole = text(&[opened(), started(1), finished()]);
    store.append(whole.lines().next_back().expect("a line")).expect("it can be written");
    assert_eq!(contents(&path), whole);
    assert_eq!(read(&whole).expect("a good journal").0.len(), 3);
}

#[test]
fn a_line_may_be_torn_within_a_letter() {
    let (_folder, path) = folder();
    let good = text(&[opened()]);
    std::fs::write(&path, [good.as_bytes(), b"{\"holder\":\"Andr\xc3"].concat()).expect("it can be written");
    FileStore::open(&path, &run()).expect("only its tail is torn");
    assert_eq!(contents(&path), good);
}

#[test]
fn a_whole_line_that_is_no_text_is_refused_by_its_number() {
    let (_folder, path) = folder();
    let bytes = [text(&[opened()]).as_bytes(), b"{\"holder\":\"Andr\xc3\"}\n"].concat();
    std::fs::write(&path, &bytes).expect("it can be written");
    let error = FileStore::open(&path, &run()).expect_err("it is no text");
    let OpenError::Broken { cause, .. } = error else { panic!("{error}") };
    assert!(cause.to_string().starts_with("line 2 is not as it was written"), "{cause}");
    assert_eq!(std::fs::read(&path).expect("it is there"), bytes);
}

#[test]
fn the_journal_of_another_run_is_refused_and_left_as_it_is() {
    let (_folder, path) = folder();
    let good = text(&[opened()]) + "{\"at\":";
    std::fs::write(&path, &good).expect("it can be written");
    let error = FileStore::open(&path, &RunId("ffffffffffff".to_owned())).expect_err("another run's");
    let OpenError::Broken { cause, .. } = error else { panic!("{error}") };
    assert_eq!(cause.to_string(), "it is the journal of run 0a1b2c3d4e5f, not of ffffffffffff");
    assert_eq!(contents(&path), good);
}

#[test]
fn a_broken_journal_is_refused_and_left_as_it_is() {
    let (_folder, path) = folder();
    let broken = text(&[opened()]) + "nonsense\n" + &text(&[started(1)]);
    std::fs::write(&path, &broken).expect("it can be written");
    let error = FileStore::open(&path, &run()).expect_err("it is broken");
    assert_eq!(error.to_string(), format!("the journal {path} cannot be read"));
    assert_eq!(contents(&path), broken);
}

#[test]
fn a_folder_that_is_not_there_is_said() {
    let (_folder, path) = folder();
    let error = FileStore::open(&path.join("journal"), &run()).expect_err("there is no such folder");
    assert!(matches!(error, OpenError::Io { .. }));
}

fn undoing(attempt: u32) -> Event {
    let (on, unit) = (NodeName::new("w1").expect("a name"), format!("drain-{attempt}.undo"));
    Event::Undoing { step: STEP.to_owned(), attempt, on, unit }
}

#[test]
fn a_try_that_is_taken_back_is_under_way_until_it_is_told_how_it_ended() {
    let begun = history(&[opened(), started(1), finished(), undoing(1)]);
    assert_eq!(begun.progress(STEP), Progress::InDoubt, "what was finished is not any more");
    let unit = (NodeName::new("w1").expect("a name"), "drain-1.undo".to_owned());
    assert_eq!(begun.units_in_doubt(), [unit]);
    let undone = Event::Undone { step: STEP.to_owned(), attempt: 1, how: Back::Restored };
    let ended = history(&[opened(), started(1), failed(false), undoing(1), undone]);
    assert!(matches!(ended.steps[STEP], Standing::Failed(Attempt { number: 1, .. })));
    assert_eq!((ended.units_in_doubt(), ended.undos[STEP].attempt), (Vec::new(), 1));
}

#[test]
fn nothing_is_taken_back_that_was_not_begun_and_no_abort_ends_that_was_not_either() {
    let order = |events: &[Event]| read(&text(events)).expect_err("it is misplaced").to_string();
    let said = order(&[opened(), started(1), undoing(2)]);
    assert!(said.ends_with("try 2 of step workers/w1/drain is taken back without having been started"), "{said}");
    assert!(order(&[opened(), started(1), Event::Aborted]).ends_with("an abort ends that was not begun"));
    let whole = history(&[opened(), started(1), Event::Aborting, Event::Aborted]);
    assert_eq!(whole.given_up, Some(GivenUp::Through));
    assert_eq!(history(&[opened(), started(1), Event::Aborting]).given_up, Some(GivenUp::Begun));
}
