//! Frames as an agent sees them.

use crate::{AgentView, Env, EnvError, EnvSpec, ObservationMut, ObservationSpace, Step};

/// Shows frames of any size as a square of three channels ([`AgentView`]).
pub struct View {
    inner: Box<dyn Env>,
    spec: EnvSpec,
    view: AgentView,
    frame: Vec<u8>,
}

impl View {
    /// What `inner` says of itself with views of `side` pixels a side.
    pub fn spec(inner: &EnvSpec, side: usize) -> EnvSpec {
        EnvSpec {
            observation: ObservationSpace::Frame {
                height: side,
                width: side,
                channels: 3,
            },
            ..inner.clone()
        }
    }

    /// `inner`, whose frames are seen as squares of `side` pixels a side.
    ///
    /// # Errors
    /// If it has no frames, or frames of another number of channels than 1, 3 or 4.
    pub fn new(inner: Box<dyn Env>, side: usize) -> Result<Self, EnvError> {
        let ObservationSpace::Frame {
            height,
            width,
            channels,
        } = inner.observation_space()
        else {
            return Err(EnvError::other(format!(
                "{} has no frames to be seen",
                inner.spec().name
            )));
        };
        Ok(Self {
            spec: Self::spec(inner.spec(), side),
            view: AgentView::new((height, width, channels), 0..height, side)?,
            frame: vec![0; height * width * channels],
            inner,
        })
    }
}

impl Env for View {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    forward!(begin, reseed, picture, probe, snapshot, restore);

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        let out = observation.frame(self.view.len())?;
        self.inner
            .reset(seed, ObservationMut::Frame(&mut self.frame))?;
        self.view.write(&self.frame, out);
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        let out = observation.frame(self.view.len())?;
        let step = self
            .inner
            .step(action, ObservationMut::Frame(&mut self.frame))?;
        self.view.write(&self.frame, out);
        Ok(step)
    }

    fn step_unseen(
        &mut self,
        action: &[f32],
        observation: ObservationMut<'_>,
    ) -> Result<Step, EnvError> {
        let out = observation.frame(self.view.len())?;
        let frame = ObservationMut::Frame(&mut self.frame);
        let step = self.inner.step_unseen(action, frame)?;
        if step.done() {
            self.view.write(&self.frame, out);
        }
        Ok(step)
    }
}
