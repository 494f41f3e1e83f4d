//! Encoding of the episodes by V, and training of M on the latents.

use std::sync::atomic::{AtomicU64, Ordering};

use frmdn_engine::random::{Pcg64, fill_normal, stream};
use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Context, held_out, held_out_indices, learning_rate, windows::Windows};
use crate::{
    agent::Agent,
    controller::Actions,
    memory::{self, MemoryState, MemoryTrainer, SequenceBatch, posterior_entropy},
    pictures::{Series, plot_curves},
    run::{Checkpoint, CheckpointKind, Episode, LatentEpisode, Metrics, Result, RunError, RunFolder},
    vision::{EncoderScratch, Vae},
};

/// Frames that are encoded in one call.
const CHUNK: usize = 64;
const REMEDY: &str = "Delete the folder memory/ of the run and type the same train command again: M is trained anew.";

/// Where training stands, beside weights and moments.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    trainer: MemoryState,
    update: u64,
    /// Lowest held-out NLL in nats a step and the update it was seen at.
    best: Option<(f64, u64)>,
    /// Held-out losses since then.
    stale: u64,
    /// Sum of the training NLL since the last held-out loss.
    sum: f64,
    count: u64,
}

/// Encodes what is not encoded yet, then trains M (variants that are never trained are only initialised).
pub fn memory(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    encode(folder, context)?;
    let preset = folder.preset();
    let config = &preset.memory;
    let space = context.world(&preset.environment)?.action_space().map_err(RunError::Failed)?;
    let (latent, actions) = (preset.vision.model.latent, Actions::of(&space).width());
    if !config.model.is_trained() {
        if !folder.path("memory/weights.safetensors").exists() {
            Agent::save_memory(folder, &memory::init(&config.model, latent, actions, preset.seed))?;
        }
        return Ok(());
    }
    let path = folder.path("memory/state.safetensors");
    let saved = path.exists().then(|| Checkpoint::<State>::load(&path, CheckpointKind::MemoryState, REMEDY)).transpose()?;
    let (mut trainer, mut state) = match saved {
        Some(Checkpoint { tensors, state }) => {
            if state.update >= config.updates || state.stale >= config.patience {
                return Ok(());
            }
            let trainer = MemoryTrainer::restore(&config.model, latent, actions, &tensors, &state.trainer)
                .map_err(|e| RunError::damaged(&path, e, REMEDY))?;
            (trainer, state)
        }
        None => {
            let trainer = MemoryTrainer::new(&config.model, latent, actions, preset.seed);
            let state = State { trainer: trainer.state(), update: 0, best: None, stale: 0, sum: 0.0, count: 0 };
            (trainer, state)
        }
    };
    trainer = trainer.on(context.device.burn());
    let held = held_out_batches(folder)?;
    let store = folder.latents();
    let training: Vec<usize> = (0..preset.collect.episodes).filter(|&i| !held_out(i)).collect();
    let mut windows = Windows::new("memory/window", preset.seed, training, config.window_episodes, config.window_updates, move |i| {
        LatentEpisode::load(&store.path(i))
    });
    let metrics_path = folder.path("memory/metrics.jsonl");
    let mut metrics = Metrics::resume(&metrics_path, "update", state.update)?;
    context.report.begin("memory", "updates", state.update, config.updates);
    let outcome = loop {
        if state.update >= config.updates || state.stale >= config.patience {
            break Ok(());
        }
        if context.stop.is_set() {
            break save(folder, &trainer, &mut state).and_then(|()| context.check(folder));
        }
        let update = state.update;
        let batch = match windows.at(update) {
            Ok(episodes) => sequences(episodes, config.batch, config.sequence, &mut stream(preset.seed, "memory/batch", &[update])),
            Err(e) => break Err(e),
        };
        let rate = learning_rate(config.learning_rate, update, config.updates);
        let step = match trainer.step(&batch, rate, update) {
            Ok(step) => step,
            Err(e) => {
                break Err(RunError::NonFinite {
                    stage: "memory",
                    what: e.tensor,
                    update: e.update,
                    path: folder.path("memory"),
                    remedy: "Start a new run with a smaller rate, for example --set memory.learning_rate=3e-4 --run DIR.".into(),
                });
            }
        };
        state.update += 1;
        state.count += 1;
        state.sum += step.nll;
        context.report.advance(state.update, &format!("NLL {:.2} nats a step", step.nll));
        if state.update.is_multiple_of(config.evaluate_every) || state.update == config.updates {
            let evaluated = evaluate(folder, context, &trainer, &mut state, &held, rate, &mut metrics);
            if let Err(e) = evaluated {
                break Err(e);
            }
        }
    };
    context.report.end();
    outcome?;
    draw(folder, &metrics_path)
}

fn save(folder: &RunFolder, trainer: &MemoryTrainer, state: &mut State) -> Result<()> {
    state.trainer = trainer.state();
    Checkpoint { tensors: trainer.tensors(), state: &*state }.save(&folder.path("memory/state.safetensors"), CheckpointKind::MemoryState)
}

