//! `density`: recurrent densities of speech and images, fitted and judged on the same sequences.

mod judge;
mod report;
mod sample;
mod train;
mod yardstick;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Spec, distinct,
    progress::{Part, Progress},
    queue::one_per_core,
    store::{Results, begin_training},
};
use crate::{
    data::{
        Domain, Speech,
        images::{self, ImageSequences, Logit, Order},
        sound,
    },
    run::{
        Checkpoint, CheckpointKind, MemoryTraining, Metrics, Recovery, Result, RunError, changed,
    },
    stages::Context,
};
use judge::{Finished, judge};
pub use sample::{Draws, draw};
pub use train::Trained;
use yardstick::flac;

/// Version of the form of results.
const FORMAT: u32 = 1;
/// Samples of a frame, as in the literature: 12.5 ms at 16 kHz.
const FRAME: usize = 200;

/// A kind of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DensityKind {
    /// Frames of recorded speech.
    Speech,
    /// Images, a row at each step.
    Rows,
    /// Images, a pixel at each step.
    Pixels,
}

impl DensityKind {
    /// The settings of training as they are shipped.
    fn settings(self) -> &'static str {
        match self {
            Self::Speech => include_str!("speech.toml"),
            Self::Rows => include_str!("rows.toml"),
            Self::Pixels => include_str!("pixels.toml"),
        }
    }

    /// The densities that are fitted by default. `rmdn` is what the others are compared with; single
    /// pixels have no couplings.
    pub fn variants(self) -> &'static str {
        match self {
            Self::Speech => {
                "rmdn,rmdn:components=20,rmdn-factored,rmdn-linear,frmdn:mask=halves,frmdn,\
                 frmdn-linear,frmdn:components=1,frmdn:components=2"
            }
            Self::Rows => {
                "rmdn,rmdn:components=20,rmdn-factored,rmdn-linear,frmdn:mask=halves,frmdn,\
                 frmdn-linear,frmdn-factored"
            }
            Self::Pixels => "rmdn,frmdn-spline",
        }
    }

    /// Its name in paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Speech => "speech",
            Self::Rows => "images",
            Self::Pixels => "pixels",
        }
    }
}

/// What is to be fitted and compared.
pub struct DensityStudy {
    /// What the data are.
    pub kind: DensityKind,
    /// The data: the name of a package, or a path.
    pub data: String,
    /// The densities.
    pub variants: Vec<Spec>,
    /// Seeds 1 to this of each.
    pub seeds: u64,
    /// Changes of the settings, `memory.key=value`, for all of them.
    pub sets: Vec<String>,
    /// Folder of finished runs, their weights and the report.
    pub out: PathBuf,
    /// Folder of runs that are not finished yet.
    pub work: PathBuf,
    /// Whether missing runs are made; else the report is made from those that are finished.
    pub train: bool,
    /// The command, for the report.
    pub command: String,
}

/// Fits and judges what is missing, and writes the report. Returns the path of report.md.
///
/// # Errors
/// If the data cannot be read, a setting is impossible, finished runs were made with other settings, a
/// file cannot be read or written, or the user interrupts.
pub fn density(plan: &DensityStudy, context: &Context<'_>) -> Result<PathBuf> {
    distinct("variants", &plan.variants)?;
    for spec in &plan.variants {
        plan.settings(spec)?;
    }
    match plan.kind {
        DensityKind::Speech => {
            let corpus = sound::open(&plan.data).map_err(|e| RunError::Config(e.to_string()))?;
            let name = corpus.name.clone();
            let flac = flac(&corpus, &plan.out)?;
            let speech = Speech::new(corpus, FRAME)?;
            Study::new(plan, &name, &speech)?.run(flac, context)
        }
        DensityKind::Rows | DensityKind::Pixels => {
            let set = images::open(&plan.data).map_err(|e| RunError::Config(e.to_string()))?;
            let (name, logit) = match set.training.channels {
                1 => (set.name.clone(), Logit::MNIST),
                _ => (set.name.clone(), Logit::CIFAR),
            };
            let order = match plan.kind {
                DensityKind::Pixels => Order::Pixels,
                _ => Order::Rows,
            };
            let images = ImageSequences::new(set, order, logit);
            Study::new(plan, &name, &images)?.run(None, context)
        }
    }
}

/// The settings of a study.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    memory: MemoryTraining,
}

impl DensityStudy {
    /// The settings of `spec`.
    fn settings(&self, spec: &Spec) -> Result<MemoryTraining> {
        let shipped: Settings = toml::from_str(self.kind.settings())
            .map_err(|e| RunError::Failed(format!("shipped settings of a density: {e}")))?;
        let table = toml::Table::try_from(shipped)
            .map_err(|e| RunError::Failed(format!("shipped settings of a density: {e}")))?;
        let sets = [self.sets.clone(), spec.sets()].concat();
        let Settings { memory } =
            changed(table, &sets).map_err(|e| RunError::Config(format!("{spec}: {e}")))?;
        memory
            .model
            .validate()
            .map_err(|e| RunError::Config(format!("{spec}: memory.model.{e}")))?;
        if memory.carry || memory.model.members > 1 {
            return Err(RunError::Config(format!(
                "{spec}: densities without a world are single, and learn from segments: leave out \
                 memory.carry and memory.model.members"
            )));
        }
        if !memory.model.is_trained() {
            return Err(RunError::Config(format!(
                "{spec} has no density: name one that has, for example rmdn or frmdn"
            )));
        }
        Ok(memory)
    }
}

