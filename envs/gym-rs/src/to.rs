//! Our environments as gym-rs's.

use std::{fmt, sync::Arc};

use frmdn_env::{ActionSpace, Env, ObservationMut, ObservationSpace, Step};
use gym_rs::{
    core::{ActionReward, Env as Theirs, EnvProperties, RewardRange},
    spaces::BoxR,
    utils::{
        custom::{structs::Metadata, traits::Sample, types::O64},
        renderer::{RenderColor, RenderFrame, RenderMode, Renders},
        seeding::rand_random,
    },
};
use rand::{
    Rng,
    distributions::{
        Distribution,
        uniform::{SampleBorrow, SampleUniform, Uniform, UniformSampler},
    },
};
use rand_pcg::Pcg64;
use serde::{Serialize, Serializer, ser::SerializeStruct};

/// An observation: the bytes of a frame as 0.0 to 255.0, or the values of a latent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Observed(pub Vec<f64>);

impl From<Observed> for Vec<f64> {
    fn from(observed: Observed) -> Self {
        observed.0
    }
}

/// Draws each value uniformly between those of two observations.
pub struct UniformObserved(Vec<Uniform<f64>>);

impl SampleUniform for Observed {
    type Sampler = UniformObserved;
}

impl UniformSampler for UniformObserved {
    type X = Observed;

    fn new<B1: SampleBorrow<Observed>, B2: SampleBorrow<Observed>>(low: B1, high: B2) -> Self {
        Self(
            low.borrow()
                .0
                .iter()
                .zip(&high.borrow().0)
                .map(|(l, h)| Uniform::new(l, h))
                .collect(),
        )
    }

    fn new_inclusive<B1: SampleBorrow<Observed>, B2: SampleBorrow<Observed>>(
        low: B1,
        high: B2,
    ) -> Self {
        Self(
            low.borrow()
                .0
                .iter()
                .zip(&high.borrow().0)
                .map(|(l, h)| Uniform::new_inclusive(l, h))
                .collect(),
        )
    }

    fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> Observed {
        Observed(self.0.iter().map(|value| value.sample(rng)).collect())
    }
}

impl Sample for Observed {
    /// Uniform between the bounds; empty without bounds, which give the length.
    fn sample_between<R: Rng>(rng: &mut R, bounds: Option<BoxR<Self>>) -> Self {
        bounds.map_or(Self(Vec::new()), |BoxR { low, high }| {
            Uniform::new_inclusive(low, high).sample(rng)
        })
    }
}

type Make = Arc<dyn Fn() -> Box<dyn Env> + Send + Sync>;

/// One of our environments as `gym_rs::core::Env`.
///
/// Its actions are vectors as in [`Env::step`], its `info` is the whole [`Step`]. A clone is made
/// by playing the episode again, which our environments repeat exactly. As in gym-rs, errors are
/// panics.
pub struct ToGymRs {
    make: Make,
    env: Box<dyn Env>,
    action_space: ActionSpace,
    observation_space: BoxR<Observed>,
    metadata: Metadata<Self>,
    reward_range: RewardRange,
    rng: Pcg64,
    /// Seed and actions of the episode.
    episode: Option<(u64, Vec<Vec<f32>>)>,
    buffer: Buffer,
}

enum Buffer {
    Frame(Vec<u8>),
    Latent(Vec<f32>),
}

impl Buffer {
    fn as_mut(&mut self) -> ObservationMut<'_> {
        match self {
            Self::Frame(bytes) => ObservationMut::Frame(bytes),
            Self::Latent(values) => ObservationMut::Latent(values),
        }
    }

    fn observed(&self) -> Observed {
        Observed(match self {
            Self::Frame(bytes) => bytes.iter().map(|&b| f64::from(b)).collect(),
            Self::Latent(values) => values.iter().map(|&v| f64::from(v)).collect(),
        })
    }
}

const RENDER_MODES: &[RenderMode] = &[RenderMode::SingleRgbArray, RenderMode::None];

