//! The run folder, which holds everything of one run.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{Episode, EpisodeStore, Part, Preset, Recovery, Result, RunError, write_atomically};

/// Version of the run folder's layout.
const VERSION: u32 = 1;

/// A run folder. While a value made by [`RunFolder::create_or_resume`] lives, no other process can
/// work on it.
#[derive(Debug)]
pub struct RunFolder {
    root: PathBuf,
    preset: Preset,
    _lock: Option<File>,
}

impl RunFolder {
    /// Opens `root` for work: creates it with `preset` if it is new, or checks that it was made
    /// with the same settings. Without a preset the folder's own is used. A preset that only asks
    /// for more generations lengthens the run.
    ///
    /// # Errors
    /// If the settings differ, the folder is in use or damaged, or is new and no preset is given.
    pub fn create_or_resume(root: &Path, preset: Option<Preset>) -> Result<Self> {
        let fresh = preset.as_ref().filter(|_| !root.join("run.toml").exists());
        if let Some(preset) = fresh {
            preset.check_sources()?;
        }
        std::fs::create_dir_all(root).map_err(RunError::io("create", root))?;
        let lock = lock(root)?;
        let config = root.join("run.toml");
        let preset = if config.exists() {
            let kept = read_config(&config)?;
            let differences = preset
                .as_ref()
                .map_or(String::new(), |asked| kept.differences(asked));
            match preset {
                _ if differences.is_empty() => kept,
                Some(asked) if asked.only_lengthens(&kept) => {
                    // The longer evolution gives another agent, which has to be evaluated.
                    let summary = root.join("evaluation/summary.json");
                    if summary.exists() {
                        std::fs::remove_file(&summary).map_err(RunError::io("remove", &summary))?;
                    }
                    write_config(&config, &asked)?;
                    let [from, to] = [&kept, &asked].map(|preset| preset.controller.generations);
                    tracing::info!(
                        "{}: the evolution goes on to {to} generations instead of {from}",
                        root.display()
                    );
                    asked
                }
                _ => {
                    return Err(RunError::Differs {
                        path: root.to_path_buf(),
                        differences,
                    });
                }
            }
        } else {
            let preset = preset.ok_or_else(|| not_a_run(root))?;
            write_config(&config, &preset)?;
            preset
        };
        Ok(Self {
            root: root.to_path_buf(),
            preset,
            _lock: Some(lock),
        })
    }

    /// Opens `root` for reading, also while another process works on it.
    ///
    /// # Errors
    /// If it is not a run folder, or its settings are damaged or of another format.
    pub fn open(root: &Path) -> Result<Self> {
        let config = root.join("run.toml");
        if !config.exists() {
            return Err(not_a_run(root));
        }
        Ok(Self {
            root: root.to_path_buf(),
            preset: read_config(&config)?,
            _lock: None,
        })
    }

    /// The resolved preset.
    pub fn preset(&self) -> &Preset {
        &self.preset
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Recorded episodes.
    pub fn episodes(&self) -> EpisodeStore {
        EpisodeStore::new(self.path("episodes"))
    }

    /// The recorded episode `index`.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn episode(&self, index: usize) -> Result<Episode> {
        let store = self.episodes();
        if !store.has(index) {
            return Err(RunError::Missing {
                what: Part::Episode(index),
                path: self.root.clone(),
            });
        }
        Episode::load(&store.path(index))
    }

    /// Encoded episodes.
    pub fn latents(&self) -> EpisodeStore {
        EpisodeStore::new(self.path("latents"))
    }
}

fn not_a_run(root: &Path) -> RunError {
    RunError::NotARun {
        path: root.to_path_buf(),
    }
}

fn lock(root: &Path) -> Result<File> {
    let path = root.join(".lock");
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(RunError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // The holder's line only adds detail to the message.
            let _ = file.read_to_string(&mut holder);
            let holder = if holder.trim().is_empty() {
                "unknown".into()
            } else {
                holder.trim().to_owned()
            };
            return Err(RunError::InUse {
                path: root.to_path_buf(),
                holder,
            });
        }
        Err(std::fs::TryLockError::Error(e)) => return Err(RunError::io("lock", &path)(e)),
    }
    let wrote = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "process {}", std::process::id()));
    wrote.map_err(RunError::io("write", &path))?;
    Ok(file)
}

