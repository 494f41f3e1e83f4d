//! E4, trained in the dream, in its first plain form: controllers on [z, h] evolved by predicted
//! return alone, then driven.

use frmdn_engine::random::stream;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Arm, Data, Piece, Score,
    bank_dreams::{ENDS, PRIMARY, dream_returns, states},
    evolve::{SIGMA, Search},
    jobs,
};
use crate::{
    controller::LinearController,
    dream::{DreamConfig, Start, dream},
    rollout::{DriveOptions, Job},
    run::{Result, RunError, seeds},
    stages::{self, Context},
};

/// Real states of training episodes that dreams start from.
const POOL: usize = 256;

/// A controller that has never driven before it is tested.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dreamt {
    /// Mean predicted return of the generation's candidates.
    pub curve: Vec<f64>,
    /// Predicted return of the distribution's last mean, from states of held-out episodes.
    pub dream_score: f64,
    /// Predicted and real return of the same actions, from some of these states.
    pub same_actions: [f64; 2],
    /// Real scores on the test tracks.
    pub scores: Vec<f64>,
}

/// The name of the evolution number `controller` of `arm`, and what decides it.
pub fn key(plan: &Score, data: &Data, arm: &Arm, controller: u64) -> (String, Value) {
    let scale = &plan.scale;
    let more = json!({ "e4": { "controller": controller, "sigma": SIGMA, "temperature": PRIMARY,
        "steps": scale.steps, "population": scale.dream_population,
        "generations": scale.dream_generations, "starts": scale.dream_starts,
        "held_out": [scale.starts, scale.replayed], "tracks": scale.tracks, "ends": ENDS } });
    (
        format!("e4-{}-{controller}", arm.name(data)),
        arm.settings(data, more),
    )
}

/// One piece for each evolution in a memory that dreams.
pub fn pieces<'a>(plan: &'a Score, data: &'a Data, arms: &'a [Arm]) -> Vec<Piece<'a>> {
    let dreaming = move |controller| {
        arms.iter()
            .filter(|arm| arm.config().is_trained())
            .map(move |arm| (controller, arm))
    };
    let piece = |(controller, arm): (u64, &'a Arm)| {
        let (name, settings) = key(plan, data, arm, controller);
        Piece {
            name,
            settings,
            make: Box::new(move |context| Ok(json!(evolve(plan, data, arm, controller, context)?))),
        }
    };
    (1..=plan.controllers)
        .flat_map(dreaming)
        .map(piece)
        .collect()
}

fn evolve(
    plan: &Score,
    data: &Data,
    arm: &Arm,
    controller: u64,
    context: &Context<'_>,
) -> Result<Dreamt> {
    let scale = &plan.scale;
    let failed = |e: crate::memory::NoPrediction| RunError::Failed(e.to_string());
    // The same chances for every memory.
    let seed = arm.root("score/dream_training", &[controller]);
    let mut search = Search::new(
        data,
        data.model(arm.memory(plan, data)?),
        scale.dream_population,
        seed,
    )?;
    let episodes = data.preset.collect.episodes;
    let [training, held]: [Vec<usize>; 2] = [
        stages::training_indices(episodes).collect(),
        stages::held_out_indices(episodes).collect(),
    ];
    let pool = states(data, search.model.memory.as_ref(), &training, POOL)?;
    let mut curve = Vec::new();
    for generation in 0..scale.dream_generations as u64 {
        context.check()?;
        let mut rng = stream(seed, "score/dream", &[generation]);
        let starts: Vec<Start> = (0..scale.dream_starts)
            .map(|_| pool[rng.random_range(0..pool.len())].start.clone())
            .collect();
        let config = DreamConfig {
            steps: scale.steps,
            temperature: PRIMARY,
            seed: rng.random(),
            ends: data.ends,
        };
        let candidates = search.candidates();
        let all: Vec<&LinearController> = candidates.iter().collect();
        let dreams = dream(
            search.model.memory.as_ref(),
            &data.actions,
            &all,
            &starts,
            config,
        )
        .map_err(failed)?;
        let fitness: Vec<f64> = dreams
            .chunks(starts.len())
            .map(|of| of.iter().map(|d| d.reward).sum::<f64>() / of.len() as f64)
            .collect();
        curve.push(fitness.iter().sum::<f64>() / fitness.len() as f64);
        search.tell(&fitness)?;
    }
    let mean = [search.mean()];
    let real = states(data, search.model.memory.as_ref(), &held, scale.starts)?;
    let ranked = dream_returns(
        plan,
        data,
        search.model.memory.as_ref(),
        &mean,
        &real,
        PRIMARY,
        context,
    )?;
    let tracks: Vec<Job<'_>> = jobs(&mean[0], seeds::TEST.start, scale.tracks).collect();
    let outcomes = plan.drive(
        &search.model,
        &data.world,
        &tracks,
        DriveOptions::default(),
        context,
    )?;
    Ok(Dreamt {
        curve,
        dream_score: ranked.predicted[0],
        same_actions: ranked.same_actions[0],
        scores: outcomes.iter().map(|o| o.score).collect(),
    })
}
