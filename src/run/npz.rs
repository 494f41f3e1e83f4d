//! Arrays in npz archives: zip files of `.npy` entries, as numpy writes them.

use std::io::{Read, Seek, Write};

use npyz::NpyHeader;
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

/// What is wrong with an array of an archive.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArrayError {
    /// It is not there, or its bytes are no array.
    #[error("array `{name}`: {cause}")]
    Read {
        name: &'static str,
        /// Not named `source`, because the message tells it already.
        cause: std::io::Error,
    },
    #[error("array `{name}` has type {found}, not '{expected}'")]
    Type {
        name: &'static str,
        found: String,
        expected: &'static str,
    },
    #[error("array `{name}` has {bytes} bytes, its shape {shape:?} needs others")]
    Length {
        name: &'static str,
        bytes: usize,
        shape: Vec<usize>,
    },
    #[error("array `{name}` should have {expected} values")]
    Values { name: &'static str, expected: usize },
    #[error("array `{name}` has shape {shape:?}")]
    Dimensions {
        name: &'static str,
        shape: Vec<usize>,
    },
    #[error("array `{name}` has shape {found:?}, expected {expected:?}")]
    Shape {
        name: &'static str,
        found: Vec<usize>,
        expected: Vec<usize>,
    },
}

impl ArrayError {
    fn read(name: &'static str, cause: std::io::Error) -> Self {
        Self::Read { name, cause }
    }
}

pub(super) fn put(
    zip: &mut ZipWriter<impl Write + Seek>,
    name: &str,
    dtype: &str,
    shape: &[usize],
    bytes: &[u8],
) -> std::io::Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1));
    zip.start_file(format!("{name}.npy"), options)?;
    let dimensions: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let mut header = format!(
        "{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({}), }}",
        dimensions.trim_end()
    );
    // NEP 1: magic, version 1.0, little-endian length; padded with blanks and a newline to a
    // multiple of 64.
    let blanks = 63 - (10 + header.len()) % 64;
    header.extend(std::iter::repeat_n(' ', blanks));
    header.push('\n');
    zip.write_all(b"\x93NUMPY\x01\x00")?;
    zip.write_all(
        &u16::try_from(header.len())
            .expect("a header of a few dimensions fits")
            .to_le_bytes(),
    )?;
    zip.write_all(header.as_bytes())?;
    zip.write_all(bytes)
}

pub(super) fn put_f32(
    zip: &mut ZipWriter<impl Write + Seek>,
    name: &str,
    shape: &[usize],
    values: &[f32],
) -> std::io::Result<()> {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    put(zip, name, "<f4", shape, &bytes)
}

pub(super) fn put_u64(
    zip: &mut ZipWriter<impl Write + Seek>,
    name: &str,
    values: &[u64],
) -> std::io::Result<()> {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    put(zip, name, "<u8", &[values.len()], &bytes)
}

/// An array of the archive: shape and raw bytes; the zip layer has checked its CRC-32.
pub(super) fn get(
    zip: &mut ZipArchive<impl Read + Seek>,
    name: &'static str,
    dtype: &'static str,
) -> Result<(Vec<usize>, Vec<u8>), ArrayError> {
    let mut entry = zip
        .by_name(&format!("{name}.npy"))
        .map_err(|e| ArrayError::read(name, e.into()))?;
    let header = NpyHeader::from_reader(&mut entry).map_err(|e| ArrayError::read(name, e))?;
    if header.dtype().descr() != format!("'{dtype}'") {
        return Err(ArrayError::Type {
            name,
            found: header.dtype().descr(),
            expected: dtype,
        });
    }
    let shape: Vec<usize> = header.shape().iter().map(|&n| n as usize).collect();
    let mut bytes = Vec::new();
    entry
        .read_to_end(&mut bytes)
        .map_err(|e| ArrayError::read(name, e))?;
    let width = dtype[2..]
        .parse::<usize>()
        .expect("our own type strings end in a width");
    if bytes.len() != width * shape.iter().product::<usize>() {
        return Err(ArrayError::Length {
            name,
            bytes: bytes.len(),
            shape,
        });
    }
    Ok((shape, bytes))
}

pub(super) fn get_f32(
    zip: &mut ZipArchive<impl Read + Seek>,
    name: &'static str,
) -> Result<(Vec<usize>, Vec<f32>), ArrayError> {
    let (shape, bytes) = get(zip, name, "<f4")?;
    Ok((
        shape,
        bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect(),
    ))
}

pub(super) fn get_u64<const N: usize>(
    zip: &mut ZipArchive<impl Read + Seek>,
    name: &'static str,
) -> Result<[u64; N], ArrayError> {
    let (_, bytes) = get(zip, name, "<u8")?;
    let values: Vec<u64> = bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|b| u64::from_le_bytes(*b))
        .collect();
    values
        .try_into()
        .map_err(|_| ArrayError::Values { name, expected: N })
}

pub(super) fn check(
    name: &'static str,
    found: &[usize],
    expected: &[usize],
) -> Result<(), ArrayError> {
    if found == expected {
        return Ok(());
    }
    Err(ArrayError::Shape {
        name,
        found: found.to_vec(),
        expected: expected.to_vec(),
    })
}
