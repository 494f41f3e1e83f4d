//! One recording, and how files are told apart.

use std::{fs::File, io::Read, path::Path};

use super::{error::SoundError, flac, foreign, shell, sphere, wav};

/// Most bytes that are read of one file: 1 GiB, nine hours of 16 bits at 16 kHz.
pub(super) const LARGEST: u64 = 1 << 30;

/// Lowest rate of a sound, in Hz.
pub(super) const LOWEST_RATE: u32 = 1000;

/// Highest rate of a sound, in Hz; converters go up to this.
pub(super) const HIGHEST_RATE: u32 = 768_000;

/// Bytes from the beginning of a file among which its rate is found.
const BEGINNING: u64 = 1 << 16;

/// One channel of sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Sound {
    /// Samples per second, 1000 to 768 000 Hz.
    pub rate: u32,
    /// Bits of the converter: 8, 16, 24 or 32, or what the header of a FLAC or SPHERE file states
    /// beside these. 32 for files of floating-point samples.
    pub bits: u32,
    /// At least one sample, in units of the converter's full scale, −1 to 1: the converter's whole
    /// number over 2^(bits − 1), rounded to the nearest `f32`. Files of floating-point samples can
    /// go beyond, and so can resampled sounds. Several channels become their mean.
    pub samples: Vec<f32>,
    /// Number of samples at either limit of the converter, −2^(bits − 1) or 2^(bits − 1) − 1; with
    /// floating-point samples, of those at −1 or 1 and beyond; with several channels, of those that
    /// are at a limit in one of them. A resampled sound keeps the number of the one it comes from.
    pub clipped: usize,
}

/// Kinds of files that are read.
enum Format {
    Wav,
    Sphere,
    Flac,
}

/// Reads the WAV, FLAC or NIST SPHERE file at `path`. Its first bytes tell which it is, and never
/// its name: corpora such as TIMIT have SPHERE files whose names end in `.WAV`.
///
/// Of WAV files, whole numbers of 8, 16, 24 and 32 bits and floating-point numbers of 32 bits are
/// read, of SPHERE files whole numbers of 1 byte (signed) and 2 bytes. What follows the samples is
/// ignored.
///
/// # Errors
/// If there is no such file, it is of another kind or coding, it has no samples, fewer than its
/// header states, or a part of one, or a sample is not finite.
pub fn read(path: &Path) -> Result<Sound, SoundError> {
    decode(path, &bytes(path, LARGEST)?)
}

/// The sampling rate in Hz that the header of the file at `path` states. Only the beginning of the
/// file is read.
///
/// # Errors
/// If there is no such file, it is of another kind, or it has no whole header.
pub fn rate(path: &Path) -> Result<u32, SoundError> {
    let bytes = bytes(path, BEGINNING)?;
    match format(path, &bytes)? {
        Format::Wav => wav::rate(path, &bytes),
        Format::Sphere => sphere::rate(path, &bytes),
        Format::Flac => flac::rate(path, &bytes),
    }
}

/// The sound in `bytes`, which are those of the file at `path`.
pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Sound, SoundError> {
    match format(path, bytes)? {
        Format::Wav => wav::decode(path, bytes),
        Format::Sphere => sphere::decode(path, bytes),
        Format::Flac => flac::decode(path, bytes),
    }
}

/// The first bytes of the file at `path`, up to `most` of them.
fn bytes(path: &Path, most: u64) -> Result<Vec<u8>, SoundError> {
    let refused = |cause| SoundError::Read {
        path: path.to_owned(),
        cause,
    };
    // Asked before it is opened: opening a pipe waits for somebody who writes to it.
    let about = std::fs::metadata(path).map_err(refused)?;
    if !about.is_file() {
        let path = path.to_owned();
        return Err(SoundError::NotAFile { path });
    }
    if about.len() > LARGEST {
        let from = shell::typed(path);
        let parts = shell::typed(&path.with_extension("%03d.wav"));
        return Err(SoundError::TooLarge {
            path: path.to_owned(),
            bytes: about.len(),
            remedy: format!("ffmpeg -i {from} -f segment -segment_time 600 {parts}"),
        });
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(refused)?;
    file.take(most).read_to_end(&mut bytes).map_err(refused)?;
    Ok(bytes)
}

fn format(path: &Path, bytes: &[u8]) -> Result<Format, SoundError> {
    if bytes.is_empty() {
        let path = path.to_owned();
        return Err(SoundError::Empty { path });
    }
    if bytes.starts_with(b"NIST_1A") {
        return Ok(Format::Sphere);
    }
    if bytes.starts_with(b"fLaC") {
        return Ok(Format::Flac);
    }
    // A RIFF file can also hold a film; one that ends before it says what it holds is cut short.
    if bytes.starts_with(b"RIFF") && (bytes.len() < 12 || &bytes[8..12] == b"WAVE") {
        return Ok(Format::Wav);
    }
    Err(foreign::error(path, bytes))
}

#[cfg(test)]
mod tests {
    use super::{super::fixtures, *};

    #[test]
    fn the_first_bytes_tell_the_format_and_the_name_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let values = [0, 16384, -16384];
        for (name, bytes) in [
            ("a.WAV", fixtures::sphere(&values)),
            ("b.flac", fixtures::wav(16, 1, &values)),
            ("c.sph", fixtures::flac(&values)),
            ("no-ending", fixtures::wav(16, 1, &values)),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let sound = read(&path).unwrap();
            assert_eq!(sound.samples, [0.0, 0.5, -0.5], "{name}");
            assert_eq!((sound.rate, sound.bits, sound.clipped), (16000, 16, 0));
            assert_eq!(rate(&path).unwrap(), 16000, "{name}");
        }
    }

    #[test]
    fn what_is_no_sound_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("check its path"), "{error}");
        std::fs::write(&path, b"").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(
            error.ends_with("a.wav is empty (0 bytes); copy or download it again, or delete it"),
            "{error}"
        );
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is no file"), "{error}");
        let file = File::create(&path).unwrap();
        file.set_len(LARGEST + 1).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("1073741825 bytes"), "{error}");
        assert!(error.contains("-segment_time 600"), "{error}");
        assert!(error.ends_with("a.%03d.wav"), "{error}");
    }
}
