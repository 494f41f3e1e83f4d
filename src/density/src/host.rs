//! The density on the engine: likelihoods of many rows, and draws from single ones, without burn.

use frmdn_engine::{Params, linear::Linear, params::ParamError};
use rand::RngExt;
use rand_pcg::Pcg64;

use crate::{DensityConfig, LEAK, LOG_PRECISION_LIMIT, precision::Precision};

/// One affine coupling: y_kept stays, y_moved · exp(s) + t, with s, t from y_kept.
#[derive(Clone, Debug)]
struct Coupling {
    layers: [Linear; 3],
    log_scale: Linear,
    shift: Linear,
    bound: Vec<f32>,
    hidden: usize,
    kept: std::ops::Range<usize>,
    moved: std::ops::Range<usize>,
}

/// A conditional density with its weights.
#[derive(Clone, Debug)]
pub struct Density {
    config: DensityConfig,
    features: usize,
    head: Linear,
    couplings: Vec<Coupling>,
}

fn linear(params: &Params, name: &str, from: usize, to: usize) -> Result<Linear, ParamError> {
    let mut layer = Linear::new(from, to);
    layer.load(params.get(&format!("{name}.weight"), &[from, to])?, params.get(&format!("{name}.bias"), &[to])?);
    Ok(layer)
}

impl Density {
    /// A density on `features` values with `params` (see [`DensityConfig::tensors`]).
    pub fn new(config: DensityConfig, features: usize, params: &Params) -> Result<Self, ParamError> {
        // The parts of the head side by side make one product.
        let outputs = config.outputs();
        let (mut weight, mut bias) = (vec![0.0; features * outputs], Vec::with_capacity(outputs));
        for (part, width) in config.parts() {
            let w = params.get(&format!("head.{part}.weight"), &[features, width])?;
            for (row, w) in weight.chunks_exact_mut(outputs).zip(w.chunks_exact(width)) {
                row[bias.len()..bias.len() + width].copy_from_slice(w);
            }
            bias.extend_from_slice(params.get(&format!("head.{part}.bias"), &[width])?);
        }
        let mut head = Linear::new(features, outputs);
        head.load(&weight, &bias);
        let mut couplings = Vec::new();
        for i in 0..config.flow.map_or(0, |f| f.couplings) {
            let hidden = config.flow.map_or(0, |f| f.hidden);
            let (kept, moved) = config.halves(i);
            let name = |layer: &str| format!("flow.{i}.{layer}");
            let (first, second) = (0..config.dim / 2, config.dim / 2..config.dim);
            let (k, m) = if i.is_multiple_of(2) { (first, second) } else { (second, first) };
            couplings.push(Coupling {
                layers: [
                    linear(params, &name("layer1"), kept, hidden)?,
                    linear(params, &name("layer2"), hidden, hidden)?,
                    linear(params, &name("layer3"), hidden, hidden)?,
                ],
                log_scale: linear(params, &name("log_scale"), hidden, moved)?,
                shift: linear(params, &name("shift"), hidden, moved)?,
                bound: params.get(&name("bound"), &[moved])?.to_vec(),
                hidden,
                kept: k,
                moved: m,
            });
        }
        Ok(Self { config, features, head, couplings })
    }

    /// What it is made of.
    pub fn config(&self) -> &DensityConfig {
        &self.config
    }

    /// Equation 6, data to base: x = f(y) for `rows` rows, in place. Returns log|det ∂f/∂y| of each row.
    pub fn forward(&self, y: &mut [f32], rows: usize) -> Vec<f64> {
        let mut log_det = vec![0.0; rows];
        for c in &self.couplings {
            let (s, t) = c.condition(y, rows, self.config.dim);
            for (row, (y, (s, t))) in
                y.chunks_exact_mut(self.config.dim).zip(s.chunks(c.moved.len()).zip(t.chunks(c.moved.len()))).enumerate()
            {
                for (v, (s, t)) in y[c.moved.clone()].iter_mut().zip(s.iter().zip(t)) {
                    *v = *v * s.exp() + t;
                }
                log_det[row] += s.iter().map(|&s| f64::from(s)).sum::<f64>();
            }
        }
        log_det
    }

    /// The inverse of [`Density::forward`], base to data.
    pub fn inverse(&self, x: &mut [f32], rows: usize) {
        for c in self.couplings.iter().rev() {
            let (s, t) = c.condition(x, rows, self.config.dim);
            for (x, (s, t)) in x.chunks_exact_mut(self.config.dim).zip(s.chunks(c.moved.len()).zip(t.chunks(c.moved.len()))) {
                for (v, (s, t)) in x[c.moved.clone()].iter_mut().zip(s.iter().zip(t)) {
                    *v = (*v - t) * (-s).exp();
                }
            }
        }
    }

    /// log p(y | h) of each of `rows` rows: `h` is [rows, features], `y` [rows, dim] (equation 1).
    pub fn log_prob(&self, h: &[f32], y: &[f32], rows: usize) -> Vec<f64> {
        let outputs = self.config.outputs();
        let mut raw = vec![0.0; rows * outputs];
        self.head.forward(h, rows, false, &mut raw);
        let mut x = y.to_vec();
        let log_det = self.forward(&mut x, rows);
        let rows = raw.chunks_exact(outputs).zip(x.chunks_exact(self.config.dim).zip(log_det));
        rows.map(|(raw, (x, log_det))| Mixture { config: &self.config, raw }.log_prob(x) + log_det).collect()
    }

