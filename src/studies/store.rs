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

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;

use crate::run::{Result, RunError, write_atomically, write_json};

/// An outcome with the settings that decided it.
#[derive(Serialize, Deserialize)]
struct Settled<T> {
    settings: Value,
    outcome: T,
}

/// A line of `runs.jsonl`.
#[derive(Serialize, Deserialize)]
struct Line<N, T> {
    run: N,
    result: T,
}

/// A packed run.
struct Packed {
    /// Number of its line, from 1.
    line: usize,
    text: String,
}

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
        serde_json::from_str::<Line<IgnoredAny, T>>(&packed.text)
            .map(|line| Some(line.result))
            .map_err(|e| damaged_line(&packed_path(&self.folder), packed.line, &e))
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
    pub fn load_settled<T: DeserializeOwned>(
        &self,
        name: &str,
        settings: &Value,
    ) -> Result<Option<T>> {
        let Some(found) = self.load::<Settled<T>>(name)? else {
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
    pub fn save_settled(
        &self,
        name: &str,
        settings: &Value,
        outcome: impl Serialize,
    ) -> Result<()> {
        let settings = settings.clone();
        self.save(name, &Settled { settings, outcome })
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
            let name_json = Value::from(name.as_str());
            let text = format!("{{\"run\":{name_json},\"result\":{}}}", compact(&text));
            packed.insert(name.clone(), Packed { line: 0, text });
        }
        for (i, run) in packed.values_mut().enumerate() {
            run.line = i + 1;
        }
        if !files.is_empty() {
            write_atomically(&path, |w| {
                packed
                    .values()
                    .try_for_each(|run| writeln!(w, "{}", run.text))
            })?;
        }
        for (_, file) in &files {
            std::fs::remove_file(file).map_err(RunError::io("remove", file))?;
        }
        // What a kill caught half written stays, and the folder with it.
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

/// The runs packed in `path`; none if there is no such file.
fn read_packed(path: &Path) -> Result<BTreeMap<String, Packed>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(e) => return Err(RunError::io("read", path)(e)),
    };
    let mut packed: BTreeMap<String, Packed> = BTreeMap::new();
    for (i, text) in text.lines().enumerate() {
        let line = i + 1;
        if text.trim().is_empty() {
            continue;
        }
        let found: Line<String, IgnoredAny> =
            serde_json::from_str(text).map_err(|e| damaged_line(path, line, &e))?;
        if let Some(first) = packed.get(&found.run) {
            return Err(RunError::damaged(
                path,
                format!(
                    "lines {} and {line} are both of run {}",
                    first.line, found.run
                ),
                "Delete one of them and type the same command again.",
            ));
        }
        let text = text.to_owned();
        packed.insert(found.run, Packed { line, text });
    }
    Ok(packed)
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

/// `json` without the white space between its tokens: keys keep their order and numbers their
/// digits.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_string = c == '"';
        }
        out.push(c);
    }
    out
}

fn damaged_file(path: &Path, e: &serde_json::Error) -> RunError {
    RunError::damaged(path, e, "Delete it and type the same command again.")
}

fn damaged_line(path: &Path, line: usize, e: &serde_json::Error) -> RunError {
    // The text ends with the place in what was parsed, which is one line.
    let text = e.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    RunError::damaged(
        path,
        format!("line {line}, column {}: {what}", e.column()),
        "Delete that line and type the same command again.",
    )
}

fn other_settings(place: &str, delete: &str) -> RunError {
    RunError::Config(format!(
        "{place} was made with other settings or another V. Choose another folder (--out DIR for \
         results, --work DIR for memories), or delete {delete} to \
         make it anew"
    ))
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
pub fn load_settled<T: DeserializeOwned>(path: &Path, settings: &Value) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let found: Settled<T> = read(path)?;
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
pub fn save_settled(path: &Path, settings: &Value, outcome: impl Serialize) -> Result<()> {
    let settings = settings.clone();
    write_json(path, &Settled { settings, outcome })
}

/// Makes `directory` ready for a training with `settings`, or checks that the one begun there has
/// the same.
///
/// # Errors
/// If it was begun with other or unknown settings.
pub fn begin_training(directory: &Path, settings: &Value) -> Result<()> {
    let path = directory.join("settings.json");
    if path.exists() {
        let found: Settled<()> = read(&path)?;
        return if &found.settings == settings {
            Ok(())
        } else {
            Err(made_with_other_settings(directory))
        };
    }
    if directory.join("state.safetensors").exists() {
        return Err(made_with_other_settings(directory));
    }
    save_settled(&path, settings, ())
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
            let error = Results::open(dir.path()).err().unwrap().to_string();
            for word in words {
                assert!(error.contains(word), "{error}");
            }
        };
        refused(
            &text[..text.len() - 10],
            &[
                path.to_str().unwrap(),
                "damaged",
                "line 2",
                "Delete that line",
            ],
        );
        refused(
            &text.replace("\"run\":\"a\",", ""),
            &["line 1", "missing field `run`"],
        );
        refused(
            &text.replace("\"b\"", "\"a\""),
            &["lines 1 and 2", "run a", "Delete one"],
        );
        // Another result than what is asked for, and other settings.
        std::fs::write(&path, &text).unwrap();
        let results = Results::open(dir.path()).unwrap();
        let error = results.load::<Vec<u8>>("b").unwrap_err().to_string();
        assert!(error.contains("line 2, column"), "{error}");
        results.save_settled("c", &json!(1), 5).unwrap();
        let loaded: Option<u8> = results.load_settled("c", &json!(1)).unwrap();
        assert_eq!(loaded, Some(5));
        let other = |results: &Results| {
            let error = results.load_settled::<u8>("c", &json!(2)).unwrap_err();
            error.to_string()
        };
        let error = other(&results);
        assert!(
            error.contains("c.json") && error.contains("delete it"),
            "{error}"
        );
        let mut results = results;
        results.pack().unwrap();
        let error = other(&results);
        assert!(
            error.contains("runs.jsonl, line 3 (run c)") && error.contains("delete that line"),
            "{error}"
        );
    }
}
