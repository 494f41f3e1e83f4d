//! A step allocates nothing; all allocations are made by the reset.

use frmdn_car_racing::{
    Actions, CarRacingConfig, Observation,
    pursuit::{PurePursuit, PursuitConfig},
};
use frmdn_env::{Env, ObservationMut};

/// Number of allocations in the first `steps` steps of an episode along the road, with the zoom,
/// turns and new tiles.
fn allocations(config: CarRacingConfig, steps: usize) -> u64 {
    let discrete = config.actions == Actions::Discrete;
    let mut env = config.init();
    let mut frame = vec![0; env.observation_space().len()];
    env.reset(3, ObservationMut::Frame(&mut frame))
        .expect("a reset");
    let mut driver = PurePursuit::new(PursuitConfig::default());
    let mut driven = 0;
    let counted = allocation_counter::measure(|| {
        for step in 0..steps {
            let action = driver.act(
                &env.state().expect("a reset"),
                env.track().expect("a reset"),
            );
            let button = [(step % 5) as f32];
            let action: &[f32] = if discrete { &button } else { &action };
            driven += usize::from(
                !env.step(action, ObservationMut::Frame(&mut frame))
                    .expect("a step")
                    .done(),
            );
        }
    });
    assert_eq!(driven, steps, "the episode ended early");
    counted.count_total
}

#[test]
fn a_step_allocates_nothing() {
    for observation in [Observation::Agent64, Observation::Full96] {
        for config in [
            CarRacingConfig {
                observation,
                ..CarRacingConfig::default()
            },
            CarRacingConfig {
                observation,
                domain_randomize: true,
                ..CarRacingConfig::default()
            },
            CarRacingConfig {
                observation,
                actions: Actions::Discrete,
                ..CarRacingConfig::default()
            },
        ] {
            assert_eq!(allocations(config.clone(), 500), 0, "{config:?}");
        }
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(
        allocation_counter::measure(|| drop(std::hint::black_box(vec![0u8; 100]))).count_total,
        1
    );
}
