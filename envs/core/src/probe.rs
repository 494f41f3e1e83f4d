//! The inner state of an environment, to see what an agent can know of it.

use crate::{EnvError, Measurement};

/// What can be read of an environment's inner state.
#[derive(Clone, Copy, Debug)]
pub struct ProbeSpec {
    /// All quantities, in the order of [`Probe::read`].
    pub quantities: &'static [Measurement],
    /// Numbers of those that an agent should know.
    pub readable: &'static [usize],
    /// Numbers of those that tell how an agent drives.
    pub driving: &'static [usize],
    /// Number of the quantity by which steps are sorted into bands.
    pub bands_by: usize,
    /// Upper limits of the bands; the last one, above all of them, has none.
    pub bands: &'static [f64],
    /// Steps at the start of an episode that are a band of their own.
    pub start_steps: u32,
}

/// An environment whose inner state can be read ([`crate::Env::probe`]).
pub trait Probe {
    /// What can be read.
    fn probe_spec(&self) -> &'static ProbeSpec;

    /// Writes the present quantities.
    ///
    /// # Errors
    /// Before the first reset.
    fn read(&mut self, out: &mut [f64]) -> Result<(), EnvError>;
}
