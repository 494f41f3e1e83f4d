//! The memories of a comparison.

use std::path::PathBuf;

use frmdn_engine::random::stream;
use rand::RngExt;
use serde_json::{Value, json};

use super::{FORMAT, Score, data::Data};
use crate::{
    data::{Latents, held_out_batches},
    memory::{self, Memory, MemoryConfig},
    run::{Checkpoint, CheckpointKind, Preset, Recovery, Result},
    stages::{self, Job, train_memory},
    studies::{
        Spec,
        progress::{Part, Progress},
        store::{begin_training, load_with_settings, save_with_settings},
    },
};

/// A memory of the comparison: a variant trained from one seed on some data. Where the memory
/// itself draws nothing the seed is that of the controllers' random numbers alone.
#[derive(Clone, Debug)]
pub struct Entry {
    pub spec: Spec,
    pub seed: u64,
    /// The data's settings with the variant.
    pub preset: Preset,
}

impl Entry {
    /// All memories on `data`, first seeds first.
    ///
    /// # Errors
    /// If a value of a variant is impossible.
    pub fn all(plan: &Score, data: &Data) -> Result<Vec<Self>> {
        let mut entries = Vec::new();
        for seed in 1..=plan.seeds {
            for spec in &plan.variants {
                entries.push(Self {
                    spec: spec.clone(),
                    seed,
                    preset: spec.resolve(&data.preset)?,
                });
            }
        }
        Ok(entries)
    }

    pub fn config(&self) -> &MemoryConfig {
        &self.preset.memory.model
    }

    /// Name of its folder, and part of the names of its results.
    pub fn name(&self, data: &Data) -> String {
        format!(
            "{}-{}-{}",
            data.name,
            self.spec.to_string().replace([':', '='], "_"),
            self.seed
        )
    }

    /// The root seed of everything random that depends on the memory's seed and `more`.
    pub fn root_seed(&self, name: &str, more: &[u64]) -> u64 {
        stream(self.seed, name, more).random()
    }

    fn directory(&self, plan: &Score, data: &Data) -> PathBuf {
        plan.work.join(self.name(data))
    }

    /// The file that is written when the memory is trained.
    fn finished_path(&self, plan: &Score, data: &Data) -> PathBuf {
        self.directory(plan, data).join("finished.json")
    }

    /// Whether the memory is not trained yet.
    ///
    /// # Errors
    /// If it was trained with other settings, or a file is damaged.
    pub fn needs_training(&self, plan: &Score, data: &Data) -> Result<bool> {
        if !self.config().is_trained() {
            return Ok(false);
        }
        let settings = self.settings(data, Value::Null);
        let finished: Option<()> = load_with_settings(&self.finished_path(plan, data), &settings)?;
        Ok(finished.is_none())
    }

    /// The memory, once it is trained.
    ///
    /// # Errors
    /// If its weights cannot be read.
    pub fn memory(&self, plan: &Score, data: &Data) -> Result<Box<dyn Memory>> {
        let config = self.config();
        if !config.is_trained() {
            let weights = memory::init(config, data.latent(), data.actions.width(), self.seed);
            return data.memory(config, &weights);
        }
        let path = self.directory(plan, data).join("weights.safetensors");
        let weights =
            Checkpoint::<MemoryConfig>::load_with(&path, CheckpointKind::Memory, Recovery::Folder)?;
        data.memory(config, &weights.tensors)
    }

    /// Everything that decides a result of this memory; `more` is the experiment's part of it.
    pub fn settings(&self, data: &Data, more: Value) -> Value {
        json!({ "format": FORMAT, "data": data.name, "vision": data.vision,
            "environment": data.preset.environment,
            "variant": self.spec.to_string(), "seed": self.seed, "memory": self.preset.memory,
            "experiment": more })
    }

    /// Trains the memory. Its folder says what it is made with, and at the end that it is finished.
    ///
    /// # Errors
    /// If the folder was begun with other settings, a file cannot be read or written, the loss is
    /// not finite, or the user interrupts.
    pub fn train(&self, plan: &Score, data: &Data, progress: &Progress<'_>) -> Result<()> {
        let directory = self.directory(plan, data);
        let settings = self.settings(data, Value::Null);
        begin_training(&directory, &settings)?;
        let config = &self.preset.memory;
        let episodes = data.preset.collect.episodes;
        let training: Vec<usize> = stages::training_indices(episodes).collect();
        let held_out: Vec<usize> = stages::held_out_indices(episodes).collect();
        let latents = Latents::new(&data.folder, config, data.actions.width(), &training)?;
        let held = held_out_batches(&latents, &held_out, data.preset.seed)?;
        let part = Part::new(progress, self.name(data));
        let context = progress.context(&part);
        let job = Job {
            config,
            latent: data.latent(),
            actions: data.actions.width(),
            seed: self.seed,
            directory,
            latents,
            training,
            own: Vec::new(),
            rounds: None,
            held_out: held,
        };
        train_memory(job, &context)?;
        save_with_settings(&self.finished_path(plan, data), &settings, ())
    }
}
