//! The playbook's file, key by key. What a playbook asks for is not judged here: the checker holds the plan to the laws.
//!
//! Asks for every key of a table before giving up on it, so that all complaints come at once.

use std::time::Duration;

use super::{Batch, FORMAT, Gate, Pick, Place, Playbook, Raises, Select, Snapshot, Stage, Step, Uses};
use crate::document::{self, At, Complaint, Complaints, Table, Value, repeated};
use crate::inventory::{Role, check_label, check_slug};

/// Every parameter that some step takes; a step refuses those of the others by name.
const PARAMETERS: [&str; 4] = ["timeout", "delete_emptydir_data", "force", "on"];

pub(super) fn playbook(text: &str) -> Result<Playbook, Complaints> {
    let read = document::read(text, FORMAT, |table| {
        let name = table.need("name", "the playbook's name", |v| slug(v, "a playbook name"));
        let raises = table
            .need("raises", "what it raises: kubernetes-minor, kubernetes-patch or etcd", |v| v.word(&Raises::WORDS));
        let snapshot = table.get("snapshot", |v| v.word(&Snapshot::WORDS));
        let stages = table.need("stage", "a table `[[stage]]` for each stage", |v| {
            v.some("a table `[[stage]]` for each stage", |v| v.table(stage))
        });
        let stages = stages?;
        once_each(table, stages.iter().filter_map(|(name, _)| name.as_ref()));
        let stages = stages.into_iter().map(|(_, stage)| stage).collect::<Option<_>>()?;
        let raises = raises?;
        Some(Playbook { name: name?, raises, snapshot: snapshot.unwrap_or(raises.snapshot()), stages })
    })?;
    Ok(read.value)
}

fn once_each<'a>(table: &Table<'_>, names: impl Iterator<Item = &'a At<String>>) {
    for (first, again) in repeated(names) {
        table.complain(
            Complaint::error(again.span.clone(), format!("two stages are called `{}`", again.value))
                .expected("again here")
                .also(first.span.clone(), "first here"),
        );
    }
}

/// The name is handed out beside the stage: it has to be unique also when the rest could not be read.
fn stage(table: &mut Table<'_>) -> (Option<At<String>>, Option<Stage>) {
    let name = table.need("name", "the stage's name", |v| v.at(|v| slug(v, "a stage name")));
    let select = table.need("select", SELECT, select);
    let batch = table.get("batch", batches).unwrap_or_else(|| vec![Batch::Count(1)]);
    let steps = table.need("steps", "what happens to each node, in order", |v| {
        v.some("an array of steps, as { uses = \"drain\" }", |v| {
            v.table(|table| step(table, select.as_ref())).flatten()
        })
    });
    let finish = |name: &At<String>| Some(Stage { name: name.value.clone(), select: select?, batch, steps: steps? });
    let stage = name.as_ref().and_then(finish);
    (name, stage)
}

const SELECT: &str = "\"cluster\", \"all\" or a table as { role = \"worker\" }";

fn select(value: &Value<'_>) -> Option<Select> {
    if value.is_table() {
        return value.table(select_nodes).flatten();
    }
    if !value.is_text() {
        return value.mismatch(SELECT);
    }
    value.checked("a selection of nodes", |written| match written {
        "cluster" => Ok(Select::Cluster),
        "all" => Ok(Select::All),
        _ => Err(format!("expected {SELECT}")),
    })
}

fn select_nodes(table: &mut Table<'_>) -> Option<Select> {
    let role = table.need("role", "a role: etcd, control-plane or worker", |v| v.word(&Role::WORDS));
    let labels = table.get("labels", |v| v.texts("a label", check_label)).unwrap_or_default();
    let pick = table.get("pick", |v| v.word(&Pick::WORDS)).unwrap_or(Pick::All);
    Some(Select::Nodes { role: role?, labels, pick })
}

fn batches(value: &Value<'_>) -> Option<Vec<Batch>> {
    value.some("an array of numbers and shares, as [1, \"10%\"]", batch)
}

fn batch(value: &Value<'_>) -> Option<Batch> {
    if value.is_text() {
        return value.checked("a share of the nodes", percent);
    }
    // Twice the nodes of the largest cluster that Kubernetes is built for.
    let count = value.integer(1..=10_000)?;
    usize::try_from(count).ok().map(Batch::Count)
}

fn percent(written: &str) -> Result<Batch, &'static str> {
    let digits = written.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let percent = digits.and_then(|digits| digits.parse().ok()).filter(|percent| (1..=100).contains(percent));
    percent.map(Batch::Percent).ok_or("expected \"1%\" to \"100%\", or a number without quotes")
}

fn step(table: &mut Table<'_>, select: Option<&Select>) -> Option<Step> {
    let kinds: Vec<&str> = ["uses", "gate", "run"].into_iter().filter(|kind| table.has(kind)).collect();
    match kinds[..] {
        ["uses"] => uses(table, select),
        ["gate"] => gate(table),
        ["run"] => run(table, select),
        _ => neither(table, &kinds),
    }
}

