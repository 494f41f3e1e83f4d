//! `super-mario`: the native one.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use frmdn_env::{Env, EnvSpec};
use frmdn_super_mario::{Buttons, Lives, MarioConfig, Rom, SuperMario};

use super::{Frames, Kind, Maker, WorldError};

/// Its name.
pub const NAME: &str = "super-mario";

/// The options.
const OPTIONS: &str = "stage=1-1 to 8-4, actions=right_only|simple|complex, \
                       lives=1|3 (3: the whole game, from 1-1 on)";

/// The variable that names the game's file.
const VARIABLE: &str = "FRMDN_SMB_ROM";

/// The file that was named to the program.
static FILE: OnceLock<PathBuf> = OnceLock::new();

/// Names the game's file, for all environments of this program; the first one named is used.
pub fn set_rom(path: &Path) {
    // A second name is left out, as documented.
    let _ = FILE.set(path.to_path_buf());
}

/// The game's file: as it was named, by [`VARIABLE`], or inside of a Python environment with
/// gym-super-mario-bros: that of `FRMDN_PYTHON`, the activated one, or `mario-env` in the current
/// folder.
fn file() -> Option<PathBuf> {
    let variable = std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
    let named = FILE.get().cloned().or_else(|| variable.map(PathBuf::from));
    let python = std::env::var_os("FRMDN_PYTHON").map(PathBuf::from);
    // ROOT/bin/python
    let root = python.and_then(|python| Some(python.parent()?.parent()?.to_path_buf()));
    let activated = std::env::var_os("VIRTUAL_ENV").map(PathBuf::from);
    let environments = root.into_iter().chain(activated);
    let environments = environments.chain([PathBuf::from("mario-env")]);
    named.or_else(|| environments.into_iter().find_map(|root| Rom::find(&root)))
}

/// The kind of environment.
pub(super) struct MarioKind;

impl Kind for MarioKind {
    fn name(&self) -> &'static str {
        NAME
    }

    fn needs(&self) -> Option<String> {
        let Some(path) = file() else {
            return Some("the game is not here: name its file with --rom FILE".into());
        };
        Some(match Rom::load(&path) {
            Ok(rom) => format!("{}: {}", path.display(), rom.version()),
            Err(e) => e.to_string(),
        })
    }

    fn open(&self, options: &[(&str, &str)], _: Frames) -> Result<Arc<dyn Maker>, WorldError> {
        Ok(Arc::new(Mario {
            config: config(options)?,
            first: Mutex::new(None),
        }))
    }
}

/// Super-Mario with its options. The game is looked for when it is needed.
struct Mario {
    config: MarioConfig,
    /// The environment that the others are copies of: the way to the beginning of the stage is gone
    /// once.
    first: Mutex<Option<SuperMario>>,
}

impl Mario {
    fn env(&self) -> Result<SuperMario, WorldError> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(env) = &*first {
            return Ok(env.clone());
        }
        let path = file().ok_or(WorldError::NoRom)?;
        let rom = Rom::load(&path)?;
        let env = SuperMario::new(&rom, self.config)?;
        *first = Some(env.clone());
        Ok(env)
    }
}

impl Maker for Mario {
    fn spec(&self) -> Result<EnvSpec, WorldError> {
        Ok(self.env()?.spec().clone())
    }

    fn make(&self) -> Result<Box<dyn Env>, WorldError> {
        Ok(Box::new(self.env()?))
    }

    fn reference(&self) -> Option<String> {
        let MarioConfig {
            stage,
            buttons,
            lives,
        } = self.config;
        let game = match lives {
            Lives::One => format!("SuperMarioBros-{stage}-v0"),
            Lives::Three => "SuperMarioBros-v0".into(),
        };
        Some(format!("gym:{game},actions={}", buttons.name()))
    }
}

fn lives(text: &str) -> Option<Lives> {
    match text {
        "1" => Some(Lives::One),
        "3" => Some(Lives::Three),
        _ => None,
    }
}

fn config(options: &[(&str, &str)]) -> Result<MarioConfig, WorldError> {
    let mut config = MarioConfig::default();
    let has_stage = options.iter().any(|(key, _)| *key == "stage");
    for &(key, value) in options {
        let read = match (key, value) {
            ("stage", _) => value.parse().ok().map(|stage| config.stage = stage),
            ("actions", _) => Buttons::named(value).map(|buttons| config.buttons = buttons),
            // The whole game begins at its beginning.
            ("lives", "3") if has_stage => None,
            ("lives", _) => lives(value).map(|lives| config.lives = lives),
            _ => None,
        };
        read.ok_or_else(|| WorldError::UnknownOption {
            kind: NAME,
            key: key.to_owned(),
            value: value.to_owned(),
            allowed: OPTIONS.to_owned(),
        })?;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_without_the_game() {
        let read = config(&[("stage", "4-2"), ("actions", "right_only")]).unwrap();
        assert_eq!(read.stage, "4-2".parse().unwrap());
        assert_eq!(read.buttons, Buttons::RightOnly);
        for (key, value) in [
            ("stage", "9-1"),
            ("stage", "1-5"),
            ("actions", "all"),
            ("rom", "x"),
            ("lives", "2"),
        ] {
            let error = config(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(OPTIONS), "{error}");
        }
        let whole = config(&[("lives", "3")]).unwrap();
        assert_eq!(whole.lives, Lives::Three);
        assert!(config(&[("lives", "3"), ("stage", "1-2")]).is_err());
        assert!(super::super::check("super-mario,stage=1-2,skip=4,sticky_frames=0.25").is_ok());
    }
}
