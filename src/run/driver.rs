//! Who drives, by name.

use std::{fmt, path::PathBuf, str::FromStr};

use super::FIRST;

/// What a list of actions begins with, before its file.
const RECORDED: &str = "actions:";

/// A driver by name, as presets and commands spell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriverName {
    /// `random`: an independent uniform action at each step.
    Random,
    /// `brownian`: a random walk of the action.
    Brownian,
    /// `bursts`: such a walk, interrupted by actions that are held for a while.
    Bursts,
    /// `noop`: nothing at all.
    Noop,
    /// `scripted`: the environment's own driver, which knows more than an agent sees; `expert` means
    /// the same.
    Scripted,
    /// `planner`: tries sequences of actions on snapshots of the environment, as far as that has
    /// them.
    Planner,
    /// `first`: the agent of the earlier round of a preset.
    First,
    /// `actions:FILE`: a list of actions, the same in every episode.
    Recorded(PathBuf),
    /// The agent of a run folder or checkpoint.
    Agent(PathBuf),
}

impl DriverName {
    /// Whether it knows more than an agent sees, and drives well.
    pub fn is_expert(&self) -> bool {
        matches!(self, Self::Scripted | Self::Planner)
    }

    /// The names that are not paths, for messages.
    pub const NAMES: &'static str =
        "random, brownian, bursts, noop, scripted, planner, actions:FILE";
}

impl FromStr for DriverName {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "random" => Self::Random,
            "brownian" => Self::Brownian,
            "bursts" => Self::Bursts,
            "noop" => Self::Noop,
            "scripted" | "expert" => Self::Scripted,
            "planner" => Self::Planner,
            FIRST => Self::First,
            _ => match text.strip_prefix(RECORDED) {
                Some(path) => Self::Recorded(path.into()),
                None => Self::Agent(text.into()),
            },
        })
    }
}

impl fmt::Display for DriverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => f.write_str("random"),
            Self::Brownian => f.write_str("brownian"),
            Self::Bursts => f.write_str("bursts"),
            Self::Noop => f.write_str("noop"),
            Self::Scripted => f.write_str("scripted"),
            Self::Planner => f.write_str("planner"),
            Self::First => f.write_str(FIRST),
            Self::Recorded(path) => write!(f, "{RECORDED}{}", path.display()),
            Self::Agent(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_everything_else_is_a_path() {
        let names = [
            "random", "brownian", "bursts", "noop", "scripted", "planner", "first", "runs/a",
        ];
        for name in names {
            let driver: DriverName = name.parse().unwrap();
            assert_eq!(driver.to_string(), name);
            assert_eq!(matches!(driver, DriverName::Agent(_)), name == "runs/a");
        }
        assert_eq!("expert".parse(), Ok(DriverName::Scripted));
    }
}
