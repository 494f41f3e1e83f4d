//! `frmdn evaluate`: the one path by which scores are made.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::play::PolicyName;
use crate::{
    agent::Agent,
    rollout::Evaluation,
    run::{RunError, seeds},
    stages::{self, Context},
    worlds,
};

#[derive(Args, Debug)]
pub struct EvaluateArgs {
    /// A run folder or a checkpoint; leave it out with --policy.
    dir: Option<PathBuf>,
    /// Score a policy that needs no run: the floor and the ceiling to read scores against.
    #[arg(long, value_enum, conflicts_with = "dir")]
    policy: Option<PolicyName>,
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
                    "--episodes {n} is impossible: there are {most} test tracks (1..={most}); other tracks can be named with --seeds A..B"
                );
            }
            seeds::TEST.start..seeds::TEST.start + n
        }
    };
    if range.start < seeds::SELECTION.end {
        tracing::warn!("seeds below {} are used in training and selection: this is no test", seeds::SELECTION.end);
    }
    let (environment, all) = match (&args.dir, args.policy) {
        (Some(dir), _) => {
            let agent = Agent::load(dir)?;
            let (model, controller) = (agent.acting_model()?, agent.controller()?);
            let all = stages::outcomes(&agent.info.environment, &model, &controller, range.clone(), context, |_, _| Ok(()))?;
            (agent.info.environment, all)
        }
        (None, Some(name)) => {
            let all = name.policy().outcomes("car-racing", 0, range.clone(), context.stop).map_err(RunError::Failed)?;
            ("car-racing".to_owned(), all)
        }
        (None, None) => {
            bail!("evaluate what? Name a run folder (frmdn evaluate runs/tiny), or a policy (frmdn evaluate --policy scripted)")
        }
    };
    let Some(all) = all else {
        return Err(RunError::Interrupted { command: "the same command again".into() }.into());
    };
    let rule = worlds::rule(&environment).map_err(RunError::Failed)?;
    let evaluation = Evaluation::of(&all, range.start, rule);
    if args.json {
        println!("{}", serde_json::to_string(&evaluation)?);
    } else {
        println!(
            "score {:.1} ± {:.1} (sd), 95 % interval of the mean [{:.1}, {:.1}]\n{} tracks, seeds {}..{}; {:.0} % of laps finished, {:.0} steps an episode\nrule: {}",
            evaluation.mean,
            evaluation.sd,
            evaluation.ci95[0],
            evaluation.ci95[1],
            evaluation.episodes,
            range.start,
            range.end,
            100.0 * evaluation.completed,
            evaluation.steps,
            evaluation.rule
        );
    }
    Ok(())
}

fn parse(text: &str) -> Result<std::ops::Range<u64>> {
    let range = text.split_once("..").and_then(|(a, b)| Some(a.trim().parse::<u64>().ok()?..b.trim().parse::<u64>().ok()?));
    match range {
        Some(range) if range.start < range.end => Ok(range),
        _ => bail!("--seeds {text} is no range: write A..B with A below B, for example --seeds 600000..600100"),
    }
}
