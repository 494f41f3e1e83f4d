//! One Gaussian, in every form: low-rank forms by an r × r Cholesky factor, never d × d. The full
//! form needs no factorisation.

use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

use crate::Form;

/// A Gaussian N(0, P⁻¹). Made once, it can be set again and again without allocating.
#[derive(Clone, Debug)]
pub struct Gaussian {
    form: Form,
    d: Vec<f64>,
    /// The columns of U one after the other `[r, d]`; in the full form A below its diagonal, row
    /// after row.
    u: Vec<f64>,
    /// Lower Cholesky factor of the capacitance C = I + Uᵀ D⁻¹ U (of a covariance, I + Uᵀ D U) `[r,
    /// r]`.
    l: Vec<f64>,
    rank: usize,
}

/// Where row `i` of A begins in its part below the diagonal.
fn row(i: usize) -> usize {
    i * i.saturating_sub(1) / 2
}

/// C⁻¹ t in place, C = L Lᵀ with `l` `[r, r]`, by the two triangular systems.
fn solve(l: &[f64], t: &mut [f64]) {
    let r = t.len();
    for i in 0..r {
        t[i] = (t[i] - (0..i).map(|k| l[i * r + k] * t[k]).sum::<f64>()) / l[i * r + i];
    }
    for i in (0..r).rev() {
        t[i] = (t[i] - (i + 1..r).map(|k| l[k * r + i] * t[k]).sum::<f64>()) / l[i * r + i];
    }
}

impl Gaussian {
    /// A Gaussian of no dimension, to be set.
    pub fn new(form: Form) -> Self {
        Self {
            form,
            d: Vec::new(),
            u: Vec::new(),
            l: Vec::new(),
            rank: 0,
        }
    }

    /// Its form.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Sets log D and U (column after column; in the full form A below its diagonal, row after
    /// row).
    ///
    /// # Panics
    /// If U has a part of a column.
    pub fn set(&mut self, log_d: impl Iterator<Item = f64>, u: impl Iterator<Item = f64>) {
        let Self {
            form,
            d,
            u: columns,
            l,
            rank,
        } = self;
        d.clear();
        d.extend(log_d.map(libm::exp));
        columns.clear();
        columns.extend(u);
        let n = d.len();
        if *form == Form::Full {
            assert_eq!(columns.len(), row(n), "A has all of its rows");
            return;
        }
        let r = columns.len() / n.max(1);
        assert_eq!(columns.len(), r * n, "U has whole columns");
        *rank = r;
        l.clear();
        l.resize(r * r, 0.0);
        for i in 0..r {
            for j in 0..=i {
                let (a, b) = (&columns[i * n..][..n], &columns[j * n..][..n]);
                let products = a.iter().zip(b).zip(d.iter());
                let sum: f64 = match form {
                    Form::LowRankCovariance => products.map(|((a, b), d)| a * b * d).sum(),
                    _ => products.map(|((a, b), d)| a * b / d).sum(),
                };
                let c = sum + f64::from(u8::from(i == j));
                let rest = c - (0..j).map(|k| l[i * r + k] * l[j * r + k]).sum::<f64>();
                // A pivot of I + (something positive semi-definite) is never below 1.
                l[i * r + j] = if i == j {
                    rest.max(1.0).sqrt()
                } else {
                    rest / l[j * r + j]
                };
            }
        }
    }

    /// Columns of U, of the length of D.
    fn columns(&self) -> impl Iterator<Item = &[f64]> {
        self.u.chunks_exact(self.d.len().max(1))
    }

    /// log det P. Low rank, equation 3: Σ log dᵢ + log det C (matrix determinant lemma); of a
    /// covariance minus log det C; in the full form, as in the diagonal one, Σ log dᵢ.
    pub fn log_det(&self) -> f64 {
        let capacitance: f64 = 2.0
            * (0..self.rank)
                .map(|i| libm::log(self.l[i * self.rank + i]))
                .sum::<f64>();
        let sign = if self.form == Form::LowRankCovariance {
            -1.0
        } else {
            1.0
        };
        self.d.iter().map(|d| libm::log(*d)).sum::<f64>() + sign * capacitance
    }

