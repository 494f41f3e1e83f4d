//! The loss: Ha's sum of squared errors plus β times the KL divergence, β steering the KL towards a
//! target.

use serde::{Deserialize, Serialize};

/// How β follows the KL divergence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BetaConfig {
    /// β at the start.
    pub start: f64,
    /// KL divergence per frame to aim at, in nats.
    pub target: f64,
    /// Change of ln β per update and per unit of relative error, itself clipped to ±1.
    pub rate: f64,
    /// Weight of the newest batch in the running mean of the KL divergence.
    pub smoothing: f64,
}

impl Default for BetaConfig {
    fn default() -> Self {
        Self {
            start: 1.0,
            target: 64.0,
            rate: 0.01,
            smoothing: 0.05,
        }
    }
}

/// Smallest and largest β.
const BETA_RANGE: (f64, f64) = (1e-4, 1e2);

/// State of the controller of β; part of the saved training state.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BetaState {
    /// Weight of the KL divergence in the next update.
    pub beta: f64,
    /// Running mean of the KL divergence per frame, in nats; absent before the first update.
    pub kl_mean: Option<f64>,
}

impl BetaState {
    pub(super) fn new(config: &BetaConfig) -> Self {
        Self {
            beta: config.start.clamp(BETA_RANGE.0, BETA_RANGE.1),
            kl_mean: None,
        }
    }

    /// ln β += rate · clip(KL/target − 1, ±1): β rises while the KL is above the target, and falls
    /// while it is below.
    pub(super) fn update(&mut self, config: &BetaConfig, kl: f64) {
        let mean = self
            .kl_mean
            .map_or(kl, |mean| mean + config.smoothing * (kl - mean));
        self.kl_mean = Some(mean);
        let error = (mean / config.target - 1.0).clamp(-1.0, 1.0);
        self.beta = (self.beta * libm::exp(config.rate * error)).clamp(BETA_RANGE.0, BETA_RANGE.1);
    }
}

/// Figures of one update; means over the batch's frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VaeMetrics {
    /// squared_error + beta · kl.
    pub loss: f64,
    /// Sum over a frame's 12,288 values of the squared error, values in 0..1.
    pub squared_error: f64,
    /// The same per value.
    pub mse: f64,
    /// KL divergence from the standard normal, in nats per frame.
    pub kl: f64,
    /// β in this update.
    pub beta: f64,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: f64,
}

/// A held-out evaluation, in which the mean latent is decoded; means over frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VaeEvaluation {
    /// Sum over a frame's 12,288 values of the squared error, values in 0..1.
    pub squared_error: f64,
    /// The same per value.
    pub mse: f64,
    /// KL divergence in nats per frame.
    pub kl: f64,
    /// KL divergence of each latent dimension.
    pub kl_per_dimension: Vec<f64>,
    /// Variance over the frames of each latent dimension's mean.
    pub mean_variance: Vec<f64>,
    /// Dimensions whose `mean_variance` exceeds 0.01 (Burda et al. 2016).
    pub active: usize,
}

/// Sums over the frames of one shard, or of several.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    pub frames: usize,
    pub squares: f64,
    pub kl: Vec<f64>,
    mean: Vec<f64>,
    mean_squares: Vec<f64>,
}

impl Sums {
    pub fn reset(&mut self, latent: usize) {
        (self.frames, self.squares) = (0, 0.0);
        for list in [&mut self.kl, &mut self.mean, &mut self.mean_squares] {
            list.clear();
            list.resize(latent, 0.0);
        }
    }

    /// Adds dimension `j` of a frame: its mean, log-variance and standard deviation.
    pub fn latent(&mut self, j: usize, mean: f32, log_variance: f32, deviation: f32) {
        let (mean, log_variance, deviation) = (
            f64::from(mean),
            f64::from(log_variance),
            f64::from(deviation),
        );
        self.kl[j] += 0.5 * (mean * mean + deviation * deviation - 1.0 - log_variance);
        self.mean[j] += mean;
        self.mean_squares[j] += mean * mean;
    }

    pub fn add(&mut self, other: &Sums) {
        self.frames += other.frames;
        self.squares += other.squares;
        let lists = [
            (&mut self.kl, &other.kl),
            (&mut self.mean, &other.mean),
            (&mut self.mean_squares, &other.mean_squares),
        ];
        for (a, b) in lists {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        }
    }

    pub fn evaluation(&self) -> VaeEvaluation {
        let n = self.frames.max(1) as f64;
        let kl_per_dimension: Vec<f64> = self.kl.iter().map(|x| x / n).collect();
        let mean_variance: Vec<f64> = self
            .mean
            .iter()
            .zip(&self.mean_squares)
            .map(|(m, s)| (s / n - (m / n).powi(2)).max(0.0))
            .collect();
        VaeEvaluation {
            squared_error: self.squares / n,
            mse: self.squares / n / super::FRAME as f64,
            kl: kl_per_dimension.iter().sum(),
            active: mean_variance.iter().filter(|&&v| v > 0.01).count(),
            kl_per_dimension,
            mean_variance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hand calculation: KL 128 against a target of 64 is a relative error of 1, so ln β grows by
    /// 0.01 an update.
    #[test]
    fn beta_follows_the_divergence() {
        let config = BetaConfig::default();
        let mut state = BetaState::new(&config);
        state.update(&config, 128.0);
        assert!((state.beta - 0.01f64.exp()).abs() < 1e-12 && state.kl_mean == Some(128.0));
        for _ in 0..10_000 {
            state.update(&config, 1e6);
        }
        assert_eq!(state.beta, 1e2);
        for _ in 0..10_000 {
            state.update(&config, 0.0);
        }
        assert_eq!(state.beta, 1e-4);
    }
}
