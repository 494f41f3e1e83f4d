//! The density against independent computation: f64 from the equations, finite differences, integrals, dense matrices.

use burn::tensor::Device;
use frmdn_density::{Definition, Density, DensityConfig, FlowConfig, SampleScratch, constant, gradient, tracked};
use frmdn_engine::{
    Params,
    random::{fill_normal, stream},
};

const FEATURES: usize = 3;

fn config(dim: usize, components: usize, rank: usize, flow: bool) -> DensityConfig {
    DensityConfig { dim, components, rank, flow: flow.then_some(FlowConfig { couplings: 2, hidden: 6 }) }
}

/// Every variant there is, in a small size.
fn variants() -> [DensityConfig; 5] {
    [config(4, 3, 0, false), config(4, 3, 2, false), config(4, 3, 0, true), config(4, 3, 2, true), config(5, 2, 3, true)]
}

fn normal(name: &str, n: usize) -> Vec<f32> {
    let mut v = vec![0.0; n];
    fill_normal(&mut stream(11, name, &[]), &mut v);
    v
}

/// Parameters away from their special first values: flows are no identity, factors no small numbers.
fn shaken(config: &DensityConfig) -> Params {
    let mut params = config.init(FEATURES, 7);
    for (i, p) in params.0.iter_mut().enumerate() {
        let mut noise = vec![0.0; p.value.len()];
        fill_normal(&mut stream(3, "shake", &[i as u64]), &mut noise);
        p.value.iter_mut().zip(noise).for_each(|(v, n)| *v += 0.4 * n);
    }
    params
}

/// log p(y | h) from equations 1, 2 and 6 with dense matrices, in f64.
fn reference(config: &DensityConfig, params: &Params, h: &[f64], y: &[f64]) -> f64 {
    let value = |name: &str| -> Vec<f64> { params.value(name).iter().map(|&v| f64::from(v)).collect() };
    let linear = |name: &str, x: &[f64]| -> Vec<f64> {
        let (w, b) = (value(&format!("{name}.weight")), value(&format!("{name}.bias")));
        (0..b.len()).map(|j| b[j] + x.iter().enumerate().map(|(i, x)| x * w[i * b.len() + j]).sum::<f64>()).collect()
    };
    let d = config.dim;
    let mut x = y.to_vec();
    let mut log_det = 0.0;
    for i in 0..config.flow.map_or(0, |f| f.couplings) {
        let (kept, moved) = if i % 2 == 0 { (0..d / 2, d / 2..d) } else { (d / 2..d, 0..d / 2) };
        let mut a = x[kept].to_vec();
        for layer in ["layer1", "layer2", "layer3"] {
            a = linear(&format!("flow.{i}.{layer}"), &a).into_iter().map(|v| if v > 0.0 { v } else { 0.01 * v }).collect();
        }
        let (s, t) = (linear(&format!("flow.{i}.log_scale"), &a), linear(&format!("flow.{i}.shift"), &a));
        let bound = value(&format!("flow.{i}.bound"));
        for (j, at) in moved.enumerate() {
            let s = s[j].tanh() * bound[j];
            x[at] = x[at] * s.exp() + t[j];
            log_det += s;
        }
    }
    let logits = linear("head.logits", h);
    let (mean, log_d) = (linear("head.mean", h), linear("head.log_precision", h));
    let factors: Vec<Vec<f64>> = (0..config.rank).map(|a| linear(&format!("head.factor{a}"), h)).collect();
    let total: f64 = logits.iter().map(|l| l.exp()).sum();
    let mut p = 0.0;
    for k in 0..config.components {
        let at = |v: &[f64], i: usize| v[k * d + i];
        let dense: Vec<Vec<f64>> = (0..d)
            .map(|i| {
                let outer = |j: usize| factors.iter().map(|u| at(u, i) * at(u, j)).sum::<f64>();
                (0..d).map(|j| outer(j) + if i == j { at(&log_d, i).clamp(-12.0, 12.0).exp() } else { 0.0 }).collect()
            })
            .collect();
        let e: Vec<f64> = (0..d).map(|i| x[i] - at(&mean, i)).collect();
        let quadratic: f64 = (0..d).map(|i| (0..d).map(|j| e[i] * dense[i][j] * e[j]).sum::<f64>()).sum();
        let norm = (determinant(dense) / (2.0 * std::f64::consts::PI).powi(d as i32)).sqrt();
        p += logits[k].exp() / total * norm * (-0.5 * quadratic).exp();
    }
    p.ln() + log_det
}

