//! Cartridges: files in the iNES format.

use std::ops::Range;

/// Bytes of the program that the processor sees, at 0x8000.
pub const PRG: usize = 0x8000;
/// Bytes of the patterns of tiles.
pub const CHR: usize = 0x2000;

/// What is wrong with a cartridge's file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CartridgeError {
    /// The first four bytes are not "NES" and 0x1A.
    #[error("it is no file in the iNES format: it does not begin with NES")]
    Magic,
    /// The file ends too early.
    #[error("it has {found} bytes, its header asks for {expected}")]
    Length {
        /// Bytes of the file.
        found: usize,
        /// Bytes that it should have.
        expected: usize,
    },
    /// It needs a mapper.
    #[error("it needs mapper {0}; only cartridges without one (mapper 0) are played")]
    Mapper(u8),
    /// A size that a cartridge without a mapper cannot have.
    #[error("{what} of {banks} banks: a cartridge without a mapper has {allowed}")]
    Size {
        /// Which memory.
        what: &'static str,
        /// Its size in banks.
        banks: u8,
        /// What it can be.
        allowed: &'static str,
    },
}

/// How the two name tables are seen as four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirroring {
    /// Left and right are equal: for games that scroll up and down.
    Horizontal,
    /// Above and below are equal: for games that scroll sideways.
    Vertical,
}

/// Bytes of the header of a file.
const HEADER: usize = 16;
/// Bytes of a trainer, which some files have before the program.
const TRAINER: usize = 512;
/// Bytes of a bank of a program.
const BANK: usize = 0x4000;

/// Where program and patterns stand in a file with this header.
fn contents(header: &[u8; HEADER]) -> Range<usize> {
    let trainer = if header[6] & 4 != 0 { TRAINER } else { 0 };
    let begin = HEADER + trainer;
    begin..begin + usize::from(header[4]) * BANK + usize::from(header[5]) * CHR
}

/// A cartridge without a mapper (NROM): program, patterns, wiring. Never changes.
#[derive(Clone, Debug)]
pub struct Cartridge {
    /// The program, twice where it has 16 KiB.
    pub(crate) prg: Box<[u8; PRG]>,
    /// Patterns; zeros where the cartridge has memory in their place.
    pub(crate) chr: Box<[u8; CHR]>,
    /// Whether the patterns can be written.
    pub(crate) has_chr_ram: bool,
    /// Whether it has memory at 0x6000.
    pub(crate) has_work_ram: bool,
    pub(crate) mirroring: Mirroring,
}

impl Cartridge {
    /// The cartridge of a file.
    ///
    /// # Errors
    /// If it is no iNES file, is cut short, or needs a mapper.
    pub fn new(file: &[u8]) -> Result<Self, CartridgeError> {
        let Some(header) = file.first_chunk::<HEADER>() else {
            return Err(match file.starts_with(b"NES\x1A") {
                true => CartridgeError::Length {
                    found: file.len(),
                    expected: HEADER,
                },
                false => CartridgeError::Magic,
            });
        };
        if !header.starts_with(b"NES\x1A") {
            return Err(CartridgeError::Magic);
        }
        let mapper = header[6] >> 4 | header[7] & 0xF0;
        if mapper != 0 {
            return Err(CartridgeError::Mapper(mapper));
        }
        let [prg_banks, chr_banks] = [header[4], header[5]];
        if !(1..=2).contains(&prg_banks) {
            return Err(CartridgeError::Size {
                what: "a program",
                banks: prg_banks,
                allowed: "one or two",
            });
        }
        if chr_banks > 1 {
            return Err(CartridgeError::Size {
                what: "patterns",
                banks: chr_banks,
                allowed: "one, or none",
            });
        }
        let span = contents(header);
        let prg_len = usize::from(prg_banks) * BANK;
        let chr_len = usize::from(chr_banks) * CHR;
        let Some(contents) = file.get(span.clone()) else {
            return Err(CartridgeError::Length {
                found: file.len(),
                expected: span.end,
            });
        };
        let (program, patterns) = contents.split_at(prg_len);
        let mut prg = Box::new([0; PRG]);
        for half in prg.chunks_exact_mut(prg_len) {
            half.copy_from_slice(program);
        }
        let mut chr = Box::new([0; CHR]);
        chr[..chr_len].copy_from_slice(patterns);
        Ok(Self {
            prg,
            chr,
            has_chr_ram: chr_banks == 0,
            has_work_ram: header[6] & 2 != 0,
            mirroring: match header[6] & 1 {
                0 => Mirroring::Horizontal,
                _ => Mirroring::Vertical,
            },
        })
    }

    /// Program and patterns in the file of a cartridge: what is left without its header, without
    /// what a copying device put before them, and without what follows them.
    /// `None` of a file that [`Cartridge::new`] refuses as too short.
    pub fn contents(file: &[u8]) -> Option<&[u8]> {
        file.get(contents(file.first_chunk()?))
    }

    /// The same cartridge with memory at 0x6000, where test programs write what they found.
    #[must_use]
    pub fn with_work_ram(self) -> Self {
        Self {
            has_work_ram: true,
            ..self
        }
    }
}
