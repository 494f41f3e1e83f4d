//! `frmdn density`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{DeviceArgs, command_line::command_line, compare::print_report};
use crate::{
    stages::Context,
    studies::{DensityKind, DensityStudy, Spec, density},
};

#[derive(Debug, Subcommand)]
pub enum DensityCommand {
    /// Fit densities to recorded speech and compare them. The same command again resumes.
    Speech(SpeechArgs),
    /// Fit densities to images and compare them. The same command again resumes.
    Images(ImagesArgs),
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
    /// Folder of the report and of finished runs. Default: runs/density-DATA.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Folder of trainings (weights and optimiser states). Default: OUT/trained.
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
}

impl DensityCommand {
    /// The device that it was given.
    pub fn device(&self) -> &DeviceArgs {
        match self {
            Self::Speech(args) => &args.study.device,
            Self::Images(args) => &args.study.device,
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
