//! What sequences must be able to do to be learned from.

use frmdn_engine::random::{Pcg64, stream};
use rand::RngExt;

use crate::{
    recurrent::{Sequences, Targets},
    run::Result,
};

/// Numbered sequences: episodes, sentences, images.
pub trait Dataset: Clone + Send + Sync + 'static {
    /// A sequence in memory.
    type Item: Send + 'static;
    /// What a step has besides its values.
    type Targets: Targets;

    /// Values of a step that are predicted, and that are given beside them.
    fn widths(&self, item: &Self::Item) -> [usize; 2];

    /// Sequence number `index`.
    ///
    /// # Errors
    /// If it cannot be read.
    fn load(&self, index: usize) -> Result<Self::Item>;

    /// What a sequence is called in messages.
    fn name(&self, item: &Self::Item) -> String;

    /// Steps of a sequence: pairs of what is seen and what follows.
    fn steps(&self, item: &Self::Item) -> usize;

    /// Copies `steps` steps of `item` from step `first` on into column `column` of `batch`, from its
    /// first row on. What is random in them is drawn from `rng`.
    fn fill(
        &self,
        batch: &mut Sequences<Self::Targets>,
        column: usize,
        item: &Self::Item,
        first: usize,
        steps: usize,
        rng: &mut Pcg64,
    );

    /// Entropy in nats of what was drawn of an item's targets, summed over steps: the floor of their
    /// likelihood. 0 where it has no such floor.
    fn floor(&self, item: &Self::Item) -> f64;

    /// `size` random segments of random `items`, and the numbers of these; one shorter than `steps`
    /// is padded and masked.
    fn sequences(
        &self,
        items: &[Self::Item],
        size: usize,
        steps: usize,
        rng: &mut Pcg64,
    ) -> (Sequences<Self::Targets>, Vec<usize>) {
        let [dim, given] = self.widths(&items[0]);
        let mut batch = Sequences::zeros(steps, size, dim, given);
        let mut chosen = Vec::with_capacity(size);
        let total: usize = items.iter().map(|item| self.steps(item)).sum();
        for column in 0..size {
            // An item in proportion to its length. Within it every segment is equally likely, so
            // that the first and the last steps are seen less often than those in the middle;
            // carried states (`memory.carry`) have no such edge.
            let mut at = rng.random_range(0..total);
            let mut number = 0;
            for (i, candidate) in items.iter().enumerate() {
                number = i;
                if at < self.steps(candidate) {
                    break;
                }
                at -= self.steps(candidate);
            }
            let item = &items[number];
            let length = steps.min(self.steps(item));
            let start = rng.random_range(0..=self.steps(item) - length);
            self.fill(&mut batch, column, item, start, length, rng);
            chosen.push(number);
        }
        (batch, chosen)
    }

    /// A whole item as a batch of one, with draws from the stream `name` of `seed` at `index`.
    fn whole(
        &self,
        item: &Self::Item,
        seed: u64,
        name: &str,
        index: usize,
    ) -> Sequences<Self::Targets> {
        let ([dim, given], steps) = (self.widths(item), self.steps(item));
        let mut batch = Sequences::zeros(steps, 1, dim, given);
        let rng = &mut stream(seed, name, &[index as u64]);
        self.fill(&mut batch, 0, item, 0, steps, rng);
        batch
    }
}

/// Whole sequences, with draws that never change, and the floor: the mean entropy of their targets.
///
/// # Errors
/// If one cannot be read.
pub fn held_out_batches<D: Dataset>(
    data: &D,
    indices: &[usize],
    seed: u64,
) -> Result<(Vec<Sequences<D::Targets>>, f64)> {
    let mut batches = Vec::new();
    let (mut entropy, mut steps) = (0.0, 0usize);
    for &index in indices {
        let item = data.load(index)?;
        batches.push(data.whole(&item, seed, "memory/held-out", index));
        entropy += data.floor(&item);
        steps += data.steps(&item);
    }
    Ok((batches, entropy / steps.max(1) as f64))
}
