//! Equations 1–4, 7, 8 and 11 in tensors.

use burn::{Tensor, tensor::Device};

use super::{Definition, constant, product};
use crate::{DensityConfig, Form};

impl Definition {
    /// log p(y | h) of each row `[rows, 1]`; `h` is `[rows, features]`, `y` `[rows, dim]`.
    pub fn log_prob(&self, h: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        let DensityConfig {
            dim,
            components,
            form,
            ..
        } = self.config;
        let [rows, _] = y.dims();
        let (mut x, log_det) = self.forward(&h, y);
        if let Some(anchor) = self.anchor(&h) {
            x = x - anchor;
        }
        let limit = self.config.log_precision_limit;
        let log_d = clamped(self.wide("log_precision", &h), limit);
        // With a = √D e and V = D^-½ U, which the head gives, the equations are sums over
        // dimensions of products of a and V: eᵀ P e = ‖a‖² + ‖Vᵀ a‖² and C = I + Vᵀ V. Of a
        // covariance V = √D U and eᵀ P e = ‖a − V t‖² + ‖t‖² with t = C⁻¹ Vᵀ a.
        let e = x.unsqueeze_dim::<3>(1) - self.wide("mean", &h);
        let e = if form == Form::Full {
            self.rotated(e, &h)
        } else {
            e
        };
        let a = e * (log_d.clone() * 0.5).exp();
        let logits = self.linear("head.logits", h.clone());
        let constant = 0.5 * dim as f64 * libm::log(2.0 * std::f64::consts::PI);
        // Equation 11.
        if form == Form::Factored {
            let logits = logits.reshape([rows * dim, components]);
            let joint = ((log_d - a.clone() * a) * 0.5)
                .swap_dims(1, 2)
                .reshape([rows * dim, components])
                + logits.clone();
            let each = log_sum_exp(joint) - log_sum_exp(logits);
            return each.reshape([rows, dim]).sum_dim(1) + log_det - constant;
        }
        let over_dimensions =
            |x: Tensor<3>| -> Tensor<2> { x.sum_dim(2).reshape([rows, components]) };
        let v: Vec<Tensor<3>> = (0..self.config.columns())
            .map(|j| match form {
                Form::Tied => self.tied(j) * (log_d.clone() * -0.5).exp(),
                _ => self.wide(&format!("direction{j}"), &h),
            })
            .collect();
        let mut projections: Vec<Tensor<2>> = v
            .iter()
            .map(|v| over_dimensions(v.clone() * a.clone()))
            .collect();
        let l = cholesky(&v, &over_dimensions);
        let mut log_det_p = over_dimensions(log_d);
        // Equations 3 and 4, or 7: with t = C⁻¹ Vᵀ a both are a sum of squares, so that rounding
        // never takes it below zero.
        let (sign, a) = if form == Form::LowRankCovariance {
            forward_substitution(&l, &mut projections);
            back_substitution(&l, &mut projections);
            let rest = v.iter().zip(&projections).fold(a, |a, (v, t)| {
                a - v.clone() * t.clone().unsqueeze_dim::<3>(2)
            });
            (-1.0, rest)
        } else {
            (1.0, a)
        };
        let mut quadratic = over_dimensions(a.clone() * a);
        for projection in projections {
            quadratic = quadratic + projection.clone() * projection;
        }
        for (i, row) in l.iter().enumerate() {
            log_det_p = log_det_p + row[i].clone().log() * (2.0 * sign);
        }
        let joint = logits.clone() + (log_det_p - quadratic) * 0.5;
        log_sum_exp(joint) - log_sum_exp(logits) + log_det - constant
    }

    /// The head's part `name` by component `[rows, components, dim]`.
    fn wide(&self, name: &str, h: &Tensor<2>) -> Tensor<3> {
        let [rows, _] = h.dims();
        self.linear(&format!("head.{name}"), h.clone()).reshape([
            rows,
            self.config.components,
            self.config.dim,
        ])
    }

    /// Column `j` of every U `[1, components, dim]`, where U is a free parameter.
    pub(super) fn tied(&self, j: usize) -> Tensor<3> {
        self.get(&format!("tied.factor{j}"))
            .reshape([1, self.config.components, self.config.dim])
    }

    /// f(y₀) of equation 13, where means are changes.
    pub(super) fn anchor(&self, h: &Tensor<2>) -> Option<Tensor<2>> {
        let [rows, features] = h.dims();
        let point = || {
            h.clone()
                .slice([0..rows, features - self.config.dim..features])
        };
        self.config.residual.then(|| self.forward(h, point()).0)
    }

