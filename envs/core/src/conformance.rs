//! What every environment must do, as functions and as a macro that makes tests of them.
//!
//! ```
//! # fn main() {}
//! use frmdn_env::{ActionSpace, DummyEnv, ObservationSpace};
//!
//! frmdn_env::conformance_tests!(DummyEnv::new(ActionSpace::Discrete(3), ObservationSpace::Latent(4)), rewards: -1.0..=1.0);
//! ```

use std::ops::RangeInclusive;

use crate::{ActionSpace, Env, EnvError, ObservationMut, ObservationSpace, Step};

/// Makes fresh environments of one kind.
pub type Make<'a> = &'a dyn Fn() -> Box<dyn Env>;

/// An observation of either kind, owned.
#[derive(Clone, Debug, PartialEq)]
enum Buffer {
    Frame(Vec<u8>),
    Latent(Vec<f32>),
}

impl Buffer {
    fn of(space: ObservationSpace) -> Self {
        match space {
            ObservationSpace::Frame { .. } => Self::Frame(vec![7; space.len()]),
            ObservationSpace::Latent(n) => Self::Latent(vec![7.0; n]),
        }
    }

    fn view(&mut self) -> ObservationMut<'_> {
        match self {
            Self::Frame(bytes) => ObservationMut::Frame(bytes),
            Self::Latent(values) => ObservationMut::Latent(values),
        }
    }
}

/// Valid actions that a seed determines: SplitMix64 over the space.
fn action(space: &ActionSpace, seed: u64, step: u64) -> Vec<f32> {
    let unit = |i: u64| {
        let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (step << 8) ^ i;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    };
    match space {
        ActionSpace::Box { low, high } => low.iter().zip(high).zip(0..).map(|((l, h), i)| l + (h - l) * unit(i)).collect(),
        ActionSpace::Discrete(n) => vec![(unit(0) * *n as f32).floor()],
    }
}

/// The first observation and up to `steps` steps with their observations.
fn episode(env: &mut dyn Env, seed: u64, steps: u64) -> (Buffer, Vec<(Buffer, Step)>) {
    let space = env.action_space().clone();
    let mut buffer = Buffer::of(env.observation_space());
    env.reset(seed, buffer.view()).expect("a reset with a fitting buffer");
    let first = buffer.clone();
    let mut all = Vec::new();
    for t in 0..steps {
        let step = env.step(&action(&space, seed, t), buffer.view()).expect("a valid action in a running episode");
        all.push((buffer.clone(), step));
        if step.done() {
            break;
        }
    }
    (first, all)
}

/// The same seed and actions give the same bytes, in the same environment and in a fresh one; other seeds give others.
pub fn equal_seeds_repeat(make: Make<'_>) {
    let mut env = make();
    let first = episode(env.as_mut(), 3, 150);
    assert!(first == episode(env.as_mut(), 3, 150), "a reset does not lead back to the same episode");
    episode(env.as_mut(), 4, 40);
    assert!(first == episode(env.as_mut(), 3, 150), "an episode depends on the ones before it");
    assert!(first == episode(make().as_mut(), 3, 150), "a fresh environment gives another episode");
    assert!(first != episode(env.as_mut(), 5, 150), "two seeds give the same episode");
}

/// Rewards stay in `range` and are numbers; steps are counted from 1; progress never exceeds its whole; an episode ends.
pub fn steps_are_sound(make: Make<'_>, range: &RangeInclusive<f64>) {
    let mut env = make();
    for seed in 0..3 {
        let (_, steps) = episode(env.as_mut(), seed, 100_000);
        assert!(steps.last().is_some_and(|(_, s)| s.done()), "the episode of seed {seed} never ends");
        for (i, (_, step)) in steps.iter().enumerate() {
            assert!(range.contains(&step.reward), "reward {} of step {i} is outside of {range:?}", step.reward);
            assert_eq!(step.info.steps as usize, i + 1);
            assert!(step.info.progress.0 <= step.info.progress.1);
        }
    }
}

