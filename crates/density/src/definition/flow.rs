//! The flow in tensors, both ways.

use burn::{
    Tensor,
    tensor::{
        Device, Int, TensorData,
        activation::{relu, softmax},
    },
};

use super::{Definition, constant, product};
use crate::{
    BINS, FlowKind, LEAK, TAIL,
    config::SPLINE,
    spline::{MIN_BIN, MIN_SLOPE, slope_offset},
};

impl Definition {
    /// x = f(y) and log|det ∂f/∂y| `[rows, 1]`, data to base; `h` `[rows, features]` is used by
    /// conditional flows only.
    pub fn forward(&self, h: &Tensor<2>, y: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let ([rows, _], mut y) = (y.dims(), y);
        let mut log_det = Tensor::zeros([rows, 1], &y.device());
        if self.config.has_matrix() {
            (y, log_det) = (self.matrix(y), log_det + self.log_diagonal().sum_dim(1));
        }
        let Some(flow) = self.config.couplings() else {
            return (y, log_det);
        };
        // The halves stay apart until the end: where y itself is not tracked, slicing it costs nothing
        // in the backward pass.
        let mut halves = self.halves(self.ordered(y));
        for i in 0..flow.couplings {
            let (kept, moved) = if i.is_multiple_of(2) { (0, 1) } else { (1, 0) };
            let a = self.condition(i, h, halves[kept].clone());
            let before = halves[moved].clone();
            let (after, log_slopes) = if flow.kind == FlowKind::Spline {
                spline(self.linear(&format!("flow.{i}.spline"), a), before, false)
            } else {
                let (s, t) = self.affine(i, a);
                (before * s.clone().exp() + t, s.sum_dim(1))
            };
            halves[moved] = after;
            log_det = log_det + log_slopes;
        }
        let [a, b] = halves;
        (Tensor::cat(vec![a, b], 1), log_det)
    }

    /// Equation 10.
    fn matrix(&self, y: Tensor<2>) -> Tensor<2> {
        let ([_, dim], device) = (y.dims(), y.device());
        let upper = self.get("flow.upper") * triangle(dim, true, &device)
            + identity(dim, &device) * self.log_diagonal().exp();
        let lower = self.get("flow.lower") * triangle(dim, false, &device) + identity(dim, &device);
        product(product(y, upper.transpose()), lower.transpose())
    }

    /// The inverse of [`Definition::matrix`].
    fn matrix_inverse(&self, x: Tensor<2>) -> Tensor<2> {
        let ([_, dim], device) = (x.dims(), x.device());
        let log_diagonal = self.log_diagonal();
        let below = self.get("flow.lower") * triangle(dim, false, &device);
        // U = E (I + E⁻¹ N) with E the diagonal: each row of N divided by its own entry.
        let scale = log_diagonal.neg().exp();
        let above =
            self.get("flow.upper") * triangle(dim, true, &device) * scale.clone().transpose();
        let v = solve_unit(
            below.unsqueeze_dim::<3>(0),
            x.transpose().unsqueeze_dim::<3>(0),
            false,
        );
        let v = v * scale.transpose().unsqueeze_dim::<3>(0);
        solve_unit(above.unsqueeze_dim::<3>(0), v, true)
            .squeeze_dim::<2>(0)
            .transpose()
    }

    /// The values in the order in which the couplings see them.
    fn ordered(&self, y: Tensor<2>) -> Tensor<2> {
        match self.config.order() {
            Some(order) => picked(y, &order),
            None => y,
        }
    }

    /// The inverse of [`Definition::ordered`].
    fn in_place(&self, x: Tensor<2>) -> Tensor<2> {
        let Some(order) = self.config.order() else {
            return x;
        };
        let mut place = vec![0; order.len()];
        for (to, &from) in order.iter().enumerate() {
            place[from] = to;
        }
        picked(x, &place)
    }

