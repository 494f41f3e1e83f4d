//! Errors of a comparison.

use frmdn_env::EnvError;
use frmdn_gym_bridge::GymError;

use crate::{rollout::DriveError, run::RunError, worlds::WorldError};

/// Why the two environments could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum ParityError {
    /// An environment could not be made, or the scripted driver cannot drive in it.
    #[error(transparent)]
    World(#[from] WorldError),
    /// An environment refused a call.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// Gymnasium's environment did not show its state.
    #[error(transparent)]
    Gym(#[from] GymError),
    /// An episode could not be driven.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// The two do not measure the same.
    #[error("{0} and {1} measure different things, so they cannot be compared")]
    Measurements(String, String),
    /// The state was read before the first reset.
    #[error("the episode was never started")]
    NotStarted,
    /// Gymnasium's state has another number of bytes.
    #[error("a state of another length")]
    StateLength,
    /// The frames have different numbers of bytes.
    #[error("the frames have different sizes")]
    FrameLength,
}

impl From<ParityError> for RunError {
    fn from(error: ParityError) -> Self {
        match error {
            ParityError::World(error) => Self::World(error),
            ParityError::Env(error) => Self::Env(error),
            ParityError::Gym(error) => Self::World(error.into()),
            ParityError::Drive(error) => error.into(),
            other => Self::Failed(other.to_string()),
        }
    }
}
