//! Memories that act and dream.

use frmdn_density::{Density, SampleScratch};
use frmdn_engine::{
    Params,
    lstm::{Lstm, StepScratch},
    params::ParamError,
    random::Pcg64,
};

use super::{MemoryConfig, Variant, heads::Heads};

/// Buffers of a caller, reused from step to step.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    lstm: StepScratch,
    hidden: Vec<f32>,
    density: SampleScratch,
}

/// What a memory foresees beside the next latent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prediction {
    /// Reward of the step just consumed.
    pub reward: f32,
    /// Probability that the episode ended with it.
    pub done: f32,
}

/// The memory was asked for a prediction it cannot make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` predicts nothing; use a memory that does, for example rmdn or frmdn")]
pub struct NoPrediction(pub Variant);

/// A memory in use. A row's state is its own: rows of a batch never influence each other.
pub trait Memory: Send + Sync {
    /// Length of h.
    fn hidden_len(&self) -> usize;

    /// Values of one row's state; zeros at the start of an episode.
    fn state_len(&self) -> usize;

    /// Consumes latents `z` [rows, latent] and actions `a` [rows, actions], updating `state` [rows, state_len].
    fn step(&self, rows: usize, z: &[f32], a: &[f32], state: &mut [f32], scratch: &mut Scratch);

    /// h of one row's state.
    fn hidden<'a>(&self, state: &'a [f32]) -> &'a [f32];

    /// Draws the next latents `z` [rows, latent] of the rows of `state` at `temperature` (0: the likeliest component's mean),
    /// row i from `rngs[i]`, and tells reward and end of each.
    fn predict(
        &self,
        state: &[f32],
        temperature: f32,
        rngs: &mut [Pcg64],
        z: &mut [f32],
        foreseen: &mut [Prediction],
        scratch: &mut Scratch,
    ) -> Result<(), NoPrediction>;

    /// The centre of the next latent's density ([`Density::center`]) instead of a draw.
    fn predict_mean(&self, state: &[f32], z: &mut [f32]) -> Result<Prediction, NoPrediction>;
}

/// The memory of `params`.
pub fn load(config: &MemoryConfig, latent: usize, actions: usize, params: &Params) -> Result<Box<dyn Memory>, ParamError> {
    if !config.is_recurrent() {
        return Ok(Box::new(Held { variant: config.variant, latent }));
    }
    let (h, features) = (config.hidden, config.features(latent));
    let mut lstm = Lstm::new(latent + actions, h);
    let (weight, bias) = lstm_weights(config, latent, actions, params)?;
    lstm.load(&weight, bias);
    let density = config.density(latent);
    let foresight = match density {
        Some(density) => {
            Some(Foresight { density: Density::new(density, features, params)?, heads: Heads::load(&config.loss, params, h)? })
        }
        None => None,
    };
    Ok(Box::new(Recurrent { variant: config.variant, lstm, shown: if config.residual { latent } else { 0 }, foresight }))
}

/// W `[latent + actions + hidden, 4 hidden]` and b of the LSTM.
pub(super) fn lstm_weights<'a>(
    config: &MemoryConfig,
    latent: usize,
    actions: usize,
    params: &'a Params,
) -> Result<(Vec<f32>, &'a [f32]), ParamError> {
    let (inputs, h) = (latent + actions, config.hidden);
    let weight = [params.get("lstm.weight_input", &[inputs, 4 * h])?, params.get("lstm.weight_hidden", &[h, 4 * h])?].concat();
    Ok((weight, params.get("lstm.bias", &[4 * h])?))
}

/// The variants without a network: the state is the latent that was consumed last, or nothing.
struct Held {
    variant: Variant,
    latent: usize,
}

impl Memory for Held {
    fn hidden_len(&self) -> usize {
        if self.variant == Variant::Stack2 { self.latent } else { 0 }
    }

    fn state_len(&self) -> usize {
        if self.variant == Variant::None { 0 } else { self.latent }
    }

