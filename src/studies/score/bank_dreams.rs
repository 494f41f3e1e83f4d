//! E1, the bank: every memory scores the bank's controllers in its dreams, from real states and
//! with common chances.

use std::sync::Arc;

use frmdn_engine::random::stream;
use frmdn_env::{Env, ObservationMut};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Arm, Data, Piece, Score,
    bank::{self, Bank},
};
use crate::{
    controller::LinearController,
    dream::{DreamConfig, Start, dream_actions},
    memory::{Memory, Scratch, Stacked},
    run::{LatentEpisode, Result, RunError, RunFolder},
    stages::{self, Context},
};

/// Temperatures; equal ones are not equal noise in different memories.
pub const TEMPERATURES: [f32; 4] = [0.1, 0.5, 1.0, 1.3];
/// The one that was declared beforehand.
pub const PRIMARY: f32 = 1.0;
/// Real steps before a dream: the first fifty show the track from far above.
const WARM_UP: [usize; 2] = [60, 160];

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
    /// Mean predicted and real return of the same actions of each controller, over the starts that
    /// were driven.
    pub same_actions: Vec<[f64; 2]>,
    /// Part of the dreams that the memory ended.
    pub ended: f64,
}

/// A real state, and how the environment is brought to it.
pub struct Real {
    pub start: Start,
    seed: u64,
    actions: Vec<f32>,
    rewards: Vec<f32>,
}

/// `count` real states of the episodes `indices` in turn, as `memory` remembers them.
pub fn states(
    data: &Data,
    memory: &dyn Memory,
    indices: &[usize],
    count: usize,
) -> Result<Vec<Real>> {
    let latents = data.folder.latents();
    let mut scratch = Scratch::default();
    (0..count)
        .map(|i| {
            let episode = LatentEpisode::load(&latents.path(indices[i % indices.len()]))?;
            let most = WARM_UP[1].min(episode.steps().saturating_sub(1));
            let step = stream(0, "score/starts", &[i as u64])
                .random_range(WARM_UP[0].min(most / 2)..=most);
            let (d, a) = (episode.latent, episode.action_len);
            let mut state = vec![0.0; memory.state_len()];
            for (z, a) in episode
                .mean
                .chunks_exact(d)
                .zip(episode.actions.chunks_exact(a))
                .take(step)
            {
                memory.step(1, z, a, &mut state, &mut scratch);
            }
            let start = Start {
                latent: episode.mean[step * d..(step + 1) * d].to_vec(),
                state,
            };
            Ok(Real {
                start,
                seed: episode.seed,
                actions: episode.actions[..step * a].to_vec(),
                rewards: episode.rewards[..step].to_vec(),
            })
        })
        .collect()
}

/// Dreams of each of `controllers` from all `real` states: mean predicted return; predicted and
/// real return of the same actions from the first `replayed` states; part that the memory ended.
pub fn dream_returns(
    plan: &Score,
    data: &Data,
    memory: &dyn Memory,
    controllers: &[LinearController],
    real: &[Real],
    temperature: f32,
    context: &Context<'_>,
) -> Result<Ranked> {
    let starts: Vec<Start> = real.iter().map(|r| r.start.clone()).collect();
    let config = DreamConfig {
        steps: plan.scale.steps,
        temperature,
        seed: 0,
        ends: data.ends,
    };
    let all: Vec<&LinearController> = controllers.iter().collect();
    let dreams = dream_actions(memory, &data.actions, &all, &starts, config)
        .map_err(|e| RunError::Failed(e.to_string()))?;
    let replayed = plan.scale.replayed.min(real.len());
    let mut replay = Replay::new(data)?;
    let (mut predicted, mut same_actions) = (Vec::new(), Vec::new());
    for of in dreams.chunks(real.len()) {
        predicted.push(of.iter().map(|(d, _)| d.reward).sum::<f64>() / real.len() as f64);
        let mut sums = [0.0; 2];
        for ((dream_training, actions), real) in of.iter().zip(real).take(replayed) {
            context.check()?;
            sums[0] += dream_training.reward / replayed as f64;
            sums[1] += replay.of(real, actions)? / replayed as f64;
        }
        same_actions.push(sums);
    }
    let ended = dreams.iter().filter(|(d, _)| d.ended).count() as f64 / dreams.len() as f64;
    Ok(Ranked {
        temperature,
        predicted,
        same_actions,
        ended,
    })
}

