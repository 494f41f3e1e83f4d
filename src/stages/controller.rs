//! Evolution of the controller by CMA-ES in the real environment.

use std::sync::atomic::AtomicU64;

use frmdn_cma_es::{CmaEs, CmaEsConfig};
use frmdn_engine::Params;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Context;
use crate::{
    agent::Agent,
    controller::LinearController,
    pictures::{Series, plot_curves},
    rollout::{ActingModel, DriveOptions, Job, Outcome, Summary},
    run::{Checkpoint, CheckpointKind, Metrics, Preset, Result, RunError, RunFolder, seeds},
    worlds::World,
};

/// State of the evolution: all that is needed to go on bit for bit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evolution {
    /// The optimiser.
    pub optimiser: CmaEs,
    /// Frames driven so far, selection included.
    pub frames: u64,
    /// Score on the selection tracks of the best mean so far, with its generation.
    pub best: Option<(f64, u64)>,
}

impl Evolution {
    /// The state saved in `folder`, if any.
    pub fn load(folder: &RunFolder) -> Result<Option<Self>> {
        let path = folder.path("controller/state.safetensors");
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(Checkpoint::load(&path, CheckpointKind::ControllerState, REMEDY)?.state))
    }

    fn save(&self, folder: &RunFolder) -> Result<()> {
        let checkpoint = Checkpoint { tensors: Params::default(), state: self };
        checkpoint.save(&folder.path("controller/state.safetensors"), CheckpointKind::ControllerState)
    }
}

const REMEDY: &str = "Delete the folder controller/ of the run and type the same train command again: the evolution starts anew.";

/// Evolves the controller up to the preset's number of generations.
pub fn controller(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    let preset = folder.preset();
    let config = &preset.controller;
    let saved = Evolution::load(folder)?;
    if saved.as_ref().is_some_and(|state| state.optimiser.generation() >= config.generations) {
        return Ok(());
    }
    let world = context.world(&preset.environment)?;
    let model = Agent::load_model(folder, &world)?;
    let max_steps = world.max_steps().map_err(RunError::Failed)?.unwrap_or(0);
    let features = model.features();
    let mut state = match saved {
        Some(state) => state,
        None => {
            let cma = CmaEsConfig {
                dimension: LinearController::count(features, model.actions.width()),
                population: Some(config.population),
                sigma0: config.sigma,
                covariance: config.covariance,
                seed: preset.seed,
            };
            let optimiser = CmaEs::new(cma).map_err(|e| RunError::Config(format!("controller: {e}")))?;
            Evolution { optimiser, frames: 0, best: None }
        }
    };
    let metrics_path = folder.path("controller/metrics.jsonl");
    let mut metrics = Metrics::resume(&metrics_path, "generation", state.optimiser.generation())?;
    let arena = Arena { preset, model: &model, world: &world, max_steps };
    context.report.begin("controller", "generations", state.optimiser.generation(), config.generations);
    while state.optimiser.generation() < config.generations {
        let outcome = generation(folder, context, &arena, &mut state, &mut metrics);
        if outcome.is_err() {
            context.report.end();
        }
        outcome?;
    }
    context.report.end();
    draw(folder, &metrics_path)
}

/// Where candidates drive, and with what.
struct Arena<'a> {
    preset: &'a Preset,
    model: &'a ActingModel,
    world: &'a World,
    max_steps: u32,
}

impl Arena<'_> {
    fn drive(&self, context: &Context<'_>, jobs: &[Job<'_>], options: DriveOptions) -> Result<Option<Vec<Outcome>>> {
        self.model.drive(self.world, jobs, options, context.stop, &AtomicU64::new(0)).map_err(RunError::Failed)
    }
}

