//! Held-out likelihood and predictions.

use frmdn_density::SampleScratch;
use frmdn_engine::{lstm::Tape, random::stream};
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

/// Draws that a value is ranked among.
const DRAWS: usize = 19;

/// Ranks of the real latents among draws of the prediction: uniform where the prediction is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    /// How often a value of the latent had that rank among its draws (a Monte-Carlo PIT histogram,
    /// all dimensions together).
    pub values: [u64; DRAWS + 1],
    /// How often the likelihood of the latent had that rank among those of the draws: the
    /// calibration of all dimensions together.
    pub likelihoods: [u64; DRAWS + 1],
}

impl std::ops::AddAssign for Calibration {
    fn add_assign(&mut self, other: Self) {
        for (count, other) in self.values.iter_mut().zip(other.values) {
            *count += other;
        }
        for (count, other) in self.likelihoods.iter_mut().zip(other.likelihoods) {
            *count += other;
        }
    }
}

impl Calibration {
    /// Expected [`Calibration::error`] for `ranks` independent ranks of a perfect prediction: the
    /// count of a bin is about normal.
    pub fn expected_error(ranks: u64) -> f64 {
        let bins = (DRAWS + 1) as f64;
        (2.0 / std::f64::consts::PI * (bins - 1.0) / (ranks.max(1) as f64)).sqrt()
    }

    /// Mean distance of the bins' counts from the uniform count, in parts of it: 0 for a uniform
    /// histogram, near [`Calibration::expected_error`] for a perfect prediction.
    pub fn error(counts: &[u64; DRAWS + 1]) -> f64 {
        let level = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
        counts
            .iter()
            .map(|&c| (c as f64 / level - 1.0).abs())
            .sum::<f64>()
            / counts.len() as f64
    }
}

impl MemoryTrainer {
    /// log p(z′ | past) of every step `[T · B]`, from a zero state.
    pub fn log_prob(&self, batch: &SequenceBatch) -> Vec<f64> {
        let mut tape = Tape::default();
        self.lstm()
            .forward(&batch.inputs(), batch.steps, batch.batch, &mut tape);
        self.density().log_prob(
            &batch.features(tape.hidden(), self.config.residual),
            &batch.z_next,
        )
    }

    /// Ranks at every `every`-th step of a single sequence, with draws from (`seed`,
    /// `memory/calibration`).
    pub fn calibrate(&self, batch: &SequenceBatch, every: usize, seed: u64) -> Calibration {
        let (density, lstm, d) = (self.density(), self.lstm(), self.latent);
        let mut tape = Tape::default();
        lstm.forward(&batch.inputs(), batch.steps, batch.batch, &mut tape);
        let features = batch.features(tape.hidden(), self.config.residual);
        let width = features.len() / (batch.steps * batch.batch);
        let (mut all, mut scratch) = (Calibration::default(), SampleScratch::default());
        let rows = features
            .chunks_exact(width)
            .zip(batch.z_next.chunks_exact(d))
            .enumerate()
            .step_by(every);
        for (row, (features, z)) in rows.filter(|(row, _)| batch.mask[*row] > 0.0) {
            let features = features.repeat(DRAWS + 1);
            let mut rngs: Vec<_> = (0..DRAWS as u64)
                .map(|i| stream(seed, "memory/calibration", &[row as u64, i]))
                .collect();
            let mut draws = vec![0.0; DRAWS * d];
            density.sample(
                &features[..DRAWS * width],
                1.0,
                &mut rngs,
                &mut draws,
                &mut scratch,
            );
            for (i, z) in z.iter().enumerate() {
                let column = draws.iter().skip(i).step_by(d);
                all.values[column.filter(|v| *v < z).count()] += 1;
            }
            draws.extend_from_slice(z);
            let likelihoods = density.log_prob(&features, &draws);
            let (drawn, real) = (&likelihoods[..DRAWS], likelihoods[DRAWS]);
            all.likelihoods[drawn.iter().filter(|l| **l < real).count()] += 1;
        }
        all
    }

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
        let heads = Heads::load(&self.config.loss, &self.weights, self.config.hidden)
            .expect("the trainer's weights have the model's shapes");
        let evaluate = |batch: &SequenceBatch| {
            let (h, n) = (self.config.hidden, batch.steps * batch.batch);
            let mut tape = Tape::default();
            lstm.forward(&batch.inputs(), batch.steps, batch.batch, &mut tape);
            let log_prob = density.log_prob(
                &batch.features(tape.hidden(), self.config.residual),
                &batch.z_next,
            );
            let mut sums = EvaluationSums::default();
            for row in (0..n).filter(|&row| batch.mask[row] > 0.0) {
                let hidden = &tape.hidden()[row * h..(row + 1) * h];
                let (r, (p, logit)) = (f64::from(batch.reward[row]), heads.predict(hidden));
                sums += EvaluationSums {
                    steps: 1.0,
                    nll: -log_prob[row],
                    squares: (r - p) * (r - p),
                    cross_entropy: cross_entropy(logit, f64::from(batch.done[row])),
                    rewards: [r, p, r * r, p * p, r * p],
                };
            }
            sums
        };
        batches.par_iter().map(evaluate).collect()
    }
}
