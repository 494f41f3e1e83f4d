//! The bank: controllers of all skills on [z_t, z_{t−1}], which use no memory, and their real
//! scores.

use std::path::PathBuf;

use frmdn_engine::Params;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    BANK_TRACKS, FORMAT, Results, Score,
    data::Data,
    evolve::{SIGMA, SIGMA_AT_DRIVER, Search, TRACKS},
    jobs,
};
use crate::{
    controller::Controller,
    memory::Variant,
    rollout::{DriveOptions, Job},
    run::{Checkpoint, CheckpointKind, Recovery, Result, RunError},
    stages::Context,
    studies::store::made_with_other_settings,
};

/// Candidates of a generation of the evolutions.
const POPULATION: usize = 32;

/// The controllers with their real scores.
pub struct Bank {
    pub controllers: Vec<Controller>,
    pub scored: Scored,
}

/// Real scores of whole episodes on the bank's selection tracks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Scored {
    /// Of each controller on each track.
    pub scores: Vec<Vec<f64>>,
    /// The evolution that each controller is from, counted from 1, and the generation.
    pub origin: Vec<[u64; 2]>,
}

impl Scored {
    /// Mean score of each controller.
    pub fn means(&self) -> Vec<f64> {
        self.scores
            .iter()
            .map(|s| s.iter().sum::<f64>() / s.len().max(1) as f64)
            .collect()
    }

    /// The two best controllers, the better one first.
    pub fn best(&self) -> [usize; 2] {
        let means = self.means();
        let mut order: Vec<usize> = (0..means.len()).collect();
        order.sort_by(|&a, &b| means[b].total_cmp(&means[a]));
        [order[0], order[1]]
    }
}

/// Everything that decides the bank.
pub fn settings(plan: &Score, data: &Data) -> Value {
    let scale = &plan.scale;
    json!({ "format": FORMAT, "data": data.name, "vision": data.vision,
        "environment": data.preset.environment,
        "bank": [scale.bank, scale.bank_starts, scale.bank_generations, scale.bank_tracks],
        "population": POPULATION, "tracks": TRACKS,
        "sigma": [SIGMA, SIGMA_AT_DRIVER] })
}

/// The name of the real scores of evolution number `start`.
fn name(data: &Data, start: usize) -> String {
    format!("{}-bank-{}", data.name, start + 1)
}

/// The real scores; `None` before all of them are finished.
///
/// # Errors
/// If they were made with other settings, or cannot be read.
pub fn load_scores(plan: &Score, data: &Data, results: &Results) -> Result<Option<Scored>> {
    let settings = settings(plan, data);
    let mut all = Scored::default();
    for start in 0..plan.scale.bank_starts {
        let Some(part) = results.load_with_settings::<Scored>(&name(data, start), &settings)?
        else {
            return Ok(None);
        };
        all.scores.extend(part.scores);
        all.origin.extend(part.origin);
    }
    Ok(Some(all))
}

/// The bank of `data`, made as far as it is missing: each evolution, then its controllers' scores.
///
/// # Errors
/// If a part was made with other settings, a file cannot be read or written, or the user
/// interrupts.
pub fn make(plan: &Score, data: &Data, results: &Results, context: &Context<'_>) -> Result<Bank> {
    let scale = &plan.scale;
    let settings = settings(plan, data);
    let mut bank = Bank {
        controllers: Vec::new(),
        scored: Scored::default(),
    };
    for start in 0..scale.bank_starts {
        let count =
            scale.bank / scale.bank_starts + usize::from(start < scale.bank % scale.bank_starts);
        let evolution = Evolution::new(plan, data, start as u64, count);
        if !evolution.path.exists() {
            evolution.evolve(context)?;
        }
        let (generations, controllers) = evolution.load()?;
        let name = name(data, start);
        let part = match results.load_with_settings::<Scored>(&name, &settings)? {
            Some(part) => part,
            None => {
                let number = start as u64 + 1;
                let part = Scored {
                    scores: real_scores(plan, data, start, &controllers, context)?,
                    origin: generations.iter().map(|g| [number, *g]).collect(),
                };
                results.save_with_settings(&name, &settings, &part)?;
                part
            }
        };
        bank.controllers.extend(controllers);
        bank.scored.scores.extend(part.scores);
        bank.scored.origin.extend(part.origin);
    }
    Ok(bank)
}

