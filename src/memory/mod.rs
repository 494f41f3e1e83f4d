//! M: one trait, the variants by name.
//!
//! At every step the memory consumes (z_t, a_t); its hidden state h_{t+1} predicts the next latent z_{t+1}, the reward r_t
//! and the end d_t of that very step. The controller at time t sees [z_t, h_t], h_t from before z_t was consumed.
//! Ha & Schmidhuber, "World Models" (2018); Razavi et al., "FRMDN" (arXiv 2008.02144).

mod acting;
mod batch;
mod config;
pub mod definition;
mod evaluation;
mod heads;
mod train;

pub use acting::{Memory, NoPrediction, Prediction, Scratch, load};
pub use batch::SequenceBatch;
pub use config::{LossConfig, MemoryConfig, Variant, init, posterior_entropy};
pub use evaluation::{Calibration, Judged, MemoryEvaluation};
pub use train::{MemoryMetrics, MemoryState, MemoryTrainer, NonFinite};

#[cfg(test)]
mod tests;
