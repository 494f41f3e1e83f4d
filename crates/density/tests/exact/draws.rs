//! Draws.

use burn::tensor::Device;
use frmdn_density::{Definition, Density, Form, SampleScratch, constant};
use frmdn_engine::random::{fill_normal, stream};

use crate::{
    FEATURES, affine, config,
    equations::{moments_at, wide},
    moments, normal, random_params, variants,
};

/// Draws, sent through the flow, have the mean and the covariance of the mixture at every
/// temperature, on the engine and in burn; at 0 they are the likeliest component's mean.
#[test]
fn draws_have_the_moments_of_the_mixture_at_every_temperature() {
    let h = [0.3f32, -0.2, 0.5];
    let n = 40_000;
    for c in variants() {
        let (d, params, rows) = (c.dim, random_params(&c), h.repeat(n));
        let density = Density::new(c, FEATURES, &params).unwrap();
        let device = Device::flex();
        let burn = Definition::new(c, FEATURES, &params, &device).unwrap();
        let given = |v: &[f32]| constant(v, n, v.len() / n, &device);
        let mut rng = stream(1, "samples", &[]);
        for temperature in [0.0f32, 1.0, 2.5] {
            let (mean, covariance) = moments_at(&c, &params, &wide(&h), f64::from(temperature));
            let mut on_engine = vec![0.0f32; n * d];
            let mut scratch = SampleScratch::default();
            on_engine.chunks_exact_mut(d).for_each(|y| {
                density.sample(
                    &h,
                    temperature,
                    std::slice::from_mut(&mut rng),
                    y,
                    &mut scratch,
                )
            });
            let mut uniforms = vec![0.0; n * c.choices()];
            frmdn_engine::random::fill_uniform(&mut rng, 0.5, &mut uniforms);
            uniforms.iter_mut().for_each(|u| *u += 0.5);
            let mut noise = vec![0.0; n * (d + c.columns())];
            fill_normal(&mut rng, &mut noise);
            let on_burn: Vec<f32> = burn
                .sample(given(&rows), temperature, given(&uniforms), given(&noise))
                .into_data()
                .try_to_vec()
                .unwrap();
            for (name, mut x) in [("engine", on_engine), ("burn", on_burn)] {
                density.forward(&rows, &mut x);
                if temperature == 0.0 {
                    let near = |x: &[f32]| {
                        x.iter()
                            .zip(&mean)
                            .all(|(x, m)| (f64::from(*x) - m).abs() < 1e-4 * m.abs().max(1.0))
                    };
                    assert!(
                        x.chunks_exact(d).all(near),
                        "{name} {c:?}: {:?} {mean:?}",
                        &x[..d]
                    );
                    continue;
                }
                let from_mean = |x: &[f32], i: usize| f64::from(x[i]) - mean[i];
                let (tolerance, at) = (
                    5.0 / (n as f64).sqrt(),
                    format!("{name} {c:?} at {temperature}"),
                );
                for (i, j) in (0..d).flat_map(|i| (0..=i).map(move |j| (i, j))) {
                    let (got, sd) = moments(
                        &x.chunks_exact(d)
                            .map(|x| from_mean(x, i) * from_mean(x, j))
                            .collect::<Vec<_>>(),
                    );
                    let want = covariance[i][j];
                    assert!(
                        (got - want).abs() < sd * tolerance,
                        "{at}, {i} {j}: {got} {want} ± {}",
                        sd * tolerance
                    );
                    let (got, sd) = moments(
                        &x.chunks_exact(d)
                            .map(|x| from_mean(x, i))
                            .collect::<Vec<_>>(),
                    );
                    assert!(
                        got.abs() < sd * tolerance,
                        "{at}, value {i}: off by {got} ± {}",
                        sd * tolerance
                    );
                }
            }
        }
    }
}

#[test]
fn a_draw_does_not_depend_on_the_other_rows() {
    for c in variants() {
        let density = Density::new(c, FEATURES, &random_params(&c)).unwrap();
        let rows = 37;
        let mut h = vec![0.0f32; rows * FEATURES];
        fill_normal(&mut stream(2, "rows", &[]), &mut h);
        let rngs = || {
            (0..rows as u64)
                .map(|i| stream(3, "draws", &[i]))
                .collect::<Vec<_>>()
        };
        for temperature in [0.0, 1.0] {
            let mut scratch = SampleScratch::default();
            let mut alone = vec![0.0; rows * c.dim];
            for ((h, y), rng) in h
                .chunks_exact(FEATURES)
                .zip(alone.chunks_exact_mut(c.dim))
                .zip(rngs().chunks_exact_mut(1))
            {
                density.sample(h, temperature, rng, y, &mut scratch);
            }
            for n in [rows, 16, 3] {
                let mut together = vec![0.0; n * c.dim];
                density.sample(
                    &h[..n * FEATURES],
                    temperature,
                    &mut rngs()[..n],
                    &mut together,
                    &mut scratch,
                );
                assert_eq!(
                    together,
                    alone[..n * c.dim],
                    "{c:?} at {temperature}, {n} rows"
                );
            }
        }
    }
}

#[test]
fn temperatures_without_a_meaning_are_refused() {
    let c = config(4, 3, Form::Diagonal, 0, affine());
    let density = Density::new(c, FEATURES, &random_params(&c)).unwrap();
    let h = normal("h", FEATURES);
    for temperature in [-1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let refused = std::panic::catch_unwind(|| {
            let rngs = &mut [stream(4, "draws", &[0])];
            let scratch = &mut SampleScratch::default();
            density.sample(&h, temperature, rngs, &mut [0.0; 4], scratch);
        });
        let what = refused.expect_err("it is refused");
        let text = what.downcast_ref::<String>().expect("a message");
        assert!(text.contains("at least 0"), "{text}");
    }
}
