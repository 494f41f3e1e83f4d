//! The command line: one file per command. The only place that knows clap and the terminal.

mod bench;
mod command_line;
mod compare;
mod density;
mod doctor;
mod dream;
mod env;
mod evaluate;
mod headroom;
mod inspect;
mod out;
mod pilot;
mod plan;
mod play;
mod progress;
mod remedy;
mod robustness;
mod score;
mod seeds;
mod signals;
mod table;
mod train;
mod trust;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};

use self::out::OutputError;
use crate::{
    agent::Agent,
    device::{self, Device},
    dream::DreamKind,
    run::{Interrupt, Preset, RunError, RunFolder},
    stages::{self, Context, Stage},
    worlds::{self, Bridge, World},
};

/// Help of options that name an environment.
const OTHER_ENVIRONMENT: &str = worlds::OTHER;

/// The end of the help.
const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed; 2 wrong arguments; 3 standard output cannot \
                          be written; 130 interrupted.";

/// World models with flow-based recurrent mixture density networks: train, dream and compare on a
/// laptop.
#[derive(Debug, Parser)]
#[command(name = "frmdn", version, arg_required_else_help = true, after_help = EXIT_CODES, max_term_width = 80)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Threads to work with (default: all cores). Results do not depend on it.
    #[arg(long, global = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// The Python that serves gym: environments (default: looked for; see frmdn doctor).
    #[arg(long, global = true, value_name = "PATH")]
    python: Option<PathBuf>,
    /// The file of the game that super-mario plays, which is not part of this program (default:
    /// FRMDN_SMB_ROM, or that of an installed gym-super-mario-bros).
    #[arg(long, global = true, value_name = "FILE")]
    rom: Option<PathBuf>,
    /// Seconds that a gym: environment may take for one reset or step; its start may take three
    /// times as long.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 60.0)]
    env_timeout: f64,
    /// Import every Python package that the environment of an agent or a run folder names, not only
    /// known ones and those that you name yourself.
    #[arg(long, global = true)]
    trust: bool,
}

/// Where V and M are trained.
#[derive(Args, Clone, Debug)]
struct DeviceArgs {
    /// Where V and M are trained: cpu (the built-in engine), or a device of burn: flex, wgpu,
    /// vulkan, cuda, tch, if built in.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    device: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a whole agent: collect, vision, memory, controller, evaluate. The same line again
    /// resumes.
    Train(RunArgs),
    /// Record the episodes of a run; an earlier round comes first.
    Collect(train::CollectArgs),
    /// Train up to V (the VAE): first, collect, vision.
    Vision(RunArgs),
    /// Train up to M (the memory): first, collect, vision, memory.
    Memory(RunArgs),
    /// Train up to C (the controller): all stages but the evaluation.
    Controller(RunArgs),
    /// Score an agent on tracks that are used for nothing else.
    Evaluate(evaluate::EvaluateArgs),
    /// Drive one episode and write a film of it.
    Play(play::PlayArgs),
    /// Write a film of an agent that drives in the dream of its memory, beside the real episode.
    Dream(dream::DreamArgs),
    /// Estimate what a preset costs on this machine in time, memory and disk.
    Plan(plan::PlanArgs),
    /// Show what is in a run folder or checkpoint.
    Inspect(inspect::InspectArgs),
    /// Trace an environment, or compare Car-Racing with Gymnasium's.
    #[command(subcommand)]
    Env(env::EnvCommand),
    /// Compare memories or agents in a study with a report.
    #[command(subcommand)]
    Compare(compare::CompareCommand),
    /// Fit densities to sequences that are no worlds: speech and images.
    #[command(subcommand)]
    Density(density::DensityCommand),
    /// Say how much a flow could gain on data, before any training.
    Headroom(headroom::HeadroomArgs),
    /// Show what this machine offers and what is missing.
    Doctor,
    /// Measure how fast each part is on this machine.
    Bench(bench::BenchArgs),
}

