//! Choice of a generation's tracks: new ones, and hard ones from before.

use frmdn_engine::random::stream;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::run::seeds;

/// Largest number of hard tracks; the oldest are dropped.
const POOL: usize = 128;

/// The tracks used so far, and those that are hard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeedPool {
    used: u64,
    /// Tracks that a quarter of a generation's candidates failed, oldest first.
    hard: Vec<u64>,
}

impl SeedPool {
    /// `count` tracks. Every other one from the first on is a hard one, at most `hard` of them and
    /// no more than there are; the others are new.
    pub fn choose(&mut self, seed: u64, generation: u64, count: usize, hard: usize) -> Vec<u64> {
        let mut rng = stream(seed, "controller/tracks", &[generation]);
        let mut pool = self.hard.clone();
        let hard = hard.min(count).min(pool.len());
        let span = seeds::EVOLVE.end - seeds::EVOLVE.start;
        let (mut left, mut chosen) = (hard, Vec::with_capacity(count));
        while chosen.len() < count {
            let only_hard_left = count - chosen.len() == left;
            if left > 0 && (chosen.len() % 2 == 0 || only_hard_left) {
                chosen.push(pool.swap_remove(rng.random_range(0..pool.len())));
                left -= 1;
            } else {
                chosen.push(seeds::EVOLVE.start + self.used % span);
                self.used += 1;
            }
        }
        chosen
    }

    /// Records that `failed` of `all` candidates failed `track`.
    pub fn record(&mut self, track: u64, failed: usize, all: usize) {
        self.hard.retain(|t| *t != track);
        if 4 * failed >= all {
            self.hard.push(track);
            if self.hard.len() > POOL {
                self.hard.remove(0);
            }
        }
    }

    /// Whether `track` is a hard one.
    pub fn is_hard(&self, track: u64) -> bool {
        self.hard.contains(&track)
    }

    /// Number of hard tracks.
    pub fn hard(&self) -> usize {
        self.hard.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_tracks_come_again_until_they_are_finished() {
        let mut tracks = SeedPool::default();
        let first = tracks.choose(1, 0, 4, 2);
        assert_eq!(first, [0, 1, 2, 3].map(|i| seeds::EVOLVE.start + i));
        tracks.record(first[0], 2, 8);
        tracks.record(first[1], 1, 8);
        assert_eq!(tracks.clone().choose(1, 1, 1, 2), [first[0]]);
        let second = tracks.choose(1, 1, 4, 2);
        assert_eq!(second, [first[0], first[3] + 1, first[3] + 2, first[3] + 3]);
        tracks.record(first[0], 0, 8);
        assert_eq!(
            (tracks.hard(), tracks.choose(1, 2, 2, 2)[0]),
            (0, first[3] + 4)
        );
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut tracks = SeedPool::default();
        (0..POOL as u64 + 5).for_each(|track| tracks.record(track, 1, 1));
        assert_eq!((tracks.hard(), tracks.hard[0]), (POOL, 5));
    }
}
