//! C: a linear policy on the latent and the memory's hidden state, evolved by CMA-ES.

mod actions;
mod coordinates;
mod linear;

pub use actions::Actions;
pub use coordinates::{Coordinates, Moments};
pub use frmdn_cma_es as cma_es;
pub use linear::LinearController;
