//! Each perturbation changes what its description says and nothing else, and does so repeatably.

use frmdn_car_racing::{
    CarRacing, CarRacingConfig, CarState, Observation, Perturbation, measured,
    pursuit::{PurePursuit, PursuitConfig},
};
use frmdn_env::{Env, ObservationMut, ObservationSpace, Step, conformance_tests};

const SEED: u64 = 600_003;
const STEPS: usize = 150;

fn make(perturbation: Option<Perturbation>) -> CarRacing {
    CarRacingConfig {
        perturbation,
        ..CarRacingConfig::default()
    }
    .init()
}

/// With `perturbation` from step `from` on.
fn later(perturbation: Perturbation, from: u32) -> CarRacingConfig {
    CarRacingConfig {
        perturbation: Some(perturbation),
        perturbation_from: from,
        ..CarRacingConfig::default()
    }
}

/// A short episode; the two perturbations that draw random numbers must pass the conformance tests
/// too, and so must those that begin within an episode, after the tests' snapshots.
fn short(perturbation: Perturbation, from: u32) -> CarRacing {
    CarRacingConfig {
        max_steps: 40,
        ..later(perturbation, from)
    }
    .init()
}

conformance_tests!(mod colour, short(Perturbation::Colour, 0), rewards = -100.0..=100.0);
conformance_tests!(mod noise, short(Perturbation::Noise, 0), rewards = -100.0..=100.0);
conformance_tests!(mod colour_later, short(Perturbation::Colour, 12), rewards = -100.0..=100.0);
conformance_tests!(mod noise_later, short(Perturbation::Noise, 12), rewards = -100.0..=100.0);
conformance_tests!(mod throttle_later, short(Perturbation::Throttle, 12), rewards = -100.0..=100.0);
conformance_tests!(mod tyre_later, short(Perturbation::Tyre, 12), rewards = -100.0..=100.0);

/// Frame and car after a step, and the step; the first moment is that of the reset.
type Moment = (Vec<u8>, CarState, Option<Step>);

/// Frames, car states and steps of the scripted driver, or of a constant `action`.
fn drive(env: &mut CarRacing, seed: u64, action: Option<[f32; 3]>) -> Vec<Moment> {
    let mut driver = PurePursuit::new(PursuitConfig::default());
    drive_with(env, seed, |_, env| {
        action.unwrap_or_else(|| {
            driver.act(
                &env.state().expect("a reset"),
                env.track().expect("a reset"),
            )
        })
    })
}

/// The same of `act`, which is given the number of the step.
fn drive_with(
    env: &mut CarRacing,
    seed: u64,
    mut act: impl FnMut(usize, &CarRacing) -> [f32; 3],
) -> Vec<Moment> {
    let mut frame = vec![0; env.observation_space().len()];
    env.reset(seed, ObservationMut::Frame(&mut frame))
        .expect("a reset");
    let mut all = vec![(frame.clone(), env.state().expect("a reset"), None)];
    for number in 1..=STEPS {
        let action = act(number, env);
        let step = env
            .step(&action, ObservationMut::Frame(&mut frame))
            .expect("a step");
        all.push((frame.clone(), env.state().expect("a reset"), Some(step)));
    }
    all
}

#[test]
fn every_one_repeats() {
    for perturbation in Perturbation::ALL {
        let mut env = make(Some(perturbation));
        let first = drive(&mut env, SEED, None);
        // The same environment again, and after another episode.
        drive(&mut env, SEED + 1, None);
        assert!(first == drive(&mut env, SEED, None), "{perturbation:?}");
    }
}

/// The frames of an episode without and with `perturbation`; car and steps must be equal.
fn frame_pairs(perturbation: Perturbation) -> Vec<(Vec<u8>, Vec<u8>)> {
    let plain = drive(&mut make(None), SEED, None);
    let changed = drive(&mut make(Some(perturbation)), SEED, None);
    let mut frames = Vec::new();
    for ((a, car_a, step_a), (b, car_b, step_b)) in plain.into_iter().zip(changed) {
        assert!(car_a == car_b && step_a == step_b, "{perturbation:?}");
        frames.push((a, b));
    }
    frames
}

