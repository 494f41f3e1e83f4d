//! A linear baseline, for scale: a linear map of the last latents and actions with one constant
//! Gaussian.

use serde::{Deserialize, Serialize};

use super::judge::Test;
use crate::{
    memory::SequenceBatch,
    run::{Inputs, Result},
    studies::predictor::{Predictor, Residuals, add_gram},
};

/// Numbers of the last latents and actions that it sees.
pub const PAST: usize = 16;
pub const ACTIONS: usize = 3;
/// Number of training episodes that it is fitted to.
pub const EPISODES: usize = 300;

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

/// Fits map and covariance to the single sequences `training` and judges them on `test`: nats a
/// step above the floor with a diagonal and with a full covariance.
pub fn linear(training: &[SequenceBatch], test: &Test) -> Result<[f64; 2]> {
    let first = &training[0];
    let d = first.seen.len() / first.steps;
    let predictor = Predictor::fit(training, [PAST, ACTIONS])?;
    let (mut covariance, mut steps) = (vec![0.0; d * d], 0.0);
    for batch in training {
        let e = predictor.residuals(batch);
        add_gram(&e, d, &e, d, &mut covariance);
        steps += batch.steps as f64;
    }
    covariance.iter_mut().for_each(|s| *s /= steps);
    let mut above = [0.0; 2];
    for (above, is_full) in above.iter_mut().zip([false, true]) {
        let density = Residuals::new(&covariance, d, is_full)?;
        let (mut nats, mut steps) = (0.0, 0.0);
        for (_, batch, floor, _) in &test.episodes {
            for e in predictor.residuals(batch).chunks_exact(d) {
                nats += density.nats(e);
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
            measured: Vec::new(),
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
