//! Ask and tell.

use serde::{Deserialize, Serialize};

use crate::{
    CmaError, CmaEsConfig, Recombination, config::Strategy, covariance::Shape, random::normals,
};

/// The optimiser: a value that can be saved (serde) and goes on bit for bit.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "State")]
pub struct CmaEs {
    pub(crate) state: State,
    /// The constants that follow from the configuration.
    strategy: Strategy,
}

/// All that is saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) config: CmaEsConfig,
    pub(crate) generation: u64,
    pub(crate) mean: Vec<f64>,
    pub(crate) sigma: f64,
    pub(crate) path_sigma: Vec<f64>,
    pub(crate) path_c: Vec<f64>,
    pub(crate) shape: Shape,
}

impl Serialize for CmaEs {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.state.serialize(serializer)
    }
}

impl TryFrom<State> for CmaEs {
    type Error = CmaError;

    fn try_from(state: State) -> Result<Self, CmaError> {
        let strategy = state.config.strategy()?;
        let n = state.config.dimension;
        let lengths = [
            state.mean.len(),
            state.path_sigma.len(),
            state.path_c.len(),
            state.shape.dimension(),
        ];
        if lengths != [n; 4] || matches!(state.shape, Shape::Full(_)) != strategy.full {
            return Err(CmaError::Saved {
                dimension: n,
                lengths,
            });
        }
        Ok(Self { state, strategy })
    }
}

impl CmaEs {
    /// A fresh optimiser with its mean at the origin.
    pub fn new(config: CmaEsConfig) -> Result<Self, CmaError> {
        let n = config.dimension;
        let strategy = config.strategy()?;
        let state = State {
            generation: 0,
            mean: vec![0.0; n],
            sigma: config.sigma0,
            path_sigma: vec![0.0; n],
            path_c: vec![0.0; n],
            shape: Shape::identity(n, strategy.full),
            config,
        };
        Ok(Self { state, strategy })
    }

    /// Moves the mean to `x` before the first generation.
    pub fn start_at(&mut self, x: &[f64]) -> Result<(), CmaError> {
        let (expected, found) = (self.state.mean.len(), x.len());
        if found != expected || self.state.generation > 0 || x.iter().any(|x| !x.is_finite()) {
            return Err(CmaError::Start {
                expected,
                found,
                generation: self.state.generation,
            });
        }
        self.state.mean.copy_from_slice(x);
        Ok(())
    }

    /// The same search around `x`: step size and covariance stay, the paths, which led elsewhere, begin
    /// anew.
    ///
    /// # Errors
    /// If `x` has another dimension, or a number that is not finite.
    pub fn moved_to(mut self, x: &[f64]) -> Result<Self, CmaError> {
        let (expected, found) = (self.state.mean.len(), x.len());
        if found != expected || x.iter().any(|x| !x.is_finite()) {
            return Err(CmaError::Start {
                expected,
                found,
                generation: self.state.generation,
            });
        }
        self.state.mean.copy_from_slice(x);
        self.state.path_sigma.fill(0.0);
        self.state.path_c.fill(0.0);
        Ok(self)
    }

    /// The same search with generations of `population` candidates, which move the mean by
    /// `recombination`, from the next one on.
    pub fn with_generations(
        mut self,
        population: usize,
        recombination: Recombination,
    ) -> Result<Self, CmaError> {
        self.state.config.population = Some(population);
        self.state.config.recombination = recombination;
        self.strategy = self.state.config.strategy()?;
        Ok(self)
    }

    /// The same search with its step size multiplied by `factor`.
    ///
    /// # Panics
    /// If `factor` is not a number above 0: a programming error.
    #[must_use]
    pub fn with_sigma_scaled(mut self, factor: f64) -> Self {
        assert!(factor.is_finite() && factor > 0.0, "a factor of {factor}");
        self.state.sigma *= factor;
        self
    }

    /// Generations that were told.
    pub fn generation(&self) -> u64 {
        self.state.generation
    }

    /// Mean of the search distribution.
    pub fn mean(&self) -> &[f64] {
        &self.state.mean
    }

