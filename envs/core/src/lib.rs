//! Environments: the [`Env`] trait, spaces, batches of environments, and the conformance tests
//! that every environment passes.
//!
//! Environments are independent of agents. An observation is a frame (`u8`) or a latent (`f32`) and
//! is written into the caller's buffer, so that a step needs no allocation.

mod batch;
pub mod conformance;
mod dummy;
mod probe;
mod snapshot;
mod spaces;
mod spec;
mod view;
pub mod wrappers;

pub use batch::VecEnv;
pub use dummy::DummyEnv;
pub use probe::{Probe, ProbeSpec};
pub use snapshot::Snapshot;
pub use spaces::{ActionSpace, ObservationMut, ObservationSpace};
pub use spec::{ActionForm, Better, EnvSpec, Measured, Measurement, Progress};
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
    /// What the environment measures ([`EnvSpec::measurements`]), for logs, early stops and scores;
    /// agents must not use it.
    pub measured: Measured,
}

impl Step {
    /// Whether the episode is over: terminated or truncated.
    pub fn done(&self) -> bool {
        self.terminated || self.truncated
    }
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

/// Steps before an episode that begins in the middle of another one, oldest first: an agent with a
/// memory lets them pass through it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct History<'a> {
    /// What was observed before each step, `[steps, latent]`.
    pub latents: &'a [f32],
    /// The actions, `[steps, actions]`.
    pub actions: &'a [f32],
}

/// One environment. Equal seeds and actions give equal observations, bit for bit.
pub trait Env: Send {
    /// What the environment says of itself.
    fn spec(&self) -> &EnvSpec;

    /// The actions that [`Env::step`] accepts.
    fn action_space(&self) -> &ActionSpace {
        &self.spec().actions
    }

    /// What [`Env::reset`] and [`Env::step`] write.
    fn observation_space(&self) -> ObservationSpace {
        self.spec().observation
    }

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

    /// As [`Env::step`], for a step whose observation nobody looks at unless the episode ends with
    /// it, as in the middle of a skip: what is written into `observation` otherwise means nothing,
    /// and until the next step that is seen [`Env::picture`] may show an earlier state.
    ///
    /// # Errors
    /// As those of [`Env::step`].
    fn step_unseen(
        &mut self,
        action: &[f32],
        observation: ObservationMut<'_>,
    ) -> Result<Step, EnvError> {
        self.step(action, observation)
    }

    /// Draws what is random in the rest of the running episode, and decides what happens, from
    /// `seed`: for those who look ahead ([`Env::restore`]) and must not know the future. Nothing
    /// changes where nothing is drawn after the reset.
    fn reseed(&mut self, seed: u64) {
        let _ = seed;
    }

    /// What led to the first observation of the running episode; nothing where that is a beginning.
    fn history(&self) -> History<'_> {
        History::default()
    }

    /// The present state as a picture for people, if the environment has one.
    fn picture(&mut self) -> Option<Picture>;

    /// The environment as one whose inner state can be read, if it is one.
    fn probe(&mut self) -> Option<&mut dyn Probe> {
        None
    }

    /// The whole state of the running episode; `None` where there is none, or where the environment
    /// has no snapshots ([`EnvSpec::has_snapshots`]).
    fn snapshot(&self) -> Option<Snapshot> {
        None
    }

    /// Goes back to `snapshot`, made by this environment or another one of the same configuration:
    /// whatever is done from there on is, bit for bit, what it would have been then.
    ///
    /// # Errors
    /// If the environment has no snapshots, or the snapshot is one of another kind of environment.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvError> {
        let _ = snapshot;
        Err(EnvError::other(format!(
            "{} cannot go back to an earlier state",
            self.spec().name
        )))
    }
}

/// The step and finaliser of SplitMix64, a pseudo-random bijection of 64 bits.
pub(crate) fn scramble(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl<E: Env + ?Sized> Env for Box<E> {
    fn spec(&self) -> &EnvSpec {
        (**self).spec()
    }

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        (**self).reset(seed, observation)
    }

    fn begin(&mut self, action: &[f32]) -> Result<(), EnvError> {
        (**self).begin(action)
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        (**self).step(action, observation)
    }

    fn step_unseen(
        &mut self,
        action: &[f32],
        observation: ObservationMut<'_>,
    ) -> Result<Step, EnvError> {
        (**self).step_unseen(action, observation)
    }

    fn reseed(&mut self, seed: u64) {
        (**self).reseed(seed);
    }

    fn history(&self) -> History<'_> {
        (**self).history()
    }

    fn picture(&mut self) -> Option<Picture> {
        (**self).picture()
    }

    fn probe(&mut self) -> Option<&mut dyn Probe> {
        (**self).probe()
    }

    fn snapshot(&self) -> Option<Snapshot> {
        (**self).snapshot()
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvError> {
        (**self).restore(snapshot)
    }
}
