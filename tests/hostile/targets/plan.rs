//! Plans: raw bytes, and edits of a good plan under a new seal, which is what somebody who means harm would make.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;
use windlass::decide::action::{Effect, Moment, Site};
use windlass::decide::checker;
use windlass::decide::drift::{Progress, drift};
use windlass::decide::look::Sight;
use windlass::decide::plan::{FORMAT, Plan, RunId, Sources};
use windlass::decide::planner::{self, Wanted};
use windlass::decide::rules::Case;
use windlass::decide::target::Target;
use windlass::decide::words::unfit;
use windlass::facts::{self, Facts};
use windlass::inventory::{self, Inventory};
use windlass::remote::{Call, Script};
use windlass::{playbook, report};

use super::{text, way};

static CLUSTER: LazyLock<(Inventory, Facts)> = LazyLock::new(|| {
    let inventory = inventory::parse(include_str!("../../scenarios/inventory.toml")).expect("a good inventory").value;
    (inventory, facts::from_json(include_str!("../../scenarios/facts.json")).expect("good facts"))
});

/// What every edit starts from: the scenarios' cluster raised by a minor each.
static GOLDEN: LazyLock<Value> = LazyLock::new(|| {
    let (inventory, facts) = &*CLUSTER;
    let version = |text: &str| text.parse().expect("a version");
    let target = Target { kubernetes: Some(version("1.21.14")), etcd: Some(version("3.5.16")), ..Target::default() };
    let raises = planner::raises(Case { inventory, facts, target: &target });
    let parse = |raises| playbook::parse(playbook::builtin(raises)).expect("a good playbook");
    let playbooks: Vec<_> = raises.into_iter().map(parse).collect();
    let sources = Sources {
        inventory: "/etc/windlass/lab.toml".to_owned(),
        inventory_digest: "1".repeat(64),
        playbook_digests: BTreeMap::new(),
        facts_digest: "2".repeat(64),
    };
    let wanted = Wanted { inventory, playbooks: &playbooks, facts, target: &target, sources: &sources };
    serde_json::to_value(planner::plan(wanted).expect("it can be raised")).expect("a plan is JSON")
});

/// A plan. With an even first byte the rest is its file; with an odd one it is edits of a good one.
pub(crate) fn plan(data: &[u8]) {
    let (first, rest) = way(data);
    if first % 2 == 0 {
        let text = text(rest);
        if let Ok(plan) = Plan::from_json(&text) {
            accepted(&plan);
        }
        // The same under a seal that fits.
        if let Ok(plan) = serde_json::from_str::<Plan>(&text) {
            sealed(plan);
        }
    } else if let Some(plan) = edited(rest) {
        sealed(plan);
    }
}

fn sealed(plan: Plan) {
    if let Ok(plan) = Plan::from_json(&plan.sealed().to_json()) {
        accepted(&plan);
    }
}

/// What holds of every plan that would be carried out, and what is done with one before anything is asked.
fn accepted(plan: &Plan) {
    assert_eq!(plan.format, FORMAT);
    assert_eq!(unfit(plan), Ok(()));
    assert_eq!(Plan::from_json(&plan.to_json()).expect("it was accepted"), *plan);
    assert!(plan.id.0.len() == 12 && plan.id.0.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let _ = checker::check(plan);
    let shown = report::plan(plan);
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "it reaches into the terminal: {shown:?}");
    let (inventory, facts) = &*CLUSTER;
    for progress in [Progress::Untouched, Progress::InDoubt, Progress::Finished] {
        let _ = drift(plan, inventory, facts, &|_| progress);
    }
    for placed in plan.placed() {
        let (action, site) = (&placed.step.action, Site { run: &plan.id, node: placed.node });
        let _ = (action.describe(), action.undo(), action.estimate(), action.question(site));
        let _ = (action.look(site, Moment::Before, &Sight::nothing()), action.fingerprint(&Sight::nothing()));
        if let Effect::Job { call, .. } = action.effect(site) {
            words(&call, &plan.id);
        }
    }
}

/// What would reach a node's scripts: only an operator's own command may hold what it likes, since it is only ever argv.
fn words(call: &Call, run: &RunId) {
    let free = call.script == Script::Run;
    for word in call.args.iter().filter(|word| !free && *word != &run.0) {
        assert!(!word.starts_with('-') || word == "-", "{:?} is given {word:?}", call.script);
        let shell = |c: char| c.is_whitespace() || c.is_control() || "$`\"'\\|&<>(){}*?!#".contains(c);
        assert!(!word.contains(shell), "{:?} is given {word:?}", call.script);
    }
}

/// Edits: which value (two bytes, counted through the plan), what becomes of it (one byte), and a word or number.
fn edited(mut data: &[u8]) -> Option<Plan> {
    let mut plan = GOLDEN.clone();
    // More edits than this only break what one has broken.
    for _ in 0..8 {
        let [low, high, kind, length, rest @ ..] = data else { break };
        let (word, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        data = rest;
        let mut left = usize::from(u16::from_le_bytes([*low, *high])) % values(&plan);
        edit(find(&mut plan, &mut left)?, *kind, &text(word));
    }
    serde_json::from_value(plan).ok()
}

fn edit(value: &mut Value, kind: u8, word: &str) {
    match (kind % 8, &mut *value) {
        (0, _) => *value = Value::String(word.to_owned()),
        (1, Value::String(old)) => old.push_str(word),
        (2, Value::Array(all)) if !all.is_empty() => drop(all.remove(word.len() % all.len())),
        (3, Value::Array(all)) if all.len() > 1 => all.rotate_left(1),
        (4, Value::Array(all)) => all.extend(all.last().cloned()),
        (5, Value::Object(fields)) => {
            let key = fields.keys().nth(word.len() % fields.len().max(1)).cloned();
            drop(key.and_then(|key| fields.remove(&key)));
        }
        (6, _) => *value = word.parse::<u64>().map_or(Value::Null, Value::from),
        (7, Value::Object(fields)) => drop(fields.insert(word.to_owned(), Value::from(word.len()))),
        (_, Value::Bool(yes)) => *yes = !*yes,
        (_, Value::Number(_)) => *value = Value::from(word.len()),
        _ => *value = Value::Null,
    }
}

/// How many values there are, this one included.
fn values(value: &Value) -> usize {
    1 + match value {
        Value::Array(all) => all.iter().map(values).sum(),
        Value::Object(fields) => fields.values().map(values).sum(),
        _ => 0,
    }
}

/// The value that has `left` before it.
fn find<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(all) => all.iter_mut().find_map(|value| find(value, left)),
        Value::Object(fields) => fields.values_mut().find_map(|value| find(value, left)),
        _ => None,
    }
}
