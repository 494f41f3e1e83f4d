//! Training of V on streamed episodes.

use frmdn_engine::{Params, random::stream};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Context, held_out_indices, learning_rate, training_indices, windows::Windows};
use crate::{
    agent::Agent,
    memory::posterior_entropy,
    pictures::{Panel, Series, plot_curves},
    run::{Checkpoint, CheckpointKind, Episode, Metrics, Result, RunError, RunFolder},
    vision::{
        BetaConfig, DecoderScratch, EncoderScratch, FRAME, SIDE, Vae, VaeState, VaeTrainer,
        VaeTrainerConfig,
    },
};

/// What Adam's rate falls to, in parts of the preset's.
const FINAL_RATE: f64 = 0.1;
/// Frames of the held-out loss.
const HELD_OUT_FRAMES: usize = 1024;
/// Frames of the picture of reconstructions.
const SHOWN: usize = 12;

const METRICS: &str = "vision/metrics.jsonl";
const LAST_PICTURE: &str = "pictures/vision-kl.png";
/// Part of the target by which the KL of weights that are kept may be above it: with more nats any
/// V draws better.
const MORE_NATS: f64 = 0.1;

/// Where training stands, beside weights and moments.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    trainer: VaeState,
    update: u64,
    /// Lowest held-out loss (at the present β) and the update it was seen at.
    best: Option<(f64, u64)>,
    /// Held-out losses since then.
    stale: u64,
    /// Sums over the updates since the last held-out loss.
    sums: [f64; 3],
    count: u64,
}

fn load(folder: &RunFolder) -> Result<Option<Checkpoint<State>>> {
    let path = folder.path("vision/state.safetensors");
    path.exists()
        .then(|| {
            Checkpoint::load(
                &path,
                CheckpointKind::VisionState,
                CheckpointKind::VisionState.remedy(),
            )
        })
        .transpose()
}

/// Trains V up to the preset's number of updates, or until the held-out loss stops falling.
pub fn vision(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    let preset = folder.preset();
    let config = &preset.vision;
    let (mut trainer, mut state) = match load(folder)? {
        Some(Checkpoint { tensors, state }) => {
            if state.update >= config.updates || state.stale >= config.patience {
                // Killed between the last checkpoint and the pictures.
                return if folder.path(LAST_PICTURE).exists() {
                    Ok(())
                } else {
                    draw(folder, &folder.path(METRICS))
                };
            }
            let trainer = VaeTrainer::restore(&state.trainer, &tensors).map_err(|e| {
                RunError::damaged(
                    &folder.path("vision/state.safetensors"),
                    e,
                    CheckpointKind::VisionState.remedy(),
                )
            })?;
            (trainer, state)
        }
        None => {
            let beta = BetaConfig {
                target: config.target_kl,
                ..BetaConfig::default()
            };
            let trainer = VaeTrainer::new(
                &Vae::init(config.model, preset.seed),
                VaeTrainerConfig {
                    beta,
                    clip_norm: None,
                    augment: config.augment,
                },
            );
            let state = State {
                trainer: trainer.save().0,
                update: 0,
                best: None,
                stale: 0,
                sums: [0.0; 3],
                count: 0,
            };
            (trainer, state)
        }
    };
    trainer = trainer.on(context.device.burn());
    let store = folder.episodes();
    let held = held_out_frames(folder)?;
    let training: Vec<usize> = training_indices(preset.collect.episodes).collect();
    let mut windows = Windows::new(
        "vision/window",
        preset.seed,
        training,
        config.window_episodes,
        config.window_updates,
        move |i| Episode::load(&store.path(i)),
    );
    let metrics_path = folder.path(METRICS);
    let mut metrics = Metrics::resume(&metrics_path, "update", state.update)?;
    context
        .report
        .begin("vision", "updates", state.update, config.updates);
    let mut frames = Vec::new();
    let outcome = loop {
        if state.update >= config.updates || state.stale >= config.patience {
            break Ok(());
        }
        if context.stop.is_set() {
            break save(folder, &trainer, &mut state).and_then(|()| context.check());
        }
        let update = state.update;
        match windows.at(update) {
            Ok(episodes) => batch(episodes, config.batch, preset.seed, update, &mut frames),
            Err(e) => break Err(e),
        }
        let rate = learning_rate(config.learning_rate, FINAL_RATE, update, config.updates);
        let step = match trainer.step(&frames, rate, update, preset.seed) {
            Ok(step) => step,
            Err(e) => {
                break Err(RunError::NonFinite {
                    stage: "vision",
                    what: e.tensor,
                    update: e.update,
                    path: folder.path("vision"),
                    remedy: "Start a new run with a smaller rate, for example --set \
                        vision.learning_rate=3e-4 --run DIR."
                        .into(),
                });
            }
        };
        state.update += 1;
        state.count += 1;
        for (sum, x) in state
            .sums
            .iter_mut()
            .zip([step.squared_error, step.kl, step.loss])
        {
            *sum += x;
        }
        context.report.advance(
            state.update,
            &format!(
                "KL {:.1} nats, β {:.3}, pixel MSE {:.5}",
                step.kl,
                trainer.beta(),
                step.mse
            ),
        );
        if state.update.is_multiple_of(config.evaluate_every) || state.update == config.updates {
            let evaluated = evaluate(
                folder,
                context,
                &mut trainer,
                &mut state,
                &held,
                rate,
                &mut metrics,
            );
            if let Err(e) = evaluated {
                break Err(e);
            }
        }
    };
    context.report.end();
    outcome?;
    draw(folder, &metrics_path)
}

