//! A recurrent density: an LSTM that consumes sequences of vectors, and p(next | h), which may have a
//! flow. It knows nothing of worlds; heads on h are what its user makes of them.
//!
//! Numbers of equations are those of [`crate::memory`]: 14 is the recurrence, 15 the density, 17 the
//! loss, 18 dropout, 19 scheduled sampling. In a world model the values are latents, what is given
//! beside them are actions, and the heads predict reward and end.

mod acting;
mod batch;
mod config;
mod definition;
mod evaluation;
mod heads;
mod train;

pub(crate) use acting::load_lstm;
pub use acting::{Buffers, Recurrent};
pub(crate) use batch::columns;
pub use batch::{Sequences, Targets};
pub(crate) use config::uniform;
pub use config::{RecurrentConfig, init_lstm};
pub use definition::Definition;
pub use evaluation::{Calibration, Likelihood};
pub use heads::{Heads, NoHeads, Rows};
#[cfg(test)]
pub(crate) use train::lstm_gradients;
pub use train::{NonFinite, Trainer, Update};
