//! The run folder, which holds everything of one run.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use frmdn_env::EnvSpec;
use sha2::{Digest, Sha256};

use super::{
    Episode, EpisodeStore, LatentEpisode, Preset, Recorded, Recovery, Result, RunError,
    remove_partial, seeds, write_atomically,
};

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
    /// If the settings differ or need more memory than there is; the folder is in use or damaged, has
    /// a link that leads out of it, or is new and no preset is given.
    pub fn create_or_resume(root: &Path, preset: Option<Preset>) -> Result<Self> {
        let fresh = preset.as_ref().filter(|_| !root.join("run.toml").exists());
        if let Some(preset) = fresh {
            preset.check_sources()?;
            preset.check_memory()?;
        }
        std::fs::create_dir_all(root).map_err(RunError::io("create", root))?;
        tidy(root)?;
        let lock = match lock(root) {
            // Nothing is left to be written where a run is finished, so that it can be looked at
            // where nothing can be written.
            Err(RunError::Io { cause, .. }) if is_finished(root) && is_read_only(&cause) => None,
            lock => Some(lock?),
        };
        let config = root.join("run.toml");
        let preset = if config.exists() {
            let kept = read_config(&config)?;
            if !is_finished(root) {
                kept.check_memory()?;
            }
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
            _lock: lock,
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

    /// Makes an opened folder ready for work that is done beside that of other processes: removes
    /// what a kill left half written.
    ///
    /// # Errors
    /// If a link leads out of the folder: what is written must stay in it.
    pub fn tidy(&self) -> Result<()> {
        tidy(&self.root)
    }

    /// The folder as it is up to round number `round` of C's dreams ([`Preset::in_round`]). The lock
    /// stays with `self`.
    #[must_use]
    pub fn in_round(&self, round: u64) -> Self {
        Self {
            root: self.root.clone(),
            preset: self.preset.in_round(round),
            _lock: None,
        }
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
        EpisodeStore::new(self.path("episodes"), seeds::COLLECT.start, &self.preset)
    }

    /// Episode `index`, recorded in the environment `spec`, and its latents.
    ///
    /// # Errors
    /// As [`EpisodeStore::load`]; and if the latents are those of other steps.
    pub fn episode(&self, index: usize, spec: &EnvSpec) -> Result<(Episode, LatentEpisode)> {
        let episode = self.episodes().load(index, Some(Recorded::of(spec)))?;
        let store = self.latents();
        let latents = store.load_latents(index, episode.action_len)?;
        if latents.actions == episode.actions && latents.rewards == episode.rewards {
            return Ok((episode, latents));
        }
        Err(RunError::refused(
            format!(
                "{} has other steps than {}, which it is of",
                store.path(index).display(),
                self.episodes().path(index).display()
            ),
            Recovery::Episode,
        ))
    }

    /// Encoded episodes.
    pub fn latents(&self) -> EpisodeStore {
        EpisodeStore::new(self.path("latents"), seeds::COLLECT.start, &self.preset)
    }
}

fn not_a_run(root: &Path) -> RunError {
    RunError::NotARun {
        path: root.to_path_buf(),
    }
}

/// Removes what a kill left half written in `root` and its folders, and refuses links out of it:
/// who makes a run folder for others must not decide what is overwritten elsewhere. A run folder
/// inside of it is looked through when it is opened itself.
fn tidy(root: &Path) -> Result<()> {
    let inside = root.canonicalize().map_err(RunError::io("read", root))?;
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        remove_partial(&folder)?;
        for entry in std::fs::read_dir(&folder).map_err(RunError::io("list", &folder))? {
            let entry = entry.map_err(RunError::io("list", &folder))?;
            let (path, kind) = (entry.path(), entry.file_type());
            let kind = kind.map_err(RunError::io("read", &path))?;
            if kind.is_symlink() {
                let leads_in = path.canonicalize().is_ok_and(|to| to.starts_with(&inside));
                if !leads_in {
                    let to = std::fs::read_link(&path).unwrap_or_default();
                    return Err(RunError::refused(
                        format!(
                            "{} is a link out of the run folder, to {}",
                            path.display(),
                            to.display()
                        ),
                        Recovery::Link,
                    ));
                }
            } else if kind.is_dir() && !path.join("run.toml").exists() {
                folders.push(path);
            }
        }
    }
    Ok(())
}

