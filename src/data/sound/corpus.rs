//! Corpora: recordings with a training and a test part.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    error::SoundError,
    layout::{Layout, Part, Place},
    package, shell, sound, walk,
};

/// Files whose rates are looked at, spread over the corpus.
const LOOKED_AT: usize = 64;

/// Entries of a folder that an error tells.
const TOLD: usize = 5;

/// Recordings, of which some are kept for tests.
#[derive(Clone, Debug, PartialEq)]
pub struct Corpus {
    /// The package's or the corpus's name, or the folder's where it is none that is known.
    pub name: String,
    /// Sampling rate in Hz of most of the files, as far as 64 of them tell that are spread over the
    /// corpus; the lower one where two are as frequent.
    pub rate: u32,
    /// Files for training, at least one, sorted by path.
    pub training: Vec<PathBuf>,
    /// Files for tests, at least one, sorted by path.
    pub test: Vec<PathBuf>,
}

/// Why a corpus cannot be had. Every message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// Neither a package nor a folder.
    #[error(
        "{data} is neither a folder nor a package that is known; give the path of a folder with \
         sound files, or one of {}",
        known.join(", ")
    )]
    Unknown {
        /// What was asked for.
        data: String,
        /// Names of packages.
        known: Vec<&'static str>,
    },
    /// A file, where a folder is needed.
    #[error("{} is a file; give the path of the folder that it is in", path.display())]
    NotAFolder {
        /// The file.
        path: PathBuf,
    },
    /// A package that is not installed.
    #[error(
        "the recordings of {name} are not installed (there are none in {folders}); give the path of \
         a folder with sound files instead, or on Debian or Ubuntu type: {command}"
    )]
    NotInstalled {
        /// What was asked for.
        name: String,
        /// Where they would be.
        folders: String,
        /// The command that installs them.
        command: String,
    },
    /// The operating system refused to read a folder.
    #[error(
        "cannot read the folder {}: {cause}; make it readable (chmod -R u+rX {}), or move it away",
        path.display(),
        shell::typed(path)
    )]
    Read {
        /// The folder.
        path: PathBuf,
        /// The cause. Not named `source`, because the message tells it already.
        cause: std::io::Error,
    },
    /// No sound files.
    #[error(
        "there is no sound file in {} or below (looked for .wav, .flac and .sph; found {found}); \
         give the path of a folder with sound files",
        folder.display()
    )]
    Nothing {
        /// The folder.
        folder: PathBuf,
        /// Its first entries.
        found: String,
    },
    /// A folder with the name of a corpus and other files.
    #[error(
        "{} is named as {corpus} is, and is not laid out as it (looked for {wanted}; found \
         {found}); give the path of the folder that has these, or rename it, and every sound file \
         below it is taken",
        folder.display()
    )]
    Layout {
        /// The folder.
        folder: PathBuf,
        /// The corpus.
        corpus: &'static str,
        /// Where its files are, in words.
        wanted: &'static str,
        /// The folder's first entries.
        found: String,
    },
    /// One of TIMIT's parts is missing.
    #[error(
        "TIMIT's part {missing} has no recordings in {} (found {found}); give the path of the \
         folder that holds both TRAIN and TEST, and copy what is missing",
        folder.display()
    )]
    Part {
        /// The folder.
        folder: PathBuf,
        /// `TRAIN` or `TEST`.
        missing: &'static str,
        /// The folder's first entries.
        found: String,
    },
    /// Several corpora below one folder.
    #[error(
        "there are several corpora below {}: {corpora}; give the path of one of them",
        folder.display()
    )]
    Several {
        /// The folder.
        folder: PathBuf,
        /// Each of them with one of its files.
        corpora: String,
    },
    /// Files of mp3, which must be converted first.
    #[error(
        "{left} of {all} mp3 files in {} are not converted, and mp3 is not read; convert them, or \
         delete those that are not wanted: {command}",
        folder.display()
    )]
    Mp3 {
        /// The folder.
        folder: PathBuf,
        /// How many have no converted file beside them.
        left: usize,
        /// How many there are.
        all: usize,
        /// The command that converts them.
        command: String,
    },
    /// Too few files to keep one for tests.
    #[error(
        "{} has only one recording, and one for training and one for tests are needed; add some, \
         or cut it in two: {command}",
        folder.display()
    )]
    TooFew {
        /// The folder.
        folder: PathBuf,
        /// A command that cuts it.
        command: String,
    },
    /// One of the files that were looked at is not readable.
    #[error(transparent)]
    Sound(#[from] SoundError),
}

