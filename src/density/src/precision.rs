//! Gaussians whose precision is P = D + U Uᵀ (equations 2–5): everything by an r × r Cholesky factor, nothing d × d.

use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

/// P = D + U Uᵀ with D = diag(d) > 0 and U of rank r. Made once, it can be set again and again without allocating.
#[derive(Clone, Debug, Default)]
pub struct Precision {
    d: Vec<f64>,
    /// The columns of U one after the other `[r, d]`.
    u: Vec<f64>,
    /// Lower Cholesky factor of the capacitance C = I + Uᵀ D⁻¹ U `[r, r]`.
    l: Vec<f64>,
    rank: usize,
}

impl Precision {
    /// The precision of `log_d` (logarithms of D) and the columns of U, one after the other.
    pub fn new(log_d: impl Iterator<Item = f64>, u: impl Iterator<Item = f64>) -> Self {
        let mut precision = Self::default();
        precision.set(log_d, u);
        precision
    }

    /// Becomes another precision.
    ///
    /// # Panics
    /// If U has a part of a column.
    pub fn set(&mut self, log_d: impl Iterator<Item = f64>, u: impl Iterator<Item = f64>) {
        let Self { d, u: columns, l, rank } = self;
        d.clear();
        d.extend(log_d.map(f64::exp));
        columns.clear();
        columns.extend(u);
        let (n, r) = (d.len(), columns.len() / d.len().max(1));
        assert_eq!(columns.len(), r * n, "U has whole columns");
        *rank = r;
        l.clear();
        l.resize(r * r, 0.0);
        for i in 0..r {
            for j in 0..=i {
                let (a, b) = (&columns[i * n..][..n], &columns[j * n..][..n]);
                let c: f64 = a.iter().zip(b).zip(d.iter()).map(|((a, b), d)| a * b / d).sum::<f64>() + f64::from(u8::from(i == j));
                let rest = c - (0..j).map(|k| l[i * r + k] * l[j * r + k]).sum::<f64>();
                // A pivot of I + (something positive semi-definite) is never below 1.
                l[i * r + j] = if i == j { rest.max(1.0).sqrt() } else { rest / l[j * r + j] };
            }
        }
    }

    /// Columns of U, of the length of D.
    fn columns(&self) -> impl Iterator<Item = &[f64]> {
        self.u.chunks_exact(self.d.len().max(1))
    }

    /// Equation 3: log det P = Σ log dᵢ + log det C (matrix determinant lemma).
    pub fn log_det(&self) -> f64 {
        let capacitance: f64 = (0..self.rank).map(|i| self.l[i * self.rank + i].ln()).sum();
        self.d.iter().map(|d| d.ln()).sum::<f64>() + 2.0 * capacitance
    }

    /// Equation 4: eᵀ P e = Σ dᵢ eᵢ² + ‖Uᵀ e‖².
    pub fn quadratic(&self, e: &[f64]) -> f64 {
        let diagonal: f64 = self.d.iter().zip(e).map(|(d, e)| d * e * e).sum();
        diagonal + self.columns().map(|u| u.iter().zip(e).map(|(u, e)| u * e).sum::<f64>().powi(2)).sum::<f64>()
    }

    /// Equation 5: a draw from N(0, P⁻¹) into `v`: with v = √D ε₁ + U ε₂ ~ N(0, P), P⁻¹ v = D⁻¹ v − D⁻¹ U C⁻¹ Uᵀ D⁻¹ v. `t` is a
    /// buffer.
    pub fn sample(&self, rng: &mut Pcg64, v: &mut Vec<f64>, t: &mut Vec<f64>) {
        let normal = |rng: &mut Pcg64| -> f64 { StandardNormal.sample(rng) };
        v.clear();
        v.extend(self.d.iter().map(|d| d.sqrt() * normal(rng)));
        for u in self.columns() {
            let e = normal(rng);
            v.iter_mut().zip(u).for_each(|(v, u)| *v += u * e);
        }
        v.iter_mut().zip(&self.d).for_each(|(v, d)| *v /= d);
        t.clear();
        t.extend(self.columns().map(|u| u.iter().zip(v.iter()).map(|(u, v)| u * v).sum::<f64>()));
        let (r, l) = (self.rank, &self.l);
        // C⁻¹ t by the two triangular systems.
        for i in 0..r {
            t[i] = (t[i] - (0..i).map(|k| l[i * r + k] * t[k]).sum::<f64>()) / l[i * r + i];
        }
        for i in (0..r).rev() {
            t[i] = (t[i] - (i + 1..r).map(|k| l[k * r + i] * t[k]).sum::<f64>()) / l[i * r + i];
        }
        for (u, t) in self.columns().zip(t) {
            v.iter_mut().zip(u.iter().zip(&self.d)).for_each(|(v, (u, d))| *v -= u / d * *t);
        }
    }
}

