//! `frmdn compare`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{
    DeviceArgs,
    command_line::command_line,
    out::out,
    robustness::{self, RobustnessArgs},
    score::{self, ScoreArgs},
    seeds::{self, SeedsArgs},
};
use crate::{
    stages::Context,
    studies::{Likelihood, Spec, likelihood},
};

#[derive(Debug, Subcommand)]
pub enum CompareCommand {
    /// Train memories on the same latents and compare their likelihoods. The same command again
    /// resumes.
    Likelihood(LikelihoodArgs),
    /// Drive agents on test tracks under perturbations they were not trained with. The same command
    /// again resumes.
    Robustness(RobustnessArgs),
    /// Compare memories by the controllers that use them, in the experiments e1 to e4. The same
    /// command again resumes.
    Score(ScoreArgs),
    /// Compare methods by the scores of the agents that several seeds of each came to.
    Seeds(SeedsArgs),
}

/// The memories that are compared by default: all of them, and the baseline and the default with
/// other numbers of components.
const VARIANTS: &str = "rmdn,frmdn,frmdn-conditional,rmdn-lowrank,rmdn-lowrank-cov,\
    frmdn-lowrank-cov,frmdn-diagonal,rmdn-linear,rmdn-factored,frmdn-tied,frmdn-spline,rmdn-full,\
    rmdn:components=20,frmdn:components=1,frmdn:components=2,\
    rmdn:components=1,rmdn:components=10,rmdn:components=40";

#[derive(Args, Debug)]
pub struct LikelihoodArgs {
    /// Run folders with a trained V (frmdn vision likelihood --run DIR): the first is the primary
    /// one.
    #[arg(required = true, value_name = "DATA")]
    data: Vec<PathBuf>,
    /// Memories, separated by commas, with settings after colons, for example rmdn:components=20.
    #[arg(long, value_delimiter = ',', value_name = "LIST", default_value = VARIANTS)]
    variants: Vec<Spec>,
    /// Number of seeds that each memory is trained from.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Memories that are also trained without the last driver's episodes and tested on them. For
    /// none write --shifted ''.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "LIST",
        default_value = "rmdn,frmdn,frmdn-conditional"
    )]
    shifted: Vec<String>,
    /// Memories that are also trained with other noises of the latents. For none write --noisy ''.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "LIST",
        default_value = "rmdn,frmdn,frmdn-conditional"
    )]
    noisy: Vec<String>,
    /// Standard deviations of these noises, as fractions of the latents' standard deviation.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "LIST",
        default_value = "0.3,0.1,0.03"
    )]
    noises: Vec<f64>,
    /// Number of test episodes, on tracks that nothing else uses, spread over the drivers.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(3..=1000))]
    test_episodes: u64,
    /// Change a setting of all memories, for example memory.updates=12000. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Train with the learning rate and dropout of the settings instead of choosing them from a
    /// grid.
    #[arg(long)]
    no_grid: bool,
    /// Train nothing; write the report from the runs that are finished.
    #[arg(long)]
    report: bool,
    /// Folder of the report and of finished runs.
    #[arg(long, value_name = "DIR", default_value = "runs/likelihood")]
    out: PathBuf,
    /// Folder of unfinished runs (weights and optimiser states). Default: OUT/unfinished.
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
}

impl CompareCommand {
    /// The device that it was given; `None` where nothing is trained.
    pub fn device(&self) -> Option<&DeviceArgs> {
        match self {
            Self::Likelihood(args) => Some(&args.device),
            Self::Score(args) => Some(&args.device),
            Self::Robustness(_) | Self::Seeds(_) => None,
        }
    }
}

pub fn compare(command: &CompareCommand, context: &Context<'_>) -> anyhow::Result<()> {
    match command {
        CompareCommand::Likelihood(args) => compare_likelihood(args, context),
        CompareCommand::Robustness(args) => robustness::compare(args, context),
        CompareCommand::Score(args) => score::compare(args, context),
        CompareCommand::Seeds(args) => seeds::compare(args),
    }
}

/// Prints a report; `beside` are the other files that were written.
pub fn print_report(report: &Path, beside: &str) -> anyhow::Result<()> {
    out!("{}", std::fs::read_to_string(report)?);
    out!("report: {} (and {beside} beside it)", report.display());
    Ok(())
}

fn compare_likelihood(args: &LikelihoodArgs, context: &Context<'_>) -> anyhow::Result<()> {
    let specs = |list: &[String]| -> anyhow::Result<Vec<Spec>> {
        list.iter()
            .filter(|s| !s.is_empty())
            .map(|s| Ok(s.parse()?))
            .collect()
    };
    if let Some(noise) = args.noises.iter().find(|n| !(n.is_finite() && **n > 0.0)) {
        anyhow::bail!(
            "--noises {noise} is impossible: write numbers above 0, for example --noises \
             0.3,0.1,0.03"
        );
    }
    let plan = Likelihood {
        data: args.data.clone(),
        variants: args.variants.clone(),
        seeds: args.seeds,
        shifted: specs(&args.shifted)?,
        noisy: specs(&args.noisy)?,
        noises: args.noises.clone(),
        test_episodes: args.test_episodes as usize,
        work: args
            .work
            .clone()
            .unwrap_or_else(|| args.out.join("unfinished")),
        out: args.out.clone(),
        sets: args.sets.clone(),
        grid: !args.no_grid,
        train: !args.report,
        command: command_line(),
    };
    let report = likelihood(&plan, context)?;
    print_report(&report, "report.html, report.json, pictures")
}
