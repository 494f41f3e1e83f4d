//! What to type after an error. The library says what is the matter; the words for what helps are
//! those of the command line, and only here.

use std::{io::ErrorKind, path::Path};

use frmdn_env::EnvError;
use frmdn_gym_bridge::GymError;

use super::command_line::{command_line, typed};
use crate::{
    device::DeviceError,
    measure::MeasureError,
    parity::ParityError,
    rollout::DriveError,
    run::{GatedFigure, Part, Recovery, RunError, shipped_folders},
    worlds::WorldError,
};

/// `text`, which came from a file, without what would steer the terminal: control characters are
/// written as escapes. Lines stay lines.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

/// `error` with what to do next, where something is known to help.
pub fn with_remedy(error: &anyhow::Error) -> String {
    let text = printable(&format!("{error:#}"));
    let Some(remedy) = error.chain().find_map(of_cause) else {
        return text;
    };
    // After several lines the remedy has one of its own.
    let between = match text.contains('\n') {
        true => "\n",
        false if text.ends_with('.') => " ",
        false => ". ",
    };
    format!("{}{between}{remedy}", text.trim_end())
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = cause.downcast_ref() {
        of_run(error)
    } else if let Some(error) = cause.downcast_ref() {
        of_drive(error)
    } else if let Some(error) = cause.downcast_ref() {
        of_parity(error)
    } else if let Some(error) = cause.downcast_ref() {
        of_measure(error)
    } else if let Some(error) = cause.downcast_ref() {
        of_world(error)
    } else if let Some(error) = cause.downcast_ref() {
        of_env(error)
    } else if let Some(error) = cause.downcast_ref() {
        of_gym(error)
    } else {
        cause.downcast_ref().map(of_device)
    }
}

fn of_drive(error: &DriveError) -> Option<String> {
    match error {
        DriveError::World(error) => of_world(error),
        DriveError::Env(error) => of_env(error),
        DriveError::Observer(error) => of_run(error),
        _ => None,
    }
}

fn of_parity(error: &ParityError) -> Option<String> {
    match error {
        ParityError::World(error) => of_world(error),
        ParityError::Env(error) => of_env(error),
        ParityError::Gym(error) => of_gym(error),
        ParityError::Drive(error) => of_drive(error),
        _ => None,
    }
}

fn of_measure(error: &MeasureError) -> Option<String> {
    match error {
        MeasureError::World(error) => of_world(error),
        MeasureError::Env(error) => of_env(error),
        MeasureError::Drive(error) => of_drive(error),
        _ => None,
    }
}

fn of_run(error: &RunError) -> Option<String> {
    let text = match error {
        RunError::Io { cause, .. } => return of_io(cause.kind()).map(str::to_owned),
        RunError::Damaged { recovery, .. } | RunError::Refused { recovery, .. } => {
            return of_recovery(recovery);
        }
        RunError::Version { .. } | RunError::Foreign { .. } => {
            "Use the program that wrote it, or start a new run with --run DIR.".into()
        }
        RunError::InUse { .. } => {
            "Wait for it to end or stop it, or choose another folder with --run DIR.".into()
        }
        RunError::NotARun { path } => {
            format!("Make one with: frmdn train tiny --run {}", typed(path))
        }
        RunError::Differs { path, .. } => format!(
            "Go on with the old ones: frmdn train --run {}, without a preset and without --set; or \
             start a new run with --run OTHER.",
            typed(path)
        ),
        RunError::NonFinite { stage, .. } => format!(
            "Start a new run with a smaller rate, for example --set {stage}.learning_rate=3e-4 \
             --run DIR."
        ),
        RunError::Gate {
            figure,
            earlier_round,
            ..
        } => format!(
            "{} To go on with it as it is, type the same command with --ignore-gates.",
            of_gate(*figure, *earlier_round)
        ),
        RunError::Missing { what, path } => of_missing(*what, path),
        RunError::World(error) => return of_world(error),
        RunError::Env(error) => return of_env(error),
        RunError::Stopped => "Type it again to begin anew.".into(),
        RunError::Interrupted => format!("Go on with: {}", command_line()),
        RunError::Config(_) | RunError::Failed(_) => return None,
    };
    Some(text)
}

fn of_io(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Some(
            "The disk is full or a limit on file sizes was reached; nothing was lost: free some \
             space and type the same command again.",
        ),
        ErrorKind::PermissionDenied => Some("Choose a folder you may write to with --run DIR."),
        ErrorKind::NotFound => Some("Check the path."),
        _ => None,
    }
}

