//! Whether what proves a snapshot is at hand: etcd's own programs on some machine, with room for a throw-away etcd.

use crate::decide::finding::{Finding, Rule};
use crate::decide::rules::{self, Case};
use crate::facts::Disk;
use crate::facts::proof::{disk, room};
use crate::inventory::{Role, Topology};
use crate::playbook::{Playbook, Snapshot, Step, Uses};
use crate::text;

/// Why the playbooks' snapshots could not be proven.
pub(super) fn findings(case: Case<'_>, playbooks: &[Playbook]) -> Vec<Finding> {
    let Some(playbook) = playbooks.iter().find(|playbook| proves(playbook)) else { return Vec::new() };
    let refused = |rule: Rule, why: String| {
        let detail = format!("{why}; to go without a proof, write `snapshot = \"verified\"` into the playbook");
        vec![Finding::refusal(rule, format!("playbook {}", playbook.name), detail)]
    };
    if case.inventory.etcd.topology == Topology::Stacked {
        let why =
            "it wants its snapshots proven, and no machine has etcd's programs: a stacked etcd has them in its image";
        return refused(Rule::Unprovable, why.to_owned());
    }
    let needed = room(rules::database(case));
    let disks = || case.with_role(Role::Etcd).filter_map(|node| disk(case.machine(&node.name)?));
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