fn checksum(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn write_config(path: &Path, preset: &Preset) -> Result<()> {
    let body = preset.to_toml();
    write_atomically(path, |w| {
        write!(
            w,
            "# The resolved settings of this run; of these, only controller.generations can \
             grow.\n# format {VERSION}, sha256 {}\n{body}",
            checksum(&body)
        )
    })
}

fn read_config(path: &Path) -> Result<Preset> {
    let text = std::fs::read_to_string(path).map_err(RunError::io("read", path))?;
    let damaged = |what: String| RunError::damaged(path, what, Recovery::Settings);
    let mut lines = text.splitn(3, '\n');
    let (_, second, body) = (
        lines.next(),
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
    );
    let words: Vec<&str> = second.split([' ', ',']).filter(|w| !w.is_empty()).collect();
    let ["#", "format", version, "sha256", sum] = words[..] else {
        return Err(damaged(
            "its second line does not state format and checksum".into(),
        ));
    };
    let found: u32 = version
        .parse()
        .map_err(|_| damaged(format!("its format is `{version}`")))?;
    if found != VERSION {
        return Err(RunError::Version {
            path: path.to_path_buf(),
            found,
            expected: VERSION,
        });
    }
    if checksum(body) != sum {
        return Err(damaged(
            "its checksum does not fit its contents: it was altered or cut short".into(),
        ));
    }
    toml::from_str(body).map_err(|e| damaged(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> Preset {
        Preset::resolve("tiny", &[]).unwrap()
    }

    #[test]
    fn a_run_is_made_resumed_and_refused_with_other_settings() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("r");
        drop(RunFolder::create_or_resume(&root, Some(tiny())).unwrap());
        assert_eq!(
            RunFolder::create_or_resume(&root, None).unwrap().preset(),
            &tiny()
        );
        let other = tiny()
            .with(&["collect.steps=77".into(), "memory.sequence=20".into()])
            .unwrap();
        let error = RunFolder::create_or_resume(&root, Some(other))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("collect.steps") && error.contains("77"),
            "{error}"
        );
    }

    #[test]
    fn an_evolution_can_be_lengthened_and_not_shortened() {
        let dir = tempfile::tempdir().unwrap();
        let with = |set: &str| tiny().with(&[set.to_owned()]).unwrap();
        let n = tiny().controller.generations;
        drop(RunFolder::create_or_resume(dir.path(), Some(tiny())).unwrap());
        drop(
            RunFolder::create_or_resume(
                dir.path(),
                Some(with(&format!("controller.generations={}", n + 7))),
            )
            .unwrap(),
        );
        assert_eq!(
            RunFolder::open(dir.path())
                .unwrap()
                .preset()
                .controller
                .generations,
            n + 7
        );
        let error = RunFolder::create_or_resume(dir.path(), Some(tiny()))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!("controller.generations: the run has {}", n + 7)),
            "{error}"
        );
    }

    #[test]
    fn a_run_in_use_is_refused_and_can_still_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let _first = RunFolder::create_or_resume(dir.path(), Some(tiny())).unwrap();
        let error = RunFolder::create_or_resume(dir.path(), None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("in use") && error.contains(&std::process::id().to_string()),
            "{error}"
        );
        RunFolder::open(dir.path()).unwrap();
    }

    #[test]
    fn an_altered_a_truncated_and_an_older_config_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        drop(RunFolder::create_or_resume(dir.path(), Some(tiny())).unwrap());
        let path = dir.path().join("run.toml");
        let good = std::fs::read_to_string(&path).unwrap();
        let error = |text: &str| {
            std::fs::write(&path, text).unwrap();
            RunFolder::open(dir.path()).unwrap_err()
        };
        assert!(
            error(&good.replace("seed = ", "seed = 1"))
                .to_string()
                .contains("altered")
        );
        assert!(
            error(&good[..good.len() - 20])
                .to_string()
                .contains("cut short")
        );
        assert!(matches!(
            error(&good.replace("format 1", "format 7")),
            RunError::Version { found: 7, .. }
        ));
        let empty = tempfile::tempdir().unwrap();
        assert!(
            RunFolder::open(empty.path())
                .unwrap_err()
                .to_string()
                .contains("no run folder")
        );
    }
}
