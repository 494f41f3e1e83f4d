//! Pixels as real numbers, and likelihoods of real numbers as those of pixels.
//!
//! A density gives no probability to whole numbers, so an image is first made continuous: to each
//! pixel `v` in 0 … 255 a `u`, uniform in [0, 1), is added, `x = (v + u) / 256`. The logit then maps
//! [0, 1) to real numbers, so that no density wastes mass outside the range of pixels
//! (Dinh et al. 2017, RealNVP; Papamakarios et al. 2017, Masked Autoregressive Flow):
//!
//! ```text
//! s = α + (1 − 2α) x            y = log s − log(1 − s)
//! log |dy/dx| = log(1 − 2α) − log s − log(1 − s)
//! ```
//!
//! With a density `p_y` of the transformed values of an image of D values, the density of `x` is
//! `p_x(x) = p_y(y) Π |dy/dx|`, and that of `256 x = v + u` is `p_x(x) / 256^D`. An image's
//! probability is the integral of the latter over `u`, so that by Jensen's inequality
//!
//! ```text
//! log P(v) ≥ E_u[ log p_y(y) + Σ log |dy/dx| ] − D log 256
//! bits per dimension = −(right side) / (D log 2)
//! ```
//!
//! The logarithms are those of the crate `libm`, whose results are the same on every machine.

use std::f64::consts::LN_2;

/// Values that a pixel can have.
const LEVELS: f64 = 256.0;

/// log 256.
const LOG_LEVELS: f64 = 8.0 * LN_2;

/// The map from [0, 1] to real numbers, `y = logit(α + (1 − 2α) x)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logit {
    /// How far from 0 and 1 the logit is kept, above 0 and below 0.5. Its values lie within
    /// `± log((1 − α) / α)`.
    pub alpha: f64,
}

/// An α with which the map is none.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "alpha is {0}; give one above 0 and below 0.5: 1e-6 is usual for MNIST, 0.05 for colour images"
)]
pub struct AlphaError(pub f64);

impl Logit {
    /// What is usual for MNIST, α = 10⁻⁶: values within ± 13.8.
    pub const MNIST: Self = Self { alpha: 1e-6 };

    /// What is usual for CIFAR-10, α = 0.05: values within ± 2.94.
    pub const CIFAR: Self = Self { alpha: 0.05 };

    /// The map with this α.
    ///
    /// # Errors
    /// If α is not above 0 and below 0.5.
    pub fn new(alpha: f64) -> Result<Self, AlphaError> {
        match alpha > 0.0 && alpha < 0.5 {
            true => Ok(Self { alpha }),
            false => Err(AlphaError(alpha)),
        }
    }

    /// `y` for `x` in [0, 1].
    pub fn forward(&self, x: f64) -> f64 {
        self.forward_with_log_jacobian(x).0
    }

    /// `x` in [0, 1] for any `y`: what lies beyond the values of [`Self::forward`] gives an end. Not
    /// a number stays so.
    pub fn inverse(&self, y: f64) -> f64 {
        let s = 1.0 / (1.0 + libm::exp(-y));
        ((s - self.alpha) / (1.0 - 2.0 * self.alpha)).clamp(0.0, 1.0)
    }

    /// `log |dy/dx|` at `x` in [0, 1], in nats.
    pub fn log_jacobian(&self, x: f64) -> f64 {
        self.forward_with_log_jacobian(x).1
    }

    /// `y` and `log |dy/dx|` for `x` in [0, 1], with two logarithms for both.
    pub fn forward_with_log_jacobian(&self, x: f64) -> (f64, f64) {
        let scale = 1.0 - 2.0 * self.alpha;
        let log_s = libm::log(self.alpha + scale * x);
        // As 1 − s, but without the loss of digits near x = 1.
        let log_rest = libm::log(self.alpha + scale * (1.0 - x));
        (log_s - log_rest, libm::log(scale) - log_s - log_rest)
    }
}

impl Default for Logit {
    fn default() -> Self {
        Self::MNIST
    }
}

/// The continuous value of a pixel, `x = (pixel + u) / 256` in [0, 1), for `u` in [0, 1).
pub fn dequantise(pixel: u8, u: f64) -> f64 {
    (f64::from(pixel) + u) / LEVELS
}

/// The pixel whose continuous values include `x`: `⌊256 x⌋`, at least 0 and at most 255; 0 for what
/// is no number.
pub(super) fn quantise(x: f64) -> u8 {
    // Such a cast stays within the range of its type.
    libm::floor(LEVELS * x) as u8
}

