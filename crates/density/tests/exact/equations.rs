//! The equations computed anew in f64, with dense matrices and by Gauss's elimination: what the
//! density is held equal to.

use frmdn_density::{DensityConfig, FlowConfig, FlowKind, Form, Mask};
use frmdn_engine::Params;

/// Equation 9 of one value, bin by bin.
fn reference_spline(raw: &[f64], x: f64) -> (f64, f64) {
    if x.abs() >= 4.0 {
        return (x, 0.0);
    }
    let bins = |raw: &[f64]| {
        let total: f64 = raw.iter().map(|v| v.exp()).sum();
        raw.iter()
            .map(|v| 8.0 * (0.001 + (1.0 - 0.008) * v.exp() / total))
            .collect::<Vec<f64>>()
    };
    let (w, h) = (bins(&raw[..8]), bins(&raw[8..16]));
    let slope = |k: usize| {
        if k == 0 || k == 8 {
            1.0
        } else {
            0.001 + (1.0 + (raw[15 + k] + (0.999f64.exp() - 1.0).ln()).exp()).ln()
        }
    };
    let (mut k, mut left, mut bottom) = (0, -4.0, -4.0);
    while k < 7 && x >= left + w[k] {
        left += w[k];
        bottom += h[k];
        k += 1;
    }
    let (s, xi, d0, d1) = (h[k] / w[k], (x - left) / w[k], slope(k), slope(k + 1));
    let below = s + (d1 + d0 - 2.0 * s) * xi * (1.0 - xi);
    let y = bottom + h[k] * (s * xi * xi + d0 * xi * (1.0 - xi)) / below;
    let dy = s * s * (d1 * xi * xi + 2.0 * s * xi * (1.0 - xi) + d0 * (1.0 - xi).powi(2))
        / (below * below);
    (y, dy.ln())
}

/// x = f(y) and log|det|, from equations 6, 9 and 10.
pub fn reference_flow(
    config: &DensityConfig,
    params: &Params,
    h: &[f64],
    y: &[f64],
) -> (Vec<f64>, f64) {
    let (d, mut x, mut log_det) = (config.dim, y.to_vec(), 0.0);
    let Some(FlowConfig {
        kind,
        couplings,
        conditional,
        mask,
        matrix,
        ..
    }) = config.flow
    else {
        return (x, 0.0);
    };
    if matrix || kind == FlowKind::Linear {
        let (lower, upper, diagonal) = (
            value(params, "flow.lower"),
            value(params, "flow.upper"),
            value(params, "flow.log_diagonal"),
        );
        let v: Vec<f64> = (0..d)
            .map(|i| {
                diagonal[i].exp() * y[i] + (i + 1..d).map(|j| upper[i * d + j] * y[j]).sum::<f64>()
            })
            .collect();
        x = (0..d)
            .map(|i| v[i] + (0..i).map(|j| lower[i * d + j] * v[j]).sum::<f64>())
            .collect();
        log_det += diagonal.iter().sum::<f64>();
    }
    if kind == FlowKind::Linear {
        return (x, log_det);
    }
    x = match mask {
        Mask::Halves => x,
        Mask::Interleaved => {
            let every_second = |from: usize| x.iter().skip(from).step_by(2).copied();
            every_second(1).chain(every_second(0)).collect()
        }
        Mask::Random => config
            .order()
            .unwrap()
            .iter()
            .map(|&from| x[from])
            .collect(),
    };
    for i in 0..couplings {
        let (kept, moved) = if i % 2 == 0 {
            (0..d / 2, d / 2..d)
        } else {
            (d / 2..d, 0..d / 2)
        };
        let mut a = x[kept].to_vec();
        if conditional {
            a.extend_from_slice(h);
        }
        for layer in ["layer1", "layer2", "layer3"] {
            let outputs = linear(params, &format!("flow.{i}.{layer}"), &a);
            a = outputs
                .into_iter()
                .map(|v| if v > 0.0 { v } else { 0.01 * v })
                .collect();
        }
        if kind == FlowKind::Spline {
            let raw = linear(params, &format!("flow.{i}.spline"), &a);
            for (raw, at) in raw.chunks(23).zip(moved) {
                let (to, log_slope) = reference_spline(raw, x[at]);
                x[at] = to;
                log_det += log_slope;
            }
            continue;
        }
        let (s, t) = (
            linear(params, &format!("flow.{i}.log_scale"), &a),
            linear(params, &format!("flow.{i}.shift"), &a),
        );
        let bound = value(params, &format!("flow.{i}.bound"));
        for (j, at) in moved.enumerate() {
            let s = s[j].tanh() * bound[j];
            x[at] = x[at] * s.exp() + t[j];
            log_det += s;
        }
    }
    (x, log_det)
}

