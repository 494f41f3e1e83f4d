//! Choice of learning rate and dropout: the same small grid for a memory without a flow and one
//! with, in a quarter of the updates, by held-out likelihood.

use super::{judge::Finished, run::Run};
use crate::run::{MemoryTraining, Result};

/// Learning rates, in parts of the preset's, and dropouts.
pub const POINTS: [(f64, f64); 6] = [
    (1.0, 0.0),
    (1.0, 0.1),
    (2.0, 0.0),
    (2.0, 0.1),
    (4.0, 0.0),
    (4.0, 0.1),
];

/// Part of the updates that a trial has.
const UPDATES_DIVISOR: u64 = 4;

/// A finished trial.
pub struct Trial {
    /// Number in [`POINTS`].
    pub point: usize,
    pub has_flow: bool,
    pub finished: Finished,
}

/// The best of [`POINTS`] by number.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    without_flow: usize,
    with_flow: usize,
}

impl Choice {
    /// Of complete trials the best of each kind, which did not diverge.
    pub fn of(trials: &[Trial]) -> Self {
        let mut choice = Self::default();
        let mut best = [f64::INFINITY; 2];
        for trial in trials.iter().filter(|t| t.finished.diverged.is_none()) {
            let nats = trial.finished.best_held_out();
            let best = &mut best[usize::from(trial.has_flow)];
            if nats < *best {
                *best = nats;
                if trial.has_flow {
                    choice.with_flow = trial.point;
                } else {
                    choice.without_flow = trial.point;
                }
            }
        }
        choice
    }

    /// The chosen point of memories with or without a flow.
    pub fn point(&self, has_flow: bool) -> usize {
        if has_flow {
            self.with_flow
        } else {
            self.without_flow
        }
    }

    /// Whether this trial was the best one of its kind.
    pub fn is(&self, trial: &Trial) -> bool {
        self.point(trial.has_flow) == trial.point
    }
}

/// The trials: all points for `rmdn`, then for `frmdn`.
pub fn runs() -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for variant in ["rmdn", "frmdn"] {
        for point in 0..POINTS.len() {
            let spec = variant.parse()?;
            runs.push(Run {
                trial: Some(point),
                ..Run::new(0, spec, 1)
            });
        }
    }
    Ok(runs)
}

/// Sets learning rate and dropout of a point.
pub fn apply(point: usize, memory: &mut MemoryTraining) {
    let (rate, dropout) = POINTS[point];
    memory.learning_rate *= rate;
    memory.model.loss.dropout = dropout;
}

/// Shortens a training to that of a trial.
pub fn shorten(memory: &mut MemoryTraining) {
    memory.updates = memory.updates.div_ceil(UPDATES_DIVISOR);
    memory.evaluate_every = memory.evaluate_every.min(memory.updates);
}
