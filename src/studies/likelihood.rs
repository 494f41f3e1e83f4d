//! `compare likelihood`: every memory trained and judged on the same latents.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use rayon::prelude::*;
use serde_json::json;

use super::{
    Spec,
    data::{self, open_all},
    distinct,
    judge::{Finished, MIN_STEPS, Measured, Test, judge},
    linear::{self, Linear},
    progress::{Part, Progress},
    queue::one_per_core,
    report,
    store::{Results, begin_training, read},
};
use crate::{
    agent::Agent,
    controller::Actions,
    memory::SequenceBatch,
    run::{
        Checkpoint, CheckpointKind, EpisodeStore, LatentEpisode, MemoryTraining, Metrics, Preset,
        Result, RunError, RunFolder, seeds, write_json,
    },
    stages::{self, Context, Job, Latents, held_out_batches, train_memory},
    vision::{EncoderScratch, Vae},
};

/// Version of the files of finished runs.
const FORMAT: u32 = 1;

/// Learning rates, in parts of the preset's, and dropouts that `rmdn` and `frmdn` are tried with.
const GRID: [(f64, f64); 6] = [
    (1.0, 0.0),
    (1.0, 0.1),
    (2.0, 0.0),
    (2.0, 0.1),
    (4.0, 0.0),
    (4.0, 0.1),
];
/// Part of the updates that such a trial has.
const GRID_UPDATES: u64 = 4;

/// What is to be compared.
pub struct Likelihood {
    /// Run folders whose V has been trained (`frmdn vision`): episodes, latents, and the settings
    /// of the memories' training.
    pub data: Vec<PathBuf>,
    /// The memories; the first data's settings are those of all.
    pub variants: Vec<Spec>,
    /// Seeds 1 to this of each.
    pub seeds: u64,
    /// Variants that are also trained without the last driver, on the first data and seed.
    pub shifted: Vec<Spec>,
    /// Variants that are also trained with these target noises, on the first data and seed.
    pub noisy: Vec<Spec>,
    /// Noises in parts of the latents' standard deviation.
    pub noises: Vec<f64>,
    /// Test episodes, spread over the drivers.
    pub test_episodes: usize,
    /// Folder of finished runs and the report.
    pub out: PathBuf,
    /// Folder of runs that are not finished yet.
    pub work: PathBuf,
    /// Changes of the memories' settings, `memory.key=value`, for all variants.
    pub sets: Vec<String>,
    /// Whether learning rate and dropout are chosen from a grid; else they are the settings'.
    pub grid: bool,
    /// Whether missing runs are made; else the report is made from those that are finished.
    pub train: bool,
    /// The command, for the report.
    pub command: String,
}

/// One run: a memory on some data.
#[derive(Clone, Debug)]
struct Planned {
    data: usize,
    spec: Spec,
    seed: u64,
    shifted: bool,
    noise: f64,
    /// Number in the grid, where it is a trial of it.
    trial: Option<usize>,
}

impl Planned {
    fn name(&self, data: &str) -> String {
        let mut name = format!(
            "{data}-{}-{}",
            self.spec.to_string().replace([':', '='], "_"),
            self.seed
        );
        if self.shifted {
            name.push_str("-shifted");
        }
        if self.noise > 0.0 {
            name.push_str(&format!("-noise{}", self.noise));
        }
        if let Some(trial) = self.trial {
            name = format!("grid-{name}-{trial}");
        }
        name
    }

    fn split(&self) -> &'static str {
        if self.shifted { "shifted" } else { "all" }
    }
}

/// Data that are ready to be learned from.
struct Data {
    name: String,
    folder: RunFolder,
    /// The folder's settings with the plan's changes.
    preset: Preset,
    vision: u64,
    latent: usize,
    actions: usize,
    test: EpisodeStore,
}

