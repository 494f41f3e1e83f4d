//! C: a linear policy on the latent and the memory's hidden state, evolved by CMA-ES.

mod acting;
mod actions;
mod whitening;

pub use acting::Controller;
pub use actions::Actions;
pub use frmdn_cma_es as cma_es;
pub use whitening::{Moments, Whitening};
