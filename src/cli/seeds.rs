//! `frmdn compare seeds`.

use std::path::PathBuf;

use clap::Args;

use super::{command_line::command_line, compare::print_report};
use crate::studies::{Group, Seeds, seeds};

#[derive(Args, Debug)]
pub struct SeedsArgs {
    /// Methods with the runs of their seeds, in the order of the seeds: rmdn=runs/rmdn-1,runs/rmdn-2.
    /// The first one is what the others are compared with. In place of a run, a folder with a
    /// scores.jsonl.
    #[arg(required = true, value_name = "NAME=RUN,RUN")]
    methods: Vec<Group>,
    /// Folder of the report.
    #[arg(long, value_name = "DIR", default_value = "runs/seeds")]
    out: PathBuf,
}

pub fn compare(args: &SeedsArgs) -> anyhow::Result<()> {
    let plan = Seeds {
        groups: args.methods.clone(),
        out: args.out.clone(),
        command: command_line(),
    };
    let report = seeds(&plan)?;
    print_report(&report, "report.json, curves")
}
