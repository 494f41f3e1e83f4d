//! Training of one memory on the latents of a run.

use std::path::PathBuf;

use frmdn_engine::{
    Params,
    random::{Pcg64, stream},
};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::Context;
use crate::{
    data::{Dataset, Latents, Windows},
    memory::{MemoryState, MemoryTrainer, SequenceBatch},
    run::{
        Checkpoint, CheckpointKind, DreamsConfig, LatentEpisode, MemoryTraining, Result, RunError,
    },
    training::{self, Evaluation, Learner, Length, Place, Progress, figures, learning_rate},
};

/// What a training needs to go on besides tensors and counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    trainer: MemoryState,
    /// Sum of the training NLL since the last held-out loss.
    sum: f64,
    /// Number of these updates.
    count: u64,
}

/// One memory to be trained.
pub struct Job<'a> {
    pub config: &'a MemoryTraining,
    pub latent: usize,
    pub actions: usize,
    pub seed: u64,
    /// Folder of weights, state and metrics.
    pub directory: PathBuf,
    pub latents: Latents,
    /// Episodes to learn from.
    pub training: Vec<usize>,
    /// The episodes of C's rounds of dreams. Where there are any, the last updates are those of a
    /// round, and the weights that are kept are the last ones.
    pub own: Vec<usize>,
    /// The settings of these rounds.
    pub rounds: Option<&'a DreamsConfig>,
    /// Episodes of the held-out likelihood, which ends the training, and its floor.
    pub held_out: (Vec<SequenceBatch>, f64),
}

/// Whether the training in `directory` has come to its end; of a round of dreams, if `round` says so.
///
/// # Errors
/// If its state cannot be read, or is damaged.
pub(super) fn is_finished(
    directory: PathBuf,
    config: &MemoryTraining,
    round: Option<&DreamsConfig>,
) -> Result<bool> {
    let saved = place(directory).saved::<State>()?;
    Ok(saved.is_some_and(|saved| saved.state.progress.is_finished(&length(config, round))))
}

fn place(directory: PathBuf) -> Place {
    Place {
        directory,
        kind: CheckpointKind::MemoryState,
    }
}

/// In a round the last weights are kept, and it has no early end.
fn length(config: &MemoryTraining, round: Option<&DreamsConfig>) -> Length {
    let (evaluate_every, patience) = match round {
        Some(_) => (config.updates, None),
        None => (config.evaluate_every, Some(config.patience)),
    };
    Length {
        updates: config.updates,
        evaluate_every,
        patience,
    }
}

/// Trains to the last update, or until the held-out likelihood has stopped rising; resumes by
/// itself. The weights of the best held-out likelihood are in `weights.safetensors`.
pub fn train(job: Job<'_>, context: &Context<'_>) -> Result<()> {
    let (trainer, state, progress) = job.trainer()?;
    let windows = [
        job.windows("memory/window", &job.training),
        job.windows("memory/own", &job.own),
    ];
    let mut learner = MemoryLearner {
        job: &job,
        trainer: trainer.on(context.device.burn()),
        sum: state.sum,
        count: state.count,
        windows,
    };
    let name = format!("memory {}", job.config.model.variant);
    let length = length(job.config, job.round());
    let place = place(job.directory.clone());
    let terminal = (context.report, context.stop);
    training::train(&name, &mut learner, progress, &length, &place, terminal)
}

