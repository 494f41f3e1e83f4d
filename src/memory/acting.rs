//! Memories in use, for acting and dreaming.

use std::ops::RangeInclusive;

use frmdn_engine::{
    Params,
    lstm::{Lstm, StepScratch},
    params::ParamError,
    random::Pcg64,
};
use rand::RngExt;

use super::{
    MemoryConfig, Variant,
    heads::{LoadedHeads, WorldHeads},
};
use crate::recurrent::{self, Buffers, load_lstm};

/// Temperatures of what a memory draws: draws further out are noise to every memory.
pub const TEMPERATURES: RangeInclusive<f32> = 0.0..=3.0;

/// Buffers of a caller, reused from step to step.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    lstm: StepScratch,
    recurrent: Buffers,
}

/// What a memory predicts besides the next latent.
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

    /// Consumes latents `z` [rows, latent] and actions `a` [rows, actions], updating `state` [rows,
    /// state_len].
    fn step(&self, rows: usize, z: &[f32], a: &[f32], state: &mut [f32], scratch: &mut Scratch);

    /// h of one row's state.
    fn hidden<'a>(&self, state: &'a [f32]) -> &'a [f32];

    /// Draws the next latents `z` [rows, latent] of the rows of `state` at `temperature` (0: the
    /// likeliest component's mean, of an ensemble that of its first member), row i from `rngs[i]`,
    /// and predicts reward and end of each.
    fn predict(
        &self,
        state: &[f32],
        temperature: f32,
        rngs: &mut [Pcg64],
        z: &mut [f32],
        predictions: &mut [Prediction],
        scratch: &mut Scratch,
    ) -> Result<(), NoPrediction>;

    /// −log of the density of `z` as the next latent of one row's `state`, nats.
    ///
    /// # Errors
    /// If the memory predicts nothing, or has no density.
    fn nats(&self, state: &[f32], z: &[f32]) -> Result<f64, NoPrediction>;

    /// The centre of the next latent's density ([`frmdn_density::Density::center`]; of an ensemble the mean of its
    /// members') instead of a draw.
    fn predict_mean(&self, state: &[f32], z: &mut [f32]) -> Result<Prediction, NoPrediction>;
}

/// The memory of `params`.
pub fn load(
    config: &MemoryConfig,
    latent: usize,
    actions: usize,
    params: &Params,
) -> Result<Box<dyn Memory>, ParamError> {
    if !config.is_recurrent() {
        return Ok(Box::new(HoldLast {
            variant: config.variant,
            latent,
        }));
    }
    if config.members > 1 {
        let member = |m: usize| {
            load(
                &config.member(),
                latent,
                actions,
                &params.part(&format!("member{m}.")),
            )
        };
        return Ok(Box::new(Ensemble(
            (0..config.members).map(member).collect::<Result<_, _>>()?,
        )));
    }
    let h = config.hidden;
    let Some(recurrent) = config.recurrent(latent, actions) else {
        return Ok(Box::new(Untrained {
            variant: config.variant,
            lstm: load_lstm(latent + actions, h, params)?,
        }));
    };
    Ok(Box::new(Recurrent {
        recurrent: recurrent::Recurrent::load(&recurrent, params)?,
        heads: LoadedHeads::load(&WorldHeads::of(config), params, h, latent)?,
    }))
}

/// The variants without a network: the state is the latent that was consumed last, or nothing.
struct HoldLast {
    variant: Variant,
    latent: usize,
}

impl Memory for HoldLast {
    fn hidden_len(&self) -> usize {
        if self.variant == Variant::Stack2 {
            self.latent
        } else {
            0
        }
    }

    fn state_len(&self) -> usize {
        if self.variant == Variant::None {
            0
        } else {
            self.latent
        }
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
        predictions: &mut [Prediction],
        _: &mut Scratch,
    ) -> Result<(), NoPrediction> {
        if self.variant != Variant::Copy {
            return Err(NoPrediction(self.variant));
        }
        z.copy_from_slice(state);
        predictions.fill(Prediction::default());
        Ok(())
    }

    fn nats(&self, _: &[f32], _: &[f32]) -> Result<f64, NoPrediction> {
        Err(NoPrediction(self.variant))
    }

    fn predict_mean(&self, state: &[f32], z: &mut [f32]) -> Result<Prediction, NoPrediction> {
        let mut predictions = [Prediction::default()];
        self.predict(
            state,
            0.0,
            &mut [],
            z,
            &mut predictions,
            &mut Scratch::default(),
        )?;
        Ok(predictions[0])
    }
}

/// A random LSTM, which predicts nothing; a row's state is [h, c].
struct Untrained {
    variant: Variant,
    lstm: Lstm,
}

impl Memory for Untrained {
    fn hidden_len(&self) -> usize {
        self.lstm.hidden()
    }

    fn state_len(&self) -> usize {
        2 * self.lstm.hidden()
    }

    fn step(&self, rows: usize, z: &[f32], a: &[f32], state: &mut [f32], scratch: &mut Scratch) {
        self.lstm.step(rows, &[z, a], state, &mut scratch.lstm);
    }

    fn hidden<'a>(&self, state: &'a [f32]) -> &'a [f32] {
        &state[..self.lstm.hidden()]
    }

    fn predict(
        &self,
        _: &[f32],
        _: f32,
        _: &mut [Pcg64],
        _: &mut [f32],
        _: &mut [Prediction],
        _: &mut Scratch,
    ) -> Result<(), NoPrediction> {
        Err(NoPrediction(self.variant))
    }

    fn nats(&self, _: &[f32], _: &[f32]) -> Result<f64, NoPrediction> {
        Err(NoPrediction(self.variant))
    }

    fn predict_mean(&self, _: &[f32], _: &mut [f32]) -> Result<Prediction, NoPrediction> {
        Err(NoPrediction(self.variant))
    }
}

