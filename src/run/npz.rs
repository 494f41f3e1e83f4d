//! Arrays in npz archives: zip files of `.npy` entries, as numpy writes them.

use std::{
    io::{BufReader, Read, Seek, Write},
    ops::RangeInclusive,
};

use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use super::npy::{self, Header, NpyError};

/// An archive to be read.
pub(super) type Archive = ZipArchive<BufReader<std::fs::File>>;

/// What is wrong with an array of an archive.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArrayError {
    #[error("there is no array `{0}`")]
    Missing(&'static str),
    /// Its bytes cannot be unpacked.
    #[error("array `{name}`: {cause}")]
    Unpack {
        name: &'static str,
        /// Not named `source`, because the message tells it already.
        cause: std::io::Error,
    },
    #[error("array `{name}`: {cause}")]
    Array { name: &'static str, cause: NpyError },
}

pub(super) fn put(
    zip: &mut ZipWriter<impl Write + Seek>,
    name: &str,
    descr: &str,
    shape: &[usize],
    bytes: &[u8],
) -> std::io::Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1));
    zip.start_file(format!("{name}.npy"), options)?;
    zip.write_all(&npy::header(descr, shape))?;
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

/// The shape that an array must have: the sizes that each dimension can have.
pub(super) type Wanted<'a> = &'a [RangeInclusive<usize>];

/// An array of the archive: shape and bytes. Its header, the size that the archive states and what
/// is `wanted` must agree before anything is unpacked; the zip layer checks its CRC-32.
pub(super) fn get(
    zip: &mut Archive,
    name: &'static str,
    descr: &'static str,
    wanted: Wanted<'_>,
) -> Result<(Vec<usize>, Vec<u8>), ArrayError> {
    let unpack = |cause| ArrayError::Unpack { name, cause };
    let mut entry = match zip.by_name(&format!("{name}.npy")) {
        Ok(entry) => entry,
        Err(zip::result::ZipError::FileNotFound) => return Err(ArrayError::Missing(name)),
        Err(e) => return Err(unpack(e.into())),
    };
    let stated = entry.size();
    let (shape, needed) = Header::read(&mut entry)
        .and_then(|header| fits(header, descr, wanted, stated))
        .map_err(|cause| ArrayError::Array { name, cause })?;
    // One byte more than is needed, so that an entry that is longer than it states is noticed, and
    // one that is as long is read to its end, where its checksum is checked.
    let mut bytes = Vec::with_capacity(needed + 1);
    let mut limited = (&mut entry).take(needed as u64 + 1);
    limited.read_to_end(&mut bytes).map_err(unpack)?;
    if bytes.len() != needed {
        let what = format!("{} bytes are packed where {needed} are stated", bytes.len());
        return Err(unpack(std::io::Error::other(what)));
    }
    Ok((shape, bytes))
}

/// Shape and bytes of the array of `header`, if it is of the type and shape that are needed and as
/// long as the archive states.
fn fits(
    header: Header,
    descr: &'static str,
    wanted: Wanted<'_>,
    stated: u64,
) -> Result<(Vec<usize>, usize), NpyError> {
    if header.descr != descr {
        return Err(NpyError::Type {
            found: header.descr,
            expected: descr,
        });
    }
    if header.fortran {
        return Err(NpyError::Fortran);
    }
    let sizes = header.shape.iter().zip(wanted);
    let fit = |(&found, wanted): (&u64, &RangeInclusive<usize>)| {
        (*wanted.start() as u64..=*wanted.end() as u64).contains(&found)
    };
    if header.shape.len() != wanted.len() || !sizes.into_iter().all(fit) {
        return Err(NpyError::Shape {
            found: header.shape,
            expected: in_words(wanted),
        });
    }
    let width = u64::from(descr.as_bytes()[2] - b'0');
    header.check_length(width, stated.saturating_sub(header.len as u64))?;
    // No size is above that of the whole, which was checked.
    let shape = header.shape.iter().map(|&n| n as usize).collect();
    Ok((shape, header.bytes(width)? as usize))
}

fn in_words(wanted: Wanted<'_>) -> String {
    let size = |size: &RangeInclusive<usize>| match (*size.start(), *size.end()) {
        (least, most) if least == most => least.to_string(),
        (least, usize::MAX) => format!("at least {least}"),
        (least, most) => format!("{least} to {most}"),
    };
    let sizes: Vec<String> = wanted.iter().map(size).collect();
    format!("[{}]", sizes.join(", "))
}

/// As [`get`], of finite numbers.
pub(super) fn get_f32(
    zip: &mut Archive,
    name: &'static str,
    wanted: Wanted<'_>,
) -> Result<(Vec<usize>, Vec<f32>), ArrayError> {
    let (shape, bytes) = get(zip, name, "<f4", wanted)?;
    let values = bytes.as_chunks::<4>().0.iter();
    let values: Vec<f32> = values.map(|b| f32::from_le_bytes(*b)).collect();
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let value = values[at];
        let cause = NpyError::NotFinite { at, value };
        return Err(ArrayError::Array { name, cause });
    }
    Ok((shape, values))
}

pub(super) fn get_u64<const N: usize>(
    zip: &mut Archive,
    name: &'static str,
) -> Result<[u64; N], ArrayError> {
    let (_, bytes) = get(zip, name, "<u8", &[N..=N])?;
    let chunks = bytes.as_chunks::<8>().0;
    Ok(std::array::from_fn(|i| u64::from_le_bytes(chunks[i])))
}
