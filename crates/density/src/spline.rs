//! Monotonic rational-quadratic splines (Durkan et al. 2019, "Neural Spline Flows") of one value.
//!
//! ```text
//! (9)  in bin k, with ξ = (x − x_k)/w_k and s = h_k/w_k:
//!      y = y_k + h_k (s ξ² + δ_k ξ(1−ξ)) / (s + (δ_{k+1} + δ_k − 2s) ξ(1−ξ))
//!      dy/dx = s² (δ_{k+1} ξ² + 2 s ξ(1−ξ) + δ_k (1−ξ)²) / (s + (δ_{k+1} + δ_k − 2s) ξ(1−ξ))²
//! ```
//!
//! Outside of ± [`TAIL`] the map is the identity, and slopes there are 1.

use crate::{BINS, TAIL};

/// A bin has at least this part of the interval.
pub(crate) const MIN_BIN: f64 = 1e-3;
/// Slopes between bins are at least this.
pub(crate) const MIN_SLOPE: f64 = 1e-3;

/// What is added to a raw slope before softplus: raw zeros give slopes of 1, and with equal bins
/// the identity.
pub(crate) fn slope_offset() -> f64 {
    libm::log(libm::expm1(1.0 - MIN_SLOPE))
}

/// One value's spline.
pub(crate) struct Spline {
    x: [f64; BINS + 1],
    y: [f64; BINS + 1],
    slope: [f64; BINS + 1],
}

/// Ends of bins whose widths are a softmax of `raw`.
fn ends(raw: &[f32]) -> [f64; BINS + 1] {
    let most = raw.iter().fold(f32::MIN, |a, &b| a.max(b));
    let exp: [f64; BINS] = std::array::from_fn(|k| libm::exp(f64::from(raw[k] - most)));
    let total: f64 = exp.iter().sum();
    let mut out = [-TAIL; BINS + 1];
    for k in 0..BINS {
        out[k + 1] =
            out[k] + 2.0 * TAIL * (MIN_BIN + (1.0 - MIN_BIN * BINS as f64) * exp[k] / total);
    }
    out[BINS] = TAIL;
    out
}

impl Spline {
    /// The spline of a conditioner's outputs: widths, heights, slopes between bins.
    pub fn new(raw: &[f32]) -> Self {
        let mut slope = [1.0; BINS + 1];
        for (slope, &raw) in slope[1..BINS].iter_mut().zip(&raw[2 * BINS..]) {
            let v = f64::from(raw) + slope_offset();
            *slope = MIN_SLOPE + v.max(0.0) + libm::log1p(libm::exp(-v.abs()));
        }
        Self {
            x: ends(&raw[..BINS]),
            y: ends(&raw[BINS..2 * BINS]),
            slope,
        }
    }

    /// Bin of `v` among `ends`; `None` outside.
    fn bin(ends: &[f64; BINS + 1], v: f64) -> Option<usize> {
        (v > -TAIL && v < TAIL).then(|| (1..BINS).take_while(|&k| v >= ends[k]).count())
    }

    /// y and log dy/dx.
    pub fn forward(&self, x: f64) -> (f64, f64) {
        let Some(k) = Self::bin(&self.x, x) else {
            return (x, 0.0);
        };
        let (w, h) = (self.x[k + 1] - self.x[k], self.y[k + 1] - self.y[k]);
        let (s, xi, a, b) = (h / w, (x - self.x[k]) / w, self.slope[k], self.slope[k + 1]);
        let both = xi * (1.0 - xi);
        let below = s + (a + b - 2.0 * s) * both;
        let y = self.y[k] + h * (s * xi * xi + a * both) / below;
        let above = b * xi * xi + 2.0 * s * both + a * (1.0 - xi) * (1.0 - xi);
        (
            y,
            2.0 * (libm::log(s) - libm::log(below)) + libm::log(above),
        )
    }

    /// x of y: the root of a quadratic in ξ.
    pub fn inverse(&self, y: f64) -> f64 {
        let Some(k) = Self::bin(&self.y, y) else {
            return y;
        };
        let (w, h) = (self.x[k + 1] - self.x[k], self.y[k + 1] - self.y[k]);
        let (s, a, b) = (h / w, self.slope[k], self.slope[k + 1]);
        let (v, bend) = (y - self.y[k], a + b - 2.0 * s);
        let (p, q, r) = (h * (s - a) + v * bend, h * a - v * bend, -s * v);
        let root = (q * q - 4.0 * p * r).max(0.0).sqrt();
        self.x[k] + w * (2.0 * r / (-q - root))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use frmdn_engine::random::{fill_normal, stream};

    #[test]
    fn raw_zeros_are_the_identity() {
        let spline = Spline::new(&[0.0; 3 * BINS - 1]);
        for x in [-9.0, -TAIL, -3.3, -0.01, 0.0, 2.5, 3.999, 7.0] {
            let (y, log_slope) = spline.forward(x);
            assert!(
                (y - x).abs() < 1e-12 && log_slope.abs() < 1e-12,
                "{x}: {y} {log_slope}"
            );
        }
    }

    #[test]
    fn the_map_rises_is_inverted_and_has_its_slope() {
        let mut raw = [0.0; 3 * BINS - 1];
        fill_normal(&mut stream(1, "spline-test", &[]), &mut raw);
        raw.iter_mut().for_each(|v| *v *= 2.0);
        let spline = Spline::new(&raw);
        let mut last = f64::MIN;
        for i in 0..1000 {
            let x = -5.0 + 0.01 * f64::from(i) + 0.003;
            let (y, log_slope) = spline.forward(x);
            assert!(y > last);
            last = y;
            assert!((spline.inverse(y) - x).abs() < 1e-8, "{x}");
            let slope = (spline.forward(x + 1e-6).0 - spline.forward(x - 1e-6).0) / 2e-6;
            assert!(
                (slope.ln() - log_slope).abs() < 1e-4,
                "{x}: {} {log_slope}",
                slope.ln()
            );
        }
    }
}
