//! Training: the recurrence forward and backward on the engine, and in between the density, whose
//! mixture is differentiated by burn, and the heads.

use std::borrow::Cow;

use burn::tensor::Device;
use frmdn_density::{Density, LossAndGradient, SampleScratch};
use frmdn_engine::{
    Params,
    adam::{Adam, AdamConfig},
    lstm::{Lstm, Tape},
    params::ParamError,
    random::stream,
};
use rand::RngExt;
use rayon::prelude::*;

use super::{
    Heads, NoHeads, RecurrentConfig, Rows, Sequences,
    definition::{BatchGradients, Definition},
};

/// Sequences in a shard. Part of the arithmetic: gradients are summed inside a shard first, then
/// over shards in order.
const SHARD: usize = 4;

/// Figures of one update.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// Negative log-likelihood of the next values, nats a step summed over dimensions.
    pub nll: f64,
    /// The heads' losses, means a step.
    pub heads: Vec<f64>,
    /// Global norm of the gradients before clipping.
    pub gradient_norm: f64,
}

/// A loss or gradient that is not finite. The weights are those before the update.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("update {update} of the memory: `{tensor}` is not finite")]
pub struct NonFinite {
    /// `loss`, or the tensor whose gradient it is.
    pub tensor: String,
    /// The update's number.
    pub update: u64,
}

/// A recurrent density in training, with the heads on it.
#[derive(Clone, Debug)]
pub struct Trainer<H = NoHeads> {
    pub(crate) config: RecurrentConfig,
    pub(crate) heads: H,
    pub(crate) weights: Params,
    adam: Adam,
    /// Root of the streams `memory/dropout` and `memory/scheduled`.
    seed: u64,
    /// [h, c] after the last step of the last update's sequences.
    last: Vec<f32>,
    /// Where gradients are computed, if not on the engine.
    device: Option<Device>,
    /// Buffers of the recurrence, one per shard, reused from update to update.
    tapes: Vec<Tape>,
}

impl<H: Heads> Trainer<H> {
    /// A trainer that begins with `weights`: those of recurrence, density and heads, in this order.
    pub fn with_heads(config: RecurrentConfig, heads: H, weights: Params, seed: u64) -> Self {
        let adam = Adam::new(
            &weights,
            AdamConfig {
                clip_norm: Some(config.clip_norm),
                ..AdamConfig::default()
            },
        );
        Self {
            config,
            heads,
            weights,
            adam,
            seed,
            last: Vec::new(),
            device: None,
            tapes: Vec::new(),
        }
    }

