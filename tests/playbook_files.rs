//! Playbooks as files: those that come with Windlass, every refusal as a person sees it, and whatever else a file may hold.

mod complaints;

use std::time::Duration;

use proptest::prelude::*;
use windlass::document::Complaints;
use windlass::inventory::Role;
use windlass::playbook::{self, Batch, Gate, Pick, Place, Playbook, Raises, Select, Snapshot, Step, Uses};

const GOOD: &str = include_str!("complaints/playbook.toml");

fn said(result: Result<Playbook, Complaints>) -> Complaints {
    let complaints = result.err();
    assert!(complaints.as_ref().is_none_or(Complaints::refuse), "refused for an error");
    complaints.unwrap_or_default()
}

#[test]
fn every_playbook_that_comes_along_is_good() {
    for entry in std::fs::read_dir("playbooks").expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let complaints = said(playbook::parse(&text));
        assert!(complaints.is_empty(), "{}", complaints.render(&path.display().to_string(), &text, false));
    }
}

#[test]
fn each_kind_of_raise_has_its_playbook() {
    for (_, raises) in Raises::WORDS {
        assert_eq!(playbook::parse(playbook::builtin(raises)).expect("it is good").raises, raises);
    }
}

#[test]
fn complaints_read_like_this() {
    let cases = include_str!("complaints/playbook.txt");
    complaints::check("tests/complaints/playbook.txt", cases, GOOD, |text| said(playbook::parse(text)));
}

#[test]
fn a_playbook_says_all_that_it_can() {
    let steps = r#"steps = [
        { uses = "drain", timeout = "1h30m", delete_emptydir_data = true, force = true },
        { gate = "statefulsets-ready", timeout = "15m" },
        { run = ["/usr/local/bin/notify", "{node}"], on = "node" },
    ]"#;
    let text = GOOD
        .replace(r#"{ role = "worker" }"#, r#"{ role = "worker", labels = { zone = "a" }, pick = "others" }"#)
        .replace("[1]", r#"[1, "10%"]"#)
        .replace(r#"steps = [{ uses = "uncordon" }]"#, steps);
    let playbook = playbook::parse(&text).expect("it is good");
    assert_eq!(playbook.snapshot, Snapshot::Proven, "a minor that does not say");
    let [snapshot, workers] = &playbook.stages[..] else { panic!("two stages") };
    assert_eq!((&snapshot.select, &snapshot.batch[..]), (&Select::Cluster, &[Batch::Count(1)][..]));
    let labels = [("zone".to_owned(), "a".to_owned())].into();
    assert_eq!(workers.select, Select::Nodes { role: Role::Worker, labels, pick: Pick::Others });
    assert_eq!(workers.batch, [Batch::Count(1), Batch::Percent(10)]);
    let drain = Step::Uses {
        uses: Uses::Drain,
        timeout: Some(Duration::from_secs(5400)),
        delete_emptydir_data: true,
        force: true,
    };
    let gate = Step::Gate { gate: Gate::StatefulSetsReady, timeout: Some(Duration::from_secs(900)) };
    let argv = vec!["/usr/local/bin/notify".to_owned(), "{node}".to_owned()];
    assert_eq!(workers.steps, [drain, gate, Step::Run { argv, on: Place::Node, timeout: None }]);
}

proptest! {
    #[test]
    fn any_text_is_a_playbook_or_complained_of(text in "\\PC*|[\\[\\]a-z={}\"'\\n#,.0-9]*") {
        complaints::well_placed(&text, &said(playbook::parse(&text)))?;
    }

    #[test]
    fn a_spoilt_playbook_is_still_read_to_its_end(text in complaints::spoilt(GOOD)) {
        complaints::well_placed(&text, &said(playbook::parse(&text)))?;
    }

    #[test]
    fn a_spoilt_builtin_too(text in complaints::spoilt(playbook::builtin(Raises::KubernetesMinor))) {
        complaints::well_placed(&text, &said(playbook::parse(&text)))?;
    }
}
