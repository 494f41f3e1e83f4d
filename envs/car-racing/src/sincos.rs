//! Sine and cosine of an `f32`, the same on every machine: a port of ARM's optimized-routines
//! (`sinf.c`, `cosf.c`), as the C library runs them on processors with fused multiply-adds (glibc
//! since 2.28). The reference's Box2D calls them there, so its traces hold these bits.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

/// The polynomial of the sine after x: x³, x⁵, x⁷.
const SINE: [f64; 3] = [
    f64::from_bits(0xbfc5_5554_5995_a603),
    f64::from_bits(0x3f81_1076_0523_0bc4),
    f64::from_bits(0xbf29_94eb_3774_cf24),
];
/// The polynomial of the cosine after 1: x², x⁴, x⁶, x⁸.
const COSINE: [f64; 4] = [
    f64::from_bits(0xbfdf_ffff_fd0c_621c),
    f64::from_bits(0x3fa5_5553_e106_8f19),
    f64::from_bits(0xbf56_c087_e89a_359d),
    f64::from_bits(0x3ef9_9343_027b_f8c3),
];
/// 2/π · 2²⁴: quadrants, with the integer part from bit 24 on.
const QUADRANTS: f64 = std::f64::consts::FRAC_2_PI * 16_777_216.0;
/// π/2 without its last seven bits, and the rest. The product of the first with a quadrant below
/// 2⁷ is exact, its difference from an `f32` near it too: so the reduced angle is rounded once, as
/// by a fused multiply-add.
const HALF_PI: [f64; 2] = {
    let high = f64::from_bits(FRAC_PI_2.to_bits() & !0x7f);
    [high, FRAC_PI_2 - high]
};
/// From here on 4/π is needed to more digits than an `f64` has.
const FAR: f32 = 120.0;
/// 4/π to 192 bits; each word begins eight bits after the one before.
const FOUR_OVER_PI: [u32; 24] = {
    let bits: [u8; 27] = [
        0, 0, 0, 0xa2, 0xf9, 0x83, 0x6e, 0x4e, 0x44, 0x15, 0x29, 0xfc, 0x27, 0x57, 0xd1, 0xf5,
        0x34, 0xdd, 0xc0, 0xdb, 0x62, 0x95, 0x99, 0x3c, 0x43, 0x90, 0x41,
    ];
    let mut words = [0; 24];
    let mut i = 0;
    while i < 24 {
        words[i] = u32::from_be_bytes([bits[i], bits[i + 1], bits[i + 2], bits[i + 3]]);
        i += 1;
    }
    words
};

/// Sine and cosine of `angle` in radians; NaN if it is not finite.
pub(crate) fn sin_cos(angle: f32) -> (f32, f32) {
    let (x, near) = (f64::from(angle), angle.abs());
    // The thresholds compare exponents and the highest bits, as the original does.
    let top = |x: f32| x.to_bits() >> 20;
    if top(near) < top(FRAC_PI_4 as f32) {
        if top(near) < top(1.0 / 4096.0) {
            return (angle, 1.0);
        }
        return (sine(x), cosine(x));
    }
    // `signed` also counts the sign of the angle, which `reduce` does not see.
    let (reduced, quadrant, signed) = if top(near) < top(FAR) {
        let quadrant = ((x * QUADRANTS) as i32 + 0x80_0000) >> 24;
        let n = f64::from(quadrant);
        ((x - n * HALF_PI[0]) - n * HALF_PI[1], quadrant, quadrant)
    } else if angle.is_finite() {
        let (reduced, quadrant) = reduce(angle.to_bits());
        (reduced, quadrant, quadrant + i32::from(angle < 0.0))
    } else {
        return (f32::NAN, f32::NAN);
    };
    // Signs of sine and cosine in the four quadrants, as the sign bits of numbers.
    let sine_sign = ((signed ^ (signed >> 1)) & 1) as u64;
    let cosine_sign = ((signed >> 1) & 1) as u32;
    let sine = sine(f64::from_bits(reduced.to_bits() ^ (sine_sign << 63)));
    let cosine = f32::from_bits(cosine(reduced).to_bits() ^ (cosine_sign << 31));
    if quadrant & 1 == 0 {
        (sine, cosine)
    } else {
        (cosine, sine)
    }
}

