//! Evolution of the controller by CMA-ES in the real environment.

mod archive;
mod choice;
mod dreams;
mod evolution;
mod fit;
mod generation;
mod hidden;
mod lessons;
mod planned;
mod readout;
mod ridge;
mod seed_pool;

use super::{Context, gates::hold_frames, training_indices};
use crate::{
    agent::Agent,
    controller::{Controller, Hidden, Moments, Whitening},
    memory::Scratch,
    pictures::{Series, plot_curves},
    rollout::{ActingModel, DriveOptions, Driver, Job, Outcome, StartPoint, spearman},
    run::{
        ControllerInputs, ControllerOutputs, ControllerStart, DreamsConfig, Metrics, Preset,
        Recovery, Result, RunError, RunFolder,
    },
    worlds::World,
};
use frmdn_cma_es::CmaError;
use serde_json::{Value, json};

use choice::choose;

pub use choice::choice;
use dreams::Dreams;
use generation::generation;
use planned::{Fitted, Planned};

pub use evolution::Evolution;
pub use readout::{LinearReadout, readout};
pub(crate) use ridge::Ridge;

const PICTURE: &str = "pictures/controller.png";

/// Evolves the controller up to the preset's number of generations. The final choice is made if that
/// `is_last` or the evolution ended before.
pub fn controller(folder: &RunFolder, context: &Context<'_>, is_last: bool) -> Result<()> {
    let preset = folder.preset();
    let config = &preset.controller;
    let saved = Evolution::load(folder)?;
    let of = Agent::model_checksum(folder)?;
    // Before the first generation of a round M has learned.
    let learned = config.dreams.as_ref().is_some_and(|dreams| {
        let first = (config.generations - 1) / dreams.round * dreams.round;
        saved
            .as_ref()
            .is_some_and(|state| state.generation == first)
    });
    if !learned && saved.as_ref().is_some_and(|state| state.model != of) {
        return Err(RunError::refused(
            format!(
                "{} was evolved for another V or M than the run holds now",
                folder.path("controller").display()
            ),
            Recovery::Stage("controller"),
        ));
    }
    let metrics_path = folder.path("controller/metrics.jsonl");
    let is_done = |state: &Evolution| {
        let needs_choice = is_last || state.stopped.is_some();
        state.is_over(config.generations) && (state.chosen || !needs_choice)
    };
    if saved.as_ref().is_some_and(is_done) {
        return if folder.path(PICTURE).exists() {
            Ok(())
        } else {
            draw(folder, &metrics_path)
        };
    }
    let world = context.world(&preset.environment)?;
    let model = Agent::load_model(folder, &world.spec()?)?;
    if let Some(state) = &saved {
        state.check(folder, model.features(), model.actions.width())?;
    }
    let evaluator = CandidateEvaluator {
        folder,
        preset,
        model: &model,
        world: &world,
        context,
        dreams: None,
    };
    let evaluator = match &config.dreams {
        Some(dreams) => CandidateEvaluator {
            dreams: Some(Dreams::new(folder, dreams, &model, stall_cost(&world)?)?),
            ..evaluator
        },
        None => evaluator,
    };
    let mut state = match saved {
        // If the choice was made at the end of a shorter evolution, it is made again.
        Some(state) => Evolution {
            chosen: state.chosen && state.is_over(config.generations),
            model: of,
            ..state
        },
        None => match begin(&evaluator, of)? {
            Some(state) => state,
            None => return context.check(),
        },
    };
    let mut metrics = Metrics::resume(&metrics_path, "generation", state.generation)?;
    context.report.begin(
        "controller",
        "generations",
        state.generation,
        config.generations,
    );
    let outcome = loop {
        let next = if is_done(&state) {
            break Ok(());
        } else if state.is_over(config.generations) {
            choose(folder, &evaluator, &mut state)
        } else {
            generation(folder, &evaluator, &mut state, &mut metrics)
        };
        if next.is_err() {
            break next;
        }
    };
    context.report.end();
    outcome?;
    draw(folder, &metrics_path)
}

