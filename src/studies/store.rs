//! What is kept of a comparison: finished pieces with the settings that decided them, and folders
//! of trainings.

use std::path::Path;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::run::{Result, RunError, write_json};

/// A finished piece as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    settings: Value,
    outcome: T,
}

/// A file of results.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(RunError::io("read", path))?;
    serde_json::from_str(&text)
        .map_err(|e| RunError::damaged(path, e, "Delete it and type the same command again."))
}

/// The piece in `path`, if it is finished. One that was made with other settings is refused.
pub fn kept<T: DeserializeOwned>(path: &Path, settings: &Value) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let found: Kept<T> = read(path)?;
    if &found.settings != settings {
        return Err(differs(path));
    }
    Ok(Some(found.outcome))
}

/// Keeps a finished piece.
pub fn keep<T: Serialize>(path: &Path, settings: &Value, outcome: T) -> Result<()> {
    write_json(
        path,
        &Kept {
            settings: settings.clone(),
            outcome,
        },
    )
}

/// Makes `directory` ready for a training with `settings`: one that was begun with them goes on,
/// one with others or with nobody knows which is refused.
pub fn begin(directory: &Path, settings: &Value) -> Result<()> {
    let path = directory.join("settings.json");
    if path.exists() {
        let found: Kept<()> = read(&path)?;
        return if &found.settings == settings {
            Ok(())
        } else {
            Err(differs(directory))
        };
    }
    if directory.join("state.safetensors").exists() {
        return Err(differs(directory));
    }
    keep(&path, settings, ())
}

/// What is said of `path`, a file or folder that was made with other settings.
pub fn differs(path: &Path) -> RunError {
    RunError::Config(format!(
        "{} was made with other settings or another V. Choose another folder (--out DIR for \
         results, --work DIR for memories), or delete it to \
         make it anew",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_training_goes_on_with_its_own_settings_only() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, settings) = (dir.path().join("memory"), json!({ "updates": 3 }));
        let state = folder.join("state.safetensors");
        begin(&folder, &settings).unwrap();
        std::fs::write(&state, "half done").unwrap();
        begin(&folder, &settings).unwrap();
        assert!(state.exists());
        let refused = begin(&folder, &json!({ "updates": 4 }))
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("other settings")
                && refused.contains(folder.to_str().unwrap())
                && state.exists(),
            "{refused}"
        );
        // Of a state without settings nobody knows what it is of.
        std::fs::remove_file(folder.join("settings.json")).unwrap();
        assert!(begin(&folder, &settings).is_err() && state.exists());
        std::fs::remove_dir_all(&folder).unwrap();
        begin(&folder, &settings).unwrap();
    }
}
