//! Generations that begin in the middle of recorded episodes.
//!
//! An agent that dies early learns nothing of what comes later. So the first generations begin near
//! the ends of episodes that experts have driven, where the task is nearly done, and then further
//! and further back (Salimans & Chen, "Learning Montezuma's Revenge from a Single Demonstration",
//! 2018). Later ones begin anywhere in them, and shortly before the ends of episodes that the mean of
//! the search distribution itself has lost: what it cannot do yet is a small part of all that it
//! meets.

use frmdn_engine::random::{Pcg64, stream};
use rand::RngExt;
use rayon::prelude::*;

use super::{CandidateEvaluator, Evolution};
use crate::{
    controller::Controller,
    rollout::{DriveOptions, Driver, Job, Outcome, StartPoint},
    run::{ArchiveConfig, LatentEpisode, Result, seeds},
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

/// Drives `candidates` from the starts of the next generation of `state`; with the number of steps
/// that were driven to find them. `None` after Ctrl-C.
pub(super) fn drive(
    evaluator: &CandidateEvaluator<'_>,
    archive: &ArchiveConfig,
    state: &Evolution,
    candidates: &[&Controller],
    options: DriveOptions,
) -> Result<Option<(Vec<Vec<Outcome>>, u64)>> {
    let (starts, steps) = Starts::new(evaluator, archive, state, options).find()?;
    if starts.is_empty() || evaluator.context.stop.is_set() {
        return Ok(None);
    }
    let starts: Vec<_> = starts.iter().map(|(seed, at)| (*seed, Some(at))).collect();
    let options = DriveOptions {
        most_steps: Some(archive.steps),
        ..options
    };
    let outcomes = evaluator.drive_from(candidates, &starts, options)?;
    Ok(outcomes.map(|mut outcomes| {
        for outcome in outcomes.iter_mut().flatten().filter(|o| o.failed) {
            outcome.fitness -= archive.loss;
        }
        (outcomes, steps)
    }))
}

/// Most batches of `own` episodes that are driven until as many are lost.
const BATCHES: usize = 8;

/// A start, with the seed of its episode.
type Start = (u64, StartPoint);

/// Finds the starts of a generation.
struct Starts<'a> {
    evaluator: &'a CandidateEvaluator<'a>,
    archive: &'a ArchiveConfig,
    state: &'a Evolution,
    driver: Driver<'a>,
    /// Episodes that experts have driven.
    recorded: Vec<usize>,
}

impl<'a> Starts<'a> {
    fn new(
        evaluator: &'a CandidateEvaluator<'a>,
        archive: &'a ArchiveConfig,
        state: &'a Evolution,
        options: DriveOptions,
    ) -> Self {
        let collect = &evaluator.preset.collect;
        let policies = collect.policies();
        Self {
            driver: Driver::new(evaluator.world, evaluator.context.stop)
                .with_model(evaluator.model)
                .with_options(options),
            recorded: training_indices(collect.episodes)
                .filter(|&i| policies[collect.driver(i)].is_expert())
                .collect(),
            evaluator,
            archive,
            state,
        }
    }

    /// The starts, and the number of steps that were driven to find them.
    fn find(&self) -> Result<(Vec<Start>, u64)> {
        let (seed, generation) = (self.evaluator.preset.seed, self.state.generation);
        let mut rng = stream(seed, "controller/archive", &[generation]);
        let (mut starts, mut steps) = match self.archive.earliest(generation) {
            Some(_) => (Vec::new(), 0),
            None => self.before_losses(&mut rng)?,
        };
        let (more, driven) = self.in_recorded(self.archive.starts - starts.len(), &mut rng)?;
        starts.extend(more);
        steps += driven;
        for (_, start) in &mut starts {
            start.chances = rng.random();
        }
        Ok((starts, steps))
    }

    /// `count` starts in recorded episodes.
    fn in_recorded(&self, count: usize, rng: &mut Pcg64) -> Result<(Vec<Start>, u64)> {
        let earliest = self.archive.earliest(self.state.generation).unwrap_or(0.0);
        let mut drawn = Vec::with_capacity(count);
        for _ in 0..count {
            let index = self.recorded[rng.random_range(0..self.recorded.len())];
            drawn.push((index, earliest + (1.0 - earliest) * rng.random::<f64>()));
        }
        let actions = self.evaluator.model.actions.width();
        let start = |&(index, share): &(usize, f64)| -> Result<_> {
            let latents = self.evaluator.folder.latents();
            let episode: LatentEpisode = latents.load_latents(index, actions)?;
            // Some steps are left.
            let steps = share * episode.rewards.len().saturating_sub(10) as f64;
            let seed = seeds::COLLECT.start + index as u64;
            let point = self
                .driver
                .start_point(seed, &episode.actions, steps as u32)?;
            Ok((steps as u64, point.map(|point| (seed, point))))
        };
        let found: Vec<_> = drawn.par_iter().map(start).collect::<Result<_>>()?;
        let steps = found.iter().map(|(steps, _)| steps).sum();
        Ok((
            found.into_iter().filter_map(|(_, start)| start).collect(),
            steps,
        ))
    }

    /// At most `own` starts from shortly before the ends of episodes that the mean of the search
    /// distribution lost. The better it is, the more episodes that takes.
    fn before_losses(&self, rng: &mut Pcg64) -> Result<(Vec<Start>, u64)> {
        let state = self.state;
        let mean = state.controller(self.evaluator.model.actions.width(), state.optimiser.mean());
        let span = seeds::EVOLVE.end - seeds::EVOLVE.start;
        let own = self.archive.own;
        let first = state.generation * (own * BATCHES) as u64;
        let drive = |i: usize| -> Result<_> {
            let seed = seeds::EVOLVE.start + (first + i as u64) % span;
            let (outcome, trail) = self.driver.trail(Job::of(&mean, seed))?;
            Ok((seed, outcome, trail))
        };
        let (mut starts, mut steps) = (Vec::new(), 0);
        for batch in 0..BATCHES {
            let episodes = (batch * own..(batch + 1) * own).into_par_iter().map(drive);
            for (seed, outcome, mut trail) in episodes.collect::<Result<Vec<_>>>()? {
                steps += u64::from(outcome.steps);
                if !outcome.completed && !trail.is_empty() {
                    starts.push((seed, trail.swap_remove(rng.random_range(0..trail.len()))));
                }
            }
            if starts.len() >= own || self.evaluator.context.stop.is_set() {
                break;
            }
        }
        starts.truncate(own);
        Ok((starts, steps))
    }
}
