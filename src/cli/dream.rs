//! `frmdn dream`: an agent drives in the dream of its memory, beside the real episode.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::{OTHER_ENVIRONMENT, load_agent, out::out, table::table};
use crate::{
    film::{self, Course, DreamFilm, ReplayFilm},
    memory::TEMPERATURES,
    pictures,
    run::{RunError, seeds},
    stages::Context,
};

/// Most frames of a film; all real ones are in memory.
const MOST: i64 = 100_000;
/// Most dreams in a film: more are too small to be looked at.
const MOST_DREAMS: usize = 24;

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
    /// Real steps that the memory sees before the dream begins.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=MOST))]
    warm_up: u32,
    /// Steps of the dream; it ends before where the memory says so.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=MOST))]
    steps: u32,
    /// Temperatures of the dreams, 0 to 3: higher ones are more random, 0 takes the likeliest
    /// prediction. Several, after commas, stand side by side.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "LIST",
        default_value = "1",
        allow_negative_numbers = true
    )]
    temperature: Vec<f32>,
    /// Dreams from the same start, which differ by chance alone, as a grid.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=24))]
    futures: u32,
    /// Another agent that dreams from the same start, for example one with another memory. May be
    /// repeated.
    #[arg(long, value_name = "AGENT")]
    beside: Vec<PathBuf>,
    /// Nobody drives in the dream: the memory is given the actions of the real episode, so that frame
    /// can be compared with frame as long as what was in view lasts.
    #[arg(long, conflicts_with_all = ["futures", "beside"])]
    open_loop: bool,
}

pub fn dream(args: &DreamArgs, context: &Context<'_>) -> Result<()> {
    pictures::ending(&args.out)?;
    for temperature in &args.temperature {
        check_temperature(*temperature)?;
    }
    if args.open_loop {
        return replay(args, context);
    }
    let dreams = (1 + args.beside.len()) * args.temperature.len() * args.futures as usize;
    if dreams > MOST_DREAMS {
        bail!(
            "{dreams} dreams are too many for one film: at most {MOST_DREAMS}, counted as agents × \
             temperatures × futures"
        );
    }
    let mut agents = vec![load_agent(&args.dir, context)?];
    for dir in &args.beside {
        agents.push(load_agent(dir, context)?);
    }
    let world = context.world(args.env.as_ref().unwrap_or(&agents[0].info.environment))?;
    let film = DreamFilm {
        agents: &agents,
        temperatures: &args.temperature,
        futures: args.futures,
        seed: args.seed,
        warm_up: args.warm_up,
        steps: args.steps,
    };
    let courses = film::dream(&film, &world, &args.out, context.stop)?;
    if context.stop.is_set() {
        return Err(RunError::Stopped.into());
    }
    let count = courses.len() - 1;
    let rows: Vec<_> = courses.iter().map(row).collect();
    let heading = format!("from step {} on", args.warm_up);
    let heading = [&*heading, "reward", "steps", "ended"];
    out!("{}", table(&heading, &rows));
    let driver = match agents[0].controller() {
        Ok(_) => "The agent drives",
        Err(_) => "A random walk drives: the agent has no controller",
    };
    out!(
        "{driver}, in the real world and in {}, from the same {} real steps on. They part: a memory \
         predicts what comes next, and what was not in view it invents; a dream's reward is what it \
         believes. {}",
        match count {
            1 => "the dream".to_owned(),
            _ => format!("{count} dreams"),
        },
        args.warm_up,
        args.out.display()
    );
    Ok(())
}

/// Refuses a temperature without sense.
pub fn check_temperature(temperature: f32) -> Result<()> {
    if !TEMPERATURES.contains(&temperature) {
        bail!(
            "--temperature {temperature} is impossible: it can be from {} to {}, for example 1",
            TEMPERATURES.start(),
            TEMPERATURES.end()
        );
    }
    Ok(())
}

/// The real episode or a dream as a row.
fn row(course: &Course) -> Vec<String> {
    vec![
        course.what.clone(),
        format!("{:.1}", course.reward),
        course.steps.to_string(),
        if course.ended { "yes" } else { "no" }.to_owned(),
    ]
}

fn replay(args: &DreamArgs, context: &Context<'_>) -> Result<()> {
    let &[temperature] = &args.temperature[..] else {
        bail!("--open-loop shows one temperature: leave the others out");
    };
    let agent = load_agent(&args.dir, context)?;
    let film = ReplayFilm {
        seed: args.seed,
        warm_up: args.warm_up as usize,
        steps: args.steps as usize,
        temperature,
    };
    let world = context.world(args.env.as_ref().unwrap_or(&agent.info.environment))?;
    let outcome = film::replay(&agent, &world, film, &args.out, context.stop)?;
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
    if let Some(in_view) = world.spec()?.steps_in_view
        && args.steps > in_view
    {
        out!(
            "Only the first {in_view} or so can be compared: nothing later was in view when the dream \
             began."
        );
    }
    Ok(())
}
