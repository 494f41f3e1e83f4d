//! Each perturbation changes what it says, always in the same way, and nothing else.

use frmdn_car_racing::{
    CarRacing, CarRacingConfig, CarState, Observation, Perturbation,
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

/// The two with chances of their own, as every environment.
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

/// What a driver who knows the track lives through: frames, the car, steps; with `action` in his
/// place where there is one.
fn drive(
    env: &mut CarRacing,
    seed: u64,
    action: Option<[f32; 3]>,
) -> Vec<(Vec<u8>, CarState, Option<Step>)> {
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

#[test]
fn pictures_change_where_they_say_and_the_car_does_not() {
    let plain = drive(&mut make(None), SEED, None);
    for perturbation in [
        Perturbation::Colour,
        Perturbation::Bars,
        Perturbation::Blob,
        Perturbation::Noise,
    ] {
        let changed = drive(&mut make(Some(perturbation)), SEED, None);
        let mut errors = (0.0, 0.0, 0.0);
        for ((a, car_a, step_a), (b, car_b, step_b)) in plain.iter().zip(&changed) {
            assert!(car_a == car_b && step_a == step_b, "{perturbation:?}");
            // The road may hide the disc.
            assert!(
                a != b || perturbation == Perturbation::Blob,
                "{perturbation:?}"
            );
            for (i, (p, q)) in a
                .as_chunks::<3>()
                .0
                .iter()
                .zip(b.as_chunks::<3>().0)
                .enumerate()
            {
                let (row, column) = (i / 64, i % 64);
                match perturbation {
                    // An eighth of 64 columns at either side, all of it.
                    Perturbation::Bars if !(8..56).contains(&column) => assert_eq!(q, &[0; 3]),
                    Perturbation::Bars => assert_eq!(p, q, "row {row}, column {column}"),
                    // The disc's middle is at (16, 36.6) of 64 × 64, 5.1 wide and 7.3 high; it
                    // covers nothing but the ground.
                    Perturbation::Blob if p != q => {
                        errors.0 += 1.0;
                        let (x, y) = (
                            (column as f64 + 0.5 - 16.0) / 6.2,
                            (row as f64 + 0.5 - 36.57) / 8.4,
                        );
                        assert!(
                            x * x + y * y < 1.0 && q[0] > p[0] && q[1] <= p[1],
                            "row {row}, column {column}: {p:?} {q:?}"
                        );
                    }
                    // Road and grass alone: black, white and red stay, and so does the car.
                    Perturbation::Colour
                        if [[0; 3], [253; 3], [253, 0, 0], [202, 0, 0]].contains(p) =>
                    {
                        assert_eq!(p, q)
                    }
                    // No channel by more than 0.2 of the range, and rounding.
                    Perturbation::Colour => assert!(
                        p.iter().zip(q).all(|(a, b)| a.abs_diff(*b) <= 52),
                        "{p:?} {q:?}"
                    ),
                    // Where the range does not cut it: mean 0, standard deviation 25.5.
                    Perturbation::Noise => {
                        for (a, b) in p.iter().zip(q).filter(|(a, _)| (100..156).contains(*a)) {
                            let error = f64::from(*b) - f64::from(*a);
                            errors = (errors.0 + 1.0, errors.1 + error, errors.2 + error * error);
                        }
                    }
                    _ => {}
                }
            }
        }
        assert!(
            perturbation != Perturbation::Blob || errors.0 > 1e4,
            "{errors:?}"
        );
        if perturbation == Perturbation::Noise {
            let (n, mean) = (errors.0, errors.1 / errors.0);
            assert!(
                n > 1e5 && mean.abs() < 0.3 && ((errors.2 / n).sqrt() - 25.5).abs() < 0.3,
                "{errors:?}"
            );
            assert!(changed[3].0 != changed[4].0, "new in every frame");
        }
    }
    let colours =
        |seed: u64| drive(&mut make(Some(Perturbation::Colour)), seed, None)[60].0[..3].to_vec();
    assert_ne!(
        colours(SEED),
        colours(SEED + 1),
        "drawn anew in every episode"
    );
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

/// Car positions alone differ; the first frame, before anyone acts, is the same.
#[test]
fn throttle_caps_the_gas_and_friction_the_grip() {
    let rear = |state: &CarState| state.wheels[2].gas;
    let full = |perturbation| drive(&mut make(perturbation), SEED, Some([0.0, 1.0, 0.0]));
    let (plain, capped) = (full(None), full(Some(Perturbation::Throttle)));
    assert_eq!(plain[0], capped[0]);
    assert_eq!((rear(&plain[STEPS].1), rear(&capped[STEPS].1)), (1.0, 0.5));
    let half = drive(&mut make(None), SEED, Some([0.0, 0.5, 0.0]));
    assert!(capped == half, "full gas is half gas");
    let gentle = |perturbation| drive(&mut make(perturbation), SEED, Some([0.0, 0.4, 0.0]));
    assert!(
        gentle(None) == gentle(Some(Perturbation::Throttle)),
        "less gas than that is as it was"
    );

    // The car stands with all wheels on the road and brakes lock: what slows the hull is the limit
    // of friction alone.
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
            .info
            .still
    };
    assert!(still([0.0, 0.0, 0.0]) && !still([0.0, 0.3, 0.0]) && still([0.0, 0.0, 1.0]));
}
