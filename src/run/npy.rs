//! numpy's format of an array, `.npy` (NEP 1): a header with type, order and shape, and the numbers.
//!
//! Nothing is taken on trust: a header says how many bytes follow before any of them is read, and
//! an array whose bytes are not that many is refused.

use std::io::Read;

/// What every such file begins with.
const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Longest header that is read, in bytes; those of plain arrays have a hundred or two.
const LONGEST_HEADER: usize = 1 << 12;

/// Most bytes of one array, 2 GiB.
const LARGEST: u64 = 1 << 31;

/// What is wrong with an array.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(std::io::Error),
    /// It is another kind of file.
    #[error("it is no array in numpy's format (.npy)")]
    Foreign,
    /// The header is not that of one plain array.
    #[error("its header is not that of an array of numbers: {0}")]
    Header(String),
    /// Another type than what is expected.
    #[error("its type is '{found}', '{expected}' is needed")]
    Type {
        /// Type in the file.
        found: String,
        /// Type that is needed.
        expected: &'static str,
    },
    /// Columns first, where rows first are needed.
    #[error("it is in Fortran order, C order is needed (numpy.ascontiguousarray)")]
    Fortran,
    /// Another shape than what is expected.
    #[error("its shape is {found:?}, {expected} is needed")]
    Shape {
        /// Shape in the file.
        found: Vec<u64>,
        /// Shape that is needed, in words.
        expected: String,
    },
    /// More or fewer bytes than the shape says.
    #[error("its shape {shape:?} needs {needed} bytes, and it has {found}")]
    Length {
        /// Shape in the file.
        shape: Vec<u64>,
        /// Bytes of such an array.
        needed: u64,
        /// Bytes in the file.
        found: u64,
    },
    /// An array that is larger than any of ours.
    #[error("its shape {shape:?} is of more than {LARGEST} bytes")]
    TooLarge {
        /// Shape in the file.
        shape: Vec<u64>,
    },
    /// A value that is infinite or not a number.
    #[error("its value number {at} is {value}, which is no finite number")]
    NotFinite {
        /// Number of the value, from 0.
        at: usize,
        /// The value.
        value: f32,
    },
}

/// What a file says of its array.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Type in numpy's spelling, for example `<f4`.
    pub descr: String,
    /// Whether the first index runs fastest.
    pub fortran: bool,
    /// Shape, outermost dimension first.
    pub shape: Vec<u64>,
    /// Bytes that come before the numbers.
    pub len: usize,
}

impl Header {
    /// Reads a header; `from` is then at the first number.
    ///
    /// # Errors
    /// If there is none, or it is not that of an array of numbers.
    pub fn read(from: &mut impl Read) -> Result<Self, NpyError> {
        let mut exactly = |buffer: &mut [u8]| {
            from.read_exact(buffer).map_err(|e| match e.kind() {
                std::io::ErrorKind::UnexpectedEof => NpyError::Foreign,
                _ => NpyError::Read(e),
            })
        };
        let mut start = [0; 8];
        exactly(&mut start)?;
        if &start[..6] != MAGIC {
            return Err(NpyError::Foreign);
        }
        // Version 1 has a length of two bytes, later ones have four.
        let mut length = [0; 4];
        let width = if start[6] == 1 { 2 } else { 4 };
        exactly(&mut length[..width])?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST_HEADER {
            let what = format!("it has {length} bytes");
            return Err(NpyError::Header(what));
        }
        let mut text = vec![0; length];
        exactly(&mut text)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        Self::parse(&text, start.len() + width + length)
            .ok_or_else(|| NpyError::Header(text.trim().escape_debug().to_string()))
    }

