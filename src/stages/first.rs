//! The earlier round: an agent of another preset, in a run folder inside the run folder, for data on its own road.

use super::Context;
use crate::{
    agent::{self, Agent},
    run::{FIRST, Preset, Result, RunError, RunFolder},
};

/// Trains the agent that the preset's table `first` names, where it has one: all its stages but the evaluation. The agent of a
/// folder is copied instead, so that the run does not depend on what becomes of that folder.
pub fn first(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    let preset = folder.preset();
    let Some(first) = &preset.first else { return Ok(()) };
    let copy = folder.path(FIRST).join(agent::FILE);
    if copy.exists() {
        return Ok(());
    }
    if let Some(dir) = first.agent() {
        let agent = Agent::load(dir)?;
        agent.controller()?;
        std::fs::create_dir_all(folder.path(FIRST)).map_err(RunError::io("create", &folder.path(FIRST)))?;
        return agent.save(&copy);
    }
    let sets = [format!("seed={}", preset.seed), format!("environment={}", preset.environment)];
    // A round that was begun goes on as it was, whatever has become of the preset's text.
    let begun = folder.path(FIRST).join("run.toml").exists();
    let asked = if begun { None } else { Some(Preset::resolve(&first.preset, &sets)?) };
    let inner = RunFolder::create_or_resume(&folder.path(FIRST), asked)?;
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
