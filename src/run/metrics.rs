//! Metrics as JSON lines, one object a line.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::{Recovery, Result, RunError, write_atomically};

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
    ///
    /// # Errors
    /// If it cannot be read; or if a line is no object in JSON, unless it is the last one and was
    /// cut short by a kill.
    pub fn read(path: &Path) -> Result<Vec<Value>> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(RunError::io("read", path)(e)),
        };
        let mut lines = Vec::new();
        for (i, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
            match serde_json::from_slice::<Map<String, Value>>(line) {
                Ok(line) => lines.push(Value::Object(line)),
                Err(_) if !line.ends_with(b"\n") => {}
                Err(e) => {
                    let what = format!("line {}: {e}", i + 1);
                    return Err(RunError::damaged(path, what, Recovery::Line));
                }
            }
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_damaged_line_is_named_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("times.jsonl");
        for line in ["{\"update\":2", "[3]", "{\"update\":1e400}", "\u{0}"] {
            std::fs::write(
                &path,
                format!("{{\"update\":1}}\n{line}\n{{\"update\":3}}\n"),
            )
            .unwrap();
            let error = Metrics::read(&path).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("times.jsonl is damaged: line 2")
                    && matches!(
                        error,
                        RunError::Damaged {
                            recovery: Recovery::Line,
                            ..
                        }
                    ),
                "{line}: {text}"
            );
        }
        std::fs::write(&path, b"{\"update\":1}\n\xff\xfe\n").unwrap();
        assert!(Metrics::read(&path).is_err());
    }

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