fn save(folder: &RunFolder, trainer: &VaeTrainer, state: &mut State) -> Result<()> {
    let (trainer, tensors) = trainer.save();
    state.trainer = trainer;
    Checkpoint {
        tensors,
        state: &*state,
    }
    .save(
        &folder.path("vision/state.safetensors"),
        CheckpointKind::VisionState,
    )
}

/// Held-out loss, the weights if it is the lowest, reconstructions, a line of metrics, the
/// checkpoint.
fn evaluate(
    folder: &RunFolder,
    context: &Context<'_>,
    trainer: &mut VaeTrainer,
    state: &mut State,
    held: &[u8],
    rate: f64,
    metrics: &mut Metrics,
) -> Result<()> {
    let evaluation = trainer.evaluate(held);
    // Reconstruction alone is compared, at the target KL: β moves, and a loss with another β is
    // another loss. What has more nats than that comes after all that has not.
    let above = evaluation.kl > (1.0 + MORE_NATS) * folder.preset().vision.target_kl;
    let score = evaluation.squared_error + if above { FRAME as f64 } else { 0.0 };
    if state.best.is_none_or(|(best, _)| score < best) {
        state.best = Some((score, state.update));
        state.stale = 0;
        Agent::save_vision(folder, trainer.weights())?;
        reconstructions(folder, trainer.weights(), held)?;
        posterior(folder, trainer.weights(), held)?;
    } else {
        state.stale += 1;
    }
    let n = state.count.max(1) as f64;
    let line = json!({
        "update": state.update,
        "kept": state.best.map(|(_, update)| update),
        "learning_rate": rate,
        "beta": trainer.beta(),
        "train": { "reconstruction": state.sums[0] / n, "kl": state.sums[1] / n,
        "loss": state.sums[2] / n },
        "held_out": {
            "reconstruction": evaluation.squared_error,
            "pixel_mse": evaluation.mse,
            "kl": evaluation.kl,
            "active": evaluation.active,
        },
    });
    state.sums = [0.0; 3];
    state.count = 0;
    // The line first: lines after the last checkpoint are dropped on resume, a missing one would
    // stay missing.
    metrics.append(&line)?;
    save(folder, trainer, state)?;
    context.report.say(&format!(
        "vision {}: held-out pixel MSE {:.5}, KL {:.1} nats, {} active dimensions",
        state.update, evaluation.mse, evaluation.kl, evaluation.active
    ));
    Ok(())
}

/// A batch of frames, each drawn uniformly from the frames in memory.
fn batch(episodes: &[Episode], size: usize, seed: u64, update: u64, frames: &mut Vec<u8>) {
    let total: usize = episodes.iter().map(|e| e.steps() + 1).sum();
    let mut rng = stream(seed, "vision/batch", &[update]);
    frames.clear();
    for _ in 0..size {
        let mut at = rng.random_range(0..total);
        for episode in episodes {
            let here = episode.steps() + 1;
            if at < here {
                frames.extend_from_slice(episode.frame(at));
                break;
            }
            at -= here;
        }
    }
}

/// Frames spread evenly over the held-out episodes.
fn held_out_frames(folder: &RunFolder) -> Result<Vec<u8>> {
    let indices: Vec<usize> = held_out_indices(folder.preset().collect.episodes).collect();
    let each = HELD_OUT_FRAMES.div_ceil(indices.len());
    let mut frames = Vec::new();
    for index in indices {
        let episode = Episode::load(&folder.episodes().path(index))?;
        let there = episode.steps() + 1;
        for i in 0..each.min(there) {
            // The middle of each of as many parts: the first frame, where the view is still far
            // away, is a rare one.
            frames.extend_from_slice(episode.frame((2 * i + 1) * there / (2 * each.min(there))));
        }
    }
    Ok(frames)
}

