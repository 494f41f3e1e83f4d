//! Evolution of the controller by CMA-ES in the real environment.

mod evolution;
mod fit;
mod readout;
mod ridge;
mod seed_pool;

use std::sync::atomic::AtomicU64;

use frmdn_cma_es::CmaError;
use serde_json::json;

use super::{Context, training_indices};
use crate::{
    agent::Agent,
    controller::{LinearController, Moments, Whitening},
    memory::Scratch,
    pictures::{Series, plot_curves},
    rollout::{ActingModel, DriveOptions, Job, Outcome, Summary},
    run::{
        ControllerInputs, ControllerOutputs, ControllerStart, LatentEpisode, Metrics, Preset,
        Result, RunError, RunFolder, seeds,
    },
    worlds::World,
};

use evolution::Finalist;

pub use evolution::Evolution;
pub use readout::{LinearReadout, readout};
pub(crate) use ridge::Ridge;

const PICTURE: &str = "pictures/controller.png";

/// Evolves the controller up to the preset's number of generations.
pub fn controller(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    let preset = folder.preset();
    let config = &preset.controller;
    let saved = Evolution::load(folder)?;
    let of = Agent::model_checksum(folder)?;
    if saved.as_ref().is_some_and(|state| state.model != of) {
        return Err(RunError::Config(format!(
            "{} was evolved for another V or M than the run holds now. Delete it and type the same \
             command again: the evolution starts anew",
            folder.path("controller").display()
        )));
    }
    let metrics_path = folder.path("controller/metrics.jsonl");
    if saved
        .as_ref()
        .is_some_and(|state| state.generation >= config.generations && state.chosen)
    {
        return if folder.path(PICTURE).exists() {
            Ok(())
        } else {
            draw(folder, &metrics_path)
        };
    }
    let world = context.world(&preset.environment)?;
    let model = Agent::load_model(folder, &world)?;
    let max_steps = world.max_steps()?.unwrap_or(0);
    let mut state = match saved {
        // Chosen at the end of a shorter evolution: the choice is made again.
        Some(state) => Evolution {
            chosen: state.chosen && state.generation >= config.generations,
            ..state
        },
        None => {
            let whitening = whitening(folder, &model)?;
            let start = match config.start {
                ControllerStart::Origin => vec![0.0; whitening.count(model.actions.width())],
                ControllerStart::First => {
                    let (x, explained) = fit::fit(folder, &world, &model, &whitening)?;
                    context.report.say(&format!(
                        "controller: begins at the first agent's ways, {:.0} % of the variance of \
                         whose outputs it explains",
                        100.0 * explained
                    ));
                    x
                }
            };
            Evolution::new(preset, of, whitening, start).map_err(failed)?
        }
    };
    let mut metrics = Metrics::resume(&metrics_path, "generation", state.generation)?;
    let arena = CandidateEvaluator {
        preset,
        model: &model,
        world: &world,
        max_steps,
        context,
    };
    context.report.begin(
        "controller",
        "generations",
        state.generation,
        config.generations,
    );
    let outcome = loop {
        let next = if state.generation < config.generations {
            generation(folder, &arena, &mut state, &mut metrics)
        } else if state.chosen {
            break Ok(());
        } else {
            choose(folder, &arena, &mut state)
        };
        if next.is_err() {
            break next;
        }
    };
    context.report.end();
    outcome?;
    draw(folder, &metrics_path)
}

fn failed(e: CmaError) -> RunError {
    RunError::Failed(format!("controller: {e}"))
}

/// Training episodes that the moments of [z, h] are taken from.
const MOMENT_EPISODES: usize = 100;

/// The coordinates that the preset asks for, from training episodes: V's means, and M's h on having
/// seen what came before.
fn whitening(folder: &RunFolder, model: &ActingModel) -> Result<Whitening> {
    let (preset, features) = (folder.preset(), model.features());
    let config = &preset.controller;
    let inputs = match config.inputs {
        ControllerInputs::Raw => Whitening::raw(features),
        ControllerInputs::Principal if model.memory.hidden_len() > config.axes => {
            Whitening::principal(&moments(folder, model)?, model.latent, config.axes)
        }
        ControllerInputs::Principal | ControllerInputs::Whitened => {
            Whitening::standard(&moments(folder, model)?)
        }
    };
    Ok(match config.outputs {
        ControllerOutputs::Raw => inputs,
        ControllerOutputs::Scaled => inputs.with_output_scale(&model.actions.output_scale()),
    })
}

