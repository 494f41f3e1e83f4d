//! `homebrew`: Ember Run, our own game for the console of Super-Mario.

use std::sync::Arc;

use frmdn_env::{Env, EnvSpec};
use frmdn_super_mario::{Buttons, Homebrew};

use super::{Frames, Kind, Maker, WorldError};

/// Its name.
pub const NAME: &str = "homebrew";

/// The options.
const OPTIONS: &str = "actions=right_only|simple|complex";

/// The kind of environment.
pub(super) struct HomebrewKind;

impl Kind for HomebrewKind {
    fn name(&self) -> &'static str {
        NAME
    }

    fn open(&self, options: &[(&str, &str)], _: Frames) -> Result<Arc<dyn Maker>, WorldError> {
        let mut buttons = Buttons::default();
        for &(key, value) in options {
            let named = Buttons::named(value).filter(|_| key == "actions");
            buttons = named.ok_or_else(|| WorldError::UnknownOption {
                kind: NAME,
                key: key.to_owned(),
                value: value.to_owned(),
                allowed: OPTIONS.to_owned(),
            })?;
        }
        Ok(Arc::new(Game(buttons)))
    }
}

/// The game with its actions.
struct Game(Buttons);

impl Maker for Game {
    fn spec(&self) -> Result<EnvSpec, WorldError> {
        Ok(Homebrew::spec_of(self.0))
    }

    fn make(&self) -> Result<Box<dyn Env>, WorldError> {
        Ok(Box::new(Homebrew::new(self.0)))
    }
}