/// No step before the first reset or after the end; a reset after the end starts an ordinary episode.
pub fn the_end_needs_a_reset(make: Make<'_>) {
    let mut env = make();
    let mut buffer = Buffer::of(env.observation_space());
    let valid = action(env.action_space(), 0, 0);
    assert!(matches!(env.step(&valid, buffer.view()), Err(EnvError::NeedsReset)), "a step before the first reset");
    episode(env.as_mut(), 1, 100_000);
    assert!(matches!(env.step(&valid, buffer.view()), Err(EnvError::NeedsReset)), "a step after the end");
    assert!(episode(env.as_mut(), 2, 30) == episode(make().as_mut(), 2, 30), "a reset after the end differs from a fresh start");
}

/// Actions of the wrong length, out of range or not numbers are refused, and the episode goes on as if nothing had happened.
pub fn wrong_actions_are_refused(make: Make<'_>) {
    let (mut env, mut calm) = (make(), make());
    let space = env.action_space().clone();
    let (mut a, mut b) = (Buffer::of(env.observation_space()), Buffer::of(env.observation_space()));
    env.reset(1, a.view()).expect("a reset");
    calm.reset(1, b.view()).expect("a reset");
    let good = action(&space, 1, 0);
    let spoiled = |value: f32| {
        let mut bad = good.clone();
        bad[0] = value;
        bad
    };
    let over = match &space {
        ActionSpace::Box { high, .. } => high[0] + 0.5,
        ActionSpace::Discrete(n) => *n as f32,
    };
    let longer = [good.clone(), vec![0.0]].concat();
    for bad in [spoiled(over), spoiled(f32::NAN), spoiled(f32::NEG_INFINITY), longer, Vec::new()] {
        assert!(matches!(env.step(&bad, a.view()), Err(EnvError::Action { .. })), "{bad:?} was not refused");
    }
    for t in 0..5 {
        let act = action(&space, 1, t);
        let (x, y) = (env.step(&act, a.view()), calm.step(&act, b.view()));
        assert_eq!(x.expect("the episode goes on"), y.expect("a calm episode"));
        assert!(a == b, "a refused action left something behind");
    }
}

/// Buffers of the wrong kind or length are refused.
pub fn wrong_buffers_are_refused(make: Make<'_>) {
    let mut env = make();
    let n = env.observation_space().len();
    let (mut bytes, mut values) = (vec![0u8; n], vec![0.0f32; n]);
    let (mut long_bytes, mut long_values) = (vec![0u8; n + 1], vec![0.0f32; n + 1]);
    let wrong = match env.observation_space() {
        ObservationSpace::Frame { .. } => [ObservationMut::Latent(&mut values), ObservationMut::Frame(&mut long_bytes)],
        ObservationSpace::Latent(_) => [ObservationMut::Frame(&mut bytes), ObservationMut::Latent(&mut long_values)],
    };
    for buffer in wrong {
        assert!(matches!(env.reset(1, buffer), Err(EnvError::Buffer { .. })), "a wrong buffer was not refused");
    }
}

/// Makes the tests of this module for the environment of an expression: `conformance_tests!(make, rewards: low..=high)`.
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr, rewards: $rewards:expr) => {
        mod conformance {
            #[allow(unused_imports, reason = "the expression may need names of the surrounding module")]
            use super::*;

            fn make() -> Box<dyn $crate::Env> {
                Box::new($make)
            }

            #[test]
            fn equal_seeds_repeat() {
                $crate::conformance::equal_seeds_repeat(&make);
            }

            #[test]
            fn steps_are_sound() {
                $crate::conformance::steps_are_sound(&make, &$rewards);
            }

            #[test]
            fn the_end_needs_a_reset() {
                $crate::conformance::the_end_needs_a_reset(&make);
            }

            #[test]
            fn wrong_actions_are_refused() {
                $crate::conformance::wrong_actions_are_refused(&make);
            }

            #[test]
            fn wrong_buffers_are_refused() {
                $crate::conformance::wrong_buffers_are_refused(&make);
            }
        }
    };
}
