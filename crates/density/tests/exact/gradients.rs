//! Gradients: finite differences and automatic ones.

use burn::tensor::Device;
use frmdn_density::{Definition, FlowConfig, FlowKind, Form, Mask, constant, gradient, tracked};
use frmdn_engine::Params;

use crate::{
    FEATURES, affine, config,
    equations::{reference, wide},
    flow, normal, random_params, variants,
};

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
