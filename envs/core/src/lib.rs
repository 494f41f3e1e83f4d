//! Environments: the [`Env`] trait, spaces, batches of environments, and the conformance tests
//! every environment passes.
//!
//! Environments know nothing of agents. An observation is a frame (`u8`) or a latent (`f32`) and is
//! written into the caller's buffer, so that a step allocates nothing.

mod batch;
pub mod conformance;
mod dummy;
mod spaces;
mod view;

pub use batch::VecEnv;
pub use dummy::DummyEnv;
pub use spaces::{ActionSpace, ObservationMut, ObservationSpace};
pub use view::AgentView;

/// What one [`Env::step`] returns beside the observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Reward of this step, `f64` as in Gymnasium.
    pub reward: f64,
    /// The task is over (a terminal state of the decision process).
    pub terminated: bool,
    /// The episode was cut off (a limit on steps), the state is not terminal.
    pub truncated: bool,
    /// What else the environment knows.
    pub info: Info,
}

impl Step {
    /// The episode is over, for whichever reason.
    pub fn done(&self) -> bool {
        self.terminated || self.truncated
    }
}

/// Typed extra information of a step. It is for logs, early stops and scores, never for the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Info {
    /// Steps since reset, this one included.
    pub steps: u32,
    /// Progress made so far and the most there is, in the environment's unit (Car-Racing: tiles
    /// visited, tiles in all).
    pub progress: (u32, u32),
    /// The task was completed (Car-Racing: a lap was finished).
    pub completed: bool,
    /// Nothing moves (Car-Racing: its hull is slower than 0.1 world units a second); false where
    /// the environment cannot tell.
    pub still: bool,
}

/// A picture for people: RGB rows from the top, 3 bytes a pixel.
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
    /// The action has the wrong length or a value outside of its range (or not a number).
    #[error("action {action:?} is outside of the action space: {allowed}")]
    Action {
        /// What was given.
        action: Vec<f32>,
        /// The ranges that are allowed, in words.
        allowed: String,
    },
    /// The buffer for the observation has the wrong kind or length.
    #[error("the observation buffer holds {found}, the environment writes {expected}")]
    Buffer {
        /// What was given.
        found: String,
        /// What is needed.
        expected: String,
    },
    /// A step before the first reset or after the end of an episode.
    #[error("the episode is over or was never started: call reset first")]
    NeedsReset,
    /// Anything the environment itself reports.
    #[error("{0}")]
    Other(String),
}

/// One environment. Equal seeds and equal actions give equal bytes.
pub trait Env: Send {
    /// The actions that [`Env::step`] accepts.
    fn action_space(&self) -> &ActionSpace;

    /// What [`Env::reset`] and [`Env::step`] write.
    fn observation_space(&self) -> ObservationSpace;

    /// Starts the episode of `seed` and writes its first observation.
    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError>;

    /// Tells the action of the next [`Env::step`] ahead, so that an environment that works
    /// elsewhere can start on it while others are told theirs. That step must then bring the same
    /// action. Others do nothing here.
    fn begin(&mut self, action: &[f32]) -> Result<(), EnvError> {
        let _ = action;
        Ok(())
    }

    /// Applies `action` and writes the next observation. After a step whose [`Step::done`] is true
    /// only [`Env::reset`] is allowed.
    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError>;

    /// The present state as a picture for people, if the environment can be looked at.
    fn picture(&mut self) -> Option<Picture>;
}
