//! Rank correlation.

/// Spearman's rank correlation of pairs, ties at their mean rank; not a number where one side is
/// all the same.
pub fn spearman(pairs: &[[f64; 2]]) -> f64 {
    let ranks = [0, 1].map(|side| mid_ranks(&pairs.iter().map(|p| p[side]).collect::<Vec<f64>>()));
    let middle = (pairs.len() as f64 - 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| {
        a.iter()
            .zip(b)
            .map(|(x, y)| (x - middle) * (y - middle))
            .sum::<f64>()
    };
    product(&ranks[0], &ranks[1])
        / (product(&ranks[0], &ranks[0]) * product(&ranks[1], &ranks[1])).sqrt()
}

/// Ranks from 0; equal values share the mean of theirs.
fn mid_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    for same in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let first = order.iter().position(|i| *i == same[0]).unwrap_or_default();
        let rank = first as f64 + (same.len() as f64 - 1.0) / 2.0;
        same.iter().for_each(|&i| ranks[i] = rank);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without ties 1 − 6 Σ d²/(n (n² − 1)): ranks 0 1 2 3 4 against 1 0 2 4 3 have Σ d² = 4, so 1
    /// − 24/120 = 0.8. With ties, ranks 0, 1.5, 1.5, 3 against 0 1 2 3: centred products 2.25 + 0 +
    /// 0 + 2.25 = 4.5 over √(4.5 · 5), that is 0.9486833.
    #[test]
    fn rank_correlations_by_hand() {
        let correlation = |a: &[f64], b: &[f64]| {
            spearman(&a.iter().zip(b).map(|(a, b)| [*a, *b]).collect::<Vec<_>>())
        };
        assert!(
            (correlation(&[1.0, 2.0, 3.0, 4.0, 5.0], &[20.0, 10.0, 30.0, 500.0, 40.0]) - 0.8).abs()
                < 1e-12
        );
        assert!(
            (correlation(&[1.0, 2.0, 2.0, 9.0], &[1.0, 2.0, 3.0, 4.0]) - 0.948_683_298).abs()
                < 1e-8
        );
        assert!((correlation(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]) + 1.0).abs() < 1e-12);
        assert!(correlation(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]).is_nan());
        assert!(correlation(&[], &[]).is_nan());
    }
}