fn evaluate(
    folder: &RunFolder,
    context: &Context<'_>,
    trainer: &MemoryTrainer,
    state: &mut State,
    held: &(Vec<SequenceBatch>, f64),
    rate: f64,
    metrics: &mut Metrics,
) -> Result<()> {
    let (batches, floor) = held;
    let evaluation = trainer.evaluate(batches);
    if !evaluation.nll.is_finite() {
        return Err(RunError::NonFinite {
            stage: "memory",
            what: "the held-out NLL".into(),
            update: state.update,
            path: folder.path("memory"),
            remedy: "Start a new run with a smaller rate, for example --set memory.learning_rate=3e-4 --run DIR.".into(),
        });
    }
    if state.best.is_none_or(|(best, _)| evaluation.nll < best) {
        state.best = Some((evaluation.nll, state.update));
        state.stale = 0;
        Agent::save_memory(folder, trainer.weights())?;
    } else {
        state.stale += 1;
    }
    let line = json!({
        "update": state.update,
        "learning_rate": rate,
        "train_nll": state.sum / state.count.max(1) as f64,
        "held_out_nll": evaluation.nll,
        "best_nll": state.best.map(|(nll, _)| nll),
        "floor": floor,
        "reward_mse": evaluation.reward_mse,
        "reward_correlation": evaluation.reward_correlation,
        "done_bce": evaluation.done_bce,
    });
    (state.sum, state.count) = (0.0, 0);
    // The line first: lines after the last checkpoint are dropped on resume, a missing one would stay missing.
    metrics.append(&line)?;
    save(folder, trainer, state)?;
    context.report.say(&format!(
        "memory {}: held-out NLL {:.2} nats a step, {:.2} above the floor; reward correlation {:.2}",
        state.update,
        evaluation.nll,
        evaluation.nll - floor,
        evaluation.reward_correlation
    ));
    Ok(())
}

/// Writes the latents of every episode, by the V that is in the folder now.
fn encode(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    let preset = folder.preset();
    let (weights, vision) = Agent::load_vision(folder)?;
    let (episodes, latents) = (folder.episodes(), folder.latents());
    // Latents of another V (it was trained anew) are replaced.
    let missing: Vec<usize> = (0..preset.collect.episodes)
        .into_par_iter()
        .filter(|&i| !latents.has(i) || LatentEpisode::load(&latents.path(i)).is_ok_and(|l| l.vision != vision))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let config = &preset.vision.model;
    let encoder = Vae::from_params(*config, &weights).map_err(|e| RunError::Failed(format!("memory: {e}")))?.encoder();
    let done = AtomicU64::new((preset.collect.episodes - missing.len()) as u64);
    context.report.begin("encode", "episodes", done.load(Ordering::Relaxed), preset.collect.episodes as u64);
    let outcome = missing.par_iter().try_for_each_init(EncoderScratch::default, |scratch, &index| {
        if context.stop.is_set() {
            return Ok(());
        }
        let Episode { seed, frame_len, action_len, frames, actions, rewards, terminated } = Episode::load(&episodes.path(index))?;
        let n = rewards.len() + 1;
        let (mut mean, mut log_variance) = (vec![0.0; n * config.latent], vec![0.0; n * config.latent]);
        for (at, chunk) in frames.chunks(CHUNK * frame_len).enumerate() {
            let rows = at * CHUNK * config.latent..(at * CHUNK + chunk.len() / frame_len) * config.latent;
            encoder.encode_with_variance(scratch, chunk, &mut mean[rows.clone()], &mut log_variance[rows]);
        }
        let latent = LatentEpisode { seed, latent: config.latent, action_len, mean, log_variance, actions, rewards, terminated, vision };
        latent.save(&latents.path(index))?;
        context.report.advance(done.fetch_add(1, Ordering::Relaxed) + 1, "");
        Ok(())
    });
    context.report.end();
    outcome?;
    context.check(folder)
}

/// Draws z_t for all frames of an episode's piece: mean + exp(½ log variance) · ε.
fn sample(episode: &LatentEpisode, first: usize, frames: usize, rng: &mut Pcg64, z: &mut Vec<f32>) {
    let d = episode.latent;
    z.resize(frames * d, 0.0);
    fill_normal(rng, z);
    let from = first * d..(first + frames) * d;
    for (z, (m, v)) in z.iter_mut().zip(episode.mean[from.clone()].iter().zip(&episode.log_variance[from])) {
        *z = m + (0.5 * v).exp() * *z;
    }
}

