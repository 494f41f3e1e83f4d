//! Encoding of the episodes by V, and training of M on the latents.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use frmdn_engine::{
    Params,
    random::{Pcg64, fill_normal, stream},
};
use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Context, held_out_indices, learning_rate, training_indices, windows::Windows};
use crate::{
    agent::Agent,
    controller::Actions,
    memory::{
        self, MemoryConfig, MemoryEvaluation, MemoryState, MemoryTrainer, SequenceBatch,
        posterior_entropy,
    },
    pictures::{Series, plot_curves},
    run::{
        Checkpoint, CheckpointKind, Episode, EpisodeStore, Inputs, LatentEpisode, MemoryTraining,
        Metrics, Result, RunError, RunFolder,
    },
    vision::{Encoder, EncoderScratch, Vae},
};

/// Frames that are encoded in one call.
const CHUNK: usize = 64;

const PICTURE: &str = "pictures/memory.png";

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

/// Encodes what is not encoded yet, then trains M (variants that are never trained are only
/// initialised).
pub fn memory(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    encode(folder, context)?;
    let preset = folder.preset();
    let config = &preset.memory;
    let space = context.world(&preset.environment)?.action_space()?;
    let (latent, actions) = (preset.vision.model.latent, Actions::of(&space).width());
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
    let held_out: Vec<usize> = held_out_indices(preset.collect.episodes).collect();
    let training: Vec<usize> = training_indices(preset.collect.episodes).collect();
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
    let finished = |state: &State| state.update >= config.updates || state.stale >= config.patience;
    for index in 0..members {
        if let Some(saved) = saved(&directory(index))?
            && finished(&saved.state)
        {
            // Killed between the last checkpoint and the picture.
            if index + 1 == members && !folder.path(PICTURE).exists() {
                draw(folder, &directory(index).join("metrics.jsonl"))?;
            }
            continue;
        }
        let latents = Latents::new(folder, config, &training)?;
        let held = held_out_batches(&latents, &held_out, preset.seed)?;
        let training = training.clone();
        let seed = MemoryConfig::member_seed(preset.seed, index);
        let job = Job {
            config: &member,
            latent,
            actions,
            seed,
            directory: directory(index),
            latents,
            training,
            held,
        };
        train(job, context)?;
        draw(folder, &directory(index).join("metrics.jsonl"))?;
    }
    if members > 1 && !folder.path("memory/weights.safetensors").exists() {
        let held = held_out_batches(
            &Latents::new(folder, config, &training)?,
            &held_out,
            preset.seed,
        )?;
        join(folder, &member, [latent, actions], held, directory)?;
    }
    Ok(())
}

/// Makes one memory of the members in their folders, with a line of metrics for their mixture.
fn join(
    folder: &RunFolder,
    member: &MemoryTraining,
    [latent, actions]: [usize; 2],
    (batches, floor): (Vec<SequenceBatch>, f64),
    directory: impl Fn(usize) -> PathBuf,
) -> Result<()> {
    let (members, mut weights) = (folder.preset().memory.model.members, Vec::new());
    // Per held-out step: Σ over members of the density, by logarithms; and every member's other
    // figures.
    let (mut mixture, mut all): (Vec<f64>, Vec<MemoryEvaluation>) = (Vec::new(), Vec::new());
    for index in 0..members {
        let path = directory(index).join("weights.safetensors");
        let tensors = Checkpoint::<MemoryConfig>::load(
            &path,
            CheckpointKind::Memory,
            CheckpointKind::Memory.remedy(),
        )?
        .tensors;
        let trainer = MemoryTrainer::new(&member.model, latent, actions, 0)
            .with_weights(&tensors)
            .map_err(|e| RunError::damaged(&path, e, CheckpointKind::Memory.remedy()))?;
        let log_prob: Vec<f64> = batches
            .iter()
            .flat_map(|batch| trainer.log_prob(batch))
            .collect();
        if mixture.is_empty() {
            mixture = vec![f64::NEG_INFINITY; log_prob.len()];
        }
        for (a, b) in mixture.iter_mut().zip(log_prob) {
            *a = a.max(b) + (-(*a - b).abs()).exp().ln_1p();
        }
        all.push(trainer.evaluate(&batches));
        weights.push(tensors);
    }
    let n = members as f64;
    let nll = n.ln() - mixture.iter().sum::<f64>() / mixture.len().max(1) as f64;
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

/// One memory to be trained.
pub struct Job<'a> {
    pub config: &'a MemoryTraining,
    pub latent: usize,
    pub actions: usize,
    pub seed: u64,
    /// Where weights, state and metrics are kept.
    pub directory: PathBuf,
    pub latents: Latents,
    /// Episodes to learn from.
    pub training: Vec<usize>,
    /// Episodes to stop by, and the floor of their likelihood.
    pub held: (Vec<SequenceBatch>, f64),
}

