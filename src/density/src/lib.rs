//! Conditional densities: Gaussian mixtures with low-rank precision behind a normalizing flow.
//!
//! Razavi, Hosseini and Behzad, "FRMDN: Flow-based Recurrent Mixture Density Network" (arXiv 2008.02144). With features
//! h, a flow f from data to base, and K components:
//!
//! ```text
//! (1)  p(y | h) = |det ∂f/∂y| Σ_k π_k(h) N(f(y); μ_k(h), P_k⁻¹)
//! (2)  P_k = D_k + U_k U_kᵀ,   D_k = diag(d_k) > 0,   U_k of rank r
//! (3)  log det P = Σ log d_i + log det(I + Uᵀ D⁻¹ U)
//! (4)  eᵀ P e = Σ d_i e_i² + ‖Uᵀ e‖²
//! (5)  N(0, P⁻¹) ∋ P⁻¹ (√D ε₁ + U ε₂)
//! (6)  f: couplings y_moved ← y_moved exp(s(y_kept)) + t(y_kept),   log|det| = Σ s
//! ```
//!
//! The module knows nothing of reinforcement learning. [`Definition`] is the density in burn tensors, for training by
//! autodiff; [`Density`] is the same on the CPU engine, for likelihoods and draws; tests hold them equal.

mod config;
mod coupling;
mod definition;
mod host;
mod mixture;
mod precision;

pub use config::{DensityConfig, FlowConfig};
pub use definition::{Definition, LossAndGradient, constant, gradient, tracked};
pub use host::{Density, SampleScratch};
pub use precision::Precision;

/// Slope of the conditioners' LeakyReLU below zero.
const LEAK: f32 = 0.01;

/// log d stays within ± this: standard deviations between e⁻⁶ and e⁶ of a latent's unit.
const LOG_PRECISION_LIMIT: f32 = 12.0;
