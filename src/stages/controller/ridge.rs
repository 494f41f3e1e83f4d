//! Ridge regression by the sums of its normal equations, which can be made in parts.

use frmdn_engine::cholesky::Cholesky;

/// Sums of the normal equations of `outputs` regressions on the same rows: Gram matrix, products
/// with the outputs, and of each output its sum and sum of squares.
pub struct Ridge {
    n: usize,
    gram: Vec<f64>,
    right: Vec<f64>,
    outputs: Vec<[f64; 2]>,
    rows: f64,
}

impl Ridge {
    /// Sums over no rows yet, for rows of `n` values.
    pub fn new(n: usize, outputs: usize) -> Self {
        Self {
            n,
            gram: vec![0.0; n * n],
            right: vec![0.0; n * outputs],
            outputs: vec![[0.0; 2]; outputs],
            rows: 0.0,
        }
    }

    /// Adds a row, whose last value is 1, with its targets.
    pub fn add(&mut self, row: &[f64], targets: &[f64]) {
        let (n, outputs) = (self.n, targets.len());
        for (i, x) in row.iter().enumerate() {
            // The lower triangle.
            for (sum, y) in self.gram[i * n..=i * n + i].iter_mut().zip(row) {
                *sum += x * y;
            }
            let right = &mut self.right[i * outputs..(i + 1) * outputs];
            for (sum, target) in right.iter_mut().zip(targets) {
                *sum += x * target;
            }
        }
        for ([sum, squares], target) in self.outputs.iter_mut().zip(targets) {
            *sum += target;
            *squares += target * target;
        }
        self.rows += 1.0;
    }

    /// Adds the rows of `other`.
    pub fn merge(&mut self, other: Self) {
        for (sum, part) in self.gram.iter_mut().zip(other.gram) {
            *sum += part;
        }
        for (sum, part) in self.right.iter_mut().zip(other.right) {
            *sum += part;
        }
        for ([sum, squares], part) in self.outputs.iter_mut().zip(other.outputs) {
            *sum += part[0];
            *squares += part[1];
        }
        self.rows += other.rows;
    }

    /// The weights of every output, with `ridge` times the number of rows on the diagonal except
    /// for the last value, and the part of the outputs' variance that they explain on these rows.
    /// `None` where there are no rows.
    pub fn solve(mut self, ridge: f64) -> Option<(Vec<Vec<f64>>, f64)> {
        let (n, outputs) = (self.n, self.outputs.len());
        for i in 0..n - 1 {
            self.gram[i * n + i] += ridge * self.rows;
        }
        let gram = Cholesky::new(self.gram, n)?;
        let (mut explained, mut total) = (0.0, 0.0);
        let mut all = Vec::with_capacity(outputs);
        for (output, [sum, squares]) in self.outputs.into_iter().enumerate() {
            let right: Vec<f64> = (0..n).map(|i| self.right[i * outputs + output]).collect();
            let mut weights = right.clone();
            gram.solve(&mut weights);
            // Σ y ŷ less the mean's part: with a ridge a little less than what is explained.
            explained += right.iter().zip(&weights).map(|(r, w)| r * w).sum::<f64>()
                - sum * sum / self.rows.max(1.0);
            total += squares - sum * sum / self.rows.max(1.0);
            all.push(weights);
        }
        Some((all, explained / total.max(f64::MIN_POSITIVE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_relation_is_found_and_parts_add_up() {
        let row = |i: u32| vec![f64::from(i % 7), f64::from(i * i % 11), 1.0];
        let wanted = |row: &[f64]| [2.0 * row[0] - row[1] + 3.0, 0.5 * row[1] - 1.0];
        let (mut whole, mut parts) = (Ridge::new(3, 2), [Ridge::new(3, 2), Ridge::new(3, 2)]);
        for i in 0..50 {
            whole.add(&row(i), &wanted(&row(i)));
            parts[usize::from(i >= 20)].add(&row(i), &wanted(&row(i)));
        }
        let [mut first, second] = parts;
        first.merge(second);
        for sums in [whole, first] {
            let (weights, explained) = sums.solve(0.0).unwrap();
            for (found, right) in weights
                .concat()
                .iter()
                .zip([2.0, -1.0, 3.0, 0.0, 0.5, -1.0])
            {
                assert!((found - right).abs() < 1e-9, "{found} {right}");
            }
            assert!((explained - 1.0).abs() < 1e-9);
        }
        assert!(Ridge::new(3, 2).solve(0.0).is_none());
    }
}
