//! Who drives, ready to drive: what a [`DriverName`] stands for, loaded.

mod recorded;

pub use recorded::read as read_actions;

use std::path::Path;

use crate::{
    agent::Agent,
    controller::{Actions, Controller},
    rollout::{ActingModel, Driver, Job, OpenLoop, Policy, Who},
    run::{DriverName, FIRST, Interrupt, Result, RunError},
    worlds::World,
};

/// Who drives in a world.
pub enum Pilot {
    /// A policy that needs no training, with its root seed.
    Policy(Policy, u64),
    /// An agent with its controller.
    Agent(Box<AgentPilot>),
    /// Recorded actions `[steps, width]` in the agent's form, the same in every episode.
    Recorded(Vec<f32>),
}

/// An agent that is ready to drive in a world.
pub struct AgentPilot {
    /// The agent.
    pub agent: Agent,
    /// Its V and M, for the actions of the world.
    pub model: ActingModel,
    /// Its C.
    pub controller: Controller,
}

impl Pilot {
    /// Who is called `name`, in `world`. Random numbers are functions of the root seed `root`;
    /// `run` is the run folder whose earlier round [`DriverName::First`] is.
    ///
    /// # Errors
    /// If an agent or a file of actions cannot be read or does not fit `world`, or if there is no
    /// earlier round. That a world has no scripted driver is found when it is to drive.
    pub fn load(name: &DriverName, world: &World, root: u64, run: Option<&Path>) -> Result<Self> {
        if let Some(policy) = Policy::named(name, 0.0) {
            return Ok(Self::Policy(policy, root));
        }
        match name {
            DriverName::Agent(path) => Self::of(Agent::load(path)?, world),
            DriverName::Recorded(path) => {
                let actions = Actions::of(&world.spec()?);
                Ok(Self::Recorded(recorded::read(path, &actions)?))
            }
            _ => {
                let folder = run.ok_or_else(|| {
                    let what = "`first` is the earlier round of a run: name the run folder too";
                    RunError::Config(what.into())
                })?;
                Self::of(Agent::load(&folder.join(FIRST))?, world)
            }
        }
    }

    /// The agent, with its controller, in `world`.
    ///
    /// # Errors
    /// If it has no controller or does not fit `world`.
    pub fn of(agent: Agent, world: &World) -> Result<Self> {
        let pilot = AgentPilot {
            model: agent.acting_model(&world.spec()?)?,
            controller: agent.controller()?,
            agent,
        };
        Ok(Self::Agent(Box::new(pilot)))
    }

    /// The policy that ignores the observation.
    pub fn open_loop(policy: OpenLoop, root: u64) -> Self {
        Self::Policy(Policy::OpenLoop(policy), root)
    }

    /// The agent, if one drives.
    pub fn agent(&self) -> Option<&AgentPilot> {
        match self {
            Self::Agent(pilot) => Some(pilot),
            _ => None,
        }
    }

    /// Drives in `world`, with the agent's model if one drives.
    pub fn driver<'a>(&'a self, world: &'a World, stop: &'a Interrupt) -> Driver<'a> {
        let driver = Driver::new(world, stop);
        match self.agent() {
            Some(pilot) => driver.with_model(&pilot.model),
            None => driver,
        }
    }

    /// The episode of `seed`.
    pub fn job(&self, seed: u64) -> Job<'_> {
        let who = match self {
            Self::Policy(policy, root) => Who::Policy(*policy, *root),
            Self::Agent(pilot) => Who::Controller(&pilot.controller),
            Self::Recorded(actions) => Who::Recorded(actions),
        };
        Job::of(who, seed)
    }
}
