//! `frmdn play`: drive one episode and show it.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use frmdn_env::{EnvSpec, Measurement, Progress};

use super::{
    OTHER_ENVIRONMENT,
    out::out,
    pilot::{Asked, WHO},
};
use crate::{
    film, pictures,
    run::{DriverName, RunError, seeds},
    stages::Context,
};

#[derive(Args, Debug)]
pub struct PlayArgs {
    /// A run folder, a checkpoint or the name of a shipped one; leave it out with --policy.
    dir: Option<PathBuf>,
    #[arg(long, value_name = "NAME", help = WHO)]
    policy: Option<DriverName>,
    #[arg(long, value_name = "NAME", help = OTHER_ENVIRONMENT)]
    pub(super) env: Option<String>,
    /// The film to write: its name ends in .gif, .webp, or .mp4, for which ffmpeg is needed.
    #[arg(long, value_name = "FILE", default_value = "drive.gif")]
    out: PathBuf,
    /// Environment seed (the track).
    #[arg(long, default_value_t = seeds::TEST.start)]
    seed: u64,
    /// Draw below the film how much less likely than before the agent's memory finds what it sees.
    #[arg(long)]
    surprise: bool,
}

pub fn play(args: &PlayArgs, context: &Context<'_>) -> Result<()> {
    pictures::ending(&args.out)?;
    let asked = Asked {
        dir: args.dir.as_deref(),
        policy: args.policy.as_ref(),
        env: args.env.as_deref(),
    };
    let (pilot, world) = asked.open("play", context)?;
    let outcome = film::drive_with(
        &pilot,
        &world,
        args.seed,
        &args.out,
        args.surprise,
        context.stop,
    )?;
    let who = match pilot.agent() {
        Some(pilot) => format!("\nagent: {}", pilot.agent.origin().display()),
        None => String::new(),
    };
    if context.stop.is_set() {
        return Err(RunError::Stopped.into());
    }
    let measured = measurements(&world.spec()?, &outcome.measured);
    out!(
        "score {:.1} in {} steps, seed {}{measured}; {}{who}",
        outcome.score,
        outcome.steps,
        args.seed,
        args.out.display()
    );
    Ok(())
}

/// What the environment measured last, in words: counts with their largest value, what is so, and
/// values with their units.
fn measurements(spec: &EnvSpec, measured: &[f64]) -> String {
    let most = spec.progress.and_then(|progress| progress.most);
    let yes_or_no = [spec.completed, spec.still];
    let mut text = String::new();
    for (i, (measurement, value)) in spec.measurements.iter().zip(measured).enumerate() {
        let Measurement { name, unit, .. } = measurement;
        if Some(i) == most {
            continue;
        }
        let said = match spec.progress {
            _ if yes_or_no.contains(&Some(i)) && *value == 0.0 => continue,
            _ if yes_or_no.contains(&Some(i)) => name.to_string(),
            Some(Progress {
                value: at,
                most: Some(most),
            }) if at == i => format!("{value} of {} {unit}", measured[most]),
            _ if unit.is_empty() => format!("{name} {value}"),
            _ => format!("{name} {value:.0} {unit}"),
        };
        text.push_str(", ");
        text.push_str(&said);
    }
    text
}
