//! The contract of [`Env`] as tests.
//!
//! [`conformance_tests!`](crate::conformance_tests) turns these functions into the tests of one
//! environment. Each takes a function that makes a fresh one.

use std::ops::RangeInclusive;

use crate::{ActionSpace, Env, EnvError, ObservationMut, ObservationSpace, Step};

/// Number of steps after which a test fails because the episode has not ended.
const MAX_STEPS: u32 = 100_000;

/// Makes the conformance tests of an environment, in a module of their own.
///
/// ```
/// use frmdn_env::{ActionSpace, DummyEnv, ObservationSpace, conformance_tests};
///
/// conformance_tests!(DummyEnv::new(ActionSpace::Discrete(3), ObservationSpace::Latent(4)));
/// conformance_tests!(
///     mod named,
///     DummyEnv::new(ActionSpace::Discrete(2), ObservationSpace::Latent(1)),
///     rewards = 0.0..=1.0
/// );
/// ```
///
/// The first form names the module `conformance` and only requires finite rewards. Choose a
/// configuration with short episodes: the tests run some of them to the end.
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::conformance_tests!(mod conformance, $make);
    };
    (mod $name:ident, $make:expr) => {
        $crate::conformance_tests!(mod $name, $make, rewards = f64::MIN..=f64::MAX);
    };
    (mod $name:ident, $make:expr, rewards = $rewards:expr) => {
        #[cfg(test)]
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            #[test]
            fn same_seed_same_bytes() {
                $crate::conformance::same_seed_same_bytes(|| $make);
            }

            #[test]
            fn other_seed_other_bytes() {
                $crate::conformance::other_seed_other_bytes(|| $make);
            }

            #[test]
            fn refuses_other_buffers() {
                $crate::conformance::refuses_other_buffers(|| $make);
            }

            #[test]
            fn rewards_stay_in_range() {
                $crate::conformance::rewards_stay_in_range(|| $make, $rewards);
            }

            #[test]
            fn measures_what_it_declares() {
                $crate::conformance::measures_what_it_declares(|| $make);
            }

            #[test]
            fn snapshots_go_on_bit_for_bit() {
                $crate::conformance::snapshots_go_on_bit_for_bit(|| $make);
            }

            #[test]
            fn unseen_steps_change_nothing_else() {
                $crate::conformance::unseen_steps_change_nothing_else(|| $make);
            }

            #[test]
            fn needs_reset() {
                $crate::conformance::needs_reset(|| $make);
            }

            #[test]
            fn reset_equals_a_fresh_one() {
                $crate::conformance::reset_equals_a_fresh_one(|| $make);
            }

            #[test]
            fn refused_actions_change_nothing() {
                $crate::conformance::refused_actions_change_nothing(|| $make);
            }

            #[test]
            fn pictures_change_nothing() {
                $crate::conformance::pictures_change_nothing(|| $make);
            }
        }
    };
}

/// An observation of either kind, as bits.
#[derive(Clone, Debug, PartialEq)]
enum Buffer {
    Frame(Vec<u8>),
    Latent(Vec<f32>),
}

impl Buffer {
    /// A buffer filled with a value that the environment must overwrite.
    fn new(space: ObservationSpace, len: usize) -> Self {
        match space {
            ObservationSpace::Frame { .. } => Self::Frame(vec![170; len]),
            ObservationSpace::Latent(_) => Self::Latent(vec![-17.0; len]),
        }
    }

    fn as_mut(&mut self) -> ObservationMut<'_> {
        match self {
            Self::Frame(bytes) => ObservationMut::Frame(bytes),
            Self::Latent(values) => ObservationMut::Latent(values),
        }
    }
}

/// An environment with its buffer.
struct Play<E> {
    env: E,
    observation: Buffer,
}

impl<E: Env> Play<E> {
    fn new(env: E) -> Self {
        let space = env.observation_space();
        Self {
            env,
            observation: Buffer::new(space, space.len()),
        }
    }

    fn start(env: E, seed: u64) -> Self {
        let mut play = Self::new(env);
        play.reset(seed);
        play
    }

    fn reset(&mut self, seed: u64) {
        self.env
            .reset(seed, self.observation.as_mut())
            .expect("a reset with a fitting buffer");
    }

    fn step(&mut self, action: &[f32]) -> Step {
        self.env
            .step(action, self.observation.as_mut())
            .expect("a valid step of a running episode")
    }

