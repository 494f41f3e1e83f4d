//! C: a policy on the latent and the memory's hidden state, linear or with a hidden layer, evolved
//! by CMA-ES.

mod acting;
mod actions;
mod hidden;
mod whitening;

pub use acting::Controller;
pub use actions::Actions;
pub use frmdn_cma_es as cma_es;
pub use hidden::Hidden;
pub use whitening::{Moments, Whitening};
