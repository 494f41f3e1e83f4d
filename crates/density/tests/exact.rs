//! The density against independent computation: f64 from the equations, finite differences,
//! integrals, dense matrices.

mod equations;

use burn::tensor::{Device, Tensor};
use equations::{determinant_any, linear, moments_at, reference, reference_flow, wide};
use frmdn_density::{
    Definition, Density, DensityConfig, FlowConfig, FlowKind, Form, Mask, SampleScratch, constant,
    gradient, tracked,
};
use frmdn_engine::{
    Params,
    random::{fill_normal, stream},
};

const FEATURES: usize = 3;

fn config(
    dim: usize,
    components: usize,
    form: Form,
    rank: usize,
    flow: Option<FlowConfig>,
) -> DensityConfig {
    DensityConfig {
        form,
        rank,
        flow,
        ..DensityConfig::diagonal(dim, components)
    }
}

fn flow(kind: FlowKind, conditional: bool) -> Option<FlowConfig> {
    Some(FlowConfig {
        conditional,
        ..FlowConfig::new(kind, 2, 6)
    })
}

/// The same with a mask, and a matrix before.
fn masked(kind: FlowKind, mask: Mask, matrix: bool) -> Option<FlowConfig> {
    flow(kind, false).map(|flow| FlowConfig {
        mask,
        matrix,
        ..flow
    })
}

fn affine() -> Option<FlowConfig> {
    flow(FlowKind::Affine, false)
}

/// Every form and every flow there is, in a small size.
fn variants() -> Vec<DensityConfig> {
    let mut all = vec![
        config(4, 3, Form::Factored, 0, None),
        config(4, 3, Form::Diagonal, 0, None),
        config(4, 3, Form::LowRank, 2, None),
        config(4, 3, Form::Tied, 2, None),
        config(4, 3, Form::LowRankCovariance, 2, None),
        config(5, 2, Form::Full, 0, None),
        config(4, 3, Form::Diagonal, 0, affine()),
        config(4, 3, Form::LowRank, 2, affine()),
        config(5, 2, Form::LowRank, 3, affine()),
        config(4, 3, Form::LowRankCovariance, 1, affine()),
        config(4, 3, Form::LowRank, 2, flow(FlowKind::Affine, true)),
        config(4, 3, Form::LowRank, 1, flow(FlowKind::Spline, false)),
        config(5, 2, Form::Factored, 0, flow(FlowKind::Spline, true)),
        config(4, 3, Form::LowRank, 2, flow(FlowKind::Spline, true)),
        config(4, 3, Form::Tied, 2, affine()),
        config(4, 3, Form::Diagonal, 0, flow(FlowKind::Linear, false)),
        config(
            5,
            2,
            Form::LowRank,
            1,
            masked(FlowKind::Affine, Mask::Interleaved, false),
        ),
        config(
            4,
            2,
            Form::Factored,
            0,
            masked(FlowKind::Affine, Mask::Halves, true),
        ),
        config(
            5,
            2,
            Form::LowRank,
            2,
            masked(FlowKind::Affine, Mask::Random, true),
        ),
        config(
            4,
            2,
            Form::Diagonal,
            0,
            masked(FlowKind::Spline, Mask::Interleaved, true),
        ),
        // One component; no column of U.
        config(4, 1, Form::LowRank, 2, affine()),
        config(4, 3, Form::LowRank, 0, affine()),
    ];
    all.push(DensityConfig {
        residual: true,
        ..config(3, 2, Form::LowRank, 1, flow(FlowKind::Affine, true))
    });
    all.push(DensityConfig {
        residual: true,
        ..config(2, 2, Form::Full, 0, flow(FlowKind::Linear, false))
    });
    all
}

fn normal(name: &str, n: usize) -> Vec<f32> {
    let mut v = vec![0.0; n];
    fill_normal(&mut stream(11, name, &[]), &mut v);
    v
}

/// Parameters away from their special first values: flows are no identity, factors no small
/// numbers.
fn random_params(config: &DensityConfig) -> Params {
    let mut params = config.init(FEATURES, 7);
    for (i, p) in params.0.iter_mut().enumerate() {
        let mut noise = vec![0.0; p.value.len()];
        fill_normal(&mut stream(3, "shake", &[i as u64]), &mut noise);
        p.value
            .iter_mut()
            .zip(noise)
            .for_each(|(v, n)| *v += 0.4 * n);
    }
    params
}

