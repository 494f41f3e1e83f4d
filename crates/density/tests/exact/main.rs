//! The density against independent computation: f64 from the equations, finite differences,
//! integrals, dense matrices.

mod draws;
mod equations;
mod flows;
mod gradients;
mod likelihood;
mod limits;

use frmdn_density::{DensityConfig, FlowConfig, FlowKind, Form, Mask};
use frmdn_engine::{
    Params,
    random::{fill_normal, stream},
};

const FEATURES: usize = 3;

/// All forms.
const FORMS: [Form; 6] = [
    Form::Factored,
    Form::Diagonal,
    Form::LowRank,
    Form::Tied,
    Form::LowRankCovariance,
    Form::Full,
];

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

/// Whether all values agree to `tolerance`, relative to those above 1.
fn near(a: &[f32], b: &[f32], tolerance: f32) -> bool {
    let mut pairs = a.iter().zip(b);
    pairs.all(|(a, b)| (a - b).abs() < tolerance * b.abs().max(1.0))
}

fn moments(v: &[f64]) -> (f64, f64) {
    let mean = v.iter().sum::<f64>() / v.len() as f64;
    (
        mean,
        (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / v.len() as f64).sqrt(),
    )
}
