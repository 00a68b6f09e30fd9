//! A run's journal, read by a test.

use std::collections::BTreeSet;

use serde_json::Value;

use super::run::folder;

/// The plan's id.
pub(crate) fn id(plan: &str) -> String {
    let text = std::fs::read_to_string(plan).expect("the plan");
    serde_json::from_str::<Value>(&text).expect("JSON")["id"].as_str().expect("an id").to_owned()
}

/// The steps whose units were started, each as often as it has units. A unit is announced again, under the same name, when
/// windlass was killed before it had started it.
pub(crate) fn started(plan: &str) -> Vec<String> {
    let path = folder().join(format!("state/lab/{}.journal", id(plan)));
    let journal = std::fs::read_to_string(path).expect("the journal");
    let records = journal.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
    let unit = |record: Value| {
        let event = &record["event"];
        let unit = event["unit"].as_str().filter(|_| event["what"] == "started")?;
        Some((event["step"].as_str().expect("a step").to_owned(), unit.to_owned()))
    };
    let units: BTreeSet<(String, String)> = records.filter_map(unit).collect();
    units.into_iter().map(|(step, _)| step).collect()
}
