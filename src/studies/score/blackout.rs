//! E2, blackout: good controllers of the bank, for which z is drawn by the memory for some steps.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Score,
    bank::{self, Bank},
    data::Data,
    entry::Entry,
    jobs,
    task::Task,
};
use crate::{
    memory::{Stacked, Variant},
    rollout::{Blackout, DriveOptions, Job},
    run::{Result, seeds},
    stages::Context,
};

/// Steps from one blackout to the next.
const EVERY: u32 = 60;
/// Lengths of a blackout, steps.
pub const LENGTHS: [u32; 3] = [5, 10, 20];
/// Name of the baseline that holds the last latent.
pub const HOLD: &str = "hold the last z";
/// Name of the baseline without a blackout.
pub const SEEN: &str = "no blackout";

/// Scores under blackouts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Blind {
    /// Numbers of the two drivers in the bank.
    pub drivers: [usize; 2],
    /// Steps of a blackout, and the scores of each driver on each track.
    pub lengths: Vec<(u32, [Vec<f64>; 2])>,
}

/// What fills the latents: a memory of the comparison, `copy` for the baseline, or nothing has to.
enum Filler<'a> {
    Memory(&'a Entry),
    Hold,
    Seen,
}

/// Name and settings of the result of `entry`.
pub fn key(plan: &Score, data: &Data, entry: &Entry) -> (String, Value) {
    let name = format!("e2-{}", entry.name(data));
    (name, entry.settings(data, experiment_settings(plan, data)))
}

/// Name and settings of the result of a baseline, [`HOLD`] or [`SEEN`].
pub fn baseline_key(plan: &Score, data: &Data, baseline: &str) -> (String, Value) {
    let short = if baseline == HOLD { "hold" } else { "seen" };
    (
        format!("e2-{}-{short}", data.name),
        json!({ "baseline": baseline, "experiment": experiment_settings(plan, data) }),
    )
}

fn experiment_settings(plan: &Score, data: &Data) -> Value {
    json!({ "e2": { "every": EVERY, "lengths": LENGTHS, "tracks": plan.scale.tracks },
        "bank": bank::settings(plan, data) })
}

/// One task for each baseline and each memory that predicts.
pub fn tasks<'a>(
    plan: &'a Score,
    data: &'a Data,
    entries: &'a [Entry],
    bank: &Arc<Bank>,
) -> Vec<Task<'a>> {
    let mut fillers = vec![
        (baseline_key(plan, data, SEEN), Filler::Seen),
        (baseline_key(plan, data, HOLD), Filler::Hold),
    ];
    for entry in entries.iter().filter(|entry| entry.config().is_trained()) {
        fillers.push((key(plan, data, entry), Filler::Memory(entry)));
    }
    let mut tasks = Vec::new();
    for ((name, settings), filler) in fillers {
        let bank = Arc::clone(bank);
        tasks.push(Task {
            name,
            settings,
            make: Box::new(move |context| Ok(json!(drive(plan, data, &filler, &bank, context)?))),
        });
    }
    tasks
}

fn drive(
    plan: &Score,
    data: &Data,
    filler: &Filler<'_>,
    bank: &Bank,
    context: &Context<'_>,
) -> Result<Blind> {
    let memory = match filler {
        Filler::Memory(entry) => entry.memory(plan, data)?,
        Filler::Hold | Filler::Seen => data.memory_without_weights(Variant::Copy)?,
    };
    let model = data.model(Box::new(Stacked::new(memory, data.latent())));
    let drivers = bank.scored.best();
    let tracks = plan.scale.tracks;
    let all: Vec<Job<'_>> = drivers
        .iter()
        .flat_map(|&d| jobs(&bank.controllers[d], seeds::TEST.start, tracks))
        .collect();
    let steps: &[u32] = match filler {
        Filler::Seen => &[0],
        Filler::Memory(_) | Filler::Hold => &LENGTHS,
    };
    let mut lengths = Vec::new();
    for &steps in steps {
        let options = DriveOptions {
            blackout: Some(Blackout {
                every: EVERY,
                steps,
                temperature: 1.0,
                seed: 0,
            }),
            ..DriveOptions::default()
        };
        let outcomes = plan.drive(&model, &data.world, &all, options, context)?;
        let scores = |driver: usize| {
            let outcomes = &outcomes[driver * tracks..][..tracks];
            outcomes.iter().map(|o| o.score).collect()
        };
        lengths.push((steps, [scores(0), scores(1)]));
    }
    Ok(Blind { drivers, lengths })
}
