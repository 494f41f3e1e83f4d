//! Matrix products whose left matrix is read in place through windows, so that no convolution ever
//! builds its im2col matrix: a window over an NHWC image is a few contiguous runs (its kernel
//! rows), and a row of the im2col matrix is those runs one after the other.
//!
//! Two products are enough for every layer, forward and backward: [`product`] (windows × weights)
//! and [`gram`] (windowsᵀ × gradients). Each result is one chain of fused multiply-adds in a fixed
//! order, so that a row does not depend on how many other rows are computed with it.
#![expect(
    unsafe_code,
    reason = "tight loops on raw pointers; bounds are checked once per call"
)]

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Portable, Set, Simd, set};
use std::cell::Cell;

/// Where the rows of the left matrix lie: row `i` starts at `(i / table.len()) · frame + table[i %
/// table.len()]` and consists of one run of `run` values at each of the offsets in `segments`.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    /// Start of each window inside a frame.
    pub table: Vec<usize>,
    /// Values from one frame to the next.
    pub frame: usize,
    /// Offsets of the runs inside a window.
    pub segments: Vec<usize>,
    /// Length of each run.
    pub run: usize,
}

impl Windows {
    /// An ordinary matrix with rows of `columns` values.
    pub fn dense(columns: usize) -> Self {
        Self {
            table: vec![0],
            frame: columns,
            segments: vec![0],
            run: columns,
        }
    }

    /// Values in a row.
    pub fn depth(&self) -> usize {
        self.segments.len() * self.run
    }

    #[inline(always)]
    fn start(&self, row: usize) -> usize {
        let n = self.table.len();
        if n == 1 {
            row * self.frame
        } else {
            (row / n) * self.frame + self.table[row % n]
        }
    }

    /// Panics unless all of the first `rows` rows lie inside `len` values.
    fn check(&self, rows: usize, len: usize) {
        let frames = rows.div_ceil(self.table.len());
        let far = self.table.iter().max().copied().unwrap_or(0)
            + self.segments.iter().max().copied().unwrap_or(0)
            + self.run;
        assert!(
            far <= self.frame && frames * self.frame <= len,
            "windows reach outside of the data"
        );
    }
}

/// (vectors in the widest tile, values in a vector).
fn widths() -> (usize, usize) {
    match set() {
        Set::Portable | Set::Fused => (Portable::<true>::WIDEST, Portable::<true>::LANES),
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => (Avx2::WIDEST, Avx2::LANES),
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => (Avx512::WIDEST, Avx512::LANES),
    }
}

/// Vectors in the next tile when `left` columns remain.
#[inline(always)]
fn tile_width(left: usize, lanes: usize, widest: usize) -> usize {
    let vectors = left.div_ceil(lanes);
    if vectors >= 4 && widest >= 4 {
        4
    } else if vectors >= 2 {
        2
    } else {
        1
    }
}

/// A right-hand matrix [depth, columns] laid out in the order the kernel reads it, with an optional
/// bias.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed {
    depth: usize,
    columns: usize,
    data: Vec<f32>,
    bias: Vec<f32>,
}

impl Packed {
    /// Packs `weight` [depth, columns] row-major, replacing the old content without allocating when
    /// the size is the same.
    pub fn pack(&mut self, weight: &[f32], depth: usize, columns: usize, bias: Option<&[f32]>) {
        assert_eq!(weight.len(), depth * columns, "weights and shape disagree");
        self.pack_with(depth, columns, bias, |j, width, panel| {
            let count = width.min(columns - j);
            for (out, row) in panel
                .chunks_exact_mut(width)
                .zip(weight.chunks_exact(columns))
            {
                out[..count].copy_from_slice(&row[j..j + count]);
            }
        });
    }

