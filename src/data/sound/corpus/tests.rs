use tempfile::TempDir;

use super::{super::fixtures, *};

/// A folder with small files at these paths: `.flac` and `.WAV` files are what their names say in
/// their corpora, FLAC and SPHERE, `.wav` files are WAV, and all others are text.
fn folder(paths: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), paths);
    folder
}

fn put(folder: &Path, paths: &[&str]) {
    for path in paths {
        let bytes = match path.rsplit('.').next().unwrap() {
            "flac" => fixtures::flac(&[1, 2, 3]),
            "WAV" | "sph" => fixtures::sphere(&[1, 2, 3]),
            "wav" => fixtures::wav(16, 1, &[1, 2, 3]),
            _ => b"text".to_vec(),
        };
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn open_at(folder: &Path) -> Result<Corpus, CorpusError> {
    open(folder.to_str().unwrap())
}

fn refusal(folder: &Path) -> String {
    open_at(folder).unwrap_err().to_string()
}

/// Paths below `folder`, as text.
fn names(folder: &Path, files: &[PathBuf]) -> Vec<String> {
    let name = |file: &PathBuf| file.strip_prefix(folder).unwrap().display().to_string();
    files.iter().map(name).collect()
}

/// Checks that `folder` has this corpus.
fn expect(folder: &Path, name: &str, training: &[&str], test: &[&str]) {
    let corpus = open_at(folder).unwrap();
    assert_eq!((corpus.name.as_str(), corpus.rate), (name, 16000));
    assert_eq!(names(folder, &corpus.training), training);
    assert_eq!(names(folder, &corpus.test), test);
}

#[test]
fn timit_has_parts_of_its_own_and_files_of_sphere_named_wav() {
    let paths = [
        "TRAIN/DR1/FCJF0/SA1.WAV",
        "TRAIN/DR1/FCJF0/SX127.WAV",
        "TRAIN/DR1/FCJF0/SX127.PHN",
        "TRAIN/DR2/MABC0/SI100.WAV",
        "TEST/DR1/FAKS0/SA2.WAV",
        "TEST/DR1/FAKS0/SX133.WAV",
    ];
    let training = ["TRAIN/DR1/FCJF0/SX127.WAV", "TRAIN/DR2/MABC0/SI100.WAV"];
    let plain = folder(&paths);
    expect(
        plain.path(),
        "TIMIT",
        &training,
        &["TEST/DR1/FAKS0/SX133.WAV"],
    );
    for below in ["TIMIT", "data", "data/lisa/data/timit/raw/TIMIT"] {
        let deep = tempfile::tempdir().unwrap();
        put(&deep.path().join(below), &paths);
        let corpus = open_at(deep.path()).unwrap();
        assert_eq!(
            (corpus.training.len(), corpus.test.len()),
            (2, 1),
            "{below}"
        );
    }
    let small = folder(&[
        "train/dr1/fcjf0/sx127.wav",
        "train/dr1/fcjf0/sa1.wav",
        "test/dr1/faks0/sx133.wav",
    ]);
    expect(
        small.path(),
        "TIMIT",
        &["train/dr1/fcjf0/sx127.wav"],
        &["test/dr1/faks0/sx133.wav"],
    );
}

#[test]
fn sentences_of_timit_that_are_there_twice_count_once() {
    let folder = folder(&[
        "data/TRAIN/DR1/FCJF0/SX1.WAV",
        "data/TRAIN/DR1/FCJF0/SX1.WAV.wav",
        "data/TRAIN/DR1/FCJF0/SA1.WAV.wav",
        "data/TEST/DR1/FAKS0/SX1.WAV",
        "data/TEST/DR1/FAKS0/SX1.pcm.wav",
    ]);
    expect(
        folder.path(),
        "TIMIT",
        &["data/TRAIN/DR1/FCJF0/SX1.WAV.wav"],
        &["data/TEST/DR1/FAKS0/SX1.pcm.wav"],
    );
}

#[test]
fn a_part_of_timit_alone_is_refused() {
    let folder = folder(&["TRAIN/DR1/FCJF0/SX127.WAV", "TEST/DR1/FAKS0/SA1.WAV"]);
    let error = refusal(folder.path());
    assert!(
        error.contains("TIMIT's part TEST has no recordings in "),
        "{error}"
    );
    assert!(
        error.contains("(found TEST/, TRAIN/); give the path of"),
        "{error}"
    );
    let error = refusal(&folder.path().join("TRAIN"));
    assert!(
        error.contains("TIMIT's part TEST has no recordings in "),
        "{error}"
    );
    assert!(error.contains("(found DR1/)"), "{error}");
}

#[test]
fn of_vctk_the_first_microphone_and_the_trimmed_version_are_taken() {
    let mut paths = Vec::new();
    for number in 1..=12 {
        paths.push(format!("wav48/p225/p225_{number:03}.wav"));
    }
    paths.push("txt/p225/p225_001.txt".to_owned());
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let old = folder(&paths);
    let corpus = open_at(old.path()).unwrap();
    assert_eq!((corpus.name.as_str(), corpus.training.len()), ("VCTK", 11));
    assert_eq!(names(old.path(), &corpus.test), ["wav48/p225/p225_010.wav"]);
    // The folder that holds the speakers can be given too.
    assert_eq!(
        open_at(&old.path().join("wav48")).unwrap().training.len(),
        11
    );
    put(
        old.path(),
        &[
            "wav48_silence_trimmed/p225/p225_001_mic1.flac",
            "wav48_silence_trimmed/p225/p225_001_mic2.flac",
            "wav48_silence_trimmed/s5/s5_001_mic1.flac",
            "wav48_silence_trimmed/s5/s5_001_mic2.flac",
            "wav48_silence_trimmed/log.txt",
        ],
    );
    expect(
        old.path(),
        "VCTK",
        &["wav48_silence_trimmed/p225/p225_001_mic1.flac"],
        &["wav48_silence_trimmed/s5/s5_001_mic1.flac"],
    );
}

#[test]
fn the_accent_archive_must_be_converted() {
    let folder = folder(&[
        "recordings/english1.mp3",
        "recordings/english2.mp3",
        "recordings/zulu1.mp3",
        "speakers_all.csv",
    ]);
    let path = folder.path().display();
    let error = refusal(folder.path());
    assert!(
        error.starts_with(&format!("3 of 3 mp3 files in {path} are not converted")),
        "{error}"
    );
    let command = format!(
        "find {path} -iname '*.mp3' | while read -r f; do ffmpeg -nostdin -n -loglevel error -i \
         \"$f\" -ac 1 \"${{f%.*}}.wav\"; done"
    );
    assert!(error.ends_with(&command), "{error}");
    // A shell understands it.
    let shell = std::process::Command::new("sh")
        .args(["-n", "-c", &command])
        .status();
    assert!(shell.map_or(true, |status| status.success()));
    put(
        folder.path(),
        &["recordings/english1.wav", "recordings/zulu1.wav"],
    );
    let error = refusal(folder.path());
    assert!(error.starts_with("1 of 3 mp3 files"), "{error}");
    put(folder.path(), &["recordings/english2.wav"]);
    expect(
        folder.path(),
        "Speech Accent Archive",
        &["recordings/english1.wav", "recordings/english2.wav"],
        &["recordings/zulu1.wav"],
    );
}

#[test]
fn a_folder_named_recordings_alone_is_no_accent_archive() {
    let folder = folder(&["recordings/take1.wav", "recordings/take2.mp3", "more/a.wav"]);
    let corpus = open_at(folder.path()).unwrap();
    assert_eq!(corpus.name, own_name(folder.path()));
    assert_eq!(names(folder.path(), &corpus.training), ["more/a.wav"]);
    assert_eq!(names(folder.path(), &corpus.test), ["recordings/take1.wav"]);
}

#[test]
fn blizzard_is_found_however_far_down() {
    for below in ["wavn", "2013-EH1/train/segmented/wavn"] {
        let (one, two) = (
            format!("{below}/CB-AA-01-02.wav"),
            format!("{below}/CB-AA-01-03.wav"),
        );
        let folder = folder(&[&one, &two, "unsegmented/book.wav"]);
        expect(folder.path(), "Blizzard", &[&one], &[&two]);
    }
}

#[test]
fn any_other_folder_is_split_by_path_and_every_tenth_is_for_tests() {
    let mut paths = Vec::new();
    for number in 0..25 {
        let ending = ["wav", "flac", "sph", "WAV"][number % 4];
        paths.push(format!("{}/{number:02}.{ending}", ["b", "a"][number % 2]));
    }
    let mut sorted: Vec<&str> = paths.iter().map(String::as_str).collect();
    let folder = folder(&sorted);
    put(
        folder.path(),
        &["notes.txt", ".hidden/a.wav", "a/._00.wav", "song.mp3"],
    );
    sorted.sort();
    let corpus = open_at(folder.path()).unwrap();
    assert_eq!(names(folder.path(), &corpus.test), [sorted[9], sorted[19]]);
    assert_eq!(corpus.training.len(), 23);
    let own = folder.path().file_name().unwrap().to_string_lossy();
    assert_eq!((corpus.name.as_str(), corpus.rate), (own.as_ref(), 16000));
}

#[test]
fn few_files_are_split_and_one_is_refused() {
    let folder = folder(&["a.wav"]);
    let error = refusal(folder.path());
    assert!(error.contains("has only one recording"), "{error}");
    assert!(error.contains("-f segment -segment_time 60 "), "{error}");
    put(folder.path(), &["b.wav"]);
    let corpus = open_at(folder.path()).unwrap();
    assert_eq!(names(folder.path(), &corpus.training), ["a.wav"]);
    assert_eq!(names(folder.path(), &corpus.test), ["b.wav"]);
}

#[test]
fn the_rate_is_that_of_most_files() {
    let folder = folder(&["a.wav", "b.wav", "c.wav"]);
    let mut other = fixtures::wav(16, 1, &[1]);
    other[24..28].copy_from_slice(&8000_u32.to_le_bytes());
    std::fs::write(folder.path().join("a.wav"), &other).unwrap();
    assert_eq!(open_at(folder.path()).unwrap().rate, 16000);
    // As many of either.
    std::fs::write(folder.path().join("d.wav"), &other).unwrap();
    assert_eq!(open_at(folder.path()).unwrap().rate, 8000);
    std::fs::write(folder.path().join("b.wav"), b"").unwrap();
    let error = refusal(folder.path());
    assert!(error.contains("b.wav is empty"), "{error}");
}

#[test]
fn folders_without_sounds_and_other_names_are_refused() {
    let empty = folder(&[]);
    let error = refusal(empty.path());
    assert!(error.starts_with("there is no sound file in "), "{error}");
    assert!(
        error.contains("looked for .wav, .flac and .sph; found nothing"),
        "{error}"
    );
    let texts = folder(&["a.txt", "b/c.txt", "d", "e", "f", "g", "h"]);
    let error = refusal(texts.path());
    assert!(
        error.contains("found a.txt, b/, d, e, f, and 2 more"),
        "{error}"
    );
    let songs = folder(&["a.mp3", "b/c.MP3"]);
    let error = refusal(songs.path());
    assert!(error.starts_with("2 of 2 mp3 files"), "{error}");
    let error = refusal(&texts.path().join("a.txt"));
    assert!(
        error.contains("is a file; give the path of the folder"),
        "{error}"
    );
    let error = open("no-such-corpus").unwrap_err().to_string();
    assert!(
        error.starts_with("`no-such-corpus` is neither a folder nor a package"),
        "{error}"
    );
    assert!(
        error.contains("festvox-ru, asterisk-core-sounds-en, "),
        "{error}"
    );
    for odd in ["", "\0", "~/speech"] {
        assert!(open(odd).is_err());
    }
}

#[test]
fn a_folder_that_is_not_what_its_name_says_is_refused() {
    for (name, path, wanted) in [
        (
            "TIMIT",
            "DR1/FCJF0/SX127.WAV",
            "looked for TRAIN/DR1/FCJF0/SX127.WAV and TEST/",
        ),
        (
            "VCTK-Corpus",
            "p225/p225_001.wav",
            "looked for wav48/p225/p225_001.wav or ",
        ),
        (
            "Blizzard2013",
            "wav/a.wav",
            "looked for train/segmented/wavn/",
        ),
    ] {
        let above = folder(&[&format!("{name}/{path}")]);
        let error = refusal(&above.path().join(name));
        assert!(error.contains(wanted), "{error}");
        let first = path.split('/').next().unwrap();
        assert!(error.contains(&format!("found {first}/)")), "{error}");
        assert!(
            error.contains("give the path of the folder that has these, or rename"),
            "{error}"
        );
    }
}

#[test]
fn several_corpora_in_one_folder_are_refused_by_name() {
    let folder = folder(&["x/wavn/a.wav", "y/wav48/p1/p1_001.wav", "z.wav"]);
    let error = refusal(folder.path());
    let path = folder.path().display();
    let words = format!("Blizzard ({path}/x/wavn/a.wav), VCTK ({path}/y/wav48/p1/p1_001.wav)");
    assert!(error.contains(&words), "{error}");
    assert!(open_at(&folder.path().join("x")).is_err_and(|e| e.to_string().contains("only one")));
}

#[test]
fn packages_are_found_where_they_are_installed() {
    let root = tempfile::tempdir().unwrap();
    let refusal = |name| open_in(root.path(), name).unwrap_err().to_string();
    let error = refusal("festvox-ru");
    assert!(
        error.contains("usr/share/festival/voices/russian/msu_ru_nsh_clunits/wav"),
        "{error}"
    );
    assert!(
        error.ends_with("type: sudo apt-get install festvox-ru"),
        "{error}"
    );
    let error = refusal("asterisk-core-sounds-it");
    assert!(
        error.ends_with("type: sudo apt-get install asterisk-core-sounds-it-wav"),
        "{error}"
    );
    let error = refusal("asterisk-core-sounds");
    let all = "sudo apt-get install asterisk-core-sounds-en-wav asterisk-core-sounds-es-wav \
        asterisk-core-sounds-fr-wav asterisk-core-sounds-it-wav asterisk-core-sounds-ru-wav";
    assert!(error.ends_with(all), "{error}");
    let wavs = root
        .path()
        .join("usr/share/festival/voices/russian/msu_ru_nsh_clunits/wav");
    for number in 1..=30 {
        put(&wavs, &[&format!("ru_{number:04}.wav")]);
    }
    let corpus = open_in(root.path(), "festvox-ru").unwrap();
    assert_eq!(
        (corpus.name.as_str(), corpus.training.len()),
        ("festvox-ru", 27)
    );
    assert_eq!(
        names(&wavs, &corpus.test),
        ["ru_0010.wav", "ru_0020.wav", "ru_0030.wav"]
    );
    let sounds = root.path().join("usr/share/asterisk/sounds");
    let voices = ["en_US_f_Allison", "fr_CA_f_June"];
    for voice in voices {
        put(
            &sounds.join(voice),
            &["hello.wav", "hello.gsm", "digits/1.wav", "silence/1.wav"],
        );
    }
    let corpus = open_in(root.path(), "asterisk-core-sounds-fr").unwrap();
    assert_eq!(
        names(&sounds, &corpus.training),
        ["fr_CA_f_June/digits/1.wav"]
    );
    assert_eq!(names(&sounds, &corpus.test), ["fr_CA_f_June/hello.wav"]);
    let corpus = open_in(root.path(), "asterisk-core-sounds").unwrap();
    assert_eq!((corpus.training.len(), corpus.test.len()), (3, 1));
    assert!(open_in(root.path(), "asterisk-core-sounds-es").is_err());
}

#[cfg(unix)]
#[test]
fn links_in_a_circle_odd_names_and_closed_folders_do_no_harm() {
    use std::{
        ffi::OsStr,
        os::unix::{
            ffi::OsStrExt,
            fs::{PermissionsExt, symlink},
        },
    };

    let folder = folder(&["a/1.wav", "a/2.wav"]);
    let at = |name: &str| folder.path().join(name);
    symlink(folder.path(), at("a/up")).unwrap();
    symlink(at("a"), at("b")).unwrap();
    symlink(at("nowhere"), at("c.wav")).unwrap();
    symlink(at("self"), at("self")).unwrap();
    expect(
        folder.path(),
        &own_name(folder.path()),
        &["a/1.wav"],
        &["a/2.wav"],
    );
    // A link to a folder is as good as the folder.
    assert_eq!(open_at(&at("b")).unwrap().training.len(), 1);
    // Not in UTF-8; not every file system takes it.
    let odd = folder.path().join(OsStr::from_bytes(b"a/\xff.wav"));
    if std::fs::write(&odd, fixtures::wav(16, 1, &[1])).is_ok() {
        let corpus = open_at(folder.path()).unwrap();
        assert_eq!(corpus.test, std::slice::from_ref(&odd));
        std::fs::write(&odd, b"").unwrap();
        assert!(refusal(folder.path()).contains("is empty"));
        std::fs::remove_file(&odd).unwrap();
    }
    std::fs::create_dir(at("closed")).unwrap();
    std::fs::set_permissions(at("closed"), PermissionsExt::from_mode(0o000)).unwrap();
    // Root reads it all the same.
    if std::fs::read_dir(at("closed")).is_err() {
        let error = refusal(folder.path());
        assert!(error.contains("cannot read the folder"), "{error}");
        assert!(error.contains("chmod -R u+rX "), "{error}");
    }
    std::fs::set_permissions(at("closed"), PermissionsExt::from_mode(0o700)).unwrap();
}

fn own_name(folder: &Path) -> String {
    folder.file_name().unwrap().to_string_lossy().into_owned()
}
