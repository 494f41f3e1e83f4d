//! Files, raw or packed by gzip, that are read no further than a size that was agreed on.
//!
//! Nothing is taken on trust: a small file can state that it holds gigabytes, and a packed one can
//! even deliver them.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;

use super::FileError;

/// Most bytes of a file's pixels, 512 MiB; those of the largest set that is known here are 147 MiB.
pub(super) const LARGEST: u64 = 1 << 29;

/// What every file that gzip packed begins with. No raw file of ours does: IDX files begin with two
/// zeros, and batches of CIFAR-10 with a label.
const GZIP: &[u8] = b"\x1f\x8b";

/// Most bytes that deflate makes of one (RFC 1951: 258 bytes of each two bits).
const LARGEST_RATIO: u64 = 1032;

/// A file to be read from its start to its end.
pub(super) struct Source {
    from: Box<dyn Read>,
    packed: bool,
    /// Most bytes that the file can have, unpacked.
    most: u64,
    /// Bytes that were read.
    read: u64,
}

impl Source {
    /// Opens the file. Whether it is packed is seen from its bytes, whatever it is called: browsers
    /// unpack files and keep their names.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        // Asked first, because to open a pipe waits for a writer.
        if !path.metadata().map_err(FileError::Read)?.is_file() {
            return Err(FileError::NotPlain);
        }
        let file = File::open(path).map_err(FileError::Read)?;
        let length = file.metadata().map_err(FileError::Read)?.len();
        let mut file = BufReader::new(file);
        let start = file.fill_buf().map_err(FileError::Read)?;
        let packed = start.starts_with(GZIP);
        let (from, most): (Box<dyn Read>, u64) = match packed {
            true => (
                Box::new(MultiGzDecoder::new(file)),
                length.saturating_mul(LARGEST_RATIO),
            ),
            false => (Box::new(file), length),
        };
        Ok(Self {
            from,
            packed,
            most,
            read: 0,
        })
    }

    /// The next `N` bytes, of a header.
    pub fn header<const N: usize>(&mut self) -> Result<[u8; N], FileError> {
        let bytes = self.at_most(N as u64)?;
        bytes.try_into().map_err(|_| FileError::Short {
            needed: N as u64,
            found: self.read,
            packed: self.packed,
        })
    }

    /// All that is left, which must be `needed` bytes. One more is asked for, so that a longer file
    /// is noticed and a packed one is read to its end, where its checksum is.
    pub fn rest(mut self, needed: u64) -> Result<Vec<u8>, FileError> {
        let total = self.read + needed;
        let bytes = self.at_most(needed + 1)?;
        let found = bytes.len() as u64;
        match found.cmp(&needed) {
            std::cmp::Ordering::Less => Err(FileError::Short {
                needed: total,
                found: self.read,
                packed: self.packed,
            }),
            std::cmp::Ordering::Equal => Ok(bytes),
            std::cmp::Ordering::Greater => Err(FileError::Long {
                needed: total,
                packed: self.packed,
            }),
        }
    }

    /// The next `count` bytes, or fewer where the file ends.
    fn at_most(&mut self, count: u64) -> Result<Vec<u8>, FileError> {
        // No more is set aside than the file can fill.
        let mut bytes = Vec::with_capacity(count.min(self.most) as usize);
        let result = (&mut self.from).take(count).read_to_end(&mut bytes);
        result.map_err(match self.packed {
            true => FileError::Unpack,
            false => FileError::Read,
        })?;
        self.read += bytes.len() as u64;
        Ok(bytes)
    }
}
