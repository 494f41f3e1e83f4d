//! The density as burn tensors: its definition, and the path along which heads and flows are trained by autodiff.

use burn::{
    Tensor,
    tensor::{Device, Gradients, TensorData},
};
use frmdn_engine::{Params, params::ParamError};

use crate::{DensityConfig, LEAK, LOG_PRECISION_LIMIT};

/// Rows whose likelihoods and gradients are computed together in training.
const TOGETHER: usize = 512;

/// Parameters as tracked tensors; biases and bounds are rows `[1, n]`.
#[derive(Clone, Debug)]
pub struct Definition {
    config: DensityConfig,
    tensors: Vec<(String, Vec<usize>, Tensor<2>)>,
}

/// A tensor `[rows, columns]` from a slice, tracked if the device differentiates.
pub fn tracked(values: &[f32], rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    let tensor = constant(values, rows, columns, device);
    if device.is_autodiff() { tensor.require_grad() } else { tensor }
}

/// An untracked tensor `[rows, columns]` from a slice.
pub fn constant(values: &[f32], rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), [rows, columns]), device)
}

/// The gradient of a tracked tensor, zeros where the loss does not depend on it.
pub fn gradient(tensor: &Tensor<2>, gradients: &Gradients) -> Vec<f32> {
    let zeros = || vec![0.0; tensor.dims().iter().product()];
    tensor.grad(gradients).map_or_else(zeros, |g| g.into_data().try_to_vec().expect("gradients are f32"))
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
    /// The loss −Σ wᵢ log p(yᵢ | hᵢ) and its gradients: `h` is `[rows, features]`, `y` `[rows, dim]`, `weights` `[rows]`
    /// (zero for padding, else one over the number of real rows for a mean). `params` may hold other tensors too.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    ///
    /// # Panics
    /// If a length disagrees.
    pub fn loss_and_gradient(
        config: DensityConfig,
        params: &Params,
        h: &[f32],
        y: &[f32],
        weights: &[f32],
    ) -> Result<LossAndGradient, ParamError> {
        let (device, rows) = (Device::flex().autodiff(), weights.len());
        let features = h.len() / rows;
        let definition = Self::new(config, features, params, &device)?;
        let mut all: Option<LossAndGradient> = None;
        // A few rows at a time: what is kept for the way back then stays in the cache.
        let parts = h.chunks(TOGETHER * features).zip(y.chunks(TOGETHER * config.dim)).zip(weights.chunks(TOGETHER));
        for ((h, y), weights) in parts {
            let rows = weights.len();
            let h = tracked(h, rows, features, &device);
            let log_prob = definition.log_prob(h.clone(), constant(y, rows, config.dim, &device));
            let gradients = (log_prob.clone() * constant(weights, rows, 1, &device)).sum().neg().backward();
            let part = LossAndGradient {
                log_prob: log_prob.into_data().try_to_vec().expect("likelihoods are f32"),
                parameters: definition.gradients(&gradients),
                features: gradient(&h, &gradients),
            };
            match &mut all {
                None => all = Some(part),
                Some(all) => {
                    all.log_prob.extend(part.log_prob);
                    all.parameters.add_assign(&part.parameters);
                    all.features.extend(part.features);
                }
            }
        }
        Ok(all.unwrap_or_else(|| LossAndGradient {
            log_prob: Vec::new(),
            parameters: definition.gradients(&Tensor::<1>::zeros([1], &device).require_grad().sum().backward()),
            features: Vec::new(),
        }))
    }

    /// Tensors of `params` on `device` (an autodiff device for training).
    pub fn new(config: DensityConfig, features: usize, params: &Params, device: &Device) -> Result<Self, ParamError> {
        let list = config.tensors(features).into_iter().map(|(name, shape)| {
            let value = params.get(&name, &shape)?;
            let (rows, columns) = if let [rows, columns] = shape[..] { (rows, columns) } else { (1, value.len()) };
            Ok((name, shape, tracked(value, rows, columns, device)))
        });
        Ok(Self { config, tensors: list.collect::<Result<_, _>>()? })
    }

    /// Gradients of all parameters in their order.
    pub fn gradients(&self, gradients: &Gradients) -> Params {
        let mut out = Params::default();
        for (name, shape, tensor) in &self.tensors {
            out.push(name, shape, gradient(tensor, gradients));
        }
        out
    }

    fn get(&self, name: &str) -> Tensor<2> {
        let found = self.tensors.iter().find(|(n, _, _)| n == name);
        found.expect("every name comes from the configuration").2.clone()
    }

    fn linear(&self, name: &str, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.get(&format!("{name}.weight"))) + self.get(&format!("{name}.bias"))
    }

    /// Equation 6: x = f(y) and log|det ∂f/∂y| `[rows, 1]`.
    pub fn forward(&self, y: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let [rows, dim] = y.dims();
        let half = dim / 2;
        let mut log_det = Tensor::zeros([rows, 1], &y.device());
        if self.config.flow.is_none() {
            return (y, log_det);
        }
        // The halves stay apart until the end: y itself is not tracked, so that cutting it costs nothing on the way back.
        let mut halves = [y.clone().slice([0..rows, 0..half]), y.slice([0..rows, half..dim])];
        for i in 0..self.config.flow.map_or(0, |f| f.couplings) {
            let (kept, moved) = if i.is_multiple_of(2) { (0, 1) } else { (1, 0) };
            let (s, t) = self.condition(i, halves[kept].clone());
            halves[moved] = halves[moved].clone() * s.clone().exp() + t;
            log_det = log_det + s.sum_dim(1);
        }
        let [a, b] = halves;
        (Tensor::cat(vec![a, b], 1), log_det)
    }

    /// The inverse of [`Definition::forward`], base to data.
    pub fn inverse(&self, x: Tensor<2>) -> Tensor<2> {
        let [rows, dim] = x.dims();
        let half = dim / 2;
        let mut halves = [x.clone().slice([0..rows, 0..half]), x.slice([0..rows, half..dim])];
        for i in (0..self.config.flow.map_or(0, |f| f.couplings)).rev() {
            let (kept, moved) = if i.is_multiple_of(2) { (0, 1) } else { (1, 0) };
            let (s, t) = self.condition(i, halves[kept].clone());
            halves[moved] = (halves[moved].clone() - t) * s.neg().exp();
        }
        let [a, b] = halves;
        Tensor::cat(vec![a, b], 1)
    }

    /// Log-scales and shifts of coupling `i` from the half that it keeps.
    fn condition(&self, i: usize, kept: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let mut a = kept;
        for layer in 1..=3 {
            a = leaky_relu(self.linear(&format!("flow.{i}.layer{layer}"), a));
        }
        let s = self.linear(&format!("flow.{i}.log_scale"), a.clone()).tanh() * self.get(&format!("flow.{i}.bound"));
        (s, self.linear(&format!("flow.{i}.shift"), a))
    }

    /// A draw from p(· | h) of each row at temperature τ, as [`Density::sample`](crate::Density::sample) makes it, from chances
    /// that are given: `uniform` `[rows, 1]` in 0..1 chooses the component, `noise` `[rows, dim + rank]` is standard normal.
    pub fn sample(&self, h: Tensor<2>, temperature: f32, uniform: Tensor<2>, noise: Tensor<2>) -> Tensor<2> {
        let DensityConfig { dim, components, rank, .. } = self.config;
        let [rows, _] = h.dims();
        let logits = self.linear("head.logits", h.clone());
        let most = logits.clone().max_dim(1);
        // 1 for the component that was chosen, else 0.
        let chosen: Tensor<2> = if temperature > 0.0 {
            let weights = ((logits - most) / f64::from(temperature)).exp();
            let at = uniform * weights.clone().sum_dim(1);
            let mut passed = Tensor::zeros([rows, 1], &h.device());
            let columns = (0..components).map(|k| {
                let from = at.clone().greater_equal(passed.clone()).float();
                passed = passed.clone() + weights.clone().slice([0..rows, k..k + 1]);
                // The last one takes what rounding leaves.
                if k + 1 == components { from } else { from * at.clone().lower(passed.clone()).float() }
            });
            Tensor::cat(columns.collect(), 1)
        } else {
            logits.greater_equal(most).float()
        };
        let chosen = chosen.reshape([rows, components, 1]);
        let part = |name: &str| -> Tensor<2> {
            let all = self.linear(&format!("head.{name}"), h.clone()).reshape([rows, components, dim]);
            (all * chosen.clone()).sum_dim(1).reshape([rows, dim])
        };
        let mean = part("mean");
        if temperature <= 0.0 {
            return self.inverse(mean);
        }
        // Equation 5 with V = D^-½ U: P⁻¹ v = D^-½ (w − V C⁻¹ Vᵀ w), w = ε₁ + V ε₂, C = I + Vᵀ V.
        let limit = LOG_PRECISION_LIMIT;
        let scale = (part("log_precision").clamp(-limit, limit) * -0.5).exp();
        let v: Vec<Tensor<2>> = (0..rank).map(|j| part(&format!("factor{j}")) * scale.clone()).collect();
        let mut w = noise.clone().slice([0..rows, 0..dim]);
        for (j, v) in v.iter().enumerate() {
            w = w + v.clone() * noise.clone().slice([0..rows, dim + j..dim + j + 1]);
        }
        let dot = |a: &Tensor<2>, b: &Tensor<2>| (a.clone() * b.clone()).sum_dim(1);
        let mut l: Vec<Vec<Tensor<2>>> = Vec::new();
        for i in 0..rank {
            let mut row: Vec<Tensor<2>> = Vec::new();
            for j in 0..=i {
                let mut c = dot(&v[i], &v[j]);
                for k in 0..j {
                    let other = if i == j { row[k].clone() } else { l[j][k].clone() };
                    c = c - row[k].clone() * other;
                }
                row.push(if i == j { (c + 1.0).clamp_min(1.0).sqrt() } else { c / l[j][j].clone() });
            }
            l.push(row);
        }
        let mut t: Vec<Tensor<2>> = v.iter().map(|v| dot(v, &w)).collect();
        for i in 0..rank {
            for k in 0..i {
                t[i] = t[i].clone() - l[i][k].clone() * t[k].clone();
            }
            t[i] = t[i].clone() / l[i][i].clone();
        }
        for i in (0..rank).rev() {
            for k in i + 1..rank {
                t[i] = t[i].clone() - l[k][i].clone() * t[k].clone();
            }
            t[i] = t[i].clone() / l[i][i].clone();
        }
        for (v, t) in v.into_iter().zip(t) {
            w = w - v * t;
        }
        self.inverse(mean + w * scale * f64::from(temperature).sqrt())
    }

    /// Equation 1: log p(y | h) of each row `[rows, 1]`; `h` is `[rows, features]`, `y` `[rows, dim]`.
    pub fn log_prob(&self, h: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        let DensityConfig { dim, components, rank, .. } = self.config;
        let [rows, _] = y.dims();
        let wide = |name: &str| -> Tensor<3> { self.linear(&format!("head.{name}"), h.clone()).reshape([rows, components, dim]) };
        let (x, log_det) = self.forward(y);
        let log_d = clamped(wide("log_precision"));
        // With a = √D e and V = D^-½ U both equations are sums over dimensions of products of a and V:
        // eᵀ P e = ‖a‖² + ‖Vᵀ a‖² and C = I + Vᵀ V.
        let a = (x.unsqueeze_dim::<3>(1) - wide("mean")) * (log_d.clone() * 0.5).exp();
        let over_dimensions = |x: Tensor<3>| -> Tensor<2> { x.sum_dim(2).reshape([rows, components]) };
        let v: Vec<Tensor<3>> = match rank {
            0 => Vec::new(),
            _ => {
                let scale = (log_d.clone() * -0.5).exp();
                (0..rank).map(|j| wide(&format!("factor{j}")) * scale.clone()).collect()
            }
        };
        // Equation 4.
        let mut quadratic = over_dimensions(a.clone() * a.clone());
        for v in &v {
            let projection = over_dimensions(v.clone() * a.clone());
            quadratic = quadratic + projection.clone() * projection;
        }
        // Equation 3: the capacitance C, entry by entry, and its Cholesky factor, unrolled.
        let mut log_det_p = over_dimensions(log_d);
        let mut l: Vec<Vec<Tensor<2>>> = Vec::new();
        for i in 0..rank {
            let mut row: Vec<Tensor<2>> = Vec::new();
            for j in 0..=i {
                let mut c = over_dimensions(v[i].clone() * v[j].clone());
                if i == j {
                    c = c + 1.0;
                }
                for k in 0..j {
                    let other = if i == j { row[k].clone() } else { l[j][k].clone() };
                    c = c - row[k].clone() * other;
                }
                if i == j {
                    // A pivot of I + (something positive semi-definite) is never below 1; rounding can take it there.
                    c = c.clamp_min(1.0);
                    log_det_p = log_det_p + c.clone().log();
                    c = c.sqrt();
                } else {
                    c = c / l[j][j].clone();
                }
                row.push(c);
            }
            l.push(row);
        }
        let logits = self.linear("head.logits", h.clone());
        let joint = logits.clone() + (log_det_p - quadratic) * 0.5;
        let constant = 0.5 * dim as f64 * (2.0 * std::f64::consts::PI).ln();
        log_sum_exp(joint) - log_sum_exp(logits) + log_det - constant
    }
}

/// LeakyReLU as a sum: burn's own masks branch at every element, at several times the cost.
fn leaky_relu(x: Tensor<2>) -> Tensor<2> {
    burn::tensor::activation::relu(x.clone()) * (1.0 - f64::from(LEAK)) + x * f64::from(LEAK)
}

/// log d within its limits. Clamping is three masks on the way there and back, more than the likelihood itself, and
/// in practice nothing ever is outside: so one look first.
fn clamped(log_d: Tensor<3>) -> Tensor<3> {
    let limit = LOG_PRECISION_LIMIT;
    let most: f32 = log_d.clone().detach().abs().max().into_scalar();
    // Written so that NaN takes the way of the masks.
    if most <= limit { log_d } else { log_d.clamp(-limit, limit) }
}

/// Row-wise log Σ exp; the maximum is a constant of the way back, where it cancels.
fn log_sum_exp(x: Tensor<2>) -> Tensor<2> {
    let most = x.clone().detach().max_dim(1);
    (x - most.clone()).exp().sum_dim(1).log() + most
}