fn value(params: &Params, name: &str) -> Vec<f64> {
    wide(params.value(name))
}

/// The linear layer `name` of `x`.
pub fn linear(params: &Params, name: &str, x: &[f64]) -> Vec<f64> {
    let (w, b) = (
        value(params, &format!("{name}.weight")),
        value(params, &format!("{name}.bias")),
    );
    (0..b.len())
        .map(|j| {
            b[j] + x
                .iter()
                .enumerate()
                .map(|(i, x)| x * w[i * b.len() + j])
                .sum::<f64>()
        })
        .collect()
}

/// log p(y | h) from equations 1, 2, 7, 8, 11 and 13 with dense matrices, in f64.
pub fn reference(config: &DensityConfig, params: &Params, h: &[f64], y: &[f64]) -> f64 {
    let d = config.dim;
    let (mut x, log_det) = reference_flow(config, params, h, y);
    if config.residual {
        let (anchor, _) = reference_flow(config, params, h, &h[h.len() - d..]);
        x.iter_mut().zip(anchor).for_each(|(x, a)| *x -= a);
    }
    if config.form == Form::Factored {
        let of_value = |(i, mixture): (usize, Vec<(f64, f64, f64)>)| {
            let p: f64 = mixture
                .into_iter()
                .map(|(weight, mean, d)| {
                    let e = x[i] - mean;
                    weight * (d / (2.0 * std::f64::consts::PI)).sqrt() * (-0.5 * d * e * e).exp()
                })
                .sum();
            p.ln()
        };
        return log_det
            + factored(config, params, h)
                .into_iter()
                .enumerate()
                .map(of_value)
                .sum::<f64>();
    }
    let mut p = 0.0;
    for (weight, mean, dense) in components(config, params, h) {
        let e: Vec<f64> = (0..d).map(|i| x[i] - mean[i]).collect();
        let quadratic: f64 = (0..d)
            .map(|i| (0..d).map(|j| e[i] * dense[i][j] * e[j]).sum::<f64>())
            .sum();
        let norm = (determinant(dense) / (2.0 * std::f64::consts::PI).powi(d as i32)).sqrt();
        p += weight * norm * (-0.5 * quadratic).exp();
    }
    p.ln() + log_det
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let total: f64 = logits.iter().map(|l| l.exp()).sum();
    logits.iter().map(|l| l.exp() / total).collect()
}

/// Weight, mean and precision of every component of every value's mixture (equation 11).
fn factored(config: &DensityConfig, params: &Params, h: &[f64]) -> Vec<Vec<(f64, f64, f64)>> {
    let (d, n) = (config.dim, config.components);
    let (logits, mean, log_d) = (
        linear(params, "head.logits", h),
        linear(params, "head.mean", h),
        linear(params, "head.log_precision", h),
    );
    let of = |i: usize| softmax(&logits[i * n..(i + 1) * n]);
    (0..d)
        .map(|i| {
            of(i)
                .into_iter()
                .enumerate()
                .map(|(k, w)| {
                    (
                        w,
                        mean[k * d + i],
                        log_d[k * d + i].clamp(-12.0, 12.0).exp(),
                    )
                })
                .collect()
        })
        .collect()
}

/// Weight, mean and dense precision of every joint component (equations 2, 7 and 8).
fn components(
    config: &DensityConfig,
    params: &Params,
    h: &[f64],
) -> Vec<(f64, Vec<f64>, Vec<Vec<f64>>)> {
    let d = config.dim;
    let (mean, log_d) = (
        linear(params, "head.mean", h),
        linear(params, "head.log_precision", h),
    );
    let d_of = |k: usize, i: usize| log_d[k * d + i].clamp(-12.0, 12.0).exp();
    let factors: Vec<Vec<f64>> = (0..config.columns())
        .map(|a| match config.form {
            Form::Tied => value(params, &format!("tied.factor{a}")),
            _ => linear(params, &format!("head.direction{a}"), h),
        })
        .collect();
    let lower = if config.form == Form::Full {
        linear(params, "head.lower", h)
    } else {
        Vec::new()
    };
    let precision = |k: usize| -> Vec<Vec<f64>> {
        let scale = |i: usize| match config.form {
            Form::LowRank => d_of(k, i).sqrt(),
            Form::LowRankCovariance => 1.0 / d_of(k, i).sqrt(),
            _ => 1.0,
        };
        let outer = |i: usize, j: usize| {
            factors
                .iter()
                .map(|u| u[k * d + i] * scale(i) * u[k * d + j] * scale(j))
                .sum::<f64>()
        };
        let diagonal = |sign: i32| -> Vec<Vec<f64>> {
            (0..d)
                .map(|i| {
                    (0..d)
                        .map(|j| outer(i, j) + if i == j { d_of(k, i).powi(sign) } else { 0.0 })
                        .collect()
                })
                .collect()
        };
        match config.form {
            Form::Full => {
                let a = |i: usize, j: usize| match j.cmp(&i) {
                    std::cmp::Ordering::Less => lower[k * d * (d - 1) / 2 + i * (i - 1) / 2 + j],
                    std::cmp::Ordering::Equal => 1.0,
                    std::cmp::Ordering::Greater => 0.0,
                };
                (0..d)
                    .map(|i| {
                        (0..d)
                            .map(|j| (0..d).map(|m| a(i, m) * d_of(k, m) * a(j, m)).sum())
                            .collect()
                    })
                    .collect()
            }
            Form::LowRankCovariance => inverse(diagonal(-1)),
            _ => diagonal(1),
        }
    };
    let weights = softmax(&linear(params, "head.logits", h))
        .into_iter()
        .enumerate();
    weights
        .map(|(k, weight)| (weight, mean[k * d..(k + 1) * d].to_vec(), precision(k)))
        .collect()
}

