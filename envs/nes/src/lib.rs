//! A Nintendo Entertainment System for cartridges without a mapper (NROM).
//!
//! It is made for programs that play: no sound is computed, pictures are drawn only where they are
//! asked for, and loops that wait are skipped. The state is a plain value of five kilobytes
//! ([`State`]), which is cloned, stored and restored in less than a microsecond.
//!
//! A frame ends at the pre-render line, twenty lines into the interrupt of the vertical blank.
//!
//! ```
//! use frmdn_nes::{Cartridge, CartridgeError};
//!
//! assert_eq!(Cartridge::new(b"no game").unwrap_err(), CartridgeError::Magic);
//! ```
//!
//! Written from the description of the hardware at nesdev.org.

mod bytes;
mod cartridge;
mod cpu;
mod machine;
mod picture;
mod ppu;

pub use cartridge::{Cartridge, CartridgeError, Mirroring};
pub use machine::{Nes, State};
pub use picture::{HEIGHT, Picture, WIDTH};
