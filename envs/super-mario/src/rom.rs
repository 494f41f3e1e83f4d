//! The game's file: found, recognised, never copied; and our own game, which is part of this.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use frmdn_nes::{Cartridge, CartridgeError};
use sha1::{Digest, Sha1};

/// Begin and end of the SHA-1 of program and patterns of the European version (Rev A), which
/// gym-super-mario-bros has.
const PAL: [&str; 2] = ["0c4992fc", "3598"];
/// The same of the version for America and Japan.
const NTSC: [&str; 2] = ["facee9c5", "37f7"];

/// Our own game, made by `homebrew/build.sh`.
const HOMEBREW: &[u8] = include_bytes!("../homebrew/homebrew.nes");

/// A version of the game. Its physics and times differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The European one, as gym-super-mario-bros runs it: with the timing of American consoles.
    Pal,
    /// The one for America and Japan.
    Ntsc,
    /// Not that game but our own, with levels without end.
    Homebrew,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pal => "pal",
            Self::Ntsc => "ntsc",
            Self::Homebrew => "homebrew",
        })
    }
}

/// Why a file is not the game.
#[derive(Debug, thiserror::Error)]
pub enum RomError {
    /// It cannot be read.
    #[error("{} cannot be read: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// It is no cartridge that can be played.
    #[error("{}: {cause}", path.display())]
    Cartridge {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: CartridgeError,
    },
    /// It is another game.
    #[error(
        "{} is another game or an altered one: SHA-1 of its program and patterns is {found}, \
         expected {}…{} (Super Mario Bros., Europe, Rev A) or {}…{} (World)",
        path.display(),
        PAL[0],
        PAL[1],
        NTSC[0],
        NTSC[1]
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Its hash.
        found: String,
    },
}

/// The game.
#[derive(Clone, Debug)]
pub struct Rom {
    cartridge: Arc<Cartridge>,
    version: Version,
}

impl Rom {
    /// The game in the file `path`.
    ///
    /// # Errors
    /// If it cannot be read, or is another game.
    pub fn load(path: &Path) -> Result<Self, RomError> {
        let file = std::fs::read(path).map_err(|cause| RomError::Io {
            path: path.to_path_buf(),
            cause,
        })?;
        let cartridge = Cartridge::new(&file).map_err(|cause| RomError::Cartridge {
            path: path.to_path_buf(),
            cause,
        })?;
        let digest = Sha1::digest(Cartridge::contents(&file).unwrap_or_default());
        let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let is = |[begin, end]: [&str; 2]| found.starts_with(begin) && found.ends_with(end);
        let version = match () {
            () if is(PAL) => Version::Pal,
            () if is(NTSC) => Version::Ntsc,
            () => {
                return Err(RomError::Unknown {
                    path: path.to_path_buf(),
                    found,
                });
            }
        };
        Ok(Self {
            cartridge: Arc::new(cartridge),
            version,
        })
    }

    /// Our own game, Ember Run.
    pub fn homebrew() -> Self {
        // The tests build and play it.
        let cartridge = Cartridge::new(HOMEBREW).expect("a cartridge without a mapper");
        Self {
            cartridge: Arc::new(cartridge),
            version: Version::Homebrew,
        }
    }

    /// The file of the game inside an installed gym-super-mario-bros: in the folders `site-packages`
    /// of the Python environment `root` (`VIRTUAL_ENV`, for example).
    pub fn find(root: &Path) -> Option<PathBuf> {
        let inside = "site-packages/gym_super_mario_bros/_roms/super-mario-bros.nes";
        let libraries = std::fs::read_dir(root.join("lib")).ok()?.flatten();
        let candidates = libraries.map(|python| python.path().join(inside));
        candidates.into_iter().find(|path| path.is_file())
    }

    /// The cartridge.
    pub fn cartridge(&self) -> Arc<Cartridge> {
        Arc::clone(&self.cartridge)
    }

    /// Which version it is.
    pub fn version(&self) -> Version {
        self.version
    }
}
