//! Run folders that memories are compared on.

use std::path::{Path, PathBuf};

use crate::run::{Part, Preset, Result, RunError, RunFolder};

/// Opens the run folders of a comparison, with their settings changed by `sets`
/// (`memory.key=value`). `check` is called with the settings of each.
///
/// # Errors
/// If V is not trained in one of them, a key is not one of the memory's, or a value is impossible;
/// if two have one name, or differ in the environment or in how memories are trained; and as
/// `check` says.
pub fn open_all(
    paths: &[PathBuf],
    sets: &[String],
    check: impl Fn(&Preset) -> Result<()>,
) -> Result<Vec<(RunFolder, Preset)>> {
    let folders = paths
        .iter()
        .map(|path| open(path))
        .collect::<Result<Vec<_>>>()?;
    if let Some(set) = sets.iter().find(|set| !set.trim().starts_with("memory.")) {
        return Err(RunError::Config(format!(
            "{set}: V is trained already; only keys of memory can be changed here"
        )));
    }
    let changed = |folder: RunFolder| {
        let preset = folder.preset().clone().with(sets)?;
        check(&preset)?;
        Ok((folder, preset))
    };
    let all = folders
        .into_iter()
        .map(changed)
        .collect::<Result<Vec<_>>>()?;
    for (i, (folder, preset)) in all.iter().enumerate() {
        let (first, first_preset) = &all[0];
        let [one, other] = [name(first), name(folder)];
        let refused = if all[..i].iter().any(|(earlier, _)| name(earlier) == other) {
            format!("two of the data folders are called {other}: rename one")
        } else if preset.memory != first_preset.memory {
            format!(
                "{one} and {other} train memories with other settings: make both with the same \
                 keys of memory"
            )
        } else if preset.environment != first_preset.environment {
            format!(
                "{one} is of {}, {other} of {}: compare them apart",
                first_preset.environment, preset.environment
            )
        } else {
            continue;
        };
        return Err(RunError::Config(refused));
    }
    Ok(all)
}

/// The name of the folder in the names of results.
pub fn name(folder: &RunFolder) -> String {
    folder
        .root()
        .file_name()
        .map_or_else(|| "data".into(), |n| n.to_string_lossy().into_owned())
}

/// A run folder whose V is trained.
fn open(path: &Path) -> Result<RunFolder> {
    let folder = RunFolder::open(path)?;
    if !path.join("vision/weights.safetensors").exists() {
        return Err(RunError::Missing {
            what: Part::Vision,
            path: path.to_path_buf(),
        });
    }
    folder.tidy()?;
    Ok(folder)
}