fn determinant(mut m: Vec<Vec<f64>>) -> f64 {
    let n = m.len();
    // The matrices are positive definite: no pivoting is needed.
    (0..n)
        .map(|i| {
            let row = m[i].clone();
            for lower in &mut m[i + 1..] {
                let f = lower[i] / row[i];
                lower.iter_mut().zip(&row).for_each(|(v, r)| *v -= f * r);
            }
            row[i]
        })
        .product()
}

fn wide(v: &[f32]) -> Vec<f64> {
    v.iter().map(|&v| f64::from(v)).collect()
}

#[test]
fn likelihoods_are_those_of_the_equations() {
    for c in variants() {
        let params = shaken(&c);
        let rows = 6;
        let (h, y) = (normal("h", rows * FEATURES), normal("y", rows * c.dim));
        let device = Device::flex();
        let burn = Definition::new(c, FEATURES, &params, &device.clone().autodiff()).unwrap();
        let on_burn =
            burn.log_prob(constant(&h, rows, FEATURES, &device.clone().autodiff()), constant(&y, rows, c.dim, &device.autodiff()));
        let on_burn: Vec<f32> = on_burn.into_data().try_to_vec().unwrap();
        let on_engine = Density::new(c, FEATURES, &params).unwrap().log_prob(&h, &y, rows);
        for row in 0..rows {
            let want = reference(&c, &params, &wide(&h[row * FEATURES..(row + 1) * FEATURES]), &wide(&y[row * c.dim..(row + 1) * c.dim]));
            let close = |got: f64| (got - want).abs() < 1e-5 * want.abs().max(1.0);
            assert!(close(on_engine[row]), "{c:?}: engine {} equations {want}", on_engine[row]);
            assert!(close(f64::from(on_burn[row])), "{c:?}: burn {} equations {want}", on_burn[row]);
        }
    }
}

#[test]
fn gradients_are_finite_differences() {
    for c in variants() {
        let params = shaken(&c);
        let rows = 2;
        let (h, y) = (normal("h", rows * FEATURES), normal("y", rows * c.dim));
        let device = Device::flex().autodiff();
        let burn = Definition::new(c, FEATURES, &params, &device).unwrap();
        let features = tracked(&h, rows, FEATURES, &device);
        let grads = burn.log_prob(features.clone(), constant(&y, rows, c.dim, &device)).sum().backward();
        let value = |params: &Params, h: &[f64]| -> f64 {
            (0..rows).map(|r| reference(&c, params, &h[r * FEATURES..(r + 1) * FEATURES], &wide(&y[r * c.dim..(r + 1) * c.dim]))).sum()
        };
        let mut work = params.clone();
        for (at, tensor) in burn.gradients(&grads).0.iter().enumerate() {
            assert_eq!((&tensor.name, &tensor.shape), (&params.0[at].name, &params.0[at].shape));
            // Every seventh entry of every tensor.
            for i in (0..tensor.value.len()).step_by(7) {
                let old = work.0[at].value[i];
                let mut shifted = |by: f32| {
                    work.0[at].value[i] = old + by;
                    (value(&work, &wide(&h)), f64::from(work.0[at].value[i]))
                };
                let ((up, a), (down, b)) = (shifted(3e-5), shifted(-3e-5));
                work.0[at].value[i] = old;
                let (got, want) = (f64::from(tensor.value[i]), (up - down) / (a - b));
                assert!((got - want).abs() < 2e-3 * want.abs().max(1.0), "{c:?} {} {i}: {got} {want}", tensor.name);
            }
        }
        for (i, got) in gradient(&features, &grads).into_iter().enumerate() {
            let shifted = |by: f64| {
                let mut h = wide(&h);
                h[i] += by;
                value(&params, &h)
            };
            let want = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            assert!((f64::from(got) - want).abs() < 1e-3 * want.abs().max(1.0), "{c:?} h {i}: {got} {want}");
        }
    }
}

