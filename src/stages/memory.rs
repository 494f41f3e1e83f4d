//! Encoding of the episodes by V, and training of M on the latents.

mod training;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use frmdn_engine::Params;
use rayon::prelude::*;
use serde_json::json;

use super::{Context, held_out_indices, training_indices};
use crate::{
    agent::Agent,
    data::{Latents, held_out_batches},
    memory::{self, MemoryConfig, MemoryEvaluation, MemoryTrainer, SequenceBatch},
    pictures::{Series, plot_curves},
    run::{
        Checkpoint, CheckpointKind, Episode, LatentEpisode, MemoryTraining, Metrics, Observed,
        Recorded, Recovery, Result, RunError, RunFolder,
    },
    vision::{Encoder, EncoderScratch, Vae},
};

use training::is_finished;

pub use training::{Job, train};

/// Frames that are encoded in one call.
const CHUNK: usize = 64;

const PICTURE: &str = "pictures/memory.png";

/// Encodes what is not encoded yet, then trains M (variants that are never trained are only
/// initialised).
pub fn memory(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    let preset = folder.preset();
    let config = &preset.memory;
    let actions = encode(folder, context)?.actions;
    let latent = preset.vision.model.latent;
    let directory = folder.path("memory");
    if !config.model.is_trained() {
        if !directory.join("weights.safetensors").exists() {
            Agent::save_memory(
                folder,
                &memory::init(&config.model, latent, actions, preset.seed),
            )?;
        }
        return Ok(());
    }
    let held_out: Vec<usize> = held_out_indices(preset.collect.driven()).collect();
    let training: Vec<usize> = training_indices(preset.collect.driven()).collect();
    let own: Vec<usize> = training_indices(preset.collect.episodes)
        .filter(|&i| i >= preset.collect.driven())
        .collect();
    let members = config.model.members;
    let member = MemoryTraining {
        model: config.model.member(),
        ..config.clone()
    };
    let directory = |index: usize| {
        if members == 1 {
            directory.clone()
        } else {
            directory.join(format!("member{index}"))
        }
    };
    for index in 0..members {
        let round = (preset.controller.dreams.as_ref()).filter(|_| !own.is_empty());
        if is_finished(directory(index), config, round)? {
            // Killed between the last checkpoint and the picture.
            if index + 1 == members && !folder.path(PICTURE).exists() {
                draw(folder, &directory(index).join("metrics.jsonl"))?;
            }
            continue;
        }
        let latents = Latents::new(folder, config, actions, &training)?;
        let batches = held_out_batches(&latents, &held_out, preset.seed)?;
        let (training, own) = (training.clone(), own.clone());
        let seed = MemoryConfig::member_seed(preset.seed, index);
        let job = Job {
            config: &member,
            latent,
            actions,
            seed,
            directory: directory(index),
            latents,
            training,
            own,
            rounds: preset.controller.dreams.as_ref(),
            held_out: batches,
        };
        train(job, context)?;
        draw(folder, &directory(index).join("metrics.jsonl"))?;
    }
    if members > 1 && !folder.path("memory/weights.safetensors").exists() {
        let latents = Latents::new(folder, config, actions, &training)?;
        let batches = held_out_batches(&latents, &held_out, preset.seed)?;
        join(folder, &member, [latent, actions], batches, directory)?;
    }
    Ok(())
}

/// Joins the members in their folders to one memory, with a line of metrics for their mixture.
fn join(
    folder: &RunFolder,
    member: &MemoryTraining,
    [latent, actions]: [usize; 2],
    (batches, floor): (Vec<SequenceBatch>, f64),
    directory: impl Fn(usize) -> PathBuf,
) -> Result<()> {
    let (members, mut weights) = (folder.preset().memory.model.members, Vec::new());
    // For each held-out step log Σ over members of the density; and each member's other figures.
    let (mut mixture, mut all): (Vec<f64>, Vec<MemoryEvaluation>) = (Vec::new(), Vec::new());
    for index in 0..members {
        let path = directory(index).join("weights.safetensors");
        let tensors = Checkpoint::<MemoryConfig>::load(&path, CheckpointKind::Memory)?.tensors;
        let trainer = MemoryTrainer::new(&member.model, latent, actions, 0)
            .with_weights(&tensors)
            .map_err(|e| RunError::damaged(&path, e, CheckpointKind::Memory.recovery()))?;
        let likelihood = trainer.likelihood();
        let log_prob: Vec<f64> = batches
            .iter()
            .flat_map(|batch| likelihood.log_prob(batch))
            .collect();
        mixture.resize(log_prob.len(), f64::NEG_INFINITY);
        // log(eᵃ + eᵇ).
        for (a, b) in mixture.iter_mut().zip(log_prob) {
            *a = a.max(b) + libm::log1p(libm::exp(-(*a - b).abs()));
        }
        all.push(trainer.evaluate(&batches));
        weights.push(tensors);
    }
    let n = members as f64;
    let nll = libm::log(n) - mixture.iter().sum::<f64>() / mixture.len().max(1) as f64;
    let mean = |of: fn(&MemoryEvaluation) -> f64| all.iter().map(of).sum::<f64>() / n;
    let line = json!({
        "update": member.updates,
        "held_out_nll": nll,
        "best_nll": nll,
        "member_nll": all.iter().map(|e| e.nll).collect::<Vec<_>>(),
        "floor": floor,
        "reward_mse": mean(|e| e.reward_mse),
        "reward_correlation": mean(|e| e.reward_correlation),
        "done_bce": mean(|e| e.done_bce),
    });
    Metrics::resume(&folder.path("memory/metrics.jsonl"), "update", 0)?.append(&line)?;
    Agent::save_memory(folder, &Params::joined("member", weights))
}

