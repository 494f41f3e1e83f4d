//! E3, small populations: controllers on [z, h] of each memory, evolved with equal numbers of
//! early-stopped episodes.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    CURVE_TRACKS, Score,
    data::Data,
    entry::Entry,
    evolve::{SIGMA, Search, TRACKS},
    jobs,
    task::Task,
};
use crate::{
    rollout::{DriveOptions, Job},
    run::Result,
    stages::Context,
};

/// Candidates of a generation.
pub const POPULATIONS: [usize; 3] = [8, 16, 32];

/// A learning curve: the distribution's mean on fixed selection tracks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Curve {
    /// From the untrained controller to the last test.
    pub points: Vec<Point>,
}

/// A test.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Point {
    /// Episodes of the evolution so far.
    pub episodes: u64,
    /// Frames of these episodes.
    pub frames: u64,
    /// Seconds of these on one core without the tests; depends on the machine.
    pub seconds: f64,
    /// Mean score of the distribution's mean.
    pub score: f64,
}

/// Name and settings of the evolution number `controller` with the memory of `entry`.
pub fn key(
    plan: &Score,
    data: &Data,
    entry: &Entry,
    population: usize,
    controller: u64,
) -> (String, Value) {
    let name = format!(
        "e3-{}-population{population}-{controller}",
        entry.name(data)
    );
    let more = json!({ "e3": { "population": population, "controller": controller,
        "budget": plan.budget, "sigma": SIGMA, "tracks": TRACKS,
        "test_every": plan.scale.test_every, "test_tracks": plan.scale.test_tracks } });
    (name, entry.settings(data, more))
}

/// One task for each evolution, first controllers of all memories first.
pub fn tasks<'a>(plan: &'a Score, data: &'a Data, entries: &'a [Entry]) -> Vec<Task<'a>> {
    let mut tasks = Vec::new();
    for controller in 1..=plan.controllers {
        for entry in entries {
            for population in POPULATIONS {
                let (name, settings) = key(plan, data, entry, population, controller);
                tasks.push(Task {
                    name,
                    settings,
                    make: Box::new(move |context| {
                        let curve = evolve(plan, data, entry, population, controller, context)?;
                        Ok(json!(curve))
                    }),
                });
            }
        }
    }
    tasks
}

fn evolve(
    plan: &Score,
    data: &Data,
    entry: &Entry,
    population: usize,
    controller: u64,
    context: &Context<'_>,
) -> Result<Curve> {
    // The same random numbers for every memory.
    let seed = entry.root_seed("score/population", &[population as u64, controller]);
    let model = data.model(entry.memory(plan, data)?);
    let mut search = Search::new(data, model, population, seed)?;
    let mut point = Point {
        episodes: 0,
        frames: 0,
        seconds: 0.0,
        score: 0.0,
    };
    let mut points = Vec::new();
    let mut next_test = 0;
    loop {
        let is_last = point.episodes >= plan.budget;
        if point.episodes >= next_test || is_last {
            let mean = search.mean();
            let tracks: Vec<Job<'_>> = jobs(&mean, CURVE_TRACKS, plan.scale.test_tracks).collect();
            let options = DriveOptions::default();
            let outcomes = plan.drive(&search.model, &data.world, &tracks, options, context)?;
            point.score = outcomes.iter().map(|o| o.score).sum::<f64>() / outcomes.len() as f64;
            points.push(point);
            next_test += plan.scale.test_every;
        }
        if is_last {
            return Ok(Curve { points });
        }
        let begun = Instant::now();
        let [episodes, frames] = search.generation(plan, context)?;
        point.episodes += episodes;
        point.frames += frames;
        point.seconds += begun.elapsed().as_secs_f64();
    }
}