    /// eᵀ P e. Equation 4: Σ dᵢ eᵢ² + ‖Uᵀ e‖²; of a covariance (equation 7) Σ dᵢ (e − U t)ᵢ² + ‖t‖²
    /// with t = C⁻¹ Uᵀ D e; in the full form (equation 8) ‖√D Aᵀ e‖². `t` is a buffer.
    pub fn quadratic(&self, e: &[f64], t: &mut Vec<f64>) -> f64 {
        let Self { form, d, u, l, .. } = self;
        let weighted = |e: &[f64]| -> f64 { d.iter().zip(e).map(|(d, e)| d * e * e).sum() };
        match form {
            Form::Full => {
                t.clear();
                t.extend_from_slice(e);
                for i in 1..d.len() {
                    for (t, a) in t.iter_mut().zip(&u[row(i)..][..i]) {
                        *t += a * e[i];
                    }
                }
                weighted(t)
            }
            Form::LowRankCovariance => {
                t.clear();
                for u in self.columns() {
                    let products = u.iter().zip(e.iter().zip(d));
                    t.push(products.map(|(u, (e, d))| u * e * d).sum::<f64>());
                }
                solve(l, t);
                let rest = |i: usize| {
                    let ut = self.columns().zip(t.iter());
                    e[i] - ut.map(|(u, t)| u[i] * t).sum::<f64>()
                };
                let moved: f64 = d.iter().enumerate().map(|(i, d)| d * rest(i).powi(2)).sum();
                moved + t.iter().map(|t| t * t).sum::<f64>()
            }
            _ => {
                let projection = |u: &[f64]| u.iter().zip(e).map(|(u, e)| u * e).sum::<f64>();
                weighted(e) + self.columns().map(|u| projection(u).powi(2)).sum::<f64>()
            }
        }
    }

