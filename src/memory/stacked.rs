//! A wrapper that shows C the previous latent instead of h.

use frmdn_engine::random::Pcg64;

use super::{Memory, NoPrediction, Prediction, Scratch};

/// Shows the controller the latent of the step before, as the variant `stack2` does, and predicts
/// as the memory inside does. So the same controllers on [z_t, z_{t−1}] drive in the dreams of any
/// memory.
///
/// A row's state is the inner memory's, then that latent.
pub struct Stacked {
    inner: Box<dyn Memory>,
    latent: usize,
}

impl Stacked {
    /// Around `inner`, whose latents have `latent` values.
    pub fn new(inner: Box<dyn Memory>, latent: usize) -> Self {
        Self { inner, latent }
    }

    /// The inner states of all rows, one after the other.
    fn inside(&self, states: &[f32]) -> Vec<f32> {
        let own = self.inner.state_len();
        states
            .chunks_exact(self.state_len())
            .flat_map(|row| &row[..own])
            .copied()
            .collect()
    }
}

impl Memory for Stacked {
    fn hidden_len(&self) -> usize {
        self.latent
    }

    fn state_len(&self) -> usize {
        self.inner.state_len() + self.latent
    }

    fn step(&self, rows: usize, z: &[f32], a: &[f32], state: &mut [f32], scratch: &mut Scratch) {
        let own = self.inner.state_len();
        let mut inside = self.inside(state);
        self.inner.step(rows, z, a, &mut inside, scratch);
        for (i, row) in state.chunks_exact_mut(own + self.latent).enumerate() {
            row[..own].copy_from_slice(&inside[i * own..(i + 1) * own]);
            row[own..].copy_from_slice(&z[i * self.latent..(i + 1) * self.latent]);
        }
    }

    fn hidden<'a>(&self, state: &'a [f32]) -> &'a [f32] {
        &state[self.inner.state_len()..]
    }

    fn predict(
        &self,
        state: &[f32],
        temperature: f32,
        rngs: &mut [Pcg64],
        z: &mut [f32],
        predictions: &mut [Prediction],
        scratch: &mut Scratch,
    ) -> Result<(), NoPrediction> {
        self.inner.predict(
            &self.inside(state),
            temperature,
            rngs,
            z,
            predictions,
            scratch,
        )
    }

    fn nats(&self, state: &[f32], z: &[f32]) -> Result<f64, NoPrediction> {
        self.inner.nats(&state[..self.inner.state_len()], z)
    }

    fn predict_mean(&self, state: &[f32], z: &mut [f32]) -> Result<Prediction, NoPrediction> {
        self.inner.predict_mean(&state[..self.inner.state_len()], z)
    }
}
