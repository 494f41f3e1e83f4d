//! The wrappers pass the contract's tests, and do what they say.

use std::sync::{Arc, Mutex};

use frmdn_env::{
    ActionForm, ActionSpace, DummyEnv, Env, EnvError, EnvSpec, Measured, ObservationMut,
    ObservationSpace, Picture, Snapshot, Step, conformance_tests,
    wrappers::{Forms, FrameSkip, NoopStart, Perturb, Perturbation, StepLimit, Sticky, View},
};

fn dummy() -> Box<dyn Env> {
    let frame = ObservationSpace::Frame {
        height: 3,
        width: 2,
        channels: 3,
    };
    Box::new(DummyEnv::new(ActionSpace::Discrete(5), frame))
}

fn latent() -> Box<dyn Env> {
    let space = ActionSpace::Box {
        low: vec![-1.0, 0.5],
        high: vec![1.0, 2.0],
    };
    Box::new(DummyEnv::new(space, ObservationSpace::Latent(4)))
}

fn all() -> Box<dyn Env> {
    let inner = Sticky::new(Box::new(NoopStart::new(dummy(), 3)), 0.2, "frame");
    let inner = FrameSkip::new(Box::new(inner), 2, true);
    let inner = Sticky::new(Box::new(inner), 0.3, "step");
    Box::new(StepLimit::new(Box::new(inner), 6))
}

conformance_tests!(mod limit, StepLimit::new(dummy(), 7));
conformance_tests!(mod limit_above, StepLimit::new(dummy(), 1000));
conformance_tests!(mod noop, NoopStart::new(dummy(), 5));
conformance_tests!(mod sticky, Sticky::new(latent(), 0.4, "step"));
conformance_tests!(mod skip, FrameSkip::new(dummy(), 4, false));
conformance_tests!(mod skip_max, FrameSkip::new(latent(), 3, true));
conformance_tests!(mod skip_one, FrameSkip::new(dummy(), 1, true));
conformance_tests!(mod together, all());
conformance_tests!(mod view, View::new(dummy(), 5).unwrap());
conformance_tests!(mod noise, Perturb::new(dummy(), Perturbation::Noise).unwrap());
conformance_tests!(mod colour, Perturb::new(all(), Perturbation::Colour).unwrap());
conformance_tests!(mod forms, Forms::new(latent(), &[ActionForm::Scaled]).unwrap());

/// Counts frames; its picture has the count at an even and zero at an odd frame, and its reward is
/// the number of the action. All seeds are the same, and it never ends.
struct Counter {
    spec: EnvSpec,
    frames: Option<u8>,
    actions: Vec<f32>,
}

impl Counter {
    fn new() -> Self {
        let space = ObservationSpace::Frame {
            height: 1,
            width: 2,
            channels: 1,
        };
        Self {
            spec: EnvSpec {
                is_deterministic: true,
                has_snapshots: true,
                stall_cost: Some(0.1),
                ..EnvSpec::new("counter", ActionSpace::Discrete(9), space)
            },
            frames: None,
            actions: Vec::new(),
        }
    }
}

impl Env for Counter {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, _: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        observation.frame(2)?.copy_from_slice(&[0, 0]);
        self.frames = Some(0);
        self.actions.clear();
        Ok(())
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        let count = self.frames.ok_or(EnvError::NeedsReset)? + 1;
        self.frames = Some(count);
        self.actions.push(action[0]);
        let parity = usize::from(count % 2);
        let out = observation.frame(2)?;
        (out[parity], out[1 - parity]) = (count, 0);
        Ok(Step {
            reward: f64::from(action[0]),
            terminated: false,
            truncated: false,
            measured: Measured::default(),
        })
    }

    fn picture(&mut self) -> Option<Picture> {
        None
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.frames.map(Snapshot::new)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvError> {
        self.frames = Some(*snapshot.get::<u8>()?);
        Ok(())
    }
}

