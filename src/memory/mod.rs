//! M, the memory: one trait, the variants by name.
//!
//! At every step the memory consumes (z_t, a_t); its hidden state h_{t+1} predicts the next latent
//! z_{t+1}, the reward r_t and the end d_t of that very step. The controller at time t sees [z_t,
//! h_t], h_t from before z_t was consumed. Ha & Schmidhuber, "World Models" (2018); Razavi et al.,
//! "FRMDN" (arXiv 2008.02144). Equations 1 to 13 are those of the crate `frmdn-density`; the rest
//! is here:
//!
//! ```text
//! (14) [i f g o] = [z_t a_t h_t] W + b,
//!      c_{t+1} = σ(f) ∘ c_t + σ(i) ∘ tanh(g),   h_{t+1} = σ(o) ∘ tanh(c_{t+1})
//! (15) p(z_{t+1} | h_{t+1}): equation 1 or 11 with y = z_{t+1},
//!      y₀ = z_t where means are changes (13)
//! (16) r̂_t = w_r·h_{t+1} + b_r,   P(d_t = 1) = σ(l_t),   l_t = w_d·h_{t+1} + b_d;
//!      with `reward_hidden` r̂_t = w_r·max(0, W [h_{t+1} z_{t+1}] + b) + b_r
//! (17) loss = mean over real steps of  −log p(z_{t+1} | h_{t+1}) + (s (r̂_t − r_t))²
//!             + λ [w d_t log(1 + e^{−l_t − ln w}) + (1 − d_t) log(1 + e^{l_t + ln w})]
//!             [+ μ (w_m·h_{t+1} + b_m − m_t)², where something that is measured (m_t) is learned too]
//! (18) dropout, in training: (15) and (16) see m ∘ h / (1 − p),
//!      m_i = 1 with probability 1 − p, else 0
//! (19) scheduled sampling, in training: with probability p the z_t of (14) is drawn from (15),
//!      whose h_t comes from a first pass over the recorded latents
//! (20) an ensemble: p = (1/M) Σ_m p_m(z_{t+1} | h^m_{t+1}), at every step anew;
//!      r̂ and P(d = 1) are means, or those of the member drawn
//! (21) nats above the floor:  E[−log p(z′ | h)] − E[H(q(z′ | x′))] = E KL(q(z′ | x′) ‖ p(z′ | h)),
//!      z′ drawn from V's posterior q
//! ```

mod acting;
mod batch;
mod config;
pub mod definition;
mod evaluation;
mod heads;
mod stacked;
mod train;

pub use acting::{Memory, NoPrediction, Prediction, Scratch, TEMPERATURES, load};
pub use batch::{Outcomes, SequenceBatch};
pub use config::{ConfigError, LossConfig, MemoryConfig, Variant, init, posterior_entropy};
pub use evaluation::{EvaluationSums, MemoryEvaluation};
pub use heads::WorldHeads;
pub use stacked::Stacked;
pub use train::{MemoryMetrics, MemoryState, MemoryTrainer};

pub use crate::recurrent::{Calibration, NonFinite};

#[cfg(test)]
mod tests;
