//! Held-out likelihood and predictions.

use frmdn_engine::lstm::Tape;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    MemoryTrainer, SequenceBatch,
    heads::{LoadedHeads, cross_entropy},
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

/// Sums over the real steps of some sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvaluationSums {
    /// Real steps.
    pub steps: f64,
    /// Negative log-likelihoods, nats.
    pub nll: f64,
    /// Squared errors of the reward.
    pub squares: f64,
    /// Cross-entropies of the end, nats.
    pub cross_entropy: f64,
    /// Σ r, Σ r̂, Σ r², Σ r̂², Σ r r̂.
    pub rewards: [f64; 5],
}

impl std::ops::AddAssign for EvaluationSums {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.nll += other.nll;
        self.squares += other.squares;
        self.cross_entropy += other.cross_entropy;
        for (sum, other) in self.rewards.iter_mut().zip(other.rewards) {
            *sum += other;
        }
    }
}

impl EvaluationSums {
    /// Means a step.
    pub fn evaluation(&self) -> MemoryEvaluation {
        let n = self.steps.max(1.0);
        let [r, p, rr, pp, rp] = self.rewards.map(|sum| sum / n);
        let spread = ((rr - r * r) * (pp - p * p)).max(0.0).sqrt();
        MemoryEvaluation {
            nll: self.nll / n,
            reward_mse: self.squares / n,
            reward_correlation: if spread > 0.0 {
                (rp - r * p) / spread
            } else {
                0.0
            },
            done_bce: self.cross_entropy / n,
        }
    }
}

impl MemoryTrainer {
    /// Figures over `batches`, each run from a zero state; sums are taken in order, whatever the
    /// number of threads.
    pub fn evaluate(&self, batches: &[SequenceBatch]) -> MemoryEvaluation {
        let mut all = EvaluationSums::default();
        for sums in self.evaluate_each(batches) {
            all += sums;
        }
        all.evaluation()
    }

    /// Sums over each of `batches`, each run from a zero state.
    pub fn evaluate_each(&self, batches: &[SequenceBatch]) -> Vec<EvaluationSums> {
        let (density, lstm) = (self.density(), self.lstm());
        let heads = LoadedHeads::load(
            &self.heads,
            &self.weights,
            self.config.hidden,
            self.config.dim(),
        )
        .expect("the trainer's weights have the model's shapes");
        let evaluate = |batch: &SequenceBatch| {
            let (h, d, n) = (
                self.config.hidden,
                self.config.dim(),
                batch.steps * batch.batch,
            );
            let mut tape = Tape::default();
            lstm.forward(&batch.inputs(), batch.steps, batch.batch, &mut tape);
            let log_prob = density.log_prob(
                &batch.features(tape.hidden(), self.config.density.residual),
                &batch.next,
            );
            let mut sums = EvaluationSums::default();
            for row in (0..n).filter(|&row| batch.mask[row] > 0.0) {
                let hidden = &tape.hidden()[row * h..(row + 1) * h];
                let (r, (p, logit)) = (
                    f64::from(batch.targets.reward[row]),
                    heads.predict(hidden, &batch.next[row * d..(row + 1) * d]),
                );
                sums += EvaluationSums {
                    steps: 1.0,
                    nll: -log_prob[row],
                    squares: (r - p) * (r - p),
                    cross_entropy: cross_entropy(logit, f64::from(batch.targets.done[row])),
                    rewards: [r, p, r * r, p * p, r * p],
                };
            }
            sums
        };
        batches.par_iter().map(evaluate).collect()
    }
}
