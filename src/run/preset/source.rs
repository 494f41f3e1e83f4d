//! Where presets come from: files, those that are compiled in, and what either names as its `base`.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Preset, spelling};
use crate::run::{Result, RunError, meant};

/// The preset that trains the best agent.
pub const BEST: &str = "car-racing-frmdn";
/// The preset of its first round.
pub const SCOUT: &str = "car-racing-scout";

/// The presets that are compiled in: name and text. This file has their names, which begin with the
/// environment.
pub const SHIPPED: [(&str, &str); 12] = [
    ("tiny", include_str!("../../../agents/tiny.toml")),
    ("homebrew", include_str!("../../../agents/homebrew.toml")),
    (
        "super-mario-rmdn",
        include_str!("../../../agents/super-mario-rmdn.toml"),
    ),
    (
        "super-mario-frmdn",
        include_str!("../../../agents/super-mario-frmdn.toml"),
    ),
    (
        "car-racing-scout",
        include_str!("../../../agents/car-racing-scout.toml"),
    ),
    (
        "car-racing-rmdn",
        include_str!("../../../agents/car-racing-rmdn.toml"),
    ),
    (
        "car-racing-frmdn",
        include_str!("../../../agents/car-racing-frmdn.toml"),
    ),
    (
        "car-racing-dream-rmdn",
        include_str!("../../../agents/car-racing-dream-rmdn.toml"),
    ),
    (
        "car-racing-dream-frmdn",
        include_str!("../../../agents/car-racing-dream-frmdn.toml"),
    ),
    (
        "car-racing-dream-expert",
        include_str!("../../../agents/car-racing-dream-expert.toml"),
    ),
    (
        "car-racing-state",
        include_str!("../../../agents/car-racing-state.toml"),
    ),
    (
        "likelihood",
        include_str!("../../../agents/likelihood.toml"),
    ),
];

/// Key that names the preset whose tables a file starts from.
const BASE: &str = "base";

/// The text of one preset.
pub(super) struct Source {
    /// Where it comes from, for messages.
    pub(super) origin: String,
    /// The file; none for a preset that is compiled in.
    path: Option<PathBuf>,
    text: String,
}

/// A preset before it is read: the tables of its file over those of its bases.
struct Merged {
    table: Table,
    has_base: bool,
}

impl Source {
    /// The preset `name`: a file, or else a shipped one.
    ///
    /// # Errors
    /// If there is neither, or the file cannot be read.
    pub(super) fn find(name: &str) -> Result<Self> {
        if Path::new(name).is_file() {
            return Self::file(name.into());
        }
        Self::shipped(name).ok_or_else(|| {
            RunError::Config(format!(
                "there is no preset and no file `{name}`{}. Presets: {}; or give the path of a \
                 TOML file, for example a changed copy of one from agents/",
                meant(name, SHIPPED.iter().map(|(name, _)| *name)),
                shipped_names()
            ))
        })
    }

    fn file(path: PathBuf) -> Result<Self> {
        let text = std::fs::read_to_string(&path).map_err(RunError::io("read", &path))?;
        Ok(Self {
            origin: path.display().to_string(),
            path: Some(path),
            text,
        })
    }

    fn shipped(name: &str) -> Option<Self> {
        let (name, text) = SHIPPED.iter().find(|(shipped, _)| *shipped == name)?;
        Some(Self {
            origin: format!("agents/{name}.toml (compiled in)"),
            path: None,
            text: (*text).to_owned(),
        })
    }

    /// The preset that this one names as its base: a path from this file's folder, or else a
    /// shipped one. A shipped preset can have shipped ones alone.
    fn base(&self, name: &str) -> Result<Self> {
        let folder = self.path.as_deref().and_then(Path::parent);
        if let Some(path) = folder.map(|folder| folder.join(name))
            && path.is_file()
        {
            return Self::file(path);
        }
        Self::shipped(name).ok_or_else(|| {
            let file = folder.map_or_else(String::new, |folder| {
                format!(" and no file `{}`", folder.join(name).display())
            });
            RunError::Config(format!(
                "{}: base = \"{name}\": there is no preset `{name}`{file}. Presets: {}; or give \
                 the path of a TOML file, seen from the folder of this one",
                self.origin,
                shipped_names()
            ))
        })
    }