fn of_recovery(recovery: &Recovery) -> Option<String> {
    let text = match recovery {
        Recovery::Stage(stage) => format!(
            "Delete the folder {stage}/ of the run and type the same train command again: {}.",
            match *stage {
                "vision" => "V is trained anew",
                "memory" => "M is trained anew",
                _ => "the evolution starts anew",
            }
        ),
        Recovery::StagesAfterVision(run) => format!(
            "Delete the folders memory, controller and evaluation in {}, and type the same command \
             again.",
            run.display()
        ),
        Recovery::Episode => "Delete this file and type the same train command again: it is made \
             anew from its seed."
            .into(),
        Recovery::Episodes => "Delete the folder episodes/ of the run, type: frmdn collect --run \
             RUN, then the same command again."
            .into(),
        Recovery::Settings => "Restore the file, or start a new run with --run DIR and the \
             settings you want (--set key=value)."
            .into(),
        Recovery::Restore => "Restore the file from where it came.".into(),
        Recovery::File => "Delete it and type the same command again.".into(),
        Recovery::Link => "Put what it leads to in its place, or move the whole run folder and \
             link to that."
            .into(),
        Recovery::SaveActions(width) => format!(
            "Save them with numpy.save, as an array of numbers of the shape [steps, {width}]."
        ),
        Recovery::Folder => "Delete its folder and type the same command again.".into(),
        Recovery::Line => "Delete that line and type the same command again.".into(),
        Recovery::OneOfTwoLines => "Delete one of them and type the same command again.".into(),
        Recovery::OtherFolder(delete) => format!(
            "Choose another folder (--out DIR for results, --work DIR for memories), or delete \
             {delete} to make it anew."
        ),
        Recovery::MakeResults => "Type the command without --report.".into(),
        Recovery::TestEpisodes(number) => {
            format!("Type --test-episodes {number}, or choose another folder with --out DIR.")
        }
        Recovery::Agent => {
            let train = "To train an agent, type: frmdn train";
            let shipped = of_no_shipped().map(|text| format!("{text} "));
            format!("{}{train}", shipped.unwrap_or_default())
        }
        Recovery::Shipped => return of_no_shipped(),
        Recovery::NoGiveUp => "Add --set controller.give_up_after=0".into(),
        Recovery::Latent(n) => format!("Add --set vision.model.latent={n}"),
        Recovery::NoRandomStart => "Add --set collect.random_start=false".into(),
        Recovery::SameTracks => "Compare runs of one environment and one evaluate.episodes.".into(),
        Recovery::OtherEnvironment => "Name another one with --env NAME.".into(),
        Recovery::EarlierDream => "Give a smaller --warm-up or another --seed.".into(),
        Recovery::SameVision(agent) => format!(
            "Take a dream of the same V, for example --env {}",
            typed(Path::new(&format!("dream:{}", agent.display())))
        ),
    };
    Some(text)
}

/// How to get the shipped agents, where there are none.
fn of_no_shipped() -> Option<String> {
    let [here, other] = shipped_folders();
    if here.is_dir() || other.is_dir() {
        return None;
    }
    Some(format!(
        "The weights of the shipped agents are in the folder checkpoints of this program's \
         repository, and neither ./{} nor {} exists: clone the repository and type the command in \
         it, or set FRMDN_CHECKPOINTS=FOLDER to the path of that folder.",
        here.display(),
        other.display()
    ))
}

fn of_gate(figure: GatedFigure, earlier_round: bool) -> &'static str {
    if earlier_round {
        return "Its settings are those of the preset that first.preset names: change them in a \
                copy of that file, and name it in a new run (--set first.preset=FILE --run DIR).";
    }
    match figure {
        GatedFigure::PixelError => {
            "Look at pictures/reconstructions.png in the run folder: give V more updates (--set \
             vision.updates=…), more width (vision.model.width) or more nats (vision.target_kl), \
             in a new run (--run DIR)."
        }
        GatedFigure::RareError => {
            "What is small is blurred or missing; look at pictures/reconstructions.png in the run \
             folder: let it count more (--set vision.rare=…), give V more nats \
             (vision.target_kl) or more updates (vision.updates), in a new run (--run DIR)."
        }
        GatedFigure::Kl => {
            "β has not settled, or the episodes are too few: give V more updates (--set \
             vision.updates=…) or more episodes (collect.episodes), in a new run (--run DIR)."
        }
        GatedFigure::ActiveDimensions => {
            "V leaves dimensions unused: raise vision.target_kl, or lower vision.model.latent, in \
             a new run (--run DIR)."
        }
        GatedFigure::NatsAboveFloor => {
            "M predicts too little: look at pictures/memory.png in the run folder and give it more \
             updates (--set memory.updates=…) or another learning_rate, in a new run (--run DIR)."
        }
        GatedFigure::Overpaid => {
            "An evolution in these dreams would find that out. M needs data in which actions have their \
             own ends (collect.policy = \"brownian,bursts\"), or more updates; in a new run (--run \
             DIR). frmdn inspect RUN --dream shows all of them."
        }
        GatedFigure::RewardCorrelation => {
            "The episodes may hold too few rewards (drivers that never get going), or M too few \
             updates: see collect.policy and memory.updates, in a new run (--run DIR)."
        }
    }
}

