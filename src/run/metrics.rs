//! Metrics as JSON lines, one object a line.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{Result, RunError, write_atomically};

/// An append-only file of JSON lines whose lines after the last checkpoint are dropped when a run
/// resumes.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    file: File,
}

impl Metrics {
    /// Opens `path` and keeps the lines whose number under `key` is at most `last`, because what
    /// comes after the checkpoint is measured again. A line cut short by a kill is dropped.
    pub fn resume(path: &Path, key: &str, last: u64) -> Result<Self> {
        let kept: Vec<Value> = Self::read(path)?
            .into_iter()
            .filter(|line| line[key].as_u64().is_some_and(|at| at <= last))
            .collect();
        write_atomically(path, |w| {
            kept.iter().try_for_each(|line| writeln!(w, "{line}"))
        })?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(RunError::io("open", path))?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
        })
    }

    /// Appends one line, which is on the disk before any checkpoint that comes after it.
    pub fn append(&mut self, line: &Value) -> Result<()> {
        let written = self
            .file
            .write_all(format!("{line}\n").as_bytes())
            .and_then(|()| self.file.sync_data());
        written.map_err(RunError::io("write", &self.path))
    }

    /// All whole lines of `path`; none if it does not exist.
    pub fn read(path: &Path) -> Result<Vec<Value>> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(RunError::io("read", path)(e)),
        };
        Ok(text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn resuming_drops_what_came_after_the_checkpoint_and_a_line_cut_short() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.jsonl");
        std::fs::write(
            &path,
            "{\"update\":1}\n{\"update\":2}\n{\"update\":3}\n{\"upd",
        )
        .unwrap();
        let mut metrics = Metrics::resume(&path, "update", 2).unwrap();
        metrics.append(&json!({"update": 3, "loss": 0.5})).unwrap();
        let lines = Metrics::read(&path).unwrap();
        assert_eq!(
            lines,
            [
                json!({"update": 1}),
                json!({"update": 2}),
                json!({"update": 3, "loss": 0.5})
            ]
        );
    }
}
