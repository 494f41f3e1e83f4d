//! Files that are not read, and how they become such that are.

use std::path::Path;

use super::{error::SoundError, shell};

/// Beginnings of files, with where they stand and what the files are, which ffmpeg converts.
const CONVERTIBLE: [(usize, &[u8], &str); 17] = [
    (0, b"ID3", "an mp3 file"),
    (0, b"OggS", "an Ogg file (Vorbis or Opus)"),
    (0, b"FORM", "an AIFF file"),
    (0, b"RIFX", "a WAV file with the largest byte first (RIFX)"),
    (0, b"RF64", "a WAV file for more than 4 GiB (RF64)"),
    (0, b"BW64", "a WAV file for more than 4 GiB (BW64)"),
    (0, b"riff\x2e\x91\xcf\x11", "a Wave64 file"),
    (
        0,
        b"RIFF",
        "a RIFF file that is no WAV file, such as a film",
    ),
    (0, b".snd", "a Sun audio file (.au)"),
    (4, b"ftyp", "an MPEG-4 file (.m4a or .mp4)"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM file"),
    (0, b"caff", "a Core Audio file (.caf)"),
    (0, b"wvpk", "a WavPack file"),
    (0, b"MAC ", "a Monkey's Audio file (.ape)"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"\x30\x26\xb2\x75", "a Windows Media file (.wma)"),
    (0, b"ajkg", "a Shorten file (.shn)"),
];

/// Beginnings of files that hold no sound, with what they are and what to do.
const OTHERS: [(&[u8], &str, &str); 6] = [
    (b"PK\x03\x04", "a zip archive", "unpack it with unzip"),
    (
        b"\x1f\x8b",
        "a gzip archive",
        "unpack it with tar xzf or gunzip",
    ),
    (
        b"version https://git-lfs",
        "a placeholder of Git LFS",
        "type git lfs pull in its folder",
    ),
    (
        b"<",
        "a web page or XML",
        "download it again, it may be an error message",
    ),
    (b"\x89PNG", "a picture", "give the path of a sound file"),
    (b"%PDF", "a PDF document", "give the path of a sound file"),
];

/// What to say of the file at `path`, which begins with `bytes` and is none of those that are read.
pub(super) fn error(path: &Path, bytes: &[u8]) -> SoundError {
    let (found, remedy) = describe(path, bytes);
    SoundError::Foreign {
        path: path.to_owned(),
        found,
        remedy,
    }
}

fn describe(path: &Path, bytes: &[u8]) -> (String, String) {
    let convert = || format!("convert it: {}", shell::ffmpeg(path, "-ac 1"));
    for (at, beginning, found) in CONVERTIBLE {
        if bytes
            .get(at..)
            .is_some_and(|rest| rest.starts_with(beginning))
        {
            return (found.to_owned(), convert());
        }
    }
    if is_mpeg_frame(bytes) {
        return ("an mp3 file".to_owned(), convert());
    }
    for (beginning, found, remedy) in OTHERS {
        if bytes.starts_with(beginning) {
            return (found.to_owned(), remedy.to_owned());
        }
    }
    let first = &bytes[..bytes.len().min(8)];
    let found = format!(
        "of an unknown kind (it begins with `{}`)",
        first.escape_ascii()
    );
    let command = shell::ffmpeg(path, "-ac 1");
    (
        found,
        format!("if it is a sound, this may convert it: {command}"),
    )
}

/// Whether an MPEG frame of layer II or III begins here: eleven ones, and no field that has a
/// value without a meaning. Layer I is not among them, because text in UTF-16 begins like it.
fn is_mpeg_frame(bytes: &[u8]) -> bool {
    let &[first, second, third, ..] = bytes else {
        return false;
    };
    let version = (second >> 3) & 3;
    let layer = (second >> 1) & 3;
    let (bit_rate, rate) = (third >> 4, (third >> 2) & 3);
    first == 0xff
        && second >> 5 == 7
        && version != 1
        && matches!(layer, 1 | 2)
        && bit_rate != 15
        && rate != 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_named_with_what_to_do() {
        for (bytes, found, remedy) in [
            (
                &b"ID3\x04\x00"[..],
                "in.mp3 is an mp3 file, and only WAV, FLAC and NIST SPHERE files are read",
                "convert it: ffmpeg -i in.mp3 -ac 1 in.wav",
            ),
            (b"\xff\xfb\x90\x64", "is an mp3 file", "-ac 1 in.wav"),
            (b"\xff\xf3\x40\xc4", "is an mp3 file", "-ac 1 in.wav"),
            (b"OggS\x00\x02", "is an Ogg file", "-ac 1 in.wav"),
            (
                b"RIFF\x00\x00\x00\x00AVI LIST",
                "such as a film",
                "-ac 1 in.wav",
            ),
            (
                b"FORM\x00\x00\x00\x00AIFF",
                "is an AIFF file",
                "-ac 1 in.wav",
            ),
            (
                b"\x00\x00\x00\x20ftypM4A ",
                "is an MPEG-4 file",
                "-ac 1 in.wav",
            ),
            (b"<!DOCTYPE html>", "is a web page", "download it again"),
            (
                b"version https://git-lfs.github.com/spec/v1",
                "Git LFS",
                "git lfs pull",
            ),
            // Text in UTF-16, and a stream of AAC, are no mp3.
            (
                b"\xff\xfea\x00b\x00",
                r"begins with `\xff\xfea\x00b\x00`",
                "may convert it",
            ),
            (
                b"\xff\xf1\x50\x80",
                r"begins with `\xff\xf1P\x80`",
                "may convert it",
            ),
            (b"h", "begins with `h`", "may convert it: ffmpeg"),
        ] {
            let error = error(Path::new("in.mp3"), bytes).to_string();
            assert!(error.contains(found), "{found}: {error}");
            assert!(error.contains(remedy), "{remedy}: {error}");
        }
    }
}
