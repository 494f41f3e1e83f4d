//! One generation of the evolution.

use serde_json::{Value, json};

use super::{CandidateEvaluator, Evolution, archive, failed, frames, mean, seed_pool::SeedPool};
use crate::{
    agent::Agent,
    controller::Controller,
    rollout::{DriveOptions, Outcome, Summary},
    run::{Metrics, Result, RunFolder, seeds},
};

/// One generation: ask, drive, tell, now and then test the mean, save.
pub(super) fn generation(
    folder: &RunFolder,
    evaluator: &CandidateEvaluator<'_>,
    state: &mut Evolution,
    metrics: &mut Metrics,
) -> Result<()> {
    let (config, context) = (&evaluator.preset.controller, evaluator.context);
    let Some(driven) = evaluate_candidates(evaluator, state)? else {
        return context.check();
    };
    state
        .tell(&driven.losses, driven.fresh_mean)
        .map_err(failed)?;
    state.seeds = driven.seeds;
    state.frames += driven.frames;
    let finished = driven
        .outcomes
        .iter()
        .flatten()
        .filter(|o| o.completed)
        .count() as f64
        / driven.outcomes.iter().map(Vec::len).sum::<usize>() as f64;
    let Summary { mean, sd, .. } = Summary::of(&driven.fitness);
    let best = driven.fitness.iter().copied().fold(f64::MIN, f64::max);
    let mut line = json!({ "generation": state.generation, "fitness_mean": mean,
        "fitness_sd": sd, "fitness_best": best,
        "finished": finished, "hard_tracks": state.seeds.hard(),
        "population": driven.outcomes.len(), "sigma": state.optimiser.sigma() });
    let ends_start = config.starts > 1
        && state.generation.is_multiple_of(config.start_generations)
        && state.generation <= config.starts * config.start_generations;
    let is_tested = state.generation.is_multiple_of(config.select_every)
        || state.generation == config.generations
        || ends_start
        || state.optimiser.stop().is_some();
    if is_tested && !test_mean(folder, evaluator, state, &mut line)? {
        return context.check();
    }
    line["frames"] = json!(state.frames);
    // The line first: lines after the last checkpoint are dropped on resume, a missing one would
    // stay missing.
    metrics.append(&line)?;
    state.save(folder)?;
    let note = state.best().map_or(String::new(), |(score, at)| {
        format!(", best mean on selection {score:.0} (generation {at})")
    });
    context.report.advance(
        state.generation,
        &format!("fitness {mean:.0} ± {sd:.0}, best {best:.0}{note}"),
    );
    Ok(())
}

/// A generation that has been driven.
struct Driven {
    /// Outcomes of each candidate, those of the race included.
    outcomes: Vec<Vec<Outcome>>,
    /// Steps of these, and of what was driven to find their starts.
    frames: u64,
    /// Mean fitness of each candidate on the tracks of all.
    fitness: Vec<f64>,
    /// Mean fitness of all candidates on fresh tracks.
    fresh_mean: f64,
    /// Rank of each candidate, 0 for the best.
    losses: Vec<f64>,
    /// The tracks, this generation's included.
    seeds: SeedPool,
}

