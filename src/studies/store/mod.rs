//! Storage of a study: finished runs with the settings that decided them, and folders of trainings.
//!
//! While a command works, every finished run is written at once as a file of its own,
//! `runs/NAME.json`: threads need no lock, and a kill costs nothing that is finished. When the
//! command comes to its report, [`Results::pack`] moves the files into `runs.jsonl`, one line a
//! run, sorted by name:
//!
//! ```json
//! {"run":"kl64-rmdn-1","result":{"format":1,"data":"kl64"}}
//! ```
//!
//! A kill between writing the lines and removing the files leaves a run in both places. They are
//! equal then; in general the file is the newer one, and it is the one that is read. While another
//! process works on the same study nothing is packed: the last one packs.

mod line;
mod settings;

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;

use crate::run::{Result, RunError, remove_partial, write_atomically, write_json};
use line::{Packed, read_packed};
use settings::{WithSettings, damaged_file, other_settings};
pub use settings::{
    begin_training, load_with_settings, made_with_other_settings, read, save_with_settings,
};

/// Finished runs of a study by name. Threads may load and save at the same time.
pub struct Results {
    /// Folder of the study.
    folder: PathBuf,
    packed: BTreeMap<String, Packed>,
    /// The folder with a shared lock, once it exists. `None` where the system has no such locks.
    lock: OnceLock<Option<File>>,
}

impl Results {
    /// The finished runs in `folder`, which need not exist yet.
    ///
    /// # Errors
    /// If `runs.jsonl` cannot be read, has a line that is not a result, or two lines of one run.
    pub fn open(folder: &Path) -> Result<Self> {
        let lock = OnceLock::new();
        if folder.exists() {
            lock.get_or_init(|| lock_shared(folder));
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            packed: read_packed(&packed_path(folder))?,
            lock,
        })
    }

    /// The result of the run called `name`, if it is finished.
    ///
    /// # Errors
    /// If its file or line is damaged or is the result of something else.
    pub fn load<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.file(name);
        if path.exists() {
            return read(&path).map(Some);
        }
        let Some(packed) = self.packed.get(name) else {
            return Ok(None);
        };
        packed.result(&packed_path(&self.folder)).map(Some)
    }

    /// Writes the result of the run called `name`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, name: &str, result: &impl Serialize) -> Result<()> {
        let folder = &self.folder;
        std::fs::create_dir_all(folder).map_err(RunError::io("create", folder))?;
        self.lock.get_or_init(|| lock_shared(folder));
        write_json(&self.file(name), result)
    }

    /// The outcome of the run called `name`, if it is finished.
    ///
    /// # Errors
    /// As [`Results::load`]; and if it was made with other settings.
    pub fn load_with_settings<T: DeserializeOwned>(
        &self,
        name: &str,
        settings: &Value,
    ) -> Result<Option<T>> {
        let Some(found) = self.load::<WithSettings<T>>(name)? else {
            return Ok(None);
        };
        if &found.settings == settings {
            Ok(Some(found.outcome))
        } else {
            Err(self.other_settings(name))
        }
    }

    /// Writes the outcome of the run called `name` with the settings that decided it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_with_settings(
        &self,
        name: &str,
        settings: &Value,
        outcome: impl Serialize,
    ) -> Result<()> {
        let settings = settings.clone();
        self.save(name, &WithSettings { settings, outcome })
    }

    /// Moves all finished runs into `runs.jsonl`, and removes the files and their folder. Does
    /// nothing while another process works on the study.
    ///
    /// # Errors
    /// If a file or line is damaged, or something cannot be written or removed. Nothing is lost
    /// then.
    pub fn pack(&mut self) -> Result<()> {
        let runs = self.folder.join("runs");
        if !runs.exists() {
            return Ok(());
        }
        let lock = self.lock.take().flatten();
        if let Some(folder) = &lock {
            let _ = folder.unlock();
            if matches!(folder.try_lock(), Err(TryLockError::WouldBlock)) {
                return Ok(());
            }
        }
        let path = packed_path(&self.folder);
        let mut packed = read_packed(&path)?;
        let files = run_files(&runs)?;
        for (name, file) in &files {
            let text = std::fs::read_to_string(file).map_err(RunError::io("read", file))?;
            serde_json::from_str::<IgnoredAny>(&text).map_err(|e| damaged_file(file, &e))?;
            packed.insert(name.clone(), Packed::new(name, &text));
        }
        if !files.is_empty() {
            for (i, run) in packed.values_mut().enumerate() {
                run.line = i + 1;
            }
            write_atomically(&path, |w| {
                packed
                    .values()
                    .try_for_each(|run| writeln!(w, "{}", run.text))
            })?;
        }
        for (_, file) in &files {
            std::fs::remove_file(file).map_err(RunError::io("remove", file))?;
        }
        // The lock says that nobody is writing there.
        remove_partial(&runs)?;
        // Files of others stay, and the folder with them.
        let _ = std::fs::remove_dir(&runs);
        self.packed = packed;
        Ok(())
    }

    /// Where the result of the run called `name` is, for a message.
    pub fn place(&self, name: &str) -> String {
        let file = self.file(name);
        match self.packed.get(name) {
            Some(run) if !file.exists() => format!(
                "{}, line {} (run {name})",
                packed_path(&self.folder).display(),
                run.line
            ),
            _ => file.display().to_string(),
        }
    }

    /// The error of a run that was made with other settings.
    pub fn other_settings(&self, name: &str) -> RunError {
        let delete = if self.file(name).exists() {
            "it"
        } else {
            "that line"
        };
        other_settings(&self.place(name), delete)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join("runs").join(format!("{name}.json"))
    }
}

