//! `windlass inventory check` and `windlass playbook check`: files only, no node is touched.

use camino::Utf8Path;

use super::files;
use crate::error::Failure;
use crate::inventory::Role;
use crate::text;

/// Checks an inventory.
pub(super) fn inventory(path: &Utf8Path) -> Result<(), Failure> {
    let read = files::inventory(path)?;
    let of = |role| read.inventory.with_role(role).count();
    anstream::println!(
        "{path}: cluster {}, {}: {}, {}, {} in etcd",
        read.inventory.name,
        text::count(read.inventory.nodes.len(), "machine"),
        text::count(of(Role::ControlPlane), "control plane"),
        text::count(of(Role::Worker), "worker"),
        text::count(read.inventory.etcd_nodes().count(), "member"),
    );
    Ok(())
}

/// Checks a playbook.
pub(super) fn playbook(path: &Utf8Path) -> Result<(), Failure> {
    let (playbook, _) = files::playbook(path)?;
    let steps: usize = playbook.stages.iter().map(|stage| stage.steps.len()).sum();
    anstream::println!(
        "{path}: playbook {}, raises {}, {}, {}",
        playbook.name,
        playbook.raises.word(),
        text::count(playbook.stages.len(), "stage"),
        text::count(steps, "step"),
    );
    Ok(())
}
