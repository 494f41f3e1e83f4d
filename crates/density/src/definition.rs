//! The density as burn tensors: its definition, and the path along which heads and flows are
//! trained by autodiff.

use burn::{
    Tensor,
    tensor::{Device, Gradients, TensorData},
};
use frmdn_engine::{Params, params::ParamError};

use crate::DensityConfig;

use coupling::{TrainedFlow, TrainedLinear};

mod coupling;
mod flow;
mod matrix;
mod mixture;
mod sample;

/// Rows whose likelihoods and gradients are computed together in training.
const TOGETHER: usize = 512;

/// Longest sum in one product of burn's CPU backend. The `gemm` crate beneath it splits longer ones
/// by the size of the first-level cache, and so rounds otherwise on another machine.
const LONGEST: usize = 512;
const _: () = assert!(
    TOGETHER <= LONGEST,
    "gradients of weights sum over the rows"
);

/// Smaller gradients by the head's outputs are set to zero. Those of components far from a row are
/// subnormal numbers, for which an Intel core calls its microcode at every product.
const MIN_GRADIENT: f32 = 1e-30;

/// Parameters as tracked tensors; biases and bounds are rows `[1, n]`.
#[derive(Clone, Debug)]
pub struct Definition {
    config: DensityConfig,
    tensors: Vec<(String, Vec<usize>, Tensor<2>)>,
    /// Outputs of linear maps that were computed elsewhere, by name: those of the head in training.
    given: Vec<(String, Tensor<2>)>,
}

/// A tensor `[rows, columns]` from a slice, tracked if the device differentiates.
pub fn tracked(values: &[f32], rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    let tensor = constant(values, rows, columns, device);
    if device.is_autodiff() {
        tensor.require_grad()
    } else {
        tensor
    }
}

/// An untracked tensor `[rows, columns]` from a slice.
pub fn constant(values: &[f32], rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [rows, columns]), device)
}

/// `a` · `b` in blocks such that neither it nor its gradients sum over more than [`LONGEST`] values,
/// where `a` has no more rows than that.
fn product(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let [depth, columns] = b.dims();
    if depth <= LONGEST && columns <= LONGEST {
        return a.matmul(b);
    }
    let rows = a.dims()[0];
    let mut blocks = Vec::new();
    for j in (0..columns).step_by(LONGEST) {
        let mut sum: Option<Tensor<2>> = None;
        for k in (0..depth).step_by(LONGEST) {
            let k = k..depth.min(k + LONGEST);
            let part = a
                .clone()
                .slice([0..rows, k.clone()])
                .matmul(b.clone().slice([k, j..columns.min(j + LONGEST)]));
            sum = Some(match sum {
                None => part,
                Some(sum) => sum + part,
            });
        }
        blocks.extend(sum);
    }
    Tensor::cat(blocks, 1)
}

/// Sets tiny gradients to zero, see [`MIN_GRADIENT`].
fn flush(gradients: &mut [f32]) {
    for d in gradients {
        if d.abs() < MIN_GRADIENT {
            *d = 0.0;
        }
    }
}

/// The gradient of a tracked tensor, zeros where the loss does not depend on it.
pub fn gradient(tensor: &Tensor<2>, gradients: &Gradients) -> Vec<f32> {
    match tensor.grad(gradients) {
        Some(gradient) => gradient
            .into_data()
            .try_to_vec()
            .expect("gradients are f32"),
        None => vec![0.0; tensor.dims().iter().product()],
    }
}

/// What one training step needs of the density.
#[derive(Clone, Debug)]
pub struct LossAndGradient {
    /// log p(y | h) of each row.
    pub log_prob: Vec<f32>,
    /// Gradients of the loss by the density's parameters, in their order.
    pub parameters: Params,
    /// Gradient of the loss by the features `[rows, features]`.
    pub features: Vec<f32>,
}

impl Definition {
    /// The loss −Σ wᵢ log p(yᵢ | hᵢ) and its gradients: `h` is `[rows, features]`, `y` `[rows,
    /// dim]`, `weights` `[rows]` (zero for padding, else one over the number of real rows for a
    /// mean). `params` may hold other tensors too.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    ///
    /// # Panics
    /// If there are no rows or a length disagrees.
    pub fn loss_and_gradient(
        config: DensityConfig,
        params: &Params,
        h: &[f32],
        y: &[f32],
        weights: &[f32],
    ) -> Result<LossAndGradient, ParamError> {
        let features = h.len() / weights.len();
        let step = TrainingStep::load(config, features, params)?;
        let mut all = LossAndGradient {
            log_prob: Vec::new(),
            parameters: zeros(&config, features),
            features: Vec::new(),
        };
        // A few rows at a time: what is stored for the backward pass then stays in the cache.
        let parts = h
            .chunks(TOGETHER * features)
            .zip(y.chunks(TOGETHER * config.dim))
            .zip(weights.chunks(TOGETHER));
        for ((h, y), weights) in parts {
            step.add(h, y, weights, &mut all);
        }
        Ok(all)
    }

