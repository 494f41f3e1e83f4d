//! The dummy environments pass what every environment must pass; batches do what single environments do.

use frmdn_env::{ActionSpace, DummyEnv, Env, EnvError, ObservationMut, ObservationSpace, VecEnv};

fn frames() -> DummyEnv {
    let space = ActionSpace::Box { low: vec![-1.0, 0.0], high: vec![1.0, 1.0] };
    DummyEnv::new(space, ObservationSpace::Frame { height: 4, width: 5, channels: 3 })
}

mod of_frames {
    use super::frames;

    frmdn_env::conformance_tests!(frames(), rewards: -1.0..=1.0);
}

mod of_latents {
    use super::{ActionSpace, DummyEnv, ObservationSpace};

    frmdn_env::conformance_tests!(DummyEnv::new(ActionSpace::Discrete(3), ObservationSpace::Latent(6)), rewards: -1.0..=1.0);
}

#[test]
fn a_batch_steps_as_its_environments_do_alone_on_any_number_of_threads() {
    let run = |threads: usize| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let mut batch = VecEnv::new((0..7).map(|_| Box::new(frames()) as Box<dyn Env>).collect()).unwrap();
            let mut seen = vec![0u8; 7 * 60];
            let seeds: Vec<Option<u64>> = (0..7).map(Some).collect();
            batch.reset(&seeds, ObservationMut::Frame(&mut seen)).unwrap();
            let mut log = vec![seen.clone()];
            let mut steps = vec![None; 7];
            for t in 0..25 {
                let actions: Vec<f32> = (0..7).flat_map(|i| [((t + i) % 3) as f32 - 1.0, 0.5]).collect();
                batch.step(&actions, ObservationMut::Frame(&mut seen), &mut steps).unwrap();
                log.push(seen.clone());
            }
            (log, steps)
        })
    };
    let (log, steps) = run(1);
    assert_eq!((&log, &steps), (&run(2).0, &run(2).1));
    // Every episode of the dummy has ended by then; those that ended take no part any more.
    assert!(steps.iter().all(Option::is_none));
    for i in 0..7usize {
        let mut alone = frames();
        let mut seen = vec![0u8; 60];
        alone.reset(i as u64, ObservationMut::Frame(&mut seen)).unwrap();
        assert_eq!(log[0][i * 60..(i + 1) * 60], seen);
        for t in 0..25usize {
            let done = alone.step(&[((t + i) % 3) as f32 - 1.0, 0.5], ObservationMut::Frame(&mut seen)).unwrap().done();
            assert_eq!(log[t + 1][i * 60..(i + 1) * 60], seen, "environment {i}, step {t}");
            if done {
                break;
            }
        }
    }
}

#[test]
fn a_wrong_action_stops_the_batch_before_anything_moves() {
    let mut batch = VecEnv::new(vec![Box::new(frames()), Box::new(frames())]).unwrap();
    let mut seen = vec![0u8; 120];
    batch.reset(&[Some(1), Some(2)], ObservationMut::Frame(&mut seen)).unwrap();
    let before = seen.clone();
    let mut steps = vec![None; 2];
    let error = batch.step(&[0.0, 0.5, 0.0, 7.0], ObservationMut::Frame(&mut seen), &mut steps).unwrap_err();
    assert!(matches!(error, EnvError::Action { .. }) && seen == before && steps == [None, None]);
}
