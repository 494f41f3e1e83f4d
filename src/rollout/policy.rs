//! Policies that need no training and agents, behind one trait.

use std::ops::ControlFlow;

use frmdn_env::{Env, ObservationMut, Step};
use rayon::prelude::*;

use super::{ActingModel, DriveError, OpenLoop, OpenLoopDriver, Outcome};
use crate::{
    controller::{Actions, LinearController},
    memory::Scratch,
    run::{self, DriverName, Interrupt},
    vision::EncoderScratch,
    worlds::{Expert, World},
};

/// An environment together with the policy that acts in it, one episode at a time.
pub trait Actor {
    /// The environment.
    fn env(&mut self) -> &mut dyn Env;

    /// How the policy's actions become actions of the environment.
    fn actions(&self) -> &Actions;

    /// Writes the action for `frame` into `action`, [`Actions::width`] values.
    ///
    /// # Errors
    /// If the policy needs the environment's state before the first reset.
    fn act(&mut self, frame: &[u8], action: &mut [f32]) -> Result<(), DriveError>;
}

/// Applies `action` in the actor's environment and writes the next frame.
///
/// # Errors
/// If the environment refuses the action or the buffer, or fails.
pub fn step(actor: &mut dyn Actor, action: &[f32], frame: &mut [u8]) -> Result<Step, DriveError> {
    let actions = actor.actions().clone();
    let mut index = [0.0];
    let action = actions.for_env(action, &mut index);
    Ok(actor.env().step(action, ObservationMut::Frame(frame))?)
}

/// A policy that needs no training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// Ignores the observation.
    OpenLoop(OpenLoop),
    /// The environment's own driver, which knows more than an agent sees
    /// ([`crate::worlds::Maker::expert`]).
    Scripted {
        /// Standard deviation of the noise on its controls; 0 drives as well as it can.
        noise: f32,
    },
}

impl Policy {
    /// The policy called `name`, the scripted one with `noise`; `None` for an agent.
    pub fn named(name: &DriverName, noise: f32) -> Option<Self> {
        match name {
            DriverName::Random => Some(Self::OpenLoop(OpenLoop::Random)),
            DriverName::Brownian => Some(Self::OpenLoop(OpenLoop::Brownian)),
            DriverName::Noop => Some(Self::OpenLoop(OpenLoop::Noop)),
            DriverName::Scripted => Some(Self::Scripted { noise }),
            DriverName::First | DriverName::Agent(_) => None,
        }
    }

    /// An environment driven by this policy, for the episode of `seed`. Its random numbers are a
    /// function of the root seed `root` and of `seed`.
    ///
    /// # Errors
    /// If the environment cannot be made, or if the policy cannot drive in it.
    pub fn start(self, world: &World, root: u64, seed: u64) -> Result<Box<dyn Actor>, DriveError> {
        Ok(match self {
            Self::OpenLoop(policy) => {
                let env = world.make()?;
                let actions = Actions::of(env.spec());
                let driver = policy.driver(&actions, root, seed);
                Box::new(OpenLoopActor {
                    env,
                    actions,
                    driver,
                })
            }
            Self::Scripted { noise } => {
                let mut expert = world.expert(noise, root, seed)?;
                let actions = Actions::of(expert.env().spec());
                Box::new(ExpertActor { expert, actions })
            }
        })
    }

    /// Drives whole episodes on `seeds`, on all threads, and calls `done` after each. The outcomes
    /// are in the order of the seeds; `None` if interrupted.
    ///
    /// # Errors
    /// If an episode cannot be started or driven.
    pub fn outcomes(
        self,
        world: &World,
        root: u64,
        seeds: std::ops::Range<u64>,
        stop: &Interrupt,
        done: &(dyn Fn(&Outcome) + Sync),
    ) -> Result<Option<Vec<Outcome>>, DriveError> {
        let drive = |seed| {
            let mut actor = self.start(world, root, seed)?;
            watch(actor.as_mut(), seed, stop, &mut ()).inspect(done)
        };
        let outcomes: Result<Vec<Outcome>, DriveError> = seeds.into_par_iter().map(drive).collect();
        let outcomes = outcomes?;
        Ok(if stop.is_set() { None } else { Some(outcomes) })
    }
}

/// What is seen of an episode before a step.
pub struct Moment<'a> {
    /// The environment, for its picture and its inner state.
    pub env: &'a mut dyn Env,
    /// The observation.
    pub frame: &'a [u8],
    /// The action that comes next, in the agent's form.
    pub action: &'a [f32],
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
    fn after(&mut self, step: &Step, frame: &[u8]) -> run::Result<()> {
        let _ = (step, frame);
        Ok(())
    }
}

/// Sees nothing.
impl Watcher for () {}

