//! Corpora that are known by how their folders are named.

use std::{borrow::Cow, path::Path};

/// A corpus whose folders are known. The names are those of the files' last folders, so it does not
/// matter how far down they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// TIMIT: `TRAIN/DR1/FCJF0/SA1.WAV` and `TEST/…`, in either case of letters.
    Timit,
    /// VCTK: `wav48/p225/p225_001.wav`, or `wav48_silence_trimmed/p225/p225_001_mic1.flac`.
    Vctk,
    /// Speech Accent Archive: `recordings/english1.mp3`, converted to `recordings/english1.wav`.
    Accent,
    /// Blizzard 2013: `train/segmented/wavn/CB-AA-01-02.wav`.
    Blizzard,
}

impl Layout {
    pub const ALL: [Self; 4] = [Self::Timit, Self::Vctk, Self::Accent, Self::Blizzard];

    /// The corpus's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timit => "TIMIT",
            Self::Vctk => "VCTK",
            Self::Accent => "Speech Accent Archive",
            Self::Blizzard => "Blizzard",
        }
    }

    /// Where its files are, in words.
    pub fn wanted(self) -> &'static str {
        match self {
            Self::Timit => "TRAIN/DR1/FCJF0/SX127.WAV and TEST/DR1/FAKS0/SX133.WAV",
            Self::Vctk => {
                "wav48/p225/p225_001.wav or wav48_silence_trimmed/p225/p225_001_mic1.flac"
            }
            Self::Accent => "recordings/english1.wav",
            Self::Blizzard => "train/segmented/wavn/CB-AA-01-02.wav or wavn/CB-AA-01-02.wav",
        }
    }

    /// The corpus that a folder is meant to be by its name.
    pub fn meant(folder: &str) -> Option<Self> {
        let folder = folder.to_ascii_lowercase();
        let named = |layout: &Self| folder.starts_with(&layout.name().to_ascii_lowercase());
        Self::ALL.into_iter().find(named)
    }

    /// The corpus that the file at `path` is one of by the folders that it is in.
    pub fn of(path: &Path) -> Option<Self> {
        let place = Place::of(path);
        if place.part().is_some() {
            return Some(Self::Timit);
        }
        let speaker = |name: &str| {
            let number = name.strip_prefix(['p', 's']);
            number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        };
        let near = place.stem.ends_with("_mic1");
        match place.folders[1].as_ref() {
            "wav48" if speaker(&place.folders[0]) => return Some(Self::Vctk),
            // Two microphones heard the same; the first is taken.
            "wav48_silence_trimmed" if near && speaker(&place.folders[0]) => {
                return Some(Self::Vctk);
            }
            _ => {}
        }
        match place.folders[0].as_ref() {
            "recordings" if is_accent(&place.stem) => Some(Self::Accent),
            "wavn" => Some(Self::Blizzard),
            _ => None,
        }
    }
}

/// Whether a name is one of a language with a number, as `english1`.
fn is_accent(stem: &str) -> bool {
    let language = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let letters = language
        .bytes()
        .all(|b| b.is_ascii_alphabetic() || b == b'_');
    letters && !language.is_empty() && language.len() < stem.len()
}

/// TIMIT's own parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Training,
    Test,
}

/// A file's name and its last folders.
pub(super) struct Place<'a> {
    /// The name up to its last dot.
    stem: Cow<'a, str>,
    /// The last three folders, the last one first; empty where there are fewer.
    folders: [Cow<'a, str>; 3],
}

impl<'a> Place<'a> {
    pub fn of(path: &'a Path) -> Self {
        let mut above = path.ancestors().skip(1);
        // Names that are not in UTF-8 are compared as far as they are.
        let mut folder = || {
            let name = above.next().and_then(Path::file_name);
            name.unwrap_or_default().to_string_lossy()
        };
        Self {
            stem: path.file_stem().unwrap_or_default().to_string_lossy(),
            folders: [folder(), folder(), folder()],
        }
    }

    /// TIMIT's part, if the file is in the folder of one of its speakers.
    pub fn part(&self) -> Option<Part> {
        let dialect = self.folders[1].to_ascii_uppercase();
        let number = dialect.strip_prefix("DR")?;
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        match self.folders[2].to_ascii_uppercase().as_str() {
            "TRAIN" => Some(Part::Training),
            "TEST" => Some(Part::Test),
            _ => None,
        }
    }

    /// Name of TIMIT's sentence in capital letters: the name up to its first dot, because some copies
    /// have `SA1.WAV.wav` beside `SA1.WAV`.
    pub fn sentence(&self) -> String {
        let name = self.stem.split('.').next().unwrap_or_default();
        name.to_ascii_uppercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_told_by_the_last_folders() {
        for (path, expected) in [
            ("/x/TRAIN/DR1/FCJF0/SA1.WAV", Some(Layout::Timit)),
            (
                "/x/timit/data/test/dr8/mpam0/si1961.wav",
                Some(Layout::Timit),
            ),
            ("/x/TRAIN/DRY/FCJF0/SA1.WAV", None),
            ("/x/VALID/DR1/FCJF0/SA1.WAV", None),
            ("/x/wav48/p225/p225_001.wav", Some(Layout::Vctk)),
            ("/x/wav48/log/p225_001.wav", None),
            (
                "/x/wav48_silence_trimmed/s5/s5_001_mic1.flac",
                Some(Layout::Vctk),
            ),
            ("/x/wav48_silence_trimmed/p225/p225_001_mic2.flac", None),
            (
                "/x/recordings/recordings/english1.mp3",
                Some(Layout::Accent),
            ),
            ("/x/recordings/holiday.wav", None),
            ("/x/recordings/2024.wav", None),
            (
                "/x/train/segmented/wavn/CB-AA-01-02.wav",
                Some(Layout::Blizzard),
            ),
            ("wavn/a.wav", Some(Layout::Blizzard)),
            ("a.wav", None),
            ("", None),
        ] {
            assert_eq!(Layout::of(Path::new(path)), expected, "{path}");
        }
        assert_eq!(Layout::meant("timit"), Some(Layout::Timit));
        assert_eq!(Layout::meant("VCTK-Corpus-0.92"), Some(Layout::Vctk));
        assert_eq!(Layout::meant("Blizzard2013"), Some(Layout::Blizzard));
        assert_eq!(Layout::meant("songs"), None);
    }
}
