//! `compare score`: what a memory is worth to those who drive, by the experiments E1 to E4.
//!
//! E1, the bank: drivers that do not need the memory, ranked in its dreams; E2, blackout: drivers
//! whose eyes the memory replaces for some steps; E3, small populations: controllers on [z, h],
//! evolved with few episodes; E4: controllers evolved in dreams alone. Every finished piece is a
//! file of its own, a function of seeds alone.

mod bank;
mod bank_dreams;
mod blackout;
mod dream_training;
mod evolve;
mod figures;
mod imitate;
mod population;
mod report;

use std::{
    path::PathBuf,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use frmdn_engine::{Params, random::stream};
use rand::RngExt;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Spec,
    data::{self, open_all},
    distinct,
    progress::{Part, Progress},
    queue::one_per_core,
    store::{Results, begin_training, load_settled, save_settled},
};
use crate::{
    agent::Agent,
    controller::{Actions, LinearController},
    memory::{self, Memory, MemoryConfig, Variant},
    rollout::{ActingModel, DriveOptions, Job, Outcome},
    run::{Checkpoint, CheckpointKind, Preset, Result, RunError, RunFolder, seeds},
    stages::{self, Context, Latents, held_out_batches, train_memory},
    vision::Vae,
    worlds::World,
};

/// Version of the files of finished pieces.
const FORMAT: u32 = 1;

/// First selection track of the bank's real scores.
const BANK_TRACKS: u64 = seeds::SELECTION.start + 90_000;
/// First selection track that E3's curves are measured on.
const CURVE_TRACKS: u64 = seeds::SELECTION.start + 80_000;

/// One of the experiments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Experiment {
    /// The bank.
    E1,
    /// Blackout.
    E2,
    /// Small populations.
    E3,
    /// Trained in the dream.
    E4,
}

impl FromStr for Experiment {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.trim() {
            "e1" => Ok(Self::E1),
            "e2" => Ok(Self::E2),
            "e3" => Ok(Self::E3),
            "e4" => Ok(Self::E4),
            other => Err(format!(
                "there is no experiment `{other}`: write e1, e2, e3 or e4, with commas between"
            )),
        }
    }
}

/// How large the experiments are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scale {
    /// Controllers in the bank.
    pub bank: usize,
    /// Evolutions that they are taken from: from the origin, and from what recorded drivers do, in
    /// turn.
    pub bank_starts: usize,
    /// Generations of each.
    pub bank_generations: usize,
    /// Tracks of the bank's real scores.
    pub bank_tracks: usize,
    /// Real states that every controller of the bank dreams from.
    pub starts: usize,
    /// Of these, the first so many are driven in the real environment too, with the dream's
    /// actions.
    pub replayed: usize,
    /// Steps of a dream.
    pub steps: u32,
    /// Tracks of E2 and of E4's real scores.
    pub tracks: usize,
    /// Episodes between two points of E3's curves.
    pub test_every: u64,
    /// Tracks of such a point.
    pub test_tracks: usize,
    /// Candidates of E4's generations.
    pub dream_population: usize,
    /// Generations of E4.
    pub dream_generations: usize,
    /// Real states that every candidate dreams from.
    pub dream_starts: usize,
}

impl Scale {
    /// As the protocol asks.
    pub const FULL: Self = Self {
        bank: 100,
        bank_starts: 2,
        bank_generations: 50,
        bank_tracks: 64,
        starts: 64,
        replayed: 8,
        steps: 200,
        tracks: 100,
        test_every: 192,
        test_tracks: 16,
        dream_population: 32,
        dream_generations: 100,
        dream_starts: 16,
    };
    /// To see that it goes through; its figures say nothing.
    pub const QUICK: Self = Self {
        bank: 6,
        bank_starts: 2,
        bank_generations: 2,
        bank_tracks: 2,
        starts: 2,
        replayed: 1,
        steps: 8,
        tracks: 1,
        test_every: 64,
        test_tracks: 1,
        dream_population: 6,
        dream_generations: 2,
        dream_starts: 2,
    };
}

