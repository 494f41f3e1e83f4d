//! Settings of the data, V, M, the gates and the evaluation.

use crate::run::DriverName;
use serde::{Deserialize, Serialize};

use crate::{memory::MemoryConfig, vision::VaeConfig};

/// What V and M must reach on held-out episodes before the next stage begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatesConfig {
    /// Mean squared error of a pixel's value (0..1) in V's reconstruction, at most.
    pub pixel_mse: f64,
    /// The same of pixels whose colours are those of less than a hundredth of their four rows, at
    /// most: a player and its enemies, which hardly count in the other. Measured where
    /// `vision.rare` is above 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rare_mse: Option<f64>,
    /// Distance of V's KL from its target, as a share of the target, at most.
    pub kl: f64,
    /// Active dimensions of the latent, at least.
    pub active: u64,
    /// M's nats a step above the floor, at most.
    pub above_floor: f64,
    /// Correlation of M's rewards with the real ones, at least.
    pub reward_correlation: f64,
    /// Hold tests of M ([`crate::dream::hold_tests`]), for a C that learns in dreams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<HoldGates>,
}

/// What a dream may pay too much for a held action: where it pays more than the environment, an
/// evolution goes. What it pays too little for costs time only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldGates {
    /// Who drives to the states that actions are held from; not one of the data's drivers.
    pub policy: String,
    /// Number of states.
    pub states: usize,
    /// Most that the dream's reward a step is above the real one in the first 20 steps.
    pub first: f64,
    /// The same in the 40 steps after these.
    pub later: f64,
}

/// Collection of episodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectConfig {
    /// Who drives: `brownian`, `scripted` (a noisy driver that reads the track), `planner`
    /// (tries plans on snapshots, and is disturbed at times), `first` (the agent
    /// of the earlier round), or the path of a run or checkpoint; several, with commas between,
    /// take turns.
    pub policy: String,
    /// Number of episodes; every tenth is held out.
    pub episodes: usize,
    /// Largest number of steps of one episode.
    pub steps: usize,
    /// An episode without progress for that many steps ends, so that few steps are spent on what is
    /// lost. 0: never.
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub give_up_after: u32,
    /// The car starts at a random tile.
    pub random_start: bool,
    /// The last so many episodes are driven by candidates of the run's own evolution: those of the
    /// rounds of dreams so far ([`super::Preset::in_round`]).
    #[serde(skip)]
    pub own: usize,
}

impl CollectConfig {
    /// Number of the episodes that the drivers recorded.
    pub fn driven(&self) -> usize {
        self.episodes - self.own
    }

    /// The drivers, in the order in which they take turns.
    pub fn policies(&self) -> Vec<DriverName> {
        let names = self.policy.split(',').map(str::trim);
        names
            .map(|name| name.parse().unwrap_or_else(|e| match e {}))
            .collect()
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
    /// Random change of the colours of V's training frames, as a share of their range, 0 to 1. V
    /// reconstructs the unaltered frames, and latents are always those of unaltered frames.
    #[serde(default)]
    pub augment: f64,
    /// How much more pixels of rare colours count, 0 (all alike) to 1 (all colours alike, however
    /// many pixels have them).
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub rare: f64,
    /// Frames per update.
    pub batch: usize,
    /// Largest number of updates.
    pub updates: u64,
    /// Adam's rate at the start; falls to a tenth along a cosine.
    pub learning_rate: f64,
    /// Episodes that are in memory at a time.
    pub window_episodes: usize,
    /// Updates on one window of episodes before the next is loaded.
    pub window_updates: u64,
    /// Updates between held-out losses (and checkpoints).
    pub evaluate_every: u64,
    /// Number of held-out losses without an improvement after which training stops.
    pub patience: u64,
}

/// Latents that are M's inputs; its targets are always draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inputs {
    /// The draws that were the targets of the step before, as in a dream.
    #[default]
    Draws,
    /// V's means, as in acting.
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
    /// Largest number of updates.
    pub updates: u64,
    /// Adam's rate at the start; falls along a cosine.
    pub learning_rate: f64,
    /// What it falls to, as a share of itself.
    #[serde(default = "default_final_rate")]
    pub final_rate: f64,
    /// Episodes of latents that are in memory at a time.
    pub window_episodes: usize,
    /// Updates on one window before the next is loaded.
    pub window_updates: u64,
    /// Updates between held-out losses (and checkpoints).
    pub evaluate_every: u64,
    /// Number of held-out losses without an improvement after which training stops.
    pub patience: u64,
    /// Sequences of consecutive batches follow each other in their episodes, and states are carried
    /// on (truncated backward through time); else every sequence starts anywhere, from a zero
    /// state.
    #[serde(default)]
    pub carry: bool,
    /// M's inputs.
    #[serde(default)]
    pub inputs: Inputs,
    /// Standard deviation of the latents around V's mean, as a share of each dimension's own; 0:
    /// V's posterior.
    #[serde(default)]
    pub noise: f64,
    /// Standard deviation of normal noise on M's input latents (not on its targets), in the same
    /// unit.
    #[serde(default)]
    pub input_noise: f64,
    /// A measurement of the environment that episodes record and M learns to tell from h, with the
    /// weight `model.loss.auxiliary_weight`; empty: none.
    #[serde(default, skip_serializing_if = "frmdn_engine::is_default")]
    pub auxiliary: String,
}

fn default_final_rate() -> f64 {
    0.1
}

/// The final evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluateConfig {
    /// Number of test tracks.
    pub episodes: usize,
}
