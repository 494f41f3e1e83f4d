//! `frmdn compare robustness`.

use std::path::PathBuf;

use clap::Args;

use super::{command_line::command_line, compare::print_report};
use crate::{
    stages::Context,
    studies::{Robustness, robustness},
};

#[derive(Args, Debug)]
pub struct RobustnessArgs {
    /// Run folders or checkpoints, one a column.
    #[arg(required = true, value_name = "AGENT")]
    agents: Vec<PathBuf>,
    /// Number of test tracks, from the first one.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(2..=1000)
    )]
    episodes: u64,
    /// Environment to use instead of the agents' own, one that has perturbations.
    #[arg(long, value_name = "NAME")]
    pub(super) env: Option<String>,
    /// Folder of the report and of finished runs.
    #[arg(long, value_name = "DIR", default_value = "runs/robustness")]
    out: PathBuf,
}

pub fn compare(args: &RobustnessArgs, context: &Context<'_>) -> anyhow::Result<()> {
    let plan = Robustness {
        agents: args.agents.clone(),
        episodes: args.episodes,
        environment: args.env.clone(),
        out: args.out.clone(),
        command: command_line(),
    };
    let report = robustness(&plan, context)?;
    print_report(&report, "report.json")
}
