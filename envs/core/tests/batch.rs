//! Batches: results do not depend on the threads, and environments do not affect one another.

use frmdn_env::{
    ActionSpace, DummyEnv, Env, EnvError, ObservationMut, ObservationSpace, Step, VecEnv,
};

const WIDTH: usize = 6;

fn dummy() -> DummyEnv {
    DummyEnv::new(ActionSpace::Discrete(4), ObservationSpace::Latent(WIDTH))
}

fn batch(n: usize) -> VecEnv {
    VecEnv::new((0..n).map(|_| Box::new(dummy()) as Box<dyn Env>).collect())
        .expect("a batch of equal environments")
}

fn action(i: usize, at: usize) -> f32 {
    ((i * 7 + at * 3) % 4) as f32
}

/// Plays `n` environments for 25 steps, longer than any episode, and records everything.
fn play(n: usize) -> Vec<(Vec<f32>, Vec<Option<Step>>)> {
    let mut batch = batch(n);
    let mut observations = vec![0.0; n * WIDTH];
    let seeds: Vec<_> = (0..n as u64).map(Some).collect();
    batch
        .reset(&seeds, ObservationMut::Latent(&mut observations))
        .expect("a reset");
    let mut history = vec![(observations.clone(), vec![None; n])];
    for at in 0..25 {
        let actions: Vec<f32> = (0..n).map(|i| action(i, at)).collect();
        let mut steps = vec![None; n];
        batch
            .step(
                &actions,
                ObservationMut::Latent(&mut observations),
                &mut steps,
            )
            .expect("a step");
        history.push((observations.clone(), steps));
    }
    history
}

#[test]
fn equals_single_environments_on_any_number_of_threads() {
    let n = 37;
    let pool = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool of threads")
    };
    let one = pool(1).install(|| play(n));
    assert_eq!(one, pool(4).install(|| play(n)));

    for i in 0..n {
        let mut env = dummy();
        let mut observation = vec![0.0; WIDTH];
        env.reset(i as u64, ObservationMut::Latent(&mut observation))
            .expect("a reset");
        let mut running = true;
        for (at, (batched, steps)) in one.iter().enumerate() {
            if at > 0 {
                let alone = running.then(|| {
                    env.step(
                        &[action(i, at - 1)],
                        ObservationMut::Latent(&mut observation),
                    )
                    .expect("a step")
                });
                assert_eq!(steps[i], alone);
                running &= alone.is_none_or(|step| !step.done());
            }
            assert_eq!(
                &batched[i * WIDTH..(i + 1) * WIDTH],
                observation,
                "environment {i} after {at} steps"
            );
        }
        assert!(!running, "25 steps end every episode");
    }
}

#[test]
fn restarts_some_and_leaves_the_others() {
    let mut batch = batch(3);
    let mut observations = vec![0.0; 3 * WIDTH];
    batch
        .reset(
            &[Some(1), None, Some(3)],
            ObservationMut::Latent(&mut observations),
        )
        .expect("a reset");
    assert_eq!([0, 1, 2].map(|i| batch.is_running(i)), [true, false, true]);
    assert_eq!(observations[WIDTH..2 * WIDTH], [0.0; WIDTH]);
    let mut steps = [None; 3];
    // the action of an environment that is not running is not checked
    batch
        .step(
            &[0.0, f32::NAN, 1.0],
            ObservationMut::Latent(&mut observations),
            &mut steps,
        )
        .expect("a step");
    assert_eq!(steps.map(|step| step.is_some()), [true, false, true]);
}

#[test]
fn one_bad_action_moves_nobody() {
    let (mut bothered, mut quiet) = (batch(2), batch(2));
    let mut observations = [vec![0.0; 2 * WIDTH], vec![0.0; 2 * WIDTH]];
    for (batch, observations) in [&mut bothered, &mut quiet]
        .into_iter()
        .zip(&mut observations)
    {
        batch
            .reset(&[Some(1), Some(2)], ObservationMut::Latent(observations))
            .expect("a reset");
    }
    let mut steps = [None; 2];
    let refused = bothered.step(
        &[0.0, 9.0],
        ObservationMut::Latent(&mut observations[0]),
        &mut steps,
    );
    assert!(matches!(refused, Err(EnvError::Action { .. })));
    let mut results = [[None; 2]; 2];
    for ((batch, observations), steps) in [&mut bothered, &mut quiet]
        .into_iter()
        .zip(&mut observations)
        .zip(&mut results)
    {
        batch
            .step(&[1.0, 2.0], ObservationMut::Latent(observations), steps)
            .expect("a step");
    }
    assert_eq!(results[0], results[1]);
    assert_eq!(observations[0], observations[1]);
}

#[test]
fn refuses_what_does_not_fit() {
    assert!(VecEnv::new(vec![]).is_err());
    let other = DummyEnv::new(ActionSpace::Discrete(5), ObservationSpace::Latent(WIDTH));
    assert!(VecEnv::new(vec![Box::new(dummy()), Box::new(other)]).is_err());

    let mut batch = batch(2);
    let mut observations = vec![0.0; 2 * WIDTH];
    assert!(
        batch
            .reset(&[Some(1)], ObservationMut::Latent(&mut observations))
            .is_err()
    );
    assert!(
        batch
            .reset(
                &[Some(1); 2],
                ObservationMut::Latent(&mut observations[1..])
            )
            .is_err()
    );
    assert!(
        batch
            .reset(&[Some(1); 2], ObservationMut::Frame(&mut [0; 2 * WIDTH]))
            .is_err()
    );
    assert!(
        batch
            .step(
                &[0.0; 3],
                ObservationMut::Latent(&mut observations),
                &mut [None; 2]
            )
            .is_err()
    );
    assert!(
        batch
            .step(
                &[0.0; 2],
                ObservationMut::Latent(&mut observations),
                &mut [None; 1]
            )
            .is_err()
    );
}
