//! NIST SPHERE files: a header of lines of text, then the samples.

use std::{collections::HashMap, path::Path};

use super::{
    channel::{Channel, check_rate},
    error::SoundError,
    shell,
    sound::Sound,
};

/// Longest header that is read, in bytes; nearly all have 1024.
const LONGEST_HEADER: usize = 1 << 14;

/// What a header says of the samples.
struct Header {
    rate: u32,
    channels: u32,
    /// Samples of each channel.
    count: u64,
    /// Bytes of a sample of one channel, 1 or 2.
    width: usize,
    /// Whether the largest byte comes first.
    big: bool,
    bits: u32,
    /// Bytes of the header.
    length: usize,
}

/// The sampling rate in Hz, from the beginning of a file.
pub(super) fn rate(path: &Path, bytes: &[u8]) -> Result<u32, SoundError> {
    Ok(Header::parse(path, bytes)?.rate)
}

/// The sound in a file.
pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Sound, SoundError> {
    let header = Header::parse(path, bytes)?;
    let data = &bytes[header.length.min(bytes.len())..];
    let width = header.width * header.channels as usize;
    let found = (data.len() / width) as u64;
    if found < header.count {
        return Err(SoundError::Truncated {
            path: path.to_owned(),
            stated: header.count,
            found,
            remedy: "copy or download it again, or delete it".to_owned(),
        });
    }
    let data = &data[..header.count as usize * width];
    let mut channel = Channel::new(path, header.rate, header.bits, header.channels)?;
    for value in data.chunks_exact(header.width) {
        channel.whole(match (value, header.big) {
            (&[one], _) => i32::from(one as i8),
            (&[low, high], false) | (&[high, low], true) => {
                i32::from(i16::from_le_bytes([low, high]))
            }
            // The width is 1 or 2.
            _ => continue,
        })?;
    }
    channel.finish()
}

impl Header {
    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, SoundError> {
        let (fields, length) = fields(path, bytes)?;
        // A field that must be there, as a whole number.
        let number = |name: &str| -> Result<u64, SoundError> {
            let text = fields
                .get(name)
                .ok_or_else(|| damaged(path, format!("its header has no line `{name}`")))?;
            text.parse().map_err(|_| {
                let text = text.escape_debug();
                damaged(path, format!("its header states `{name}` as `{text}`"))
            })
        };
        let coding = fields.get("sample_coding").map_or("pcm", String::as_str);
        if coding != "pcm" {
            return Err(coded(path, format!("coded as `{}`", coding.escape_debug())));
        }
        let channels = number("channel_count")?;
        if !(1..=64).contains(&channels) {
            return Err(damaged(
                path,
                format!("its header states {channels} channels"),
            ));
        }
        let apart = fields
            .get("channels_interleaved")
            .is_some_and(|text| text == "FALSE");
        if apart && channels > 1 {
            return Err(coded(path, "stored channel after channel".to_owned()));
        }
        let width = match number("sample_n_bytes")? {
            width @ 1..=2 => width as usize,
            width => return Err(coded(path, format!("whole numbers of {width} bytes"))),
        };
        let order = fields.get("sample_byte_format").map(String::as_str);
        let big = match (width, order) {
            (1, _) | (2, Some("01")) => false,
            (2, Some("10")) => true,
            (_, order) => {
                let order = order.unwrap_or("nothing").escape_debug();
                let what =
                    format!("its header states the order of bytes as `{order}`, not 01 or 10");
                return Err(damaged(path, what));
            }
        };
        let stored = 8 * width as u64;
        let bits = match fields.contains_key("sample_sig_bits") {
            true => number("sample_sig_bits")?,
            false => stored,
        };
        if !(2..=stored).contains(&bits) {
            let what = format!("its header states {bits} bits of samples of {width} bytes");
            return Err(damaged(path, what));
        }
        // Beyond what a `u32` holds, no sound has it either.
        let rate = u32::try_from(number("sample_rate")?).unwrap_or(u32::MAX);
        Ok(Self {
            rate: check_rate(path, rate)?,
            channels: channels as u32,
            count: number("sample_count")?,
            width,
            big,
            bits: bits as u32,
            length,
        })
    }
}

