//! Training of one memory on the latents of a run.

use std::path::{Path, PathBuf};

use frmdn_engine::random::{Pcg64, stream};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    super::{Context, learning_rate, windows::Windows},
    latents::Latents,
};
use crate::{
    memory::{MemoryState, MemoryTrainer, SequenceBatch},
    run::{
        Checkpoint, CheckpointKind, DreamsConfig, LatentEpisode, MemoryTraining, Metrics, Result,
        RunError,
    },
};

/// The state of a training besides weights and moments.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
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

impl State {
    /// The state of a trainer that has made no update.
    fn fresh(trainer: &MemoryTrainer) -> Self {
        Self {
            trainer: trainer.state(),
            update: 0,
            best: None,
            stale: 0,
            sum: 0.0,
            count: 0,
        }
    }

    /// Whether the last update is made, or the held-out likelihood has stopped rising.
    pub(super) fn is_finished(&self, config: &MemoryTraining) -> bool {
        self.update >= config.updates || self.stale >= config.patience
    }
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

/// The last checkpoint of the training in `directory`, if there is one.
pub(super) fn saved(directory: &Path) -> Result<Option<Checkpoint<State>>> {
    let path = directory.join("state.safetensors");
    if !path.exists() {
        return Ok(None);
    }
    let kind = CheckpointKind::MemoryState;
    Checkpoint::load(&path, kind).map(Some)
}

/// Trains to the last update, or until the held-out likelihood has stopped rising; resumes by
/// itself. The weights of the best held-out likelihood are in `weights.safetensors`.
pub fn train(job: Job<'_>, context: &Context<'_>) -> Result<()> {
    let config = job.config;
    let (trainer, mut state) = job.trainer()?;
    let mut trainer = trainer.on(context.device.burn());
    let mut windows = [
        job.windows("memory/window", &job.training),
        job.windows("memory/own", &job.own),
    ];
    let path = job.directory.join("metrics.jsonl");
    let mut metrics = Metrics::resume(&path, "update", state.update)?;
    let name = format!("memory {}", config.model.variant);
    context
        .report
        .begin(&name, "updates", state.update, config.updates);
    let outcome = loop {
        if state.is_finished(config) {
            break Ok(());
        }
        if job.round().is_some() {
            state.stale = 0;
        }
        if context.stop.is_set() {
            break job
                .save(&trainer, &mut state)
                .and_then(|()| context.check());
        }
        let step = job.step(
            &mut trainer,
            &mut state,
            &mut windows,
            &mut metrics,
            context,
        );
        if step.is_err() {
            break step;
        }
    };
    context.report.end();
    outcome
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
    fn trainer(&self) -> Result<(MemoryTrainer, State)> {
        let (model, latent, actions) = (&self.config.model, self.latent, self.actions);
        let Some(Checkpoint { tensors, state }) = saved(&self.directory)? else {
            let trainer = MemoryTrainer::new(model, latent, actions, self.seed);
            let state = State::fresh(&trainer);
            return Ok((trainer, state));
        };
        let trainer =
            MemoryTrainer::restore(model, latent, actions, self.seed, &tensors, &state.trainer);
        let damaged = |what: String| {
            let path = self.directory.join("state.safetensors");
            RunError::damaged(&path, what, CheckpointKind::MemoryState.recovery())
        };
        let trainer = trainer.map_err(|e| damaged(e.to_string()))?;
        // None before the first update.
        let (last, expected) = (trainer.last().len(), 2 * self.config.batch * model.hidden);
        if last != 0 && last != expected {
            return Err(damaged(format!(
                "tensor `last` has {last} values, {expected} are needed"
            )));
        }
        Ok((trainer, state))
    }

    /// One update, and the held-out evaluation where one is due.
    fn step(
        &self,
        trainer: &mut MemoryTrainer,
        state: &mut State,
        windows: &mut [Windows<LatentEpisode>; 2],
        metrics: &mut Metrics,
        context: &Context<'_>,
    ) -> Result<()> {
        let (config, update) = (self.config, state.update);
        let batch = self.batch(windows, update, trainer.last())?;
        let rate = self.rate(update);
        let step = trainer
            .step(&batch, rate, update)
            .map_err(|e| self.non_finite(e.tensor, e.update))?;
        state.update += 1;
        state.count += 1;
        state.sum += step.nll;
        context
            .report
            .advance(state.update, &format!("NLL {:.2} nats a step", step.nll));
        let is_due = self.round().is_none() && state.update.is_multiple_of(config.evaluate_every);
        if is_due || state.update == config.updates {
            self.evaluate(trainer, state, rate, metrics, context)?;
        }
        Ok(())
    }

    /// The batch of an update: segments of random episodes, or the next segments of episodes that
    /// follow each other in every column, from the states in which the previous ones ended.
    fn batch(
        &self,
        [windows, own]: &mut [Windows<LatentEpisode>; 2],
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
        // The first columns are of the rounds' own episodes.
        let share = self.round().map_or(0.0, |round| round.own);
        let of_own = (share * batch as f64).round() as usize;
        if !carry {
            return Ok(self
                .latents
                .sequences(windows.at(update)?, batch, sequence, &mut rng));
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
        for column in 0..batch {
            let episodes = if column < of_own { own } else { episodes };
            let (episode, from) = self.segments(episodes, segments, chosen)[segment];
            let episode = &episodes[episode];
            let steps = sequence.min(episode.steps() - from);
            self.latents
                .fill(&mut out, column, episode, from, steps, &mut rng);
            if from == 0 && segment > 0 {
                let state = out.start.len() / batch;
                out.start[column * state..(column + 1) * state].fill(0.0);
            }
        }
        Ok(out)
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

    fn save(&self, trainer: &MemoryTrainer, state: &mut State) -> Result<()> {
        state.trainer = trainer.state();
        let checkpoint = Checkpoint {
            tensors: trainer.tensors(),
            state: &*state,
        };
        let path = self.directory.join("state.safetensors");
        checkpoint.save(&path, CheckpointKind::MemoryState)
    }

    /// Held-out likelihood, the weights if it is the best, a line of metrics, the checkpoint.
    fn evaluate(
        &self,
        trainer: &MemoryTrainer,
        state: &mut State,
        rate: f64,
        metrics: &mut Metrics,
        context: &Context<'_>,
    ) -> Result<()> {
        let (batches, floor) = &self.held_out;
        let evaluation = trainer.evaluate(batches);
        if !evaluation.nll.is_finite() {
            return Err(self.non_finite("the held-out NLL".into(), state.update));
        }
        let is_best = state.best.is_none_or(|(best, _)| evaluation.nll < best);
        if is_best || self.round().is_some() {
            state.best = Some((evaluation.nll, state.update));
            state.stale = 0;
            let checkpoint = Checkpoint {
                tensors: trainer.weights().clone(),
                state: self.config.model,
            };
            let path = self.directory.join("weights.safetensors");
            checkpoint.save(&path, CheckpointKind::Memory)?;
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
        // The line first: lines after the last checkpoint are dropped on resume, a missing one
        // would stay missing.
        metrics.append(&line)?;
        self.save(trainer, state)?;
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
}
