//! `compare likelihood`: every memory trained and judged on the same latents.

mod data;
mod grid;
mod judge;
mod linear;
mod report;
mod run;
mod train;

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    Spec,
    data::open_all,
    distinct,
    progress::Progress,
    queue::one_per_core,
    store::{Results, read},
};
use crate::{
    data::{Latents, held_out_batches},
    run::{Part, Preset, Recovery, Result, RunError, write_json},
    stages::{self, Context},
};
use data::Data;
use grid::{Choice, Trial};
use judge::{Finished, MIN_STEPS};
use linear::Linear;
use run::Run;

/// Version of the form of results.
const FORMAT: u32 = 1;

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

/// Trains and judges what is missing, and writes the report. Returns the path of report.md.
///
/// # Errors
/// If the plan is impossible, finished runs were made with other settings, a file cannot be read or
/// written, or the user interrupts.
pub fn likelihood(plan: &Likelihood, context: &Context<'_>) -> Result<PathBuf> {
    check_lists(plan)?;
    let folders = open_all(&plan.data, &plan.sets, |preset| check_preset(plan, preset))?;
    let results = Results::open(&plan.out)?;
    let mut data = Vec::new();
    for (folder, preset) in folders {
        data.push(Data::prepare(folder, preset, plan, context)?);
    }
    let mut study = Study {
        plan,
        data,
        results,
    };
    let (choice, trials) = study.choose(context)?;
    let runs = study.runs(context);
    if plan.train {
        study.train_all(&runs, choice, context)?;
    }
    let finished = study.load_all(&runs, choice)?;
    if finished.is_empty() {
        return Err(RunError::refused(
            format!("no run of these is finished in {}", plan.out.display()),
            Recovery::MakeResults,
        ));
    }
    study.results.pack()?;
    let mut linear = Vec::new();
    for data in &study.data {
        linear.push(linear_predictor(plan, data)?);
    }
    report::write(&report::Source {
        plan,
        presets: study.data.iter().map(|data| &data.preset).collect(),
        linear: &linear,
        grid: choice.map(|choice| (choice, &trials[..])),
        finished: &finished,
    })
}

/// Refuses lists with an entry twice.
fn check_lists(plan: &Likelihood) -> Result<()> {
    distinct("variants", &plan.variants)?;
    distinct("shifted", &plan.shifted)?;
    distinct("noisy", &plan.noisy)?;
    for (i, noise) in plan.noises.iter().enumerate() {
        if plan.noises[..i].contains(noise) {
            return Err(RunError::Config(format!(
                "noises: {noise} is there twice: leave one out"
            )));
        }
    }
    Ok(())
}

/// Refuses settings that cannot be compared.
fn check_preset(plan: &Likelihood, preset: &Preset) -> Result<()> {
    for spec in plan.variants.iter().chain(&plan.shifted).chain(&plan.noisy) {
        spec.apply(preset)?;
    }
    let noise = preset.memory.noise;
    if plan.noises.contains(&noise) {
        return Err(RunError::Config(format!(
            "noises: all memories are trained with memory.noise = {noise} already: leave it out of \
             --noises, or set another one"
        )));
    }
    let (steps, least) = (preset.collect.steps, MIN_STEPS);
    if steps < least {
        return Err(RunError::Config(format!(
            "collect.steps = {steps}: open-loop errors take episodes of at least {least} steps; \
             make data with collect.steps = {least} or more"
        )));
    }
    Ok(())
}

/// A comparison with its data and finished runs.
struct Study<'a> {
    plan: &'a Likelihood,
    data: Vec<Data>,
    results: Results,
}

