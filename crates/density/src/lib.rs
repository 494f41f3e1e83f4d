//! Conditional densities: Gaussian mixtures with low-rank precision behind a normalizing flow.
//!
//! Razavi, Hosseini and Behzad, "FRMDN: Flow-based Recurrent Mixture Density Network" (arXiv
//! 2008.02144). With features h, a flow f from data to base, and K components:
//!
//! ```text
//! (1)  p(y | h) = |det ∂f/∂y| Σ_k π_k(h) N(f(y); μ_k(h), P_k⁻¹)
//! (2)  P_k = D_k + U_k U_kᵀ,   D_k = diag(d_k) > 0,   U_k = √D_k V_k of rank r
//! (3)  log det P = Σ log d_i + log det(I + Uᵀ D⁻¹ U)
//! (4)  eᵀ P e = Σ d_i e_i² + ‖Uᵀ e‖²
//! (5)  N(0, P⁻¹) ∋ P⁻¹ (√D ε₁ + U ε₂)
//! (6)  f: couplings y_moved ← y_moved exp(s(y_kept)) + t(y_kept),   log|det| = Σ s
//! ```
//!
//! and, beyond the paper,
//!
//! ```text
//! (7)  P⁻¹ = D⁻¹ + U Uᵀ,  U = D^-½ V:  log det P = Σ log d_i − log det C,
//!      eᵀ P e = ‖√D (e − U t)‖² + ‖t‖²,  C = I + Uᵀ D U,  t = C⁻¹ Uᵀ D e
//! (8)  P = A D Aᵀ,  A unit lower triangular:  log det P = Σ log d_i,   eᵀ P e = ‖√D Aᵀ e‖²
//! (9)  couplings y_moved ← g(y_moved; θ(y_kept)),  log|det| = Σ log g′,
//!      g a rational-quadratic spline (module `spline`)
//! (10) f(y) = L U y,   L unit lower, U upper triangular,   log|det| = Σ log U_ii
//! (11) p(y | h) = |det ∂f/∂y| Π_i Σ_k π_ik(h) N(f(y)_i; μ_ik(h), 1/d_ik(h)): a mixture a value
//! (12) at temperature τ: π_k(τ) ∝ π_k^(1/τ),  noise of the chosen component times √τ,  y = f⁻¹(x)
//! (13) μ_k ← f(y₀) + μ_k:   means are changes of a given point y₀ ([`DensityConfig::residual`])
//! ```
//!
//! The head gives log d, and V instead of U: it has no unit, so that one learning rate suits
//! densities of any sharpness (the tied U is itself a parameter). In (6), s = b tanh(·) with
//! learned bounds b that begin at 1; θ, s and t are networks of three hidden layers with LeakyReLU
//! that see y_kept and, if the flow is conditional, h. What is kept are halves of the values, every
//! second one, or random ones ([`Mask`]); the matrix of (10) can stand before the couplings. Everywhere
//! |log d| ≤ 12 ([`DensityConfig::log_precision_limit`]), or a latent without noise would take the
//! likelihood to infinity. In (3)–(8) the index k is left out. The crate is
//! independent of reinforcement learning. [`Definition`] is the density in burn tensors, for
//! training by autodiff, whose head and affine couplings are computed on the CPU engine too
//! (`definition/coupling.rs`); [`Density`] is the same on the CPU engine, for likelihoods, draws and
//! summaries; tests hold them equal.
//!
//! Two half-moons that take turns, learned by a small FRMDN, and what it draws after each:
//!
//! ```
//! use frmdn_density::{
//!     Definition, Density, DensityConfig, FlowConfig, FlowKind, Form, SampleScratch,
//! };
//! use frmdn_engine::{adam::{Adam, AdamConfig}, random::stream};
//! use rand::RngExt;
//!
//! // An even step lies on the upper moon, an odd one on the lower. The feature says which is next.
//! let mut rng = stream(1, "moons", &[]);
//! let mut moon = |upper: bool| {
//!     let angle = rng.random::<f32>() * std::f32::consts::PI;
//!     let mut uniform = || rng.random::<f32>();
//!     let noise = [0; 2].map(|_| 0.06 * (uniform() + uniform() + uniform() - 1.5));
//!     let (sin, cos) = angle.sin_cos();
//!     let [x, y] = if upper { [cos, sin] } else { [1.0 - cos, 0.5 - sin] };
//!     [x + noise[0], y + noise[1]]
//! };
//! let n = 256;
//! let h: Vec<f32> = (0..n).map(|t| (t % 2) as f32).collect();
//!
//! let flow = FlowConfig { conditional: true, ..FlowConfig::new(FlowKind::Affine, 4, 24) };
//! let diagonal = DensityConfig::diagonal(2, 4);
//! let config = DensityConfig { form: Form::LowRank, rank: 1, flow: Some(flow), ..diagonal };
//! let mut params = config.init(1, 1);
//! let clipped = AdamConfig { clip_norm: Some(10.0), ..AdamConfig::default() };
//! let mut adam = Adam::new(&params, clipped);
//! let (mut first, mut last) = (0.0, 0.0);
//! for update in 0..400 {
//!     let y: Vec<f32> = (0..n).flat_map(|t| moon(t % 2 == 0)).collect();
//!     let weights = vec![1.0 / n as f32; n];
//!     let mut step = Definition::loss_and_gradient(config, &params, &h, &y, &weights).unwrap();
//!     last = -step.log_prob.iter().sum::<f32>() / n as f32;
//!     if update == 0 { first = last; }
//!     adam.step(&mut params, &mut step.parameters, 5e-3);
//! }
//! println!("{first:.2} nats a step before training, {last:.2} after");
//! assert!(last < first - 1.5);
//!
//! let density = Density::new(config, 1, &params).unwrap();
//! let mut scratch = SampleScratch::default();
//! let mut at_the_wrong_moon = 0;
//! for (name, feature) in [("upper", 0.0), ("lower", 1.0)] {
//!     let mut picture = vec![[' '; 64]; 20];
//!     for _ in 0..1000 {
//!         let mut y = [0.0; 2];
//!         density.sample(&[feature], 1.0, std::slice::from_mut(&mut rng), &mut y, &mut scratch);
//!         let (column, row) = ((y[0] + 1.5) * 16.0, (1.25 - y[1]) * 10.0);
//!         let line = picture.get_mut(row as usize);
//!         if let Some(dot) = line.and_then(|line| line.get_mut(column as usize)) { *dot = '·'; }
//!         // Distance to the circle that the moon is half of.
//!         let centre = if feature == 0.0 { [0.0, 0.0] } else { [1.0, 0.5] };
//!         let radius = ((y[0] - centre[0]).powi(2) + (y[1] - centre[1]).powi(2)).sqrt();
//!         at_the_wrong_moon += u32::from((radius - 1.0).abs() > 0.3);
//!     }
//!     println!("after the {name} moon's turn was announced:");
//!     picture.iter().for_each(|line| println!("{}", line.iter().collect::<String>()));
//! }
//! assert!(at_the_wrong_moon < 100, "{at_the_wrong_moon} of 2000 draws are off");
//! ```
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod config;
mod definition;
mod flow;
mod gaussian;
mod host;
mod mixture;
mod spline;

pub use config::{
    ConfigError, DensityConfig, FlowConfig, FlowKind, Form, LOG_PRECISION_LIMIT, Mask,
    default_limit, is_default_limit,
};
pub use definition::{Definition, LossAndGradient, constant, gradient, tracked};
pub use gaussian::Gaussian;
pub use host::{Density, Estimate, SampleScratch};

/// Slope of the conditioners' LeakyReLU below zero.
const LEAK: f32 = 0.01;

/// Bins of a spline.
const BINS: usize = 8;

/// Splines move values within ± this; beyond they are the identity.
const TAIL: f64 = 4.0;