/// The header's lines, `name type value` each, and how many bytes the header has.
fn fields(path: &Path, bytes: &[u8]) -> Result<(HashMap<String, String>, usize), SoundError> {
    // The first line names the format, the second is the header's length in digits.
    let first = bytes.get(..16).ok_or_else(|| cut(path))?;
    let digits = String::from_utf8_lossy(&first[8..]);
    let length: usize = digits.trim().parse().map_err(|_| {
        let digits = digits.trim().escape_debug();
        damaged(path, format!("its header states its length as `{digits}`"))
    })?;
    if length > LONGEST_HEADER {
        return Err(damaged(
            path,
            format!("its header states its length as {length}"),
        ));
    }
    let text = bytes.get(16..length).ok_or_else(|| cut(path))?;
    let text = String::from_utf8_lossy(text);
    let mut fields = HashMap::new();
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("end_head"), ..) => return Ok((fields, length)),
            (Some(name), Some(_), Some(value)) => {
                fields.insert(name.to_owned(), value.trim().to_owned());
            }
            // Remarks and empty lines.
            _ => {}
        }
    }
    Err(damaged(
        path,
        "its header has no line `end_head`".to_owned(),
    ))
}

fn damaged(path: &Path, what: String) -> SoundError {
    let path = path.to_owned();
    SoundError::Damaged { path, what }
}

fn cut(path: &Path) -> SoundError {
    damaged(path, "it ends within its header".to_owned())
}

