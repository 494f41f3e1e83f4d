//! A linear predictor of the next values from the last ones: a baseline, and what is left of data
//! when all that is linear is foretold.

use frmdn_engine::{cholesky::Cholesky, linear::Linear as Layer};

use crate::{
    recurrent::{Sequences, Targets},
    run::{Result, RunError},
};

/// Added to the diagonal of the normal equations, in parts of its mean.
const RIDGE: f64 = 1e-5;
/// Rows whose products are summed in single precision.
const ROWS: usize = 512;

/// y′ = W [y_t … y_{t−p+1}, g_t … g_{t−q+1}, 1], of sequences with values y and what is given g.
pub struct Predictor {
    /// Number p of values and q of givens that it sees.
    past: [usize; 2],
    /// W `[width, dim]`.
    weight: Vec<f32>,
}

impl Predictor {
    /// The least squares fit to `training`, each a batch of one, seeing `past` values and givens.
    ///
    /// # Errors
    /// If the equations have no solution: the values never change.
    pub fn fit<T: Targets>(training: &[Sequences<T>], past: [usize; 2]) -> Result<Self> {
        let first = &training[0];
        let d = first.seen.len() / first.steps;
        let w = width(first, past);
        let (mut gram, mut right) = (vec![0.0; w * w], vec![0.0; w * d]);
        for batch in training {
            let x = features(batch, past);
            add_gram(&x, w, &x, w, &mut gram);
            add_gram(&x, w, &batch.next, d, &mut right);
        }
        let ridge = RIDGE * (0..w).map(|i| gram[i * w + i]).sum::<f64>() / w as f64;
        (0..w).for_each(|i| gram[i * w + i] += ridge);
        let gram = Cholesky::new(gram, w).ok_or_else(constant)?;
        let mut weight = vec![0.0f32; w * d];
        for j in 0..d {
            let mut column: Vec<f64> = (0..w).map(|i| right[i * d + j]).collect();
            gram.solve(&mut column);
            column
                .iter()
                .enumerate()
                .for_each(|(i, v)| weight[i * d + j] = *v as f32);
        }
        Ok(Self { past, weight })
    }

    /// What followed less its prediction `[steps, dim]`, of a batch of one.
    pub fn residuals<T: Targets>(&self, batch: &Sequences<T>) -> Vec<f32> {
        let (d, x) = (batch.next.len() / batch.steps, features(batch, self.past));
        let mut layer = Layer::new(self.weight.len() / d, d);
        layer.load(&self.weight, &vec![0.0; d]);
        let mut e = vec![0.0; batch.steps * d];
        layer.forward(&x, batch.steps, false, &mut e);
        for (e, target) in e.iter_mut().zip(&batch.next) {
            *e = target - *e;
        }
        e
    }
}

/// A Gaussian around zero with a covariance that was measured.
pub struct Residuals(Cholesky, usize);

impl Residuals {
    /// With the `covariance` `[d, d]`, or with its diagonal alone.
    ///
    /// # Errors
    /// If it is not positive definite.
    pub fn new(covariance: &[f64], d: usize, is_full: bool) -> Result<Self> {
        let kept = |i: usize| match is_full || i / d == i % d {
            true => covariance[i],
            false => 0.0,
        };
        let matrix: Vec<f64> = (0..d * d).map(kept).collect();
        Cholesky::new(matrix, d)
            .map(|l| Self(l, d))
            .ok_or_else(constant)
    }

    /// −log of the density of a residual, nats.
    pub fn nats(&self, residual: &[f32]) -> f64 {
        let mut e: Vec<f64> = residual.iter().map(|&v| f64::from(v)).collect();
        self.0.forward(&mut e);
        let squares = e.iter().map(|v| v * v).sum::<f64>();
        let constant = self.1 as f64 * libm::log(2.0 * std::f64::consts::PI);
        0.5 * (self.0.log_det() + squares + constant)
    }
}

/// What it sees of every step of a batch of one; before its start stands the start.
fn features<T: Targets>(batch: &Sequences<T>, [past, givens]: [usize; 2]) -> Vec<f32> {
    let (d, g) = (
        batch.seen.len() / batch.steps,
        batch.given.len() / batch.steps,
    );
    let mut out = Vec::with_capacity(batch.steps * width(batch, [past, givens]));
    for t in 0..batch.steps {
        for j in 0..past {
            out.extend_from_slice(&batch.seen[t.saturating_sub(j) * d..][..d]);
        }
        for j in 0..givens {
            out.extend_from_slice(&batch.given[t.saturating_sub(j) * g..][..g]);
        }
        out.push(1.0);
    }
    out
}

/// Number of values that it sees.
fn width<T: Targets>(batch: &Sequences<T>, [past, givens]: [usize; 2]) -> usize {
    let [d, g] = [&batch.seen, &batch.given].map(|values| values.len() / batch.steps);
    past * d + givens * g + 1
}

/// `sum` += aᵀ b of matrices with rows of `m` and `n` values.
pub fn add_gram(a: &[f32], m: usize, b: &[f32], n: usize, sum: &mut [f64]) {
    // The gradient of a layer's weights is such a product.
    let layer = Layer::new(m, n);
    for (a, b) in a.chunks(ROWS * m).zip(b.chunks(ROWS * n)) {
        let (mut part, mut columns) = (vec![0.0; m * n], vec![0.0; n]);
        layer.backward_weights(a, b, a.len() / m, &mut part, &mut columns);
        sum.iter_mut()
            .zip(&part)
            .for_each(|(s, p)| *s += f64::from(*p));
    }
}

fn constant() -> RunError {
    RunError::Failed(
        "the linear predictor's equations have no solution: the values never change".into(),
    )
}