/// Trains and judges what is missing, and writes the report.
pub fn likelihood(plan: &Likelihood, context: &Context<'_>) -> Result<PathBuf> {
    for (option, specs) in [
        ("variants", &plan.variants),
        ("shifted", &plan.shifted),
        ("noisy", &plan.noisy),
    ] {
        distinct(option, specs)?;
    }
    if let Some((_, twice)) = plan
        .noises
        .iter()
        .enumerate()
        .find(|(i, noise)| plan.noises[..*i].contains(noise))
    {
        return Err(RunError::Config(format!(
            "--noises names {twice} twice: leave one out"
        )));
    }
    let check = |preset: &Preset| {
        let mut specs = plan.variants.iter().chain(&plan.shifted).chain(&plan.noisy);
        specs.try_for_each(|spec| spec.apply(preset).map(drop))?;
        if preset.memory.noise > 0.0 {
            let noise = preset.memory.noise;
            return Err(RunError::Config(format!(
                "memory.noise = {noise}: a comparison is of V's own noise; others are --noises \
                 {noise}"
            )));
        }
        let (steps, least) = (preset.collect.steps, MIN_STEPS);
        if steps < least {
            return Err(RunError::Config(format!(
                "collect.steps = {steps}: open-loop errors take episodes of at least {least} \
                 steps; make data with --set collect.steps={least} or more"
            )));
        }
        Ok(())
    };
    let data = open_all(&plan.data, &plan.sets, check)?;
    let data = data
        .into_iter()
        .map(|(folder, preset)| prepare(folder, preset, plan, context))
        .collect::<Result<Vec<_>>>()?;
    let mut results = Results::open(&plan.out)?;
    let trials: Vec<Planned> = ["rmdn", "frmdn"]
        .iter()
        .filter(|_| plan.grid)
        .flat_map(|name| (0..GRID.len()).map(move |trial| (name, trial)))
        .map(|(name, trial)| {
            let spec = name.parse().map_err(RunError::Config)?;
            Ok(Planned {
                data: 0,
                spec,
                seed: 1,
                shifted: false,
                noise: 0.0,
                trial: Some(trial),
            })
        })
        .collect::<Result<_>>()?;
    if plan.train {
        run_all(plan, &data, &trials, None, &results, context)?;
    }
    let chosen = if plan.grid {
        choose(&data, &trials, &results)?
    } else {
        None
    };
    if let Some([rmdn, frmdn]) = chosen.map(|chosen| chosen.map(|at| GRID[at])) {
        context.report.say(&format!(
            "chosen on held-out episodes: rmdn {rmdn:?}, frmdn {frmdn:?} (learning rate ×, dropout)"
        ));
    }
    let mut runs = Vec::new();
    for seed in 1..=plan.seeds {
        for at in 0..data.len() {
            let one = |spec: &Spec| Planned {
                data: at,
                spec: spec.clone(),
                seed,
                shifted: false,
                noise: 0.0,
                trial: None,
            };
            runs.extend(plan.variants.iter().map(one));
        }
        if seed == 1 {
            let first = |spec: &Spec| Planned {
                data: 0,
                spec: spec.clone(),
                seed,
                shifted: false,
                noise: 0.0,
                trial: None,
            };
            if data[0].preset.collect.policies().len() > 1 {
                runs.extend(plan.shifted.iter().map(|spec| Planned {
                    shifted: true,
                    ..first(spec)
                }));
            } else if !plan.shifted.is_empty() {
                context.report.say(&format!(
                    "{} has one driver: nothing is trained without the last one",
                    data[0].name
                ));
            }
            let noisy = plan
                .noises
                .iter()
                .flat_map(|&noise| plan.noisy.iter().map(move |spec| (noise, spec)));
            runs.extend(noisy.map(|(noise, spec)| Planned {
                noise,
                ..first(spec)
            }));
        }
    }
    if plan.train {
        run_all(plan, &data, &runs, chosen, &results, context)?;
    }
    let trials = finished(plan, &data, &trials, None, &results)?;
    let finished = finished(plan, &data, &runs, chosen, &results)?;
    if finished.is_empty() {
        return Err(RunError::Config(format!(
            "no run of these is finished in {}: type the command without --report",
            plan.out.display()
        )));
    }
    results.pack()?;
    let linear = data
        .iter()
        .map(|data| plain(plan, data))
        .collect::<Result<Vec<_>>>()?;
    let grid = chosen.map(|chosen| report::Grid {
        points: &GRID,
        chosen,
        trials: &trials,
    });
    report::write(
        plan,
        &data.iter().map(|d| &d.preset).collect::<Vec<_>>(),
        &linear,
        grid,
        &finished,
    )
}

