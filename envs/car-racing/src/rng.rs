//! NumPy's default generator: `SeedSequence(seed)` feeding PCG64 (XSL-RR 128/64), and `Generator.uniform`.
//!
//! Source: numpy/random/bit_generator.pyx and numpy/random/src/pcg64; M. O'Neill, "PCG" (2014).

use rand_pcg::{Pcg64, rand_core::Rng};

/// `numpy.random.Generator(PCG64(SeedSequence(seed)))`.
#[derive(Clone, Debug)]
pub struct NumpyRng(Pcg64);

impl NumpyRng {
    /// The generator of `seed`.
    pub fn new(seed: u64) -> Self {
        let w = seed_sequence(seed);
        let wide = |hi: u64, lo: u64| (u128::from(hi) << 64) | u128::from(lo);
        Self(Pcg64::new(wide(w[0], w[1]), wide(w[2], w[3])))
    }

    /// `Generator.uniform(low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.0.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0);
        low + (high - low) * unit
    }
}

const MULT_A: u32 = 0x931e_8875;
const MULT_B: u32 = 0x58f3_8ded;

/// `SeedSequence(seed).generate_state(4, uint64)`.
fn seed_sequence(seed: u64) -> [u64; 4] {
    let mut constant: u32 = 0x43b0_d7e5;
    let mut hash = |value: u32| {
        let mut v = value ^ constant;
        constant = constant.wrapping_mul(MULT_A);
        v = v.wrapping_mul(constant);
        v ^ (v >> 16)
    };
    let mix = |x: u32, y: u32| {
        let r = x.wrapping_mul(0xca01_f9dd).wrapping_sub(y.wrapping_mul(0x4973_f715));
        r ^ (r >> 16)
    };
    let mut pool = [seed as u32, (seed >> 32) as u32, 0, 0].map(&mut hash);
    for from in 0..4 {
        for to in 0..4 {
            if from != to {
                pool[to] = mix(pool[to], hash(pool[from]));
            }
        }
    }
    let mut constant: u32 = 0x8b51_f9dd;
    let words: Vec<u32> = (0..8)
        .map(|i| {
            let mut v = pool[i % 4] ^ constant;
            constant = constant.wrapping_mul(MULT_B);
            v = v.wrapping_mul(constant);
            v ^ (v >> 16)
        })
        .collect();
    std::array::from_fn(|i| u64::from(words[2 * i]) | (u64::from(words[2 * i + 1]) << 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// numpy 2.4.6: `np.random.Generator(np.random.PCG64(np.random.SeedSequence(1))).random(3)`.
    #[test]
    fn seed_one_gives_numpys_numbers() {
        let mut rng = NumpyRng::new(1);
        for want in [0.511_821_624_700_256_7, 0.950_463_696_325_935_3, 0.144_159_612_719_633_73] {
            assert_eq!(rng.uniform(0.0, 1.0).to_bits(), f64::to_bits(want));
        }
    }
}