    /// A draw from p(· | h) at temperature τ: mixture logits divided by τ, noise times √τ, in the mixture's space.
    /// τ = 0 gives the likeliest component's mean. `h` is one row, `y` receives `dim` values.
    pub fn sample(&self, h: &[f32], temperature: f32, rng: &mut Pcg64, y: &mut [f32]) {
        assert_eq!((h.len(), y.len()), (self.features, self.config.dim), "one row of features, one target");
        let mut raw = vec![0.0; self.config.outputs()];
        self.head.forward(h, 1, false, &mut raw);
        let mixture = Mixture { config: &self.config, raw: &raw };
        let logits = &raw[..self.config.components];
        let k = if temperature > 0.0 {
            choose(logits, f64::from(temperature), rng)
        } else {
            (0..logits.len()).fold(0, |best, k| if logits[k] > logits[best] { k } else { best })
        };
        let noise = if temperature > 0.0 { mixture.precision(k).sample(rng) } else { vec![0.0; y.len()] };
        let scale = f64::from(temperature).sqrt();
        for ((y, m), n) in y.iter_mut().zip(mixture.mean(k)).zip(noise) {
            *y = (f64::from(*m) + scale * n) as f32;
        }
        self.inverse(y, 1);
    }
}

/// A component drawn with probability ∝ exp(logit / τ).
fn choose(logits: &[f32], temperature: f64, rng: &mut Pcg64) -> usize {
    let most = logits.iter().copied().fold(f32::MIN, f32::max);
    let weights: Vec<f64> = logits.iter().map(|&l| (f64::from(l - most) / temperature).exp()).collect();
    let mut at = rng.random::<f64>() * weights.iter().sum::<f64>();
    for (k, w) in weights.iter().enumerate() {
        at -= w;
        if at < 0.0 {
            return k;
        }
    }
    weights.len() - 1
}

impl Coupling {
    /// Log-scales s and shifts t of `rows` rows, from the values that are kept.
    fn condition(&self, y: &[f32], rows: usize, dim: usize) -> (Vec<f32>, Vec<f32>) {
        let mut a: Vec<f32> = y.chunks_exact(dim).flat_map(|row| row[self.kept.clone()].iter().copied()).collect();
        for layer in &self.layers {
            let mut b = vec![0.0; rows * self.hidden];
            layer.forward(&a, rows, false, &mut b);
            b.iter_mut().for_each(|v| *v = if *v > 0.0 { *v } else { LEAK * *v });
            a = b;
        }
        let m = self.moved.len();
        let (mut s, mut t) = (vec![0.0; rows * m], vec![0.0; rows * m]);
        self.log_scale.forward(&a, rows, false, &mut s);
        self.shift.forward(&a, rows, false, &mut t);
        for row in s.chunks_exact_mut(m) {
            row.iter_mut().zip(&self.bound).for_each(|(s, b)| *s = s.tanh() * b);
        }
        (s, t)
    }
}

/// The mixture at one row of head outputs.
struct Mixture<'a> {
    config: &'a DensityConfig,
    raw: &'a [f32],
}

impl Mixture<'_> {
    /// `dim` values of component `k` of the head's part `part` (0 the means).
    fn wide(&self, part: usize, k: usize) -> &[f32] {
        let (n, d) = (self.config.components, self.config.dim);
        &self.raw[n + part * n * d + k * d..][..d]
    }

    fn mean(&self, k: usize) -> &[f32] {
        self.wide(0, k)
    }

    fn precision(&self, k: usize) -> Precision {
        let limit = LOG_PRECISION_LIMIT;
        let log_d = self.wide(1, k).iter().map(|&v| f64::from(v.clamp(-limit, limit)));
        let u = (0..self.config.rank).map(|a| self.wide(2 + a, k).iter().map(|&v| f64::from(v)).collect()).collect();
        Precision::new(log_d, u)
    }

    /// Equation 1 without the flow's determinant.
    fn log_prob(&self, x: &[f32]) -> f64 {
        let logits = &self.raw[..self.config.components];
        let half_log_2pi = 0.5 * self.config.dim as f64 * (2.0 * std::f64::consts::PI).ln();
        let joint = (0..logits.len()).map(|k| {
            let p = self.precision(k);
            let e: Vec<f64> = x.iter().zip(self.mean(k)).map(|(x, m)| f64::from(*x) - f64::from(*m)).collect();
            f64::from(logits[k]) + 0.5 * p.log_det() - 0.5 * p.quadratic(&e)
        });
        log_sum_exp(joint) - log_sum_exp(logits.iter().map(|&l| f64::from(l))) - half_log_2pi
    }
}

fn log_sum_exp(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    let most = values.iter().copied().fold(f64::MIN, f64::max);
    most + values.iter().map(|v| (v - most).exp()).sum::<f64>().ln()
}