fn saved(directory: &Path) -> Result<Option<Checkpoint<State>>> {
    let path = directory.join("state.safetensors");
    path.exists()
        .then(|| {
            Checkpoint::<State>::load(
                &path,
                CheckpointKind::MemoryState,
                CheckpointKind::MemoryState.remedy(),
            )
        })
        .transpose()
}

/// Trains to the last update, or until the held-out likelihood has stopped rising; resumes by
/// itself. The weights of the best held-out likelihood are in `weights.safetensors`.
pub fn train(job: Job<'_>, context: &Context<'_>) -> Result<()> {
    let Job {
        config,
        latent,
        actions,
        seed,
        ..
    } = job;
    let (mut trainer, mut state) = match saved(&job.directory)? {
        Some(Checkpoint { tensors, state }) => {
            let trainer = MemoryTrainer::restore(
                &config.model,
                latent,
                actions,
                seed,
                &tensors,
                &state.trainer,
            )
            .map_err(|e| {
                RunError::damaged(
                    &job.directory.join("state.safetensors"),
                    e,
                    CheckpointKind::MemoryState.remedy(),
                )
            })?;
            (trainer, state)
        }
        None => {
            let trainer = MemoryTrainer::new(&config.model, latent, actions, seed);
            let state = State {
                trainer: trainer.state(),
                update: 0,
                best: None,
                stale: 0,
                sum: 0.0,
                count: 0,
            };
            (trainer, state)
        }
    };
    trainer = trainer.on(context.device.burn());
    let latents = job.latents.clone();
    let mut windows = Windows::new(
        "memory/window",
        seed,
        job.training.clone(),
        config.window_episodes,
        config.window_updates,
        move |i| latents.load(i),
    );
    let mut metrics =
        Metrics::resume(&job.directory.join("metrics.jsonl"), "update", state.update)?;
    let name = format!("memory {}", config.model.variant);
    context
        .report
        .begin(&name, "updates", state.update, config.updates);
    let outcome = loop {
        if state.update >= config.updates || state.stale >= config.patience {
            break Ok(());
        }
        if context.stop.is_set() {
            break save(&job, &trainer, &mut state).and_then(|()| context.check());
        }
        let update = state.update;
        let batch = match job.batch(&mut windows, update, trainer.last()) {
            Ok(batch) => batch,
            Err(e) => break Err(e),
        };
        let rate = learning_rate(
            config.learning_rate,
            config.final_rate,
            update,
            config.updates,
        );
        let step = match trainer.step(&batch, rate, update) {
            Ok(step) => step,
            Err(e) => break Err(job.non_finite(e.tensor, e.update)),
        };
        state.update += 1;
        state.count += 1;
        state.sum += step.nll;
        context
            .report
            .advance(state.update, &format!("NLL {:.2} nats a step", step.nll));
        if state.update.is_multiple_of(config.evaluate_every) || state.update == config.updates {
            let evaluated = evaluate(&job, context, &trainer, &mut state, rate, &mut metrics);
            if let Err(e) = evaluated {
                break Err(e);
            }
        }
    };
    context.report.end();
    outcome
}