/// Encodes the run's episodes, and records and encodes the test episodes, where they are missing.
fn prepare(
    folder: RunFolder,
    preset: Preset,
    plan: &Likelihood,
    context: &Context<'_>,
) -> Result<Data> {
    // A report needs V alone, to know what belongs to it.
    if plan.train {
        stages::encode(&folder, context)?;
    }
    let mut world = context.world(&preset.environment)?;
    if preset.collect.random_start {
        world = world.with_random_start().map_err(RunError::Config)?;
    }
    let (weights, vision) = Agent::load_vision(&folder)?;
    let actions = Actions::of(&world.action_space().map_err(RunError::Failed)?).width();
    let test = EpisodeStore::new(folder.path("test-latents"));
    let missing: Vec<usize> = (0..plan.test_episodes)
        .into_par_iter()
        .filter(|&i| {
            !test.has(i) || LatentEpisode::load(&test.path(i)).is_ok_and(|l| l.vision != vision)
        })
        .collect();
    if plan.train && !missing.is_empty() {
        let encoder = Vae::from_params(preset.vision.model, &weights)
            .map_err(|e| RunError::Failed(format!("compare: {e}")))?
            .encoder();
        let drivers = stages::Drivers::new(&folder, &world)?;
        let done = AtomicU64::new((plan.test_episodes - missing.len()) as u64);
        context.report.begin(
            "test episodes",
            "episodes",
            done.load(Ordering::Relaxed),
            plan.test_episodes as u64,
        );
        let outcome =
            missing
                .par_iter()
                .try_for_each_init(EncoderScratch::default, |scratch, &index| {
                    if context.stop.is_set() {
                        return Ok(());
                    }
                    let seed = seeds::LIKELIHOOD.start + index as u64;
                    let episode =
                        drivers.record(preset.collect.driver(index), preset.collect.steps, seed)?;
                    stages::encoded(&encoder, scratch, episode, vision).save(&test.path(index))?;
                    context
                        .report
                        .advance(done.fetch_add(1, Ordering::Relaxed) + 1, "");
                    Ok(())
                });
        context.report.end();
        outcome?;
        context.check()?;
    }
    let name = data::name(&folder);
    Ok(Data {
        name,
        latent: preset.vision.model.latent,
        folder,
        preset,
        vision,
        actions,
        test,
    })
}

/// The settings of a run: the data's, the variant's, and what the grid chose.
fn settings(data: &Data, run: &Planned, chosen: Option<[usize; 2]>) -> Result<MemoryTraining> {
    let Preset { mut memory, .. } = run.spec.apply(&data.preset)?;
    if let Some(at) = run
        .trial
        .or(chosen.map(|chosen| chosen[usize::from(run.spec.has_flow())]))
    {
        let (rate, dropout) = GRID[at];
        memory.learning_rate *= rate;
        memory.model.loss.dropout = dropout;
    }
    memory.noise = run.noise;
    if run.trial.is_some() {
        memory.updates = memory.updates.div_ceil(GRID_UPDATES);
        memory.evaluate_every = memory.evaluate_every.min(memory.updates);
    }
    Ok(memory)
}

/// The run, if it is finished. One that was made with other settings or judged on other episodes is
/// refused.
fn done(
    plan: &Likelihood,
    data: &[Data],
    run: &Planned,
    chosen: Option<[usize; 2]>,
    results: &Results,
) -> Result<Option<Finished>> {
    let of = &data[run.data];
    let name = run.name(&of.name);
    let Some(done) = results.load::<Finished>(&name)? else {
        return Ok(None);
    };
    let judged = run.trial.is_none() && done.diverged.is_none();
    if done.settings != settings(of, run, chosen)?
        || done.vision != format!("{:016x}", of.vision)
        || done.format != FORMAT
    {
        return Err(results.other_settings(&name));
    }
    if judged && done.measured.episodes.len() != plan.test_episodes {
        return Err(RunError::Config(format!(
            "{} was judged on {1} test episodes, not {2}: type --test-episodes {1}, or choose \
             another folder with --out DIR",
            results.place(&name),
            done.measured.episodes.len(),
            plan.test_episodes
        )));
    }
    Ok(Some(done))
}