    /// Packs the transpose of `weight` [columns, depth]: the matrix of the backward product.
    pub fn pack_transposed(&mut self, weight: &[f32], depth: usize, columns: usize) {
        assert_eq!(weight.len(), depth * columns, "weights and shape disagree");
        // Sixteen rows of the panel at a time: one cache line of the weights per column, whatever
        // their stride.
        const LINE: usize = 16;
        self.pack_with(depth, columns, None, |j, width, panel| {
            for k in (0..depth).step_by(LINE) {
                let count = LINE.min(depth - k);
                for i in 0..width.min(columns - j) {
                    let line = &weight[(j + i) * depth + k..(j + i) * depth + k + count];
                    for (l, &x) in line.iter().enumerate() {
                        panel[(k + l) * width + i] = x;
                    }
                }
            }
        });
    }

    /// Calls `fill(first column, width, panel [depth, width])` for each panel, which is zero
    /// before.
    fn pack_with(
        &mut self,
        depth: usize,
        columns: usize,
        bias: Option<&[f32]>,
        fill: impl Fn(usize, usize, &mut [f32]),
    ) {
        let (widest, lanes) = widths();
        let padded = columns.div_ceil(lanes) * lanes;
        if (self.depth, self.columns) != (depth, columns) {
            (self.depth, self.columns) = (depth, columns);
            self.data.clear();
            self.data.resize(depth * padded, 0.0);
        }
        self.bias.clear();
        self.bias.resize(padded, 0.0);
        if let Some(bias) = bias {
            self.bias[..columns].copy_from_slice(bias);
        }
        let (mut at, mut j) = (0, 0);
        while j < columns {
            let width = tile_width(columns - j, lanes, widest) * lanes;
            fill(j, width, &mut self.data[at..at + depth * width]);
            at += depth * width;
            j += width;
        }
    }
}

struct ProductCall<'a> {
    a: &'a [f32],
    windows: &'a Windows,
    rows: usize,
    b: &'a Packed,
    relu: bool,
    c: &'a mut [f32],
}