/// A study with its data and finished runs.
struct Study<'a, D: Domain> {
    plan: &'a DensityStudy,
    /// Name of the data.
    name: &'a str,
    data: &'a D,
    results: Results,
}

impl<'a, D: Domain> Study<'a, D> {
    fn new(plan: &'a DensityStudy, name: &'a str, data: &'a D) -> Result<Self> {
        Ok(Self {
            plan,
            name,
            data,
            results: Results::open(&plan.out)?,
        })
    }

    /// Fits and judges what is missing, and writes the report.
    fn run(mut self, flac: Option<[f64; 2]>, context: &Context<'_>) -> Result<PathBuf> {
        let mut runs = Vec::new();
        for seed in 1..=self.plan.seeds {
            for spec in &self.plan.variants {
                runs.push((spec, seed));
            }
        }
        if self.plan.train {
            self.train_all(&runs, context)?;
        }
        let mut finished = Vec::new();
        for (spec, seed) in runs {
            finished.extend(self.load(spec, seed)?);
        }
        if finished.is_empty() {
            return Err(RunError::refused(
                format!("no run of these is finished in {}", self.plan.out.display()),
                Recovery::MakeResults,
            ));
        }
        self.results.pack()?;
        report::write(&report::Source {
            plan: self.plan,
            data: self.name,
            classes: self.data.classes(),
            card: self.data.card(),
            flac,
            finished: &finished,
        })
    }

    /// What opens the data again: a package's name, or else nothing, for paths are of one machine.
    fn source(&self) -> &str {
        match std::path::Path::new(&self.plan.data).exists() {
            true => "",
            false => &self.plan.data,
        }
    }

    /// Name of a run in files.
    fn run_name(&self, spec: &Spec, seed: u64) -> String {
        let variant = spec.to_string().replace([':', '='], "_");
        format!("{}-{variant}-{seed}", self.name)
    }

    /// The result of a run, if it is finished. One that was made with other settings is refused.
    fn load(&self, spec: &Spec, seed: u64) -> Result<Option<Finished>> {
        let name = self.run_name(spec, seed);
        let Some(finished) = self.results.load::<Finished>(&name)? else {
            return Ok(None);
        };
        match finished.settings == self.plan.settings(spec)? && finished.format == FORMAT {
            true => Ok(Some(finished)),
            false => Err(self.results.other_settings(&name)),
        }
    }

    /// Fits and judges those of `runs` that are not finished, one on each core.
    fn train_all(&self, runs: &[(&Spec, u64)], context: &Context<'_>) -> Result<()> {
        let (mut queue, mut total) = (Vec::new(), 0);
        for &(spec, seed) in runs {
            if self.load(spec, seed)?.is_none() {
                let settings = self.plan.settings(spec)?;
                total += settings.updates;
                queue.push((spec, seed, settings));
            }
        }
        if queue.is_empty() {
            return Ok(());
        }
        context.report.begin("density", "updates", 0, total);
        let progress = Progress::new(context);
        let outcome = one_per_core(queue, |(spec, seed, settings)| {
            self.train(spec, seed, &settings, &progress)
        });
        context.report.end();
        outcome?;
        context.check()
    }

    /// Takes a run from its last checkpoint to its results.
    fn train(
        &self,
        spec: &Spec,
        seed: u64,
        settings: &MemoryTraining,
        progress: &Progress<'_>,
    ) -> Result<()> {
        let name = self.run_name(spec, seed);
        let directory = self.plan.work.join(&name);
        let card = self.data.card();
        begin_training(
            &directory,
            &json!({ "format": FORMAT, "data": card, "seed": seed, "memory": settings }),
        )?;
        let part = Part::new(progress, name.clone());
        let context = progress.context(&part);
        let diverged = match train::train(
            (self.source(), self.data),
            settings,
            seed,
            &directory,
            &context,
        ) {
            Ok(()) => None,
            Err(e @ RunError::NonFinite { .. }) => Some(e.to_string()),
            Err(e) => return Err(e),
        };
        let metrics = Metrics::read(&directory.join("metrics.jsonl"))?;
        let point = |line: &serde_json::Value| {
            Some([line["update"].as_f64()?, line["held_out_nll"].as_f64()?])
        };
        let (mut items, mut at_limit) = (Vec::new(), 0.0);
        let first = self.data.load(self.data.parts().test[0])?;
        let [dim, given] = self.data.widths(&first);
        if diverged.is_none() {
            let weights = Checkpoint::<Trained>::load_with(
                &directory.join("weights.safetensors"),
                CheckpointKind::Density,
                Recovery::Folder,
            )?;
            (items, at_limit) = judge(self.data, &weights.state, &weights.tensors)?;
        }
        let model = settings.model.recurrent(dim, given);
        let finished = Finished {
            format: FORMAT,
            data: self.name.into(),
            variant: spec.to_string(),
            seed,
            settings: settings.clone(),
            parameters: model.map_or(0, |model| model.init(0).count()),
            diverged,
            seconds_per_update: part.seconds_per_update(),
            curve: metrics.iter().filter_map(point).collect(),
            dim,
            items,
            at_limit,
        };
        self.results.save(&name, &finished)
    }
}