/// The moments of [z, h] on training episodes.
pub(crate) fn moments(folder: &RunFolder, model: &ActingModel) -> Result<Moments> {
    let latents = folder.latents();
    let (mut moments, mut scratch) = (Moments::new(model.features()), Scratch::default());
    let mut row = vec![0.0; model.features()];
    for index in training_indices(folder.preset().collect.episodes).take(MOMENT_EPISODES) {
        let episode = LatentEpisode::load(&latents.path(index))?;
        let mut state = vec![0.0; model.memory.state_len()];
        for (z, a) in episode
            .mean
            .chunks_exact(episode.latent)
            .zip(episode.actions.chunks_exact(episode.action_len))
        {
            row[..z.len()].copy_from_slice(z);
            row[z.len()..].copy_from_slice(model.memory.hidden(&state));
            moments.add(&row);
            model.memory.step(1, z, a, &mut state, &mut scratch);
        }
    }
    Ok(moments)
}

/// Where candidates drive, and with what.
struct CandidateEvaluator<'a> {
    preset: &'a Preset,
    model: &'a ActingModel,
    world: &'a World,
    max_steps: u32,
    context: &'a Context<'a>,
}

impl CandidateEvaluator<'_> {
    /// Every one of `controllers` on every one of `tracks`: the outcomes of the first, of the
    /// second, ….
    fn drive(
        &self,
        controllers: &[&LinearController],
        tracks: &[u64],
        options: DriveOptions,
    ) -> Result<Option<Vec<Vec<Outcome>>>> {
        let jobs: Vec<Job<'_>> = controllers
            .iter()
            .flat_map(|&controller| tracks.iter().map(move |&seed| Job { controller, seed }))
            .collect();
        let outcomes = self.model.drive(
            self.world,
            &jobs,
            options,
            self.context.stop,
            &AtomicU64::new(0),
        )?;
        Ok(outcomes.map(|all| all.chunks(tracks.len()).map(<[Outcome]>::to_vec).collect()))
    }
}

fn frames(outcomes: &[Vec<Outcome>]) -> u64 {
    outcomes.iter().flatten().map(|o| u64::from(o.steps)).sum()
}

fn mean(outcomes: &[Outcome], of: impl Fn(&Outcome) -> f64) -> f64 {
    outcomes.iter().map(of).sum::<f64>() / outcomes.len() as f64
}

/// What candidates that drove the same tracks count: their mean fitness, on no track more than
/// `limit` below the median there.
fn capped_means(outcomes: &[Vec<Outcome>], limit: f64) -> Vec<f64> {
    let tracks = outcomes.first().map_or(0, Vec::len);
    let floors: Vec<f64> = (0..tracks)
        .map(|i| {
            let mut all: Vec<f64> = outcomes.iter().map(|o| o[i].fitness).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2] - limit
        })
        .collect();
    outcomes
        .iter()
        .map(|o| {
            o.iter()
                .zip(&floors)
                .map(|(o, floor)| o.fitness.max(*floor))
                .sum::<f64>()
                / tracks as f64
        })
        .collect()
}

/// A track is failed where a tenth of what candidates come to on average is lost: a spoilt lap, not
/// a missed tile.
fn failed_below(average: f64) -> f64 {
    average - 0.1 * average.abs()
}

