//! Episodes that begin in the middle of another one.

use std::{collections::VecDeque, ops::ControlFlow};

use frmdn_env::Snapshot;

use super::{DriveError, Driver, Job, Moment, Outcome, Seen, Watcher, Who};
use crate::run;

/// A moment of an episode: what is needed to go on from there.
#[derive(Clone, Debug)]
pub struct StartPoint {
    pub(super) snapshot: Snapshot,
    /// The observation: bytes of a frame, or a latent.
    pub(super) frame: Vec<u8>,
    pub(super) latent: Vec<f32>,
    /// M's state.
    pub(super) state: Vec<f32>,
    /// What the environment draws from there on is a function of this
    /// ([`frmdn_env::Env::reseed`]).
    pub chances: u64,
}

impl StartPoint {
    /// What is seen before a step; `None` where the environment has no snapshots.
    pub fn of(moment: &Moment<'_>) -> Option<Self> {
        let (frame, latent) = match moment.seen {
            Seen::Frame(bytes) => (bytes.to_vec(), Vec::new()),
            Seen::Latent(values) => (Vec::new(), values.to_vec()),
        };
        Some(Self {
            snapshot: moment.env.snapshot()?,
            frame,
            latent,
            state: moment.state.to_vec(),
            chances: 0,
        })
    }
}

/// Waits for the moment.
struct Catch {
    steps: u32,
    caught: Option<StartPoint>,
}

impl Watcher for Catch {
    fn before(&mut self, moment: Moment<'_>) -> run::Result<ControlFlow<()>> {
        if moment.outcome.steps < self.steps {
            return Ok(ControlFlow::Continue(()));
        }
        self.caught = StartPoint::of(&moment);
        Ok(ControlFlow::Break(()))
    }
}

/// Keeps the last moments, one in [`Self::EVERY`] steps.
#[derive(Default)]
struct Trail {
    kept: VecDeque<StartPoint>,
}

impl Trail {
    /// Steps between two moments.
    const EVERY: u32 = 4;
    /// Number of moments.
    const KEPT: usize = 12;
}

impl Watcher for Trail {
    fn before(&mut self, moment: Moment<'_>) -> run::Result<ControlFlow<()>> {
        if moment.outcome.steps.is_multiple_of(Self::EVERY) {
            if self.kept.len() == Self::KEPT {
                self.kept.pop_front();
            }
            self.kept.extend(StartPoint::of(&moment));
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Driver<'_> {
    /// The moment after `steps` of the recorded `actions` in the episode of `seed`, V and M having
    /// followed; `None` if the episode ends before, or has no snapshots, or if interrupted.
    ///
    /// # Errors
    /// As those of [`Driver::watch`].
    pub fn start_point(
        &self,
        seed: u64,
        actions: &[f32],
        steps: u32,
    ) -> Result<Option<StartPoint>, DriveError> {
        let mut catch = Catch {
            steps,
            caught: None,
        };
        self.watch(Job::of(Who::Recorded(actions), seed), &mut catch)?;
        Ok(catch.caught)
    }

    /// Drives an episode, and returns with its outcome moments of its last 48 steps, oldest first;
    /// none if it has no snapshots.
    ///
    /// # Errors
    /// As those of [`Driver::watch`].
    pub fn trail(&self, job: Job<'_>) -> Result<(Outcome, Vec<StartPoint>), DriveError> {
        let mut trail = Trail::default();
        let outcome = self.watch(job, &mut trail)?;
        Ok((outcome, trail.kept.into()))
    }
}
