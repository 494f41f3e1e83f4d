//! Each instruction set this CPU has against plain loops; the public layers are tested in
//! `tests/layers.rs`.

use super::*;
use crate::random::{fill_normal, stream};
use std::cell::Cell;

thread_local! {
    /// The set to use on this thread instead of the widest.
    pub(crate) static FORCED: Cell<Option<Set>> = const { Cell::new(None) };
}

fn normals(name: &str, len: usize) -> Vec<f32> {
    let mut x = vec![0.0; len];
    fill_normal(&mut stream(8, name, &[]), &mut x);
    x
}

/// Two runs of 5 in each window, windows overlapping: rows of depth 10.
fn windows() -> Windows {
    Windows {
        table: vec![0, 3, 9],
        frame: 40,
        segments: vec![0, 12],
        run: 5,
    }
}

fn row(a: &[f32], i: usize) -> Vec<f32> {
    let start = (i / 3) * 40 + [0, 3, 9][i % 3];
    [&a[start..start + 5], &a[start + 12..start + 17]].concat()
}

pub(crate) fn available() -> Vec<Set> {
    let mut sets = vec![Set::Portable, Set::Fused];
    #[cfg(target_arch = "x86_64")]
    match set() {
        Set::Avx512 => sets.extend([Set::Avx2, Set::Avx512]),
        Set::Avx2 => sets.push(Set::Avx2),
        _ => {}
    }
    sets
}

#[test]
fn every_instruction_set_agrees_with_plain_loops() {
    let mut fused: Option<Vec<f32>> = None;
    for set in available() {
        FORCED.set(Some(set));
        let mut all = Vec::new();
        for (rows, columns) in
            (1..=20).flat_map(|r| [1, 3, 4, 7, 8, 9, 16, 31, 48, 64, 70, 112].map(|c| (r, c)))
        {
            let (a, w, bias, g) = (
                normals("a", 7 * 40),
                normals("w", 10 * columns),
                normals("b", columns),
                normals("g", rows * columns),
            );
            let mut packed = Packed::default();
            packed.pack(&w, 10, columns, Some(&bias));
            let mut c = vec![f32::NAN; rows * columns];
            product(&a, &windows(), rows, &packed, false, &mut c);
            let mut transposed = Packed::default();
            transposed.pack_transposed(&w, columns, 10);
            let mut backward = vec![f32::NAN; rows * 10];
            product(
                &g,
                &Windows::dense(columns),
                rows,
                &transposed,
                true,
                &mut backward,
            );
            let mut sum = vec![1.0; 10 * columns];
            gram(&a, &windows(), rows, &g, columns, &mut sum);
            for part in [&c, &backward, &sum] {
                all.extend_from_slice(part);
            }
            for i in 0..rows {
                let x = row(&a, i);
                for j in 0..columns {
                    let want = bias[j] + (0..10).map(|k| x[k] * w[k * columns + j]).sum::<f32>();
                    assert!(
                        (c[i * columns + j] - want).abs() < 1e-4,
                        "{set:?} {rows}×{columns} at {i},{j}"
                    );
                }
                for k in 0..10 {
                    let want = (0..columns)
                        .map(|j| g[i * columns + j] * w[k * columns + j])
                        .sum::<f32>()
                        .max(0.0);
                    assert!(
                        (backward[i * 10 + k] - want).abs() < 1e-4,
                        "{set:?} transposed {rows}×{columns} at {i},{k}"
                    );
                }
            }
            for k in 0..10 {
                for j in 0..columns {
                    let want = 1.0
                        + (0..rows)
                            .map(|i| row(&a, i)[k] * g[i * columns + j])
                            .sum::<f32>();
                    assert!(
                        (sum[k * columns + j] - want).abs() < 1e-4,
                        "{set:?} gram {rows}×{columns} at {k},{j}"
                    );
                }
            }
        }
        if set != Set::Portable {
            let first = fused.get_or_insert_with(|| all.clone());
            assert!(*first == all, "{set:?} and {:?} differ", Set::Fused);
        }
    }
    FORCED.set(None);
}

/// Wide enough that panels of both matrices are copied, with two blocks of rows and tiles of every
/// height.
#[test]
fn a_wide_gram_agrees_with_plain_loops_on_every_instruction_set() {
    let (rows, depth, columns) = (200, 35, 1030);
    let (a, g) = (
        normals("wide a", rows * depth),
        normals("wide g", rows * columns),
    );
    let mut fused: Option<Vec<f32>> = None;
    for set in available() {
        FORCED.set(Some(set));
        let mut sum = vec![0.5; depth * columns];
        gram(&a, &Windows::dense(depth), rows, &g, columns, &mut sum);
        for k in 0..depth {
            for j in 0..columns {
                let want = 0.5
                    + (0..rows)
                        .map(|i| f64::from(a[i * depth + k]) * f64::from(g[i * columns + j]))
                        .sum::<f64>();
                let got = f64::from(sum[k * columns + j]);
                assert!((got - want).abs() < 1e-4, "{set:?} at {k},{j}");
            }
        }
        if set != Set::Portable {
            let first = fused.get_or_insert_with(|| sum.clone());
            assert!(*first == sum, "{set:?} and {:?} differ", Set::Fused);
        }
    }
    FORCED.set(None);
}
