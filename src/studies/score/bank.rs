//! The bank: controllers of all skills on [z_t, z_{t−1}], which no memory has a part in, and their
//! real scores.

use frmdn_engine::Params;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    BANK_TRACKS, Data, FORMAT, Results, Score,
    evolve::{SIGMA, SIGMA_AT_DRIVER, Search, TRACKS},
    jobs,
};
use crate::{
    controller::LinearController,
    memory::Variant,
    rollout::{DriveOptions, Job},
    run::{Checkpoint, CheckpointKind, Result, RunError},
    stages::Context,
    studies::store::made_with_other_settings,
};

/// Candidates of a generation of the evolutions.
const POPULATION: usize = 32;

/// The controllers with their real scores.
pub struct Bank {
    pub controllers: Vec<LinearController>,
    pub scored: Scored,
}

/// Real scores, whole episodes on the bank's selection tracks.
#[derive(Clone, Debug, Serialize, Deserialize)]
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

/// All that decides the bank.
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

/// The real scores, if all of them are there.
pub fn scored(plan: &Score, data: &Data, results: &Results) -> Result<Option<Scored>> {
    let settings = settings(plan, data);
    let mut all = Scored {
        scores: Vec::new(),
        origin: Vec::new(),
    };
    for start in 0..plan.scale.bank_starts {
        let Some(part) = results.load_settled::<Scored>(&name(data, start), &settings)? else {
            return Ok(None);
        };
        all.scores.extend(part.scores);
        all.origin.extend(part.origin);
    }
    Ok(Some(all))
}

/// The bank of `data`, made as far as it is missing: each evolution, then its controllers' scores.
pub fn make(plan: &Score, data: &Data, results: &Results, context: &Context<'_>) -> Result<Bank> {
    let scale = &plan.scale;
    let mut bank = Bank {
        controllers: Vec::new(),
        scored: Scored {
            scores: Vec::new(),
            origin: Vec::new(),
        },
    };
    for start in 0..scale.bank_starts {
        let count =
            scale.bank / scale.bank_starts + usize::from(start < scale.bank % scale.bank_starts);
        let evolved = evolved(plan, data, start as u64, count, context)?;
        let (name, settings) = (name(data, start), settings(plan, data));
        let part = match results.load_settled::<Scored>(&name, &settings)? {
            Some(part) => part,
            None => {
                let controllers: Vec<&LinearController> = evolved.iter().map(|(_, c)| c).collect();
                let scores = real_scores(plan, data, start, &controllers, context)?;
                let part = Scored {
                    scores,
                    origin: evolved
                        .iter()
                        .map(|(generation, _)| [start as u64 + 1, *generation])
                        .collect(),
                };
                results.save_settled(&name, &settings, &part)?;
                part
            }
        };
        bank.controllers.extend(evolved.into_iter().map(|(_, c)| c));
        bank.scored.scores.extend(part.scores);
        bank.scored.origin.extend(part.origin);
    }
    Ok(bank)
}

/// Whole episodes of each of `controllers` on the bank's tracks.
fn real_scores(
    plan: &Score,
    data: &Data,
    start: usize,
    controllers: &[&LinearController],
    context: &Context<'_>,
) -> Result<Vec<Vec<f64>>> {
    let model = data.model(data.plain(Variant::Stack2)?);
    context.report.begin(
        &format!("bank, real scores {}", start + 1),
        "controllers",
        0,
        controllers.len() as u64,
    );
    let one = |(i, controller): (usize, &&LinearController)| {
        let jobs: Vec<Job<'_>> = jobs(controller, BANK_TRACKS, plan.scale.bank_tracks).collect();
        let outcomes = plan.drive(&model, &data.world, &jobs, DriveOptions::default(), context)?;
        let scores: Vec<f64> = outcomes.iter().map(|o| o.score).collect();
        context.report.advance(
            i as u64 + 1,
            &format!(
                "score {:.0}",
                scores.iter().sum::<f64>() / scores.len() as f64
            ),
        );
        Ok(scores)
    };
    let scores = controllers.iter().enumerate().map(one).collect();
    context.report.end();
    scores
}

/// State of the file of an evolution's controllers.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Evolved {
    settings: Value,
    generations: Vec<u64>,
}

/// `count` controllers of one evolution, spread over its candidates and means, each the first of
/// its generation: as many as there are generations are a candidate of each but the last, whose
/// mean is taken.
fn evolved(
    plan: &Score,
    data: &Data,
    start: u64,
    count: usize,
    context: &Context<'_>,
) -> Result<Vec<(u64, LinearController)>> {
    let path = plan
        .out
        .join("bank")
        .join(format!("{}-{start}.safetensors", data.name));
    let settings = settings(plan, data);
    let features = 2 * data.latent();
    let shape = [
        count,
        LinearController::count(features, data.actions.width()),
    ];
    let model = data.model(data.plain(Variant::Stack2)?);
    if !path.exists() {
        let generations = plan.scale.bank_generations as u64;
        // Those that begin at a driver come further, the others are the weak ones.
        let mut search = if start.is_multiple_of(2) {
            Search::new(data, model, POPULATION, start + 1)?
        } else {
            Search::at_drivers(data, model, POPULATION, start + 1)?
        };
        let mut all = Vec::new();
        context.report.begin(
            &format!("bank, evolution {}", start + 1),
            "generations",
            0,
            generations,
        );
        for generation in 0..generations {
            all.push((generation, search.candidates().swap_remove(0)));
            search
                .generation(plan, context)
                .inspect_err(|_| context.report.end())?;
            all.push((generation + 1, search.mean()));
            context.report.advance(generation + 1, "");
        }
        context.report.end();
        let chosen: Vec<&(u64, LinearController)> = (0..count)
            .map(|i| &all[(i * (all.len() - 1)) / count.saturating_sub(1).max(1)])
            .collect();
        let mut tensors = Params::default();
        tensors.push(
            "weights",
            &shape,
            chosen
                .iter()
                .flat_map(|(_, c)| c.weights().to_vec())
                .collect(),
        );
        let state = Evolved {
            settings: settings.clone(),
            generations: chosen.iter().map(|c| c.0).collect(),
        };
        Checkpoint { tensors, state }.save(&path, CheckpointKind::Controller)?;
    }
    let file = Checkpoint::<Evolved>::load(
        &path,
        CheckpointKind::Controller,
        "Delete it and type the same command again.",
    )?;
    if file.state.settings != settings {
        return Err(made_with_other_settings(&path));
    }
    let weights = file
        .tensors
        .get("weights", &shape)
        .map_err(|e| RunError::damaged(&path, e, "Delete it and type the same command again."))?;
    let controllers = weights
        .chunks_exact(shape[1])
        .map(|w| LinearController::new(features, data.actions.width(), w.to_vec()));
    Ok(file
        .state
        .generations
        .into_iter()
        .zip(controllers)
        .collect())
}
