//! Held-out likelihood and predictions.

use frmdn_density::Density;
use frmdn_engine::lstm::Tape;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    MemoryTrainer, SequenceBatch,
    heads::{Heads, cross_entropy},
};

/// Held-out figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryEvaluation {
    /// Negative log-likelihood of the next latent, nats a step summed over dimensions.
    pub nll: f64,
    /// Mean squared error of the reward.
    pub reward_mse: f64,
    /// Pearson's correlation of predicted and real reward.
    pub reward_correlation: f64,
    /// Binary cross-entropy of the end, nats a step.
    pub done_bce: f64,
}

impl MemoryTrainer {
    /// Figures over `batches`, each run from a zero state; sums are taken in order, whatever the number of threads.
    pub fn evaluate(&self, batches: &[SequenceBatch]) -> MemoryEvaluation {
        let density = self.config.density(self.latent).expect("a variant that is trained has a density");
        let density = Density::new(density, self.config.hidden, &self.weights).expect("the trainer's weights have the model's shapes");
        let heads =
            Heads::load(&self.config.loss, &self.weights, self.config.hidden).expect("the trainer's weights have the model's shapes");
        let lstm = self.lstm();
        // Per batch: steps, NLL, squared error, cross-entropy, and the five sums of a correlation.
        let parts: Vec<[f64; 9]> = batches
            .par_iter()
            .map(|batch| {
                let (h, n) = (self.config.hidden, batch.steps * batch.batch);
                let mut tape = Tape::default();
                lstm.forward(&batch.inputs(), batch.steps, batch.batch, &mut tape);
                let log_prob = density.log_prob(tape.hidden(), &batch.z_next, n);
                let mut sums = [0.0; 9];
                for row in (0..n).filter(|&row| batch.mask[row] > 0.0) {
                    let hidden = &tape.hidden()[row * h..(row + 1) * h];
                    let (r, (p, logit)) = (f64::from(batch.reward[row]), heads.predict(hidden));
                    let bce = cross_entropy(logit, f64::from(batch.done[row]));
                    let add = [1.0, -log_prob[row], (r - p) * (r - p), bce, r, p, r * r, p * p, r * p];
                    sums.iter_mut().zip(add).for_each(|(s, x)| *s += x);
                }
                sums
            })
            .collect();
        let mut s = [0.0; 9];
        parts.iter().for_each(|p| s.iter_mut().zip(p).for_each(|(s, p)| *s += p));
        let n = s[0].max(1.0);
        let covariance = s[8] / n - s[4] / n * s[5] / n;
        let spread = ((s[6] / n - (s[4] / n).powi(2)) * (s[7] / n - (s[5] / n).powi(2))).max(0.0).sqrt();
        MemoryEvaluation {
            nll: s[1] / n,
            reward_mse: s[2] / n,
            reward_correlation: if spread > 0.0 { covariance / spread } else { 0.0 },
            done_bce: s[3] / n,
        }
    }
}
