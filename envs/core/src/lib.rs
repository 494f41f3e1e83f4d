//! Environments: the [`Env`] trait, spaces, batches of environments, and the conformance tests
//! that every environment passes.
//!
//! Environments are independent of agents. An observation is a frame (`u8`) or a latent (`f32`) and
//! is written into the caller's buffer, so that a step needs no allocation.

mod batch;
pub mod conformance;
mod dummy;
mod spaces;
mod view;

pub use batch::VecEnv;
pub use dummy::DummyEnv;
pub use spaces::{ActionSpace, ObservationMut, ObservationSpace};
pub use view::AgentView;

/// The result of one [`Env::step`] beside the observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Reward of this step; `f64` as in Gymnasium.
    pub reward: f64,
    /// The task is over: a terminal state of the decision process.
    pub terminated: bool,
    /// The episode was cut off, for example by a limit on steps; the state is not terminal.
    pub truncated: bool,
    /// Extra information.
    pub info: Info,
}

impl Step {
    /// Whether the episode is over: terminated or truncated.
    pub fn done(&self) -> bool {
        self.terminated || self.truncated
    }
}

/// Extra information of a step, for logs, early stops and scores; agents must not use it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Info {
    /// Steps since reset, this one included.
    pub steps: u32,
    /// Progress so far and the largest possible, in the environment's unit (Car-Racing: tiles
    /// visited, all tiles); (0, 0) where the environment measures none.
    pub progress: (u32, u32),
    /// Whether the task was completed (Car-Racing: a lap was finished).
    pub completed: bool,
    /// Whether nothing moves (Car-Racing: the hull is slower than 0.1 world units per second);
    /// false where the environment cannot tell.
    pub still: bool,
}

/// A picture for people: RGB rows from the top, 3 bytes per pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `height · width · 3` bytes.
    pub rgb: Vec<u8>,
}

/// Why an environment refused a call.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// The action has the wrong length, a value outside of its range, or one that is not a number.
    #[error("action {action:?} is outside of the action space: {allowed}")]
    Action {
        /// The given one.
        action: Vec<f32>,
        /// The ranges that are allowed, in words.
        allowed: String,
    },
    /// The buffer for the observation has the wrong kind or length.
    #[error("the observation buffer holds {found}, the environment writes {expected}")]
    Buffer {
        /// The given one.
        found: String,
        /// The needed one.
        expected: String,
    },
    /// A step before the first reset or after the end of an episode.
    #[error("the episode is over or was never started: call reset first")]
    NeedsReset,
    /// An error of the environment itself.
    #[error("{0}")]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl EnvError {
    /// An [`EnvError::Other`] with an error or a message.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}

/// One environment. Equal seeds and actions give equal observations, bit for bit.
pub trait Env: Send {
    /// The actions that [`Env::step`] accepts.
    fn action_space(&self) -> &ActionSpace;

    /// What [`Env::reset`] and [`Env::step`] write.
    fn observation_space(&self) -> ObservationSpace;

    /// Starts the episode of `seed` and writes its first observation.
    ///
    /// # Errors
    /// If the buffer has another kind or length than [`Env::observation_space`], or if the
    /// environment fails.
    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError>;

    /// Announces the action of the next [`Env::step`], so that an environment in another process
    /// can begin while the caller does something else. That step must have the same action. Other
    /// environments do nothing here.
    ///
    /// # Errors
    /// If the action is invalid.
    fn begin(&mut self, action: &[f32]) -> Result<(), EnvError> {
        let _ = action;
        Ok(())
    }

    /// Applies `action` and writes the next observation. After a step with [`Step::done`] only
    /// [`Env::reset`] is allowed.
    ///
    /// # Errors
    /// If the action or the buffer is invalid, if no episode is running, or if the environment
    /// fails.
    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError>;

    /// The present state as a picture for people, if the environment has one.
    fn picture(&mut self) -> Option<Picture>;
}