#[test]
fn a_step_of_four_frames_sums_rewards_and_shows_the_last_or_the_larger_of_the_last_two() {
    for (is_maximum, seen) in [(false, [4, 0]), (true, [4, 3])] {
        let mut env = FrameSkip::new(Box::new(Counter::new()), 4, is_maximum);
        let mut frame = [9, 9];
        env.reset(1, ObservationMut::Frame(&mut frame)).unwrap();
        let step = env.step(&[3.0], ObservationMut::Frame(&mut frame)).unwrap();
        assert_eq!((step.reward, frame), (12.0, seen));
    }
    let spec = FrameSkip::spec(&Counter::new().spec, 4, true);
    assert_eq!(
        (spec.steps_per_second, spec.stall_cost),
        (30.0 / 4.0, Some(0.4))
    );
    assert!(
        spec.rule.contains("4 frames a step") && spec.rule.contains("larger"),
        "{}",
        spec.rule
    );
}

/// Notes which of its steps are seen, ends after nine.
struct Looked(Counter, Arc<Mutex<Vec<bool>>>);

impl Env for Looked {
    fn spec(&self) -> &EnvSpec {
        self.0.spec()
    }

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        self.1.lock().unwrap().clear();
        self.0.reset(seed, observation)
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        let mut looked = self.1.lock().unwrap();
        looked.push(true);
        let mut step = self.0.step(action, observation)?;
        step.terminated = looked.len() == 9;
        Ok(step)
    }

    fn step_unseen(
        &mut self,
        action: &[f32],
        observation: ObservationMut<'_>,
    ) -> Result<Step, EnvError> {
        let step = self.step(action, observation)?;
        *self.1.lock().unwrap().last_mut().unwrap() = false;
        Ok(step)
    }

    fn picture(&mut self) -> Option<Picture> {
        None
    }
}

#[test]
fn frames_in_the_middle_of_a_step_are_not_looked_at() {
    let square = |looked: &Arc<Mutex<Vec<bool>>>| {
        let inner: Box<dyn Env> = Box::new(Looked(Counter::new(), looked.clone()));
        let inner = View::new(inner, 2).unwrap();
        let inner = NoopStart::new(Box::new(inner), 1);
        let inner: Box<dyn Env> = Box::new(Sticky::new(Box::new(inner), 0.1, "frame"));
        inner
    };
    for (is_maximum, step) in [
        (false, [false, false, false, true]),
        (true, [false, false, true, true]),
    ] {
        let looked = Arc::new(Mutex::new(Vec::new()));
        let mut env = FrameSkip::new(square(&looked), 4, is_maximum);
        let mut frame = [0; 12];
        // A seed that does nothing at the start.
        let seed = (0..)
            .find(|seed| {
                let out = ObservationMut::Frame(&mut frame);
                env.reset(*seed, out).unwrap();
                looked.lock().unwrap().is_empty()
            })
            .unwrap();
        env.reset(seed, ObservationMut::Frame(&mut frame)).unwrap();
        for _ in 0..3 {
            env.step(&[1.0], ObservationMut::Frame(&mut frame)).unwrap();
        }
        let looked = looked.lock().unwrap().clone();
        assert_eq!(looked, [&step[..], &step, &[false]].concat());
        assert_eq!(
            frame[0].max(frame[3]),
            9,
            "the last frame, seen all the same"
        );
    }
}

/// The rewards of steps with the actions 1, 2, 3 …, which are the actions that were applied.
fn applied(env: &mut dyn Env, seed: u64, steps: usize) -> Vec<f64> {
    let mut frame = [0; 2];
    env.reset(seed, ObservationMut::Frame(&mut frame)).unwrap();
    (0..steps)
        .map(|t| {
            let action = [(t % 8 + 1) as f32];
            env.begin(&action).unwrap();
            let out = ObservationMut::Frame(&mut frame);
            env.step(&action, out).unwrap().reward
        })
        .collect()
}

