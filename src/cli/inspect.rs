//! `frmdn inspect`: what is in a run folder or checkpoint.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use super::{table::table, train};
use crate::{
    agent::Agent,
    run::{Episode, Metrics, RunFolder},
    stages::{self, Context},
};

#[derive(Args, Debug)]
pub struct InspectArgs {
    /// A run folder or a checkpoint.
    dir: PathBuf,
    /// How well the car's motion can be read off what the controller sees, by a linear map (run folders of car-racing).
    #[arg(long)]
    car: bool,
}

fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return std::fs::metadata(path).map_or(0, |m| m.len()) };
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
    let lines = |file: &str| Metrics::read(&folder.path(file)).map(|l| l.last().cloned().unwrap_or_default());
    let (v, m, c) = (lines("vision/metrics.jsonl")?, lines("memory/metrics.jsonl")?, lines("controller/metrics.jsonl")?);
    let rows = vec![
        vec!["episodes".into(), format!("{there} of {}", preset.collect.episodes), megabytes(&folder.path("episodes"))],
        vec!["vision".into(), format!("update {} of at most {}", v["update"], preset.vision.updates), megabytes(&folder.path("vision"))],
        vec!["latents".into(), format!("{} episodes", folder.latents().count(preset.collect.episodes)), megabytes(&folder.path("latents"))],
        vec!["memory".into(), format!("update {} of at most {}", m["update"], preset.memory.updates), megabytes(&folder.path("memory"))],
        vec![
            "controller".into(),
            format!("generation {} of {}", c["generation"], preset.controller.generations),
            megabytes(&folder.path("controller")),
        ],
    ];
    println!("{}\n", table(&["part", "state", "on disk"], &rows));
    if let Some(first) = (0..preset.collect.episodes).find(|&i| store.has(i)) {
        let episode = Episode::load(&store.path(first))?;
        let total: f64 = episode.rewards.iter().map(|&r| f64::from(r)).sum();
        println!("first episode: seed {}, {} steps, return {total:.1}, terminated {}", episode.seed, episode.steps(), episode.terminated);
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

fn car(dir: &Path, context: &Context<'_>) -> Result<()> {
    let rows: Vec<Vec<String>> = stages::readout(&RunFolder::open(dir)?, context)?
        .iter()
        .map(|r| {
            let [z, zh] = [0, 1].map(|i| format!("{:.3} (± {:.2})", r.explained[i], r.error[i]));
            vec![format!("{}, {}", r.name, r.unit), format!("{:.2}", r.sd), z, zh]
        })
        .collect();
    println!("{}", table(&["of the car", "sd", "explained by z (mean error)", "by [z, h]"], &rows));
    Ok(())
}

fn parts(agent: &Agent) -> String {
    let rows: Vec<Vec<String>> = agent
        .tensors()
        .iter()
        .map(|(name, shape)| vec![name.clone(), format!("{shape:?}"), shape.iter().product::<usize>().to_string()])
        .collect();
    table(&["tensor", "shape", "numbers"], &rows)
}
