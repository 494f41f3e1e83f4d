//! `frmdn env`: traces of environments, and our Car-Racing beside Gymnasium's.

mod parity;
mod trace;

use anyhow::Result;
use clap::Subcommand;

use crate::stages::Context;

#[derive(Debug, Subcommand)]
pub enum EnvCommand {
    /// Drive given actions and write what happens, step by step.
    Trace(trace::TraceArgs),
    /// Run our Car-Racing and Gymnasium's side by side and show their first difference.
    Parity(parity::ParityArgs),
}

pub fn env(command: &EnvCommand, context: &Context<'_>) -> Result<()> {
    match command {
        EnvCommand::Trace(args) => trace::trace(args, context),
        EnvCommand::Parity(args) => parity::parity(args, context),
    }
}