    /// The header whose dictionary is `text`, as numpy writes it for every plain array.
    fn parse(text: &str, len: usize) -> Option<Self> {
        let quoted = |text: &str| -> Option<(String, String)> {
            let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
            let (inside, rest) = text[1..].split_once(quote)?;
            Some((inside.to_owned(), rest.to_owned()))
        };
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.to_owned();
        while !rest.trim().is_empty() {
            let (key, after) = quoted(rest.trim_start())?;
            let value = after.trim_start().strip_prefix(':')?.trim_start();
            let after = match key.as_str() {
                "descr" => {
                    let (value, after) = quoted(value)?;
                    descr = Some(value);
                    after
                }
                "fortran_order" => {
                    fortran = Some(value.starts_with("True"));
                    let after = value.strip_prefix("True");
                    after.or_else(|| value.strip_prefix("False"))?.to_owned()
                }
                "shape" => {
                    let (inside, after) = value.strip_prefix('(')?.split_once(')')?;
                    let sizes = inside.split(',').map(str::trim).filter(|n| !n.is_empty());
                    shape = Some(sizes.map(|n| n.parse().ok()).collect::<Option<_>>()?);
                    after.to_owned()
                }
                _ => return None,
            };
            let after = after.trim_start();
            rest = after.strip_prefix(',').unwrap_or(after).to_owned();
        }
        Some(Self {
            descr: descr?,
            fortran: fortran?,
            shape: shape?,
            len,
        })
    }

    /// Bytes of the numbers, which have `width` bytes each.
    ///
    /// # Errors
    /// If they are more than any array of ours has.
    pub fn bytes(&self, width: u64) -> Result<u64, NpyError> {
        let product = |n: u64, &size: &u64| n.checked_mul(size);
        // A zero anywhere makes the product zero, whatever the other sizes are.
        let count = match self.shape.contains(&0) {
            true => Some(0),
            false => self.shape.iter().try_fold(width, product),
        };
        count
            .filter(|&bytes| bytes <= LARGEST)
            .ok_or_else(|| NpyError::TooLarge {
                shape: self.shape.clone(),
            })
    }

    /// Checks that the array has `found` bytes of numbers, `width` each.
    ///
    /// # Errors
    /// If they are others, or too many.
    pub fn check_length(&self, width: u64, found: u64) -> Result<(), NpyError> {
        let needed = self.bytes(width)?;
        if needed == found {
            return Ok(());
        }
        Err(NpyError::Length {
            shape: self.shape.clone(),
            needed,
            found,
        })
    }
}

/// The header of an array in C order, as numpy writes it.
pub fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let mut text = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}",
        sizes.trim_end()
    );
    // Padded with blanks and a newline to a multiple of 64.
    let blanks = 63 - (10 + text.len()) % 64;
    text.extend(std::iter::repeat_n(' ', blanks));
    text.push('\n');
    let len = u16::try_from(text.len()).expect("a header of a few dimensions fits");
    let mut bytes = [MAGIC, &[1, 0][..], &len.to_le_bytes()].concat();
    bytes.extend(text.as_bytes());
    bytes
}

/// The rows of a file's array of numbers, whatever their type, byte order and order in the file. An
/// array of one dimension has rows of one value.
///
/// # Errors
/// If it is no such array, its length does not fit its shape, or its rows do not have `width`
/// values.
pub fn rows(file: &[u8], width: usize) -> Result<Vec<Vec<f32>>, NpyError> {
    let mut numbers = file;
    let header = Header::read(&mut numbers)?;
    let columns = header.shape.get(1).copied().unwrap_or(1);
    if !matches!(header.shape.len(), 1 | 2) || columns != width as u64 {
        return Err(NpyError::Shape {
            found: header.shape,
            expected: format!("[steps, {width}]"),
        });
    }
    let (size, value) = number(&header.descr).ok_or(NpyError::Type {
        found: header.descr.clone(),
        expected: "f4, f8 or a whole number",
    })?;
    header.check_length(size as u64, numbers.len() as u64)?;
    let values: Vec<f32> = numbers.chunks_exact(size).map(value).collect();
    let steps = values.len() / width.max(1);
    let at = |step: usize, i: usize| match header.fortran {
        false => values[step * width + i],
        true => values[i * steps + step],
    };
    let row = |step| (0..width).map(|i| at(step, i)).collect();
    Ok((0..steps).map(row).collect())
}

