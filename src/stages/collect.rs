//! Collection: episodes of the real environment, one file each.

use std::{
    ops::ControlFlow,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use frmdn_env::Step;
use rayon::prelude::*;

use super::Context;
use crate::{
    agent::{self, Agent},
    controller::LinearController,
    rollout::{ActingModel, Actor, AgentActor, Moment, Policy, Watcher, watch},
    run::{DriverName, Episode, FIRST, Interrupt, Result, RunFolder, seeds},
    worlds::World,
};

/// Records the episodes that are missing. Episode `i` has training seed `i` and its own random
/// stream.
pub fn collect(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    let preset = folder.preset();
    let store = folder.episodes();
    let missing: Vec<usize> = (0..preset.collect.episodes)
        .filter(|&i| !store.has(i))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut world = context.world(&preset.environment)?;
    if preset.collect.random_start {
        world = world.with_random_start()?;
    }
    let drivers = Drivers::new(folder, &world)?;
    let total = (preset.collect.episodes * preset.collect.steps) as u64;
    let done = AtomicU64::new(total - (missing.len() * preset.collect.steps) as u64);
    context
        .report
        .begin("collect", "frames", done.load(Ordering::Relaxed), total);
    let returns = Mutex::new(Vec::new());
    let outcome: Result<()> = missing.par_iter().try_for_each(|&index| {
        if context.stop.is_set() {
            return Ok(());
        }
        let episode = drivers.record(
            preset.collect.driver(index),
            preset.collect.steps,
            seeds::COLLECT.start + index as u64,
        )?;
        episode.save(&store.path(index))?;
        let mut returns = returns
            .lock()
            .expect("no thread panics while it holds the lock");
        returns.push(episode.rewards.iter().map(|&r| f64::from(r)).sum::<f64>());
        let mean = returns.iter().sum::<f64>() / returns.len() as f64;
        let now = done.fetch_add(preset.collect.steps as u64, Ordering::Relaxed)
            + preset.collect.steps as u64;
        context
            .report
            .advance(now, &format!("mean return {mean:.1}"));
        Ok(())
    });
    context.report.end();
    outcome?;
    context.check()
}

/// Standard deviation of the noise on the scripted driver's controls.
const SCRIPTED_NOISE: f32 = 0.25;

/// A driver whose episodes are recorded.
enum Driver {
    Policy(Policy),
    Agent(Box<(ActingModel, LinearController)>),
}

/// The drivers of a preset in its world.
pub struct Drivers<'a> {
    world: &'a World,
    root: u64,
    list: Vec<Driver>,
}

impl<'a> Drivers<'a> {
    /// Loads the agents among them. They are copied into the folder, so that all episodes have the
    /// same drivers whatever happens to the original folders.
    pub fn new(folder: &RunFolder, world: &'a World) -> Result<Self> {
        let preset = folder.preset();
        let load = |(number, name): (usize, DriverName)| {
            if let Some(policy) = Policy::named(&name, SCRIPTED_NOISE) {
                return Ok(Driver::Policy(policy));
            }
            let own = match &name {
                DriverName::Agent(path) => {
                    let own = folder.path(&format!("drivers/{number}"));
                    let copy = own.join(agent::FILE);
                    if !copy.exists() {
                        Agent::keep(path, &copy)?;
                    }
                    own
                }
                _ => folder.path(FIRST),
            };
            let agent = Agent::load(&own)?;
            let driver = (agent.acting_model(&world.spec()?)?, agent.controller()?);
            Ok(Driver::Agent(Box::new(driver)))
        };
        Ok(Self {
            world,
            root: preset.seed,
            list: preset
                .collect
                .policies()
                .into_iter()
                .enumerate()
                .map(load)
                .collect::<Result<_>>()?,
        })
    }

    /// Driver number `driver` drives at most `steps` steps of the episode of `seed`.
    pub fn record(&self, driver: usize, steps: usize, seed: u64) -> Result<Episode> {
        match &self.list[driver] {
            Driver::Policy(policy) => drive(
                policy.start(self.world, self.root, seed)?.as_mut(),
                steps,
                seed,
            ),
            Driver::Agent(agent) => {
                let env = self.world.make()?;
                drive(&mut AgentActor::new(env, &agent.0, &agent.1), steps, seed)
            }
        }
    }
}

fn drive(actor: &mut dyn Actor, steps: usize, seed: u64) -> Result<Episode> {
    let mut recorder = Recorder {
        steps,
        episode: Episode {
            seed,
            frame_len: actor.env().observation_space().len(),
            action_len: actor.actions().width(),
            frames: Vec::new(),
            actions: Vec::new(),
            rewards: Vec::new(),
            terminated: false,
        },
    };
    // Ctrl-C ends the collection between two episodes.
    watch(actor, seed, &Interrupt::default(), &mut recorder)?;
    Ok(recorder.episode)
}

/// Records an episode of at most so many steps.
struct Recorder {
    steps: usize,
    episode: Episode,
}

impl Watcher for Recorder {
    fn before(&mut self, moment: Moment<'_>) -> Result<ControlFlow<()>> {
        if moment.outcome.steps == 0 {
            self.episode.frames.extend_from_slice(moment.frame);
        }
        if self.episode.steps() == self.steps {
            return Ok(ControlFlow::Break(()));
        }
        self.episode.actions.extend_from_slice(moment.action);
        Ok(ControlFlow::Continue(()))
    }

    fn after(&mut self, step: &Step, frame: &[u8]) -> Result<()> {
        self.episode.frames.extend_from_slice(frame);
        self.episode.rewards.push(step.reward as f32);
        self.episode.terminated = step.terminated;
        Ok(())
    }
}
