//! Training of M: the recurrence forward and back on the engine, heads and flow by burn's autodiff in between.

use burn::tensor::{Device, activation::softplus};
use frmdn_density::{Definition, Density, constant, gradient, tracked};
use frmdn_engine::{
    Params,
    adam::{Adam, AdamConfig},
    lstm::{Lstm, Tape},
    params::ParamError,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{MemoryConfig, acting::lstm_weights, init};

/// Sequences in a shard. Part of the arithmetic: gradients are summed inside a shard first, then over shards in order.
const SHARD: usize = 8;
/// Gradients are scaled down to this global norm: a likelihood of sharp densities has rare, very large gradients.
const CLIP: f64 = 10.0;

/// A batch of sequences, time first. Padding has mask 0 and counts nowhere.
#[derive(Clone, Debug, PartialEq)]
pub struct SequenceBatch {
    /// Steps T.
    pub steps: usize,
    /// Sequences B.
    pub batch: usize,
    /// Latents seen [T, B, latent].
    pub z: Vec<f32>,
    /// Actions taken on them [T, B, actions].
    pub actions: Vec<f32>,
    /// Latents that followed [T, B, latent].
    pub z_next: Vec<f32>,
    /// Rewards of these steps [T, B].
    pub reward: Vec<f32>,
    /// Whether the episode ended with the step [T, B], 0 or 1.
    pub done: Vec<f32>,
    /// Whether the step is real [T, B], 0 or 1.
    pub mask: Vec<f32>,
}

impl SequenceBatch {
    /// A batch of padding.
    pub fn zeros(steps: usize, batch: usize, latent: usize, actions: usize) -> Self {
        let n = steps * batch;
        let zeros = |width: usize| vec![0.0; n * width];
        Self {
            steps,
            batch,
            z: zeros(latent),
            actions: zeros(actions),
            z_next: zeros(latent),
            reward: zeros(1),
            done: zeros(1),
            mask: zeros(1),
        }
    }

    /// Columns `from..to`.
    fn columns(&self, from: usize, to: usize) -> Self {
        let cut = |v: &[f32]| {
            let width = v.len() / (self.steps * self.batch);
            v.chunks_exact(self.batch * width).flat_map(|row| row[from * width..to * width].iter().copied()).collect()
        };
        Self {
            steps: self.steps,
            batch: to - from,
            z: cut(&self.z),
            actions: cut(&self.actions),
            z_next: cut(&self.z_next),
            reward: cut(&self.reward),
            done: cut(&self.done),
            mask: cut(&self.mask),
        }
    }

    /// Rows [z, a].
    fn inputs(&self) -> Vec<f32> {
        let n = self.steps * self.batch;
        let (d, a) = (self.z.len() / n, self.actions.len() / n);
        self.z.chunks_exact(d).zip(self.actions.chunks_exact(a)).flat_map(|(z, a)| z.iter().chain(a).copied()).collect()
    }
}

/// Figures of one update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryMetrics {
    /// Negative log-likelihood of the next latent, nats a step summed over dimensions.
    pub nll: f64,
    /// Mean squared error of the reward.
    pub reward_mse: f64,
    /// Binary cross-entropy of the end, nats a step.
    pub done_bce: f64,
    /// Global norm of the gradients before clipping.
    pub gradient_norm: f64,
}

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

/// A loss or gradient that is not finite. The weights are those before the update.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("update {update} of the memory: `{tensor}` is not finite")]
pub struct NonFinite {
    /// `loss`, or the tensor whose gradient it is.
    pub tensor: String,
    /// The update's number.
    pub update: u64,
}

/// The plain numbers of a training state; the tensors are apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryState {
    /// Updates made so far.
    pub updates: u64,
}

/// A memory in training.
#[derive(Clone, Debug)]
pub struct MemoryTrainer {
    config: MemoryConfig,
    latent: usize,
    actions: usize,
    weights: Params,
    adam: Adam,
}

