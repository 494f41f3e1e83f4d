//! Training of V on streamed episodes.

use frmdn_engine::{Params, random::stream};
use frmdn_env::ObservationSpace;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Context, held_out_indices, training_indices};
use crate::{
    agent::Agent,
    data::Windows,
    memory::posterior_entropy,
    pictures::{Panel, Series, plot_curves},
    run::{Checkpoint, CheckpointKind, Episode, Metrics, Recorded, Result, RunError, RunFolder},
    training::{Evaluation, Learner, Length, Place, Progress, figures, learning_rate, train},
    vision::{
        BetaConfig, DecoderScratch, EncoderScratch, FRAME, SIDE, Vae, VaeConfig, VaeState,
        VaeTrainer, VaeTrainerConfig, rare_error,
    },
};

/// Last learning rate, in parts of the preset's.
const FINAL_RATE: f64 = 0.1;
/// Frames of the held-out loss.
const HELD_OUT_FRAMES: usize = 1024;
/// Frames of the picture of reconstructions.
const SHOWN: usize = 12;

const LAST_PICTURE: &str = "pictures/vision-kl.png";
/// Part of the target by which the KL of saved weights may be above it: with more nats any V draws
/// better.
const MORE_NATS: f64 = 0.1;

/// What a training needs to go on besides tensors and counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    trainer: VaeState,
    /// Sums over the updates since the last held-out loss.
    sums: [f64; 3],
    /// Number of these updates.
    count: u64,
}

/// Trains V up to the preset's number of updates, or until the held-out loss stops falling. Without
/// frames there is no V to train.
pub fn vision(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    let preset = folder.preset();
    let config = &preset.vision;
    let place = Place {
        directory: folder.path("vision"),
        kind: CheckpointKind::VisionState,
    };
    let length = Length {
        updates: config.updates,
        evaluate_every: config.evaluate_every,
        patience: Some(config.patience),
    };
    let (trainer, state, progress) = trainer(folder, &place)?;
    if progress.is_finished(&length) {
        // Killed between the last checkpoint and the pictures.
        if !folder.path(LAST_PICTURE).exists() {
            draw(folder, &place.metrics())?;
        }
        return Ok(());
    }
    // By the episodes: no environment is started.
    let recorded = folder.episodes().recorded()?;
    if let ObservationSpace::Latent(_) = recorded.observation {
        // What is seen is the latent already: V has no weights.
        return Agent::save_vision(folder, &Params::default());
    }
    let held_out = held_out_frames(folder, recorded)?;
    let store = folder.episodes();
    let windows = Windows::new(
        "vision/window",
        preset.seed,
        training_indices(preset.collect.episodes).collect(),
        config.window_episodes,
        config.window_updates,
        move |i| store.load(i, Some(recorded)),
    );
    let mut learner = VisionLearner {
        folder,
        trainer: trainer.on(context.device.burn()),
        sums: state.sums,
        count: state.count,
        held_out,
        windows,
        frames: Vec::new(),
    };
    let terminal = (context.report, context.stop);
    train("vision", &mut learner, progress, &length, &place, terminal)?;
    draw(folder, &place.metrics())
}

/// The trainer and its state as they were saved, or fresh ones.
fn trainer(folder: &RunFolder, place: &Place) -> Result<(VaeTrainer, State, Progress)> {
    let preset = folder.preset();
    if let Some(Checkpoint { tensors, state }) = place.saved::<State>()? {
        if state.own.trainer.model != preset.vision.model {
            return Err(place.damaged("its V has another size than the run's"));
        }
        let trainer = VaeTrainer::restore(&state.own.trainer, &tensors);
        let trainer = trainer.map_err(|e| place.damaged(e.to_string()))?;
        return Ok((trainer, state.own, state.progress));
    }
    let config = VaeTrainerConfig {
        beta: BetaConfig {
            target: preset.vision.target_kl,
            ..BetaConfig::default()
        },
        clip_norm: None,
        augment: preset.vision.augment,
        rare: preset.vision.rare,
    };
    let trainer = VaeTrainer::new(&Vae::init(preset.vision.model, preset.seed), config);
    let state = State {
        trainer: trainer.save().0,
        sums: [0.0; 3],
        count: 0,
    };
    Ok((trainer, state, Progress::default()))
}

