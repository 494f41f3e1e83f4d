//! The density on the engine: likelihoods of many rows, and draws from single ones, without burn.

use frmdn_engine::{Params, linear::Linear, params::ParamError, random::Pcg64};

use crate::{
    DensityConfig,
    coupling::{Coupling, FlowScratch},
    mixture::{Component, choose, log_sum_exp, log_weights},
    precision::Precision,
};

/// Rows whose likelihoods are computed at a time: enough for efficient products, few enough for the cache.
const ROWS: usize = 256;

/// A conditional density with its weights.
#[derive(Clone, Debug)]
pub struct Density {
    config: DensityConfig,
    features: usize,
    logits: Linear,
    /// The rest of the head, cut by component: a draw looks at one of them only.
    components: Vec<Linear>,
    couplings: Vec<Coupling>,
}

/// The linear layer `name` of `params`.
pub(crate) fn layer(params: &Params, name: &str, from: usize, to: usize) -> Result<Linear, ParamError> {
    let mut layer = Linear::new(from, to);
    layer.load(params.get(&format!("{name}.weight"), &[from, to])?, params.get(&format!("{name}.bias"), &[to])?);
    Ok(layer)
}

impl Density {
    /// A density on `features` values with `params` (see [`DensityConfig::tensors`]).
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn new(config: DensityConfig, features: usize, params: &Params) -> Result<Self, ParamError> {
        let (d, n) = (config.dim, config.components);
        let wide: Vec<(&[f32], &[f32])> = config.parts()[1..]
            .iter()
            .map(|(part, width)| {
                let weight = params.get(&format!("head.{part}.weight"), &[features, *width])?;
                Ok((weight, params.get(&format!("head.{part}.bias"), &[*width])?))
            })
            .collect::<Result<_, _>>()?;
        let component = |k: usize| {
            let mut weight = Vec::with_capacity(features * d * wide.len());
            for row in 0..features {
                wide.iter().for_each(|(w, _)| weight.extend_from_slice(&w[(row * n + k) * d..][..d]));
            }
            let bias: Vec<f32> = wide.iter().flat_map(|(_, b)| b[k * d..(k + 1) * d].iter().copied()).collect();
            let mut layer = Linear::new(features, bias.len());
            layer.load(&weight, &bias);
            layer
        };
        let couplings = (0..config.flow.map_or(0, |f| f.couplings)).map(|i| Coupling::new(&config, i, params));
        Ok(Self {
            config,
            features,
            logits: layer(params, "head.logits", features, n)?,
            components: (0..n).map(component).collect(),
            couplings: couplings.collect::<Result<_, _>>()?,
        })
    }

    /// What it is made of.
    pub fn config(&self) -> &DensityConfig {
        &self.config
    }

    /// Equation 6, data to base: x = f(y) for `rows` rows, in place. Returns log|det ∂f/∂y| of each row.
    pub fn forward(&self, y: &mut [f32], rows: usize) -> Vec<f64> {
        let mut log_det = vec![0.0; rows];
        let mut scratch = FlowScratch::default();
        self.couplings.iter().for_each(|c| c.forward(y, self.config.dim, &mut log_det, &mut scratch));
        log_det
    }

    /// The inverse of [`Density::forward`], base to data.
    pub fn inverse(&self, x: &mut [f32], rows: usize) {
        assert_eq!(x.len(), rows * self.config.dim, "rows have the density's dimension");
        let mut scratch = FlowScratch::default();
        self.couplings.iter().rev().for_each(|c| c.inverse(x, self.config.dim, &mut scratch));
    }

    /// log p(y | h) of each of `rows` rows: `h` is [rows, features], `y` [rows, dim] (equation 1).
    pub fn log_prob(&self, h: &[f32], y: &[f32], rows: usize) -> Vec<f64> {
        let (f, d, n) = (self.features, self.config.dim, self.config.components);
        assert_eq!((h.len(), y.len()), (rows * f, rows * d), "rows of features and of targets");
        let width = d * (2 + self.config.rank);
        let mut raw = vec![0.0; ROWS.min(rows) * width.max(n)];
        let mut out = Vec::with_capacity(rows);
        let (mut precision, mut e) = (Precision::default(), Vec::new());
        for (h, y) in h.chunks(ROWS * f).zip(y.chunks(ROWS * d)) {
            let rows = y.len() / d;
            let mut x = y.to_vec();
            let log_det = self.forward(&mut x, rows);
            let raw_logits = &mut raw[..rows * n];
            self.logits.forward(h, rows, false, raw_logits);
            let mut joint: Vec<f64> = raw_logits.chunks_exact(n).flat_map(|l| log_weights(l, 1.0)).collect();
            for (k, component) in self.components.iter().enumerate() {
                let raw = &mut raw[..rows * width];
                component.forward(h, rows, false, raw);
                for (row, (raw, x)) in raw.chunks_exact(width).zip(x.chunks_exact(d)).enumerate() {
                    joint[row * n + k] += Component::new(&self.config, raw).log_prob(x, &mut precision, &mut e);
                }
            }
            out.extend(joint.chunks_exact(n).zip(log_det).map(|(joint, log_det)| log_sum_exp(joint.iter().copied()) + log_det));
        }
        out
    }

