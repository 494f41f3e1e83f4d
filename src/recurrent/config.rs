//! Sizes and settings of a recurrent density, and its first weights.

use frmdn_density::DensityConfig;
use frmdn_engine::{
    Params,
    random::{fill_uniform, stream},
};

/// A recurrent density.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecurrentConfig {
    /// LSTM cells.
    pub hidden: usize,
    /// Values that are given beside those that are predicted.
    pub given: usize,
    /// p(next | features), of `density.dim` values.
    pub density: DensityConfig,
    /// Gradients are scaled down to this global norm.
    pub clip_norm: f64,
    /// Part of h that is hidden from density and heads in training (equation 18).
    pub dropout: f64,
    /// Part of the values seen in training that are the model's own draws (equation 19).
    pub scheduled_sampling: f64,
}

impl RecurrentConfig {
    /// Values that are predicted.
    pub fn dim(&self) -> usize {
        self.density.dim
    }

    /// Values that the recurrence consumes a step.
    pub fn inputs(&self) -> usize {
        self.dim() + self.given
    }

    /// Values that the density sees: h, and the present values where means are changes of them.
    pub fn features(&self) -> usize {
        self.hidden + if self.density.residual { self.dim() } else { 0 }
    }

    /// First weights of recurrence and density.
    pub fn init(&self, seed: u64) -> Params {
        let mut params = init_lstm(self.inputs(), self.hidden, seed);
        params.0.extend(self.density.init(self.features(), seed).0);
        params
    }
}

/// First weights of an LSTM, from named streams of `seed`: `lstm.weight_input` [inputs, 4 H],
/// `lstm.weight_hidden` [H, 4 H], `lstm.bias` [4 H] (gates i, f, g, o; uniform ± 1/√H as PyTorch's,
/// the forget gate's bias raised by 1).
pub fn init_lstm(inputs: usize, hidden: usize, seed: u64) -> Params {
    let h = hidden;
    let mut params = Params::default();
    let input = uniform(seed, 0, h, inputs * 4 * h);
    params.push("lstm.weight_input", &[inputs, 4 * h], input);
    params.push(
        "lstm.weight_hidden",
        &[h, 4 * h],
        uniform(seed, 1, h, h * 4 * h),
    );
    let mut bias = uniform(seed, 2, h, 4 * h);
    bias[h..2 * h].iter_mut().for_each(|b| *b += 1.0);
    params.push("lstm.bias", &[4 * h], bias);
    params
}

/// `n` uniform values within ± 1/√`hidden`, from stream number `at` of first weights.
pub(crate) fn uniform(seed: u64, at: u64, hidden: usize, n: usize) -> Vec<f32> {
    let mut values = vec![0.0; n];
    let bound = 1.0 / (hidden as f32).sqrt();
    fill_uniform(&mut stream(seed, "memory/init", &[at]), bound, &mut values);
    values
}
