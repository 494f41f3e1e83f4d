//! Element-wise non-linearities, written so that the compiler vectorises them: exp, tanh, sigmoid,
//! ReLU.
//!
//! Every function treats each element by the same sequence of operations wherever it stands in the
//! slice, so a value never depends on its neighbours. NaN stays NaN. The instruction set is chosen
//! at run time; all that fuse multiply-adds give the same bits.
#![expect(
    unsafe_code,
    reason = "calling functions compiled for a wider instruction set, after asking the CPU"
)]

use crate::simd::{Set, set};

/// a·b + c.
#[inline(always)]
fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// exp(x) by reduction to |r| ≤ ln 2 / 2 and Cephes' polynomial (`expf.c`); 0 and ∞ at the ends of
/// the range.
#[inline(always)]
fn exp<const FUSED: bool>(x: f32) -> f32 {
    // 1.5·2²³: adding it leaves the nearest integer in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-104.0, 89.0);
    let shifted = fma::<FUSED>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, the first with few enough bits that n times it is exact.
    let r = fma::<FUSED>(n, 2.121_944_4e-4, fma::<FUSED>(n, -0.693_359_4, x));
    let mut p = 1.987_569_1e-4;
    p = fma::<FUSED>(p, r, 1.398_199_9e-3);
    p = fma::<FUSED>(p, r, 8.333_452e-3);
    p = fma::<FUSED>(p, r, 4.166_579_6e-2);
    p = fma::<FUSED>(p, r, 1.666_666_5e-1);
    p = fma::<FUSED>(p, r, 0.5);
    p = fma::<FUSED>(p * r, r, r) + 1.0;
    // 2ⁿ as the product of two powers, so that results near the largest and the smallest number
    // come out right.
    let bits = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let half = bits >> 1;
    let power = |e: i32| f32::from_bits((e.wrapping_add(127) as u32) << 23);
    p * power(half) * power(bits.wrapping_sub(half))
}

/// tanh(x) as a rational function of x, odd degree 13 over even degree 6 (the coefficients of
/// Eigen's `ptanh`).
#[inline(always)]
fn tanh<const FUSED: bool>(x: f32) -> f32 {
    let x = x.clamp(-7.905_311, 7.905_311);
    let s = x * x;
    let mut p = -2.760_768_5e-16;
    p = fma::<FUSED>(p, s, 2.000_188e-13);
    p = fma::<FUSED>(p, s, -8.604_672e-11);
    p = fma::<FUSED>(p, s, 5.122_297e-8);
    p = fma::<FUSED>(p, s, 1.485_722_4e-5);
    p = fma::<FUSED>(p, s, 6.372_619_4e-4);
    p = fma::<FUSED>(p, s, 4.893_524_6e-3);
    let mut q = 1.198_258_4e-6;
    q = fma::<FUSED>(q, s, 1.185_347_1e-4);
    q = fma::<FUSED>(q, s, 2.268_434_6e-3);
    q = fma::<FUSED>(q, s, 4.893_525_3e-3);
    x * p / q
}

#[inline(always)]
fn sigmoid<const FUSED: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FUSED>(-x))
}

