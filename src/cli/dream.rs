//! `frmdn dream`: real frames beside the frames that the memory predicts.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::{OTHER_ENVIRONMENT, load_agent, out::out};
use crate::{
    film::{self, DreamFilm},
    pictures,
    run::{RunError, seeds},
    stages::Context,
};

/// Most frames of a film; all real ones are in memory.
const MOST: i64 = 100_000;
/// Highest temperature: draws further out are noise to every memory.
const HOTTEST: f32 = 3.0;

#[derive(Args, Debug)]
pub struct DreamArgs {
    /// A run folder (V and M are enough), a checkpoint or the name of a shipped one.
    dir: PathBuf,
    #[arg(long, value_name = "NAME", help = OTHER_ENVIRONMENT)]
    pub(super) env: Option<String>,
    /// The film to write: its name ends in .gif, .webp, or .mp4, for which ffmpeg is needed.
    #[arg(long, value_name = "FILE", default_value = "dream.gif")]
    out: PathBuf,
    /// Environment seed (the track).
    #[arg(long, default_value_t = seeds::TEST.start)]
    seed: u64,
    /// Real frames the memory is given before the dream begins.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=MOST))]
    warm_up: u32,
    /// Frames of the dream: the memory is given the real actions, and no real frame.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=MOST))]
    steps: u32,
    /// Temperature of the samples, 0 to 3: 0 takes the most likely component's mean.
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    temperature: f32,
}

pub fn dream(args: &DreamArgs, context: &Context<'_>) -> Result<()> {
    pictures::ending(&args.out)?;
    if !(0.0..=HOTTEST).contains(&args.temperature) {
        bail!(
            "--temperature {} is impossible: it can be from 0 to {HOTTEST}, for example 1",
            args.temperature
        );
    }
    let agent = load_agent(&args.dir, context)?;
    let film = DreamFilm {
        seed: args.seed,
        warm_up: args.warm_up as usize,
        steps: args.steps as usize,
        temperature: args.temperature,
    };
    let world = context.world(args.env.as_ref().unwrap_or(&agent.info.environment))?;
    let outcome = film::dream(&agent, &world, film, &args.out, context.stop)?;
    if context.stop.is_set() {
        return Err(RunError::Stopped.into());
    }
    out!(
        "{} frames imagined after {} real ones: real reward {:.1}, imagined {:.1}; mean pixel \
         error of the dream {:.4}, of the reconstruction {:.4}; {}",
        outcome.steps,
        args.warm_up,
        outcome.real_reward,
        outcome.dreamt_reward,
        outcome.dream_mse,
        outcome.reconstruction_mse,
        args.out.display()
    );
    Ok(())
}