#[test]
fn densities_integrate_to_one() {
    // One dimension without a flow (a coupling needs two), two with everything.
    let c = config(1, 3, 1, false);
    let density = Density::new(c, FEATURES, &shaken(&c)).unwrap();
    let (n, step) = (8000, 0.01f32);
    let y: Vec<f32> = (0..n).map(|i| (i as f32 - n as f32 / 2.0) * step).collect();
    let h: Vec<f32> = [0.3, -0.2, 0.5].repeat(n);
    let total: f64 = density.log_prob(&h, &y, n).iter().map(|l| l.exp()).sum::<f64>() * f64::from(step);
    assert!((total - 1.0).abs() < 1e-4, "{total}");

    let c = config(2, 2, 1, true);
    let density = Density::new(c, FEATURES, &shaken(&c)).unwrap();
    let (side, step) = (700, 0.04f32);
    let mut total = 0.0;
    for i in 0..side {
        let a = (i as f32 - side as f32 / 2.0) * step;
        let y: Vec<f32> = (0..side).flat_map(|j| [a, (j as f32 - side as f32 / 2.0) * step]).collect();
        total += density.log_prob(&[0.3, -0.2, 0.5].repeat(side), &y, side).iter().map(|l| l.exp()).sum::<f64>();
    }
    total *= f64::from(step) * f64::from(step);
    assert!((total - 1.0).abs() < 2e-3, "{total}");
}

#[test]
fn the_flow_is_inverted_and_its_determinant_is_the_jacobians() {
    for c in [config(4, 1, 0, true), config(5, 1, 0, true)] {
        let density = Density::new(c, FEATURES, &shaken(&c)).unwrap();
        let d = c.dim;
        let rows = 50;
        let y = normal("y", rows * d);
        let mut x = y.clone();
        density.forward(&mut x, rows);
        assert!(x.iter().zip(&y).any(|(a, b)| (a - b).abs() > 0.1), "the flow does nothing");
        density.inverse(&mut x, rows);
        for (a, b) in x.iter().zip(&y) {
            assert!((a - b).abs() < 1e-5 * b.abs().max(1.0), "{a} {b}");
        }
        let log_det = density.forward(&mut y[..d].to_vec(), 1)[0];
        let jacobian: Vec<Vec<f64>> = (0..d)
            .map(|i| {
                let moved = |by: f32| {
                    let mut y = y[..d].to_vec();
                    y[i] += by;
                    let at = f64::from(y[i]);
                    density.forward(&mut y, 1);
                    (wide(&y), at)
                };
                let ((up, a), (down, b)) = (moved(1e-2), moved(-1e-2));
                up.iter().zip(down).map(|(u, d)| (u - d) / (a - b)).collect()
            })
            .collect();
        let permuted = determinant_any(jacobian);
        assert!((permuted.abs().ln() - log_det).abs() < 2e-3, "{} {log_det}", permuted.abs().ln());
    }
}

/// A determinant with pivoting.
fn determinant_any(mut m: Vec<Vec<f64>>) -> f64 {
    let n = m.len();
    let mut det = 1.0;
    for i in 0..n {
        let p = (i..n).max_by(|&a, &b| m[a][i].abs().total_cmp(&m[b][i].abs())).unwrap();
        if p != i {
            m.swap(i, p);
            det = -det;
        }
        det *= m[i][i];
        let row = m[i].clone();
        for lower in &mut m[i + 1..] {
            let f = lower[i] / row[i];
            lower.iter_mut().zip(&row).for_each(|(v, r)| *v -= f * r);
        }
    }
    det
}

