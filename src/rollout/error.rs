//! Errors of driving.

use frmdn_env::EnvError;

use crate::{memory::NoPrediction, run::RunError, worlds::WorldError};

/// Why an episode could not be driven.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The environment could not be made.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The environment refused a call.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// A controller without V and M.
    #[error("a controller needs V and M, and there is no model")]
    NoModel,
    /// A blackout with a memory that predicts nothing.
    #[error(transparent)]
    NoPrediction(#[from] NoPrediction),
    /// The observer of the episode failed.
    #[error(transparent)]
    Observer(#[from] RunError),
}

impl From<DriveError> for RunError {
    fn from(error: DriveError) -> Self {
        match error {
            DriveError::World(error) => Self::World(error),
            DriveError::Env(error) => Self::Env(error),
            DriveError::Observer(error) => error,
            DriveError::NoModel | DriveError::NoPrediction(_) => Self::Failed(error.to_string()),
        }
    }
}