/// Writes the latents of every episode, by the V that is in the folder now, where they are missing.
/// Returns what the episodes are made of: no environment is started.
pub fn encode(folder: &RunFolder, context: &Context<'_>) -> Result<Recorded> {
    let (preset, store) = (folder.preset(), folder.episodes());
    let recorded = store.recorded()?;
    let actions = recorded.actions;
    let (weights, vision) = Agent::load_vision(folder)?;
    let latents = folder.latents();
    let missing: Vec<usize> = (0..preset.collect.episodes)
        .into_par_iter()
        .filter(|&i| {
            let of_other_vision = |found: LatentEpisode| found.vision != vision;
            !latents.has(i) || latents.load_latents(i, actions).is_ok_and(of_other_vision)
        })
        .collect();
    if missing.is_empty() {
        return Ok(recorded);
    }
    // Latents of an earlier V are replaced, unless a memory was trained on them.
    if missing.iter().any(|&i| latents.has(i)) && folder.path("memory").exists() {
        return Err(RunError::refused(
            format!(
                "{} has another V than its memory was trained with",
                folder.root().display()
            ),
            Recovery::StagesAfterVision(folder.root().to_path_buf()),
        ));
    }
    let vae = Vae::if_any(preset.vision.model, &weights)
        .map_err(|e| RunError::Failed(format!("memory: {e}")))?;
    let encoder = vae.map(|vae| vae.encoder());
    let done = AtomicU64::new((preset.collect.episodes - missing.len()) as u64);
    context.report.begin(
        "encode",
        "episodes",
        done.load(Ordering::Relaxed),
        preset.collect.episodes as u64,
    );
    let outcome: Result<()> =
        missing
            .par_iter()
            .try_for_each_init(EncoderScratch::default, |scratch, &index| {
                if context.stop.is_set() {
                    return Ok(());
                }
                let episode = store.load(index, Some(recorded))?;
                let latent = encoded(encoder.as_ref(), scratch, episode, vision);
                latent.save(&latents.path(index))?;
                context
                    .report
                    .advance(done.fetch_add(1, Ordering::Relaxed) + 1, "");
                Ok(())
            });
    context.report.end();
    outcome?;
    context.check()?;
    Ok(recorded)
}

/// Logarithm of the variance of the noise on observations that are latents: 0.01². Without any, a
/// density of them could become infinitely sharp.
const LOG_VARIANCE: f32 = -9.210_340_4;

/// The latents of an episode; `vision` is the number of V's weights (see [`Agent::load_vision`]).
/// Those that were observed are taken as they are, and need no encoder.
pub fn encoded(
    encoder: Option<&Encoder>,
    scratch: &mut EncoderScratch,
    episode: Episode,
    vision: u64,
) -> LatentEpisode {
    let n = episode.rewards.len() + 1;
    let (latent, mean, log_variance) = match (episode.observed, encoder) {
        (Observed::Frames { len, bytes }, Some(encoder)) => {
            let latent = encoder.latent();
            let (mut mean, mut log_variance) = (vec![0.0; n * latent], vec![0.0; n * latent]);
            for (at, chunk) in bytes.chunks(CHUNK * len).enumerate() {
                let rows = at * CHUNK * latent..(at * CHUNK + chunk.len() / len) * latent;
                encoder.encode_with_variance(
                    scratch,
                    chunk,
                    &mut mean[rows.clone()],
                    &mut log_variance[rows],
                );
            }
            (latent, mean, log_variance)
        }
        (Observed::Latents { len, values }, _) => {
            let log_variance = vec![LOG_VARIANCE; values.len()];
            (len, values, log_variance)
        }
        (Observed::Frames { .. }, None) => unreachable!("frames have a V"),
    };
    LatentEpisode {
        seed: episode.seed,
        latent,
        action_len: episode.action_len,
        mean,
        log_variance,
        actions: episode.actions,
        rewards: episode.rewards,
        measured: episode.measured,
        terminated: episode.terminated,
        vision,
    }
}

fn draw(folder: &RunFolder, metrics: &std::path::Path) -> Result<()> {
    let lines = Metrics::read(metrics)?;
    let pick = |key: &str| -> Vec<(f64, f64)> {
        lines
            .iter()
            .filter_map(|l| Some((l["update"].as_f64()?, l[key].as_f64()?)))
            .collect()
    };
    let series = [
        Series::new("training", pick("train_nll")),
        Series::new("held out", pick("held_out_nll")),
        Series::new("floor (posterior entropy)", pick("floor")),
    ];
    plot_curves(
        "M: negative log-likelihood",
        "update",
        "nats a step",
        &series,
        &folder.path(PICTURE),
    )
}
