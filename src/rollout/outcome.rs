//! What an episode came to.

use frmdn_env::{EnvSpec, Measured, Step};

/// The outcome of one episode.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Sum of rewards.
    pub score: f64,
    /// The score; in training, less a charge for the remaining steps of an episode that was given
    /// up, see [`super::DriveOptions`].
    pub fitness: f64,
    /// Number of steps.
    pub steps: u32,
    /// The task was completed.
    pub completed: bool,
    /// The environment ended the episode without the task being completed; not a limit of steps.
    pub failed: bool,
    /// Progress made and the largest possible ([`EnvSpec::progress_of`]); `None` where the
    /// environment measures none.
    pub progress: Option<(f64, f64)>,
    /// Number of steps since the last progress.
    pub stalled: u32,
    /// Number of steps since something last moved; 0 where the environment cannot tell.
    pub still: u32,
    /// What the environment measured in the last step.
    pub measured: Measured,
}

impl Outcome {
    /// [`Outcome::stalled`] or [`Outcome::still`] of an episode that counts as one that ended
    /// without progress or at a standstill.
    const STANDSTILL_STEPS: u32 = 100;

    /// Adds a step of the environment `spec`.
    pub(super) fn add(&mut self, step: Step, spec: &EnvSpec) {
        self.score += step.reward;
        self.fitness = self.score;
        self.steps += 1;
        self.completed |= spec.is_completed(&step.measured);
        self.failed = step.terminated && !self.completed;
        let progress = spec.progress_of(&step.measured);
        let rises = progress.is_some_and(|(now, _)| now > self.progress.map_or(0.0, |p| p.0));
        self.stalled = if rises { 0 } else { self.stalled + 1 };
        self.still = if spec.is_still(&step.measured) {
            self.still + 1
        } else {
            0
        };
        self.progress = progress;
        self.measured = step.measured;
    }

    /// Whether nothing moved in the last 100 steps or more.
    pub fn ended_at_standstill(&self) -> bool {
        self.still >= Self::STANDSTILL_STEPS
    }

    /// Whether the last 100 steps or more brought no progress, moving or not, and the task was not
    /// completed. False where the environment measures no progress.
    pub fn ended_without_progress(&self) -> bool {
        self.progress.is_some() && !self.completed && self.stalled >= Self::STANDSTILL_STEPS
    }
}

/// Progress as JSON, `[so far, largest possible]`: whole numbers without a point, null for a largest
/// one that is not known and where nothing is measured.
pub fn progress_json(progress: Option<(f64, f64)>) -> serde_json::Value {
    let number = |x: f64| match x.fract() {
        0.0 => serde_json::json!(x as i64),
        _ => serde_json::json!(x),
    };
    match progress {
        Some((now, most)) => serde_json::json!([number(now), number(most)]),
        None => serde_json::Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tiles in steps 1 and 50, a stop from step 51 on.
    #[test]
    fn standing_still_and_getting_nowhere_are_counted_to_the_end() {
        let spec = crate::worlds::default_spec();
        let mut outcome = Outcome::default();
        let mut drive = |steps: std::ops::Range<u32>, found: f64, still: bool| {
            for _ in steps {
                let still = f64::from(u8::from(still));
                let step = Step {
                    reward: -0.1,
                    terminated: false,
                    truncated: false,
                    measured: Measured::new(&[found, 9.0, 0.0, 1.0 - still, still]),
                };
                outcome.add(step, &spec);
            }
            (
                outcome.stalled,
                outcome.still,
                outcome.ended_without_progress(),
                outcome.ended_at_standstill(),
            )
        };
        assert_eq!(drive(1..50, 1.0, false), (48, 0, false, false));
        assert_eq!(drive(50..51, 2.0, false), (0, 0, false, false));
        assert_eq!(drive(51..150, 2.0, true), (99, 99, false, false));
        assert_eq!(drive(150..151, 2.0, true), (100, 100, true, true));
        // It moves again, and still finds no tile.
        assert_eq!(drive(151..152, 2.0, false), (101, 0, true, false));
    }
}
