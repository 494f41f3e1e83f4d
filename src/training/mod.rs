//! The loop of every training: V, M and densities without a world go through it.
//!
//! It counts updates, judges on held-out data, keeps the best weights, writes metrics and checkpoints,
//! ends early, stops on Ctrl-C, and resumes to the same bytes. What an update is, and what is judged,
//! a [`Learner`] says.

use std::path::PathBuf;

use frmdn_engine::Params;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::run::{Checkpoint, CheckpointKind, Interrupt, Metrics, Reporter, Result, RunError};

/// What is trained.
pub trait Learner {
    /// What it needs to go on besides its tensors and what the loop counts.
    type State: Serialize + DeserializeOwned;

    /// Makes update number `update`, counted from 0. Returns its figures in a few words.
    ///
    /// # Errors
    /// If data cannot be read, or a number is not finite.
    fn step(&mut self, update: u64) -> Result<String>;

    /// Judges on held-out data after `update` updates, and forgets the sums since the last time.
    ///
    /// # Errors
    /// If data cannot be read, or a number is not finite.
    fn evaluate(&mut self, update: u64) -> Result<Evaluation>;

    /// Writes the weights of the last update as those that are kept.
    ///
    /// # Errors
    /// If a file cannot be written.
    fn keep(&mut self) -> Result<()>;

    /// The tensors and the plain numbers to go on with.
    fn save(&self) -> (Params, Self::State);
}

/// What held-out data say.
pub struct Evaluation {
    /// Lower is better.
    pub score: f64,
    /// Figures for the line of metrics besides `update` and `kept`.
    pub figures: Map<String, Value>,
    /// Where the line names the best score so far, under which key.
    pub best: Option<&'static str>,
    /// The figures in a sentence.
    pub said: String,
}

/// How long a training goes on.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// Largest number of updates.
    pub updates: u64,
    /// Updates between held-out judgements, which come with checkpoints.
    pub evaluate_every: u64,
    /// Held-out judgements without an improvement after which it ends. `None`: it goes on to its
    /// last update, and the last weights are kept.
    pub patience: Option<u64>,
}

/// How far a training is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Updates that are made.
    pub update: u64,
    /// Lowest held-out score and the update it was seen at.
    pub best: Option<(f64, u64)>,
    /// Held-out judgements since then.
    pub stale: u64,
}

impl Progress {
    /// Whether the last update is made, or held-out scores have stopped falling.
    pub fn is_finished(&self, length: &Length) -> bool {
        let is_stale = length.patience.is_some_and(|most| self.stale >= most);
        self.update >= length.updates || is_stale
    }
}

/// The state of a training as it is saved.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saved<S> {
    /// How far it is.
    #[serde(flatten)]
    pub progress: Progress,
    /// The learner's own part.
    #[serde(flatten)]
    pub own: S,
}

/// Where a training is saved.
#[derive(Clone, Debug)]
pub struct Place {
    /// Folder of `state.safetensors` and `metrics.jsonl`.
    pub directory: PathBuf,
    /// What the state is.
    pub kind: CheckpointKind,
}

impl Place {
    /// The file of the state.
    pub fn state(&self) -> PathBuf {
        self.directory.join("state.safetensors")
    }

    /// The file of the metrics.
    pub fn metrics(&self) -> PathBuf {
        self.directory.join("metrics.jsonl")
    }

    /// The last checkpoint, if there is one.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub fn saved<S: DeserializeOwned>(&self) -> Result<Option<Checkpoint<Saved<S>>>> {
        let path = self.state();
        match path.exists() {
            true => Checkpoint::load(&path, self.kind).map(Some),
            false => Ok(None),
        }
    }

    /// The error of a state that does not fit.
    pub fn damaged(&self, what: impl std::fmt::Display) -> RunError {
        RunError::damaged(&self.state(), what, self.kind.recovery())
    }
}

/// Trains `learner` on from `progress` to its end. `name` stands in progress and messages.
///
/// # Errors
/// Those of the learner; if a file cannot be written; [`RunError::Interrupted`] after Ctrl-C, when all
/// is saved.
pub fn train<L: Learner>(
    name: &str,
    learner: &mut L,
    progress: Progress,
    length: &Length,
    place: &Place,
    (report, stop): (&dyn Reporter, &Interrupt),
) -> Result<()> {
    let metrics = Metrics::resume(&place.metrics(), "update", progress.update)?;
    report.begin(name, "updates", progress.update, length.updates);
    let mut training = Training {
        learner,
        progress,
        length,
        place,
        metrics,
        report,
    };
    let outcome = training.run(stop);
    report.end();
    outcome
}

struct Training<'a, L> {
    learner: &'a mut L,
    progress: Progress,
    length: &'a Length,
    place: &'a Place,
    metrics: Metrics,
    report: &'a dyn Reporter,
}

impl<L: Learner> Training<'_, L> {
    fn run(&mut self, stop: &Interrupt) -> Result<()> {
        while !self.progress.is_finished(self.length) {
            if stop.is_set() {
                self.save()?;
                return Err(RunError::Interrupted);
            }
            let note = self.learner.step(self.progress.update)?;
            self.progress.update += 1;
            let update = self.progress.update;
            self.report.advance(update, &note);
            let is_due = update.is_multiple_of(self.length.evaluate_every);
            if is_due || update == self.length.updates {
                self.evaluate()?;
            }
        }
        Ok(())
    }

    fn save(&self) -> Result<()> {
        let (tensors, own) = self.learner.save();
        let state = Saved {
            progress: self.progress,
            own,
        };
        Checkpoint { tensors, state }.save(&self.place.state(), self.place.kind)
    }

    /// Held-out score, the weights if it is the best, a line of metrics, the checkpoint.
    fn evaluate(&mut self) -> Result<()> {
        let update = self.progress.update;
        let Evaluation {
            score,
            mut figures,
            best,
            said,
        } = self.learner.evaluate(update)?;
        let is_best = self.progress.best.is_none_or(|(best, _)| score < best);
        if is_best || self.length.patience.is_none() {
            self.progress.best = Some((score, update));
            self.progress.stale = 0;
            self.learner.keep()?;
        } else {
            self.progress.stale += 1;
        }
        figures.insert("update".into(), json!(update));
        let kept = self.progress.best.map(|(_, update)| update);
        figures.insert("kept".into(), json!(kept));
        if let Some(key) = best {
            let best = self.progress.best.map(|(score, _)| score);
            figures.insert(key.into(), json!(best));
        }
        // The line first: lines after the last checkpoint are dropped on resume, a missing one
        // would stay missing.
        self.metrics.append(&Value::Object(figures))?;
        self.save()?;
        self.report.say(&said);
        Ok(())
    }
}

/// Cosine from `start` at update 0 to `end` times it at `updates`.
pub fn learning_rate(start: f64, end: f64, update: u64, updates: u64) -> f64 {
    let part = update as f64 / updates as f64;
    start * (0.5 * (1.0 + end) + 0.5 * (1.0 - end) * libm::cos(std::f64::consts::PI * part))
}

/// The figures of a JSON object.
///
/// # Panics
/// If `value` is no object: a programming error.
pub fn figures(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(figures) => figures,
        _ => unreachable!("figures are an object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_falls_to_a_part_of_itself() {
        assert!((learning_rate(2.0, 0.1, 0, 100) - 2.0).abs() < 1e-12);
        assert!((learning_rate(2.0, 0.1, 50, 100) - 1.1).abs() < 1e-12);
        assert!((learning_rate(2.0, 0.1, 100, 100) - 0.2).abs() < 1e-12);
    }
}
