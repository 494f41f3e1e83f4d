//! Environments of Python's Gymnasium (and of gym-super-mario-bros 7.4.0) behind the
//! [`Env`](frmdn_env::Env) trait.
//!
//! A small Python program, [`SERVER`], is compiled in and run in processes of its own. So the build
//! needs no Python, and a crash or a hang of an environment is an error, not the end of this
//! program. A [`Fleet`] starts up to a given number of processes and makes [`GymEnv`]s, each in a
//! slot of one of them. An episode depends on its seed and actions only, not on the process that
//! runs it; so an episode whose process failed is played again in another one.
//!
//! Reading order: [`protocol`], `process` (one server), `fleet`, `env`; [`python`] finds the
//! interpreter.

mod env;
mod error;
mod fleet;
mod process;
pub mod protocol;
pub mod python;

pub use env::GymEnv;
pub use error::GymError;
pub use fleet::{Fleet, GymConfig, GymSpec};
pub use process::Launch;
pub use python::Python;

/// The source of the server.
pub const SERVER: &str = include_str!("../server/server.py");
/// Requirements of the server for Gymnasium's environments, in pip's format.
pub const REQUIREMENTS: &str = include_str!("../server/requirements.txt");
/// Requirements of the server for gym-super-mario-bros, in pip's format.
pub const REQUIREMENTS_MARIO: &str = include_str!("../server/requirements-mario.txt");
