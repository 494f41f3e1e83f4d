//! Errors of environments by name.

use frmdn_env::EnvError;
use frmdn_gym_bridge::GymError;
use frmdn_super_mario::RomError;

/// Why a name gives no environment, or an environment no answer.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// No environment has this name.
    #[error(
        "there is no such environment; allowed: {0}, or gym:ID for an environment of Python's \
         Gymnasium, for example gym:CarRacing-v3"
    )]
    UnknownName(String),
    /// Something after a colon where nothing belongs.
    #[error("{0} stands without a colon; options follow after commas: {0},key=value")]
    NoSubject(&'static str),
    /// `gym:` without the name of an environment.
    #[error("gym: needs the name of an environment, for example gym:CarRacing-v3")]
    EmptyGymName,
    /// An option without a key or without a value.
    #[error("`{0}` is no option: write NAME,key=value,key=value")]
    Malformed(String),
    /// An option stands there twice.
    #[error("the option `{0}` is given twice: leave one out")]
    Twice(String),
    /// The kind of environment does not have this option, or not with this value.
    #[error("{kind} has no option {key}={value}; allowed: {allowed}")]
    UnknownOption {
        /// The kind of environment.
        kind: &'static str,
        /// The option's name.
        key: String,
        /// Its value.
        value: String,
        /// The options that exist, with their values.
        allowed: String,
    },
    /// A wrapper cannot have this value.
    #[error("{key}={value} is impossible; wrappers are {allowed}")]
    WrapperValue {
        /// The option's name.
        key: String,
        /// Its value.
        value: String,
        /// The options that exist.
        allowed: &'static str,
    },
    /// The environment does not have this perturbation.
    #[error("there is no perturbation `{name}`; allowed: perturb={allowed}")]
    UnknownPerturbation {
        /// The perturbation's name.
        name: String,
        /// The names that exist.
        allowed: String,
    },
    /// An environment without a random start.
    #[error("{0} has no random start")]
    NoRandomStart(String),
    /// An environment without a driver of its own.
    #[error("{0} has no scripted driver (car-racing with continuous actions has one)")]
    NoExpert(String),
    /// An environment that re-implements no other one.
    #[error(
        "{0} has no reference to be compared with (car-racing and super-mario have, without skip= and other wrappers)"
    )]
    NoReference(String),
    /// An environment without snapshots.
    #[error("{0} has no snapshots, and a planner tries its plans on them")]
    NoSnapshots(String),
    /// An environment whose inner state cannot be read.
    #[error("the inner state of {0} cannot be read (that of car-racing can)")]
    NoProbe(String),
    /// Super-Mario without the game.
    #[error(
        "super-mario needs the game, which is Nintendo's and not part of this program: its file is \
         named by --rom or FRMDN_SMB_ROM, or found in a Python environment with \
         gym-super-mario-bros: the activated one, that of FRMDN_PYTHON, or mario-env here"
    )]
    NoRom,
    /// The game's file cannot be used.
    #[error(transparent)]
    Rom(#[from] RomError),
    /// The inner state was asked for before the first reset.
    #[error("the episode was never started")]
    NotStarted,
    /// An environment of a package that nobody has said to trust.
    #[error(
        "\"{}\" would import the Python package \"{}\", which is not a known one",
        name.escape_debug(),
        package.escape_debug()
    )]
    Untrusted {
        /// The environment.
        name: String,
        /// The package.
        package: String,
    },
    /// A `gym:` environment or its Python failed.
    #[error(transparent)]
    Gym(#[from] GymError),
    /// The environment refused a call.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// What an environment is made of cannot be used.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}
