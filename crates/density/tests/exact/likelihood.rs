//! Likelihoods: the equations in f64, integrals, grids.

use burn::tensor::Device;
use frmdn_density::{Definition, Density, DensityConfig, FlowKind, Form, constant};
use frmdn_engine::{Params, random::stream};

use crate::{
    FEATURES, FORMS, affine, config,
    equations::{linear, reference, wide},
    flow, normal, random_params, variants,
};

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
fn densities_integrate_to_one() {
    // One dimension without couplings (they need two), two with everything.
    let one = FORMS;
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
