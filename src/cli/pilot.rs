//! Who is to drive, as commands are told it: an agent's folder, or `--policy`.

use std::path::Path;

use anyhow::{Result, bail};

use crate::{
    agent::Agent,
    pilot::Pilot,
    run::DriverName,
    stages::Context,
    worlds::{self, World},
};

/// Help of `--policy`.
pub const WHO: &str = "Who drives in place of the agent: random, brownian, bursts (brownian \
                       with actions held in between), noop, scripted (the environment's own driver, \
                       which knows more than an agent sees), planner (tries actions on snapshots), first (the earlier round of the run), actions:FILE (a \
                       recorded list, the same in every episode), or another agent";

/// What a command was told.
pub struct Asked<'a> {
    /// An agent's folder or name. With a policy it only says in which environment.
    pub dir: Option<&'a Path>,
    /// Who drives in its place.
    pub policy: Option<&'a DriverName>,
    /// Another environment than the agent's own.
    pub env: Option<&'a str>,
}

impl Asked<'_> {
    /// Who drives, and where. `command` is the one that is typed, for messages.
    pub fn open(&self, command: &str, context: &Context<'_>) -> Result<(Pilot, World)> {
        let agent = match (self.dir, self.policy) {
            (Some(dir), _) => Some(Agent::load(dir)?),
            (None, Some(DriverName::Agent(path))) => Some(agent_of_policy(path)?),
            (None, Some(_)) => None,
            (None, None) => bail!(
                "{command} what? Name a run folder (frmdn {command} runs/tiny), or who drives \
                 without one (frmdn {command} --policy scripted)"
            ),
        };
        let own = agent.as_ref().map(|agent| &agent.info.environment[..]);
        let world = context.world(self.env.or(own).unwrap_or(worlds::DEFAULT))?;
        let pilot = match (agent, self.policy) {
            (Some(agent), None) => Pilot::of(agent, &world)?,
            (Some(agent), Some(DriverName::Agent(_))) if self.dir.is_none() => {
                Pilot::of(agent, &world)?
            }
            (_, Some(name)) => Pilot::load(name, &world, 0, self.dir)?,
            (None, None) => unreachable!("one of the two was given"),
        };
        Ok((pilot, world))
    }
}

/// The agent that `--policy` names.
fn agent_of_policy(path: &Path) -> Result<Agent> {
    Agent::load(path).map_err(|e| match path.exists() {
        true => e.into(),
        false => anyhow::anyhow!(
            "--policy {}: there is no such policy or agent; there are {}, run folders and shipped \
             agents",
            path.display(),
            DriverName::NAMES
        ),
    })
}