#[cfg(test)]
mod tests {
    use faer_free::{determinant, inverse};

    use super::*;
    use frmdn_engine::random::stream;

    /// Dense linear algebra by Gauss–Jordan, independent of what is tested.
    mod faer_free {
        pub fn inverse(a: &[Vec<f64>]) -> Vec<Vec<f64>> {
            let n = a.len();
            let mut m: Vec<Vec<f64>> =
                (0..n).map(|i| [a[i].clone(), (0..n).map(|j| f64::from(u8::from(i == j))).collect()].concat()).collect();
            for i in 0..n {
                let p = (i..n).max_by(|&x, &y| m[x][i].abs().total_cmp(&m[y][i].abs())).unwrap();
                m.swap(i, p);
                let pivot = m[i][i];
                m[i].iter_mut().for_each(|v| *v /= pivot);
                for r in 0..n {
                    if r != i {
                        let f = m[r][i];
                        let row = m[i].clone();
                        m[r].iter_mut().zip(row).for_each(|(v, w)| *v -= f * w);
                    }
                }
            }
            m.into_iter().map(|row| row[n..].to_vec()).collect()
        }

        pub fn determinant(a: &[Vec<f64>]) -> f64 {
            let n = a.len();
            let mut m = a.to_vec();
            let mut det = 1.0;
            for i in 0..n {
                let p = (i..n).max_by(|&x, &y| m[x][i].abs().total_cmp(&m[y][i].abs())).unwrap();
                if p != i {
                    m.swap(i, p);
                    det = -det;
                }
                det *= m[i][i];
                for r in i + 1..n {
                    let f = m[r][i] / m[i][i];
                    let row = m[i].clone();
                    m[r].iter_mut().zip(row).for_each(|(v, w)| *v -= f * w);
                }
            }
            det
        }
    }

    fn example(d: usize, r: usize) -> (Precision, Vec<Vec<f64>>) {
        let mut rng = stream(d as u64, "precision-test", &[r as u64]);
        let mut draw = |n: usize| (0..n).map(|_| StandardNormal.sample(&mut rng)).collect::<Vec<f64>>();
        let log_d = draw(d);
        let u: Vec<Vec<f64>> = (0..r).map(|_| draw(d)).collect();
        let dense = (0..d)
            .map(|i| (0..d).map(|j| u.iter().map(|u| u[i] * u[j]).sum::<f64>() + if i == j { log_d[i].exp() } else { 0.0 }).collect())
            .collect();
        (Precision::new(log_d.into_iter(), u.into_iter().flatten()), dense)
    }

    #[test]
    fn log_determinant_and_quadratic_form_are_those_of_the_dense_matrix() {
        for (d, r) in [(3, 0), (4, 1), (5, 2), (6, 4), (32, 8)] {
            let (p, dense) = example(d, r);
            assert!((p.log_det() - determinant(&dense).ln()).abs() < 1e-8, "{d} {r}");
            let e: Vec<f64> = (0..d).map(|i| (i as f64 * 0.7).sin()).collect();
            let want: f64 = (0..d).map(|i| (0..d).map(|j| e[i] * dense[i][j] * e[j]).sum::<f64>()).sum();
            assert!((p.quadratic(&e) - want).abs() < 1e-9 * want.abs().max(1.0));
        }
    }

    #[test]
    fn samples_have_the_dense_inverse_as_covariance() {
        let (p, dense) = example(4, 2);
        let covariance = inverse(&dense);
        let n = 200_000;
        let mut rng = stream(5, "precision-sample", &[]);
        let mut sums = vec![vec![0.0; 4]; 4];
        let (mut x, mut t) = (Vec::new(), Vec::new());
        for _ in 0..n {
            p.sample(&mut rng, &mut x, &mut t);
            for i in 0..4 {
                for j in 0..4 {
                    sums[i][j] += x[i] * x[j];
                }
            }
        }
        for i in 0..4 {
            for j in 0..4 {
                let (got, want) = (sums[i][j] / n as f64, covariance[i][j]);
                // The variance of xᵢxⱼ is Σᵢᵢ Σⱼⱼ + Σᵢⱼ²: five standard errors.
                let error = 5.0 * ((covariance[i][i] * covariance[j][j] + want * want) / n as f64).sqrt();
                assert!((got - want).abs() < error, "{i} {j}: {got} {want} ± {error}");
            }
        }
    }
}