#[test]
fn likelihoods_are_those_of_the_equations() {
    for c in variants() {
        let params = random_params(&c);
        let rows = 6;
        let (h, y) = (normal("h", rows * FEATURES), normal("y", rows * c.dim));
        let device = Device::flex();
        let burn = Definition::new(c, FEATURES, &params, &device.clone().autodiff()).unwrap();
        let on_burn = burn.log_prob(
            constant(&h, rows, FEATURES, &device.clone().autodiff()),
            constant(&y, rows, c.dim, &device.autodiff()),
        );
        let on_burn: Vec<f32> = on_burn.into_data().try_to_vec().unwrap();
        let on_engine = Density::new(c, FEATURES, &params).unwrap().log_prob(&h, &y);
        for row in 0..rows {
            let want = reference(
                &c,
                &params,
                &wide(&h[row * FEATURES..(row + 1) * FEATURES]),
                &wide(&y[row * c.dim..(row + 1) * c.dim]),
            );
            let close = |got: f64| (got - want).abs() < 1e-5 * want.abs().max(1.0);
            assert!(
                close(on_engine[row]),
                "{c:?}: engine {} equations {want}",
                on_engine[row]
            );
            assert!(
                close(f64::from(on_burn[row])),
                "{c:?}: burn {} equations {want}",
                on_burn[row]
            );
        }
    }
}

#[test]
fn gradients_are_finite_differences() {
    for c in variants() {
        let params = random_params(&c);
        let rows = 2;
        let (h, y) = (normal("h", rows * FEATURES), normal("y", rows * c.dim));
        let device = Device::flex().autodiff();
        let burn = Definition::new(c, FEATURES, &params, &device).unwrap();
        let features = tracked(&h, rows, FEATURES, &device);
        let grads = burn
            .log_prob(features.clone(), constant(&y, rows, c.dim, &device))
            .sum()
            .backward();
        let value = |params: &Params, h: &[f64]| -> f64 {
            (0..rows)
                .map(|r| {
                    reference(
                        &c,
                        params,
                        &h[r * FEATURES..(r + 1) * FEATURES],
                        &wide(&y[r * c.dim..(r + 1) * c.dim]),
                    )
                })
                .sum()
        };
        let mut work = params.clone();
        for (at, tensor) in burn.gradients(&grads).0.iter().enumerate() {
            assert_eq!(
                (&tensor.name, &tensor.shape),
                (&params.0[at].name, &params.0[at].shape)
            );
            // All entries of a small tensor, every seventh of a larger one.
            for i in (0..tensor.value.len()).step_by(if tensor.value.len() <= 12 { 1 } else { 7 }) {
                let old = work.0[at].value[i];
                let mut shifted = |by: f32| {
                    work.0[at].value[i] = old + by;
                    (value(&work, &wide(&h)), f64::from(work.0[at].value[i]))
                };
                let ((up, a), (down, b)) = (shifted(3e-5), shifted(-3e-5));
                work.0[at].value[i] = old;
                let (got, want) = (f64::from(tensor.value[i]), (up - down) / (a - b));
                assert!(
                    (got - want).abs() < 5e-4 * want.abs().max(0.1),
                    "{c:?} {} {i}: {got} {want}",
                    tensor.name
                );
            }
        }
        for (i, got) in gradient(&features, &grads).into_iter().enumerate() {
            let shifted = |by: f64| {
                let mut h = wide(&h);
                h[i] += by;
                value(&params, &h)
            };
            let want = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            assert!(
                (f64::from(got) - want).abs() < 1e-3 * want.abs().max(1.0),
                "{c:?} h {i}: {got} {want}"
            );
        }
    }
}

