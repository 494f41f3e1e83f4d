//! Which stage is played, and with which buttons.

use std::{fmt, str::FromStr};

/// A stage: a world of 1 to 8 and a level of 1 to 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    pub(crate) world: u8,
    pub(crate) level: u8,
}

/// A text that names no stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no stage {0}: they are 1-1 to 8-4")]
pub struct StageError(String);

impl FromStr for Stage {
    type Err = StageError;

    fn from_str(text: &str) -> Result<Self, StageError> {
        let parts = text.split_once('-').map(|(w, l)| (w.parse(), l.parse()));
        match parts {
            Some((Ok(world @ 1..=8), Ok(level @ 1..=4))) => Ok(Self { world, level }),
            _ => Err(StageError(text.to_owned())),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.world, self.level)
    }
}

impl Stage {
    /// Number of its area in the world: worlds 1, 2, 4 and 7 have a short one, the way into the
    /// pipe, before their second level.
    pub(crate) fn area(self) -> u8 {
        let has_way_in = matches!(self.world, 1 | 2 | 4 | 7);
        self.level + u8::from(has_way_in && self.level >= 2)
    }

    /// x of the flag in pixels, where it is known.
    pub fn goal(self) -> Option<u16> {
        match (self.world, self.level) {
            (1, 1) => Some(3161),
            _ => None,
        }
    }
}

/// A set of combinations of buttons: the discrete actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Buttons {
    /// Nothing, or right with any of A and B: 5 actions.
    RightOnly,
    /// The same, A alone, and left: 7 actions.
    #[default]
    Simple,
    /// Left as right, down and up: 12 actions.
    Complex,
}

/// Bits of the buttons.
const A: u8 = 1;
const B: u8 = 2;
const UP: u8 = 16;
const DOWN: u8 = 32;
const LEFT: u8 = 64;
const RIGHT: u8 = 128;

/// All combinations, in the order of gym-super-mario-bros: each set is a beginning of it.
const ALL: [u8; 12] = [
    0,
    RIGHT,
    RIGHT | A,
    RIGHT | B,
    RIGHT | A | B,
    A,
    LEFT,
    LEFT | A,
    LEFT | B,
    LEFT | A | B,
    DOWN,
    UP,
];

/// Their names.
const ALL_NAMES: [&str; ALL.len()] = [
    "nothing",
    "right",
    "right, A",
    "right, B",
    "right, A, B",
    "A",
    "left",
    "left, A",
    "left, B",
    "left, A, B",
    "down",
    "up",
];

impl Buttons {
    /// The names of the sets.
    pub const NAMES: [&str; 3] = ["right_only", "simple", "complex"];

    /// The set of a name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "right_only" => Some(Self::RightOnly),
            "simple" => Some(Self::Simple),
            "complex" => Some(Self::Complex),
            _ => None,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The names of its actions.
    pub fn action_names(self) -> &'static [&'static str] {
        &ALL_NAMES[..self.actions().len()]
    }

    /// The buttons of each action. None has Start or Select.
    pub fn actions(self) -> &'static [u8] {
        match self {
            Self::RightOnly => &ALL[..5],
            Self::Simple => &ALL[..7],
            Self::Complex => &ALL,
        }
    }
}

/// How long an episode lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lives {
    /// A life, or the stage.
    #[default]
    One,
    /// Three lives, from 1-1 on through all stages: the whole game.
    Three,
}

/// Settings of the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarioConfig {
    /// The stage; with three lives the first one, 1-1.
    pub stage: Stage,
    /// The actions.
    pub buttons: Buttons,
    /// The lives.
    pub lives: Lives,
}

impl MarioConfig {
    /// x of the flag that ends the episode, where it is known.
    pub(crate) fn goal(&self) -> Option<u16> {
        match self.lives {
            Lives::One => self.stage.goal(),
            Lives::Three => None,
        }
    }
}

impl Default for MarioConfig {
    fn default() -> Self {
        Self {
            stage: Stage { world: 1, level: 1 },
            buttons: Buttons::default(),
            lives: Lives::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_action_presses_start_or_select() {
        for name in Buttons::NAMES {
            let actions = Buttons::named(name).unwrap().actions();
            assert!(actions.iter().all(|held| held & 0x0C == 0), "{name}");
        }
    }
}
