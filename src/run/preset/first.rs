//! The earlier round of a preset.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{SHIPPED, source::Source};
use crate::run::{Recovery, Result, RunError, existing_folder};

/// Name of the agent of the earlier round among the drivers, and of its folder in the run folder.
pub const FIRST: &str = "first";

/// An earlier round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstConfig {
    /// Name of its preset, or path of a TOML file: environment and seed are the run's own. Or the
    /// folder of a run or checkpoint, whose agent is used as it is.
    pub preset: String,
}

impl FirstConfig {
    /// The folder whose agent is used as it is, if `preset` names one. The name of a shipped preset
    /// never names a folder.
    pub fn agent(&self) -> Option<PathBuf> {
        let shipped = SHIPPED.iter().any(|(name, _)| *name == self.preset);
        if shipped {
            return None;
        }
        existing_folder(Path::new(&self.preset))
    }

    /// Checks that what it names exists and that no round is an earlier round of itself.
    pub(super) fn check(&self) -> Result<()> {
        let (mut seen, mut next) = (Vec::new(), Some(self.clone()));
        while let Some(first) = next.filter(|first| first.agent().is_none()) {
            let name = first.preset;
            if seen.contains(&name) {
                return Err(RunError::Config(format!(
                    "first.preset: `{name}` is an earlier round of itself"
                )));
            }
            let source = Source::find(&name).map_err(|e| {
                RunError::refused(
                    format!(
                        "first.preset: {e}; or the folder of a run or checkpoint, whose agent is \
                         taken as it is"
                    ),
                    Recovery::Shipped,
                )
            })?;
            // Other errors are reported when the preset is resolved.
            next = source.read().ok().and_then(|preset| preset.first);
            seen.push(name);
        }
        Ok(())
    }
}
