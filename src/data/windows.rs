//! Streaming of episodes: a few are in memory at a time, and the next ones are read meanwhile.

use std::{sync::Arc, thread::JoinHandle};

use frmdn_engine::random::stream;
use rand::seq::SliceRandom;

use crate::run::{Result, RunError};

type Load<T> = Arc<dyn Fn(usize) -> Result<T> + Send + Sync>;
type Loading<T> = JoinHandle<Result<Vec<T>>>;

/// Windows of episodes. Which episodes are in memory at an update is a function of the seed and the
/// update alone, so a resumed run sees the same data.
pub struct Windows<T> {
    load: Load<T>,
    indices: Vec<usize>,
    episodes: usize,
    updates: u64,
    seed: u64,
    name: &'static str,
    current: Option<(u64, Vec<T>)>,
    next: Option<(u64, Loading<T>)>,
}

impl<T: Send + 'static> Windows<T> {
    /// Windows of `episodes` out of `indices`, each used for `updates` updates.
    pub fn new(
        name: &'static str,
        seed: u64,
        indices: Vec<usize>,
        episodes: usize,
        updates: u64,
        load: impl Fn(usize) -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        Self {
            load: Arc::new(load),
            episodes: episodes.min(indices.len()),
            indices,
            updates,
            seed,
            name,
            current: None,
            next: None,
        }
    }

    fn chosen(&self, window: u64) -> Vec<usize> {
        let mut all = self.indices.clone();
        let (chosen, _) =
            all.partial_shuffle(&mut stream(self.seed, self.name, &[window]), self.episodes);
        // In order of their numbers: with few episodes every window is then the same and need not
        // be read again.
        chosen.sort_unstable();
        chosen.to_vec()
    }

    fn start(&self, window: u64) -> Loading<T> {
        let (load, chosen) = (Arc::clone(&self.load), self.chosen(window));
        std::thread::spawn(move || chosen.into_iter().map(|i| load(i)).collect())
    }

    /// The episodes in memory at `update`.
    pub fn at(&mut self, update: u64) -> Result<&[T]> {
        // One window that holds everything never changes.
        let window = if self.episodes == self.indices.len() {
            0
        } else {
            update / self.updates
        };
        if self.current.as_ref().is_none_or(|(at, _)| *at != window) {
            // The old window is dropped before the wait for the new one: never more than two in
            // memory.
            self.current = None;
            let loading = match self.next.take() {
                Some((at, loading)) if at == window => loading,
                _ => self.start(window),
            };
            let loaded = loading.join().map_err(|_| {
                RunError::Failed("the thread that reads episodes stopped unexpectedly".into())
            })??;
            self.current = Some((window, loaded));
            if self.episodes < self.indices.len() {
                self.next = Some((window + 1, self.start(window + 1)));
            }
        }
        Ok(self
            .current
            .as_ref()
            .map(|(_, loaded)| loaded.as_slice())
            .unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_a_function_of_the_update_and_change_between_them() {
        let make = || Windows::new("test", 5, (0..20).collect(), 4, 10, Ok);
        let mut a = make();
        let first = a.at(3).unwrap().to_vec();
        assert_eq!((first.len(), a.at(9).unwrap()), (4, &first[..]));
        let second = a.at(10).unwrap().to_vec();
        assert_ne!(first, second);
        assert_eq!(make().at(17).unwrap(), &second[..]);
    }

    #[test]
    fn an_unreadable_episode_is_an_error() {
        let mut w = Windows::new("test", 5, vec![0], 1, 1, |_| {
            Err::<(), _>(RunError::Failed("episode 0".into()))
        });
        assert!(w.at(0).unwrap_err().to_string().contains("episode 0"));
    }
}
