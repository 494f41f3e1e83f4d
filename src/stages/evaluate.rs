//! The final evaluation on test tracks, whole episodes, and the pictures of the agent driving.

use std::{path::Path, sync::atomic::AtomicU64};

use serde_json::json;

use super::Context;
use crate::{
    agent::{self, Agent},
    controller::LinearController,
    film,
    rollout::{ActingModel, DriveOptions, Evaluation, Job, OpenLoop, Outcome, Policy},
    run::{Metrics, Result, RunError, RunFolder, seeds, write_json},
    worlds::World,
};

/// Episodes between two saves.
const CHUNK: usize = 32;

/// Outcomes of whole episodes on `range`, in seed order. `keep` sees each chunk as it is finished.
pub fn outcomes(
    world: &World,
    model: &ActingModel,
    controller: &LinearController,
    range: std::ops::Range<u64>,
    context: &Context<'_>,
    mut keep: impl FnMut(u64, &[Outcome]) -> Result<()>,
) -> Result<Option<Vec<Outcome>>> {
    let total = range.end - range.start;
    let mut all: Vec<Outcome> = Vec::new();
    context.report.begin("evaluate", "episodes", 0, total);
    for first in range.clone().step_by(CHUNK) {
        let jobs: Vec<Job<'_>> = (first..range.end.min(first.saturating_add(CHUNK as u64)))
            .map(|seed| Job { controller, seed })
            .collect();
        let done = model
            .drive(
                world,
                &jobs,
                DriveOptions::default(),
                context.stop,
                &AtomicU64::new(0),
            )
            .map_err(RunError::from);
        match done {
            Ok(Some(outcomes)) => {
                keep(first, &outcomes)?;
                all.extend(outcomes);
            }
            Ok(None) => {
                context.report.end();
                return Ok(None);
            }
            Err(e) => {
                context.report.end();
                return Err(e);
            }
        }
        let mean = all.iter().map(|o| o.score).sum::<f64>() / all.len() as f64;
        context
            .report
            .advance(all.len() as u64, &format!("mean score {mean:.0}"));
    }
    context.report.end();
    Ok(Some(all))
}

/// Evaluates the controller of the run on the first test tracks, beside a random policy on the
/// same, and draws.
pub fn evaluate(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    let summary = folder.path("evaluation/summary.json");
    let preset = folder.preset();
    let agent = Agent::load(folder.root())?;
    let of = agent.checksum();
    if folder.path("pictures/drive.gif").exists()
        && evaluated(&summary)?.is_some_and(|found| found == of)
    {
        return Ok(());
    }
    let world = context.world(&preset.environment)?;
    let (model, controller) = (agent.acting_model(&world)?, agent.controller()?);
    let range = seeds::TEST.start..seeds::TEST.start + preset.evaluate.episodes as u64;
    let scores = folder.path("evaluation/scores.jsonl");
    let mut known = read_outcomes(&scores, &of, range.start)?;
    known.truncate(preset.evaluate.episodes);
    let start = range.start + known.len() as u64;
    let mut metrics = Metrics::resume(&scores, "seed", start.saturating_sub(1))?;
    let fresh = outcomes(
        &world,
        &model,
        &controller,
        start..range.end,
        context,
        |first, outcomes| {
            for (seed, o) in (first..).zip(outcomes) {
                metrics.append(&json!({ "seed": seed, "checksum": of, "score": o.score,
                    "steps": o.steps, "completed": o.completed,
                "progress": [o.progress.0, o.progress.1], "stalled": o.stalled,
                "still": o.still }))?;
            }
            Ok(())
        },
    )?;
    let Some(fresh) = fresh else {
        return context.check();
    };
    known.extend(fresh);
    let random = Policy::OpenLoop(OpenLoop::Random).outcomes(
        &world,
        preset.seed,
        range.clone(),
        context.stop,
        &|_| (),
    );
    let Some(random) = random? else {
        return context.check();
    };
    agent.save(&folder.path(agent::FILE))?;
    film::drive(
        &agent,
        &world,
        seeds::TEST.start,
        &folder.path("pictures/drive.gif"),
        context.stop,
    )?;
    context.check()?;
    let rule = world.rule()?;
    let evaluation = Evaluation::of(&known, range.start, world.name(), &rule);
    let random = Evaluation::of(&random, range.start, world.name(), &rule);
    write_json(
        &summary,
        &json!({ "checksum": of, "agent": evaluation, "random": random }),
    )
}

/// Checksum of the agent that the summary in `path` is of, if there is one.
fn evaluated(path: &Path) -> Result<Option<String>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(RunError::io("read", path))?;
    let found: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    Ok(found.and_then(|found| found["checksum"].as_str().map(String::from)))
}

/// The outcomes of the agent with the checksum `of` kept in `path`: consecutive seeds from `first`.
fn read_outcomes(path: &Path, of: &str, first: u64) -> Result<Vec<Outcome>> {
    let lines = Metrics::read(path)?;
    let known = lines.iter().zip(first..).map_while(|(line, seed)| {
        let progress = line["progress"].as_array()?;
        let whole = |v: &serde_json::Value| v.as_u64().and_then(|v| u32::try_from(v).ok());
        let part = |i: usize| progress.get(i).and_then(whole);
        let score = line["score"].as_f64()?;
        (line["seed"].as_u64()? == seed && line["checksum"] == of).then_some(Outcome {
            score,
            fitness: score,
            steps: whole(&line["steps"])?,
            completed: line["completed"].as_bool()?,
            progress: (part(0)?, part(1)?),
            // Lines that were written before these were counted lack them.
            stalled: whole(&line["stalled"]).unwrap_or(0),
            still: whole(&line["still"]).unwrap_or(0),
        })
    });
    Ok(known.collect())
}
