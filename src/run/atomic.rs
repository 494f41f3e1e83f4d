//! Atomic writes: a reader sees the old file or the new one, never a part; a full disk leaves the
//! old one.

use std::{fs::File, io::Write, path::Path};

use super::{Result, RunError};

/// How names of files begin that are being written.
const PARTIAL: &str = ".partial-";

/// Removes files in `folder` that a kill caught half written. Nobody else may write into it.
pub fn remove_partial(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(RunError::io("list", folder))? {
        let entry = entry.map_err(RunError::io("list", folder))?;
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            let path = entry.path();
            std::fs::remove_file(&path).map_err(RunError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Writes `path` through `fill`: temporary file in the same folder, fsync, rename, fsync of the
/// folder.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut std::io::BufWriter<&mut File>) -> std::io::Result<()>,
) -> Result<()> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(RunError::io("create", folder))?;
    let mut file = tempfile::Builder::new()
        .prefix(PARTIAL)
        .tempfile_in(folder)
        .map_err(RunError::io("write into", folder))?;
    let mut writer = std::io::BufWriter::new(file.as_file_mut());
    fill(&mut writer)
        .and_then(|()| writer.flush())
        .map_err(RunError::io("write", path))?;
    drop(writer);
    // Temporary files are private; the final file is readable like any other file of the user.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file()
            .set_permissions(std::fs::Permissions::from_mode(0o644))
            .map_err(RunError::io("write", path))?;
    }
    file.as_file()
        .sync_all()
        .map_err(RunError::io("write", path))?;
    file.persist(path).map_err(|e| RunError::Io {
        action: "replace",
        path: path.to_path_buf(),
        cause: e.error,
    })?;
    if let Ok(dir) = File::open(folder) {
        // Some file systems refuse fsync on a folder; the rename itself has happened.
        let _ = dir.sync_all();
    }
    Ok(())
}

/// Writes `value` as indented JSON.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    write_atomically(path, |w| {
        serde_json::to_writer_pretty(&mut *w, value)?;
        w.write_all(b"\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write_atomically(&path, |w| w.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |w| {
            w.write_all(b"half")?;
            Err(std::io::ErrorKind::StorageFull.into())
        })
        .unwrap_err();
        assert!(
            matches!(&error, RunError::Io { path: of, cause, .. }
                if *of == path && cause.kind() == std::io::ErrorKind::StorageFull),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
