//! Onlookers of an episode: recordings, films, curves.

use std::ops::ControlFlow;

use frmdn_env::{Env, Step};

use super::Outcome;
use crate::run;

/// An observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seen<'a> {
    /// Bytes of a frame, `[height, width, channels]`.
    Frame(&'a [u8]),
    /// Values of a latent.
    Latent(&'a [f32]),
}

impl<'a> Seen<'a> {
    /// The bytes of a frame; none of a latent.
    pub fn frame(self) -> &'a [u8] {
        match self {
            Self::Frame(bytes) => bytes,
            Self::Latent(_) => &[],
        }
    }
}

/// What is seen of an episode before a step.
pub struct Moment<'a> {
    /// The environment, for its picture and its inner state.
    pub env: &'a mut dyn Env,
    /// The observation.
    pub seen: Seen<'a>,
    /// Its latent: what V makes of a frame, empty where no model looks on.
    pub latent: &'a [f32],
    /// M's state; empty where no model looks on.
    pub state: &'a [f32],
    /// The action that comes next, in the agent's form.
    pub action: &'a [f32],
    /// What a planner found of each action; empty where it found nothing, or another drives.
    pub values: &'a [f32],
    /// The outcome so far.
    pub outcome: &'a Outcome,
}

/// Looks on while an episode is driven.
pub trait Watcher {
    /// Before every step. [`ControlFlow::Break`] ends the episode before the action is applied.
    ///
    /// # Errors
    /// Whatever ends the episode for good.
    fn before(&mut self, moment: Moment<'_>) -> run::Result<ControlFlow<()>> {
        let _ = moment;
        Ok(ControlFlow::Continue(()))
    }

    /// After every step, with the observation that it led to.
    ///
    /// # Errors
    /// Whatever ends the episode for good.
    fn after(&mut self, step: &Step, seen: Seen<'_>) -> run::Result<()> {
        let _ = (step, seen);
        Ok(())
    }
}

/// Sees what is before every step.
impl<F: FnMut(Moment<'_>) -> run::Result<ControlFlow<()>>> Watcher for F {
    fn before(&mut self, moment: Moment<'_>) -> run::Result<ControlFlow<()>> {
        self(moment)
    }
}
