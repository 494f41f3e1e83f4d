//! Training of one density.

use std::path::Path;

use frmdn_engine::{Params, random::stream};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    data::{Card, Domain, Windows, held_out_batches},
    memory::MemoryConfig,
    recurrent::{NoHeads, RecurrentConfig, Sequences, Trainer},
    run::{Checkpoint, CheckpointKind, MemoryTraining, Recovery, Result, RunError},
    stages::Context,
    training::{self, Evaluation, Learner, Length, Place, Progress, figures, learning_rate},
};

/// The weights of a density, in its folder.
const WEIGHTS: &str = "weights.safetensors";

/// What a trained density's file says beside its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trained {
    /// Name of the data that it was fitted to.
    pub source: String,
    /// What its values stand for.
    pub data: Card,
    /// Values that are predicted, and that are given beside them.
    pub widths: [usize; 2],
    /// Its sizes and settings; those of reward and end are not used.
    pub model: MemoryConfig,
}

impl Trained {
    /// The density in `path`, its `weights.safetensors` or the folder of it, and its weights.
    ///
    /// # Errors
    /// If there is none, or it is damaged.
    pub fn load(path: &Path) -> Result<(Self, Params)> {
        let path = match path.is_dir() {
            true => path.join(WEIGHTS),
            false => path.to_path_buf(),
        };
        let kind = CheckpointKind::Density;
        let Checkpoint { tensors, state } = Checkpoint::load_with(&path, kind, Recovery::Restore)?;
        Ok((state, tensors))
    }

    /// Whether the folder `path` is that of a density.
    pub fn is_in(path: &Path) -> bool {
        path.join(WEIGHTS).exists()
    }

    /// The recurrent density.
    ///
    /// # Errors
    /// If its variant has none.
    pub fn recurrent(&self) -> Result<RecurrentConfig> {
        let [dim, given] = self.widths;
        self.model.recurrent(dim, given).ok_or_else(|| {
            RunError::Config(format!("{} has no density to fit", self.model.variant))
        })
    }
}

/// What a training needs to go on besides tensors and counts.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    updates: u64,
    sum: f64,
    count: u64,
}

/// Trains a density of `data`, called `source`, in `directory`, or goes on with it; the weights of the best held-out
/// likelihood are in `weights.safetensors`.
///
/// # Errors
/// If data cannot be read, a number is not finite, a file cannot be written, or the user interrupts.
pub fn train<D: Domain>(
    (source, data): (&str, &D),
    settings: &MemoryTraining,
    seed: u64,
    directory: &Path,
    context: &Context<'_>,
) -> Result<()> {
    let parts = data.parts();
    let first = data.load(parts.training[0])?;
    let trained = Trained {
        source: source.into(),
        data: data.card(),
        widths: data.widths(&first),
        model: settings.model,
    };
    let config = trained.recurrent()?;
    let place = Place {
        directory: directory.to_path_buf(),
        kind: CheckpointKind::DensityState,
    };
    let length = Length {
        updates: settings.updates,
        evaluate_every: settings.evaluate_every,
        patience: Some(settings.patience),
    };
    let mut trainer = Trainer::with_heads(config, NoHeads, config.init(seed), seed);
    let (mut progress, mut sums) = (Progress::default(), (0.0, 0));
    if let Some(Checkpoint { tensors, state }) = place.saved::<State>()? {
        let resumed = trainer.resumed(&tensors, state.own.updates);
        trainer = resumed.map_err(|e| place.damaged(e.to_string()))?;
        (progress, sums) = (state.progress, (state.own.sum, state.own.count));
    }
    if progress.is_finished(&length) {
        return Ok(());
    }
    let read = data.clone();
    let mut learner = DensityLearner {
        data,
        settings,
        seed,
        trained,
        trainer: trainer.on(context.device.burn()),
        windows: Windows::new(
            "density/window",
            seed,
            parts.training,
            settings.window_episodes,
            settings.window_updates,
            move |i| read.load(i),
        ),
        held_out: held_out_batches(data, &parts.held_out, seed)?.0,
        directory,
        sum: sums.0,
        count: sums.1,
    };
    let name = format!("density {}", settings.model.variant);
    let terminal = (context.report, context.stop);
    training::train(&name, &mut learner, progress, &length, &place, terminal)
}

/// A density in training.
struct DensityLearner<'a, D: Domain> {
    data: &'a D,
    settings: &'a MemoryTraining,
    seed: u64,
    trained: Trained,
    trainer: Trainer,
    windows: Windows<D::Item>,
    held_out: Vec<Sequences>,
    directory: &'a Path,
    /// Sum of the training NLL since the last held-out loss, and number of these updates.
    sum: f64,
    count: u64,
}

impl<D: Domain> DensityLearner<'_, D> {
    fn rate(&self, update: u64) -> f64 {
        let settings = self.settings;
        let (first, last) = (settings.learning_rate, settings.final_rate);
        learning_rate(first, last, update, settings.updates)
    }

    fn non_finite(&self, what: String, update: u64) -> RunError {
        RunError::NonFinite {
            stage: "density",
            what,
            update,
            path: self.directory.to_path_buf(),
        }
    }
}

impl<D: Domain> Learner for DensityLearner<'_, D> {
    type State = State;

    fn step(&mut self, update: u64) -> Result<String> {
        let (size, steps) = (self.settings.batch, self.settings.sequence);
        let rng = &mut stream(self.seed, "density/batch", &[update]);
        let items = self.windows.at(update)?;
        let (batch, chosen) = self.data.sequences(items, size, steps, rng);
        let names: Vec<String> = chosen.iter().map(|&i| self.data.name(&items[i])).collect();
        let rate = self.rate(update);
        let step = self.trainer.update(&batch, rate, update);
        let step =
            step.map_err(|e| self.non_finite(self.trainer.blamed(&e, &batch, &names), update))?;
        self.sum += step.nll;
        self.count += 1;
        Ok(format!("NLL {:.1} nats a step", step.nll))
    }

    fn evaluate(&mut self, update: u64) -> Result<Evaluation> {
        let (mut nats, mut steps) = (0.0, 0.0);
        let likelihood = self.trainer.likelihood();
        for batch in &self.held_out {
            nats -= likelihood.log_prob(batch).iter().sum::<f64>();
            steps += batch.steps as f64;
        }
        let nll = nats / f64::max(steps, 1.0);
        if !nll.is_finite() {
            return Err(self.non_finite("the held-out NLL".into(), update));
        }
        let train = self.sum / self.count.max(1) as f64;
        (self.sum, self.count) = (0.0, 0);
        let line = json!({
            "learning_rate": self.rate(update - 1),
            "train_nll": train,
            "held_out_nll": nll,
        });
        Ok(Evaluation {
            score: nll,
            figures: figures(line),
            best: Some("best_nll"),
            said: format!("density {update}: held-out NLL {nll:.2} nats a step"),
        })
    }

    fn keep(&mut self) -> Result<()> {
        let checkpoint = Checkpoint {
            tensors: self.trainer.weights().clone(),
            state: &self.trained,
        };
        let path = self.directory.join(WEIGHTS);
        checkpoint.save(&path, CheckpointKind::Density)
    }

    fn save(&self) -> (Params, State) {
        let state = State {
            updates: self.trainer.updates(),
            sum: self.sum,
            count: self.count,
        };
        (self.trainer.tensors(), state)
    }
}