/// One generation: ask, drive, tell, now and then test the mean, save.
fn generation(
    folder: &RunFolder,
    arena: &CandidateEvaluator<'_>,
    state: &mut Evolution,
    metrics: &mut Metrics,
) -> Result<()> {
    let (config, actions, context) = (
        &arena.preset.controller,
        arena.model.actions.width(),
        arena.context,
    );
    let candidates: Vec<LinearController> = state
        .optimiser
        .ask()
        .iter()
        .map(|x| state.controller(actions, x))
        .collect();
    let give_up_after = (config.give_up_after > 0).then_some(config.give_up_after);
    let options = DriveOptions {
        give_up_after,
        max_steps: arena.max_steps,
        ..DriveOptions::default()
    };
    let [tracks, hard, more] = state.generation_shape(config);
    // A generation that is interrupted is driven again as a whole: its candidates and tracks are
    // known.
    let mut seen = state.seeds.clone();
    let chosen = seen.choose(arena.preset.seed, state.generation, tracks + more, hard);
    let (first, rest) = chosen.split_at(tracks);
    let all: Vec<&LinearController> = candidates.iter().collect();
    let Some(mut outcomes) = arena.drive(&all, first, options)? else {
        return context.check();
    };
    let limit = state.loss_limit(config);
    let mut ranking: Vec<(usize, f64)> = capped_means(&outcomes, limit)
        .into_iter()
        .enumerate()
        .collect();
    ranking.sort_by(|a, b| b.1.total_cmp(&a.1));
    let fitness: Vec<f64> = outcomes.iter().map(|o| mean(o, |o| o.fitness)).collect();
    let Summary {
        mean: average, sd, ..
    } = Summary::of(&fitness);
    // Tracks that were failed before say less of candidates than they are worth.
    let fresh: Vec<usize> = (0..first.len())
        .filter(|&i| !seen.is_hard(first[i]))
        .collect();
    let fresh_mean = if fresh.is_empty() {
        average
    } else {
        let sum: f64 = outcomes
            .iter()
            .flat_map(|o| fresh.iter().map(|&i| o[i].fitness))
            .sum();
        sum / (fresh.len() * all.len()) as f64
    };
    let mut record = |tracks: &[u64], outcomes: &[Vec<Outcome>]| {
        for (i, track) in tracks.iter().enumerate() {
            seen.record(
                *track,
                outcomes
                    .iter()
                    .filter(|o| o[i].fitness < failed_below(fresh_mean))
                    .count(),
                outcomes.len(),
            );
        }
    };
    record(first, &outcomes);
    // The race: the better half drive on, and only among themselves the further tracks change the
    // order.
    let half = all.len() / 2;
    if more > 0 {
        let better: Vec<&LinearController> = ranking[..half].iter().map(|(i, _)| all[*i]).collect();
        let Some(further) = arena.drive(&better, rest, options)? else {
            return context.check();
        };
        record(rest, &further);
        for ((i, _), further) in ranking.iter().zip(further) {
            outcomes[*i].extend(further);
        }
        let raced: Vec<Vec<Outcome>> = ranking[..half]
            .iter()
            .map(|(i, _)| outcomes[*i].clone())
            .collect();
        ranking
            .iter_mut()
            .zip(capped_means(&raced, limit))
            .for_each(|((_, old), new)| *old = new);
        ranking[..half].sort_by(|a, b| b.1.total_cmp(&a.1));
    }
    // CMA-ES looks at the order alone. Equals stay equals: a pair whose sides are worth the same
    // says nothing.
    let (mut losses, mut rank) = (vec![0.0; all.len()], 0);
    for (place, &(i, fresh_mean)) in ranking.iter().enumerate() {
        if place == 0 || fresh_mean != ranking[place - 1].1 || (more > 0 && place == half) {
            rank = place;
        }
        losses[i] = rank as f64;
    }
    state.tell(&losses, fresh_mean).map_err(failed)?;
    state.seeds = seen;
    state.frames += frames(&outcomes);
    let finished = outcomes.iter().flatten().filter(|o| o.completed).count() as f64
        / outcomes.iter().map(Vec::len).sum::<usize>() as f64;
    let best = fitness.iter().copied().fold(f64::MIN, f64::max);
    let mut line = json!({ "generation": state.generation, "fitness_mean": average,
        "fitness_sd": sd, "fitness_best": best,
        "finished": finished, "hard_tracks": state.seeds.hard(), "population": all.len(),
        "sigma": state.optimiser.sigma() });
    let ends_start = config.starts > 1
        && state.generation.is_multiple_of(config.start_generations)
        && state.generation <= config.starts * config.start_generations;
    if state.generation.is_multiple_of(config.select_every)
        || state.generation == config.generations
        || ends_start
    {
        let x = state.average();
        let controller = state.controller(actions, &x);
        let selection: Vec<u64> = (seeds::SELECTION.start..)
            .take(config.select_seeds)
            .collect();
        let Some(outcomes) = arena.drive(&[&controller], &selection, DriveOptions::default())?
        else {
            return context.check();
        };
        state.frames += frames(&outcomes);
        let score = mean(&outcomes[0], |o| o.score);
        line["selection_mean"] = json!(score);
        line["selection_finished"] =
            json!(mean(&outcomes[0], |o| f64::from(u8::from(o.completed))));
        if state.record_test(x, score, config) {
            Agent::save_controller(folder, &controller)?;
        }
        if let Some(what) = state.next(arena.preset, score).map_err(failed)? {
            context
                .report
                .say(&format!("controller {}: {what}", state.generation));
            line["note"] = json!(what);
        }
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
        &format!("fitness {average:.0} ± {sd:.0}, best {best:.0}{note}"),
    );
    Ok(())
}