/// The evolution at its beginning, for the V and M of the checksum `model`. `None` after Ctrl-C.
fn begin(evaluator: &CandidateEvaluator<'_>, of: String) -> Result<Option<Evolution>> {
    let (folder, preset, model) = (evaluator.folder, evaluator.preset, evaluator.model);
    let report = evaluator.context.report;
    if preset.controller.start == ControllerStart::Values {
        let planned = Planned::recorded(folder, evaluator.world, model)?;
        let Some(fitted) = lessons::learn(evaluator, planned)? else {
            return Ok(None);
        };
        report.say(&format!(
            "controller: begins where it explains {:.0} % of the variance of what planners found of \
             the actions",
            100.0 * fitted.explained
        ));
        let Fitted {
            hidden,
            whitening,
            x,
            ..
        } = fitted;
        let state = Evolution::new(preset, of, hidden, whitening, x);
        return state.map(Some).map_err(failed);
    }
    let whitening = whitening(folder, model, None)?;
    let start = match preset.controller.start {
        ControllerStart::First | ControllerStart::Imitate => {
            let (x, explained) = fit::fit(folder, evaluator.world, model, &whitening)?;
            let whose = match preset.controller.start {
                ControllerStart::First => "the first agent's",
                _ => "the experts'",
            };
            report.say(&format!(
                "controller: begins at {whose} ways, {:.0} % of the variance of whose outputs it \
                 explains",
                100.0 * explained
            ));
            x
        }
        _ => vec![0.0; whitening.count(model.actions.width())],
    };
    let state = Evolution::new(preset, of, None, whitening, start);
    state.map(Some).map_err(failed)
}

fn failed(e: CmaError) -> RunError {
    RunError::Failed(format!("controller: {e}"))
}

/// What can be had without the evolution, each with its key in the evaluation: the controller that it
/// began at, if that was fitted to what others did; of an evolution in dreams the ridge regressions
/// onto what the candidates did that drove the last real episodes, and onto what experts did that are
/// among the drivers of the data.
///
/// # Errors
/// If the state of the evolution is damaged or of another model, or an episode cannot be read.
pub(super) fn clones(
    folder: &RunFolder,
    world: &World,
    model: &ActingModel,
) -> Result<Vec<(&'static str, Controller)>> {
    let (config, mut clones) = (&folder.preset().controller, Vec::new());
    let Some(state) = Evolution::load(folder)? else {
        return Ok(clones);
    };
    let actions = model.actions.width();
    state.check(folder, model.features(), actions)?;
    let Some(dreams) = &config.dreams else {
        if config.start != ControllerStart::Origin {
            clones.push(("clone", state.controller(actions, &state.origin)));
        }
        return Ok(clones);
    };
    let (folder, whitening) = (folder.in_round(state.round(config)), &state.whitening);
    if folder.preset().collect.own > 0 {
        let own = dreams.episodes - dreams.disturbed;
        let (x, _) = fit::fit_last(&folder, world, model, whitening, own)?;
        clones.push(("clone", state.controller(actions, &x)));
    }
    if let Some((x, _)) = fit::fit_experts(&folder, world, model, whitening)? {
        clones.push(("experts_clone", state.controller(actions, &x)));
    }
    Ok(clones)
}

/// The candidates of the next generation of the evolution in `folder`, with the V and M that it is for.
///
/// # Errors
/// If there is none, or it is damaged.
pub(super) fn candidates(
    folder: &RunFolder,
    world: &World,
) -> Result<(ActingModel, Vec<Controller>)> {
    let (model, state) = evolution(folder, world)?;
    let candidates = state.candidates(model.actions.width());
    Ok((model, candidates))
}

/// The evolution in `folder`, with the V and M that it is for.
fn evolution(folder: &RunFolder, world: &World) -> Result<(ActingModel, Evolution)> {
    let model = Agent::load_model(folder, &world.spec()?)?;
    let state = Evolution::load(folder)?
        .ok_or_else(|| RunError::Failed(format!("{} has no evolution", folder.root().display())))?;
    state.check(folder, model.features(), model.actions.width())?;
    Ok((model, state))
}

/// Sets what the candidates dreamt beside what they really came to in the episodes of the last round
/// that was driven, which is round `number` from 1 on: a line of `controller/rounds.jsonl`. M must not
/// have learned from them yet.
///
/// # Errors
/// If an episode, V, M or the evolution cannot be read.
pub(super) fn beside(folder: &RunFolder, number: u64, context: &Context<'_>) -> Result<()> {
    let preset = folder.preset();
    let Some(config) = &preset.controller.dreams else {
        return Ok(());
    };
    let path = folder.path("controller/rounds.jsonl");
    let is_line = |line: &&Value| line["round"] == number;
    if !Metrics::read(&path)?.iter().any(|line| is_line(&line)) {
        let line = set_beside(folder, number, config, context)?;
        Metrics::resume(&path, "round", number - 1)?.append(&line)?;
    }
    // What the search takes from it is read from the line, so that it is the same after a kill.
    let lines = Metrics::read(&path)?;
    let real = lines
        .iter()
        .find(is_line)
        .and_then(|line| line["real"].as_f64());
    let Some((mut state, real)) = Evolution::load(folder)?.zip(real) else {
        return draw_rounds(folder, &lines);
    };
    if state.generation == number * config.round && state.record_round(real) {
        if let Some((generation, best)) = state.go_back(config.back).map_err(failed)? {
            context.report.say(&format!(
                "round {number}: C goes back to the mean of generation {generation}, whose \
                 candidates came to {best:.1}"
            ));
        }
        state.save(folder)?;
    }
    draw_rounds(folder, &lines)
}