/// V in training.
struct VisionLearner<'a> {
    folder: &'a RunFolder,
    trainer: VaeTrainer,
    /// See [`State`].
    sums: [f64; 3],
    count: u64,
    /// Frames of the held-out loss.
    held_out: Vec<u8>,
    windows: Windows<Episode>,
    /// The batch, reused from update to update.
    frames: Vec<u8>,
}

impl VisionLearner<'_> {
    /// Adam's rate of an update.
    fn rate(&self, update: u64) -> f64 {
        let config = &self.folder.preset().vision;
        learning_rate(config.learning_rate, FINAL_RATE, update, config.updates)
    }
}

impl Learner for VisionLearner<'_> {
    type State = State;

    fn step(&mut self, update: u64) -> Result<String> {
        let preset = self.folder.preset();
        let rate = self.rate(update);
        let episodes = self.windows.at(update)?;
        let (size, seed) = (preset.vision.batch, preset.seed);
        batch(episodes, size, seed, update, &mut self.frames);
        let step = self
            .trainer
            .step(&self.frames, rate, update, preset.seed)
            .map_err(|e| RunError::NonFinite {
                stage: "vision",
                what: e.tensor,
                update: e.update,
                path: self.folder.path("vision"),
            })?;
        self.count += 1;
        let figures = [step.squared_error, step.kl, step.loss];
        for (sum, figure) in self.sums.iter_mut().zip(figures) {
            *sum += figure;
        }
        let beta = self.trainer.beta();
        Ok(format!(
            "KL {:.1} nats, β {beta:.3}, pixel MSE {:.5}",
            step.kl, step.mse
        ))
    }

    fn evaluate(&mut self, update: u64) -> Result<Evaluation> {
        let evaluation = self.trainer.evaluate(&self.held_out);
        let config = &self.folder.preset().vision;
        // Only reconstruction is compared, at the target KL: a loss with another β is another loss,
        // and β moves. Weights with more nats than allowed come after all others.
        let above = evaluation.kl > (1.0 + MORE_NATS) * config.target_kl;
        let score = evaluation.squared_error + if above { FRAME as f64 } else { 0.0 };
        let [reconstruction, kl, loss] = self.sums.map(|sum| sum / self.count.max(1) as f64);
        let mut line = json!({
            "learning_rate": self.rate(update - 1),
            "beta": self.trainer.beta(),
            "train": { "reconstruction": reconstruction, "kl": kl, "loss": loss },
            "held_out": {
                "reconstruction": evaluation.squared_error,
                "pixel_mse": evaluation.mse,
                "kl": evaluation.kl,
                "active": evaluation.active,
            },
        });
        if config.rare > 0.0 {
            let error = rare_pixels(config.model, self.trainer.weights(), &self.held_out)?;
            line["held_out"]["rare_mse"] = json!(error);
        }
        (self.sums, self.count) = ([0.0; 3], 0);
        Ok(Evaluation {
            score,
            figures: figures(line),
            best: None,
            said: format!(
                "vision {update}: held-out pixel MSE {:.5}, KL {:.1} nats, {} active dimensions",
                evaluation.mse, evaluation.kl, evaluation.active
            ),
        })
    }

    fn keep(&mut self) -> Result<()> {
        let (folder, weights) = (self.folder, self.trainer.weights());
        Agent::save_vision(folder, weights)?;
        reconstructions(folder, weights, &self.held_out)?;
        posterior(folder, weights, &self.held_out)
    }

    fn save(&self) -> (Params, State) {
        let (trainer, tensors) = self.trainer.save();
        let state = State {
            trainer,
            sums: self.sums,
            count: self.count,
        };
        (tensors, state)
    }
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
fn held_out_frames(folder: &RunFolder, recorded: Recorded) -> Result<Vec<u8>> {
    let indices: Vec<usize> = held_out_indices(folder.preset().collect.episodes).collect();
    let each = HELD_OUT_FRAMES.div_ceil(indices.len());
    let mut frames = Vec::new();
    for index in indices {
        let episode = folder.episodes().load(index, Some(recorded))?;
        let total = episode.steps() + 1;
        let count = each.min(total);
        for i in 0..count {
            // The middle of each of `count` parts: the first frame, in which the view is still far
            // away, is a rare one.
            frames.extend_from_slice(episode.frame((2 * i + 1) * total / (2 * count)));
        }
    }
    Ok(frames)
}