/// The corpus `data`: a package's name or the path of a folder. A folder with a package's name is
/// meant by `./NAME`.
///
/// Packages are `festvox-ru`, `asterisk-core-sounds-en`, `-es`, `-fr`, `-it` and `-ru`, and
/// `asterisk-core-sounds` for all of these that are installed; Asterisk's files of silence are left
/// out. Folders are told by the names of the folders that the files are in, however far down:
///
/// - TIMIT (`TRAIN/DR1/FCJF0/SX127.WAV`, in either case): its own parts for training and tests. Its
///   two sentences SA1 and SA2, which every speaker says in both parts, are left out, as is usual.
/// - VCTK (`wav48/p225/p225_001.wav`, or `wav48_silence_trimmed/p225/p225_001_mic1.flac`): of two
///   microphones the first, and of two versions the trimmed one.
/// - Speech Accent Archive (`recordings/english1.wav`): all of its mp3 files must have been
///   converted.
/// - Blizzard (`wavn/CB-AA-01-02.wav`).
/// - Any other: all `.wav`, `.flac` and `.sph` files, and not other files that may be among them.
///
/// Where a corpus has no parts of its own, every tenth file in the order of paths is for tests, those
/// with the indices 9, 19, …; the last one, where there are fewer than ten. Paths are compared folder
/// by folder, by their bytes. Hidden files are left out.
///
/// # Errors
/// If there is no such package or folder, the package is not installed, the folder cannot be read,
/// has no sounds, several corpora or not what its name promises, or there are fewer than two files,
/// or one of those that are looked at for their rates is none that is read.
pub fn open(data: &str) -> Result<Corpus, CorpusError> {
    open_in(Path::new("/"), data)
}

/// As [`open`], with packages installed below `root`.
fn open_in(root: &Path, data: &str) -> Result<Corpus, CorpusError> {
    if let Some(corpus) = package::open(root, data) {
        return corpus;
    }
    let folder = Path::new(data);
    if folder.is_file() {
        let path = folder.to_owned();
        return Err(CorpusError::NotAFolder { path });
    }
    if !folder.is_dir() {
        return Err(CorpusError::Unknown {
            data: format!("`{}`", data.escape_debug()),
            known: package::names(),
        });
    }
    open_folder(folder)
}

fn open_folder(folder: &Path) -> Result<Corpus, CorpusError> {
    let unreadable = |cause| CorpusError::Read {
        path: folder.to_owned(),
        cause,
    };
    // The folder's own names count too: it may be the one that holds the files.
    let whole = folder.canonicalize().map_err(unreadable)?;
    let found = walk::below(folder)?;
    let layout_of = |path: &PathBuf| {
        let below = path.strip_prefix(folder).unwrap_or(path);
        Layout::of(&whole.join(below))
    };
    let all = || found.sounds.iter().chain(&found.mp3);
    // Others have a folder `recordings` too; every copy of the archive has its first speaker.
    let archive = all().any(|path| {
        layout_of(path) == Some(Layout::Accent) && path.file_stem() == Some("english1".as_ref())
    });
    let layout_of = |path: &PathBuf| layout_of(path).filter(|l| archive || *l != Layout::Accent);
    let mut corpora: Vec<(Layout, &PathBuf)> = Vec::new();
    for path in all() {
        let Some(layout) = layout_of(path) else {
            continue;
        };
        if !corpora.iter().any(|(other, _)| *other == layout) {
            corpora.push((layout, path));
        }
    }
    let name = whole.file_name().unwrap_or_default().to_string_lossy();
    match corpora[..] {
        [] => match Layout::meant(&name) {
            Some(layout) => Err(CorpusError::Layout {
                folder: folder.to_owned(),
                corpus: layout.name(),
                wanted: layout.wanted(),
                found: told(folder)?,
            }),
            None => any(folder, &name, found.sounds, &found.mp3),
        },
        [(layout, _)] => {
            let of = |paths: Vec<PathBuf>| -> Vec<PathBuf> {
                let one = |path: &PathBuf| layout_of(path) == Some(layout);
                paths.into_iter().filter(one).collect()
            };
            known(layout, folder, &whole, of(found.sounds), of(found.mp3))
        }
        _ => {
            let corpora: Vec<String> = corpora
                .iter()
                .map(|(layout, path)| format!("{} ({})", layout.name(), path.display()))
                .collect();
            Err(CorpusError::Several {
                folder: folder.to_owned(),
                corpora: corpora.join(", "),
            })
        }
    }
}

/// The corpus of a folder that is laid out in a known way, `whole` in full.
fn known(
    layout: Layout,
    folder: &Path,
    whole: &Path,
    mut sounds: Vec<PathBuf>,
    mp3: Vec<PathBuf>,
) -> Result<Corpus, CorpusError> {
    match layout {
        Layout::Timit => return timit(folder, whole, sounds),
        Layout::Vctk => {
            let trimmed = |path: &PathBuf| {
                let speaker = path.parent().and_then(Path::parent);
                speaker.is_some_and(|folder| folder.ends_with("wav48_silence_trimmed"))
            };
            if sounds.iter().any(trimmed) {
                sounds.retain(trimmed);
            }
        }
        // Half of a corpus would be split in another way than the whole, without a word of it.
        Layout::Accent => converted(folder, &sounds, &mp3)?,
        Layout::Blizzard => {}
    }
    if sounds.is_empty() {
        converted(folder, &sounds, &mp3)?;
    }
    every_tenth(layout.name(), folder, sounds)
}

