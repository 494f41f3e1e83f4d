//! World models whose memory is a flow-based recurrent mixture density network (FRMDN).
//!
//! ```text
//!  environment ──frame──▶ V (VAE encoder) ──z──┬───────────▶ C (linear, evolved) ──action──▶
//!                                              │                ▲
//!                                              ▼                │ h
//!                            M (LSTM + mixture density + flow) ─┘
//!                            p(z', reward, done | z, action, h): dreams, likelihoods
//! ```
//!
//! A run folder goes through the [`stages`]: collect → vision → memory → controller → evaluate.
//! Imports never go up: [`cli`] → [`studies`] → [`stages`], [`parity`], [`measure`] → [`film`] →
//! [`dream`](mod@dream) → [`pilot`] → [`agent`] → [`rollout`], [`pictures`] → [`training`], [`data`] →
//! [`run`] → [`worlds`], [`device`], [`vision`], [`memory`], [`controller`] → [`recurrent`] →
//! `frmdn_density`, `frmdn_engine`, `frmdn_cma_es`, `frmdn_env`.
//!
//! A random policy on one track, with the agent's observation:
//!
//! ```
//! use frmdn::{controller::Actions, rollout::OpenLoop};
//! use frmdn::worlds::{self, Bridge, World};
//! use frmdn_env::ObservationMut;
//!
//! let mut env = World::open(worlds::DEFAULT, &Bridge::default())?.make()?;
//! let mut frame = vec![0u8; env.observation_space().len()];
//! let mut action = [0.0; 3];
//! let mut driver = OpenLoop::Brownian.driver(&Actions::of(env.spec()), 1, 7);
//! env.reset(7, ObservationMut::Frame(&mut frame))?;
//! let mut score = 0.0;
//! for _ in 0..50 {
//!     driver.act(&mut action);
//!     let step = env.step(&action, ObservationMut::Frame(&mut frame))?;
//!     score += step.reward;
//!     if step.done() {
//!         break;
//!     }
//! }
//! assert!(score > -10.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

#[cfg(feature = "gym-rs")]
pub use frmdn_gym_rs as gym_rs;

pub mod agent;
pub mod cli;
pub mod controller;
pub mod data;
pub mod device;
pub mod dream;
pub mod film;
pub mod measure;
pub mod memory;
pub mod parity;
pub mod pictures;
pub mod pilot;
pub mod recurrent;
pub mod rollout;
pub mod run;
pub mod stages;
pub mod studies;
pub mod training;
pub mod vision;
pub mod worlds;
