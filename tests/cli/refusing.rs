//! Plans and journals that were changed, cut off, mixed up, or made by another Windlass: each is refused in its own words,
//! before any node is asked.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use jiff::Timestamp;
use windlass::decide::plan::{Plan, RunId};
use windlass::journal::{Event, FORMAT, How, Record};

use crate::place::{FACTS, INVENTORY, Place, Ran, read};

const OURS: &str = env!("CARGO_PKG_VERSION");
const PLAN_AGAIN: &str = "\n\nhint: make a new plan with `windlass upgrade plan`\n";

const THE_OTHER: &str =
    "\n\nhint: carry it out with the windlass that made it, or make a new plan with `windlass upgrade plan`\n";

/// A plan in a place of its own, not yet carried out.
struct Planned {
    place: Place,
    file: String,
    text: String,
    plan: Plan,
}

impl Planned {
    fn new() -> Self {
        let place = Place::new();
        let file = place.text("plan.json");
        let ran = place.plan(&["--to", "1.21.14", "--out", &file]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let text = read(file.as_ref());
        let plan = Plan::from_json(&text).expect("it was just made");
        Self { place, file, text, plan }
    }

    fn apply(&self) -> Ran {
        self.place.windlass(&["upgrade", "apply", &self.file, "--yes"])
    }

    /// Carries out what became of the plan.
    fn changed(&self, text: &str) -> Ran {
        self.place.write("plan.json", text);
        self.apply()
    }

    fn journal(&self) -> PathBuf {
        self.place.path("state/lab").join(format!("{}.journal", self.plan.id))
    }

    /// Goes on with a journal; it has to be refused and left as it is.
    fn goes_on_with(&self, journal: &str) -> String {
        std::fs::create_dir_all(self.journal().parent().expect("a folder")).expect("made");
        std::fs::write(self.journal(), journal).expect("written");
        let ran = self.apply();
        assert_eq!((ran.code, ran.out.as_str()), (10, ""), "{}", ran.err);
        assert_eq!(read(&self.journal()), journal);
        ran.err.replace(self.journal().to_str().expect("UTF-8"), "JOURNAL")
    }
}

#[test]
fn a_plan_that_is_not_as_it_was_made_is_refused_by_what_happened_to_it() {
    let planned = Planned::new();
    let (text, id) = (&planned.text, &planned.plan.id);
    let made_by = |windlass: &str| {
        text.replacen(&format!("\"windlass\": \"{OURS}\""), &format!("\"windlass\": \"{windlass}\""), 1)
    };
    let cut = &text[..text.len() / 2];
    let line = cut.matches('\n').count() + 1;
    let changed = format!("its content does not match its id {id}: it was changed after it was made");
    let mut swapped = planned.plan.clone();
    swapped.procedures.reverse();
    let cases = [
        (String::new(), "it is empty".to_owned()),
        (cut.to_owned(), format!("it ends in the middle, in line {line}: it was cut off")),
        (text.replacen("\"delete_emptydir_data\": false", "\"delete_emptydir_data\": true", 1), changed.clone()),
        (swapped.to_json(), changed),
        (
            made_by("9.0.0").replacen("\"format\": 1", "\"format\": 2", 1),
            format!(
                "it has plan format 2 and was made by windlass 9.0.0; this is windlass {OURS}, which reads format 1"
            ),
        ),
        (made_by("9.0.0"), format!("it was made by windlass 9.0.0, which is newer than this {OURS}")),
    ];
    for (text, why) in cases {
        let ran = planned.changed(&text);
        let hint = if why.contains("9.0.0") { THE_OTHER } else { PLAN_AGAIN };
        let said = format!("error: {} cannot be carried out\n  caused by: {why}{hint}", planned.file);
        assert_eq!((ran.code, ran.err, ran.out.as_str()), (10, said, ""));
    }
    assert!(!planned.place.path("state").exists(), "no journal was begun");
}

#[test]
fn a_plan_that_somebody_sealed_anew_still_has_to_keep_the_laws() {
    let planned = Planned::new();
    let mut plan = planned.plan.clone();
    let at = |name: &str| planned.plan.stages.iter().position(|stage| stage.name == name).expect("its stage");
    // The workers before the control planes.
    plan.stages.swap(at("control-plane-kubelets"), at("workers"));
    let ran = planned.changed(&plan.sealed().to_json());
    assert_eq!(ran.code, 11, "{}", ran.err);
    assert!(ran.err.starts_with(&format!("error: {} breaks the laws\n", planned.file)), "{}", ran.err);
    assert!(ran.err.contains("a control plane's kubelet is raised after a worker's"), "{}", ran.err);
    assert!(ran.err.ends_with(PLAN_AGAIN), "{}", ran.err);
}

/// A journal of `run` with these events, a second each.
fn journal(run: &RunId, events: &[Event]) -> Vec<String> {
    let opened = Event::Opened { format: FORMAT, run: run.clone(), windlass: OURS.to_owned() };
    let mut former = String::new();
    let mut line = |(second, event): (i64, &Event)| {
        let at = Timestamp::from_second(1_800_000_000 + second).expect("a time");
        let (record, line) = Record::line(at, event.clone(), &former).expect("JSON");
        former = record.seal;
        line + "\n"
    };
    (0..).zip(std::iter::once(&opened).chain(events)).map(&mut line).collect()
}

fn steps() -> Vec<Event> {
    let step = || "prepare/cp1/packages".to_owned();
    let started = Event::Started { step: step(), attempt: 1, on: None, unit: None };
    let finished = Event::Finished { step: step(), how: How::Acted, millis: 900 };
    vec![Event::Locked { token: 3, holder: "ops@desk".to_owned() }, started, finished]
}

const BACK: &str = "\n\nhint: nothing was changed; put the journal back as it was, or move it away and make a new plan with `windlass upgrade plan`\n";
const THEIRS: &str = "\n\nhint: nothing was changed; go on with the windlass that wrote it\n";

fn refused(why: &str, hint: &str) -> String {
    format!("error: the journal JOURNAL cannot be read\n  caused by: {why}{hint}")
}

#[test]
fn a_journal_that_is_not_as_it_was_written_is_refused_by_its_line() {
    let planned = Planned::new();
    let lines = journal(&planned.plan.id, &steps());
    let put = |order: &[usize]| order.iter().map(|at| lines[*at].as_str()).collect::<String>();
    let changed = |line| {
        let why = "is not as it was written behind the line before it: one of the two was changed, or lines were removed, added or moved";
        refused(&format!("line {line} {why}"), BACK)
    };
    let headless = refused(
        "its first line does not say whose journal it is: it is not a journal, or its beginning is missing",
        BACK,
    );
    assert_eq!(planned.goes_on_with(&put(&[0, 1, 2, 3]).replacen("\"token\":3", "\"token\":2", 1)), changed(2));
    assert_eq!(planned.goes_on_with(&put(&[0, 1, 3])), changed(3), "a line is gone");
    assert_eq!(planned.goes_on_with(&put(&[0, 1, 3, 2])), changed(3), "two lines have changed places");
    assert_eq!(
        planned.goes_on_with(&(put(&[0]) + &lines[1][..30] + "\n" + &put(&[2, 3]))),
        changed(2),
        "a line was cut off"
    );
    assert_eq!(planned.goes_on_with(&put(&[2, 3])), headless);
    assert_eq!(planned.goes_on_with("something else\n"), headless);
}

#[test]
fn a_journal_of_another_run_is_refused_by_whose_it_is() {
    let planned = Planned::new();
    let other = RunId("ffffffffffff".to_owned());
    let why = format!("it is the journal of run {other}, not of {}", planned.plan.id);
    assert_eq!(planned.goes_on_with(&journal(&other, &steps()).concat()), refused(&why, BACK));
}

#[test]
fn a_journal_of_a_newer_windlass_is_left_to_that() {
    let planned = Planned::new();
    let format =
        r#"{"at":"2027-01-15T08:00:00Z","event":{"what":"opened","format":9,"windlass":"9.0.0"}}"#.to_owned() + "\n";
    let why = format!(
        "it has journal format 9 and was begun by windlass 9.0.0; this is windlass {OURS}, which reads format {FORMAT}"
    );
    assert_eq!(planned.goes_on_with(&format), refused(&why, THEIRS));

    let mut lines = journal(&planned.plan.id, &steps());
    let former = lines[3].rsplit('"').nth(1).expect("its seal").to_owned();
    let head = r#"{"at":"2027-01-15T08:00:04Z","event":{"what":"teleported","step":"x"}"#;
    let seal = windlass::decide::plan::digest(format!("{former}\n{head}").as_bytes());
    lines.push(format!("{head},\"seal\":\"{}\"}}\n", &seal[..16]));
    let said = planned.goes_on_with(&lines.concat());
    let begin = format!(
        "error: the journal JOURNAL cannot be read\n  caused by: line 5 was written by another windlass than this {OURS}, which does not know what it tells: unknown variant `teleported`"
    );
    assert!(said.starts_with(&begin) && said.ends_with(THEIRS), "{said}");
}

#[test]
fn records_that_cannot_have_come_in_this_order_are_refused_also_when_they_are_sealed() {
    let planned = Planned::new();
    let mut events = steps();
    events.remove(1);
    let why = "line 3 cannot come where it stands: step prepare/cp1/packages ends without having been started";
    assert_eq!(planned.goes_on_with(&journal(&planned.plan.id, &events).concat()), refused(why, BACK));
}

/// It is said of each, and what follows from it is not a second trouble.
#[test]
fn a_check_of_machines_that_do_not_answer_says_so() {
    let place = Place::new();
    let text = read(INVENTORY.as_ref()).replace("172.30.0.", "127.0.0.").replace("port = 22\n", "port = 1\n");
    let inventory = place.write("inventory.toml", &text);
    let ran = place.windlass(&["check", "-i", &inventory]);
    assert_eq!(ran.code, 12, "{}{}", ran.out, ran.err);
    assert_eq!(ran.out.matches("\n  unreachable  ").count(), 8, "{}", ran.out);
    assert!(!ran.out.contains("--leave-out"), "there is no plan to leave it out of: {}", ran.out);
    assert!(ran.err.contains("8 machines cannot be reached"), "{}", ran.err);
    let ran = place.windlass(&["check", "-i", &inventory, "--backups", "ftp://somewhere"]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    let ran = place.windlass(&["check", "-i", &inventory, "--backup-age", "old"]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
}

/// Plans a cluster of which no machine answers, and tries to carry the plan out.
#[test]
fn what_is_kept_here_is_closed_to_others() {
    let place = Place::new();
    let text = read(INVENTORY.as_ref()).replace("172.30.0.", "127.0.0.").replace("port = 22\n", "port = 1\n");
    let (inventory, plan) = (place.write("inventory.toml", &text), place.text("plan.json"));
    let planned =
        place.windlass(&["upgrade", "plan", "-i", &inventory, "--facts", FACTS, "--to", "1.21.14", "--out", &plan]);
    assert_eq!(planned.code, 0, "{}", planned.err);
    // Somebody made these before, as one makes folders.
    let closed = |path: &PathBuf| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    std::fs::create_dir_all(place.path("state/lab/snapshots")).expect("made");
    for folder in ["state/lab", "state/lab/snapshots"] {
        std::fs::set_permissions(place.path(folder), std::fs::Permissions::from_mode(0o755)).expect("opened");
    }
    let ran = place.windlass(&["upgrade", "apply", &plan, "--yes"]);
    assert_eq!(ran.code, 12, "{}{}", ran.out, ran.err);
    let id = Plan::from_json(&read(plan.as_ref())).expect("a plan").id;
    let journal = place.path("state/lab").join(format!("{id}.journal"));
    assert_eq!(closed(&journal), 0o600);
    assert_eq!(["state/lab", "state/lab/snapshots"].map(|folder| closed(&place.path(folder))), [0o700, 0o700]);
    assert_eq!(closed(&place.path("plan.json")), 0o600);
}