    /// Whether both are the same file or the same shipped preset.
    fn is(&self, other: &Self) -> bool {
        match (&self.path, &other.path) {
            (Some(a), Some(b)) => {
                a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
            }
            (None, None) => self.origin == other.origin,
            _ => false,
        }
    }

    /// This file's own table in the spelling on disk, and the name of its base.
    fn table(&self) -> Result<(Table, Option<String>)> {
        let mut table: Table = toml::from_str(&self.text).map_err(|e| self.error(e))?;
        let base = match table.remove(BASE) {
            None => None,
            Some(Value::String(name)) => Some(name),
            Some(other) => {
                return Err(self.error(format!(
                    "base = {other} is impossible: it must be the name of a preset or the path of \
                     a TOML file, in quotes"
                )));
            }
        };
        spelling::to_disk(&mut table).map_err(|e| self.error(e))?;
        Ok((table, base))
    }

    /// Merges the bases below this preset.
    fn merged(&self) -> Result<Merged> {
        let (table, mut next) = self.table()?;
        let mut tables = vec![table];
        let mut bases: Vec<Self> = Vec::new();
        while let Some(name) = next {
            let naming = bases.last().unwrap_or(self);
            let base = naming.base(&name)?;
            if base.is(self) || bases.iter().any(|seen| seen.is(&base)) {
                let mut chain = vec![self.origin.as_str()];
                chain.extend(bases.iter().map(|seen| seen.origin.as_str()));
                chain.push(&base.origin);
                return Err(self.error(format!("a preset is its own base: {}", chain.join(" → "))));
            }
            let table;
            (table, next) = base.table()?;
            tables.push(table);
            bases.push(base);
        }
        let mut table = tables.pop().unwrap_or_default();
        while let Some(above) = tables.pop() {
            merge(&mut table, above);
        }
        Ok(Merged {
            table,
            has_base: !bases.is_empty(),
        })
    }

    /// Reads the preset.
    ///
    /// # Errors
    /// If it or one of its bases is no TOML, names a base that is not there or comes back to
    /// itself, or if a key is unknown, missing, spelled twice or has a value of another type.
    pub(super) fn read(&self) -> Result<Preset> {
        let merged = self.merged()?;
        let preset = if merged.has_base {
            merged.table.try_into()
        } else {
            // The text instead of the table: errors then show the line.
            toml::from_str(&self.text)
        };
        preset.map_err(|e| self.error(e.to_string().trim_end()))
    }

    /// An error that names this preset.
    pub(super) fn error(&self, what: impl std::fmt::Display) -> RunError {
        RunError::Config(format!("{}: {what}", self.origin))
    }
}

fn shipped_names() -> String {
    SHIPPED.map(|(name, _)| name).join(", ")
}