impl Command {
    /// Whether it keeps its state when it is interrupted.
    fn saves(&self) -> bool {
        match self {
            Self::Train(_)
            | Self::Collect(_)
            | Self::Vision(_)
            | Self::Memory(_)
            | Self::Controller(_)
            | Self::Compare(_)
            | Self::Density(
                density::DensityCommand::Speech(_) | density::DensityCommand::Images(_),
            ) => true,
            Self::Evaluate(_)
            | Self::Play(_)
            | Self::Dream(_)
            | Self::Plan(_)
            | Self::Inspect(_)
            | Self::Env(_)
            | Self::Headroom(_)
            | Self::Density(density::DensityCommand::Sample(_))
            | Self::Doctor
            | Self::Bench(_) => false,
        }
    }

    /// The run that it works on.
    fn run_args(&self) -> Option<&RunArgs> {
        match self {
            Self::Train(args)
            | Self::Vision(args)
            | Self::Memory(args)
            | Self::Controller(args) => Some(args),
            Self::Collect(args) => Some(&args.run),
            _ => None,
        }
    }

    /// The device that it was given.
    fn device(&self) -> &str {
        let args = match self {
            Self::Bench(args) => Some(&args.device),
            Self::Compare(command) => command.device(),
            Self::Density(command) => command.device(),
            _ => self.run_args().map(|args| &args.device),
        };
        args.map_or(device::CPU, |args| &args.device)
    }
}

/// Which run a command works on.
#[derive(Args, Clone, Debug)]
struct RunArgs {
    /// A preset (frmdn plan lists them) or the path of a TOML file. Default: the run's own, or tiny.
    preset: Option<String>,
    /// The run folder. Default: runs/PRESET.
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    #[arg(long, value_name = "NAME", help = worlds::NAMES)]
    env: Option<String>,
    /// Change one setting, for example vision.updates=500. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Go on even if V or M misses the preset's gates.
    #[arg(long)]
    ignore_gates: bool,
}

impl RunArgs {
    /// Opens the run folder, made with the preset if it is new and its environment answers.
    fn open(&self, context: &Context<'_>) -> Result<RunFolder, RunError> {
        let root = self.run.clone().unwrap_or_else(|| {
            let name = self.preset.as_deref().unwrap_or("tiny");
            let stem = Path::new(name)
                .file_stem()
                .map_or_else(|| name.into(), std::ffi::OsStr::to_os_string);
            PathBuf::from("runs").join(stem)
        });
        let known = root.join("run.toml").exists();
        let mut sets = self.sets.clone();
        sets.extend(self.env.iter().map(|name| format!("environment={name}")));
        let preset = match &self.preset {
            Some(name) => Some(Preset::resolve(name, &sets)?),
            // Only --set: compared with the folder's own settings, so that a --set that changes
            // nothing is not an error.
            None if known && !sets.is_empty() => {
                Some(RunFolder::open(&root)?.preset().clone().with(&sets)?)
            }
            None if known => None,
            None => Some(Preset::resolve("tiny", &sets)?),
        };
        if let (false, Some(preset)) = (known, &preset) {
            let spec = World::open(&preset.environment, context.bridge)?.spec()?;
            stages::check_environment(preset, &spec)?;
        }
        RunFolder::create_or_resume(&root, preset)
    }
}

/// The agent that `dir` names; says so if it is not inside of `dir`.
fn load_agent(dir: &Path, context: &Context<'_>) -> Result<Agent, RunError> {
    let agent = Agent::load(dir)?;
    say_origin(&agent, dir, context);
    Ok(agent)
}

/// Says where the agent that `dir` names was found, if it is not inside of `dir`.
fn say_origin(agent: &Agent, dir: &Path, context: &Context<'_>) {
    if !agent.origin().starts_with(dir) {
        let origin = agent.origin().display();
        context.report.say(&format!("the agent is {origin}"));
    }
}

