//! A limit on the steps of an episode.

use crate::{Env, EnvError, EnvSpec, ObservationMut, Snapshot, Step};

/// Truncates episodes after a number of steps.
pub struct StepLimit {
    inner: Box<dyn Env>,
    spec: EnvSpec,
    most: u32,
    /// Steps since reset; `None` if no episode is running.
    steps: Option<u32>,
}

impl StepLimit {
    /// What `inner` says of itself with this limit; one that it has already stays, if it is lower.
    pub fn spec(inner: &EnvSpec, most: u32) -> EnvSpec {
        let most = inner.max_steps.map_or(most, |limit| limit.min(most));
        EnvSpec {
            max_steps: Some(most),
            rule: format!("{}; cut off after {most} steps", inner.rule),
            ..inner.clone()
        }
    }

    /// `inner` with episodes of at most `most` steps.
    pub fn new(inner: Box<dyn Env>, most: u32) -> Self {
        let spec = Self::spec(inner.spec(), most);
        Self {
            most: spec.max_steps.unwrap_or(most),
            inner,
            spec,
            steps: None,
        }
    }
}

impl StepLimit {
    /// Counts a step after `before` others.
    fn count(&mut self, before: u32, mut step: Step) -> Step {
        step.truncated |= before + 1 >= self.most;
        self.steps = (!step.done()).then_some(before + 1);
        step
    }
}

impl Env for StepLimit {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    forward!(reseed, history, picture, probe);

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        self.inner.reset(seed, observation)?;
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
        let before = self.steps.ok_or(EnvError::NeedsReset)?;
        let step = self.inner.step(action, observation)?;
        Ok(self.count(before, step))
    }

    fn step_unseen(
        &mut self,
        action: &[f32],
        observation: ObservationMut<'_>,
    ) -> Result<Step, EnvError> {
        let before = self.steps.ok_or(EnvError::NeedsReset)?;
        if before + 1 >= self.most {
            return self.step(action, observation);
        }
        let step = self.inner.step_unseen(action, observation)?;
        Ok(self.count(before, step))
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
