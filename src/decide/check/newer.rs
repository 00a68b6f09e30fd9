//! Later patches of what runs, as the machines' own package sources offer them.

use std::collections::BTreeMap;

use semver::Version;

use crate::decide::finding::{Finding, Rule};
use crate::decide::rules::Case;
use crate::decide::target::Way;
use crate::facts::version::parse_version;
use crate::facts::{PackageFacts, Seen};

pub(super) fn findings(case: Case<'_>) -> Vec<Finding> {
    let kubelet = vec!["kubelet"];
    let etcd = vec![case.inventory.etcd.package.as_str()];
    let mut found = Vec::new();
    for node in case.nodes() {
        let Some(machine) = case.machine(&node.name) else { continue };
        let unseen = machine.packages.values().find_map(|package| match &package.candidates {
            Seen::Unknown(why) if package.installed.is_some() => Some(why),
            _ => None,
        });
        if let Some(why) = unseen {
            let detail = format!("whether later patches are to be had could not be seen: {why}");
            found.push(Finding::warning(Rule::NewerPatch, &node.name, detail));
        }
    }
    for (what, packages) in [("kubernetes", kubelet), ("etcd", etcd)] {
        // Who runs which, and up to which patch it could.
        let mut behind: BTreeMap<(Version, Version), Vec<String>> = BTreeMap::new();
        for node in case.nodes() {
            let Some(machine) = case.machine(&node.name) else { continue };
            for package in packages.iter().filter_map(|name| machine.packages.get(*name)) {
                if let Some(pair) = later(package) {
                    behind.entry(pair).or_default().push(node.name.to_string());
                }
            }
        }
        for ((from, to), nodes) in behind {
            let detail = format!("{to} is to be had, {from} is installed on {}", crate::text::list(&nodes, "and"));
            found.push(Finding::warning(Rule::NewerPatch, what, detail));
        }
    }
    found
}

/// What is installed, and the latest patch of the same minor, where that is another.
fn later(package: &PackageFacts) -> Option<(Version, Version)> {
    let from = parse_version(package.version()?)?;
    let Seen::Known(candidates) = &package.candidates else { return None };
    let patches = candidates.iter().filter_map(|text| parse_version(text));
    let to = patches.filter(|to| to.pre.is_empty() && Way::between(&from, to) == Way::Patch).max()?;
    Some((from, to))
}
