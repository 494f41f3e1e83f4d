//! The mixture of equation 1 in its own (base) space: weights π and the components' means and
//! precisions.

use std::f64::consts::PI;

use frmdn_engine::random::Pcg64;
use rand::RngExt;

use crate::{DensityConfig, Form, gaussian::Gaussian};

/// One component at one row: the head's outputs `[mean d | log d d | V, U (tied) or A]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Component<'a> {
    dim: usize,
    /// Of log d.
    limit: f32,
    raw: &'a [f32],
}

impl<'a> Component<'a> {
    /// `raw` holds [`DensityConfig::component_width`] values.
    pub fn new(config: &DensityConfig, raw: &'a [f32]) -> Self {
        Self {
            dim: config.dim,
            limit: config.log_precision_limit,
            raw,
        }
    }

    /// μ.
    pub fn mean(&self) -> &'a [f32] {
        &self.raw[..self.dim]
    }

    /// log d of value `i`, within its limits.
    pub fn log_precision(&self, i: usize) -> f64 {
        f64::from(self.raw[self.dim + i].clamp(-self.limit, self.limit))
    }

    /// Makes `out` this component's Gaussian around zero.
    pub fn gaussian(&self, out: &mut Gaussian) {
        // U from V, which has no unit.
        let power = match out.form() {
            Form::LowRank => 0.5,
            Form::LowRankCovariance => -0.5,
            _ => 0.0,
        };
        let scaled = |(i, &v): (usize, &f32)| {
            let scale = if power == 0.0 {
                1.0
            } else {
                libm::exp(power * self.log_precision(i % self.dim))
            };
            f64::from(v) * scale
        };
        out.set(
            (0..self.dim).map(|i| self.log_precision(i)),
            self.raw[2 * self.dim..].iter().enumerate().map(scaled),
        );
    }

    /// log N(x; μ, P⁻¹).
    pub fn log_prob(&self, x: &[f32], buffers: &mut Buffers) -> f64 {
        let Buffers {
            gaussian,
            noise: e,
            small,
        } = buffers;
        self.gaussian(gaussian);
        e.clear();
        e.extend(
            x.iter()
                .zip(self.mean())
                .map(|(x, m)| f64::from(*x) - f64::from(*m)),
        );
        0.5 * (gaussian.log_det()
            - gaussian.quadratic(e, small)
            - self.dim as f64 * libm::log(2.0 * PI))
    }

    /// log N(xᵢ; μᵢ, 1/dᵢ) of value `i` alone.
    pub fn log_prob_of(&self, x: &[f32], i: usize) -> f64 {
        let (log_d, e) = (
            self.log_precision(i),
            f64::from(x[i]) - f64::from(self.raw[i]),
        );
        0.5 * (log_d - libm::exp(log_d) * e * e - libm::log(2.0 * PI))
    }
}

/// Buffers of a component's computations.
#[derive(Clone, Debug)]
pub(crate) struct Buffers {
    pub gaussian: Gaussian,
    pub noise: Vec<f64>,
    pub small: Vec<f64>,
}

impl Buffers {
    pub fn new(config: &DensityConfig) -> Self {
        Self {
            gaussian: Gaussian::new(config.form),
            noise: Vec::new(),
            small: Vec::new(),
        }
    }
}

/// log π of all components from their logits at temperature τ.
pub(crate) fn log_weights(logits: &[f32], temperature: f64) -> Vec<f64> {
    let scaled: Vec<f64> = logits.iter().map(|&l| f64::from(l) / temperature).collect();
    let total = log_sum_exp(scaled.iter().copied());
    scaled.into_iter().map(|l| l - total).collect()
}

/// A component drawn with probability π at temperature τ; the likeliest one at τ = 0.
pub(crate) fn choose(logits: &[f32], temperature: f64, rng: &mut Pcg64) -> usize {
    if temperature <= 0.0 {
        return (0..logits.len())
            .fold(0, |best, k| if logits[k] > logits[best] { k } else { best });
    }
    let scaled = logits.iter().map(|&l| f64::from(l) / temperature);
    let most = scaled.clone().fold(f64::MIN, f64::max);
    let weights = scaled.map(|l| libm::exp(l - most));
    let mut at = rng.random::<f64>() * weights.clone().sum::<f64>();
    for (k, w) in weights.enumerate() {
        at -= w;
        if at < 0.0 {
            return k;
        }
    }
    logits.len() - 1
}

/// log Σ exp without overflow.
pub(crate) fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = values.clone().fold(f64::MIN, f64::max);
    most + libm::log(values.map(|v| libm::exp(v - most)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use frmdn_engine::random::stream;

    /// π ∝ (1, 2, 5) at τ = 1; at τ = 2 their roots; towards 0 the last one alone; towards ∞ all
    /// alike.
    #[test]
    fn components_are_drawn_by_their_weights_at_every_temperature() {
        let logits = [0.0, 2f32.ln(), 5f32.ln()];
        let mut rng = stream(1, "mixture-test", &[]);
        for (temperature, want) in [
            (1.0, [0.125, 0.25, 0.625]),
            (2.0, [0.2147, 0.3036, 0.4801]),
            (1e-3, [0.0, 0.0, 1.0]),
            (1e6, [1.0 / 3.0; 3]),
        ] {
            let n = 40_000;
            let mut counts = [0.0; 3];
            (0..n).for_each(|_| counts[choose(&logits, temperature, &mut rng)] += 1.0);
            for (c, want) in counts.into_iter().zip(want) {
                // Five standard errors of a frequency, at most 5 · 0.5 / √40000.
                assert!(
                    (c / f64::from(n) - want).abs() < 0.0125,
                    "{temperature}: {counts:?}"
                );
            }
        }
        assert_eq!(choose(&logits, 0.0, &mut rng), 2);
    }
}
