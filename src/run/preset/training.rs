//! Settings of the data, V, M, the gates and the evaluation.

use serde::{Deserialize, Serialize};

use crate::{memory::MemoryConfig, vision::VaeConfig};

/// What V and M must reach on held-out episodes before the next stage begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatesConfig {
    /// Mean squared error of a pixel's value (0..1) in V's reconstruction, at most.
    pub pixel_mse: f64,
    /// Distance of V's KL from its target, in parts of the target, at most.
    pub kl: f64,
    /// Active dimensions of the latent, at least.
    pub active: u64,
    /// M's nats a step above the floor, at most.
    pub above_floor: f64,
    /// Correlation of M's rewards with the real ones, at least.
    pub reward_correlation: f64,
}

/// Collection of episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectConfig {
    /// Who drives: `brownian`, `scripted` (a noisy driver that knows the track), `first` (the agent
    /// of the earlier round), or the path of a run or checkpoint; several, with commas between,
    /// take turns.
    pub policy: String,
    /// Number of episodes; every tenth is held out.
    pub episodes: usize,
    /// Most steps of one episode.
    pub steps: usize,
    /// The car starts at a random tile.
    pub random_start: bool,
}

impl CollectConfig {
    /// The drivers, in the order in which they take turns.
    pub fn policies(&self) -> Vec<&str> {
        self.policy.split(',').map(str::trim).collect()
    }

    /// Which of the drivers has episode `index`. Turns are shifted after every ten episodes,
    /// because every tenth is held out.
    pub fn driver(&self, index: usize) -> usize {
        (index + index / 10) % self.policies().len()
    }
}

/// Training of V.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionTraining {
    /// The VAE itself.
    pub model: VaeConfig,
    /// KL per frame in nats that β is adapted to.
    pub target_kl: f64,
    /// Part of the range that colours of the frames V sees in training are altered by, 0 (not at
    /// all) to 1; it reconstructs the frames as they were. Latents are always those of unaltered
    /// frames.
    #[serde(default)]
    pub augment: f64,
    /// Frames per update.
    pub batch: usize,
    /// Most updates.
    pub updates: u64,
    /// Adam's rate at the start; falls to a tenth along a cosine.
    pub learning_rate: f64,
    /// Episodes that are in memory at a time.
    pub window_episodes: usize,
    /// Updates on one window of episodes before the next is loaded.
    pub window_updates: u64,
    /// Updates between held-out losses (and checkpoints).
    pub evaluate_every: u64,
    /// Held-out losses without an improvement after which training stops.
    pub patience: u64,
}

/// Latents that M is fed; those that it predicts are always draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inputs {
    /// The draws that were predicted a step before: what a dream feeds it.
    #[default]
    Draws,
    /// V's means: what acting feeds it.
    Means,
}

/// Training of M.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryTraining {
    /// The memory itself.
    pub model: MemoryConfig,
    /// Sequences per update.
    pub batch: usize,
    /// Steps per sequence.
    pub sequence: usize,
    /// Most updates.
    pub updates: u64,
    /// Adam's rate at the start; falls along a cosine.
    pub learning_rate: f64,
    /// What it falls to, in parts of itself.
    #[serde(default = "default_final_rate")]
    pub final_rate: f64,
    /// Episodes of latents that are in memory at a time.
    pub window_episodes: usize,
    /// Updates on one window before the next is loaded.
    pub window_updates: u64,
    /// Updates between held-out losses (and checkpoints).
    pub evaluate_every: u64,
    /// Held-out losses without an improvement after which training stops.
    pub patience: u64,
    /// Sequences of consecutive batches follow each other in their episodes, and states are carried
    /// on (truncated backward through time); else every sequence starts anywhere, from a zero
    /// state.
    #[serde(default)]
    pub carry: bool,
    /// What M is fed.
    #[serde(default)]
    pub inputs: Inputs,
    /// Standard deviation of the latents around V's mean, in parts of each dimension's own; 0: V's
    /// posterior.
    #[serde(default)]
    pub noise: f64,
    /// Standard deviation of normal noise on the latents that M is fed (not on those it predicts),
    /// in the same parts.
    #[serde(default)]
    pub input_noise: f64,
}

fn default_final_rate() -> f64 {
    0.1
}

/// The final evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateConfig {
    /// Test tracks.
    pub episodes: usize,
}
