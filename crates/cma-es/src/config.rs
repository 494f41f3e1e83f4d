//! Settings and the constants that follow from them.

use serde::{Deserialize, Serialize};

use crate::CmaError;

/// Form of the covariance matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Covariance {
    /// Separable above 200 dimensions, full up to there.
    #[default]
    Auto,
    /// Diagonal (Ros & Hansen 2008): linear cost, and learned about n/3 times as fast.
    Separable,
    /// All n(n + 1)/2 entries.
    Full,
}

/// What moves the mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recombination {
    /// The steps of the better half: the tutorial's equations 41 and 42.
    #[default]
    BetterHalf,
    /// The steps of all candidates: those of the worse half have the negative weights of the better
    /// half (D. V. Arnold, "Weighted multirecombination evolution strategies", 2006, where they are
    /// the expected order statistics). All are divided by √2, so that under random ranking the mean
    /// moves as far as with the better half, and √2 times as far where the loss is a slope that
    /// only many candidates show: many parameters, steps that are short for the landscape, noise.
    /// With long steps the worse candidates carry less information.
    All,
    /// Pairs: the second half of the candidates are the first half reflected at the mean (D.
    /// Brockhoff and others, "Mirrored Sampling and Sequential Selection for Evolution Strategies",
    /// PPSN 2010), and the mean moves towards the better of each pair, by the same length for all.
    /// Effects that both sides of a pair share cancel out, and an outlier among the losses counts
    /// no more than any other: for losses with heavy tails. Under random ranking the mean moves as
    /// far as with the better half.
    #[serde(rename = "pairs", alias = "mirrored")]
    Mirrored,
}

/// Most candidates of a generation.
const MOST: usize = 1 << 24;

/// Settings of a [`crate::CmaEs`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CmaEsConfig {
    /// Number of parameters n.
    pub dimension: usize,
    /// Candidates per generation λ; 4 + ⌊3 ln n⌋ if not given.
    pub population: Option<usize>,
    /// Initial step size.
    pub sigma0: f64,
    /// Form of the covariance.
    pub covariance: Covariance,
    /// What moves the mean.
    #[serde(default)]
    pub recombination: Recombination,
    /// Root seed of the candidates' random streams.
    pub seed: u64,
}

/// Strategy parameters (Hansen, arXiv 1604.00772, table 1, with pycma's defaults where they
/// differ).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Strategy {
    /// Recombination weights w_i of the λ ranks, negative for the worse half; the positive ones sum
    /// to 1.
    pub weights: Vec<f64>,
    /// Weights of the first ranks in the mean.
    pub mean_weights: Vec<f64>,
    pub mu_eff: f64,
    pub c_sigma: f64,
    pub d_sigma: f64,
    pub c_c: f64,
    pub c_1: f64,
    pub c_mu: f64,
    /// E‖N(0, I)‖.
    pub chi_n: f64,
    pub full: bool,
}

impl CmaEsConfig {
    pub(crate) fn population(&self) -> usize {
        self.population
            .unwrap_or(4 + (3.0 * libm::log(self.dimension as f64)).floor() as usize)
    }

    /// The constants that follow from the settings.
    pub(crate) fn strategy(&self) -> Result<Strategy, CmaError> {
        let (dimension, lambda) = (self.dimension, self.population());
        let odd = self.recombination == Recombination::Mirrored && lambda % 2 == 1;
        // On a line the worst candidates are the longest steps, and the better sides of all pairs
        // are one: both make the path longer than chance would, so that the step size grows even
        // around an optimum (a parabola diverges in ten of ten runs).
        let few = dimension < 1 + usize::from(self.recombination != Recombination::BetterHalf);
        let is_possible =
            (4..=MOST).contains(&lambda) && self.sigma0.is_finite() && self.sigma0 > 0.0;
        if odd || few || !is_possible {
            return Err(CmaError::Config {
                dimension,
                population: lambda,
                sigma0: self.sigma0,
            });
        }
        let n = dimension as f64;
        // w'_i = ln((λ + 1)/2) − ln i, positive for the better half.
        let raw: Vec<f64> = (1..=lambda)
            .map(|i| libm::log(f64::midpoint(lambda as f64, 1.0)) - libm::log(i as f64))
            .collect();
        let mu = raw.iter().filter(|w| **w > 0.0).count();
        let mu_eff = effective_mass(&raw[..mu]);
        let full = match self.covariance {
            Covariance::Auto => dimension <= 200,
            Covariance::Separable => false,
            Covariance::Full => true,
        };
        let rates = if full {
            Rates::full(n, lambda as f64, mu_eff)
        } else {
            Rates::separable(n, mu_eff)
        };
        let weights = ranked_weights(&raw, mu, n, &rates);
        let mut mean_weights = weights[..mu].to_vec();
        if self.recombination == Recombination::All {
            mean_weights = two_sided(mean_weights, lambda);
        }
        let c_sigma = ((mu_eff + 2.0) / (n + mu_eff + 3.0)).min(0.5);
        // pycma 4.5 damps more than the tutorial where the population is large for the dimension,
        // up to threefold for large n.
        let large = (3.0 * (1.0 - libm::exp2(-n / 9.0))).max(1.0);
        Ok(Strategy {
            weights,
            mean_weights,
            mu_eff,
            c_sigma,
            d_sigma: 1.0
                + 2.0 * (large * ((mu_eff - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0)
                + c_sigma,
            c_c: rates.c_c,
            c_1: rates.c_1,
            c_mu: rates.c_mu,
            chi_n: n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n)),
            full,
        })
    }
}