fn is_finished(root: &Path) -> bool {
    root.join("evaluation/summary.json").exists()
}

fn is_read_only(cause: &std::io::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(cause.kind(), ReadOnlyFilesystem | PermissionDenied)
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
    let preset: Preset = toml::from_str(body).map_err(|e| damaged(e.to_string()))?;
    // The checksum says that nothing has happened to the file, not that it was a run's.
    preset.check_values().map_err(|e| damaged(e.to_string()))?;
    Ok(preset)
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

    #[cfg(unix)]
    #[test]
    fn links_out_of_the_folder_are_refused_by_name_and_nothing_is_overwritten() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let (root, precious) = (dir.path().join("run"), dir.path().join("precious"));
        drop(RunFolder::create_or_resume(&root, Some(tiny())).unwrap());
        std::fs::write(&precious, "precious").unwrap();
        std::fs::create_dir_all(root.join("vision")).unwrap();
        std::fs::create_dir(dir.path().join("elsewhere")).unwrap();
        for (link, to) in [
            (".lock", "precious"),
            ("vision/metrics.jsonl", "precious"),
            ("memory", "elsewhere"),
            ("controller", "nothing"),
        ] {
            let link = root.join(link);
            let _ = std::fs::remove_file(&link);
            symlink(dir.path().join(to), &link).unwrap();
            let error = RunFolder::create_or_resume(&root, None).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains(link.to_str().unwrap()) && text.contains(to),
                "{text}"
            );
            assert!(RunFolder::open(&root).unwrap().tidy().is_err());
            assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
            std::fs::remove_file(&link).unwrap();
        }
        // One that stays inside is nobody's harm, nor is a folder that is reached by a link.
        symlink("vision", root.join("eyes")).unwrap();
        symlink(&root, dir.path().join("other-name")).unwrap();
        RunFolder::create_or_resume(&dir.path().join("other-name"), None).unwrap();
    }

    #[test]
    fn what_a_kill_left_half_written_is_gone_when_the_run_is_opened_for_work() {
        let dir = tempfile::tempdir().unwrap();
        drop(RunFolder::create_or_resume(dir.path(), Some(tiny())).unwrap());
        let left = [".partial-abcdef", "vision/.partial-frmdn-abcdef"].map(|p| dir.path().join(p));
        std::fs::create_dir(dir.path().join("vision")).unwrap();
        for path in &left {
            std::fs::write(path, "half").unwrap();
        }
        RunFolder::open(dir.path()).unwrap();
        assert!(left.iter().all(|path| path.exists()));
        RunFolder::create_or_resume(dir.path(), None).unwrap();
        assert!(!left.iter().any(|path| path.exists()));
    }

    #[test]
    fn impossible_values_under_a_right_checksum_are_refused_with_the_key() {
        let dir = tempfile::tempdir().unwrap();
        drop(RunFolder::create_or_resume(dir.path(), Some(tiny())).unwrap());
        let path = dir.path().join("run.toml");
        let good = std::fs::read_to_string(&path).unwrap();
        let body = good.splitn(3, '\n').nth(2).unwrap();
        let mut keys = 0;
        for line in body.lines() {
            // Every whole number but the seed, and those whose zero means something.
            let Some((key, value)) = line.split_once(" = ") else {
                continue;
            };
            let may_be_zero = ["seed", "give_up_after", "patience", "rank", "active"];
            if value.parse::<u64>().is_err() || may_be_zero.contains(&key) {
                continue;
            }
            let may_be_zero = ["axes", "hard_tracks", "more_tracks", "finalists"];
            if may_be_zero.contains(&key) {
                continue;
            }
            keys += 1;
            let bad = body.replacen(line, &format!("{key} = 0"), 1);
            let text = format!("#\n# format 1, sha256 {}\n{bad}", checksum(&bad));
            std::fs::write(&path, text).unwrap();
            let error = RunFolder::open(dir.path()).unwrap_err();
            let said = error.to_string();
            assert!(
                matches!(
                    error,
                    RunError::Damaged {
                        recovery: Recovery::Settings,
                        ..
                    }
                ) && said.contains("run.toml")
                    && said.contains(&format!("{key} = 0 is impossible")),
                "{line}: {said}"
            );
        }
        assert!(keys > 20, "{keys}");
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
