//! Likelihoods of recorded sequences, and whether draws are where the real values are.

use frmdn_density::{Density, SampleScratch};
use frmdn_engine::{
    lstm::{Lstm, Tape},
    random::stream,
};
use serde::{Deserialize, Serialize};

use super::{Heads, NonFinite, Sequences, Targets, Trainer};

/// Draws that a value is ranked among.
const DRAWS: usize = 19;

/// Ranks of the real values among draws of the prediction: uniform where the prediction is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    /// How often a value had that rank among its draws (a Monte-Carlo PIT histogram,
    /// all dimensions together).
    pub values: [u64; DRAWS + 1],
    /// How often the likelihood of all values had that rank among those of the draws: the
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

/// A model on the engine, which many batches can be judged with.
pub struct Likelihood {
    lstm: Lstm,
    density: Density,
    residual: bool,
}

impl Likelihood {
    /// log p(next | past) of every step `[T · B]`, from a zero state.
    pub fn log_prob<T: Targets>(&self, batch: &Sequences<T>) -> Vec<f64> {
        let tape = self.run(batch);
        let features = batch.features(tape.hidden(), self.residual);
        self.density.log_prob(&features, &batch.next)
    }

    /// The same, and at how many of the real steps a component has a precision at its limit.
    pub fn log_prob_and_limit<T: Targets>(&self, batch: &Sequences<T>) -> (Vec<f64>, f64) {
        let tape = self.run(batch);
        let features = batch.features(tape.hidden(), self.residual);
        let mut count = 0.0;
        for (at, mask) in self.density.at_limit(&features).iter().zip(&batch.mask) {
            count += f64::from(u8::from(*at)) * f64::from(*mask);
        }
        (self.density.log_prob(&features, &batch.next), count)
    }

    fn run<T: Targets>(&self, batch: &Sequences<T>) -> Tape {
        let mut tape = Tape::default();
        self.lstm
            .forward(&batch.inputs(), batch.steps, batch.batch, &mut tape);
        tape
    }
}

impl<H: Heads> Trainer<H> {
    /// The model as it is now, for likelihoods.
    pub fn likelihood(&self) -> Likelihood {
        Likelihood {
            lstm: self.lstm(),
            density: self.density(),
            residual: self.config.density.residual,
        }
    }

    /// log p(next | past) of every step `[T · B]`, from a zero state.
    pub fn log_prob(&self, batch: &Sequences<H::Targets>) -> Vec<f64> {
        self.likelihood().log_prob(batch)
    }

    /// What is not finite, in words: the tensor, or the loss with the sequences of `batch` that it is
    /// of, by their `names`.
    pub fn blamed(
        &self,
        error: &NonFinite,
        batch: &Sequences<H::Targets>,
        names: &[String],
    ) -> String {
        let likelihood = self.likelihood();
        let is_bad = |column: usize| {
            let alone = batch.columns(column, column + 1);
            let log_prob = likelihood.log_prob(&alone);
            let mut real = log_prob.iter().zip(&alone.mask).filter(|(_, m)| **m > 0.0);
            real.any(|(p, _)| !p.is_finite())
        };
        let mut bad: Vec<&str> = match error.tensor.as_str() {
            "loss" => (0..batch.batch)
                .filter(|&column| is_bad(column))
                .filter_map(|column| Some(names.get(column)?.as_str()))
                .collect(),
            _ => Vec::new(),
        };
        bad.dedup();
        match bad.is_empty() {
            true => error.tensor.clone(),
            false => format!("{} of {}", error.tensor, bad.join(", ")),
        }
    }

    /// Ranks at every `every`-th step of a single sequence, with draws from (`seed`,
    /// `memory/calibration`).
    pub fn calibrate(&self, batch: &Sequences<H::Targets>, every: usize, seed: u64) -> Calibration {
        let (density, lstm, d) = (self.density(), self.lstm(), self.config.dim());
        let mut tape = Tape::default();
        lstm.forward(&batch.inputs(), batch.steps, batch.batch, &mut tape);
        let features = batch.features(tape.hidden(), self.config.density.residual);
        let width = features.len() / (batch.steps * batch.batch);
        let (mut all, mut scratch) = (Calibration::default(), SampleScratch::default());
        let rows = features
            .chunks_exact(width)
            .zip(batch.next.chunks_exact(d))
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
}