/// Drives given actions from real states.
struct Replay<'a> {
    data: &'a Data,
    env: Box<dyn Env>,
    frame: Vec<u8>,
}

impl<'a> Replay<'a> {
    fn new(data: &'a Data) -> Result<Self> {
        let env = data.recorded.make().map_err(RunError::Failed)?;
        let frame = vec![0; env.observation_space().len()];
        Ok(Self { data, env, frame })
    }

    /// The real return of `actions` after `real`.
    fn of(&mut self, real: &Real, actions: &[f32]) -> Result<f64> {
        let failed = |e: frmdn_env::EnvError| RunError::Failed(e.to_string());
        let form = &self.data.actions;
        let mut index = [0.0];
        self.env
            .reset(real.seed, ObservationMut::Frame(&mut self.frame))
            .map_err(failed)?;
        for (action, reward) in real.actions.chunks_exact(form.width()).zip(&real.rewards) {
            let step = self
                .env
                .step(
                    form.for_env(action, &mut index),
                    ObservationMut::Frame(&mut self.frame),
                )
                .map_err(failed)?;
            if step.reward as f32 != *reward {
                return Err(RunError::Failed(format!(
                    "the episode on track {} of {} brings other rewards than were recorded: make \
                     the data anew, in another folder, with this version",
                    real.seed,
                    self.data.folder.root().display()
                )));
            }
        }
        let mut sum = 0.0;
        for action in actions.chunks_exact(form.width()) {
            let step = self
                .env
                .step(
                    form.for_env(action, &mut index),
                    ObservationMut::Frame(&mut self.frame),
                )
                .map_err(failed)?;
            sum += step.reward;
            if step.done() {
                break;
            }
        }
        Ok(sum)
    }
}

/// How dreams end, as part of what decides a piece: as [`ends`] says.
pub const ENDS: &str = "as recorded";

/// Whether any episode that memories learn from ended by itself. Where none did, nothing has taught
/// a memory what ends one, and its dreams go on to their last step.
pub fn ends(folder: &RunFolder) -> Result<bool> {
    for i in stages::training_indices(folder.preset().collect.episodes) {
        if LatentEpisode::load(&folder.latents().path(i))?.terminated {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The name of the piece of `arm`, and what decides it.
pub fn key(plan: &Score, data: &Data, arm: &Arm) -> (String, Value) {
    let scale = &plan.scale;
    let e1 = json!({ "temperatures": TEMPERATURES, "starts": scale.starts,
        "replayed": scale.replayed, "steps": scale.steps, "ends": ENDS });
    let more = json!({ "e1": e1, "bank": bank::settings(plan, data) });
    (format!("e1-{}", arm.name(data)), arm.settings(data, more))
}

/// One piece for each memory that dreams.
pub fn pieces<'a>(
    plan: &'a Score,
    data: &'a Data,
    arms: &'a [Arm],
    bank: &Arc<Bank>,
) -> Vec<Piece<'a>> {
    let piece = |arm: &'a Arm| {
        let (name, settings) = key(plan, data, arm);
        let bank = Arc::clone(bank);
        Piece {
            name,
            settings,
            make: Box::new(move |context| {
                let memory = Stacked::new(arm.memory(plan, data)?, data.latent());
                let held: Vec<usize> =
                    stages::held_out_indices(data.preset.collect.episodes).collect();
                let real = states(data, &memory, &held, plan.scale.starts)?;
                let ranked = TEMPERATURES.iter().map(|&t| {
                    dream_returns(plan, data, &memory, &bank.controllers, &real, t, context)
                });
                Ok(json!(Dreams {
                    temperatures: ranked.collect::<Result<_>>()?
                }))
            }),
        }
    };
    arms.iter()
        .filter(|arm| arm.config().is_trained())
        .map(piece)
        .collect()
}