/// A step that does not say what it does, or says more than one thing.
fn neither(table: &mut Table<'_>, kinds: &[&str]) -> Option<Step> {
    if kinds.is_empty() {
        table.need("uses", "`uses`, `gate` or `run`, which says what the step does", |_| None::<()>);
    } else {
        let message = format!("a step does one thing, not {}", crate::text::list(kinds, "and"));
        table.complain(Complaint::error(table.span(), message).expected("expected one of: uses, gate, run"));
        table.get("uses", |_| None::<()>);
    }
    for key in ["gate", "run"].into_iter().chain(PARAMETERS) {
        table.get(key, |_| None::<()>);
    }
    None
}

fn uses(table: &mut Table<'_>, select: Option<&Select>) -> Option<Step> {
    let uses = table.get("uses", |v| {
        let uses = v.word(&Uses::WORDS)?;
        fits(v, uses, select);
        Some(uses)
    });
    let timeout = table.get("timeout", timeout);
    // What a misspelt macro takes is not known, so nothing is held against it.
    let drain = uses.is_none_or(Uses::takes_drain_parameters);
    let takes: &[&str] = if drain { &["timeout", "delete_emptydir_data", "force"] } else { &["timeout"] };
    let who = uses.map_or("this step".to_owned(), |uses| format!("`{}`", uses.word()));
    refuse_others(table, &who, takes);
    let mut flag = |key| drain && table.get(key, Value::boolean).unwrap_or(false);
    let (delete_emptydir_data, force) = (flag("delete_emptydir_data"), flag("force"));
    Some(Step::Uses { uses: uses?, timeout, delete_emptydir_data, force })
}

fn fits(value: &Value<'_>, uses: Uses, select: Option<&Select>) {
    let Some(select) = select else { return };
    let word = uses.word();
    match (uses.is_for_cluster(), *select == Select::Cluster) {
        (true, false) => value.complain(
            Complaint::error(value.span(), format!("`{word}` is for the cluster, and this stage selects nodes"))
                .hint("put it into a stage of its own with `select = \"cluster\"`"),
        ),
        (false, true) => value.complain(
            Complaint::error(value.span(), format!("`{word}` is for a node, and this stage selects the cluster"))
                .hint("put it into a stage that selects nodes, as `select = { role = \"worker\" }`"),
        ),
        (true, true) | (false, false) => {}
    }
}

fn gate(table: &mut Table<'_>) -> Option<Step> {
    let gate = table.get("gate", |v| v.word(&Gate::WORDS));
    let timeout = table.get("timeout", timeout);
    refuse_others(table, "a gate", &["timeout"]);
    Some(Step::Gate { gate: gate?, timeout })
}

fn run(table: &mut Table<'_>, select: Option<&Select>) -> Option<Step> {
    let cluster = select == Some(&Select::Cluster);
    let argv = table.get("run", |v| command(v, cluster));
    let on = table.need("on", "where it runs: control or node", |v| {
        let on = v.word(&Place::WORDS)?;
        if cluster && on == Place::Node {
            v.complain(Complaint::error(v.span(), NO_NODE).expected("expected \"control\", the operator's machine"));
        }
        Some(on)
    });
    let timeout = table.get("timeout", timeout);
    refuse_others(table, "`run`", &["timeout", "on"]);
    Some(Step::Run { argv: argv?, on: on?, timeout })
}

const NO_NODE: &str = "this stage selects the cluster, and so has no node";

fn command(value: &Value<'_>, cluster: bool) -> Option<Vec<String>> {
    let expected = "a program and its arguments, as [\"/usr/local/bin/notify\"]";
    let argv = value.some(expected, |v| argument(v, cluster))?;
    if argv[0].is_empty() {
        let nothing = Complaint::error(value.span(), "the program is an empty text");
        return value.refuse(nothing.expected(format!("expected {expected}")));
    }
    Some(argv)
}

fn argument(value: &Value<'_>, cluster: bool) -> Option<String> {
    let written = value.text()?;
    if written.contains('\0') {
        return value.refuse(Complaint::error(value.span(), "an argument cannot hold a zero byte"));
    }
    if cluster && written.contains("{node}") {
        return value.refuse(Complaint::error(value.span(), NO_NODE).expected("expected no `{node}`"));
    }
    Some(written)
}

fn refuse_others(table: &mut Table<'_>, who: &str, takes: &[&str]) {
    for key in PARAMETERS.into_iter().filter(|key| !takes.contains(key)) {
        table.refuse_key(key, &format!("{who} takes no `{key}`"), &format!("it takes: {}", takes.join(", ")));
    }
}

fn timeout(value: &Value<'_>) -> Option<Duration> {
    // A step that takes longer than a day is not waited for but looked into.
    value.duration(Duration::from_secs(1)..=Duration::from_secs(24 * 3600))
}

fn slug(value: &Value<'_>, what: &str) -> Option<String> {
    value.checked(what, |written| check_slug(written).map(|()| written.to_owned()))
}