/// Sees what is before every step.
impl<F: FnMut(Moment<'_>) -> run::Result<ControlFlow<()>>> Watcher for F {
    fn before(&mut self, moment: Moment<'_>) -> run::Result<ControlFlow<()>> {
        self(moment)
    }
}

/// Drives the episode of `seed` to its end, or until interrupted or `watcher` breaks it off.
///
/// # Errors
/// If the environment refuses a call, or if `watcher` fails.
pub fn watch(
    actor: &mut dyn Actor,
    seed: u64,
    stop: &Interrupt,
    watcher: &mut dyn Watcher,
) -> Result<Outcome, DriveError> {
    let mut frame = vec![0; actor.env().observation_space().len()];
    let mut action = vec![0.0; actor.actions().width()];
    let mut outcome = Outcome::default();
    actor.env().reset(seed, ObservationMut::Frame(&mut frame))?;
    while !stop.is_set() {
        actor.act(&frame, &mut action)?;
        let moment = Moment {
            env: actor.env(),
            frame: &frame,
            action: &action,
            outcome: &outcome,
        };
        if watcher.before(moment)?.is_break() {
            break;
        }
        let step = step(actor, &action, &mut frame)?;
        outcome.add(step, actor.env().spec());
        watcher.after(&step, &frame)?;
        if step.done() {
            break;
        }
    }
    Ok(outcome)
}

/// Applies recorded actions, one after the other; the last one again where they are too few.
pub struct RecordedActor<'a> {
    env: Box<dyn Env>,
    actions: Actions,
    recorded: std::slice::ChunksExact<'a, f32>,
}

impl<'a> RecordedActor<'a> {
    /// The actions `recorded` `[steps, width]` in `env`.
    pub fn new(env: Box<dyn Env>, recorded: &'a [f32]) -> Self {
        let actions = Actions::of(env.spec());
        Self {
            recorded: recorded.chunks_exact(actions.width()),
            env,
            actions,
        }
    }
}

impl Actor for RecordedActor<'_> {
    fn env(&mut self) -> &mut dyn Env {
        self.env.as_mut()
    }

    fn actions(&self) -> &Actions {
        &self.actions
    }

    fn act(&mut self, _: &[u8], action: &mut [f32]) -> Result<(), DriveError> {
        if let Some(recorded) = self.recorded.next() {
            action.copy_from_slice(recorded);
        }
        Ok(())
    }
}

struct OpenLoopActor {
    env: Box<dyn Env>,
    actions: Actions,
    driver: OpenLoopDriver,
}

impl Actor for OpenLoopActor {
    fn env(&mut self) -> &mut dyn Env {
        self.env.as_mut()
    }

    fn actions(&self) -> &Actions {
        &self.actions
    }

    fn act(&mut self, _: &[u8], action: &mut [f32]) -> Result<(), DriveError> {
        self.driver.act(action);
        Ok(())
    }
}

struct ExpertActor {
    expert: Box<dyn Expert>,
    actions: Actions,
}

impl Actor for ExpertActor {
    fn env(&mut self) -> &mut dyn Env {
        self.expert.env()
    }

    fn actions(&self) -> &Actions {
        &self.actions
    }

    fn act(&mut self, _: &[u8], action: &mut [f32]) -> Result<(), DriveError> {
        Ok(self.expert.act(action)?)
    }
}

/// An environment driven by an agent, one episode at a time; [`ActingModel::drive`] drives many at
/// once.
pub struct AgentActor<'a> {
    env: Box<dyn Env>,
    model: &'a ActingModel,
    controller: &'a LinearController,
    latent: Vec<f32>,
    state: Vec<f32>,
    vision: EncoderScratch,
    memory: Scratch,
}

impl<'a> AgentActor<'a> {
    /// An agent at the start of an episode in `env`.
    pub fn new(
        env: Box<dyn Env>,
        model: &'a ActingModel,
        controller: &'a LinearController,
    ) -> Self {
        let (latent, state) = (vec![0.0; model.latent], vec![0.0; model.memory.state_len()]);
        Self {
            env,
            model,
            controller,
            latent,
            state,
            vision: EncoderScratch::default(),
            memory: Scratch::default(),
        }
    }
}

impl Actor for AgentActor<'_> {
    fn env(&mut self) -> &mut dyn Env {
        self.env.as_mut()
    }

    fn actions(&self) -> &Actions {
        &self.model.actions
    }

    fn act(&mut self, frame: &[u8], action: &mut [f32]) -> Result<(), DriveError> {
        self.model
            .encoder
            .encode(&mut self.vision, frame, &mut self.latent);
        self.controller
            .outputs(&self.latent, self.model.memory.hidden(&self.state), action);
        self.model.actions.squash(action);
        self.model
            .memory
            .step(1, &self.latent, action, &mut self.state, &mut self.memory);
        Ok(())
    }
}
