//! What Python may import: whatever the user names, and from files only what is known, unless
//! `--trust` is given.

use super::{Cli, Command, RunArgs, compare::CompareCommand, env::EnvCommand};
use crate::{run::Preset, worlds::Trust};

/// What may be imported in this call.
pub fn trust(cli: &Cli) -> Trust {
    if cli.trust {
        return Trust::All;
    }
    let named = named(&cli.command);
    Trust::of(named.iter().map(String::as_str))
}

/// The environments that were typed, or that stand in a preset that was.
fn named(command: &Command) -> Vec<String> {
    let mut named: Vec<String> = command.run_args().map_or_else(Vec::new, of_run);
    match command {
        Command::Evaluate(args) => named.extend(args.env.iter().chain(&args.against).cloned()),
        Command::Play(args) => named.extend(args.env.clone()),
        Command::Dream(args) => named.extend(args.env.clone()),
        Command::Plan(args) => named.extend(of_preset(&args.preset, &args.sets)),
        Command::Bench(args) => {
            named.extend(args.env.clone());
            named.extend(args.preset.iter().filter_map(|name| of_preset(name, &[])));
        }
        Command::Env(EnvCommand::Trace(args)) => named.push(args.environment.clone()),
        Command::Compare(CompareCommand::Robustness(args)) => named.extend(args.env.clone()),
        _ => {}
    }
    named
}

/// `--env`, `--set environment=…`, and the preset's. The environment of a run folder is not typed.
fn of_run(args: &RunArgs) -> Vec<String> {
    let set = |text: &String| match text.split_once('=')? {
        (key, value) if key.trim() == "environment" => Some(value.trim().to_owned()),
        _ => None,
    };
    let mut named: Vec<String> = args.sets.iter().filter_map(set).collect();
    named.extend(args.env.clone());
    named.extend(
        args.preset
            .iter()
            .filter_map(|name| of_preset(name, &args.sets)),
    );
    named
}

/// The environment of a preset; none if it cannot be read, which is an error later.
fn of_preset(name: &str, sets: &[String]) -> Option<String> {
    Some(Preset::resolve(name, sets).ok()?.environment)
}