/// Row, column and the two colours of every pixel of two frames of 64 × 64.
fn pixels<'a>(
    a: &'a [u8],
    b: &'a [u8],
) -> impl Iterator<Item = (usize, usize, &'a [u8; 3], &'a [u8; 3])> {
    let pairs = a.as_chunks::<3>().0.iter().zip(b.as_chunks::<3>().0);
    pairs.enumerate().map(|(i, (p, q))| (i / 64, i % 64, p, q))
}

#[test]
fn bars_are_black_and_change_nothing_else() {
    for (a, b) in frame_pairs(Perturbation::Bars) {
        assert_ne!(a, b);
        for (row, column, p, q) in pixels(&a, &b) {
            // An eighth of 64 columns on either side.
            if (8..56).contains(&column) {
                assert_eq!(p, q, "row {row}, column {column}");
            } else {
                assert_eq!(q, &[0; 3]);
            }
        }
    }
}

#[test]
fn the_blob_is_a_disc_on_the_ground() {
    let mut changed = 0;
    // The road may hide the disc in some frames.
    for (a, b) in frame_pairs(Perturbation::Blob) {
        for (row, column, p, q) in pixels(&a, &b).filter(|(_, _, p, q)| p != q) {
            changed += 1;
            // Its middle is at (16, 36.6) of 64 × 64, its radii are 5.1 and 7.3.
            let x = (column as f64 + 0.5 - 16.0) / 6.2;
            let y = (row as f64 + 0.5 - 36.57) / 8.4;
            assert!(
                x * x + y * y < 1.0 && q[0] > p[0] && q[1] <= p[1],
                "row {row}, column {column}: {p:?} {q:?}"
            );
        }
    }
    assert!(changed > 10_000, "{changed} pixels changed");
}

#[test]
fn colours_of_road_and_grass_change_and_differ_between_episodes() {
    for (a, b) in frame_pairs(Perturbation::Colour) {
        assert_ne!(a, b);
        for (_, _, p, q) in pixels(&a, &b) {
            // Black, white and red stay, and so does the car.
            if [[0; 3], [253; 3], [253, 0, 0], [202, 0, 0]].contains(p) {
                assert_eq!(p, q);
            }
            // No channel changes by more than 0.2 of the range, and rounding.
            assert!(
                p.iter().zip(q).all(|(a, b)| a.abs_diff(*b) <= 52),
                "{p:?} {q:?}"
            );
        }
    }
    let colour =
        |seed: u64| drive(&mut make(Some(Perturbation::Colour)), seed, None)[60].0[..3].to_vec();
    assert_ne!(colour(SEED), colour(SEED + 1));
}

#[test]
fn noise_is_normal_and_new_in_every_frame() {
    let frames = frame_pairs(Perturbation::Noise);
    let (mut n, mut sum, mut square) = (0.0, 0.0, 0.0);
    for (a, b) in &frames {
        assert_ne!(a, b);
        // Of middle values, which the range does not clip.
        for (p, q) in a.iter().zip(b).filter(|(p, _)| (100..156).contains(*p)) {
            let error = f64::from(*q) - f64::from(*p);
            n += 1.0;
            sum += error;
            square += error * error;
        }
    }
    let (mean, deviation): (f64, f64) = (sum / n, f64::sqrt(square / n));
    assert!(
        n > 1e5 && mean.abs() < 0.3 && (deviation - 25.5).abs() < 0.3,
        "{n} {mean} {deviation}"
    );
    assert_ne!(frames[3].1, frames[4].1);
}

#[test]
fn the_whole_picture_shows_bars_too() {
    let config = CarRacingConfig {
        observation: Observation::Full96,
        perturbation: Some(Perturbation::Bars),
        ..CarRacingConfig::default()
    };
    let mut env = config.init();
    let frames = drive(&mut env, SEED, None);
    let row = &frames[STEPS].0[40 * 96 * 3..41 * 96 * 3];
    assert!(
        row[..12 * 3].iter().chain(&row[84 * 3..]).all(|v| *v == 0)
            && row[12 * 3..84 * 3].iter().all(|v| *v > 0)
    );
    let ObservationSpace::Frame { width: 96, .. } = env.observation_space() else {
        panic!()
    };
    assert_eq!(env.picture().expect("a picture").rgb, frames[STEPS].0);
}