fn of_missing(what: Part, path: &Path) -> String {
    match what {
        Part::Vision => format!("Type: frmdn vision --run {}", typed(path)),
        Part::Memory => format!("Type: frmdn memory --run {}", typed(path)),
        Part::Controller | Part::Scores => format!("Type: frmdn train --run {}", typed(path)),
        Part::LinearPredictor => "Type the command without --report.".into(),
        Part::Episode(_) => format!("Type: frmdn collect --run {}", typed(path)),
    }
}

fn of_world(error: &WorldError) -> Option<String> {
    match error {
        WorldError::Gym(error) => of_gym(error),
        WorldError::Env(error) => of_env(error),
        WorldError::NoSnapshots(_) => Some(
            "Name an environment that has some: --env homebrew, or car-racing, or super-mario."
                .into(),
        ),
        WorldError::Other(error) => of_other(error.as_ref()),
        WorldError::NoRom | WorldError::Rom(_) => Some("Name it with --rom FILE.".into()),
        WorldError::Untrusted { .. } => Some(
            "A file names it, and to import a package is to run its code. If you trust it, type \
             the same command with --trust, or name the environment yourself with --env."
                .into(),
        ),
        _ => None,
    }
}

fn of_env(error: &EnvError) -> Option<String> {
    match error {
        EnvError::Other(error) => of_other(error.as_ref()),
        _ => None,
    }
}

/// Of what an environment is made of: a server of Gymnasium, or the run that dreams.
fn of_other(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Option<String> {
    match error.downcast_ref() {
        Some(error) => of_run(error),
        None => error.downcast_ref().and_then(of_gym),
    }
}

fn of_gym(error: &GymError) -> Option<String> {
    let text = match error {
        GymError::NoPython { .. } | GymError::Missing { .. } => {
            "If that Python is not found by itself, name it with --python PATH."
        }
        GymError::NotStarted { .. } => "Choose another Python with --python PATH.",
        GymError::Hung { .. } => "If it is only slow, give it more with --env-timeout SECONDS.",
        _ => return None,
    };
    Some(text.into())
}

fn of_device(error: &DeviceError) -> String {
    match error {
        DeviceError::UnknownName(_) => "Choose one with --device NAME.".into(),
        DeviceError::NotBuilt(name) => {
            format!("Type: cargo build --release --features {name}")
        }
        DeviceError::Faulty { .. } => "Install its driver (for Vulkan on Debian: apt-get install \
             mesa-vulkan-drivers), or use --device cpu"
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;

    #[test]
    fn an_error_is_followed_by_what_helps_on_the_same_line_or_the_next() {
        let said = |error: RunError| with_remedy(&error.into());
        let path = Path::new("runs/a");
        assert_eq!(
            said(RunError::damaged(path, "it is short", Recovery::File)),
            "runs/a is damaged: it is short. Delete it and type the same command again."
        );
        let differs = RunError::Differs {
            path: path.into(),
            differences: "seed: 1 there, 2 here\n".into(),
        };
        assert_eq!(
            said(differs),
            "runs/a was made with other settings:\nseed: 1 there, 2 here\nGo on with the old ones: \
             frmdn train --run runs/a, without a preset and without --set; or start a new run with \
             --run OTHER."
        );
        let unknown = RunError::Failed("the model is tired".into());
        assert_eq!(said(unknown), "the model is tired");
    }

    #[test]
    fn what_would_steer_the_terminal_is_written_as_escapes() {
        let error = RunError::Failed("car\u{1b}[31m\u{7}\r\nnext\u{9b}2J".into());
        let said = with_remedy(&error.into());
        assert_eq!(said, "car\\u{1b}[31m\\u{7}\\r\nnext\\u{9b}2J");
    }

    #[test]
    fn remedies_are_found_beneath_other_errors_and_texts() {
        let hung = GymError::Hung {
            id: "Mario".into(),
            request: "step",
            after: std::time::Duration::from_secs(1),
            stderr: "busy".into(),
        };
        let error = RunError::from(EnvError::other(hung));
        let text = with_remedy(&anyhow::Error::from(error).context("play"));
        assert!(
            text.starts_with("play: gym:Mario gave no answer") && text.contains("busy\nIf it is"),
            "{text}"
        );
        let device = Device::open("gpu").unwrap_err();
        let text = with_remedy(&device.into());
        assert!(text.ends_with("Choose one with --device NAME."), "{text}");
    }
}
