//! `frmdn compare score`.

use std::path::PathBuf;

use clap::Args;

use super::{DeviceArgs, command_line::command_line, compare::print_report};
use crate::{
    stages::Context,
    studies::{Experiment, Scale, Score, Spec, score},
};

#[derive(Args, Debug)]
pub struct ScoreArgs {
    /// Run folders with a trained V (frmdn vision likelihood --run DIR).
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
    /// e1: a bank of controllers ranked in dreams; e2: driving while z is drawn by the memory; e3:
    /// evolution with small populations; e4: evolution in dreams.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "LIST",
        default_value = "e1,e2,e3,e4"
    )]
    experiments: Vec<Experiment>,
    /// Memories, separated by commas, with settings after colons, for example rmdn:components=20.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "LIST",
        default_value = "none,stack2,untrained,rmdn,frmdn"
    )]
    variants: Vec<Spec>,
    /// Number of seeds that each memory is trained from.
    #[arg(
        long,
        default_value_t = 2,
        default_value_if("quick", "true", "1"),
        value_parser = clap::value_parser!(u64).range(1..=1000)
    )]
    seeds: u64,
    /// Number of controllers that e3 and e4 evolve for each memory and seed.
    #[arg(
        long,
        default_value_t = 5,
        default_value_if("quick", "true", "1"),
        value_parser = clap::value_parser!(u64).range(1..=1000)
    )]
    controllers: u64,
    /// Number of episodes of an evolution in e3.
    #[arg(
        long,
        default_value_t = 1920,
        default_value_if("quick", "true", "64"),
        value_parser = clap::value_parser!(u64).range(64..=100_000_000)
    )]
    budget: u64,
    /// Temperatures of the dreams that e4 evolves controllers in, separated by commas, 0 to 3.
    #[arg(long, value_delimiter = ',', value_name = "LIST", default_value = "1")]
    temperatures: Vec<f32>,
    /// A smoke test: a very small bank, few updates, tracks and steps, and, if not given, one seed,
    /// one controller and the least budget. Its figures have no meaning.
    #[arg(long)]
    quick: bool,
    /// Change a setting of all memories, for example memory.updates=12000. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Train and drive nothing; write the report from what is finished.
    #[arg(long)]
    report: bool,
    /// Folder of the report and of finished runs.
    #[arg(long, value_name = "DIR", default_value = "runs/score")]
    out: PathBuf,
    /// Folder of trained memories. Default: OUT/memories.
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

pub fn compare(args: &ScoreArgs, context: &Context<'_>) -> anyhow::Result<()> {
    let plan = Score {
        data: args.data.clone(),
        experiments: args.experiments.clone(),
        variants: args.variants.clone(),
        seeds: args.seeds,
        controllers: args.controllers,
        budget: args.budget,
        temperatures: args.temperatures.clone(),
        scale: if args.quick {
            Scale::QUICK
        } else {
            Scale::FULL
        },
        sets: args.sets.clone(),
        work: args
            .work
            .clone()
            .unwrap_or_else(|| args.out.join("memories")),
        out: args.out.clone(),
        train: !args.report,
        command: command_line(),
    };
    let report = score(&plan, context)?;
    print_report(&report, "report.html, report.json, pictures")
}