/// Drives the candidates of a generation and ranks them. `None` after Ctrl-C: the generation is
/// then driven again as a whole, with the same candidates and tracks.
fn evaluate_candidates(
    evaluator: &CandidateEvaluator<'_>,
    state: &Evolution,
) -> Result<Option<Driven>> {
    let (config, actions) = (
        &evaluator.preset.controller,
        evaluator.model.actions.width(),
    );
    let candidates = state.candidates(actions);
    let all: Vec<&Controller> = candidates.iter().collect();
    let options = evaluator.options();
    if let Some(dreams) = &evaluator.dreams {
        let outcomes = dreams.drive(evaluator.preset.seed, state.generation, &all, config.seeds)?;
        let fitness: Vec<f64> = outcomes.iter().map(|o| mean(o, |o| o.fitness)).collect();
        return Ok(Some(Driven {
            frames: 0,
            fresh_mean: Summary::of(&fitness).mean,
            losses: Ranking::new(&outcomes, f64::INFINITY).losses(false),
            fitness,
            outcomes,
            seeds: state.seeds.clone(),
        }));
    }
    if let Some(archive) = archive::of(evaluator, state) {
        let driven = archive::drive(evaluator, archive, state, &all, options)?;
        return Ok(driven.map(|(outcomes, steps)| Driven {
            frames: steps + frames(&outcomes),
            fitness: outcomes.iter().map(|o| mean(o, |o| o.fitness)).collect(),
            // Says nothing of candidates beside their mean, which is tested from the beginning.
            fresh_mean: state.best().map_or(0.0, |(score, _)| score),
            losses: Ranking::new(&outcomes, f64::INFINITY).losses(false),
            outcomes,
            seeds: state.seeds.clone(),
        }));
    }
    let [tracks, hard, more] = state.generation_shape(config);
    let mut seeds = state.seeds.clone();
    let chosen = seeds.choose(evaluator.preset.seed, state.generation, tracks + more, hard);
    let (common, further) = chosen.split_at(tracks);
    let Some(mut outcomes) = evaluator.drive(&all, common, options)? else {
        return Ok(None);
    };
    let fitness: Vec<f64> = outcomes.iter().map(|o| mean(o, |o| o.fitness)).collect();
    let fresh_mean = fresh_mean(&outcomes, common, &seeds, &fitness);
    let failed_below = failed_below(fresh_mean);
    record_failures(&mut seeds, common, &outcomes, failed_below);
    let mut ranking = Ranking::new(&outcomes, state.loss_limit(config));
    // The race: the better half drive on, and the further tracks change the order only among them.
    if more > 0 {
        let better: Vec<&Controller> = ranking.better_half().map(|i| all[i]).collect();
        let Some(race) = evaluator.drive(&better, further, options)? else {
            return Ok(None);
        };
        record_failures(&mut seeds, further, &race, failed_below);
        for (i, race) in ranking.better_half().zip(race) {
            outcomes[i].extend(race);
        }
        ranking.rerank_better_half(&outcomes);
    }
    Ok(Some(Driven {
        losses: ranking.losses(more > 0),
        frames: frames(&outcomes),
        outcomes,
        fitness,
        fresh_mean,
        seeds,
    }))
}

/// Mean fitness on the tracks that are not hard ones. Scores on hard tracks are lower than usual,
/// so they would bias the mean; without fresh tracks it is the mean of all.
fn fresh_mean(outcomes: &[Vec<Outcome>], tracks: &[u64], seeds: &SeedPool, fitness: &[f64]) -> f64 {
    let fresh: Vec<usize> = (0..tracks.len())
        .filter(|&i| !seeds.is_hard(tracks[i]))
        .collect();
    if fresh.is_empty() {
        return Summary::of(fitness).mean;
    }
    let mut sum = 0.0;
    for outcomes in outcomes {
        for &i in &fresh {
            sum += outcomes[i].fitness;
        }
    }
    sum / (fresh.len() * outcomes.len()) as f64
}

/// Records how many candidates failed each of `tracks`.
fn record_failures(
    seeds: &mut SeedPool,
    tracks: &[u64],
    outcomes: &[Vec<Outcome>],
    failed_below: f64,
) {
    for (i, &track) in tracks.iter().enumerate() {
        let failed = outcomes.iter().filter(|o| o[i].fitness < failed_below);
        seeds.record(track, failed.count(), outcomes.len());
    }
}

/// Candidates from best to worst.
struct Ranking {
    /// Number and mean fitness of each.
    order: Vec<(usize, f64)>,
    /// Limit of [`capped_means`].
    limit: f64,
}

impl Ranking {
    fn new(outcomes: &[Vec<Outcome>], limit: f64) -> Self {
        let mut order: Vec<(usize, f64)> = capped_means(outcomes, limit)
            .into_iter()
            .enumerate()
            .collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1));
        Self { order, limit }
    }

    fn half(&self) -> usize {
        self.order.len() / 2
    }

    /// Numbers of the better half of the candidates.
    fn better_half(&self) -> impl Iterator<Item = usize> {
        self.order[..self.half()].iter().map(|&(i, _)| i)
    }

    /// Ranks the better half by all that they have driven.
    fn rerank_better_half(&mut self, outcomes: &[Vec<Outcome>]) {
        let half = self.half();
        let raced: Vec<Vec<Outcome>> = self.better_half().map(|i| outcomes[i].clone()).collect();
        let means = capped_means(&raced, self.limit);
        for ((_, old), new) in self.order.iter_mut().zip(means) {
            *old = new;
        }
        self.order[..half].sort_by(|a, b| b.1.total_cmp(&a.1));
    }

    /// The rank of each candidate: CMA-ES uses the order alone. Equal fitness gets an equal rank,
    /// so a pair with equal sides does not move the mean; but where there was a race, the halves
    /// drove different tracks and are not compared.
    fn losses(&self, raced: bool) -> Vec<f64> {
        let (mut losses, mut rank) = (vec![0.0; self.order.len()], 0);
        for (place, &(i, fitness)) in self.order.iter().enumerate() {
            let is_first_of_worse_half = raced && place == self.half();
            if place == 0 || fitness != self.order[place - 1].1 || is_first_of_worse_half {
                rank = place;
            }
            losses[i] = rank as f64;
        }
        losses
    }
}

