//! What an agent needs in order to act: V's encoder, M, and how C's outputs become actions.

use crate::{controller::Actions, memory::Memory, vision::Encoder};

/// The parts of an agent that acting needs, shared by all threads; the decoder of V is not needed.
pub struct ActingModel {
    /// V's encoder; `None` where the observation is the latent already.
    pub encoder: Option<Encoder>,
    /// M.
    pub memory: Box<dyn Memory>,
    /// Length of the latent z.
    pub latent: usize,
    /// How outputs of C become actions of the environment.
    pub actions: Actions,
}

impl ActingModel {
    /// Length of [z, h].
    pub fn features(&self) -> usize {
        self.latent + self.memory.hidden_len()
    }
}