    fn step(&self, _: usize, z: &[f32], _: &[f32], state: &mut [f32], _: &mut Scratch) {
        if self.variant != Variant::None {
            state.copy_from_slice(z);
        }
    }

    fn hidden<'a>(&self, state: &'a [f32]) -> &'a [f32] {
        &state[..self.hidden_len()]
    }

    fn predict(
        &self,
        state: &[f32],
        _: f32,
        _: &mut [Pcg64],
        z: &mut [f32],
        foreseen: &mut [Prediction],
        _: &mut Scratch,
    ) -> Result<(), NoPrediction> {
        if self.variant != Variant::Copy {
            return Err(NoPrediction(self.variant));
        }
        z.copy_from_slice(state);
        foreseen.fill(Prediction::default());
        Ok(())
    }

    fn predict_mean(&self, state: &[f32], z: &mut [f32]) -> Result<Prediction, NoPrediction> {
        let mut foreseen = [Prediction::default()];
        self.predict(state, 0.0, &mut [], z, &mut foreseen, &mut Scratch::default())?;
        Ok(foreseen[0])
    }
}

struct Foresight {
    density: Density,
    heads: Heads,
}

/// Every variant with an LSTM; a row's state is [h, c], and the latent consumed last where means are changes of it.
struct Recurrent {
    variant: Variant,
    lstm: Lstm,
    /// Values of that latent, or 0.
    shown: usize,
    foresight: Option<Foresight>,
}

impl Memory for Recurrent {
    fn hidden_len(&self) -> usize {
        self.lstm.hidden()
    }

    fn state_len(&self) -> usize {
        2 * self.lstm.hidden() + self.shown
    }

    fn step(&self, rows: usize, z: &[f32], a: &[f32], state: &mut [f32], scratch: &mut Scratch) {
        if self.shown == 0 {
            return self.lstm.step(rows, &[z, a], state, &mut scratch.lstm);
        }
        let (len, own) = (self.state_len(), 2 * self.lstm.hidden());
        let Scratch { lstm, hidden: joint, .. } = scratch;
        joint.clear();
        state.chunks_exact(len).for_each(|row| joint.extend_from_slice(&row[..own]));
        self.lstm.step(rows, &[z, a], joint, lstm);
        for ((row, joint), z) in state.chunks_exact_mut(len).zip(joint.chunks_exact(own)).zip(z.chunks_exact(self.shown)) {
            row[..own].copy_from_slice(joint);
            row[own..].copy_from_slice(z);
        }
    }

    fn hidden<'a>(&self, state: &'a [f32]) -> &'a [f32] {
        &state[..self.lstm.hidden()]
    }

    fn predict(
        &self,
        state: &[f32],
        temperature: f32,
        rngs: &mut [Pcg64],
        z: &mut [f32],
        foreseen: &mut [Prediction],
        scratch: &mut Scratch,
    ) -> Result<(), NoPrediction> {
        let Foresight { density, heads } = self.foresight.as_ref().ok_or(NoPrediction(self.variant))?;
        let Scratch { hidden, density: buffers, .. } = scratch;
        hidden.clear();
        for (row, foreseen) in state.chunks_exact(self.state_len()).zip(foreseen) {
            hidden.extend_from_slice(self.hidden(row));
            hidden.extend_from_slice(&row[2 * self.hidden_len()..]);
            *foreseen = heads.foresee(self.hidden(row));
        }
        density.sample(hidden, temperature, rngs, z, buffers);
        Ok(())
    }

    fn predict_mean(&self, state: &[f32], z: &mut [f32]) -> Result<Prediction, NoPrediction> {
        let Foresight { density, heads } = self.foresight.as_ref().ok_or(NoPrediction(self.variant))?;
        let h = self.hidden(state);
        density.center(&[h, &state[2 * self.hidden_len()..]].concat(), z);
        Ok(heads.foresee(h))
    }
}
