//! Atomic writes: a reader sees the old file or the new one, never a part; a full disk leaves the
//! old one.

use std::{
    collections::BTreeSet,
    fs::{File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tempfile::NamedTempFile;

use super::{Result, RunError};

/// How names of files begin that are being written.
const PARTIAL: &str = ".partial-";

/// How they begin since this program's name is in them: a folder that is not ours may hold those of
/// other programs.
const OURS: &str = ".partial-frmdn-";

/// Removes files in `folder`, which is one of ours, that a kill caught half written. Those that are
/// being written stay: their writer holds a lock.
///
/// # Errors
/// If the folder cannot be listed. A file that cannot be removed stays; it does no harm.
pub fn remove_partial(folder: &Path) -> Result<()> {
    remove_beginning_with(PARTIAL, folder).map_err(RunError::io("list", folder))
}

fn remove_beginning_with(prefix: &str, folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(prefix) || !entry.file_type()?.is_file()
        {
            continue;
        }
        let path = entry.path();
        let file = File::options().read(true).write(true).open(&path);
        if file.is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = std::fs::remove_file(&path);
        }
    }
    Ok(())
}

/// Folders in which this process has written something.
static WRITTEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A new file beside `path`, in a folder that is made if need be, for what `path` is to hold;
/// [`finish`] gives it its name. What a kill left half written there is removed before the first.
///
/// # Errors
/// If the folder cannot be made or written.
pub(crate) fn begin(path: &Path) -> Result<NamedTempFile> {
    let folder = folder(path);
    std::fs::create_dir_all(folder).map_err(RunError::io("create", folder))?;
    let is_first = WRITTEN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(folder.to_path_buf());
    if is_first {
        // What cannot be listed may still be written.
        let _ = remove_beginning_with(OURS, folder);
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(OURS);
    // Temporary files are private; this one will be like any other file of the user. The system
    // takes away what the user's umask does not allow.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o644));
    }
    loop {
        let file = builder
            .tempfile_in(folder)
            .map_err(RunError::io("write into", folder))?;
        // The lock says that the writer lives. A process that tidies up can have been faster.
        let taken = matches!(file.as_file().try_lock(), Err(TryLockError::WouldBlock));
        if !taken && file.path().exists() {
            return Ok(file);
        }
    }
}

/// Renames `file`, begun by [`begin`], to `path`, once it is on the disk.
///
/// # Errors
/// If it cannot be written or renamed.
pub(crate) fn finish(file: NamedTempFile, path: &Path) -> Result<()> {
    file.as_file()
        .sync_all()
        .map_err(RunError::io("write", path))?;
    file.persist(path).map_err(|e| RunError::Io {
        action: "replace",
        path: path.to_path_buf(),
        cause: e.error,
    })?;
    if let Ok(folder) = File::open(folder(path)) {
        // Some file systems refuse fsync on a folder; the rename itself has happened.
        let _ = folder.sync_all();
    }
    Ok(())
}

fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Writes `path` through `fill`: temporary file in the same folder, fsync, rename, fsync of the
/// folder.
pub fn write_atomically(
    path: &Path,
    fill: impl FnOnce(&mut std::io::BufWriter<&mut File>) -> std::io::Result<()>,
) -> Result<()> {
    let mut file = begin(path)?;
    let mut writer = std::io::BufWriter::new(file.as_file_mut());
    fill(&mut writer)
        .and_then(|()| writer.flush())
        .map_err(RunError::io("write", path))?;
    drop(writer);
    finish(file, path)
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

    #[test]
    fn what_a_kill_left_is_removed_and_what_is_being_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("out");
        std::fs::create_dir(&folder).unwrap();
        let left = folder.join(".partial-frmdn-aBc123");
        let of_others = folder.join(".partial-rsync");
        for path in [&left, &of_others] {
            std::fs::write(path, "half").unwrap();
        }
        let film = begin(&folder.join("film.gif")).unwrap();
        assert!(!left.exists() && of_others.exists());
        // Another process, which begins later, leaves what this one is writing alone.
        remove_beginning_with(OURS, &folder).unwrap();
        assert!(film.path().exists());
        remove_partial(&folder).unwrap();
        assert!(film.path().exists() && !of_others.exists());
        finish(film, &folder.join("film.gif")).unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    }
}