#[test]
fn densities_integrate_to_one() {
    // One dimension without couplings (they need two), two with everything.
    let one = [
        Form::Factored,
        Form::Diagonal,
        Form::LowRank,
        Form::Tied,
        Form::LowRankCovariance,
        Form::Full,
    ];
    let linear = flow(FlowKind::Linear, false);
    for c in one
        .map(|form| config(1, 3, form, 1, None))
        .into_iter()
        .chain([config(1, 3, Form::Diagonal, 0, linear)])
    {
        let density = Density::new(c, FEATURES, &random_params(&c)).unwrap();
        let (n, step) = (8000, 0.01f32);
        let y: Vec<f32> = (0..n).map(|i| (i as f32 - n as f32 / 2.0) * step).collect();
        let h: Vec<f32> = [0.3, -0.2, 0.5].repeat(n);
        let total: f64 = density
            .log_prob(&h, &y)
            .iter()
            .map(|l| l.exp())
            .sum::<f64>()
            * f64::from(step);
        assert!((total - 1.0).abs() < 1e-4, "{c:?}: {total}");
    }
    let mut two = one.map(|form| config(2, 2, form, 1, None)).to_vec();
    two.extend([
        config(2, 2, Form::LowRank, 1, affine()),
        config(2, 2, Form::Diagonal, 0, affine()),
        config(2, 2, Form::Tied, 1, affine()),
        config(2, 2, Form::LowRankCovariance, 1, affine()),
        config(2, 2, Form::LowRank, 1, flow(FlowKind::Affine, true)),
        config(
            2,
            2,
            Form::LowRankCovariance,
            1,
            flow(FlowKind::Affine, true),
        ),
        config(2, 2, Form::LowRank, 1, flow(FlowKind::Spline, true)),
        config(2, 2, Form::Diagonal, 0, linear),
        DensityConfig {
            residual: true,
            ..config(2, 2, Form::Full, 0, affine())
        },
    ]);
    for c in two {
        let density = Density::new(c, FEATURES, &random_params(&c)).unwrap();
        // A spline has corners in its slope, where sums over a grid converge slowly.
        let (side, step) = if c.flow.is_some_and(|f| f.kind == FlowKind::Spline) {
            (2000, 0.01f32)
        } else {
            (700, 0.04f32)
        };
        let mut total = 0.0;
        for i in 0..side {
            let a = (i as f32 - side as f32 / 2.0) * step;
            let y: Vec<f32> = (0..side)
                .flat_map(|j| [a, (j as f32 - side as f32 / 2.0) * step])
                .collect();
            total += density
                .log_prob(&[0.3, -0.2, 0.5].repeat(side), &y)
                .iter()
                .map(|l| l.exp())
                .sum::<f64>();
        }
        total *= f64::from(step) * f64::from(step);
        assert!((total - 1.0).abs() < 2e-3, "{c:?}: {total}");
    }
}

/// Whether all values agree to `tolerance`, relative to those above 1.
fn near(a: &[f32], b: &[f32], tolerance: f32) -> bool {
    let mut pairs = a.iter().zip(b);
    pairs.all(|(a, b)| (a - b).abs() < tolerance * b.abs().max(1.0))
}

/// On the engine, and the same in burn.
#[test]
fn flows_are_inverted() {
    for c in variants().into_iter().filter(|c| c.flow.is_some()) {
        let params = random_params(&c);
        let density = Density::new(c, FEATURES, &params).unwrap();
        let (d, rows) = (c.dim, 50);
        let (h, y) = (normal("h", rows * FEATURES), normal("y", rows * d));
        let mut x = y.clone();
        density.forward(&h, &mut x);
        assert!(
            x.iter().zip(&y).any(|(a, b)| (a - b).abs() > 0.1),
            "{c:?} does nothing"
        );

        let device = Device::flex();
        let burn = Definition::new(c, FEATURES, &params, &device).unwrap();
        let features = constant(&h, rows, FEATURES, &device);
        let values = |t: Tensor<2>| -> Vec<f32> { t.into_data().try_to_vec().unwrap() };
        let forward = burn.forward(&features, constant(&y, rows, d, &device)).0;
        assert!(near(&values(forward), &x, 1e-5), "{c:?} forward in burn");
        // Where a spline is nearly flat its inverse magnifies rounding, so the point is compared
        // after it went forward again.
        let mut again = values(burn.inverse(&features, constant(&x, rows, d, &device)));
        density.forward(&h, &mut again);
        assert!(near(&again, &x, 1e-4), "{c:?} inverse in burn");

        let image = x.clone();
        density.inverse(&h, &mut x);
        let is_spline = c.flow.is_some_and(|f| f.kind == FlowKind::Spline);
        assert!(is_spline || near(&x, &y, 1e-5), "{c:?}");
        density.forward(&h, &mut x);
        assert!(near(&x, &image, 1e-5), "{c:?}");
    }
}

/// The Jacobian by differences of the equations in f64.
#[test]
fn log_determinants_are_those_of_the_jacobians() {
    for c in variants().into_iter().filter(|c| c.flow.is_some()) {
        let params = random_params(&c);
        let density = Density::new(c, FEATURES, &params).unwrap();
        let (d, rows) = (c.dim, 50);
        let (h, y) = (normal("h", rows * FEATURES), normal("y", rows * d));
        let log_det = density.forward(&h, &mut y.clone());
        for (row, (h, y)) in h.chunks_exact(FEATURES).zip(y.chunks_exact(d)).enumerate() {
            let shifted = |i: usize, by: f64| {
                let mut y = wide(y);
                y[i] += by;
                reference_flow(&c, &params, &wide(h), &y).0
            };
            let column = |i: usize| {
                shifted(i, 1e-6)
                    .into_iter()
                    .zip(shifted(i, -1e-6))
                    .map(|(up, down)| (up - down) / 2e-6)
                    .collect()
            };
            let want = determinant_any((0..d).map(column).collect()).abs().ln();
            assert!(
                (log_det[row] - want).abs() < 1e-4 * want.abs().max(1.0),
                "{c:?}: {} {want}",
                log_det[row]
            );
        }
    }
}

