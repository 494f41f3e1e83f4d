//! Named random streams derived from one root seed.
//!
//! A stream is a function of (root seed, name, indices): `stream(7, "vision/noise", &[update,
//! shard])` is the same generator wherever and whenever it is made, so nothing about randomness has
//! to be saved to resume a run.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
pub use rand_pcg::Pcg64;

/// Steele, Lea & Flood's SplitMix64 finaliser: a bijection that mixes all 64 bits.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The generator of stream `name` at `indices` under `root`.
pub fn stream(root: u64, name: &str, indices: &[u64]) -> Pcg64 {
    let mut a = mix(root);
    for byte in name.bytes() {
        a = mix(a ^ u64::from(byte));
    }
    for &index in indices {
        a = mix(a ^ mix(index));
    }
    let (b, c, d) = (mix(a ^ 1), mix(a ^ 2), mix(a ^ 3));
    Pcg64::new(
        (u128::from(a) << 64) | u128::from(b),
        (u128::from(c) << 64) | u128::from(d),
    )
}

/// Fills `out` with independent standard normal values.
pub fn fill_normal(rng: &mut Pcg64, out: &mut [f32]) {
    for x in out {
        *x = StandardNormal.sample(rng);
    }
}

/// Fills `out` with independent values uniform in `[-bound, bound)`.
pub fn fill_uniform(rng: &mut Pcg64, bound: f32, out: &mut [f32]) {
    for x in out {
        // 24 random bits: every f32 in [0, 1) on that grid is exact.
        *x = bound * (2.0 * ((rng.next_u32() >> 8) as f32 / 16_777_216.0) - 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |root, name: &str, at: &[u64]| stream(root, name, at).next_u64();
        assert_eq!(draw(1, "a", &[2, 3]), draw(1, "a", &[2, 3]));
        let all = [
            draw(1, "a", &[2, 3]),
            draw(1, "a", &[3, 2]),
            draw(1, "b", &[2, 3]),
            draw(2, "a", &[2, 3]),
            draw(1, "a", &[2]),
        ];
        for (i, x) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|y| y != x));
        }
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let mut x = vec![0.0; 200_000];
        fill_normal(&mut stream(3, "t", &[]), &mut x);
        let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / 2e5;
        let var = x.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>() / 2e5;
        // Five standard errors: 5/√200000 = 0.011 for the mean, 5·√2/√200000 = 0.016 for the
        // variance.
        assert!(
            mean.abs() < 0.0112 && (var - 1.0).abs() < 0.0159,
            "{mean} {var}"
        );
    }
}