    /// The trainer with these weights.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn with_weights(self, weights: &Params) -> Result<Self, ParamError> {
        let mut trainer = self;
        for p in &mut trainer.weights.0 {
            p.value = weights.get(&p.name, &p.shape)?.to_vec();
        }
        Ok(trainer)
    }

    /// The trainer with its gradients computed through burn on `device`; without one, on the
    /// engine.
    #[must_use]
    pub fn on(self, device: Option<&Device>) -> Self {
        Self {
            device: device.map(|d| d.clone().autodiff()),
            ..self
        }
    }

    /// The weights as they are now.
    pub fn weights(&self) -> &Params {
        &self.weights
    }

    /// [h, c] after the last step of the last update's sequences [B, 2 hidden]: where those that
    /// follow them may start.
    pub fn last(&self) -> &[f32] {
        &self.last
    }

    /// Updates made so far.
    pub fn updates(&self) -> u64 {
        self.adam.updates
    }

    /// The tensors of the state: `weights.…`, `adam.first.…`, `adam.second.…`, and `last`.
    pub fn tensors(&self) -> Params {
        let mut tensors = self.adam.tensors(&self.weights);
        tensors.push("last", &[self.last.len()], self.last.clone());
        tensors
    }

    /// The trainer as it was when its `tensors` were saved after `updates` updates.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn resumed(self, tensors: &Params, updates: u64) -> Result<Self, ParamError> {
        let mut trainer = self;
        let take = |prefix: &str, list: &mut Params| {
            for p in &mut list.0 {
                p.value = tensors
                    .get(&format!("{prefix}.{}", p.name), &p.shape)?
                    .to_vec();
            }
            Ok(())
        };
        take("weights", &mut trainer.weights)?;
        take("adam.first", &mut trainer.adam.first)?;
        take("adam.second", &mut trainer.adam.second)?;
        let last = tensors
            .0
            .iter()
            .find(|p| p.name == "last")
            .ok_or_else(|| ParamError::Missing("last".into()))?;
        trainer.last = last.value.clone();
        trainer.adam.updates = updates;
        Ok(trainer)
    }

    /// One update. The batch is cut into shards of four sequences that run on the current rayon
    /// pool; the result does not depend on the number of threads.
    ///
    /// # Errors
    /// If the loss or a gradient is not finite; nothing has changed then.
    pub fn update(
        &mut self,
        batch: &Sequences<H::Targets>,
        learning_rate: f64,
        update: u64,
    ) -> Result<Update, NonFinite> {
        let count: f64 = batch
            .mask
            .iter()
            .map(|&m| f64::from(m))
            .sum::<f64>()
            .max(1.0);
        let mixed = (self.config.scheduled_sampling > 0.0).then(|| self.mixed(batch, update));
        let batch = mixed.as_ref().unwrap_or(batch);
        let BatchGradients {
            sums,
            mut gradients,
            last,
        } = match &self.device {
            None => self.on_engine(batch, count, update),
            Some(device) => Definition::of(self.config, self.heads.clone(), &self.weights, device)
                .expect("the trainer's weights have the model's shapes")
                .differentiate(batch, &self.dropout(batch, 0, update), count, device),
        };
        if sums.iter().any(|s| !s.is_finite()) {
            return Err(NonFinite {
                tensor: "loss".into(),
                update,
            });
        }
        if let Some(tensor) = gradients.first_non_finite() {
            return Err(NonFinite {
                tensor: tensor.into(),
                update,
            });
        }
        self.last = last;
        let gradient_norm = self
            .adam
            .step(&mut self.weights, &mut gradients, learning_rate);
        let mut means = sums.into_iter().map(|s| s / count);
        Ok(Update {
            nll: means.next().unwrap_or_default(),
            heads: means.collect(),
            gradient_norm,
        })
    }

    fn on_engine(
        &mut self,
        batch: &Sequences<H::Targets>,
        count: f64,
        update: u64,
    ) -> BatchGradients {
        let cuts: Vec<usize> = (0..batch.batch).step_by(SHARD).collect();
        let lstm = self.lstm();
        let mut tapes = std::mem::take(&mut self.tapes);
        tapes.resize_with(cuts.len(), Tape::default);
        let shards: Vec<BatchGradients> = cuts
            .par_iter()
            .zip(&mut tapes)
            .map(|(&from, tape)| {
                let columns = batch.columns(from, batch.batch.min(from + SHARD));
                let dropout = self.dropout(&columns, from, update);
                self.shard(&lstm, tape, &columns, &dropout, count)
            })
            .collect();
        self.tapes = tapes;
        let mut all = BatchGradients {
            sums: vec![0.0; 1 + self.heads.losses()],
            gradients: self.weights.zeros_like(),
            last: Vec::new(),
        };
        for shard in &shards {
            all.gradients.add_assign(&shard.gradients);
            for (all, sum) in all.sums.iter_mut().zip(&shard.sums) {
                *all += sum;
            }
            all.last.extend_from_slice(&shard.last);
        }
        all
    }

    /// Factors of h `[T · B, hidden]` by dropout (equation 18), 0 or 1/(1 − p); empty without. A
    /// sequence has its own stream: `first` is the number of the first in the whole batch.
    fn dropout(&self, batch: &Sequences<H::Targets>, first: usize, update: u64) -> Vec<f32> {
        let (p, h) = (self.config.dropout, self.config.hidden);
        if p == 0.0 {
            return Vec::new();
        }
        let mut factors = vec![0.0; batch.steps * batch.batch * h];
        for column in 0..batch.batch {
            let mut rng = stream(
                self.seed,
                "memory/dropout",
                &[update, (first + column) as u64],
            );
            let rows = factors.chunks_exact_mut(h).skip(column);
            for factor in rows.step_by(batch.batch).flatten() {
                *factor = if rng.random::<f64>() < p {
                    0.0
                } else {
                    (1.0 / (1.0 - p)) as f32
                };
            }
        }
        factors
    }

    /// The batch with some of the values seen replaced by the model's own draws of them (equation
    /// 19).
    fn mixed(&self, batch: &Sequences<H::Targets>, update: u64) -> Sequences<H::Targets> {
        let (lstm, density) = (self.lstm(), self.density());
        let (d, p) = (self.config.dim(), self.config.scheduled_sampling);
        let columns: Vec<Vec<(usize, Vec<f32>)>> = (0..batch.batch)
            .into_par_iter()
            .map(|column| {
                let one = batch.columns(column, column + 1);
                let (mut tape, mut scratch) = (Tape::default(), SampleScratch::default());
                lstm.forward_from(&one.start, &one.inputs(), one.steps, 1, &mut tape);
                let features = one.features(tape.hidden(), self.config.density.residual);
                let mut rng = stream(self.seed, "memory/scheduled", &[update, column as u64]);
                let mut drawn = Vec::new();
                for (t, features) in features
                    .chunks_exact(features.len() / one.steps)
                    .enumerate()
                    .take(one.steps - 1)
                {
                    if rng.random::<f64>() < p {
                        let mut z = vec![0.0; d];
                        density.sample(
                            features,
                            1.0,
                            std::slice::from_mut(&mut rng),
                            &mut z,
                            &mut scratch,
                        );
                        drawn.push((t + 1, z));
                    }
                }
                drawn
            })
            .collect();
        let mut mixed = batch.clone();
        for (column, drawn) in columns.into_iter().enumerate() {
            for (t, z) in drawn {
                mixed.seen[(t * batch.batch + column) * d..][..d].copy_from_slice(&z);
            }
        }
        mixed
    }

    /// The density as it is now, on the engine.
    pub(crate) fn density(&self) -> Density {
        Density::new(self.config.density, self.config.features(), &self.weights)
            .expect("the trainer's weights have the model's shapes")
    }

    pub(crate) fn lstm(&self) -> Lstm {
        let (inputs, hidden) = (self.config.inputs(), self.config.hidden);
        let (weight, bias) = lstm_weights(inputs, hidden, &self.weights)
            .expect("the trainer's weights have the model's shapes");
        let mut lstm = Lstm::new(inputs, hidden);
        lstm.load(&weight, bias);
        lstm.load_backward(&weight);
        lstm
    }

    /// Loss sums and gradients of one shard (equation 17), whose states h are multiplied by the
    /// factors `dropout`; the loss is divided by `count`, the number of real steps of the whole
    /// batch.
    fn shard(
        &self,
        lstm: &Lstm,
        tape: &mut Tape,
        batch: &Sequences<H::Targets>,
        dropout: &[f32],
        count: f64,
    ) -> BatchGradients {
        lstm.forward_from(
            &batch.start,
            &batch.inputs(),
            batch.steps,
            batch.batch,
            tape,
        );
        let mut seen = Cow::Borrowed(tape.hidden());
        if !dropout.is_empty() {
            let factors = seen.iter().zip(dropout);
            seen = Cow::Owned(factors.map(|(h, factor)| h * factor).collect());
        }
        let weights: Vec<f32> = batch
            .mask
            .iter()
            .map(|&m| (f64::from(m) / count) as f32)
            .collect();
        let (likelihood, mut d_hidden) = self.loss_and_gradient(batch, &seen, &weights);
        let (losses, of_heads) = self.heads.add(
            &self.weights,
            &mut Rows {
                targets: &batch.targets,
                mask: &batch.mask,
                hidden: &seen,
                next: &batch.next,
                weights: &weights,
                d_hidden: &mut d_hidden,
            },
        );
        for (d, factor) in d_hidden.iter_mut().zip(dropout) {
            *d *= factor;
        }
        let mut log_prob = 0.0;
        for (&l, &mask) in likelihood.log_prob.iter().zip(&batch.mask) {
            if mask > 0.0 {
                log_prob += f64::from(l);
            }
        }
        let last = tape.last();
        let mut gradients = lstm_gradients(lstm, tape, &d_hidden);
        gradients.0.extend(likelihood.parameters.0);
        gradients.0.extend(of_heads.0);
        BatchGradients {
            sums: std::iter::once(-log_prob).chain(losses).collect(),
            gradients,
            last,
        }
    }

    /// The likelihood of the next values given `hidden` `[T · B, hidden]`, and
    /// the gradient of −Σ `weights` log p by `hidden`.
    fn loss_and_gradient(
        &self,
        batch: &Sequences<H::Targets>,
        hidden: &[f32],
        weights: &[f32],
    ) -> (LossAndGradient, Vec<f32>) {
        let features = batch.features(hidden, self.config.density.residual);
        let mut likelihood = frmdn_density::Definition::loss_and_gradient(
            self.config.density,
            &self.weights,
            &features,
            &batch.next,
            weights,
        )
        .expect("the trainer's weights have the model's shapes");
        let h = self.config.hidden;
        let width = features.len() / weights.len();
        let mut d_hidden = std::mem::take(&mut likelihood.features);
        // Where the density sees the present values too, nothing is to be trained through them.
        if width != h {
            let rows = d_hidden.chunks_exact(width);
            d_hidden = rows.flat_map(|row| row[..h].iter().copied()).collect();
        }
        (likelihood, d_hidden)
    }
}