#[test]
fn at_first_the_flow_is_the_identity_and_rank_zero_is_the_diagonal() {
    let rows = 20;
    let (h, y) = (normal("h", rows * FEATURES), normal("y", rows * 4));
    let rmdn = config(4, 3, 0, false);
    let plain = Density::new(rmdn, FEATURES, &rmdn.init(FEATURES, 7)).unwrap().log_prob(&h, &y, rows);
    // frmdn at rank 0 with its initial flow, given the same head, is rmdn.
    let frmdn = config(4, 3, 0, true);
    let mut params = frmdn.init(FEATURES, 99);
    for p in &mut params.0 {
        if p.name.starts_with("head.") {
            p.value = rmdn.init(FEATURES, 7).value(&p.name).to_vec();
        }
    }
    let flowed = Density::new(frmdn, FEATURES, &params).unwrap().log_prob(&h, &y, rows);
    for (a, b) in plain.iter().zip(flowed) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
    // The same seed gives the head of every variant the same start: frmdn is rmdn-lowrank at first, to the bit.
    let (with, without) = (config(4, 3, 2, true), config(4, 3, 2, false));
    let a = Density::new(with, FEATURES, &with.init(FEATURES, 7)).unwrap().log_prob(&h, &y, rows);
    let b = Density::new(without, FEATURES, &without.init(FEATURES, 7)).unwrap().log_prob(&h, &y, rows);
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn factors_and_log_scales_have_a_gradient_from_the_start() {
    let c = config(4, 3, 2, true);
    let params = c.init(FEATURES, 7);
    let device = Device::flex().autodiff();
    let burn = Definition::new(c, FEATURES, &params, &device).unwrap();
    let (h, y) = (normal("h", 8 * FEATURES), normal("y", 8 * 4));
    let grads = burn.log_prob(constant(&h, 8, FEATURES, &device), constant(&y, 8, 4, &device)).sum().backward();
    for tensor in burn.gradients(&grads).0 {
        if tensor.name.contains("factor") || tensor.name.contains("log_scale") || tensor.name.contains("shift") {
            assert!(tensor.value.iter().any(|g| g.abs() > 1e-4), "{} would never move", tensor.name);
        }
    }
}

#[test]
fn samples_follow_the_density_and_the_temperature() {
    let c = config(3, 2, 1, true);
    let density = Density::new(c, FEATURES, &shaken(&c)).unwrap();
    let h = [0.3f32, -0.2, 0.5];
    let mut rng = stream(1, "samples", &[]);
    let n = 40_000;
    let mut y = vec![0.0f32; n * 3];
    let mut scratch = SampleScratch::default();
    y.chunks_exact_mut(3).for_each(|y| density.sample(&h, 1.0, std::slice::from_mut(&mut rng), y, &mut scratch));
    // E over samples of p(y′)/p(y) with y′ = y + shift is 1 for every shift: importance weights of the shifted density.
    for shift in [[0.05f32, 0.0, 0.0], [0.0, -0.05, 0.03], [0.02, 0.02, 0.05]] {
        let moved: Vec<f32> = y.chunks_exact(3).flat_map(|y| y.iter().zip(shift).map(|(y, s)| y + s).collect::<Vec<_>>()).collect();
        let rows = h.repeat(n);
        let (a, b) = (density.log_prob(&rows, &moved, n), density.log_prob(&rows, &y, n));
        let ratios: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a - b).exp()).collect();
        let mean = ratios.iter().sum::<f64>() / n as f64;
        let sd = (ratios.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        assert!((mean - 1.0).abs() < 5.0 * sd / (n as f64).sqrt(), "{shift:?}: {mean} ± {sd}");
    }
    // Temperature 0: always the same point, the likeliest component's mean. A large one: wider than at 1, and finite.
    let mut draw = |t: f32| -> Vec<f32> {
        let mut v = vec![0.0; 3 * 500];
        v.chunks_exact_mut(3).for_each(|y| density.sample(&h, t, std::slice::from_mut(&mut rng), y, &mut scratch));
        v
    };
    let cold = draw(0.0);
    assert!(cold.chunks_exact(3).all(|y| y == &cold[..3]));
    let spread = |v: &[f32]| {
        let mean = v.iter().step_by(3).sum::<f32>() / 500.0;
        v.iter().step_by(3).map(|x| (x - mean).powi(2)).sum::<f32>() / 500.0
    };
    let (warm, hot) = (draw(1.0), draw(9.0));
    assert!(hot.iter().all(|v| v.is_finite()) && spread(&hot) > 3.0 * spread(&warm), "{} {}", spread(&hot), spread(&warm));
}

