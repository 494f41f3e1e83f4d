//! The covariance matrix C = B D² Bᵀ, diagonal or full, and what is done with it.

use faer::{Mat, Side};
use serde::{Deserialize, Serialize};

/// State of the covariance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Shape {
    /// Variances.
    Diagonal(Vec<f64>),
    /// Row-major n × n, and the decomposition candidates are drawn with, which may be some generations old.
    Full { c: Vec<f64>, b: Vec<f64>, d: Vec<f64>, decomposed_at: u64 },
}

impl Shape {
    pub(crate) fn identity(n: usize, full: bool) -> Self {
        if full {
            let mut eye = vec![0.0; n * n];
            eye.iter_mut().step_by(n + 1).for_each(|x| *x = 1.0);
            Self::Full { c: eye.clone(), b: eye, d: vec![1.0; n], decomposed_at: 0 }
        } else {
            Self::Diagonal(vec![1.0; n])
        }
    }

    /// Rows of `z` (λ × n) become rows of B D z.
    pub(crate) fn colour(&self, z: &[f64], n: usize) -> Vec<f64> {
        match self {
            Self::Diagonal(v) => z.chunks(n).flat_map(|row| row.iter().zip(v).map(|(z, v)| z * v.sqrt())).collect(),
            Self::Full { b, d, .. } => {
                let scaled: Vec<f64> = z.chunks(n).flat_map(|row| row.iter().zip(d).map(|(z, d)| z * d)).collect();
                product(&scaled, z.len() / n, b, n)
            }
        }
    }

    /// C^(-1/2) y.
    pub(crate) fn whiten(&self, y: &[f64]) -> Vec<f64> {
        let n = y.len();
        match self {
            Self::Diagonal(v) => y.iter().zip(v).map(|(y, v)| y / v.sqrt()).collect(),
            Self::Full { b, d, .. } => {
                // Bᵀ y, divided by D, and back by B.
                let mut t = vec![0.0; n];
                for (row, &y) in b.chunks(n).zip(y) {
                    t.iter_mut().zip(row).for_each(|(t, b)| *t += b * y);
                }
                t.iter_mut().zip(d).for_each(|(t, d)| *t /= d);
                b.chunks(n).map(|row| row.iter().zip(&t).map(|(b, t)| b * t).sum()).collect()
            }
        }
    }

    /// ‖C^(-1/2) y‖².
    pub(crate) fn length2(&self, y: &[f64]) -> f64 {
        self.whiten(y).iter().map(|x| x * x).sum()
    }

    /// C ← decay·C + Σ weight·v vᵀ.
    pub(crate) fn update(&mut self, decay: f64, vectors: &[(f64, &[f64])]) {
        match self {
            Self::Diagonal(variance) => {
                for (i, x) in variance.iter_mut().enumerate() {
                    *x = decay * *x + vectors.iter().map(|(w, v)| w * v[i] * v[i]).sum::<f64>();
                }
            }
            Self::Full { c, .. } => {
                let (n, k) = (vectors[0].1.len(), vectors.len());
                let left = Mat::from_fn(n, k, |i, j| vectors[j].0 * vectors[j].1[i]);
                let right = Mat::from_fn(k, n, |j, i| vectors[j].1[i]);
                let outer = left * right;
                for i in 0..n {
                    for j in 0..=i {
                        // Both triangles get the same value: C stays symmetric in every bit.
                        let x = decay * c[i * n + j] + outer[(i, j)];
                        c[i * n + j] = x;
                        c[j * n + i] = x;
                    }
                }
            }
        }
    }

    /// Decomposes C anew if the last time is `gap` generations ago. `false` if C is not positive definite any more.
    pub(crate) fn refresh(&mut self, generation: u64, gap: f64) -> bool {
        match self {
            Self::Diagonal(v) => v.iter().all(|v| v.is_finite() && *v > 0.0),
            Self::Full { c, b, d, decomposed_at } => {
                if ((generation - *decomposed_at) as f64) < gap.max(1.0) {
                    return true;
                }
                let n = d.len();
                if c.iter().any(|x| !x.is_finite()) {
                    return false;
                }
                let matrix = Mat::from_fn(n, n, |i, j| c[i * n + j]);
                let Ok(eigen) = matrix.self_adjoint_eigen(Side::Lower) else { return false };
                let (u, s) = (eigen.U(), eigen.S());
                if (0..n).any(|i| s[i] <= 0.0 || s[i].is_nan()) {
                    return false;
                }
                for i in 0..n {
                    d[i] = s[i].sqrt();
                    for j in 0..n {
                        b[i * n + j] = u[(i, j)];
                    }
                }
                *decomposed_at = generation;
                true
            }
        }
    }
}

/// Rows of `a` (rows × n) times Bᵀ: each row becomes B·row.
fn product(a: &[f64], rows: usize, b: &[f64], n: usize) -> Vec<f64> {
    let left = Mat::from_fn(rows, n, |i, j| a[i * n + j]);
    let right = Mat::from_fn(n, n, |i, j| b[j * n + i]);
    let out = left * right;
    (0..rows * n).map(|i| out[(i / n, i % n)]).collect()
}
