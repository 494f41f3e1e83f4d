//! `frmdn evaluate`: the one path by which scores are made.

use std::{ops::Range, path::PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use serde_json::json;

use super::{
    OTHER_ENVIRONMENT,
    out::out,
    pilot::{Asked, WHO},
    say_origin,
};
use crate::{
    rollout::{Evaluation, Outcome, Summary, wilson},
    run::{DriverName, RunError, seeds},
    stages::{self, Context},
    worlds::World,
};

#[derive(Args, Debug)]
pub struct EvaluateArgs {
    /// A run folder, a checkpoint or the name of a shipped one; leave it out with --policy.
    dir: Option<PathBuf>,
    #[arg(long, value_name = "NAME", help = WHO)]
    policy: Option<DriverName>,
    #[arg(long, value_name = "NAME", help = OTHER_ENVIRONMENT)]
    pub(super) env: Option<String>,
    /// A second environment for the same seeds: the paired difference of the scores is shown with
    /// its interval.
    #[arg(long, value_name = "NAME")]
    pub(super) against: Option<String>,
    /// Number of test tracks, from the first one.
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    episodes: Option<u64>,
    /// Environment seeds, the last one excluded, for example 600000..600100.
    #[arg(long, value_name = "A..B")]
    seeds: Option<String>,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
}

pub fn evaluate(args: &EvaluateArgs, context: &Context<'_>) -> Result<()> {
    let tracks = tracks(args)?;
    if tracks.start < seeds::SELECTION.end {
        tracing::warn!(
            "seeds below {} are used in training and selection: this is no test",
            seeds::SELECTION.end
        );
    }
    let (evaluations, rates): (Vec<Evaluation>, Vec<Option<String>>) =
        score(args, &tracks, context)?.into_iter().unzip();
    let difference = match &evaluations[..] {
        [one, other] => Some(paired_difference(one, other)),
        _ => None,
    };
    if args.json {
        let mut objects = Vec::new();
        for (evaluation, rate) in evaluations.iter().zip(rates) {
            let mut object = serde_json::to_value(evaluation)?;
            if let Some(key) = rate {
                object[key] = evaluation.completed.into();
            }
            if evaluation.episodes > 1 {
                object["completed_ci95"] = json!(wilson(evaluation.completed, evaluation.episodes));
            }
            objects.push(object);
        }
        let json = match (&objects[..], difference) {
            ([one, other], Some(difference)) => {
                json!({ "one": one, "other": other, "difference": difference })
            }
            _ => objects.swap_remove(0),
        };
        out!("{json}");
        return Ok(());
    }
    for evaluation in &evaluations {
        print(evaluation, &tracks)?;
    }
    if let Some(d) = difference {
        out!(
            "difference, seed by seed: {}",
            spread(evaluations[0].episodes, d.mean, d.sd, d.ci95)
        );
    }
    Ok(())
}

/// The environment seeds that were asked for.
fn tracks(args: &EvaluateArgs) -> Result<Range<u64>> {
    if let Some(text) = &args.seeds {
        return parse(text);
    }
    let n = args.episodes.unwrap_or(100);
    let most = seeds::TEST.end - seeds::TEST.start;
    if n == 0 || n > most {
        bail!(
            "--episodes {n} is impossible: there are {most} test tracks (1..={most}); other tracks \
             can be named with --seeds A..B"
        );
    }
    Ok(seeds::TEST.start..seeds::TEST.start + n)
}

/// Whoever drives in its environment, and in the one of --against; and how the share of completed
/// episodes is called there: `flag_rate`, where a flag says that.
fn score(
    args: &EvaluateArgs,
    tracks: &Range<u64>,
    context: &Context<'_>,
) -> Result<Vec<(Evaluation, Option<String>)>> {
    let asked = Asked {
        dir: args.dir.as_deref(),
        policy: args.policy.as_ref(),
        env: args.env.as_deref(),
    };
    // All are opened before the first is driven in: an environment in Python may not even start.
    let mut opened = vec![asked.open("evaluate", context)?];
    if let Some(env) = args.against.as_deref() {
        let env = Some(env);
        opened.push(Asked { env, ..asked }.open("evaluate", context)?);
    }
    if let (Some(dir), Some(pilot)) = (&args.dir, opened[0].0.agent()) {
        say_origin(&pilot.agent, dir, context);
    }
    let mut evaluations = Vec::new();
    for (pilot, world) in &opened {
        let keep = |_, _: &[Outcome]| Ok(());
        let all = stages::outcomes(world, pilot, tracks.clone(), context, keep)?;
        let spec = world.spec()?;
        let completed = spec.completed.map(|i| &spec.measurements[i].name);
        let rate = completed.map(|name| format!("{}_rate", name.replace(' ', "_")));
        evaluations.push((evaluation(all, tracks.start, world)?, rate));
    }
    Ok(evaluations)
}

fn paired_difference(one: &Evaluation, other: &Evaluation) -> Summary {
    let pairs = one.scores.iter().zip(&other.scores);
    let differences: Vec<f64> = pairs.map(|(a, b)| a - b).collect();
    Summary::of(&differences)
}

fn print(evaluation: &Evaluation, tracks: &Range<u64>) -> Result<()> {
    // Left out where no episode was stopped, or where the environment does not say.
    let stopped = if evaluation.standstill > 0.0 {
        format!(", {:.0} % stopped for good", 100.0 * evaluation.standstill)
    } else {
        String::new()
    };
    out!(
        "{}: score {}\n{} episodes, seeds {}..{}; {} finished{stopped}, {:.0} steps an \
         episode\nrule: {}",
        evaluation.environment,
        match evaluation.is_one_episode() {
            true => format!(
                "{:.1} in every episode: all are equal, so there is no interval (seeds change \
                 nothing here; add sticky=0.25 or noops=30 to the environment's name)",
                evaluation.mean
            ),
            false => spread(
                evaluation.episodes,
                evaluation.mean,
                evaluation.sd,
                evaluation.ci95
            ),
        },
        evaluation.episodes,
        tracks.start,
        tracks.end,
        share(evaluation.completed, evaluation.episodes),
        evaluation.steps,
        evaluation.rule
    );
    if !evaluation.measurements.is_empty() {
        let is_one = evaluation.is_one_episode();
        let said = evaluation.measurements.iter().map(|m| {
            if m.is_share {
                let n = if is_one { 1 } else { evaluation.episodes };
                return format!("{} {}", m.name, share(m.mean, n));
            }
            let interval = m.ci95.filter(|[low, high]| !is_one && low < high);
            let interval = interval.map(|[low, high]| format!(" [{low:.2}, {high:.2}]"));
            // A count can have its unit as its name.
            let unit = match m.unit.is_empty() || m.unit == m.name {
                true => String::new(),
                false => format!(" {}", m.unit),
            };
            let of_most = m
                .of_most
                .map(|share| format!(" ({:.0} % of the whole)", 100.0 * share));
            let [interval, of_most] = [interval, of_most].map(Option::unwrap_or_default);
            format!("{} {:.2}{interval}{unit}{of_most}", m.name, m.mean)
        });
        let said: Vec<String> = said.collect();
        out!("measured last, on average: {}", said.join(", "));
    }
    Ok(())
}

/// A share of `n` episodes in percent, with its 95 % interval (Wilson's) where there are several.
fn share(share: f64, n: usize) -> String {
    let percent = format!("{:.0} %", 100.0 * share);
    if n < 2 {
        return percent;
    }
    let [low, high] = wilson(share, n);
    format!("{percent} [{:.0}, {:.0}]", 100.0 * low, 100.0 * high)
}

/// A mean with its spread and interval, which one episode does not give.
fn spread(n: usize, mean: f64, sd: f64, [low, high]: [f64; 2]) -> String {
    if n < 2 {
        return format!("{mean:.1} (one episode tells no interval)");
    }
    format!("{mean:.1} ± {sd:.1} (sd), 95 % interval of the mean [{low:.1}, {high:.1}]")
}

/// The statistics of the outcomes, unless they were interrupted.
fn evaluation(all: Option<Vec<Outcome>>, first: u64, world: &World) -> Result<Evaluation> {
    let Some(all) = all else {
        return Err(RunError::Stopped.into());
    };
    let spec = world.spec()?;
    let evaluation = Evaluation::of(&all, first, world.name(), &spec.rule);
    Ok(evaluation.measured(&all, &spec))
}

fn parse(text: &str) -> Result<Range<u64>> {
    let range = text
        .split_once("..")
        .and_then(|(a, b)| Some(a.trim().parse::<u64>().ok()?..b.trim().parse::<u64>().ok()?));
    match range {
        Some(range) if range.start < range.end => Ok(range),
        _ => bail!(
            "--seeds {text} is no range: write A..B with A below B, for example --seeds \
             600000..600100"
        ),
    }
}
