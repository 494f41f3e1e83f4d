//! E2, blackout: good drivers of the bank, whose eyes the memory replaces for some steps.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Arm, Data, Piece, Score,
    bank::{self, Bank},
    jobs,
};
use crate::{
    memory::{Stacked, Variant},
    rollout::{Blackout, DriveOptions, Job},
    run::{Result, seeds},
};

/// Steps from one blackout to the next.
const EVERY: u32 = 60;
/// Steps that they last.
pub const LENGTHS: [u32; 3] = [5, 10, 20];
/// Name of the baseline that holds the last latent.
pub const HOLD: &str = "hold the last z";
/// Name of the drivers that see everything.
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
    Memory(&'a Arm),
    Hold,
    Seen,
}

/// The piece of the memory of `arm`.
pub fn key(plan: &Score, data: &Data, arm: &Arm) -> (String, Value) {
    (
        format!("e2-{}", arm.name(data)),
        arm.settings(data, more(plan, data)),
    )
}

/// The piece of a baseline, [`HOLD`] or [`SEEN`].
pub fn baseline(plan: &Score, data: &Data, name: &str) -> (String, Value) {
    let short = if name == HOLD { "hold" } else { "seen" };
    (
        format!("e2-{}-{short}", data.name),
        json!({ "baseline": name, "experiment": more(plan, data) }),
    )
}

fn more(plan: &Score, data: &Data) -> Value {
    json!({ "e2": { "every": EVERY, "lengths": LENGTHS, "tracks": plan.scale.tracks },
        "bank": bank::settings(plan, data) })
}

/// One piece for each memory that predicts, and the baselines.
pub fn pieces<'a>(
    plan: &'a Score,
    data: &'a Data,
    arms: &'a [Arm],
    bank: &Arc<Bank>,
) -> Vec<Piece<'a>> {
    let memories = arms
        .iter()
        .filter(|arm| arm.config().is_trained())
        .map(|arm| (key(plan, data, arm), Filler::Memory(arm)));
    let baselines = [
        (baseline(plan, data, SEEN), Filler::Seen),
        (baseline(plan, data, HOLD), Filler::Hold),
    ];
    let piece = |((name, settings), filler): ((String, Value), Filler<'a>)| {
        let bank = Arc::clone(bank);
        Piece {
            name,
            settings,
            make: Box::new(move |context| Ok(json!(drive(plan, data, &filler, &bank, context)?))),
        }
    };
    baselines.into_iter().chain(memories).map(piece).collect()
}

fn drive(
    plan: &Score,
    data: &Data,
    filler: &Filler<'_>,
    bank: &Bank,
    context: &crate::stages::Context<'_>,
) -> Result<Blind> {
    let inner = match filler {
        Filler::Memory(arm) => arm.memory(plan, data)?,
        Filler::Hold | Filler::Seen => data.plain(Variant::Copy)?,
    };
    let model = data.model(Box::new(Stacked::new(inner, data.latent())));
    let drivers = bank.scored.best();
    let all: Vec<Job<'_>> = drivers
        .iter()
        .flat_map(|&d| jobs(&bank.controllers[d], seeds::TEST.start, plan.scale.tracks))
        .collect();
    let lengths: &[u32] = if matches!(filler, Filler::Seen) {
        &[0]
    } else {
        &LENGTHS
    };
    let of = |&steps: &u32| {
        let blackout = Some(Blackout {
            every: EVERY,
            steps,
            temperature: 1.0,
            seed: 0,
        });
        let outcomes = plan.drive(
            &model,
            &data.world,
            &all,
            DriveOptions {
                blackout,
                ..DriveOptions::default()
            },
            context,
        )?;
        let scores = |driver: usize| {
            outcomes[driver * plan.scale.tracks..][..plan.scale.tracks]
                .iter()
                .map(|o| o.score)
                .collect()
        };
        Ok((steps, [scores(0), scores(1)]))
    };
    Ok(Blind {
        drivers,
        lengths: lengths.iter().map(of).collect::<Result<_>>()?,
    })
}