    /// Steps until the episode ends.
    fn finish(&mut self, actions: &mut Actions) {
        for _ in 0..MAX_STEPS {
            if self.step(&actions.next()).done() {
                return;
            }
        }
        panic!("the episode has not ended after {MAX_STEPS} steps");
    }
}

/// Valid actions from a small random number generator (the high bits of a linear congruence).
struct Actions {
    space: ActionSpace,
    state: u64,
}

impl Actions {
    fn new(env: &impl Env, seed: u64) -> Self {
        Self {
            space: env.action_space().clone(),
            state: seed,
        }
    }

    fn uniform(&mut self) -> f32 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 40) as f32 / (1u32 << 24) as f32
    }

    fn next(&mut self) -> Vec<f32> {
        match self.space.clone() {
            ActionSpace::Box { low, high } => low
                .iter()
                .zip(high)
                .map(|(&l, h)| (l + (h - l) * self.uniform()).clamp(l, h))
                .collect(),
            ActionSpace::Discrete(n) => vec![(self.uniform() * n as f32).floor()],
        }
    }
}

/// Actions that the space does not contain.
fn invalid(space: &ActionSpace) -> Vec<Vec<f32>> {
    let valid: Vec<f32> = match space {
        ActionSpace::Box { low, .. } => low.clone(),
        ActionSpace::Discrete(_) => vec![0.0],
    };
    let with_first = |value: f32| {
        let mut action = valid.clone();
        action[0] = value;
        action
    };
    let mut actions = vec![
        with_first(f32::NAN),
        with_first(f32::INFINITY),
        with_first(f32::NEG_INFINITY),
        vec![],
        [&valid[..], &[0.0]].concat(),
    ];
    match space {
        ActionSpace::Box { low, high } => actions.extend([
            with_first(low[0].next_down()),
            with_first(high[0].next_up()),
        ]),
        ActionSpace::Discrete(n) => {
            actions.extend([with_first(-1.0), with_first(0.5), with_first(*n as f32)])
        }
    }
    actions
}

/// Plays both until the first ends and compares every step and observation.
fn assert_equal_play<E: Env>(a: &mut Play<E>, b: &mut Play<E>) {
    assert_eq!(
        a.observation, b.observation,
        "the observations after reset differ"
    );
    let mut actions = Actions::new(&a.env, 5);
    for at in 1..=MAX_STEPS {
        let action = actions.next();
        let (x, y) = (a.step(&action), b.step(&action));
        assert_eq!(x, y, "step {at} differs");
        assert_eq!(
            x.reward.to_bits(),
            y.reward.to_bits(),
            "the reward of step {at} differs"
        );
        assert!(
            a.observation == b.observation,
            "the observation of step {at} differs"
        );
        if x.done() {
            return;
        }
    }
    panic!("the episode has not ended after {MAX_STEPS} steps");
}

/// Two environments with the same seed and actions give the same observations, rewards and ends.
pub fn same_seed_same_bytes<E: Env>(make: impl Fn() -> E) {
    for seed in [0, 1, u64::MAX] {
        assert_equal_play(
            &mut Play::start(make(), seed),
            &mut Play::start(make(), seed),
        );
    }
}

/// Two seeds give different observations within 20 steps, or the same ones where the environment
/// says that all its episodes are equal.
pub fn other_seed_other_bytes<E: Env>(make: impl Fn() -> E) {
    let history = |seed: u64| {
        let mut play = Play::start(make(), seed);
        let mut actions = Actions::new(&play.env, 5);
        let mut seen = vec![play.observation.clone()];
        for _ in 0..20 {
            let done = play.step(&actions.next()).done();
            seen.push(play.observation.clone());
            if done {
                break;
            }
        }
        seen
    };
    if make().spec().is_deterministic {
        assert!(history(1) == history(2), "seeds 1 and 2 look different");
    } else {
        assert!(history(1) != history(2), "seeds 1 and 2 look the same");
    }
}