#[test]
fn at_first_every_flow_is_the_identity() {
    let rows = 20;
    let (h, y) = (normal("h", rows * FEATURES), normal("y", rows * 4));
    for form in [
        Form::Factored,
        Form::Diagonal,
        Form::LowRank,
        Form::Tied,
        Form::LowRankCovariance,
        Form::Full,
    ] {
        let plain = config(4, 3, form, 2, None);
        // The same seed gives the head of every variant the same start.
        let without = Density::new(plain, FEATURES, &plain.init(FEATURES, 7))
            .unwrap()
            .log_prob(&h, &y);
        for (kind, conditional) in [
            (FlowKind::Affine, false),
            (FlowKind::Affine, true),
            (FlowKind::Spline, false),
            (FlowKind::Spline, true),
            (FlowKind::Linear, false),
        ] {
            let c = DensityConfig {
                flow: flow(kind, conditional),
                ..plain
            };
            let with = Density::new(c, FEATURES, &c.init(FEATURES, 7))
                .unwrap()
                .log_prob(&h, &y);
            for (a, b) in without.iter().zip(with) {
                assert!((a - b).abs() < 1e-5, "{form:?} {kind:?}: {a} {b}");
            }
        }
    }
    // Rank 0 is the diagonal.
    let (diagonal, rankless) = (
        config(4, 3, Form::Diagonal, 0, None),
        config(4, 3, Form::LowRank, 0, None),
    );
    let of = |c: DensityConfig| {
        Density::new(c, FEATURES, &c.init(FEATURES, 7))
            .unwrap()
            .log_prob(&h, &y)
    };
    assert_eq!(of(diagonal), of(rankless));
}

#[test]
fn factors_and_log_scales_have_a_gradient_from_the_start() {
    for c in [
        config(4, 3, Form::LowRank, 2, affine()),
        config(4, 3, Form::Tied, 2, flow(FlowKind::Spline, true)),
        config(
            4,
            3,
            Form::LowRankCovariance,
            2,
            flow(FlowKind::Linear, false),
        ),
        config(4, 3, Form::Full, 0, None),
    ] {
        let params = c.init(FEATURES, 7);
        let device = Device::flex().autodiff();
        let burn = Definition::new(c, FEATURES, &params, &device).unwrap();
        let (h, y) = (normal("h", 8 * FEATURES), normal("y", 8 * 4));
        let grads = burn
            .log_prob(
                constant(&h, 8, FEATURES, &device),
                constant(&y, 8, 4, &device),
            )
            .sum()
            .backward();
        for tensor in burn.gradients(&grads).0 {
            if [
                "factor",
                "direction",
                "log_scale",
                "shift",
                "spline",
                "lower",
                "upper",
                "log_diagonal",
            ]
            .iter()
            .any(|part| tensor.name.contains(part))
            {
                assert!(
                    tensor.value.iter().any(|g| g.abs() > 1e-4),
                    "{} would never move",
                    tensor.name
                );
            }
        }
    }
}

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