/// One generation: ask, drive, tell, now and then test the mean, save.
fn generation(folder: &RunFolder, context: &Context<'_>, arena: &Arena<'_>, state: &mut Evolution, metrics: &mut Metrics) -> Result<()> {
    let config = &arena.preset.controller;
    let (features, actions) = (arena.model.features(), arena.model.actions.width());
    let failed = |e: frmdn_cma_es::CmaError| RunError::Failed(format!("controller: {e}"));
    let number = state.optimiser.generation();
    let candidates: Vec<LinearController> =
        state.optimiser.ask().iter().map(|x| LinearController::new(features, actions, to_f32(x))).collect();
    let tracks = config.tracks as u64;
    let first = seeds::EVOLVE.start + number * tracks;
    let jobs: Vec<Job<'_>> = candidates.iter().flat_map(|c| (first..first + tracks).map(move |seed| Job { controller: c, seed })).collect();
    let give_up_after = (config.give_up_after > 0).then_some(config.give_up_after);
    let options = DriveOptions { give_up_after, max_steps: arena.max_steps };
    // A generation that is interrupted is driven again as a whole: its candidates and tracks are known.
    let Some(outcomes) = arena.drive(context, &jobs, options)? else { return context.check(folder) };
    let fitness: Vec<f64> =
        outcomes.chunks(config.tracks).map(|of| of.iter().map(|o| o.fitness).sum::<f64>() / config.tracks as f64).collect();
    let losses: Vec<f64> = fitness.iter().map(|f| -f).collect();
    state.optimiser.tell(&losses).map_err(failed)?;
    state.frames += outcomes.iter().map(|o| u64::from(o.steps)).sum::<u64>();
    let Summary { mean, sd, .. } = Summary::of(&fitness);
    let best = fitness.iter().copied().fold(f64::MIN, f64::max);
    let number = state.optimiser.generation();
    let mut line = json!({ "generation": number, "fitness_mean": mean, "fitness_sd": sd, "fitness_best": best,
        "sigma": state.optimiser.sigma() });
    if number.is_multiple_of(config.select_every) || number == config.generations {
        let mean = LinearController::new(features, actions, to_f32(state.optimiser.mean()));
        let range = seeds::SELECTION.start..seeds::SELECTION.start + config.select_tracks as u64;
        let jobs: Vec<Job<'_>> = range.map(|seed| Job { controller: &mean, seed }).collect();
        let Some(outcomes) = arena.drive(context, &jobs, DriveOptions::default())? else { return context.check(folder) };
        state.frames += outcomes.iter().map(|o| u64::from(o.steps)).sum::<u64>();
        let score = Summary::of(&outcomes.iter().map(|o| o.score).collect::<Vec<_>>()).mean;
        line["selection_mean"] = json!(score);
        if state.best.is_none_or(|(best, _)| score > best) {
            state.best = Some((score, number));
            Agent::save_controller(folder, &mean)?;
        }
    }
    line["frames"] = json!(state.frames);
    // The line first: lines after the last checkpoint are dropped on resume, a missing one would stay missing.
    metrics.append(&line)?;
    state.save(folder)?;
    let note = state.best.map_or(String::new(), |(score, at)| format!(", best mean on selection {score:.0} (generation {at})"));
    context.report.advance(number, &format!("fitness {mean:.0} ± {sd:.0}, best {best:.0}{note}"));
    Ok(())
}

fn to_f32(x: &[f64]) -> Vec<f32> {
    x.iter().map(|&v| v as f32).collect()
}

fn draw(folder: &RunFolder, metrics: &std::path::Path) -> Result<()> {
    let lines = Metrics::read(metrics)?;
    let pick =
        |key: &str| -> Vec<(f64, f64)> { lines.iter().filter_map(|l| Some((l["generation"].as_f64()?, l[key].as_f64()?))).collect() };
    let series = [
        Series::new("best candidate (fitness)", pick("fitness_best")),
        Series::new("mean of candidates (fitness)", pick("fitness_mean")),
        Series::new("distribution's mean (selection tracks)", pick("selection_mean")),
    ];
    plot_curves("Controller", "generation", "score", &series, &folder.path("pictures/controller.png"))
}