/// What is to be compared.
pub struct Score {
    /// Run folders whose V has been trained: episodes, latents, the environment and the settings of
    /// the memories' training.
    pub data: Vec<PathBuf>,
    /// What is done.
    pub experiments: Vec<Experiment>,
    /// The memories.
    pub variants: Vec<Spec>,
    /// Memories are trained from seeds 1 to this.
    pub seeds: u64,
    /// Controllers of each memory in E3 and E4: seeds 1 to this.
    pub controllers: u64,
    /// Episodes of an evolution in E3.
    pub budget: u64,
    /// How large the rest is.
    pub scale: Scale,
    /// Changes of the memories' settings, `memory.key=value`, for all variants.
    pub sets: Vec<String>,
    /// Folder of finished pieces and the report.
    pub out: PathBuf,
    /// Folder of trained memories.
    pub work: PathBuf,
    /// Whether missing pieces are made; else the report is made from those that are finished.
    pub train: bool,
    /// The command, for the report and for messages.
    pub command: String,
}

impl Score {
    fn does(&self, experiment: Experiment) -> bool {
        self.experiments.contains(&experiment)
    }

    /// Every one of `jobs` driven in `world`.
    fn drive(
        &self,
        model: &ActingModel,
        world: &World,
        jobs: &[Job<'_>],
        options: DriveOptions,
        context: &Context<'_>,
    ) -> Result<Vec<Outcome>> {
        let outcomes = model
            .drive(world, jobs, options, context.stop, &AtomicU64::new(0))
            .map_err(RunError::Failed)?;
        outcomes.ok_or_else(|| context.interrupted())
    }
}

/// Data that are ready to be driven in.
struct Data {
    name: String,
    folder: RunFolder,
    /// The folder's settings with the plan's changes.
    preset: Preset,
    world: World,
    /// The world as the episodes were recorded in.
    recorded: World,
    max_steps: u32,
    vae: Vae,
    vision: String,
    actions: Actions,
    /// Whether dreams can end early; false where nothing is dream_training.
    ends: bool,
}

impl Data {
    fn latent(&self) -> usize {
        self.preset.vision.model.latent
    }

    /// What acts with this memory.
    fn model(&self, memory: Box<dyn Memory>) -> ActingModel {
        ActingModel {
            encoder: self.vae.encoder(),
            memory,
            latent: self.latent(),
            actions: self.actions.clone(),
        }
    }

    fn load(&self, config: &MemoryConfig, weights: &Params) -> Result<Box<dyn Memory>> {
        memory::load(config, self.latent(), self.actions.width(), weights).map_err(|e| {
            RunError::Failed(format!("a memory's weights do not fit its settings: {e}"))
        })
    }

    /// A memory without weights: `none`, `stack2`, `copy`.
    fn plain(&self, variant: Variant) -> Result<Box<dyn Memory>> {
        self.load(
            &MemoryConfig {
                variant,
                ..self.preset.memory.model
            },
            &Params::default(),
        )
    }
}

/// A memory of the comparison: variant and seed on some data. Where nothing is drawn for the memory
/// itself the seed is that of the controllers' chances alone.
#[derive(Clone, Debug)]
struct Arm {
    spec: Spec,
    seed: u64,
    /// The data's settings with the variant.
    preset: Preset,
}

impl Arm {
    fn config(&self) -> &MemoryConfig {
        &self.preset.memory.model
    }

    fn name(&self, data: &Data) -> String {
        format!(
            "{}-{}-{}",
            data.name,
            self.spec.to_string().replace([':', '='], "_"),
            self.seed
        )
    }

    /// A number of its own for everything random that depends on the memory's seed and one more.
    fn root(&self, name: &str, more: &[u64]) -> u64 {
        stream(self.seed, name, more).random()
    }

    fn directory(&self, plan: &Score, data: &Data) -> PathBuf {
        plan.work.join(self.name(data))
    }

