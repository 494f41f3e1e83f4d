//! Episodes that begin after some steps of doing nothing.

use super::{nothing, uniform};
use crate::{Env, EnvError, EnvSpec, ObservationMut, Snapshot, Step};

/// The stream of the numbers of steps.
const STREAM: u64 = 0x6e6f_6f70;

/// Does nothing for the first 0 to `most` steps of an episode, as many as the seed says, so that
/// seeds mean something where a level is always the same (the no-op starts of Mnih et al. 2015). An
/// episode that would end meanwhile begins without them.
pub struct NoopStart {
    inner: Box<dyn Env>,
    spec: EnvSpec,
    most: u32,
    nothing: Vec<f32>,
    /// Steps since the start; `None` if no episode is running.
    steps: Option<u32>,
}

impl NoopStart {
    /// What `inner` says of itself with this start. Where it limits its steps, those of the start
    /// count for all seeds alike.
    pub fn spec(inner: &EnvSpec, most: u32) -> EnvSpec {
        EnvSpec {
            max_steps: inner
                .max_steps
                .map(|limit| limit.saturating_sub(most).max(1)),
            rule: format!("{}; after 0 to {most} steps of doing nothing", inner.rule),
            is_deterministic: inner.is_deterministic && most == 0,
            ..inner.clone()
        }
    }

    /// `inner` with at most `most` steps of doing nothing before its episodes.
    pub fn new(inner: Box<dyn Env>, most: u32) -> Self {
        Self {
            spec: Self::spec(inner.spec(), most),
            most,
            nothing: nothing(inner.action_space()),
            inner,
            steps: None,
        }
    }

    /// Resets and does nothing for `count` steps; whether the episode is still running.
    fn begin_with(
        &mut self,
        seed: u64,
        count: u32,
        observation: &mut ObservationMut<'_>,
    ) -> Result<bool, EnvError> {
        self.inner.reset(seed, observation.again())?;
        for left in (0..count).rev() {
            let step = match left {
                0 => self.inner.step(&self.nothing, observation.again())?,
                _ => (self.inner).step_unseen(&self.nothing, observation.again())?,
            };
            if step.done() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the next step is the last one that is allowed.
    fn is_last(&self) -> bool {
        let steps = self.steps.map(|steps| steps + 1);
        self.spec.max_steps.is_some_and(|most| steps >= Some(most))
    }

    fn step_with(
        &mut self,
        step: impl FnOnce(&mut dyn Env) -> Result<Step, EnvError>,
    ) -> Result<Step, EnvError> {
        let before = self.steps.ok_or(EnvError::NeedsReset)?;
        let mut step = step(self.inner.as_mut())?;
        if self.spec.max_steps.is_some() {
            step.truncated = self.is_last();
        }
        self.steps = (!step.done()).then_some(before + 1);
        Ok(step)
    }
}

impl Env for NoopStart {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    forward!(reseed, history, picture, probe);

    fn reset(&mut self, seed: u64, mut observation: ObservationMut<'_>) -> Result<(), EnvError> {
        let count = (uniform(seed, STREAM, 0) * f64::from(self.most + 1)) as u32;
        if !self.begin_with(seed, count, &mut observation)? {
            self.begin_with(seed, 0, &mut observation)?;
        }
        self.steps = Some(0);
        Ok(())
    }

    fn begin(&mut self, action: &[f32]) -> Result<(), EnvError> {
        match self.steps {
            Some(_) => self.inner.begin(action),
            None => Ok(()),
        }
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        self.step_with(|inner| inner.step(action, observation))
    }

    fn step_unseen(
        &mut self,
        action: &[f32],
        observation: ObservationMut<'_>,
    ) -> Result<Step, EnvError> {
        if self.is_last() {
            return self.step(action, observation);
        }
        self.step_with(|inner| inner.step_unseen(action, observation))
    }

    fn snapshot(&self) -> Option<Snapshot> {
        Some(Snapshot::new((self.inner.snapshot()?, self.steps?)))
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvError> {
        let (inner, steps) = snapshot.get::<(Snapshot, u32)>()?;
        self.inner.restore(inner)?;
        self.steps = Some(*steps);
        Ok(())
    }
}
