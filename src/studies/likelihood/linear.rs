//! A linear baseline, for scale: a linear map of the last latents and actions with one constant
//! Gaussian.

use frmdn_engine::{cholesky::Cholesky, linear::Linear as Layer};
use serde::{Deserialize, Serialize};

use super::judge::Test;
use crate::{
    memory::SequenceBatch,
    run::{Inputs, Result, RunError},
};

/// Numbers of the last latents and actions that it sees.
pub const PAST: usize = 16;
pub const ACTIONS: usize = 3;
/// Number of training episodes that it is fitted to.
pub const EPISODES: usize = 300;
/// Added to the diagonal of the normal equations, in parts of its mean.
const RIDGE: f64 = 1e-5;
/// Rows whose products are summed in single precision.
const ROWS: usize = 512;

/// Nats a step above the floor on the test episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// Checksum of V's weights.
    pub vision: String,
    /// Whether it is fed draws or means.
    pub inputs: Inputs,
    /// Number of test episodes.
    #[serde(default)]
    pub test_episodes: usize,
    /// With a diagonal covariance.
    pub diagonal: f64,
    /// With a full one.
    pub full: f64,
}

/// [z_t … z_{t−15}, a_t … a_{t−2}, 1] of every step of a single sequence; before its start stands
/// the start.
fn features(batch: &SequenceBatch) -> Vec<f32> {
    let (d, a) = (
        batch.seen.len() / batch.steps,
        batch.given.len() / batch.steps,
    );
    let mut out = Vec::with_capacity(batch.steps * width(d, a));
    for t in 0..batch.steps {
        (0..PAST).for_each(|j| out.extend_from_slice(&batch.seen[t.saturating_sub(j) * d..][..d]));
        (0..ACTIONS)
            .for_each(|j| out.extend_from_slice(&batch.given[t.saturating_sub(j) * a..][..a]));
        out.push(1.0);
    }
    out
}

fn width(latent: usize, actions: usize) -> usize {
    PAST * latent + ACTIONS * actions + 1
}

/// `sum` += aᵀ b of matrices with rows of `m` and `n` values.
fn add_gram(a: &[f32], m: usize, b: &[f32], n: usize, sum: &mut [f64]) {
    // The gradient of a layer's weights is such a product.
    let layer = Layer::new(m, n);
    for (a, b) in a.chunks(ROWS * m).zip(b.chunks(ROWS * n)) {
        let (mut part, mut columns) = (vec![0.0; m * n], vec![0.0; n]);
        layer.backward_weights(a, b, a.len() / m, &mut part, &mut columns);
        sum.iter_mut()
            .zip(&part)
            .for_each(|(s, p)| *s += f64::from(*p));
    }
}

fn constant_latents() -> RunError {
    RunError::Failed(
        "the linear predictor's equations have no solution: the latents never change".into(),
    )
}

/// Targets less their predictions by the map `weight` `[width, d]`.
fn residuals(batch: &SequenceBatch, weight: &[f32]) -> Vec<f32> {
    let (d, x) = (batch.next.len() / batch.steps, features(batch));
    let mut layer = Layer::new(weight.len() / d, d);
    layer.load(weight, &vec![0.0; d]);
    let mut e = vec![0.0; batch.steps * d];
    layer.forward(&x, batch.steps, false, &mut e);
    for (e, target) in e.iter_mut().zip(&batch.next) {
        *e = target - *e;
    }
    e
}

