//! The stages of a run, in the order of [`Stage::ALL`]. Each is a function from a run folder to the
//! same run folder.
//!
//! A finished stage returns at once. One that was stopped, in whatever way, continues from its last
//! checkpoint to the same result bit for bit, because everything random is a function of the root
//! seed and of counters.

mod collect;
mod controller;
mod evaluate;
mod first;
mod gates;
mod memory;
mod order;
mod rounds;
mod vision;

use frmdn_env::{EnvSpec, ObservationSpace};

use crate::{
    device::Device,
    run::{Interrupt, Preset, Recovery, Reporter, Result, RunError},
    worlds::{Bridge, World},
};

pub(crate) use collect::Drivers;
pub use collect::collect;
pub use controller::{Evolution, LinearReadout, choice, readout};
pub(crate) use controller::{Ridge, moments};
pub use evaluate::{evaluate, outcomes, scores, summary};
pub use first::{first, inherited_settings};
pub use gates::{gate, kept};
pub use memory::memory;
pub(crate) use memory::{Job, encode, encoded, train as train_memory};
pub use order::Stage;
pub use rounds::rounds;
pub use vision::vision;

/// What every stage needs besides the folder.
pub struct Context<'a> {
    /// Where progress goes.
    pub report: &'a dyn Reporter,
    /// Set by Ctrl-C.
    pub stop: &'a Interrupt,
    /// Where V and M are trained.
    pub device: &'a Device,
    /// How Python is reached, where an environment needs it.
    pub bridge: &'a Bridge,
    /// Whether missed gates are only reported.
    pub ignore_gates: bool,
}

impl Context<'_> {
    /// The environment `name`.
    pub fn world(&self, name: &str) -> Result<World> {
        Ok(World::open(name, self.bridge)?)
    }

    /// The error after Ctrl-C; the state must be saved before.
    pub fn interrupted(&self) -> RunError {
        RunError::Interrupted
    }

    /// [`Context::interrupted`], if Ctrl-C was pressed.
    pub fn check(&self) -> Result<()> {
        if self.stop.is_set() {
            Err(self.interrupted())
        } else {
            Ok(())
        }
    }
}

/// Refuses settings of a new run that need what its environment does not declare.
///
/// # Errors
/// If episodes are to be given up where no progress is measured, or if what is seen is a latent of
/// another length.
pub fn check_environment(preset: &Preset, spec: &EnvSpec) -> Result<()> {
    let name = &preset.environment;
    let keys = [
        ("controller", preset.controller.give_up_after),
        ("collect", preset.collect.give_up_after),
        (
            "controller.dreams",
            preset
                .controller
                .dreams
                .as_ref()
                .map_or(0, |dreams| dreams.give_up_after),
        ),
    ];
    if let Some((table, give_up)) = keys.into_iter().find(|(_, steps)| *steps > 0)
        && spec.progress.is_none()
    {
        return Err(RunError::refused(
            format!(
                "{table}.give_up_after = {give_up}: {name} does not measure progress, without \
                 which no episode can be given up"
            ),
            Recovery::NoGiveUp,
        ));
    }
    let latent = preset.vision.model.latent;
    if let ObservationSpace::Latent(n) = spec.observation
        && n != latent
    {
        return Err(RunError::refused(
            format!(
                "vision.model.latent = {latent}: {name} gives {n} numbers, which are the latent"
            ),
            Recovery::Latent(n),
        ));
    }
    Ok(())
}

/// Whether episode `index` is held out of all training: every tenth.
pub fn held_out(index: usize) -> bool {
    index % 10 == 9
}

/// The episodes that are trained on: the others.
pub(crate) fn training_indices(episodes: usize) -> impl Iterator<Item = usize> {
    (0..episodes).filter(|&i| !held_out(i))
}

/// The held-out episodes of the held-out losses: the first hundred, so that memory is bounded.
pub(crate) fn held_out_indices(episodes: usize) -> impl Iterator<Item = usize> {
    (0..episodes).filter(|&i| held_out(i)).take(100)
}
