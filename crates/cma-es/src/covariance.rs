//! The covariance matrix C = B D² Bᵀ, diagonal or full: sampling, update, decomposition.

use faer::{
    Accum, MatMut, MatRef, Par, Side,
    linalg::matmul::{
        matmul,
        triangular::{self, BlockStructure},
    },
};
use serde::{Deserialize, Serialize};

use crate::CmaError;

/// State of the covariance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Shape {
    /// Variances.
    Diagonal(Vec<f64>),
    /// Everything.
    Full(Full),
}

/// A full covariance, and the decomposition candidates are drawn with, which may be some
/// generations old.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub(crate) struct Full {
    /// The lower triangle of C, column-major n × n; what is above the diagonal is zero.
    c: Vec<f64>,
    /// Eigenvectors, column-major n × n.
    b: Vec<f64>,
    /// Square roots of the eigenvalues.
    d: Vec<f64>,
    /// The lower triangle that was decomposed, packed, if C has changed since.
    source: Option<Vec<f64>>,
    decomposed_at: u64,
}

/// A [`Full`] on disk: triangles only. The decomposition is made again on loading; the same numbers
/// give the same bits.
#[derive(Clone, Serialize, Deserialize)]
struct Saved {
    dimension: usize,
    c: Vec<f64>,
    source: Option<Vec<f64>>,
    decomposed_at: u64,
}

impl Shape {
    pub(crate) fn identity(n: usize, full: bool) -> Self {
        if full {
            let mut eye = vec![0.0; n * n];
            eye.iter_mut().step_by(n + 1).for_each(|x| *x = 1.0);
            Self::Full(Full {
                c: eye.clone(),
                b: eye,
                d: vec![1.0; n],
                source: None,
                decomposed_at: 0,
            })
        } else {
            Self::Diagonal(vec![1.0; n])
        }
    }

    /// Number of parameters n.
    pub(crate) fn dimension(&self) -> usize {
        self.axes().len()
    }

    /// The vectors z of `z` (n values each, one after the other) become B D z: steps with
    /// covariance C.
    pub(crate) fn colour(&self, z: &[f64]) -> Vec<f64> {
        match self {
            Self::Diagonal(v) => {
                let d: Vec<f64> = v.iter().map(|v| v.sqrt()).collect();
                scaled(z, &d)
            }
            Self::Full(full) => full.rotate(&scaled(z, &full.d)),
        }
    }

    /// B z = C^(-1/2) y for y = B D z.
    pub(crate) fn isotropic(&self, z: Vec<f64>) -> Vec<f64> {
        match self {
            Self::Diagonal(_) => z,
            Self::Full(full) => full.rotate(&z),
        }
    }

    /// decay·C + Σ weight·v vᵀ.
    pub(crate) fn updated(&self, decay: f64, vectors: &[(f64, &[f64])]) -> Self {
        match self {
            Self::Diagonal(variance) => {
                let mut next: Vec<f64> = variance.iter().map(|x| decay * x).collect();
                for (w, vector) in vectors {
                    for (x, v) in next.iter_mut().zip(*vector) {
                        *x += w * v * v;
                    }
                }
                Self::Diagonal(next)
            }
            Self::Full(full) => {
                let (n, k) = (full.d.len(), vectors.len());
                let mut c: Vec<f64> = full.c.iter().map(|x| decay * x).collect();
                let (mut left, mut right) = (Vec::new(), Vec::new());
                for (w, vector) in vectors {
                    left.extend(vector.iter().map(|v| w * v));
                    right.extend_from_slice(vector);
                }
                triangular::matmul(
                    MatMut::from_column_major_slice_mut(&mut c, n, n),
                    BlockStructure::TriangularLower,
                    Accum::Add,
                    MatRef::from_column_major_slice(&left, n, k),
                    BlockStructure::Rectangular,
                    MatRef::from_column_major_slice(&right, n, k).transpose(),
                    BlockStructure::Rectangular,
                    1.0,
                    Par::Seq,
                );
                let source = Some(full.source.clone().unwrap_or_else(|| packed(&full.c, n)));
                Self::Full(Full {
                    c,
                    b: full.b.clone(),
                    d: full.d.clone(),
                    source,
                    decomposed_at: full.decomposed_at,
                })
            }
        }
    }

    /// Decomposes C again if the last decomposition is `gap` generations old. `false` if C is no
    /// longer positive definite.
    pub(crate) fn refresh(&mut self, generation: u64, gap: f64) -> bool {
        match self {
            Self::Diagonal(v) => v.iter().all(|v| v.is_finite() && *v > 0.0),
            Self::Full(full) => {
                if ((generation - full.decomposed_at) as f64) < gap.max(1.0) {
                    return true;
                }
                let Some((b, d)) = decompose(&full.c, full.d.len()) else {
                    return false;
                };
                (full.b, full.d, full.source, full.decomposed_at) = (b, d, None, generation);
                true
            }
        }
    }

