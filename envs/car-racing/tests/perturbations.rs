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

/// A short episode; the two perturbations that draw random numbers must pass the conformance tests
/// too.
fn short(perturbation: Perturbation) -> CarRacing {
    CarRacingConfig {
        perturbation: Some(perturbation),
        max_steps: 40,
        ..CarRacingConfig::default()
    }
    .init()
}

conformance_tests!(mod colour, short(Perturbation::Colour), rewards = -100.0..=100.0);
conformance_tests!(mod noise, short(Perturbation::Noise), rewards = -100.0..=100.0);

/// Frame and car after a step, and the step; the first moment is that of the reset.
type Moment = (Vec<u8>, CarState, Option<Step>);

/// Frames, car states and steps of the scripted driver, or of a constant `action`.
fn drive(env: &mut CarRacing, seed: u64, action: Option<[f32; 3]>) -> Vec<Moment> {
    let mut driver = PurePursuit::new(PursuitConfig::default());
    let mut frame = vec![0; env.observation_space().len()];
    env.reset(seed, ObservationMut::Frame(&mut frame))
        .expect("a reset");
    let mut all = vec![(frame.clone(), env.state().expect("a reset"), None)];
    for _ in 0..STEPS {
        let action = action.unwrap_or_else(|| {
            driver.act(
                &env.state().expect("a reset"),
                env.track().expect("a reset"),
            )
        });
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
