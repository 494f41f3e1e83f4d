//! The sound files below a folder, in an order that is the same on every file system.

use std::{
    collections::HashSet,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use super::corpus::CorpusError;

/// Sound files below a folder.
pub(super) struct Found {
    /// Those that are read, by their names' endings, sorted by path.
    pub sounds: Vec<PathBuf>,
    /// mp3 files, which must be converted first, sorted by path.
    pub mp3: Vec<PathBuf>,
}

/// The sound files below `folder`; links are followed, and a folder that is reached in several ways
/// is looked through once, so that links in a circle come to an end. Hidden files and folders are
/// left out, among them macOS's shadows of files, `._NAME`.
///
/// # Errors
/// If a folder cannot be read.
pub(super) fn below(folder: &Path) -> Result<Found, CorpusError> {
    let mut found = Found {
        sounds: Vec::new(),
        mp3: Vec::new(),
    };
    let mut seen = HashSet::new();
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        let cause = |cause| unreadable(&folder, cause);
        if !seen.insert(folder.canonicalize().map_err(cause)?) {
            continue;
        }
        // The first by name is looked through first, so that of two ways to a folder the same one is
        // taken everywhere.
        let mut folders = Vec::new();
        for path in entries(&folder)? {
            // A link that leads nowhere is neither.
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                match ending(&path).as_str() {
                    "wav" | "flac" | "sph" => found.sounds.push(path),
                    "mp3" => found.mp3.push(path),
                    _ => {}
                }
            }
        }
        left.extend(folders.into_iter().rev());
    }
    found.sounds.sort();
    found.mp3.sort();
    Ok(found)
}

/// What is in `folder` and not hidden, sorted by name.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    let cause = |cause| unreadable(folder, cause);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cause)? {
        let entry = entry.map_err(cause)?;
        let name = entry.file_name();
        // `lost+found` can only be read by root.
        let hidden = name.as_encoded_bytes().starts_with(b".") || name == "lost+found";
        if !hidden {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}

/// Ending of a name in small letters, empty where there is none.
fn ending(path: &Path) -> String {
    let ending = path.extension().and_then(OsStr::to_str);
    ending.unwrap_or_default().to_ascii_lowercase()
}

fn unreadable(folder: &Path, cause: std::io::Error) -> CorpusError {
    let path = folder.to_owned();
    CorpusError::Read { path, cause }
}
