//! C: a policy on the latent and the memory's hidden state, linear or with hidden layers, evolved by
//! CMA-ES.

mod acting;
mod actions;
mod hidden;
mod whitening;

pub use acting::Controller;
pub use actions::Actions;
pub use frmdn_cma_es as cma_es;
pub use hidden::Hidden;
pub use whitening::{Moments, Whitening};

use frmdn_engine::linear::dot;

/// For each row of `weights`, whose last value is a bias, its product with [a, b] and 1.
fn affine(weights: &[f32], a: &[f32], b: &[f32], out: &mut [f32]) {
    let rows = weights.chunks_exact(a.len() + b.len() + 1);
    for (row, out) in rows.zip(out) {
        let (of_a, rest) = row.split_at(a.len());
        *out = dot(of_a, a) + dot(&rest[..b.len()], b) + rest[b.len()];
    }
}
