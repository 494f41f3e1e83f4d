//! The final evaluation on test tracks, whole episodes, and the film of the agent driving.

use std::path::Path;

use serde_json::{Value, json};

use super::{Context, controller};
use crate::{
    agent::{self, Agent},
    film,
    pilot::Pilot,
    rollout::{Driver, Evaluation, Job, OpenLoop, Outcome, Summary, progress_json},
    run::{Metrics, Recovery, Result, RunError, RunFolder, seeds, write_json},
    worlds::World,
};

/// Episodes between two saves.
const CHUNK: usize = 32;

/// Outcomes of whole episodes on the seeds `range`, in their order; `None` after Ctrl-C. `save`
/// gets each chunk as it is finished, with its first seed.
pub fn outcomes(
    world: &World,
    pilot: &Pilot,
    range: std::ops::Range<u64>,
    context: &Context<'_>,
    mut save: impl FnMut(u64, &[Outcome]) -> Result<()>,
) -> Result<Option<Vec<Outcome>>> {
    let total = range.end - range.start;
    let mut all: Vec<Outcome> = Vec::new();
    context.report.begin("evaluate", "episodes", 0, total);
    for first in range.clone().step_by(CHUNK) {
        let seeds = first..range.end.min(first.saturating_add(CHUNK as u64));
        let jobs: Vec<Job<'_>> = seeds.map(|seed| pilot.job(seed)).collect();
        let driver = pilot.driver(world, context.stop);
        let done = driver.drive(&jobs).map_err(RunError::from);
        match done {
            Ok(Some(outcomes)) => {
                save(first, &outcomes)?;
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

/// Evaluates the controller of the run on the first test tracks, a random policy on the same, and
/// what can be had without the evolution (`controller::clones`), and films a drive.
pub fn evaluate(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    let summary = folder.path("evaluation/summary.json");
    let preset = folder.preset();
    let agent = Agent::load(folder.root())?;
    let checksum = agent.checksum();
    if folder.path("pictures/drive.gif").exists()
        && evaluated(&summary)?.is_some_and(|found| found == checksum)
    {
        return Ok(());
    }
    let world = context.world(&preset.environment)?;
    let pilot = Pilot::of(agent, &world)?;
    let range = seeds::TEST.start..seeds::TEST.start + preset.evaluate.episodes as u64;
    let scores = folder.path("evaluation/scores.jsonl");
    let mut known = read_outcomes(&scores, &checksum, range.start)?;
    known.truncate(preset.evaluate.episodes);
    let start = range.start + known.len() as u64;
    let mut metrics = Metrics::resume(&scores, "seed", start.saturating_sub(1))?;
    let fresh = outcomes(
        &world,
        &pilot,
        start..range.end,
        context,
        |first, outcomes| {
            for (seed, o) in (first..).zip(outcomes) {
                metrics.append(
                    &json!({ "seed": seed, "checksum": checksum, "score": o.score,
                    "steps": o.steps, "completed": o.completed,
                "progress": progress_json(o.progress), "stalled": o.stalled,
                "still": o.still }),
                )?;
            }
            Ok(())
        },
    )?;
    let Some(fresh) = fresh else {
        return context.check();
    };
    known.extend(fresh);
    let random = Pilot::open_loop(OpenLoop::Random, preset.seed);
    let jobs: Vec<Job<'_>> = range.clone().map(|seed| random.job(seed)).collect();
    let Some(random) = random.driver(&world, context.stop).drive(&jobs)? else {
        return context.check();
    };
    let mut clones = Vec::new();
    if let Some(pilot) = pilot.agent() {
        pilot.agent.save(&folder.path(agent::FILE))?;
        for (key, controller) in controller::clones(folder, &world, &pilot.model)? {
            let jobs: Vec<Job<'_>> = range
                .clone()
                .map(|seed| Job::of(&controller, seed))
                .collect();
            let driver = Driver::new(&world, context.stop).with_model(&pilot.model);
            let Some(outcomes) = driver.drive(&jobs)? else {
                return context.check();
            };
            clones.push((key, outcomes));
        }
    }
    film::drive(
        &pilot,
        &world,
        seeds::TEST.start,
        &folder.path("pictures/drive.gif"),
        context.stop,
    )?;
    context.check()?;
    let rule = world.spec()?.rule;
    let evaluation = Evaluation::of(&known, range.start, world.name(), &rule);
    let random = Evaluation::of(&random, range.start, world.name(), &rule);
    let mut all = json!({ "checksum": checksum, "agent": evaluation, "random": random });
    for (key, outcomes) in clones {
        let differences: Vec<f64> = known
            .iter()
            .zip(&outcomes)
            .map(|(agent, clone)| agent.score - clone.score)
            .collect();
        all[key] = json!(Evaluation::of(&outcomes, range.start, world.name(), &rule));
        all[format!("better_than_{key}")] = json!(Summary::of(&differences));
    }
    write_json(&summary, &all)
}

/// Checksum of the agent in the summary `path`, if there is one.
fn evaluated(path: &Path) -> Result<Option<String>> {
    if !path.exists() {
        return Ok(None);
    }
    Ok(read_summary(path)?["checksum"].as_str().map(String::from))
}

/// The summary that [`evaluate`] wrote of `folder`.
///
/// # Errors
/// If it cannot be read or is damaged.
pub fn summary(folder: &RunFolder) -> Result<Value> {
    read_summary(&folder.path("evaluation/summary.json"))
}

fn read_summary(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).map_err(RunError::io("read", path))?;
    let damaged = |what: String| RunError::damaged(path, what, Recovery::File);
    let found: Value = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
    match ["agent", "random"]
        .into_iter()
        .find(|who| !found[who].is_object())
    {
        Some(who) => Err(damaged(format!("it has no scores of `{who}`"))),
        None => Ok(found),
    }
}

/// Scores of an agent on consecutive test tracks.
pub struct Scores {
    /// Checksum of the agent; `None` in older files.
    pub checksum: Option<String>,
    /// Seed of the first track.
    pub first: u64,
    /// One a track.
    pub outcomes: Vec<Outcome>,
}

/// The scores that an evaluation wrote into `path`.
///
/// # Errors
/// If there are none, or they are not those of one agent on consecutive tracks.
pub fn scores(path: &Path) -> Result<Scores> {
    let lines = Metrics::read(path)?;
    let damaged = |what: String| RunError::damaged(path, what, Recovery::File);
    let mut scores = Scores {
        checksum: lines
            .first()
            .and_then(|line| line["checksum"].as_str())
            .map(String::from),
        first: lines
            .first()
            .and_then(|line| line["seed"].as_u64())
            .ok_or_else(|| damaged("it has no score with a seed".into()))?,
        outcomes: Vec::new(),
    };
    for ((number, line), seed) in (1..).zip(&lines).zip(scores.first..) {
        if line["seed"] != seed || line["checksum"].as_str() != scores.checksum.as_deref() {
            let what = format!("line {number} is not of the next seed, {seed}, and the same agent");
            return Err(damaged(what));
        }
        let outcome = read_outcome(line);
        let outcome = outcome.ok_or_else(|| damaged(format!("line {number} is no score")))?;
        scores.outcomes.push(outcome);
    }
    Ok(scores)
}

/// The outcomes that `path` has of the agent with `checksum`: consecutive seeds from `first`.
fn read_outcomes(path: &Path, checksum: &str, first: u64) -> Result<Vec<Outcome>> {
    let mut known = Vec::new();
    for (line, seed) in Metrics::read(path)?.iter().zip(first..) {
        if line["seed"] != seed || line["checksum"] != checksum {
            break;
        }
        let Some(outcome) = read_outcome(line) else {
            break;
        };
        known.push(outcome);
    }
    Ok(known)
}

fn read_outcome(line: &Value) -> Option<Outcome> {
    let whole = |v: &Value| v.as_u64().and_then(|v| u32::try_from(v).ok());
    let score = line["score"].as_f64()?;
    let [now, most] = [0, 1].map(|i| line["progress"][i].as_f64());
    Some(Outcome {
        score,
        fitness: score,
        steps: whole(&line["steps"])?,
        completed: line["completed"].as_bool()?,
        // Older lines have zeros where nothing is measured.
        progress: now
            .map(|now| (now, most.unwrap_or(f64::INFINITY)))
            .filter(|(_, most)| *most > 0.0),
        // Older lines lack these two.
        stalled: whole(&line["stalled"]).unwrap_or(0),
        still: whole(&line["still"]).unwrap_or(0),
        ..Outcome::default()
    })
}