    /// The file that is there once the memory is trained.
    fn finished(&self, plan: &Score, data: &Data) -> PathBuf {
        self.directory(plan, data).join("finished.json")
    }

    /// The memory, once it is trained.
    fn memory(&self, plan: &Score, data: &Data) -> Result<Box<dyn Memory>> {
        let (latent, actions) = (data.latent(), data.actions.width());
        if !self.config().is_trained() {
            return data.load(
                self.config(),
                &memory::init(self.config(), latent, actions, self.seed),
            );
        }
        let path = self.directory(plan, data).join("weights.safetensors");
        let remedy = "Delete its folder and type the same command again.";
        data.load(
            self.config(),
            &Checkpoint::<MemoryConfig>::load(&path, CheckpointKind::Memory, remedy)?.tensors,
        )
    }

    /// All that decided a piece that stands on this memory.
    fn settings(&self, data: &Data, more: Value) -> Value {
        json!({ "format": FORMAT, "data": data.name, "vision": data.vision,
            "environment": data.preset.environment,
            "variant": self.spec.to_string(), "seed": self.seed, "memory": self.preset.memory,
            "experiment": more })
    }
}

/// How a piece is made.
type Make<'a> = dyn Fn(&Context<'_>) -> Result<Value> + Send + Sync + 'a;

/// A piece of an experiment: its name, what decides it, and how it is made.
struct Piece<'a> {
    name: String,
    settings: Value,
    make: Box<Make<'a>>,
}

/// Trains and drives what is missing, and writes the report.
pub fn score(plan: &Score, context: &Context<'_>) -> Result<PathBuf> {
    distinct("variants", &plan.variants)?;
    let all = open_all(&plan.data, &plan.sets, |preset| {
        plan.variants
            .iter()
            .try_for_each(|spec| spec.resolve(preset).map(drop))
    })?;
    let all = all
        .into_iter()
        .map(|(folder, preset)| prepare(plan, folder, preset, context))
        .collect::<Result<Vec<_>>>()?;
    let arms = all
        .iter()
        .map(|data| arms(plan, data))
        .collect::<Result<Vec<Vec<Arm>>>>()?;
    let mut results = Results::open(&plan.out)?;
    let mut found = report::Found::default();
    if plan.train {
        make(plan, &all, &arms, &results, context)?;
    }
    for (data, arms) in all.iter().zip(&arms) {
        found.collect(plan, data, arms, &results)?;
    }
    results.pack()?;
    report::write(plan, &all, &found)
}

fn prepare(plan: &Score, folder: RunFolder, preset: Preset, context: &Context<'_>) -> Result<Data> {
    // A report needs V alone, to know what belongs to it.
    if plan.train {
        stages::encode(&folder, context)?;
    }
    let world = context.world(&preset.environment)?;
    let recorded = if preset.collect.random_start {
        world.with_random_start().map_err(RunError::Config)?
    } else {
        world.clone()
    };
    let (weights, vision) = Agent::load_vision(&folder)?;
    let vae = Vae::from_params(preset.vision.model, &weights)
        .map_err(|e| RunError::Failed(format!("compare: {e}")))?;
    let actions = Actions::of(&world.action_space().map_err(RunError::Failed)?);
    let name = data::name(&folder);
    let max_steps = world.max_steps().map_err(RunError::Failed)?.unwrap_or(0);
    let dreams = plan.train && (plan.does(Experiment::E1) || plan.does(Experiment::E4));
    let ends = dreams && bank_dreams::ends(&folder)?;
    Ok(Data {
        name,
        folder,
        preset,
        world,
        recorded,
        max_steps,
        vae,
        vision: format!("{vision:016x}"),
        actions,
        ends,
    })
}

/// The memories on `data`.
fn arms(plan: &Score, data: &Data) -> Result<Vec<Arm>> {
    let mut arms = Vec::new();
    for seed in 1..=plan.seeds {
        for spec in &plan.variants {
            arms.push(Arm {
                spec: spec.clone(),
                seed,
                preset: spec.resolve(&data.preset)?,
            });
        }
    }
    Ok(arms)
}