    /// Aᵀ e of equation 8 for `e` `[rows, components, dim]`.
    fn rotated(&self, e: Tensor<3>, h: &Tensor<2>) -> Tensor<3> {
        let ([rows, components, dim], device) = (e.dims(), e.device());
        if dim == 1 {
            return e;
        }
        let pairs = dim * (dim - 1) / 2;
        let lower = self
            .linear("head.lower", h.clone())
            .reshape([rows * components, pairs]);
        let flat = e.reshape([rows * components, dim]);
        // Entry (i, j) of A, j < i, adds A_ij e_i to value j.
        let moved = product(
            product(flat.clone(), places(dim, 0, &device).transpose()) * lower,
            places(dim, 1, &device),
        );
        (flat + moved).reshape([rows, components, dim])
    }
}

/// Where the entries of A below its diagonal stand, row after row: 1 at the row (`which` 0) or
/// column (1) of each `[dim (dim − 1) / 2, dim]`.
pub(super) fn places(dim: usize, which: usize, device: &Device) -> Tensor<2> {
    let pairs: Vec<[usize; 2]> = (0..dim).flat_map(|i| (0..i).map(move |j| [i, j])).collect();
    let mut out = vec![0.0; pairs.len() * dim];
    pairs
        .iter()
        .enumerate()
        .for_each(|(p, pair)| out[p * dim + pair[which]] = 1.0);
    constant(&out, pairs.len(), dim, device)
}

/// The lower Cholesky factor of C = I + Vᵀ V, entry by entry, unrolled; `sum` adds over dimensions.
pub(super) fn cholesky<const D: usize>(
    v: &[Tensor<D>],
    sum: &dyn Fn(Tensor<D>) -> Tensor<2>,
) -> Vec<Vec<Tensor<2>>> {
    let mut l: Vec<Vec<Tensor<2>>> = Vec::new();
    for i in 0..v.len() {
        let mut row: Vec<Tensor<2>> = Vec::new();
        for j in 0..=i {
            let mut c = sum(v[i].clone() * v[j].clone());
            for k in 0..j {
                let other = if i == j {
                    row[k].clone()
                } else {
                    l[j][k].clone()
                };
                c = c - row[k].clone() * other;
            }
            // A pivot of I + (something positive semi-definite) is never below 1; rounding can take
            // it there.
            row.push(if i == j {
                (c + 1.0).clamp_min(1.0).sqrt()
            } else {
                c / l[j][j].clone()
            });
        }
        l.push(row);
    }
    l
}

/// L⁻¹ t in place.
pub(super) fn forward_substitution(l: &[Vec<Tensor<2>>], t: &mut [Tensor<2>]) {
    for i in 0..t.len() {
        for k in 0..i {
            t[i] = t[i].clone() - l[i][k].clone() * t[k].clone();
        }
        t[i] = t[i].clone() / l[i][i].clone();
    }
}

/// L⁻ᵀ t in place.
pub(super) fn back_substitution(l: &[Vec<Tensor<2>>], t: &mut [Tensor<2>]) {
    for i in (0..t.len()).rev() {
        for k in i + 1..t.len() {
            t[i] = t[i].clone() - l[k][i].clone() * t[k].clone();
        }
        t[i] = t[i].clone() / l[i][i].clone();
    }
}

/// Gradient of what is beyond the limits: a clamp alone has none, and what has come to lie there would
/// never come back.
const BEYOND: f64 = 0.1;

/// log d within its limits. A clamp costs three masks, forward and backward, more than the
/// likelihood itself, and in practice no value is outside: so the range is checked first.
fn clamped(log_d: Tensor<3>, limit: f32) -> Tensor<3> {
    let most: f32 = log_d.clone().detach().abs().max().into_scalar();
    // Written so that NaN is clamped too.
    if most <= limit {
        log_d
    } else {
        let is_beyond = log_d.clone().detach().abs().greater_elem(limit).float();
        let nothing = (log_d.clone() - log_d.clone().detach()) * is_beyond;
        log_d.clamp(-limit, limit) + nothing * BEYOND
    }
}

/// Row-wise log Σ exp; the maximum is a constant in the backward pass, where it cancels.
fn log_sum_exp(x: Tensor<2>) -> Tensor<2> {
    let most = x.clone().detach().max_dim(1);
    (x - most.clone()).exp().sum_dim(1).log() + most
}
