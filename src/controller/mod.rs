//! C: a linear policy on the latent and the memory's hidden state, evolved by CMA-ES.

mod actions;
mod linear;
mod whitening;

pub use actions::Actions;
pub use frmdn_cma_es as cma_es;
pub use linear::LinearController;
pub use whitening::{Moments, Whitening};
