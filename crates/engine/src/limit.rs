//! Peak arithmetic rate of the processor, as the reference for the kernels.
#![expect(unsafe_code, reason = "vector intrinsics behind a question to the CPU")]

use std::{hint::black_box, time::Instant};

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::{
    linear::Linear,
    simd::{Portable, Set, Simd, set},
};

/// Chains of fused multiply-adds that do not wait for each other: more than the latency times the
/// number of units.
const CHAINS: usize = 12;
/// Steps of each chain.
const STEPS: usize = 1 << 20;

/// `STEPS` dependent multiply-adds in each of `CHAINS` registers.
///
/// # Safety
/// The CPU has the instruction set.
#[inline(always)]
unsafe fn chains<S: Simd>() {
    // SAFETY: the caller's contract.
    unsafe {
        let (a, b) = (S::splat(black_box(0.999)), S::splat(black_box(0.001)));
        let mut sums = [S::splat(1.0); CHAINS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = S::fma(*sum, a, b);
            }
        }
        black_box(sums);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn chains_avx512() {
    // SAFETY: this function is compiled for the set, and called only where the CPU has it.
    unsafe { chains::<Avx512>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn chains_avx2() {
    // SAFETY: as above.
    unsafe { chains::<Avx2>() }
}

/// The name of the instruction set in use, and the most floating point operations (two per
/// multiply-add) a second and core that its multiply-adds allow, by a loop that does nothing else;
/// the best of five.
pub fn fused_multiply_adds() -> (&'static str, f64) {
    let (name, lanes) = match set() {
        Set::Portable => ("portable", Portable::<false>::LANES),
        Set::Fused => ("portable, fused", Portable::<true>::LANES),
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => ("AVX2 + FMA", Avx2::LANES),
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => ("AVX-512", Avx512::LANES),
    };
    let rate = || {
        let began = Instant::now();
        // SAFETY: `set` has asked the CPU.
        unsafe {
            match set() {
                Set::Portable => chains::<Portable<false>>(),
                Set::Fused => chains::<Portable<true>>(),
                #[cfg(target_arch = "x86_64")]
                Set::Avx2 => chains_avx2(),
                #[cfg(target_arch = "x86_64")]
                Set::Avx512 => chains_avx512(),
            }
        }
        (2 * STEPS * CHAINS * lanes) as f64 / began.elapsed().as_secs_f64()
    };
    (
        name,
        std::iter::repeat_with(rate).take(5).fold(0.0, f64::max),
    )
}

/// Floating point operations a second of one core in a product of two matrices of 1024 × 1024, as a
/// fully connected layer computes it; the best of five.
pub fn large_product() -> f64 {
    const N: usize = 1024;
    let a: Vec<f32> = (0..N * N).map(|i| (i % 17) as f32 * 0.1).collect();
    let mut layer = Linear::new(N, N);
    layer.load(&a, &[0.0; N]);
    let mut c = vec![0.0; N * N];
    let mut rate = || {
        let began = Instant::now();
        layer.forward(black_box(&a), N, false, &mut c);
        black_box(&c);
        (2 * N * N * N) as f64 / began.elapsed().as_secs_f64()
    };
    std::iter::repeat_with(&mut rate)
        .take(6)
        .skip(1)
        .fold(0.0, f64::max)
}
