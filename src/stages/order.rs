//! The order of the stages.

use super::Context;
use crate::run::{Result, RunFolder};

/// A stage of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The agent of an earlier round, where the preset has one.
    First,
    /// Episodes of the environment.
    Collect,
    /// V.
    Vision,
    /// M.
    Memory,
    /// C.
    Controller,
    /// The score on test tracks.
    Evaluate,
}

impl Stage {
    /// All stages in order: each needs those before it.
    pub const ALL: [Self; 6] = [
        Self::First,
        Self::Collect,
        Self::Vision,
        Self::Memory,
        Self::Controller,
        Self::Evaluate,
    ];

    /// Its name in commands, metrics and `times.jsonl`.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Collect => "collect",
            Self::Vision => "vision",
            Self::Memory => "memory",
            Self::Controller => "controller",
            Self::Evaluate => "evaluate",
        }
    }

    /// The stages up to this one, in order.
    pub fn up_to(self) -> &'static [Self] {
        // Variants are numbered in the order of `ALL`.
        &Self::ALL[..=self as usize]
    }

    /// Does the stage's work in `folder`, or returns at once where it is done.
    ///
    /// # Errors
    /// If the stage fails or was interrupted.
    pub fn run(self, folder: &RunFolder, context: &Context<'_>) -> Result<()> {
        let work = match self {
            Self::First => super::first,
            Self::Collect => super::collect,
            Self::Vision => super::vision,
            Self::Memory => super::memory,
            Self::Controller => super::rounds,
            Self::Evaluate => super::evaluate,
        };
        work(folder, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_up_to_one_end_with_it() {
        for stage in Stage::ALL {
            assert_eq!(stage.up_to().last(), Some(&stage));
        }
        assert_eq!(Stage::Evaluate.up_to(), Stage::ALL);
    }
}
