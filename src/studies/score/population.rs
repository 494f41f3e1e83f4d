//! E3, small populations: controllers on [z, h] of each memory, evolved with equal numbers of
//! early-stopped episodes.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Arm, CURVE_TRACKS, Data, Piece, Score,
    evolve::{SIGMA, Search, TRACKS},
    jobs,
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
    /// From nothing learned to the last test.
    pub points: Vec<Point>,
}

/// A test.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Point {
    /// Episodes of the evolution so far.
    pub episodes: u64,
    /// Frames of these.
    pub frames: u64,
    /// Seconds of these on one core, tests left out: no result, and other on every machine.
    pub seconds: f64,
    /// Mean score of the distribution's mean.
    pub score: f64,
}

/// The name of the evolution number `controller` of `arm`, and what decides it.
pub fn key(
    plan: &Score,
    data: &Data,
    arm: &Arm,
    population: usize,
    controller: u64,
) -> (String, Value) {
    let name = format!("e3-{}-population{population}-{controller}", arm.name(data));
    let more = json!({ "e3": { "population": population, "controller": controller,
        "budget": plan.budget, "sigma": SIGMA, "tracks": TRACKS,
        "test_every": plan.scale.test_every, "test_tracks": plan.scale.test_tracks } });
    (name, arm.settings(data, more))
}

/// One piece for each evolution, first controllers of all memories first.
pub fn pieces<'a>(plan: &'a Score, data: &'a Data, arms: &'a [Arm]) -> Vec<Piece<'a>> {
    let all = (1..=plan.controllers).flat_map(|c| {
        arms.iter()
            .flat_map(move |arm| POPULATIONS.map(|population| (c, arm, population)))
    });
    let piece = |(controller, arm, population): (u64, &'a Arm, usize)| {
        let (name, settings) = key(plan, data, arm, population, controller);
        Piece {
            name,
            settings,
            make: Box::new(move |context| {
                Ok(json!(evolve(
                    plan, data, arm, population, controller, context
                )?))
            }),
        }
    };
    all.map(piece).collect()
}

fn evolve(
    plan: &Score,
    data: &Data,
    arm: &Arm,
    population: usize,
    controller: u64,
    context: &Context<'_>,
) -> Result<Curve> {
    // The same chances for every memory.
    let seed = arm.root("score/population", &[population as u64, controller]);
    let mut search = Search::new(data, data.model(arm.memory(plan, data)?), population, seed)?;
    let (mut at, mut points) = (
        Point {
            episodes: 0,
            frames: 0,
            seconds: 0.0,
            score: 0.0,
        },
        Vec::new(),
    );
    let mut next = 0;
    loop {
        let over = at.episodes >= plan.budget;
        if at.episodes >= next || over {
            let mean = search.mean();
            let tracks: Vec<Job<'_>> = jobs(&mean, CURVE_TRACKS, plan.scale.test_tracks).collect();
            let outcomes = plan.drive(
                &search.model,
                &data.world,
                &tracks,
                DriveOptions::default(),
                context,
            )?;
            at.score = outcomes.iter().map(|o| o.score).sum::<f64>() / outcomes.len() as f64;
            points.push(at);
            next += plan.scale.test_every;
        }
        if over {
            return Ok(Curve { points });
        }
        let begun = Instant::now();
        let [episodes, frames] = search.generation(plan, context)?;
        at.episodes += episodes;
        at.frames += frames;
        at.seconds += begun.elapsed().as_secs_f64();
    }
}
