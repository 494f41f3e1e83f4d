//! A recurrent density in burn tensors: the definition, and the path of devices other than the
//! engine.

use burn::tensor::{Device, Tensor, activation::sigmoid};
use frmdn_density::{constant, gradient, tracked};
use frmdn_engine::{Params, params::ParamError};

use super::{Heads, NoHeads, RecurrentConfig, Sequences};

/// The weights of a recurrent density and of its heads as tensors on a device.
pub struct Definition<H = NoHeads> {
    pub(crate) config: RecurrentConfig,
    pub(crate) heads: H,
    /// Biases are rows `[1, n]`.
    lstm: Vec<Named>,
    /// p(next | features).
    pub density: frmdn_density::Definition,
    head_tensors: Vec<Named>,
}

/// Name, shape and tensor.
type Named = (String, Vec<usize>, Tensor<2>);

/// Sums over a batch and the gradients of its loss.
pub(crate) struct BatchGradients {
    /// Σ −log p, and Σ of each of the heads' losses, over the real steps.
    pub sums: Vec<f64>,
    pub gradients: Params,
    /// [h, c] after the last step [B, 2 hidden].
    pub last: Vec<f32>,
}

impl<H: Heads> Definition<H> {
    /// `weights` on `device` (an autodiff device for training).
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn of(
        config: RecurrentConfig,
        heads: H,
        weights: &Params,
        device: &Device,
    ) -> Result<Self, ParamError> {
        let named = |name: String, shape: Vec<usize>| {
            let value = weights.get(&name, &shape)?;
            let (rows, columns) = match shape[..] {
                [rows, columns] => (rows, columns),
                _ => (1, value.len()),
            };
            let tensor = tracked(value, rows, columns, device);
            Ok((name, shape, tensor))
        };
        let (h, features) = (config.hidden, config.features());
        let lstm = [
            ("lstm.weight_input", vec![config.inputs(), 4 * h]),
            ("lstm.weight_hidden", vec![h, 4 * h]),
            ("lstm.bias", vec![4 * h]),
        ];
        let lstm = lstm.map(|(name, shape)| named(name.into(), shape));
        let of_heads = heads.tensors(h, config.dim()).into_iter();
        Ok(Self {
            config,
            lstm: lstm.into_iter().collect::<Result<_, _>>()?,
            density: frmdn_density::Definition::new(config.density, features, weights, device)?,
            head_tensors: of_heads
                .map(|(name, shape)| named(name, shape))
                .collect::<Result<_, _>>()?,
            heads,
        })
    }

    /// What the density sees: `hidden`, and the values just consumed where means are changes of
    /// them.
    pub fn features(&self, hidden: Tensor<2>, seen: Tensor<2>) -> Tensor<2> {
        if self.config.density.residual {
            Tensor::cat(vec![hidden, seen], 1)
        } else {
            hidden
        }
    }

    /// The heads' tensors, in their order.
    pub(crate) fn head_tensors(&self) -> Vec<Tensor<2>> {
        let tensors = self.head_tensors.iter();
        tensors.map(|(.., tensor)| tensor.clone()).collect()
    }

    /// One step (equation 14): `x` [rows, inputs], h and c [rows, hidden] to the next h and c.
    pub fn step(
        &self,
        x: Tensor<2>,
        hidden: Tensor<2>,
        cells: Tensor<2>,
    ) -> (Tensor<2>, Tensor<2>) {
        let (h, [rows, _]) = (self.config.hidden, x.dims());
        let weight = |at: usize| self.lstm[at].2.clone();
        let gates = x.matmul(weight(0)) + hidden.matmul(weight(1)) + weight(2);
        let gate = |k: usize| gates.clone().slice([0..rows, k * h..(k + 1) * h]);
        let cells = sigmoid(gate(1)) * cells + sigmoid(gate(0)) * gate(2).tanh();
        (sigmoid(gate(3)) * cells.clone().tanh(), cells)
    }

    /// The loss (equation 17) of `batch`, divided by `count`, differentiated by all weights: what
    /// the trainer's shards do on the engine. `dropout` `[T · B, hidden]` multiplies h where heads
    /// and density see it (dropout); empty for all.
    pub(crate) fn differentiate(
        &self,
        batch: &Sequences<H::Targets>,
        dropout: &[f32],
        count: f64,
        device: &Device,
    ) -> BatchGradients {
        let (steps, size, h) = (batch.steps, batch.batch, self.config.hidden);
        let (n, inputs, dim) = (steps * size, batch.inputs(), self.config.dim());
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
        let mask = constant(&batch.mask, n, 1, device);
        let next = constant(&batch.next, n, dim, device);
        let log_prob = self.density.log_prob(
            self.features(hidden.clone(), constant(&batch.seen, n, dim, device)),
            next.clone(),
        );
        let (beside, each) = self
            .heads
            .define(&self.head_tensors(), hidden, next, &batch.targets);
        let total = log_prob.clone().neg() + beside;
        let gradients = ((total * mask.clone()).sum() / count).backward();
        let sum = |x: Tensor<2>| f64::from((x * mask.clone()).sum().into_scalar::<f32>());
        let mut list = Params::default();
        for (name, shape, tensor) in &self.lstm {
            list.push(name, shape, gradient(tensor, &gradients));
        }
        list.0.extend(self.density.gradients(&gradients).0);
        for (name, shape, tensor) in &self.head_tensors {
            list.push(name, shape, gradient(tensor, &gradients));
        }
        let losses = std::iter::once(log_prob.neg()).chain(each);
        BatchGradients {
            sums: losses.map(sum).collect(),
            gradients: list,
            last,
        }
    }
}