/// `folder` with a shared lock; `None` where folders cannot be locked.
fn lock_shared(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    folder.lock_shared().ok()?;
    Some(folder)
}

fn packed_path(folder: &Path) -> PathBuf {
    folder.join("runs.jsonl")
}

/// Names and paths of the finished runs in `folder`, sorted by name. A file that a kill caught half
/// written has another ending.
fn run_files(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(RunError::io("list", folder))? {
        let path = entry.map_err(RunError::io("list", folder))?.path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            files.push((name.to_owned(), path));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A folder with the runs b and a, whose results are 2 and 1, as files.
    fn two_runs() -> (tempfile::TempDir, Results) {
        let dir = tempfile::tempdir().unwrap();
        let results = Results::open(dir.path()).unwrap();
        results
            .save("b", &json!({ "value": 2, "text": "a \\\" {b}" }))
            .unwrap();
        results.save("a", &json!({ "value": 1 })).unwrap();
        (dir, results)
    }

    fn value(results: &Results, name: &str) -> Option<u64> {
        let found: Option<Value> = results.load(name).unwrap();
        found.map(|found| found["value"].as_u64().unwrap())
    }

    #[test]
    fn files_become_lines_sorted_by_name_and_are_read_as_before() {
        let (dir, mut results) = two_runs();
        let path = dir.path().join("runs.jsonl");
        results.pack().unwrap();
        assert!(!dir.path().join("runs").exists());
        let expected = "{\"run\":\"a\",\"result\":{\"value\":1}}\n\
            {\"run\":\"b\",\"result\":{\"text\":\"a \\\\\\\" {b}\",\"value\":2}}\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        let mut results = Results::open(dir.path()).unwrap();
        assert_eq!(
            ["a", "b", "c"].map(|name| value(&results, name)),
            [Some(1), Some(2), None]
        );
        // A file is newer than its line.
        results.save("a", &json!({ "value": 3 })).unwrap();
        assert_eq!(value(&results, "a"), Some(3));
        results.pack().unwrap();
        assert_eq!(value(&Results::open(dir.path()).unwrap(), "a"), Some(3));
        // Nothing new: nothing is written.
        let before = std::fs::metadata(&path).unwrap().modified().unwrap();
        results.pack().unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().modified().unwrap(),
            before
        );
    }

    #[test]
    fn a_kill_between_writing_lines_and_removing_files_is_harmless() {
        let (dir, mut results) = two_runs();
        let runs = dir.path().join("runs");
        let file = std::fs::read(runs.join("b.json")).unwrap();
        results.pack().unwrap();
        let packed = std::fs::read(dir.path().join("runs.jsonl")).unwrap();
        std::fs::create_dir(&runs).unwrap();
        std::fs::write(runs.join("b.json"), file).unwrap();
        let mut results = Results::open(dir.path()).unwrap();
        assert_eq!(value(&results, "b"), Some(2));
        results.pack().unwrap();
        assert!(!runs.exists());
        assert_eq!(
            std::fs::read(dir.path().join("runs.jsonl")).unwrap(),
            packed
        );
        // So is one between the last file and the folder.
        std::fs::create_dir(&runs).unwrap();
        results.pack().unwrap();
        assert!(!runs.exists());
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_packed_while_another_process_works_on_the_study() {
        let (dir, mut results) = two_runs();
        let other = Results::open(dir.path()).unwrap();
        results.pack().unwrap();
        assert!(!dir.path().join("runs.jsonl").exists());
        assert_eq!(
            [value(&results, "a"), value(&other, "b")],
            [Some(1), Some(2)]
        );
        drop(other);
        // What a kill caught half written goes too.
        std::fs::write(dir.path().join("runs/.partial-x"), "{").unwrap();
        Results::open(dir.path()).unwrap().pack().unwrap();
        assert!(!dir.path().join("runs").exists());
    }

    #[test]
    fn damaged_and_doubled_lines_are_refused_with_file_and_line() {
        let (dir, mut results) = two_runs();
        results.pack().unwrap();
        let path = dir.path().join("runs.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        let refused = |text: &str, words: &[&str]| {
            std::fs::write(&path, text).unwrap();
            let error = format!("{:?}", Results::open(dir.path()).err().unwrap());
            for word in words {
                assert!(error.contains(word), "{error}");
            }
        };
        refused(
            &text[..text.len() - 10],
            &[path.to_str().unwrap(), "Damaged", "line 2", "Line"],
        );
        refused(
            &text.replace("\"run\":\"a\",", ""),
            &["line 1", "missing field `run`"],
        );
        refused(
            &text.replace("\"b\"", "\"a\""),
            &["lines 1 and 2", "run a", "OneOfTwoLines"],
        );
        // Another result than what is asked for, and other settings.
        std::fs::write(&path, &text).unwrap();
        let results = Results::open(dir.path()).unwrap();
        let error = results.load::<Vec<u8>>("b").unwrap_err().to_string();
        assert!(error.contains("line 2, column"), "{error}");
        results.save_with_settings("c", &json!(1), 5).unwrap();
        let loaded: Option<u8> = results.load_with_settings("c", &json!(1)).unwrap();
        assert_eq!(loaded, Some(5));
        let other = |results: &Results| {
            let error = results
                .load_with_settings::<u8>("c", &json!(2))
                .unwrap_err();
            format!("{error:?}")
        };
        let error = other(&results);
        assert!(
            error.contains("c.json") && error.contains("OtherFolder(\"it\")"),
            "{error}"
        );
        let mut results = results;
        results.pack().unwrap();
        let error = other(&results);
        assert!(
            error.contains("runs.jsonl, line 3 (run c)")
                && error.contains("OtherFolder(\"that line\")"),
            "{error}"
        );
    }
}