/// Puts `above` over `table`, key by key.
fn merge(table: &mut Table, above: Table) {
    for (key, value) in above {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    /// SHA-256 of the resolved presets: runs that were begun are compared with them key by key,
    /// and the text is what `run.toml` holds.
    const RESOLVED: [(&str, &str); 12] = [
        (
            "tiny",
            "1104b12cf49bb0a6ac5f43217e90514f4b490c59b32323097af4525dbee7cd0b",
        ),
        (
            "homebrew",
            "926dfe76842d4a1f4671ec979a715d9a87a0c0e2ca6dc8409148afaa926653a3",
        ),
        (
            "super-mario-rmdn",
            "c18c1808dc56efc4bcb77b232b10e3d2b9714468ee277235b539155b639ef448",
        ),
        (
            "super-mario-frmdn",
            "c2927d1654bafa530ac8422b42f1bd3e99892794f1c5b2b6c1c3c357232b75ca",
        ),
        (
            "car-racing-scout",
            "31e0752421be5b34f30ede25df19cf1c64346a0f2e38492638721e9ba9ed3846",
        ),
        (
            "car-racing-rmdn",
            "9c4153577db69279dbcd10d68f3b1252b2448aef29668fa62936708d8db148ae",
        ),
        (
            "car-racing-frmdn",
            "ec6095da92074acd6e7690488d1d70f72cad3df68bd4efa602d4ff1564ff8c7b",
        ),
        (
            "car-racing-dream-rmdn",
            "cd7ab707f5f652d3b105dae78d0d6bbb01b884ea12ccdfca4559b2d28d18d049",
        ),
        (
            "car-racing-dream-frmdn",
            "76b06b3e994c023fa87690f9972764f88891ea96505d55f5c7317b73311d5143",
        ),
        (
            "car-racing-dream-expert",
            "5d176733b8a7f2aeb7afb48060bbd6caa76314367b81cb549f291d9c2b3c1141",
        ),
        (
            "car-racing-state",
            "fa799edcf57291627663bb0aac464f72658fe01bafbf0706c54ed9f2368b570a",
        ),
        (
            "likelihood",
            "3595a43dc736dbdab9dee4898a9d7571624ecd08b3e7bf09989a2aedff297495",
        ),
    ];

    #[test]
    fn resolved_presets_have_the_bytes_that_run_folders_hold() {
        assert_eq!(
            RESOLVED.map(|(name, _)| name),
            SHIPPED.map(|(name, _)| name)
        );
        for (name, expected) in RESOLVED {
            let text = Preset::resolve(name, &[]).unwrap().to_toml();
            let found: String = Sha256::digest(&text)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(found, expected, "{name} is now\n{text}");
            // A copy of the file, as the guide advises, resolves to the same.
            let dir = tempfile::tempdir().unwrap();
            let copy = dir.path().join("copy.toml");
            std::fs::write(&copy, Source::shipped(name).unwrap().text).unwrap();
            assert_eq!(
                Preset::resolve(copy.to_str().unwrap(), &[])
                    .unwrap()
                    .to_toml(),
                text
            );
        }
    }

    /// Files of presets in a folder of their own.
    struct Files(tempfile::TempDir);

    impl Files {
        fn of(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = dir.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Self(dir)
        }

        fn resolve(&self, name: &str) -> Result<Preset> {
            Preset::resolve(self.0.path().join(name).to_str().unwrap(), &[])
        }

        fn error(&self, name: &str) -> String {
            self.resolve(name).unwrap_err().to_string()
        }
    }

    fn contains(text: &str, words: &[&str]) {
        for word in words {
            assert!(text.contains(word), "`{word}` is missing in: {text}");
        }
    }

    #[test]
    fn tables_are_merged_key_by_key_over_a_chain_of_bases() {
        let files = Files::of(&[
            (
                "mine/top.toml",
                "base = \"../middle.toml\"\nseed = 9\n[controller.late]\npopulation = 96",
            ),
            (
                "middle.toml",
                "base = \"car-racing-rmdn\"\nseed = 8\n[controller]\nsigma = 1\n\
                 [controller.late]\nscore = 3.5\npopulation = 80",
            ),
        ]);
        let expected = Preset::resolve(
            "car-racing-rmdn",
            &[
                "seed=9",
                "controller.sigma=1",
                "controller.late.score=3.5",
                "controller.late.population=96",
            ]
            .map(String::from),
        )
        .unwrap();
        let found = files.resolve("mine/top.toml").unwrap();
        assert_eq!(found, expected);
        assert!(!found.to_toml().contains("base ="), "{}", found.to_toml());
        let path = files.0.path().join("mine/top.toml");
        let set = ["controller.late.population=4".to_owned()];
        let set = Preset::resolve(path.to_str().unwrap(), &set).unwrap();
        assert_eq!(set.controller.late.unwrap().population, 4);
    }

    #[test]
    fn a_file_of_that_name_is_a_base_before_the_shipped_preset_is() {
        let files = Files::of(&[
            ("top.toml", "base = \"tiny\"\nseed = 2"),
            ("tiny", "base = \"car-racing-frmdn\""),
            ("mine.toml", "base = \"nested/inner.toml\""),
            ("nested/inner.toml", "base = \"tiny\"\nseed = 7"),
        ]);
        let top = files.resolve("top.toml").unwrap();
        assert_eq!((top.seed, top.memory.model.hidden), (2, 256));
        let mine = files.resolve("mine.toml").unwrap();
        assert_eq!((mine.seed, mine.memory.model.hidden), (7, 64));
    }

    #[test]
    fn circles_missing_bases_and_other_values_name_the_file() {
        let files = Files::of(&[
            ("a.toml", "base = \"b.toml\""),
            ("b.toml", "base = \"c.toml\""),
            ("c.toml", "base = \"./b.toml\""),
            ("self.toml", "base = \"self.toml\""),
            ("gone.toml", "base = \"tiny.toml\""),
            ("over.toml", "base = \"gone.toml\""),
            ("number.toml", "base = 3"),
            ("key.toml", "base = \"tiny\"\n[vision]\nspeed = 3"),
            ("value.toml", "base = \"tiny\"\n[vision]\nbatch = \"x\""),
            ("impossible.toml", "base = \"tiny\"\n[vision]\nbatch = 0"),
            ("text.toml", "base = \"tiny\"\n[vision"),
        ]);
        contains(
            &files.error("a.toml"),
            &[
                "a.toml: a preset is its own base",
                "a.toml → ",
                "b.toml → ",
                "c.toml → ",
                "./b.toml",
            ],
        );
        contains(&files.error("self.toml"), &["self.toml → ", "its own base"]);
        let missing = [
            "gone.toml: base = \"tiny.toml\"",
            "no file",
            "car-racing-scout",
        ];
        contains(&files.error("gone.toml"), &missing);
        contains(&files.error("over.toml"), &missing);
        contains(
            &files.error("number.toml"),
            &["number.toml", "base = 3", "in quotes"],
        );
        contains(
            &files.error("key.toml"),
            &["key.toml", "vision", "`speed`", "expected one of"],
        );
        contains(
            &files.error("value.toml"),
            &["value.toml", "vision", "batch"],
        );
        contains(
            &files.error("impossible.toml"),
            &["impossible.toml", "vision.batch = 0"],
        );
        contains(&files.error("text.toml"), &["text.toml", "line 2"]);
    }

    #[test]
    fn both_spellings_of_a_key_merge_and_are_refused_together() {
        let files = Files::of(&[
            (
                "new.toml",
                "base = \"car-racing-frmdn\"\n[controller]\nseeds = 4\ninputs = \"whitened\"\n\
                 outputs = \"scaled\"\nrecombination = \"all\"\n[controller.late]\nmore_seeds = 0\n\
                 candidate_ratio = 0.5\nrecombination = \"mirrored\"",
            ),
            ("old.toml", "base = \"new.toml\"\n[controller]\ntracks = 5"),
            (
                "both.toml",
                "base = \"tiny\"\n[controller]\ntracks = 5\nseeds = 5",
            ),
        ]);
        let new = files.resolve("new.toml").unwrap();
        let sets = ["controller.tracks=4", "controller.late.candidates_keep=0.5"];
        let expected = Preset::resolve("car-racing-frmdn", &sets.map(String::from)).unwrap();
        assert_eq!(new.to_toml(), expected.to_toml());
        assert_eq!(files.resolve("old.toml").unwrap().controller.seeds, 5);
        contains(
            &files.error("both.toml"),
            &[
                "both.toml",
                "controller.seeds and controller.tracks are the same setting",
            ],
        );
        // Without a base, and by --set.
        let text = Preset::resolve("tiny", &[]).unwrap().to_toml();
        let whole = Files::of(&[
            ("new.toml", &text.replace("\ntracks = 2", "\nseeds = 3")),
            (
                "both.toml",
                &text.replace("\ntracks = 2", "\nseeds = 3\ntracks = 2"),
            ),
        ]);
        assert_eq!(whole.resolve("new.toml").unwrap().controller.seeds, 3);
        contains(
            &whole.error("both.toml"),
            &["both.toml", "the same setting"],
        );
        let sets = |sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
            Preset::resolve("car-racing-frmdn", &sets)
        };
        assert_eq!(
            sets(&[
                "controller.seeds=4",
                "controller.select_seeds=5",
                "controller.inputs=whitened",
                "controller.late.hard_seeds=2",
                "controller.late.recombination=mirrored",
            ])
            .unwrap(),
            sets(&[
                "controller.tracks=4",
                "controller.select_tracks=5",
                "controller.inputs=standard",
                "controller.late.hard_tracks=2",
                "controller.late.recombination=pairs",
            ])
            .unwrap()
        );
        contains(
            &sets(&["controller.late.select_seeds=5"])
                .unwrap_err()
                .to_string(),
            &["no key `select_seeds`", "allowed here", "hard_tracks"],
        );
    }
}
