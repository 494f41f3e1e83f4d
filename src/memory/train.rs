//! Training of M: a recurrent density with the heads of reward and end.

use frmdn_engine::{Params, params::ParamError};
use serde::{Deserialize, Serialize};

use super::{MemoryConfig, SequenceBatch, heads::WorldHeads, init};
use crate::recurrent::{NonFinite, Trainer, Update};

/// A memory in training.
pub type MemoryTrainer = Trainer<WorldHeads>;

/// Figures of one update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryMetrics {
    /// Negative log-likelihood of the next latent, nats a step summed over dimensions.
    pub nll: f64,
    /// Mean squared error of the reward.
    pub reward_mse: f64,
    /// Binary cross-entropy of the end, nats a step.
    pub done_bce: f64,
    /// Mean squared error of the auxiliary head, in variances; none where there is no such head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auxiliary_mse: Option<f64>,
    /// Global norm of the gradients before clipping.
    pub gradient_norm: f64,
}

/// The plain numbers of a training state; the tensors are apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryState {
    /// Updates made so far.
    pub updates: u64,
}

impl MemoryTrainer {
    /// A fresh memory of a variant that is trained.
    ///
    /// # Panics
    /// If the variant is not trained (see [`MemoryConfig::is_trained`]) or an ensemble: a
    /// programming error.
    pub fn new(config: &MemoryConfig, latent: usize, actions: usize, seed: u64) -> Self {
        let recurrent = config.recurrent(latent, actions);
        let recurrent = recurrent
            .filter(|_| config.members == 1)
            .unwrap_or_else(|| {
                panic!(
                    "{} is never trained, and members are trained apart",
                    config.variant
                )
            });
        let weights = init(config, latent, actions, seed);
        Self::with_heads(recurrent, WorldHeads::of(config), weights, seed)
    }

    /// A trainer that continues from saved tensors and state.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn restore(
        config: &MemoryConfig,
        latent: usize,
        actions: usize,
        seed: u64,
        tensors: &Params,
        state: &MemoryState,
    ) -> Result<Self, ParamError> {
        Self::new(config, latent, actions, seed).resumed(tensors, state.updates)
    }

    /// The plain numbers of the state.
    pub fn state(&self) -> MemoryState {
        MemoryState {
            updates: self.updates(),
        }
    }

    /// One update ([`Trainer::update`]).
    ///
    /// # Errors
    /// If the loss or a gradient is not finite; nothing has changed then.
    pub fn step(
        &mut self,
        batch: &SequenceBatch,
        learning_rate: f64,
        update: u64,
    ) -> Result<MemoryMetrics, NonFinite> {
        let Update {
            nll,
            heads,
            gradient_norm,
        } = self.update(batch, learning_rate, update)?;
        Ok(MemoryMetrics {
            nll,
            reward_mse: heads[0],
            done_bce: heads[1],
            auxiliary_mse: heads.get(2).copied(),
            gradient_norm,
        })
    }
}
