//! Changes of what is seen, for tests of robustness.

use super::uniform;
use crate::{Env, EnvError, EnvSpec, ObservationMut, ObservationSpace, Picture, Snapshot, Step};

/// The streams of colours and of noise.
const COLOUR_STREAM: u64 = 0x0063_6f6c_6f75_7200;
const NOISE_STREAM: u64 = 0x006e_6f69_7365;

/// Largest change of a channel, in values of a byte: a fifth of the range.
const SHIFT: f64 = 51.0;
/// Width of a side bar, as a share of the picture's: an eighth.
const BAR: usize = 8;
/// Standard deviation of the noise, in values of a byte: a tenth of the range.
const NOISE: f32 = 25.5;

/// A change of frames that means something in every environment. One that knows more of its world,
/// as Car-Racing does of road and gas, has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Perturbation {
    /// Each channel is moved by a uniform number within ± 0.2 of the range, drawn once an episode.
    Colour,
    /// Black bars cover an eighth of the frame on either side.
    Bars,
    /// Normal noise with a standard deviation of 0.1 of the range on every value of an observation,
    /// but not of a [`picture`](Env::picture).
    Noise,
}

impl Perturbation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Colour, Self::Bars, Self::Noise];

    /// Its name in options of environments.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Colour => "colour",
            Self::Bars => "bars",
            Self::Noise => "noise",
        }
    }

    /// Its effect in words, for the rule beside a score.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Colour => "all colours moved by up to ± 0.2 of the range a channel",
            Self::Bars => "black bars over an eighth of the frame at either side",
            Self::Noise => "pixel noise with a standard deviation of 0.1 of the range",
        }
    }
}

/// Shows the frames of another environment changed. What happens in it stays the same.
pub struct Perturb {
    inner: Box<dyn Env>,
    spec: EnvSpec,
    perturbation: Perturbation,
    /// Width and channels of a frame.
    frame: (usize, usize),
    seed: u64,
    /// Frames shown since the reset.
    shown: u64,
}

impl Perturb {
    /// What `inner` says of itself with this change.
    pub fn spec(inner: &EnvSpec, perturbation: Perturbation) -> EnvSpec {
        EnvSpec {
            rule: format!("{}; {}", inner.rule, perturbation.description()),
            ..inner.clone()
        }
    }

    /// `inner`, whose frames are changed.
    ///
    /// # Errors
    /// If it has no frames.
    pub fn new(inner: Box<dyn Env>, perturbation: Perturbation) -> Result<Self, EnvError> {
        let ObservationSpace::Frame {
            width, channels, ..
        } = inner.observation_space()
        else {
            let name = &inner.spec().name;
            return Err(EnvError::other(format!(
                "{name} has no frames to be changed"
            )));
        };
        Ok(Self {
            spec: Self::spec(inner.spec(), perturbation),
            inner,
            perturbation,
            frame: (width, channels),
            seed: 0,
            shown: 0,
        })
    }

    /// Changes an observation.
    fn change(&mut self, frame: &mut [u8]) {
        let (width, channels) = self.frame;
        match self.perturbation {
            Perturbation::Colour => self.colour(frame, channels),
            Perturbation::Bars => bars(frame, width, channels),
            Perturbation::Noise => {
                self.shown += 1;
                noise(
                    frame,
                    crate::scramble(self.seed ^ crate::scramble(self.shown)),
                );
            }
        }
    }

    fn colour(&self, frame: &mut [u8], channels: usize) {
        for channel in 0..channels {
            let shift = SHIFT * (2.0 * uniform(self.seed, COLOUR_STREAM, channel as u64) - 1.0);
            for value in frame.iter_mut().skip(channel).step_by(channels) {
                // The cast clamps to a byte.
                *value = (f64::from(*value) + shift).round() as u8;
            }
        }
    }
}

fn bars(frame: &mut [u8], width: usize, channels: usize) {
    let bar = width / BAR * channels;
    for line in frame.chunks_exact_mut(width * channels) {
        line[..bar].fill(0);
        line[(width - width / BAR) * channels..].fill(0);
    }
}

/// Noise that is a function of `seed`, two values at a time by the Box-Muller transform.
fn noise(frame: &mut [u8], seed: u64) {
    for (i, pair) in frame.chunks_mut(2).enumerate() {
        let unit = |n| uniform(seed, NOISE_STREAM, 2 * i as u64 + n);
        let radius = NOISE * (-2.0 * libm::log(1.0 - unit(0))).sqrt() as f32;
        let (sin, cos) = libm::sincos(std::f64::consts::TAU * unit(1));
        for (value, part) in pair.iter_mut().zip([sin, cos]) {
            *value = (f32::from(*value) + radius * part as f32).round() as u8;
        }
    }
}

impl Env for Perturb {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    forward!(begin, reseed, probe);

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        let frame = observation.frame(self.spec.observation.len())?;
        self.inner.reset(seed, ObservationMut::Frame(frame))?;
        (self.seed, self.shown) = (seed, 0);
        self.change(frame);
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        let frame = observation.frame(self.spec.observation.len())?;
        let step = self.inner.step(action, ObservationMut::Frame(frame))?;
        self.change(frame);
        Ok(step)
    }

    fn step_unseen(
        &mut self,
        action: &[f32],
        observation: ObservationMut<'_>,
    ) -> Result<Step, EnvError> {
        let frame = observation.frame(self.spec.observation.len())?;
        let step = self
            .inner
            .step_unseen(action, ObservationMut::Frame(frame))?;
        self.change(frame);
        Ok(step)
    }

    fn picture(&mut self) -> Option<Picture> {
        let mut picture = self.inner.picture()?;
        match self.perturbation {
            Perturbation::Colour => self.colour(&mut picture.rgb, 3),
            Perturbation::Bars => bars(&mut picture.rgb, picture.width, 3),
            Perturbation::Noise => {}
        }
        Some(picture)
    }

    fn snapshot(&self) -> Option<Snapshot> {
        let inner = self.inner.snapshot()?;
        Some(Snapshot::new((inner, self.seed, self.shown)))
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvError> {
        let (inner, seed, shown) = snapshot.get::<(Snapshot, u64, u64)>()?;
        self.inner.restore(inner)?;
        (self.seed, self.shown) = (*seed, *shown);
        Ok(())
    }
}
