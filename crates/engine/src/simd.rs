//! The vector instructions the kernels need, once per instruction set.
#![expect(
    unsafe_code,
    reason = "vector intrinsics; every caller is compiled for, and guarded by, the set it uses"
)]

use std::sync::OnceLock;

/// One instruction set.
///
/// # Safety
/// Methods may be called only where the CPU has the set; pointers must be valid for `LANES` (or
/// `count`) values.
pub(crate) trait Simd {
    /// A vector of `LANES` values.
    type V: Copy;
    /// Values in a vector.
    const LANES: usize;
    /// Most vectors side by side in one tile: with six rows, the accumulators must fit the
    /// registers.
    const WIDEST: usize;
    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(p: *const f32) -> Self::V;
    unsafe fn load_part(p: *const f32, count: usize) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    unsafe fn store_part(p: *mut f32, v: Self::V, count: usize);
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// max(v, 0), NaN staying NaN.
    unsafe fn relu(v: Self::V) -> Self::V;
    /// Asks for the cache line of `p`, which is written soon; a hint without effect on results.
    unsafe fn prefetch(_p: *const f32) {}
}

/// The instruction set in use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Set {
    /// The build's baseline without fused multiply-adds: x86-64 before 2013. Other last bits.
    Portable,
    /// The build's baseline with them: ARM.
    Fused,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// The widest set of this processor, or that which `FRMDN_INSTRUCTIONS` names: `fused` computes as
/// an ARM processor does, slowly elsewhere.
pub(crate) fn set() -> Set {
    #[cfg(test)]
    if let Some(forced) = crate::gather::tests::FORCED.get() {
        return forced;
    }
    static SET: OnceLock<Set> = OnceLock::new();
    *SET.get_or_init(|| {
        if cfg!(target_arch = "aarch64")
            || std::env::var_os("FRMDN_INSTRUCTIONS").is_some_and(|name| name == "fused")
        {
            return Set::Fused;
        }
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return if is_x86_feature_detected!("avx512f") {
                Set::Avx512
            } else {
                Set::Avx2
            };
        }
        Set::Portable
    })
}

/// Whatever the build's baseline is (SSE2 on x86-64, NEON on ARM), by automatic vectorisation; with
/// fused multiply-adds if `FUSED` (a call of a library where the baseline has none).
pub(crate) struct Portable<const FUSED: bool>;

impl<const FUSED: bool> Simd for Portable<FUSED> {
    type V = [f32; 4];
    const LANES: usize = 4;
    const WIDEST: usize = 2;
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        // SAFETY: the trait's contract.
        unsafe { p.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, count: usize) -> Self::V {
        let mut v = [0.0; 4];
        for (i, x) in v.iter_mut().enumerate().take(count) {
            // SAFETY: the trait's contract.
            *x = unsafe { *p.add(i) };
        }
        v
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        // SAFETY: the trait's contract.
        unsafe { p.cast::<[f32; 4]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn store_part(p: *mut f32, v: Self::V, count: usize) {
        for (i, x) in v.iter().enumerate().take(count) {
            // SAFETY: the trait's contract.
            unsafe { *p.add(i) = *x };
        }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        let one = |a: f32, b: f32, c: f32| if FUSED { a.mul_add(b, c) } else { a * b + c };
        [
            one(a[0], b[0], c[0]),
            one(a[1], b[1], c[1]),
            one(a[2], b[2], c[2]),
            one(a[3], b[3], c[3]),
        ]
    }
    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
    }
    #[inline(always)]
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
        [a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]]
    }
    #[inline(always)]
    unsafe fn relu(v: Self::V) -> Self::V {
        let one = |x: f32| if x < 0.0 { 0.0 } else { x };
        [one(v[0]), one(v[1]), one(v[2]), one(v[3])]
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Simd;
    use std::arch::x86_64::*;

    /// AVX2 with FMA.
    pub(crate) struct Avx2;

    /// The mask that selects the first `count` of eight lanes.
    #[inline(always)]
    unsafe fn mask(count: usize) -> __m256i {
        // SAFETY: the trait's contract.
        unsafe {
            _mm256_cmpgt_epi32(
                _mm256_set1_epi32(count as i32),
                _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
            )
        }
    }

    // SAFETY (of all the bodies below): the trait's contract.
    impl Simd for Avx2 {
        type V = __m256;
        const LANES: usize = 8;
        const WIDEST: usize = 2;
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::V {
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self::V {
            unsafe { _mm256_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn load_part(p: *const f32, count: usize) -> Self::V {
            unsafe { _mm256_maskload_ps(p, mask(count)) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: Self::V) {
            unsafe { _mm256_storeu_ps(p, v) }
        }
        #[inline(always)]
        unsafe fn store_part(p: *mut f32, v: Self::V, count: usize) {
            unsafe { _mm256_maskstore_ps(p, mask(count), v) }
        }
        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
            unsafe { _mm256_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
            unsafe { _mm256_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn relu(v: Self::V) -> Self::V {
            // The instruction returns its second operand when one is NaN.
            unsafe { _mm256_max_ps(_mm256_setzero_ps(), v) }
        }
        #[inline(always)]
        unsafe fn prefetch(p: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
        }
    }

    /// AVX-512 Foundation.
    pub(crate) struct Avx512;

    // SAFETY (of all the bodies below): the trait's contract.
    impl Simd for Avx512 {
        type V = __m512;
        const LANES: usize = 16;
        const WIDEST: usize = 4;
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::V {
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self::V {
            unsafe { _mm512_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn load_part(p: *const f32, count: usize) -> Self::V {
            unsafe { _mm512_maskz_loadu_ps(((1u32 << count) - 1) as u16, p) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: Self::V) {
            unsafe { _mm512_storeu_ps(p, v) }
        }
        #[inline(always)]
        unsafe fn store_part(p: *mut f32, v: Self::V, count: usize) {
            unsafe { _mm512_mask_storeu_ps(p, ((1u32 << count) - 1) as u16, v) }
        }
        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
            unsafe { _mm512_add_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn sub(a: Self::V, b: Self::V) -> Self::V {
            unsafe { _mm512_sub_ps(a, b) }
        }
        #[inline(always)]
        unsafe fn relu(v: Self::V) -> Self::V {
            unsafe { _mm512_max_ps(_mm512_setzero_ps(), v) }
        }
        #[inline(always)]
        unsafe fn prefetch(p: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) }
        }
    }
}
