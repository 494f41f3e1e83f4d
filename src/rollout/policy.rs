//! Who drives: policies that need no run, and agents, behind one trait.

use frmdn_env::{Env, ObservationMut, Step};
use rayon::prelude::*;

use super::{ActingModel, Blind, BlindDriver, Outcome};
use crate::{
    controller::{Actions, LinearController},
    memory::Scratch,
    run::Interrupt,
    vision::EncoderScratch,
    worlds::{Scripted, World},
};

/// An environment and who drives in it.
pub trait Driven {
    /// The environment.
    fn env(&mut self) -> &mut dyn Env;

    /// The form of the actions.
    fn actions(&self) -> &Actions;

    /// The action on seeing `frame`.
    fn act(&mut self, frame: &[u8], action: &mut [f32]) -> Result<(), String>;
}

/// Applies `action` in the environment of `world` and writes the next frame.
pub fn step(world: &mut dyn Driven, action: &[f32], frame: &mut [u8]) -> Result<Step, String> {
    let actions = world.actions().clone();
    let mut index = [0.0];
    world
        .env()
        .step(
            actions.for_env(action, &mut index),
            ObservationMut::Frame(frame),
        )
        .map_err(|e| e.to_string())
}

/// A policy that needs no run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Policy {
    /// It sees nothing.
    Blind(Blind),
    /// It knows the track; its controls wander with that standard deviation (0: it drives as well
    /// as it can).
    Scripted {
        /// Standard deviation of the wandering.
        noise: f32,
    },
}

impl Policy {
    /// An environment with this policy at the wheel, for the episode of `seed`.
    pub fn start(self, world: &World, root: u64, seed: u64) -> Result<Box<dyn Driven>, String> {
        Ok(match self {
            Self::Blind(blind) => {
                let env = world.make()?;
                let actions = Actions::of(env.action_space());
                let driver = blind.driver(&actions, root, seed);
                Box::new(BlindDriven {
                    env,
                    actions,
                    driver,
                })
            }
            Self::Scripted { noise } => Box::new(Scripted::new(world, noise, root, seed)?),
        })
    }

    /// Whole episodes on `seeds`, on all threads; `None` if interrupted.
    pub fn outcomes(
        self,
        world: &World,
        root: u64,
        seeds: std::ops::Range<u64>,
        stop: &Interrupt,
        done: &(dyn Fn(&Outcome) + Sync),
    ) -> Result<Option<Vec<Outcome>>, String> {
        let drive = |seed| {
            let mut world = self.start(world, root, seed)?;
            watch(world.as_mut(), seed, stop, &mut |_, _, _| Ok(())).inspect(done)
        };
        let all: Result<Vec<Outcome>, String> = seeds.into_par_iter().map(drive).collect();
        Ok(Some(all?).filter(|_| !stop.is_set()))
    }
}

/// Sees the environment, the frame and the outcome so far before every step.
pub type EpisodeObserver<'a> =
    &'a mut dyn FnMut(&mut dyn Env, &[u8], &Outcome) -> Result<(), String>;

/// Drives the episode of `seed` to its end (or until interrupted) before the eyes of `observe`.
pub fn watch(
    world: &mut dyn Driven,
    seed: u64,
    stop: &Interrupt,
    observe: EpisodeObserver<'_>,
) -> Result<Outcome, String> {
    let mut frame = vec![0; world.env().observation_space().len()];
    let mut action = vec![0.0; world.actions().width()];
    let mut outcome = Outcome::default();
    world
        .env()
        .reset(seed, ObservationMut::Frame(&mut frame))
        .map_err(|e| e.to_string())?;
    while !stop.is_set() {
        observe(world.env(), &frame, &outcome)?;
        world.act(&frame, &mut action)?;
        let step = step(world, &action, &mut frame)?;
        outcome.add(step);
        if step.done() {
            break;
        }
    }
    Ok(outcome)
}

struct BlindDriven {
    env: Box<dyn Env>,
    actions: Actions,
    driver: BlindDriver,
}

impl Driven for BlindDriven {
    fn env(&mut self) -> &mut dyn Env {
        self.env.as_mut()
    }

    fn actions(&self) -> &Actions {
        &self.actions
    }

    fn act(&mut self, _: &[u8], action: &mut [f32]) -> Result<(), String> {
        self.driver.act(action);
        Ok(())
    }
}

impl Driven for Scripted {
    fn env(&mut self) -> &mut dyn Env {
        Scripted::env(self)
    }

    fn actions(&self) -> &Actions {
        &Actions::CarRacing
    }

    fn act(&mut self, _: &[u8], action: &mut [f32]) -> Result<(), String> {
        Scripted::act(self, action)
    }
}

/// An agent at the wheel, one episode at a time. Many at once are [`ActingModel::drive`]'s.
pub struct AgentDriven<'a> {
    env: Box<dyn Env>,
    model: &'a ActingModel,
    controller: &'a LinearController,
    latent: Vec<f32>,
    state: Vec<f32>,
    vision: EncoderScratch,
    memory: Scratch,
}

impl<'a> AgentDriven<'a> {
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

impl Driven for AgentDriven<'_> {
    fn env(&mut self) -> &mut dyn Env {
        self.env.as_mut()
    }

    fn actions(&self) -> &Actions {
        &self.model.actions
    }

    fn act(&mut self, frame: &[u8], action: &mut [f32]) -> Result<(), String> {
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
