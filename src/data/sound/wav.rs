//! WAV files: chunks with a name and a length in a RIFF file.
//!
//! The chunks are found here and the samples are read by hound, which gets a file of the two chunks
//! that matter. So a chunk of remarks, padded or not, does no harm, and whether all data are there
//! is known before any are read.

use std::{io::Read, path::Path};

use hound::{SampleFormat, WavReader};

use super::{
    channel::{Channel, check_rate},
    error::SoundError,
    shell,
    sound::Sound,
};

/// Bytes before the first chunk: `RIFF`, a length, `WAVE`.
const START: usize = 12;

/// Chunks of a file.
struct Chunks<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// One chunk.
struct Chunk<'a> {
    name: &'a [u8; 4],
    /// Bytes that it has, as the file says.
    stated: usize,
    /// Those of them that are there.
    body: &'a [u8],
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let rest = self.bytes.get(self.at..)?;
        let (name, rest) = rest.split_first_chunk::<4>()?;
        let (stated, rest) = rest.split_first_chunk::<4>()?;
        let stated = u32::from_le_bytes(*stated) as usize;
        let body = &rest[..stated.min(rest.len())];
        self.at += 8 + body.len();
        // Odd chunks have a zero after them, which some programs leave out; no name begins with one.
        if stated % 2 == 1 && self.bytes.get(self.at) == Some(&0) {
            self.at += 1;
        }
        Some(Chunk { name, stated, body })
    }
}

/// The chunk that describes the samples.
struct Form<'a> {
    /// Number of the coding.
    tag: u16,
    channels: u16,
    rate: u32,
    /// Bytes of one sample of all channels.
    width: usize,
    bytes: &'a [u8],
}

impl<'a> Form<'a> {
    fn parse(path: &Path, chunk: &Chunk<'a>) -> Result<Self, SoundError> {
        let bytes = chunk.body;
        if bytes.len() < chunk.stated {
            return Err(no_samples_yet(path));
        }
        if bytes.len() < 16 {
            let what = format!("its format is described by {} bytes, not 16", bytes.len());
            return Err(damaged(path, what));
        }
        let two = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let (tag, channels, width) = (two(0), two(2), two(12));
        let rate = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        check_rate(path, rate)?;
        if channels == 0 || width == 0 || width % channels != 0 {
            let what = format!("its header states {channels} channels in {width} bytes");
            return Err(damaged(path, what));
        }
        Ok(Self {
            tag,
            channels,
            rate,
            width: usize::from(width),
            bytes,
        })
    }
}

/// The sampling rate in Hz, from the beginning of a file.
pub(super) fn rate(path: &Path, bytes: &[u8]) -> Result<u32, SoundError> {
    let mut chunks = Chunks { bytes, at: START };
    match chunks.find(|chunk| chunk.name == b"fmt ") {
        Some(chunk) => Ok(Form::parse(path, &chunk)?.rate),
        None => Err(no_samples_yet(path)),
    }
}

/// The sound in a file.
pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Sound, SoundError> {
    let (form, data) = chunks(path, bytes)?;
    check_length(path, &form, &data)?;
    if data.body.is_empty() {
        let path = path.to_owned();
        return Err(SoundError::NoSamples { path });
    }
    let head = head(&form, data.body.len());
    let not_read = |cause| not_read(path, &form, cause);
    let mut reader = WavReader::new(head.chain(data.body)).map_err(not_read)?;
    let spec = reader.spec();
    let (bits, channels) = (u32::from(spec.bits_per_sample), u32::from(form.channels));
    let mut channel = Channel::new(path, form.rate, bits, channels)?;
    match spec.sample_format {
        SampleFormat::Int => {
            for value in reader.samples::<i32>() {
                channel.whole(value.map_err(not_read)?)?;
            }
        }
        SampleFormat::Float => {
            for value in reader.samples::<f32>() {
                channel.real(value.map_err(not_read)?)?;
            }
        }
    }
    channel.finish()
}

/// The description of the samples and the samples.
fn chunks<'a>(path: &Path, bytes: &'a [u8]) -> Result<(Form<'a>, Chunk<'a>), SoundError> {
    let mut form = None;
    for chunk in (Chunks { bytes, at: START }) {
        match chunk.name {
            b"fmt " => form = Some(Form::parse(path, &chunk)?),
            b"data" => {
                return match form {
                    Some(form) => Ok((form, chunk)),
                    None => {
                        let what = "its samples come before their description";
                        Err(damaged(path, what.to_owned()))
                    }
                };
            }
            _ => {}
        }
    }
    Err(no_samples_yet(path))
}