/// Scores of whole episodes of each of `controllers` on the bank's tracks.
fn real_scores(
    plan: &Score,
    data: &Data,
    start: usize,
    controllers: &[Controller],
    context: &Context<'_>,
) -> Result<Vec<Vec<f64>>> {
    let model = data.model(data.memory_without_weights(Variant::Stack2)?);
    context.report.begin(
        &format!("bank, real scores {}", start + 1),
        "controllers",
        0,
        controllers.len() as u64,
    );
    let score = |(i, controller): (usize, &Controller)| {
        let jobs: Vec<Job<'_>> = jobs(controller, BANK_TRACKS, plan.scale.bank_tracks).collect();
        let outcomes = plan.drive(&model, &data.world, &jobs, DriveOptions::default(), context)?;
        let scores: Vec<f64> = outcomes.iter().map(|o| o.score).collect();
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        let note = format!("score {mean:.0}");
        context.report.advance(i as u64 + 1, &note);
        Ok(scores)
    };
    let scores = controllers.iter().enumerate().map(score).collect();
    context.report.end();
    scores
}

/// State of the file of an evolution's controllers.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Evolved {
    settings: Value,
    generations: Vec<u64>,
}

/// One of the evolutions that the bank's controllers are taken from.
struct Evolution<'a> {
    plan: &'a Score,
    data: &'a Data,
    /// Number of the evolution, from 0.
    start: u64,
    /// Number of controllers that are taken from it.
    count: usize,
    /// File of these controllers.
    path: PathBuf,
    settings: Value,
}

impl<'a> Evolution<'a> {
    fn new(plan: &'a Score, data: &'a Data, start: u64, count: usize) -> Self {
        let file = format!("{}-{start}.safetensors", data.name);
        Self {
            plan,
            data,
            start,
            count,
            path: plan.out.join("bank").join(file),
            settings: settings(plan, data),
        }
    }

    /// Number of what the controllers see: z of two steps.
    fn features(&self) -> usize {
        2 * self.data.latent()
    }

    /// Shape of the controllers' weights.
    fn shape(&self) -> [usize; 2] {
        let actions = self.data.actions.width();
        [self.count, Controller::count(self.features(), actions)]
    }

    /// Runs the evolution and writes `count` of its controllers, spread evenly over the first
    /// candidates and the means of all generations: with as many as there are generations, a
    /// candidate of each but the last, of which it is the mean.
    fn evolve(&self, context: &Context<'_>) -> Result<()> {
        let all = self.candidates_and_means(context)?;
        let (mut weights, mut generations) = (Vec::new(), Vec::new());
        for i in 0..self.count {
            let at = (i * (all.len() - 1)) / self.count.saturating_sub(1).max(1);
            let (generation, controller) = &all[at];
            generations.push(*generation);
            weights.extend_from_slice(controller.weights());
        }
        let mut tensors = Params::default();
        tensors.push("weights", &self.shape(), weights);
        let state = Evolved {
            settings: self.settings.clone(),
            generations,
        };
        Checkpoint { tensors, state }.save(&self.path, CheckpointKind::Controller)
    }

    /// The first candidate of every generation and then its mean, with their generations.
    fn candidates_and_means(&self, context: &Context<'_>) -> Result<Vec<(u64, Controller)>> {
        let data = self.data;
        let model = data.model(data.memory_without_weights(Variant::Stack2)?);
        let seed = self.start + 1;
        // Those that begin at a driver come further, the others are the weak ones.
        let mut search = if self.start.is_multiple_of(2) {
            Search::new(data, model, POPULATION, seed)?
        } else {
            Search::at_drivers(data, model, POPULATION, seed)?
        };
        let generations = self.plan.scale.bank_generations as u64;
        let title = format!("bank, evolution {seed}");
        context.report.begin(&title, "generations", 0, generations);
        let mut all = Vec::new();
        for generation in 0..generations {
            all.push((generation, search.candidates().swap_remove(0)));
            search
                .generation(self.plan, context)
                .inspect_err(|_| context.report.end())?;
            all.push((generation + 1, search.mean()));
            context.report.advance(generation + 1, "");
        }
        context.report.end();
        Ok(all)
    }

    /// The controllers of a finished evolution, and the generation of each.
    fn load(&self) -> Result<(Vec<u64>, Vec<Controller>)> {
        let kind = CheckpointKind::Controller;
        let file = Checkpoint::<Evolved>::load_with(&self.path, kind, Recovery::File)?;
        if file.state.settings != self.settings {
            return Err(made_with_other_settings(&self.path));
        }
        let shape = self.shape();
        let weights = file
            .tensors
            .get("weights", &shape)
            .map_err(|e| RunError::damaged(&self.path, e, Recovery::File))?;
        let (features, actions) = (self.features(), self.data.actions.width());
        let controllers = weights
            .chunks_exact(shape[1])
            .map(|w| Controller::new(features, actions, w.to_vec()));
        Ok((file.state.generations, controllers.collect()))
    }
}