/// Bytes of a number of type `descr`, and how they are read; `None` for what is no number.
fn number(descr: &str) -> Option<(usize, impl Fn(&[u8]) -> f32)> {
    let kind = descr.trim_start_matches(['<', '>', '|', '=']);
    let size = match kind {
        "i1" | "u1" => 1,
        "i2" | "u2" => 2,
        "i4" | "u4" | "f4" => 4,
        "i8" | "u8" | "f8" => 8,
        _ => return None,
    };
    let (kind, big) = (kind.as_bytes()[0], descr.starts_with('>'));
    let value = move |bytes: &[u8]| {
        // The number's bytes, the smallest first, among eight.
        let mut all = [0; 8];
        all[..size].copy_from_slice(bytes);
        if big {
            all[..size].reverse();
        }
        let whole = u64::from_le_bytes(all);
        let unused = 64 - 8 * size;
        match (kind, size) {
            (b'f', 4) => f32::from_bits(whole as u32),
            (b'f', _) => f64::from_bits(whole) as f32,
            (b'i', _) => (((whole << unused) as i64) >> unused) as f32,
            _ => whole as f32,
        }
    };
    Some((size, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as numpy writes it.
    fn file(descr: &str, order: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
        let text =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((text.len() as u16).to_le_bytes());
        file.extend(text.as_bytes());
        file.extend(bytes);
        file
    }

    #[test]
    fn every_type_byte_order_and_order_gives_the_same_rows() {
        let (c, fortran) = ([1, -2, 3, 4, 5, 6], [1, 3, 5, -2, 4, 6]);
        let expected = [[1.0, -2.0], [3.0, 4.0], [5.0, 6.0]];
        type Bytes = fn(i8) -> Vec<u8>;
        let types: [(&str, Bytes); 6] = [
            ("i1", |v| v.to_le_bytes().to_vec()),
            ("i2", |v| i16::from(v).to_le_bytes().to_vec()),
            ("i4", |v| i32::from(v).to_le_bytes().to_vec()),
            ("i8", |v| i64::from(v).to_le_bytes().to_vec()),
            ("f4", |v| f32::from(v).to_le_bytes().to_vec()),
            ("f8", |v| f64::from(v).to_le_bytes().to_vec()),
        ];
        for (kind, bytes) in types {
            for (order, values) in [("False", c), ("True", fortran)] {
                for end in ["<", ">"] {
                    let number = |&v: &i8| {
                        let mut bytes = bytes(v);
                        if end == ">" {
                            bytes.reverse();
                        }
                        bytes
                    };
                    let bytes: Vec<u8> = values.iter().flat_map(number).collect();
                    let file = file(&format!("{end}{kind}"), order, "(3, 2)", &bytes);
                    assert_eq!(rows(&file, 2).unwrap(), expected, "{end}{kind} {order}");
                }
            }
        }
        let unsigned = file(">u2", "False", "(1,)", &[255, 254]);
        assert_eq!(rows(&unsigned, 1).unwrap(), [[65534.0]]);
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = header("<f4", &[3, 64, 64]);
        assert!(bytes.len().is_multiple_of(64));
        let found = Header::read(&mut &bytes[..]).unwrap();
        assert_eq!(
            found,
            Header {
                descr: "<f4".into(),
                fortran: false,
                shape: vec![3, 64, 64],
                len: bytes.len(),
            }
        );
    }

    #[test]
    fn other_files_types_shapes_and_lengths_are_refused_by_name() {
        let good = file("<f4", "False", "(2, 1)", &[0; 8]);
        let nested = "(".repeat(3000);
        for (file, words) in [
            (
                b"PK\x03\x04 and more of it".to_vec(),
                "no array in numpy's format",
            ),
            (good[..20].to_vec(), "no array in numpy's format"),
            (
                good[..good.len() - 1].to_vec(),
                "needs 8 bytes, and it has 7",
            ),
            ([&good[..], b"x"].concat(), "needs 8 bytes, and it has 9"),
            (file("<U4", "False", "(2,)", &[0; 32]), "its type is '<U4'"),
            (file("<f2", "False", "(2,)", &[0; 4]), "its type is '<f2'"),
            (
                file("<f4", "False", "(1, 2)", &[0; 8]),
                "its shape is [1, 2], [steps, 1]",
            ),
            (
                file("<f4", "False", "(1, 1, 2)", &[0; 8]),
                "its shape is [1, 1, 2]",
            ),
            (
                file("<f4", "False", "(9223372036854775808, 1)", &[0; 8]),
                "is of more than 2147483648 bytes",
            ),
            (
                file("<f4", "False", "(-1, 1)", &[0; 8]),
                "its header is not",
            ),
            (file("<f4", "Maybe", "(2,)", &[0; 8]), "its header is not"),
            (file("<f4", "False", &nested, &[0; 8]), "its header is not"),
            (
                b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(),
                "4294967295 bytes",
            ),
        ] {
            let error = rows(&file, 1).unwrap_err().to_string();
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
