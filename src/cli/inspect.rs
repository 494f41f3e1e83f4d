//! `frmdn inspect`: what is in a run folder or checkpoint.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::{table::table, train};
use crate::{
    agent::Agent,
    controller::LinearController,
    rollout,
    run::{Episode, Metrics, RunError, RunFolder, seeds},
    stages::{self, Context},
};

#[derive(Args, Debug)]
pub struct InspectArgs {
    /// A run folder or a checkpoint.
    dir: PathBuf,
    /// Of car-racing: how an agent drives, by the bends ahead; and, in a run folder, how well the
    /// car's motion can be read off what its controller sees, by a linear map.
    #[arg(long)]
    car: bool,
}

fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return std::fs::metadata(path).map_or(0, |m| m.len());
    };
    entries.flatten().map(|e| size(&e.path())).sum()
}

fn megabytes(path: &Path) -> String {
    format!("{:.1} MB", size(path) as f64 / 1e6)
}

pub fn inspect(args: &InspectArgs, context: &Context<'_>) -> Result<()> {
    if args.car {
        return car(&args.dir, context);
    }
    if !args.dir.join("run.toml").exists() {
        let agent = Agent::load(&args.dir)?;
        println!("an agent for {}", agent.info.environment);
        println!("{}", toml::to_string_pretty(&agent.info)?);
        println!("{}", parts(&agent));
        return Ok(());
    }
    let folder = RunFolder::open(&args.dir)?;
    let preset = folder.preset();
    println!("run folder {}\n\n{}", args.dir.display(), preset.to_toml());
    let store = folder.episodes();
    let there = store.count(preset.collect.episodes);
    let lines = |file: &str| {
        Metrics::read(&folder.path(file)).map(|l| l.last().cloned().unwrap_or_default())
    };
    let (v, m, c) = (
        lines("vision/metrics.jsonl")?,
        lines("memory/metrics.jsonl")?,
        lines("controller/metrics.jsonl")?,
    );
    let rows = vec![
        vec![
            "episodes".into(),
            format!("{there} of {}", preset.collect.episodes),
            megabytes(&folder.path("episodes")),
        ],
        vec![
            "vision".into(),
            format!(
                "update {} of at most {}",
                v["update"], preset.vision.updates
            ),
            megabytes(&folder.path("vision")),
        ],
        vec![
            "latents".into(),
            format!(
                "{} episodes",
                folder.latents().count(preset.collect.episodes)
            ),
            megabytes(&folder.path("latents")),
        ],
        vec![
            "memory".into(),
            format!(
                "update {} of at most {}",
                m["update"], preset.memory.updates
            ),
            megabytes(&folder.path("memory")),
        ],
        vec![
            "controller".into(),
            format!(
                "generation {} of {}",
                c["generation"], preset.controller.generations
            ),
            megabytes(&folder.path("controller")),
        ],
    ];
    println!("{}\n", table(&["part", "state", "on disk"], &rows));
    if let Some(first) = (0..preset.collect.episodes).find(|&i| store.has(i)) {
        let episode = Episode::load(&store.path(first))?;
        let total: f64 = episode.rewards.iter().map(|&r| f64::from(r)).sum();
        println!(
            "first episode: seed {}, {} steps, return {total:.1}, terminated {}",
            episode.seed,
            episode.steps(),
            episode.terminated
        );
    }
    match Agent::load(&args.dir) {
        Ok(agent) => println!("\n{}", parts(&agent)),
        Err(e) => println!("\nnot an agent yet: {e}"),
    }
    if folder.path("evaluation/summary.json").exists() {
        println!("\n{}", train::summary(&folder)?);
    }
    Ok(())
}

/// Selection tracks that an agent is watched on.
const WATCHED: u64 = 40;

fn car(dir: &Path, context: &Context<'_>) -> Result<()> {
    let run = dir.join("run.toml").exists();
    if run {
        motion(dir, context)?;
    }
    let agent = Agent::load(dir)?;
    match agent.controller() {
        Ok(controller) => driving(&agent, &controller, context),
        // C is yet to come: what it will see was shown.
        Err(RunError::Missing { .. }) if run => Ok(()),
        Err(e) => Err(e.into()),
    }
}

fn driving(agent: &Agent, controller: &LinearController, context: &Context<'_>) -> Result<()> {
    let world = context.world(&agent.info.environment)?;
    let model = agent.acting_model(&world)?;
    let tracks = seeds::SELECTION.start..seeds::SELECTION.start + WATCHED;
    let bands = rollout::driving(&model, controller, &world, tracks.clone(), context.stop)?;
    let bands = bands.ok_or(RunError::Stopped)?;
    let rows: Vec<Vec<String>> = bands
        .iter()
        .map(|b| {
            let what = match b.bend {
                None => "the first 100 steps".into(),
                Some(most) if most.is_infinite() => "sharper bends".into(),
                Some(most) => format!("bends up to {most} rad/unit"),
            };
            let share = format!("{:.1} %", 100.0 * b.share);
            if b.share == 0.0 {
                return [what, share]
                    .into_iter()
                    .chain(vec!["–".to_owned(); 4])
                    .collect();
            }
            let speed = format!("{:.1} ± {:.1}", b.speed, b.speed_sd);
            vec![
                what,
                share,
                speed,
                format!("{:.3}", b.gas),
                format!("{:.4}", b.brake),
                format!("{:.1} %", 100.0 * b.beside),
            ]
        })
        .collect();
    println!(
        "How it drives, on average, by the sharpest bend in the next 16 tiles; tracks {}..{}:\n",
        tracks.start, tracks.end
    );
    println!(
        "{}",
        table(
            &[
                "ahead",
                "of all steps",
                "speed ± sd, units/s",
                "gas",
                "brake",
                "a wheel off the road"
            ],
            &rows
        )
    );
    Ok(())
}

fn motion(dir: &Path, context: &Context<'_>) -> Result<()> {
    let rows: Vec<Vec<String>> = stages::readout(&RunFolder::open(dir)?, context)?
        .iter()
        .map(|r| {
            let [z, zh] = [0, 1].map(|i| format!("{:.3} (± {:.3})", r.explained[i], r.error[i]));
            vec![
                format!("{}, {}", r.name, r.unit),
                format!("{:.3}", r.sd),
                z,
                zh,
            ]
        })
        .collect();
    println!(
        "{}\n",
        table(
            &[
                "of the car",
                "sd",
                "explained by z (mean error)",
                "by [z, h]"
            ],
            &rows
        )
    );
    Ok(())
}

fn parts(agent: &Agent) -> String {
    let rows: Vec<Vec<String>> = agent
        .tensors()
        .iter()
        .map(|(name, shape)| {
            vec![
                name.clone(),
                format!("{shape:?}"),
                shape.iter().product::<usize>().to_string(),
            ]
        })
        .collect();
    table(&["tensor", "shape", "numbers"], &rows)
}