/// Only the car's motion differs; the first frame is the same.
#[test]
fn throttle_caps_the_gas_and_friction_the_grip() {
    let rear = |state: &CarState| state.wheels[2].gas;
    let full = |perturbation| drive(&mut make(perturbation), SEED, Some([0.0, 1.0, 0.0]));
    let (plain, capped) = (full(None), full(Some(Perturbation::Throttle)));
    assert_eq!(plain[0], capped[0]);
    assert_eq!((rear(&plain[STEPS].1), rear(&capped[STEPS].1)), (1.0, 0.5));
    let half = drive(&mut make(None), SEED, Some([0.0, 0.5, 0.0]));
    assert!(capped == half, "full gas has the effect of half gas");
    let gentle = |perturbation| drive(&mut make(perturbation), SEED, Some([0.0, 0.4, 0.0]));
    assert!(
        gentle(None) == gentle(Some(Perturbation::Throttle)),
        "less gas is not changed"
    );

    // All wheels are on the road and locked, so the hull is slowed by the limit of friction only.
    let braking = |perturbation| {
        let mut env = make(perturbation);
        let mut frame = vec![0; env.observation_space().len()];
        env.reset(SEED, ObservationMut::Frame(&mut frame))
            .expect("a reset");
        let mut act = |env: &mut CarRacing, action: [f32; 3]| {
            env.step(&action, ObservationMut::Frame(&mut frame))
                .expect("a step");
            let hull = env.state().expect("a reset").hull;
            f64::from(hull.velocity[0].hypot(hull.velocity[1]))
        };
        for _ in 0..40 {
            act(&mut env, [0.0, 0.3, 0.0]);
        }
        let speeds: Vec<f64> = (0..6).map(|_| act(&mut env, [0.0, 0.0, 1.0])).collect();
        assert!(
            env.state()
                .expect("a reset")
                .wheels
                .iter()
                .all(|w| w.on_road)
                && speeds[5] > 2.0,
            "{speeds:?}"
        );
        speeds[1] - speeds[5]
    };
    let ratio = braking(Some(Perturbation::Friction)) / braking(None);
    assert!((ratio - 0.8).abs() < 0.02, "{ratio}");
    let config = |perturbation| CarRacingConfig {
        perturbation,
        ..CarRacingConfig::default()
    };
    assert_eq!(
        (
            config(None).road_friction(),
            config(Some(Perturbation::Friction)).road_friction()
        ),
        (1.0, 0.8)
    );
}

#[test]
fn a_car_stands_still_until_it_moves() {
    let still = |action| {
        drive(&mut make(None), SEED, Some(action))[STEPS]
            .2
            .expect("a step")
            .measured[measured::STILL]
            == 1.0
    };
    assert!(still([0.0, 0.0, 0.0]) && !still([0.0, 0.3, 0.0]) && still([0.0, 0.0, 1.0]));
}

/// Full gas, and from step `FROM` on hard steering and brakes as well: then every tyre is at its
/// limit, and every change of the physics is felt at once.
const FROM: usize = 60;

fn hard(env: &mut CarRacing) -> Vec<Moment> {
    drive_with(env, SEED, |number, _| match number < FROM {
        true => [0.0, 1.0, 0.0],
        false => [0.3, 1.0, 0.8],
    })
}

#[test]
fn every_one_begins_at_its_step() {
    let plain = hard(&mut make(None));
    for perturbation in Perturbation::ALL {
        let mut env = later(perturbation, FROM as u32).init();
        let changed = hard(&mut env);
        // The next episode begins unaltered again.
        assert!(changed == hard(&mut env), "{perturbation:?}");
        assert!(plain[..FROM] == changed[..FROM], "{perturbation:?}");
        let (a, b) = (&plain[FROM], &changed[FROM]);
        if !perturbation.is_only_seen() {
            assert_ne!(a.1, b.1, "{perturbation:?}");
            continue;
        }
        assert_ne!(a.0, b.0, "{perturbation:?}");
        let always = hard(&mut make(Some(perturbation)));
        for ((a, b), c) in plain.iter().zip(&changed).zip(&always).skip(FROM) {
            assert!(a.1 == b.1 && a.2 == b.2, "{perturbation:?}");
            // The random numbers of the noise begin with it.
            assert!(b.0 == c.0 || perturbation == Perturbation::Noise);
        }
    }
}