/// W `[inputs + hidden, 4 hidden]` and b of the LSTM.
pub(crate) fn lstm_weights(
    inputs: usize,
    hidden: usize,
    params: &Params,
) -> Result<(Vec<f32>, &[f32]), ParamError> {
    let weight = [
        params.get("lstm.weight_input", &[inputs, 4 * hidden])?,
        params.get("lstm.weight_hidden", &[hidden, 4 * hidden])?,
    ]
    .concat();
    Ok((weight, params.get("lstm.bias", &[4 * hidden])?))
}

/// Gradients of the LSTM's tensors from those of its hidden states.
pub(crate) fn lstm_gradients(lstm: &Lstm, tape: &mut Tape, d_hidden: &[f32]) -> Params {
    let (inputs, h) = (lstm.inputs(), lstm.hidden());
    let gates = 4 * h;
    let (mut weight, mut bias) = (vec![0.0; (inputs + h) * gates], vec![0.0; gates]);
    lstm.backward(tape, d_hidden, &mut weight, &mut bias);
    let recurrent = weight.split_off(inputs * gates);
    let mut gradients = Params::default();
    gradients.push("lstm.weight_input", &[inputs, gates], weight);
    gradients.push("lstm.weight_hidden", &[h, gates], recurrent);
    gradients.push("lstm.bias", &[gates], bias);
    gradients
}
