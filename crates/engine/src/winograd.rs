//! Convolution with 4×4 kernels and stride 2 by Winograd's minimal filtering, NHWC, forward only.
//!
//! Such a convolution is a 2×2 one of stride 1 over 4 · channels: the pixels of even and odd rows
//! and columns. Two neighbouring outputs y₀ = d₀g₀ + d₁g₁ and y₁ = d₁g₀ + d₂g₁ need three products
//! instead of four,
//!
//! ```text
//! m₀ = (d₀ − d₁) g₀    m₁ = d₁ (g₀ + g₁)    m₂ = (d₁ − d₂) g₁    y₀ = m₀ + m₁    y₁ = m₁ − m₂
//! ```
//!
//! and in both directions at once 2×2 outputs need nine instead of sixteen: F(2×2, 2×2) of Lavin &
//! Gray (2016), "Fast algorithms for convolutional neural networks", section 4. Each of the nine is
//! a matrix product over tiles of 6×6 pixels. The numbers of a tile are computed in one order,
//! whatever other tiles there are, so that a frame has the same bits in every batch.
#![expect(
    unsafe_code,
    reason = "tight loops on raw pointers; bounds are checked once per call"
)]

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::{
    gather::{Packed, Windows, product},
    simd::{Portable, Set, Simd, set},
};

/// Products of a tile.
const PRODUCTS: usize = 9;

/// Tiles taken at once: a multiple of the product's six rows, few enough that their products
/// stay in the second-level cache.
const TOGETHER: usize = 96;

/// The weights of a layer, and where its tiles lie.
#[derive(Clone, Debug)]
pub(crate) struct Winograd {
    /// Tiles in a column and in a row of the output, which is twice as high and wide.
    tiles: [usize; 2],
    /// Values in a row of the image, and in the image.
    line: usize,
    frame: usize,
    channels: usize,
    filters: usize,
    /// The rows of the nine products' left matrices, made once: a product allocates nothing.
    rows: Windows,
    /// Nine matrices [4 · channels, filters].
    weights: [Packed; PRODUCTS],
}

impl Winograd {
    /// Whether this method is the faster one: a 4×4 kernel of stride 2, an even number of outputs
    /// in both directions, and enough of them that reading nine matrices instead of four does not
    /// dominate.
    pub fn is_faster([height, width]: [usize; 2], kernel: usize, stride: usize) -> bool {
        kernel == 4
            && stride == 2
            && height > 6
            && width > 6
            && (height / 2) % 2 == 1
            && (width / 2) % 2 == 1
    }

    /// A layer for images [height, width, channels] of a suitable size.
    pub fn new([height, width]: [usize; 2], channels: usize, filters: usize) -> Self {
        let tiles = [height, width].map(|x| (x - 2) / 4);
        Self {
            tiles,
            line: width * channels,
            frame: height * width * channels,
            channels,
            filters,
            rows: Windows::dense(4 * channels),
            weights: Default::default(),
        }
    }

    fn depth(&self) -> usize {
        4 * self.channels
    }

    /// Takes in `weight` [4, 4, channels, filters] and `bias` `[filters]`.
    pub fn load(&mut self, weight: &[f32], bias: &[f32]) {
        let (size, depth) = (self.channels * self.filters, self.depth());
        let mut sum = vec![0.0; depth * self.filters];
        for (i, packed) in self.weights.iter_mut().enumerate() {
            // g₀, g₀ + g₁ and g₁.
            let taps = |i: usize| [0..1, 0..2, 1..2][i].clone();
            sum.fill(0.0);
            for (phase, sum) in sum.chunks_exact_mut(size).enumerate() {
                for (y, x) in taps(i / 3).flat_map(|y| taps(i % 3).map(move |x| (y, x))) {
                    let at = ((2 * y + phase / 2) * 4 + 2 * x + phase % 2) * size;
                    sum.iter_mut()
                        .zip(&weight[at..at + size])
                        .for_each(|(s, w)| *s += w);
                }
            }
            // The middle product is part of all four outputs.
            packed.pack(&sum, depth, self.filters, (i == 4).then_some(bias));
        }
    }

