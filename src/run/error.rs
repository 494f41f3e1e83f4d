//! Errors of everything that is on disk. Each says what to do next.

use std::path::{Path, PathBuf};

/// Result with a [`RunError`].
pub type Result<T> = std::result::Result<T, RunError>;

/// What can go wrong with a run and its files.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The operating system refused a read or a write.
    #[error("cannot {action} {}: {cause}{}", path.display(), io_remedy(cause))]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The cause. Not named `source`: the message contains it already, and a chain of causes
        /// would repeat it.
        cause: std::io::Error,
    },
    /// A file is truncated or altered.
    #[error("{} is damaged: {what}. {remedy}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
        /// What to type or do next.
        remedy: String,
    },
    /// A file was written by another version of the format.
    #[error("{} has format version {found}, this program reads version {expected}. Use the program \
        that wrote it, or start a new run with --run DIR.", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
        /// Version this program reads.
        expected: u32,
    },
    /// An intact file has entries that this program does not know, or lacks some that it needs.
    #[error("{} was written by another version of this program ({what}). Use the program that \
        wrote it, or start a new run with --run DIR.", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// Another process works on the run folder.
    #[error("{} is in use by another process ({holder}). Wait for it to end or stop it, or choose \
        another folder with --run DIR.", path.display())]
    InUse {
        /// The run folder.
        path: PathBuf,
        /// What the lock file says of the other process.
        holder: String,
    },
    /// A configuration that cannot be used.
    #[error("{0}")]
    Config(String),
    /// The run folder was made with other settings.
    #[error(
        "{} was made with other settings:\n{differences}\nGo on with the old ones: frmdn train \
         --run {}, without a preset and without --set; or start a new run with --run OTHER.",
        path.display(),
        path.display()
    )]
    Differs {
        /// The run folder.
        path: PathBuf,
        /// One line for each key that differs.
        differences: String,
    },
    /// A loss or gradient stopped being a finite number.
    #[error("{stage}: {what} is not finite at update {update}; nothing after the last checkpoint \
        in {} was kept. {remedy}", path.display())]
    NonFinite {
        /// Stage that stopped.
        stage: &'static str,
        /// Tensor or loss.
        what: String,
        /// Update at which it happened.
        update: u64,
        /// Where the last good state is.
        path: PathBuf,
        /// What to try.
        remedy: String,
    },
    /// V or M misses a gate of the preset.
    #[error(
        "{stage}: {what}. {remedy} To go on with it as it is, type the same command with \
         --ignore-gates."
    )]
    Gate {
        /// The stage.
        stage: &'static str,
        /// Figure and gate.
        what: String,
        /// What to change.
        remedy: &'static str,
    },
    /// A stage needs the outcome of an earlier one.
    #[error("{what} is missing in {}. Type: {command}", path.display())]
    Missing {
        /// What is missing.
        what: &'static str,
        /// The run folder.
        path: PathBuf,
        /// The command that makes it.
        command: String,
    },
    /// An environment cannot be made, or its Python failed.
    #[error(transparent)]
    World(#[from] crate::worlds::WorldError),
    /// An environment refused a call.
    #[error(transparent)]
    Env(#[from] frmdn_env::EnvError),
    /// A model or another library refused to go on.
    #[error("{0}")]
    Failed(String),
    /// The user pressed Ctrl-C in a command that saves nothing before its end.
    #[error("interrupted; this command keeps nothing on its way. Type it again to begin anew.")]
    Stopped,
    /// The user pressed Ctrl-C; the state is saved.
    #[error("interrupted; everything is saved. Go on with: {command}")]
    Interrupted {
        /// The command that goes on.
        command: String,
    },
}

fn io_remedy(cause: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{
        FileTooLarge, NotFound, PermissionDenied, QuotaExceeded, StorageFull,
    };
    match cause.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => {
            ". The disk is full or a limit on file sizes was reached; nothing was lost: free some \
             space and type the same command again."
        }
        PermissionDenied => ". Choose a folder you may write to with --run DIR.",
        NotFound => ". Check the path.",
        _ => "",
    }
}

impl RunError {
    /// An [`RunError::Io`] for use in `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |cause| Self::Io {
            action,
            path,
            cause,
        }
    }

    /// A [`RunError::Damaged`].
    pub fn damaged(path: &Path, what: impl std::fmt::Display, remedy: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_path_buf(),
            what: what.to_string(),
            remedy: remedy.into(),
        }
    }
}
