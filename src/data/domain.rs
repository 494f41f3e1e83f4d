//! Data without a world that a density can be fitted to and judged on.

use serde::{Deserialize, Serialize};

use super::Dataset;

/// Sequences with parts, classes of steps and a unit of their own.
pub trait Domain: Dataset<Targets = ()> {
    /// Sequences to learn from, of the held-out likelihood, and of the final judgement.
    fn parts(&self) -> Parts;

    /// Classes of steps that are judged apart, by name; at least one.
    fn classes(&self) -> &'static [&'static str];

    /// The class of step `step` of a sequence.
    fn class(&self, item: &Self::Item, step: usize) -> usize;

    /// Nats that are added to the negative log-likelihood of a [`Dataset::whole`] item, drawn from the
    /// stream `name` of `seed` at `index`, for that in the data's own unit: steps of a converter,
    /// levels of a pixel.
    fn unit(&self, item: &Self::Item, seed: u64, name: &str, index: usize) -> f64;

    /// What is needed to turn values back into what they stand for.
    fn card(&self) -> Card;
}

/// Numbers of sequences, each in one part only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// To learn from.
    pub training: Vec<usize>,
    /// Of the likelihood that ends a training early.
    pub held_out: Vec<usize>,
    /// Of the final judgement.
    pub test: Vec<usize>,
}

impl Parts {
    /// Of the first `training` sequences every tenth is held out, `most` at most; the `test` that
    /// follow them are for the judgement.
    pub(crate) fn new(training: usize, test: usize, most: usize) -> Self {
        let is_held_out = |i: &usize| i % 10 == 9 && *i < 10 * most;
        Self {
            training: (0..training).filter(|i| !is_held_out(i)).collect(),
            held_out: (0..training).filter(is_held_out).collect(),
            test: (training..training + test).collect(),
        }
    }
}

/// What values stand for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Card {
    /// Frames of recorded speech.
    Speech {
        /// Samples a second.
        rate: u32,
        /// Samples of a frame.
        frame: usize,
        /// Standard deviation of the samples, in steps of the converter.
        sd: f32,
    },
    /// Images.
    Images {
        /// Whether a step is a single pixel, else a row.
        pixels: bool,
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Values of a pixel.
        channels: usize,
        /// α of the logit transform.
        alpha: f64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sequence_is_in_two_parts() {
        for (training, test, most) in [(25, 3, 10), (200, 10, 4), (5, 1, 3)] {
            let parts = Parts::new(training, test, most);
            let mut all = [parts.training, parts.held_out.clone(), parts.test].concat();
            all.sort_unstable();
            assert_eq!(all, (0..training + test).collect::<Vec<_>>());
            assert_eq!(parts.held_out.len(), most.min(training / 10));
        }
    }
}
