//! Held-out figures and calibration.

use super::*;

/// Hand calculation: rewards 1, 2, 3 against 2, 4, 6 correlate fully, against 6, 4, 2 fully the
/// other way; means are by step.
#[test]
fn figures_are_means_over_steps() {
    let evaluated = |predicted: [f64; 3]| {
        let mut all = EvaluationSums::default();
        for (r, p) in [1.0, 2.0, 3.0].into_iter().zip(predicted) {
            let one = EvaluationSums {
                steps: 1.0,
                nll: 2.0 * r,
                squares: (r - p) * (r - p),
                cross_entropy: 0.5,
                rewards: [r, p, r * r, p * p, r * p],
            };
            all += one;
        }
        all.evaluation()
    };
    let up = evaluated([2.0, 4.0, 6.0]);
    assert!(
        (up.reward_correlation - 1.0).abs() < 1e-12
            && (evaluated([6.0, 4.0, 2.0]).reward_correlation + 1.0).abs() < 1e-12
    );
    assert!(
        (up.nll - 4.0).abs() < 1e-12
            && (up.reward_mse - 14.0 / 3.0).abs() < 1e-12
            && (up.done_bce - 0.5).abs() < 1e-12
    );
    assert_eq!(evaluated([2.0; 3]).reward_correlation, 0.0);
}

/// Latents that a memory drew itself have uniform ranks, up to noise; latents it would never draw
/// do not.
#[test]
fn ranks_of_a_memorys_own_draws_are_uniform() {
    let c = config(Variant::FrmdnConditional);
    let trainer = MemoryTrainer::new(&c, LATENT, ACTIONS, 1);
    let mut data = SequenceBatch {
        mask: vec![1.0; 3000],
        ..batch(3000, 1)
    };
    let memory = load(&c, LATENT, ACTIONS, trainer.weights()).unwrap();
    let (mut state, mut scratch) = (vec![0.0; memory.state_len()], Scratch::default());
    for t in 0..data.steps {
        memory.step(
            1,
            &data.seen[t * LATENT..][..LATENT],
            &data.given[t * ACTIONS..][..ACTIONS],
            &mut state,
            &mut scratch,
        );
        let rng = &mut [stream(9, "own", &[t as u64])];
        let z = &mut data.next[t * LATENT..][..LATENT];
        memory
            .predict(
                &state,
                1.0,
                rng,
                z,
                &mut [Prediction::default()],
                &mut scratch,
            )
            .unwrap();
    }
    let ranks = trainer.calibrate(&data, 1, 1);
    let n: u64 = ranks.likelihoods.iter().sum();
    assert_eq!(n, 3000);
    let (error, expected) = (
        Calibration::error(&ranks.likelihoods),
        Calibration::expected_error(n),
    );
    assert!(
        error < 2.0 * expected && error > 0.3 * expected,
        "{error} {expected}"
    );
    data.next.iter_mut().for_each(|v| *v *= 2.0);
    assert!(Calibration::error(&trainer.calibrate(&data, 1, 1).likelihoods) > 4.0 * expected);
}
