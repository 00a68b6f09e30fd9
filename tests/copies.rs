//! Copies of a run: which one counts, what is refused and in which words, and how far the run has come by it.

use jiff::Timestamp;
use windlass::decide::plan::Plan;
use windlass::facts::copies::RunCopy;
use windlass::inventory::NodeName;
use windlass::journal::copies::{Found, Own, Unusable, choose, compare};
use windlass::journal::status::Status;
use windlass::journal::{Event, FORMAT, How, Record};

fn name(word: &str) -> NodeName {
    NodeName::new(word).expect("a name")
}

/// A plan without a step is one too.
fn plan(cluster: &str) -> Plan {
    let plan: Plan = serde_json::from_value(serde_json::json!({
        "format": 1, "id": "", "windlass": "0.1.0", "cluster": cluster, "made_at": "2026-01-01T00:00:00Z",
        "kubernetes": null, "etcd": null, "laws": [], "findings": [], "left_out": [], "outage_accepted": false,
        "outages": [], "skipped": [], "procedures": [], "stages": [],
        "sources": { "inventory": "", "inventory_digest": "", "playbook_digests": {}, "facts_digest": "" },
        "baseline": { "machines": {}, "kube_nodes": [], "etcd_members": {}, "etcd_cluster": 0 }
    }))
    .expect("a plan");
    plan.sealed()
}

fn opened(plan: &Plan) -> Event {
    Event::Opened { format: FORMAT, run: plan.id.clone(), windlass: "0.1.0".to_owned() }
}

fn locked(token: u64, holder: &str) -> Event {
    Event::Locked { token, holder: holder.to_owned() }
}

fn started(step: &str) -> Event {
    Event::Started { step: step.to_owned(), attempt: 1, on: Some(name("w1")), unit: Some(format!("{step}.1")) }
}

fn finished(step: &str) -> Event {
    Event::Finished { step: step.to_owned(), how: How::Acted, millis: 5 }
}

fn failed(step: &str) -> Event {
    Event::Failed { step: step.to_owned(), why: format!("{step} broke"), in_doubt: false }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("a time")
}

/// Records and their lines; a second passes with each.
fn written(events: &[Event]) -> Vec<(Record, String)> {
    let mut seal = String::new();
    let mut write = |(second, event): (i64, &Event)| {
        let (record, line) = Record::line(at(second), event.clone(), &seal).expect("JSON");
        seal.clone_from(&record.seal);
        (record, line + "\n")
    };
    (0..).zip(events).map(&mut write).collect()
}

fn records(events: &[Event]) -> Vec<Record> {
    written(events).into_iter().map(|(record, _)| record).collect()
}

fn text(events: &[Event]) -> String {
    written(events).into_iter().map(|(_, line)| line).collect()
}

fn copy(node: &str, plan: &Plan, journal: String) -> RunCopy {
    RunCopy { node: name(node), run: plan.id.0.clone(), plan: plan.to_json(), journal }
}

fn only(copies: &[RunCopy]) -> Result<Found, Unusable> {
    let mut runs = choose(copies);
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs.pop_first().expect("one").1
}

#[test]
fn the_longest_of_one_history_counts_and_the_others_lag() {
    let plan = plan("lab");
    let whole = [opened(&plan), locked(2, "ann"), started("a"), finished("a")];
    let torn = text(&whole) + "{\"at\":\"2026-";
    let found =
        only(&[copy("cp1", &plan, text(&whole[..2])), copy("cp2", &plan, torn), copy("cp3", &plan, text(&whole[..3]))]);
    let found = found.expect("one history");
    assert_eq!((found.from, found.journal), (name("cp2"), text(&whole)));
    assert_eq!(found.notes, ["the copy on cp3 lags by 1 record", "the copy on cp1 lags by 2 records"]);
}

#[test]
fn the_highest_token_counts_for_more_than_length() {
    let plan = plan("lab");
    let alone = [opened(&plan), locked(2, "ann"), started("a"), finished("a"), started("b"), finished("b")];
    let since = [opened(&plan), locked(2, "ann"), started("a"), locked(3, "bob")];
    for copies in [[("cp1", &alone[..]), ("cp2", &since)], [("cp1", &since[..]), ("cp2", &alone)]] {
        let found = only(&copies.map(|(node, events)| copy(node, &plan, text(events)))).expect("bob's");
        assert_eq!(found.journal, text(&since));
        assert_eq!(found.notes.len(), 1);
        assert!(found.notes[0].contains("what a replaced operator wrote alone"), "{:?}", found.notes);
    }
}

