//! `frmdn density`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{DeviceArgs, command_line::command_line, compare::print_report, out::out};
use crate::{
    memory::TEMPERATURES,
    stages::Context,
    studies::{DensityKind, DensityStudy, Draws, Spec, density, draw},
};

/// Most seconds of a sound that is drawn.
const LONGEST: f64 = 600.0;

#[derive(Debug, Subcommand)]
pub enum DensityCommand {
    /// Fit densities to recorded speech and compare them. The same command again resumes.
    Speech(SpeechArgs),
    /// Fit densities to images and compare them. The same command again resumes.
    Images(ImagesArgs),
    /// Draw from a fitted density: a sound to listen to, images to look at.
    Sample(SampleArgs),
}

#[derive(Args, Debug)]
pub struct SpeechArgs {
    /// The sounds: festvox-ru, asterisk-core-sounds or asterisk-core-sounds-en (Debian's packages),
    /// or a folder: TIMIT, VCTK, Blizzard, the Speech Accent Archive, or any of .wav, .flac and
    /// SPHERE files.
    data: String,
    #[command(flatten)]
    study: StudyArgs,
}

#[derive(Args, Debug)]
pub struct ImagesArgs {
    /// The images: mnist, fashion-mnist, cifar-10, or a folder of such files.
    data: String,
    /// A pixel at each step instead of a row.
    #[arg(long)]
    pixels: bool,
    #[command(flatten)]
    study: StudyArgs,
}

#[derive(Args, Debug)]
pub struct SampleArgs {
    /// The density: its file, or its folder (OUT/trained/NAME of frmdn density).
    density: PathBuf,
    /// Data to show beside it. Default: those that it was fitted to, if they are here.
    #[arg(long, value_name = "DATA")]
    data: Option<String>,
    /// Temperature of the draws, 0 to 3: 0 takes the most likely component's mean.
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    temperature: f32,
    /// Seconds of sound.
    #[arg(long, default_value_t = 3.0, allow_negative_numbers = true)]
    seconds: f64,
    /// Root of the random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder of the files.
    #[arg(long, value_name = "DIR", default_value = "sample")]
    out: PathBuf,
}

#[derive(Args, Debug)]
pub struct StudyArgs {
    /// Densities, separated by commas, with settings after colons, for example
    /// frmdn:components=1. Default: those of the published table.
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    variants: Vec<Spec>,
    /// Number of seeds that each density is fitted from.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Change a setting of all densities, for example memory.updates=1000. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Fit nothing; write the report from the runs that are finished.
    #[arg(long)]
    report: bool,
    /// Folder of the report and of finished runs. Default: runs/speech-DATA, images-DATA or pixels-DATA.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Folder of trainings (weights and optimiser states). Default: OUT/trained.
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
}

impl DensityCommand {
    /// The device that it was given; `None` where nothing is trained.
    pub fn device(&self) -> Option<&DeviceArgs> {
        match self {
            Self::Speech(args) => Some(&args.study.device),
            Self::Images(args) => Some(&args.study.device),
            Self::Sample(_) => None,
        }
    }
}

pub fn run(command: &DensityCommand, context: &Context<'_>) -> anyhow::Result<()> {
    let (kind, data, args) = match command {
        DensityCommand::Speech(args) => (DensityKind::Speech, &args.data, &args.study),
        DensityCommand::Images(args) if args.pixels => {
            (DensityKind::Pixels, &args.data, &args.study)
        }
        DensityCommand::Images(args) => (DensityKind::Rows, &args.data, &args.study),
        DensityCommand::Sample(args) => return sample(args),
    };
    let variants = match args.variants.is_empty() {
        true => {
            let names = kind.variants().split(',').map(str::parse);
            names.collect::<Result<_, _>>()?
        }
        false => args.variants.clone(),
    };
    let out = args.out.clone().unwrap_or_else(|| {
        let name = PathBuf::from(data);
        let name = name
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        PathBuf::from("runs").join(format!("{}-{name}", kind.name()))
    });
    let plan = DensityStudy {
        kind,
        data: data.clone(),
        variants,
        seeds: args.seeds,
        sets: args.sets.clone(),
        work: args.work.clone().unwrap_or_else(|| out.join("trained")),
        out,
        train: !args.report,
        command: command_line(),
    };
    let report = density(&plan, context)?;
    print_report(&report, "report.html, report.json, training.png")
}

fn sample(args: &SampleArgs) -> anyhow::Result<()> {
    let SampleArgs {
        temperature,
        seconds,
        ..
    } = *args;
    if !TEMPERATURES.contains(&temperature) {
        anyhow::bail!("--temperature {temperature} is impossible: write a number from 0 to 3");
    }
    if !(seconds > 0.0 && seconds <= LONGEST) {
        anyhow::bail!("--seconds {seconds} is impossible: write a number above 0, up to {LONGEST}");
    }
    let (files, said) = draw(&Draws {
        density: args.density.clone(),
        data: args.data.clone(),
        temperature,
        seconds,
        seed: args.seed,
        out: args.out.clone(),
    })?;
    out!("{said}");
    for file in files {
        out!("{}", file.display());
    }
    Ok(())
}
