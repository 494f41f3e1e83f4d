//! A tiny environment for tests.

use crate::{
    ActionSpace, Better, Env, EnvError, EnvSpec, Measured, Measurement, ObservationMut,
    ObservationSpace, Picture, Progress, Snapshot, Step, scramble,
};

/// An environment of a few integers, with any action space and any observation space.
///
/// Its observation is noise that depends on the seed and on every action so far. An episode ends in
/// a terminal state with probability 1/32 per step, and is truncated after 20 steps.
#[derive(Clone, Debug)]
pub struct DummyEnv {
    spec: EnvSpec,
    state: u64,
    steps: u32,
    running: bool,
}

impl DummyEnv {
    /// Number of steps after which an episode is truncated.
    pub const MAX_STEPS: u32 = 20;

    /// An environment with these spaces.
    pub fn new(action_space: ActionSpace, observation_space: ObservationSpace) -> Self {
        let spec = EnvSpec {
            max_steps: Some(Self::MAX_STEPS),
            measurements: vec![
                Measurement::new("steps", "", Better::Higher),
                Measurement::new("all steps", "", Better::Neither),
                Measurement::new("end", "", Better::Higher),
            ],
            progress: Some(Progress {
                value: 0,
                most: Some(1),
            }),
            completed: Some(2),
            has_snapshots: true,
            ..EnvSpec::new("dummy", action_space, observation_space)
        };
        Self {
            spec,
            state: 0,
            steps: 0,
            running: false,
        }
    }

    fn expected(&self) -> usize {
        self.spec.observation.len()
    }

    fn observe(&self, observation: ObservationMut<'_>) {
        let noise = |i: usize| scramble(self.state ^ i as u64);
        match observation {
            ObservationMut::Frame(bytes) => bytes
                .iter_mut()
                .enumerate()
                .for_each(|(i, byte)| *byte = noise(i) as u8),
            ObservationMut::Latent(values) => {
                values
                    .iter_mut()
                    .enumerate()
                    .for_each(|(i, value)| *value = (noise(i) >> 40) as f32 / (1u32 << 24) as f32);
            }
        }
    }

    fn check<'a>(&self, observation: ObservationMut<'a>) -> Result<ObservationMut<'a>, EnvError> {
        match self.spec.observation {
            ObservationSpace::Frame { .. } => observation
                .frame(self.expected())
                .map(ObservationMut::Frame),
            ObservationSpace::Latent(_) => observation
                .latent(self.expected())
                .map(ObservationMut::Latent),
        }
    }
}

impl Env for DummyEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        let observation = self.check(observation)?;
        (self.state, self.steps, self.running) = (scramble(seed), 0, true);
        self.observe(observation);
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        if !self.running {
            return Err(EnvError::NeedsReset);
        }
        self.spec.actions.check(action)?;
        let observation = self.check(observation)?;
        for value in action {
            self.state = scramble(self.state ^ u64::from(value.to_bits()));
        }
        self.steps += 1;
        let terminated = self.state.is_multiple_of(32);
        let truncated = self.steps >= Self::MAX_STEPS;
        self.running = !(terminated || truncated);
        self.observe(observation);
        Ok(Step {
            reward: (self.state >> 11) as f64 / (1u64 << 53) as f64,
            terminated,
            truncated,
            measured: Measured::new(&[
                f64::from(self.steps),
                f64::from(Self::MAX_STEPS),
                f64::from(u8::from(terminated)),
            ]),
        })
    }

    fn picture(&mut self) -> Option<Picture> {
        let ObservationSpace::Frame {
            height,
            width,
            channels: 3,
        } = self.spec.observation
        else {
            return None;
        };
        let mut rgb = vec![0; self.expected()];
        self.observe(ObservationMut::Frame(&mut rgb));
        Some(Picture { width, height, rgb })
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.running
            .then(|| Snapshot::new((self.state, self.steps)))
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvError> {
        (self.state, self.steps) = *snapshot.get::<(u64, u32)>()?;
        self.running = true;
        Ok(())
    }
}