/// Fits map and covariance to the single sequences `training` and judges them on `test`: nats a
/// step above the floor with a diagonal and with a full covariance.
pub fn linear(training: &[SequenceBatch], test: &Test) -> Result<[f64; 2]> {
    let first = &training[0];
    let (d, a) = (
        first.seen.len() / first.steps,
        first.given.len() / first.steps,
    );
    let w = width(d, a);
    let (mut gram, mut right, mut steps) = (vec![0.0; w * w], vec![0.0; w * d], 0.0);
    for batch in training {
        let x = features(batch);
        add_gram(&x, w, &x, w, &mut gram);
        add_gram(&x, w, &batch.next, d, &mut right);
        steps += batch.steps as f64;
    }
    let ridge = RIDGE * (0..w).map(|i| gram[i * w + i]).sum::<f64>() / w as f64;
    (0..w).for_each(|i| gram[i * w + i] += ridge);
    let gram = Cholesky::new(gram, w).ok_or_else(constant_latents)?;
    let mut weight = vec![0.0f32; w * d];
    for j in 0..d {
        let mut column: Vec<f64> = (0..w).map(|i| right[i * d + j]).collect();
        gram.solve(&mut column);
        column
            .iter()
            .enumerate()
            .for_each(|(i, v)| weight[i * d + j] = *v as f32);
    }
    let mut covariance = vec![0.0; d * d];
    for batch in training {
        let e = residuals(batch, &weight);
        add_gram(&e, d, &e, d, &mut covariance);
    }
    covariance.iter_mut().for_each(|s| *s /= steps);
    let diagonal: Vec<f64> = (0..d * d)
        .map(|i| if i / d == i % d { covariance[i] } else { 0.0 })
        .collect();
    let mut above = [0.0; 2];
    for (above, covariance) in above.iter_mut().zip([diagonal, covariance]) {
        let l = Cholesky::new(covariance, d).ok_or_else(constant_latents)?;
        let (mut nats, mut steps) = (0.0, 0.0);
        for (_, batch, floor, _) in &test.episodes {
            for e in residuals(batch, &weight).chunks_exact(d) {
                let mut e: Vec<f64> = e.iter().map(|&v| f64::from(v)).collect();
                l.forward(&mut e);
                nats += 0.5
                    * (l.log_det()
                        + e.iter().map(|v| v * v).sum::<f64>()
                        + d as f64 * libm::log(2.0 * std::f64::consts::PI));
            }
            nats -= floor;
            steps += batch.steps as f64;
        }
        *above = nats / f64::max(steps, 1.0);
    }
    Ok(above)
}

#[cfg(test)]
mod tests {
    use frmdn_engine::random::{fill_normal, stream};

    use super::*;
    use crate::run::LatentEpisode;

    /// z′ = A z + B a + L ε with a correlated L: what is left is the noise, whose entropy is the
    /// floor; a diagonal covariance misses its correlation, −½ ln(1 − ρ²) nats.
    #[test]
    fn a_linear_world_is_predicted_to_its_noise() {
        let (rho, sd) = (0.8f32, 0.3f32);
        let world = |seed: u64, steps: usize| {
            let mut batch = SequenceBatch::zeros(steps, 1, 2, 1);
            let rng = &mut stream(seed, "linear-test", &[]);
            let mut z = [0.0f32; 2];
            for t in 0..steps {
                let mut e = [0.0f32; 3];
                fill_normal(rng, &mut e);
                let noise = [
                    sd * e[0],
                    sd * (rho * e[0] + (1.0 - rho * rho).sqrt() * e[1]),
                ];
                batch.seen[t * 2..t * 2 + 2].copy_from_slice(&z);
                batch.given[t] = e[2];
                z = [
                    0.9 * z[0] - 0.2 * z[1] + e[2] + noise[0],
                    0.2 * z[0] + 0.9 * z[1] + noise[1],
                ];
                batch.next[t * 2..t * 2 + 2].copy_from_slice(&z);
            }
            batch
        };
        let steps = 4000;
        let entropy = f64::from((1.0 - rho * rho).sqrt() * sd * sd).ln()
            + (2.0 * std::f64::consts::PI).ln()
            + 1.0;
        let episode = LatentEpisode {
            seed: 0,
            latent: 2,
            action_len: 1,
            mean: Vec::new(),
            log_variance: Vec::new(),
            actions: Vec::new(),
            rewards: Vec::new(),
            terminated: false,
            vision: 0,
        };
        let test = Test {
            episodes: vec![(episode, world(99, steps), entropy * steps as f64, 0)],
            spread: vec![1.0; 2],
        };
        let training: Vec<SequenceBatch> = (0..10).map(|seed| world(seed, steps)).collect();
        let [diagonal, full] = linear(&training, &test).unwrap();
        let correlation = -0.5 * f64::from(1.0 - rho * rho).ln();
        // 4,000 test steps: a standard error of 1/√4000 of the quadratic form's.
        assert!(
            full.abs() < 0.05 && (diagonal - full - correlation).abs() < 0.03,
            "{diagonal} {full} {correlation}"
        );
    }
}