/// Checks that all samples are there, and that there is no part of one: an odd number of bytes at
/// 16 bits, for example, is what is left of a file that was cut and mended.
fn check_length(path: &Path, form: &Form<'_>, data: &Chunk<'_>) -> Result<(), SoundError> {
    let (stated, found, width) = (data.stated, data.body.len(), form.width);
    if found < stated {
        let mend = shell::ffmpeg(path, "-c:a pcm_s16le");
        return Err(SoundError::Truncated {
            path: path.to_owned(),
            stated: (stated / width) as u64,
            found: (found / width) as u64,
            remedy: format!(
                "copy or download it again, or, where it was written through a pipe and no length \
                 is known, write a header that is right: {mend}"
            ),
        });
    }
    if found % width != 0 {
        let what = format!("its samples have {width} bytes each, and {found} bytes are there");
        return Err(damaged(path, what));
    }
    Ok(())
}

/// All that comes before the samples in a file of `length` bytes of samples and nothing else.
fn head(form: &Form<'_>, length: usize) -> Vec<u8> {
    // No length is above that of a chunk, which has 32 bits.
    let number = |n: usize| (n as u32).to_le_bytes();
    let mut head = Vec::new();
    head.extend(b"RIFF");
    head.extend(number(4 + 8 + form.bytes.len() + 8 + length));
    head.extend(b"WAVEfmt ");
    head.extend(number(form.bytes.len()));
    head.extend(form.bytes);
    head.extend(b"data");
    head.extend(number(length));
    head
}

fn damaged(path: &Path, what: String) -> SoundError {
    let path = path.to_owned();
    SoundError::Damaged { path, what }
}

fn no_samples_yet(path: &Path) -> SoundError {
    damaged(path, "it ends within its header".to_owned())
}

