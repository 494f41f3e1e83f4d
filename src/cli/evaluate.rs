//! `frmdn evaluate`: the one path by which scores are made.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    agent::Agent,
    rollout::Evaluation,
    run::{RunError, seeds},
    stages::{self, Context},
    worlds,
};

#[derive(Args, Debug)]
pub struct EvaluateArgs {
    /// A run folder or a checkpoint.
    dir: PathBuf,
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
    let agent = Agent::load(&args.dir)?;
    let (model, controller) = (agent.acting_model()?, agent.controller()?);
    let all = stages::outcomes(&agent.info.environment, &model, &controller, range.clone(), context, |_, _| Ok(()))?;
    let Some(all) = all else {
        return Err(RunError::Interrupted { command: format!("frmdn evaluate {}", args.dir.display()) }.into());
    };
    let rule = worlds::rule(&agent.info.environment).map_err(RunError::Failed)?;
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