impl Job<'_> {
    /// The batch of an update: pieces of random episodes, or the next pieces of a round of
    /// episodes, from where the last ones ended.
    fn batch(
        &self,
        windows: &mut Windows<LatentEpisode>,
        update: u64,
        last: &[f32],
    ) -> Result<SequenceBatch> {
        let MemoryTraining {
            batch,
            sequence,
            carry,
            ..
        } = *self.config;
        let mut rng = stream(self.seed, "memory/batch", &[update]);
        if !carry {
            return Ok(self
                .latents
                .sequences(windows.at(update)?, batch, sequence, &mut rng));
        }
        let pieces = self.latents.longest.div_ceil(sequence) as u64;
        let (round, piece) = (update / pieces, (update % pieces) as usize);
        let episodes = windows.at(round * pieces)?;
        let chosen = &mut stream(self.seed, "memory/round", &[round]);
        let (first, mut out) = (&episodes[0], None);
        for column in 0..batch {
            let episode = &episodes[chosen.random_range(0..episodes.len())];
            let out = out.get_or_insert_with(|| {
                SequenceBatch::zeros(sequence, batch, first.latent, first.action_len)
            });
            let from = (piece * sequence).min(episode.steps());
            self.latents.fill(
                out,
                column,
                episode,
                from,
                sequence.min(episode.steps() - from),
                &mut rng,
            );
        }
        let mut out = out.unwrap_or_else(|| {
            SequenceBatch::zeros(sequence, batch, first.latent, first.action_len)
        });
        if piece > 0 {
            out.start = last.to_vec();
        }
        Ok(out)
    }

    fn non_finite(&self, what: String, update: u64) -> RunError {
        RunError::NonFinite {
            stage: "memory",
            what,
            update,
            path: self.directory.clone(),
            remedy: "Start a new run with a smaller rate, for example --set \
                memory.learning_rate=3e-4 --run DIR."
                .into(),
        }
    }
}

fn save(job: &Job<'_>, trainer: &MemoryTrainer, state: &mut State) -> Result<()> {
    state.trainer = trainer.state();
    let path = job.directory.join("state.safetensors");
    Checkpoint {
        tensors: trainer.tensors(),
        state: &*state,
    }
    .save(&path, CheckpointKind::MemoryState)
}