/// Two rows: held-out frames and their reconstructions.
fn reconstructions(folder: &RunFolder, weights: &Params, held_out: &[u8]) -> Result<()> {
    let config = folder.preset().vision.model;
    let vae =
        Vae::from_params(config, weights).map_err(|e| RunError::Failed(format!("vision: {e}")))?;
    let n = held_out.len() / FRAME;
    let shown = SHOWN.min(n);
    let mut picked = Vec::with_capacity(shown * FRAME);
    for i in 0..shown {
        picked.extend_from_slice(&held_out[i * n / shown * FRAME..][..FRAME]);
    }
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

/// Held-out frames of which the error of rare pixels is taken.
const RARE_FRAMES: usize = 512;

/// The mean squared error of the reconstructions of pixels of rare colours ([`rare_error`]),
/// on frames from all over the held-out ones.
fn rare_pixels(config: VaeConfig, weights: &Params, held_out: &[u8]) -> Result<f64> {
    let vae =
        Vae::from_params(config, weights).map_err(|e| RunError::Failed(format!("vision: {e}")))?;
    let every = (held_out.len() / FRAME).div_ceil(RARE_FRAMES).max(1);
    let frames: Vec<u8> = held_out
        .chunks(FRAME)
        .step_by(every)
        .flatten()
        .copied()
        .collect();
    let mut rebuilt = vec![0; frames.len()];
    let (mut encoding, mut decoding) = (EncoderScratch::default(), DecoderScratch::default());
    for (frames, rebuilt) in frames
        .chunks(64 * FRAME)
        .zip(rebuilt.chunks_mut(64 * FRAME))
    {
        let mut z = vec![0.0; frames.len() / FRAME * config.latent];
        vae.encoder().encode(&mut encoding, frames, &mut z);
        vae.decoder().decode_u8(&mut decoding, &z, rebuilt);
    }
    Ok(rare_error(&frames, &rebuilt))
}

/// Mean entropy of the posterior and KL of each dimension over the held-out frames, largest KL
/// first. A dimension at the prior's entropy carries no information, and no memory can predict it
/// better than the prior.
fn posterior(folder: &RunFolder, weights: &Params, held_out: &[u8]) -> Result<()> {
    let config = folder.preset().vision.model;
    let encoder = Vae::from_params(config, weights)
        .map_err(|e| RunError::Failed(format!("vision: {e}")))?
        .encoder();
    let (d, n, mut scratch) = (
        config.latent,
        held_out.len() / FRAME,
        EncoderScratch::default(),
    );
    // Per dimension: Σ entropy, Σ KL.
    let mut sums = vec![[0.0; 2]; d];
    for frames in held_out.chunks(64 * FRAME) {
        let rows = frames.len() / FRAME;
        let (mut mean, mut log_variance) = (vec![0.0; rows * d], vec![0.0; rows * d]);
        encoder.encode_with_variance(&mut scratch, frames, &mut mean, &mut log_variance);
        for (i, (m, v)) in mean.iter().zip(&log_variance).enumerate() {
            let (m, v) = (f64::from(*m), f64::from(*v));
            sums[i % d][0] += posterior_entropy(&[v as f32]);
            sums[i % d][1] += 0.5 * (m * m + libm::exp(v) - v - 1.0);
        }
    }
    for sum in &mut sums {
        *sum = sum.map(|x| x / n as f64);
    }
    sums.sort_by(|a, b| b[1].total_cmp(&a[1]));
    let curve = |at: usize| {
        sums.iter()
            .enumerate()
            .map(|(i, sum)| (i as f64 + 1.0, sum[at]))
            .collect()
    };
    let prior = posterior_entropy(&[0.0]);
    let series = [
        Series::points("entropy of the posterior", curve(0)),
        Series::points("KL", curve(1)),
        Series::new(
            "entropy of the prior: tells nothing",
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
    let series = |key: &str, unit: f64| {
        [("training", "train"), ("held out", "held_out")].map(|(name, part)| {
            let points = pick(part, key).into_iter().map(|(x, y)| (x, y / unit));
            Series::new(name, points.collect())
        })
    };
    let path = |name: &str| folder.path(&format!("pictures/{name}"));
    plot_curves(
        "V: reconstruction",
        "update",
        "mean squared error of a pixel's value, 0 to 1",
        &series("reconstruction", FRAME as f64),
        &path("vision-reconstruction.png"),
    )?;
    plot_curves(
        "V: KL",
        "update",
        "nats a frame",
        &series("kl", 1.0),
        &folder.path(LAST_PICTURE),
    )
}
