//! FLAC files: blocks of remarks, of which the first describes the samples, then packed frames.
//!
//! Claxon unpacks the frames. It gets a file without the remarks, which are nothing to us and could
//! be damaged; the checksum of every frame is compared.

use std::{io::Read, path::Path};

use claxon::{Error, FlacReader};

use super::{
    channel::{Channel, check_rate},
    error::SoundError,
    shell,
    sound::Sound,
};

/// Bytes of the block that describes the samples.
const DESCRIPTION: usize = 34;

/// Most samples that a byte is unpacked to, of all channels and on average. Recordings have about
/// one; only silence has more, and a file could be made that fills any memory.
const MOST_PER_BYTE: usize = 32;

/// Samples that any file may have, however small it is.
const ALWAYS: usize = 1 << 16;

/// The sampling rate in Hz, from the beginning of a file.
pub(super) fn rate(path: &Path, bytes: &[u8]) -> Result<u32, SoundError> {
    let about = description(path, bytes)?;
    // 20 bits from byte 10 on.
    let (a, b, c) = (about[10], about[11], about[12]);
    check_rate(path, u32::from_be_bytes([0, a, b, c]) >> 4)
}

/// The sound in a file.
pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Sound, SoundError> {
    let damaged = |what: String| {
        let path = path.to_owned();
        SoundError::Damaged { path, what }
    };
    let about = description(path, bytes)?;
    let frames = frames(path, bytes)?;
    // The description, marked as the last block.
    let head = [b"fLaC\x80\x00\x00\x22", about].concat();
    let refused = |cause: Error| damaged(cause.to_string());
    let mut reader = FlacReader::new(head.chain(frames)).map_err(refused)?;
    let info = reader.streaminfo();
    let mut channel = Channel::new(path, info.sample_rate, info.bits_per_sample, info.channels)?;
    let most = ALWAYS + MOST_PER_BYTE * bytes.len();
    let mut blocks = reader.blocks();
    let mut buffer = Vec::new();
    let mut cut = false;
    // Where the number of samples is stated, what follows them is ignored, such as an ID3 tag.
    while info
        .samples
        .is_none_or(|stated| (channel.len() as u64) < stated)
    {
        let block = match blocks.read_next_or_eof(buffer) {
            Ok(Some(block)) => block,
            Ok(None) => break,
            Err(Error::IoError(_)) => {
                cut = true;
                break;
            }
            Err(Error::FormatError(what)) => return Err(damaged(what.to_owned())),
            Err(Error::Unsupported(what)) => return Err(not_read(path, what)),
        };
        if block.channels() != info.channels {
            let (found, stated) = (block.channels(), info.channels);
            let what = format!("a frame has {found} channels, and the header states {stated}");
            return Err(damaged(what));
        }
        for at in 0..block.duration() {
            for number in 0..block.channels() {
                channel.whole(block.sample(number, at))?;
            }
        }
        if channel.len() * info.channels as usize > most {
            let what = format!(
                "{} bytes are unpacked to more than {most} samples",
                bytes.len()
            );
            return Err(damaged(what));
        }
        buffer = block.into_buffer();
    }
    let found = channel.len() as u64;
    match info.samples {
        Some(stated) if found < stated => Err(SoundError::Truncated {
            path: path.to_owned(),
            stated,
            found,
            remedy: "copy or download it again, or delete it".to_owned(),
        }),
        Some(stated) if found > stated => {
            let what = format!("its header states {stated} samples, and {found} are there");
            Err(damaged(what))
        }
        None if cut => Err(damaged("it ends within a frame".to_owned())),
        _ => channel.finish(),
    }
}

/// The bytes that describe the samples.
fn description<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a [u8], SoundError> {
    let about = bytes.get(8..8 + DESCRIPTION).ok_or_else(|| ends(path))?;
    // Kind 0, and its length; the first bit is set where no other block follows.
    if bytes[4] & 0x7f != 0 || bytes[5..8] != [0, 0, DESCRIPTION as u8] {
        return Err(SoundError::Damaged {
            path: path.to_owned(),
            what: "its first block does not describe the samples".to_owned(),
        });
    }
    Ok(about)
}

/// What follows the last block of remarks.
fn frames<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a [u8], SoundError> {
    let mut rest = &bytes[4..];
    loop {
        let (head, after) = rest.split_first_chunk::<4>().ok_or_else(|| ends(path))?;
        let length = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        rest = after.get(length..).ok_or_else(|| ends(path))?;
        if head[0] & 0x80 != 0 {
            return Ok(rest);
        }
    }
}

fn ends(path: &Path) -> SoundError {
    SoundError::Damaged {
        path: path.to_owned(),
        what: "it ends within its header".to_owned(),
    }
}