    /// `y` [frames, 2 · tiles, 2 · tiles, filters] = x * weight + bias, clipped at zero if `relu`.
    /// `scratch` is resized as needed and may be shared by layers.
    ///
    /// # Panics
    /// If a length disagrees with the layer.
    pub fn forward(
        &self,
        x: &[f32],
        frames: usize,
        relu: bool,
        scratch: &mut Vec<f32>,
        y: &mut [f32],
    ) {
        let (per_frame, depth, filters) =
            (self.tiles[0] * self.tiles[1], self.depth(), self.filters);
        assert_eq!(x.len(), frames * self.frame, "input has the wrong size");
        assert_eq!(
            y.len(),
            frames * per_frame * 4 * filters,
            "output has the wrong size"
        );
        scratch.resize(PRODUCTS * TOGETHER * (depth + filters), 0.0);
        let (inputs, outputs) = scratch.split_at_mut(PRODUCTS * TOGETHER * depth);
        for first in (0..frames * per_frame).step_by(TOGETHER) {
            let count = TOGETHER.min(frames * per_frame - first);
            let call = Tiles {
                layer: self,
                first,
                count,
                relu,
            };
            call.spread(x, inputs);
            let planes = inputs
                .chunks_exact(TOGETHER * depth)
                .zip(outputs.chunks_exact_mut(TOGETHER * filters));
            for ((inputs, outputs), weight) in planes.zip(&self.weights) {
                product(
                    &inputs[..count * depth],
                    &self.rows,
                    count,
                    weight,
                    false,
                    &mut outputs[..count * filters],
                );
            }
            call.collect(outputs, y);
        }
    }
}

/// Some tiles of a layer, by their number over all frames.
#[derive(Clone, Copy)]
struct Tiles<'a> {
    layer: &'a Winograd,
    first: usize,
    count: usize,
    relu: bool,
}

/// Compiles a method of [`Tiles`] for each instruction set and calls that of this CPU.
macro_rules! for_each_set {
    ($name:ident, $body:ident) => {
        fn $name(self, from: &[f32], to: &mut [f32]) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2(tiles: Tiles<'_>, from: &[f32], to: &mut [f32]) {
                // SAFETY: the caller's contract.
                unsafe { tiles.$body::<Avx2>(from, to) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx2,fma")]
            unsafe fn avx512(tiles: Tiles<'_>, from: &[f32], to: &mut [f32]) {
                // SAFETY: the caller's contract.
                unsafe { tiles.$body::<Avx512>(from, to) }
            }
            // SAFETY: `forward` has checked the lengths; each version runs only where the CPU has
            // its instructions.
            unsafe {
                match set() {
                    Set::Portable => self.$body::<Portable<false>>(from, to),
                    Set::Fused => self.$body::<Portable<true>>(from, to),
                    #[cfg(target_arch = "x86_64")]
                    Set::Avx2 => avx2(self, from, to),
                    #[cfg(target_arch = "x86_64")]
                    Set::Avx512 => avx512(self, from, to),
                }
            }
        }
    };
}

#[expect(
    clippy::needless_range_loop,
    reason = "columns of small arrays in registers; `map` over them is not compiled in place"
)]
impl Tiles<'_> {
    for_each_set!(spread, spread_with);
    for_each_set!(collect, collect_with);

    /// (frame, row, column) of each tile.
    fn places(self) -> impl Iterator<Item = (usize, usize, usize)> {
        let [rows, columns] = self.layer.tiles;
        (self.first..self.first + self.count)
            .map(move |t| (t / (rows * columns), t / columns % rows, t % columns))
    }

    /// The nine differences of each tile's pixels, into nine planes [TOGETHER, depth] of `to`.
    #[inline(always)]
    unsafe fn spread_with<S: Simd>(self, from: &[f32], to: &mut [f32]) {
        let Winograd {
            line,
            frame,
            channels,
            ..
        } = *self.layer;
        let (depth, plane) = (self.layer.depth(), TOGETHER * self.layer.depth());
        for (t, (f, y, x)) in self.places().enumerate() {
            for phase in 0..4 {
                let mut c = 0;
                while c < channels {
                    let count = (channels - c).min(S::LANES);
                    // SAFETY: six rows of six pixels from here lie inside the image; nine planes of
                    // TOGETHER rows inside the scratch.
                    unsafe {
                        let corner = from.as_ptr().add(
                            f * frame
                                + (4 * y + phase / 2) * line
                                + (4 * x + phase % 2) * channels
                                + c,
                        );
                        let d = |i: usize, j: usize| {
                            read::<S>(corner.add(2 * i * line + 2 * j * channels), count)
                        };
                        let out = to.as_mut_ptr().add(t * depth + phase * channels + c);
                        let mut rows = [[S::splat(0.0); 3]; 3];
                        for j in 0..3 {
                            let (above, middle, below) = (d(0, j), d(1, j), d(2, j));
                            (rows[0][j], rows[1][j], rows[2][j]) =
                                (S::sub(above, middle), middle, S::sub(middle, below));
                        }
                        for (i, [left, middle, right]) in rows.into_iter().enumerate() {
                            for (j, v) in [S::sub(left, middle), middle, S::sub(middle, right)]
                                .into_iter()
                                .enumerate()
                            {
                                write::<S>(out.add((3 * i + j) * plane), v, count);
                            }
                        }
                    }
                    c += S::LANES;
                }
            }
        }
    }

    /// The four outputs of each tile from its nine products, planes [TOGETHER, filters] of `from`.
    #[inline(always)]
    unsafe fn collect_with<S: Simd>(self, from: &[f32], to: &mut [f32]) {
        let Winograd {
            tiles: [rows, columns],
            filters,
            ..
        } = *self.layer;
        let (plane, line) = (TOGETHER * filters, 2 * columns * filters);
        for (t, (f, y, x)) in self.places().enumerate() {
            let mut c = 0;
            while c < filters {
                let count = (filters - c).min(S::LANES);
                // SAFETY: nine planes of TOGETHER rows lie inside the scratch; two rows of two
                // pixels from here inside the image.
                unsafe {
                    let m = |i: usize, j: usize| {
                        read::<S>(
                            from.as_ptr().add((3 * i + j) * plane + t * filters + c),
                            count,
                        )
                    };
                    let out = to
                        .as_mut_ptr()
                        .add((2 * (f * rows + y)) * line + 2 * x * filters + c);
                    let mut rows = [[S::splat(0.0); 3]; 2];
                    for j in 0..3 {
                        let middle = m(1, j);
                        (rows[0][j], rows[1][j]) =
                            (S::add(m(0, j), middle), S::sub(middle, m(2, j)));
                    }
                    for (i, [left, middle, right]) in rows.into_iter().enumerate() {
                        for (j, v) in [S::add(left, middle), S::sub(middle, right)]
                            .into_iter()
                            .enumerate()
                        {
                            let v = if self.relu { S::relu(v) } else { v };
                            write::<S>(out.add(i * line + j * filters), v, count);
                        }
                    }
                }
                c += S::LANES;
            }
        }
    }
}

