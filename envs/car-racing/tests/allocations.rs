//! A step allocates nothing; all allocations are made by the reset.

use frmdn_car_racing::{
    Actions, CarRacingConfig, Observation, Perturbation,
    pursuit::{PurePursuit, PursuitConfig},
};
use frmdn_env::{Env, ObservationMut, ObservationSpace};

/// Number of allocations in the first `steps` steps of an episode along the road, with the zoom,
/// turns and new tiles.
fn allocations(config: CarRacingConfig, steps: usize) -> u64 {
    let discrete = config.actions == Actions::Discrete;
    let mut env = config.init();
    let space = env.observation_space();
    let (mut frame, mut latent) = (vec![0; space.len()], vec![0.0; space.len()]);
    let mut observation = match space {
        ObservationSpace::Frame { .. } => ObservationMut::Frame(&mut frame),
        ObservationSpace::Latent(_) => ObservationMut::Latent(&mut latent),
    };
    env.reset(3, observation.again()).expect("a reset");
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
                !env.step(action, observation.again())
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
    for observation in [
        Observation::Agent64,
        Observation::Full96,
        Observation::State,
    ] {
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
            CarRacingConfig {
                observation,
                perturbation: Some(Perturbation::Colour),
                perturbation_from: 100,
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