/// Every variant with a density: a recurrent density and the heads on its h.
struct Recurrent {
    recurrent: recurrent::Recurrent,
    heads: LoadedHeads,
}

impl Memory for Recurrent {
    fn hidden_len(&self) -> usize {
        self.recurrent.hidden_len()
    }

    fn state_len(&self) -> usize {
        self.recurrent.state_len()
    }

    fn step(&self, rows: usize, z: &[f32], a: &[f32], state: &mut [f32], scratch: &mut Scratch) {
        self.recurrent
            .step(rows, z, a, state, &mut scratch.recurrent);
    }

    fn hidden<'a>(&self, state: &'a [f32]) -> &'a [f32] {
        self.recurrent.hidden(state)
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
        self.recurrent
            .sample(state, temperature, rngs, z, &mut scratch.recurrent);
        let rows = state.chunks_exact(self.state_len());
        let next = z.chunks_exact(z.len() / rngs.len().max(1));
        for ((row, next), prediction) in rows.zip(next).zip(predictions) {
            *prediction = self.heads.predict_step(self.hidden(row), next);
        }
        Ok(())
    }

    fn nats(&self, state: &[f32], z: &[f32]) -> Result<f64, NoPrediction> {
        Ok(self.recurrent.nats(state, z))
    }

    fn predict_mean(&self, state: &[f32], z: &mut [f32]) -> Result<Prediction, NoPrediction> {
        self.recurrent.center(state, z);
        Ok(self.heads.predict_step(self.hidden(state), z))
    }
}

/// Members that predict as one mixture (equation 20). A row's state is the h of all, then the
/// members' own states.
struct Ensemble(Vec<Box<dyn Memory>>);

impl Ensemble {
    /// Where a member's own state is in a row's.
    fn own(&self, member: usize) -> std::ops::Range<usize> {
        let before: usize = self.0[..member].iter().map(|m| m.state_len()).sum();
        let from = self.hidden_len() + before;
        from..from + self.0[member].state_len()
    }
}

impl Memory for Ensemble {
    fn hidden_len(&self) -> usize {
        self.0.iter().map(|m| m.hidden_len()).sum()
    }

    fn state_len(&self) -> usize {
        self.hidden_len() + self.0.iter().map(|m| m.state_len()).sum::<usize>()
    }

    fn step(&self, rows: usize, z: &[f32], a: &[f32], state: &mut [f32], scratch: &mut Scratch) {
        let (len, mut at) = (self.state_len(), 0);
        for (m, member) in self.0.iter().enumerate() {
            let own = self.own(m);
            let mut states: Vec<f32> = state
                .chunks_exact(len)
                .flat_map(|row| row[own.clone()].iter().copied())
                .collect();
            member.step(rows, z, a, &mut states, scratch);
            for (row, state) in state
                .chunks_exact_mut(len)
                .zip(states.chunks_exact(own.len()))
            {
                row[at..at + member.hidden_len()].copy_from_slice(member.hidden(state));
                row[own.clone()].copy_from_slice(state);
            }
            at += member.hidden_len();
        }
    }

    fn hidden<'a>(&self, state: &'a [f32]) -> &'a [f32] {
        &state[..self.hidden_len()]
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
        let latent = z.len() / rngs.len().max(1);
        let rows = state
            .chunks_exact(self.state_len())
            .zip(rngs.chunks_exact_mut(1));
        for ((state, rng), (z, prediction)) in rows.zip(
            z.chunks_exact_mut(latent)
                .zip(predictions.chunks_exact_mut(1)),
        ) {
            // A draw from the mixture: latent, reward and end of one member. Members are equally
            // likely; at temperature 0 the first is used.
            let drawn = if temperature > 0.0 {
                rng[0].random_range(0..self.0.len())
            } else {
                0
            };
            self.0[drawn].predict(
                &state[self.own(drawn)],
                temperature,
                rng,
                z,
                prediction,
                scratch,
            )?;
        }
        Ok(())
    }

    fn nats(&self, state: &[f32], z: &[f32]) -> Result<f64, NoPrediction> {
        let mut all = Vec::with_capacity(self.0.len());
        for (m, member) in self.0.iter().enumerate() {
            all.push(member.nats(&state[self.own(m)], z)?);
        }
        // −log of the mean density, from the largest one.
        let least = all.iter().copied().fold(f64::INFINITY, f64::min);
        let sum: f64 = all.iter().map(|nats| libm::exp(least - nats)).sum();
        Ok(least - libm::log(sum / all.len() as f64))
    }

    fn predict_mean(&self, state: &[f32], z: &mut [f32]) -> Result<Prediction, NoPrediction> {
        let (n, mut mean, mut one) = (
            self.0.len() as f32,
            Prediction::default(),
            vec![0.0; z.len()],
        );
        z.fill(0.0);
        for (m, member) in self.0.iter().enumerate() {
            let prediction = member.predict_mean(&state[self.own(m)], &mut one)?;
            for (z, one) in z.iter_mut().zip(&one) {
                *z += one / n;
            }
            mean.reward += prediction.reward / n;
            mean.done += prediction.done / n;
        }
        Ok(mean)
    }
}
