//! `frmdn train` and its stages by themselves.

use std::time::Instant;

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::{RunArgs, table::table};
use crate::{
    run::{Metrics, RunFolder},
    stages::{self, Context},
};

type Stage = fn(&RunFolder, &Context<'_>) -> crate::run::Result<()>;

const STAGES: [(&str, Stage); 6] = [
    ("first", stages::first),
    ("collect", stages::collect),
    ("vision", stages::vision),
    ("memory", stages::memory),
    ("controller", stages::controller),
    ("evaluate", stages::evaluate),
];

/// All stages, then the table.
pub fn train(args: &RunArgs, context: &Context<'_>) -> Result<()> {
    let folder = args.open()?;
    context.report.say(&format!(
        "run folder {}: {}",
        folder.root().display(),
        folder.preset().description
    ));
    go(&folder, context, &STAGES.map(|(name, _)| name))?;
    println!("{}", summary(&folder)?);
    Ok(())
}

/// Which run, and who drives in it.
#[derive(Args, Clone, Debug)]
pub struct CollectArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Who drives: brownian, scripted (it knows the track), or the folder of a run or checkpoint.
    #[arg(long, value_name = "brownian|scripted|RUN")]
    policy: Option<String>,
}

/// Only the episodes.
pub fn collect(args: &CollectArgs, context: &Context<'_>) -> Result<()> {
    let mut run = args.run.clone();
    run.sets.extend(
        args.policy
            .iter()
            .map(|policy| format!("collect.policy={policy}")),
    );
    stage(&run, context, &["first", "collect"])
}

/// The named stages: the last one and those it needs, which return at once where they are finished.
pub fn stage(args: &RunArgs, context: &Context<'_>, names: &[&str]) -> Result<()> {
    let folder = args.open()?;
    go(&folder, context, names)?;
    println!(
        "{} is done in {}. Go on with: {}",
        names[names.len() - 1],
        folder.root().display(),
        folder.resume_command()
    );
    Ok(())
}

fn go(folder: &RunFolder, context: &Context<'_>, names: &[&str]) -> Result<()> {
    let finished = folder.path("evaluation/summary.json").exists();
    for (name, stage) in STAGES.iter().filter(|(name, _)| names.contains(name)) {
        let began = Instant::now();
        let outcome = stage(folder, context);
        let seconds = began.elapsed().as_secs_f64();
        // Time spent is added up over interruptions; it is a measurement, not part of the result.
        // Looking at what is finished costs none.
        if seconds > 0.05 && !finished {
            let mut times = Metrics::resume(&folder.path("times.jsonl"), "n", u64::MAX)?;
            times.append(&serde_json::json!({ "n": 0, "stage": name, "seconds": seconds }))?;
        }
        outcome?;
        stages::gate(folder, name, context)?;
    }
    Ok(())
}

/// The table that closes a run.
pub fn summary(folder: &RunFolder) -> Result<String> {
    let times = Metrics::read(&folder.path("times.jsonl"))?;
    let seconds = |stage: &str| {
        times
            .iter()
            .filter(|t| t["stage"] == stage)
            .filter_map(|t| t["seconds"].as_f64())
            .sum::<f64>()
    };
    let clock = |s: f64| {
        if s < 60.0 {
            format!("{s:.1} s")
        } else {
            format!("{:.0} min {:02.0} s", (s / 60.0).floor(), s % 60.0)
        }
    };
    let preset = folder.preset();
    let [v, m, c] = ["vision", "memory", "controller"].map(|stage| stages::kept(folder, stage));
    let (v, m, c) = (v?, m?, c?);
    let number =
        |v: &Value, digits: usize| v.as_f64().map_or("–".into(), |x| format!("{x:.digits$}"));
    let memory = match (m["best_nll"].as_f64(), m["floor"].as_f64()) {
        (Some(nll), Some(floor)) => format!(
            "{nll:.2} nats a step held out, {:.2} above the floor of {floor:.2}",
            nll - floor
        ),
        _ => "not trained".into(),
    };
    let rows = [
        (
            "collect",
            format!(
                "{} episodes of at most {} steps",
                preset.collect.episodes, preset.collect.steps
            ),
        ),
        (
            "vision",
            format!(
                "pixel MSE {} held out, KL {} nats a frame, {} of {} dimensions active",
                number(&v["held_out"]["pixel_mse"], 5),
                number(&v["held_out"]["kl"], 1),
                v["held_out"]["active"],
                preset.vision.model.latent
            ),
        ),
        (
            "memory",
            format!("{}: {memory}", preset.memory.model.variant),
        ),
        (
            "controller",
            format!(
                "{} generations, {} frames driven",
                c["generation"], c["frames"]
            ),
        ),
    ];
    let first = preset.first.iter().map(|first| {
        (
            "first",
            format!("an agent of preset {} for data", first.preset),
        )
    });
    let mut rows: Vec<Vec<String>> = first
        .chain(rows)
        .map(|(name, what)| vec![name.into(), clock(seconds(name)), what])
        .collect();
    let text = std::fs::read_to_string(folder.path("evaluation/summary.json"))?;
    let scores: Value = serde_json::from_str(&text)?;
    let score = |of: &Value| {
        format!(
            "{:.1} [{:.1}, {:.1}] on {} unseen tracks ({:.0} % finished)",
            of["mean"].as_f64().unwrap_or(f64::NAN),
            of["ci95"][0].as_f64().unwrap_or(f64::NAN),
            of["ci95"][1].as_f64().unwrap_or(f64::NAN),
            of["episodes"],
            100.0 * of["completed"].as_f64().unwrap_or(f64::NAN)
        )
    };
    rows.push(vec![
        "evaluate".into(),
        clock(seconds("evaluate")),
        format!("score {}", score(&scores["agent"])),
    ]);
    rows.push(vec![
        "".into(),
        "".into(),
        format!("a random policy: {}", score(&scores["random"])),
    ]);
    let total = times
        .iter()
        .filter_map(|t| t["seconds"].as_f64())
        .sum::<f64>();
    rows.push(vec![
        "in all".into(),
        clock(total),
        format!("seed {}, {}", preset.seed, preset.environment),
    ]);
    for row in &mut rows {
        row[1] = format!("{:>12}", row[1]);
    }
    let width = rows.iter().map(|r| r[2].chars().count()).max().unwrap_or(0);
    for row in &mut rows {
        let pad = width - row[2].chars().count();
        row[2].push_str(&" ".repeat(pad));
    }
    let root = folder.root().display();
    Ok(format!(
        "{}\n\nrule: {}\npictures: {root}/pictures (drive.gif shows the agent and what it \
         sees)\nsee it: frmdn play {root} --out drive.gif · frmdn dream {root} --out dream.gif · \
         frmdn evaluate {root} --episodes 100",
        table(&["stage", "time", "outcome"], &rows),
        scores["agent"]["rule"].as_str().unwrap_or("?")
    ))
}
