//! Files of outcomes with the settings that decided them, and folders of trainings.

use std::path::Path;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::run::{Recovery, Result, RunError, write_json};

/// An outcome with the settings that decided it.
#[derive(Serialize, Deserialize)]
pub struct WithSettings<T> {
    pub settings: Value,
    pub outcome: T,
}

/// The error of `path`, a file or folder that was made with other settings.
pub fn made_with_other_settings(path: &Path) -> RunError {
    other_settings(&path.display().to_string(), "it")
}

/// Reads a JSON file of results.
///
/// # Errors
/// If it cannot be read, is damaged, or is the result of something else.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(RunError::io("read", path))?;
    serde_json::from_str(&text).map_err(|e| damaged_file(path, &e))
}

/// The outcome in `path`, if there is one.
///
/// # Errors
/// As [`read`]; and if it was made with other settings.
pub fn load_with_settings<T: DeserializeOwned>(path: &Path, settings: &Value) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let found: WithSettings<T> = read(path)?;
    if &found.settings == settings {
        Ok(Some(found.outcome))
    } else {
        Err(made_with_other_settings(path))
    }
}

/// Writes an outcome with the settings that decided it.
///
/// # Errors
/// If the file cannot be written.
pub fn save_with_settings(path: &Path, settings: &Value, outcome: impl Serialize) -> Result<()> {
    let settings = settings.clone();
    write_json(path, &WithSettings { settings, outcome })
}

/// Makes `directory` ready for a training with `settings`, or checks that the one begun there has
/// the same.
///
/// # Errors
/// If it was begun with other or unknown settings.
pub fn begin_training(directory: &Path, settings: &Value) -> Result<()> {
    let path = directory.join("settings.json");
    if path.exists() {
        let found: WithSettings<()> = read(&path)?;
        return if &found.settings == settings {
            Ok(())
        } else {
            Err(made_with_other_settings(directory))
        };
    }
    if directory.join("state.safetensors").exists() {
        return Err(made_with_other_settings(directory));
    }
    save_with_settings(&path, settings, ())
}

/// The error of a damaged file of results.
pub fn damaged_file(path: &Path, e: &serde_json::Error) -> RunError {
    RunError::damaged(path, e, Recovery::File)
}

/// The error of what is in `place` and was made with other settings; `delete` says what to delete.
pub fn other_settings(place: &str, delete: &'static str) -> RunError {
    RunError::refused(
        format!("{place} was made with other settings or another V"),
        Recovery::OtherFolder(delete),
    )
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
        begin_training(&folder, &settings).unwrap();
        std::fs::write(&state, "half done").unwrap();
        begin_training(&folder, &settings).unwrap();
        assert!(state.exists());
        let refused = begin_training(&folder, &json!({ "updates": 4 }))
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("other settings")
                && refused.contains(folder.to_str().unwrap())
                && state.exists(),
            "{refused}"
        );
        // A state without a settings file cannot be matched to settings.
        std::fs::remove_file(folder.join("settings.json")).unwrap();
        assert!(begin_training(&folder, &settings).is_err() && state.exists());
        std::fs::remove_dir_all(&folder).unwrap();
        begin_training(&folder, &settings).unwrap();
    }
}