/// A buffer of the wrong length or kind is an error and does not change the episode.
pub fn refuses_other_buffers<E: Env>(make: impl Fn() -> E) {
    let (mut bothered, mut quiet) = (Play::start(make(), 3), Play::start(make(), 3));
    let space = bothered.env.observation_space();
    let other_kind = match space {
        ObservationSpace::Frame { .. } => ObservationSpace::Latent(space.len()),
        ObservationSpace::Latent(n) => ObservationSpace::Frame {
            height: 1,
            width: n,
            channels: 1,
        },
    };
    let wrong = [
        Buffer::new(space, space.len() - 1),
        Buffer::new(space, space.len() + 1),
        Buffer::new(other_kind, space.len()),
    ];
    let action = Actions::new(&bothered.env, 1).next();
    for mut buffer in wrong {
        let untouched = buffer.clone();
        assert!(
            matches!(
                bothered.env.step(&action, buffer.as_mut()),
                Err(EnvError::Buffer { .. })
            ),
            "step takes a wrong buffer"
        );
        assert!(
            matches!(
                bothered.env.reset(9, buffer.as_mut()),
                Err(EnvError::Buffer { .. })
            ),
            "reset takes a wrong buffer"
        );
        assert_eq!(buffer, untouched, "a refused buffer was written to");
    }
    assert_equal_play(&mut bothered, &mut quiet);
}

/// Rewards are finite and within the range, and an episode is not longer than its limit of steps.
pub fn rewards_stay_in_range<E: Env>(make: impl Fn() -> E, range: RangeInclusive<f64>) {
    for seed in 0..3 {
        let mut play = Play::start(make(), seed);
        let mut actions = Actions::new(&play.env, seed);
        let limit = play.env.spec().max_steps;
        for count in 1..=MAX_STEPS {
            let step = play.step(&actions.next());
            assert!(
                step.reward.is_finite() && range.contains(&step.reward),
                "reward {} is outside of {range:?}",
                step.reward
            );
            // Both may be so in the last step.
            if !step.terminated {
                assert_eq!(
                    step.truncated,
                    limit.is_some_and(|most| count >= most),
                    "step {count} of {limit:?} and its truncation"
                );
            }
            if step.done() {
                break;
            }
        }
    }
}

/// Every step has the declared measurements, which are numbers; progress is at most the largest
/// possible; yes is 1 and no 0.
pub fn measures_what_it_declares<E: Env>(make: impl Fn() -> E) {
    let mut play = Play::start(make(), 1);
    let spec = play.env.spec().clone();
    let names: Vec<_> = spec.measurements.iter().map(|m| &m.name).collect();
    for (i, name) in names.iter().enumerate() {
        assert!(!names[..i].contains(name), "two measurements are {name}");
    }
    let mut actions = Actions::new(&play.env, 1);
    for _ in 1..=MAX_STEPS {
        let step = play.step(&actions.next());
        let measured = &step.measured[..];
        assert_eq!(
            measured.len(),
            spec.measurements.len(),
            "the number of measurements"
        );
        assert!(
            measured.iter().all(|value| value.is_finite()),
            "{measured:?} are not all numbers"
        );
        if let Some((value, most)) = spec.progress_of(measured) {
            assert!(value <= most, "progress {value} is above {most}");
        }
        for i in [spec.completed, spec.still].into_iter().flatten() {
            assert!(
                [0.0, 1.0].contains(&measured[i]),
                "{} is {}",
                names[i],
                measured[i]
            );
        }
        if step.done() {
            return;
        }
    }
}

/// A snapshot of a running episode goes on as the episode did, in the same environment and in a
/// fresh one, as often as one likes; an environment that declares none has none.
pub fn snapshots_go_on_bit_for_bit<E: Env>(make: impl Fn() -> E) {
    let mut play = Play::new(make());
    assert!(
        play.env.snapshot().is_none(),
        "a snapshot before the first reset"
    );
    play.reset(5);
    let mut actions = Actions::new(&play.env, 5);
    for _ in 0..3 {
        if play.step(&actions.next()).done() {
            play.reset(5);
        }
    }
    let taken = play.env.snapshot();
    assert_eq!(
        taken.is_some(),
        play.env.spec().has_snapshots,
        "the declaration of snapshots"
    );
    let Some(snapshot) = taken else {
        let other = crate::Snapshot::new(());
        assert!(play.env.restore(&other).is_err(), "restored from nothing");
        return;
    };
    let rest = |play: &mut Play<E>| {
        let mut actions = Actions::new(&play.env, 9);
        let mut seen = Vec::new();
        for _ in 0..MAX_STEPS {
            let step = play.step(&actions.next());
            seen.push((step, play.observation.clone()));
            if step.done() {
                break;
            }
        }
        seen
    };
    let first = rest(&mut play);
    let mut reseeded = || {
        play.env.restore(&snapshot).expect("a snapshot of its own");
        play.env.reseed(11);
        rest(&mut play)
    };
    assert!(reseeded() == reseeded(), "one seed, two futures");
    play.env.restore(&snapshot).expect("a snapshot of its own");
    assert!(
        rest(&mut play) == first,
        "the same environment goes on otherwise"
    );
    let mut other = Play::start(make(), 77);
    other.env.restore(&snapshot).expect("one of its kind");
    assert!(
        rest(&mut other) == first,
        "another environment goes on otherwise"
    );
    let mut fresh = Play::new(make());
    fresh.env.restore(&snapshot).expect("one of its kind");
    assert!(
        rest(&mut fresh) == first,
        "a fresh environment goes on otherwise"
    );
    let foreign = crate::Snapshot::new("something else");
    assert!(play.env.restore(&foreign).is_err(), "a foreign snapshot");
}