#[test]
fn sticky_actions_repeat_the_last_one_as_often_as_they_say_and_by_the_seed() {
    let mut env = Sticky::new(Box::new(Counter::new()), 0.25, "step");
    assert!(!env.spec().is_deterministic);
    let (a, b) = (applied(&mut env, 1, 200), applied(&mut env, 2, 200));
    assert_eq!(a, applied(&mut env, 1, 200));
    assert_ne!(a, b);
    let mut repeated = 0;
    for rewards in [a, b] {
        assert_eq!(rewards[0], 1.0);
        for t in 1..200 {
            let given = (t % 8 + 1) as f64;
            if rewards[t] != given {
                assert_eq!(rewards[t], rewards[t - 1], "step {t}");
                repeated += 1;
            }
        }
    }
    // 0.25 of 398 steps, with five standard deviations.
    assert!((57..=143).contains(&repeated), "{repeated} repetitions");
    let mut never = Sticky::new(Box::new(Counter::new()), 0.0, "step");
    assert!(never.spec().is_deterministic);
    assert_eq!(applied(&mut never, 1, 3), [1.0, 2.0, 3.0]);
}

#[test]
fn who_looks_ahead_does_not_know_the_future() {
    let mut env = FrameSkip::new(
        Box::new(Sticky::new(Box::new(Counter::new()), 0.5, "frame")),
        2,
        false,
    );
    let mut frame = [0; 2];
    env.reset(1, ObservationMut::Frame(&mut frame)).unwrap();
    env.step(&[8.0], ObservationMut::Frame(&mut frame)).unwrap();
    let now = env.snapshot().unwrap();
    let mut rest = |reseeded: Option<u64>| -> Vec<f64> {
        env.restore(&now).unwrap();
        if let Some(seed) = reseeded {
            env.reseed(seed);
        }
        let mut step = |t: usize| {
            let out = ObservationMut::Frame(&mut frame);
            env.step(&[(t % 8) as f32], out).unwrap().reward
        };
        (0..40).map(&mut step).collect()
    };
    let real = rest(None);
    assert_eq!(real, rest(None));
    assert_ne!(real, rest(Some(2)));
    assert_eq!(rest(Some(2)), rest(Some(2)));
}

#[test]
fn episodes_begin_after_some_steps_of_nothing() {
    let mut env = NoopStart::new(Box::new(Counter::new()), 30);
    assert!(!env.spec().is_deterministic);
    let mut frame = [0; 2];
    let mut counts = std::collections::BTreeSet::new();
    for seed in 0..200 {
        env.reset(seed, ObservationMut::Frame(&mut frame)).unwrap();
        counts.insert(frame[0].max(frame[1]));
    }
    assert_eq!(counts.first(), Some(&0));
    assert_eq!(counts.last(), Some(&30));
    assert!(counts.len() > 25, "{counts:?}");
}

#[test]
fn a_limit_cuts_off_what_never_ends() {
    let mut env = StepLimit::new(Box::new(Counter::new()), 3);
    let mut frame = [0; 2];
    env.reset(0, ObservationMut::Frame(&mut frame)).unwrap();
    let mut truncated = Vec::new();
    for _ in 0..3 {
        let step = env.step(&[0.0], ObservationMut::Frame(&mut frame)).unwrap();
        truncated.push((step.terminated, step.truncated));
    }
    assert_eq!(truncated, [(false, false), (false, false), (false, true)]);
    let after = env.step(&[0.0], ObservationMut::Frame(&mut frame));
    assert!(matches!(after, Err(EnvError::NeedsReset)));
    assert!(env.spec().rule.contains("3 steps"), "{}", env.spec().rule);
}

/// Grey frames of 16 × 2 pixels, all of one value.
fn grey() -> Box<dyn Env> {
    let frame = ObservationSpace::Frame {
        height: 2,
        width: 16,
        channels: 3,
    };
    Box::new(Grey(EnvSpec::new("grey", ActionSpace::Discrete(2), frame)))
}

struct Grey(EnvSpec);

impl Env for Grey {
    fn spec(&self) -> &EnvSpec {
        &self.0
    }

    fn reset(&mut self, _: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        observation.frame(96)?.fill(120);
        Ok(())
    }

