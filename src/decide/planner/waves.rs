//! Batches: how the lanes of a stage become waves.

use crate::decide::plan::Lane;
use crate::playbook::Batch;

/// Lanes in waves of the given sizes; the last size repeats.
pub(super) fn batched(lanes: Vec<Lane>, sizes: &[Batch]) -> Vec<Vec<Lane>> {
    let total = lanes.len();
    let mut waves = Vec::new();
    let mut lanes = lanes.into_iter().peekable();
    let mut sizes = sizes.iter();
    let mut size = 1;
    while lanes.peek().is_some() {
        if let Some(next) = sizes.next() {
            size = count(*next, total);
        }
        waves.push(lanes.by_ref().take(size).collect());
    }
    waves
}

fn count(size: Batch, total: usize) -> usize {
    match size {
        Batch::Count(count) => count.max(1),
        Batch::Percent(share) => (total * usize::from(share) / 100).max(1),
    }
}