/// What the candidates of each round dreamt and really came to.
fn draw_rounds(folder: &RunFolder, lines: &[Value]) -> Result<()> {
    let pick = |key: &str| -> Vec<(f64, f64)> {
        let points = lines.iter();
        let points = points.filter_map(|l| Some((l["round"].as_f64()?, l[key].as_f64()?)));
        points.collect()
    };
    let series = [
        Series::new("dreamt", pick("dreamt")),
        Series::new("in the real environment", pick("real")),
    ];
    plot_curves(
        "What candidates dream, and what comes of it",
        "round",
        "score",
        &series,
        &folder.path("pictures/rounds.png"),
    )
}

/// The line of round `number`: what its candidates dreamt and really came to.
fn set_beside(
    folder: &RunFolder,
    number: u64,
    config: &DreamsConfig,
    context: &Context<'_>,
) -> Result<Value> {
    let preset = folder.preset();
    let world = context.world(&preset.environment)?;
    let (model, candidates) = candidates(folder, &world)?;
    let dreams = Dreams::new(folder, config, &model, stall_cost(&world)?)?;
    let all = preset.collect.episodes;
    // A real episode has a limit of its own.
    let steps = config.horizon.min(preset.collect.steps as u32);
    // Those that bursts interrupt come first.
    let episodes = all - (config.episodes - config.disturbed)..all;
    let pairs = dreams.beside(preset.seed, &candidates, episodes, steps)?;
    let frames = recorded_frames(folder, &dreams, all)?;
    let count = pairs.len() as f64;
    let (mut sums, mut lost) = ([0.0; 2], [0.0; 2]);
    for pair in &pairs {
        for (side, came) in pair.iter().enumerate() {
            sums[side] += came.reward;
            lost[side] += f64::from(u8::from(came.given_up));
        }
    }
    let ([dreamt, real], lost) = (sums.map(|sum| sum / count), lost.map(|lost| lost / count));
    let scores: Vec<[f64; 2]> = pairs
        .iter()
        .map(|pair| pair.map(|one| one.reward))
        .collect();
    let correlation = spearman(&scores);
    context.report.say(&format!(
        "round {number}: in the first {steps} steps the candidates dreamt {dreamt:.1} and really \
         came to {real:.1} (rank correlation {correlation:.2}), and were given up in {:.0} and \
         {:.0} %; {frames} real frames so far",
        100.0 * lost[0],
        100.0 * lost[1]
    ));
    Ok(
        json!({ "round": number, "dreamt": dreamt, "real": real, "steps": steps,
        "given_up": lost,
        "rank_correlation": correlation, "frames": frames }),
    )
}

/// What a step without progress costs in `world`, points.
fn stall_cost(world: &World) -> Result<f64> {
    Ok(world.spec()?.stall_cost.unwrap_or(0.0))
}

/// Real frames of the first `episodes` episodes, and of the hold tests that M had to pass.
fn recorded_frames(folder: &RunFolder, dreams: &Dreams<'_>, episodes: usize) -> Result<u64> {
    Ok(dreams.frames(episodes)? + hold_frames(folder))
}

/// Training episodes that the moments of [z, h] are taken from.
const MOMENT_EPISODES: usize = 100;

/// The coordinates that the preset asks for, from training episodes: V's means, and M's h after the
/// steps before.
fn whitening(
    folder: &RunFolder,
    model: &ActingModel,
    hidden: Option<&Hidden>,
) -> Result<Whitening> {
    let preset = folder.preset();
    let config = &preset.controller;
    let features = hidden.map_or(model.features(), Hidden::units);
    let inputs = match config.inputs {
        ControllerInputs::Raw => Whitening::raw(features),
        ControllerInputs::Principal if model.memory.hidden_len() > config.axes => {
            Whitening::principal(&moments(folder, model, None)?, model.latent, config.axes)
        }
        ControllerInputs::Principal | ControllerInputs::Whitened => {
            Whitening::standard(&moments(folder, model, hidden)?)
        }
    };
    Ok(match config.outputs {
        ControllerOutputs::Raw => inputs,
        ControllerOutputs::Scaled => inputs.with_output_scale(&model.actions.output_scale()),
    })
}

