//! A file for inputs of functions that read files.

use std::path::{Path, PathBuf};

/// Writes `bytes` to a file of this process called `name`; in memory where the system has such a
/// disk.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() {
        memory.to_path_buf()
    } else {
        std::env::temp_dir()
    };
    let folder = base.join(format!("frmdn-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for inputs");
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a file for an input");
    path
}
