//! Scenarios: a folder each below `tests/scenarios`, with `scenario.toml` (what is asked for, and how the cluster differs
//! from the base) and `expected.txt` (the plan or the refusal as a person reads it).
//!
//! With `WINDLASS_BLESS=1` what is said now is written as expected; read the difference before it is committed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use semver::Version;
use serde::Deserialize;
use serde_json::Value;
use windlass::decide::target::Target;
use windlass::inventory::{NodeName, Role};
use windlass::{facts, playbook, report};

use super::cluster::{Cluster, version};

/// What stands in a `scenario.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Scenario {
    /// What it shows.
    about: String,
    /// `--to`.
    to: Option<Version>,
    /// `--etcd-to`.
    etcd_to: Option<Version>,
    /// `--leave-out`.
    leave_out: BTreeSet<NodeName>,
    /// `--accept-outage`.
    accept_outage: bool,
    /// `--playbook`: a file of the folder, in place of the one for Kubernetes.
    playbook: Option<String>,
    /// Whether its members are stacked on the control planes.
    stacked: bool,
    /// Nodes that this cluster has not.
    without: Vec<String>,
    /// Nodes that this cluster has besides, by name: like which of the base.
    besides: BTreeMap<String, String>,
    /// Nodes that are at another version altogether; `cluster` for what kubeadm keeps in the cluster.
    at: BTreeMap<String, Version>,
    /// Changes to the facts, in order: a pointer into their JSON, where `*` ends the beginning of a name, and the value.
    facts: Vec<(String, toml::Value)>,
}

impl Scenario {
    fn cluster(&self) -> Cluster {
        let mut cluster = if self.stacked { Cluster::stacked() } else { Cluster::base() };
        for node in &self.without {
            cluster.remove(node);
        }
        for (node, like) in &self.besides {
            cluster.add_like(like, node);
        }
        for (node, to) in &self.at {
            if node == "cluster" {
                cluster.set_cluster(to);
                continue;
            }
            let names = [Role::Etcd, Role::ControlPlane, Role::Worker].map(|role| cluster.names(role)).concat();
            let mut matching = names.iter().filter(|name| is_called(name.as_str(), node)).peekable();
            assert!(matching.peek().is_some(), "no node {node}");
            for name in matching {
                cluster.raise(name, to);
            }
        }
        let mut json = serde_json::to_value(&cluster.facts).expect("facts are JSON");
        for (pointer, value) in &self.facts {
            let value = serde_json::to_value(value).expect("TOML is JSON");
            let path: Vec<&str> = pointer.trim_start_matches('/').split('/').map(str::trim).collect();
            assert!(set(&mut json, &path, &value) > 0, "{pointer} leads nowhere");
        }
        cluster.facts = facts::from_json(&json.to_string()).expect("still facts");
        cluster
    }

    fn said(&self, folder: &Path) -> String {
        let cluster = self.cluster();
        let target = Target {
            kubernetes: self.to.clone(),
            etcd: self.etcd_to.clone(),
            etcd_archive: None,
            leave_out: self.leave_out.clone(),
            accept_outage: self.accept_outage,
        };
        let mut playbooks = cluster.playbooks(&target);
        if let Some(file) = &self.playbook {
            let text = std::fs::read_to_string(folder.join(file)).expect("the playbook is there");
            playbooks.pop();
            playbooks.push(playbook::parse(&text).expect("a good playbook"));
        }
        match cluster.plan_with(&target, &playbooks) {
            Ok(plan) => {
                let text = report::plan(&plan).replace(&plan.id.0, "(its id)");
                text.replace(&format!("windlass {}", plan.windlass), "windlass (its version)")
            }
            Err(findings) => report::findings(&findings),
        }
    }
}

fn is_called(name: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(name == pattern, |start| name.starts_with(start))
}

/// Sets every value that `path` leads to; members of an array go by their `name` or their number. Says how many.
fn set(json: &mut Value, path: &[&str], value: &Value) -> usize {
    let Some((step, rest)) = path.split_first() else {
        *json = value.clone();
        return 1;
    };
    // Paths of files and names of labels hold slashes, which pointers write as ~1.
    let step = step.replace("~1", "/");
    let inside: Vec<&mut Value> = match json {
        Value::Object(map) => map.iter_mut().filter(|(key, _)| is_called(key, &step)).map(|(_, v)| v).collect(),
        Value::Array(items) => {
            let called = |(at, item): &(usize, &mut Value)| {
                let name = ["name", "kind", "path"].iter().find_map(|key| item.get(*key)?.as_str());
                name.is_some_and(|name| is_called(name, &step)) || at.to_string() == step
            };
            items.iter_mut().enumerate().filter(called).map(|(_, item)| item).collect()
        }
        _ => Vec::new(),
    };
    inside.into_iter().map(|inside| set(inside, rest, value)).sum()
}

#[test]
fn every_scenario_says_what_is_expected() {
    let bless = std::env::var_os("WINDLASS_BLESS").is_some();
    let mut wrong = Vec::new();
    let mut folders: Vec<_> = std::fs::read_dir("tests/scenarios")
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    assert!(folders.len() > 25, "where are the scenarios?");
    for folder in folders {
        let text = std::fs::read_to_string(folder.join("scenario.toml")).expect("a scenario has its file");
        let scenario: Scenario = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        assert!(!scenario.about.is_empty(), "{} says what it shows", folder.display());
        let (said, path) = (scenario.said(&folder), folder.join("expected.txt"));
        if bless {
            std::fs::write(&path, said).expect("writes what is expected");
        } else if std::fs::read_to_string(&path).ok().as_deref() != Some(&said) {
            wrong.push(format!("{} says now:\n{said}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_scenario_that_changes_nothing_is_the_base() {
    assert_eq!(Scenario::default().cluster().facts, Cluster::base().facts);
    assert_eq!(
        Scenario { at: [("cp*".to_owned(), version("1.20.2"))].into(), ..Scenario::default() }.cluster().facts,
        { Cluster::base().facts }
    );
}
