//! What can go wrong with a server. Each error says what to do next.

use std::{path::PathBuf, time::Duration};

/// Why an environment of Gymnasium cannot be had, or has stopped.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GymError {
    /// No interpreter was found.
    #[error(
        "no Python was found (looked at {looked}). Install Python 3.10 or newer, then type:\n{}",
        crate::python::install("python3", id)
    )]
    NoPython {
        /// Where it was looked for.
        looked: String,
        /// The environment it was wanted for.
        id: String,
    },
    /// The interpreter cannot be started.
    #[error(
        "{} cannot be started: {why}. Choose another Python with --python PATH",
        program.display()
    )]
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
        /// The environment it was wanted for.
        id: String,
    },
    /// The server speaks another version of the protocol.
    #[error(
        "the environment server speaks version {found} of the protocol, this program speaks \
         {expected}: use the server that comes with it"
    )]
    Version {
        /// The server's.
        found: u64,
        /// Ours.
        expected: u64,
    },
    /// The environment or one of its spaces is not served.
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
        /// What was asked.
        request: &'static str,
        /// The exception's class.
        kind: String,
        /// Its message.
        message: String,
        /// Where it was raised.
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
        /// What was asked.
        request: &'static str,
        /// Exit code or signal.
        status: String,
        /// The last lines of its standard error.
        stderr: String,
    },
    /// No answer in time; the process was stopped.
    #[error(
        "gym:{id} gave no answer within {} s when it was asked to {request}, and was stopped. \
         If it is only slow, give it more with --env-timeout SECONDS.{}",
        after.as_secs_f64(),
        said(stderr)
    )]
    Hung {
        /// The environment.
        id: String,
        /// What was asked.
        request: &'static str,
        /// How long it was waited for.
        after: Duration,
        /// The last lines of its standard error.
        stderr: String,
    },
    /// The server sent something that is no answer.
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
    /// Played again after a crash, the episode went another way.
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
    /// Whether another process may do better: the environment itself did not refuse.
    pub(crate) fn is_crash(&self) -> bool {
        matches!(
            self,
            Self::Ended { .. } | Self::Hung { .. } | Self::Garbled { .. }
        )
    }
}

/// The server's last words, where there are any.
fn said(stderr: &str) -> String {
    if stderr.is_empty() {
        String::new()
    } else {
        format!(" Its last words:\n{stderr}")
    }
}
