//! Matrix products on the `gemm` crate, single-threaded: C = α·A·B + β·C on row-major slices.
#![expect(
    unsafe_code,
    reason = "the gemm crate takes raw pointers; lengths are checked before each call"
)]

/// A row-major matrix view, possibly read as its transpose.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Mat<'a> {
    /// `data` holds `rows` rows of `cols` values.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Like [`Mat::new`], consecutive rows `stride` values apart.
    ///
    /// # Panics
    /// If `data` is too short.
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, stride: usize) -> Self {
        assert!(
            stride >= cols && (rows == 0 || data.len() >= (rows - 1) * stride + cols),
            "matrix view outside of its data"
        );
        Self {
            data,
            rows,
            cols,
            row_stride: stride,
            col_stride: 1,
        }
    }

    /// The transpose, without moving anything.
    #[must_use]
    pub fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// `c = alpha · a · b + beta · c`, where `c` is row-major with `a.rows` rows of `b.cols` values.
///
/// With `beta == 0` the old content of `c` is not read. The `gemm` crate picks another kernel for a
/// single row, whose sums differ in the last bits: callers who need rows to be independent of the
/// batch pad to two rows.
///
/// # Panics
/// If the shapes disagree.
pub fn matmul(alpha: f32, a: Mat<'_>, b: Mat<'_>, beta: f32, c: &mut [f32]) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    assert_eq!(k, b.rows, "inner dimensions disagree");
    assert_eq!(c.len(), m * n, "output has the wrong size");
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: the views were checked against their slices when made, `c` has m·n values and is
    // borrowed mutably.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n as isize,
            beta != 0.0,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            beta,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(
        a: &dyn Fn(usize, usize) -> f32,
        b: &dyn Fn(usize, usize) -> f32,
        m: usize,
        k: usize,
        n: usize,
    ) -> Vec<f32> {
        let mut c = vec![0.0; m * n];
        for i in 0..m {
            for j in 0..n {
                c[i * n + j] = (0..k).map(|l| a(i, l) * b(l, j)).sum();
            }
        }
        c
    }

    #[test]
    fn products_and_transposes_equal_the_triple_loop() {
        let (m, k, n) = (7, 13, 9);
        let a: Vec<f32> = (0..m * k).map(|i| (i as f32 * 0.37).sin()).collect();
        let b: Vec<f32> = (0..k * n).map(|i| (i as f32 * 0.71).cos()).collect();
        let want = naive(&|i, l| a[i * k + l], &|l, j| b[l * n + j], m, k, n);
        let mut c = vec![f32::NAN; m * n];
        matmul(1.0, Mat::new(&a, m, k), Mat::new(&b, k, n), 0.0, &mut c);
        for (x, y) in c.iter().zip(&want) {
            assert!((x - y).abs() < 1e-5, "{x} {y}");
        }
        // Aᵀ stored, B as is: the same product again, and accumulated onto itself.
        let at: Vec<f32> = (0..k * m).map(|i| a[(i % m) * k + i / m]).collect();
        matmul(
            2.0,
            Mat::new(&at, k, m).t(),
            Mat::new(&b, k, n),
            1.0,
            &mut c,
        );
        for (x, y) in c.iter().zip(&want) {
            assert!((x - 3.0 * y).abs() < 1e-4, "{x} {y}");
        }
    }
}