fn moments(v: &[f64]) -> (f64, f64) {
    let mean = v.iter().sum::<f64>() / v.len() as f64;
    (
        mean,
        (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / v.len() as f64).sqrt(),
    )
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
fn extreme_inputs_stay_finite() {
    for c in variants() {
        let params = random_params(&c);
        let device = Device::flex().autodiff();
        for (size, far) in [(0.0f32, 0.0f32), (1e-20, 1e-20), (30.0, 30.0), (3.0, 1e4)] {
            let (h, y) = (vec![size; FEATURES], vec![-far; c.dim]);
            let on_engine = Density::new(c, FEATURES, &params).unwrap().log_prob(&h, &y)[0];
            let burn = Definition::new(c, FEATURES, &params, &device).unwrap();
            let loss = burn
                .log_prob(
                    constant(&h, 1, FEATURES, &device),
                    constant(&y, 1, c.dim, &device),
                )
                .sum();
            let on_burn = f64::from(loss.clone().into_scalar::<f32>());
            assert!(
                on_engine.is_finite() && on_burn.is_finite(),
                "{c:?} {size}: {on_engine} {on_burn}"
            );
            assert_eq!(
                burn.gradients(&loss.backward()).first_non_finite(),
                None,
                "{c:?} {size}"
            );
            let mut drawn = vec![0.0; c.dim];
            let rng = &mut [stream(1, "extreme", &[])];
            Density::new(c, FEATURES, &params).unwrap().sample(
                &h,
                100.0,
                rng,
                &mut drawn,
                &mut SampleScratch::default(),
            );
            assert!(
                drawn.iter().all(|v| v.is_finite()),
                "{c:?} {size}: {drawn:?}"
            );
        }
    }
}

/// log d beyond its limits counts as the limit, and has no gradient there.
#[test]
fn precisions_are_clamped() {
    for form in [
        Form::Factored,
        Form::Diagonal,
        Form::LowRank,
        Form::Tied,
        Form::LowRankCovariance,
        Form::Full,
    ] {
        let c = config(2, 2, form, 1, None);
        for bias in [14.0, -14.0] {
            let mut params = random_params(&c);
            params
                .0
                .iter_mut()
                .find(|p| p.name == "head.log_precision.bias")
                .unwrap()
                .value
                .fill(bias);
            let h = [0.1f32, 0.0, 0.1];
            // Near the first component's mean: at the upper limit standard deviations are e⁻⁶.
            let y = [0, 1].map(|i| linear(&params, "head.mean", &wide(&h))[i] as f32 + 2e-3);
            let want = reference(&c, &params, &wide(&h), &wide(&y));
            let device = Device::flex().autodiff();
            let burn = Definition::new(c, FEATURES, &params, &device).unwrap();
            let log_prob = burn.log_prob(
                constant(&h, 1, FEATURES, &device),
                constant(&y, 1, 2, &device),
            );
            let (on_engine, on_burn) = (
                Density::new(c, FEATURES, &params).unwrap().log_prob(&h, &y)[0],
                log_prob.clone().into_scalar::<f32>(),
            );
            for got in [on_engine, f64::from(on_burn)] {
                assert!(
                    (got - want).abs() < 1e-4 * want.abs().max(1.0),
                    "{c:?} {bias}: {got} {want}"
                );
            }
            // Not zero, or they would stay beyond.
            let gradients = burn.gradients(&log_prob.sum().backward());
            let gradients = gradients.value("head.log_precision.bias");
            assert!(
                gradients.iter().all(|g| g.is_finite()) && gradients.iter().any(|g| *g != 0.0),
                "{gradients:?}"
            );
        }
    }
}

#[test]
fn impossible_densities_are_named() {
    let error = |c: DensityConfig| c.validate().unwrap_err().to_string();
    assert!(error(config(1, 3, Form::Diagonal, 0, affine())).contains("two dimensions"));
    assert!(error(config(0, 3, Form::Diagonal, 0, None)).contains("dimensions = 0"));
    assert!(error(config(2, 0, Form::Diagonal, 0, None)).contains("components = 0"));
    assert!(error(config(2, 1, Form::LowRank, 3, None)).contains("rank = 3"));
    assert!(variants().iter().all(|c| c.validate().is_ok()));
}

/// The centre is where f gives Σ π μ (and the point that means count from).
#[test]
fn the_center_is_the_image_of_the_mixtures_mean() {
    for c in variants() {
        let params = random_params(&c);
        let density = Density::new(c, FEATURES, &params).unwrap();
        let h = [0.3f32, -0.2, 0.5];
        let (logits, means) = (
            linear(&params, "head.logits", &wide(&h)),
            linear(&params, "head.mean", &wide(&h)),
        );
        let mut y = vec![0.0; c.dim];
        density.center(&h, &mut y);
        density.forward(&h, &mut y);
        let mut anchor = h[FEATURES - c.dim.min(FEATURES)..].to_vec();
        if c.residual {
            density.forward(&h, &mut anchor);
        }
        for (i, got) in y.into_iter().enumerate() {
            let l = if c.form == Form::Factored {
                &logits[i * c.components..(i + 1) * c.components]
            } else {
                &logits[..]
            };
            let total: f64 = l.iter().map(|l| l.exp()).sum();
            let from = if c.residual {
                f64::from(anchor[i])
            } else {
                0.0
            };
            let want = from
                + (0..c.components)
                    .map(|k| l[k].exp() / total * means[k * c.dim + i])
                    .sum::<f64>();
            assert!(
                (f64::from(got) - want).abs() < 2e-5 * want.abs().max(1.0),
                "{c:?}: {got} {want}"
            );
        }
    }
}

/// Mean, entropy and mode in two dimensions against sums over a fine grid.
#[test]
fn mean_entropy_and_mode_are_those_of_a_grid() {
    let flows = [None, affine(), flow(FlowKind::Spline, true)];
    for c in flows.map(|flow| config(2, 2, Form::LowRank, 1, flow)) {
        let density = Density::new(c, FEATURES, &random_params(&c)).unwrap();
        let h = [0.3f32, -0.2, 0.5];
        let (side, step) = (1000i16, 0.025f32);
        let (mut mean, mut entropy, mut best) = ([0.0; 2], 0.0, f64::MIN);
        for i in 0..side {
            let a = f32::from(i - side / 2) * step;
            let y: Vec<f32> = (0..side)
                .flat_map(|j| [a, f32::from(j - side / 2) * step])
                .collect();
            for (y, l) in y
                .chunks_exact(2)
                .zip(density.log_prob(&h.repeat(side as usize), &y))
            {
                let p = l.exp() * f64::from(step) * f64::from(step);
                (0..2).for_each(|i| mean[i] += p * f64::from(y[i]));
                entropy -= if p > 0.0 { p * l } else { 0.0 };
                best = best.max(l);
            }
        }
        let mut rng = stream(6, "summaries", &[]);
        for (estimate, want) in density.mean(&h, 20_000, &mut rng).into_iter().zip(mean) {
            assert_eq!(estimate.error == 0.0, c.flow.is_none());
            assert!(
                (estimate.value - want).abs() < 5.0 * estimate.error + 2e-3,
                "{c:?}: {estimate:?} {want}"
            );
        }
        let estimate = density.entropy(&h, 20_000, &mut rng);
        assert!(
            (estimate.value - entropy).abs() < 5.0 * estimate.error + 2e-3 && estimate.error < 0.02,
            "{c:?}: {estimate:?} {entropy}"
        );
        let mut y = [0.0; 2];
        let found = density.mode(&h, &mut y);
        assert_eq!(density.log_prob(&h, &y)[0], found);
        assert!(found > best - 1e-3, "{c:?}: {found} {best}");
    }
}

/// Weights of zero take rows out of the gradient; the sum is that of the parts.
#[test]
fn the_weighted_loss_has_the_gradients_of_its_parts() {
    let c = config(4, 3, Form::LowRank, 2, affine());
    let params = random_params(&c);
    let (h, y) = (normal("h", 4 * FEATURES), normal("y", 4 * 4));
    let part =
        |weights: [f32; 4]| Definition::loss_and_gradient(c, &params, &h, &y, &weights).unwrap();
    let (all, first, rest) = (
        part([0.5, 0.25, 0.0, 1.0]),
        part([0.5, 0.0, 0.0, 0.0]),
        part([0.0, 0.25, 0.0, 1.0]),
    );
    assert_eq!(all.log_prob, first.log_prob);
    let mut sum = first.parameters.clone();
    sum.add_assign(&rest.parameters);
    for (a, b) in all.parameters.0.iter().zip(&sum.0) {
        let most = a.value.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
        assert!(
            a.value
                .iter()
                .zip(&b.value)
                .all(|(a, b)| (a - b).abs() < 1e-5 * most),
            "{}",
            a.name
        );
    }
    assert!(
        first.features[FEATURES..].iter().all(|&g| g == 0.0)
            && first.features[..FEATURES].iter().any(|&g| g != 0.0)
    );
    assert!(
        all.features[2 * FEATURES..3 * FEATURES]
            .iter()
            .all(|&g| g == 0.0)
    );
}

/// What a step of training computes on the engine is what autodiff computes, whose gradients are
/// the finite differences above: for every density, and for a deeper flow.
#[test]
fn a_training_step_has_the_gradients_of_autodiff() {
    let near = |a: &[f32], b: &[f32]| {
        let most = b.iter().fold(1e-2f32, |most, v| most.max(v.abs()));
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4 * most)
    };
    let deep = FlowConfig {
        conditional: true,
        mask: Mask::Random,
        matrix: true,
        ..FlowConfig::new(FlowKind::Affine, 5, 7)
    };
    let mut all = variants();
    all.push(config(5, 2, Form::LowRank, 1, Some(deep)));
    for c in all {
        let (params, rows) = (random_params(&c), 3);
        let (h, y) = (normal("h", rows * FEATURES), normal("y", rows * c.dim));
        let weights = [0.5, 0.25, 1.0];
        let step = Definition::loss_and_gradient(c, &params, &h, &y, &weights).unwrap();
        let device = Device::flex().autodiff();
        let burn = Definition::new(c, FEATURES, &params, &device).unwrap();
        let seen = tracked(&h, rows, FEATURES, &device);
        let log_prob = burn.log_prob(seen.clone(), constant(&y, rows, c.dim, &device));
        let gradients = (log_prob.clone() * constant(&weights, rows, 1, &device))
            .sum()
            .neg()
            .backward();
        let log_prob: Vec<f32> = log_prob.into_data().try_to_vec().unwrap();
        assert!(near(&step.log_prob, &log_prob), "{c:?}: likelihoods");
        for (a, b) in step.parameters.0.iter().zip(&burn.gradients(&gradients).0) {
            assert!(
                a.name == b.name && near(&a.value, &b.value),
                "{c:?}: {}",
                a.name
            );
        }
        assert!(
            near(&step.features, &frmdn_density::gradient(&seen, &gradients)),
            "{c:?}: features"
        );
    }
}