    /// The inverse of [`Definition::forward`], base to data.
    pub fn inverse(&self, h: &Tensor<2>, x: Tensor<2>) -> Tensor<2> {
        let mut y = x;
        if let Some(flow) = self.config.couplings() {
            let mut halves = self.halves(y);
            for i in (0..flow.couplings).rev() {
                let (kept, moved) = if i.is_multiple_of(2) { (0, 1) } else { (1, 0) };
                let a = self.condition(i, h, halves[kept].clone());
                let before = halves[moved].clone();
                halves[moved] = if flow.kind == FlowKind::Spline {
                    spline(self.linear(&format!("flow.{i}.spline"), a), before, true).0
                } else {
                    let (s, t) = self.affine(i, a);
                    (before - t) * s.neg().exp()
                };
            }
            let [a, b] = halves;
            y = self.in_place(Tensor::cat(vec![a, b], 1));
        }
        if self.config.has_matrix() {
            y = self.matrix_inverse(y);
        }
        y
    }

    fn halves(&self, y: Tensor<2>) -> [Tensor<2>; 2] {
        let ([rows, dim], half) = (y.dims(), self.config.dim / 2);
        [
            y.clone().slice([0..rows, 0..half]),
            y.slice([0..rows, half..dim]),
        ]
    }

    /// The last hidden layer of coupling `i`'s conditioner, from the half that it keeps and, if
    /// conditional, the features.
    fn condition(&self, i: usize, h: &Tensor<2>, kept: Tensor<2>) -> Tensor<2> {
        let conditional = self.config.flow.is_some_and(|f| f.conditional);
        let mut a = if conditional {
            Tensor::cat(vec![kept, h.clone()], 1)
        } else {
            kept
        };
        for layer in 1..=3 {
            a = leaky_relu(self.linear(&format!("flow.{i}.layer{layer}"), a));
        }
        a
    }

    /// Log-scales and shifts of affine coupling `i`.
    fn affine(&self, i: usize, a: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let s = self
            .linear(&format!("flow.{i}.log_scale"), a.clone())
            .tanh()
            * self.get(&format!("flow.{i}.bound"));
        (s, self.linear(&format!("flow.{i}.shift"), a))
    }

    fn log_diagonal(&self) -> Tensor<2> {
        let limit = self.config.log_precision_limit;
        self.get("flow.log_diagonal").clamp(-limit, limit)
    }
}

/// The columns of `x` with these numbers.
fn picked(x: Tensor<2>, columns: &[usize]) -> Tensor<2> {
    let numbers: Vec<i64> = columns.iter().map(|&column| column as i64).collect();
    let numbers = Tensor::<1, Int>::from_data(TensorData::from(&numbers[..]), &x.device());
    x.select(1, numbers)
}

/// LeakyReLU as a sum: burn's own masks branch at every element and cost several times as much.
fn leaky_relu(x: Tensor<2>) -> Tensor<2> {
    burn::tensor::activation::relu(x.clone()) * (1.0 - f64::from(LEAK)) + x * f64::from(LEAK)
}

/// Ones above the diagonal, or below it.
fn triangle(n: usize, upper: bool, device: &Device) -> Tensor<2> {
    let one = |i: usize| f32::from(u8::from(if upper { i % n > i / n } else { i % n < i / n }));
    constant(&(0..n * n).map(one).collect::<Vec<_>>(), n, n, device)
}

fn identity(n: usize, device: &Device) -> Tensor<2> {
    constant(
        &(0..n * n)
            .map(|i| f32::from(u8::from(i % n == i / n)))
            .collect::<Vec<_>>(),
        n,
        n,
        device,
    )
}

/// v of (I + N) v = w, with N `[b, d, d]` strictly upper or lower triangular and w `[b, d, c]`, row
/// after row: the product of I + (−N)^(2^k) would be fewer operations, but loses all digits to
/// cancellation when N's entries are near one.
pub(super) fn solve_unit(n: Tensor<3>, w: Tensor<3>, upper: bool) -> Tensor<3> {
    let ([b, dim, _], columns) = (n.dims(), w.dims()[2]);
    let mut known: Option<Tensor<3>> = None;
    for step in 0..dim {
        let (i, solved) = if upper {
            (dim - 1 - step, dim - step..dim)
        } else {
            (step, 0..step)
        };
        let row = w.clone().slice([0..b, i..i + 1, 0..columns]);
        known = Some(match known {
            None => row,
            Some(known) => {
                let row = row
                    - n.clone()
                        .slice([0..b, i..i + 1, solved])
                        .matmul(known.clone());
                Tensor::cat(
                    if upper {
                        vec![row, known]
                    } else {
                        vec![known, row]
                    },
                    1,
                )
            }
        });
    }
    known.unwrap_or(w)
}