impl Study<'_> {
    /// Chooses learning rate and dropout from the grid, where the plan says so and all trials are
    /// finished. Returns the finished trials too.
    fn choose(&self, context: &Context<'_>) -> Result<(Option<Choice>, Vec<Trial>)> {
        if !self.plan.grid {
            return Ok((None, Vec::new()));
        }
        let runs = grid::runs()?;
        if self.plan.train {
            self.train_all(&runs, None, context)?;
        }
        let mut trials = Vec::new();
        for run in &runs {
            let finished = self.load(run, None)?;
            trials.extend(finished.map(|finished| Trial {
                point: run.trial.unwrap_or_default(),
                has_flow: run.spec.has_flow(),
                finished,
            }));
        }
        if trials.len() < runs.len() {
            return Ok((None, trials));
        }
        let choice = Choice::of(&trials);
        let [rmdn, frmdn] = [false, true].map(|has_flow| grid::POINTS[choice.point(has_flow)]);
        context.report.say(&format!(
            "chosen on held-out episodes: rmdn {rmdn:?}, frmdn {frmdn:?} (learning rate ×, dropout)"
        ));
        Ok((Some(choice), trials))
    }

    /// All runs of the plan but the grid's, first seeds first.
    fn runs(&self, context: &Context<'_>) -> Vec<Run> {
        let plan = self.plan;
        let mut runs = Vec::new();
        for seed in 1..=plan.seeds {
            for data in 0..self.data.len() {
                for spec in &plan.variants {
                    runs.push(Run::new(data, spec.clone(), seed));
                }
            }
            if seed == 1 {
                runs.extend(self.runs_under_conditions(context));
            }
        }
        runs
    }

    /// The runs without the last driver and with other noises: on the first data and seed.
    fn runs_under_conditions(&self, context: &Context<'_>) -> Vec<Run> {
        let plan = self.plan;
        let mut runs = Vec::new();
        if self.data[0].preset.collect.policies().len() > 1 {
            for spec in &plan.shifted {
                let run = Run::new(0, spec.clone(), 1);
                runs.push(Run {
                    shifted: true,
                    ..run
                });
            }
        } else if !plan.shifted.is_empty() {
            context.report.say(&format!(
                "{} has one driver: nothing is trained without the last one",
                self.data[0].name
            ));
        }
        for &noise in &plan.noises {
            for spec in &plan.noisy {
                let run = Run::new(0, spec.clone(), 1);
                runs.push(Run { noise, ..run });
            }
        }
        runs
    }

    /// The result of `run`, if it is finished. One that was made with other settings or judged on
    /// other episodes is refused.
    fn load(&self, run: &Run, choice: Option<Choice>) -> Result<Option<Finished>> {
        let data = &self.data[run.data];
        let name = run.name(&data.name);
        let Some(finished) = self.results.load::<Finished>(&name)? else {
            return Ok(None);
        };
        if finished.settings != run.settings(data, choice)?
            || finished.vision != data.vision_name()
            || finished.format != FORMAT
        {
            return Err(self.results.other_settings(&name));
        }
        let is_judged = run.trial.is_none() && finished.diverged.is_none();
        let episodes = finished.measured.episodes.len();
        if is_judged && episodes != self.plan.test_episodes {
            return Err(RunError::refused(
                format!(
                    "{} was judged on {episodes} test episodes, not {}",
                    self.results.place(&name),
                    self.plan.test_episodes
                ),
                Recovery::TestEpisodes(episodes),
            ));
        }
        Ok(Some(finished))
    }

    /// The results of all of `runs` that are finished.
    fn load_all(&self, runs: &[Run], choice: Option<Choice>) -> Result<Vec<Finished>> {
        let mut finished = Vec::new();
        for run in runs {
            finished.extend(self.load(run, choice)?);
        }
        Ok(finished)
    }

    /// Trains and judges those of `runs` that are not finished, one on each core: a single memory
    /// gains little from a second one.
    fn train_all(&self, runs: &[Run], choice: Option<Choice>, context: &Context<'_>) -> Result<()> {
        let mut queue = Vec::new();
        let mut total = 0;
        for run in runs {
            let settings = run.settings(&self.data[run.data], choice)?;
            if self.load(run, choice)?.is_none() {
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
            train::train(self, run, &settings, &progress)
        });
        context.report.end();
        outcome?;
        context.check()
    }
}

/// The linear predictor on `data`, from linear.json or fitted and written there.
fn linear_predictor(plan: &Likelihood, data: &Data) -> Result<Linear> {
    let path = plan.out.join("linear.json");
    let mut all: BTreeMap<String, Linear> = if path.exists() {
        read(&path)?
    } else {
        BTreeMap::new()
    };
    let settings = &data.preset.memory;
    let vision = data.vision_name();
    if let Some(fitted) = all.get(&data.name)
        && fitted.vision == vision
        && fitted.inputs == settings.inputs
        && fitted.test_episodes == plan.test_episodes
    {
        return Ok(fitted.clone());
    }
    if !plan.train {
        let path = data.folder.root().to_path_buf();
        return Err(RunError::Missing {
            what: Part::LinearPredictor,
            path,
        });
    }
    let training: Vec<usize> = stages::training_indices(data.preset.collect.episodes).collect();
    let latents = Latents::new(&data.folder, settings, data.actions, &training)?;
    let every = training.len().div_ceil(linear::EPISODES);
    let training: Vec<usize> = training.into_iter().step_by(every).collect();
    let (training, _) = held_out_batches(&latents, &training, data.preset.seed)?;
    let test = data.tests(&latents, plan.test_episodes, Vec::new())?;
    let [diagonal, full] = linear::linear(&training, &test)?;
    let linear = Linear {
        vision,
        inputs: settings.inputs,
        test_episodes: plan.test_episodes,
        diagonal,
        full,
    };
    all.insert(data.name.clone(), linear.clone());
    write_json(&path, &all)?;
    Ok(linear)
}
