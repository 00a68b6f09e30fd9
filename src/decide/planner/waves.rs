//! Batches: how the lanes of a stage become waves.

use crate::decide::plan::Lane;
use crate::playbook::Batch;

/// Lanes in waves of the given sizes; the last size repeats.
pub(crate) fn batched(lanes: Vec<Lane>, sizes: &[Batch]) -> Vec<Vec<Lane>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of the waves of so many lanes; that none is lost and their order kept is held besides.
    fn sizes(total: usize, sizes: &[Batch]) -> Vec<usize> {
        let lanes: Vec<Lane> = (0..total).map(|procedure| Lane { node: None, procedure }).collect();
        let waves = batched(lanes.clone(), sizes);
        assert_eq!(waves.concat(), lanes);
        waves.iter().map(Vec::len).collect()
    }

    #[test]
    fn the_last_size_repeats() {
        assert_eq!(sizes(5, &[Batch::Count(1)]), [1, 1, 1, 1, 1]);
        assert_eq!(sizes(8, &[Batch::Count(1), Batch::Count(3)]), [1, 3, 3, 1]);
        assert_eq!(sizes(20, &[Batch::Count(1), Batch::Percent(10), Batch::Percent(25)]), [1, 2, 5, 5, 5, 2]);
    }

    #[test]
    fn a_share_is_of_the_whole_stage_rounded_down_and_at_least_one() {
        assert_eq!(sizes(7, &[Batch::Percent(50)]), [3, 3, 1]);
        assert_eq!(sizes(3, &[Batch::Percent(10)]), [1, 1, 1]);
        assert_eq!(sizes(4, &[Batch::Percent(100)]), [4]);
    }

    #[test]
    fn nothing_makes_no_wave_and_nothing_never_ends() {
        assert_eq!(sizes(0, &[Batch::Percent(100)]), [0_usize; 0]);
        assert_eq!(sizes(3, &[]), [1, 1, 1]);
        assert_eq!(sizes(2, &[Batch::Count(0)]), [1, 1]);
    }
}
