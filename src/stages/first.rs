//! The earlier round: an agent of another preset, in a run folder inside the run folder, for data on its own road.

use super::Context;
use crate::run::{FIRST, Preset, Result, RunError, RunFolder};

/// Trains the agent that the preset's table `first` names, where it has one: all its stages but the evaluation.
pub fn first(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    let preset = folder.preset();
    let Some(first) = &preset.first else { return Ok(()) };
    let sets = [format!("seed={}", preset.seed), format!("environment={}", preset.environment)];
    let inner = RunFolder::create_or_resume(&folder.path(FIRST), Some(Preset::resolve(&first.preset, &sets)?))?;
    let work = || {
        self::first(&inner, context)?;
        super::collect(&inner, context)?;
        super::vision(&inner, context)?;
        super::gate(&inner, "vision", context)?;
        super::memory(&inner, context)?;
        super::gate(&inner, "memory", context)?;
        super::controller(&inner, context)
    };
    work().map_err(|e| match e {
        RunError::Interrupted { .. } => RunError::Interrupted { command: folder.resume_command() },
        other => other,
    })
}