/// Copies a piece of `steps` steps from `first` into column `column` of `batch`. Inputs and targets share their samples:
/// the z that is predicted at one step is the z that is seen at the next.
fn fill(batch: &mut SequenceBatch, column: usize, episode: &LatentEpisode, first: usize, steps: usize, rng: &mut Pcg64) {
    let (d, a, b) = (episode.latent, episode.action_len, batch.batch);
    let mut z = Vec::new();
    sample(episode, first, steps + 1, rng, &mut z);
    for t in 0..steps {
        let row = t * b + column;
        batch.z[row * d..(row + 1) * d].copy_from_slice(&z[t * d..(t + 1) * d]);
        batch.z_next[row * d..(row + 1) * d].copy_from_slice(&z[(t + 1) * d..(t + 2) * d]);
        let from = (first + t) * a;
        batch.actions[row * a..(row + 1) * a].copy_from_slice(&episode.actions[from..from + a]);
        batch.reward[row] = episode.rewards[first + t];
        batch.done[row] = f32::from(episode.terminated && first + t + 1 == episode.steps());
        batch.mask[row] = 1.0;
    }
}

/// Random pieces of random episodes; an episode shorter than a sequence is padded and masked.
fn sequences(episodes: &[LatentEpisode], size: usize, steps: usize, rng: &mut Pcg64) -> SequenceBatch {
    let first = &episodes[0];
    let mut batch = SequenceBatch::zeros(steps, size, first.latent, first.action_len);
    let total: usize = episodes.iter().map(LatentEpisode::steps).sum();
    for column in 0..size {
        // An episode in proportion to its length, so that every step is seen about equally often.
        let mut at = rng.random_range(0..total);
        let episode = episodes.iter().find(|e| {
            let here = at < e.steps();
            at = at.wrapping_sub(if here { 0 } else { e.steps() });
            here
        });
        let episode = episode.unwrap_or(first);
        let length = steps.min(episode.steps());
        let start = rng.random_range(0..=episode.steps() - length);
        fill(&mut batch, column, episode, start, length, rng);
    }
    batch
}

/// The whole held-out episodes, with samples that never change, and the floor: the mean entropy of their targets.
fn held_out_batches(folder: &RunFolder) -> Result<(Vec<SequenceBatch>, f64)> {
    let preset = folder.preset();
    let mut batches = Vec::new();
    let (mut entropy, mut steps) = (0.0, 0usize);
    for index in held_out_indices(preset.collect.episodes) {
        let episode = LatentEpisode::load(&folder.latents().path(index))?;
        let mut batch = SequenceBatch::zeros(episode.steps(), 1, episode.latent, episode.action_len);
        fill(&mut batch, 0, &episode, 0, episode.steps(), &mut stream(preset.seed, "memory/held-out", &[index as u64]));
        entropy += posterior_entropy(&episode.log_variance[episode.latent..]);
        steps += episode.steps();
        batches.push(batch);
    }
    Ok((batches, entropy / steps as f64))
}

fn draw(folder: &RunFolder, metrics: &std::path::Path) -> Result<()> {
    let lines = Metrics::read(metrics)?;
    let pick = |key: &str| -> Vec<(f64, f64)> { lines.iter().filter_map(|l| Some((l["update"].as_f64()?, l[key].as_f64()?))).collect() };
    let series = [
        Series::new("training", pick("train_nll")),
        Series::new("held out", pick("held_out_nll")),
        Series::new("floor (posterior entropy)", pick("floor")),
    ];
    plot_curves("M: negative log-likelihood", "update", "nats a step", &series, &folder.path("pictures/memory.png"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(steps: usize) -> LatentEpisode {
        let mean: Vec<f32> = (0..=steps).flat_map(|t| [t as f32, -(t as f32)]).collect();
        LatentEpisode {
            seed: 0,
            latent: 2,
            action_len: 1,
            log_variance: vec![-60.0; mean.len()],
            mean,
            actions: (0..steps).map(|t| 100.0 + t as f32).collect(),
            rewards: (0..steps).map(|t| 200.0 + t as f32).collect(),
            terminated: true,
            vision: 0,
        }
    }

    /// The action that leads from z_t to z_{t+1} is a_t; `done` belongs to the step that ended the episode.
    #[test]
    fn inputs_targets_actions_and_ends_are_aligned() {
        let mut rng = stream(1, "t", &[]);
        for _ in 0..20 {
            let batch = sequences(&[episode(9)], 3, 5, &mut rng);
            for row in 0..15 {
                let t = batch.z[row * 2];
                assert!((batch.z_next[row * 2] - (t + 1.0)).abs() < 1e-6);
                assert!((batch.actions[row] - (100.0 + t)).abs() < 1e-5 && (batch.reward[row] - (200.0 + t)).abs() < 1e-5);
                assert_eq!(batch.done[row], f32::from(t > 7.5), "{t}");
                assert_eq!(batch.mask[row], 1.0);
            }
        }
    }

    #[test]
    fn short_episodes_are_padded_and_masked() {
        let batch = sequences(&[episode(3)], 2, 5, &mut stream(1, "t", &[]));
        assert_eq!(batch.mask, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(batch.z[6 * 2..], [0.0; 8]);
    }
}