/// Whatever is seen or not before and after the step, and from a snapshot of another environment.
#[test]
fn it_begins_in_steps_that_nobody_sees() {
    for perturbation in Perturbation::ALL {
        let config = later(perturbation, 10);
        let (mut seen, mut unseen, mut restored) = (config.init(), config.init(), config.init());
        let mut frames = [0, 1, 2].map(|_| vec![0; seen.observation_space().len()]);
        let [a, b, c] = &mut frames;
        seen.reset(SEED, ObservationMut::Frame(a)).expect("a reset");
        unseen
            .reset(SEED, ObservationMut::Frame(b))
            .expect("a reset");
        let action = [0.1, 1.0, 0.0];
        for number in 1..=20 {
            let step = seen
                .step(&action, ObservationMut::Frame(a))
                .expect("a step");
            let place = ObservationMut::Frame(b);
            let other = match number < 20 {
                true => unseen.step_unseen(&action, place),
                false => unseen.step(&action, place),
            };
            assert_eq!(other.expect("a step"), step);
            if number == 9 {
                let snapshot = seen.snapshot().expect("a running episode");
                restored.restore(&snapshot).expect("one of its kind");
            }
            if number > 9 {
                let place = ObservationMut::Frame(c);
                assert_eq!(restored.step(&action, place).expect("a step"), step);
                assert!(a == c, "{perturbation:?}: step {number}");
            }
        }
        assert!(a == b, "{perturbation:?}");
        assert_eq!(seen.state(), unseen.state());
    }
}

#[test]
fn from_the_reset_on_it_is_the_whole_episode_and_from_step_1_on_all_but_what_is_seen_first() {
    let whole = CarRacingConfig {
        perturbation: Some(Perturbation::Bars),
        ..CarRacingConfig::default()
    };
    assert_eq!(later(Perturbation::Bars, 0), whole);
    let [plain, from_0, from_1] = [
        make(None),
        whole.init(),
        later(Perturbation::Bars, 1).init(),
    ]
    .map(|mut env| drive(&mut env, SEED, None));
    assert!(from_0[0] != plain[0] && from_1[0] == plain[0] && from_1[1..] == from_0[1..]);

    // Neither configuration nor rule of a perturbation from the reset on names a step.
    let json = serde_json::to_string(&whole).expect("it can be written");
    assert!(!json.contains("from") && !whole.spec().rule.contains("from step"));
    let begun = later(Perturbation::Tyre, 100);
    let rule = begun.spec().rule;
    assert!(
        rule.ends_with("grip of the front left tyre × 0.3 from step 100 on"),
        "{rule}"
    );
    let json = serde_json::to_string(&begun).expect("it can be written");
    let read: CarRacingConfig = serde_json::from_str(&json).expect("and read");
    assert_eq!(read, begun);
}

/// The right front tyre still spins its wheel up, and so brakes its side of the car more: at full
/// gas and with the steering straight, the car turns to the right.
#[test]
fn a_blown_tyre_pulls_the_car_to_the_other_side() {
    let full = |env: &mut CarRacing| drive(env, SEED, Some([0.0, 1.0, 0.0]));
    let plain = full(&mut make(None));
    let mut env = make(Some(Perturbation::Tyre));
    let blown = full(&mut env);
    assert!(
        blown == full(&mut env),
        "it is a function of seed and actions"
    );
    // Angles are counter-clockwise.
    let turned =
        |moments: &[Moment], step: usize| moments[step].1.hull.angle - plain[step].1.hull.angle;
    assert!(turned(&blown, 20) < -0.2, "{}", turned(&blown, 20));
    assert!(turned(&blown, 40) < -0.9, "{}", turned(&blown, 40));

    // The same later, at a speed at which the wheels are spun up more slowly.
    let later = full(&mut later(Perturbation::Tyre, 30).init());
    assert!(later[..30] == plain[..30]);
    assert_eq!(turned(&later, 29), 0.0);
    assert!(turned(&later, 40) < -0.15, "{}", turned(&later, 40));

    // On locked wheels every tyre gives its limit.
    let brake = |env: &mut CarRacing| {
        drive_with(env, SEED, |number, _| match number < 30 {
            true => [0.0, 1.0, 0.0],
            false => [0.0, 0.0, 1.0],
        })
    };
    let plain = brake(&mut make(None));
    let blown = brake(&mut self::later(Perturbation::Tyre, 30).init());
    let turned = blown[40].1.hull.angle - plain[40].1.hull.angle;
    assert!(turned < -0.05, "{turned}");
}
