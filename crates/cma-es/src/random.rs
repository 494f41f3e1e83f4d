//! The random numbers of a generation.

use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

/// Steele, Lea & Flood's SplitMix64 finaliser: a bijection that mixes all 64 bits.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// `count` standard normal numbers, a function of seed and generation.
///
/// State and increment of the generator are both mixed from the two. The same state with
/// consecutive increments will not do: such sequences of PCG64 are an arithmetic progression in the
/// increment, and generations would be correlated.
pub(crate) fn normals(seed: u64, generation: u64, count: usize) -> Vec<f64> {
    let a = mix(mix(seed).wrapping_add(generation));
    let wide = |i: u64| u128::from(mix(a ^ i)) << 64 | u128::from(mix(a ^ (i + 1)));
    let mut rng = Pcg64::new(wide(1), wide(3));
    (0..count)
        .map(|_| StandardNormal.sample(&mut rng))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_and_generation_are_not_interchangeable() {
        assert_ne!(normals(1, 2, 8), normals(2, 1, 8));
        assert_ne!(normals(1, 1, 8), normals(2, 2, 8));
    }

    #[test]
    fn generations_and_seeds_are_uncorrelated_place_by_place() {
        const LENGTH: usize = 24;
        const COUNT: u64 = 4000;
        for of in [|i| normals(1, i, LENGTH), |i| normals(i, 1, LENGTH)] {
            let rows: Vec<Vec<f64>> = (0..COUNT).map(of).collect();
            for lag in [1, 2, 4, 8] {
                for place in 0..LENGTH {
                    let sum: f64 = rows
                        .iter()
                        .zip(&rows[lag..])
                        .map(|(a, b)| a[place] * b[place])
                        .sum();
                    // The sum of 4000 products of independent normals has standard deviation √4000.
                    // Of 192 such sums one in a thousand runs would be beyond 4.5 deviations.
                    assert!(
                        (sum / (COUNT as f64).sqrt()).abs() < 4.5,
                        "lag {lag}, place {place}: {sum}"
                    );
                }
            }
        }
    }
}
