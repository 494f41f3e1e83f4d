//! Flows: there and back, and their determinants.

use burn::tensor::{Device, Tensor};
use frmdn_density::{
    Definition, Density, DensityConfig, FlowConfig, FlowKind, Form, Mask, SampleScratch, constant,
};
use frmdn_engine::random::{fill_normal, stream};

use crate::{
    FEATURES, FORMS, config,
    equations::{determinant_any, reference_flow, wide},
    flow, masked, near, normal, random_params, variants,
};

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
    for form in FORMS {
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