/// Half of the values, and in turns the others; of five the first turn keeps two.
#[test]
fn masks_order_all_values() {
    let order = |dim: usize, mask: Mask| {
        let flow = masked(FlowKind::Affine, mask, false);
        config(dim, 1, Form::Diagonal, 0, flow).order()
    };
    assert_eq!(order(5, Mask::Halves), None);
    assert_eq!(order(5, Mask::Interleaved), Some(vec![1, 3, 0, 2, 4]));
    let random = order(200, Mask::Random).unwrap();
    let mut sorted = random.clone();
    sorted.sort_unstable();
    assert!(sorted.iter().copied().eq(0..200) && random != sorted);
    assert_eq!(Some(random), order(200, Mask::Random));
}

/// A component whose log d starts beyond its limit has the density at the limit, and a gradient that
/// leads back.
#[test]
fn what_begins_beyond_its_limit_comes_back() {
    for limit in [12.0f32, 16.0] {
        let c = DensityConfig {
            log_precision_limit: limit,
            ..DensityConfig::diagonal(1, 1)
        };
        let mut params = c.init(1, 1);
        for p in &mut params.0 {
            p.value.fill(0.0);
            if p.name == "head.log_precision.bias" {
                p.value[0] = limit + 1.0;
            }
        }
        // One standard deviation of 1 away: far too sharp.
        let step = Definition::loss_and_gradient(c, &params, &[0.0], &[1.0], &[1.0]).unwrap();
        let sharp = f64::from(limit);
        let want = 0.5 * (sharp - sharp.exp() - (2.0 * std::f64::consts::PI).ln());
        assert!((f64::from(step.log_prob[0]) / want - 1.0).abs() < 1e-5);
        let gradient = step.parameters.value("head.log_precision.bias")[0];
        assert!(gradient > 0.0 && gradient.is_finite(), "{gradient}");
    }
}

