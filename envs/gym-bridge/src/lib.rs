//! Environments of Python's Gymnasium (and of gym-super-mario-bros 7.4.0) behind the
//! [`Env`](frmdn_env::Env) trait.
//!
//! A small Python program, [`SERVER`], is compiled in and served by processes: nothing of Python at
//! cargo's build, and a crash or a hang of an environment is an error, not the end of this program.
//! A [`Fleet`] keeps as many processes as asked for and hands out [`GymEnv`]s, each in a slot of
//! one of them. What an environment does depends on its seed and actions only, never on the process
//! that runs it; so an episode that was lost with its process is played again up to where it was.
//!
//! Reading order: [`protocol`], `process` (one server), `fleet`, `env`; [`python`] finds
//! interpreters and what they have.

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

/// The text of the server.
pub const SERVER: &str = include_str!("../server/server.py");
/// What the server needs for Gymnasium's environments, as pip wants it.
pub const REQUIREMENTS: &str = include_str!("../server/requirements.txt");
/// What the server needs for gym-super-mario-bros.
pub const REQUIREMENTS_MARIO: &str = include_str!("../server/requirements-mario.txt");
