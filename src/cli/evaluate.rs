//! `frmdn evaluate`: the one path by which scores are made.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Result, bail};
use clap::Args;

use super::play::PolicyName;
use crate::{
    agent::Agent,
    rollout::{Evaluation, Outcome, Summary},
    run::{RunError, seeds},
    stages::{self, Context},
    worlds::World,
};

#[derive(Args, Debug)]
pub struct EvaluateArgs {
    /// A run folder or a checkpoint; leave it out with --policy.
    dir: Option<PathBuf>,
    /// Score a policy that needs no run: the floor and the ceiling to read scores against.
    #[arg(long, value_enum, conflicts_with = "dir")]
    policy: Option<PolicyName>,
    /// Another environment than the agent's own: car-racing, or gym:ID, with options after commas
    /// (car-racing,rule=v4).
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// A second environment, for the same seeds: the difference of the scores, seed by seed, is
    /// shown with its interval.
    #[arg(long, value_name = "NAME", conflicts_with = "policy")]
    against: Option<String>,
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
    let range = match (&args.seeds, args.episodes) {
        (Some(text), _) => parse(text)?,
        (None, n) => {
            let n = n.unwrap_or(100);
            let most = seeds::TEST.end - seeds::TEST.start;
            if n == 0 || n > most {
                bail!(
                    "--episodes {n} is impossible: there are {most} test tracks (1..={most}); \
                     other tracks can be named with --seeds A..B"
                );
            }
            seeds::TEST.start..seeds::TEST.start + n
        }
    };
    if range.start < seeds::SELECTION.end {
        tracing::warn!(
            "seeds below {} are used in training and selection: this is no test",
            seeds::SELECTION.end
        );
    }
    let name = |own: &str| args.env.clone().unwrap_or_else(|| own.to_owned());
    let evaluations = match (&args.dir, args.policy) {
        (Some(dir), _) => {
            let agent = Agent::load(dir)?;
            let own = name(&agent.info.environment);
            let controller = agent.controller()?;
            // Both are there before the first one is driven in: an environment in Python may not
            // even start.
            let open = |name: &String| -> Result<_> {
                let world = context.world(name)?;
                Ok((agent.acting_model(&world)?, world))
            };
            let worlds = std::iter::once(&own)
                .chain(&args.against)
                .map(open)
                .collect::<Result<Vec<_>>>()?;
            let score = |(model, world): &(_, World)| {
                close(
                    stages::outcomes(world, model, &controller, range.clone(), context, |_, _| {
                        Ok(())
                    })?,
                    range.start,
                    world,
                )
            };
            worlds.iter().map(score).collect::<Result<Vec<_>>>()?
        }
        (None, Some(policy)) => {
            let world = context.world(&name("car-racing"))?;
            context
                .report
                .begin("evaluate", "episodes", 0, range.end - range.start);
            let done = AtomicU64::new(0);
            let count = |o: &Outcome| {
                context.report.advance(
                    done.fetch_add(1, Ordering::Relaxed) + 1,
                    &format!("last score {:.0}", o.score),
                )
            };
            let all = policy
                .policy()
                .outcomes(&world, 0, range.clone(), context.stop, &count);
            context.report.end();
            vec![close(all?, range.start, &world)?]
        }
        (None, None) => {
            bail!(
                "evaluate what? Name a run folder (frmdn evaluate runs/tiny), or a policy (frmdn \
                 evaluate --policy scripted)"
            )
        }
    };
    let paired = match &evaluations[..] {
        [one, other] => {
            let differences: Vec<f64> = one
                .scores
                .iter()
                .zip(&other.scores)
                .map(|(a, b)| a - b)
                .collect();
            Some(Summary::of(&differences))
        }
        _ => None,
    };
    if args.json {
        let json = match (&evaluations[..], paired) {
            ([one, other], Some(difference)) => {
                serde_json::json!({ "one": one, "other": other, "difference": difference })
            }
            _ => serde_json::to_value(&evaluations[0])?,
        };
        println!("{json}");
        return Ok(());
    }
    for evaluation in &evaluations {
        // Nothing where none did, or where nobody can tell.
        let stopped = Some(evaluation.standstill).filter(|share| *share > 0.0);
        let stopped = stopped.map_or_else(String::new, |share| {
            format!(", {:.0} % stopped for good", 100.0 * share)
        });
        println!(
            "{}: score {}\n{} episodes, seeds {}..{}; {:.0} % completed{stopped}, {:.0} steps an \
             episode\nrule: {}",
            evaluation.environment,
            spread(
                evaluation.episodes,
                evaluation.mean,
                evaluation.sd,
                evaluation.ci95
            ),
            evaluation.episodes,
            range.start,
            range.end,
            100.0 * evaluation.completed,
            evaluation.steps,
            evaluation.rule
        );
    }
    if let Some(d) = paired {
        println!(
            "difference, seed by seed: {}",
            spread(evaluations[0].episodes, d.mean, d.sd, d.ci95)
        );
    }
    Ok(())
}

/// A mean and what is known of it; of one episode nothing is.
fn spread(n: usize, mean: f64, sd: f64, [low, high]: [f64; 2]) -> String {
    if n < 2 {
        return format!("{mean:.1} (one episode tells no interval)");
    }
    format!("{mean:.1} ± {sd:.1} (sd), 95 % interval of the mean [{low:.1}, {high:.1}]")
}

/// What can be said of the outcomes, unless they were interrupted.
fn close(all: Option<Vec<Outcome>>, first: u64, world: &World) -> Result<Evaluation> {
    let Some(all) = all else {
        return Err(RunError::Stopped.into());
    };
    let rule = world.rule()?;
    Ok(Evaluation::of(&all, first, world.name(), &rule))
}

fn parse(text: &str) -> Result<std::ops::Range<u64>> {
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