/// At the sizes of frames of speech and of pictures, flows are invertible, also where weights are far
/// from their first values and the data have an outlier.
#[test]
fn wide_flows_go_there_and_back() {
    for (dim, mask) in [(200, Mask::Interleaved), (784, Mask::Random)] {
        let flow = Some(FlowConfig {
            mask,
            matrix: true,
            ..FlowConfig::new(FlowKind::Affine, 2, 32)
        });
        let c = config(dim, 2, Form::Diagonal, 0, flow);
        let mut params = c.init(FEATURES, 7);
        for (i, p) in params.0.iter_mut().enumerate() {
            let mut noise = vec![0.0; p.value.len()];
            fill_normal(&mut stream(3, "wide", &[i as u64]), &mut noise);
            // A matrix whose entries are of the size of one over the root of their number.
            let scale = if p.name.starts_with("flow.") {
                0.3
            } else {
                0.1
            };
            let scale = scale / (p.shape[0] as f32).sqrt();
            p.value
                .iter_mut()
                .zip(noise)
                .for_each(|(v, n)| *v += scale * n);
        }
        let density = Density::new(c, FEATURES, &params).unwrap();
        let h = normal("h", 3 * FEATURES);
        let mut y = normal("y", 3 * dim);
        y[5] = 1e4;
        let mut x = y.clone();
        let log_det = density.forward(&h, &mut x);
        assert!(log_det.iter().all(|l| l.is_finite()));
        density.inverse(&h, &mut x);
        for (a, b) in x.iter().zip(&y) {
            assert!((a - b).abs() < 1e-3 * b.abs().max(1.0), "{dim}: {a} {b}");
        }
        let mut rngs = [0, 1, 2].map(|i| stream(4, "draws", &[i]));
        density.sample(&h, 1.0, &mut rngs, &mut y, &mut SampleScratch::default());
        assert!(y.iter().all(|v| v.is_finite()));
    }
}