    /// Step size.
    pub fn sigma(&self) -> f64 {
        self.state.sigma
    }

    /// Candidates per generation.
    pub fn population(&self) -> usize {
        self.state.config.population()
    }

    /// The settings.
    pub fn config(&self) -> &CmaEsConfig {
        &self.state.config
    }

    /// The normal vectors z of this generation, one after the other: a function of seed and
    /// generation alone.
    fn normals(&self) -> Vec<f64> {
        let config = &self.state.config;
        let count = self.population() * config.dimension;
        if config.recombination != Recombination::Mirrored {
            return normals(config.seed, self.state.generation, count);
        }
        let mut all = normals(config.seed, self.state.generation, count / 2);
        let reflected: Vec<f64> = all.iter().map(|z| -z).collect();
        all.extend(reflected);
        all
    }

    /// The candidates x = m + σ B D z of this generation. Asked again, also after saving and
    /// loading, they are the same.
    pub fn ask(&self) -> Vec<Vec<f64>> {
        let State {
            mean, sigma, shape, ..
        } = &self.state;
        let steps = shape.colour(&self.normals());
        steps
            .chunks(mean.len())
            .map(|y| mean.iter().zip(y).map(|(m, y)| m + sigma * y).collect())
            .collect()
    }

    /// Learns from the losses of the candidates (lower is better), in the order of [`CmaEs::ask`].
    ///
    /// # Errors
    ///
    /// If there are not as many losses as candidates, one is not finite, or the distribution
    /// degenerates, long before which [`CmaEs::stop`] says so. Nothing has changed then.
    pub fn tell(&mut self, losses: &[f64]) -> Result<(), CmaError> {
        self.check_losses(losses)?;
        let (n, old, s) = (self.state.mean.len(), &self.state, &self.strategy);
        let normals = self.normals();
        let steps = old.shape.colour(&normals);
        let mut order: Vec<usize> = (0..losses.len()).collect();
        // Stable: equal losses keep the candidates' order, so that the outcome is determined.
        order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        let (z, y) = (ranked(&normals, &order), ranked(&steps, &order));
        let (z_w, y_w) = if old.config.recombination == Recombination::Mirrored {
            let weights = mirrored_weights(losses, s.mu_eff);
            let (first, second): (Vec<&[f64]>, Vec<&[f64]>) =
                (normals.chunks(n).collect(), steps.chunks(n).collect());
            (weighted(&weights, &first), weighted(&weights, &second))
        } else {
            (weighted(&s.mean_weights, &z), weighted(&s.mean_weights, &y))
        };

        // Equations 41, 42: the mean moves along the weighted mean of the better half's steps (or
        // of all).
        let mean: Vec<f64> = old
            .mean
            .iter()
            .zip(&y_w)
            .map(|(m, y)| m + old.sigma * y)
            .collect();

        // Equations 43, 44: cumulative step-size adaptation. C^(-1/2) y_w is B z_w.
        let path_sigma = path(
            &old.path_sigma,
            s.c_sigma,
            s.mu_eff,
            &old.shape.isotropic(z_w),
        );
        let length = path_sigma.iter().map(|p| p * p).sum::<f64>().sqrt();
        let sigma =
            old.sigma * libm::exp(((s.c_sigma / s.d_sigma) * (length / s.chi_n - 1.0)).min(1.0));

        // Equation 45: the path of the covariance stalls while the step size rises fast.
        let generations = 2.0 * (old.generation + 1) as f64;
        let norm = length / (1.0 - libm::pow(1.0 - s.c_sigma, generations)).sqrt();
        let stalls = norm >= (1.4 + 2.0 / (n as f64 + 1.0)) * s.chi_n;
        let path_c = path(
            &old.path_c,
            s.c_c,
            if stalls { 0.0 } else { s.mu_eff },
            &y_w,
        );

        let mut shape = self.adapted_shape(&path_c, stalls, &z, &y);
        let generation = old.generation + 1;
        // The tutorial's section B.2: as rarely as costs no more than a tenth of the progress.
        let gap = 1.0 / (s.c_1 + s.c_mu) / n as f64 / 10.0;
        let sound =
            sigma.is_finite() && sigma > 0.0 && mean.iter().chain(&path_c).all(|x| x.is_finite());
        if !sound || !shape.refresh(generation, gap) {
            return Err(CmaError::Degenerate {
                generation: old.generation,
                sigma,
            });
        }
        let config = old.config.clone();
        self.state = State {
            config,
            generation,
            mean,
            sigma,
            path_sigma,
            path_c,
            shape,
        };
        Ok(())
    }

