//! Errors of environments by name.

use frmdn_env::EnvError;
use frmdn_gym_bridge::GymError;

/// What environments there are, in words for messages.
const NAMES: &str =
    "car-racing, or gym:ID for an environment of Python's Gymnasium, for example gym:CarRacing-v3";

/// Why a name gives no environment, or an environment no answer.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// No environment has this name.
    #[error("there is no such environment; allowed: {NAMES}")]
    UnknownName,
    /// `gym:` without the name of an environment.
    #[error(
        "gym: needs the name of an environment, for example gym:CarRacing-v3; allowed: {NAMES}"
    )]
    EmptyGymName,
    /// An option without a key or without a value.
    #[error("`{0}` is no option: write NAME,key=value,key=value")]
    Malformed(String),
    /// Car-Racing does not have this option, or not with this value.
    #[error("car-racing has no option {key}={value}; allowed: {allowed}")]
    UnknownOption {
        /// The option's name.
        key: String,
        /// Its value.
        value: String,
        /// The options that exist, with their values.
        allowed: String,
    },
    /// Car-Racing does not have this perturbation.
    #[error("there is no perturbation `{name}`; allowed: perturb={allowed}")]
    UnknownPerturbation {
        /// The perturbation's name.
        name: String,
        /// The names that exist.
        allowed: String,
    },
    /// A name whose environment has no random start.
    #[error("only car-racing has one")]
    OnlyCarRacing,
    /// An environment without a random start.
    #[error("{0}: there is no random start; only car-racing has one")]
    NoRandomStart(String),
    /// The scripted driver was asked to drive in another environment.
    #[error("{0}: the scripted driver knows only the track of car-racing, with continuous actions")]
    NotScripted(String),
    /// The scripted driver was asked for an action before the first reset.
    #[error("the episode was never started")]
    NotStarted,
    /// A `gym:` environment or its Python failed.
    #[error(transparent)]
    Gym(#[from] GymError),
    /// The environment refused a call.
    #[error(transparent)]
    Env(#[from] EnvError),
}