/// The corpus of any other folder.
fn any(
    folder: &Path,
    name: &str,
    sounds: Vec<PathBuf>,
    mp3: &[PathBuf],
) -> Result<Corpus, CorpusError> {
    if sounds.is_empty() {
        converted(folder, &sounds, mp3)?;
        return Err(CorpusError::Nothing {
            folder: folder.to_owned(),
            found: told(folder)?,
        });
    }
    every_tenth(name, folder, sounds)
}

fn timit(folder: &Path, whole: &Path, sounds: Vec<PathBuf>) -> Result<Corpus, CorpusError> {
    // By part, speaker's folder and sentence; of several files of one sentence the last is taken,
    // which is the converted one.
    let (mut training, mut test) = (BTreeMap::new(), BTreeMap::new());
    for path in sounds {
        let full = whole.join(path.strip_prefix(folder).unwrap_or(&path));
        let place = Place::of(&full);
        let sentence = place.sentence();
        if matches!(sentence.as_str(), "SA1" | "SA2") {
            continue;
        }
        let speaker = path.parent().map(Path::to_owned);
        match place.part() {
            Some(Part::Training) => training.insert((speaker, sentence), path),
            Some(Part::Test) => test.insert((speaker, sentence), path),
            None => continue,
        };
    }
    for (part, missing) in [(&training, "TRAIN"), (&test, "TEST")] {
        if part.is_empty() {
            return Err(CorpusError::Part {
                folder: folder.to_owned(),
                missing,
                found: told(folder)?,
            });
        }
    }
    let sorted = |part: BTreeMap<_, PathBuf>| {
        let mut files: Vec<PathBuf> = part.into_values().collect();
        files.sort();
        files
    };
    corpus(Layout::Timit.name(), sorted(training), sorted(test))
}

/// Checks that every mp3 file has one beside it that is read.
fn converted(folder: &Path, sounds: &[PathBuf], mp3: &[PathBuf]) -> Result<(), CorpusError> {
    let done = |path: &&PathBuf| {
        ["wav", "WAV", "flac"].iter().any(|ending| {
            let beside = path.with_extension(ending);
            sounds.binary_search(&beside).is_ok()
        })
    };
    let left = mp3.len() - mp3.iter().filter(done).count();
    if left == 0 {
        return Ok(());
    }
    // Those that are there already are left as they are (-n).
    let folder_typed = shell::typed(folder);
    let command = format!(
        "find {folder_typed} -iname '*.mp3' | while read -r f; do ffmpeg -nostdin -n -loglevel \
         error -i \"$f\" -ac 1 \"${{f%.*}}.wav\"; done"
    );
    Err(CorpusError::Mp3 {
        folder: folder.to_owned(),
        left,
        all: mp3.len(),
        command,
    })
}

/// The corpus of `files`, which are sorted and lie in `folder`; every tenth is for tests.
pub(super) fn every_tenth(
    name: &str,
    folder: &Path,
    files: Vec<PathBuf>,
) -> Result<Corpus, CorpusError> {
    if let [only] = &files[..] {
        let parts = shell::typed(&only.with_extension("%03d.wav"));
        let only = shell::typed(only);
        return Err(CorpusError::TooFew {
            folder: folder.to_owned(),
            command: format!("ffmpeg -i {only} -f segment -segment_time 60 {parts}"),
        });
    }
    let count = files.len();
    let (mut training, mut test) = (Vec::new(), Vec::new());
    for (index, file) in files.into_iter().enumerate() {
        let last_of_few = count < 10 && index + 1 == count;
        if index % 10 == 9 || last_of_few {
            test.push(file);
        } else {
            training.push(file);
        }
    }
    corpus(name, training, test)
}

fn corpus(name: &str, training: Vec<PathBuf>, test: Vec<PathBuf>) -> Result<Corpus, CorpusError> {
    let all: Vec<&PathBuf> = training.iter().chain(&test).collect();
    let mut rates: BTreeMap<u32, usize> = BTreeMap::new();
    let looked_at = all.len().min(LOOKED_AT);
    for i in 0..looked_at {
        let rate = sound::rate(all[i * all.len() / looked_at])?;
        *rates.entry(rate).or_default() += 1;
    }
    let (mut rate, mut most) = (0, 0);
    for (other, count) in rates {
        // From low rates to high ones: the lower of two that are as frequent stays.
        if count > most {
            (rate, most) = (other, count);
        }
    }
    Ok(Corpus {
        name: name.to_owned(),
        rate,
        training,
        test,
    })
}

/// The first entries of a folder, in words.
fn told(folder: &Path) -> Result<String, CorpusError> {
    let entries = walk::entries(folder)?;
    if entries.is_empty() {
        return Ok("nothing".to_owned());
    }
    let mut names = Vec::new();
    for path in entries.iter().take(TOLD) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.escape_debug();
        names.push(format!("{name}{}", if path.is_dir() { "/" } else { "" }));
    }
    if entries.len() > TOLD {
        names.push(format!("and {} more", entries.len() - TOLD));
    }
    Ok(names.join(", "))
}

#[cfg(test)]
mod tests;