/// A step before the first reset and a step after the end are errors.
pub fn needs_reset<E: Env>(make: impl Fn() -> E) {
    let mut play = Play::new(make());
    let mut actions = Actions::new(&play.env, 2);
    let untouched = play.observation.clone();
    let early = play.env.step(&actions.next(), play.observation.as_mut());
    assert!(
        matches!(early, Err(EnvError::NeedsReset)),
        "a step before the first reset gave {early:?}"
    );
    assert_eq!(
        play.observation, untouched,
        "a refused step wrote an observation"
    );
    play.reset(2);
    play.finish(&mut actions);
    for _ in 0..2 {
        let late = play.env.step(&actions.next(), play.observation.as_mut());
        assert!(
            matches!(late, Err(EnvError::NeedsReset)),
            "a step after the end gave {late:?}"
        );
    }
}

/// After the end of an episode, and in the middle of one, a reset gives the same episode as in a
/// fresh environment.
pub fn reset_equals_a_fresh_one<E: Env>(make: impl Fn() -> E) {
    let mut used = Play::start(make(), 7);
    let mut actions = Actions::new(&used.env, 7);
    used.finish(&mut actions);
    used.reset(8);
    assert_equal_play(&mut used, &mut Play::start(make(), 8));
    used.reset(9);
    used.step(&actions.next());
    used.reset(10);
    assert_equal_play(&mut used, &mut Play::start(make(), 10));
}

/// An action that is out of range, not a number or of the wrong length is an error and does not
/// change the episode.
pub fn refused_actions_change_nothing<E: Env>(make: impl Fn() -> E) {
    let (mut bothered, mut quiet) = (Play::start(make(), 4), Play::start(make(), 4));
    for action in invalid(bothered.env.action_space()) {
        let refused = bothered.env.step(&action, bothered.observation.as_mut());
        assert!(
            matches!(refused, Err(EnvError::Action { .. })),
            "the action {action:?} gave {refused:?}"
        );
    }
    assert_equal_play(&mut bothered, &mut quiet);
}

/// A picture does not change the environment and has the right number of bytes.
pub fn pictures_change_nothing<E: Env>(make: impl Fn() -> E) {
    let (mut watched, mut alone) = (Play::start(make(), 6), Play::start(make(), 6));
    let action = Actions::new(&alone.env, 3).next();
    let first = watched.env.picture();
    if let Some(picture) = &first {
        assert_eq!(picture.rgb.len(), picture.width * picture.height * 3);
        assert_eq!(
            watched.env.picture(),
            first,
            "two looks at the same state differ"
        );
    }
    assert_eq!(watched.step(&action), alone.step(&action));
    watched.env.picture();
    watched.reset(6);
    alone.reset(6);
    assert_equal_play(&mut watched, &mut alone);
}

/// A step that nobody looks at is the same step: what follows is equal, and what is seen later, and
/// at the end of the episode.
pub fn unseen_steps_change_nothing_else<E: Env>(make: impl Fn() -> E) {
    for seed in [2, 6] {
        let (mut hidden, mut seen) = (Play::start(make(), seed), Play::start(make(), seed));
        let mut actions = Actions::new(&seen.env, seed);
        for t in 0..MAX_STEPS {
            let action = actions.next();
            let expected = seen.step(&action);
            let is_hidden = t % 3 != 2;
            let step = match is_hidden {
                true => (hidden.env)
                    .step_unseen(&action, hidden.observation.as_mut())
                    .expect("a valid step of a running episode"),
                false => hidden.step(&action),
            };
            assert_eq!(step, expected, "step {t}");
            if !is_hidden || step.done() {
                assert!(
                    hidden.observation == seen.observation,
                    "the observation of step {t}"
                );
            }
            if step.done() {
                break;
            }
        }
    }
}