/// The final choice among the best tested means and their average, by successive halving: each
/// round on as many further selection tracks as all before, the better half stays. The tracks that
/// the means were tested on do not count: they were the best there.
fn choose(folder: &RunFolder, arena: &CandidateEvaluator<'_>, state: &mut Evolution) -> Result<()> {
    let (config, actions) = (&arena.preset.controller, arena.model.actions.width());
    let mut finalists: Vec<Finalist> = state
        .finalists
        .iter()
        .take(config.finalists.max(1))
        .cloned()
        .collect();
    let average = finalists.len();
    if average > 1 {
        // They lie around what all of them look for.
        let x = (0..finalists[0].x.len())
            .map(|i| finalists.iter().map(|f| f.x[i]).sum::<f64>() / average as f64)
            .collect();
        finalists.push(Finalist {
            generation: state.generation,
            score: 0.0,
            x,
        });
    }
    let mut left: Vec<(usize, f64)> = (0..finalists.len()).map(|i| (i, 0.0)).collect();
    let first = seeds::SELECTION.start + config.select_seeds as u64;
    let (mut driven, mut count) = (0, 0);
    while left.len() > 1 {
        let controllers: Vec<LinearController> = left
            .iter()
            .map(|(i, _)| state.controller(actions, &finalists[*i].x))
            .collect();
        let more = driven.max(config.select_seeds as u64);
        let further: Vec<u64> = (first + driven..first + driven + more).collect();
        let all: Vec<&LinearController> = controllers.iter().collect();
        let Some(outcomes) = arena.drive(&all, &further, DriveOptions::default())? else {
            return arena.context.check();
        };
        count += frames(&outcomes);
        let (old, all) = (driven as f64, (driven + more) as f64);
        for ((_, score), outcomes) in left.iter_mut().zip(&outcomes) {
            *score = (old * *score + more as f64 * mean(outcomes, |o| o.score)) / all;
        }
        driven += more;
        left.sort_by(|a, b| b.1.total_cmp(&a.1));
        left.truncate(left.len().div_ceil(2));
    }
    if let Some(&(best, score)) = left.first() {
        let finalist = &finalists[best];
        Agent::save_controller(folder, &state.controller(actions, &finalist.x))?;
        let whose = if average > 1 && best == average {
            format!("the average of {average} means")
        } else {
            format!("the mean of generation {}", finalist.generation)
        };
        let (score, driven) = if average > 1 {
            (score, driven)
        } else {
            (finalist.score, config.select_seeds as u64)
        };
        let frames = state.frames + count;
        arena.context.report.say(&format!(
            "controller: {whose} is chosen, {score:.1} on {driven} selection tracks; \
                {frames} frames in all"
        ));
    }
    state.chosen = true;
    state.save(folder)
}

fn draw(folder: &RunFolder, metrics: &std::path::Path) -> Result<()> {
    let lines = Metrics::read(metrics)?;
    let pick = |key: &str| -> Vec<(f64, f64)> {
        lines
            .iter()
            .filter_map(|l| Some((l["generation"].as_f64()?, l[key].as_f64()?)))
            .collect()
    };
    let series = [
        Series::new("best candidate (fitness)", pick("fitness_best")),
        Series::new("mean of candidates (fitness)", pick("fitness_mean")),
        Series::new(
            "distribution's mean (selection tracks)",
            pick("selection_mean"),
        ),
    ];
    plot_curves(
        "Controller",
        "generation",
        "score",
        &series,
        &folder.path(PICTURE),
    )
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