    fn check_losses(&self, losses: &[f64]) -> Result<(), CmaError> {
        let expected = self.population();
        if losses.len() != expected {
            return Err(CmaError::Count {
                found: losses.len(),
                expected,
            });
        }
        if let Some(candidate) = losses.iter().position(|l| !l.is_finite()) {
            return Err(CmaError::Loss {
                candidate,
                generation: self.state.generation,
                loss: losses[candidate],
            });
        }
        Ok(())
    }

    /// The covariance after a generation (equations 46, 47): rank one along `path_c`, rank μ along
    /// the steps `y` of the normal vectors `z`, both from best to worst. Steps with negative weight
    /// count with Mahalanobis length √n; that of a step is the length of its z.
    fn adapted_shape(&self, path_c: &[f64], stalls: bool, z: &[&[f64]], y: &[&[f64]]) -> Shape {
        let (n, s) = (path_c.len(), &self.strategy);
        let missing = if stalls {
            s.c_1 * s.c_c * (2.0 - s.c_c)
        } else {
            0.0
        };
        let decay = 1.0 + missing - s.c_1 - s.c_mu * s.weights.iter().sum::<f64>();
        let mut vectors: Vec<(f64, &[f64])> = vec![(s.c_1, path_c)];
        for ((&w, z), &y) in s.weights.iter().zip(z).zip(y) {
            let w = if w >= 0.0 {
                w
            } else {
                w * n as f64 / (z.iter().map(|z| z * z).sum::<f64>() + 1e-12)
            };
            vectors.push((s.c_mu * w, y));
        }
        self.state.shape.updated(decay, &vectors)
    }
}

/// The vectors of `all` (one after the other) from best to worst.
fn ranked<'a>(all: &'a [f64], order: &[usize]) -> Vec<&'a [f64]> {
    let n = all.len() / order.len();
    order.iter().map(|&i| &all[i * n..(i + 1) * n]).collect()
}

/// Σ w_i v_i over as many of `vectors` as there are weights.
fn weighted(weights: &[f64], vectors: &[&[f64]]) -> Vec<f64> {
    let mut sum = vec![0.0; vectors[0].len()];
    for (w, vector) in weights.iter().zip(vectors) {
        sum.iter_mut().zip(*vector).for_each(|(s, v)| *s += w * v);
    }
    sum
}

/// Weights of the first candidates of all pairs: towards the better side, zero where both are
/// equally good, with Σ w² = 1/`mu_eff`.
fn mirrored_weights(losses: &[f64], mu_eff: f64) -> Vec<f64> {
    let (one, other) = losses.split_at(losses.len() / 2);
    let weight = 1.0 / (one.len() as f64 * mu_eff).sqrt();
    let sign = |(a, b): (&f64, &f64)| match a.total_cmp(b) {
        std::cmp::Ordering::Less => weight,
        std::cmp::Ordering::Equal => 0.0,
        std::cmp::Ordering::Greater => -weight,
    };
    one.iter().zip(other).map(sign).collect()
}

/// An evolution path one generation on: (1 - c) p + √(c (2 - c) μ_eff) step.
fn path(old: &[f64], c: f64, mu_eff: f64, step: &[f64]) -> Vec<f64> {
    let gain = (c * (2.0 - c) * mu_eff).sqrt();
    old.iter()
        .zip(step)
        .map(|(p, s)| (1.0 - c) * p + gain * s)
        .collect()
}
