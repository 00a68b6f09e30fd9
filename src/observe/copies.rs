//! The copies of runs that the control planes keep, as they are; which of them counts is decided elsewhere.

use futures_util::future::join_all;

use crate::decide::call::{Call, Script};
use crate::facts::copies::{Copies, RunCopy};
use crate::inventory::{Inventory, NodeName, Role};
use crate::remote::Remote;

/// `copy-read` has no such copy.
const NOT_THERE: i32 = 4;

/// Reads all copies of all runs from all control planes.
pub async fn copies(remote: &dyn Remote, inventory: &Inventory) -> Copies {
    let planes: Vec<&NodeName> = inventory.with_role(Role::ControlPlane).map(|node| &node.name).collect();
    let answers = join_all(planes.iter().map(|node| of_node(remote, node))).await;
    let mut copies = Copies::default();
    for (node, answer) in planes.into_iter().zip(answers) {
        match answer {
            Ok(found) => copies.found.extend(found),
            Err(why) => copies.silent.push((node.clone(), why)),
        }
    }
    copies
}

async fn of_node(remote: &dyn Remote, node: &NodeName) -> Result<Vec<RunCopy>, String> {
    let runs = read(remote, node, &[]).await?;
    let mut found = Vec::new();
    for run in runs.lines() {
        let plan = read(remote, node, &[run, "plan.json"]).await?;
        let journal = read(remote, node, &[run, "journal"]).await?;
        found.push(RunCopy { node: node.clone(), run: run.to_owned(), plan, journal });
    }
    Ok(found)
}

/// What the node printed; nothing for a copy that it has not.
async fn read(remote: &dyn Remote, node: &NodeName, words: &[&str]) -> Result<String, String> {
    let args = words.iter().map(|word| (*word).to_owned()).collect();
    let output = remote.call(node, &Call { script: Script::CopyRead, args }).await;
    match output.map_err(|error| super::reason(&error))? {
        output if output.status == 0 => Ok(output.stdout),
        output if output.status == NOT_THERE => Ok(String::new()),
        output => Err(format!("status {}: {}", output.status, output.stderr.trim())),
    }
}
