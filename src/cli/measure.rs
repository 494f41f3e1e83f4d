//! `frmdn bench`: rates of this machine, which `plan` uses too.

use std::{
    sync::atomic::AtomicU64,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use frmdn_env::ObservationMut;

use super::table::table;
use crate::{
    controller::LinearController,
    memory,
    rollout::{ActingModel, Blind, DriveOptions, Job},
    run::{Interrupt, Preset},
    vision::Vae,
    worlds::{self, WorldOptions},
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
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Time one measurement takes at least.
const SPAN: Duration = Duration::from_secs(3);

/// Steps per second of one environment on one core, resets included, with Brownian actions.
pub fn env_rate(environment: &str) -> Result<f64> {
    let mut env = worlds::make(environment, WorldOptions::default()).map_err(|e| anyhow!(e))?;
    let mut observation = vec![0; env.observation_space().len()];
    let mut action = vec![0.0; env.action_space().len()];
    let (began, mut steps) = (Instant::now(), 0u64);
    for seed in 0.. {
        let mut driver = Blind::Brownian.driver(0, seed);
        env.reset(seed, ObservationMut::Frame(&mut observation))?;
        loop {
            driver.act(&mut action);
            steps += 1;
            if env.step(&action, ObservationMut::Frame(&mut observation))?.done() {
                break;
            }
        }
        if began.elapsed() >= SPAN {
            break;
        }
    }
    Ok(steps as f64 / began.elapsed().as_secs_f64())
}

/// Frames per second of the whole acting loop (environment, V, M, C) on `threads` threads.
pub fn acting_rate(preset: &Preset, threads: usize) -> Result<f64> {
    let vision = preset.vision.model;
    let encoder = Vae::init(vision, 1).encoder();
    let config = &preset.memory.model;
    let weights = memory::init(config, vision.latent, 3, 1);
    let memory = memory::load(config, vision.latent, 3, &weights)?;
    let model = ActingModel { encoder, memory, latent: vision.latent, actions: 3 };
    let count = LinearController::count(model.features(), 3);
    let controller = LinearController::new(model.features(), 3, vec![0.0; count]);
    let make = || worlds::make(&preset.environment, WorldOptions::default());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let (began, mut frames) = (Instant::now(), 0);
    for round in 0.. {
        let first = round * 16 * threads as u64;
        let jobs: Vec<Job<'_>> = (first..first + 16 * threads as u64).map(|seed| Job { controller: &controller, seed }).collect();
        // Straight ahead at half gas leaves the field after a few hundred steps; all lanes stay busy until then.
        let options = DriveOptions { give_up_after: Some(150), max_steps: 1000 };
        let outcomes =
            pool.install(|| model.drive(&make, &jobs, options, &Interrupt::default(), &AtomicU64::new(0))).map_err(|e| anyhow!(e))?;
        frames += outcomes.iter().flatten().map(|o| u64::from(o.steps)).sum::<u64>();
        if began.elapsed() >= SPAN {
            break;
        }
    }
    Ok(frames as f64 / began.elapsed().as_secs_f64())
}

pub fn bench(args: &BenchArgs) -> Result<()> {
    let preset = Preset::resolve(&args.preset, &[])?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut parts = serde_json::Map::new();
    let mut rows = Vec::new();
    if args.part != Part::Acting {
        let rate = env_rate(&preset.environment)?;
        parts.insert("env".into(), serde_json::json!({ "frames_per_core_second": rate }));
        rows.push(vec![format!("env ({}, 64×64)", preset.environment), format!("{rate:.0}"), "–".into()]);
    }
    if args.part != Part::Env {
        let one = acting_rate(&preset, 1)?;
        let all = acting_rate(&preset, cores)?;
        parts.insert("acting".into(), serde_json::json!({ "frames_per_core_second": one, "threads": cores, "scaling": all / one }));
        rows.push(vec![format!("acting ({})", args.preset), format!("{one:.0}"), format!("{:.2}× on {cores} cores", all / one)]);
    }
    if args.json {
        println!("{}", serde_json::Value::Object(parts));
    } else {
        println!("{}", table(&["part", "frames per core and second", "scaling"], &rows));
    }
    Ok(())
}
