//! `frmdn env`: placeholder
use anyhow::Result;
use clap::Subcommand;
use crate::stages::Context;
#[derive(Debug, Subcommand)]
pub enum EnvCommand { /// Trace.
 Trace }
pub fn env(_: &EnvCommand, _: &Context<'_>) -> Result<()> { Ok(()) }