/// The angle with the bits `bits`, at least 2 in magnitude and without its sign, in quadrants: what
/// is left, in radians, and the quadrant.
#[cold]
fn reduce(bits: u32) -> (f64, i32) {
    let words = &FOUR_OVER_PI[((bits >> 26) & 15) as usize..];
    let mantissa = ((bits & 0xff_ffff) | 0x80_0000) << ((bits >> 23) & 7);
    let wide = u64::from(mantissa);
    let low = (wide * u64::from(words[8])) >> 32;
    let high = u64::from(mantissa.wrapping_mul(words[0])) << 32;
    let product = (high | low).wrapping_add(wide * u64::from(words[4]));
    let quadrant = product.wrapping_add(1 << 61) >> 62;
    let rest = product.wrapping_sub(quadrant << 62) as i64;
    // π/2 · 2⁻⁶².
    (
        rest as f64 * (FRAC_PI_2 / 4_611_686_018_427_387_904.0),
        quadrant as i32,
    )
}

/// sin x for |x| ≤ π/4.
#[inline(always)]
fn sine(x: f64) -> f32 {
    let square = x * x;
    let x3 = x * square;
    let x5 = x3 * square;
    let value = (x + x3 * SINE[0]) + x5 * (SINE[1] + square * SINE[2]);
    if is_close_to_middle(value) {
        return fused_sine(x);
    }
    value as f32
}

/// cos x for |x| ≤ π/4.
#[inline(always)]
fn cosine(x: f64) -> f32 {
    let square = x * x;
    let x4 = square * square;
    let x6 = x4 * square;
    let value =
        ((1.0 + square * COSINE[0]) + x4 * COSINE[1]) + x6 * (COSINE[2] + square * COSINE[3]);
    if is_close_to_middle(value) {
        return fused_cosine(x);
    }
    value as f32
}

/// Whether `value` is so close to the middle between two `f32` that rounding may not give what the
/// fused sum gives: the two sums differ by a few units in the last place.
#[inline(always)]
fn is_close_to_middle(value: f64) -> bool {
    const CLOSE: u64 = 64;
    // The bits that an `f32` drops, less one half.
    (value.to_bits() & 0x1fff_ffff).wrapping_sub(0x1000_0000 - CLOSE) < 2 * CLOSE
}

#[cold]
#[inline(never)]
fn fused_sine(x: f64) -> f32 {
    let square = x * x;
    let x3 = x * square;
    let tail = square.mul_add(SINE[2], SINE[1]);
    (x3 * square).mul_add(tail, x3.mul_add(SINE[0], x)) as f32
}

#[cold]
#[inline(never)]
fn fused_cosine(x: f64) -> f32 {
    let square = x * x;
    let x4 = square * square;
    let tail = square.mul_add(COSINE[3], COSINE[2]);
    let head = x4.mul_add(COSINE[1], square.mul_add(COSINE[0], 1.0));
    (x4 * square).mul_add(tail, head) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FNV-1a over the bits of every 97th `f32` from 2⁻¹⁴ to 10⁹, and of its negative. The two
    /// numbers were made with `sinf` and `cosf` of glibc 2.36 on a processor with fused
    /// multiply-adds.
    #[test]
    fn sines_and_cosines_are_the_c_library_s() {
        let mut sums = [0xcbf2_9ce4_8422_2325u64; 2];
        for bits in (0x3880_0000..1e9f32.to_bits()).step_by(97) {
            for angle in [f32::from_bits(bits), -f32::from_bits(bits)] {
                let (sin, cos) = sin_cos(angle);
                for (sum, value) in sums.iter_mut().zip([sin, cos]) {
                    *sum = (*sum ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3);
                }
            }
        }
        assert_eq!(sums, [0xa895_09d8_56ad_802f, 0xd8f4_e3d1_adee_fdeb]);
        for angle in [0.0, -0.0, 1e-30] {
            assert_eq!(sin_cos(angle).0.to_bits(), angle.to_bits());
            assert_eq!(sin_cos(angle).1, 1.0);
        }
        assert!(sin_cos(f32::NAN).0.is_nan() && sin_cos(f32::INFINITY).1.is_nan());
    }
}
