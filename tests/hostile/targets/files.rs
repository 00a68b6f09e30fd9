//! Files that people write or save: inventories, playbooks, facts.

use windlass::document::{Complaints, Parsed};
use windlass::{facts, inventory, playbook};

use super::text;

/// An inventory. What is taken can be resolved, and holds only words that are held to their rules when a plan is read.
pub(crate) fn inventory(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = inventory::parse(text);
    match &parsed {
        Ok(Parsed { value, warnings }) => {
            complaints(warnings, text);
            assert!(!warnings.refuse(), "warnings refuse nothing");
            assert!(!value.nodes.is_empty());
            for node in &value.nodes {
                assert!(inventory::NodeName::new(node.name.as_str()).is_ok() && !node.roles.is_empty());
            }
            for path in [&value.etcd.ca, &value.etcd.cert, &value.etcd.key] {
                assert_eq!(inventory::check_node_path(path.as_str()), Ok(()));
            }
            assert_eq!(inventory::check_slug(&value.name), Ok(()));
            assert_eq!(inventory::check_unit(&value.etcd.service), Ok(()));
            let resolved = value.resolved_against("/srv/inventories".into(), Some("/home/ann".into()));
            assert_eq!(resolved.nodes, value.nodes);
        }
        Err(found) => refused(found, text),
    }
    assert_eq!(parsed, inventory::parse(text), "the same text is read in the same way");
}

/// A playbook.
pub(crate) fn playbook(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match playbook::parse(text) {
        Ok(playbook) => {
            assert_eq!(inventory::check_slug(&playbook.name), Ok(()));
            for stage in &playbook.stages {
                assert_eq!(inventory::check_slug(&stage.name), Ok(()));
                assert!(!stage.batch.is_empty() && !stage.steps.is_empty());
            }
        }
        Err(found) => refused(&found, text),
    }
}

/// Saved facts: what is read is written as it was, and read again.
pub(crate) fn facts(data: &[u8]) {
    let Ok(facts) = facts::from_json(&text(data)) else { return };
    let written = facts::to_json(&facts);
    let again = facts::from_json(&written).expect("it was just written");
    assert_eq!(again, facts);
    assert_eq!(facts::to_json(&again), written);
}

fn refused(found: &Complaints, text: &str) {
    assert!(found.refuse() && !found.is_empty(), "a refusal says why");
    complaints(found, text);
}

/// Every complaint points into the text, and can be shown on it.
fn complaints(found: &Complaints, text: &str) {
    for complaint in found {
        let places = complaint.also.iter().map(|(span, _)| span).chain([&complaint.span]);
        for span in places {
            assert!(text.get(span.clone()).is_some(), "{span:?} of {} bytes", text.len());
        }
        let (line, column) = complaint.position(text);
        assert!(line >= 1 && column >= 1 && line <= text.matches('\n').count() + 1);
    }
    // Many complaints about a long text are many pages: the first of them is as good as all.
    if text.len() < 4096 {
        assert_eq!(found.render("file.toml", text, false).is_empty(), found.is_empty());
    }
}