fn evaluate(
    job: &Job<'_>,
    context: &Context<'_>,
    trainer: &MemoryTrainer,
    state: &mut State,
    rate: f64,
    metrics: &mut Metrics,
) -> Result<()> {
    let (batches, floor) = &job.held;
    let evaluation = trainer.evaluate(batches);
    if !evaluation.nll.is_finite() {
        return Err(job.non_finite("the held-out NLL".into(), state.update));
    }
    if state.best.is_none_or(|(best, _)| evaluation.nll < best) {
        state.best = Some((evaluation.nll, state.update));
        state.stale = 0;
        let path = job.directory.join("weights.safetensors");
        Checkpoint {
            tensors: trainer.weights().clone(),
            state: job.config.model,
        }
        .save(&path, CheckpointKind::Memory)?;
    } else {
        state.stale += 1;
    }
    let line = json!({
        "update": state.update,
        "kept": state.best.map(|(_, update)| update),
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
    // The line first: lines after the last checkpoint are dropped on resume, a missing one would
    // stay missing.
    metrics.append(&line)?;
    save(job, trainer, state)?;
    context.report.say(&format!(
        "memory {}: held-out NLL {:.2} nats a step, {:.2} above the floor; reward correlation \
         {:.2}",
        state.update,
        evaluation.nll,
        evaluation.nll - floor,
        evaluation.reward_correlation
    ));
    Ok(())
}

/// Writes the latents of every episode, by the V that is in the folder now.
pub fn encode(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    let preset = folder.preset();
    let (weights, vision) = Agent::load_vision(folder)?;
    let (episodes, latents) = (folder.episodes(), folder.latents());
    let missing: Vec<usize> = (0..preset.collect.episodes)
        .into_par_iter()
        .filter(|&i| {
            !latents.has(i)
                || LatentEpisode::load(&latents.path(i)).is_ok_and(|l| l.vision != vision)
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    // Latents of another V (it was trained anew) are replaced, unless something was built on them.
    if missing.iter().any(|&i| latents.has(i)) && folder.path("memory").exists() {
        return Err(RunError::Config(format!(
            "{0} has another V than its memory was trained with. Delete the folders memory, \
             controller and evaluation in {0}, and type the \
             same command again.",
            folder.root().display()
        )));
    }
    let config = &preset.vision.model;
    let encoder = Vae::from_params(*config, &weights)
        .map_err(|e| RunError::Failed(format!("memory: {e}")))?
        .encoder();
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
                let latent = encoded(
                    &encoder,
                    scratch,
                    Episode::load(&episodes.path(index))?,
                    vision,
                );
                latent.save(&latents.path(index))?;
                context
                    .report
                    .advance(done.fetch_add(1, Ordering::Relaxed) + 1, "");
                Ok(())
            });
    context.report.end();
    outcome?;
    context.check()
}

/// What V makes of an episode; `vision` is the number of V's weights (see [`Agent::load_vision`]).
pub fn encoded(
    encoder: &Encoder,
    scratch: &mut EncoderScratch,
    episode: Episode,
    vision: u64,
) -> LatentEpisode {
    let Episode {
        seed,
        frame_len,
        action_len,
        frames,
        actions,
        rewards,
        terminated,
    } = episode;
    let (n, latent) = (rewards.len() + 1, encoder.latent());
    let (mut mean, mut log_variance) = (vec![0.0; n * latent], vec![0.0; n * latent]);
    for (at, chunk) in frames.chunks(CHUNK * frame_len).enumerate() {
        let rows = at * CHUNK * latent..(at * CHUNK + chunk.len() / frame_len) * latent;
        encoder.encode_with_variance(
            scratch,
            chunk,
            &mut mean[rows.clone()],
            &mut log_variance[rows],
        );
    }
    LatentEpisode {
        seed,
        latent,
        action_len,
        mean,
        log_variance,
        actions,
        rewards,
        terminated,
        vision,
    }
}

/// The latents of a run, and how values are drawn from them.
#[derive(Clone)]
pub struct Latents {
    store: EpisodeStore,
    /// Standard deviation of the draws of each dimension; `None`: V's posterior.
    sd: Option<Vec<f32>>,
    /// What M is fed.
    inputs: Inputs,
    /// Standard deviation of what is added to M's inputs; `None`: nothing.
    input_sd: Option<Vec<f32>>,
    /// Most steps of an episode.
    longest: usize,
}

/// Episodes that the spread of latents is measured on.
const SPREAD_EPISODES: usize = 100;

impl Latents {
    pub fn new(folder: &RunFolder, config: &MemoryTraining, training: &[usize]) -> Result<Self> {
        let store = folder.latents();
        let mut latents = Self {
            store,
            sd: None,
            inputs: config.inputs,
            input_sd: None,
            longest: folder.preset().collect.steps,
        };
        if config.noise > 0.0 || config.input_noise > 0.0 {
            let sd = latents.spread(training)?;
            let part = |of: f64| (of > 0.0).then(|| sd.iter().map(|sd| (of * sd) as f32).collect());
            (latents.sd, latents.input_sd) = (part(config.noise), part(config.input_noise));
        }
        Ok(latents)
    }

    pub fn load(&self, index: usize) -> Result<LatentEpisode> {
        LatentEpisode::load(&self.store.path(index))
    }

    /// Standard deviation of each dimension of V's means.
    pub fn spread(&self, training: &[usize]) -> Result<Vec<f64>> {
        let (mut n, mut sums) = (0.0, Vec::new());
        for &index in training.iter().take(SPREAD_EPISODES) {
            let episode = self.load(index)?;
            sums.resize(episode.latent, [0.0; 2]);
            for row in episode.mean.chunks_exact(episode.latent) {
                n += 1.0;
                for ([sum, squares], &v) in sums.iter_mut().zip(row) {
                    *sum += f64::from(v);
                    *squares += f64::from(v) * f64::from(v);
                }
            }
        }
        Ok(sums
            .into_iter()
            .map(|[sum, squares]| (squares / n - (sum / n) * (sum / n)).max(0.0).sqrt())
            .collect())
    }

    /// Entropy of the draws of an episode's targets, summed over steps: the floor of their
    /// likelihood.
    pub fn floor(&self, episode: &LatentEpisode) -> f64 {
        match &self.sd {
            None => posterior_entropy(&episode.log_variance[episode.latent..]),
            Some(sd) => {
                posterior_entropy(&sd.iter().map(|sd| 2.0 * sd.ln()).collect::<Vec<_>>())
                    * episode.steps() as f64
            }
        }
    }

    /// Draws z_t for all frames of an episode's piece: mean + standard deviation · ε.
    fn sample(
        &self,
        episode: &LatentEpisode,
        first: usize,
        frames: usize,
        rng: &mut Pcg64,
        z: &mut Vec<f32>,
    ) {
        let d = episode.latent;
        z.resize(frames * d, 0.0);
        fill_normal(rng, z);
        let from = first * d..(first + frames) * d;
        for (i, (z, (m, v))) in z
            .iter_mut()
            .zip(
                episode.mean[from.clone()]
                    .iter()
                    .zip(&episode.log_variance[from]),
            )
            .enumerate()
        {
            let sd = self
                .sd
                .as_ref()
                .map_or_else(|| (0.5 * v).exp(), |sd| sd[i % d]);
            *z = m + sd * *z;
        }
    }

    /// Copies a piece of `steps` steps from `first` into column `column` of `batch`. Inputs and
    /// targets share their samples: the z that is predicted at one step is the z that is seen at
    /// the next, unless means are fed.
    pub fn fill(
        &self,
        batch: &mut SequenceBatch,
        column: usize,
        episode: &LatentEpisode,
        first: usize,
        steps: usize,
        rng: &mut Pcg64,
    ) {
        if steps == 0 {
            return;
        }
        let (d, a, b) = (episode.latent, episode.action_len, batch.batch);
        let mut z = Vec::new();
        self.sample(episode, first, steps + 1, rng, &mut z);
        for t in 0..steps {
            let row = t * b + column;
            let fed = if self.inputs == Inputs::Means {
                &episode.mean[(first + t) * d..][..d]
            } else {
                &z[t * d..(t + 1) * d]
            };
            batch.z[row * d..(row + 1) * d].copy_from_slice(fed);
            batch.z_next[row * d..(row + 1) * d].copy_from_slice(&z[(t + 1) * d..(t + 2) * d]);
            let from = (first + t) * a;
            batch.actions[row * a..(row + 1) * a].copy_from_slice(&episode.actions[from..from + a]);
            batch.reward[row] = episode.rewards[first + t];
            batch.done[row] = f32::from(episode.terminated && first + t + 1 == episode.steps());
            batch.mask[row] = 1.0;
        }
        if let Some(sd) = &self.input_sd {
            for t in 0..steps {
                fill_normal(rng, &mut z[..d]);
                let at = &mut batch.z[(t * b + column) * d..][..d];
                at.iter_mut()
                    .zip(z.iter().zip(sd))
                    .for_each(|(v, (e, sd))| *v += sd * e);
            }
        }
    }

    /// Random pieces of random episodes; an episode shorter than a sequence is padded and masked.
    fn sequences(
        &self,
        episodes: &[LatentEpisode],
        size: usize,
        steps: usize,
        rng: &mut Pcg64,
    ) -> SequenceBatch {
        let first = &episodes[0];
        let mut batch = SequenceBatch::zeros(steps, size, first.latent, first.action_len);
        let total: usize = episodes.iter().map(LatentEpisode::steps).sum();
        for column in 0..size {
            // An episode in proportion to its length. Within it every piece is as likely as any
            // other, so that the first and the last steps are seen less often than those in the
            // middle; carried states (`memory.carry`) have no such edge.
            let mut at = rng.random_range(0..total);
            let episode = episodes.iter().find(|e| {
                let here = at < e.steps();
                at = at.wrapping_sub(if here { 0 } else { e.steps() });
                here
            });
            let episode = episode.unwrap_or(first);
            let length = steps.min(episode.steps());
            let start = rng.random_range(0..=episode.steps() - length);
            self.fill(&mut batch, column, episode, start, length, rng);
        }
        batch
    }
}

/// Whole episodes, with samples that never change, and the floor: the mean entropy of their
/// targets.
pub fn held_out_batches(
    latents: &Latents,
    indices: &[usize],
    seed: u64,
) -> Result<(Vec<SequenceBatch>, f64)> {
    let mut batches = Vec::new();
    let (mut entropy, mut steps) = (0.0, 0usize);
    for &index in indices {
        let episode = latents.load(index)?;
        let mut batch =
            SequenceBatch::zeros(episode.steps(), 1, episode.latent, episode.action_len);
        latents.fill(
            &mut batch,
            0,
            &episode,
            0,
            episode.steps(),
            &mut stream(seed, "memory/held-out", &[index as u64]),
        );
        entropy += latents.floor(&episode);
        steps += episode.steps();
        batches.push(batch);
    }
    Ok((batches, entropy / steps as f64))
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

    fn latents() -> Latents {
        Latents {
            store: EpisodeStore::new(PathBuf::new()),
            sd: None,
            inputs: Inputs::Draws,
            input_sd: None,
            longest: 9,
        }
    }

    /// The action that leads from z_t to z_{t+1} is a_t; `done` belongs to the step that ended the
    /// episode.
    #[test]
    fn inputs_targets_actions_and_ends_are_aligned() {
        let mut rng = stream(1, "t", &[]);
        let latents = latents();
        for _ in 0..20 {
            let batch = latents.sequences(&[episode(9)], 3, 5, &mut rng);
            for row in 0..15 {
                let t = batch.z[row * 2];
                assert!((batch.z_next[row * 2] - (t + 1.0)).abs() < 1e-6);
                assert!(
                    (batch.actions[row] - (100.0 + t)).abs() < 1e-5
                        && (batch.reward[row] - (200.0 + t)).abs() < 1e-5
                );
                assert_eq!(batch.done[row], f32::from(t > 7.5), "{t}");
                assert_eq!(batch.mask[row], 1.0);
            }
        }
    }

    /// Fed means, M sees no noise; what it predicts stays a draw.
    #[test]
    fn means_are_fed_where_they_are_asked_for() {
        let mut noisy = episode(9);
        noisy.log_variance.fill(0.0);
        let latents = Latents {
            inputs: Inputs::Means,
            ..latents()
        };
        let batch = latents.sequences(&[noisy], 3, 5, &mut stream(1, "t", &[]));
        for row in 0..15 {
            let t = batch.actions[row] - 100.0;
            assert_eq!(batch.z[row * 2..row * 2 + 2], [t, -t]);
            assert!((batch.z_next[row * 2] - (t + 1.0)).abs() > 1e-4);
        }
    }

    #[test]
    fn short_episodes_are_padded_and_masked() {
        let batch = latents().sequences(&[episode(3)], 2, 5, &mut stream(1, "t", &[]));
        assert_eq!(
            batch.mask,
            [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
        );
        assert_eq!(batch.z[6 * 2..], [0.0; 8]);
    }
}