/// Tests the average of the last means on the selection tracks and puts the result into `line`.
/// `false` after Ctrl-C.
fn test_mean(
    folder: &RunFolder,
    evaluator: &CandidateEvaluator<'_>,
    state: &mut Evolution,
    line: &mut Value,
) -> Result<bool> {
    let config = &evaluator.preset.controller;
    let x = state.average();
    let controller = state.controller(evaluator.model.actions.width(), &x);
    if let Some(dreams) = &evaluator.dreams {
        let outcomes = dreams.test(evaluator.preset.seed, config.select_seeds, &controller)?;
        let score = mean(&outcomes, |o| o.fitness);
        line["selection_mean"] = json!(score);
        line["dreamt"] = json!(mean(&outcomes, |o| o.score));
        state.record_test(x, score, config);
        Agent::save_controller(folder, &controller)?;
        note_what_follows(evaluator, state, score, line)?;
        return Ok(true);
    }
    let selection: Vec<u64> = (seeds::SELECTION.start..)
        .take(config.select_seeds)
        .collect();
    let driven = evaluator.drive(&[&controller], &selection, DriveOptions::default())?;
    let Some(outcomes) = driven else {
        return Ok(false);
    };
    state.frames += frames(&outcomes);
    let score = mean(&outcomes[0], |o| o.score);
    line["selection_mean"] = json!(score);
    line["selection_finished"] = json!(mean(&outcomes[0], |o| f64::from(u8::from(o.completed))));
    if state.record_test(x, score, config) {
        Agent::save_controller(folder, &controller)?;
    }
    note_what_follows(evaluator, state, score, line)?;
    Ok(true)
}

/// Does what follows from a test that came to `score`, and says so.
fn note_what_follows(
    evaluator: &CandidateEvaluator<'_>,
    state: &mut Evolution,
    score: f64,
    line: &mut Value,
) -> Result<()> {
    if let Some(note) = state.after_test(evaluator.preset, score).map_err(failed)? {
        let report = evaluator.context.report;
        report.say(&format!("controller {}: {note}", state.generation));
        line["note"] = json!(note);
    }
    Ok(())
}

/// Mean fitness of candidates that drove the same tracks, where none counts as more than `limit`
/// below the median of a track.
fn capped_means(outcomes: &[Vec<Outcome>], limit: f64) -> Vec<f64> {
    let tracks = outcomes.first().map_or(0, Vec::len);
    let mut floors = Vec::with_capacity(tracks);
    for i in 0..tracks {
        let mut fitness: Vec<f64> = outcomes.iter().map(|o| o[i].fitness).collect();
        fitness.sort_by(f64::total_cmp);
        floors.push(fitness[fitness.len() / 2] - limit);
    }
    let capped = |outcomes: &Vec<Outcome>| {
        let fitness = outcomes.iter().zip(&floors);
        fitness.map(|(o, floor)| o.fitness.max(*floor)).sum::<f64>() / tracks as f64
    };
    outcomes.iter().map(capped).collect()
}

/// A track counts as failed below this fitness: a tenth less than candidates reach on average, a
/// spoilt lap and not a missed tile.
fn failed_below(average: f64) -> f64 {
    average - 0.1 * average.abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tracks, medians (the larger middle one) 900 and 910: 600 counts as 870 with a limit of
    /// 30, and 905 as itself.
    #[test]
    fn an_accident_counts_no_more_than_the_limit() {
        let drove = |fitness: [f64; 2]| {
            fitness
                .map(|fitness| Outcome {
                    fitness,
                    ..Outcome::default()
                })
                .to_vec()
        };
        let outcomes: Vec<Vec<Outcome>> = [
            [900.0, 910.0],
            [600.0, 930.0],
            [890.0, 905.0],
            [910.0, -50.0],
        ]
        .map(drove)
        .to_vec();
        assert_eq!(
            capped_means(&outcomes, f64::INFINITY),
            [905.0, 765.0, 897.5, 430.0]
        );
        assert_eq!(capped_means(&outcomes, 30.0), [905.0, 900.0, 897.5, 895.0]);
    }
}
