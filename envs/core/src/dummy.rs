//! A tiny environment for tests.

use crate::{ActionSpace, Env, EnvError, Info, ObservationMut, ObservationSpace, Picture, Step};

/// An environment of a few integers, with any action space and any observation space.
///
/// Its observation is noise that depends on the seed and on every action so far. An episode ends in
/// a terminal state with probability 1/32 per step, and is truncated after 20 steps.
#[derive(Clone, Debug)]
pub struct DummyEnv {
    action_space: ActionSpace,
    observation_space: ObservationSpace,
    state: u64,
    steps: u32,
    running: bool,
}

impl DummyEnv {
    /// Number of steps after which an episode is truncated.
    pub const MAX_STEPS: u32 = 20;

    /// An environment with these spaces.
    pub fn new(action_space: ActionSpace, observation_space: ObservationSpace) -> Self {
        Self {
            action_space,
            observation_space,
            state: 0,
            steps: 0,
            running: false,
        }
    }

    fn expected(&self) -> usize {
        self.observation_space.len()
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
        match self.observation_space {
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
    fn action_space(&self) -> &ActionSpace {
        &self.action_space
    }

    fn observation_space(&self) -> ObservationSpace {
        self.observation_space
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
        self.action_space.check(action)?;
        let observation = self.check(observation)?;
        for value in action {
            self.state = scramble(self.state ^ u64::from(value.to_bits()));
        }
        self.steps += 1;
        let terminated = self.state.is_multiple_of(32);
        let truncated = self.steps >= Self::MAX_STEPS;
        self.running = !(terminated || truncated);
        self.observe(observation);
        let info = Info {
            steps: self.steps,
            progress: (self.steps, Self::MAX_STEPS),
            completed: terminated,
            still: false,
        };
        Ok(Step {
            reward: (self.state >> 11) as f64 / (1u64 << 53) as f64,
            terminated,
            truncated,
            info,
        })
    }

    fn picture(&mut self) -> Option<Picture> {
        let ObservationSpace::Frame {
            height,
            width,
            channels: 3,
        } = self.observation_space
        else {
            return None;
        };
        let mut rgb = vec![0; self.expected()];
        self.observe(ObservationMut::Frame(&mut rgb));
        Some(Picture { width, height, rgb })
    }
}

/// The step and finaliser of SplitMix64, a pseudo-random bijection of 64 bits.
fn scramble(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