/// Sums over the steps of a shard, and its gradients.
struct Share {
    sums: [f64; 3],
    gradients: Params,
}

impl MemoryTrainer {
    /// A fresh memory of a variant that is trained.
    ///
    /// # Panics
    /// If the variant is not trained (see [`MemoryConfig::is_trained`]): a programming error.
    pub fn new(config: &MemoryConfig, latent: usize, actions: usize, seed: u64) -> Self {
        assert!(config.is_trained(), "{} is never trained", config.variant);
        let weights = init(config, latent, actions, seed);
        let adam = Adam::new(&weights, AdamConfig { clip_norm: Some(CLIP), ..AdamConfig::default() });
        Self { config: *config, latent, actions, weights, adam }
    }

    /// The weights as they are now.
    pub fn weights(&self) -> &Params {
        &self.weights
    }

    /// The plain numbers of the state.
    pub fn state(&self) -> MemoryState {
        MemoryState { updates: self.adam.updates }
    }

    /// The tensors of the state: `weights.…`, `adam.first.…`, `adam.second.…`.
    pub fn tensors(&self) -> Params {
        let mut tensors = Params::default();
        for (prefix, list) in [("weights", &self.weights), ("adam.first", &self.adam.first), ("adam.second", &self.adam.second)] {
            for p in &list.0 {
                tensors.push(format!("{prefix}.{}", p.name), &p.shape, p.value.clone());
            }
        }
        tensors
    }

    /// A trainer that goes on from saved tensors and state.
    pub fn restore(
        config: &MemoryConfig,
        latent: usize,
        actions: usize,
        tensors: &Params,
        state: &MemoryState,
    ) -> Result<Self, ParamError> {
        let mut trainer = Self::new(config, latent, actions, 0);
        let take = |prefix: &str, list: &mut Params| {
            for p in &mut list.0 {
                p.value = tensors.get(&format!("{prefix}.{}", p.name), &p.shape)?.to_vec();
            }
            Ok(())
        };
        take("weights", &mut trainer.weights)?;
        take("adam.first", &mut trainer.adam.first)?;
        take("adam.second", &mut trainer.adam.second)?;
        trainer.adam.updates = state.updates;
        Ok(trainer)
    }

    /// One update. The batch is cut into shards of eight sequences that run on the current rayon pool; the result does
    /// not depend on the number of threads.
    pub fn step(&mut self, batch: &SequenceBatch, learning_rate: f64, update: u64) -> Result<MemoryMetrics, NonFinite> {
        let count: f64 = batch.mask.iter().map(|&m| f64::from(m)).sum::<f64>().max(1.0);
        let cuts: Vec<usize> = (0..batch.batch).step_by(SHARD).collect();
        let lstm = self.lstm();
        let shares: Vec<Share> =
            cuts.par_iter().map(|&from| self.share(&lstm, &batch.columns(from, batch.batch.min(from + SHARD)), count)).collect();
        let mut gradients = self.weights.zeros_like();
        let mut sums = [0.0; 3];
        for share in &shares {
            gradients.add_assign(&share.gradients);
            sums.iter_mut().zip(share.sums).for_each(|(a, b)| *a += b);
        }
        if sums.iter().any(|s| !s.is_finite()) {
            return Err(NonFinite { tensor: "loss".into(), update });
        }
        if let Some(tensor) = gradients.first_non_finite() {
            return Err(NonFinite { tensor: tensor.into(), update });
        }
        let gradient_norm = self.adam.step(&mut self.weights, &mut gradients, learning_rate);
        let [nll, reward_mse, done_bce] = sums.map(|s| s / count);
        Ok(MemoryMetrics { nll, reward_mse, done_bce, gradient_norm })
    }

    fn lstm(&self) -> Lstm {
        let (weight, bias) =
            lstm_weights(&self.config, self.latent, self.actions, &self.weights).expect("the trainer's weights have the model's shapes");
        let mut lstm = Lstm::new(self.latent + self.actions, self.config.hidden);
        lstm.load(&weight, bias);
        lstm.load_backward(&weight);
        lstm
    }

