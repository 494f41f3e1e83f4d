//! Episodes that begin in the middle of a recorded one.

use std::ops::ControlFlow;

use frmdn_env::Snapshot;

use super::{DriveError, Driver, Job, Moment, Seen, Watcher, Who};
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
        let (frame, latent) = match moment.seen {
            Seen::Frame(bytes) => (bytes.to_vec(), Vec::new()),
            Seen::Latent(values) => (Vec::new(), values.to_vec()),
        };
        self.caught = moment.env.snapshot().map(|snapshot| StartPoint {
            snapshot,
            frame,
            latent,
            state: moment.state.to_vec(),
        });
        Ok(ControlFlow::Break(()))
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
}
