//! Errors of everything that is on disk. They say what is the matter; what to type next is said by
//! the command line.

use std::path::{Path, PathBuf};

/// Result with a [`RunError`].
pub type Result<T> = std::result::Result<T, RunError>;

/// What can go wrong with a run and its files.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The operating system refused a read or a write.
    #[error("cannot {action} {}: {cause}", path.display())]
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
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
        /// How it can be had again.
        recovery: Recovery,
    },
    /// A file was written by another version of the format.
    #[error(
        "{} has format version {found}, this program reads version {expected}",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
        /// Version this program reads.
        expected: u32,
    },
    /// An intact file has entries that this program does not know, or lacks some that it needs.
    #[error("{} was written by another version of this program ({what})", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// Another process works on the run folder.
    #[error("{} is in use by another process ({holder})", path.display())]
    InUse {
        /// The run folder.
        path: PathBuf,
        /// What the lock file says of the other process.
        holder: String,
    },
    /// A configuration that cannot be used.
    #[error("{0}")]
    Config(String),
    /// Something that cannot be used as it is, and what would help.
    #[error("{what}")]
    Refused {
        /// What cannot be used, and why.
        what: String,
        /// What would help.
        recovery: Recovery,
    },
    /// A folder without the settings of a run.
    #[error("{} is no run folder (it has no run.toml)", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// The run folder was made with other settings.
    #[error("{} was made with other settings:\n{differences}", path.display())]
    Differs {
        /// The run folder.
        path: PathBuf,
        /// One line for each key that differs.
        differences: String,
    },
    /// A loss or gradient stopped being a finite number.
    #[error(
        "{stage}: {what} is not finite at update {update}; nothing after the last checkpoint in \
         {} was kept",
        path.display()
    )]
    NonFinite {
        /// Stage that stopped.
        stage: &'static str,
        /// Tensor or loss.
        what: String,
        /// Update at which it happened.
        update: u64,
        /// Where the last good state is.
        path: PathBuf,
    },
    /// V or M misses a gate of the preset.
    #[error("{stage}: {what}")]
    Gate {
        /// The stage.
        stage: &'static str,
        /// Figure and gate in words.
        what: String,
        /// The figure that misses its gate.
        figure: GatedFigure,
        /// Whether the stage is one of an earlier round, which has a preset of its own.
        earlier_round: bool,
    },
    /// Something needs the outcome of an earlier stage.
    #[error("{what} is missing in {}", path.display())]
    Missing {
        /// What is missing.
        what: Part,
        /// The run folder.
        path: PathBuf,
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
    #[error("interrupted; this command keeps nothing on its way")]
    Stopped,
    /// The user pressed Ctrl-C; the state is saved.
    #[error("interrupted; everything is saved")]
    Interrupted,
}

/// What would help against an error. These are facts; the command line has the words for them.
#[derive(Clone, Debug, PartialEq)]
pub enum Recovery {
    /// The folder of this stage can be deleted; the stage then starts anew.
    Stage(&'static str),
    /// The folders of all stages after V can be deleted in this run folder.
    StagesAfterVision(PathBuf),
    /// This episode's file can be deleted; it is made anew from its seed.
    Episode,
    /// All episodes of the run can be deleted and recorded anew.
    Episodes,
    /// The settings of a run cannot be made anew from anything else.
    Settings,
    /// The file came from elsewhere, and only from there it can be had again.
    Restore,
    /// The file can be deleted; the same work makes it anew.
    File,
    /// What a link leads to must be in the run folder itself.
    Link,
    /// Actions must be saved anew, as an array `[steps, this]`.
    SaveActions(usize),
    /// The file's folder can be deleted; the same work makes it anew.
    Folder,
    /// The line can be deleted; the same work makes it anew.
    Line,
    /// One of the two lines can be deleted.
    OneOfTwoLines,
    /// Another folder, or to delete this: a file (`it`), or a line (`that line`).
    OtherFolder(&'static str),
    /// The results must be made before they are reported.
    MakeResults,
    /// As many test episodes as the results have, or another folder.
    TestEpisodes(usize),
    /// An agent must be trained, or one that is shipped be named.
    Agent,
    /// Shipped agents must be found.
    Shipped,
    /// Episodes must not be given up.
    NoGiveUp,
    /// Episodes must begin where the environment begins them.
    NoRandomStart,
    /// The latent must have this length.
    Latent(usize),
    /// Another environment must be chosen.
    OtherEnvironment,
    /// What is compared must have been scored on the same tracks.
    SameTracks,
    /// The dream must begin earlier, or in another episode.
    EarlierDream,
    /// The dream must be that of an agent with the same V, for example of this one.
    SameVision(PathBuf),
}

/// Parts of a run that others are built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The weights of V.
    Vision,
    /// The weights of M.
    Memory,
    /// The weights of C.
    Controller,
    /// The scores on the test tracks.
    Scores,
    /// The linear predictor of a comparison of likelihoods.
    LinearPredictor,
    /// The recorded episode of this number.
    Episode(usize),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Vision => "a trained V",
            Self::Memory => "a trained M",
            Self::Controller => "an evolved controller",
            Self::Scores => "the evaluation",
            Self::LinearPredictor => "the linear predictor",
            Self::Episode(index) => return write!(f, "episode {index}"),
        })
    }
}

/// What a preset's gates look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatedFigure {
    /// V's error in pixels.
    PixelError,
    /// V's error in pixels of rare colours.
    RareError,
    /// V's KL in nats.
    Kl,
    /// Dimensions of the latent that V uses.
    ActiveDimensions,
    /// M's nats above those of the floor.
    NatsAboveFloor,
    /// Correlation of M's rewards with the real ones.
    RewardCorrelation,
    /// Reward that a dream pays above the real one.
    Overpaid,
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
    pub fn damaged(path: &Path, what: impl std::fmt::Display, recovery: Recovery) -> Self {
        Self::Damaged {
            path: path.to_path_buf(),
            what: what.to_string(),
            recovery,
        }
    }

    /// A [`RunError::Refused`].
    pub fn refused(what: impl Into<String>, recovery: Recovery) -> Self {
        Self::Refused {
            what: what.into(),
            recovery,
        }
    }
}