    /// A draw from p(· | h) at temperature τ for each of `rows` rows: mixture logits divided by τ, noise times √τ, in the
    /// mixture's space. τ = 0 gives the likeliest component's mean. `h` is [rows, features], `y` receives [rows, dim]; row i draws
    /// from `rngs[i]`, and what it draws does not depend on the other rows.
    ///
    /// # Panics
    /// If a length disagrees.
    pub fn sample(&self, h: &[f32], temperature: f32, rngs: &mut [Pcg64], y: &mut [f32], scratch: &mut SampleScratch) {
        let (f, d, n, rows) = (self.features, self.config.dim, self.config.components, rngs.len());
        assert_eq!((h.len(), y.len()), (rows * f, rows * d), "rows of features, and of draws");
        let SampleScratch { logits, order, features, raw, precision, noise, small, flow } = scratch;
        logits.resize(rows * n, 0.0);
        self.logits.forward(h, rows, false, logits);
        order.clear();
        let choices = logits.chunks_exact(n).zip(rngs.iter_mut());
        order.extend(choices.enumerate().map(|(row, (logits, rng))| (choose(logits, f64::from(temperature), rng), row)));
        // Rows of the same component together: each row pays for one component only, and products stay wide.
        order.sort_unstable();
        let width = d * (2 + self.config.rank);
        let scale = f64::from(temperature).sqrt();
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            features.clear();
            group.iter().for_each(|&(_, row)| features.extend_from_slice(&h[row * f..(row + 1) * f]));
            raw.resize(group.len() * width, 0.0);
            self.components[group[0].0].forward(features, group.len(), false, raw);
            for (&(_, row), raw) in group.iter().zip(raw.chunks_exact(width)) {
                let component = Component::new(&self.config, raw);
                let y = &mut y[row * d..(row + 1) * d];
                y.copy_from_slice(component.mean());
                if temperature > 0.0 {
                    component.precision(precision);
                    precision.sample(&mut rngs[row], noise, small);
                    y.iter_mut().zip(noise.iter()).for_each(|(y, noise)| *y = (f64::from(*y) + scale * noise) as f32);
                }
            }
        }
        self.couplings.iter().rev().for_each(|c| c.inverse(y, d, flow));
    }

    /// f⁻¹ of the mixture's mean Σ π μ: the mean of p(· | h) where there is no flow, its image where there is one. `h` is one row,
    /// `y` receives `dim` values.
    ///
    /// # Panics
    /// If a length disagrees.
    pub fn mean(&self, h: &[f32], y: &mut [f32]) {
        assert_eq!((h.len(), y.len()), (self.features, self.config.dim), "one row of features, one target");
        let mut logits = vec![0.0; self.config.components];
        self.logits.forward(h, 1, false, &mut logits);
        let mut raw = vec![0.0; self.config.dim * (2 + self.config.rank)];
        y.fill(0.0);
        for (component, w) in self.components.iter().zip(log_weights(&logits, 1.0)) {
            component.forward(h, 1, false, &mut raw);
            y.iter_mut().zip(&raw).for_each(|(y, m)| *y += w.exp() as f32 * m);
        }
        self.inverse(y, 1);
    }
}

/// Buffers of [`Density::sample`], reused from call to call.
#[derive(Clone, Debug, Default)]
pub struct SampleScratch {
    logits: Vec<f32>,
    /// Component and row, sorted.
    order: Vec<(usize, usize)>,
    features: Vec<f32>,
    raw: Vec<f32>,
    precision: Precision,
    noise: Vec<f64>,
    small: Vec<f64>,
    flow: FlowScratch,
}
