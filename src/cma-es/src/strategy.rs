//! Ask and tell.

use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::{CmaError, CmaEsConfig, config::Strategy, covariance::Shape};

/// The optimiser: a value that can be saved (serde) and goes on bit for bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CmaEs {
    config: CmaEsConfig,
    generation: u64,
    mean: Vec<f64>,
    sigma: f64,
    path_sigma: Vec<f64>,
    path_c: Vec<f64>,
    shape: Shape,
}

impl CmaEs {
    /// A fresh optimiser with its mean at the origin.
    pub fn new(config: CmaEsConfig) -> Result<Self, CmaError> {
        let n = config.dimension;
        let full = config.strategy()?.full;
        Ok(Self {
            generation: 0,
            mean: vec![0.0; n],
            sigma: config.sigma0,
            path_sigma: vec![0.0; n],
            path_c: vec![0.0; n],
            shape: Shape::identity(n, full),
            config,
        })
    }

    /// Moves the mean to `x` before the first generation.
    ///
    /// # Panics
    /// If `x` has another length than the dimension.
    pub fn start_at(&mut self, x: &[f64]) {
        self.mean.copy_from_slice(x);
    }

    /// Generations that were told.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Mean of the search distribution.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Step size.
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// Candidates per generation.
    pub fn population(&self) -> usize {
        self.config.population()
    }

    fn strategy(&self) -> Strategy {
        self.config.strategy().expect("checked when the optimiser was made")
    }

    /// Steps y = B D z of the present generation, row by row: a function of seed, generation and state alone.
    fn steps(&self) -> Vec<f64> {
        let n = self.config.dimension;
        // One stream per generation: the odd increment of PCG selects it.
        let mut rng = Pcg64::new(u128::from(self.config.seed) << 64 | 0x9E37_79B9_7F4A_7C15, u128::from(self.generation));
        let z: Vec<f64> = (0..self.population() * n).map(|_| StandardNormal.sample(&mut rng)).collect();
        self.shape.colour(&z, n)
    }

    /// The candidates of this generation. Asked again, also after saving and loading, they are the same.
    pub fn ask(&self) -> Vec<Vec<f64>> {
        let n = self.config.dimension;
        self.steps().chunks(n).map(|y| self.mean.iter().zip(y).map(|(m, y)| m + self.sigma * y).collect()).collect()
    }

    /// Learns from the losses of the candidates (lower is better), in the order of [`CmaEs::ask`]. On an error nothing changes.
    pub fn tell(&mut self, losses: &[f64]) -> Result<(), CmaError> {
        let (n, lambda) = (self.config.dimension, self.population());
        if losses.len() != lambda {
            return Err(CmaError::Count { found: losses.len(), expected: lambda });
        }
        if let Some(candidate) = losses.iter().position(|l| !l.is_finite()) {
            return Err(CmaError::Loss { candidate, generation: self.generation, loss: losses[candidate] });
        }
        let s = self.strategy();
        let steps = self.steps();
        let mut order: Vec<usize> = (0..lambda).collect();
        // Stable: equal losses keep the candidates' order, so that the outcome is determined.
        order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
        let ranked: Vec<&[f64]> = order.iter().map(|&i| &steps[i * n..(i + 1) * n]).collect();
        let mut next = self.clone();

        // Equations 41, 42: the mean moves along the weighted mean of the better half's steps.
        let mut y_w = vec![0.0; n];
        for (w, y) in s.weights[..s.mu].iter().zip(&ranked) {
            y_w.iter_mut().zip(*y).for_each(|(t, y)| *t += w * y);
        }
        next.mean.iter_mut().zip(&y_w).for_each(|(m, y)| *m += self.sigma * y);

        // Equations 43, 44: cumulative step-size adaptation.
        let keep = (s.c_sigma * (2.0 - s.c_sigma) * s.mu_eff).sqrt();
        next.path_sigma.iter_mut().zip(self.shape.whiten(&y_w)).for_each(|(p, y)| *p = (1.0 - s.c_sigma) * *p + keep * y);
        let length = next.path_sigma.iter().map(|p| p * p).sum::<f64>().sqrt();
        next.sigma *= ((s.c_sigma / s.d_sigma) * (length / s.chi_n - 1.0)).min(1.0).exp();

        // Equation 45: the path of the covariance stalls while the step size rises fast.
        let generations = 2.0 * (self.generation + 1) as f64;
        let norm = length / (1.0 - (1.0 - s.c_sigma).powf(generations)).sqrt();
        let h_sigma = norm < (1.4 + 2.0 / (n as f64 + 1.0)) * s.chi_n;
        let keep = if h_sigma { (s.c_c * (2.0 - s.c_c) * s.mu_eff).sqrt() } else { 0.0 };
        next.path_c.iter_mut().zip(&y_w).for_each(|(p, y)| *p = (1.0 - s.c_c) * *p + keep * y);

        // Equations 46, 47: rank one and rank μ; steps with negative weight count with Mahalanobis length √n.
        let stalled = if h_sigma { 0.0 } else { s.c_1 * s.c_c * (2.0 - s.c_c) };
        let decay = 1.0 + stalled - s.c_1 - s.c_mu * s.weights.iter().sum::<f64>();
        let weigh = |w: f64, y: &[f64]| if w >= 0.0 { s.c_mu * w } else { s.c_mu * w * n as f64 / (self.shape.length2(y) + 1e-12) };
        let path_c = next.path_c.clone();
        let mut vectors: Vec<(f64, &[f64])> = vec![(s.c_1, &path_c)];
        vectors.extend(s.weights.iter().zip(&ranked).map(|(&w, &y)| (weigh(w, y), y)));
        next.shape.update(decay, &vectors);
        next.generation += 1;
        let gap = 1.0 / (s.c_1 + s.c_mu) / n as f64 / 10.0;
        if !next.shape.refresh(next.generation, gap) || !next.sigma.is_finite() || next.mean.iter().any(|m| !m.is_finite()) {
            return Err(CmaError::Degenerate { generation: self.generation, sigma: next.sigma });
        }
        *self = next;
        Ok(())
    }
}