/// The moments of [z, h], or of the units of the last hidden layer if there is one, on training
/// episodes.
pub(crate) fn moments(
    folder: &RunFolder,
    model: &ActingModel,
    hidden: Option<&Hidden>,
) -> Result<Moments> {
    let latents = folder.latents();
    let inputs = hidden.map_or(model.features(), Hidden::units);
    let (mut moments, mut scratch) = (Moments::new(inputs), Scratch::default());
    let mut row = vec![0.0; inputs];
    for index in training_indices(folder.preset().collect.episodes).take(MOMENT_EPISODES) {
        let episode = latents.load_latents(index, model.actions.width())?;
        let mut state = vec![0.0; model.memory.state_len()];
        for (z, a) in episode
            .mean
            .chunks_exact(episode.latent)
            .zip(episode.actions.chunks_exact(episode.action_len))
        {
            let h = model.memory.hidden(&state);
            inputs_of(hidden, z, h, &mut row);
            moments.add(&row);
            model.memory.step(1, z, a, &mut state, &mut scratch);
        }
    }
    Ok(moments)
}

/// What C's weights multiply: [z, h], or the units of the last hidden layer if there is one.
fn inputs_of(hidden: Option<&Hidden>, z: &[f32], h: &[f32], row: &mut [f32]) {
    match hidden {
        Some(layer) => layer.units_of(z, h, row),
        None => {
            row[..z.len()].copy_from_slice(z);
            row[z.len()..].copy_from_slice(h);
        }
    }
}

/// What is needed to drive with candidates.
struct CandidateEvaluator<'a> {
    folder: &'a RunFolder,
    preset: &'a Preset,
    model: &'a ActingModel,
    world: &'a World,
    context: &'a Context<'a>,
    /// The dreams that candidates drive in, if they do not drive in the environment.
    dreams: Option<Dreams<'a>>,
}

impl CandidateEvaluator<'_> {
    /// How episodes of training are driven.
    fn options(&self) -> DriveOptions {
        let after = self.preset.controller.give_up_after;
        DriveOptions {
            give_up_after: (after > 0).then_some(after),
            ..DriveOptions::default()
        }
    }

    /// Real frames that an evolution in dreams had before the choice of its last mean.
    fn recorded_frames(&self) -> Result<u64> {
        let episodes = self.preset.collect.episodes;
        let dreams = self.dreams.as_ref();
        dreams.map_or(Ok(0), |dreams| {
            recorded_frames(self.folder, dreams, episodes)
        })
    }

    /// Drives each of `controllers` on all `tracks`: their outcomes, one list for each controller.
    /// `None` after Ctrl-C.
    fn drive(
        &self,
        controllers: &[&Controller],
        tracks: &[u64],
        options: DriveOptions,
    ) -> Result<Option<Vec<Vec<Outcome>>>> {
        let starts: Vec<_> = tracks.iter().map(|&seed| (seed, None)).collect();
        self.drive_from(controllers, &starts, options)
    }

    /// The same from `starts`, each in the episode of a seed.
    fn drive_from(
        &self,
        controllers: &[&Controller],
        starts: &[(u64, Option<&StartPoint>)],
        options: DriveOptions,
    ) -> Result<Option<Vec<Vec<Outcome>>>> {
        let mut jobs = Vec::with_capacity(controllers.len() * starts.len());
        for &controller in controllers {
            for &(seed, from) in starts {
                let job = Job::of(controller, seed);
                jobs.push(Job { from, ..job });
            }
        }
        let outcomes = Driver::new(self.world, self.context.stop)
            .with_model(self.model)
            .with_options(options)
            .drive(&jobs)?;
        Ok(outcomes.map(|all| all.chunks(starts.len()).map(<[Outcome]>::to_vec).collect()))
    }
}

/// Steps of all episodes.
fn frames(outcomes: &[Vec<Outcome>]) -> u64 {
    outcomes.iter().flatten().map(|o| u64::from(o.steps)).sum()
}

fn mean(outcomes: &[Outcome], value: impl Fn(&Outcome) -> f64) -> f64 {
    outcomes.iter().map(value).sum::<f64>() / outcomes.len() as f64
}

fn draw(folder: &RunFolder, metrics: &std::path::Path) -> Result<()> {
    let lines = Metrics::read(metrics)?;
    let pick = |key: &str| -> Vec<(f64, f64)> {
        lines
            .iter()
            .filter_map(|l| Some((l["generation"].as_f64()?, l[key].as_f64()?)))
            .collect()
    };
    let tested = match folder.preset().controller.dreams {
        None => "the agent so far (score on selection tracks)",
        Some(_) => "the agent so far (in dreams from held-out episodes)",
    };
    let series = [
        Series::new("best candidate (fitness)", pick("fitness_best")),
        Series::new("mean of candidates (fitness)", pick("fitness_mean")),
        Series::new(tested, pick("selection_mean")),
    ];
    plot_curves(
        "Controller",
        "generation",
        "score",
        &series,
        &folder.path(PICTURE),
    )
}