/// Learning rates of the covariance.
struct Rates {
    /// Of the path of the covariance.
    c_c: f64,
    /// Of the rank-one update.
    c_1: f64,
    /// Of the rank-μ update.
    c_mu: f64,
}

impl Rates {
    /// The tutorial's, for all n(n + 1)/2 entries and populations of `lambda`.
    fn full(n: f64, lambda: f64, mu_eff: f64) -> Self {
        let c_1 = (lambda / 6.0).min(1.0) * 2.0 / ((n + 1.3).powi(2) + mu_eff);
        Self {
            c_c: (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n),
            c_1,
            c_mu: (1.0 - c_1)
                .min(2.0 * (0.25 + mu_eff - 2.0 + 1.0 / mu_eff) / ((n + 2.0).powi(2) + mu_eff)),
        }
    }

    /// Those of a diagonal covariance. Only n numbers are learned, so all rates can be higher (Ros
    /// & Hansen 2008); in pycma's form, which is about 10 % faster than their factor (n + 2)/3
    /// where the population is large (n = 867, λ = 64).
    fn separable(n: f64, mu_eff: f64) -> Self {
        let c_1 = 1.0 / (n + 2.0 * n.sqrt() + mu_eff / n);
        Self {
            c_c: (1.0 + 1.0 / n + mu_eff / n) / (n.sqrt() + 1.0 / n + 2.0 * mu_eff / n),
            c_1,
            c_mu: (1.0 - c_1)
                .min((0.25 + mu_eff - 2.0 + 1.0 / mu_eff) / (n + 4.0 * n.sqrt() + mu_eff / 2.0)),
        }
    }
}

/// Variance effective selection mass (Σ w)² / Σ w².
fn effective_mass(weights: &[f64]) -> f64 {
    weights.iter().sum::<f64>().powi(2) / weights.iter().map(|w| w * w).sum::<f64>()
}

/// The weights of all ranks from the raw ones, of which the first `mu` are positive.
fn ranked_weights(raw: &[f64], mu: usize, n: f64, rates: &Rates) -> Vec<f64> {
    let (mu_eff, mu_eff_minus) = (effective_mass(&raw[..mu]), effective_mass(&raw[mu..]));
    let positive: f64 = raw[..mu].iter().sum();
    let negative: f64 = -raw[mu..].iter().sum::<f64>();
    let Rates { c_1, c_mu, .. } = *rates;
    // Negative weights: no decay on average, no more than the effective selection mass warrants,
    // and C stays positive definite (negative steps have squared Mahalanobis length n).
    let limit = (1.0 + c_1 / c_mu)
        .min(1.0 + 2.0 * mu_eff_minus / (mu_eff + 2.0))
        .min((1.0 - c_1 - c_mu).max(0.0) / (n * c_mu));
    raw.iter()
        .map(|&w| {
            if w > 0.0 {
                w / positive
            } else {
                w * limit / negative
            }
        })
        .collect()
}

/// The weights of [`Recombination::All`] from those of the better half: its negatives for the worse
/// half, zeros between, everything divided by √2.
fn two_sided(mut better: Vec<f64>, lambda: usize) -> Vec<f64> {
    for w in &mut better {
        *w *= std::f64::consts::FRAC_1_SQRT_2;
    }
    let worse: Vec<f64> = better.iter().rev().map(|w| -w).collect();
    better.resize(lambda - worse.len(), 0.0);
    better.extend(worse);
    better
}