/// Declares a public in-place function that picks the widest version the CPU can run.
macro_rules! in_place {
    ($(#[$doc:meta])* $name:ident, $scalar:ident) => {
        $(#[$doc])*
        pub fn $name(x: &mut [f32]) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx2,fma")]
            fn avx512(x: &mut [f32]) {
                x.iter_mut().for_each(|v| *v = $scalar::<true>(*v));
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2(x: &mut [f32]) {
                x.iter_mut().for_each(|v| *v = $scalar::<true>(*v));
            }
            match set() {
                Set::Portable => x.iter_mut().for_each(|v| *v = $scalar::<false>(*v)),
                Set::Fused => x.iter_mut().for_each(|v| *v = $scalar::<true>(*v)),
                // SAFETY: the CPU has said that it has these instructions.
                #[cfg(target_arch = "x86_64")]
                Set::Avx2 => unsafe { avx2(x) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Set::Avx512 => unsafe { avx512(x) },
            }
        }
    };
}

in_place!(
    /// Replaces every x by eˣ; relative error below 3e-7, gradual underflow below −87.3, ∞ above
    /// 88.72.
    exp_inplace,
    exp
);
in_place!(
    /// Replaces every x by tanh x; relative error below 1e-6, magnitude at most 1.
    tanh_inplace,
    tanh
);
in_place!(
    /// Replaces every x by 1 / (1 + e⁻ˣ); relative error below 1e-6.
    sigmoid_inplace,
    sigmoid
);

/// Replaces every x by max(x, 0); NaN stays NaN.
pub fn relu_inplace(x: &mut [f32]) {
    for v in x {
        *v = if *v < 0.0 { 0.0 } else { *v };
    }
}

/// Backward of ReLU: zeroes `gradient` where the layer's *output* is not positive.
pub fn relu_backward(output: &[f32], gradient: &mut [f32]) {
    debug_assert_eq!(output.len(), gradient.len());
    for (g, &y) in gradient.iter_mut().zip(output) {
        *g = if y > 0.0 { *g } else { 0.0 };
    }
}

/// Backward of the sigmoid: multiplies `gradient` by y·(1 − y), y being the layer's *output*.
pub fn sigmoid_backward(output: &[f32], gradient: &mut [f32]) {
    debug_assert_eq!(output.len(), gradient.len());
    for (g, &y) in gradient.iter_mut().zip(output) {
        *g *= y * (1.0 - y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest relative error of `f` against `want` over `[low, high]`.
    fn worst(f: fn(&mut [f32]), want: fn(f64) -> f64, low: f64, high: f64) -> f64 {
        let inputs: Vec<f32> = (0..=400_000)
            .map(|i| (low + (high - low) * f64::from(i) / 4e5) as f32)
            .collect();
        let mut got = inputs.clone();
        f(&mut got);
        inputs
            .iter()
            .zip(&got)
            .map(|(&x, &y)| {
                ((f64::from(y) - want(f64::from(x))) / want(f64::from(x)).abs().max(1e-37)).abs()
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn relative_errors() {
        let errors = [
            worst(exp_inplace, f64::exp, -85.0, 88.7),
            worst(tanh_inplace, f64::tanh, -12.0, 12.0),
            worst(tanh_inplace, f64::tanh, -1e-3, 1e-3),
            worst(sigmoid_inplace, |x| 1.0 / (1.0 + (-x).exp()), -80.0, 80.0),
        ];
        println!("{errors:?}");
        assert!(errors.iter().all(|&e| e < 1e-6), "{errors:?}");
    }

    #[test]
    fn ends_of_the_range() {
        let mut x = [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            89.0,
            -110.0,
            0.0,
        ];
        exp_inplace(&mut x);
        assert!(
            x[0].is_nan()
                && x[1] == f32::INFINITY
                && x[2] == 0.0
                && x[3] == f32::INFINITY
                && x[4] == 0.0
                && x[5] == 1.0,
            "{x:?}"
        );
        let mut x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0];
        sigmoid_inplace(&mut x);
        assert!(
            x[0].is_nan() && x[1] == 1.0 && x[2] < 1e-37 && x[3] == 0.5,
            "{x:?}"
        );
        let mut x = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0];
        tanh_inplace(&mut x);
        assert!(
            x[0].is_nan() && x[1] > 0.999_999 && x[2] < -0.999_999 && x[3] == 0.0 && x[1] <= 1.0,
            "{x:?}"
        );
        let mut x = [f32::NAN, -1.0, 2.0];
        relu_inplace(&mut x);
        assert!(x[0].is_nan() && x[1] == 0.0 && x[2] == 2.0);
    }

    /// The last elements of a slice go through another loop than the first: they must not differ.
    #[test]
    fn an_element_does_not_depend_on_its_place() {
        for f in [exp_inplace, tanh_inplace, sigmoid_inplace] {
            let whole: Vec<f32> = (0..67).map(|i| (i as f32 - 33.0) * 0.21).collect();
            let mut together = whole.clone();
            f(&mut together);
            for (&x, y) in whole.iter().zip(together) {
                let mut one = [x];
                f(&mut one);
                assert_eq!(one[0].to_bits(), y.to_bits());
            }
        }
    }

    /// All sets with fused multiply-adds give the same bits.
    #[test]
    fn an_element_does_not_depend_on_the_instruction_set() {
        use crate::gather::tests::{FORCED, available};

        let inputs: Vec<f32> = (-40_000..40_000).map(|i| i as f32 * 2.5e-3).collect();
        for f in [exp_inplace, tanh_inplace, sigmoid_inplace] {
            let mut fused: Option<Vec<f32>> = None;
            for set in available().into_iter().filter(|s| *s != Set::Portable) {
                FORCED.set(Some(set));
                let mut outputs = inputs.clone();
                f(&mut outputs);
                assert!(
                    *fused.get_or_insert_with(|| outputs.clone()) == outputs,
                    "{set:?}"
                );
            }
        }
        FORCED.set(None);
    }
}