/// What to say where hound refuses a file whose chunks are whole.
fn not_read(path: &Path, form: &Form<'_>, cause: hound::Error) -> SoundError {
    let bits = u16::from_le_bytes([form.bytes[14], form.bytes[15]]);
    let coding = match form.tag {
        1 | 0xfffe => format!("{bits}-bit whole numbers or in an unusual header ({cause})"),
        2 | 0x11 => "ADPCM".to_owned(),
        3 => format!("{bits}-bit floating-point numbers ({cause})"),
        6 => "A-law".to_owned(),
        7 => "µ-law".to_owned(),
        0x31 => "GSM 6.10".to_owned(),
        0x50 | 0x55 => "mp3".to_owned(),
        tag => format!("of coding number {tag}"),
    };
    SoundError::Coding {
        path: path.to_owned(),
        coding,
        remedy: format!(
            "convert it, then delete it: {}",
            shell::ffmpeg(path, "-c:a pcm_s16le")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::fixtures::{wav, wav_extensible},
        *,
    };

    fn read(bytes: &[u8]) -> Result<Sound, SoundError> {
        decode(Path::new("a.wav"), bytes)
    }

    fn refusal(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    /// `file` with `bytes` at `at`.
    fn with(mut file: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    }

    #[test]
    fn every_number_of_bits_is_read_in_units_of_full_scale() {
        for (bits, values, expected, clipped) in [
            (8, [-128, 0, 64, 127], [-1.0, 0.0, 0.5, 127.0 / 128.0], 2),
            (
                16,
                [-32768, 1, 16384, 32767],
                [-1.0, 1.0 / 32768.0, 0.5, 32767.0 / 32768.0],
                2,
            ),
            (
                24,
                [-8388608, 1, 0, 8388607],
                [-1.0, 1.0 / 8388608.0, 0.0, 8388607.0 / 8388608.0],
                2,
            ),
            (
                32,
                [i32::MIN, 1 << 30, 0, i32::MAX],
                [-1.0, 0.5, 0.0, 1.0],
                2,
            ),
        ] {
            let sound = read(&wav(bits, 1, &values)).unwrap();
            assert_eq!(sound.samples, expected, "{bits}");
            assert_eq!(
                (sound.rate, sound.bits, sound.clipped),
                (16000, u32::from(bits), clipped)
            );
        }
        // 8 bits are unsigned in the file: silence is 128.
        let file = wav(8, 1, &[0, -128, 127]);
        assert_eq!(file[file.len() - 4..], [128, 0, 255, 0]);
    }

    #[test]
    fn long_headers_and_samples_in_wider_containers_are_read() {
        for bits in [8, 16, 24, 32] {
            let values = [1, -2, 3, 100];
            let sound = read(&wav_extensible(bits, 2, &values)).unwrap();
            assert_eq!(sound, read(&wav(bits, 2, &values)).unwrap());
        }
        // 24 bits in 4 bytes each.
        let sound = read(&with(wav(32, 1, &[1 << 22, -1 << 23]), 34, &[24])).unwrap();
        assert_eq!(sound.samples, [0.5, -1.0]);
        assert_eq!((sound.bits, sound.clipped), (24, 1));
    }

    #[test]
    fn floating_point_samples_are_read_and_must_be_finite() {
        let float = |values: &[f32]| {
            let bits: Vec<i32> = values.iter().map(|v| v.to_bits() as i32).collect();
            with(wav(32, 1, &bits), 20, &[3])
        };
        let sound = read(&float(&[0.25, -1.0, 1.5])).unwrap();
        assert_eq!(sound.samples, [0.25, -1.0, 1.5]);
        assert_eq!((sound.bits, sound.clipped), (32, 2));
        let error = refusal(&float(&[0.0, f32::NAN]));
        assert!(
            error.starts_with("sample 1 of a.wav is NaN, which is no finite number"),
            "{error}"
        );
        let error = refusal(&float(&[f32::INFINITY]));
        assert!(error.starts_with("sample 0 of a.wav is inf"), "{error}");
    }

    #[test]
    fn channels_become_their_mean_and_clipping_in_one_counts_once() {
        let sound = read(&wav(16, 2, &[16384, 0, 32767, -32768, 32767, 1, 2, 4])).unwrap();
        let expected = [0.25, -0.5 / 32768.0, 16384.0 / 32768.0, 3.0 / 32768.0];
        assert_eq!(sound.samples, expected);
        assert_eq!(sound.clipped, 2);
    }

    #[test]
    fn chunks_of_remarks_are_skipped_padded_or_not() {
        let file = wav(16, 1, &[1, 2, 3]);
        for remark in [
            &b"LIST\x03\x00\x00\x00abc\x00"[..],
            b"LIST\x03\x00\x00\x00abc",
            b"LIST\x00\x00\x00\x00",
        ] {
            for at in [12, 36] {
                let bytes = [&file[..at], remark, &file[at..], b"LIST\xff\xff\xff\xff"].concat();
                assert_eq!(read(&bytes).unwrap(), read(&file).unwrap());
                assert_eq!(rate(Path::new("a.wav"), &bytes).unwrap(), 16000);
            }
        }
    }

    #[test]
    fn a_file_that_is_cut_short_is_refused_with_both_counts() {
        let file = wav(16, 2, &[1, 2, 3, 4, 5, 6]);
        for cut in 1..=4 {
            let error = refusal(&file[..file.len() - cut]);
            let words = "its header states 3 samples of each channel, and 2 are there";
            assert!(error.contains(words), "{error}");
            assert!(
                error.ends_with("ffmpeg -i a.wav -c:a pcm_s16le a.pcm.wav"),
                "{error}"
            );
        }
        for cut in 4..44 {
            let error = refusal(&file[..cut]);
            assert!(
                error.contains("it ends within its header"),
                "{cut}: {error}"
            );
        }
        // A length that nobody knew, and no room for it is made.
        let error = refusal(&with(file, 40, &[0xff; 4]));
        assert!(error.contains("states 1073741823 samples"), "{error}");
    }

    #[test]
    fn parts_of_samples_and_no_samples_are_refused() {
        let file = wav(16, 1, &[1, 2]);
        let odd = with([&file[..], b"x"].concat(), 40, &[5]);
        let error = refusal(&odd);
        let words = "its samples have 2 bytes each, and 5 bytes are there";
        assert!(error.contains(words), "{error}");
        let error = refusal(&wav(16, 1, &[]));
        assert!(error.starts_with("a.wav holds no samples"), "{error}");
    }

    #[test]
    fn absurd_headers_are_refused() {
        let file = wav(16, 1, &[1, 2]);
        for (at, bytes, words) in [
            (24, &[0, 0, 0, 0][..], "a rate of 0 Hz"),
            (24, &[255; 4], "a rate of 4294967295 Hz"),
            (22, &[0, 0], "0 channels in 2 bytes"),
            (22, &[255, 255], "65535 channels in 2 bytes"),
            (32, &[0, 0], "1 channels in 0 bytes"),
            (16, &[14], "described by 14 bytes, not 16"),
            (12, b"junk", "its samples come before their description"),
        ] {
            let error = refusal(&with(file.clone(), at, bytes));
            assert!(error.contains(words), "{words}: {error}");
        }
    }

    #[test]
    fn other_codings_are_named_with_what_to_do() {
        let file = wav(16, 1, &[1, 2]);
        for (at, bytes, words) in [
            (
                20,
                &[7][..],
                "the samples of a.wav are µ-law, which is not read",
            ),
            (20, &[6], "are A-law"),
            (20, &[0x11], "are ADPCM"),
            (20, &[0x55], "are mp3"),
            (20, &[3], "are 16-bit floating-point numbers"),
            (20, &[99], "are of coding number 99"),
            (34, &[12], "are 12-bit whole numbers"),
        ] {
            let error = refusal(&with(file.clone(), at, bytes));
            assert!(error.contains(words), "{words}: {error}");
            let command = "convert it, then delete it: ffmpeg -i a.wav -c:a pcm_s16le a.pcm.wav";
            assert!(error.ends_with(command), "{error}");
        }
    }
}
