//! `compare score`: what a memory contributes to control, by the experiments E1 to E4.
//!
//! E1, the bank: controllers that do not need the memory, ranked in its dreams; E2, blackout:
//! controllers for which z is drawn by the memory for some steps; E3, small populations:
//! controllers on [z, h], evolved with few episodes; E4: controllers evolved in dreams alone. Every
//! result is a function of seeds alone.

mod bank;
mod bank_dreams;
mod blackout;
mod data;
mod dream_training;
mod entry;
mod evolve;
mod figures;
mod imitate;
mod population;
mod report;
mod task;

use std::{path::PathBuf, str::FromStr};

use serde::Serialize;

use super::{Spec, data::open_all, distinct, store::Results};
use crate::{
    controller::Controller,
    memory::TEMPERATURES,
    rollout::{ActingModel, DriveOptions, Driver, Job, Outcome},
    run::{Recovery, Result, RunError, seeds},
    stages::Context,
    worlds::World,
};
use data::Data;
use entry::Entry;

/// Version of the form of results.
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
    type Err = RunError;

    fn from_str(text: &str) -> Result<Self> {
        match text.trim() {
            "e1" => Ok(Self::E1),
            "e2" => Ok(Self::E2),
            "e3" => Ok(Self::E3),
            "e4" => Ok(Self::E4),
            other => Err(RunError::Config(format!(
                "there is no experiment `{other}`: write e1, e2, e3 or e4, with commas between"
            ))),
        }
    }
}

/// How large the experiments are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scale {
    /// Most updates of a memory's training, whatever the settings say.
    pub updates: u64,
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
    /// Of these, the first so many are driven from in the real environment too.
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
    /// The scale of the protocol.
    pub const FULL: Self = Self {
        updates: u64::MAX,
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
    /// A smoke test; its figures have no meaning.
    pub const QUICK: Self = Self {
        updates: 40,
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
    /// The experiments that are done.
    pub experiments: Vec<Experiment>,
    /// The memories.
    pub variants: Vec<Spec>,
    /// Memories are trained from seeds 1 to this.
    pub seeds: u64,
    /// Controllers of each memory in E3 and E4: seeds 1 to this.
    pub controllers: u64,
    /// Episodes of an evolution in E3.
    pub budget: u64,
    /// Temperatures of the dreams that E4 evolves controllers in.
    pub temperatures: Vec<f32>,
    /// How large the rest is.
    pub scale: Scale,
    /// Changes of the memories' settings, `memory.key=value`, for all variants.
    pub sets: Vec<String>,
    /// Folder of results and the report.
    pub out: PathBuf,
    /// Folder of trained memories.
    pub work: PathBuf,
    /// Whether missing results are made; else the report is made from those that are finished.
    pub train: bool,
    /// The command, for the report and for messages.
    pub command: String,
}

impl Score {
    fn does(&self, experiment: Experiment) -> bool {
        self.experiments.contains(&experiment)
    }

    /// Drives all `jobs` in `world`.
    fn drive(
        &self,
        model: &ActingModel,
        world: &World,
        jobs: &[Job<'_>],
        options: DriveOptions,
        context: &Context<'_>,
    ) -> Result<Vec<Outcome>> {
        let outcomes = Driver::new(world, context.stop)
            .with_model(model)
            .with_options(options)
            .drive(jobs)?;
        outcomes.ok_or_else(|| context.interrupted())
    }
}

/// Trains and drives what is missing, and writes the report. Returns the path of report.md.
///
/// # Errors
/// If the plan is impossible, something finished was made with other settings, a file cannot be
/// read or written, or the user interrupts.
pub fn score(plan: &Score, context: &Context<'_>) -> Result<PathBuf> {
    distinct("variants", &plan.variants)?;
    for (i, temperature) in plan.temperatures.iter().enumerate() {
        if !TEMPERATURES.contains(temperature) || plan.temperatures[..i].contains(temperature) {
            return Err(RunError::Config(format!(
                "--temperatures: {temperature} is there twice or impossible: write numbers from 0 to 3"
            )));
        }
    }
    let folders = open_all(&plan.data, &plan.sets, |preset| {
        plan.variants
            .iter()
            .try_for_each(|spec| spec.resolve(preset).map(drop))
    })?;
    let mut results = Results::open(&plan.out)?;
    let mut all: Vec<(Data, Vec<Entry>)> = Vec::new();
    for (folder, mut preset) in folders {
        preset.memory.updates = preset.memory.updates.min(plan.scale.updates);
        let data = Data::prepare(plan, folder, preset, context)?;
        let entries = Entry::all(plan, &data)?;
        all.push((data, entries));
    }
    if plan.train {
        task::make_all(plan, &all, &results, context)?;
    }
    let mut finished = report::Finished::default();
    for (data, entries) in &all {
        finished.load(plan, data, entries, &results)?;
    }
    if finished.is_empty() {
        return Err(RunError::refused(
            format!("nothing of this is finished in {}", plan.out.display()),
            Recovery::MakeResults,
        ));
    }
    results.pack()?;
    let data: Vec<&Data> = all.iter().map(|(data, _)| data).collect();
    report::write(plan, &data, &finished)
}

/// `controller` on each of `tracks` from `first`.
fn jobs(controller: &Controller, first: u64, tracks: usize) -> impl Iterator<Item = Job<'_>> {
    (first..first + tracks as u64).map(move |seed| Job::of(controller, seed))
}
