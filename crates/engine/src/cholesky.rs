//! Cholesky's decomposition of small symmetric matrices, in `f64`.

/// The lower factor L of a = L Lᵀ.
#[derive(Clone, Debug, PartialEq)]
pub struct Cholesky {
    l: Vec<f64>,
    n: usize,
}

impl Cholesky {
    /// Of the row-major matrix `a` `[n, n]`, whose lower triangle is read. `None` if it is not
    /// positive definite.
    ///
    /// # Panics
    /// If `a` does not have n² values: a programming error.
    pub fn new(mut a: Vec<f64>, n: usize) -> Option<Self> {
        assert_eq!(a.len(), n * n);
        for i in 0..n {
            for j in 0..=i {
                let rest = a[i * n + j] - (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum::<f64>();
                // The comparison is also false for what is not a number.
                a[i * n + j] = match i == j {
                    true if rest > 0.0 => rest.sqrt(),
                    true => return None,
                    false => rest / a[j * n + j],
                };
            }
        }
        Some(Self { l: a, n })
    }

    /// log |a|.
    pub fn log_det(&self) -> f64 {
        (0..self.n)
            .map(|i| 2.0 * libm::log(self.l[i * self.n + i]))
            .sum()
    }

    /// L⁻¹ b in place.
    pub fn forward(&self, b: &mut [f64]) {
        for i in 0..self.n {
            b[i] = (b[i] - (0..i).map(|k| self.l[i * self.n + k] * b[k]).sum::<f64>())
                / self.l[i * self.n + i];
        }
    }

    /// a⁻¹ b in place.
    pub fn solve(&self, b: &mut [f64]) {
        self.forward(b);
        for i in (0..self.n).rev() {
            b[i] = (b[i]
                - (i + 1..self.n)
                    .map(|k| self.l[k * self.n + i] * b[k])
                    .sum::<f64>())
                / self.l[i * self.n + i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hand calculation: [[4, 2], [2, 3]] has L = [[2, 0], [1, √2]], determinant 8, and solves (10,
    /// 9) by (1.5, 2).
    #[test]
    fn a_system_of_two() {
        let c = Cholesky::new(vec![4.0, 9.9, 2.0, 3.0], 2).unwrap();
        assert!((c.log_det() - 8f64.ln()).abs() < 1e-12);
        let mut b = [10.0, 9.0];
        c.solve(&mut b);
        assert!(
            (b[0] - 1.5).abs() < 1e-12 && (b[1] - 2.0).abs() < 1e-12,
            "{b:?}"
        );
        assert!(
            Cholesky::new(vec![1.0, 0.0, 2.0, 3.0], 2).is_none()
                && Cholesky::new(vec![f64::NAN], 1).is_none()
        );
    }
}
