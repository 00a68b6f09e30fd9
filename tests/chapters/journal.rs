//! A run's journal, read by a test.

use serde_json::Value;

use super::run::folder;

/// The plan's id.
pub(crate) fn id(plan: &str) -> String {
    let text = std::fs::read_to_string(plan).expect("the plan");
    serde_json::from_str::<Value>(&text).expect("JSON")["id"].as_str().expect("an id").to_owned()
}

/// The steps whose units were started, each as often as it was.
pub(crate) fn started(plan: &str) -> Vec<String> {
    let path = folder().join(format!("state/lab/{}.journal", id(plan)));
    let journal = std::fs::read_to_string(path).expect("the journal");
    let records = journal.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
    records
        .filter(|record| record["event"]["what"] == "started" && record["event"]["unit"].is_string())
        .map(|record| record["event"]["step"].as_str().expect("a step").to_owned())
        .collect()
}