/// What to say of a valid file that claxon does not unpack.
fn not_read(path: &Path, what: &str) -> SoundError {
    let command = format!("flac -d {}", shell::typed(path));
    SoundError::Coding {
        path: path.to_owned(),
        coding: format!("packed in an unusual way ({what})"),
        remedy: format!("unpack it, then delete it: {command}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::fixtures::{Packed, flac, flac_of},
        *,
    };

    fn read(bytes: &[u8]) -> Result<Sound, SoundError> {
        decode(Path::new("a.flac"), bytes)
    }

    fn refusal(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn frames_are_unpacked() {
        let values: Vec<i32> = (0..1000).map(|i| i * 65 - 32500).collect();
        let sound = read(&flac(&values)).unwrap();
        let expected: Vec<f32> = values.iter().map(|&v| v as f32 / 32768.0).collect();
        assert_eq!(sound.samples, expected);
        assert_eq!((sound.rate, sound.bits, sound.clipped), (16000, 16, 0));
        let sound = read(&flac(&[32767, -32768, 1])).unwrap();
        assert_eq!(sound.clipped, 2);
        // Two frames, the first of one value only.
        let frames = [Packed::Same(7, 200), Packed::Each(&[1, 2, 3])];
        let sound = read(&flac_of(8, 1, 203, &frames)).unwrap();
        assert_eq!(sound.bits, 8);
        assert_eq!(sound.samples[..200], [7.0 / 128.0; 200]);
        assert_eq!(
            sound.samples[200..],
            [1.0 / 128.0, 2.0 / 128.0, 3.0 / 128.0]
        );
    }

    #[test]
    fn channels_become_their_mean() {
        let frames = [Packed::Each(&[4, 8, -2, -6])];
        let sound = read(&flac_of(24, 2, 4, &frames)).unwrap();
        // Both channels of the fixture are the same but for their sign.
        assert_eq!(sound.samples, [0.0; 4]);
        assert_eq!(sound.bits, 24);
    }

    #[test]
    fn remarks_and_what_follows_are_ignored() {
        let file = flac(&[1, 2, 3]);
        let mut remarks = file[..42].to_vec();
        remarks[4] = 0;
        remarks.extend(b"\x84\x00\x00\x03\xff\xff\xff");
        remarks.extend(&file[42..]);
        remarks.extend(b"TAG and more of it");
        assert_eq!(read(&remarks).unwrap(), read(&file).unwrap());
    }

    #[test]
    fn a_file_that_is_cut_short_is_refused_with_both_counts() {
        let frames = [Packed::Each(&[1; 16]), Packed::Each(&[2; 16])];
        let file = flac_of(16, 1, 32, &frames);
        let first = flac_of(16, 1, 32, &frames[..1]).len();
        for length in first..file.len() {
            let error = refusal(&file[..length]);
            let words = "its header states 32 samples of each channel, and 16 are there";
            assert!(error.contains(words), "{length}: {error}");
        }
        for length in 4..42 {
            let error = refusal(&file[..length]);
            assert!(
                error.contains("it ends within its header"),
                "{length}: {error}"
            );
        }
        let unknown = flac_of(16, 1, 0, &frames);
        assert_eq!(read(&unknown).unwrap(), read(&file).unwrap());
        let error = refusal(&unknown[..unknown.len() - 1]);
        assert!(error.contains("it ends within a frame"), "{error}");
        let error = refusal(&flac_of(16, 1, 0, &[]));
        assert!(error.contains("holds no samples"), "{error}");
        let error = refusal(&flac_of(16, 1, 20, &frames));
        assert!(
            error.contains("states 20 samples, and 32 are there"),
            "{error}"
        );
        let error = refusal(&flac_of(16, 1, (1 << 36) - 1, &frames));
        assert!(error.contains("states 68719476735 samples"), "{error}");
    }

    #[test]
    fn damage_is_noticed() {
        let file = flac(&[1, 2, 3]);
        let mut altered = file.clone();
        let last = altered.len() - 3;
        altered[last] ^= 1;
        let error = refusal(&altered);
        assert!(error.contains("frame CRC mismatch"), "{error}");
        let mut slow = file.clone();
        slow[18..20].fill(0);
        slow[20] &= 0x0f;
        let error = refusal(&slow);
        assert!(error.contains("invalid sample rate"), "{error}");
        assert!(rate(Path::new("a.flac"), &slow).is_err());
        let mut other = file;
        other[4] = 4;
        let error = refusal(&other);
        assert!(error.contains("does not describe the samples"), "{error}");
        // Two channels where the header states one.
        let mut mixed = flac_of(16, 2, 1, &[Packed::Each(&[1])]);
        mixed[20] &= !0x0e;
        let error = refusal(&mixed);
        assert!(
            error.contains("a frame has 2 channels, and the header states 1"),
            "{error}"
        );
    }

    #[test]
    fn a_small_file_does_not_fill_the_memory() {
        let silence = [const { Packed::Same(0, 65535) }; 3];
        let error = refusal(&flac_of(16, 8, 0, &silence));
        assert!(error.contains("are unpacked to more than"), "{error}");
        assert!(read(&flac_of(16, 1, 0, &silence[..1])).is_ok());
    }
}
