//! Valid files with altered bytes: whatever comes of them, nothing panics.

use std::path::Path;

use frmdn_engine::random::Pcg64;
use rand::{RngExt, SeedableRng};

use super::{
    fixtures::{Packed, crc8, crc16, flac_of, sphere, wav, wav_extensible},
    sound::decode,
};

/// Altered files of each kind.
const TRIES: usize = 3000;

/// A copy of `file` that is altered in one of the ways in which files are damaged, or made to harm.
fn altered(file: &[u8], random: &mut Pcg64) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..random.random_range(1..5) {
        // Headers are where harm is done.
        let end = if random.random_bool(0.7) {
            64
        } else {
            bytes.len()
        };
        let at = random.random_range(0..end.min(bytes.len()).max(1));
        match random.random_range(0..6) {
            _ if bytes.is_empty() => {}
            0 => bytes[at] = random.random(),
            1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes[at] = [0, 0xff, 0x7f, 0x80][random.random_range(0..4)],
            3 => bytes.truncate(at),
            4 => bytes.insert(at, random.random()),
            _ => {
                bytes.remove(at);
            }
        }
    }
    bytes
}

#[test]
fn altered_files_never_panic() {
    let values: Vec<i32> = (0..40).map(|i| i * 3 - 60).collect();
    let frames = [Packed::Each(&values), Packed::Same(3, 20)];
    let mut random = Pcg64::seed_from_u64(1);
    for (name, file) in [
        ("8 bits", wav(8, 1, &values)),
        ("16 bits", wav(16, 2, &values)),
        ("24 bits", wav_extensible(24, 1, &values)),
        ("32 bits", wav(32, 1, &values)),
        ("sphere", sphere(&values)),
        ("flac", flac_of(16, 2, 60, &frames)),
    ] {
        assert!(decode(Path::new("a"), &file).is_ok(), "{name}");
        for _ in 0..TRIES {
            // Errors must be such that can be told.
            if let Err(error) = decode(Path::new("a"), &altered(&file, &mut random)) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}

/// Lines of a header of SPHERE are altered in their digits and words.
#[test]
fn altered_headers_of_sphere_never_panic() {
    let file = sphere(&[1, 2, 3, 4]);
    let mut random = Pcg64::seed_from_u64(2);
    for _ in 0..TRIES {
        let mut bytes = file.clone();
        for _ in 0..random.random_range(1..8) {
            let at = random.random_range(8..220);
            bytes[at] = b"0123456789-.,; \n\x00\xffpcm"[random.random_range(0..21)];
        }
        let _ = decode(Path::new("a"), &bytes);
    }
}

/// Frames of a FLAC file are altered and get checksums that are right, so that what they say is
/// acted upon.
#[test]
fn altered_frames_of_flac_with_right_checksums_never_panic() {
    let values: Vec<i32> = (0..40).map(|i| i * 3 - 60).collect();
    let file = flac_of(16, 2, 0, &[Packed::Each(&values)]);
    let (start, header) = (42, 7);
    let mut random = Pcg64::seed_from_u64(3);
    let mut read = 0;
    for _ in 0..4 * TRIES {
        let mut bytes = file.clone();
        let end = bytes.len() - 2;
        for _ in 0..random.random_range(1..40) {
            let at = random.random_range(start + header + 1..end);
            bytes[at] = random.random();
        }
        for _ in 0..random.random_range(0..3) {
            let at = random.random_range(start + 2..start + header);
            bytes[at] = random.random();
        }
        // The kind of the first part: repeated, as they are, predicted, predicted by given numbers.
        let kinds = [
            0, 2, 0x10, 0x12, 0x14, 0x16, 0x18, 0x40, 0x42, 0x54, 0x7e, 0x41, 0x11,
        ];
        bytes[start + header + 1] = kinds[random.random_range(0..kinds.len())];
        bytes[start + header] = crc8(&bytes[start..start + header]);
        // Parts that are packed more tightly end sooner, wherever the checksum then is.
        let tail = random.random_range(0..end - start - header - 4);
        bytes.truncate(end - tail);
        let crc = crc16(&bytes[start..]);
        bytes.extend(crc.to_be_bytes());
        read += usize::from(decode(Path::new("a"), &bytes).is_ok());
    }
    // Otherwise the checksums are wrong, and nothing was tried.
    assert!(read > 0, "no altered frame was read");
}