/// Two rows: held-out frames and what V makes of them.
fn reconstructions(folder: &RunFolder, weights: &Params, held: &[u8]) -> Result<()> {
    let config = folder.preset().vision.model;
    let vae =
        Vae::from_params(config, weights).map_err(|e| RunError::Failed(format!("vision: {e}")))?;
    let n = held.len() / FRAME;
    let shown = SHOWN.min(n);
    let picked: Vec<u8> = (0..shown)
        .flat_map(|i| held[i * n / shown * FRAME..][..FRAME].iter().copied())
        .collect();
    let (mut z, mut rebuilt) = (vec![0.0; shown * config.latent], vec![0u8; picked.len()]);
    vae.encoder()
        .encode(&mut EncoderScratch::default(), &picked, &mut z);
    vae.decoder()
        .decode_u8(&mut DecoderScratch::default(), &z, &mut rebuilt);
    let row = |frames: &[u8]| {
        frames
            .chunks(FRAME)
            .map(|f| Panel::new(SIDE, SIDE, f.to_vec()).enlarged(2))
            .collect::<Vec<_>>()
    };
    let rows = vec![
        Panel::row(row(&picked)).titled("HELD-OUT FRAMES"),
        Panel::row(row(&rebuilt)).titled("RECONSTRUCTIONS"),
    ];
    Panel::column(rows).save(&folder.path("pictures/reconstructions.png"))
}

/// Mean entropy of the posterior and KL of each dimension over the held-out frames, the dimension
/// that says most first: one at the prior's entropy says nothing, and no memory can gain anything
/// on it.
fn posterior(folder: &RunFolder, weights: &Params, held: &[u8]) -> Result<()> {
    let config = folder.preset().vision.model;
    let encoder = Vae::from_params(config, weights)
        .map_err(|e| RunError::Failed(format!("vision: {e}")))?
        .encoder();
    let (d, n, mut scratch) = (config.latent, held.len() / FRAME, EncoderScratch::default());
    // Per dimension: Σ entropy, Σ KL.
    let mut sums = vec![[0.0; 2]; d];
    for frames in held.chunks(64 * FRAME) {
        let rows = frames.len() / FRAME;
        let (mut mean, mut log_variance) = (vec![0.0; rows * d], vec![0.0; rows * d]);
        encoder.encode_with_variance(&mut scratch, frames, &mut mean, &mut log_variance);
        for (i, (m, v)) in mean.iter().zip(&log_variance).enumerate() {
            let (m, v) = (f64::from(*m), f64::from(*v));
            sums[i % d][0] += posterior_entropy(&[v as f32]);
            sums[i % d][1] += 0.5 * (m * m + v.exp() - v - 1.0);
        }
    }
    sums.iter_mut()
        .for_each(|sum| *sum = sum.map(|x| x / n as f64));
    sums.sort_by(|a, b| b[1].total_cmp(&a[1]));
    let curve = |at: usize| {
        sums.iter()
            .enumerate()
            .map(|(i, sum)| (i as f64 + 1.0, sum[at]))
            .collect()
    };
    let prior = posterior_entropy(&[0.0]);
    let series = [
        Series::new("entropy of the posterior", curve(0)),
        Series::new("KL", curve(1)),
        Series::new(
            "entropy of the prior",
            vec![(1.0, prior), (d as f64, prior)],
        ),
    ];
    let title = format!(
        "V: what each dimension says ({:.1} nats a frame)",
        sums.iter().map(|s| s[1]).sum::<f64>()
    );
    plot_curves(
        &title,
        "dimension, by KL",
        "nats",
        &series,
        &folder.path("pictures/posterior.png"),
    )
}

fn draw(folder: &RunFolder, metrics: &std::path::Path) -> Result<()> {
    let lines = Metrics::read(metrics)?;
    let pick = |part: &str, key: &str| -> Vec<(f64, f64)> {
        lines
            .iter()
            .filter_map(|l| Some((l["update"].as_f64()?, l[part][key].as_f64()?)))
            .collect()
    };
    let series = |key: &str| {
        [
            Series::new("training", pick("train", key)),
            Series::new("held out", pick("held_out", key)),
        ]
    };
    let path = |name: &str| folder.path(&format!("pictures/{name}"));
    plot_curves(
        "V: reconstruction",
        "update",
        "sum of squared errors a frame",
        &series("reconstruction"),
        &path("vision-reconstruction.png"),
    )?;
    plot_curves(
        "V: KL",
        "update",
        "nats a frame",
        &series("kl"),
        &folder.path(LAST_PICTURE),
    )
}
