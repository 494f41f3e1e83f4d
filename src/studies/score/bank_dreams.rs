//! E1, the bank: every memory scores the bank's controllers in its dreams, from real states and
//! with common random numbers.

use std::{ops::ControlFlow, sync::Arc};

use frmdn_engine::random::stream;
use frmdn_env::Step;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Score,
    bank::{self, Bank},
    data::Data,
    entry::Entry,
    task::Task,
};
use crate::{
    controller::Controller,
    dream::{DreamConfig, Start, dream},
    memory::{Scratch, Stacked},
    rollout::{ActingModel, Driver, Job, Moment, Seen, Watcher, Who},
    run::{Interrupt, LatentEpisode, Result, RunError, RunFolder},
    stages::{self, Context},
};

/// Temperatures. The same one is not the same amount of noise in different memories.
pub const TEMPERATURES: [f32; 4] = [0.1, 0.5, 1.0, 1.3];
/// The temperature of the primary contrast, declared beforehand.
pub const PRIMARY: f32 = 1.0;
/// Real steps before a dream: the first fifty show the track from far above.
const WARM_UP: [usize; 2] = [60, 160];
/// One state in so many is the beginning of its episode all the same.
pub const BEGINNINGS: usize = 4;

/// The bank in the dreams of one memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dreams {
    /// One for each of the temperatures.
    pub temperatures: Vec<Ranked>,
}

/// The bank at one temperature.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ranked {
    /// Temperature of the latents.
    pub temperature: f32,
    /// Mean predicted return of each controller, over all starts.
    pub predicted: Vec<f64>,
    /// Mean predicted and real return of each controller from the same states, over those that were
    /// driven from.
    pub beside: Vec<[f64; 2]>,
    /// Part of the dreams that the memory ended.
    pub ended: f64,
}

/// A real state, and the actions that lead to it.
pub struct Real {
    pub start: Start,
    seed: u64,
    actions: Vec<f32>,
    rewards: Vec<f32>,
}

/// Dreams of one memory on some data.
pub struct Dreamer<'a> {
    pub plan: &'a Score,
    pub data: &'a Data,
    pub model: &'a ActingModel,
}

impl Dreamer<'_> {
    /// `count` real states of the episodes `indices` in turn, with the memory's state there: every
    /// fourth one is the beginning.
    ///
    /// # Errors
    /// If an episode cannot be read.
    pub fn states(&self, indices: &[usize], count: usize) -> Result<Vec<Real>> {
        let mut scratch = Scratch::default();
        let mut states = Vec::new();
        for i in 0..count {
            let index = indices[i % indices.len()];
            let actions = self.data.actions.width();
            let episode = self.data.folder.latents().load_latents(index, actions)?;
            let most = WARM_UP[1].min(episode.steps().saturating_sub(1));
            let step = match i % BEGINNINGS {
                0 => 0,
                _ => stream(0, "score/starts", &[i as u64])
                    .random_range(WARM_UP[0].min(most / 2)..=most),
            };
            states.push(self.state(&episode, step, &mut scratch));
        }
        Ok(states)
    }

    /// The real state of `episode` after `steps` steps.
    fn state(&self, episode: &LatentEpisode, steps: usize, scratch: &mut Scratch) -> Real {
        let a = episode.action_len;
        Real {
            start: Start::in_episode(self.model.memory.as_ref(), episode, steps, 0, scratch),
            seed: episode.seed,
            actions: episode.actions[..steps * a].to_vec(),
            rewards: episode.rewards[..steps].to_vec(),
        }
    }

    /// What each of `controllers` really comes to in as many steps as a dream has, from each of the
    /// first `plan.scale.replayed` states.
    ///
    /// # Errors
    /// If the environment fails or does not repeat what was recorded, or the user interrupts.
    pub fn really(
        &self,
        controllers: &[Controller],
        real: &[Real],
        context: &Context<'_>,
    ) -> Result<Vec<Vec<f64>>> {
        let states = &real[..self.plan.scale.replayed.min(real.len())];
        let mut all = Vec::new();
        for controller in controllers {
            let mut of_one = Vec::new();
            for state in states {
                of_one.push(self.real_return(state, controller, context.stop)?);
                context.check()?;
            }
            all.push(of_one);
        }
        Ok(all)
    }

    /// The real return of `controller` after `real`.
    fn real_return(&self, real: &Real, controller: &Controller, stop: &Interrupt) -> Result<f64> {
        let mut replay = Replay {
            data: self.data,
            real,
            most: real.rewards.len() + self.plan.scale.steps as usize,
            steps: 0,
            sum: 0.0,
        };
        let job = Job::of(Who::After(&real.actions, controller), real.seed);
        Driver::new(&self.data.recorded, stop)
            .with_model(self.model)
            .watch(job, &mut replay)?;
        Ok(replay.sum)
    }

    /// Dreams of each of `controllers` from all `real` states: mean predicted return; the same from
    /// the states that they were driven from, beside what they came to there (`driven`, see
    /// [`Dreamer::really`]); part that the memory ended.
    ///
    /// # Errors
    /// If the memory predicts nothing.
    pub fn returns(
        &self,
        controllers: &[Controller],
        real: &[Real],
        driven: &[Vec<f64>],
        temperature: f32,
    ) -> Result<Ranked> {
        let starts: Vec<Start> = (0..)
            .zip(real)
            .map(|(chances, real)| Start {
                chances,
                ..real.start.clone()
            })
            .collect();
        let config = DreamConfig {
            steps: self.plan.scale.steps,
            temperature,
            seed: 0,
            ends: self.data.ends,
            dropout: 0.0,
        };
        let all: Vec<&Controller> = controllers.iter().collect();
        let memory = self.model.memory.as_ref();
        let dreams = dream(memory, &self.data.actions, &all, &starts, config)
            .map_err(|e| RunError::Failed(e.to_string()))?;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let (mut predicted, mut beside) = (Vec::new(), Vec::new());
        for (dreams, driven) in dreams.chunks(real.len()).zip(driven) {
            let rewards: Vec<f64> = dreams.iter().map(|dream| dream.reward).collect();
            predicted.push(mean(&rewards));
            beside.push([mean(&rewards[..driven.len()]), mean(driven)]);
        }
        let ended = dreams.iter().filter(|d| d.ended).count() as f64 / dreams.len() as f64;
        Ok(Ranked {
            temperature,
            predicted,
            beside,
            ended,
        })
    }
}