/// The arguments of the program, as they are declared: for tests.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Parses the arguments, does the work, and turns errors into a line and an exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(text) => return usage(&text),
    };
    let terminal = progress::Terminal::start();
    let stop = signals::stop_on_signals(terminal.teller(), cli.command.saves());
    start_threads(cli.threads);
    let Err(error) = run(&cli, &terminal, &stop) else {
        return ExitCode::SUCCESS;
    };
    let output: Option<&OutputError> = error.downcast_ref();
    if output.is_some_and(OutputError::is_closed) {
        // A reader that has seen enough, or that was interrupted too.
        return match stop.is_set() {
            true => ExitCode::from(signals::EXIT),
            false => ExitCode::SUCCESS,
        };
    }
    terminal.error(&remedy::with_remedy(&error));
    let interrupted = matches!(
        error.downcast_ref::<RunError>(),
        Some(RunError::Interrupted | RunError::Stopped)
    );
    ExitCode::from(match (interrupted, output) {
        (true, _) => signals::EXIT,
        (_, Some(_)) => out::EXIT,
        (_, None) => 1,
    })
}

/// Help, the version, or what is wrong with the arguments.
fn usage(text: &clap::Error) -> ExitCode {
    match text.print() {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::from(out::EXIT),
        _ => ExitCode::from(u8::try_from(text.exit_code()).unwrap_or(2)),
    }
}

fn start_threads(number: Option<u16>) {
    let mut pool = rayon::ThreadPoolBuilder::new();
    if let Some(n) = number {
        pool = pool.num_threads(usize::from(n));
    }
    if let Err(e) = pool.build_global() {
        tracing::warn!("cannot set the number of threads: {e}");
    }
}

fn run(cli: &Cli, terminal: &progress::Terminal, stop: &Interrupt) -> anyhow::Result<()> {
    if let Some(other) = std::env::var_os("FRMDN_INSTRUCTIONS")
        && !other.is_empty()
        && other != "fused"
    {
        anyhow::bail!(
            "FRMDN_INSTRUCTIONS={} is not known: set it to fused, or unset it for the fastest \
             instructions of this processor",
            other.display()
        );
    }
    if !(cli.env_timeout > 0.0 && cli.env_timeout <= 86_400.0) {
        anyhow::bail!(
            "--env-timeout {} is impossible: it must be above 0 and at most 86400 seconds",
            cli.env_timeout
        );
    }
    if let Some(rom) = &cli.rom {
        worlds::super_mario::set_rom(rom);
    }
    let bridge = Bridge {
        python: cli.python.clone(),
        deadline: Duration::from_secs_f64(cli.env_timeout),
        trust: trust::trust(cli),
    };
    worlds::add(Box::leak(Box::new(DreamKind::new(bridge.clone()))));
    let device = Device::open(cli.command.device())?;
    let context = Context {
        report: terminal,
        stop,
        device: &device,
        bridge: &bridge,
        ignore_gates: cli.command.run_args().is_some_and(|args| args.ignore_gates),
    };
    match &cli.command {
        Command::Train(args) => train::train(args, &context),
        Command::Collect(args) => train::collect(args, &context),
        Command::Vision(args) => train::stage(args, &context, Stage::Vision),
        Command::Memory(args) => train::stage(args, &context, Stage::Memory),
        Command::Controller(args) => train::stage(args, &context, Stage::Controller),
        Command::Evaluate(args) => evaluate::evaluate(args, &context),
        Command::Play(args) => play::play(args, &context),
        Command::Dream(args) => dream::dream(args, &context),
        Command::Plan(args) => plan::plan(args, &context),
        Command::Inspect(args) => inspect::inspect(args, &context),
        Command::Env(command) => env::env(command, &context),
        Command::Compare(command) => compare::compare(command, &context),
        Command::Density(command) => density::run(command, &context),
        Command::Headroom(args) => headroom::run(args, &context),
        Command::Doctor => doctor::doctor(&context),
        Command::Bench(args) => bench::bench(args, &context),
    }
}
