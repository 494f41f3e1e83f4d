//! Where shipped agents are looked for. Their weights are not compiled in.

use std::path::{Path, PathBuf};

/// Name of the folder of shipped agents.
const FOLDER: &str = "checkpoints";

/// Environment variable that names such a folder.
const VARIABLE: &str = "FRMDN_CHECKPOINTS";

/// Such folders: that of the current folder, then the one that `FRMDN_CHECKPOINTS` names or, where
/// it names none, that of the sources this program was built from.
pub fn shipped_folders() -> [PathBuf; 2] {
    [
        PathBuf::from(FOLDER),
        other_folder(std::env::var_os(VARIABLE).map(PathBuf::from)),
    ]
}

fn other_folder(named: Option<PathBuf>) -> PathBuf {
    named
        .filter(|path| !path.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER))
}

/// Everything that `checkpoints/NAME` or `NAME` can mean, in the order in which it is looked for.
/// Other paths mean themselves first.
pub fn shipped_candidates(path: &Path) -> Vec<PathBuf> {
    let [here, other] = shipped_folders();
    let name = path.strip_prefix(FOLDER).unwrap_or(path);
    vec![path.to_path_buf(), here.join(name), other.join(name)]
}

/// The folder `path`, or the folder of a shipped agent where `path` is `checkpoints/NAME` and is
/// not in the current folder.
pub fn existing_folder(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path.to_path_buf());
    }
    let [_, other] = shipped_folders();
    let name = path.strip_prefix(FOLDER).ok()?;
    Some(other.join(name)).filter(|folder| folder.is_dir())
}