    /// Loss sums and gradients of one shard; the loss is divided by `count`, the number of real steps of the whole batch.
    fn share(&self, lstm: &Lstm, batch: &SequenceBatch, count: f64) -> Share {
        let (h, n) = (self.config.hidden, batch.steps * batch.batch);
        let inputs = batch.inputs();
        let mut tape = Tape::default();
        lstm.forward(&inputs, batch.steps, batch.batch, &mut tape);

        let device = Device::flex().autodiff();
        let density = self.config.density(self.latent).expect("a variant that is trained has a density");
        let definition = Definition::new(density, h, &self.weights, &device).expect("the trainer's weights have the model's shapes");
        let hidden = tracked(tape.hidden(), n, h, &device);
        let heads = ["reward.weight", "reward.bias", "done.weight", "done.bias"];
        let [rw, rb, dw, db] = heads.map(|name| {
            let value = self.weights.value(name);
            tracked(value, value.len(), 1, &device)
        });
        let mask = constant(&batch.mask, n, 1, &device);
        let nll = (definition.log_prob(hidden.clone(), constant(&batch.z_next, n, self.latent, &device)).neg() * mask.clone()).sum();
        let error = hidden.clone().matmul(rw.clone()) + rb.clone() - constant(&batch.reward, n, 1, &device);
        let reward = (error.clone() * error * mask.clone()).sum();
        // log(1 + exp(x)) − d x: cross-entropy of the logit x against d.
        let logit = hidden.clone().matmul(dw.clone()) + db.clone();
        let done = ((softplus(logit.clone(), 1.0) - logit * constant(&batch.done, n, 1, &device)) * mask).sum();
        let value = |t: &burn::Tensor<1>| f64::from(t.clone().into_scalar::<f32>());
        let sums = [value(&nll), value(&reward), value(&done)];
        let grads = ((nll + reward + done) / count).backward();

        let (g, i) = (4 * h, lstm.inputs());
        let (mut weight, mut bias) = (vec![0.0; (i + h) * g], vec![0.0; g]);
        lstm.backward(&mut tape, &gradient(&hidden, &grads), &mut weight, &mut bias);
        let mut gradients = Params::default();
        let recurrent = weight.split_off(i * g);
        gradients.push("lstm.weight_input", &[i, g], weight);
        gradients.push("lstm.weight_hidden", &[h, g], recurrent);
        gradients.push("lstm.bias", &[g], bias);
        gradients.0.extend(definition.gradients(&grads).0);
        for (name, tensor) in heads.into_iter().zip([&rw, &rb, &dw, &db]) {
            let value = gradient(tensor, &grads);
            let shape = if value.len() == 1 && name.ends_with("bias") { vec![1] } else { vec![value.len(), 1] };
            gradients.push(name, &shape, value);
        }
        Share { sums, gradients }
    }

    /// Figures over `batches`, each run from a zero state; sums are taken in order, whatever the number of threads.
    pub fn evaluate(&self, batches: &[SequenceBatch]) -> MemoryEvaluation {
        let density = self.config.density(self.latent).expect("a variant that is trained has a density");
        let density = Density::new(density, self.config.hidden, &self.weights).expect("the trainer's weights have the model's shapes");
        let linear = |name: &str, h: &[f32]| {
            let weight = self.weights.value(&format!("{name}.weight"));
            weight.iter().zip(h).map(|(w, h)| f64::from(w * h)).sum::<f64>() + f64::from(self.weights.value(&format!("{name}.bias"))[0])
        };
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
                    let (r, p) = (f64::from(batch.reward[row]), linear("reward", hidden));
                    let logit = linear("done", hidden);
                    let bce = logit.max(0.0) + (-logit.abs()).exp().ln_1p() - f64::from(batch.done[row]) * logit;
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
