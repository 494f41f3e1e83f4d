//! The adapters of both directions, compared with the environments themselves.
#![cfg(feature = "gym-rs")]

use frmdn_car_racing::CarRacingConfig;
use frmdn_env::{ActionSpace, Env, ObservationMut, ObservationSpace, conformance_tests};
use frmdn_gym_rs::{ToGymRs, cart_pole, mountain_car};
use gym_rs::{
    core::{Env as Theirs, EnvProperties},
    envs::classical_control::cartpole::CartPoleEnv,
    utils::renderer::{RenderMode, Renders},
};

conformance_tests!(mod cart_pole_keeps_the_promises, cart_pole(), rewards = 0.0..=1.0);
conformance_tests!(mod mountain_car_keeps_the_promises, mountain_car(), rewards = -1.0..=0.0);

#[test]
fn cart_pole_is_gym_rs_own() {
    let mut ours = cart_pole();
    let mut theirs = CartPoleEnv::new(RenderMode::None);
    assert_eq!(
        (ours.action_space(), ours.observation_space()),
        (&ActionSpace::Discrete(2), ObservationSpace::Latent(4))
    );
    let mut seen = [0.0f32; 4];
    for seed in 0..20 {
        ours.reset(seed, ObservationMut::Latent(&mut seen)).unwrap();
        let first: Vec<f64> = theirs.reset(Some(seed), false, None).0.into();
        assert_eq!(
            seen.to_vec(),
            first.iter().map(|&v| v as f32).collect::<Vec<_>>()
        );
        for t in 0.. {
            let action = usize::from((t * 7 + seed) % 3 > 0);
            let a = ours
                .step(&[action as f32], ObservationMut::Latent(&mut seen))
                .unwrap();
            let b = theirs.step(action);
            let expected: Vec<f64> = b.observation.into();
            assert_eq!(
                seen.to_vec(),
                expected.iter().map(|&v| v as f32).collect::<Vec<_>>()
            );
            assert_eq!((a.reward, a.terminated), (*b.reward, b.done));
            if a.done() {
                assert!(a.terminated && t < 100, "an unsteady hand keeps no pole up");
                break;
            }
        }
    }
}

#[test]
fn standing_still_in_the_valley_is_cut_off() {
    let mut env = mountain_car();
    let mut seen = [0.0f32; 2];
    env.reset(1, ObservationMut::Latent(&mut seen)).unwrap();
    let steps: Vec<_> = (0..200)
        .map(|_| env.step(&[1.0], ObservationMut::Latent(&mut seen)).unwrap())
        .collect();
    assert!(
        steps[..199].iter().all(|s| !s.done()) && steps[199].truncated && !steps[199].terminated
    );
}

#[test]
fn car_racing_is_the_same_through_gym_rs() {
    let config = || CarRacingConfig {
        max_steps: 60,
        ..CarRacingConfig::default()
    };
    let mut theirs = ToGymRs::new(move || Box::new(config().init()));
    let mut ours = config().init();
    let mut frame = vec![0; ours.observation_space().len()];
    let values = |frame: &[u8]| frame.iter().map(|&b| f64::from(b)).collect::<Vec<_>>();
    ours.reset(5, ObservationMut::Frame(&mut frame)).unwrap();
    let (first, info) = theirs.reset(Some(5), true, None);
    assert_eq!((first.0, info), (values(&frame), Some(5)));
    assert_eq!(theirs.action_space(), ours.action_space());
    let mut copy = None;
    for t in 0..60 {
        let action = [(t as f32 * 0.2).sin(), 0.5, 0.0];
        let a = ours
            .step(&action, ObservationMut::Frame(&mut frame))
            .unwrap();
        let b = theirs.step(action.to_vec());
        assert_eq!(
            (a.reward, a.terminated, a.truncated, Some(a)),
            (*b.reward, b.done, b.truncated, b.info)
        );
        assert_eq!(b.observation.0, values(&frame));
        if t == 20 {
            copy = Some(theirs.clone());
        }
    }
    // The clone has the state that the original had when it was made.
    let mut copy = copy.unwrap();
    let again: Vec<_> = (21..60)
        .map(|t| copy.step(vec![(t as f32 * 0.2).sin(), 0.5, 0.0]))
        .collect();
    assert_eq!(again.last().unwrap().observation.0, values(&frame));
    let Renders::SingleRgbArray(picture) = copy.render(RenderMode::SingleRgbArray) else {
        panic!("no picture")
    };
    assert_eq!((picture.0.len(), picture.0[0].len()), (96, 96));
    assert!(format!("{copy:?}").contains("Some((5, 60))"));
}
