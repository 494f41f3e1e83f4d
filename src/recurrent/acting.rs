//! A recurrent density in use: it consumes values, and draws the next ones.

use std::borrow::Cow;

use frmdn_density::{Density, SampleScratch};
use frmdn_engine::{
    Params,
    lstm::{Lstm, StepScratch},
    params::ParamError,
    random::Pcg64,
};

use super::{RecurrentConfig, train::lstm_weights};

/// Buffers of a caller, reused from step to step.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    lstm: StepScratch,
    rows: Vec<f32>,
    density: SampleScratch,
}

/// Recurrence and density on the engine. A row's state is [h, c], and the values consumed last where
/// means are changes of them; zeros at the start.
pub struct Recurrent {
    lstm: Lstm,
    /// Values of a row's state after h and c.
    residual_len: usize,
    density: Density,
}

impl Recurrent {
    /// The model of `params`.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(config: &RecurrentConfig, params: &Params) -> Result<Self, ParamError> {
        Ok(Self {
            lstm: load_lstm(config.inputs(), config.hidden, params)?,
            residual_len: config.features() - config.hidden,
            density: Density::new(config.density, config.features(), params)?,
        })
    }

    /// Length of h.
    pub fn hidden_len(&self) -> usize {
        self.lstm.hidden()
    }

    /// Values of one row's state.
    pub fn state_len(&self) -> usize {
        2 * self.lstm.hidden() + self.residual_len
    }

    /// h of one row's state.
    pub fn hidden<'a>(&self, state: &'a [f32]) -> &'a [f32] {
        &state[..self.lstm.hidden()]
    }

    /// Consumes `seen` [rows, dim] and what is `given` with them [rows, given].
    pub fn step(
        &self,
        rows: usize,
        seen: &[f32],
        given: &[f32],
        state: &mut [f32],
        buffers: &mut Buffers,
    ) {
        let inputs = [seen, given];
        if self.residual_len == 0 {
            return self.lstm.step(rows, &inputs, state, &mut buffers.lstm);
        }
        let (len, own) = (self.state_len(), 2 * self.lstm.hidden());
        let joint = &mut buffers.rows;
        joint.clear();
        state
            .chunks_exact(len)
            .for_each(|row| joint.extend_from_slice(&row[..own]));
        self.lstm.step(rows, &inputs, joint, &mut buffers.lstm);
        for ((row, joint), seen) in state
            .chunks_exact_mut(len)
            .zip(joint.chunks_exact(own))
            .zip(seen.chunks_exact(self.residual_len))
        {
            row[..own].copy_from_slice(joint);
            row[own..].copy_from_slice(seen);
        }
    }

    /// Draws the next values `out` [rows, dim] of the rows of `state` at `temperature`, row i from
    /// `rngs[i]` ([`Density::sample`]).
    pub fn sample(
        &self,
        state: &[f32],
        temperature: f32,
        rngs: &mut [Pcg64],
        out: &mut [f32],
        buffers: &mut Buffers,
    ) {
        let Buffers {
            rows: features,
            density,
            ..
        } = buffers;
        features.clear();
        for row in state.chunks_exact(self.state_len()) {
            features.extend_from_slice(&self.features(row));
        }
        self.density
            .sample(features, temperature, rngs, out, density);
    }

    /// −log of the density of `next` after one row's `state`, nats.
    pub fn nats(&self, state: &[f32], next: &[f32]) -> f64 {
        -self.density.log_prob(&self.features(state), next)[0]
    }

    /// The centre of the density after one row's `state` ([`Density::center`]).
    pub fn center(&self, state: &[f32], out: &mut [f32]) {
        self.density.center(&self.features(state), out);
    }

    /// What the density sees of one row's state.
    fn features<'a>(&self, state: &'a [f32]) -> Cow<'a, [f32]> {
        let h = self.lstm.hidden();
        match self.residual_len {
            0 => Cow::Borrowed(&state[..h]),
            _ => Cow::Owned([&state[..h], &state[2 * h..]].concat()),
        }
    }
}

/// The LSTM of `params`.
///
/// # Errors
/// If a tensor is missing or has another shape.
pub(crate) fn load_lstm(inputs: usize, hidden: usize, params: &Params) -> Result<Lstm, ParamError> {
    let (weight, bias) = lstm_weights(inputs, hidden, params)?;
    let mut lstm = Lstm::new(inputs, hidden);
    lstm.load(&weight, bias);
    Ok(lstm)
}