impl ToGymRs {
    /// The environment that `make` makes; it must be the same each time.
    pub fn new(make: impl Fn() -> Box<dyn Env> + Send + Sync + 'static) -> Self {
        let make: Make = Arc::new(make);
        let env = make();
        let (action_space, space) = (env.action_space().clone(), env.observation_space());
        let (buffer, low, high) = match space {
            ObservationSpace::Frame { .. } => (Buffer::Frame(vec![0; space.len()]), 0.0, 255.0),
            ObservationSpace::Latent(n) => (Buffer::Latent(vec![0.0; n]), f64::MIN, f64::MAX),
        };
        let observation_space = BoxR::new(
            Observed(vec![low; space.len()]),
            Observed(vec![high; space.len()]),
        );
        let metadata = Metadata::new(RENDER_MODES, 50);
        let (rng, _) = rand_random(Some(0));
        Self {
            make,
            env,
            action_space,
            observation_space,
            metadata,
            reward_range: RewardRange::default(),
            rng,
            episode: None,
            buffer,
        }
    }

    fn start(&mut self, seed: u64) -> Observed {
        self.env
            .reset(seed, self.buffer.as_mut())
            .unwrap_or_else(|e| panic!("reset: {e}"));
        self.episode = Some((seed, Vec::new()));
        self.buffer.observed()
    }

    fn act(&mut self, action: &[f32]) -> Step {
        let step = self
            .env
            .step(action, self.buffer.as_mut())
            .unwrap_or_else(|e| panic!("step: {e}"));
        if let Some((_, actions)) = &mut self.episode {
            actions.push(action.to_vec());
        }
        step
    }
}

impl Clone for ToGymRs {
    fn clone(&self) -> Self {
        let make = self.make.clone();
        let mut copy = Self::new(move || make());
        copy.rng = self.rng.clone();
        if let Some((seed, actions)) = &self.episode {
            copy.start(*seed);
            for action in actions {
                copy.act(action);
            }
        }
        copy
    }
}

impl fmt::Debug for ToGymRs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = self
            .episode
            .as_ref()
            .map(|(seed, actions)| (seed, actions.len()));
        f.debug_struct("ToGymRs")
            .field("action_space", &self.action_space)
            .field("seed and steps", &steps)
            .finish_non_exhaustive()
    }
}

impl Serialize for ToGymRs {
    /// Seed and actions, from which the episode can be played again.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("ToGymRs", 2)?;
        out.serialize_field("seed", &self.episode.as_ref().map(|e| e.0))?;
        out.serialize_field("actions", &self.episode.as_ref().map(|e| &e.1))?;
        out.end()
    }
}

impl Theirs for ToGymRs {
    type Action = Vec<f32>;
    type Observation = Observed;
    type Info = Step;
    type ResetInfo = u64;

    fn step(&mut self, action: Vec<f32>) -> ActionReward<Observed, Step> {
        let step = self.act(&action);
        ActionReward {
            observation: self.buffer.observed(),
            reward: O64::from(step.reward),
            done: step.terminated,
            truncated: step.truncated,
            info: Some(step),
        }
    }

    /// Draws a seed if there is none; the reset's info is the seed. Options are ignored.
    fn reset(
        &mut self,
        seed: Option<u64>,
        return_info: bool,
        _: Option<BoxR<Observed>>,
    ) -> (Observed, Option<u64>) {
        let seed = seed.unwrap_or_else(|| self.rng.r#gen());
        (self.start(seed), return_info.then_some(seed))
    }

    fn render(&mut self, mode: RenderMode) -> Renders {
        let picture = match mode {
            RenderMode::SingleRgbArray => self.env.picture(),
            _ => None,
        };
        picture.map_or(Renders::None, |picture| {
            let rows = picture.rgb.chunks_exact(picture.width * 3);
            let pixels = rows.map(|row| {
                row.as_chunks::<3>()
                    .0
                    .iter()
                    .map(|&[r, g, b]| RenderColor::RGB(r, g, b))
                    .collect()
            });
            Renders::SingleRgbArray(RenderFrame::new(pixels.collect()))
        })
    }

    fn close(&mut self) {
        self.episode = None;
    }
}

impl EnvProperties for ToGymRs {
    type ActionSpace = ActionSpace;
    type ObservationSpace = BoxR<Observed>;

    fn metadata(&self) -> &Metadata<Self> {
        &self.metadata
    }

    fn rand_random(&self) -> &Pcg64 {
        &self.rng
    }

    fn reward_range(&self) -> &RewardRange {
        &self.reward_range
    }

    fn action_space(&self) -> &ActionSpace {
        &self.action_space
    }

    fn observation_space(&self) -> &BoxR<Observed> {
        &self.observation_space
    }
}