    fn step(&mut self, _: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        observation.frame(96)?.fill(120);
        Ok(Step {
            reward: 1.0,
            terminated: false,
            truncated: false,
            measured: Measured::default(),
        })
    }

    fn picture(&mut self) -> Option<Picture> {
        Some(Picture {
            width: 16,
            height: 2,
            rgb: vec![120; 96],
        })
    }
}

/// Two frames of the episode of `seed`, and the picture after them.
fn seen(perturbation: Perturbation, seed: u64) -> [Vec<u8>; 3] {
    let mut env = Perturb::new(grey(), perturbation).unwrap();
    assert!(env.spec().rule.ends_with(perturbation.description()));
    let (mut first, mut second) = (vec![0; 96], vec![0; 96]);
    env.reset(seed, ObservationMut::Frame(&mut first)).unwrap();
    env.step(&[0.0], ObservationMut::Frame(&mut second))
        .unwrap();
    [first, second, env.picture().unwrap().rgb]
}

#[test]
fn bars_cover_an_eighth_on_either_side() {
    let frames = seen(Perturbation::Bars, 1);
    for frame in &frames {
        for line in frame.chunks_exact(48) {
            let (left, rest) = line.split_at(6);
            let (middle, right) = rest.split_at(36);
            assert!(left.iter().chain(right).all(|v| *v == 0), "{line:?}");
            assert!(middle.iter().all(|v| *v == 120), "{line:?}");
        }
    }
}

#[test]
fn colours_move_once_an_episode() {
    let mut moved = Vec::new();
    for seed in 0..200 {
        let frames = seen(Perturbation::Colour, seed);
        assert_eq!(frames[0], frames[1]);
        assert_eq!(frames[0], frames[2]);
        let pixel = &frames[0][..3];
        assert!(frames[0].chunks_exact(3).all(|p| p == pixel));
        moved.extend_from_slice(pixel);
    }
    assert_eq!(
        (moved.iter().min(), moved.iter().max()),
        (Some(&69), Some(&171)),
        "the ends of ± 51 after 600 draws"
    );
}

#[test]
fn noise_is_new_in_every_frame_and_a_function_of_the_seed() {
    let mut values: Vec<f64> = Vec::new();
    for seed in 0..100 {
        let frames = seen(Perturbation::Noise, seed);
        assert_ne!(frames[0], frames[1]);
        assert_eq!(frames, seen(Perturbation::Noise, seed));
        assert_eq!(frames[2], [120; 96], "not in a picture");
        values.extend(frames[..2].concat().iter().map(|v| f64::from(*v) - 120.0));
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let deviation = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt();
    // Five standard errors of 19,200 draws.
    assert!(mean.abs() < 0.92, "mean {mean}");
    assert!((deviation - 25.5).abs() < 0.66, "deviation {deviation}");
}

#[test]
fn what_has_no_frames_is_not_perturbed() {
    let error = Perturb::new(latent(), Perturbation::Bars).err().unwrap();
    assert!(error.to_string().contains("no frames"), "{error}");
}

#[test]
fn forms_of_actions_are_declared_and_checked() {
    let clipped = ActionForm::named("clipped:3").unwrap();
    let (plain, scaled) = (ActionForm::Plain, ActionForm::Scaled);
    let env = Forms::new(latent(), &[plain, scaled]).unwrap();
    assert_eq!(env.spec().action_forms, [plain, scaled]);
    let all = Forms::new(latent(), &[scaled]).unwrap();
    assert_eq!(all.spec().action_forms, [scaled, scaled]);
    for (env, forms, word) in [
        (dummy(), vec![scaled], "no forms"),
        (latent(), vec![scaled; 3], "3 forms"),
        // The second value is in 0.5..2.
        (latent(), vec![plain], "value 2"),
        (latent(), vec![scaled, clipped], "value 2"),
    ] {
        let error = Forms::new(env, &forms).err().unwrap().to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
    for text in [
        "",
        "plain:2",
        "scaled:0",
        "scaled:nan",
        "clipped:-1",
        "tanh",
    ] {
        assert_eq!(ActionForm::named(text), None, "{text}");
    }
}