/// The finished runs among `runs`.
fn finished(
    plan: &Likelihood,
    data: &[Data],
    runs: &[Planned],
    chosen: Option<[usize; 2]>,
    results: &Results,
) -> Result<Vec<Finished>> {
    runs.iter()
        .filter_map(|run| done(plan, data, run, chosen, results).transpose())
        .collect()
}

/// The best of the grid for `rmdn` and for `frmdn`, by held-out nats, once all of it is there.
fn choose(data: &[Data], trials: &[Planned], results: &Results) -> Result<Option<[usize; 2]>> {
    let mut finished = Vec::new();
    for run in trials {
        match results.load::<Finished>(&run.name(&data[run.data].name))? {
            Some(done) => finished.push((run, done)),
            None => return Ok(None),
        }
    }
    let mut chosen = [0; 2];
    for (family, trials) in finished.chunks(GRID.len()).enumerate() {
        let mut best = f64::INFINITY;
        for (run, done) in trials {
            if done.diverged.is_some() {
                continue;
            }
            let least = done
                .curve
                .iter()
                .map(|[_, nats]| *nats)
                .fold(f64::INFINITY, f64::min);
            if least < best {
                (best, chosen[family]) = (least, run.trial.unwrap_or_default());
            }
        }
    }
    Ok(Some(chosen))
}

/// Trains and judges the runs that are not finished, one on each core: a single memory gains little
/// from a second one.
fn run_all(
    plan: &Likelihood,
    data: &[Data],
    runs: &[Planned],
    chosen: Option<[usize; 2]>,
    results: &Results,
    context: &Context<'_>,
) -> Result<()> {
    let mut queue = Vec::new();
    let mut total = 0;
    for run in runs {
        let settings = settings(&data[run.data], run, chosen)?;
        if done(plan, data, run, chosen, results)?.is_none() {
            total += settings.updates;
            queue.push((run, settings));
        }
    }
    if queue.is_empty() {
        return Ok(());
    }
    context.report.begin("compare", "updates", 0, total);
    let progress = Progress::new(context);
    let outcome = one_per_core(queue, |(run, settings)| {
        execute(plan, data, run, &settings, results, &progress)
    });
    context.report.end();
    outcome?;
    context.check()
}

