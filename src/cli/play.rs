//! `frmdn play`: drive one episode and show it.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::{
    agent::Agent,
    film,
    rollout::{Blind, Outcome},
    run::{RunError, seeds},
    stages::Context,
};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Policy {
    Random,
    Brownian,
    Noop,
}

#[derive(Args, Debug)]
pub struct PlayArgs {
    /// A run folder or a checkpoint; leave it out with --policy.
    dir: Option<PathBuf>,
    /// Drive without any agent.
    #[arg(long, value_enum, conflicts_with = "dir")]
    policy: Option<Policy>,
    /// The picture to write.
    #[arg(long, value_name = "FILE.gif", default_value = "drive.gif")]
    out: PathBuf,
    /// Environment seed (the track).
    #[arg(long, default_value_t = seeds::TEST.start)]
    seed: u64,
}

pub fn play(args: &PlayArgs, context: &Context<'_>) -> Result<()> {
    gif(&args.out)?;
    let outcome: Outcome = match (&args.dir, args.policy) {
        (Some(dir), _) => film::drive(&Agent::load(dir)?, args.seed, &args.out, context.stop)?,
        (None, Some(policy)) => {
            let policy = match policy {
                Policy::Random => Blind::Random,
                Policy::Brownian => Blind::Brownian,
                Policy::Noop => Blind::Noop,
            };
            film::drive_blind("car-racing", policy, args.seed, &args.out, context.stop)?
        }
        (None, None) => bail!("play what? Name a run folder (frmdn play runs/tiny), or a policy (frmdn play --policy brownian)"),
    };
    if context.stop.is_set() {
        return Err(RunError::Interrupted { command: "the same command again".into() }.into());
    }
    let (tiles, of) = outcome.progress;
    println!("score {:.1} in {} steps on track {}, {tiles} of {of} tiles; {}", outcome.score, outcome.steps, args.seed, args.out.display());
    Ok(())
}

/// Refuses a path that does not end in `.gif`.
pub fn gif(path: &std::path::Path) -> Result<()> {
    if path.extension().is_none_or(|e| !e.eq_ignore_ascii_case("gif")) {
        bail!("--out {} must end in .gif", path.display());
    }
    Ok(())
}
