//! How well a linear map reads the inner state of an environment off z and off [z, h], which bounds
//! what C can use.

use std::{ops::ControlFlow, path::PathBuf};

use frmdn_env::{ProbeSpec, Step};
use rayon::prelude::*;

use super::{moments, ridge::Ridge};
use crate::{
    agent::Agent,
    controller::Whitening,
    memory::Scratch,
    rollout::{ActingModel, Driver, Job, Moment, Seen, Watcher, Who},
    run::{Episode, Interrupt, LatentEpisode, Recovery, Result, RunError, RunFolder},
    stages::{Context, held_out},
    worlds::World,
};

/// Episodes that the map is fitted to, and held-out ones that it is tested on.
const EPISODES: [usize; 2] = [80, 20];
/// Added to the diagonal of the normal equations, in parts of the number of steps.
const RIDGE: f64 = 1e-4;

/// How well one quantity is predicted, on held-out episodes.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearReadout {
    /// The quantity.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Its standard deviation.
    pub sd: f64,
    /// Part of its variance that a linear map of z explains, and one of [z, h].
    pub explained: [f64; 2],
    /// Mean absolute errors of these maps.
    pub error: [f64; 2],
}

/// Rows of an episode, standardised [z, h], and what is to be read beside them.
struct Rows {
    features: Vec<Vec<f64>>,
    read: Vec<Vec<f64>>,
}

/// Predicts what the environment's probe declares readable from the inputs of the controller of `folder`. The recorded episodes
/// are driven again for it, and their rewards compared.
///
/// # Errors
///
/// Where V or M are not trained, the environment's inner state cannot be read, or episodes are
/// missing or of another program's physics.
pub fn readout(folder: &RunFolder, context: &Context<'_>) -> Result<Vec<LinearReadout>> {
    let preset = folder.preset();
    let mut world = context.world(&preset.environment)?;
    let spec = world.probe_spec()?;
    let model = Agent::load_model(folder, &world.spec()?)?;
    if preset.collect.random_start {
        world = world.with_random_start()?;
    }
    let standard = Whitening::standard(&moments(folder, &model, None)?);
    let load = |is_held_out: bool, count: usize| -> Result<Vec<Rows>> {
        let chosen: Vec<usize> = (0..preset.collect.episodes)
            .filter(|&i| held_out(i) == is_held_out)
            .take(count)
            .collect();
        let rows = |index: usize| rows(folder, &world, &model, &standard, index);
        chosen.into_par_iter().map(rows).collect()
    };
    let (training, test) = (load(false, EPISODES[0])?, load(true, EPISODES[1])?);
    let (Some(of_z), Some(of_zh)) = (
        linear_map(&training, model.latent),
        linear_map(&training, standard.len()),
    ) else {
        return Err(RunError::Failed("the episodes are empty".into()));
    };
    let readout = |i: usize| {
        let variance = variance(&test, i);
        let errors = [&of_z, &of_zh].map(|map| errors(&test, &map[i], i));
        LinearReadout {
            name: spec.quantities[spec.readable[i]].name.to_string(),
            unit: spec.quantities[spec.readable[i]].unit.to_string(),
            sd: variance.sqrt(),
            explained: errors.map(|[squared, _]| 1.0 - squared / variance),
            error: errors.map(|[_, absolute]| absolute),
        }
    };
    Ok((0..spec.readable.len()).map(readout).collect())
}

/// For each quantity the weights of the first `width` features and an offset. `None` without rows.
fn linear_map(episodes: &[Rows], width: usize) -> Option<Vec<Vec<f64>>> {
    let targets = episodes.iter().find_map(|rows| rows.read.first())?.len();
    let mut sums = Ridge::new(width + 1, targets);
    for rows in episodes {
        for (row, read) in rows.features.iter().zip(&rows.read) {
            sums.add(&[&row[..width], &[1.0]].concat(), read);
        }
    }
    sums.solve(RIDGE).map(|(weights, _)| weights)
}

/// Variance of quantity `i`.
fn variance(episodes: &[Rows], i: usize) -> f64 {
    let values = || episodes.iter().flat_map(|r| &r.read).map(|m| m[i]);
    let count = values().count() as f64;
    let mean = values().sum::<f64>() / count;
    values().map(|v| (v - mean).powi(2)).sum::<f64>() / count
}

/// Mean squared and mean absolute error of the linear map `weights` of quantity `i`.
fn errors(episodes: &[Rows], weights: &[f64], i: usize) -> [f64; 2] {
    let (offset, weights) = weights
        .split_last()
        .expect("a weight for every value and one more");
    let (mut squares, mut absolute, mut count) = (0.0, 0.0, 0.0);
    for rows in episodes {
        for (row, read) in rows.features.iter().zip(&rows.read) {
            let predicted = weights.iter().zip(row).map(|(w, x)| w * x).sum::<f64>();
            let error = read[i] - offset - predicted;
            squares += error * error;
            absolute += error.abs();
            count += 1.0;
        }
    }
    [squares / count, absolute / count]
}

fn rows(
    folder: &RunFolder,
    world: &World,
    model: &ActingModel,
    standard: &Whitening,
    index: usize,
) -> Result<Rows> {
    let (episode, latents) = folder.episode(index, &world.spec()?)?;
    let mut replay = Replay {
        spec: world.probe_spec()?,
        model,
        standard,
        episode: &episode,
        latents: &latents,
        path: folder.episodes().path(index),
        state: vec![0.0; model.memory.state_len()],
        scratch: Scratch::default(),
        rows: Rows {
            features: Vec::new(),
            read: Vec::new(),
        },
    };
    let job = Job::of(Who::Recorded(&episode.actions), episode.seed);
    Driver::new(world, &Interrupt::default()).watch(job, &mut replay)?;
    Ok(replay.rows)
}

/// A recorded episode that is driven again.
struct Replay<'a> {
    spec: &'static ProbeSpec,
    model: &'a ActingModel,
    standard: &'a Whitening,
    episode: &'a Episode,
    latents: &'a LatentEpisode,
    path: PathBuf,
    state: Vec<f32>,
    scratch: Scratch,
    rows: Rows,
}

impl Watcher for Replay<'_> {
    fn before(&mut self, moment: Moment<'_>) -> Result<ControlFlow<()>> {
        let t = moment.outcome.steps as usize;
        if t == self.episode.steps() {
            return Ok(ControlFlow::Break(()));
        }
        let mut read = vec![0.0; self.spec.quantities.len()];
        if let Some(probe) = moment.env.probe() {
            probe.read(&mut read)?;
        }
        let d = self.latents.latent;
        let z = &self.latents.mean[t * d..(t + 1) * d];
        let memory = &self.model.memory;
        let features = [z, memory.hidden(&self.state)].concat();
        self.rows.features.push(self.standard.of(&features));
        let readable = self.spec.readable.iter().map(|&i| read[i]);
        self.rows.read.push(readable.collect());
        memory.step(1, z, moment.action, &mut self.state, &mut self.scratch);
        Ok(ControlFlow::Continue(()))
    }

    fn after(&mut self, step: &Step, _: Seen<'_>) -> Result<()> {
        let t = self.rows.read.len() - 1;
        let recorded = self.episode.rewards[t];
        if (step.reward as f32 - recorded).abs() > 1e-4 {
            return Err(RunError::damaged(
                &self.path,
                format!(
                    "step {t} brings {} here and brought {recorded} there",
                    step.reward
                ),
                Recovery::Episodes,
            ));
        }
        Ok(())
    }
}
