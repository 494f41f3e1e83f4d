//! V: the variational auto-encoder that turns a 64×64 RGB frame into a latent vector (Ha &
//! Schmidhuber 2018, A.1).
//!
//! ```text
//! frame u8 [64, 64, 3] ─ conv 4×4 s2 ×4 ─ linear ─► mean, log-variance [latent]   (acting: the encoder)
//! latent ─ linear ─ transposed conv ×4 ─ sigmoid ─► frame [64, 64, 3]              (the decoder)
//! ```
//!
//! [`definition`] is the burn module: the definition and the autodiff reference. [`Vae`],
//! [`Encoder`], [`Decoder`] and [`VaeTrainer`] compute the same on the CPU with the engine, several
//! times faster; tests hold them equal.

mod augment;
pub mod definition;
mod graph;
mod loss;
mod model;
mod rare;
mod train;

pub use loss::{BetaConfig, BetaState, VaeEvaluation, VaeMetrics};
pub use model::{ConfigError, Decoder, DecoderScratch, Encoder, EncoderScratch, Vae, VaeConfig};
pub use rare::error as rare_error;
pub use train::{NonFinite, VaeState, VaeTrainer, VaeTrainerConfig};

/// Height and width of a frame, in pixels.
pub const SIDE: usize = 64;
/// Values in a frame: 64 rows of 64 RGB pixels, one byte each.
pub const FRAME: usize = SIDE * SIDE * 3;