/// Mean and covariance, in the mixture's space, of draws at `temperature` (equation 12); at 0 the
/// likeliest component's mean, and zero.
pub fn moments_at(
    config: &DensityConfig,
    params: &Params,
    h: &[f64],
    temperature: f64,
) -> (Vec<f64>, Vec<Vec<f64>>) {
    let d = config.dim;
    // π^(1/τ) anew, or all of it on the largest.
    let tempered = |weights: Vec<f64>| -> Vec<f64> {
        let most = weights.iter().copied().fold(0.0, f64::max);
        let w: Vec<f64> = weights
            .iter()
            .map(|w| {
                if temperature == 0.0 {
                    f64::from(u8::from(*w == most))
                } else {
                    w.powf(1.0 / temperature)
                }
            })
            .collect();
        let total: f64 = w.iter().sum();
        w.into_iter().map(|w| w / total).collect()
    };
    let anchor = if config.residual {
        reference_flow(config, params, h, &h[h.len() - d..]).0
    } else {
        vec![0.0; d]
    };
    let (mut mean, mut second) = (vec![0.0; d], vec![vec![0.0; d]; d]);
    if config.form == Form::Factored {
        for (i, mixture) in factored(config, params, h).into_iter().enumerate() {
            let weights = tempered(mixture.iter().map(|m| m.0).collect());
            for (w, (_, m, precision)) in weights.into_iter().zip(mixture) {
                mean[i] += w * m;
                second[i][i] += w * (m * m + temperature / precision);
            }
        }
        (0..d).for_each(|i| {
            (0..d)
                .filter(|j| *j != i)
                .for_each(|j| second[i][j] = mean[i] * mean[j])
        });
    } else {
        let all = components(config, params, h);
        let weights = tempered(all.iter().map(|c| c.0).collect());
        for (w, (_, m, precision)) in weights.into_iter().zip(all) {
            let covariance = inverse(precision);
            for i in 0..d {
                mean[i] += w * m[i];
                (0..d).for_each(|j| {
                    second[i][j] += w * (m[i] * m[j] + temperature * covariance[i][j])
                });
            }
        }
    }
    let covariance = (0..d)
        .map(|i| (0..d).map(|j| second[i][j] - mean[i] * mean[j]).collect())
        .collect();
    (
        mean.iter().zip(anchor).map(|(m, a)| m + a).collect(),
        covariance,
    )
}

/// The inverse of a positive definite matrix, by Gauss and Jordan.
fn inverse(m: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let n = m.len();
    let mut m: Vec<Vec<f64>> = m
        .into_iter()
        .enumerate()
        .map(|(i, row)| [row, (0..n).map(|j| f64::from(u8::from(i == j))).collect()].concat())
        .collect();
    for i in 0..n {
        let pivot = m[i][i];
        m[i].iter_mut().for_each(|v| *v /= pivot);
        let row = m[i].clone();
        for (_, other) in m.iter_mut().enumerate().filter(|(at, _)| *at != i) {
            let f = other[i];
            other.iter_mut().zip(&row).for_each(|(v, r)| *v -= f * r);
        }
    }
    m.into_iter().map(|row| row[n..].to_vec()).collect()
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

/// As f64.
pub fn wide(v: &[f32]) -> Vec<f64> {
    v.iter().map(|&v| f64::from(v)).collect()
}

/// A determinant with pivoting.
pub fn determinant_any(mut m: Vec<Vec<f64>>) -> f64 {
    let n = m.len();
    let mut det = 1.0;
    for i in 0..n {
        let p = (i..n)
            .max_by(|&a, &b| m[a][i].abs().total_cmp(&m[b][i].abs()))
            .unwrap();
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
