//! Errors of servers.

use std::{path::PathBuf, time::Duration};

/// Why an environment of Gymnasium cannot be used, or has failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GymError {
    /// No interpreter was found.
    #[error(
        "no Python was found (looked at {looked}). Install Python 3.10 or newer, then type:\n{}",
        crate::python::install("python3", id)
    )]
    NoPython {
        /// The places that were searched.
        looked: String,
        /// The environment that needs it.
        id: String,
    },
    /// The interpreter cannot be started.
    #[error("{} cannot be started: {why}", program.display())]
    NotStarted {
        /// The interpreter.
        program: PathBuf,
        /// The system's reason.
        why: String,
    },
    /// A package is not installed.
    #[error(
        "{} lacks what gym:{id} needs ({package}). Type:\n{}",
        program.display(),
        crate::python::install(&program.display().to_string(), id)
    )]
    Missing {
        /// The interpreter.
        program: PathBuf,
        /// What is missing.
        package: String,
        /// The environment that needs it.
        id: String,
    },
    /// The server speaks another version of the protocol.
    #[error(
        "the environment server speaks version {found} of the protocol, this program speaks \
         {expected}: use the server that comes with it"
    )]
    Version {
        /// The server's version.
        found: u64,
        /// The version of this program.
        expected: u64,
    },
    /// The environment, or one of its spaces, is not supported.
    #[error("gym:{id} cannot be used: {why}")]
    Refused {
        /// The environment.
        id: String,
        /// Why.
        why: String,
    },
    /// The environment raised an exception.
    #[error("gym:{id} failed while it was asked to {request}: {kind}: {message}\n{trace}")]
    Raised {
        /// The environment.
        id: String,
        /// The request, as a verb.
        request: &'static str,
        /// The exception's class.
        kind: String,
        /// Its message.
        message: String,
        /// The end of its traceback.
        trace: String,
    },
    /// The process ended.
    #[error(
        "the server of gym:{id} ended ({status}) while it was asked to {request}.{}",
        said(stderr)
    )]
    Ended {
        /// The environment.
        id: String,
        /// The request, as a verb.
        request: &'static str,
        /// Exit code or signal.
        status: String,
        /// The last lines of its standard error.
        stderr: String,
    },
    /// No reply in time; the process was stopped.
    #[error(
        "gym:{id} gave no answer within {} s when it was asked to {request}, and was stopped.{}",
        after.as_secs_f64(),
        said(stderr)
    )]
    Hung {
        /// The environment.
        id: String,
        /// The request, as a verb.
        request: &'static str,
        /// The deadline.
        after: Duration,
        /// The last lines of its standard error.
        stderr: String,
    },
    /// The server sent something else than a reply.
    #[error(
        "the server of gym:{id} does not keep to the protocol: {what}.{}",
        said(stderr)
    )]
    Garbled {
        /// The environment.
        id: String,
        /// What was wrong.
        what: String,
        /// The last lines of its standard error.
        stderr: String,
    },
    /// Played again after a crash, the episode had another reward.
    #[error(
        "gym:{id} does not repeat itself: played again after a crash, step {step} of seed {seed} \
         gave another reward. Its first fault was: {fault}"
    )]
    Unrepeatable {
        /// The environment.
        id: String,
        /// The episode's seed.
        seed: u64,
        /// The step that differed.
        step: usize,
        /// What had ended the server.
        fault: String,
    },
}

impl GymError {
    /// Whether the process failed, not the environment, so that another process may succeed.
    pub(crate) fn is_crash(&self) -> bool {
        matches!(
            self,
            Self::Ended { .. } | Self::Hung { .. } | Self::Garbled { .. }
        )
    }
}

/// The last lines of the server's standard error, if any.
fn said(stderr: &str) -> String {
    if stderr.is_empty() {
        String::new()
    } else {
        format!(" Its last words:\n{stderr}")
    }
}
