//! Car-Racing: a native port of Gymnasium `CarRacing-v3`.
//!
//! The reference is Gymnasium 1.4.0 (`gymnasium/envs/box2d/car_racing.py` and `car_dynamics.py`) on
//! Box2D 2.3. For the same seed and actions every bit of the car's state, the rewards and the ends
//! of episodes are equal to the reference on x86-64 Linux, on whatever machine this crate runs; the
//! points of a track are equal to 1e-11, and pictures differ by the rounding of edges.
//!
//! ```
//! use frmdn_car_racing::CarRacingConfig;
//! use frmdn_env::{Env, ObservationMut};
//!
//! let mut env = CarRacingConfig::default().init();
//! let mut frame = vec![0; env.observation_space().len()];
//! env.reset(1, ObservationMut::Frame(&mut frame))?;
//! let step = env.step(&[0.0, 0.5, 0.0], ObservationMut::Frame(&mut frame))?;
//! assert!(step.reward > 0.0, "the first step pays the reward of the tiles under the car");
//! # Ok::<(), frmdn_env::EnvError>(())
//! ```
//!
//! Reading order: [`track`] (drawn by [`rng`]), `car` on `solver` and `joint`, `contact`, `scene`
//! and `gauges` on `raster`, [`observed`], `skid`, `perturbation`, `friction`, and `env`, which puts
//! them together.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

mod car;
mod config;
mod contact;
mod distance;
mod env;
mod friction;
mod gauges;
mod joint;
mod math;
pub mod observed;
mod perturbation;
mod polygon;
mod probe;
pub mod pursuit;
mod raster;
pub mod rng;
mod scene;
mod sincos;
mod skid;
mod solver;
mod state;
pub mod track;

pub use config::{Actions, CarRacingConfig, Observation, Rule, agent_view, continuous_forms};
pub use env::{CarRacing, EpisodeSource, VIDEO, measured};
pub use friction::{FrictionError, FrictionRange};
pub use perturbation::Perturbation;
pub use state::{BodyState, CarState, Pose, WheelState};