/// The log-likelihood of an image's pixels, in nats: `log p_y(y) + Σ log |dy/dx| − D log 256`. Its
/// mean over draws of `u` is a lower bound of the logarithm of the image's probability.
///
/// `logit_nats` is `log p_y(y)` of the transformed values, `log_jacobian` is `Σ log |dy/dx|` over
/// them, and `dimensions` is D, their number.
pub fn pixel_nats(logit_nats: f64, log_jacobian: f64, dimensions: usize) -> f64 {
    logit_nats + log_jacobian - dimensions as f64 * LOG_LEVELS
}

/// Bits per dimension of an image of D = `dimensions` values whose log-likelihood is `pixel_nats`:
/// `−pixel_nats / (D log 2)`; 8 for a density that is uniform in the pixels. It is not a number for
/// an image without values.
pub fn bits_per_dimension(pixel_nats: f64, dimensions: usize) -> f64 {
    -pixel_nats / (dimensions as f64 * LN_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of x over [0, 1], both ends among them, and denser there.
    fn grid() -> Vec<f64> {
        let mut grid: Vec<f64> = (0..=1000).map(|i| f64::from(i) / 1000.0).collect();
        for k in 3..12 {
            let small = libm::pow(10.0, -f64::from(k));
            grid.extend([small, 1.0 - small]);
        }
        grid
    }

    #[test]
    fn the_jacobian_is_the_slope() {
        for logit in [Logit::MNIST, Logit::CIFAR, Logit { alpha: 0.49 }] {
            for x in grid() {
                // A step far smaller than what the slope changes over, which is α at the ends. The
                // map goes on a little beyond them, so that they have two sides too.
                let near = logit.alpha + x.min(1.0 - x);
                let step = 1e-4 * near;
                let (low, high) = (x - step, x + step);
                let slope = (logit.forward(high) - logit.forward(low)) / (high - low);
                let (found, expected) = (logit.log_jacobian(x), libm::log(slope));
                // Digits lost in x ± step near 1 are 10⁻¹⁶ of a step of 10⁻¹⁰.
                assert!(
                    (found - expected).abs() < 5e-6,
                    "{logit:?} {x}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn the_inverse_undoes_the_map_and_is_clamped() {
        for logit in [Logit::MNIST, Logit::CIFAR] {
            for x in grid() {
                let back = logit.inverse(logit.forward(x));
                assert!((back - x).abs() < 1e-9, "{logit:?} {x}: {back}");
            }
            for (y, x) in [
                (1e3, 1.0),
                (-1e3, 0.0),
                (f64::INFINITY, 1.0),
                (f64::NEG_INFINITY, 0.0),
            ] {
                assert_eq!(logit.inverse(y), x);
            }
            assert!(logit.inverse(f64::NAN).is_nan());
        }
    }

    #[test]
    fn alpha_lies_between_zero_and_a_half() {
        assert_eq!(Logit::new(1e-6), Ok(Logit::default()));
        for alpha in [0.0, -0.1, 0.5, 1.0, f64::NAN, f64::INFINITY] {
            let error = Logit::new(alpha).unwrap_err().to_string();
            assert!(error.contains("above 0 and below 0.5"), "{error}");
        }
    }

    #[test]
    fn every_pixel_comes_back() {
        for pixel in 0..=255 {
            for u in [0.0, 0.3, 1.0 - f64::EPSILON] {
                // With u that near to 1, v + u is rounded up, to the next pixel, above 1.
                let u = if pixel > 0 { u.min(0.999_999_999) } else { u };
                assert_eq!(quantise(dequantise(pixel, u)), pixel, "{u}");
            }
        }
        assert_eq!([-0.1, 1.0, 1.1, f64::NAN].map(quantise), [0, 255, 255, 0]);
    }

    /// A density of one value and its distribution function.
    struct Law {
        log_density: fn(f64) -> f64,
        below: fn(f64) -> f64,
    }

    /// Logistic with mean −1 and scale 0.4.
    const LOGISTIC: Law = Law {
        log_density: |y| {
            let z = (y + 1.0) / 0.4;
            -z - 2.0 * libm::log1p(libm::exp(-z)) - libm::log(0.4)
        },
        below: |y| 1.0 / (1.0 + libm::exp(-(y + 1.0) / 0.4)),
    };

    /// Weight, mean and standard deviation of each part of a mixture; the first lies in the pixel 0
    /// mostly, as MNIST's background does.
    const PARTS: [(f64, f64, f64); 2] = [(0.4, -7.0, 0.9), (0.6, 2.0, 0.5)];

    const MIXTURE: Law = Law {
        log_density: |y| {
            let mut density = 0.0;
            for (weight, mean, sd) in PARTS {
                let z = (y - mean) / sd;
                let norm = sd * libm::sqrt(std::f64::consts::TAU);
                density += weight * libm::exp(-z * z / 2.0) / norm;
            }
            libm::log(density)
        },
        below: |y| {
            let mut below = 0.0;
            for (weight, mean, sd) in PARTS {
                let z = (y - mean) / (sd * std::f64::consts::SQRT_2);
                below += weight * 0.5 * (1.0 + libm::erf(z));
            }
            below
        },
    };

    /// ∫ exp(log p_y(y(x)) + log |dy/dx|) dx over [low, high], by Simpson's rule on pieces that halve
    /// towards both ends, where the logit is steep.
    fn integral(law: &Law, logit: Logit, low: f64, high: f64) -> f64 {
        let middle = (low + high) / 2.0;
        let mut edges = vec![low, high, middle];
        for k in 2..30 {
            let part = (high - low) / f64::from(1 << k);
            edges.extend([low + part, high - part]);
        }
        edges.sort_by(f64::total_cmp);
        let density =
            |x: f64| libm::exp((law.log_density)(logit.forward(x)) + logit.log_jacobian(x));
        let intervals = 64;
        let mut sum = 0.0;
        for piece in edges.windows(2) {
            let step = (piece[1] - piece[0]) / f64::from(intervals);
            for i in 0..=intervals {
                let weight = match i {
                    0 => 1.0,
                    i if i == intervals => 1.0,
                    i if i % 2 == 1 => 4.0,
                    _ => 2.0,
                };
                sum += weight * step / 3.0 * density(piece[0] + f64::from(i) * step);
            }
        }
        sum
    }

    #[test]
    fn the_256_bins_of_a_pixel_hold_all_the_mass() {
        for (name, law) in [("logistic", LOGISTIC), ("mixture", MIXTURE)] {
            let logit = Logit::MNIST;
            let (mut exact, mut integrated) = (0.0, 0.0);
            for pixel in 0..=255 {
                let (low, high) = (dequantise(pixel, 0.0), dequantise(pixel, 1.0));
                let mass = (law.below)(logit.forward(high)) - (law.below)(logit.forward(low));
                let found = integral(&law, logit, low, high);
                assert!(
                    (mass - found).abs() < 1e-9,
                    "{name} {pixel}: {mass} {found}"
                );
                exact += mass;
                integrated += found;
            }
            // Beyond ± 13.8 lie 10⁻¹³ of the mass at most.
            assert!((exact - 1.0).abs() < 1e-12, "{name}: {exact}");
            assert!((integrated - 1.0).abs() < 1e-9, "{name}: {integrated}");
        }
    }

    #[test]
    fn the_mean_over_u_bounds_the_probability_of_the_pixel() {
        let logit = Logit::MNIST;
        let draws = 1000;
        let mut gaps = Vec::new();
        for pixel in [0, 1, 40, 128, 200, 254] {
            let (low, high) = (dequantise(pixel, 0.0), dequantise(pixel, 1.0));
            let below = MIXTURE.below;
            let exact = libm::log(below(logit.forward(high)) - below(logit.forward(low)));
            let mut mean = 0.0;
            for i in 0..draws {
                let x = dequantise(pixel, (f64::from(i) + 0.5) / f64::from(draws));
                let nats = (MIXTURE.log_density)(logit.forward(x));
                mean += pixel_nats(nats, logit.log_jacobian(x), 1) / f64::from(draws);
            }
            // The sum stands for an integral, to about 10⁻⁴.
            assert!(mean <= exact + 1e-3, "{pixel}: {mean} {exact}");
            gaps.push(exact - mean);
        }
        // Where the density hardly changes within the pixel, the bound is tight.
        assert!(gaps[4] < 1e-3, "{gaps:?}");
    }

    #[test]
    fn likelihoods_are_converted_as_published() {
        // The formula for bits per pixel of Papamakarios et al. 2017, in its own terms, for an image
        // of three values.
        let logit = Logit::CIFAR;
        let xs = [0.1, 0.5, 0.93];
        let nats = -4.2;
        let log2 = |v: f64| libm::log(v) / LN_2;
        let mut log_jacobian = 0.0;
        let mut published = -nats / (3.0 * LN_2) - log2(1.0 - 2.0 * logit.alpha) + 8.0;
        for x in xs {
            log_jacobian += logit.log_jacobian(x);
            let s = 1.0 / (1.0 + libm::exp(-logit.forward(x)));
            published += (log2(s) + log2(1.0 - s)) / 3.0;
        }
        let found = bits_per_dimension(pixel_nats(nats, log_jacobian, 3), 3);
        assert!((found - published).abs() < 1e-12, "{found} {published}");
        // Uniform in x: p_y is one over the Jacobian.
        let uniform = pixel_nats(-log_jacobian, log_jacobian, 3);
        assert!((bits_per_dimension(uniform, 3) - 8.0).abs() < 1e-12);
    }
}