/// `c` [rows, columns] = windows(`a`) · `b` + bias, clipped at zero if `relu`.
///
/// # Panics
/// If a window reaches outside of `a` or a length disagrees.
pub(crate) fn product(
    a: &[f32],
    windows: &Windows,
    rows: usize,
    b: &Packed,
    relu: bool,
    c: &mut [f32],
) {
    windows.check(rows, a.len());
    assert_eq!(windows.depth(), b.depth, "inner dimensions disagree");
    assert_eq!(c.len(), rows * b.columns, "output has the wrong size");
    let call = ProductCall {
        a,
        windows,
        rows,
        b,
        relu,
        c,
    };
    // SAFETY: lengths were checked above; each version runs only where the CPU has its
    // instructions.
    unsafe {
        match set() {
            Set::Portable => product_loop::<Portable<false>>(call),
            Set::Fused => product_loop::<Portable<true>>(call),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => product_avx2(call),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => product_avx512(call),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn product_avx2(call: ProductCall<'_>) {
    // SAFETY: the caller's contract.
    unsafe { product_loop::<Avx2>(call) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn product_avx512(call: ProductCall<'_>) {
    // SAFETY: the caller's contract.
    unsafe { product_loop::<Avx512>(call) }
}

#[inline(always)]
unsafe fn product_loop<S: Simd>(mut call: ProductCall<'_>) {
    let columns = call.b.columns;
    let (mut at, mut j) = (0, 0);
    while j < columns {
        let vectors = tile_width(columns - j, S::LANES, S::WIDEST);
        // SAFETY: panels were packed by the same walk; `c` has rows·columns values.
        unsafe {
            match vectors {
                4 => product_rows::<S, 6, 4>(&mut call, at, j),
                2 => product_rows::<S, 6, 2>(&mut call, at, j),
                _ => product_rows::<S, 8, 1>(&mut call, at, j),
            }
        }
        at += call.b.depth * vectors * S::LANES;
        j += vectors * S::LANES;
    }
}

/// A panel of the right matrix, and what becomes of its sums.
struct Panel<'a> {
    windows: &'a Windows,
    data: *const f32,
    bias: *const f32,
    relu: bool,
    /// Columns of the result, of which this many are the panel's.
    stride: usize,
    columns: usize,
}

/// All rows of one panel, which begins at `at` in the packed matrix and at column `j`.
#[inline(always)]
unsafe fn product_rows<S: Simd, const R: usize, const N: usize>(
    call: &mut ProductCall<'_>,
    at: usize,
    j: usize,
) {
    let (b, rows, windows) = (call.b, call.rows, call.windows);
    let mut i = 0;
    // SAFETY: see `product_loop`.
    unsafe {
        let a = call.a.as_ptr();
        let c = call.c.as_mut_ptr();
        let panel = Panel {
            windows,
            data: b.data.as_ptr().add(at),
            bias: b.bias.as_ptr().add(j),
            relu: call.relu,
            stride: b.columns,
            columns: (b.columns - j).min(N * S::LANES),
        };
        macro_rules! tiles {
            ($r:expr) => {
                while rows - i >= $r {
                    let mut starts = [a; $r];
                    for (r, p) in starts.iter_mut().enumerate() {
                        *p = a.add(windows.start(i + r));
                    }
                    product_tile::<S, { $r }, N>(starts, &panel, c.add(i * b.columns + j));
                    i += $r;
                }
            };
        }
        if R == 8 {
            tiles!(8);
        } else {
            tiles!(6);
        }
        tiles!(4);
        tiles!(2);
        tiles!(1);
    }
}

/// The innermost kernel: `R` rows, which begin at `a`, of one panel, into `c`.
#[inline(always)]
unsafe fn product_tile<S: Simd, const R: usize, const N: usize>(
    a: [*const f32; R],
    panel: &Panel<'_>,
    c: *mut f32,
) {
    let Panel {
        windows,
        data: mut b,
        bias,
        relu,
        stride,
        columns,
    } = *panel;
    // SAFETY: see `product_loop`.
    unsafe {
        let mut acc = [[S::splat(0.0); N]; R];
        for row in &mut acc {
            for (v, x) in row.iter_mut().enumerate() {
                *x = S::load(bias.add(v * S::LANES));
            }
        }
        for &segment in &windows.segments {
            for k in segment..segment + windows.run {
                let mut w = [S::splat(0.0); N];
                for (v, x) in w.iter_mut().enumerate() {
                    *x = S::load(b.add(v * S::LANES));
                }
                // A panel wider than the first-level cache is read from the second: ask ahead.
                for v in 0..N {
                    S::prefetch(b.wrapping_add((AHEAD * N + v) * S::LANES));
                }
                b = b.add(N * S::LANES);
                for r in 0..R {
                    let x = S::splat(*a[r].add(k));
                    for v in 0..N {
                        acc[r][v] = S::fma(x, w[v], acc[r][v]);
                    }
                }
            }
        }
        for (r, row) in acc.iter().enumerate() {
            for (v, &x) in row.iter().enumerate() {
                let x = if relu { S::relu(x) } else { x };
                let (done, out) = (v * S::LANES, c.add(r * stride + v * S::LANES));
                if columns >= done + S::LANES {
                    S::store(out, x);
                } else if columns > done {
                    S::store_part(out, x, columns - done);
                }
            }
        }
    }
}

/// Rows of a panel that are asked for ahead.
const AHEAD: usize = 8;

struct GramCall<'a> {
    a: &'a [f32],
    windows: &'a Windows,
    rows: usize,
    g: &'a [f32],
    columns: usize,
    c: &'a mut [f32],
}

/// `c` [depth, columns] += windows(`a`)ᵀ · `g`, with `g` [rows, columns]: the gradient of the
/// weights of [`product`].
///
/// # Panics
/// If a window reaches outside of `a` or a length disagrees.
pub(crate) fn gram(
    a: &[f32],
    windows: &Windows,
    rows: usize,
    g: &[f32],
    columns: usize,
    c: &mut [f32],
) {
    windows.check(rows, a.len());
    assert_eq!(g.len(), rows * columns, "gradient has the wrong size");
    assert_eq!(
        c.len(),
        windows.depth() * columns,
        "output has the wrong size"
    );
    let call = GramCall {
        a,
        windows,
        rows,
        g,
        columns,
        c,
    };
    // SAFETY: lengths were checked above; each version runs only where the CPU has its
    // instructions.
    unsafe {
        match set() {
            Set::Portable => gram_loop::<Portable<false>>(call),
            Set::Fused => gram_loop::<Portable<true>>(call),
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => gram_avx2(call),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => gram_avx512(call),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn gram_avx2(call: GramCall<'_>) {
    // SAFETY: the caller's contract.
    unsafe { gram_loop::<Avx2>(call) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn gram_avx512(call: GramCall<'_>) {
    // SAFETY: the caller's contract.
    unsafe { gram_loop::<Avx512>(call) }
}

/// Rows taken at once: 192 rows of one 64-column panel of `g` are 48 KiB, about a first-level
/// cache.
const ROWS: usize = 192;
/// Columns of the widest panel.
const PANEL: usize = 64;
/// Products of at least this depth copy a panel of `g`: its rows, a power of two apart in an LSTM,
/// would push each other out of the cache.
const COPIED_DEPTH: usize = 32;
/// Panels of `g` from which on the windows are copied too, for the same reason: once for all
/// panels.
const COPIED_PANELS: usize = 16;
/// Columns of the windows in the widest tile.
const TILE: usize = 6;

thread_local! {
    /// Copied windows, [tile, row, column in the tile].
    static COPY: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Copies the rows of `a` that begin at `starts` in the order in which tiles of six columns read
/// them.
fn copy_windows(a: &[f32], windows: &Windows, starts: &[usize], copy: &mut Vec<f32>) {
    let tile = starts.len() * TILE;
    copy.clear();
    copy.resize(windows.depth().div_ceil(TILE) * tile, 0.0);
    let mut at = 0;
    for &segment in &windows.segments {
        for k in (0..windows.run).step_by(TILE) {
            let count = TILE.min(windows.run - k);
            for (to, start) in copy[at..at + tile].chunks_exact_mut(TILE).zip(starts) {
                to[..count].copy_from_slice(&a[start + segment + k..][..count]);
            }
            at += tile;
        }
    }
}

#[inline(always)]
unsafe fn gram_loop<S: Simd>(call: GramCall<'_>) {
    let GramCall {
        a,
        windows,
        rows,
        g,
        columns,
        c,
    } = call;
    let mut starts = [0usize; ROWS];
    let copied_starts: [usize; ROWS] = std::array::from_fn(|i| i * TILE);
    let is_copied = windows.segments.len() == 1
        && windows.depth() >= COPIED_DEPTH
        && columns >= COPIED_PANELS * S::WIDEST * S::LANES;
    let mut copy = COPY.take();
    let mut panel = [0.0; ROWS * PANEL];
    let mut first = 0;
    while first < rows {
        let count = ROWS.min(rows - first);
        for (i, s) in starts[..count].iter_mut().enumerate() {
            *s = windows.start(first + i);
        }
        if is_copied {
            copy_windows(a, windows, &starts[..count], &mut copy);
        }
        let mut j = 0;
        while j < columns {
            let vectors = tile_width(columns - j, S::LANES, S::WIDEST);
            let width = (columns - j).min(vectors * S::LANES);
            let rows = if is_copied && vectors > 1 {
                Rows {
                    first: copy.as_ptr(),
                    starts: &copied_starts[..count],
                    is_copied: true,
                }
            } else {
                Rows {
                    first: a.as_ptr(),
                    starts: &starts[..count],
                    is_copied: false,
                }
            };
            let block = &g[first * columns..(first + count) * columns];
            let (g, stride) = if columns > width && windows.depth() >= COPIED_DEPTH {
                for (to, from) in panel
                    .chunks_exact_mut(width)
                    .zip(block.chunks_exact(columns))
                {
                    let from = &from[j..j + width];
                    if width < vectors * S::LANES {
                        to.copy_from_slice(from);
                        continue;
                    }
                    for at in (0..width).step_by(S::LANES) {
                        // SAFETY: `width` is a multiple of the lanes here, and both have it.
                        unsafe { S::store(to.as_mut_ptr().add(at), S::load(from.as_ptr().add(at))) }
                    }
                }
                (panel.as_ptr(), width)
            } else {
                (block[j..].as_ptr(), columns)
            };
            // SAFETY: rows and columns stay inside the lengths checked by the caller.
            unsafe {
                let c = c.as_mut_ptr().add(j);
                match vectors {
                    4 => gram_runs::<S, 6, 4>(&rows, windows, (g, stride), columns, width, c),
                    2 => gram_runs::<S, 6, 2>(&rows, windows, (g, stride), columns, width, c),
                    _ => gram_runs::<S, 8, 1>(&rows, windows, (g, stride), columns, width, c),
                }
            }
            j += vectors * S::LANES;
        }
        first += count;
    }
    COPY.set(copy);
}

/// Where a block of windows lies: column `k` of row `i` at `first + starts[i] + column(k)`.
struct Rows<'a> {
    first: *const f32,
    starts: &'a [usize],
    is_copied: bool,
}

impl Rows<'_> {
    #[inline(always)]
    fn column(&self, k: usize) -> usize {
        if self.is_copied {
            k / TILE * TILE * self.starts.len() + k % TILE
        } else {
            k
        }
    }
}

#[inline(always)]
unsafe fn gram_runs<S: Simd, const R: usize, const N: usize>(
    rows: &Rows<'_>,
    windows: &Windows,
    g: (*const f32, usize),
    columns: usize,
    width: usize,
    c: *mut f32,
) {
    for (s, &segment) in windows.segments.iter().enumerate() {
        let mut k = 0;
        // SAFETY: see `gram_loop`.
        unsafe {
            macro_rules! tiles {
                ($r:expr) => {
                    while windows.run - k >= $r {
                        let out = c.add((s * windows.run + k) * columns);
                        gram_tile::<S, { $r }, N>(
                            rows.first.add(rows.column(segment + k)),
                            rows.starts,
                            g,
                            columns,
                            width,
                            out,
                        );
                        k += $r;
                    }
                };
            }
            if R == 8 {
                tiles!(8);
            } else {
                tiles!(6);
            }
            tiles!(4);
            tiles!(2);
            tiles!(1);
        }
    }
}

#[inline(always)]
unsafe fn gram_tile<S: Simd, const R: usize, const N: usize>(
    a: *const f32,
    starts: &[usize],
    (mut g, stride): (*const f32, usize),
    columns: usize,
    width: usize,
    c: *mut f32,
) {
    // SAFETY: see `gram_loop`; the last vector of a narrow tile is read and written in part.
    unsafe {
        for r in 0..R {
            for v in 0..N {
                S::prefetch(c.wrapping_add(r * columns + v * S::LANES));
            }
        }
        let mut acc = [[S::splat(0.0); N]; R];
        if width == N * S::LANES {
            for &start in starts {
                let mut w = [S::splat(0.0); N];
                for (v, x) in w.iter_mut().enumerate() {
                    *x = S::load(g.add(v * S::LANES));
                }
                g = g.add(stride);
                for (r, row) in acc.iter_mut().enumerate() {
                    let x = S::splat(*a.add(start + r));
                    for v in 0..N {
                        row[v] = S::fma(x, w[v], row[v]);
                    }
                }
            }
        } else {
            let last = width - (N - 1) * S::LANES;
            for &start in starts {
                let mut w = [S::splat(0.0); N];
                for (v, x) in w.iter_mut().enumerate().take(N - 1) {
                    *x = S::load(g.add(v * S::LANES));
                }
                w[N - 1] = S::load_part(g.add((N - 1) * S::LANES), last);
                g = g.add(stride);
                for (r, row) in acc.iter_mut().enumerate() {
                    let x = S::splat(*a.add(start + r));
                    for v in 0..N {
                        row[v] = S::fma(x, w[v], row[v]);
                    }
                }
            }
        }
        let one = S::splat(1.0);
        for (r, row) in acc.iter().enumerate() {
            for (v, &x) in row.iter().enumerate() {
                let (done, out) = (v * S::LANES, c.add(r * columns + v * S::LANES));
                if width >= done + S::LANES {
                    S::store(out, S::fma(x, one, S::load(out)));
                } else {
                    S::store_part(
                        out,
                        S::fma(x, one, S::load_part(out, width - done)),
                        width - done,
                    );
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
