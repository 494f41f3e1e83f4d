//! Small files of each kind, for tests.

/// A WAV file at 16 kHz; `values` go through the channels. Odd data have a zero after them.
pub(super) fn wav(bits: u16, channels: u16, values: &[i32]) -> Vec<u8> {
    let mut data = Vec::new();
    for value in values {
        match bits {
            8 => data.push((value + 128) as u8),
            16 => data.extend((*value as i16).to_le_bytes()),
            24 => data.extend(&value.to_le_bytes()[..3]),
            _ => data.extend(value.to_le_bytes()),
        }
    }
    let width = channels * bits / 8;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data.len() as u32).to_le_bytes());
    file.extend(b"WAVEfmt \x10\x00\x00\x00\x01\x00");
    file.extend(channels.to_le_bytes());
    file.extend(16000_u32.to_le_bytes());
    file.extend((16000 * u32::from(width)).to_le_bytes());
    file.extend(width.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(&data);
    file.resize(file.len().next_multiple_of(2), 0);
    file
}

/// As [`wav`], with the longer header that many programs write, and with blocks of remarks.
pub(super) fn wav_extensible(bits: u16, channels: u16, values: &[i32]) -> Vec<u8> {
    let file = wav(bits, channels, values);
    let mut long = file[..36].to_vec();
    long[16] = 40;
    long[20..22].copy_from_slice(&[0xfe, 0xff]);
    // Length of what follows, bits that are used, places of the loudspeakers, and the coding.
    long.extend(22_u16.to_le_bytes());
    long.extend(bits.to_le_bytes());
    long.extend([0; 4]);
    long.extend(b"\x01\x00\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71");
    long.extend(b"LIST\x04\x00\x00\x00abcd");
    long.extend(&file[36..]);
    long
}

/// A SPHERE file of 16 bits at 16 kHz, as TIMIT has them.
pub(super) fn sphere(values: &[i32]) -> Vec<u8> {
    let data: Vec<u8> = values
        .iter()
        .flat_map(|v| (*v as i16).to_le_bytes())
        .collect();
    let lines = format!(
        "database_id -s5 TIMIT\nchannel_count -i 1\nsample_count -i {}\nsample_rate -i 16000\n\
         sample_n_bytes -i 2\nsample_byte_format -s2 01\nsample_sig_bits -i 16\n",
        values.len()
    );
    sphere_of(&lines, &data)
}

/// A SPHERE file with these lines in its header.
pub(super) fn sphere_of(lines: &str, data: &[u8]) -> Vec<u8> {
    let mut file = format!("NIST_1A\n   1024\n{lines}end_head\n").into_bytes();
    file.resize(1024, b' ');
    file.extend(data);
    file
}

/// A frame of a FLAC file.
pub(super) enum Packed<'a> {
    /// A value, this many times.
    Same(i32, u16),
    /// Values as they are.
    Each(&'a [i32]),
}

/// A FLAC file of one channel of 16 bits at 16 kHz.
pub(super) fn flac(values: &[i32]) -> Vec<u8> {
    flac_of(16, 1, values.len() as u64, &[Packed::Each(values)])
}

/// A FLAC file at 16 kHz of 8, 16 or 24 bits whose header states `count` samples. Every second
/// channel has the opposite signs.
pub(super) fn flac_of(bits: u32, channels: u32, count: u64, frames: &[Packed<'_>]) -> Vec<u8> {
    let mut file = b"fLaC\x80\x00\x00\x22".to_vec();
    // Sizes of blocks, 16 to 65535, and of frames, which may be unknown.
    file.extend([0, 16, 255, 255, 0, 0, 0, 0, 0, 0]);
    let fields =
        (16000_u64 << 44) | (u64::from(channels - 1) << 41) | (u64::from(bits - 1) << 36) | count;
    file.extend(fields.to_be_bytes());
    // No checksum of the samples.
    file.extend([0; 16]);
    for (number, frame) in frames.iter().enumerate() {
        file.extend(flac_frame(bits, channels, number as u8, frame));
    }
    file
}

fn flac_frame(bits: u32, channels: u32, number: u8, frame: &Packed<'_>) -> Vec<u8> {
    let length = match frame {
        Packed::Same(_, length) => *length,
        Packed::Each(values) => values.len() as u16,
    };
    let code = match bits {
        8 => 1,
        16 => 4,
        _ => 6,
    };
    // A length of 16 bits after the number, the rate of the header.
    let mut bytes = vec![
        0xff,
        0xf8,
        0x70,
        ((channels - 1) << 4 | code << 1) as u8,
        number,
    ];
    bytes.extend((length - 1).to_be_bytes());
    bytes.push(crc8(&bytes));
    for channel in 0..channels {
        let sign = if channel % 2 == 0 { 1 } else { -1 };
        // A part of a frame is a value that is repeated (0), or all values (1 in the second bit).
        let (kind, values) = match frame {
            Packed::Same(value, _) => (0, std::slice::from_ref(value)),
            Packed::Each(values) => (2, *values),
        };
        bytes.push(kind);
        for value in values {
            bytes.extend(&(sign * value).to_be_bytes()[4 - bits as usize / 8..]);
        }
    }
    bytes.extend(crc16(&bytes).to_be_bytes());
    bytes
}

/// The checksum of a frame's header, x⁸ + x² + x + 1.
pub(super) fn crc8(bytes: &[u8]) -> u8 {
    let mut crc = 0_u8;
    for byte in bytes {
        crc ^= byte;
        for _ in 0..8 {
            crc = (crc << 1) ^ if crc & 0x80 == 0 { 0 } else { 0x07 };
        }
    }
    crc
}

/// The checksum of a frame, x¹⁶ + x¹⁵ + x² + 1.
pub(super) fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0_u16;
    for byte in bytes {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x8005 };
        }
    }
    crc
}
