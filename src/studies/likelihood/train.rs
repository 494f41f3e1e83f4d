//! Training and judging of one memory.

use serde_json::json;

use super::{
    FORMAT, Study,
    data::Data,
    judge::{Finished, Measured, judge},
    run::Run,
};
use crate::{
    data::{Latents, held_out_batches},
    memory::MemoryConfig,
    run::{Checkpoint, CheckpointKind, MemoryTraining, Metrics, Recovery, Result, RunError},
    stages::{self, Job, train_memory},
    studies::{
        progress::{Part, Progress},
        store::begin_training,
    },
};

/// Takes `run` from its last checkpoint to its results.
///
/// # Errors
/// If its folder was begun with other settings, a file cannot be read or written, or the user
/// interrupts.
pub fn train(
    study: &Study<'_>,
    run: &Run,
    settings: &MemoryTraining,
    progress: &Progress<'_>,
) -> Result<()> {
    let data = &study.data[run.data];
    let name = run.name(&data.name);
    let directory = study.plan.work.join(&name);
    begin_training(
        &directory,
        &json!({ "format": FORMAT, "vision": data.vision_name(), "split": run.split(),
            "memory": settings }),
    )?;
    let [training, held_out] = episodes(data, run);
    let latents = Latents::new(&data.folder, settings, data.actions, &training)?;
    let held_out = held_out_batches(&latents, &held_out, data.preset.seed)?;
    let floor = held_out.1;
    let spread = latents.spread(&training)?;
    let part = Part::new(progress, name.clone());
    let context = progress.context(&part);
    let job = Job {
        config: settings,
        latent: data.latent(),
        actions: data.actions,
        seed: run.seed,
        directory: directory.clone(),
        latents: latents.clone(),
        training,
        own: Vec::new(),
        rounds: None,
        held_out,
    };
    let diverged = match train_memory(job, &context) {
        Ok(()) => None,
        Err(e @ RunError::NonFinite { .. }) => Some(e.to_string()),
        Err(e) => return Err(e),
    };
    let metrics = Metrics::read(&directory.join("metrics.jsonl"))?;
    let above_floor = |line: &serde_json::Value| {
        let held_out = line["held_out_nll"].as_f64()?;
        Some([line["update"].as_f64()?, held_out - floor])
    };
    let mut measured = Measured::default();
    if diverged.is_none() && run.trial.is_none() {
        let weights = Checkpoint::<MemoryConfig>::load_with(
            &directory.join("weights.safetensors"),
            CheckpointKind::Memory,
            Recovery::Folder,
        )?;
        let test = data.tests(&latents, study.plan.test_episodes, spread)?;
        measured = judge(settings, data.actions, &weights.tensors, &test)?;
    }
    let model = &settings.model;
    let finished = Finished {
        format: FORMAT,
        data: data.name.clone(),
        target_kl: data.preset.vision.target_kl,
        vision: data.vision_name(),
        variant: run.spec.to_string(),
        seed: run.seed,
        split: run.split().into(),
        settings: settings.clone(),
        parameters: crate::memory::init(model, data.latent(), data.actions, 0).count(),
        diverged,
        seconds_per_update: part.seconds_per_update(),
        curve: metrics.iter().filter_map(above_floor).collect(),
        measured,
    };
    study.results.save(&name, &finished)
}

/// Training and held-out episodes of `run`; of a shifted one those of all drivers but the last.
fn episodes(data: &Data, run: &Run) -> [Vec<usize>; 2] {
    let collect = &data.preset.collect;
    let drivers = collect.policies().len();
    let included = |i: &usize| !run.shifted || collect.driver(*i) + 1 < drivers;
    [
        stages::training_indices(collect.episodes)
            .filter(included)
            .collect(),
        stages::held_out_indices(collect.episodes)
            .filter(included)
            .collect(),
    ]
}