    /// Tensors of `params` on `device` (an autodiff device for training).
    pub fn new(
        config: DensityConfig,
        features: usize,
        params: &Params,
        device: &Device,
    ) -> Result<Self, ParamError> {
        Self::load(config, features, params, device, |_| true)
    }

    /// The same with those tensors alone whose names are `wanted`.
    fn load(
        config: DensityConfig,
        features: usize,
        params: &Params,
        device: &Device,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, ParamError> {
        let tensors = config.tensors(features).into_iter();
        let list = tensors
            .filter(|(name, _)| wanted(name))
            .map(|(name, shape)| {
                let value = params.get(&name, &shape)?;
                let (rows, columns) = if let [rows, columns] = shape[..] {
                    (rows, columns)
                } else {
                    (1, value.len())
                };
                Ok((name, shape, tracked(value, rows, columns, device)))
            });
        Ok(Self {
            config,
            tensors: list.collect::<Result<_, _>>()?,
            given: Vec::new(),
        })
    }

    /// The configuration.
    pub fn config(&self) -> &DensityConfig {
        &self.config
    }

    /// Gradients of all parameters in their order.
    pub fn gradients(&self, gradients: &Gradients) -> Params {
        let mut out = Params::default();
        for (name, shape, tensor) in &self.tensors {
            out.push(name, shape, gradient(tensor, gradients));
        }
        out
    }

    /// Adds the gradients of its tensors to those of the same names in `all`.
    fn add_gradients(&self, gradients: &Gradients, all: &mut Params) {
        for (name, _, tensor) in &self.tensors {
            let sum = all.0.iter_mut().find(|p| p.name == *name);
            let sum = sum.expect("a density's gradients have all of its tensors");
            for (sum, d) in sum.value.iter_mut().zip(gradient(tensor, gradients)) {
                *sum += d;
            }
        }
    }

    fn get(&self, name: &str) -> Tensor<2> {
        let found = self.tensors.iter().find(|(n, _, _)| n == name);
        found
            .expect("every name comes from the configuration")
            .2
            .clone()
    }

    fn linear(&self, name: &str, x: Tensor<2>) -> Tensor<2> {
        if let Some((_, output)) = self.given.iter().find(|(n, _)| n == name) {
            return output.clone();
        }
        product(x, self.get(&format!("{name}.weight"))) + self.get(&format!("{name}.bias"))
    }
}

/// What a step of training computes where: the head, a matrix and affine couplings on the engine, the
/// rest by autodiff.
struct TrainingStep {
    config: DensityConfig,
    features: usize,
    head: Vec<TrainedLinear>,
    flow: Option<TrainedFlow>,
    /// What autodiff computes. It has no flow where that is computed on the engine.
    definition: Definition,
    /// Whether autodiff sees the features themselves, beside the head's outputs.
    sees_features: bool,
    device: Device,
}

impl TrainingStep {
    fn load(config: DensityConfig, features: usize, params: &Params) -> Result<Self, ParamError> {
        let device = Device::flex().autodiff();
        // Where means are changes of a point, the flow moves that too: by autodiff.
        let flow = match config.residual {
            false => TrainedFlow::load(&config, features, params)?,
            true => None,
        };
        let by_autodiff = DensityConfig {
            flow: config.flow.filter(|_| flow.is_none()),
            ..config
        };
        let conditional = by_autodiff.flow.is_some_and(|flow| flow.conditional);
        Ok(Self {
            config,
            features,
            head: head(&config, features, params)?,
            flow,
            definition: Definition::load(by_autodiff, features, params, &device, |name| {
                !name.starts_with("head.")
            })?,
            sees_features: config.residual || conditional,
            device,
        })
    }

