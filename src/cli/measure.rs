//! `frmdn bench`: rates of this machine, which `plan` uses too.

use std::{
    sync::atomic::AtomicU64,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use frmdn_env::ObservationMut;
use rayon::prelude::*;
use serde_json::json;

use super::table::table;
use crate::{
    controller::{Actions, LinearController},
    memory,
    rollout::{ActingModel, Blind, DriveOptions, Job},
    run::{Interrupt, Preset, RunError},
    stages::Context,
    vision::Vae,
    worlds::{Frames, World},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Env,
    Acting,
    All,
}

#[derive(Args, Debug)]
pub struct BenchArgs {
    /// What to measure.
    #[arg(value_enum, default_value = "all")]
    part: Part,
    /// The preset whose widths are used; the full widths of Ha & Schmidhuber by default.
    #[arg(long, default_value = "car-racing-frmdn")]
    preset: String,
    /// Another environment than the preset's: car-racing, or gym:ID, with options after commas.
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Time one measurement takes at least.
const SPAN: Duration = Duration::from_secs(3);

/// What an environment costs.
#[derive(Clone, Copy, Debug)]
pub struct EnvRate {
    /// Steps per second of all threads together, resets included.
    pub steps: f64,
    /// Mean time of a reset, in milliseconds.
    pub reset: f64,
}

/// Rate of `threads` environments, each on a thread of its own, with Brownian actions.
pub fn env_rate(world: &World, threads: usize) -> Result<EnvRate> {
    let drive = |thread: usize| -> Result<(u64, u64, Duration)> {
        let mut env = world.make().map_err(|e| anyhow!(e))?;
        let actions = Actions::of(env.action_space());
        let mut observation = vec![0; env.observation_space().len()];
        let (mut action, mut index) = (vec![0.0; actions.width()], [0.0]);
        let (mut steps, mut resets, mut resetting) = (0u64, 0, Duration::ZERO);
        let began = Instant::now();
        for seed in (thread as u64..).step_by(threads) {
            let mut driver = Blind::Brownian.driver(&actions, 0, seed);
            let before = Instant::now();
            env.reset(seed, ObservationMut::Frame(&mut observation))?;
            resetting += before.elapsed();
            resets += 1;
            loop {
                driver.act(&mut action);
                steps += 1;
                // Stopped within an episode, so that no thread works on when the others are done.
                let over = began.elapsed() >= SPAN;
                if env.step(actions.for_env(&action, &mut index), ObservationMut::Frame(&mut observation))?.done() || over {
                    break;
                }
            }
            if began.elapsed() >= SPAN {
                break;
            }
        }
        Ok((steps, resets, resetting))
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    // Once before: the servers of a gym: environment start, and memory is touched.
    world.action_space().map_err(|e| anyhow!(e))?;
    let began = Instant::now();
    let parts: Vec<_> = pool.install(|| (0..threads).into_par_iter().with_max_len(1).map(drive).collect::<Result<_>>())?;
    let seconds = began.elapsed().as_secs_f64();
    let steps: u64 = parts.iter().map(|p| p.0).sum();
    let resets: u64 = parts.iter().map(|p| p.1).sum();
    let resetting: Duration = parts.iter().map(|p| p.2).sum();
    Ok(EnvRate { steps: steps as f64 / seconds, reset: resetting.as_secs_f64() * 1e3 / resets as f64 })
}

/// Frames per second of the whole acting loop (environment, V, M, C) on `threads` threads.
pub fn acting_rate(preset: &Preset, world: &World, threads: usize) -> Result<f64> {
    let vision = preset.vision.model;
    let encoder = Vae::init(vision, 1).encoder();
    let config = &preset.memory.model;
    let actions = Actions::of(&world.action_space().map_err(RunError::Failed)?);
    let width = actions.width();
    let weights = memory::init(config, vision.latent, width, 1);
    let memory = memory::load(config, vision.latent, width, &weights)?;
    let model = ActingModel { encoder, memory, latent: vision.latent, actions };
    let count = LinearController::count(model.features(), width);
    let controller = LinearController::new(model.features(), width, vec![0.0; count]);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let (began, mut frames) = (Instant::now(), 0);
    for round in 0.. {
        let first = round * 16 * threads as u64;
        let jobs: Vec<Job<'_>> = (first..first + 16 * threads as u64).map(|seed| Job { controller: &controller, seed }).collect();
        // Straight ahead at half gas leaves the field after a few hundred steps; all lanes stay busy until then.
        let options = DriveOptions { give_up_after: Some(150), max_steps: 1000 };
        let outcomes =
            pool.install(|| model.drive(world, &jobs, options, &Interrupt::default(), &AtomicU64::new(0))).map_err(|e| anyhow!(e))?;
        frames += outcomes.iter().flatten().map(|o| u64::from(o.steps)).sum::<u64>();
        if began.elapsed() >= SPAN {
            break;
        }
    }
    Ok(frames as f64 / began.elapsed().as_secs_f64())
}

pub fn bench(args: &BenchArgs, context: &Context<'_>) -> Result<()> {
    let preset = Preset::resolve(&args.preset, &[])?;
    let name = args.env.as_ref().unwrap_or(&preset.environment);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut parts = serde_json::Map::new();
    let mut rows = Vec::new();
    if args.part != Part::Acting {
        for (key, what, frames) in [("env", "agent's view, 64×64", Frames::Agent), ("env_whole_frame", "whole frame", Frames::Whole)] {
            let world = World::open_with(name, context.bridge, frames, true).map_err(RunError::Failed)?;
            let (one, all) = (env_rate(&world, 1)?, env_rate(&world, cores)?);
            let scaling = all.steps / one.steps;
            parts.insert(
                key.into(),
                json!({ "frames_per_core_second": one.steps, "threads": cores, "scaling": scaling, "reset_ms": one.reset }),
            );
            let note = format!("{scaling:.2}× on {cores} cores; a reset takes {:.2} ms", one.reset);
            rows.push(vec![format!("env ({name}, {what})"), format!("{:.0}", one.steps), note]);
        }
    }
    if args.part != Part::Env {
        let world = context.world(name)?;
        let one = acting_rate(&preset, &world, 1)?;
        let all = acting_rate(&preset, &world, cores)?;
        parts.insert("acting".into(), json!({ "frames_per_core_second": one, "threads": cores, "scaling": all / one }));
        rows.push(vec![format!("acting ({})", args.preset), format!("{one:.0}"), format!("{:.2}× on {cores} cores", all / one)]);
    }
    if args.json {
        println!("{}", serde_json::Value::Object(parts));
    } else {
        println!("{}", table(&["part", "frames per core and second", "scaling"], &rows));
    }
    Ok(())
}
