//! M in burn tensors: the definition of recurrence and heads, and the path of devices other than
//! the engine.

use burn::tensor::{
    Device, Tensor,
    activation::{relu, sigmoid},
};
use frmdn_density::{Definition, constant, gradient, tracked};
use frmdn_engine::{Params, params::ParamError};

use super::{MemoryConfig, SequenceBatch};

/// The weights of M as tensors on a device.
pub struct MemoryDefinition {
    config: MemoryConfig,
    latent: usize,
    /// Name, shape and tensor of LSTM and heads; biases are rows `[1, n]`.
    tensors: Vec<(String, Vec<usize>, Tensor<2>)>,
    /// The density of the next latent.
    pub density: Definition,
}

/// Sums over a batch and the gradients of its loss.
pub(super) struct BatchGradients {
    /// Σ −log p, Σ (r̂ − r)², Σ of the ends' cross-entropies, over the real steps.
    pub sums: [f64; 3],
    pub gradients: Params,
    /// [h, c] after the last step [B, 2 hidden].
    pub last: Vec<f32>,
}

impl MemoryDefinition {
    /// The weights of a variant with a density on `device` (an autodiff device for training).
    pub fn new(
        config: &MemoryConfig,
        latent: usize,
        actions: usize,
        weights: &Params,
        device: &Device,
    ) -> Result<Self, ParamError> {
        let h = config.hidden;
        let shapes: [(&str, Vec<usize>); 7] = [
            ("lstm.weight_input", vec![latent + actions, 4 * h]),
            ("lstm.weight_hidden", vec![h, 4 * h]),
            ("lstm.bias", vec![4 * h]),
            ("reward.weight", vec![h, 1]),
            ("reward.bias", vec![1]),
            ("done.weight", vec![h, 1]),
            ("done.bias", vec![1]),
        ];
        let tensors = shapes.into_iter().map(|(name, shape)| {
            let value = weights.get(name, &shape)?;
            let (rows, columns) = if let [rows, columns] = shape[..] {
                (rows, columns)
            } else {
                (1, value.len())
            };
            Ok((
                name.to_owned(),
                shape,
                tracked(value, rows, columns, device),
            ))
        });
        let tensors = tensors.collect::<Result<_, _>>()?;
        let density = config
            .density(latent)
            .ok_or_else(|| ParamError::Missing("head.logits.weight".into()))?;
        Ok(Self {
            config: *config,
            latent,
            tensors,
            density: Definition::new(density, config.features(latent), weights, device)?,
        })
    }

    /// The memory's settings.
    pub fn config(&self) -> &MemoryConfig {
        &self.config
    }

    /// What the density sees: `hidden`, and the latent `z` just consumed where means are changes of
    /// it.
    pub fn features(&self, hidden: Tensor<2>, z: Tensor<2>) -> Tensor<2> {
        if self.config.residual {
            Tensor::cat(vec![hidden, z], 1)
        } else {
            hidden
        }
    }

    fn get(&self, name: &str) -> Tensor<2> {
        let found = self.tensors.iter().find(|(n, ..)| n == name);
        found.expect("every name is in the list above").2.clone()
    }

    /// One step (equation 14): `x` [rows, latent + actions], h and c [rows, hidden] to the next h
    /// and c.
    pub fn step(
        &self,
        x: Tensor<2>,
        hidden: Tensor<2>,
        cells: Tensor<2>,
    ) -> (Tensor<2>, Tensor<2>) {
        let (h, [rows, _]) = (self.config.hidden, x.dims());
        let gates = x.matmul(self.get("lstm.weight_input"))
            + hidden.matmul(self.get("lstm.weight_hidden"))
            + self.get("lstm.bias");
        let gate = |k: usize| gates.clone().slice([0..rows, k * h..(k + 1) * h]);
        let cells = sigmoid(gate(1)) * cells + sigmoid(gate(0)) * gate(2).tanh();
        (sigmoid(gate(3)) * cells.clone().tanh(), cells)
    }

    /// Reward, and the logit of the end (equation 16), of each row of `hidden` `[rows, 1]`.
    pub fn heads(&self, hidden: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let head = |name: &str| {
            hidden.clone().matmul(self.get(&format!("{name}.weight")))
                + self.get(&format!("{name}.bias"))
        };
        (head("reward"), head("done"))
    }

    /// The loss (equation 17) of `batch`, divided by `count`, differentiated by all weights: what
    /// the trainer's shards do on the engine. `dropout` `[T · B, hidden]` multiplies h where heads
    /// and density see it (dropout); empty for all.
    pub(super) fn differentiate(
        &self,
        batch: &SequenceBatch,
        dropout: &[f32],
        count: f64,
        device: &Device,
    ) -> BatchGradients {
        let (steps, size, h) = (batch.steps, batch.batch, self.config.hidden);
        let (n, inputs) = (steps * size, batch.inputs());
        let width = inputs.len() / n;
        let start = |at: usize| match batch.start.len() {
            0 => Tensor::zeros([size, h], device),
            _ => constant(&batch.start, 2 * size, h, device)
                .reshape([size, 2, h])
                .slice([0..size, at..at + 1, 0..h])
                .reshape([size, h]),
        };
        let (mut hidden, mut cells): (Tensor<2>, Tensor<2>) = (start(0), start(1));
        let mut all = Vec::with_capacity(steps);
        for x in inputs.chunks_exact(size * width) {
            (hidden, cells) = self.step(constant(x, size, width, device), hidden, cells);
            all.push(hidden.clone());
        }
        let last = Tensor::cat(vec![hidden, cells], 1)
            .into_data()
            .try_to_vec()
            .expect("states are f32");
        let hidden = Tensor::cat(all, 0);
        let hidden = if dropout.is_empty() {
            hidden
        } else {
            hidden * constant(dropout, n, h, device)
        };
        let column = |v: &[f32]| constant(v, n, 1, device);
        let (mask, reward, done) = (
            column(&batch.mask),
            column(&batch.reward),
            column(&batch.done),
        );
        let log_prob = {
            let z = constant(&batch.z, n, self.latent, device);
            self.density.log_prob(
                self.features(hidden.clone(), z),
                constant(&batch.z_next, n, self.latent, device),
            )
        };
        let (predicted, logit) = self.heads(hidden);
        let error = predicted - reward;
        let squares = error.clone() * error;
        let softplus = |x: Tensor<2>| relu(x.clone()) + (x.abs().neg().exp() + 1.0).log();
        let loss = self.config.loss;
        let w = loss.done_positive_weight;
        let moved = logit.clone() + libm::log(w);
        let ends = softplus(moved.clone().neg()) * done.clone() * w
            + softplus(moved) * (done.clone().neg() + 1.0);
        let cross_entropy = softplus(logit.clone()) - logit * done;
        let total = log_prob.clone().neg()
            + squares.clone() * (loss.reward_scale * loss.reward_scale)
            + ends * loss.done_weight;
        let gradients = ((total * mask.clone()).sum() / count).backward();
        let sum = |x: Tensor<2>| f64::from((x * mask.clone()).sum().into_scalar::<f32>());
        let mut list = Params::default();
        for (name, shape, tensor) in &self.tensors[..3] {
            list.push(name, shape, gradient(tensor, &gradients));
        }
        list.0.extend(self.density.gradients(&gradients).0);
        for (name, shape, tensor) in &self.tensors[3..] {
            list.push(name, shape, gradient(tensor, &gradients));
        }
        BatchGradients {
            sums: [sum(log_prob.neg()), sum(squares), sum(cross_entropy)],
            gradients: list,
            last,
        }
    }
}
