//! Collection: episodes of the real environment, one file each.

use std::{
    io::Write,
    ops::ControlFlow,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use frmdn_env::{EnvSpec, ObservationSpace, Step};
use rayon::prelude::*;

use super::{Context, controller};
use crate::{
    agent::{self, Agent},
    controller::Actions,
    pilot::Pilot,
    rollout::{DriveOptions, Driver, Job, Moment, Policy, Seen, Watcher, Who},
    run::{
        DriverName, Episode, Interrupt, Observed, Result, RunError, RunFolder, seeds,
        write_atomically,
    },
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
    let own = match preset.collect.own {
        0 => None,
        _ => Some(controller::candidates(folder, &world)?),
    };
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
        let (steps, seed) = (preset.collect.steps, seeds::COLLECT.start + index as u64);
        let episode = match &own {
            Some((model, candidates)) if index >= preset.collect.driven() => {
                let candidate = &candidates[index % candidates.len()];
                let driver = Driver::new(&world, context.stop).with_model(model);
                let is_disturbed = preset.controller.dreams.as_ref().is_some_and(|dreams| {
                    (index - preset.collect.driven()) % dreams.episodes < dreams.disturbed
                });
                let who = match is_disturbed {
                    true => Who::Disturbed(candidate, preset.seed),
                    false => Who::Controller(candidate),
                };
                drivers.record_by(driver, Job::of(who, seed), steps)?
            }
            _ => drivers.record(preset.collect.driver(index), steps, seed)?,
        };
        // Ctrl-C ends the driving of candidates at once.
        if context.stop.is_set() && own.is_some() {
            return Ok(());
        }
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

/// Probability that a step begins a disturbance of the planner.
const PLANNER_NOISE: f32 = 0.02;

/// The drivers of a preset in its world.
pub struct Drivers<'a> {
    world: &'a World,
    observation: ObservationSpace,
    action_len: usize,
    give_up_after: Option<u32>,
    /// Number of the measurement that is recorded.
    measured: Option<usize>,
    list: Vec<Pilot>,
}

impl<'a> Drivers<'a> {
    /// Loads those that need files. These are copied into the folder, so that all episodes have the
    /// same drivers whatever happens to the original ones.
    pub fn new(folder: &RunFolder, world: &'a World) -> Result<Self> {
        let root = folder.preset().seed;
        let mut list = Vec::new();
        for (number, name) in folder.preset().collect.policies().iter().enumerate() {
            let own = folder.path(&format!("drivers/{number}"));
            list.push(match name {
                DriverName::Agent(path) => {
                    let copy = own.join(agent::FILE);
                    if !copy.exists() {
                        Agent::keep(path, &copy)?;
                    }
                    Pilot::load(&DriverName::Agent(own), world, root, None)?
                }
                DriverName::Recorded(path) => {
                    let copy = own.join(path.file_name().unwrap_or_default());
                    if !copy.exists() {
                        let bytes = std::fs::read(path).map_err(RunError::io("read", path))?;
                        write_atomically(&copy, |w| w.write_all(&bytes))?;
                    }
                    Pilot::load(&DriverName::Recorded(copy), world, root, None)?
                }
                DriverName::Scripted => {
                    let noise = SCRIPTED_NOISE;
                    Pilot::Policy(Policy::Scripted { noise }, root)
                }
                DriverName::Planner => {
                    let noise = PLANNER_NOISE;
                    Pilot::Policy(Policy::Planner { noise }, root)
                }
                name => Pilot::load(name, world, root, Some(folder.root()))?,
            });
        }
        let spec = world.spec()?;
        let after = folder.preset().collect.give_up_after;
        Ok(Self {
            give_up_after: (after > 0).then_some(after),
            measured: recorded_measurement(&folder.preset().memory.auxiliary, &spec)?,
            world,
            observation: spec.observation,
            action_len: Actions::of(&spec).width(),
            list,
        })
    }

    /// Driver number `driver` drives at most `steps` steps of the episode of `seed`.
    pub fn record(&self, driver: usize, steps: usize, seed: u64) -> Result<Episode> {
        let pilot = &self.list[driver];
        // Ctrl-C ends the collection between two episodes.
        let never = Interrupt::default();
        self.record_by(pilot.driver(self.world, &never), pilot.job(seed), steps)
    }

    /// The same of a job of `driver`.
    fn record_by(&self, driver: Driver<'_>, job: Job<'_>, steps: usize) -> Result<Episode> {
        let mut recorder = Recorder {
            steps,
            measured: self.measured,
            episode: Episode {
                seed: job.seed,
                observed: Observed::none(self.observation),
                action_len: self.action_len,
                actions: Vec::new(),
                values: Vec::new(),
                rewards: Vec::new(),
                measured: Vec::new(),
                terminated: false,
            },
        };
        let options = DriveOptions {
            give_up_after: self.give_up_after,
            ..DriveOptions::default()
        };
        driver.with_options(options).watch(job, &mut recorder)?;
        Ok(recorder.episode)
    }
}

/// The number of the measurement `name` of an environment; none where it is empty.
fn recorded_measurement(name: &str, spec: &EnvSpec) -> Result<Option<usize>> {
    if name.is_empty() {
        return Ok(None);
    }
    let names: Vec<&str> = spec.measurements.iter().map(|m| m.name.as_ref()).collect();
    match names.iter().position(|known| *known == name) {
        Some(number) => Ok(Some(number)),
        None => Err(RunError::Config(format!(
            "memory.auxiliary = \"{name}\": this environment measures no such thing; it measures {}",
            names.join(", ")
        ))),
    }
}

/// Records an episode of at most so many steps.
struct Recorder {
    steps: usize,
    /// Number of the measurement that is recorded.
    measured: Option<usize>,
    episode: Episode,
}

impl Recorder {
    fn observe(&mut self, seen: Seen<'_>) {
        match (&mut self.episode.observed, seen) {
            (Observed::Frames { bytes, .. }, Seen::Frame(frame)) => bytes.extend_from_slice(frame),
            (Observed::Latents { values, .. }, Seen::Latent(z)) => values.extend_from_slice(z),
            _ => unreachable!("an environment has observations of one kind"),
        }
    }
}

impl Watcher for Recorder {
    fn before(&mut self, moment: Moment<'_>) -> Result<ControlFlow<()>> {
        if moment.outcome.steps == 0 {
            self.observe(moment.seen);
        }
        if self.episode.steps() == self.steps {
            return Ok(ControlFlow::Break(()));
        }
        self.episode.add(moment.action, moment.values);
        Ok(ControlFlow::Continue(()))
    }

    fn after(&mut self, step: &Step, seen: Seen<'_>) -> Result<()> {
        self.observe(seen);
        self.episode.rewards.push(step.reward as f32);
        if let Some(number) = self.measured {
            self.episode.measured.push(step.measured[number] as f32);
        }
        self.episode.terminated = step.terminated;
        Ok(())
    }
}
