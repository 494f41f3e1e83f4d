//! E4, trained in the dream, in its first plain form: controllers on [z, h] evolved by predicted
//! return alone, then driven.

use frmdn_engine::random::stream;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Score,
    bank_dreams::{BEGINNINGS, Dreamer, ENDS, Real},
    data::Data,
    entry::Entry,
    evolve::{SIGMA, Search},
    jobs,
    task::Task,
};
use crate::{
    controller::Controller,
    dream::{DreamConfig, Start, dream},
    rollout::{DriveOptions, Job},
    run::{Result, RunError, seeds},
    stages::{self, Context},
};

/// Real states of training episodes that dreams start from.
const POOL: usize = 256;

/// A controller evolved in dreams only, with its test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dreamt {
    /// Mean predicted return of the generation's candidates.
    pub curve: Vec<f64>,
    /// Predicted return of the distribution's last mean, from states of held-out episodes.
    pub dream_score: f64,
    /// Predicted and real return of that mean, from some of these states.
    pub beside: [f64; 2],
    /// Real scores on the test tracks.
    pub scores: Vec<f64>,
}

/// Name and settings of the evolution number `controller` in the dreams of `entry` at `temperature`.
pub fn key(
    plan: &Score,
    data: &Data,
    entry: &Entry,
    controller: u64,
    temperature: f32,
) -> (String, Value) {
    let scale = &plan.scale;
    let more = json!({ "e4": { "controller": controller, "sigma": SIGMA, "temperature": temperature,
        "steps": scale.steps, "population": scale.dream_population,
        "generations": scale.dream_generations, "starts": scale.dream_starts,
        "held_out": [scale.starts, scale.replayed], "beginnings": BEGINNINGS,
        "tracks": scale.tracks, "ends": ENDS } });
    let name = format!("e4-{}-{controller}-t{temperature}", entry.name(data));
    (name, entry.settings(data, more))
}

/// One task for each evolution in a memory that dreams, first controllers of all memories first.
pub fn tasks<'a>(plan: &'a Score, data: &'a Data, entries: &'a [Entry]) -> Vec<Task<'a>> {
    let mut tasks = Vec::new();
    for controller in 1..=plan.controllers {
        for entry in entries.iter().filter(|entry| entry.config().is_trained()) {
            for &temperature in &plan.temperatures {
                let (name, settings) = key(plan, data, entry, controller, temperature);
                let one = One {
                    plan,
                    data,
                    entry,
                    controller,
                    temperature,
                };
                tasks.push(Task {
                    name,
                    settings,
                    make: Box::new(move |context| Ok(json!(one.evolve_and_test(context)?))),
                });
            }
        }
    }
    tasks
}

/// One evolution.
#[derive(Clone, Copy)]
struct One<'a> {
    plan: &'a Score,
    data: &'a Data,
    entry: &'a Entry,
    controller: u64,
    temperature: f32,
}

impl One<'_> {
    fn evolve_and_test(self, context: &Context<'_>) -> Result<Dreamt> {
        let Self {
            plan, data, entry, ..
        } = self;
        let scale = &plan.scale;
        // The same random numbers for every memory and temperature.
        let seed = entry.root_seed("score/dream_training", &[self.controller]);
        let model = data.model(entry.memory(plan, data)?);
        let mut search = Search::new(data, model, scale.dream_population, seed)?;
        let curve = evolve(plan, data, &mut search, seed, self.temperature, context)?;
        let mean = [search.mean()];
        let held_out: Vec<usize> = stages::held_out_indices(data.preset.collect.episodes).collect();
        let dreamer = Dreamer {
            plan,
            data,
            model: &search.model,
        };
        let real = dreamer.states(&held_out, scale.starts)?;
        let driven = dreamer.really(&mean, &real, context)?;
        let returns = dreamer.returns(&mean, &real, &driven, self.temperature)?;
        let tracks: Vec<Job<'_>> = jobs(&mean[0], seeds::TEST.start, scale.tracks).collect();
        let options = DriveOptions::default();
        let outcomes = plan.drive(&search.model, &data.world, &tracks, options, context)?;
        Ok(Dreamt {
            curve,
            dream_score: returns.predicted[0],
            beside: returns.beside[0],
            scores: outcomes.iter().map(|o| o.score).collect(),
        })
    }
}

/// All generations in dreams of one temperature from states of training episodes. Returns the mean
/// predicted return of each generation's candidates.
fn evolve(
    plan: &Score,
    data: &Data,
    search: &mut Search<'_>,
    seed: u64,
    temperature: f32,
    context: &Context<'_>,
) -> Result<Vec<f64>> {
    let scale = &plan.scale;
    let training: Vec<usize> = stages::training_indices(data.preset.collect.episodes).collect();
    let dreamer = Dreamer {
        plan,
        data,
        model: &search.model,
    };
    let pool: Vec<Real> = dreamer.states(&training, POOL)?;
    let mut curve = Vec::new();
    for generation in 0..scale.dream_generations as u64 {
        context.check()?;
        let mut rng = stream(seed, "score/dream", &[generation]);
        let starts: Vec<Start> = (0..scale.dream_starts as u64)
            .map(|chances| Start {
                chances,
                ..pool[rng.random_range(0..pool.len())].start.clone()
            })
            .collect();
        let config = DreamConfig {
            steps: scale.steps,
            temperature,
            seed: rng.random(),
            ends: data.ends,
            dropout: 0.0,
        };
        let candidates = search.candidates();
        let all: Vec<&Controller> = candidates.iter().collect();
        let memory = search.model.memory.as_ref();
        let dreams = dream(memory, &data.actions, &all, &starts, config)
            .map_err(|e| RunError::Failed(e.to_string()))?;
        let fitness: Vec<f64> = dreams
            .chunks(starts.len())
            .map(|dreams| dreams.iter().map(|d| d.reward).sum::<f64>() / dreams.len() as f64)
            .collect();
        curve.push(fitness.iter().sum::<f64>() / fitness.len() as f64);
        search.tell(&fitness)?;
    }
    Ok(curve)
}