/// Makes what is missing: memories first, then the banks, then all pieces, one on each core.
fn make(
    plan: &Score,
    all: &[Data],
    arms: &[Vec<Arm>],
    results: &Results,
    context: &Context<'_>,
) -> Result<()> {
    let mut trained: Vec<(&Data, &Arm)> = Vec::new();
    for (data, arms) in all.iter().zip(arms) {
        for arm in arms.iter().filter(|arm| arm.config().is_trained()) {
            let settings = arm.settings(data, Value::Null);
            if load_settled::<()>(&arm.finished(plan, data), &settings)?.is_none() {
                trained.push((data, arm));
            }
        }
    }
    let updates: u64 = trained
        .iter()
        .map(|(_, arm)| arm.preset.memory.updates)
        .sum();
    let progress = Progress::new(context);
    if !trained.is_empty() {
        context.report.begin("memories", "updates", 0, updates);
        let outcome = one_per_core(trained, |(data, arm)| train(plan, data, arm, &progress));
        context.report.end();
        outcome?;
    }
    let needs_bank = plan.does(Experiment::E1) || plan.does(Experiment::E2);
    let mut pieces = Vec::new();
    for (data, arms) in all.iter().zip(arms) {
        if needs_bank {
            let bank = Arc::new(bank::make(plan, data, results, context)?);
            if plan.does(Experiment::E1) {
                pieces.extend(bank_dreams::pieces(plan, data, arms, &bank));
            }
            if plan.does(Experiment::E2) {
                pieces.extend(blackout::pieces(plan, data, arms, &bank));
            }
        }
        if plan.does(Experiment::E3) {
            pieces.extend(population::pieces(plan, data, arms));
        }
        if plan.does(Experiment::E4) {
            pieces.extend(dream_training::pieces(plan, data, arms));
        }
    }
    let mut missing = Vec::new();
    let total = pieces.len() as u64;
    for piece in pieces {
        if results
            .load_settled::<Value>(&piece.name, &piece.settings)?
            .is_none()
        {
            missing.push(piece);
        }
    }
    let done = AtomicU64::new(total - missing.len() as u64);
    context
        .report
        .begin("score", "pieces", done.load(Ordering::Relaxed), total);
    let outcome = one_per_core(missing, |piece| {
        context.check()?;
        let quiet = Context {
            report: &(),
            ..*context
        };
        results.save_settled(&piece.name, &piece.settings, (piece.make)(&quiet)?)?;
        context
            .report
            .advance(done.fetch_add(1, Ordering::Relaxed) + 1, &piece.name);
        Ok(())
    });
    context.report.end();
    outcome
}

/// Trains the memory of `arm`. Its folder says what it is made with, and at the end that it is
/// finished.
fn train(plan: &Score, data: &Data, arm: &Arm, progress: &Progress<'_>) -> Result<()> {
    let directory = arm.directory(plan, data);
    let settings = arm.settings(data, Value::Null);
    begin_training(&directory, &settings)?;
    let config = &arm.preset.memory;
    let episodes = data.preset.collect.episodes;
    let training: Vec<usize> = stages::training_indices(episodes).collect();
    let held: Vec<usize> = stages::held_out_indices(episodes).collect();
    let latents = Latents::new(&data.folder, config, &training)?;
    let held = held_out_batches(&latents, &held, data.preset.seed)?;
    let part = Part::new(progress, arm.name(data));
    let context = progress.context(&part);
    let job = stages::Job {
        config,
        latent: data.latent(),
        actions: data.actions.width(),
        seed: arm.seed,
        directory,
        latents,
        training,
        held,
    };
    train_memory(job, &context)?;
    save_settled(&arm.finished(plan, data), &settings, ())
}

/// `controller` on each of `tracks` from `first`.
fn jobs(controller: &LinearController, first: u64, tracks: usize) -> impl Iterator<Item = Job<'_>> {
    (first..first + tracks as u64).map(move |seed| Job { controller, seed })
}
