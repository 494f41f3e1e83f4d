//! What planners found of the actions, beside what C sees there, and C fitted to it.

use std::sync::Arc;

use rayon::prelude::*;

use super::{hidden, inputs_of, ridge::Ridge, whitening};
use crate::{
    controller::{Controller, Hidden, Whitening},
    memory::Scratch,
    rollout::ActingModel,
    run::{DriverName, Recovery, Result, RunError, RunFolder},
    stages::training_indices,
    worlds::World,
};

/// Added to the diagonal of the normal equations, in parts of the number of steps: coordinates have
/// a variance of about one.
const RIDGE: f64 = 1e-2;

/// Plans: the values of the actions, and [z, h] where they were found.
pub struct Planned {
    /// Length of [z, h].
    pub features: usize,
    /// Number of actions.
    pub actions: usize,
    /// `[plans, features]`.
    pub states: Vec<f32>,
    /// `[plans, actions]`.
    pub values: Vec<f32>,
}

/// The actions of an episode, what planners found of them, and what V made of its observations.
pub struct Steps<'a> {
    /// Means of V `[steps, latent]`, or more of them.
    pub latents: &'a [f32],
    /// `[steps, actions]`.
    pub actions: &'a [f32],
    /// The same; zeros where nothing was found.
    pub values: &'a [f32],
}

/// C fitted to plans: it does what looks best.
pub struct Fitted {
    /// Its hidden layers, if it has any.
    pub hidden: Option<Arc<Hidden>>,
    /// The coordinates of its parameters.
    pub whitening: Whitening,
    /// Its parameters.
    pub x: Vec<f64>,
    /// The share of the values' variance that it explains; with hidden layers, that of
    /// the targets which these explain in states that they were not fitted to.
    pub explained: f64,
}

impl Planned {
    /// No plans yet, for the V and M of `model`.
    pub fn none(model: &ActingModel) -> Self {
        Self {
            features: model.features(),
            actions: model.actions.width(),
            states: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Those of the planners' training episodes.
    ///
    /// # Errors
    /// If an episode cannot be read.
    pub fn recorded(folder: &RunFolder, world: &World, model: &ActingModel) -> Result<Self> {
        let (spec, collect) = (world.spec()?, &folder.preset().collect);
        let policies = collect.policies();
        let chosen: Vec<usize> = training_indices(collect.episodes)
            .filter(|&i| policies[collect.driver(i)] == DriverName::Planner)
            .collect();
        let of_episode = |&i: &usize| -> Result<_> {
            let (episode, latents) = folder.episode(i, &spec)?;
            let mut planned = Self::none(model);
            planned.add(
                &Steps {
                    latents: &latents.mean,
                    actions: &episode.actions,
                    values: &episode.values,
                },
                model,
            );
            Ok(planned)
        };
        let parts: Vec<Self> = chosen.par_iter().map(of_episode).collect::<Result<_>>()?;
        let mut all = Self::none(model);
        for part in parts {
            all.states.extend(part.states);
            all.values.extend(part.values);
        }
        Ok(all)
    }

    /// Adds those of an episode.
    pub fn add(&mut self, steps: &Steps<'_>, model: &ActingModel) {
        let mut state = vec![0.0; model.memory.state_len()];
        let mut scratch = Scratch::default();
        let each = steps.actions.chunks_exact(self.actions);
        let values = steps.values.chunks_exact(self.actions);
        let latents = steps.latents.chunks_exact(model.latent);
        for ((z, action), values) in latents.zip(each).zip(values) {
            if values.iter().any(|value| *value != 0.0) {
                self.states.extend_from_slice(z);
                self.states.extend_from_slice(model.memory.hidden(&state));
                self.values.extend_from_slice(values);
            }
            model.memory.step(1, z, action, &mut state, &mut scratch);
        }
    }

    /// Number of plans.
    pub fn len(&self) -> usize {
        self.values.len() / self.actions.max(1)
    }

    /// What hidden layers are fitted to `[plans, actions]`: the values of a state in units of their
    /// root mean square there and in all states, half and half, scaled to a standard deviation of 1.
    /// Where a loss is near, the values are large whatever is done; the choice between the actions
    /// counts elsewhere too.
    pub fn targets(&self) -> Vec<f32> {
        let overall = size(&self.values);
        let mut targets = Vec::with_capacity(self.values.len());
        for values in self.values.chunks_exact(self.actions) {
            let unit = size(values) + overall;
            targets.extend(values.iter().map(|v| (f64::from(*v) / unit) as f32));
        }
        let unit = size(&targets);
        targets.iter_mut().for_each(|t| *t /= unit as f32);
        targets
    }

    /// C fitted to them, as the preset of `folder` says.
    ///
    /// # Errors
    /// If there are too few.
    pub fn fit(&self, folder: &RunFolder, model: &ActingModel) -> Result<Fitted> {
        let preset = folder.preset();
        let (layer, held_out) = match &preset.controller.hidden[..] {
            [] => (None, None),
            units => {
                let (layers, explained) = hidden::fit(self, units, preset.seed)?;
                (Some(layers), Some(explained))
            }
        };
        let whitening = whitening(folder, model, layer.as_ref())?;
        let mut sums = Ridge::new(whitening.len() + 1, self.actions);
        let mut inputs = vec![0.0; whitening.features()];
        // Values come in units of reward, which say nothing to the evolution's step size. They keep
        // their proportions: what matters little is drawn at a temperature, what matters much is not.
        let unit = size(&self.values);
        let states = self.states.chunks_exact(self.features);
        for (state, values) in states.zip(self.values.chunks_exact(self.actions)) {
            let (z, h) = state.split_at(model.latent);
            inputs_of(layer.as_ref(), z, h, &mut inputs);
            let mut row = whitening.of(&inputs);
            row.push(1.0);
            let values: Vec<f64> = values.iter().map(|v| f64::from(*v) / unit).collect();
            sums.add(&row, &values);
        }
        let (weights, explained) = sums.solve(RIDGE).ok_or_else(|| {
            let what = "controller: there are no plans to be fitted to; planners value discrete \
                        actions only";
            RunError::refused(what, Recovery::Episodes)
        })?;
        Ok(Fitted {
            x: whitening.parameters(&weights),
            hidden: layer.map(Arc::new),
            whitening,
            explained: held_out.unwrap_or(explained),
        })
    }
}

/// Root mean square of `values`, above 0.
fn size(values: &[f32]) -> f64 {
    let squares: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
    let mean = squares / values.len().max(1) as f64;
    mean.sqrt().max(f64::MIN_POSITIVE)
}

impl Fitted {
    /// It, ready to act, at a temperature.
    pub fn controller(&self, actions: usize, temperature: f64) -> Controller {
        let controller = self.whitening.controller(actions, &self.x);
        let controller = controller.with_temperature(temperature as f32);
        controller.with_hidden(self.hidden.clone())
    }
}
