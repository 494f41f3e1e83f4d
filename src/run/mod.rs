//! What is on disk: run folder, versioned checkpoints, episodes, metrics, seeds.
//!
//! Every file is written atomically (temporary file, fsync, rename) and checked when it is read.

mod atomic;
mod checkpoint;
mod driver;
mod episode;
mod error;
mod folder;
mod meant;
mod metrics;
pub(crate) mod npy;
mod npz;
mod preset;
mod report;
pub mod seeds;
mod shell;
mod shipped;

pub(crate) use atomic::{begin, finish};
pub use atomic::{remove_partial, write_atomically, write_json};
pub use checkpoint::{Checkpoint, CheckpointKind};
pub use driver::DriverName;
pub(crate) use episode::recorded_actions;
pub use episode::{Episode, EpisodeStore, LatentEpisode, Observed, Recorded};
pub use error::{GatedFigure, Part, Recovery, Result, RunError};
pub use folder::RunFolder;
pub use meant::meant;
pub use metrics::Metrics;
pub(crate) use preset::changed;
pub use preset::{
    ArchiveConfig, BEST, CollectConfig, ControllerConfig, ControllerInputs, ControllerOutputs,
    ControllerStart, DreamsConfig, EvaluateConfig, FINALISTS, FIRST, FirstConfig, GatesConfig,
    HoldGates, Inputs, LateConfig, LateRecombination, LessonsConfig, MemoryTraining, Preset, SCOUT,
    SHIPPED, VisionTraining,
};
pub use report::{Interrupt, Reporter};
pub(crate) use shell::{quoted, typed};
pub use shipped::{existing_folder, shipped_candidates, shipped_folders};
