//! What is extreme or impossible.

use burn::tensor::Device;
use frmdn_density::{Definition, Density, DensityConfig, Form, SampleScratch, constant};
use frmdn_engine::random::stream;

use crate::{
    FEATURES, FORMS, affine, config,
    equations::{linear, reference, wide},
    normal, random_params, variants,
};

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
    for form in FORMS {
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