fn coded(path: &Path, coding: String) -> SoundError {
    SoundError::Coding {
        path: path.to_owned(),
        coding,
        remedy: format!("convert it, then delete it: {}", shell::sph2pipe(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::fixtures::{sphere, sphere_of},
        *,
    };

    fn read(bytes: &[u8]) -> Result<Sound, SoundError> {
        decode(Path::new("SA1.WAV"), bytes)
    }

    fn refusal(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    const LINES: &str = "database_id -s5 TIMIT\n\
        ; a remark\n\
        channel_count -i 1\n\
        sample_count -i 3\n\
        sample_rate -i 16000\n\
        sample_n_bytes -i 2\n\
        sample_byte_format -s2 01\n\
        sample_sig_bits -i 16\n\
        sample_coding -s3 pcm\n";

    const DATA: [u8; 6] = [0, 0x80, 0, 0x40, 0xff, 0x7f];

    #[test]
    fn both_orders_of_bytes_and_both_widths_are_read() {
        let expected = [-1.0, 0.5, 32767.0 / 32768.0];
        let sound = read(&sphere_of(LINES, &DATA)).unwrap();
        assert_eq!(sound.samples, expected);
        assert_eq!((sound.rate, sound.bits, sound.clipped), (16000, 16, 2));
        let lines = LINES.replace("-s2 01", "-s2 10");
        let swapped = [0x80, 0, 0x40, 0, 0x7f, 0xff];
        assert_eq!(
            read(&sphere_of(&lines, &swapped)).unwrap().samples,
            expected
        );
        let lines = LINES.replace("n_bytes -i 2", "n_bytes -i 1");
        let lines = lines.replace("sig_bits -i 16", "sig_bits -i 8");
        let sound = read(&sphere_of(&lines, &[0x80, 0x40, 0x7f])).unwrap();
        assert_eq!(sound.samples, [-1.0, 0.5, 127.0 / 128.0]);
        assert_eq!((sound.bits, sound.clipped), (8, 2));
        // Some headers leave out what is usual.
        let lines = LINES.replace("sample_sig_bits -i 16\nsample_coding -s3 pcm\n", "");
        assert_eq!(read(&sphere_of(&lines, &DATA)).unwrap().samples, expected);
    }

    #[test]
    fn channels_become_their_mean_and_what_follows_is_ignored() {
        let lines = LINES.replace("channel_count -i 1", "channel_count -i 2");
        let lines = lines.replace("sample_count -i 3", "sample_count -i 1");
        let sound = read(&sphere_of(&lines, &DATA)).unwrap();
        assert_eq!(sound.samples, [-0.25]);
        assert_eq!(sound.clipped, 1);
    }

    #[test]
    fn fewer_bits_than_are_stored_scale_the_samples() {
        let lines = LINES.replace("sig_bits -i 16", "sig_bits -i 12");
        let sound = read(&sphere_of(&lines, &[0, 0x4, 0, 0xf8, 0xff, 0x7])).unwrap();
        assert_eq!(sound.samples, [0.5, -1.0, 2047.0 / 2048.0]);
        assert_eq!((sound.bits, sound.clipped), (12, 2));
        let error = refusal(&sphere_of(&lines, &DATA));
        assert!(
            error.contains("its sample 0 is -32768, which has more than 12 bits"),
            "{error}"
        );
    }

    #[test]
    fn other_codings_are_refused_by_name() {
        for (from, to, words) in [
            (
                "-s3 pcm",
                "-s26 pcm,embedded-shorten-v2.00",
                "coded as `pcm,embedded-shorten-v2.00`, which is not read",
            ),
            ("-s3 pcm", "-s4 ulaw", "coded as `ulaw`"),
            ("-s3 pcm", "-s4 alaw", "coded as `alaw`"),
            ("n_bytes -i 2", "n_bytes -i 4", "whole numbers of 4 bytes"),
            (
                "channel_count -i 1",
                "channel_count -i 2\nchannels_interleaved -s5 FALSE",
                "stored channel after channel",
            ),
        ] {
            let error = refusal(&sphere_of(&LINES.replace(from, to), &DATA));
            assert!(error.contains(words), "{words}: {error}");
            let command = "convert it, then delete it: sph2pipe -f wav SA1.WAV SA1.pcm.wav";
            assert!(error.ends_with(command), "{error}");
        }
    }

    #[test]
    fn absurd_headers_are_refused() {
        for (from, to, words) in [
            ("rate -i 16000", "rate -i 0", "a rate of 0 Hz"),
            (
                "rate -i 16000",
                "rate -i 99999999999",
                "a rate of 4294967295 Hz",
            ),
            (
                "rate -i 16000",
                "rate -r 1e4",
                "states `sample_rate` as `1e4`",
            ),
            (
                "channel_count -i 1",
                "channel_count -i 0",
                "states 0 channels",
            ),
            ("channel_count -i 1\n", "", "has no line `channel_count`"),
            (
                "count -i 3",
                "count -i 18446744073709551615",
                "states 18446744073709551615 samples of each channel, and 3 are there",
            ),
            (
                "sample_count -i 3",
                "sample_count -i -3",
                "states `sample_count` as `-3`",
            ),
            ("sample_count -i 3", "sample_count -i 0", "holds no samples"),
            ("-s2 01", "-s2 00", "order of bytes as `00`"),
            (
                "sig_bits -i 16",
                "sig_bits -i 17",
                "17 bits of samples of 2 bytes",
            ),
            (
                "sig_bits -i 16",
                "sig_bits -i 0",
                "0 bits of samples of 2 bytes",
            ),
        ] {
            let error = refusal(&sphere_of(&LINES.replace(from, to), &DATA));
            assert!(error.contains(words), "{words}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_cut_short_is_refused() {
        let file = sphere(&[1, 2, 3]);
        for cut in [1, 2] {
            let error = refusal(&file[..file.len() - cut]);
            assert!(
                error.contains("states 3 samples of each channel, and 2 are there"),
                "{error}"
            );
        }
        for length in [7, 8, 15, 16, 17, 100, 1023] {
            let error = refusal(&file[..length]);
            assert!(
                error.contains("it ends within its header"),
                "{length}: {error}"
            );
        }
        let mut endless = file.clone();
        endless[8..16].copy_from_slice(b"      16");
        let error = refusal(&endless);
        assert!(error.contains("no line `end_head`"), "{error}");
        endless[8..16].copy_from_slice(b"99999999");
        let error = refusal(&endless);
        assert!(error.contains("its length as 99999999"), "{error}");
        endless[8..16].copy_from_slice(b"       x");
        let error = refusal(&endless);
        assert!(error.contains("its length as `x`"), "{error}");
    }
}
