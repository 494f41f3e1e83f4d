//! Batches of a world's sequences.

use crate::recurrent::{Sequences, Targets, columns};

/// Latents (`seen`), actions (`given`) and the latents that followed (`next`), with reward and end of
/// the steps between them.
pub type SequenceBatch = Sequences<Outcomes>;

/// What came of the steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcomes {
    /// Rewards of the steps [T, B].
    pub reward: Vec<f32>,
    /// Whether the episode ended with the step [T, B], 0 or 1.
    pub done: Vec<f32>,
    /// What is measured after the steps [T, B], for the auxiliary head; 0 where there is none.
    pub measured: Vec<f32>,
}

impl Targets for Outcomes {
    fn zeros(rows: usize) -> Self {
        Self {
            reward: vec![0.0; rows],
            done: vec![0.0; rows],
            measured: vec![0.0; rows],
        }
    }

    fn columns(&self, batch: usize, from: usize, to: usize) -> Self {
        let cut = |values: &[f32]| columns(values, values.len(), batch, from, to);
        Self {
            reward: cut(&self.reward),
            done: cut(&self.done),
            measured: cut(&self.measured),
        }
    }
}