    /// Adds what these rows come to.
    fn add(&self, h: &[f32], y: &[f32], weights: &[f32], all: &mut LossAndGradient) {
        let (rows, dim, device) = (weights.len(), self.config.dim, &self.device);
        let mut x = y.to_vec();
        let moved = self.flow.as_ref().map(|flow| flow.forward(h, &mut x));
        let target = match moved {
            Some(_) => tracked(&x, rows, dim, device),
            None => constant(y, rows, dim, device),
        };
        let given = self.head.iter().map(|layer| {
            let y = layer.forward(h, rows);
            let y = tracked(&y, rows, layer.outputs, device);
            (layer.name.clone(), y)
        });
        let definition = Definition {
            given: given.collect(),
            ..self.definition.clone()
        };
        let seen = match self.sees_features {
            true => tracked(h, rows, self.features, device),
            false => Tensor::zeros([rows, 1], device),
        };
        let log_prob = definition.log_prob(seen.clone(), target.clone());
        let gradients = (log_prob.clone() * constant(weights, rows, 1, device))
            .sum()
            .neg()
            .backward();
        let log_prob = log_prob
            .into_data()
            .try_to_vec::<f32>()
            .expect("likelihoods are f32");
        definition.add_gradients(&gradients, &mut all.parameters);
        let mut d_features = match self.sees_features {
            true => gradient(&seen, &gradients),
            false => vec![0.0; rows * self.features],
        };
        for (output, layer) in definition.given.iter().zip(&self.head) {
            let mut dy = gradient(&output.1, &gradients);
            flush(&mut dy);
            layer.backward_weights(h, &dy, rows, &mut all.parameters);
            let through = layer.backward_input(&dy, rows, self.features);
            for (d, more) in d_features.iter_mut().zip(through) {
                *d += more;
            }
        }
        if let (Some(flow), Some((log_det, tape))) = (&self.flow, moved) {
            let both = log_prob.iter().zip(&log_det);
            all.log_prob.extend(both.map(|(a, b)| a + b));
            let mut dx = gradient(&target, &gradients);
            flush(&mut dx);
            let d_log_det: Vec<f32> = weights.iter().map(|w| -w).collect();
            let parameters = &mut all.parameters;
            flow.backward(&tape, &mut dx, &d_log_det, parameters, &mut d_features);
        } else {
            all.log_prob.extend(log_prob);
        }
        all.features.extend(d_features);
    }
}

/// The linear maps of the head on the engine: nearly all of the likelihood's products. Between burn
/// and these products tiny gradients are set to zero (see [`MIN_GRADIENT`]); where none is
/// subnormal, burn's own products take the same time.
fn head(
    config: &DensityConfig,
    features: usize,
    params: &Params,
) -> Result<Vec<TrainedLinear>, ParamError> {
    let tensors = config.tensors(features);
    let names = tensors.iter().filter_map(|(name, _)| {
        name.strip_suffix(".weight")
            .filter(|name| name.starts_with("head."))
    });
    names
        .map(|name| TrainedLinear::load(name, &tensors, params))
        .collect()
}

/// Zeros in the shapes of all parameters.
fn zeros(config: &DensityConfig, features: usize) -> Params {
    let mut out = Params::default();
    for (name, shape) in config.tensors(features) {
        out.push(name, &shape, vec![0.0; shape.iter().product()]);
    }
    out
}

/// Takes the values of tensor `at` out, to be put back.
fn take_layer(params: &mut Params, at: usize) -> Vec<f32> {
    std::mem::take(&mut params.0[at].value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums longer than a block, and more columns than one: the product and both its gradients, for
    /// the loss Σ Wᵢⱼ (a b)ᵢⱼ, by plain loops.
    #[test]
    fn a_product_in_blocks_and_its_gradients_equal_the_loops() {
        let (m, k, n) = (3, 2 * LONGEST + 5, LONGEST + 7);
        let values = |count: usize, step: f32| -> Vec<f32> {
            (0..count).map(|i| (i as f32 * step).sin()).collect()
        };
        let (a, b, w) = (
            values(m * k, 0.37),
            values(k * n, 0.71),
            values(m * n, 0.13),
        );
        let device = Device::flex().autodiff();
        let (ta, tb) = (tracked(&a, m, k, &device), tracked(&b, k, n, &device));
        let c = product(ta.clone(), tb.clone());
        let gradients = (c.clone() * constant(&w, m, n, &device)).sum().backward();
        let sum = |terms: &mut dyn Iterator<Item = (f32, f32)>| -> f64 {
            terms.map(|(x, y)| f64::from(x) * f64::from(y)).sum()
        };
        let c: Vec<f32> = c.into_data().try_to_vec().unwrap();
        let (da, db) = (gradient(&ta, &gradients), gradient(&tb, &gradients));
        for i in 0..m {
            for j in 0..n {
                let want = sum(&mut (0..k).map(|l| (a[i * k + l], b[l * n + j])));
                assert!((f64::from(c[i * n + j]) - want).abs() < 1e-3);
            }
            for l in 0..k {
                let want = sum(&mut (0..n).map(|j| (w[i * n + j], b[l * n + j])));
                assert!((f64::from(da[i * k + l]) - want).abs() < 1e-3);
            }
        }
        for l in 0..k {
            for j in 0..n {
                let want = sum(&mut (0..m).map(|i| (a[i * k + l], w[i * n + j])));
                assert!((f64::from(db[l * n + j]) - want).abs() < 1e-4);
            }
        }
    }
}
