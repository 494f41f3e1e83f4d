//! Generations that begin in the middle of recorded episodes.
//!
//! An agent that dies early learns nothing of what comes later. So the first generations begin near
//! the ends of episodes that experts have driven, where the task is nearly done, and then further
//! and further back (Salimans & Chen, "Learning Montezuma's Revenge from a Single Demonstration",
//! 2018).

use frmdn_engine::random::stream;
use rand::RngExt;

use super::{CandidateEvaluator, Evolution};
use crate::{
    controller::LinearController,
    rollout::{DriveOptions, Driver, Outcome, StartPoint},
    run::{ArchiveConfig, LatentEpisode, Result},
    stages::training_indices,
};

/// The settings, if the next generation of `state` is one of these.
pub(super) fn of<'a>(
    evaluator: &CandidateEvaluator<'a>,
    state: &Evolution,
) -> Option<&'a ArchiveConfig> {
    let archive = evaluator.preset.controller.archive.as_ref();
    archive.filter(|archive| state.generation < archive.generations)
}

/// Drives `candidates` from the starts of generation `generation`. `None` after Ctrl-C.
pub(super) fn drive(
    evaluator: &CandidateEvaluator<'_>,
    archive: &ArchiveConfig,
    generation: u64,
    candidates: &[&LinearController],
    options: DriveOptions,
) -> Result<Option<Vec<Vec<Outcome>>>> {
    let starts = starts(evaluator, archive, generation)?;
    if starts.is_empty() || evaluator.context.stop.is_set() {
        return Ok(None);
    }
    let starts: Vec<_> = starts.iter().map(|(seed, at)| (*seed, Some(at))).collect();
    let options = DriveOptions {
        most_steps: Some(archive.steps),
        ..options
    };
    evaluator.drive_from(candidates, &starts, options)
}

/// The starts of a generation, with the seeds of their episodes.
fn starts(
    evaluator: &CandidateEvaluator<'_>,
    archive: &ArchiveConfig,
    generation: u64,
) -> Result<Vec<(u64, StartPoint)>> {
    let (folder, preset) = (evaluator.folder, evaluator.preset);
    let policies = preset.collect.policies();
    let by_experts: Vec<usize> = training_indices(preset.collect.episodes)
        .filter(|&i| policies[preset.collect.driver(i)].is_expert())
        .collect();
    let store = folder.latents();
    // How far back: from the ends in the first of these generations to the beginnings in the last.
    let earliest = 1.0 - (generation + 1) as f64 / archive.generations as f64;
    let mut rng = stream(preset.seed, "controller/archive", &[generation]);
    let mut starts = Vec::with_capacity(archive.starts);
    for _ in 0..archive.starts {
        let index = by_experts[rng.random_range(0..by_experts.len())];
        let episode: LatentEpisode = store.load_latents(index, evaluator.model.actions.width())?;
        let share = earliest + (1.0 - earliest) * rng.random::<f64>();
        // Some steps are left.
        let steps = episode.rewards.len().saturating_sub(10);
        let seed = crate::run::seeds::COLLECT.start + index as u64;
        let start = Driver::new(evaluator.world, evaluator.context.stop)
            .with_model(evaluator.model)
            .start_point(seed, &episode.actions, (share * steps as f64) as u32)?;
        if let Some(start) = start {
            starts.push((seed, start));
        }
    }
    Ok(starts)
}