/// Columns of U that nearly point the same way make a capacitance matrix that is nearly singular before
/// I is added: the likelihood is that of the dense precision all the same.
#[test]
fn near_parallel_columns_are_no_trouble() {
    for form in [Form::LowRank, Form::LowRankCovariance, Form::Tied] {
        for (scale, apart) in [(1.0f32, 1e-6f32), (4.0, 1e-6), (4.0, 0.0)] {
            let c = config(6, 2, form, 2, None);
            let mut params = random_params(&c);
            let pairs: &[[&str; 2]] = match form {
                Form::Tied => &[["tied.factor0", "tied.factor1"]],
                _ => &[
                    ["head.direction0.weight", "head.direction1.weight"],
                    ["head.direction0.bias", "head.direction1.bias"],
                ],
            };
            for pair in pairs {
                let [first, second] =
                    pair.map(|name| params.0.iter().position(|p| p.name == name).unwrap());
                for v in &mut params.0[first].value {
                    *v *= scale;
                }
                let turned = params.0[first].value.iter().enumerate();
                let turned: Vec<f32> = turned.map(|(i, v)| v * (1.0 + apart * i as f32)).collect();
                params.0[second].value = turned;
            }
            let (h, y) = (normal("h", FEATURES), normal("y", c.dim));
            let want = reference(&c, &params, &wide(&h), &wide(&y));
            let got = Density::new(c, FEATURES, &params).unwrap().log_prob(&h, &y)[0];
            assert!(
                (got - want).abs() < 1e-4 * want.abs().max(1.0),
                "{form:?} {scale} {apart}: {got} {want}"
            );
        }
    }
}

/// Splines that were trained, on data that they have to bend to and on an outlier far beyond their
/// knots, are judged in data space: the density integrates to one there.
#[test]
fn trained_splines_integrate_to_one_in_data_space() {
    let c = config(2, 2, Form::Diagonal, 0, flow(FlowKind::Spline, false));
    let mut params = c.init(FEATURES, 5);
    let rows = 64;
    let h = [0.3, -0.2, 0.5].repeat(rows);
    // A ring, so that a Gaussian alone cannot fit.
    let noise = normal("ring", 2 * rows);
    let mut y = Vec::new();
    for pair in noise.chunks_exact(2) {
        let length = (pair[0] * pair[0] + pair[1] * pair[1]).sqrt().max(1e-3);
        y.extend(pair.iter().map(|v| 2.0 * v / length + 0.1 * v));
    }
    y[0] = 1e4;
    let weights = vec![1.0 / rows as f32; rows];
    let loss =
        |params: &Params| Definition::loss_and_gradient(c, params, &h, &y, &weights).unwrap();
    let mean = |found: &[f32]| found[1..].iter().sum::<f32>() / (rows - 1) as f32;
    let before = mean(&loss(&params).log_prob);
    for _ in 0..300 {
        let gradients = loss(&params).parameters;
        let squares = gradients.0.iter().flat_map(|p| &p.value).map(|g| g * g);
        let norm = squares.sum::<f32>().sqrt();
        assert!(norm.is_finite());
        let rate = 0.05 / norm.max(1.0);
        for (p, g) in params.0.iter_mut().zip(&gradients.0) {
            for (v, g) in p.value.iter_mut().zip(&g.value) {
                *v -= rate * g;
            }
        }
    }
    assert!(
        mean(&loss(&params).log_prob) > before + 0.1,
        "it has learned"
    );
    let density = Density::new(c, FEATURES, &params).unwrap();
    let (side, step) = (1600, 0.025f32);
    let mut total = 0.0;
    for i in 0..side {
        let a = (i as f32 - side as f32 / 2.0) * step;
        let grid: Vec<f32> = (0..side)
            .flat_map(|j| [a, (j as f32 - side as f32 / 2.0) * step])
            .collect();
        let log_prob = density.log_prob(&[0.3, -0.2, 0.5].repeat(side), &grid);
        total += log_prob.iter().map(|l| l.exp()).sum::<f64>();
    }
    total *= f64::from(step) * f64::from(step);
    // A component may have gone to the outlier, outside of the grid, with its share of the mass.
    assert!(total > 0.8 && total < 1.002, "{total}");
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