/// # Safety
/// `from` is valid for `count` values, at most a vector; the CPU has the instruction set.
#[inline(always)]
unsafe fn read<S: Simd>(from: *const f32, count: usize) -> S::V {
    // SAFETY: the contract above.
    unsafe {
        if count == S::LANES {
            S::load(from)
        } else {
            S::load_part(from, count)
        }
    }
}

/// # Safety
/// `to` is valid for `count` values, at most a vector; the CPU has the instruction set.
#[inline(always)]
unsafe fn write<S: Simd>(to: *mut f32, v: S::V, count: usize) {
    // SAFETY: the contract above.
    unsafe {
        if count == S::LANES {
            S::store(to, v)
        } else {
            S::store_part(to, v, count)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        gather::tests::{FORCED, available},
        random::{fill_normal, stream},
    };

    fn normals(name: &str, len: usize) -> Vec<f32> {
        let mut x = vec![0.0; len];
        fill_normal(&mut stream(9, name, &[]), &mut x);
        x
    }

    /// Each instruction set, with full and partial vectors, and a frame by itself; the comparison
    /// with plain loops is in `tests/layers.rs`.
    #[test]
    fn every_instruction_set_agrees_with_the_windows() {
        let (height, width, frames) = (15, 18, 11);
        let mut fused: Option<Vec<f32>> = None;
        for set in available() {
            FORCED.set(Some(set));
            let mut all = Vec::new();
            for (channels, filters) in [(3, 5), (16, 16), (21, 35), (32, 64)] {
                let (weight, bias) = (normals("w", 16 * channels * filters), normals("b", filters));
                let x = normals("x", frames * height * width * channels);
                let mut layer = Winograd::new([height, width], channels, filters);
                layer.load(&weight, &bias);
                let rows = 6 * 8;
                let mut y = vec![f32::NAN; frames * rows * filters];
                layer.forward(&x, frames, false, &mut Vec::new(), &mut y);

                let windows = Windows {
                    table: (0..rows)
                        .map(|i| (i / 8 * width + i % 8) * 2 * channels)
                        .collect(),
                    frame: height * width * channels,
                    segments: (0..4).map(|y| y * width * channels).collect(),
                    run: 4 * channels,
                };
                let mut packed = Packed::default();
                packed.pack(&weight, 16 * channels, filters, Some(&bias));
                let mut want = vec![f32::NAN; y.len()];
                product(&x, &windows, frames * rows, &packed, false, &mut want);
                for (i, (y, want)) in y.iter().zip(&want).enumerate() {
                    assert!(
                        (y - want).abs() < 2e-4,
                        "{set:?} {channels}→{filters} at {i}: {y} {want}"
                    );
                }

                let (mut alone, last) = (vec![f32::NAN; rows * filters], frames - 1);
                layer.forward(
                    &x[last * windows.frame..],
                    1,
                    false,
                    &mut vec![f32::NAN; 7],
                    &mut alone,
                );
                assert_eq!(
                    alone,
                    y[last * rows * filters..],
                    "{set:?} {channels}→{filters}: a frame by itself"
                );
                all.extend(y);
            }
            if set != Set::Portable {
                let first = fused.get_or_insert_with(|| all.clone());
                assert!(*first == all, "{set:?} and {:?} differ", Set::Fused);
            }
        }
        FORCED.set(None);
    }
}
