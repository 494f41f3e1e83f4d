//! The matrix of a flow forward and backward on the engine (equation 10).

use frmdn_engine::{Params, linear::Linear, params::ParamError};

use super::take_layer;
use crate::DensityConfig;

/// x = L U y with what its gradients need.
pub(super) struct TrainedMatrix {
    dim: usize,
    /// L and U, `[d, d]` each, with their diagonals.
    lower: Vec<f32>,
    upper: Vec<f32>,
    /// The logarithms of U's diagonal, and whether they are within their limit.
    log_diagonal: Vec<f32>,
    is_within: Vec<bool>,
    /// Rows times (L U)ᵀ.
    both: Linear,
    /// Numbers of the lower and the upper part and of the diagonal in the list of tensors.
    at: [usize; 3],
}

impl TrainedMatrix {
    /// The matrix of `config`, if its flow has one, whose tensors are those of `tensors` in that order.
    pub fn load(
        config: &DensityConfig,
        tensors: &[(String, Vec<usize>)],
        params: &Params,
    ) -> Result<Option<Self>, ParamError> {
        if !config.has_matrix() {
            return Ok(None);
        }
        let d = config.dim;
        let place = |name: &str| {
            let at = tensors.iter().position(|(n, _)| n == name);
            at.ok_or_else(|| ParamError::Missing(name.to_owned()))
        };
        let at = [
            place("flow.lower")?,
            place("flow.upper")?,
            place("flow.log_diagonal")?,
        ];
        let mut lower = params.get("flow.lower", &[d, d])?.to_vec();
        let mut upper = params.get("flow.upper", &[d, d])?.to_vec();
        let raw = params.get("flow.log_diagonal", &[d])?;
        let limit = config.log_precision_limit;
        let log_diagonal: Vec<f32> = raw.iter().map(|v| v.clamp(-limit, limit)).collect();
        for i in 0..d {
            lower[i * d + i..(i + 1) * d].fill(0.0);
            lower[i * d + i] = 1.0;
            upper[i * d..=i * d + i].fill(0.0);
            upper[i * d + i] = libm::expf(log_diagonal[i]);
        }
        let mut both = Linear::new(d, d);
        let weight = transposed(&multiplied(&lower, &upper, d), d);
        both.load(&weight, &vec![0.0; d]);
        both.load_backward(&weight);
        Ok(Some(Self {
            dim: d,
            is_within: raw.iter().map(|v| v.abs() <= limit).collect(),
            lower,
            upper,
            log_diagonal,
            both,
            at,
        }))
    }

    /// x of the rows `y` `[rows, d]`; adds log|det| to that of each row.
    pub fn forward(&self, y: &[f32], log_det: &mut [f32]) -> Vec<f32> {
        let mut x = vec![0.0; y.len()];
        self.both.forward(y, log_det.len(), false, &mut x);
        let total: f32 = self.log_diagonal.iter().sum();
        log_det.iter_mut().for_each(|log_det| *log_det += total);
        x
    }

    /// Adds the gradients of its tensors, for a loss whose gradient by x is `dx` `[rows, d]` and by
    /// log|det| `d_log_det` `[rows]`, after a forward run on `y`.
    pub fn backward(&self, y: &[f32], dx: &[f32], d_log_det: &[f32], gradients: &mut Params) {
        let (d, rows) = (self.dim, d_log_det.len());
        // By (L U)ᵀ, and so by L U.
        let (mut by_both, mut by_bias) = (vec![0.0; d * d], vec![0.0; d]);
        (self.both).backward_weights(y, dx, rows, &mut by_both, &mut by_bias);
        let by_both = transposed(&by_both, d);
        let by_lower = multiplied(&by_both, &transposed(&self.upper, d), d);
        let by_upper = multiplied(&transposed(&self.lower, d), &by_both, d);
        let [mut lower, mut upper, mut diagonal] = self.at.map(|at| take_layer(gradients, at));
        let through_det: f32 = d_log_det.iter().sum();
        for i in 0..d {
            for j in 0..i {
                lower[i * d + j] += by_lower[i * d + j];
            }
            for j in i + 1..d {
                upper[i * d + j] += by_upper[i * d + j];
            }
            if self.is_within[i] {
                let scale = self.upper[i * d + i];
                diagonal[i] += by_upper[i * d + i] * scale + through_det;
            }
        }
        for (at, value) in self.at.into_iter().zip([lower, upper, diagonal]) {
            gradients.0[at].value = value;
        }
    }
}

/// a b, all `[d, d]`.
fn multiplied(a: &[f32], b: &[f32], d: usize) -> Vec<f32> {
    let mut right = Linear::new(d, d);
    right.load(b, &vec![0.0; d]);
    let mut product = vec![0.0; d * d];
    right.forward(a, d, false, &mut product);
    product
}

fn transposed(a: &[f32], d: usize) -> Vec<f32> {
    let mut out = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..d {
            out[j * d + i] = a[i * d + j];
        }
    }
    out
}