impl Job<'_> {
    /// The settings of the round that this training is of, if it is of one.
    fn round(&self) -> Option<&DreamsConfig> {
        self.rounds.filter(|_| !self.own.is_empty())
    }

    /// Adam's rate of an update. In a round it falls anew.
    fn rate(&self, update: u64) -> f64 {
        let config = self.config;
        let (first, last) = (config.learning_rate, config.final_rate);
        match self.round() {
            Some(round) => {
                let begun = config.updates - round.updates;
                let last = (last / round.rate).min(1.0);
                let update = update.saturating_sub(begun);
                learning_rate(round.rate * first, last, update, round.updates)
            }
            None => learning_rate(first, last, update, config.updates),
        }
    }

    fn windows(&self, name: &'static str, episodes: &[usize]) -> Windows<LatentEpisode> {
        let latents = self.latents.clone();
        Windows::new(
            name,
            self.seed,
            episodes.to_vec(),
            self.config.window_episodes,
            self.config.window_updates,
            move |i| latents.load(i),
        )
    }

    /// The trainer and its state as they were saved, or fresh ones.
    fn trainer(&self) -> Result<(MemoryTrainer, State, Progress)> {
        let (model, latent, actions) = (&self.config.model, self.latent, self.actions);
        let place = place(self.directory.clone());
        let Some(Checkpoint { tensors, state }) = place.saved::<State>()? else {
            let trainer = MemoryTrainer::new(model, latent, actions, self.seed);
            let state = State {
                trainer: trainer.state(),
                sum: 0.0,
                count: 0,
            };
            return Ok((trainer, state, Progress::default()));
        };
        let (own, seed) = (state.own, self.seed);
        let trainer = MemoryTrainer::restore(model, latent, actions, seed, &tensors, &own.trainer);
        let trainer = trainer.map_err(|e| place.damaged(e.to_string()))?;
        // None before the first update.
        let (last, expected) = (trainer.last().len(), 2 * self.config.batch * model.hidden);
        if last != 0 && last != expected {
            return Err(place.damaged(format!(
                "tensor `last` has {last} values, {expected} are needed"
            )));
        }
        Ok((trainer, own, state.progress))
    }

    /// The batch of an update: segments of random episodes, or the next segments of episodes that
    /// follow each other in every column, from the states in which the previous ones ended. And the
    /// names of these episodes.
    fn batch(
        &self,
        [windows, own]: &mut [Windows<LatentEpisode>; 2],
        update: u64,
        last: &[f32],
    ) -> Result<(SequenceBatch, Vec<String>)> {
        let MemoryTraining {
            batch,
            sequence,
            carry,
            ..
        } = *self.config;
        let mut rng = stream(self.seed, "memory/batch", &[update]);
        // The first columns are of the rounds' own episodes.
        let share = self.round().map_or(0.0, |round| round.own);
        let of_own = (share * batch as f64).round() as usize;
        if !carry {
            let episodes = windows.at(update)?;
            let (batch, chosen) = self.latents.sequences(episodes, batch, sequence, &mut rng);
            let names = chosen.iter().map(|&i| self.latents.name(&episodes[i]));
            return Ok((batch, names.collect()));
        }
        let segments = self.latents.longest.div_ceil(sequence) as u64;
        let (round, segment) = (update / segments, (update % segments) as usize);
        let episodes = windows.at(round * segments)?;
        let own = match of_own {
            0 => episodes,
            _ => own.at(round * segments)?,
        };
        let chosen = &mut stream(self.seed, "memory/round", &[round]);
        let (latent, actions) = (episodes[0].latent, episodes[0].action_len);
        let mut out = SequenceBatch::zeros(sequence, batch, latent, actions);
        if segment > 0 {
            out.start = last.to_vec();
        }
        let mut names = Vec::with_capacity(batch);
        for column in 0..batch {
            let episodes = if column < of_own { own } else { episodes };
            let (episode, from) = self.segments(episodes, segments, chosen)[segment];
            let episode = &episodes[episode];
            let steps = sequence.min(episode.steps() - from);
            names.push(self.latents.name(episode));
            self.latents
                .fill(&mut out, column, episode, from, steps, &mut rng);
            if from == 0 && segment > 0 {
                let state = out.start.len() / batch;
                out.start[column * state..(column + 1) * state].fill(0.0);
            }
        }
        Ok((out, names))
    }

    /// What a column learns in the `count` segments of a round: random episodes, one after the other,
    /// as pairs of an episode and its first step.
    fn segments(
        &self,
        episodes: &[LatentEpisode],
        count: u64,
        chosen: &mut Pcg64,
    ) -> Vec<(usize, usize)> {
        let mut segments = Vec::new();
        while segments.len() < count as usize {
            let episode = chosen.random_range(0..episodes.len());
            let firsts = (0..episodes[episode].steps()).step_by(self.config.sequence);
            segments.extend(firsts.map(|first| (episode, first)));
        }
        segments
    }

    fn non_finite(&self, what: String, update: u64) -> RunError {
        RunError::NonFinite {
            stage: "memory",
            what,
            update,
            path: self.directory.clone(),
        }
    }
}

/// M in training.
struct MemoryLearner<'a> {
    job: &'a Job<'a>,
    trainer: MemoryTrainer,
    /// See [`State`].
    sum: f64,
    count: u64,
    /// Of the recorded episodes, and of the rounds' own.
    windows: [Windows<LatentEpisode>; 2],
}

impl Learner for MemoryLearner<'_> {
    type State = State;

    fn step(&mut self, update: u64) -> Result<String> {
        let job = self.job;
        let (batch, names) = job.batch(&mut self.windows, update, self.trainer.last())?;
        let step = self.trainer.step(&batch, job.rate(update), update);
        let step = step.map_err(|e| {
            let what = self.trainer.blamed(&e, &batch, &names);
            job.non_finite(what, e.update)
        })?;
        self.count += 1;
        self.sum += step.nll;
        Ok(format!("NLL {:.2} nats a step", step.nll))
    }

    fn evaluate(&mut self, update: u64) -> Result<Evaluation> {
        let (batches, floor) = &self.job.held_out;
        let evaluation = self.trainer.evaluate(batches);
        if !evaluation.nll.is_finite() {
            let what = "the held-out NLL".into();
            return Err(self.job.non_finite(what, update));
        }
        let line = json!({
            "learning_rate": self.job.rate(update - 1),
            "train_nll": self.sum / self.count.max(1) as f64,
            "held_out_nll": evaluation.nll,
            "floor": floor,
            "reward_mse": evaluation.reward_mse,
            "reward_correlation": evaluation.reward_correlation,
            "done_bce": evaluation.done_bce,
        });
        (self.sum, self.count) = (0.0, 0);
        Ok(Evaluation {
            score: evaluation.nll,
            figures: figures(line),
            best: Some("best_nll"),
            said: format!(
                "memory {update}: held-out NLL {:.2} nats a step, {:.2} above the floor; reward \
                 correlation {:.2}",
                evaluation.nll,
                evaluation.nll - floor,
                evaluation.reward_correlation
            ),
        })
    }

    fn keep(&mut self) -> Result<()> {
        let checkpoint = Checkpoint {
            tensors: self.trainer.weights().clone(),
            state: self.job.config.model,
        };
        let path = self.job.directory.join("weights.safetensors");
        checkpoint.save(&path, CheckpointKind::Memory)
    }

    fn save(&self) -> (Params, State) {
        let state = State {
            trainer: self.trainer.state(),
            sum: self.sum,
            count: self.count,
        };
        (self.trainer.tensors(), state)
    }
}
