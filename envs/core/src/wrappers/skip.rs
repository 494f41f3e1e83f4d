//! Steps of several frames.

use crate::{Env, EnvError, EnvSpec, ObservationMut, ObservationSpace, Snapshot, Step};

/// Applies each action for several frames. The reward is the sum, the observation that of the last
/// frame or, value by value, the larger one of the last two: machines that draw some things in even
/// frames only would else hide them (Mnih et al. 2015).
pub struct FrameSkip {
    inner: Box<dyn Env>,
    spec: EnvSpec,
    frames: u32,
    is_maximum: bool,
    /// Observations that nobody looks at, and those before the last.
    scratch: Scratch,
    running: bool,
}

enum Scratch {
    Frame(Vec<u8>),
    Latent(Vec<f32>),
}

impl Scratch {
    fn as_mut(&mut self) -> ObservationMut<'_> {
        match self {
            Self::Frame(bytes) => ObservationMut::Frame(bytes),
            Self::Latent(values) => ObservationMut::Latent(values),
        }
    }

    /// Takes the larger of each value into `out`.
    fn maximum(&self, out: ObservationMut<'_>) {
        match (self, out) {
            (Self::Frame(before), ObservationMut::Frame(now)) => {
                for (now, before) in now.iter_mut().zip(before) {
                    *now = (*now).max(*before);
                }
            }
            (Self::Latent(before), ObservationMut::Latent(now)) => {
                for (now, before) in now.iter_mut().zip(before) {
                    *now = now.max(*before);
                }
            }
            // The environment has refused a buffer of the other kind already.
            _ => {}
        }
    }
}

impl FrameSkip {
    /// What `inner` says of itself with steps of `frames` frames.
    pub fn spec(inner: &EnvSpec, frames: u32, is_maximum: bool) -> EnvSpec {
        let maximum = if is_maximum {
            ", seen as the larger value of the last two"
        } else {
            ""
        };
        EnvSpec {
            max_steps: inner.max_steps.map(|limit| limit.div_ceil(frames)),
            steps_per_second: inner.steps_per_second / f64::from(frames),
            steps_in_view: inner.steps_in_view.map(|steps| steps.div_ceil(frames)),
            opening_steps: inner.opening_steps.div_ceil(frames),
            stall_cost: inner.stall_cost.map(|cost| cost * f64::from(frames)),
            rule: format!("{}; {frames} frames a step{maximum}", inner.rule),
            ..inner.clone()
        }
    }

    /// `inner` with steps of `frames` frames, at least 1.
    pub fn new(inner: Box<dyn Env>, frames: u32, is_maximum: bool) -> Self {
        let frames = frames.max(1);
        let scratch = match inner.observation_space() {
            space @ ObservationSpace::Frame { .. } => Scratch::Frame(vec![0; space.len()]),
            ObservationSpace::Latent(n) => Scratch::Latent(vec![0.0; n]),
        };
        Self {
            spec: Self::spec(inner.spec(), frames, is_maximum),
            inner,
            frames,
            is_maximum,
            scratch,
            running: false,
        }
    }
}

impl FrameSkip {
    /// A step that is looked at, or not.
    fn step_of(
        &mut self,
        action: &[f32],
        mut observation: ObservationMut<'_>,
        is_looked_at: bool,
    ) -> Result<Step, EnvError> {
        if !self.running {
            return Err(EnvError::NeedsReset);
        }
        self.spec.actions.check(action)?;
        observation.check(self.spec.observation)?;
        let mut reward = 0.0;
        for frame in 1.. {
            let is_seen = is_looked_at
                && (frame == self.frames || self.is_maximum && frame + 1 == self.frames);
            // Any frame can be the last one of the episode, so each is written where it is looked
            // at; the one before the last is kept for the maximum.
            if self.is_maximum && frame == self.frames {
                match (&mut self.scratch, observation.again()) {
                    (Scratch::Frame(to), ObservationMut::Frame(from)) => to.copy_from_slice(from),
                    (Scratch::Latent(to), ObservationMut::Latent(from)) => to.copy_from_slice(from),
                    _ => {}
                }
            }
            let mut step = match is_seen {
                true => self.inner.step(action, observation.again())?,
                // Unless the episode ends with it.
                false => self.inner.step_unseen(action, self.scratch.as_mut())?,
            };
            reward += step.reward;
            if step.done() && !is_seen {
                observation.copy_from(&self.scratch.as_mut());
            }
            if step.done() || frame == self.frames {
                if self.is_maximum && frame == self.frames && frame > 1 {
                    self.scratch.maximum(observation);
                }
                self.running = !step.done();
                step.reward = reward;
                return Ok(step);
            }
        }
        unreachable!("the loop ends with the last frame")
    }
}

impl Env for FrameSkip {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    forward!(begin, reseed, history, picture, probe);

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        self.inner.reset(seed, observation)?;
        self.running = true;
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        self.step_of(action, observation, true)
    }

    fn step_unseen(
        &mut self,
        action: &[f32],
        observation: ObservationMut<'_>,
    ) -> Result<Step, EnvError> {
        // The larger of two frames is seen also where the episode ends with them.
        self.step_of(action, observation, self.is_maximum)
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.inner.snapshot().filter(|_| self.running)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvError> {
        self.inner.restore(snapshot)?;
        self.running = true;
        Ok(())
    }
}