/// Looks on while a controller drives from a real state on, to which recorded actions lead.
struct Replay<'a> {
    data: &'a Data,
    real: &'a Real,
    /// Most steps, those that lead to the state too.
    most: usize,
    /// Steps so far.
    steps: usize,
    /// Sum of the rewards after the real state.
    sum: f64,
}

impl Watcher for Replay<'_> {
    fn before(&mut self, _: Moment<'_>) -> Result<ControlFlow<()>> {
        Ok(match self.steps == self.most {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    }

    fn after(&mut self, step: &Step, _: Seen<'_>) -> Result<()> {
        match self.real.rewards.get(self.steps) {
            None => self.sum += step.reward,
            Some(recorded) if step.reward as f32 == *recorded => {}
            Some(_) => {
                return Err(RunError::Failed(format!(
                    "the episode on track {} of {} brings other rewards than were recorded: make \
                     the data anew, in another folder, with this version",
                    self.real.seed,
                    self.data.folder.root().display()
                )));
            }
        }
        self.steps += 1;
        Ok(())
    }
}

/// How dreams end, as part of what decides a result: as [`ends`] says.
pub const ENDS: &str = "as recorded";

/// Whether any episode that memories learn from ended by itself; its actions have `actions` values.
/// Where none did, nothing has taught a memory what ends one, and its dreams go on to their last
/// step.
///
/// # Errors
/// If an episode cannot be read.
pub fn ends(folder: &RunFolder, actions: usize) -> Result<bool> {
    for i in stages::training_indices(folder.preset().collect.episodes) {
        if folder.latents().load_latents(i, actions)?.terminated {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Name and settings of the result of `entry`.
pub fn key(plan: &Score, data: &Data, entry: &Entry) -> (String, Value) {
    let scale = &plan.scale;
    let e1 = json!({ "temperatures": TEMPERATURES, "starts": scale.starts,
        "driven": scale.replayed, "beginnings": BEGINNINGS, "steps": scale.steps, "ends": ENDS });
    let more = json!({ "e1": e1, "bank": bank::settings(plan, data) });
    let name = format!("e1-{}", entry.name(data));
    (name, entry.settings(data, more))
}

/// One task for each memory that dreams.
pub fn tasks<'a>(
    plan: &'a Score,
    data: &'a Data,
    entries: &'a [Entry],
    bank: &Arc<Bank>,
) -> Vec<Task<'a>> {
    let mut tasks = Vec::new();
    for entry in entries.iter().filter(|entry| entry.config().is_trained()) {
        let (name, settings) = key(plan, data, entry);
        let bank = Arc::clone(bank);
        tasks.push(Task {
            name,
            settings,
            make: Box::new(move |context| Ok(json!(rank(plan, data, entry, &bank, context)?))),
        });
    }
    tasks
}

fn rank(
    plan: &Score,
    data: &Data,
    entry: &Entry,
    bank: &Bank,
    context: &Context<'_>,
) -> Result<Dreams> {
    let memory = Stacked::new(entry.memory(plan, data)?, data.latent());
    let dreamer = Dreamer {
        plan,
        data,
        model: &data.model(Box::new(memory)),
    };
    let held_out: Vec<usize> = stages::held_out_indices(data.preset.collect.episodes).collect();
    let real = dreamer.states(&held_out, plan.scale.starts)?;
    let driven = dreamer.really(&bank.controllers, &real, context)?;
    let mut temperatures = Vec::new();
    for temperature in TEMPERATURES {
        temperatures.push(dreamer.returns(&bank.controllers, &real, &driven, temperature)?);
    }
    Ok(Dreams { temperatures })
}
