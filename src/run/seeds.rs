//! Ranges of environment seeds. They never overlap, so nothing is tested on tracks that it was
//! trained or selected on.

use std::ops::Range;

/// Seeds that data are collected on and controllers are evolved on.
pub const TRAINING: Range<u64> = 0..500_000;
/// Seeds on which the candidate to keep is selected.
pub const SELECTION: Range<u64> = 500_000..600_000;
/// Seeds of reported tests.
pub const TEST: Range<u64> = 600_000..601_000;
/// Seeds of the episodes that likelihoods are compared on.
pub const LIKELIHOOD: Range<u64> = 601_000..602_000;

/// First training seed of the episodes that are collected (they run upwards from here).
pub const COLLECT: Range<u64> = 0..100_000;
/// Training seeds that generations of controllers draw their tracks from.
pub const EVOLVE: Range<u64> = 100_000..500_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_do_not_overlap() {
        let all = [COLLECT, EVOLVE, SELECTION, TEST, LIKELIHOOD];
        for pair in all.windows(2) {
            assert!(pair[0].end <= pair[1].start, "{pair:?}");
        }
        assert_eq!((COLLECT.start, EVOLVE.end), (TRAINING.start, TRAINING.end));
    }
}