#[test]
fn a_draw_does_not_depend_on_the_other_rows() {
    for c in variants() {
        let density = Density::new(c, FEATURES, &shaken(&c)).unwrap();
        let rows = 37;
        let mut h = vec![0.0f32; rows * FEATURES];
        fill_normal(&mut stream(2, "rows", &[]), &mut h);
        let rngs = || (0..rows as u64).map(|i| stream(3, "draws", &[i])).collect::<Vec<_>>();
        for temperature in [0.0, 1.0] {
            let mut scratch = SampleScratch::default();
            let mut alone = vec![0.0; rows * c.dim];
            for ((h, y), rng) in h.chunks_exact(FEATURES).zip(alone.chunks_exact_mut(c.dim)).zip(rngs().chunks_exact_mut(1)) {
                density.sample(h, temperature, rng, y, &mut scratch);
            }
            for n in [rows, 16, 3] {
                let mut together = vec![0.0; n * c.dim];
                density.sample(&h[..n * FEATURES], temperature, &mut rngs()[..n], &mut together, &mut scratch);
                assert_eq!(together, alone[..n * c.dim], "{c:?} at {temperature}, {n} rows");
            }
        }
    }
}

#[test]
fn extreme_inputs_stay_finite() {
    for c in variants() {
        let params = shaken(&c);
        let device = Device::flex().autodiff();
        for size in [0.0f32, 1e-20, 30.0] {
            let (h, y) = (vec![size; FEATURES], vec![-size; c.dim]);
            let on_engine = Density::new(c, FEATURES, &params).unwrap().log_prob(&h, &y, 1)[0];
            let burn = Definition::new(c, FEATURES, &params, &device).unwrap();
            let loss = burn.log_prob(constant(&h, 1, FEATURES, &device), constant(&y, 1, c.dim, &device)).sum();
            let on_burn = f64::from(loss.clone().into_scalar::<f32>());
            assert!(on_engine.is_finite() && on_burn.is_finite(), "{c:?} {size}: {on_engine} {on_burn}");
            assert_eq!(burn.gradients(&loss.backward()).first_non_finite(), None, "{c:?} {size}");
        }
    }
}

/// Without a flow the mean is Σ π μ; with one, f of it is.
#[test]
fn the_mean_is_the_mixtures() {
    for c in variants() {
        let params = shaken(&c);
        let density = Density::new(c, FEATURES, &params).unwrap();
        let h = [0.3f32, -0.2, 0.5];
        let linear = |name: &str| -> Vec<f64> {
            let (w, b) = (params.value(&format!("{name}.weight")), params.value(&format!("{name}.bias")));
            (0..b.len())
                .map(|j| f64::from(b[j]) + (0..FEATURES).map(|i| f64::from(h[i]) * f64::from(w[i * b.len() + j])).sum::<f64>())
                .collect()
        };
        let (logits, means) = (linear("head.logits"), linear("head.mean"));
        let total: f64 = logits.iter().map(|l| l.exp()).sum();
        let mut y = vec![0.0; c.dim];
        density.mean(&h, &mut y);
        density.forward(&mut y, 1);
        for (i, got) in y.into_iter().enumerate() {
            let want: f64 = (0..c.components).map(|k| logits[k].exp() / total * means[k * c.dim + i]).sum();
            assert!((f64::from(got) - want).abs() < 1e-5 * want.abs().max(1.0), "{c:?}: {got} {want}");
        }
    }
}

/// Weights of zero take rows out of the gradient; the sum is that of the parts.
#[test]
fn the_weighted_loss_has_the_gradients_of_its_parts() {
    let c = config(4, 3, 2, true);
    let params = shaken(&c);
    let (h, y) = (normal("h", 4 * FEATURES), normal("y", 4 * 4));
    let part = |weights: [f32; 4]| Definition::loss_and_gradient(c, &params, &h, &y, &weights).unwrap();
    let (all, first, rest) = (part([0.5, 0.25, 0.0, 1.0]), part([0.5, 0.0, 0.0, 0.0]), part([0.0, 0.25, 0.0, 1.0]));
    assert_eq!(all.log_prob, first.log_prob);
    let mut sum = first.parameters.clone();
    sum.add_assign(&rest.parameters);
    for (a, b) in all.parameters.0.iter().zip(&sum.0) {
        let most = a.value.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
        assert!(a.value.iter().zip(&b.value).all(|(a, b)| (a - b).abs() < 1e-5 * most), "{}", a.name);
    }
    assert!(first.features[FEATURES..].iter().all(|&g| g == 0.0) && first.features[..FEATURES].iter().any(|&g| g != 0.0));
    assert!(all.features[2 * FEATURES..3 * FEATURES].iter().all(|&g| g == 0.0));
}
