//! Whether a snapshot can be proven: some machine of etcd has room for a throw-away one. Its programs are there, installed or in
//! the stacked member's container.

use crate::decide::finding::{Finding, Rule};
use crate::decide::rules::{self, Case};
use crate::facts::Disk;
use crate::facts::proof::{disk, room};
use crate::playbook::{Playbook, Snapshot, Step, Uses};
use crate::text;

/// Why the playbooks' snapshots could not be proven.
pub(super) fn findings(case: Case<'_>, playbooks: &[Playbook]) -> Vec<Finding> {
    let Some(playbook) = playbooks.iter().find(|playbook| proves(playbook)) else { return Vec::new() };
    let refused = |rule: Rule, why: String| {
        let detail = format!("{why}; to go without a proof, write `snapshot = \"verified\"` into the playbook");
        vec![Finding::refusal(rule, format!("playbook {}", playbook.name), detail)]
    };
    let needed = room(rules::database(case));
    let disks = || case.inventory.etcd_nodes().filter_map(|node| disk(case.machine(&node.name)?));
    match disks().map(|disk: &Disk| disk.free_bytes).max() {
        Some(most) if most < needed => {
            let (most, needed) = (text::bytes(most), text::bytes(needed));
            let why = format!(
                "it wants its snapshots proven, which needs {needed}, and no machine of etcd has more free than {most}"
            );
            refused(Rule::NoRoom, why)
        }
        _ => Vec::new(),
    }
}

fn proves(playbook: &Playbook) -> bool {
    let snapshot = |step: &Step| matches!(step, Step::Uses { uses: Uses::EtcdSnapshot, .. });
    playbook.snapshot == Snapshot::Proven && playbook.stages.iter().flat_map(|stage| &stage.steps).any(snapshot)
}
