//! The random numbers of numpy: `Generator(PCG64(SeedSequence(seed)))`.
//!
//! Gymnasium draws a track from numpy's default generator. To get the same track from the same
//! seed, this module computes the same numbers: the hash that spreads a seed over the state
//! (`numpy/random/bit_generator.pyx`, `SeedSequence`), the generator PCG XSL-RR 128/64 (`pcg64.h`),
//! and doubles with 53 random bits.

const POOL: usize = 4;
const MULTIPLIER: u128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645;

/// A stream of random numbers, equal to numpy's for the same seed. Its fields are those of numpy's
/// `PCG64().state`, so that a stream can go on where one of numpy stands, and back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    /// numpy's `state`.
    pub state: u128,
    /// numpy's `inc`, an odd number.
    pub increment: u128,
    /// The upper half of 64 bits whose lower half was used: numpy's `uinteger`, where `has_uint32`.
    pub half: Option<u32>,
}

impl Rng {
    /// The stream of `numpy.random.default_rng(seed)`.
    pub fn new(seed: u64) -> Self {
        Self::from_state(generate_state(&words(seed)))
    }

    /// The stream of the `child`-th child of the seed: `SeedSequence(seed, spawn_key=(child,))`.
    /// Its numbers are independent of those of [`Rng::new`].
    pub fn child(seed: u64, child: u32) -> Self {
        let mut entropy = words(seed);
        // numpy pads to the size of the pool, so that a spawn key differs from more entropy
        entropy.resize(POOL.max(entropy.len()), 0);
        entropy.push(child);
        Self::from_state(generate_state(&entropy))
    }

    fn from_state(words: [u64; 4]) -> Self {
        let wide = |high: u64, low: u64| (u128::from(high) << 64) | u128::from(low);
        let mut rng = Self {
            state: 0,
            increment: (wide(words[2], words[3]) << 1) | 1,
            half: None,
        };
        rng.advance();
        rng.state = rng.state.wrapping_add(wide(words[0], words[1]));
        rng.advance();
        rng
    }

    fn advance(&mut self) {
        self.state = self
            .state
            .wrapping_mul(MULTIPLIER)
            .wrapping_add(self.increment);
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.advance();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    /// 32 random bits: the lower half of 64, and in the next call the upper half.
    fn next_u32(&mut self) -> u32 {
        if let Some(half) = self.half.take() {
            return half;
        }
        let bits = self.next_u64();
        self.half = Some((bits >> 32) as u32);
        bits as u32
    }

    /// An integer in `0..n`, as `Generator.integers(n)` draws it (Lemire 2019, arXiv 1805.10941).
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn integer(&mut self, n: u32) -> u32 {
        assert!(n > 0, "there is no number below 0");
        let rejected = n.wrapping_neg() % n;
        loop {
            let wide = u64::from(self.next_u32()) * u64::from(n);
            if wide as u32 >= rejected {
                return (wide >> 32) as u32;
            }
        }
    }

    /// A number in `[0, 1)` with 53 random bits.
    pub fn random(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// A number in `[low, high)`, rounded as `Generator.uniform` rounds it.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.random()
    }
}

/// The seed as 32-bit words, least significant first, without leading zeros (zero is one word).
fn words(seed: u64) -> Vec<u32> {
    let (low, high) = (seed as u32, (seed >> 32) as u32);
    if high == 0 {
        vec![low]
    } else {
        vec![low, high]
    }
}

/// Mixes the entropy into a pool of four words and expands the pool to the 256 bits of PCG64's
/// state and increment.
fn generate_state(entropy: &[u32]) -> [u64; 4] {
    let mut hash = Hash {
        constant: 0x43b0_d7e5,
        multiplier: 0x931e_8875,
    };
    let mut pool = [0u32; POOL];
    for (i, slot) in pool.iter_mut().enumerate() {
        *slot = hash.mix_in(entropy.get(i).copied().unwrap_or(0));
    }
    for source in 0..POOL {
        for target in 0..POOL {
            if source != target {
                pool[target] = mix(pool[target], hash.mix_in(pool[source]));
            }
        }
    }
    for &word in entropy.iter().skip(POOL) {
        for slot in &mut pool {
            *slot = mix(*slot, hash.mix_in(word));
        }
    }

    let mut hash = Hash {
        constant: 0x8b51_f9dd,
        multiplier: 0x58f3_8ded,
    };
    let mut halves = pool
        .iter()
        .cycle()
        .map(|&word| u64::from(hash.mix_in(word)));
    std::array::from_fn(|_| {
        let low = halves.next().unwrap_or_default();
        let high = halves.next().unwrap_or_default();
        low | (high << 32)
    })
}

/// A multiplicative hash whose constant changes with every word.
struct Hash {
    constant: u32,
    multiplier: u32,
}

impl Hash {
    fn mix_in(&mut self, word: u32) -> u32 {
        let value = word ^ self.constant;
        self.constant = self.constant.wrapping_mul(self.multiplier);
        let value = value.wrapping_mul(self.constant);
        value ^ (value >> 16)
    }
}

fn mix(x: u32, y: u32) -> u32 {
    let value = x
        .wrapping_mul(0xca01_f9dd)
        .wrapping_sub(y.wrapping_mul(0x4973_f715));
    value ^ (value >> 16)
}

#[cfg(test)]
mod tests {
    use super::Rng;

    // Expected values: numpy 2, `numpy.random.default_rng(seed).uniform()` and
    // `Generator(PCG64(SeedSequence(seed, spawn_key=(child,)))).uniform()`.
    #[test]
    fn equals_numpy() {
        let draws = |mut rng: Rng| [rng.random(), rng.random(), rng.random()];
        assert_eq!(
            draws(Rng::new(0)),
            [0.6369616873214543, 0.2697867137638703, 0.04097352393619469]
        );
        assert_eq!(
            draws(Rng::new(1)),
            [0.5118216247002567, 0.9504636963259353, 0.14415961271963373]
        );
        assert_eq!(
            draws(Rng::new((1 << 40) + 7)),
            [0.829812891829413, 0.25530515834910417, 0.15379071585298754]
        );
        assert_eq!(
            draws(Rng::new(u64::MAX)),
            [0.6800266789616931, 0.8453117585624743, 0.007403081599260064]
        );
        assert_eq!(
            draws(Rng::child(1, 0)),
            [0.6990345474368357, 0.17433552137309583, 0.6451185321972944]
        );
        assert_eq!(
            draws(Rng::child((1 << 40) + 7, 3)),
            [0.0625711543560401, 0.848173245522845, 0.10377971154148957]
        );
    }

    // numpy 2: `PCG64(5).state["state"]`.
    #[test]
    fn the_fields_are_numpys() {
        let wanted = Rng {
            state: 0xe500_c1d1_29ce_9183_d973_b921_e554_efee,
            increment: 0xaf6f_7b8c_936a_b4a4_4f02_0b7b_2d10_234d,
            half: None,
        };
        assert_eq!(Rng::new(5), wanted);
    }

    // numpy 2: `g = default_rng(5); [g.integers(3) for _ in range(8)], g.uniform()`.
    #[test]
    fn whole_numbers_equal_numpy() {
        let mut rng = Rng::new(5);
        assert_eq!(
            std::array::from_fn(|_| rng.integer(3)),
            [2, 2, 0, 2, 1, 1, 1, 0]
        );
        assert_eq!(rng.uniform(0.0, 1.0), 0.053930702381656426);
    }
}
