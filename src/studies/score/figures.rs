//! Statistics of lists of numbers: interquartile mean, area under a curve.

/// Interquartile mean: of what is left without the ⌊n/4⌋ lowest and the ⌊n/4⌋ highest values.
pub fn iqm(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    let left = &sorted[cut..sorted.len() - cut];
    left.iter().sum::<f64>() / left.len() as f64
}

/// Mean height of the curve through `points` (x rising) from its first to its last x, straight
/// between them.
pub fn area(points: &[[f64; 2]]) -> f64 {
    let sum: f64 = points
        .windows(2)
        .map(|p| (p[1][0] - p[0][0]) * f64::midpoint(p[0][1], p[1][1]))
        .sum();
    match points {
        [first, .., last] => sum / (last[0] - first[0]),
        _ => points.first().map_or(f64::NAN, |p| p[1]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interquartile_means_leave_out_a_quarter_on_each_side() {
        assert_eq!(iqm(&[100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -50.0]), 3.5);
        assert_eq!(iqm(&[7.0, 1.0, 4.0]), 4.0);
        assert_eq!(iqm(&[2.0]), 2.0);
    }

    /// From 0 to 10 at x = 4, then level to x = 8: (20 + 40)/8.
    #[test]
    fn areas_are_mean_heights() {
        assert!((area(&[[0.0, 0.0], [4.0, 10.0], [8.0, 10.0]]) - 7.5).abs() < 1e-12);
        assert_eq!(area(&[[3.0, 5.0]]), 5.0);
    }
}