#[test]
fn two_histories_under_one_token_are_refused() {
    let plan = plan("lab");
    let one = [opened(&plan), locked(2, "ann"), started("a")];
    let two = [opened(&plan), locked(2, "ann"), started("b")];
    let error = only(&[copy("cp1", &plan, text(&one)), copy("cp2", &plan, text(&two))]).expect_err("two histories");
    assert_eq!(error.why, ["cp1 and cp2 tell different histories of it"]);
}

#[test]
fn what_is_no_copy_of_this_run_is_left_out_with_its_reason() {
    let (own, other) = (plan("lab"), plan("other"));
    let good = text(&[opened(&own), locked(2, "ann")]);
    let newer = good.replacen(&format!("\"format\":{FORMAT}"), "\"format\":99", 1);
    let edited = own.to_json().replacen("\"cluster\": \"lab\"", "\"cluster\": \"lob\"", 1);
    let bad = |plan: String, journal: &str| RunCopy { plan, ..copy("cp1", &own, journal.to_owned()) };
    let cases = [
        (bad(edited, &good), "it was changed after it was made"),
        (bad(String::new(), &good), "the plan is not there"),
        (bad(own.to_json()[..40].to_owned(), &good), "it was cut off"),
        (bad(other.to_json(), &good), "where run"),
        (bad(own.to_json(), &text(&[opened(&other)])), "it has the journal of run"),
        (bad(own.to_json(), &text(&[locked(2, "ann")])), "its first line does not say whose journal it is"),
        (bad(own.to_json(), &(good.clone() + &good)), "line 3 is not as it was written"),
        (bad(own.to_json(), &newer), "it has journal format 99 and was begun by windlass 0.1.0"),
        (bad(own.to_json(), &(good.clone() + "nonsense\n" + &good)), "line 3 is not as it was written"),
    ];
    for (copy_of_cp1, words) in cases {
        let error = only(std::slice::from_ref(&copy_of_cp1)).expect_err(words);
        assert!(error.why[0].starts_with("cp1: ") && error.why[0].contains(words), "{words}: {:?}", error.why);
        // Beside a good one it is only noted.
        let found = only(&[copy_of_cp1, copy("cp2", &own, good.clone())]).expect("cp2's is good");
        assert!(found.notes[0].contains(words), "{:?}", found.notes);
    }
}

#[test]
fn where_nothing_was_journaled_there_is_no_run() {
    let plan = plan("lab");
    assert_eq!(choose(&[copy("cp1", &plan, String::new())]).len(), 0);
    assert_eq!(choose(&[]).len(), 0);
}

#[test]
fn the_own_journal_is_held_against_the_copy_by_whole_lines() {
    assert_eq!(compare("", "a\n"), Own::Behind);
    assert_eq!(compare("a\n", "a\n"), Own::Behind);
    assert_eq!(compare("a\nto", "a\nb\n"), Own::Behind);
    assert_eq!(compare("a\nb\n", "a\n"), Own::Ahead);
    assert_eq!(compare("a\nb\n", "a\nc\n"), Own::Differs);
}

#[test]
fn what_went_wrong_and_was_not_put_right_is_told() {
    let plan = plan("lab");
    let status = |events: &[Event]| Status::of(&plan, &records(events));
    let begun = [opened(&plan), locked(2, "ann"), started("a"), failed("a"), started("b"), failed("b")];
    let wrong = status(&begun).wrong.expect("b broke last");
    assert_eq!(wrong, (at(5), "b".to_owned(), "b broke".to_owned()));
    let later = [&begun[..], &[started("b"), finished("b")]].concat();
    assert_eq!(status(&later).wrong.expect("a is still broken").1, "a");
    assert_eq!(status(&[&later[..], &[Event::Completed]].concat()).wrong, None);
    let in_hand: Vec<String> = status(&later[..7]).in_hand.into_iter().map(|(step, _)| step).collect();
    assert_eq!(in_hand, ["b"]);
}

#[test]
fn who_has_it_and_what_is_not_fenced_yet_is_told() {
    let plan = plan("lab");
    let took = Event::TookOver { token: 3, from: "ann".to_owned(), unfenced: vec![name("w1"), name("w2")] };
    let events = [opened(&plan), locked(2, "ann"), locked(3, "bob"), took, Event::Fenced { on: name("w1") }];
    let status = Status::of(&plan, &records(&events));
    assert_eq!((status.operator.as_deref(), status.token), (Some("bob"), Some(3)));
    assert_eq!(status.unfenced, [name("w2")]);
    let released = [&events[..], &[Event::Released { token: 3 }]].concat();
    assert_eq!(Status::of(&plan, &records(&released)).token, None);
}
