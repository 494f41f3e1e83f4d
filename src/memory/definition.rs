//! M in burn tensors: the definition of its heads, on a recurrent density.

use burn::tensor::{Device, Tensor};
use frmdn_engine::{Params, params::ParamError};

use super::{MemoryConfig, heads::WorldHeads};
use crate::recurrent::Definition;

/// The weights of M as tensors on a device.
pub type MemoryDefinition = Definition<WorldHeads>;

impl MemoryDefinition {
    /// The weights of a variant with a density on `device` (an autodiff device for training).
    ///
    /// # Errors
    /// If a tensor is missing or has another shape, or the variant has no density.
    pub fn new(
        config: &MemoryConfig,
        latent: usize,
        actions: usize,
        weights: &Params,
        device: &Device,
    ) -> Result<Self, ParamError> {
        let recurrent = config
            .recurrent(latent, actions)
            .ok_or_else(|| ParamError::Missing("head.logits.weight".into()))?;
        Self::of(recurrent, WorldHeads::of(config), weights, device)
    }

    /// Reward, and the logit of the end (equation 16), of each row `[rows, 1]` of `hidden`, which is
    /// followed by the latents `next`.
    pub fn heads(&self, hidden: Tensor<2>, next: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let tensors = self.head_tensors();
        self.heads.values(&tensors, hidden, next)
    }
}