/// One run from its last checkpoint to its file of results.
fn execute(
    plan: &Likelihood,
    data: &[Data],
    run: &Planned,
    settings: &MemoryTraining,
    results: &Results,
    progress: &Progress<'_>,
) -> Result<()> {
    let Data {
        name,
        folder,
        preset,
        vision,
        latent,
        actions,
        test,
    } = &data[run.data];
    let key = run.name(name);
    let directory = plan.work.join(&key);
    begin_training(
        &directory,
        &json!({ "format": FORMAT, "vision": format!("{vision:016x}"), "split": run.split(),
            "memory": settings }),
    )?;
    let kept =
        |i: &usize| !run.shifted || preset.collect.driver(*i) + 1 < preset.collect.policies().len();
    let training: Vec<usize> = stages::training_indices(preset.collect.episodes)
        .filter(kept)
        .collect();
    let held: Vec<usize> = stages::held_out_indices(preset.collect.episodes)
        .filter(kept)
        .collect();
    let latents = Latents::new(folder, settings, &training)?;
    let held = held_out_batches(&latents, &held, preset.seed)?;
    let floor = held.1;
    let spread = latents.spread(&training)?;
    let part = Part::new(progress, key.clone());
    let context = progress.context(&part);
    let job = Job {
        config: settings,
        latent: *latent,
        actions: *actions,
        seed: run.seed,
        directory: directory.clone(),
        latents: latents.clone(),
        training,
        held,
    };
    let diverged = match train_memory(job, &context) {
        Ok(()) => None,
        Err(e @ RunError::NonFinite { .. }) => Some(e.to_string()),
        Err(e) => return Err(e),
    };
    let curve = Metrics::read(&directory.join("metrics.jsonl"))?;
    let curve = curve
        .iter()
        .filter_map(|l| Some([l["update"].as_f64()?, l["held_out_nll"].as_f64()? - floor]))
        .collect();
    let mut finished = Finished {
        format: FORMAT,
        data: name.clone(),
        target_kl: preset.vision.target_kl,
        vision: format!("{vision:016x}"),
        variant: run.spec.to_string(),
        seed: run.seed,
        split: run.split().into(),
        settings: settings.clone(),
        parameters: crate::memory::init(&settings.model, *latent, *actions, 0).count(),
        diverged,
        seconds_per_update: part.seconds_per_update(),
        curve,
        measured: Measured::default(),
    };
    if finished.diverged.is_none() && run.trial.is_none() {
        let weights = Checkpoint::<crate::memory::MemoryConfig>::load(
            &directory.join("weights.safetensors"),
            CheckpointKind::Memory,
            "Delete its folder and type the same command again.",
        )?;
        let test = test_batches(&latents, test, plan.test_episodes, preset, spread)?;
        finished.measured = judge(settings, *actions, &weights.tensors, &test)?;
    }
    results.save(&key, &finished)
}

/// The linear predictor on `data`, kept in linear.json.
fn plain(plan: &Likelihood, data: &Data) -> Result<Linear> {
    let path = plan.out.join("linear.json");
    let mut kept: BTreeMap<String, Linear> = if path.exists() {
        read(&path)?
    } else {
        BTreeMap::new()
    };
    let settings = &data.preset.memory;
    let vision = format!("{:016x}", data.vision);
    if let Some(there) = kept.get(&data.name).filter(|l| {
        l.vision == vision && l.inputs == settings.inputs && l.test_episodes == plan.test_episodes
    }) {
        return Ok(there.clone());
    }
    if !plan.train {
        let path = data.folder.root().to_path_buf();
        return Err(RunError::Missing {
            what: "the linear predictor",
            path,
            command: plan.command.replace(" --report", ""),
        });
    }
    let training: Vec<usize> = stages::training_indices(data.preset.collect.episodes).collect();
    let latents = Latents::new(&data.folder, settings, &training)?;
    let every = training.len().div_ceil(linear::EPISODES);
    let training: Vec<usize> = training.into_iter().step_by(every).collect();
    let (training, _) = held_out_batches(&latents, &training, data.preset.seed)?;
    let test = test_batches(
        &latents,
        &data.test,
        plan.test_episodes,
        &data.preset,
        Vec::new(),
    )?;
    let [diagonal, full] = linear::linear(&training, &test)?;
    let linear = Linear {
        vision,
        inputs: settings.inputs,
        test_episodes: plan.test_episodes,
        diagonal,
        full,
    };
    kept.insert(data.name.clone(), linear.clone());
    write_json(&path, &kept)?;
    Ok(linear)
}

fn test_batches(
    latents: &Latents,
    store: &EpisodeStore,
    episodes: usize,
    preset: &Preset,
    spread: Vec<f64>,
) -> Result<Test> {
    let one = |index: usize| {
        let episode = LatentEpisode::load(&store.path(index))?;
        let mut batch =
            SequenceBatch::zeros(episode.steps(), 1, episode.latent, episode.action_len);
        let rng = &mut frmdn_engine::random::stream(preset.seed, "compare/test", &[index as u64]);
        latents.fill(&mut batch, 0, &episode, 0, episode.steps(), rng);
        let floor = latents.floor(&episode);
        Ok((episode, batch, floor, preset.collect.driver(index)))
    };
    Ok(Test {
        episodes: (0..episodes).map(one).collect::<Result<_>>()?,
        spread,
    })
}