    /// Standard deviations along the principal axes, without the step size.
    pub(crate) fn axes(&self) -> Vec<f64> {
        match self {
            Self::Diagonal(v) => v.iter().map(|v| v.sqrt()).collect(),
            Self::Full(full) => full.d.clone(),
        }
    }

    /// Standard deviations of the parameters, without the step size.
    pub(crate) fn deviations(&self) -> Vec<f64> {
        match self {
            Self::Diagonal(v) => v.iter().map(|v| v.sqrt()).collect(),
            Self::Full(full) => full
                .c
                .iter()
                .step_by(full.d.len() + 1)
                .map(|v| v.sqrt())
                .collect(),
        }
    }
}

impl Full {
    /// B times each of the vectors in `z`: one product.
    fn rotate(&self, z: &[f64]) -> Vec<f64> {
        let n = self.d.len();
        let count = z.len() / n;
        let mut out = vec![0.0; z.len()];
        let (b, z) = (
            MatRef::from_column_major_slice(&self.b, n, n),
            MatRef::from_column_major_slice(z, n, count),
        );
        matmul(
            MatMut::from_column_major_slice_mut(&mut out, n, count),
            Accum::Replace,
            b,
            z,
            1.0,
            Par::Seq,
        );
        out
    }
}

impl From<Full> for Saved {
    fn from(full: Full) -> Self {
        let n = full.d.len();
        Self {
            dimension: n,
            c: packed(&full.c, n),
            source: full.source,
            decomposed_at: full.decomposed_at,
        }
    }
}

impl TryFrom<Saved> for Full {
    type Error = CmaError;

    fn try_from(saved: Saved) -> Result<Self, CmaError> {
        let n = saved.dimension;
        // A dimension whose triangle cannot be counted is not that of any entries.
        let doubled = n.checked_add(1).and_then(|m| m.checked_mul(n));
        let expected = doubled.map_or(usize::MAX, |doubled| doubled / 2);
        for triangle in std::iter::once(&saved.c).chain(&saved.source) {
            if triangle.len() != expected {
                return Err(CmaError::SavedEntries {
                    dimension: n,
                    expected,
                    found: triangle.len(),
                });
            }
        }
        let c = unpacked(&saved.c, n);
        let (b, d) = if saved.decomposed_at == 0 {
            // Not decomposed yet: the identity, axis by axis.
            let Shape::Full(first) = Shape::identity(n, true) else {
                unreachable!("asked for a full one")
            };
            (first.b, first.d)
        } else {
            let source = saved
                .source
                .as_ref()
                .map_or_else(|| c.clone(), |s| unpacked(s, n));
            decompose(&source, n).ok_or(CmaError::SavedIndefinite)?
        };
        Ok(Self {
            c,
            b,
            d,
            source: saved.source,
            decomposed_at: saved.decomposed_at,
        })
    }
}

/// Every vector of `z` times `d`, entry by entry.
fn scaled(z: &[f64], d: &[f64]) -> Vec<f64> {
    z.chunks(d.len())
        .flat_map(|z| z.iter().zip(d).map(|(z, d)| z * d))
        .collect()
}

/// B and D of the matrix with the lower triangle `c`, or `None` if it is not positive definite.
fn decompose(c: &[f64], n: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    if c.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let eigen = MatRef::from_column_major_slice(c, n, n)
        .self_adjoint_eigen(Side::Lower)
        .ok()?;
    let (u, s): (MatRef<'_, f64>, _) = (eigen.U(), eigen.S());
    let d: Vec<f64> = (0..n).map(|i| s[i].sqrt()).collect();
    // The root of a negative number is not a number, and fails the comparison too.
    if !d.iter().all(|d| *d > 0.0) {
        return None;
    }
    let b = (0..n * n).map(|at| u[(at % n, at / n)]).collect();
    Some((b, d))
}

/// The lower triangle of a column-major matrix, column by column.
fn packed(c: &[f64], n: usize) -> Vec<f64> {
    c.chunks(n)
        .enumerate()
        .flat_map(|(j, column)| &column[j..])
        .copied()
        .collect()
}

/// The reverse of [`packed`].
fn unpacked(triangle: &[f64], n: usize) -> Vec<f64> {
    let mut c = vec![0.0; n * n];
    let mut rest = triangle;
    for (j, column) in c.chunks_mut(n).enumerate() {
        let (head, tail) = rest.split_at(n - j);
        column[j..].copy_from_slice(head);
        rest = tail;
    }
    c
}
