//! Car-Racing passes what every environment must pass, with each of its options.

use frmdn_car_racing::{CarRacingConfig, Observation, Rule};

mod plain {
    use super::CarRacingConfig;

    // At most 1000 / 251 per tile of the shortest track, a few tiles a step; −100 for leaving the field.
    frmdn_env::conformance_tests!(CarRacingConfig::default().init(), rewards: -100.0..=20.0);
}

mod with_options {
    use super::{CarRacingConfig, Observation, Rule};

    frmdn_env::conformance_tests!(
        CarRacingConfig { observation: Observation::Full96, random_start: true, rule: Rule::V4, max_steps: 300 }.init(),
        rewards: -100.0..=20.0
    );
}

#[test]
fn a_random_start_keeps_the_track_and_moves_the_car() {
    use frmdn_env::{Env, ObservationMut};

    let mut plain = CarRacingConfig::default().init();
    let mut moved = CarRacingConfig { random_start: true, ..CarRacingConfig::default() }.init();
    let mut frame = vec![0; plain.observation_space().len()];
    let mut starts = Vec::new();
    for seed in 0..8 {
        plain.reset(seed, ObservationMut::Frame(&mut frame)).unwrap();
        moved.reset(seed, ObservationMut::Frame(&mut frame)).unwrap();
        assert_eq!(plain.track(), moved.track());
        let start = moved.start().unwrap();
        let point = moved.track().unwrap().points[start];
        let hull = moved.state().unwrap().hull;
        assert!((f64::from(hull.position[0]) - point.x).abs() < 1.0 && (f64::from(hull.position[1]) - point.y).abs() < 1.0);
        starts.push(start);
    }
    starts.dedup();
    assert!(starts.len() > 4, "{starts:?}");
}