/// Equation 9 on each value of `x` `[rows, moved]` with the numbers `raw` `[rows, moved · (3 bins −
/// 1)]`, or its inverse; and the sum of the logarithms of a row's slopes `[rows, 1]` (of the map
/// from data to base, also for the inverse).
fn spline(raw: Tensor<2>, x: Tensor<2>, inverse: bool) -> (Tensor<2>, Tensor<2>) {
    let ([rows, moved], device) = (x.dims(), x.device());
    let n = rows * moved;
    let raw = raw.reshape([n, SPLINE]);
    let part = |from: usize, to: usize| raw.clone().slice([0..n, from..to]);
    let widths =
        |raw: Tensor<2>| (softmax(raw, 1) * (1.0 - MIN_BIN * BINS as f64) + MIN_BIN) * (2.0 * TAIL);
    let (w, h) = (widths(part(0, BINS)), widths(part(BINS, 2 * BINS)));
    let before = triangle(BINS, true, &device);
    let (x0, y0) = (
        w.clone().matmul(before.clone()) - TAIL,
        h.clone().matmul(before) - TAIL,
    );
    let v = part(2 * BINS, SPLINE) + slope_offset();
    let inner = relu(v.clone()) + (v.abs().neg().exp() + 1.0).log() + MIN_SLOPE;
    let ones = Tensor::<2>::ones([n, 1], &device);
    let (a, b) = (
        Tensor::cat(vec![ones.clone(), inner.clone()], 1),
        Tensor::cat(vec![inner, ones.clone()], 1),
    );

    let x = x.reshape([n, 1]);
    let inside = x.clone().abs().lower_elem(TAIL).float();
    // Values outside are computed as 0 and replaced afterwards.
    let at = x.clone() * inside.clone();
    let from = if inverse { y0.clone() } else { x0.clone() };
    let reached = at
        .clone()
        .repeat_dim(1, BINS - 1)
        .greater_equal(from.slice([0..n, 1..BINS]))
        .float();
    // 1 in the bin of the value, else 0.
    let bin = Tensor::cat(vec![ones.clone(), reached.clone()], 1)
        - Tensor::cat(vec![reached, ones * 0.0], 1);
    let of_bin = |q: Tensor<2>| (q * bin.clone()).sum_dim(1);
    let [w, h, x0, y0, a, b] = [w, h, x0, y0, a, b].map(of_bin);
    let s = h.clone() / w.clone();
    let bend = a.clone() + b.clone() - s.clone() * 2.0;
    let xi = if inverse {
        let v = at - y0.clone();
        let p = h.clone() * (s.clone() - a.clone()) + v.clone() * bend.clone();
        let q = h.clone() * a.clone() - v.clone() * bend.clone();
        let r = s.clone().neg() * v;
        let root = (q.clone() * q.clone() - p * r.clone() * 4.0)
            .clamp_min(0.0)
            .sqrt();
        r * 2.0 / (q.neg() - root)
    } else {
        (at - x0.clone()) / w.clone()
    };
    let other = xi.clone().neg() + 1.0;
    let both = xi.clone() * other.clone();
    let below = s.clone() + bend * both.clone();
    let moved_to = if inverse {
        x0 + w * xi.clone()
    } else {
        y0 + h * (s.clone() * xi.clone() * xi.clone() + a.clone() * both.clone()) / below.clone()
    };
    let above = b * xi.clone() * xi + s.clone() * both * 2.0 + a * other.clone() * other;
    let log_slope = ((s.log() - below.log()) * 2.0 + above.log()) * inside.clone();
    let outside = inside.clone().neg() + 1.0;
    (
        (moved_to * inside + x * outside).reshape([rows, moved]),
        log_slope.reshape([rows, moved]).sum_dim(1),
    )
}
