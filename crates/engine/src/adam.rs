//! Adam (Kingma & Ba 2015, algorithm 1) with PyTorch's epsilon placement, and clipping by the
//! global norm.

use crate::Params;
use rayon::prelude::*;

/// Elements that one thread updates at a time.
const CHUNK: usize = 1 << 15;

/// Settings of [`Adam`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the bias-corrected second moment.
    pub epsilon: f32,
    /// Gradients whose global norm exceeds this are scaled down to it.
    pub clip_norm: Option<f64>,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            clip_norm: None,
        }
    }
}

/// Optimiser state: everything besides the weights that is needed to continue bit for bit.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// Settings.
    pub config: AdamConfig,
    /// Updates made so far.
    pub updates: u64,
    /// First moments, in the weights' order.
    pub first: Params,
    /// Second moments, in the weights' order.
    pub second: Params,
}

impl Adam {
    /// A fresh state for `weights`.
    pub fn new(weights: &Params, config: AdamConfig) -> Self {
        Self {
            config,
            updates: 0,
            first: weights.zeros_like(),
            second: weights.zeros_like(),
        }
    }

    /// The tensors of a training to be saved: `weights.…`, `adam.first.…`, `adam.second.…`.
    pub fn tensors(&self, weights: &Params) -> Params {
        let mut tensors = Params::default();
        for (prefix, list) in [
            ("weights", weights),
            ("adam.first", &self.first),
            ("adam.second", &self.second),
        ] {
            for p in &list.0 {
                tensors.push(format!("{prefix}.{}", p.name), &p.shape, p.value.clone());
            }
        }
        tensors
    }

    /// One update of `weights` by `gradients` (scaled in place if clipped). Returns the global norm
    /// before clipping.
    pub fn step(
        &mut self,
        weights: &mut Params,
        gradients: &mut Params,
        learning_rate: f64,
    ) -> f64 {
        let norm = gradients.norm();
        if let Some(limit) = self.config.clip_norm
            && norm > limit
        {
            gradients.scale((limit / norm) as f32);
        }
        self.updates += 1;
        let AdamConfig {
            beta1,
            beta2,
            epsilon,
            ..
        } = self.config;
        let t = i32::try_from(self.updates).unwrap_or(i32::MAX);
        let correct1 = 1.0 - f64::from(beta1).powi(t);
        let correct2 = 1.0 - f64::from(beta2).powi(t);
        let rate = (learning_rate / correct1) as f32;
        let root2 = correct2.sqrt() as f32;
        for ((w, g), (m, v)) in weights
            .0
            .iter_mut()
            .zip(&gradients.0)
            .zip(self.first.0.iter_mut().zip(&mut self.second.0))
        {
            debug_assert_eq!(w.name, g.name);
            // Elements are independent, so chunks may run on any thread.
            let moments = m
                .value
                .par_chunks_mut(CHUNK)
                .zip(v.value.par_chunks_mut(CHUNK));
            w.value
                .par_chunks_mut(CHUNK)
                .zip(g.value.par_chunks(CHUNK))
                .zip(moments)
                .for_each(|((w, g), (m, v))| {
                    for ((w, &g), (m, v)) in w.iter_mut().zip(g).zip(m.iter_mut().zip(v)) {
                        *m = beta1 * *m + (1.0 - beta1) * g;
                        *v = beta2 * *v + (1.0 - beta2) * g * g;
                        *w -= rate * *m / (v.sqrt() / root2 + epsilon);
                    }
                });
        }
        norm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hand calculation: after one step from zero moments m̂ = g and v̂ = g², so Δ = −lr·g/(|g| +
    /// ε) ≈ −lr·sign(g).
    #[test]
    fn first_step_is_the_learning_rate_times_the_sign() {
        let mut w = Params::default();
        w.push("w", &[2], vec![1.0, -2.0]);
        let mut g = Params::default();
        g.push("w", &[2], vec![0.5, -3.0]);
        let mut adam = Adam::new(&w, AdamConfig::default());
        let norm = adam.step(&mut w, &mut g, 0.1);
        assert!((norm - 9.25f64.sqrt()).abs() < 1e-9);
        assert!(
            (w.0[0].value[0] - 0.9).abs() < 1e-6 && (w.0[0].value[1] + 1.9).abs() < 1e-6,
            "{w:?}"
        );
    }

    #[test]
    fn clipping_is_by_the_global_norm() {
        let mut w = Params::default();
        w.push("a", &[1], vec![0.0]);
        w.push("b", &[1], vec![0.0]);
        let mut g = Params::default();
        g.push("a", &[1], vec![3.0]);
        g.push("b", &[1], vec![4.0]);
        let mut adam = Adam::new(
            &w,
            AdamConfig {
                clip_norm: Some(1.0),
                ..AdamConfig::default()
            },
        );
        assert!((adam.step(&mut w, &mut g, 0.1) - 5.0).abs() < 1e-9);
        assert!((g.0[0].value[0] - 0.6).abs() < 1e-6 && (g.0[1].value[0] - 0.8).abs() < 1e-6);
    }
}
