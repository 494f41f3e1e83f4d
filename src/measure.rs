//! Rates of this machine: `bench` prints them, and `plan` estimates times from them.
//!
//! Every rate is measured over whole calls as the stages make them, on a rayon pool of a given
//! number of threads, for two seconds or more.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use frmdn_cma_es::{CmaError, CmaEs, CmaEsConfig};
use frmdn_engine::{
    params::ParamError,
    random::{fill_normal, stream},
};
use frmdn_env::{ActionForm, EnvError, ObservationMut, Step};
use rayon::prelude::*;

use crate::{
    controller::{Actions, Controller},
    device::Device,
    dream::{DreamConfig, Start, dream, dream_on},
    memory::{
        self, MemoryConfig, MemoryTrainer, NoPrediction, SequenceBatch,
        definition::MemoryDefinition,
    },
    rollout::{
        ActingModel, DriveError, DriveOptions, Driver, Job, Moment, OpenLoop, Seen, Watcher,
    },
    run::{self, ControllerConfig, Interrupt, Preset, RunError},
    vision::{self, EncoderScratch, FRAME, Vae, VaeConfig, VaeTrainer, VaeTrainerConfig},
    worlds::{World, WorldError},
};

/// Shortest duration of a measurement.
const MIN_DURATION: Duration = Duration::from_secs(2);

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The threads could not be started.
    #[error(transparent)]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// The environment could not be made.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The environment refused a call.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// An episode could not be driven.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// An update of V was not finite.
    #[error(transparent)]
    Vision(#[from] vision::NonFinite),
    /// An update of M was not finite.
    #[error(transparent)]
    Memory(#[from] memory::NonFinite),
    /// Weights do not fit their model.
    #[error(transparent)]
    Params(#[from] ParamError),
    /// The memory cannot dream.
    #[error(transparent)]
    NoPrediction(#[from] NoPrediction),
    /// The optimiser refused its settings or a loss.
    #[error(transparent)]
    Cma(#[from] CmaError),
}

impl From<MeasureError> for RunError {
    fn from(error: MeasureError) -> Self {
        match error {
            MeasureError::World(error) => Self::World(error),
            MeasureError::Env(error) => Self::Env(error),
            MeasureError::Drive(error) => error.into(),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// A measurement, or why it failed.
pub type Measured<T> = Result<T, MeasureError>;

fn pool(threads: usize) -> Measured<rayon::ThreadPool> {
    Ok(rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()?)
}

/// Calls of `work` per second. The first one, which also allocates, is not counted.
fn calls(mut work: impl FnMut(u64) -> Measured<()>) -> Measured<f64> {
    work(0)?;
    let (began, mut n) = (Instant::now(), 0);
    while n < 2 || began.elapsed() < MIN_DURATION {
        n += 1;
        work(n)?;
    }
    Ok(n as f64 / began.elapsed().as_secs_f64())
}

/// Speed of an environment.
#[derive(Clone, Copy, Debug)]
pub struct EnvRate {
    /// Steps per second of all threads together, with the time of resets.
    pub steps: f64,
    /// Mean time of a reset, in milliseconds.
    pub reset: f64,
}

/// Speed of `threads` environments, each on its own thread, with Brownian actions.
///
/// # Errors
/// If an environment cannot be made or fails.
pub fn environment(world: &World, threads: usize) -> Measured<EnvRate> {
    let drive = |thread: usize| -> Measured<(u64, u64, Duration)> {
        let mut env = world.make()?;
        let actions = Actions::of(env.spec());
        let mut observation = vec![0; env.observation_space().len()];
        let (mut action, mut index) = (vec![0.0; actions.width()], [0.0]);
        let (mut steps, mut resets, mut resetting) = (0u64, 0, Duration::ZERO);
        let began = Instant::now();
        for seed in (thread as u64..).step_by(threads) {
            let mut driver = OpenLoop::Brownian.driver(&actions, 0, seed);
            let before = Instant::now();
            env.reset(seed, ObservationMut::Frame(&mut observation))?;
            resetting += before.elapsed();
            resets += 1;
            loop {
                driver.act(&mut action);
                steps += 1;
                // Also ends within an episode, so that all threads end at the same time.
                let over = began.elapsed() >= MIN_DURATION;
                let action = actions.for_env(&action, &mut index);
                let step = env.step(action, ObservationMut::Frame(&mut observation))?;
                if step.done() || over {
                    break;
                }
            }
            if began.elapsed() >= MIN_DURATION {
                break;
            }
        }
        Ok((steps, resets, resetting))
    };
    // Before the clock: this starts the servers of a gym: environment.
    world.spec()?;
    let began = Instant::now();
    let parts: Vec<_> = pool(threads)?.install(|| {
        (0..threads)
            .into_par_iter()
            .with_max_len(1)
            .map(drive)
            .collect::<Measured<_>>()
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let steps: u64 = parts.iter().map(|p| p.0).sum();
    let resets: u64 = parts.iter().map(|p| p.1).sum();
    let resetting: Duration = parts.iter().map(|p| p.2).sum();
    Ok(EnvRate {
        steps: steps as f64 / seconds,
        reset: resetting.as_secs_f64() * 1e3 / resets as f64,
    })
}

/// Frames per second of V's encoder on one thread, with `batch` frames per call.
///
/// # Errors
/// Never; the type is that of the other measurements.
pub fn encoder(config: VaeConfig, batch: usize) -> Measured<f64> {
    let encoder = Vae::init(config, 1).encoder();
    let frames = noise(batch);
    let (mut scratch, mut mean) = (EncoderScratch::default(), vec![0.0; batch * config.latent]);
    let rate = calls(|_| {
        encoder.encode(&mut scratch, &frames, &mut mean);
        Ok(())
    })?;
    Ok(rate * batch as f64)
}

/// Frames of pseudo-random bytes.
fn noise(frames: usize) -> Vec<u8> {
    (0..frames * FRAME)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8)
        .collect()
}

/// Frames per second of V's training with `batch` frames per update.
///
/// # Errors
/// If an update is not finite.
pub fn vision(config: VaeConfig, batch: usize, threads: usize, device: &Device) -> Measured<f64> {
    let mut trainer =
        VaeTrainer::new(&Vae::init(config, 1), VaeTrainerConfig::default()).on(device.burn());
    let frames = noise(batch);
    let rate = pool(threads)?.install(|| {
        calls(|n| {
            trainer.step(&frames, 1e-4, n, 1)?;
            Ok(())
        })
    })?;
    Ok(rate * batch as f64)
}

/// Steps of sequences per second of M's training, with `shape` = [steps, sequences] per update; 0
/// for a variant without training.
///
/// # Errors
/// If an update is not finite.
pub fn memory(
    config: &MemoryConfig,
    latent: usize,
    actions: usize,
    shape: [usize; 2],
    threads: usize,
    device: &Device,
) -> Measured<f64> {
    if !config.is_trained() {
        return Ok(0.0);
    }
    let [sequence, batch] = shape;
    let mut trainer = MemoryTrainer::new(config, latent, actions, 1).on(device.burn());
    let mut data = SequenceBatch::zeros(sequence, batch, latent, actions);
    let mut rng = stream(1, "measure/memory", &[]);
    for part in [
        &mut data.seen,
        &mut data.next,
        &mut data.given,
        &mut data.targets.reward,
    ] {
        fill_normal(&mut rng, part);
    }
    data.mask.fill(1.0);
    let rate = pool(threads)?.install(|| {
        calls(|n| {
            trainer.step(&data, 1e-4, n)?;
            Ok(())
        })
    })?;
    Ok(rate * (sequence * batch) as f64)
}

/// A model of the preset's sizes with initial weights.
fn model(preset: &Preset, actions: Actions) -> Measured<ActingModel> {
    let vision = preset.vision.model;
    let (config, width) = (&preset.memory.model, actions.width());
    let weights = memory::init(config, vision.latent, width, 1);
    let memory = memory::load(config, vision.latent, width, &weights)?;
    Ok(ActingModel {
        encoder: Some(Vae::init(vision, 1).encoder()),
        memory,
        latent: vision.latent,
        actions,
    })
}

/// Frames per second of the whole acting loop (environment, V, M, C) on `threads` threads.
///
/// # Errors
/// If the environment cannot be made or fails.
pub fn acting(preset: &Preset, world: &World, threads: usize) -> Measured<f64> {
    let model = model(preset, Actions::of(&world.spec()?))?;
    let (features, width) = (model.features(), model.actions.width());
    let controller = Controller::new(
        features,
        width,
        vec![0.0; Controller::count(features, width)],
    );
    let pool = pool(threads)?;
    let stop = Interrupt::default();
    let (began, mut frames) = (Instant::now(), 0);
    for round in 0.. {
        // Several episodes per lane: as in a generation, only the last ones leave lanes empty.
        let count = 64 * threads as u64;
        let jobs: Vec<Job<'_>> = (round * count..(round + 1) * count)
            .map(|seed| Job::of(&controller, seed))
            .collect();
        // Straight ahead at half gas leaves the road soon.
        let options = DriveOptions {
            give_up_after: Some(150),
            ..DriveOptions::default()
        };
        let driver = Driver::new(world, &stop).with_model(&model);
        let outcomes = pool.install(|| driver.with_options(options).drive(&jobs))?;
        frames += outcomes
            .iter()
            .flatten()
            .map(|o| u64::from(o.steps))
            .sum::<u64>();
        if began.elapsed() >= MIN_DURATION {
            break;
        }
    }
    Ok(frames as f64 / began.elapsed().as_secs_f64())
}

/// Milliseconds from a frame to the next one with a single environment: the median and the 99 %
/// quantile.
///
/// # Errors
/// If the environment cannot be made or fails.
pub fn acting_step(preset: &Preset, world: &World) -> Measured<[f64; 2]> {
    let model = model(preset, Actions::of(&world.spec()?))?;
    let (features, width) = (model.features(), model.actions.width());
    let controller = Controller::new(
        features,
        width,
        vec![0.0; Controller::count(features, width)],
    );
    let stop = Interrupt::default();
    let driver = Driver::new(world, &stop).with_model(&model);
    let mut clock = Clock {
        last: None,
        times: Vec::new(),
    };
    let began = Instant::now();
    for seed in 0.. {
        clock.last = None;
        driver.watch(Job::of(&controller, seed), &mut clock)?;
        if began.elapsed() >= MIN_DURATION {
            break;
        }
    }
    let mut times = clock.times;
    times.sort_by(f64::total_cmp);
    Ok([times[times.len() / 2], times[times.len() * 99 / 100]])
}

/// Takes the time from one frame to the next, of the first 500 steps of an episode.
struct Clock {
    /// When the last frame came.
    last: Option<Instant>,
    /// Milliseconds.
    times: Vec<f64>,
}

impl Watcher for Clock {
    fn before(&mut self, moment: Moment<'_>) -> run::Result<ControlFlow<()>> {
        Ok(match moment.outcome.steps {
            500 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
    }

    fn after(&mut self, _: &Step, _: Seen<'_>) -> run::Result<()> {
        if let Some(last) = self.last {
            self.times.push(last.elapsed().as_secs_f64() * 1e3);
        }
        self.last = Some(Instant::now());
        Ok(())
    }
}

/// Starts of a controller in dreams.
pub const STARTS: usize = 16;

/// Steps per second of dreams: controllers from 16 starts each, `rows` dreams in total.
///
/// # Errors
/// If the memory cannot dream.
pub fn dreaming(
    config: &MemoryConfig,
    latent: usize,
    actions: &Actions,
    rows: usize,
    threads: usize,
    device: &Device,
) -> Measured<f64> {
    let steps = 50;
    let dream = dreams(config, latent, actions, rows, steps, device)?;
    let rate = pool(threads)?.install(|| calls(dream))?;
    Ok(rate * rows.next_multiple_of(STARTS) as f64 * f64::from(steps))
}

/// Candidates and steps of [`dreamt_generation`].
pub const DREAMT: (usize, u32) = (64, 1000);

/// Seconds of a generation in dreams, the shorter one of two: 64 candidates, each in 16 dreams of
/// 1,000 steps, on the engine.
///
/// # Errors
/// If the memory cannot dream.
pub fn dreamt_generation(
    config: &MemoryConfig,
    latent: usize,
    actions: &Actions,
    threads: usize,
) -> Measured<f64> {
    let (candidates, steps) = DREAMT;
    let engine = Device::default();
    let dream = dreams(config, latent, actions, candidates * STARTS, steps, &engine)?;
    pool(threads)?.install(|| {
        let mut seconds = f64::INFINITY;
        for seed in 0..2 {
            let began = Instant::now();
            dream(seed)?;
            seconds = seconds.min(began.elapsed().as_secs_f64());
        }
        Ok(seconds)
    })
}

/// Dreams by seed: controllers from 16 starts each, `rows` dreams in total, of `steps` steps, none
/// of which ends before.
fn dreams<'a>(
    config: &'a MemoryConfig,
    latent: usize,
    actions: &'a Actions,
    rows: usize,
    steps: u32,
    device: &'a Device,
) -> Measured<impl Fn(u64) -> Measured<()> + Send + 'a> {
    let weights = memory::init(config, latent, actions.width(), 1);
    let memory = memory::load(config, latent, actions.width(), &weights)?;
    let features = latent + memory.hidden_len();
    let controllers: Vec<Controller> = (0..rows.div_ceil(STARTS) as u64)
        .map(|i| {
            let mut weights = vec![0.0; Controller::count(features, actions.width())];
            fill_normal(&mut stream(1, "measure/dream", &[i]), &mut weights);
            weights.iter_mut().for_each(|w| *w *= 0.1);
            Controller::new(features, actions.width(), weights)
        })
        .collect();
    let starts: Vec<Start> = (0..STARTS as u64)
        .map(|chances| Start {
            latent: vec![0.0; latent],
            state: vec![0.0; memory.state_len()],
            chances,
        })
        .collect();
    Ok(move |seed| {
        let dreams = DreamConfig {
            steps,
            temperature: 1.0,
            seed,
            ends: false,
            dropout: 0.0,
        };
        let controllers: Vec<&Controller> = controllers.iter().collect();
        match device.burn() {
            None => {
                dream(memory.as_ref(), actions, &controllers, &starts, dreams)?;
            }
            Some(device) => {
                let definition =
                    MemoryDefinition::new(config, latent, actions.width(), &weights, device)?;
                dream_on(&definition, actions, &controllers, &starts, dreams, device);
            }
        }
        Ok(())
    })
}

/// Cost of one generation of controllers in the real environment.
#[derive(Clone, Copy, Debug)]
pub struct Generation {
    /// Number of candidates.
    pub candidates: usize,
    /// Number of episodes of each.
    pub episodes: usize,
    /// Number of frames of all of them.
    pub frames: u64,
    /// Seconds of driving.
    pub driving: f64,
    /// Seconds of the optimiser, ask and tell.
    pub optimiser: f64,
}

/// One generation of 64 candidates with 4 episodes each around a controller that drives slowly
/// ahead. No episode is given up.
///
/// # Errors
/// If the environment cannot be made or fails, or if the optimiser refuses the preset's settings.
pub fn generation(preset: &Preset, world: &World, threads: usize) -> Measured<Generation> {
    let model = model(preset, Actions::of(&world.spec()?))?;
    let (features, width) = (model.features(), model.actions.width());
    let dimension = Controller::count(features, width);
    let (candidates, episodes) = (64, 4);
    let ControllerConfig {
        covariance,
        recombination,
        ..
    } = preset.controller;
    let config = CmaEsConfig {
        dimension,
        population: Some(candidates),
        sigma0: 0.02,
        covariance,
        recombination,
        seed: preset.seed,
    };
    let mut optimiser = CmaEs::new(config)?;
    // The first generation also allocates: the second one is measured.
    let mut cost = Duration::ZERO;
    let mut asked = Vec::new();
    for _ in 0..2 {
        let before = Instant::now();
        asked = optimiser.ask();
        cost = before.elapsed();
        let losses: Vec<f64> = asked
            .iter()
            .map(|x| x.iter().map(|v| v * v).sum())
            .collect();
        let before = Instant::now();
        optimiser.tell(&losses)?;
        cost += before.elapsed();
    }
    let drivers: Vec<Controller> = asked
        .iter()
        .map(|x| {
            let mut weights: Vec<f32> = x.iter().map(|&v| v as f32).collect();
            // A twentieth of the gas: the car moves slowly and the episode lasts to its last step.
            if let Actions::Box { forms, .. } = &model.actions {
                for (i, form) in forms.iter().enumerate() {
                    if matches!(form, ActionForm::ScaledBy { .. }) {
                        weights[(i + 1) * (features + 1) - 1] = -1.5;
                    }
                }
            }
            Controller::new(features, width, weights)
        })
        .collect();
    let jobs: Vec<Job<'_>> = drivers
        .iter()
        .flat_map(|c| (0..episodes as u64).map(move |seed| Job::of(c, seed)))
        .collect();
    let began = Instant::now();
    let stop = Interrupt::default();
    let driver = Driver::new(world, &stop).with_model(&model);
    let outcomes = pool(threads)?.install(|| driver.drive(&jobs))?;
    let frames = outcomes.iter().flatten().map(|o| u64::from(o.steps)).sum();
    Ok(Generation {
        candidates,
        episodes,
        frames,
        driving: began.elapsed().as_secs_f64(),
        optimiser: cost.as_secs_f64(),
    })
}