    /// A draw from N(0, P⁻¹) into `v`; `t` is a buffer. Low rank, equation 5: with v = √D ε₁ + U ε₂
    /// ~ N(0, P), P⁻¹ v = D⁻¹ v − D⁻¹ U C⁻¹ Uᵀ D⁻¹ v. Of a covariance D^-½ ε₁ + U ε₂. In the full
    /// form A⁻ᵀ D^-½ ε₁.
    pub fn sample(&self, rng: &mut Pcg64, v: &mut Vec<f64>, t: &mut Vec<f64>) {
        let normal = |rng: &mut Pcg64| -> f64 { StandardNormal.sample(rng) };
        let Self { form, d, u, l, .. } = self;
        v.clear();
        if matches!(form, Form::Full | Form::LowRankCovariance) {
            v.extend(d.iter().map(|d| normal(rng) / d.sqrt()));
            if *form == Form::LowRankCovariance {
                for u in self.columns() {
                    let e = normal(rng);
                    v.iter_mut().zip(u).for_each(|(v, u)| *v += u * e);
                }
                return;
            }
            for i in (1..d.len()).rev() {
                let (before, rest) = v.split_at_mut(i);
                for (v, a) in before.iter_mut().zip(&u[row(i)..][..i]) {
                    *v -= a * rest[0];
                }
            }
            return;
        }
        v.extend(d.iter().map(|d| d.sqrt() * normal(rng)));
        for u in self.columns() {
            let e = normal(rng);
            v.iter_mut().zip(u).for_each(|(v, u)| *v += u * e);
        }
        v.iter_mut().zip(d).for_each(|(v, d)| *v /= d);
        t.clear();
        t.extend(
            self.columns()
                .map(|u| u.iter().zip(v.iter()).map(|(u, v)| u * v).sum::<f64>()),
        );
        solve(l, t);
        for (u, t) in self.columns().zip(t) {
            for (v, (u, d)) in v.iter_mut().zip(u.iter().zip(d)) {
                *v -= u / d * *t;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dense::{determinant, inverse};

    use super::*;
    use frmdn_engine::random::stream;

    /// Dense linear algebra by Gauss–Jordan, independent of what is tested.
    mod dense {
        pub fn inverse(a: &[Vec<f64>]) -> Vec<Vec<f64>> {
            let n = a.len();
            let mut m: Vec<Vec<f64>> = (0..n)
                .map(|i| {
                    [
                        a[i].clone(),
                        (0..n).map(|j| f64::from(u8::from(i == j))).collect(),
                    ]
                    .concat()
                })
                .collect();
            for i in 0..n {
                let p = (i..n)
                    .max_by(|&x, &y| m[x][i].abs().total_cmp(&m[y][i].abs()))
                    .unwrap();
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
                let p = (i..n)
                    .max_by(|&x, &y| m[x][i].abs().total_cmp(&m[y][i].abs()))
                    .unwrap();
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

    type Dense = Vec<Vec<f64>>;

    fn product(a: &Dense, b: &Dense) -> Dense {
        a.iter()
            .map(|row| {
                (0..b[0].len())
                    .map(|j| row.iter().zip(b).map(|(x, line)| x * line[j]).sum())
                    .collect()
            })
            .collect()
    }

    /// A Gaussian and its dense precision.
    fn example(form: Form, d: usize, r: usize) -> (Gaussian, Dense) {
        let mut rng = stream(d as u64, "gaussian-test", &[r as u64]);
        let mut draw = |n: usize| {
            (0..n)
                .map(|_| StandardNormal.sample(&mut rng))
                .collect::<Vec<f64>>()
        };
        let log_d = draw(d);
        let u = draw(if form == Form::Full {
            d * (d - 1) / 2
        } else {
            r * d
        });
        let diagonal = |sign: f64| -> Dense {
            (0..d)
                .map(|i| {
                    (0..d)
                        .map(|j| if i == j { (sign * log_d[i]).exp() } else { 0.0 })
                        .collect()
                })
                .collect()
        };
        let outer = |i: usize, j: usize| u.chunks(d).map(|u| u[i] * u[j]).sum::<f64>();
        let plus = |m: Dense| -> Dense {
            (0..d)
                .map(|i| (0..d).map(|j| m[i][j] + outer(i, j)).collect())
                .collect()
        };
        let dense = match form {
            Form::Full => {
                let mut rest = u.iter();
                let a: Dense = (0..d)
                    .map(|i| {
                        (0..d)
                            .map(|j| {
                                if j < i {
                                    *rest.next().unwrap()
                                } else {
                                    f64::from(u8::from(i == j))
                                }
                            })
                            .collect()
                    })
                    .collect();
                let transposed: Dense = (0..d).map(|i| (0..d).map(|j| a[j][i]).collect()).collect();
                product(&product(&a, &diagonal(1.0)), &transposed)
            }
            Form::LowRankCovariance => inverse(&plus(diagonal(-1.0))),
            _ => plus(diagonal(1.0)),
        };
        let mut gaussian = Gaussian::new(form);
        gaussian.set(log_d.into_iter(), u.into_iter());
        (gaussian, dense)
    }

    #[test]
    fn log_determinant_and_quadratic_form_are_those_of_the_dense_matrix() {
        let low = [(3, 0), (4, 1), (5, 2), (6, 4), (32, 8)]
            .map(|(d, r)| [(Form::LowRank, d, r), (Form::LowRankCovariance, d, r)]);
        for (form, d, r) in low.into_iter().flatten().chain([
            (Form::Diagonal, 4, 0),
            (Form::Full, 1, 0),
            (Form::Full, 6, 0),
        ]) {
            let (p, dense) = example(form, d, r);
            assert!(
                (p.log_det() - determinant(&dense).ln()).abs() < 1e-8,
                "{form:?} {d} {r}"
            );
            let e: Vec<f64> = (0..d).map(|i| (i as f64 * 0.7).sin()).collect();
            let want: f64 = (0..d)
                .map(|i| (0..d).map(|j| e[i] * dense[i][j] * e[j]).sum::<f64>())
                .sum();
            assert!((p.quadratic(&e, &mut Vec::new()) - want).abs() < 1e-9 * want.abs().max(1.0));
        }
    }

    #[test]
    fn samples_have_the_dense_inverse_as_covariance() {
        for form in [
            Form::Diagonal,
            Form::LowRank,
            Form::LowRankCovariance,
            Form::Full,
        ] {
            let (p, dense) = example(form, 4, if form == Form::Diagonal { 0 } else { 2 });
            let covariance = inverse(&dense);
            let n = 100_000;
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
                    let error = 5.0
                        * ((covariance[i][i] * covariance[j][j] + want * want) / n as f64).sqrt();
                    assert!(
                        (got - want).abs() < error,
                        "{form:?} {i} {j}: {got} {want} ± {error}"
                    );
                }
            }
        }
    }
}
