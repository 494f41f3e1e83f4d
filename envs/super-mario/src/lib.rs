//! Super-Mario with the semantics of gym-super-mario-bros 7.4.0, on a native console.
//!
//! The game is Nintendo's and not part of this: the user names the file ([`Rom::load`]), or it is
//! found inside an installed gym-super-mario-bros ([`Rom::find`]). It is read and never copied.
//!
//! Memory addresses, rewards and what is skipped between steps are those of gym-super-mario-bros
//! (MIT licence, Christian Kauten); see `NOTICE`.
//!
//! [`Homebrew`] is a game of our own that is played in the same way and is part of this: a level for
//! every seed.

mod config;
mod env;
mod episode;
mod game;
mod homebrew;
mod memory;
mod palette;
mod rom;
mod view;

pub use config::{Buttons, Lives, MarioConfig, Stage, StageError};
pub use env::SuperMario;
pub use game::{Frame, Game, Info, Status};
pub use homebrew::Homebrew;
pub use palette::RGB;
pub use rom::{Rom, RomError, Version};
pub use view::{SIDE, view};
